//! Imports the keys of the server that this one replaces, once, at the first start on a volume.
//!
//! That server kept them in its image, at the volume's root, or in `.admin`. A copy is put in place by one rename. The old file stays for a
//! way back; it is never read again and never served. After that only the new file counts, even if it is edited, emptied or removed: no
//! restart brings a revoked key back.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::atomic_file::{self, Durable};
use crate::keys::Keys;
use crate::keys::file::read_all;
use crate::layout::{JOURNAL_FILE, KEYS_FILE, KEYS_PLACE, OLD_KEYS_PLACE, SERVICE_FOLDER};
use crate::volume::Volume;

/// Where old keys may lie on a volume. The first file that has a key is taken.
const ON_THE_VOLUME: [&str; 2] = [OLD_KEYS_PLACE, KEYS_FILE];

/// The result of looking for old keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyImport {
    /// This is not a first start.
    NotAsked,
    /// There are no old keys.
    None,
    /// The keys of this file are now the volume's keys.
    TakenFrom(PathBuf),
}

/// Why old keys could not be imported.
#[derive(Debug, thiserror::Error)]
pub enum TakeKeysError {
    /// A file can't be read. To start without its keys would lock out everyone who has one.
    #[error(
        "could not read the old keys in `{}`: make that file readable for the service's user, or remove it",
        from.display()
    )]
    Read {
        /// The file's path.
        from: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The keys can't be put in place.
    #[error("could not write `.sounding/auth-keys.csv` on the volume")]
    Write(#[source] io::Error),
}

impl Volume {
    /// Imports the keys of the server that ran here before, if this service never ran here: from the file that the caller names, or else
    /// from the old places on the volume.
    pub fn import_keys(&self, named: Option<&Path>) -> Result<KeyImport, TakeKeysError> {
        if !self.is_new().map_err(TakeKeysError::Write)? {
            return Ok(KeyImport::NotAsked);
        }
        let named = named.map(|it| (it.to_owned(), open(CWD, it, OFlags::empty())));
        let old = ON_THE_VOLUME
            .iter()
            .map(|it| (PathBuf::from(it), open(self.root(), Path::new(it), OFlags::NOFOLLOW)));
        for (from, opened) in named.into_iter().chain(old) {
            let file = match opened {
                Err(Errno::NOENT) => continue,
                opened => opened.map_err(io::Error::from),
            };
            let text = file.and_then(read_all);
            let text = text.map_err(|source| TakeKeysError::Read { from: from.clone(), source })?;
            if !Keys::parse(&text).is_empty() {
                self.begin_with_keys(&text).map_err(TakeKeysError::Write)?;
                return Ok(KeyImport::TakenFrom(from));
            }
        }
        Ok(KeyImport::None)
    }

    /// The old keys files that still lie on the volume, as paths relative to its root.
    pub fn old_key_files(&self) -> Vec<&'static str> {
        let is_there =
            |it: &&str| rustix::fs::statat(self.root(), *it, AtFlags::SYMLINK_NOFOLLOW).is_ok();
        ON_THE_VOLUME.into_iter().filter(is_there).collect()
    }

    /// Whether the service never ran here: there is no journal, which each start leaves, and no keys file.
    fn is_new(&self) -> io::Result<bool> {
        let journal = format!("{SERVICE_FOLDER}/{JOURNAL_FILE}");
        for place in [KEYS_PLACE, journal.as_str()] {
            match rustix::fs::statat(self.root(), place, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(_) => return Ok(false),
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(true)
    }

    fn begin_with_keys(&self, text: &[u8]) -> io::Result<()> {
        let folder = self.service_folder()?;
        rustix::fs::flock(&folder, FlockOperation::LockExclusive)?;
        // A console that was quicker has written what its operator means.
        if self.is_new()? {
            atomic_file::replace(&folder, KEYS_FILE, text, Durable::Yes)
        } else {
            Ok(())
        }
    }
}

fn open(folder: impl AsFd, path: &Path, flags: OFlags) -> Result<File, Errno> {
    // A FIFO with this name must not block the start.
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(File::from(rustix::fs::openat(folder, path, flags, Mode::empty())?))
}
