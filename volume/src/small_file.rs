//! Small files of the service that may be lost without harm: read whole, replaced by one rename.

use std::fs::File;
use std::io::{self, Read};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::atomic_file::{self, Durable};
use crate::layout::SERVICE_FOLDER;
use crate::volume::Volume;

/// The text of a file in the service's folder, up to `largest` bytes; `None` where there is no file.
pub(crate) fn read(volume: &Volume, name: &str, largest: u64) -> io::Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let place = format!("{SERVICE_FOLDER}/{name}");
    let file = match rustix::fs::openat(volume.root(), place, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let mut text = Vec::new();
    file.take(largest).read_to_end(&mut text)?;
    Ok(Some(text))
}

/// Removes the file, if it exists.
pub(crate) fn remove(volume: &Volume, name: &str) -> io::Result<()> {
    volume.may_change()?;
    let place = format!("{SERVICE_FOLDER}/{name}");
    match rustix::fs::unlinkat(volume.root(), place, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Replaces the file's text. Only its owner may read it.
pub(crate) fn replace(volume: &Volume, name: &str, text: &[u8]) -> io::Result<()> {
    let folder = volume.service_folder()?;
    atomic_file::replace(&folder, name, text, Durable::No)
}
