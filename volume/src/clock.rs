//! Whether this machine's clock can be trusted, as far as a volume can tell.
//!
//! A clock may be years off, mostly from a start until it is set. Then everything seems old enough to be removed. Nothing here knows the
//! right time. But each clean-up records its time, and the next one checks whether the clock has jumped since: backwards, or ahead by more
//! than days. A machine that slept for weeks looks the same. After a jump nothing is removed for its age until the clock has run for a day
//! without another.

use std::io;

use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use crate::layout::TIDIED_FILE;
use crate::small_file;
use crate::volume::Volume;

/// The longest step that is not a jump. A running service cleans up every hour; a service that slept longer than this looks like a jump.
const LONGEST_STEP_HOURS: i64 = 3 * 24;
/// How long the clock must run without a jump.
const STEADY_HOURS: i64 = 24;
/// The largest file that is read, in bytes. It has two lines.
const LARGEST: u64 = 4 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Tidied {
    last: Timestamp,
    no_jump_since: Timestamp,
}

/// Whether things may be removed for their age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// They may: the clock has run without a jump for a day.
    Steady,
    /// Not yet: less than a day has passed since the first record or the last jump.
    New,
    /// Not now: the clock has just jumped.
    Jumped,
}

impl Volume {
    /// Checks the clock against the last recorded time, and records `now`.
    pub fn clock(&self, now: Timestamp) -> io::Result<Clock> {
        let text = small_file::read(self, TIDIED_FILE, LARGEST)?.unwrap_or_default();
        // A file that can't be parsed counts as none.
        let before = serde_json::from_slice(&text).ok();
        let tidied = Tidied::next(before, now);
        small_file::replace(self, TIDIED_FILE, &serde_json::to_vec_pretty(&tidied)?)?;
        Ok(match before {
            _ if tidied.is_steady() => Clock::Steady,
            Some(_) if tidied.no_jump_since == now => Clock::Jumped,
            _ => Clock::New,
        })
    }
}

impl Tidied {
    fn next(before: Option<Tidied>, now: Timestamp) -> Tidied {
        let went_on = |it: &Tidied| {
            let latest = it.last.checked_add(LONGEST_STEP_HOURS.hours());
            it.no_jump_since <= it.last && it.last <= now && latest.is_ok_and(|it| now <= it)
        };
        let no_jump_since = before.filter(went_on).map_or(now, |it| it.no_jump_since);
        Tidied { last: now, no_jump_since }
    }

    fn is_steady(&self) -> bool {
        self.last.duration_since(self.no_jump_since).as_hours() >= STEADY_HOURS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether things may be removed for their age after clean-ups at these hours.
    fn check(hours: &[i64], expected: bool) {
        let start: Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
        let tidied =
            hours.iter().fold(None, |before, it| Some(Tidied::next(before, start + it.hours())));
        assert_eq!(tidied.unwrap().is_steady(), expected, "{hours:?}");
    }

    #[test]
    fn nothing_goes_by_age_before_the_clock_has_gone_on_for_a_day() {
        const YEAR: i64 = 365 * 24;
        check(&[0], false);
        check(&[0, 23], false);
        check(&[0, 12, 24], true);
        // The service sleeps from Friday to Monday.
        check(&[0, 24, 24 + 70], true);
        check(&[0, 24, YEAR], false);
        check(&[0, 24, YEAR, YEAR + 1], false);
        // The clock is set to the right time.
        check(&[0, 24, YEAR, 25], false);
        check(&[0, 24, YEAR, 25, 26], false);
        check(&[0, 24, YEAR, 25, 26, 49], true);
        // The clock runs backwards.
        check(&[0, 24, 23], false);
        check(&[0, 24, -YEAR], false);
    }
}
