//! Small records in a folder of the service's own: a JSON file each, for people to read too.
//!
//! Each is written beside the old one, made durable, and renamed over it: a record is the old one or the new one,
//! however the service ended.

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

/// No record is larger.
const LARGEST: u64 = 4 << 20;

/// A folder of records.
#[derive(Debug)]
pub(crate) struct Records {
    pub(crate) folder: OwnedFd,
    /// As errors name it.
    kind: &'static str,
    is_read_only: bool,
}

impl Records {
    /// The records of a kind: their folder's name.
    pub(crate) fn open(volume: &Volume, kind: &'static str) -> io::Result<Records> {
        let is_read_only = volume.is_read_only();
        let folder = if is_read_only {
            folder_to_read(volume, kind)?.ok_or(io::ErrorKind::NotFound)?
        } else {
            private_folder(volume.service_folder()?.as_fd(), kind)?
        };
        Ok(Records { folder, kind, is_read_only })
    }

    /// Asked by whatever changes one of them: for leave to do so.
    pub(crate) fn may_change(&self) -> io::Result<()> {
        if self.is_read_only { Err(io::ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(()) }
    }

    /// What the records are called that have a name of this sort.
    pub(crate) fn names<T: std::str::FromStr>(&self) -> io::Result<Vec<T>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes().strip_suffix(RECORD_SUFFIX.as_bytes());
            names.extend(name.and_then(|it| std::str::from_utf8(it).ok()?.parse::<T>().ok()));
        }
        Ok(names)
    }

    /// A record; none if there is none of that name. What is of a newer version than this is not touched.
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

    /// Writes a record, durably.
    pub(crate) fn write(&self, name: &str, record: &impl Serialize) -> io::Result<()> {
        self.may_change()?;
        let mut text = serde_json::to_vec_pretty(record)?;
        text.push(b'\n');
        atomic_file::replace(&self.folder, &file_name(name), &text, Durable::Yes)
    }

    /// Forgets a record.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        self.may_change()?;
        unlink(&self.folder, &file_name(name))
    }
}

/// What each record says of itself.
#[derive(serde::Deserialize)]
struct Versioned {
    version: u32,
}

/// The file of a record.
pub(crate) fn file_name(name: &str) -> String {
    format!("{name}{RECORD_SUFFIX}")
}

/// Removes a name, if it is there.
pub(crate) fn unlink(folder: &OwnedFd, name: &str) -> io::Result<()> {
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
