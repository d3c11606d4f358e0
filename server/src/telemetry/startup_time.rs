//! How long a start takes, reckoned from where the kernel began the process: whoever woke the machine waits for that.

use std::sync::OnceLock;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Parts of a second in which the kernel tells programs the times of processes, on every machine of today.
const TICKS: f64 = 100.0;
/// Which of the words behind a process's name says when it began (`man 5 proc_pid_stat`).
const BEGAN: usize = 19;

/// What is known of a start. Right to a hundredth of a second, as the kernel tells it.
#[derive(Debug, Default)]
pub struct Launch {
    ready: OnceLock<Duration>,
    first_answer: OnceLock<Duration>,
}

impl Launch {
    /// Connections are accepted from now on.
    pub fn is_ready(&self) {
        keep_age(&self.ready);
    }

    /// An answer begins. The first counts.
    pub fn answers(&self) {
        keep_age(&self.first_answer);
    }

    /// Until connections were accepted, and until the first answer began.
    pub fn lengths(&self) -> (Option<Duration>, Option<Duration>) {
        (self.ready.get().copied(), self.first_answer.get().copied())
    }
}

fn keep_age(kept: &OnceLock<Duration>) {
    if kept.get().is_none()
        && let Some(age) = age()
    {
        // Of two at once one is first.
        kept.get_or_init(|| age);
    }
}

/// How old the process is.
fn age() -> Option<Duration> {
    let began = Duration::from_secs_f64(ticks(BEGAN)? / TICKS);
    let now = clock_gettime(ClockId::Boottime);
    let now = Duration::new(u64::try_from(now.tv_sec).ok()?, u32::try_from(now.tv_nsec).ok()?);
    Some(now.saturating_sub(began))
}

/// Seconds that the process has had of the processors.
pub fn processor_seconds() -> Option<f64> {
    const USER: usize = 11;
    const SYSTEM: usize = 12;
    Some((ticks(USER)? + ticks(SYSTEM)?) / TICKS)
}

fn ticks(word: usize) -> Option<f64> {
    number_in(&read("/proc/self/stat")?, word)
}

/// A word behind the name, which stands in parentheses and may hold anything.
fn number_in(stat: &str, word: usize) -> Option<f64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(word)?.parse().ok()
}

/// A file of the kernel's.
#[expect(clippy::disallowed_methods, reason = "the kernel's files are not on the volume")]
pub fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 1 0 0 0 250 50 0 0 20 0 1 0 4321 0 0";
        assert_eq!(number_in(stat, BEGAN), Some(4321.0));
        assert_eq!(number_in(stat, 11), Some(250.0));
        assert_eq!(number_in("", BEGAN), None);
    }

    #[test]
    fn the_first_answer_is_kept() {
        let launch = Launch::default();
        assert_eq!(launch.lengths(), (None, None));
        launch.is_ready();
        launch.answers();
        let first = launch.lengths();
        assert!(first.0.is_some() && first.0 <= first.1, "{first:?}");
        launch.answers();
        assert_eq!(launch.lengths(), first);
    }
}
