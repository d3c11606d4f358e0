//! The trash: deleted files and folders, kept for a while.
//!
//! Deleting is one rename into `.sounding/trash`, laid out like the Trash specification of freedesktop.org (version 1.0): `files/NAME` is
//! the deleted thing, `info/NAME.trashinfo` says where it came from and when. So people can read it, and other programs can restore from
//! it.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::Timestamp;
use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::layout::{EXPUNGED, TRASH_FOLDER, TRASH_INFO, TRASH_INFO_SUFFIX, TRASHED_FILES};
use crate::names::Kind;
use crate::parent_dir::{CurrentEntry, DirEntryTarget, TargetError};
use crate::path::RelPath;
use crate::resolve::{place_of, proc_path};
use crate::space::is_full;
use crate::stat::{FileId, Stat};
use crate::volume::{Volume, folder_to_read, private_folder};

/// How long things stay in the trash, unless space runs short.
pub const KEPT: Duration = Duration::from_hours(30 * 24);
/// The number of names `NAME`, `NAME.2`, `NAME.3`, … that are tried.
const MOST_NAMES: u32 = 1_000_000;
/// The most bytes of a name in the trash, so that a number and a suffix fit after it.
const LONGEST_NAME: usize = 200;
/// The format of the specification, but in UTC.
const DATE: &str = "%Y-%m-%dT%H:%M:%S";

/// What the caller wants to delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscardTarget {
    /// A file of any version.
    File,
    /// A file of this version.
    Version(Stat),
    /// A folder with everything in it.
    Folder,
    /// Anything.
    Anything,
}

/// Why something could not be moved to the trash.
#[derive(Debug, thiserror::Error)]
pub enum DiscardError {
    /// Nothing of that kind is there.
    #[error("there is nothing at `{path}`")]
    Missing {
        /// The path.
        path: RelPath,
    },
    /// A folder is there, and a file was meant.
    #[error("`{path}` is a folder")]
    IsFolder {
        /// The path.
        path: RelPath,
    },
    /// The file has another version than the one to be deleted.
    #[error("`{path}` has changed meanwhile")]
    Changed {
        /// The path.
        path: RelPath,
    },
    /// Its folder can't be opened or changed.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A system call failed.
    #[error("could not move `{path}` to the trash")]
    Io {
        /// The path.
        path: RelPath,
        /// The system's error.
        source: io::Error,
    },
}

/// Something in the trash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trashed {
    /// Its name in the trash, which is unique there.
    pub name: Vec<u8>,
    /// The path it came from; `None` where its record can't be read or holds no valid path.
    pub path: Option<RelPath>,
    /// When it was deleted; `None` where its record can't be read.
    pub deleted: Option<Timestamp>,
    /// The deleting user; empty where that is not known.
    pub user: String,
    /// The kind.
    pub kind: Kind,
    /// The length in bytes; zero for a folder.
    pub len: u64,
    /// Identifies the file or folder; the same as before it was deleted.
    pub id: FileId,
}

/// Why something could not be restored from the trash.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// It is not in the trash.
    #[error("there is no `{}` in the trash", crate::printable(name))]
    NotThere {
        /// The name in the trash.
        name: Vec<u8>,
    },
    /// Its record names no path, and neither did the caller.
    #[error("where it came from is not known: say where it shall go")]
    NoPath,
    /// Something else has the name now.
    #[error("`{to}` already exists")]
    Occupied {
        /// The path it should go to.
        to: RelPath,
    },
    /// Its folder can't be opened or changed.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A system call failed.
    #[error("could not take it out of the trash")]
    Io(#[source] io::Error),
}

/// The trash's folder and the two folders in it.
pub(crate) struct Trash {
    folder: OwnedFd,
    files: OwnedFd,
    info: OwnedFd,
}

impl Volume {
    /// Moves a file or folder to the trash. The record of where it came from is synced first.
    ///
    /// A symbolic link is moved itself; its target stays. Where a link above it leads to another folder, `may_write` decides whether the
    /// caller may write there. Returns the name in the trash.
    pub fn discard(
        &self,
        path: &RelPath,
        wanted: DiscardTarget,
        user: &str,
        now: Timestamp,
        may_write: &dyn Fn(&RelPath) -> bool,
    ) -> Result<Vec<u8>, DiscardError> {
        self.discard_as(path, wanted, (path, user, now), may_write)
    }

