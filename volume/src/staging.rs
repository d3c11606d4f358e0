//! Files on their way in.
//!
//! Everything that the service brings in is written to `.sounding/staging`, synced there, and made visible by one rename. Half a file has
//! no name: a reader sees the old file or the new one, and a reader that has the old file open goes on reading it. A file that is dropped
//! before it is published is removed, unless it is kept for a resumable upload.
//!
//! A killed process drops nothing. So a process that stages something holds a lock on it, which the kernel releases however the process
//! ends. A thing that no process holds and no record of a resumable upload names was left behind, and is [swept](Volume::sweep_staging).

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{
    Advice, AtFlags, FallocateFlags, FlockOperation, Mode, OFlags, RenameFlags, Timespec,
    Timestamps,
};
use rustix::io::Errno;

use crate::copy_name::numbered;
use crate::layout;
use crate::parent_dir::{CurrentEntry, DirEntryTarget};
use crate::path::{Refusal, RelPath};
use crate::resolve::proc_path;
use crate::space::{NoRoom, is_full};
use crate::staged_id::StagedId;
use crate::stat::Stat;
use crate::trash::{disk_usage, exchange, remove_all};
use crate::volume::{Volume, folder_to_read, private_folder};

pub use crate::parent_dir::TargetError;

/// How long an abandoned upload is kept, and anything in staging that the service did not make.
pub const KEPT: Duration = Duration::from_hours(7 * 24);
/// Without a reservation, the free space is checked again after this many bytes.
pub(crate) const LOOK_EVERY: u64 = 8 << 20;
/// After this many bytes the kernel is asked to write to the disk, while more bytes arrive.
const WRITE_BACK_EVERY: u64 = 8 << 20;
/// The number of names `name (2).ext`, `name (3).ext`, … that are tried.
const MOST_COPIES: u32 = 10_000;
/// How often space is freed again because others have used it meanwhile.
const MOST_TRIES: u32 = 8;

/// A file that is not visible yet. Removed when dropped, unless it is kept.
#[derive(Debug)]
pub struct Staged {
    volume: Arc<Volume>,
    file: File,
    name: StagedName,
    written: u64,
    /// The offset up to which the file system has reserved space.
    promised: u64,
    /// The offset up to which the kernel was asked to write to the disk.
    on_its_way: u64,
}

/// The staged file's name. Removes the file when dropped, unless it was published or is kept.
#[derive(Debug)]
struct StagedName {
    folder: OwnedFd,
    text: String,
    is_gone: bool,
    is_kept: bool,
}

/// Things in staging that belong to no process and no upload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// The number of files and folders.
    pub things: usize,
    /// Bytes on the disk.
    pub bytes: u64,
}

/// The owner of something in staging.
enum Whose {
    /// It belongs to a living process or a resumable upload, or it is gone.
    Somebodys,
    /// It belongs to nobody. Locked here, where it could be.
    Nobodys(Option<OwnedFd>),
}

/// What to do where something has the name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// Keep it and fail with [`PublishError::Occupied`].
    Refuse,
    /// Keep it and use the first free name of `name (2).ext`, `name (3).ext`, ….
    KeepBoth,
    /// Replace it, if it is a file.
    Always,
    /// Replace it, if it is still this version of a file.
    IfStill(Stat),
    /// Replace it, if it is a file, and move that to the trash. Holds the name that the trash records as the deleting user.
    ToTrash(&'static str),
}

/// A file or folder that was published.
#[derive(Clone, Debug)]
pub struct Published {
    /// Its path. With [`Replace::KeepBoth`] it may differ from the path that was asked for.
    pub path: RelPath,
    /// Whether it replaced something.
    pub has_replaced: bool,
    /// The name in the trash of what it replaced, if that went there.
    pub trashed: Option<Vec<u8>>,
}

/// Why a file could not be staged.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The volume is too full.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// A system call failed.
    #[error("could not write to `.sounding/staging`")]
    Io(#[source] io::Error),
}

/// Why a staged file was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Something has the name already.
    #[error("`{to}` already exists")]
    Occupied {
        /// The path.
        to: RelPath,
    },
    /// A folder has the name already.
    #[error("`{to}` is a folder")]
    IsFolder {
        /// The path.
        to: RelPath,
    },
    /// The name has another version than the one to be replaced, or nothing.
    #[error("`{to}` has changed meanwhile")]
    Changed {
        /// The path.
        to: RelPath,
    },
    /// No name beside it is free.
    #[error("there is no free name beside `{to}`")]
    NoName {
        /// The path.
        to: RelPath,
        /// Why the last name that was tried is invalid.
        source: Option<Refusal>,
    },
    /// Its folder can't be opened or changed.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The volume is too full; some file systems notice only now.
    #[error("the volume has no room for `{to}`")]
    NoRoom {
        /// The path.
        to: RelPath,
    },
    /// The bytes could not be synced.
    #[error("could not make `{to}` durable")]
    Sync {
        /// The path.
        to: RelPath,
        /// The system's error.
        source: io::Error,
    },
    /// The rename failed.
    #[error("could not put `{to}` in place")]
    Rename {
        /// The path.
        to: RelPath,
        /// The system's error.
        source: io::Error,
    },
}

