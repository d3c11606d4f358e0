//! Opens a path beneath the root without ever leaving it.
//!
//! Handles are `O_PATH`: they name a thing and open nothing, so the writer of a FIFO or a device notices nothing. Two methods give the same
//! result: `openat2(RESOLVE_BENEATH)`, where the kernel (5.6 and later) does all of it, and a walk name by name for kernels and sandboxes
//! that lack it. Neither ever joins a path to the root's.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::path::RelPath;

/// The most symbolic links in one path, as in the kernel.
const MOST_LINKS: usize = 40;
/// How often a look-up is tried again after a rename elsewhere made the kernel unsure of `..`.
const MOST_RACES: usize = 64;

const HANDLE: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// The method of looking up a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookupMethod {
    Openat2,
    Walk,
}

/// A handle, and its real path if symbolic links led there.
pub(crate) struct Resolved {
    pub(crate) handle: OwnedFd,
    pub(crate) through_links: Option<Vec<u8>>,
}

impl LookupMethod {
    /// The method that the kernel offers; checked once, when a volume is opened.
    pub(crate) fn of_this_kernel(root: BorrowedFd<'_>) -> LookupMethod {
        match openat2(root, RelPath::root().as_os_str().as_bytes(), ResolveFlags::BENEATH) {
            // A sandbox that does not know the call returns EPERM.
            Err(Errno::NOSYS | Errno::PERM) => LookupMethod::Walk,
            _ => LookupMethod::Openat2,
        }
    }

    /// Looks up a path. With `cached_only` it fails with `EAGAIN` rather than wait for the disk; the walk waits anyway.
    pub(crate) fn resolve(
        self,
        root: BorrowedFd<'_>,
        path: &RelPath,
        cached_only: bool,
    ) -> Result<Resolved, Errno> {
        match self {
            LookupMethod::Openat2 => by_openat2(root, path, cached_only),
            LookupMethod::Walk => by_walk(root, path),
        }
    }
}

fn by_openat2(root: BorrowedFd<'_>, path: &RelPath, cached_only: bool) -> Result<Resolved, Errno> {
    let path = path.as_os_str().as_bytes();
    let patience = if cached_only { ResolveFlags::CACHED } else { ResolveFlags::empty() };
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | patience;
    match openat2(root, path, beneath | ResolveFlags::NO_SYMLINKS) {
        Ok(handle) => return Ok(Resolved { handle, through_links: None }),
        Err(Errno::LOOP) => {}
        Err(errno) => return Err(errno),
    }
    // The path has a link. The kernel follows it while it stays beneath the root. The real path is then read from the open handle, so that
    // nothing can be swapped in between.
    let handle = openat2(root, path, beneath)?;
    let place = place_of(handle.as_fd())?;
    let top = place_of(root)?;
    let inside = match place.strip_prefix(top.as_slice()) {
        Some([]) => Vec::new(),
        Some([b'/', rest @ ..]) => rest.to_vec(),
        // Only the root directory `/` has a path that ends in a slash.
        Some(rest) if top == b"/" => rest.to_vec(),
        _ => return Err(Errno::XDEV),
    };
    Ok(Resolved { handle, through_links: Some(inside) })
}

fn openat2(root: BorrowedFd<'_>, path: &[u8], how: ResolveFlags) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { b".".as_slice() } else { path };
    for _ in 0..MOST_RACES {
        match rustix::fs::openat2(root, path, HANDLE, Mode::empty(), how) {
            Err(Errno::AGAIN) if !how.contains(ResolveFlags::CACHED) => {}
            result => return result,
        }
    }
    Err(Errno::BUSY)
}

/// The path under which the kernel knows an open handle.
pub(crate) fn place_of(handle: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    let place = rustix::fs::readlinkat(CWD, proc_path(handle), Vec::new())?.into_bytes();
    // The handle of a deleted file has ` (deleted)` after its old name.
    if rustix::fs::fstat(handle)?.st_nlink == 0 { Err(Errno::NOENT) } else { Ok(place) }
}

/// The path in `/proc` of an open handle, to read its real path or to open it again.
pub(crate) fn proc_path(handle: BorrowedFd<'_>) -> String {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}", handle.as_raw_fd())
}

fn by_walk(root: BorrowedFd<'_>, path: &RelPath) -> Result<Resolved, Errno> {
    let mut to_go: VecDeque<Vec<u8>> = path.names().map(<[u8]>::to_vec).collect();
    let mut handles: Vec<OwnedFd> = Vec::new();
    let mut names: Vec<Vec<u8>> = Vec::new();
    let mut links = 0;
    while let Some(name) = to_go.pop_front() {
        match name.as_slice() {
            b"" | b"." => continue,
            // Only a link's target can hold `..`. The stack of handles answers it, not the disk.
            b".." => {
                handles.pop().ok_or(Errno::XDEV)?;
                names.pop();
                continue;
            }
            _ => {}
        }
        let folder = handles.last().map_or(root, AsFd::as_fd);
        let handle =
            rustix::fs::openat(folder, name.as_slice(), HANDLE | OFlags::NOFOLLOW, Mode::empty())?;
        let stat = rustix::fs::fstat(&handle)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            handles.push(handle);
            names.push(name);
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(Errno::LOOP);
        }
        let target = rustix::fs::readlinkat(&handle, c"", Vec::new())?.into_bytes();
        if target.starts_with(b"/") {
            return Err(Errno::XDEV);
        }
        for step in target.split(|it| *it == b'/').rev() {
            to_go.push_front(step.to_vec());
        }
    }
    let handle = match handles.pop() {
        Some(handle) => handle,
        None => rustix::fs::openat(root, c".", HANDLE, Mode::empty())?,
    };
    let through_links = (links > 0).then(|| names.join(&b'/'));
    Ok(Resolved { handle, through_links })
}