    /// Moves something that was restored back to the trash. Its record is as before: the first path, time and user of its deletion.
    pub fn discard_again(
        &self,
        path: &RelPath,
        wanted: DiscardTarget,
        before: &Trashed,
        may_write: &dyn Fn(&RelPath) -> bool,
    ) -> Result<Vec<u8>, DiscardError> {
        let from = before.path.as_ref().unwrap_or(path);
        let deleted = before.deleted.unwrap_or_else(Timestamp::now);
        self.discard_as(path, wanted, (from, &before.user, deleted), may_write)
    }

    fn discard_as(
        &self,
        path: &RelPath,
        wanted: DiscardTarget,
        (from, user, deleted): (&RelPath, &str, Timestamp),
        may_write: &dyn Fn(&RelPath) -> bool,
    ) -> Result<Vec<u8>, DiscardError> {
        let failed = |source: io::Error| DiscardError::Io { path: path.clone(), source };
        let place = self.place(path, may_write).map_err(|it| match it {
            TargetError::NotAFolder { .. }
            | TargetError::Find(crate::FindError::Missing { .. }) => {
                DiscardError::Missing { path: path.clone() }
            }
            other => other.into(),
        })?;
        match (place.there().map_err(|it| failed(it.into()))?, wanted) {
            (CurrentEntry::Folder, DiscardTarget::Folder | DiscardTarget::Anything)
            | (CurrentEntry::File(_), DiscardTarget::File | DiscardTarget::Anything) => {}
            (CurrentEntry::File(stat), DiscardTarget::Version(wanted)) if stat == wanted => {}
            (CurrentEntry::File(_), DiscardTarget::Version(_)) => {
                return Err(DiscardError::Changed { path: path.clone() });
            }
            (CurrentEntry::Folder, DiscardTarget::File | DiscardTarget::Version(_)) => {
                return Err(DiscardError::IsFolder { path: path.clone() });
            }
            (CurrentEntry::Nothing, _) | (CurrentEntry::File(_), DiscardTarget::Folder) => {
                return Err(DiscardError::Missing { path: path.clone() });
            }
        }
        let trash = self.trash().map_err(failed)?;
        let name = from.file_name().unwrap_or(&place.name);
        let name = trash.record(name, from, user, deleted).map_err(failed)?;
        if let Err(errno) = trash.take(&place.folder.handle, &place.name, &name) {
            trash.forget(&name).map_err(failed)?;
            return Err(match errno {
                Errno::NOENT => DiscardError::Missing { path: path.clone() },
                errno => failed(errno.into()),
            });
        }
        trash.sync().and_then(|()| place.sync()).map_err(failed)?;
        Ok(name)
    }

    /// The things in the trash, the newest first.
    pub fn trashed(&self) -> io::Result<Vec<Trashed>> {
        let Some(trash) = self.trash_to_read()? else { return Ok(Vec::new()) };
        let names = trash.by_age()?.into_iter().rev();
        // A thing that is removed meanwhile is left out.
        Ok(names.filter_map(|(_, name)| trash.look(name)).collect())
    }

    /// One thing in the trash, by its name there.
    pub fn trashed_as(&self, name: &[u8]) -> io::Result<Option<Trashed>> {
        let name = Some(name).filter(|it| !it.contains(&b'/'));
        let trash = self.trash_to_read()?;
        Ok(trash.zip(name).and_then(|(trash, name)| trash.look(name.to_vec())))
    }

