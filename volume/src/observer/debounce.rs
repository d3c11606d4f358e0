//! Debounces file events: which paths may have changed, and when to check each of them.
//!
//! Pure: knows times and paths, no disk. A file that is still being written is checked once nobody has written to it for [`STILL`]. A file
//! that its writer has closed is checked after [`SETTLING`], so that the changes of times and mode that often follow are in.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::{Duration, Instant};

use crate::path::RelPath;

/// The wait after a file was closed or renamed into place.
const SETTLING: Duration = Duration::from_millis(50);
/// The wait after a write to a file that nobody has closed.
pub(crate) const STILL: Duration = Duration::from_secs(3);
/// The wait after a name was removed. In this time a move is found at its new name, so it is not reported as a removal.
const MOVING: Duration = Duration::from_millis(200);

/// What the hints so far say about a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pending {
    /// The file is complete.
    Arrived,
    /// A client may still be writing it.
    Written,
    /// The name was removed.
    Gone,
}

#[derive(Debug, Default)]
pub(crate) struct Debouncer {
    by_path: HashMap<RelPath, Scheduled>,
    /// At least one entry for each path, none later than its due time.
    queue: BinaryHeap<Reverse<(Instant, RelPath)>>,
}

#[derive(Clone, Copy, Debug)]
struct Scheduled {
    suspicion: Pending,
    due: Instant,
    /// The earliest of its entries in the queue.
    queued: Instant,
}

impl Debouncer {
    /// Schedules a check after a file was closed, written or removed.
    pub(crate) fn note(&mut self, path: RelPath, suspicion: Pending, now: Instant) {
        let wait = match suspicion {
            Pending::Arrived => SETTLING,
            Pending::Written => STILL,
            Pending::Gone => MOVING,
        };
        self.set(path, suspicion, now + wait);
    }

    /// Schedules a check after a change of properties. A file that is being written keeps waiting; a closed one waits again, since more
    /// changes may follow.
    pub(crate) fn touch(&mut self, path: RelPath, now: Instant) {
        match self.by_path.get(&path).map(|it| it.suspicion) {
            Some(Pending::Written) => {}
            Some(Pending::Arrived | Pending::Gone) | None => {
                self.note(path, Pending::Arrived, now);
            }
        }
    }

    /// Schedules a check for a recently changed file that a walk or a check found. A path that has hints of its own is left as it is:
    /// hints know more.
    pub(crate) fn find(&mut self, path: RelPath, still_at: Instant) {
        if !self.by_path.contains_key(&path) {
            self.set(path, Pending::Written, still_at);
        }
    }

    /// The next time a path is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.queue.peek().map(|Reverse((due, _))| *due)
    }

    /// Removes and returns a path that is due.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<(RelPath, Pending)> {
        while self.next_due().is_some_and(|it| it <= now) {
            let Reverse((queued, path)) = self.queue.pop()?;
            let Some(suspect) = self.by_path.get_mut(&path) else { continue };
            if suspect.due <= now {
                let suspicion = suspect.suspicion;
                self.by_path.remove(&path);
                return Some((path, suspicion));
            }
            if suspect.queued == queued {
                suspect.queued = suspect.due;
                self.queue.push(Reverse((suspect.due, path)));
            }
        }
        None
    }

    fn set(&mut self, path: RelPath, suspicion: Pending, due: Instant) {
        let Some(suspect) = self.by_path.get_mut(&path) else {
            self.queue.push(Reverse((due, path.clone())));
            self.by_path.insert(path, Scheduled { suspicion, due, queued: due });
            return;
        };
        suspect.suspicion = suspicion;
        suspect.due = due;
        if due < suspect.queued {
            suspect.queued = due;
            self.queue.push(Reverse((due, path)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> RelPath {
        RelPath::from_plain(name.as_bytes()).unwrap()
    }

    struct Clock {
        suspects: Debouncer,
        start: Instant,
    }

    impl Clock {
        fn new() -> Clock {
            Clock { suspects: Debouncer::default(), start: Instant::now() }
        }

        fn at(&self, milliseconds: u64) -> Instant {
            self.start + Duration::from_millis(milliseconds)
        }

        /// The paths that are due, in order.
        fn due(&mut self, milliseconds: u64) -> Vec<(String, Pending)> {
            let now = self.at(milliseconds);
            std::iter::from_fn(|| self.suspects.take_due(now))
                .map(|(path, suspicion)| (path.to_url(), suspicion))
                .collect()
        }
    }

    #[test]
    fn a_file_is_looked_at_once_when_its_writer_has_closed_it() {
        let mut clock = Clock::new();
        for time in (0..10_000).step_by(10) {
            let now = clock.at(time);
            clock.suspects.note(path("a"), Pending::Written, now);
            assert!(clock.due(time).is_empty(), "at {time}");
        }
        let now = clock.at(10_000);
        clock.suspects.note(path("a"), Pending::Arrived, now);
        assert!(clock.due(10_049).is_empty());
        let now = clock.at(10_049);
        clock.suspects.touch(path("a"), now);
        assert!(clock.due(10_098).is_empty());
        assert_eq!(clock.due(10_099), [("a".to_owned(), Pending::Arrived)]);
        assert!(clock.due(100_000).is_empty());
        assert_eq!((clock.suspects.by_path.len(), clock.suspects.next_due()), (0, None));
    }

    #[test]
    fn a_file_that_nobody_closes_is_looked_at_when_it_is_still() {
        let mut clock = Clock::new();
        let now = clock.at(0);
        clock.suspects.note(path("a"), Pending::Written, now);
        let now = clock.at(2_000);
        clock.suspects.note(path("a"), Pending::Written, now);
        clock.suspects.touch(path("a"), now);
        assert!(clock.due(4_999).is_empty());
        assert_eq!(clock.due(5_000), [("a".to_owned(), Pending::Written)]);
    }

    #[test]
    fn what_a_walk_finds_waits_until_it_is_still_but_does_not_hold_up_what_was_closed() {
        let mut clock = Clock::new();
        let (now, still) = (clock.at(0), clock.at(3_000));
        clock.suspects.note(path("closed"), Pending::Arrived, now);
        for name in ["closed", "found"] {
            clock.suspects.find(path(name), still);
        }
        assert_eq!(clock.due(60), [("closed".to_owned(), Pending::Arrived)]);
        assert_eq!(clock.due(3_000), [("found".to_owned(), Pending::Written)]);
    }

    #[test]
    fn the_queue_holds_no_more_than_the_paths_need() {
        let mut clock = Clock::new();
        for time in 0..100_000 {
            let now = clock.at(time);
            clock.suspects.note(path("a"), Pending::Written, now);
            clock.due(time);
        }
        assert!(clock.suspects.queue.len() <= 2, "{}", clock.suspects.queue.len());
    }
}
