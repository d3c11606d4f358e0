//! How the console is liked to look, kept on the volume: over ssh no variable of the operator's own computer comes along.
//!
//! Losing it loses nothing but a habit.

use std::io;

use serde::{Deserialize, Serialize};

use crate::layout::CONSOLE_FILE;
use crate::small_file;
use crate::volume::Volume;

/// What is larger than this is something else.
const LARGEST: u64 = 64 << 10;

/// How the console is liked to look.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsoleSettings {
    /// Its colours, by their name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub theme: Option<String>,
    /// Lines and marks of ASCII only.
    pub ascii: bool,
    /// Whether the mouse is taken.
    pub mouse: bool,
}

impl Volume {
    /// As it was left; the default where nothing can be read.
    pub fn console_look(&self) -> io::Result<ConsoleSettings> {
        let text = small_file::read(self, CONSOLE_FILE, LARGEST)?.unwrap_or_default();
        Ok(serde_json::from_slice(&text).unwrap_or_default())
    }

    /// Keeps it, by one rename.
    pub fn keep_console_look(&self, look: &ConsoleSettings) -> io::Result<()> {
        small_file::replace(self, CONSOLE_FILE, &serde_json::to_vec(look)?)
    }
}
