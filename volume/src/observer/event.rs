//! The values that go into the observer and the events that it reports.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::journal::JournalError;
use crate::observer::watches::Hint;

/// An event that an observer reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObserverEvent {
    /// The journal has new changes, up to this sequence number.
    Changed(u64),
    /// A walk has finished, at the start or after lost hints: every change that was missed is in the journal.
    Walked {
        /// Number of folders that were read.
        folders: u64,
        /// Duration of the walk.
        took: Duration,
    },
    /// A name may have been removed. Sent at once, before the disk is checked.
    Gone,
    /// Hints were lost, so the whole volume is walked again.
    HintsLost,
    /// The journal was damaged or removed. A new one was started and the whole volume is walked again. Holds the reason.
    BegunAnew(String),
    /// Something is wrong; the text is for the operator.
    Warning(Warning),
    /// The last warning no longer applies.
    AllIsWell,
}

pub(super) enum Message {
    Hint(Hint),
    Stop,
}

/// Why observing ended.
pub(super) enum ObserverExit {
    Stopped,
    Failed(JournalError),
}

/// A problem with noticing changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Text for anyone: it reveals nothing of what is on the volume.
    pub public: String,
    /// Text for the operator, with paths and the system's error message.
    pub whole: String,
}

impl Warning {
    /// A warning without private details.
    pub(super) fn open(what: String) -> Warning {
        Warning { public: what.clone(), whole: what }
    }

    /// A warning whose system error is kept for the operator.
    pub(super) fn of_system(what: &str, why: &str) -> Warning {
        Warning { public: format!("{what}: the log says why"), whole: format!("{what}: {why}") }
    }
}

pub(super) struct Report {
    pub(super) warning: Arc<Mutex<Option<Warning>>>,
    /// Since when a known change waits for its check; `None` when nothing waits.
    pub(super) behind: Arc<Mutex<Option<Instant>>>,
    pub(super) tell: Box<dyn Fn(ObserverEvent) + Send>,
}

impl Report {
    /// Records whether a known change waits for its check.
    pub(super) fn is_behind(&self, is_so: bool) {
        let mut behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        *behind = is_so.then(|| behind.unwrap_or_else(Instant::now));
    }

    /// Reports a warning, or that there is none any more. The same state is reported only once.
    pub(super) fn warn(&self, what: Option<Warning>) {
        let mut warning = self.warning.lock().unwrap_or_else(PoisonError::into_inner);
        if *warning == what {
            return;
        }
        warning.clone_from(&what);
        drop(warning);
        (self.tell)(what.map_or(ObserverEvent::AllIsWell, ObserverEvent::Warning));
    }
}

/// The error and its cause as one text.
pub(super) fn told(error: &JournalError) -> String {
    let cause = std::error::Error::source(error).map_or(String::new(), |it| format!(": {it}"));
    format!("{error}{cause}")
}
