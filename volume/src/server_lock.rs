//! Allows one server at a time for each volume.
//!
//! Two servers would take each other's changes to the journal for damage. So a server holds a lock on `.sounding/server.lock` while it
//! runs, and writes its process and machine into that file. The kernel releases the lock however the process ends.

use std::fs::File;
use std::io::{self, Read, Write};

use jiff::Timestamp;
use rustix::fs::{FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::layout::SERVER_LOCK_FILE;
use crate::printable::printable;
use crate::volume::Volume;

/// The most bytes of the holder's description that are read.
const LARGEST: u64 = 500;

/// The right to serve a volume, until dropped.
#[derive(Debug)]
pub struct ServerLock {
    _locked: File,
}

/// Why a volume can't be served.
#[derive(Debug, thiserror::Error)]
pub enum ServerLockError {
    /// Another server holds the lock.
    #[error(
        "another server serves this volume already ({by}). A volume has one at a time: stop that one, or serve another folder"
    )]
    Taken {
        /// The description that the other server wrote.
        by: String,
    },
    /// The file system can't be written, is full or has no locks, so another server can't be ruled out.
    #[error("could not lock `.sounding/{SERVER_LOCK_FILE}`")]
    NoLocks(#[source] io::Error),
    /// The file can't be opened.
    #[error(
        "could not open `.sounding/{SERVER_LOCK_FILE}`, by which one server at a time serves a volume. It is a file of the service's own \
         user: `sounding doctor` says what is amiss"
    )]
    Io(#[from] io::Error),
}

impl Volume {
    /// Takes the right to serve the volume, if no other process has it, on this machine or on another one that has mounted the volume (as
    /// far as the file system passes `flock` on).
    pub fn lock_for_server(&self) -> Result<ServerLock, ServerLockError> {
        let folder = match self.service_folder() {
            Ok(folder) => folder,
            // A server that can write nothing there does no harm.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ReadOnlyFilesystem
                        | io::ErrorKind::PermissionDenied
                        | io::ErrorKind::StorageFull
                        | io::ErrorKind::QuotaExceeded
                ) =>
            {
                return Err(ServerLockError::NoLocks(error));
            }
            Err(error) => return Err(error.into()),
        };
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let owner_only = Mode::RUSR | Mode::WUSR;
        let mut file = match rustix::fs::openat(&folder, SERVER_LOCK_FILE, flags, owner_only) {
            Ok(file) => File::from(file),
            // A full disk is served, so that a client can delete something.
            Err(errno @ (Errno::ROFS | Errno::NOSPC | Errno::DQUOT)) => {
                return Err(ServerLockError::NoLocks(errno.into()));
            }
            Err(errno) => return Err(io::Error::from(errno).into()),
        };
        // The file's text is overwritten, so the file must not have a second name elsewhere.
        let stat = rustix::fs::fstat(&file).map_err(io::Error::from)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink != 1 {
            return Err(io::Error::other("not a file of its own").into());
        }
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(ServerLockError::Taken { by: holder(file)? }),
            Err(errno) => return Err(ServerLockError::NoLocks(errno.into())),
        }
        // Without space for the description, the lock is still held.
        let words = format!("process {} on {}, since {}", std::process::id(), host(), now());
        file.set_len(0).and_then(|()| file.write_all(words.as_bytes())).unwrap_or_default();
        Ok(ServerLock { _locked: file })
    }
}

/// The holder's description. The file is empty for a moment after a server has locked it.
fn holder(file: File) -> io::Result<String> {
    let mut words = Vec::new();
    file.take(LARGEST).read_to_end(&mut words)?;
    let words = printable(&words);
    Ok(if words.is_empty() { "one that has just begun".to_owned() } else { words })
}

fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// The name of the machine or the container.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
