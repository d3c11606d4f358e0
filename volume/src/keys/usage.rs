//! When each key was last used, for those who look after the keys.
//!
//! Changes with every request, so it has a file of its own beside the keys file. Keys are named by their [ids](crate::keys::HashedKey::id).
//! If the file is lost, only this history is lost.

use std::collections::BTreeMap;
use std::io;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};

use crate::layout::KEY_USE_FILE;
use crate::small_file;
use crate::volume::Volume;

/// The largest file that is read, in bytes. Usually it has a few kilobytes.
const LARGEST: u64 = 16 << 20;

/// The last use of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUse {
    /// The time of the last request.
    pub last: Timestamp,
    /// The method and path of the last request.
    pub what: String,
    /// The client's address.
    pub from: String,
    /// The day that `today` counts, in UTC.
    pub day: Date,
    /// The number of requests on that day.
    pub today: u64,
    /// The number of requests on each of the six days before it, the nearest day first.
    #[serde(default)]
    pub before: [u64; 6],
}

/// The last use of each key, by the key's id.
pub type KeyUses = BTreeMap<String, KeyUse>;

impl KeyUse {
    /// Adds a number of requests of one day to what is known. `last`, `what` and `from` describe the last of them.
    pub fn after(
        known: Option<&KeyUse>,
        requests: u64,
        last: Timestamp,
        what: String,
        from: String,
    ) -> KeyUse {
        let day = Offset::UTC.to_datetime(last).date();
        let counts = known.map_or([0; 7], |it| it.counts(day));
        let [today, before @ ..] = counts;
        KeyUse { last, what, from, day, today: today + requests, before }
    }

    /// The number of requests on a day.
    pub fn of_day(&self, day: Date) -> u64 {
        let [today, ..] = self.counts(day);
        today
    }

    /// The number of requests on a day and the six days before it.
    pub fn of_week(&self, day: Date) -> u64 {
        self.counts(day).iter().sum()
    }

    /// The number of requests on a day and each of the six days before it, the nearest day first.
    fn counts(&self, day: Date) -> [u64; 7] {
        let mut counts = [0; 7];
        // If the clock was set back, the recorded count is continued.
        let later = usize::try_from((day - self.day).get_days().max(0)).unwrap_or(usize::MAX);
        let known = std::iter::once(&self.today).chain(&self.before);
        for (count, known) in counts.iter_mut().skip(later).zip(known) {
            *count = *known;
        }
        counts
    }
}

impl Volume {
    /// The recorded uses; empty where there is no file or its text can't be parsed.
    pub fn key_uses(&self) -> io::Result<KeyUses> {
        let text = small_file::read(self, KEY_USE_FILE, LARGEST)?.unwrap_or_default();
        Ok(serde_json::from_slice(&text).unwrap_or_default())
    }

    /// Replaces the file, by one rename.
    pub fn write_key_uses(&self, uses: &KeyUses) -> io::Result<()> {
        small_file::replace(self, KEY_USE_FILE, &serde_json::to_vec(uses)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_has_seven_days() {
        let mut known = None;
        let mut check = |when: &str, (today, week)| {
            let when: Timestamp = when.parse().unwrap();
            let fresh = KeyUse::after(known.as_ref(), 1, when, String::new(), String::new());
            assert_eq!((fresh.today, fresh.of_week(fresh.day)), (today, week), "{when}");
            known = Some(fresh);
        };
        check("2026-11-20T10:00:00Z", (1, 1));
        check("2026-11-20T23:59:59Z", (2, 2));
        check("2026-11-21T00:00:00Z", (1, 3));
        check("2026-11-26T00:00:00Z", (1, 4));
        check("2026-11-27T00:00:00Z", (1, 3));
        check("2027-03-01T00:00:00Z", (1, 1));
        check("2027-02-28T00:00:00Z", (2, 2));
        let known = known.unwrap();
        let day = |text: &str| text.parse().unwrap();
        assert_eq!((known.of_day(day("2027-03-02")), known.of_week(day("2027-03-02"))), (0, 2));
    }

    #[test]
    fn what_an_older_service_wrote_is_read() {
        let text = r#"{"last":"2026-11-24T14:00:00Z","what":"GET /","from":"::1","day":"2026-11-24","today":3}"#;
        let known: KeyUse = serde_json::from_str(text).unwrap();
        assert_eq!(known.of_week("2026-11-25".parse().unwrap()), 3);
    }
}
