//! What was deleted, kept for a while.
//!
//! Deleting is one rename into `.sounding/trash`, laid out as the Trash specification of freedesktop.org (version
//! 1.0) has it: `files/NAME` is what was deleted, `info/NAME.trashinfo` says where it came from and when. So people
//! can read it, and other programs can restore from it.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use jiff::Timestamp;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::layout::{TRASH_FOLDER, TRASH_INFO, TRASH_INFO_SUFFIX, TRASHED_FILES};
use crate::path::RelPath;
use crate::place::{PlaceError, There};
use crate::resolve::proc_path;
use crate::staging::is_full;
use crate::stat::Stat;
use crate::volume::{Volume, private_folder};

/// How long things stay in the trash, if space does not run short.
pub const KEPT: Duration = Duration::from_hours(30 * 24);
/// How many names `NAME`, `NAME.2`, `NAME.3`, … are tried.
const MOST_NAMES: u32 = 1_000_000;
/// Bytes of a name in the trash, so that number and suffix fit behind it.
const LONGEST_NAME: usize = 200;
/// As the specification has it, but in UTC.
const DATE: &str = "%Y-%m-%dT%H:%M:%S";

/// What is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A file, whatever its version.
    File,
    /// This version of a file.
    Version(Stat),
    /// A folder with all that is in it.
    Folder,
}

/// Why something could not be moved to the trash.
#[derive(Debug, thiserror::Error)]
pub enum DiscardError {
    /// Nothing of that kind is there.
    #[error("there is nothing at `{path}`")]
    Missing {
        /// Where.
        path: RelPath,
    },
    /// A folder is there, and a file was meant.
    #[error("`{path}` is a folder")]
    IsFolder {
        /// Where.
        path: RelPath,
    },
    /// The file is another version than the one to be deleted.
    #[error("`{path}` has changed meanwhile")]
    Changed {
        /// Where.
        path: RelPath,
    },
    /// Its folder can't be had.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The system failed.
    #[error("could not move `{path}` to the trash")]
    Io {
        /// Where.
        path: RelPath,
        /// What the system said.
        source: io::Error,
    },
}

/// The trash's two folders.
pub(crate) struct Trash {
    files: OwnedFd,
    info: OwnedFd,
}

impl Volume {
    /// Moves a file or folder to the trash. The record of where it came from is durable first.
    ///
    /// A symbolic link goes itself; what it leads to stays. Where a link above it leads to another folder,
    /// `may_write` is asked whether the caller may write there.
    pub fn discard(
        &self,
        path: &RelPath,
        wanted: Wanted,
        user: &str,
        now: Timestamp,
        may_write: &dyn Fn(&RelPath) -> bool,
    ) -> Result<(), DiscardError> {
        let failed = |source: io::Error| DiscardError::Io { path: path.clone(), source };
        let place = self.place(path, may_write).map_err(|it| match it {
            PlaceError::NotAFolder { .. } | PlaceError::Find(crate::FindError::Missing { .. }) => {
                DiscardError::Missing { path: path.clone() }
            }
            other => other.into(),
        })?;
        match (place.there().map_err(|it| failed(it.into()))?, wanted) {
            (There::Folder, Wanted::Folder) | (There::File(_), Wanted::File) => {}
            (There::File(stat), Wanted::Version(wanted)) if stat == wanted => {}
            (There::File(_), Wanted::Version(_)) => {
                return Err(DiscardError::Changed { path: path.clone() });
            }
            (There::Folder, Wanted::File | Wanted::Version(_)) => {
                return Err(DiscardError::IsFolder { path: path.clone() });
            }
            (There::Nothing, _) | (There::File(_), Wanted::Folder) => {
                return Err(DiscardError::Missing { path: path.clone() });
            }
        }
        let trash = self.trash().map_err(failed)?;
        let name = trash.record(&place.name, path, user, now).map_err(failed)?;
        if let Err(errno) = trash.take(&place.folder.handle, &place.name, &name) {
            trash.forget(&name).map_err(failed)?;
            return Err(match errno {
                Errno::NOENT => DiscardError::Missing { path: path.clone() },
                errno => failed(errno.into()),
            });
        }
        trash.sync().and_then(|()| place.sync()).map_err(failed)
    }

    /// Empties the trash of what has been in it for `kept`. Says how many things that were.
    pub fn empty_trash(&self, kept: Duration, now: Timestamp) -> io::Result<usize> {
        let trash = self.trash()?;
        let mut emptied = 0;
        for (deleted, name) in trash.by_age()? {
            if now.duration_since(deleted).unsigned_abs() < kept {
                break;
            }
            trash.remove(&name)?;
            emptied += 1;
        }
        Ok(emptied)
    }

    /// Removes what has been longest in the trash; says whether there was anything.
    pub(crate) fn empty_oldest_trash(&self) -> io::Result<bool> {
        self.trash()?.remove_oldest()
    }

