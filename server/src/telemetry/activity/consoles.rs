//! The consoles that are open, and who sits at them.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;

use crate::sync::lock;

/// A console that has not asked for so long is gone.
const STAYS: Duration = Duration::from_mins(1);

/// Those that asked lately, by what they call themselves.
#[derive(Debug, Default)]
pub(super) struct Consoles(Mutex<BTreeMap<String, Console>>);

#[derive(Debug)]
struct Console {
    number: u32,
    since: Timestamp,
    asked: Instant,
    presence: Presence,
}

/// What a console says of whoever sits at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// When a key was last pressed in it.
    pub touched: Option<Instant>,
    /// The number of the terminal that it draws on, which is no sign of anybody: it draws by itself.
    pub terminal: Option<u32>,
}

/// A console that is open.
#[derive(Clone, Debug, Serialize)]
pub struct ConsoleNow {
    /// As people call it.
    pub number: u32,
    /// Since when.
    pub since: Timestamp,
}

impl Consoles {
    /// One asks: it is there. It may say who sits at it. Returns its number.
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

    /// One says good-bye.
    pub(super) fn end(&self, id: &str) {
        lock(&self.0).remove(id);
    }

    /// Those that are open.
    pub(super) fn open(&self) -> Vec<ConsoleNow> {
        let mut consoles: Vec<_> = lock(&self.0)
            .values()
            .filter(|it| it.is_open())
            .map(|it| ConsoleNow { number: it.number, since: it.since })
            .collect();
        consoles.sort_by_key(|it| it.number);
        consoles
    }

    /// Who sits at them.
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
