//! How much room is left, and the reserve that the service never takes.
//!
//! A full disk breaks more than the upload that filled it: keys could no longer be written, nor the record of what
//! changed. So what comes in through the service leaves a reserve free.
//!
//! What is in the trash is room too, but nobody's to waste: it is removed for something whose size is known, if that
//! makes enough room for it, the oldest first and no more than is needed. Otherwise nothing is removed.

use std::io;

use crate::size::size_text;
use crate::volume::Volume;

/// The reserve is one part in so many of the volume,
const RESERVED_PART: u64 = 20;
/// or so many bytes, if that is less.
const LARGEST_RESERVE: u64 = 256 << 20;

/// Room that is less than one part in so many of the volume is little.
const LITTLE_PART: u64 = 10;

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

    /// Whether somebody should make room, soon.
    pub fn is_low(&self) -> bool {
        self.room() < self.size / LITTLE_PART
    }

    fn has_room(&self, needed: u64) -> Result<(), NoRoom> {
        let room = self.room();
        if needed <= room { Ok(()) } else { Err(NoRoom { needed, room }) }
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

    /// Whether so many bytes can be written as things are: for what comes without having said how much it will be.
    pub(crate) fn has_room(&self, needed: u64) -> io::Result<Result<(), NoRoom>> {
        Ok(self.space()?.has_room(needed))
    }

    /// Sees to it that so many bytes can be written. Where they can't, and the trash holds what is missing, the oldest
    /// of it is removed, until there is enough. Where it does not, nothing is.
    pub fn make_room(&self, needed: u64) -> io::Result<Result<(), NoRoom>> {
        let space = self.space()?;
        if needed <= space.room() || needed > space.size {
            return Ok(space.has_room(needed));
        }
        let trash = self.trash()?;
        // Of two that need room the second waits, and looks again: otherwise it would remove what the first needs.
        let _alone = trash.lock()?;
        self.let_go();
        let room = self.space()?.room();
        let things = self.trash_sizes(&trash)?;
        let Some(oldest) = enough(&things, needed.saturating_sub(room)) else {
            let trashed = things.iter().map(|it| it.1).fold(0, u64::saturating_add);
            return Ok(Err(NoRoom { needed, room: room.saturating_add(trashed) }));
        };
        let mut failed = None;
        for (place, (name, bytes)) in things.iter().enumerate() {
            if place >= oldest.len() {
                // Some file systems count what was removed only when that is on the disk. If it is not enough even then, another process
                // has some of it open: what is left is taken if that will do.
                rustix::fs::syncfs(trash.files())?;
            }
            let missing = needed.saturating_sub(self.space()?.room());
            if missing == 0 || enough(things.get(place..).unwrap_or_default(), missing).is_none() {
                break;
            }
            // What can't be removed is left; perhaps the others are enough.
            if *bytes > 0 {
                failed = trash.remove(name).err().or(failed);
            }
        }
        match (self.has_room(needed)?, failed) {
            (Err(_), Some(error)) => Err(error),
            (Err(_), None) => {
                rustix::fs::syncfs(trash.files())?;
                self.has_room(needed)
            }
            (Ok(()), _) => Ok(Ok(())),
        }
    }

    /// Where a new file can't be made because the file system counts its files and has no more, removes the oldest
    /// thing in the trash. Says whether that was so, and it makes sense to try again.
    pub(crate) fn make_room_for_a_file(&self) -> io::Result<bool> {
        if !self.is_out_of_files()? {
            return Ok(false);
        }
        let trash = self.trash()?;
        let _alone = trash.lock()?;
        if !self.is_out_of_files()? {
            return Ok(true);
        }
        self.let_go();
        let Some(oldest) = trash.not_held()?.into_iter().next() else { return Ok(false) };
        trash.remove(&oldest).map(|()| true)
    }

    /// Whether no more files or folders can be made, however much room there is: file systems like ext4 have a fixed
    /// number of inodes.
    pub fn is_out_of_files(&self) -> io::Result<bool> {
        let stat = rustix::fs::statvfs(format!("{}/.", crate::resolve::proc_path(self.root())))?;
        // One that does not count says 0 of 0.
        Ok(stat.f_files > 0 && stat.f_favail == 0)
    }
}

/// As many of the first things as together have so many bytes; none where all have not.
fn enough<T>(things: &[(T, u64)], bytes: u64) -> Option<&[(T, u64)]> {
    let mut sum: u64 = 0;
    let count = things.iter().position(|it| {
        sum = sum.saturating_add(it.1);
        sum >= bytes
    });
    things.get(..=count?)
}

/// Whether it was for want of room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
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

    #[test]
    fn room_is_little_below_a_tenth_of_the_volume() {
        let check = |size: u64, free: u64, is_low: bool| {
            assert_eq!(Space { size, free }.is_low(), is_low, "{free} of {size}");
        };
        check(1000, 150, false);
        check(1000, 149, true);
        check(100 << 30, (10 << 30) + (256 << 20), false);
        check(100 << 30, 10 << 30, true);
    }

    #[test]
    fn no_more_than_needed_is_taken_and_nothing_where_all_would_not_do() {
        let things = [("a", 100), ("b", 0), ("c", 50), ("d", 1000)];
        let check = |bytes: u64, expected: Option<usize>| {
            assert_eq!(enough(&things, bytes).map(<[_]>::len), expected, "{bytes}");
        };
        check(1, Some(1));
        check(100, Some(1));
        check(101, Some(3));
        check(1150, Some(4));
        check(1151, None);
        check(u64::MAX, None);
        assert_eq!(enough::<&str>(&[], 1), None);
    }
}
