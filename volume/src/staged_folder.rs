//! Whole folders on their way in: each becomes visible at once, by one rename.
//!
//! A staged folder is a small volume of its own in `.sounding/staging`: paths in it are found and created as everywhere else. A folder that
//! it replaces goes to the trash, whole.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags, RenameFlags, openat};
use rustix::io::Errno;

use crate::copy_name;
use crate::on_conflict::OnConflict;
use crate::parent_dir::{CurrentEntry, DirEntryTarget};
use crate::path::RelPath;
use crate::staged_id::StagedId;
use crate::staging::{LOOK_EVERY, PublishError, Published, StageError, Staged, hold};
use crate::trash::{exchange, remove_all};
use crate::volume::{Blocking, Found, Volume};

/// The number of names `name (2)`, `name (3)`, … that are tried.
const MOST_COPIES: u32 = 10_000;

/// A folder that is not visible yet. Removed when dropped, with everything in it.
#[derive(Debug)]
pub struct StagedFolder {
    volume: Arc<Volume>,
    /// The folder as a volume of its own.
    inside: Volume,
    staging: OwnedFd,
    name: String,
    is_gone: bool,
    /// Open and locked while the folder is staged: see [`crate::staging`].
    _held: OwnedFd,
}

/// A file on its way into a staged folder.
#[derive(Debug)]
pub struct PartFile {
    volume: Arc<Volume>,
    file: File,
    /// Bytes since the free space was last checked.
    unlooked: u64,
}

/// Why something could not be put into a staged folder.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// The path is the folder itself.
    #[error("a file needs a name")]
    IsRoot,
    /// Something in the folder has the name already.
    #[error("`{}` comes twice", at.to_string().trim_start_matches('/'))]
    Occupied {
        /// The path.
        at: RelPath,
    },
    /// A folder above it is a file.
    #[error("`{}` lies in a file", at.to_string().trim_start_matches('/'))]
    NotAFolder {
        /// The path.
        at: RelPath,
    },
    /// The file could not be written.
    #[error(transparent)]
    Stage(#[from] StageError),
}

impl Volume {
    /// Creates a staged folder.
    pub fn stage_folder(self: &Arc<Volume>) -> Result<StagedFolder, StageError> {
        let begin = || -> io::Result<StagedFolder> {
            let staging = self.staging()?;
            let name = StagedId::random()?.to_string();
            // Staging is private; the umask decides who may read the folder once it is published.
            let everyone = Mode::RWXU | Mode::RWXG | Mode::RWXO;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let held = loop {
                rustix::fs::mkdirat(&staging, name.as_str(), everyone)?;
                match openat(&staging, name.as_str(), flags, Mode::empty()) {
                    Ok(folder) if hold(&folder)? => break folder,
                    // Another process took it for the rest of a killed process, and removed it.
                    Ok(_) | Err(Errno::NOENT) => {}
                    Err(errno) => return Err(errno.into()),
                }
            };
            let folder = openat(&held, c".", flags | OFlags::PATH, Mode::empty())?;
            let (volume, inside) = (Arc::clone(self), self.at(folder));
            Ok(StagedFolder { volume, inside, staging, name, is_gone: false, _held: held })
        };
        begin().map_err(StageError::of)
    }
}

impl StagedFolder {
    /// Its name in staging, with which [`Volume::remove_staged`] removes it after a crash.
    pub fn id(&self) -> Option<StagedId> {
        self.name.parse().ok()
    }

    /// Puts a staged file into it. Creates the folders above the file.
    pub fn put(&self, staged: Staged, at: &RelPath) -> Result<(), PublishError> {
        let place = self.inside.make_place(at, &|_| true)?;
        staged.put_into(&place, at)
    }

    /// Creates a file in it, and the folders above the file.
    pub fn file(&self, at: &RelPath) -> Result<PartFile, PartError> {
        let (Some(parent), Some(name)) = (at.parent(), at.file_name()) else {
            return Err(PartError::IsRoot);
        };
        let folder = self.folder(&parent)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH;
        let file = openat(&folder, name, flags, mode).map_err(|it| PartError::of(it, at))?;
        Ok(PartFile { volume: Arc::clone(&self.volume), file: File::from(file), unlooked: 0 })
    }

    /// Creates a folder in it, and those above. A folder that exists already stays as it is.
    pub fn make_folder(&self, at: &RelPath) -> Result<(), PartError> {
        self.folder(at).map(drop)
    }