    /// Restores something to the path it came from, or to another one. Never replaces anything.
    pub fn restore(&self, name: &[u8], to: Option<&RelPath>) -> Result<RelPath, RestoreError> {
        let trash = self.trash().map_err(RestoreError::Io)?;
        let not_there = || RestoreError::NotThere { name: name.to_vec() };
        if name.contains(&b'/') || matches!(name, b"" | b"." | b"..") {
            return Err(not_there());
        }
        let trashed = trash.look(name.to_vec()).ok_or_else(not_there)?;
        let to = to.cloned().or(trashed.path).ok_or(RestoreError::NoPath)?;
        let place = self.make_place(&to, &|_| true)?;
        let (folder, flags) = (&place.folder.handle, RenameFlags::NOREPLACE);
        match rustix::fs::renameat_with(&trash.files, name, folder, place.name.as_slice(), flags) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Err(RestoreError::Occupied { to }),
            Err(Errno::NOENT) => return Err(not_there()),
            Err(errno) => return Err(RestoreError::Io(errno.into())),
        }
        place.sync().and_then(|()| trash.sync()).map_err(RestoreError::Io)?;
        trash.forget(name).map_err(RestoreError::Io)?;
        Ok(to)
    }

    /// Removes one thing from the trash permanently. Returns whether it was there.
    pub fn remove_trashed(&self, name: &[u8]) -> io::Result<bool> {
        let trash = self.trash()?;
        if name.contains(&b'/') || trash.look(name.to_vec()).is_none() {
            return Ok(false);
        }
        match trash.remove(name) {
            // Another caller has just restored it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            result => result.map(|()| true),
        }
    }

    /// Removes everything that was in the trash for at least `kept`. Returns the number of things removed.
    pub fn empty_trash(&self, kept: Duration, now: Timestamp) -> io::Result<usize> {
        let trash = self.trash()?;
        let mut emptied = 0;
        for (deleted, name) in trash.by_age()? {
            // A thing with a deletion time in the future counts as new: the clock was wrong then or is wrong now.
            let age = Duration::try_from(now.duration_since(deleted)).unwrap_or_default();
            if age < kept {
                break;
            }
            match trash.remove(&name) {
                // Another caller has just restored it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => {
                    result?;
                    emptied += 1;
                }
            }
        }
        trash.clear()?;
        Ok(emptied)
    }

    /// The bytes that removing each thing would free, the oldest first: 0 where this process has it open.
    pub(crate) fn trash_sizes(&self, trash: &Trash) -> io::Result<Vec<(Vec<u8>, u64)>> {
        let held = trash.held()?;
        let mut known = self.trash_sizes.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut sizes, mut by_name) = (Vec::new(), HashMap::new());
        for (_, name) in trash.by_age()? {
            // A thing in the trash changes no more, so each folder is measured only once.
            let Ok(version) = trash.version(&name) else { continue };
            let bytes = match known.get(&name).filter(|it| it.0 == version) {
                Some((_, bytes)) => *bytes,
                None => disk_usage(trash.files.as_fd(), &name)?,
            };
            by_name.insert(name.clone(), (version, bytes));
            let bytes = if held.contains(&name) { 0 } else { bytes };
            sizes.push((name, bytes));
        }
        *known = by_name;
        Ok(sizes)
    }

    /// The trash, for reading; `None` where nothing was ever deleted.
    fn trash_to_read(&self) -> io::Result<Option<Trash>> {
        let folder = folder_to_read(self, TRASH_FOLDER)?;
        let files = folder_to_read(self, &format!("{TRASH_FOLDER}/{TRASHED_FILES}"))?;
        let info = folder_to_read(self, &format!("{TRASH_FOLDER}/{TRASH_INFO}"))?;
        let all = folder.zip(files).zip(info);
        Ok(all.map(|((folder, files), info)| Trash { folder, files, info }))
    }

    /// Creates the trash, if it is missing. Finishes the removals of a killed process.
    pub fn make_trash(&self) -> io::Result<()> {
        self.trash()?.clear()
    }

    pub(crate) fn trash(&self) -> io::Result<Trash> {
        let folder = private_folder(self.service_folder()?.as_fd(), TRASH_FOLDER)?;
        let files = private_folder(folder.as_fd(), TRASHED_FILES)?;
        let info = private_folder(folder.as_fd(), TRASH_INFO)?;
        Ok(Trash { folder, files, info })
    }
}

impl Trash {
    /// Records where a thing comes from; returns the name that it has in the trash.
    pub(crate) fn record(
        &self,
        name: &[u8],
        path: &RelPath,
        user: &str,
        now: Timestamp,
    ) -> io::Result<Vec<u8>> {
        self.record_of(name, &path.to_url(), user, now)
    }

