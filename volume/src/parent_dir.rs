//! The folder in which a name is created or removed.
//!
//! Every change of the tree goes through here. Folders are found and created beneath the root. Where a symbolic link led, the caller's
//! right is checked at the real path too.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{Access, AtFlags, FileType, Mode};
use rustix::io::Errno;

use crate::path::RelPath;
use crate::stat::Stat;
use crate::volume::{Blocking, FindError, Found, FoundFolder, Volume};

/// An open folder and a name in it.
pub(crate) struct DirEntryTarget {
    pub(crate) folder: FoundFolder,
    pub(crate) name: Vec<u8>,
}

/// Why a target can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The path is the root itself.
    #[error("the volume's root can't be replaced or moved")]
    IsRoot,
    /// A part of the path is a file.
    #[error("`{path}` is not a folder")]
    NotAFolder {
        /// The path of the file.
        path: RelPath,
    },
    /// A link on the way leads to a folder where the caller may not write.
    #[error("a link leads to `{path}`, where you may not write")]
    NotAllowed {
        /// The path that the link leads to.
        path: RelPath,
    },
    /// The volume was opened for reading only.
    #[error("could not change anything in `{path}`")]
    ReadOnly {
        /// The folder.
        path: RelPath,
        /// The reason.
        source: io::Error,
    },
    /// A folder could not be looked up.
    #[error(transparent)]
    Find(#[from] FindError),
    /// A folder could not be created.
    #[error("could not make the folder `{path}`")]
    MakeFolder {
        /// The folder.
        path: RelPath,
        /// The system's error.
        source: io::Error,
    },
}

/// The entry that has a name now. A link is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CurrentEntry {
    Nothing,
    Folder,
    /// A file, or a link or anything else that a rename can replace like a file.
    File(Stat),
}

impl Volume {
    /// The target of a path whose folder must exist.
    pub(crate) fn place(
        &self,
        path: &RelPath,
        may_write: &dyn Fn(&RelPath) -> bool,
    ) -> Result<DirEntryTarget, TargetError> {
        let (parent, name) = split(path)?;
        let folder = self.writable_folder(&parent, may_write)?;
        Ok(DirEntryTarget { folder, name: name.to_vec() })
    }

    /// The target of a path. Missing folders above it are created and synced.
    pub(crate) fn make_place(
        &self,
        path: &RelPath,
        may_write: &dyn Fn(&RelPath) -> bool,
    ) -> Result<DirEntryTarget, TargetError> {
        let (parent, name) = split(path)?;
        let folder = match self.writable_folder(&parent, may_write) {
            Err(TargetError::Find(FindError::Missing { .. })) => {
                let above = self.make_place(&parent, may_write)?;
                self.make_folder(&above, &parent)?;
                self.writable_folder(&parent, may_write)?
            }
            result => result?,
        };
        Ok(DirEntryTarget { folder, name: name.to_vec() })
    }

    /// Whether something could be published at a path. Refuses what publishing would refuse, as far as that can be known beforehand;
    /// creates and changes nothing.
    pub fn check_place(
        &self,
        path: &RelPath,
        may_write: &dyn Fn(&RelPath) -> bool,
    ) -> Result<(), TargetError> {
        let (mut parent, _) = split(path)?;
        loop {
            match self.writable_folder(&parent, may_write) {
                Err(TargetError::Find(FindError::Missing { .. })) => {}
                result => return result.map(drop),
            }
            // A link that leads nowhere counts as missing, and still blocks the name.
            if let Ok(place) = self.place(&parent, may_write)
                && place.there().is_ok_and(|it| it != CurrentEntry::Nothing)
            {
                return Err(TargetError::NotAFolder { path: parent });
            }
            parent = split(&parent)?.0;
        }
    }

    /// Whether permissions let this process write at a path, as far as that can be known beforehand: the nearest existing folder above it
    /// decides.
    pub fn lets_write(&self, path: &RelPath) -> bool {
        let mut above = path.parent();
        while let Some(folder) = above {
            match self.find(&folder, Blocking::MayBlock) {
                Ok(Found::Folder(it)) => {
                    let wanted = Access::WRITE_OK | Access::EXEC_OK;
                    let denied = rustix::fs::accessat(&it.handle, c".", wanted, AtFlags::empty());
                    return !matches!(denied, Err(Errno::ACCESS | Errno::ROFS));
                }
                Err(FindError::Missing { .. }) => above = folder.parent(),
                // The attempt itself will report any other error.
                Ok(Found::File(_)) | Err(_) => return true,
            }
        }
        true
    }

