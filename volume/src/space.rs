//! The free space of the volume, and the reserve that the service never uses.
//!
//! A full disk breaks more than the upload that filled it: keys could no longer be written, nor could the journal. So everything that
//! arrives through the service leaves a reserve free.
//!
//! The trash counts as space too, but is not removed without need: it is removed for something whose size is known, if that frees enough,
//! the oldest first and no more than is needed. Otherwise nothing is removed.

use std::io;

use crate::size::size_text;
use crate::volume::Volume;

/// The reserve is this fraction of the volume (one part in 20),
const RESERVED_PART: u64 = 20;
/// or this many bytes, if that is less.
const LARGEST_RESERVE: u64 = 256 << 20;

/// Less free space than this fraction of the volume (one part in 10) is low.
const LITTLE_PART: u64 = 10;

/// The size and free space of a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// The size of the file system.
    pub size: u64,
    /// Bytes that can still be written.
    pub free: u64,
}

/// There is not enough space, even with an empty trash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} are needed, and the volume has room for {}", size_text(*needed), size_text(*room))]
pub struct NoRoom {
    /// The bytes that were asked for.
    pub needed: u64,
    /// The bytes that are available.
    pub room: u64,
}

impl Space {
    /// The bytes that stay free.
    pub fn reserve(&self) -> u64 {
        (self.size / RESERVED_PART).min(LARGEST_RESERVE)
    }

    /// The bytes that may be written through the service.
    pub fn room(&self) -> u64 {
        self.free.saturating_sub(self.reserve())
    }

    /// Whether an operator should free space soon.
    pub fn is_low(&self) -> bool {
        self.room() < self.size / LITTLE_PART
    }

    fn has_room(&self, needed: u64) -> Result<(), NoRoom> {
        let room = self.room();
        if needed <= room { Ok(()) } else { Err(NoRoom { needed, room }) }
    }
}

impl Volume {
    /// The size and free space of the volume's file system.
    pub fn space(&self) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(format!("{}/.", crate::resolve::proc_path(self.root())))?;
        Ok(Space {
            size: stat.f_blocks.saturating_mul(stat.f_frsize),
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }

    /// Checks whether this many bytes can be written without removing anything: for data whose size is not known in advance.
    pub(crate) fn has_room(&self, needed: u64) -> io::Result<Result<(), NoRoom>> {
        Ok(self.space()?.has_room(needed))
    }

    /// Makes sure that this many bytes can be written. If they can't, and the trash holds what is missing, removes the oldest things in it
    /// until there is enough. If it does not, removes nothing.
    pub fn make_room(&self, needed: u64) -> io::Result<Result<(), NoRoom>> {
        let space = self.space()?;
        if needed <= space.room() || needed > space.size {
            return Ok(space.has_room(needed));
        }
        let trash = self.trash()?;
        // Of two callers the second waits and then reads the free space: otherwise it would remove space that the first needs.
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
                // Some file systems count removed bytes as free only after a sync. If it is not enough even then, another process has some
                // of them open: the rest is removed if that will do.
                rustix::fs::syncfs(trash.files())?;
            }
            let missing = needed.saturating_sub(self.space()?.room());
            if missing == 0 || enough(things.get(place..).unwrap_or_default(), missing).is_none() {
                break;
            }
            // Something that can't be removed stays; the others may be enough.
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

    /// Removes the oldest thing in the trash if no new file can be created because the file system has no more inodes. Returns whether it
    /// makes sense to try again.
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

    /// Whether no more files or folders can be created, however many bytes are free: file systems like ext4 have a fixed number of inodes.
    pub fn is_out_of_files(&self) -> io::Result<bool> {
        let stat = rustix::fs::statvfs(format!("{}/.", crate::resolve::proc_path(self.root())))?;
        // A file system that does not count inodes reports 0 of 0.
        Ok(stat.f_files > 0 && stat.f_favail == 0)
    }
}

/// The shortest prefix of the things that has this many bytes in total; `None` if all of them have fewer.
fn enough<T>(things: &[(T, u64)], bytes: u64) -> Option<&[(T, u64)]> {
    let mut sum: u64 = 0;
    let count = things.iter().position(|it| {
        sum = sum.saturating_add(it.1);
        sum >= bytes
    });
    things.get(..=count?)
}

/// Whether the error is a lack of space.
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
