//! The open consoles, and the presence of their users.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;

use crate::sync::lock;

/// A console that has sent no request for this long counts as closed.
const STAYS: Duration = Duration::from_mins(1);

/// The consoles, by the ID that each sends.
#[derive(Debug, Default)]
pub(super) struct Consoles(Mutex<BTreeMap<String, Console>>);

#[derive(Debug)]
struct Console {
    number: u32,
    since: Timestamp,
    asked: Instant,
    presence: Presence,
}

/// What a console reports about its user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// When a key was last pressed in it.
    pub touched: Option<Instant>,
    /// Device number of its terminal. Activity of that terminal is no sign of a user, because the console itself draws on it.
    pub terminal: Option<u32>,
}

/// An open console.
#[derive(Clone, Debug, Serialize)]
pub struct ConsoleNow {
    /// Its number, for people.
    pub number: u32,
    /// When it was opened.
    pub since: Timestamp,
}

impl Consoles {
    /// A console sends a request, perhaps with the presence of its user. Returns the console's number.
    pub(super) fn asks(&self, id: &str, presence: Option<Presence>) -> u32 {
        let mut consoles = lock(&self.0);
        consoles.retain(|_, it| it.is_open());
        let free = (1..=u32::MAX).find(|it| consoles.values().all(|other| other.number != *it));
        let now = Instant::now();
        let fresh = Console {
            number: free.unwrap_or(1),
            since: Timestamp::now(),
            asked: now,
            presence: Presence::default(),
        };
        let console = consoles.entry(id.to_owned()).or_insert(fresh);
        console.asked = now;
        console.presence = presence.unwrap_or(console.presence);
        console.number
    }

    /// A console has ended.
    pub(super) fn end(&self, id: &str) {
        lock(&self.0).remove(id);
    }

    /// The open consoles.
    pub(super) fn open(&self) -> Vec<ConsoleNow> {
        let mut consoles: Vec<_> = lock(&self.0)
            .values()
            .filter(|it| it.is_open())
            .map(|it| ConsoleNow { number: it.number, since: it.since })
            .collect();
        consoles.sort_by_key(|it| it.number);
        consoles
    }

    /// The presence of their users.
    pub(super) fn presences(&self) -> Vec<Presence> {
        lock(&self.0).values().filter(|it| it.is_open()).map(|it| it.presence).collect()
    }
}

impl Console {
    fn is_open(&self) -> bool {
        self.asked.elapsed() < STAYS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consoles_have_small_numbers() {
        let consoles = Consoles::default();
        assert_eq!(["a", "b", "a"].map(|it| consoles.asks(it, None)), [1, 2, 1]);
        consoles.end("a");
        assert_eq!(consoles.asks("c", None), 1);
        assert_eq!(consoles.open().len(), 2);
    }
}
