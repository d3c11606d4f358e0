//! Small JSON records in a folder of the service's own, one file each, which people can read too.
//!
//! Each is written beside the old one, synced, and renamed over it: a reader finds the old record or the new one, however the service
//! ended.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::atomic_file::{self, Durable};
use crate::layout::RECORD_SUFFIX;
use crate::volume::{Volume, folder_to_read, private_folder};

/// The largest record that is read, in bytes.
const LARGEST: u64 = 4 << 20;

/// A folder of records.
#[derive(Debug)]
pub(crate) struct Records {
    pub(crate) folder: OwnedFd,
    /// The folder's name, for error messages.
    kind: &'static str,
    is_read_only: bool,
}

impl Records {
    /// Opens the records of a kind, which is their folder's name.
    pub(crate) fn open(volume: &Volume, kind: &'static str) -> io::Result<Records> {
        let is_read_only = volume.is_read_only();
        let folder = if is_read_only {
            folder_to_read(volume, kind)?.ok_or(io::ErrorKind::NotFound)?
        } else {
            private_folder(volume.service_folder()?.as_fd(), kind)?
        };
        Ok(Records { folder, kind, is_read_only })
    }

    /// An error where the volume was opened for reading only. Every change of a record calls it first.
    pub(crate) fn may_change(&self) -> io::Result<()> {
        if self.is_read_only { Err(io::ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(()) }
    }

    /// The names of the records that parse as a `T`.
    pub(crate) fn names<T: std::str::FromStr>(&self) -> io::Result<Vec<T>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes().strip_suffix(RECORD_SUFFIX.as_bytes());
            names.extend(name.and_then(|it| std::str::from_utf8(it).ok()?.parse::<T>().ok()));
        }
        Ok(names)
    }

    /// Reads a record; `None` if there is none with that name. A record of a newer version is an error.
    pub(crate) fn read<T: DeserializeOwned>(
        &self,
        name: &str,
        version: u32,
    ) -> io::Result<Option<T>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file_name = file_name(name);
        let file = match rustix::fs::openat(&self.folder, file_name.as_str(), flags, Mode::empty())
        {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let mut text = Vec::new();
        file.take(LARGEST).read_to_end(&mut text)?;
        let place = format!("{}/{file_name}", self.kind);
        let bad = |it: serde_json::Error| io::Error::other(format!("{place}: {it}"));
        let Versioned { version: its } = serde_json::from_slice(&text).map_err(bad)?;
        if its > version {
            let what = format!("{place} is of a newer version of the service");
            return Err(io::Error::other(what));
        }
        serde_json::from_slice(&text).map(Some).map_err(bad)
    }

    /// Writes a record and syncs it to the disk.
    pub(crate) fn write(&self, name: &str, record: &impl Serialize) -> io::Result<()> {
        self.may_change()?;
        let mut text = serde_json::to_vec_pretty(record)?;
        text.push(b'\n');
        atomic_file::replace(&self.folder, &file_name(name), &text, Durable::Yes)
    }

    /// Removes a record.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        self.may_change()?;
        unlink(&self.folder, &file_name(name))
    }
}

/// The field that every record has.
#[derive(serde::Deserialize)]
struct Versioned {
    version: u32,
}

/// The file name of a record.
pub(crate) fn file_name(name: &str) -> String {
    format!("{name}{RECORD_SUFFIX}")
}

/// Removes a name, if it exists.
pub(crate) fn unlink(folder: &OwnedFd, name: &str) -> io::Result<()> {
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
