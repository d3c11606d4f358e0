//! What an observer hears and tells.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::journal::JournalError;
use crate::observer::watches::Hint;

/// What an observer tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObserverEvent {
    /// There are changes in the journal, up to this place.
    Changed(u64),
    /// The walk at the start is over: all that changed while nobody observed is in the journal.
    Walked {
        /// Folders that were looked at.
        folders: u64,
        /// How long it took.
        took: Duration,
    },
    /// Something has left its place, perhaps: told at once, before anybody looks.
    Gone,
    /// Hints were lost: all is walked again.
    HintsLost,
    /// The journal was damaged or is gone: a new one is begun, and all is walked again. Why.
    BegunAnew(String),
    /// Something is amiss, in words for the operator.
    Warning(Warning),
    /// Nothing is amiss any more.
    AllIsWell,
}

pub(super) enum Message {
    Hint(Hint),
    Stop,
}

/// Why observing broke off.
pub(super) enum ObserverExit {
    Stopped,
    Failed(JournalError),
}

/// What is amiss with noticing changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// In words that anyone may read: they tell nothing of what is on the volume.
    pub public: String,
    /// The whole of it, with the paths and words of the system, for the operator.
    pub whole: String,
}

impl Warning {
    /// One that has nothing to hide.
    pub(super) fn open(what: String) -> Warning {
        Warning { public: what.clone(), whole: what }
    }

    /// One that the system gave a reason for.
    pub(super) fn of_system(what: &str, why: &str) -> Warning {
        Warning { public: format!("{what}: the log says why"), whole: format!("{what}: {why}") }
    }
}

pub(super) struct Report {
    pub(super) warning: Arc<Mutex<Option<Warning>>>,
    /// Since when there is something that was not looked at, if there is.
    pub(super) behind: Arc<Mutex<Option<Instant>>>,
    pub(super) tell: Box<dyn Fn(ObserverEvent) + Send>,
}

impl Report {
    /// Says whether there is something that was not looked at.
    pub(super) fn is_behind(&self, is_so: bool) {
        let mut behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        *behind = is_so.then(|| behind.unwrap_or_else(Instant::now));
    }

    /// Says what is amiss, or that nothing is; the same only once.
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

/// An error with its cause.
pub(super) fn told(error: &JournalError) -> String {
    let cause = std::error::Error::source(error).map_or(String::new(), |it| format!(": {it}"));
    format!("{error}{cause}")
}
