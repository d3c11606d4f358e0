//! A volume, and the files and folders found on it.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::layout;
use crate::path::RelPath;
use crate::resolve::{LookupMethod, Resolved, place_of, proc_path};
use crate::stat::Stat;

/// An open volume. Everything found on it lies beneath the folder that was opened, whatever is renamed or linked meanwhile.
#[derive(Debug)]
pub struct Volume {
    /// The root; every look-up starts from this handle, not from a path.
    root: OwnedFd,
    /// The path that led to the root; `None` for a staged folder, which is opened by a handle.
    path: Option<PathBuf>,
    way: LookupMethod,
    /// Whether it was opened for reading only.
    is_read_only: bool,
    /// The device and inode of the service's own folder when it was first used here.
    service_folder: OnceLock<(u64, u64)>,
    letting_go: LettingGo,
    /// The measured sizes of things in the trash: the version, and the bytes that its removal would free.
    pub(crate) trash_sizes: Mutex<HashMap<Vec<u8>, (Stat, u64)>>,
}

/// Called so that the rest of the program closes files that it keeps open only for speed.
#[derive(Default)]
struct LettingGo(OnceLock<Box<dyn Fn() + Send + Sync>>);

impl fmt::Debug for LettingGo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LettingGo")
    }
}

/// Why a volume could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenVolumeError {
    /// The folder is missing and could not be created.
    #[error("could not make the volume's folder `{}`", path.display())]
    Make {
        /// The folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The folder could not be opened.
    #[error("could not open `{}` as a folder", path.display())]
    Open {
        /// The folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// `/proc` is missing; it is needed to open what was found.
    #[error("`/proc` is not mounted; the service needs it to open files safely")]
    NoProc {
        /// The system's error.
        source: io::Error,
    },
}

/// Why nothing was found at a path.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// Nothing is there, or a link leads out of the volume or to something hidden.
    #[error("there is nothing at `{path}`")]
    Missing {
        /// The path.
        path: RelPath,
    },
    /// It is neither a file nor a folder: a FIFO, a socket, a device.
    #[error("`{path}` is neither a file nor a folder")]
    NotServed {
        /// The path.
        path: RelPath,
    },
    /// The answer is on the disk, and the caller did not want to wait for it.
    #[error("`{path}` is not in the kernel's memory")]
    WouldBlock {
        /// The path.
        path: RelPath,
    },
    /// A system call failed.
    #[error("could not look up `{path}`")]
    Io {
        /// The path.
        path: RelPath,
        /// The system's error.
        source: io::Error,
    },
}

/// What an open volume has lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// The path that it was opened by leads to another folder now, or nowhere: it was unmounted, moved or removed.
    #[error("the volume is not in its place any more: it was unmounted, moved or removed")]
    Place,
    /// The service's own folder is gone, or another one has its name.
    #[error("`.sounding` is gone from the volume, or another one has its name")]
    ServiceFolder,
}

impl From<Loss> for io::Error {
    fn from(loss: Loss) -> io::Error {
        // The error of a file server that has lost an open file.
        io::Error::new(io::ErrorKind::StaleNetworkFileHandle, loss)
    }
}

/// How far a look-up may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocking {
    /// Answer from the kernel's memory, or fail with [`FindError::WouldBlock`]: for threads that must not wait.
    CachedOnly,
    /// Read from the disk where needed.
    MayBlock,
}

/// A file or a folder.
#[derive(Debug)]
pub enum Found {
    /// A regular file.
    File(FoundFile),
    /// A folder.
    Folder(FoundFolder),
}

/// A regular file, usually not opened for reading yet.
#[derive(Debug)]
pub struct FoundFile {
    handle: OwnedFd,
    /// The path of the target, if a symbolic link led there. The right to read is checked there as well.
    pub real_path: Option<RelPath>,
    /// Its stat when it was found.
    pub stat: Stat,
}

/// A folder, not read yet.
#[derive(Debug)]
pub struct FoundFolder {
    pub(crate) handle: OwnedFd,
    /// The path of the target, if a symbolic link led there. The right to read is checked there as well.
    pub real_path: Option<RelPath>,
}

impl Volume {
    /// Opens the volume, and creates its folder if it is missing. Does not read it: a volume of a million files opens as fast as an empty
    /// one.
    pub fn open(path: &Path) -> Result<Volume, OpenVolumeError> {
        std::fs::create_dir_all(path)
            .map_err(|source| OpenVolumeError::Make { path: path.to_owned(), source })?;
        Volume::open_there(path)
    }

