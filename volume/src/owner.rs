//! To whom things on a volume belong, and how they come to belong to the service.
//!
//! The service runs as a user of its own. What root puts onto the volume by `sftp`, rsync or a wormhole of their own
//! belongs to root: it is served where everyone may read it, but can't be changed, moved or deleted.

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
    /// The user.
    pub user: u32,
    /// The group.
    pub group: u32,
}

/// Whom the service runs as on a volume: the owner of its folder there, or of the volume itself. None where that is
/// root, and where there is nothing yet. Makes nothing.
pub fn of_service(volume: &Path) -> Option<Owner> {
    let owner = |stat: Result<Stat, Errno>| {
        let stat = stat.ok()?;
        (stat.st_uid != 0).then_some(Owner { user: stat.st_uid, group: stat.st_gid })
    };
    // A link in the folder's place leads root to nobody else.
    owner(rustix::fs::lstat(volume.join(SERVICE_FOLDER)))
        .or_else(|| owner(rustix::fs::stat(volume)))
}

/// What shall be done with what belongs to somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// It is counted.
    Count,
    /// It is given to the service.
    Mend,
}

/// How far a look at all owners is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners {
    /// Files and folders that were looked at.
    pub seen: u64,
    /// How many of them belong to somebody else, or did.
    pub foreign: u64,
    /// How many of those are the service's now.
    pub mended: u64,
    /// How many could not be looked at or mended.
    pub failed: u64,
    /// The first of those, from the root, and why.
    pub first_failure: Option<(PathBuf, String)>,
    /// Whether this is all.
    pub is_done: bool,
}

impl Volume {
    /// Looks at the owner of everything on the volume, the service's own folder included.
    ///
    /// Goes by handles: no link is followed, and whatever is moved meanwhile, nothing outside is given away. What is mounted
    /// in the volume is skipped.
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

/// Which group a thing in a folder is given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    OfService,
    /// The folder hands its own group on, which the thing has.
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
    /// All that is in a folder.
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

    /// One name in a folder, with all below it.
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
