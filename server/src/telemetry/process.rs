//! Figures of this process from `/proc` (`man 5 proc_pid_stat`).

use rustix::param::clock_ticks_per_second;

/// Processor time that the process has used, in seconds.
pub(crate) fn processor_seconds() -> Option<f64> {
    const USER: usize = 11;
    const SYSTEM: usize = 12;
    Some(seconds(USER)? + seconds(SYSTEM)?)
}

/// A field after the name that is a time, in seconds.
pub(super) fn seconds(word: usize) -> Option<f64> {
    // A few hundred per second; no kernel has more than fits.
    let ticks = u32::try_from(clock_ticks_per_second()).ok()?;
    Some(number_in(&read("/proc/self/stat")?, word)? / f64::from(ticks))
}

/// A field after the name. The name is in parentheses and may contain anything.
fn number_in(stat: &str, word: usize) -> Option<f64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(word)?.parse().ok()
}

/// Reads a file of `/proc`.
#[expect(clippy::disallowed_methods, reason = "the kernel's files are not on the volume")]
pub(crate) fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 1 0 0 0 250 50 0 0 20 0 1 0 4321 0 0";
        assert_eq!(number_in(stat, 19), Some(4321.0));
        assert_eq!(number_in(stat, 11), Some(250.0));
        assert_eq!(number_in("", 19), None);
    }
}
