//! In which state the service's own places are: for whoever looks after the volume.

use std::io;

use rustix::fs::{Access, AtFlags, Mode};
use rustix::io::Errno;

use crate::layout::{KEYS_PLACE, SERVICE_FOLDER};
use crate::stat::Stat;
use crate::volume::Volume;

/// Who may do what with the service's own places, and when the volume was last changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServicePermissions {
    /// Whether this process may write to the root.
    pub is_writable: bool,
    /// The mode of the service's own folder; none where there is none.
    pub service_mode: Option<u32>,
    /// The mode of the keys file; none where there is none.
    pub keys_mode: Option<u32>,
    /// When a name in the root last came or went: nanoseconds since 1970.
    pub changed: i128,
}

impl Volume {
    /// Looks at them; changes nothing.
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