    pub(crate) fn trash(&self) -> io::Result<Trash> {
        let trash = private_folder(self.service_folder()?.as_fd(), TRASH_FOLDER)?;
        Ok(Trash {
            files: private_folder(trash.as_fd(), TRASHED_FILES)?,
            info: private_folder(trash.as_fd(), TRASH_INFO)?,
        })
    }
}

impl Trash {
    /// Writes down where a thing of a name comes from; returns the name that it has in the trash.
    pub(crate) fn record(
        &self,
        name: &[u8],
        path: &RelPath,
        user: &str,
        now: Timestamp,
    ) -> io::Result<Vec<u8>> {
        let record = format!(
            "[Trash Info]\nPath={path}\nDeletionDate={}\nX-Deleted-By={}\n",
            now.strftime(DATE),
            user.replace(['\n', '\r'], " "),
        );
        self.take_name(name, record.as_bytes())
    }

    /// Moves a recorded thing into the trash.
    pub(crate) fn take(
        &self,
        folder: impl AsFd,
        name: &[u8],
        recorded: &[u8],
    ) -> Result<(), Errno> {
        let flags = RenameFlags::NOREPLACE;
        rustix::fs::renameat_with(folder, name, &self.files, recorded, flags)
    }

    /// Makes durable what was moved into it.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.files)?)
    }

    /// Takes a record back.
    pub(crate) fn forget(&self, recorded: &[u8]) -> io::Result<()> {
        self.remove_record(recorded)
    }

    /// Takes a name that is free by writing its record, as the specification wants it: the record's file decides.
    fn take_name(&self, wanted: &[u8], record: &[u8]) -> io::Result<Vec<u8>> {
        let wanted = wanted.get(..LONGEST_NAME).unwrap_or(wanted);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        for count in 1..MOST_NAMES {
            let mut name = wanted.to_vec();
            if count > 1 {
                name.extend(format!(".{count}").bytes());
            }
            let owner_only = Mode::RUSR | Mode::WUSR;
            match rustix::fs::openat(&self.info, record_name(&name).as_slice(), flags, owner_only) {
                Err(Errno::EXIST) => continue,
                Err(errno) => return Err(errno.into()),
                Ok(file) => {
                    if let Err(error) = self.write_record(&File::from(file), record) {
                        self.remove_record(&name)?;
                        return Err(error);
                    }
                }
            }
            rustix::fs::fsync(&self.info)?;
            return Ok(name);
        }
        Err(io::Error::other("the trash has too many things of that name"))
    }

    /// On a disk that is full to the last byte older trash goes for it; where there is none, the record stays empty:
    /// whoever deletes to make room must be able to.
    fn write_record(&self, file: &File, record: &[u8]) -> io::Result<()> {
        loop {
            match file.write_all_at(record, 0).and_then(|()| file.sync_all()) {
                Err(error) if is_full(&error) => {
                    if !self.remove_oldest()? {
                        return file.set_len(0);
                    }
                }
                result => return result,
            }
        }
    }

    fn remove_oldest(&self) -> io::Result<bool> {
        let Some((_, name)) = self.by_age()?.into_iter().next() else { return Ok(false) };
        self.remove(&name)?;
        Ok(true)
    }

    /// What is in it, the oldest first. A thing without a record that can be read counts as the oldest.
    fn by_age(&self) -> io::Result<Vec<(Timestamp, Vec<u8>)>> {
        let mut things = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.files)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                let deleted = self.deleted(name).unwrap_or(Timestamp::UNIX_EPOCH);
                things.push((deleted, name.to_vec()));
            }
        }
        things.sort_unstable();
        Ok(things)
    }

    fn deleted(&self, name: &[u8]) -> Option<Timestamp> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file =
            rustix::fs::openat(&self.info, record_name(name).as_slice(), flags, Mode::empty());
        let mut record = String::new();
        File::from(file.ok()?).take(16 << 10).read_to_string(&mut record).ok()?;
        let date = record.lines().find_map(|it| it.strip_prefix("DeletionDate="))?;
        format!("{date}Z").parse().ok()
    }

    fn remove(&self, name: &[u8]) -> io::Result<()> {
        remove_all(self.files.as_fd(), name)?;
        self.remove_record(name)
    }

    fn remove_record(&self, name: &[u8]) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.info, record_name(name).as_slice(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

fn record_name(name: &[u8]) -> Vec<u8> {
    [name, TRASH_INFO_SUFFIX.as_bytes()].concat()
}

/// A file, or a folder with all that is in it; follows no link.
pub(crate) fn remove_all(folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        let folder = std::path::PathBuf::from(proc_path(folder));
        return std::fs::remove_dir_all(folder.join(std::ffi::OsStr::from_bytes(name)));
    }
    Ok(rustix::fs::unlinkat(folder, name, AtFlags::empty())?)
}