impl Volume {
    /// Creates a staged file. Frees space for `expected` bytes first, so that a full volume is reported before the first byte. Without a
    /// known size, the file gets the space that is free, and nothing is removed from the trash.
    pub fn stage(self: &Arc<Volume>, expected: Option<u64>) -> Result<Staged, StageError> {
        let expected = expected.unwrap_or(0);
        self.with_room(expected, || self.stage_in_room(expected))
    }

    /// Stages something once there is space for it. If others use that space before it is reserved, more is freed.
    fn with_room(
        &self,
        expected: u64,
        stage: impl Fn() -> Result<Staged, StageError>,
    ) -> Result<Staged, StageError> {
        let mut tries = 0;
        loop {
            self.make_room(expected).map_err(StageError::Io)??;
            match stage() {
                Err(StageError::NoRoom(_)) if tries < MOST_TRIES => tries += 1,
                staged => return staged,
            }
        }
    }

    /// Creates a staged file; the caller has freed the space.
    pub(crate) fn stage_in_room(self: &Arc<Volume>, expected: u64) -> Result<Staged, StageError> {
        self.stage_as(StagedId::random().map_err(StageError::Io)?, expected)
    }

    /// Creates a staged file that outlives the process: [`Volume::resume`] finds it by its name.
    pub(crate) fn stage_kept(
        self: &Arc<Volume>,
        id: StagedId,
        expected: u64,
    ) -> Result<Staged, StageError> {
        let mut staged = self.with_room(expected, || self.stage_as(id, expected))?;
        staged.name.is_kept = true;
        rustix::fs::fsync(&staged.name.folder).map_err(|it| StageError::Io(it.into()))?;
        Ok(staged)
    }

    fn stage_as(self: &Arc<Volume>, id: StagedId, expected: u64) -> Result<Staged, StageError> {
        let folder = self.staging().map_err(StageError::Io)?;
        let text = id.to_string();
        let file = match create_held(&folder, &text) {
            Err(error) if is_full(&error) => {
                if !self.make_room_for_a_file().map_err(StageError::Io)? {
                    return Err(no_room(expected).into());
                }
                create_held(&folder, &text)
            }
            created => created,
        };
        let file = file.map_err(StageError::of)?;
        let name = StagedName { folder, text, is_gone: false, is_kept: false };
        let volume = Arc::clone(self);
        let mut staged = Staged { volume, file, name, written: 0, promised: 0, on_its_way: 0 };
        staged.reserve(expected)?;
        Ok(staged)
    }

