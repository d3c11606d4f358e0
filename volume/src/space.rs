//! How much room is left, and the reserve that the service never takes.
//!
//! A full disk breaks more than the upload that filled it: keys could no longer be written, nor the record of what
//! changed. So what comes in through the service leaves a reserve free.

use std::io;

use crate::size::size_text;
use crate::volume::Volume;

/// The reserve is one part in so many of the volume,
const RESERVED_PART: u64 = 20;
/// or so many bytes, if that is less.
const LARGEST_RESERVE: u64 = 256 << 20;

/// What the file system says, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// All there is.
    pub size: u64,
    /// What can still be written.
    pub free: u64,
}

/// There is not enough room, with all that could be emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} are needed, and the volume has room for {}", size_text(*needed), size_text(*room))]
pub struct NoRoom {
    /// Bytes that were asked for.
    pub needed: u64,
    /// Bytes that can be had.
    pub room: u64,
}

impl Space {
    /// What stays free.
    pub fn reserve(&self) -> u64 {
        (self.size / RESERVED_PART).min(LARGEST_RESERVE)
    }

    /// What may be written through the service.
    pub fn room(&self) -> u64 {
        self.free.saturating_sub(self.reserve())
    }
}

impl Volume {
    /// How full the volume's file system is.
    pub fn space(&self) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(format!("{}/.", crate::resolve::proc_path(self.root())))?;
        Ok(Space {
            size: stat.f_blocks.saturating_mul(stat.f_frsize),
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }

    /// Sees to it that so many bytes can be written: where they can't, the trash is emptied, oldest first.
    pub fn make_room(&self, needed: u64) -> io::Result<Result<(), NoRoom>> {
        loop {
            let room = self.space()?.room();
            if needed <= room {
                return Ok(Ok(()));
            }
            if !self.empty_oldest_trash()? {
                return Ok(Err(NoRoom { needed, room }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twentieth_stays_free_but_never_more_than_256_mib() {
        let check = |size: u64, free: u64, room: u64| {
            assert_eq!(Space { size, free }.room(), room, "{free} of {size}");
        };
        check(1000, 1000, 950);
        check(1000, 50, 0);
        check(1000, 10, 0);
        check(100 << 30, 1 << 30, (1 << 30) - (256 << 20));
    }
}
