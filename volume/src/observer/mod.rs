//! Notices every change on the volume and records it in the [journal](crate::journal).
//!
//! A hint is never trusted: it only schedules a check. A change is a difference between the disk and the journal's catalogue. So a late,
//! doubled or lost hint makes nothing wrong, only later: the walk at each start and after lost hints finds the same change. A file counts
//! as arrived when its writer has closed it or renamed it into place, or when it was not written for some seconds.
//!
//! Runs on its own thread, the only writer of the journal.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::journal::JournalError;
use crate::volume::Volume;

mod debounce;
mod event;
mod reconcile;
mod watches;

use event::{Message, ObserverExit, Report, told};
pub use event::{ObserverEvent, Warning};
use reconcile::Reconciler;

/// The first wait after a failure. It doubles with each further failure, up to `LONGEST_PAUSE`.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// Observes a volume until dropped.
#[derive(Debug)]
pub struct Observer {
    inbox: Sender<Message>,
    warning: Arc<Mutex<Option<Warning>>>,
    behind: Arc<Mutex<Option<Instant>>>,
    thread: Option<JoinHandle<()>>,
}

impl Observer {
    /// Starts to observe. `tell` is called on the observer's thread.
    pub fn start(volume: Arc<Volume>, tell: impl Fn(ObserverEvent) + Send + 'static) -> Observer {
        let (inbox, messages) = channel();
        let (warning, behind) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(None)));
        let report = Report {
            warning: Arc::clone(&warning),
            behind: Arc::clone(&behind),
            tell: Box::new(tell),
        };
        let hints = inbox.clone();
        let thread = std::thread::Builder::new()
            .name("observer".to_owned())
            .spawn(move || observe(&volume, &hints, &messages, &report));
        // Without a thread no change is noticed; that is reported as a warning, like other failures.
        let thread = thread
            .map_err(|it| {
                let what = Warning::of_system("changes are not noticed", &it.to_string());
                *warning.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
            })
            .ok();
        Observer { inbox, warning, behind, thread }
    }

    /// How long the oldest known change has waited for the journal; zero when nothing waits.
    pub fn lag(&self) -> Duration {
        let behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        behind.map_or(Duration::ZERO, |it| it.elapsed())
    }

    /// The current warning, if there is one.
    pub fn warning(&self) -> Option<Warning> {
        self.warning.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.inbox.send(Message::Stop).unwrap_or_default();
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has already been reported.
            thread.join().unwrap_or_default();
        }
    }
}

/// Starts again after each failure, until told to stop.
fn observe(
    volume: &Arc<Volume>,
    hints: &Sender<Message>,
    messages: &Receiver<Message>,
    report: &Report,
) {
    let mut pause = FIRST_PAUSE;
    let mut begun_anew: Option<Instant> = None;
    loop {
        let began = Instant::now();
        let end = match Reconciler::new(volume, hints, report) {
            Ok(mut looks) => looks.run(messages),
            Err(error) => ObserverExit::Failed(error),
        };
        let ObserverExit::Failed(error) = end else { return };
        // At once, but at most once in `LONGEST_PAUSE`: a disk that damages every new journal must not be worn out.
        let is_anew = error.is_damage() || matches!(error, JournalError::Replaced);
        if is_anew && begun_anew.is_none_or(|it| it.elapsed() > LONGEST_PAUSE) {
            begun_anew = Some(Instant::now());
            (report.tell)(ObserverEvent::BegunAnew(told(&error)));
            continue;
        }
        if began.elapsed() > LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        report.is_behind(true);
        let what = "changes are not noticed for now";
        report.warn(Some(Warning::of_system(what, &told(&error))));
        // Hints that arrive in this time are dropped: the next walk finds their changes.
        let until = Instant::now() + pause;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            if matches!(messages.recv_timeout(left), Ok(Message::Stop)) {
                return;
            }
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
