//! How the console is liked to look, kept on the volume: over ssh no variable of the operator's own computer comes along.
//!
//! Losing it loses nothing but a habit.

use std::fs::File;
use std::io::{self, Read, Write};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::layout::{CONSOLE_FILE, NEW_SUFFIX, SERVICE_FOLDER};
use crate::volume::Volume;

/// What is larger than this is something else.
const LARGEST: u64 = 64 << 10;

/// How the console is liked to look.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsoleLook {
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
    pub fn console_look(&self) -> io::Result<ConsoleLook> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW;
        let place = format!("{SERVICE_FOLDER}/{CONSOLE_FILE}");
        let file = match rustix::fs::openat(self.root(), place, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(ConsoleLook::default()),
            Err(errno) => return Err(errno.into()),
        };
        let mut text = Vec::new();
        file.take(LARGEST).read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text).unwrap_or_default())
    }

    /// Keeps it, by one rename.
    pub fn keep_console_look(&self, look: &ConsoleLook) -> io::Result<()> {
        let folder = self.service_folder()?;
        let new_name = format!("{CONSOLE_FILE}{NEW_SUFFIX}");
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let owner_only = Mode::RUSR | Mode::WUSR;
        let mut file =
            File::from(rustix::fs::openat(&folder, new_name.as_str(), flags, owner_only)?);
        file.write_all(&serde_json::to_vec(look)?)?;
        Ok(rustix::fs::renameat(&folder, new_name.as_str(), &folder, CONSOLE_FILE)?)
    }
}
