//! The keys of the server that this one replaces: taken over once, at the first start on a volume.
//!
//! It kept them in its image, at the volume's root, or in `.admin`. A copy is put in place by one rename; the old file
//! stays where it is for a way back, and is neither read again nor served. Whoever edits, empties or even removes the
//! new file has the last word: no restart brings a revoked key back.

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

/// Where old keys may lie on a volume. The first that has a key counts.
const ON_THE_VOLUME: [&str; 2] = [OLD_KEYS_PLACE, KEYS_FILE];

/// What a first start found of old keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyImport {
    /// It is no first start.
    NotAsked,
    /// There are none.
    None,
    /// They are the volume's keys now.
    TakenFrom(PathBuf),
}

/// Why old keys could not be taken over.
#[derive(Debug, thiserror::Error)]
pub enum TakeKeysError {
    /// They can't be read. To go on without them would lock out everyone who has one.
    #[error(
        "could not read the old keys in `{}`: make that file readable for the service's user, or remove it",
        from.display()
    )]
    Read {
        /// Where they are.
        from: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// They can't be put in place.
    #[error("could not write `.sounding/auth-keys.csv` on the volume")]
    Write(#[source] io::Error),
}

impl Volume {
    /// Takes over the keys of the server that was here before, where this one never was: from a file that is named, or
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

    /// The old keys files that still lie on the volume, as paths from its root.
    pub fn old_key_files(&self) -> Vec<&'static str> {
        let is_there =
            |it: &&str| rustix::fs::statat(self.root(), *it, AtFlags::SYMLINK_NOFOLLOW).is_ok();
        ON_THE_VOLUME.into_iter().filter(is_there).collect()
    }

    /// Whether the service never was here: what each start leaves is not there, and nobody has given it keys.
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
    // A FIFO under this name must not hold the start up.
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(File::from(rustix::fs::openat(folder, path, flags, Mode::empty())?))
}