    /// Syncs nothing, unlike elsewhere: publishing syncs everything.
    fn folder(&self, at: &RelPath) -> Result<OwnedFd, PartError> {
        let failed = |it| PartError::of(it, at);
        let everyone = Mode::RWXU | Mode::RWXG | Mode::RWXO;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut folder = openat(self.inside.root(), c".", flags, Mode::empty()).map_err(failed)?;
        for name in at.names() {
            match rustix::fs::mkdirat(&folder, name, everyone) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(failed(errno)),
            }
            folder = openat(&folder, name, flags, Mode::empty()).map_err(failed)?;
        }
        Ok(folder)
    }

    /// Syncs everything, and then makes it visible at `to`. If it replaces another folder, the trash records `user` as the deleting user. A
    /// folder never replaces a file.
    pub fn publish(
        mut self,
        to: &RelPath,
        exists: OnConflict,
        user: &str,
        may_write: &dyn Fn(&RelPath) -> bool,
    ) -> Result<Published, PublishError> {
        let sync = |source: io::Error| PublishError::Sync { to: to.clone(), source };
        let mut place = self.volume.make_place(to, may_write)?;
        let Ok(Found::Folder(root)) = self.inside.find(&RelPath::root(), Blocking::MayBlock) else {
            return Err(sync(io::Error::other("the staged folder is gone")));
        };
        let root = root.open().map_err(sync)?;
        adopt_all(root.as_fd(), &place).map_err(sync)?;
        // One sync for all of them: thousands of files would take thousands of waits.
        rustix::fs::syncfs(&root).map_err(|it| sync(it.into()))?;
        let published = match exists {
            OnConflict::Refuse => self.rename_to_free(to, &place)?,
            OnConflict::KeepBoth => self.rename_beside(to, &mut place)?,
            OnConflict::Replace => self.rename_over(to, &place, user)?,
        };
        place.sync().map_err(sync)?;
        Ok(published)
    }

    fn rename_to_free(
        &mut self,
        to: &RelPath,
        place: &DirEntryTarget,
    ) -> Result<Published, PublishError> {
        match self.rename(place, RenameFlags::NOREPLACE) {
            Ok(()) => {
                self.is_gone = true;
                Ok(Published { path: to.clone(), has_replaced: false, trashed: None })
            }
            Err(Errno::EXIST) => Err(PublishError::Occupied { to: to.clone() }),
            Err(errno) => Err(PublishError::Rename { to: to.clone(), source: errno.into() }),
        }
    }

    fn rename_beside(
        &mut self,
        to: &RelPath,
        place: &mut DirEntryTarget,
    ) -> Result<Published, PublishError> {
        let (folder, name) = (to.parent().unwrap_or_default(), place.name.clone());
        let mut path = to.clone();
        for copy in 2..MOST_COPIES {
            match self.rename_to_free(&path, place) {
                Err(PublishError::Occupied { .. }) => {}
                result => return result,
            }
            place.name = copy_name::beside(&name, true, copy);
            path = folder
                .join(&place.name)
                .map_err(|it| PublishError::NoName { to: to.clone(), source: Some(it) })?;
        }
        Err(PublishError::NoName { to: to.clone(), source: None })
    }

    /// Exchanges it with the folder that has the name, in one step, and moves that to the trash.
    fn rename_over(
        &mut self,
        to: &RelPath,
        place: &DirEntryTarget,
        user: &str,
    ) -> Result<Published, PublishError> {
        let failed = |source: io::Error| PublishError::Rename { to: to.clone(), source };
        match place.there().map_err(|it| failed(it.into()))? {
            CurrentEntry::Nothing => return self.rename_to_free(to, place),
            CurrentEntry::File(_) => return Err(PublishError::Occupied { to: to.clone() }),
            CurrentEntry::Folder => {}
        }
        let StagedFolder { volume, staging, name, is_gone, .. } = self;
        let old = exchange(volume, (staging, name), place, to, user, is_gone).map_err(failed)?;
        Ok(Published { path: to.clone(), has_replaced: true, trashed: Some(old) })
    }

    fn rename(&self, place: &DirEntryTarget, flags: RenameFlags) -> Result<(), Errno> {
        let (old, new) = (self.name.as_str(), place.name.as_slice());
        rustix::fs::renameat_with(&self.staging, old, &place.folder.handle, new, flags)
    }
}

impl PartFile {
    /// Appends all bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StageError> {
        let len = bytes.len() as u64;
        self.unlooked += len;
        if self.unlooked >= LOOK_EVERY {
            self.volume.has_room(len).map_err(StageError::Io)??;
            self.unlooked = 0;
        }
        self.file.write_all(bytes).map_err(StageError::of)
    }
}

impl PartError {
    fn of(errno: Errno, at: &RelPath) -> PartError {
        let at = at.clone();
        match errno {
            Errno::EXIST => PartError::Occupied { at },
            Errno::NOTDIR | Errno::LOOP => PartError::NotAFolder { at },
            errno => PartError::Stage(StageError::of(errno.into())),
        }
    }
}

impl Drop for StagedFolder {
    fn drop(&mut self) {
        if !self.is_gone {
            // A folder that can't be removed now is swept later.
            remove_all(self.staging.as_fd(), self.name.as_bytes()).unwrap_or_default();
        }
    }
}

/// Gives everything in it the owner and group that new entries get at the target.
fn adopt_all(folder: BorrowedFd<'_>, place: &DirEntryTarget) -> io::Result<()> {
    place.adopt(folder)?;
    for entry in rustix::fs::Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let kind = if entry.file_type() == FileType::Directory {
            OFlags::DIRECTORY
        } else {
            OFlags::empty()
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | kind;
        let made = openat(folder, name, flags, Mode::empty())?;
        if kind.is_empty() {
            place.adopt(made.as_fd())?;
        } else {
            adopt_all(made.as_fd(), place)?;
        }
    }
    Ok(())
}
