//! The permissions of the root and of the service's own files, for operators.

use std::io;

use rustix::fs::{Access, AtFlags, Mode};
use rustix::io::Errno;

use crate::layout::{KEYS_PLACE, SERVICE_FOLDER};
use crate::stat::Stat;
use crate::volume::Volume;

/// The permissions of the service's own files, and when the root last changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServicePermissions {
    /// Whether this process may write to the root.
    pub is_writable: bool,
    /// The mode of the service's own folder; `None` where there is none.
    pub service_mode: Option<u32>,
    /// The mode of the keys file; `None` where there is none.
    pub keys_mode: Option<u32>,
    /// When a name was last created in the root or removed from it, in nanoseconds since 1970.
    pub changed: i128,
}

impl Volume {
    /// Reads them; changes nothing.
    pub fn places(&self) -> io::Result<ServicePermissions> {
        let mode = |place: &str| match rustix::fs::statat(self.root(), place, AtFlags::empty()) {
            Ok(stat) => Ok(Some(Mode::from_raw_mode(stat.st_mode).bits())),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(io::Error::from(errno)),
        };
        let access = rustix::fs::accessat(self.root(), c".", Access::WRITE_OK, AtFlags::empty());
        Ok(ServicePermissions {
            is_writable: access.is_ok(),
            service_mode: mode(SERVICE_FOLDER)?,
            keys_mode: mode(KEYS_PLACE)?,
            changed: Stat::of(&rustix::fs::fstat(self.root())?).modified,
        })
    }
}