    /// Opens a kept file again, to append to it; `None` if there is none with that name.
    pub(crate) fn resume(self: &Arc<Volume>, id: StagedId) -> io::Result<Option<Staged>> {
        let folder = self.staging()?;
        let text = id.to_string();
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = match rustix::fs::openat(&folder, text.as_str(), flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let written = file.seek(SeekFrom::End(0))?;
        let stat = rustix::fs::fstat(&file)?;
        // Reserved blocks count as used already.
        let promised = u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
        let name = StagedName { folder, text, is_gone: false, is_kept: true };
        let promised = promised.max(written);
        let volume = Arc::clone(self);
        Ok(Some(Staged { volume, file, name, written, promised, on_its_way: written }))
    }

    /// Removes things in staging that belong to no living process and no resumable upload, as killed processes leave them. Returns what was
    /// removed.
    pub fn sweep_staging(&self) -> io::Result<Left> {
        self.each_left(&self.staging()?, &mut |folder, name| remove_all(folder, name))
    }

    /// The things that [`Volume::sweep_staging`] would remove. Changes nothing.
    pub fn left_in_staging(&self) -> io::Result<Left> {
        match folder_to_read(self, layout::STAGING_FOLDER)? {
            Some(folder) => self.each_left(&folder, &mut |_, _| Ok(())),
            None => Ok(Left::default()),
        }
    }

    fn each_left(
        &self,
        folder: &OwnedFd,
        act: &mut dyn FnMut(BorrowedFd<'_>, &[u8]) -> io::Result<()>,
    ) -> io::Result<Left> {
        let mut left = Left::default();
        for entry in rustix::fs::Dir::read_from(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            // Held until it is removed. If its maker has only just created it, the maker finds it gone and makes another.
            let Whose::Nobodys(_held) = self.whose(folder, name)? else { continue };
            let usage = disk_usage(folder.as_fd(), name);
            match usage.and_then(|it| act(folder.as_fd(), name).map(|()| it)) {
                Ok(bytes) => {
                    left.things += 1;
                    left.bytes += bytes;
                }
                // Its maker has just published or dropped it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(left)
    }

    /// The owner of something in staging. A thing that belongs to nobody is locked, where that is possible.
    fn whose(&self, folder: &OwnedFd, name: &[u8]) -> io::Result<Whose> {
        let Some(id) = std::str::from_utf8(name).ok().and_then(|it| it.parse().ok()) else {
            return whose_by_age(folder, name);
        };
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(folder, name, flags, Mode::empty());
        let held = opened.and_then(|it| {
            rustix::fs::flock(&it, FlockOperation::NonBlockingLockExclusive).map(|()| it)
        });
        match held {
            Err(Errno::WOULDBLOCK | Errno::NOENT) => Ok(Whose::Somebodys),
            // A record is written while the file is held, so it must exist by now.
            _ if self.has_upload_record(id)? => Ok(Whose::Somebodys),
            Ok(held) => Ok(Whose::Nobodys(Some(held))),
            Err(_) => whose_by_age(folder, name),
        }
    }

    /// Removes a staged file or folder of a process that has ended. Returns whether it still existed: otherwise it was published.
    pub fn remove_staged(&self, id: StagedId) -> io::Result<bool> {
        match remove_all(self.staging()?.as_fd(), id.to_string().as_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            result => result.map(|()| true),
        }
    }

    pub(crate) fn staging(&self) -> io::Result<OwnedFd> {
        private_folder(self.service_folder()?.as_fd(), layout::STAGING_FOLDER)
    }
}

impl Staged {
    /// Appends all bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StageError> {
        let end = self.written + bytes.len() as u64;
        if end > self.promised {
            self.volume.has_room(bytes.len() as u64).map_err(StageError::Io)??;
            self.promised = end + LOOK_EVERY;
        }
        match self.file.write_all(bytes) {
            Ok(()) => self.written = end,
            Err(error) if is_full(&error) => return Err(no_room(bytes.len() as u64).into()),
            Err(error) => return Err(StageError::Io(error)),
        }
        if self.written.saturating_sub(self.on_its_way) >= WRITE_BACK_EVERY {
            self.write_back();
        }
        Ok(())
    }

    /// Asks the kernel to start writing to the disk, so that little is left to do when the file is synced.
    fn write_back(&mut self) {
        let part = NonZeroU64::new(self.written - self.on_its_way);
        // The name means that cached pages are dropped. The kernel starts by writing them.
        rustix::fs::fadvise(&self.file, self.on_its_way, part, Advice::DontNeed)
            .unwrap_or_default();
        self.on_its_way = self.written;
    }

    /// Its name in staging, with which [`Volume::remove_staged`] removes it after a crash.
    pub fn id(&self) -> Option<StagedId> {
        self.name.text.parse().ok()
    }

    /// The volume that it will be published on.
    pub fn volume(&self) -> &Arc<Volume> {
        &self.volume
    }

    /// Bytes written so far.
    pub fn len(&self) -> u64 {
        self.written
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Sets the time of its last write, in nanoseconds since 1970. A later write sets another.
    pub fn set_modified(&self, modified: i128) -> io::Result<()> {
        let second = 1_000_000_000;
        let modified = Timespec {
            tv_sec: i64::try_from(modified.div_euclid(second)).map_err(io::Error::other)?,
            tv_nsec: i64::try_from(modified.rem_euclid(second)).map_err(io::Error::other)?,
        };
        let now = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
        let times = Timestamps { last_access: now, last_modification: modified };
        Ok(rustix::fs::futimens(&self.file, &times)?)
    }

    /// Syncs the bytes that were written.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Cuts the file back to a length.
    pub(crate) fn truncate(&mut self, len: u64) -> io::Result<()> {
        if len < self.written {
            self.file.set_len(len)?;
            self.written = self.file.seek(SeekFrom::Start(len))?;
            // The space reserved after it may be lost with it.
            self.promised = len;
            self.on_its_way = self.on_its_way.min(len);
        }
        Ok(())
    }

    /// Appends bytes of another file on the same file system, which the kernel copies. Returns the number of bytes copied.
    pub(crate) fn append(&mut self, from: &File, at: u64, len: u64) -> Result<u64, StageError> {
        let rest = from.metadata().map_err(StageError::Io)?.len().saturating_sub(at);
        let len = len.min(rest);
        let beyond = (self.written + len).saturating_sub(self.promised.max(self.written));
        if beyond > 0 {
            self.volume.has_room(beyond).map_err(StageError::Io)??;
        }
        let (mut at, mut to, mut left) = (at, self.written, len);
        while left > 0 {
            let part = usize::try_from(left).unwrap_or(usize::MAX);
            let copied =
                rustix::fs::copy_file_range(from, Some(&mut at), &self.file, Some(&mut to), part);
            match copied {
                Ok(0) => break,
                Ok(copied) => left -= copied as u64,
                Err(Errno::NOSPC | Errno::DQUOT) => return Err(no_room(left).into()),
                Err(errno) => return Err(StageError::Io(errno.into())),
            }
        }
        self.written = self.file.seek(SeekFrom::End(0)).map_err(StageError::Io)?;
        Ok(len - left)
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.written == 0
    }

    /// Syncs the file, and then makes it visible at `to`. Creates missing folders above it.
    ///
    /// Where a symbolic link leads to another folder, `may_write` decides whether the caller may write there.
    pub fn publish(
        mut self,
        to: &RelPath,
        replace: Replace,
        may_write: &dyn Fn(&RelPath) -> bool,
    ) -> Result<Published, PublishError> {
        let sync = |source: io::Error| {
            let to = to.clone();
            if is_full(&source) {
                PublishError::NoRoom { to }
            } else {
                PublishError::Sync { to, source }
            }
        };
        let mut place = self.volume.make_place(to, may_write)?;
        place.adopt(self.file.as_fd()).map_err(|it| sync(it.into()))?;
        self.file.sync_all().map_err(sync)?;
        let published = self.rename(to, &mut place, replace)?;
        place.sync().map_err(sync)?;
        Ok(published)
    }

    /// Names it in a folder that is staged itself and will be synced as a whole.
    pub(crate) fn put_into(
        mut self,
        place: &DirEntryTarget,
        to: &RelPath,
    ) -> Result<(), PublishError> {
        self.rename_over(to, place)
    }

    /// Opens the file for reading, before it is published.
    pub fn read_again(&self) -> io::Result<File> {
        let path = format!("{}/{}", proc_path(self.name.folder.as_fd()), self.name.text);
        File::open(path)
    }

    fn reserve(&mut self, expected: u64) -> Result<(), StageError> {
        if expected == 0 {
            return Ok(());
        }
        match rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, 0, expected) {
            Ok(()) => self.promised = expected,
            // The file system can't reserve space; then the free space is checked during the upload.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => return Err(no_room(expected).into()),
            Err(errno) => return Err(StageError::Io(errno.into())),
        }
        Ok(())
    }

    fn rename(
        &mut self,
        to: &RelPath,
        place: &mut DirEntryTarget,
        replace: Replace,
    ) -> Result<Published, PublishError> {
        let failed = |errno: Errno| PublishError::Rename { to: to.clone(), source: errno.into() };
        let published = |has_replaced| Published { path: to.clone(), has_replaced, trashed: None };
        match replace {
            Replace::Refuse => match self.rename_to_free(place) {
                Ok(()) => Ok(published(false)),
                Err(Errno::EXIST) => Err(PublishError::Occupied { to: to.clone() }),
                Err(errno) => Err(failed(errno)),
            },
            Replace::KeepBoth => self.rename_beside(to, place),
            Replace::Always => {
                let there = place.there().map_err(failed)?;
                self.rename_over(to, place)?;
                Ok(published(there != CurrentEntry::Nothing))
            }
            Replace::IfStill(expected) => {
                // One at a time: of two uploads that replace the same version, the second finds another version.
                rustix::fs::flock(&self.name.folder, FlockOperation::LockExclusive)
                    .map_err(failed)?;
                if place.there().map_err(failed)? != CurrentEntry::File(expected) {
                    return Err(PublishError::Changed { to: to.clone() });
                }
                self.rename_over(to, place)?;
                Ok(published(true))
            }
            Replace::ToTrash(user) => match place.there().map_err(failed)? {
                CurrentEntry::Nothing => self.rename(to, place, Replace::Refuse),
                CurrentEntry::Folder => Err(PublishError::IsFolder { to: to.clone() }),
                CurrentEntry::File(_) => {
                    let StagedName { folder, text, is_gone, .. } = &mut self.name;
                    let name = exchange(&self.volume, (folder, text), place, to, user, is_gone)
                        .map_err(|source| PublishError::Rename { to: to.clone(), source })?;
                    Ok(Published { trashed: Some(name), ..published(true) })
                }
            },
        }
    }

    fn rename_over(&mut self, to: &RelPath, place: &DirEntryTarget) -> Result<(), PublishError> {
        let (from, folder) = (&self.name, &place.folder.handle);
        match rustix::fs::renameat(&from.folder, from.text.as_str(), folder, place.name.as_slice())
        {
            Ok(()) => {
                self.name.is_gone = true;
                Ok(())
            }
            Err(Errno::ISDIR | Errno::EXIST) => Err(PublishError::IsFolder { to: to.clone() }),
            Err(errno) => Err(PublishError::Rename { to: to.clone(), source: errno.into() }),
        }
    }

    fn rename_beside(
        &mut self,
        to: &RelPath,
        place: &mut DirEntryTarget,
    ) -> Result<Published, PublishError> {
        let mut path = to.clone();
        let folder = to.parent().unwrap_or_default();
        for copy in 2..MOST_COPIES {
            match self.rename_to_free(place) {
                Ok(()) => return Ok(Published { path, has_replaced: false, trashed: None }),
                Err(Errno::EXIST) => {}
                Err(errno) => {
                    return Err(PublishError::Rename { to: to.clone(), source: errno.into() });
                }
            }
            place.name = numbered(to.file_name().unwrap_or_default(), copy);
            path = folder
                .join(&place.name)
                .map_err(|it| PublishError::NoName { to: to.clone(), source: Some(it) })?;
        }
        Err(PublishError::NoName { to: to.clone(), source: None })
    }

    /// Fails with `EEXIST` where something has the name. The kernel decides, so two callers can't both win.
    fn rename_to_free(&mut self, place: &DirEntryTarget) -> Result<(), Errno> {
        let (from, folder) = (&self.name, &place.folder.handle);
        let (old, new) = (from.text.as_str(), place.name.as_slice());
        let flags = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(&from.folder, old, folder, new, flags) {
            Ok(()) => self.name.is_gone = true,
            // The file system can't do this rename. A hard link can't replace anything either.
            Err(Errno::INVAL | Errno::NOSYS) => {
                rustix::fs::linkat(&from.folder, old, folder, new, AtFlags::empty())?;
                self.name.is_kept = false;
            }
            Err(errno) => return Err(errno),
        }
        Ok(())
    }
}

impl StageError {
    /// A failed write: a lack of space, or another error.
    pub(crate) fn of(error: io::Error) -> StageError {
        if is_full(&error) { no_room(0).into() } else { StageError::Io(error) }
    }
}

impl Drop for StagedName {
    fn drop(&mut self) {
        if !self.is_gone && !self.is_kept {
            // A file that can't be removed now is swept later.
            rustix::fs::unlinkat(&self.folder, self.text.as_str(), AtFlags::empty())
                .unwrap_or_default();
        }
    }
}

/// Age decides for things that the service did not make or that can't be locked.
fn whose_by_age(folder: &OwnedFd, name: &[u8]) -> io::Result<Whose> {
    let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let age = age(Timespec { tv_sec: stat.st_mtime, tv_nsec: 0 });
    Ok(if age >= KEPT { Whose::Nobodys(None) } else { Whose::Somebodys })
}

/// Creates a new file and locks it for this process.
fn create_held(folder: &OwnedFd, name: &str) -> io::Result<File> {
    loop {
        let file = create(folder, name)?;
        if hold(&file)? {
            return Ok(file);
        }
    }
}

/// Marks something staged as this process's, as long as it is open. Returns `false` if another process took it for left behind in the
/// moment before, and removed it.
pub(crate) fn hold(made: impl AsFd) -> io::Result<bool> {
    match rustix::fs::flock(&made, FlockOperation::LockShared) {
        Ok(()) => Ok(rustix::fs::fstat(&made)?.st_nlink > 0),
        // A file system without locks: there, age decides.
        Err(Errno::NOLCK | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

fn create(folder: &OwnedFd, name: &str) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    // The folder is private; the umask decides who may read the file once it is published.
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH;
    Ok(File::from(rustix::fs::openat(folder, name, flags, mode)?))
}

fn age(since: Timespec) -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    Duration::from_secs(u64::try_from(now.tv_sec - since.tv_sec).unwrap_or(0))
}

fn no_room(needed: u64) -> NoRoom {
    NoRoom { needed, room: 0 }
}
