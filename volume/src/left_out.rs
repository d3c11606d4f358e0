//! The names in a folder that no list shows.
//!
//! [`Names`](crate::names::Names) leaves out hidden names, links that can't be followed, and anything but files and folders. These still
//! take space, so an operator on the volume sees them here and can move them to the trash. The service's own folder is not among them.

use std::fmt;
use std::io;

use jiff::Timestamp;
use rustix::fs::{AtFlags, FileType, RawDir, RawDirEntry, RenameFlags};
use rustix::io::Errno;

use crate::names::{Kind, STEP, is_own, real, shown};
use crate::parent_dir::{DirEntryTarget, TargetError};
use crate::path::{Refusal, RelPath, escape};
use crate::stat::Stat;
use crate::trash::RestoreError;
use crate::volume::{FoundFolder, Volume};

/// A name that no list shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The name.
    pub name: Vec<u8>,
    /// Why it is left out.
    pub why: Why,
    /// A link counts as a file, like everything but a folder.
    pub kind: Kind,
    /// Its size and times; those of a link are its own, not its target's. `None` if it was removed meanwhile.
    pub stat: Option<Stat>,
}

/// Why a name is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Names like this are never served.
    Hidden,
    /// A link whose target does not exist.
    LeadsNowhere,
    /// A link that leads back to itself.
    Loop,
    /// A link out of the volume.
    LeadsOut,
    /// A link to something that is left out itself.
    LeadsToLeftOut,
    /// A link that the system does not follow.
    NotFollowed,
    /// A FIFO: data passes through it and is not kept.
    Fifo,
    /// A socket, where programs connect.
    Socket,
    /// A device.
    Device,
    /// The path is too long.
    TooLong,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::Hidden => "hidden name",
            Why::LeadsNowhere => "link to nothing",
            Why::Loop => "link in a loop",
            Why::LeadsOut => "link out of the volume",
            Why::LeadsToLeftOut => "link to what is not shown",
            Why::NotFollowed => "link that can't be followed",
            Why::Fifo => "FIFO",
            Why::Socket => "socket",
            Why::Device => "device",
            Why::TooLong => "path too long",
        })
    }
}

/// The number of names in a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// The names that lists show.
    pub shown: usize,
    /// The names that lists leave out.
    pub left_out: usize,
}

/// Why something with a hidden name could not be moved to the trash.
#[derive(Debug, thiserror::Error)]
pub enum DiscardHiddenError {
    /// The name belongs to the service or to the file system.
    #[error("`{}` is not yours to delete", String::from_utf8_lossy(name))]
    Own {
        /// The name.
        name: Vec<u8>,
    },
    /// Nothing has the name.
    #[error("there is no `{}` in that folder", String::from_utf8_lossy(name))]
    Missing {
        /// The name.
        name: Vec<u8>,
    },
    /// Its folder can't be opened or changed.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A system call failed.
    #[error("could not move `{}` to the trash", String::from_utf8_lossy(name))]
    Io {
        /// The name.
        name: Vec<u8>,
        /// The system's error.
        source: io::Error,
    },
}

impl Volume {
    /// The number of names in a folder that was found at `path`.
    pub fn count(&self, folder: &FoundFolder, path: &RelPath) -> io::Result<Count> {
        let mut count = Count::default();
        for_each(folder, |entry| {
            if shown(self, path, entry, |_| true).is_some() {
                count.shown += 1;
            } else if !is_own(real(folder, path), entry.file_name().to_bytes()) {
                count.left_out += 1;
            }
        })?;
        Ok(count)
    }

    /// The names that lists leave out of a folder that was found at `path`, in natural order.
    pub fn left_out(&self, folder: &FoundFolder, path: &RelPath) -> io::Result<Vec<LeftOut>> {
        let mut all = Vec::new();
        for_each(folder, |entry| {
            let name = entry.file_name().to_bytes();
            if shown(self, path, entry, |_| true).is_none() && !is_own(real(folder, path), name) {
                all.push(self.look_at_left_out(folder, path, name));
            }
        })?;
        all.sort_by(|a, b| crate::names::natural(&a.name, &b.name));
        Ok(all)
    }