    pub(crate) fn writable_folder(
        &self,
        path: &RelPath,
        may_write: &dyn Fn(&RelPath) -> bool,
    ) -> Result<FoundFolder, TargetError> {
        let read_only = |source| TargetError::ReadOnly { path: path.clone(), source };
        self.may_change().map_err(read_only)?;
        let folder = match self.find(path, Blocking::MayBlock)? {
            Found::Folder(folder) => folder,
            Found::File(_) => return Err(TargetError::NotAFolder { path: path.clone() }),
        };
        match &folder.real_path {
            Some(real_path) if !may_write(real_path) => {
                Err(TargetError::NotAllowed { path: real_path.clone() })
            }
            _ => Ok(folder),
        }
    }

    pub(crate) fn make_folder(
        &self,
        at: &DirEntryTarget,
        path: &RelPath,
    ) -> Result<(), TargetError> {
        let failed = |source| match source {
            // Something that is not a folder, or a link that leads nowhere, has the name.
            Errno::EXIST | Errno::NOTDIR => TargetError::NotAFolder { path: path.clone() },
            errno => TargetError::MakeFolder { path: path.clone(), source: errno.into() },
        };
        let everyone = Mode::RWXU | Mode::RWXG | Mode::RWXO;
        match rustix::fs::mkdirat(&at.folder.handle, at.name.as_slice(), everyone) {
            Ok(()) => {}
            // Another upload was quicker.
            Err(Errno::EXIST) if at.there().is_ok_and(|it| it == CurrentEntry::Folder) => {
                return Ok(());
            }
            Err(errno) => return Err(failed(errno)),
        }
        let made = self.find(path, Blocking::MayBlock)?;
        if let Found::Folder(made) = made {
            at.adopt(made.open().map_err(|it| io_errno(&it)).map_err(failed)?.as_fd())
                .map_err(failed)?;
        }
        at.sync().map_err(|it| io_errno(&it)).map_err(failed)
    }
}

impl DirEntryTarget {
    pub(crate) fn there(&self) -> Result<CurrentEntry, Errno> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        match rustix::fs::statat(&self.folder.handle, self.name.as_slice(), flags) {
            Err(Errno::NOENT) => Ok(CurrentEntry::Nothing),
            Err(errno) => Err(errno),
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                Ok(CurrentEntry::Folder)
            }
            Ok(stat) => Ok(CurrentEntry::File(Stat::of(&stat))),
        }
    }

    /// Gives a new entry the group of a set-group-ID folder, and also the folder's owner if the service is root. So those who may work in
    /// the folder can work with what arrives in it.
    pub(crate) fn adopt(&self, made: rustix::fd::BorrowedFd<'_>) -> Result<(), Errno> {
        let folder = rustix::fs::fstat(&self.folder.handle)?;
        let owner = rustix::process::geteuid().is_root().then_some(folder.st_uid);
        let takes_group =
            owner.is_some() || Mode::from_raw_mode(folder.st_mode).contains(Mode::SGID);
        let group = takes_group.then_some(folder.st_gid);
        let stat = rustix::fs::fstat(made)?;
        let owner = owner.filter(|it| *it != stat.st_uid).map(rustix::fs::Uid::from_raw);
        let group = group.filter(|it| *it != stat.st_gid).map(rustix::fs::Gid::from_raw);
        if owner.is_none() && group.is_none() {
            return Ok(());
        }
        rustix::fs::fchown(made, owner, group)
    }

    /// Syncs the folder's names to the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(self.folder.open()?)?)
    }
}

/// A path's folder and its last name.
fn split(path: &RelPath) -> Result<(RelPath, &[u8]), TargetError> {
    path.parent().zip(path.file_name()).ok_or(TargetError::IsRoot)
}

fn io_errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
