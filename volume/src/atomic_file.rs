//! Writes a file whole: beside the old one, then renamed over it. However the program ends, there is the old file or the new one.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};

use crate::layout::NEW_SUFFIX;

/// Whether a file must be there after a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durable {
    /// It is on the disk when this returns.
    Yes,
    /// It can be lost without harm.
    No,
}

/// Puts a file under a name of the folder, readable by its owner alone. Root writes it for the owner of the folder, who may be somebody
/// else. If that fails, nothing of it is left.
pub(crate) fn replace(
    folder: &OwnedFd,
    name: &str,
    bytes: &[u8],
    durable: Durable,
) -> io::Result<()> {
    let new_name = format!("{name}{NEW_SUFFIX}");
    let written = write(folder, &new_name, bytes, durable)
        .and_then(|()| Ok(rustix::fs::renameat(folder, new_name.as_str(), folder, name)?));
    if written.is_err() {
        // There may be none.
        rustix::fs::unlinkat(folder, new_name.as_str(), AtFlags::empty()).unwrap_or_default();
    }
    written?;
    match durable {
        Durable::Yes => Ok(rustix::fs::fsync(folder)?),
        Durable::No => Ok(()),
    }
}

fn write(folder: &OwnedFd, name: &str, bytes: &[u8], durable: Durable) -> io::Result<()> {
    let flags =
        OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let owner_only = Mode::RUSR | Mode::WUSR;
    let mut file = File::from(rustix::fs::openat(folder, name, flags, owner_only)?);
    if rustix::process::geteuid().is_root() {
        let stat = rustix::fs::fstat(folder)?;
        let (user, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        rustix::fs::fchown(&file, Some(user), Some(group))?;
    }
    file.write_all(bytes)?;
    match durable {
        Durable::Yes => file.sync_all(),
        Durable::No => Ok(()),
    }
}
