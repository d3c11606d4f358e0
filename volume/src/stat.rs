//! What is known of a file without reading it: its length, its times and its version.

use std::fmt::Write;
use std::fs::File;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::fs::{AtFlags, StatxFlags};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};

/// A snapshot of an open handle's length and times. It says nothing about what the path names now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The length in bytes.
    pub len: u64,
    /// The time of the last write, in nanoseconds since 1970. Programs like `touch`, `cp -p` or `rsync -t` may set it to anything.
    pub modified: i128,
    /// The time of the last change of any kind, in nanoseconds since 1970. No program can set it.
    pub(crate) changed: i128,
    pub(crate) inode: u64,
}

impl Stat {
    pub(crate) fn of(stat: &rustix::fs::Stat) -> Stat {
        Stat {
            len: u64::try_from(stat.st_size).unwrap_or(0),
            modified: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            changed: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
            inode: stat.st_ino,
        }
    }

    /// The stat of an open file; `None` where the file has no name any more or the call fails.
    pub fn of_open(file: &File) -> Option<Stat> {
        let stat = rustix::fs::fstat(file).ok()?;
        (stat.st_nlink > 0).then(|| Stat::of(&stat))
    }

    /// The modification time in whole seconds since 1970, rounded down.
    pub fn modified_seconds(&self) -> i64 {
        i64::try_from(self.modified.div_euclid(1_000_000_000)).unwrap_or(i64::MAX)
    }

    /// A text that differs between any two versions of a file, once both are [settled](Stat::is_settled).
    ///
    /// Made of inode, size and both times: a replaced file has another inode or change time, a rewritten one another change time, even
    /// within one second and with the same size. It misses writes through a memory mapping until the kernel notices them.
    pub fn version(&self) -> String {
        let mut out = String::with_capacity(64);
        self.write_version(&mut out);
        out
    }

    /// Appends [`Stat::version`] to `out`.
    pub fn write_version(&self, out: &mut String) {
        push_hex(out, self.inode.into());
        out.push('-');
        push_hex(out, self.len.into());
        out.push('-');
        push_hex(out, self.modified);
        out.push('-');
        push_hex(out, self.changed);
    }

    /// Whether the file has not changed for at least this long.
    pub fn rests(&self, length: Duration) -> bool {
        let now = clock_gettime(ClockId::RealtimeCoarse);
        let length = i128::try_from(length.as_nanos()).unwrap_or(i128::MAX);
        self.changed.saturating_add(length) < nanoseconds(now.tv_sec, now.tv_nsec)
    }

    /// The time from the file's birth to its last write: the duration of an upload, or the days over which a log has grown. Zero where the
    /// file system has no birth times.
    pub fn worked_on(&self, file: &File) -> Duration {
        let found = rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::BTIME);
        let made = found.ok().filter(|it| it.stx_mask & StatxFlags::BTIME.bits() != 0);
        let Some(made) = made.map(|it| nanoseconds(it.stx_btime.tv_sec, it.stx_btime.tv_nsec))
        else {
            return Duration::ZERO;
        };
        let worked_on = u64::try_from((self.modified - made).max(0)).unwrap_or(u64::MAX);
        Duration::from_nanos(worked_on)
    }

    /// Whether every later write will get a later change time.
    ///
    /// The kernel stamps a file with a clock that moves in steps of 1 to 10 ms, depending on its configuration. While that clock still
    /// shows the step of the last change, one more write could leave the same stamp.
    pub fn is_settled(&self) -> bool {
        let now = clock_gettime(ClockId::RealtimeCoarse);
        self.changed < nanoseconds(now.tv_sec, now.tv_nsec)
    }
}

/// Identifies a file, folder or link under any name. A rename keeps it; a new version by another rename has its own.
///
/// A file system may reuse the inode of a removed file. The birth time tells the two apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    device: u64,
    inode: u64,
    /// The birth time in nanoseconds since 1970; zero where the file system has none.
    made: i128,
}

impl FileId {
    /// The id of a name in a folder. A link is not followed.
    pub(crate) fn of(folder: impl AsFd, name: &[u8]) -> Result<FileId, Errno> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let stat = rustix::fs::statat(&folder, name, flags)?;
        let asked = rustix::fs::statx(&folder, name, flags, StatxFlags::BTIME);
        let made = asked.ok().filter(|it| it.stx_mask & StatxFlags::BTIME.bits() != 0);
        let made = made.map(|it| nanoseconds(it.stx_btime.tv_sec, it.stx_btime.tv_nsec));
        Ok(FileId { device: stat.st_dev, inode: stat.st_ino, made: made.unwrap_or_default() })
    }
}

/// Kernels differ in the widths of the two arguments.
fn nanoseconds(seconds: impl Into<i128>, nanoseconds: impl Into<i128>) -> i128 {
    seconds.into() * 1_000_000_000 + nanoseconds.into()
}

/// Like `{:x}`. A listing does this four times for each file, and the formatter is slow with 128 bits.
fn push_hex(out: &mut String, number: i128) {
    let Ok(number) = u64::try_from(number) else {
        write!(out, "{number:x}").unwrap_or_default();
        return;
    };
    let digits = (u64::BITS - number.leading_zeros()).div_ceil(4).max(1);
    #[expect(clippy::cast_possible_truncation, reason = "four bits are taken")]
    let digit = |place: u32| char::from_digit((number >> (4 * place)) as u32 & 0xf, 16);
    out.extend((0..digits).rev().filter_map(digit));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_file_is_worked_on_from_its_making_to_its_last_write() {
        let file = tempfile::tempfile().unwrap();
        let made = file.metadata().unwrap().created().unwrap();
        let worked_on = || Stat::of(&rustix::fs::fstat(&file).unwrap()).worked_on(&file);
        assert!(worked_on() < Duration::from_mins(1));
        let hour = Duration::from_hours(1);
        file.set_modified(made + hour).unwrap();
        assert_eq!(worked_on(), hour);
        // A copy keeps the times of its original.
        file.set_modified(made - hour).unwrap();
        assert_eq!(worked_on(), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn numbers_are_written_as_the_formatter_does(number in any::<i128>(), shift in 0u32..128) {
            let mut out = String::new();
            push_hex(&mut out, number >> shift);
            prop_assert_eq!(out, format!("{:x}", number >> shift));
        }
    }
}
