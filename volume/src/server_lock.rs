//! One server at a time serves a volume.
//!
//! Two would take each other's changes to the journal for damage. So a server holds a lock on `.sounding/server.lock` for as long as it
//! lives, and writes into it who it is. The kernel lets go of the lock, however the process ends.

use std::fs::File;
use std::io::{self, Read, Write};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::layout::SERVER_LOCK_FILE;
use crate::printable::printable;
use crate::volume::Volume;

/// Who holds it is said in less.
const LARGEST: u64 = 500;

/// The right to serve a volume, until dropped.
#[derive(Debug)]
pub struct ServerLock {
    _locked: File,
}

/// Why there is no right to serve a volume.
#[derive(Debug, thiserror::Error)]
pub enum ServerLockError {
    /// Another server has it.
    #[error(
        "another server serves this volume already ({by}). A volume has one at a time: stop that one, or serve another folder"
    )]
    Taken {
        /// What that server has written of itself.
        by: String,
    },
    /// The file can't be opened or locked.
    #[error("could not lock `.sounding/{SERVER_LOCK_FILE}`")]
    Io(#[from] io::Error),
}

impl Volume {
    /// Takes the right to serve the volume, where no other process has it, on this machine or on another that has the volume mounted (as
    /// far as the file system passes `flock` on).
    pub fn lock_for_server(&self) -> Result<ServerLock, ServerLockError> {
        let folder = self.service_folder()?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let owner_only = Mode::RUSR | Mode::WUSR;
        let file = rustix::fs::openat(&folder, SERVER_LOCK_FILE, flags, owner_only);
        let mut file = File::from(file.map_err(io::Error::from)?);
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Err(ServerLockError::Taken { by: holder(file)? }),
            result => result.map_err(io::Error::from)?,
        }
        file.set_len(0)?;
        write!(file, "process {} on {}, since {}", std::process::id(), host(), now())?;
        Ok(ServerLock { _locked: file })
    }
}

/// What stands in the file. Nothing does for the moment between a server's lock and its words.
fn holder(file: File) -> io::Result<String> {
    let mut words = Vec::new();
    file.take(LARGEST).read_to_end(&mut words)?;
    let words = printable(&words);
    Ok(if words.is_empty() { "one that has just begun".to_owned() } else { words })
}

fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// The machine's name, or the container's.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