    /// Opens an existing volume for reading only: every call that would change it fails.
    pub fn open_read_only(path: &Path) -> Result<Volume, OpenVolumeError> {
        Ok(Volume { is_read_only: true, ..Volume::open_there(path)? })
    }

    /// Whether it was opened for reading only.
    pub fn is_read_only(&self) -> bool {
        self.is_read_only
    }

    /// Called before every change. Fails if the volume was opened for reading only. Also fails if it was unmounted or moved, since a change
    /// there might never be found again.
    pub(crate) fn may_change(&self) -> io::Result<()> {
        if self.is_read_only {
            let why = "the volume was opened to be read only";
            return Err(io::Error::new(io::ErrorKind::ReadOnlyFilesystem, why));
        }
        if self.has_lost_place() {
            return Err(Loss::Place.into());
        }
        Ok(())
    }

    fn open_there(path: &Path) -> Result<Volume, OpenVolumeError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, path, flags, Mode::empty())
            .map_err(|it| OpenVolumeError::Open { path: path.to_owned(), source: it.into() })?;
        place_of(root.as_fd()).map_err(|it| OpenVolumeError::NoProc { source: it.into() })?;
        let way = LookupMethod::of_this_kernel(root.as_fd());
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Ok(Volume::of(root, Some(path), way))
    }

    /// The same volume, looked up name by name as on a kernel without `openat2`.
    #[doc(hidden)]
    #[must_use]
    pub fn without_openat2(self) -> Volume {
        Volume { way: LookupMethod::Walk, ..self }
    }

    /// Whether look-ups use the slower way, because `openat2` is missing.
    pub fn walks(&self) -> bool {
        self.way == LookupMethod::Walk
    }

    /// Finds what is at a path. Follows symbolic links while they stay inside the volume and lead to nothing hidden.
    pub fn find(&self, path: &RelPath, effort: Blocking) -> Result<Found, FindError> {
        let missing = || FindError::Missing { path: path.clone() };
        let cached_only = effort == Blocking::CachedOnly;
        let resolved = self.way.resolve(self.root.as_fd(), path, cached_only);
        let Resolved { handle, through_links } = resolved.map_err(|it| match it {
            Errno::AGAIN => FindError::WouldBlock { path: path.clone() },
            Errno::NOENT | Errno::NOTDIR | Errno::XDEV | Errno::LOOP | Errno::NAMETOOLONG => {
                missing()
            }
            _ => FindError::Io { path: path.clone(), source: it.into() },
        })?;
        // A link may lead to a hidden name. A path that can't be asked for directly must not be reached by a link either.
        let real_path = match through_links {
            Some(place) => Some(RelPath::from_plain(&place).map_err(|_refusal| missing())?),
            None => None,
        };
        let stat = rustix::fs::fstat(&handle)
            .map_err(|it| FindError::Io { path: path.clone(), source: it.into() })?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let stat = Stat::of(&stat);
                Ok(Found::File(FoundFile { handle, real_path, stat }))
            }
            FileType::Directory => Ok(Found::Folder(FoundFolder { handle, real_path })),
            _ => Err(FindError::NotServed { path: path.clone() }),
        }
    }

    /// Whether the system can follow a path to its end, whatever is there.
    pub(crate) fn follow(&self, path: &RelPath) -> Result<(), Errno> {
        self.way.resolve(self.root.as_fd(), path, false).map(drop)
    }

    /// The present stat of a file that was [found](Volume::find) a moment ago, in one system call; `None` where no file is there any more.
    /// Links on the way are not checked: use the result only to see whether it is still the same file.
    pub fn glance(&self, path: &RelPath) -> Option<Stat> {
        let path = path.as_os_str();
        let stat = rustix::fs::statat(&self.root, path, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then(|| Stat::of(&stat))
    }

    /// The device and inode of the root. Two volumes with the same are the same volume.
    pub fn identity(&self) -> io::Result<(u64, u64)> {
        let stat = rustix::fs::fstat(&self.root)?;
        Ok((stat.st_dev, stat.st_ino))
    }

    /// A folder as a volume of its own.
    pub(crate) fn at(&self, root: OwnedFd) -> Volume {
        Volume::of(root, None, self.way)
    }

    fn of(root: OwnedFd, path: Option<PathBuf>, way: LookupMethod) -> Volume {
        let service_folder = OnceLock::new();
        Volume {
            root,
            path,
            way,
            is_read_only: false,
            service_folder,
            letting_go: LettingGo::default(),
            trash_sizes: Mutex::default(),
        }
    }

    /// Sets the function that is called before space is freed. It should close files that are kept open only for speed, since an open file
    /// keeps its space even when it is removed. Only the first function set is used.
    pub fn before_making_room(&self, let_go: impl Fn() + Send + Sync + 'static) {
        self.letting_go.0.set(Box::new(let_go)).unwrap_or_default();
    }

    pub(crate) fn let_go(&self) {
        if let Some(let_go) = self.letting_go.0.get() {
            let_go();
        }
    }

    pub(crate) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The service's own folder. The first call creates it if it is missing, for its owner alone. If it is lost later it is not created
    /// again, since the keys were in it.
    pub(crate) fn service_folder(&self) -> io::Result<OwnedFd> {
        self.may_change()?;
        if self.service_folder.get().is_some() {
            return open_folder(self.root(), layout::SERVICE_FOLDER).map_err(|errno| match errno {
                Errno::NOENT => Loss::ServiceFolder.into(),
                errno => errno.into(),
            });
        }
        let folder = private_folder(self.root(), layout::SERVICE_FOLDER)?;
        let stat = rustix::fs::fstat(&folder)?;
        self.service_folder.get_or_init(|| (stat.st_dev, stat.st_ino));
        Ok(folder)
    }

    /// What the volume has lost since it was opened; `None` if nothing.
    pub fn loss(&self) -> Option<Loss> {
        if self.has_lost_place() {
            return Some(Loss::Place);
        }
        self.has_lost_service_folder().then_some(Loss::ServiceFolder)
    }

    fn has_lost_place(&self) -> bool {
        let Some(path) = &self.path else { return false };
        match rustix::fs::stat(path) {
            Ok(stat) => self.identity().is_ok_and(|it| it != (stat.st_dev, stat.st_ino)),
            // The path leads nowhere, or to a device or a file server that does not answer.
            Err(errno) => matches!(
                errno,
                Errno::NOENT
                    | Errno::NOTDIR
                    | Errno::NOTCONN
                    | Errno::STALE
                    | Errno::NODEV
                    | Errno::NXIO
                    | Errno::IO
            ),
        }
    }

    /// Whether the service's own folder is gone, or another one has its name.
    pub(crate) fn has_lost_service_folder(&self) -> bool {
        let Some(known) = self.service_folder.get() else { return false };
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        match rustix::fs::statat(&self.root, layout::SERVICE_FOLDER, flags) {
            Ok(stat) => (stat.st_dev, stat.st_ino) != *known,
            Err(errno) => errno == Errno::NOENT,
        }
    }
}

