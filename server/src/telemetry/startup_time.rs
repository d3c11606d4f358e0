//! Start-up time, measured from the start of the process by the kernel: a client that wakes the machine waits for that long.

use std::sync::OnceLock;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::telemetry::process;

/// Index of the field with the process's start time, among those after its name (`man 5 proc_pid_stat`).
const BEGAN: usize = 19;

/// Times of a start, accurate to a hundredth of a second, as the kernel reports them.
#[derive(Debug, Default)]
pub struct StartupTime {
    ready: OnceLock<Duration>,
    first_answer: OnceLock<Duration>,
}

impl StartupTime {
    /// Connections are accepted from now on.
    pub fn is_ready(&self) {
        keep_age(&self.ready);
    }

    /// A response begins. Only the first one counts.
    pub fn answers(&self) {
        keep_age(&self.first_answer);
    }

    /// Time until connections were accepted, and until the first response began.
    pub fn lengths(&self) -> (Option<Duration>, Option<Duration>) {
        (self.ready.get().copied(), self.first_answer.get().copied())
    }
}

fn keep_age(kept: &OnceLock<Duration>) {
    if kept.get().is_none()
        && let Some(age) = age()
    {
        // Two threads may get here at once; the first one counts.
        kept.get_or_init(|| age);
    }
}

fn age() -> Option<Duration> {
    let began = Duration::from_secs_f64(process::seconds(BEGAN)?);
    let now = clock_gettime(ClockId::Boottime);
    let now = Duration::new(u64::try_from(now.tv_sec).ok()?, u32::try_from(now.tv_nsec).ok()?);
    Some(now.saturating_sub(began))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_answer_is_kept() {
        let launch = StartupTime::default();
        assert_eq!(launch.lengths(), (None, None));
        launch.is_ready();
        launch.answers();
        let first = launch.lengths();
        assert!(first.0.is_some() && first.0 <= first.1, "{first:?}");
        launch.answers();
        assert_eq!(launch.lengths(), first);
    }
}
