//! The console's appearance, kept on the volume because over ssh no variable of the operator's own computer arrives.
//!
//! If the file is lost, the console starts with its defaults.

use std::io;

use serde::{Deserialize, Serialize};

use crate::layout::CONSOLE_FILE;
use crate::small_file;
use crate::volume::Volume;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 64 << 10;

/// How the console looks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsoleSettings {
    /// The name of the colour theme; `None` for the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub theme: Option<String>,
    /// Whether lines and marks are drawn in ASCII only.
    pub ascii: bool,
    /// Whether the console reads the mouse.
    pub mouse: bool,
}

impl Volume {
    /// The stored settings; the defaults where there is no file or it can't be parsed.
    pub fn console_look(&self) -> io::Result<ConsoleSettings> {
        let text = small_file::read(self, CONSOLE_FILE, LARGEST)?.unwrap_or_default();
        Ok(serde_json::from_slice(&text).unwrap_or_default())
    }

    /// Stores the settings, by one rename.
    pub fn keep_console_look(&self, look: &ConsoleSettings) -> io::Result<()> {
        small_file::replace(self, CONSOLE_FILE, &serde_json::to_vec(look)?)
    }
}