impl FoundFile {
    /// Opens the very file that was found, whatever its path names now.
    pub fn open(&self) -> io::Result<File> {
        Ok(File::from(reopen(self.handle.as_fd(), OFlags::empty())?))
    }

    /// Reads the stat of the same file again.
    pub fn stat_again(&mut self) -> io::Result<()> {
        self.stat = Stat::of(&rustix::fs::fstat(&self.handle)?);
        Ok(())
    }
}

impl FoundFolder {
    pub(crate) fn open(&self) -> io::Result<OwnedFd> {
        Ok(reopen(self.handle.as_fd(), OFlags::DIRECTORY)?)
    }

    /// The folder's stat now; `None` if the call fails.
    pub fn stat_now(&self) -> Option<Stat> {
        self.stat(b".")
    }

    /// The stat of a name in this folder; `None` if it was removed or is a symbolic link now.
    pub(crate) fn stat(&self, name: &[u8]) -> Option<Stat> {
        let stat = rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        (FileType::from_raw_mode(stat.st_mode) != FileType::Symlink).then(|| Stat::of(&stat))
    }
}

/// Opens a folder of the service's own for reading; `None` where it is missing.
pub(crate) fn folder_to_read(volume: &Volume, place: &str) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = format!("{}/{place}", layout::SERVICE_FOLDER);
    match rustix::fs::openat(volume.root(), place, flags, Mode::empty()) {
        Ok(folder) => Ok(Some(folder)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Opens a folder of the service's own; creates it if it is missing, for its owner alone.
pub(crate) fn private_folder(parent: BorrowedFd<'_>, name: &str) -> io::Result<OwnedFd> {
    match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    Ok(open_folder(parent, name)?)
}

fn open_folder(parent: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// Opens an `O_PATH` handle for reading. The handle itself can't be read; its entry in `/proc` opens the same inode.
fn reopen(handle: BorrowedFd<'_>, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, proc_path(handle), flags, Mode::empty())
}
