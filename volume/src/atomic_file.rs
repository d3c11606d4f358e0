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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    #[test]
    fn a_file_is_its_folders_owners_alone_and_a_refused_one_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            std::os::unix::fs::chown(folder.path(), Some(4711), Some(4712)).unwrap();
        }
        let handle = OwnedFd::from(File::open(folder.path()).unwrap());
        for (durable, text) in [(Durable::Yes, "old"), (Durable::No, "new")] {
            replace(&handle, "a.json", text.as_bytes(), durable).unwrap();
            assert_eq!(std::fs::read_to_string(folder.path().join("a.json")).unwrap(), text);
        }
        let stat = folder.path().join("a.json").metadata().unwrap();
        assert_eq!(stat.permissions().mode() & 0o777, 0o600);
        assert!(!is_root || (stat.uid(), stat.gid()) == (4711, 4712));
        // No file takes the place of a folder.
        std::fs::create_dir(folder.path().join("b.json")).unwrap();
        replace(&handle, "b.json", b"new", Durable::Yes).unwrap_err();
        let mut names: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["a.json", "b.json"]);
    }
}
