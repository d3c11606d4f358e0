//! Whole folders on their way in: what comes as one becomes visible as one, by one rename.
//!
//! A staged folder is a small volume of its own in `.sounding/staging`: paths in it are found and made as anywhere
//! else. A folder that it replaces goes to the trash, whole.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use jiff::Timestamp;
use rustix::fs::{FileType, Mode, OFlags, RenameFlags, openat};
use rustix::io::Errno;

use crate::path::RelPath;
use crate::place::{Place, There};
use crate::staging::{PublishError, Published, StageError, Staged, StagedId};
use crate::trash::remove_all;
use crate::uploads::Exists;
use crate::volume::{Effort, Found, Volume};

/// How many names `name (2)`, `name (3)`, … are tried.
const MOST_COPIES: u32 = 10_000;

/// A folder that nobody sees yet. Removed when dropped, with all that is in it.
#[derive(Debug)]
pub struct StagedFolder {
    volume: Arc<Volume>,
    /// What is in it.
    inside: Volume,
    staging: OwnedFd,
    name: String,
    is_gone: bool,
}

impl Volume {
    /// Begins a folder.
    pub fn stage_folder(self: &Arc<Volume>) -> Result<StagedFolder, StageError> {
        let begin = || -> io::Result<StagedFolder> {
            let staging = self.staging()?;
            let name = StagedId::random()?.to_string();
            // Staging is private; the umask decides who may look into the folder once it is published.
            let everyone = Mode::RWXU | Mode::RWXG | Mode::RWXO;
            rustix::fs::mkdirat(&staging, name.as_str(), everyone)?;
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let folder = openat(&staging, name.as_str(), flags, Mode::empty())?;
            let (volume, inside) = (Arc::clone(self), self.at(folder));
            Ok(StagedFolder { volume, inside, staging, name, is_gone: false })
        };
        begin().map_err(StageError::of)
    }
}

impl StagedFolder {
    /// Puts a staged file into it. Folders above the file are made.
    pub fn put(&self, staged: Staged, at: &RelPath) -> Result<(), PublishError> {
        let place = self.inside.make_place(at, &|_| true)?;
        staged.put_into(&place, at)
    }

    /// Makes a folder in it, and those above.
    pub fn make_folder(&self, at: &RelPath) -> Result<(), PublishError> {
        // The place of any name in it is the folder itself.
        let inside = at
            .join(b"x")
            .map_err(|it| PublishError::NoName { to: at.clone(), source: Some(it) })?;
        self.inside.make_place(&inside, &|_| true)?;
        Ok(())
    }

    /// Makes all of it durable, and then visible at `to`. `user` is whom the trash names, where it takes the place of
    /// another folder. A file is never replaced by a folder.
    pub fn publish(
        mut self,
        to: &RelPath,
        exists: Exists,
        user: &str,
        may_write: &dyn Fn(&RelPath) -> bool,
    ) -> Result<Published, PublishError> {
        let sync = |source: io::Error| PublishError::Sync { to: to.clone(), source };
        let mut place = self.volume.make_place(to, may_write)?;
        let Ok(Found::Folder(root)) = self.inside.find(&RelPath::root(), Effort::MayBlock) else {
            return Err(sync(io::Error::other("the staged folder is gone")));
        };
        let root = root.open().map_err(sync)?;
        adopt_all(root.as_fd(), &place).map_err(sync)?;
        // One for all of them: thousands of files would take thousands of waits.
        rustix::fs::syncfs(&root).map_err(|it| sync(it.into()))?;
        let published = match exists {
            Exists::Refuse => self.rename_to_free(to, &place)?,
            Exists::KeepBoth => self.rename_beside(to, &mut place)?,
            Exists::Replace => self.rename_over(to, &place, user)?,
        };
        place.sync().map_err(sync)?;
        Ok(published)
    }

    fn rename_to_free(&mut self, to: &RelPath, place: &Place) -> Result<Published, PublishError> {
        match self.rename(place, RenameFlags::NOREPLACE) {
            Ok(()) => {
                self.is_gone = true;
                Ok(Published { path: to.clone(), has_replaced: false })
            }
            Err(Errno::EXIST) => Err(PublishError::Occupied { to: to.clone() }),
            Err(errno) => Err(PublishError::Rename { to: to.clone(), source: errno.into() }),
        }
    }

    fn rename_beside(
        &mut self,
        to: &RelPath,
        place: &mut Place,
    ) -> Result<Published, PublishError> {
        let (folder, name) = (to.parent().unwrap_or_default(), place.name.clone());
        let mut path = to.clone();
        for copy in 2..MOST_COPIES {
            match self.rename_to_free(&path, place) {
                Err(PublishError::Occupied { .. }) => {}
                result => return result,
            }
            place.name = [&name, format!(" ({copy})").as_bytes()].concat();
            path = folder
                .join(&place.name)
                .map_err(|it| PublishError::NoName { to: to.clone(), source: Some(it) })?;
        }
        Err(PublishError::NoName { to: to.clone(), source: None })
    }

    /// Changes places with the folder that has the name, in one step, and then takes that to the trash.
    fn rename_over(
        &mut self,
        to: &RelPath,
        place: &Place,
        user: &str,
    ) -> Result<Published, PublishError> {
        let failed = |source: io::Error| PublishError::Rename { to: to.clone(), source };
        match place.there().map_err(|it| failed(it.into()))? {
            There::Nothing => return self.rename_to_free(to, place),
            There::File(_) => return Err(PublishError::Occupied { to: to.clone() }),
            There::Folder => {}
        }
        let trash = self.volume.trash().map_err(failed)?;
        let record = trash.record(&place.name, to, user, Timestamp::now()).map_err(failed)?;
        if let Err(errno) = self.rename(place, RenameFlags::EXCHANGE) {
            trash.forget(&record).map_err(failed)?;
            return Err(failed(errno.into()));
        }
        // What was replaced has the staged folder's name now. If it can't go, it is not removed with it.
        self.is_gone = true;
        let taken = trash.take(&self.staging, self.name.as_bytes(), &record);
        taken.map_err(|it| failed(it.into()))?;
        trash.sync().map_err(failed)?;
        Ok(Published { path: to.clone(), has_replaced: true })
    }

    fn rename(&self, place: &Place, flags: RenameFlags) -> Result<(), Errno> {
        let (old, new) = (self.name.as_str(), place.name.as_slice());
        rustix::fs::renameat_with(&self.staging, old, &place.folder.handle, new, flags)
    }
}

impl Drop for StagedFolder {
    fn drop(&mut self) {
        if !self.is_gone {
            // What can't be removed now is swept later.
            remove_all(self.staging.as_fd(), self.name.as_bytes()).unwrap_or_default();
        }
    }
}

/// Gives all in it the owner and group that things get at the place.
fn adopt_all(folder: BorrowedFd<'_>, place: &Place) -> io::Result<()> {
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