    /// The same, for a percent-encoded path.
    pub(crate) fn record_of(
        &self,
        name: &[u8],
        path: &str,
        user: &str,
        now: Timestamp,
    ) -> io::Result<Vec<u8>> {
        let record = format!(
            "[Trash Info]\nPath={}\nDeletionDate={}\nX-Deleted-By={}\n",
            path,
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

    /// Syncs the names of what was moved into it.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.files)?)
    }

    /// Removes a record again.
    pub(crate) fn forget(&self, recorded: &[u8]) -> io::Result<()> {
        self.remove_record(recorded)
    }

    /// Reserves a free name by creating its record: the specification says that the record's file decides.
    fn take_name(&self, wanted: &[u8], record: &[u8]) -> io::Result<Vec<u8>> {
        let wanted = wanted.get(..LONGEST_NAME).unwrap_or(wanted);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        for count in 1..MOST_NAMES {
            let mut name = wanted.to_vec();
            if count > 1 {
                name.extend(format!(".{count}").bytes());
            }
            let owner_only = Mode::RUSR | Mode::WUSR;
            // A thing without a record has the name.
            if self.version(&name).is_ok() {
                continue;
            }
            match rustix::fs::openat(&self.info, record_name(&name).as_slice(), flags, owner_only) {
                Err(Errno::EXIST) => continue,
                // The disk has no space for more files. The thing goes without a record, because a client that deletes to free space must
                // succeed.
                Err(Errno::NOSPC | Errno::DQUOT) => return Ok(name),
                Err(errno) => return Err(errno.into()),
                Ok(file) => {
                    if let Err(error) = write_record(&File::from(file), record) {
                        self.remove_record(&name)?;
                        return Err(error);
                    }
                }
            }
            rustix::fs::fsync(&self.info)?;
            return Ok(name);
        }
        Err(io::Error::other("the trash has too many items of that name"))
    }

    /// The things in the trash, the oldest first.
    fn by_age(&self) -> io::Result<Vec<(Timestamp, Vec<u8>)>> {
        let mut things = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.files)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                things.push((self.deleted(name), name.to_vec()));
            }
        }
        things.sort_unstable();
        Ok(things)
    }

    fn look(&self, name: Vec<u8>) -> Option<Trashed> {
        if matches!(name.as_slice(), b"" | b"." | b"..") {
            return None;
        }
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let stat = rustix::fs::statat(&self.files, name.as_slice(), flags).ok()?;
        let id = FileId::of(&self.files, &name).ok()?;
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let record = self.read_record(&name).unwrap_or_default();
        let value = |key: &str| record.lines().find_map(|it| it.strip_prefix(key));
        Some(Trashed {
            path: value("Path=").and_then(|it| RelPath::from_url(it).ok()),
            deleted: value("DeletionDate=").and_then(date),
            user: value("X-Deleted-By=").unwrap_or_default().to_owned(),
            kind: if is_folder { Kind::Folder } else { Kind::File },
            len: if is_folder { 0 } else { Stat::of(&stat).len },
            id,
            name,
        })
    }

    /// When a thing was deleted. Without a record, the time it was moved here.
    fn deleted(&self, name: &[u8]) -> Timestamp {
        let record = self.read_record(name).unwrap_or_default();
        let date = record.lines().find_map(|it| it.strip_prefix("DeletionDate=")).and_then(date);
        let moved = || {
            let changed = self.version(name).ok()?.changed;
            Timestamp::from_nanosecond(changed).ok()
        };
        date.or_else(moved).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn version(&self, name: &[u8]) -> io::Result<Stat> {
        let stat = rustix::fs::statat(&self.files, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Stat::of(&stat))
    }

    pub(crate) fn files(&self) -> BorrowedFd<'_> {
        self.files.as_fd()
    }

    /// Allows one caller at a time to remove things for more space, until the lock is dropped.
    pub(crate) fn lock(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let lock = rustix::fs::openat(&self.files, c".", flags, Mode::empty())?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
        Ok(lock)
    }

    /// The things that this process does not have open, the oldest first.
    pub(crate) fn not_held(&self) -> io::Result<Vec<Vec<u8>>> {
        let held = self.held()?;
        let names = self.by_age()?.into_iter().map(|it| it.1);
        Ok(names.filter(|it| !held.contains(it)).collect())
    }

    /// The things that this process has open, or has something open in: their removal would free no space.
    fn held(&self) -> io::Result<HashSet<Vec<u8>>> {
        let inside = [&place_of(self.files.as_fd())?, b"/".as_slice()].concat();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open_files = rustix::fs::openat(CWD, c"/proc/self/fd", flags, Mode::empty())?;
        let mut held = HashSet::new();
        for entry in rustix::fs::Dir::read_from(&open_files)? {
            // A descriptor that was closed meanwhile leads nowhere.
            let place = rustix::fs::readlinkat(&open_files, entry?.file_name(), Vec::new());
            let place = place.unwrap_or_default().into_bytes();
            let Some(below) = place.strip_prefix(inside.as_slice()) else { continue };
            held.extend(below.split(|it| *it == b'/').next().map(<[u8]>::to_vec));
        }
        Ok(held)
    }

    fn read_record(&self, name: &[u8]) -> Option<String> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file =
            rustix::fs::openat(&self.info, record_name(name).as_slice(), flags, Mode::empty());
        let mut record = String::new();
        File::from(file.ok()?).take(16 << 10).read_to_string(&mut record).ok()?;
        Some(record)
    }

    /// Removes something permanently. The first step is one rename out of the trash, as a whole: so a caller that restores it at the same
    /// time gets all of it or `NotThere`, and an interrupted removal leaves nothing that could be restored.
    pub(crate) fn remove(&self, name: &[u8]) -> io::Result<()> {
        let Some(expunged) = self.expunged()? else {
            remove_all(self.files.as_fd(), name)?;
            return self.remove_record(name);
        };
        let aside = crate::staged_id::StagedId::random()?.to_string();
        rustix::fs::renameat(&self.files, name, &expunged, aside.as_str())?;
        self.remove_record(name)?;
        match remove_all(expunged.as_fd(), aside.as_bytes()) {
            // A service that has just started takes it for the rest of a killed process.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    /// The folder of things that are being removed; `None` where no more folders can be created.
    fn expunged(&self) -> io::Result<Option<OwnedFd>> {
        match private_folder(self.folder.as_fd(), EXPUNGED) {
            Err(error) if is_full(&error) => Ok(None),
            folder => folder.map(Some),
        }
    }

    /// Finishes the removals of a killed process.
    fn clear(&self) -> io::Result<()> {
        let Some(expunged) = self.expunged()? else { return Ok(()) };
        for entry in rustix::fs::Dir::read_from(&expunged)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            match remove_all(expunged.as_fd(), name) {
                // The caller that expunged it is removing it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => result?,
            }
        }
        Ok(())
    }

    fn remove_record(&self, name: &[u8]) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.info, record_name(name).as_slice(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Replaces what has a name by something staged, and moves the old thing to the trash. The staged thing goes to the trash first, and is
/// then exchanged with the old one in one step. So the old thing has its name or is in the trash, however this process ends.
///
/// `is_gone` becomes true when nothing has the staged name any more. Returns the name of the old thing in the trash.
pub(crate) fn exchange(
    volume: &Volume,
    (staging, name): (&OwnedFd, &str),
    place: &DirEntryTarget,
    to: &RelPath,
    user: &str,
    is_gone: &mut bool,
) -> io::Result<Vec<u8>> {
    let trash = volume.trash()?;
    let record = trash.record(&place.name, to, user, Timestamp::now())?;
    if let Err(errno) = trash.take(staging, name.as_bytes(), &record) {
        trash.forget(&record)?;
        return Err(errno.into());
    }
    *is_gone = true;
    let (folder, flags) = (&place.folder.handle, RenameFlags::EXCHANGE);
    let exchanged = rustix::fs::renameat_with(
        &trash.files,
        record.as_slice(),
        folder,
        place.name.as_slice(),
        flags,
    );
    if let Err(errno) = exchanged {
        rustix::fs::renameat(&trash.files, record.as_slice(), staging, name)?;
        *is_gone = false;
        trash.forget(&record)?;
        return Err(errno.into());
    }
    trash.sync()?;
    Ok(record)
}

/// Writes a record. On a disk that is completely full the record stays empty, because a client that deletes to free space must succeed.
fn write_record(file: &File, record: &[u8]) -> io::Result<()> {
    match file.write_all_at(record, 0).and_then(|()| file.sync_all()) {
        Err(error) if is_full(&error) => file.set_len(0),
        result => result,
    }
}

/// The bytes that removing a thing frees. A file with a second name frees none.
pub(crate) fn disk_usage(folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<u64> {
    let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let own = u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Ok(if stat.st_nlink > 1 { 0 } else { own });
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(folder, name, flags, Mode::empty())?;
    let mut sum = own;
    for entry in rustix::fs::Dir::read_from(&folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            sum += disk_usage(folder.as_fd(), name)?;
        }
    }
    Ok(sum)
}

fn date(text: &str) -> Option<Timestamp> {
    format!("{text}Z").parse().ok()
}

fn record_name(name: &[u8]) -> Vec<u8> {
    [name, TRASH_INFO_SUFFIX.as_bytes()].concat()
}

/// Removes a file, or a folder with everything in it; follows no link.
pub(crate) fn remove_all(folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        let folder = std::path::PathBuf::from(proc_path(folder));
        return std::fs::remove_dir_all(folder.join(std::ffi::OsStr::from_bytes(name)));
    }
    Ok(rustix::fs::unlinkat(folder, name, AtFlags::empty())?)
}
