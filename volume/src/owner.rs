//! Finds files on a volume that belong to another user, and gives them to the service.
//!
//! The service runs as its own user. Files that root brings onto the volume by `sftp`, rsync or its own wormhole belong to root: the
//! service serves them where everyone may read them, but can't change, move or delete them.

use std::ffi::CString;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;

use crate::layout::{LOST_AND_FOUND, SERVICE_FOLDER};
use crate::tree::Progress;
use crate::volume::Volume;

/// A user and a group, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user's number.
    pub user: u32,
    /// The group's number.
    pub group: u32,
}

/// The user that the service runs as on a volume: the owner of its folder there, or of the volume itself. `None` where that is root, or
/// where nothing is there yet. Creates nothing.
pub fn of_service(volume: &Path) -> Option<Owner> {
    let owner = |stat: Result<Stat, Errno>| {
        let stat = stat.ok()?;
        (stat.st_uid != 0).then_some(Owner { user: stat.st_uid, group: stat.st_gid })
    };
    // `lstat`: a link in the folder's place must not give root another user.
    owner(rustix::fs::lstat(volume.join(SERVICE_FOLDER)))
        .or_else(|| owner(rustix::fs::stat(volume)))
}

/// What to do with files of another user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// Count them.
    Count,
    /// Give them to the service.
    Mend,
}

/// The progress of a scan of all owners.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners {
    /// Files and folders checked so far.
    pub seen: u64,
    /// How many of them belong to another user, or did.
    pub foreign: u64,
    /// How many of those belong to the service now.
    pub mended: u64,
    /// How many could not be checked or fixed.
    pub failed: u64,
    /// The path of the first failure, from the root, and its reason.
    pub first_failure: Option<(PathBuf, String)>,
    /// Whether the scan has finished.
    pub is_done: bool,
}

impl Volume {
    /// Checks the owner of everything on the volume, the service's own folder included.
    ///
    /// Works on open handles and follows no link: nothing outside the volume is given away, whatever is moved meanwhile. File systems that
    /// are mounted inside the volume are skipped.
    pub fn owners(
        &self,
        service: Owner,
        what: Foreign,
        tell: Progress<'_, Owners>,
    ) -> io::Result<()> {
        if what == Foreign::Mend {
            self.may_change()?;
        }
        let root = self.root();
        let stat = rustix::fs::fstat(root)?;
        let mut look =
            OwnerScan { service, what, device: stat.st_dev, now: Owners::default(), tell };
        let path = PathBuf::from("/");
        look.entry(root, c".", &stat, Group::OfService, &path);
        let opened = open_folder(root, c".")?;
        if look.folder(&opened, &path).is_continue() {
            look.now.is_done = true;
            if (look.tell)(&look.now).is_break() {
                // There is nothing left to stop.
            }
        }
        Ok(())
    }
}

/// The group that a thing in a folder is given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    OfService,
    /// The folder has the set-group-ID bit, so its entries have its group already.
    AsItIs,
}

struct OwnerScan<'t> {
    service: Owner,
    what: Foreign,
    device: u64,
    now: Owners,
    tell: Progress<'t, Owners>,
}

impl OwnerScan<'_> {
    /// Checks everything in a folder.
    fn folder(&mut self, folder: &OwnedFd, path: &Path) -> ControlFlow<()> {
        let read = rustix::fs::fstat(folder).and_then(|stat| Ok((stat, Dir::read_from(folder)?)));
        let (stat, entries) = match read {
            Ok(read) => read,
            Err(errno) => {
                self.failed(path.to_owned(), &errno.into());
                return ControlFlow::Continue(());
            }
        };
        let hands_on = Mode::from_raw_mode(stat.st_mode).contains(Mode::SGID);
        let group = if hands_on { Group::AsItIs } else { Group::OfService };
        for entry in entries {
            let name = match entry {
                Ok(entry) => entry.file_name().to_owned(),
                Err(errno) => {
                    self.failed(path.to_owned(), &errno.into());
                    break;
                }
            };
            self.name(folder.as_fd(), &name, group, path)?;
        }
        ControlFlow::Continue(())
    }

    /// Checks one name in a folder, with everything below it.
    fn name(
        &mut self,
        folder: BorrowedFd<'_>,
        name: &CString,
        group: Group,
        path: &Path,
    ) -> ControlFlow<()> {
        use std::os::unix::ffi::OsStrExt;
        let is_lost = path == Path::new("/") && name.to_bytes() == LOST_AND_FOUND.as_bytes();
        if is_lost || matches!(name.to_bytes(), b"." | b"..") {
            return ControlFlow::Continue(());
        }
        let path = path.join(std::ffi::OsStr::from_bytes(name.to_bytes()));
        let stat = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if stat.st_dev == self.device => stat,
            Ok(_) => return ControlFlow::Continue(()),
            Err(errno) => {
                self.failed(path, &errno.into());
                return ControlFlow::Continue(());
            }
        };
        self.entry(folder, name, &stat, group, &path);
        (self.tell)(&self.now)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            match open_folder(folder, name) {
                Ok(below) => self.folder(&below, &path)?,
                Err(error) => self.failed(path, &error),
            }
        }
        ControlFlow::Continue(())
    }

    fn entry(
        &mut self,
        folder: BorrowedFd<'_>,
        name: &std::ffi::CStr,
        stat: &Stat,
        group: Group,
        path: &Path,
    ) {
        self.now.seen += 1;
        if stat.st_uid == self.service.user {
            return;
        }
        self.now.foreign += 1;
        if self.what == Foreign::Count {
            return;
        }
        let user = Some(Uid::from_raw(self.service.user));
        let group = (group == Group::OfService).then(|| Gid::from_raw(self.service.group));
        let given = rustix::fs::chownat(folder, name, user, group, AtFlags::SYMLINK_NOFOLLOW);
        match given {
            Ok(()) => self.now.mended += 1,
            Err(errno) => self.failed(path.to_owned(), &errno.into()),
        }
    }

    fn failed(&mut self, path: PathBuf, why: &io::Error) {
        self.now.failed += 1;
        self.now.first_failure.get_or_insert_with(|| (path, why.to_string()));
    }
}

fn open_folder(folder: BorrowedFd<'_>, name: &std::ffi::CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(folder, name, flags, Mode::empty())?)
}