    fn look_at_left_out(&self, folder: &FoundFolder, path: &RelPath, name: &[u8]) -> LeftOut {
        let stat = rustix::fs::statat(&folder.handle, name, AtFlags::SYMLINK_NOFOLLOW).ok();
        let file_type = stat.map(|it| FileType::from_raw_mode(it.st_mode));
        let why = match (path.join(name), file_type) {
            (Err(Refusal::TooLong), _) => Why::TooLong,
            (Err(_), _) => Why::Hidden,
            (Ok(_), Some(FileType::Fifo)) => Why::Fifo,
            (Ok(_), Some(FileType::Socket)) => Why::Socket,
            (Ok(_), Some(FileType::CharacterDevice | FileType::BlockDevice)) => Why::Device,
            (Ok(path), _) => match self.follow(&path) {
                Ok(()) => Why::LeadsToLeftOut,
                Err(Errno::LOOP) => Why::Loop,
                Err(Errno::XDEV) => Why::LeadsOut,
                Err(Errno::NOENT | Errno::NOTDIR) => Why::LeadsNowhere,
                Err(_) => Why::NotFollowed,
            },
        };
        let is_folder = file_type == Some(FileType::Directory);
        let kind = if is_folder { Kind::Folder } else { Kind::File };
        LeftOut { name: name.to_vec(), why, kind, stat: stat.as_ref().map(Stat::of) }
    }

    /// Moves something with a hidden name to the trash. No [`RelPath`] can name it. Returns its name in the trash.
    pub fn discard_hidden(
        &self,
        folder: &RelPath,
        name: &[u8],
        user: &str,
        now: Timestamp,
    ) -> Result<Vec<u8>, DiscardHiddenError> {
        let owned = || name.to_vec();
        let failed = |source: io::Error| DiscardHiddenError::Io { name: owned(), source };
        let place = self.place_of_hidden(folder, name)?;
        if is_own(real(&place.folder, folder), name) || name.contains(&b'/') {
            return Err(DiscardHiddenError::Own { name: owned() });
        }
        let trash = self.trash().map_err(failed)?;
        let from = match folder.to_url().as_str() {
            "" => escape(name),
            folder => format!("{folder}/{}", escape(name)),
        };
        let recorded = trash.record_of(name, &from, user, now).map_err(failed)?;
        if let Err(errno) = trash.take(&place.folder.handle, name, &recorded) {
            trash.forget(&recorded).map_err(failed)?;
            return Err(match errno {
                Errno::NOENT => DiscardHiddenError::Missing { name: owned() },
                errno => failed(errno.into()),
            });
        }
        trash.sync().and_then(|()| place.sync()).map_err(failed)?;
        Ok(recorded)
    }

    /// Moves something from the trash back to a hidden name.
    pub fn restore_hidden(
        &self,
        in_trash: &[u8],
        folder: &RelPath,
        name: &[u8],
    ) -> Result<(), RestoreError> {
        let trash = self.trash().map_err(RestoreError::Io)?;
        let place = self.place_of_hidden(folder, name)?;
        let (to, flags) = (&place.folder.handle, RenameFlags::NOREPLACE);
        match rustix::fs::renameat_with(trash.files(), in_trash, to, name, flags) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Err(RestoreError::Occupied { to: folder.clone() }),
            Err(Errno::NOENT) => return Err(RestoreError::NotThere { name: in_trash.to_vec() }),
            Err(errno) => return Err(RestoreError::Io(errno.into())),
        }
        place.sync().and_then(|()| trash.sync()).map_err(RestoreError::Io)?;
        trash.forget(in_trash).map_err(RestoreError::Io)
    }

    fn place_of_hidden(
        &self,
        folder: &RelPath,
        name: &[u8],
    ) -> Result<DirEntryTarget, TargetError> {
        Ok(DirEntryTarget { folder: self.writable_folder(folder, &|_| true)?, name: name.to_vec() })
    }
}

/// Calls `look` for each entry of the folder.
fn for_each(folder: &FoundFolder, mut look: impl FnMut(&RawDirEntry<'_>)) -> io::Result<()> {
    let mut step = Vec::with_capacity(STEP);
    let mut dir = RawDir::new(folder.open()?, step.spare_capacity_mut());
    while let Some(entry) = dir.next() {
        look(&entry?);
    }
    Ok(())
}
