//! When each key was last used: the service's own memory, for whoever looks after the keys.
//!
//! It changes with every request, so it stands beside the keys file and not in it. Keys are named by their
//! [ids](crate::keys::HashedKey::id). Losing it loses nothing but memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};

use jiff::Timestamp;
use jiff::civil::Date;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::layout::{KEY_USE_FILE, NEW_SUFFIX, SERVICE_FOLDER};
use crate::volume::Volume;

/// A few kilobytes as a rule; what is larger than this is something else.
const LARGEST: u64 = 16 << 20;

/// The last use of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUse {
    /// When.
    pub last: Timestamp,
    /// The request: method and path.
    pub what: String,
    /// The client's address.
    pub from: String,
    /// The day that `today` counts, in UTC.
    pub day: Date,
    /// Requests of that day.
    pub today: u64,
}

/// The last use of all keys, by their ids.
pub type KeyUses = BTreeMap<String, KeyUse>;

impl Volume {
    /// What is remembered; nothing where there is nothing that can be read.
    pub fn key_uses(&self) -> io::Result<KeyUses> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW;
        let place = format!("{SERVICE_FOLDER}/{KEY_USE_FILE}");
        let file = match rustix::fs::openat(self.root(), place, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(KeyUses::new()),
            Err(errno) => return Err(errno.into()),
        };
        let mut text = Vec::new();
        file.take(LARGEST).read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text).unwrap_or_default())
    }

    /// Writes it down, by one rename.
    pub fn write_key_uses(&self, uses: &KeyUses) -> io::Result<()> {
        let folder = self.service_folder()?;
        let new_name = format!("{KEY_USE_FILE}{NEW_SUFFIX}");
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let owner_only = Mode::RUSR | Mode::WUSR;
        let mut file =
            File::from(rustix::fs::openat(&folder, new_name.as_str(), flags, owner_only)?);
        file.write_all(&serde_json::to_vec(uses)?)?;
        Ok(rustix::fs::renameat(&folder, new_name.as_str(), &folder, KEY_USE_FILE)?)
    }
}
