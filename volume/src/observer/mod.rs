//! Notices whatever changes the volume, and writes it into the [journal](crate::journal).
//!
//! One rule makes it right: a hint only causes a look, and a change is what a look finds to differ from the catalogue.
//! So a hint that is late, doubled or lost makes nothing wrong, only later: the walk at each start, and after hints
//! were lost, finds the same. A file counts as arrived when its writer has closed it or renamed it into place, or when
//! it has been still for some seconds.
//!
//! Runs on a thread of its own, which is the only one to write the journal.

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

/// After a failure, and after failures that go on.
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
    /// Begins to observe. `tell` is called on the observer's thread.
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
        // Without a thread nothing is observed, which is a warning like any other.
        let thread = thread
            .map_err(|it| {
                let what = Warning::of_system("changes are not noticed", &it.to_string());
                *warning.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
            })
            .ok();
        Observer { inbox, warning, behind, thread }
    }

    /// For how long the journal has been behind what is known to have changed; zero where it is not.
    pub fn lag(&self) -> Duration {
        let behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        behind.map_or(Duration::ZERO, |it| it.elapsed())
    }

    /// What is amiss, if anything is.
    pub fn warning(&self) -> Option<Warning> {
        self.warning.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.inbox.send(Message::Stop).unwrap_or_default();
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so itself.
            thread.join().unwrap_or_default();
        }
    }
}

/// Begins anew after each failure, for as long as it takes.
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
        // Once, and again after a while: a disk that damages one after the other is not to be worn out.
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
        // What hints say meanwhile, the walk will find.
        let until = Instant::now() + pause;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            if matches!(messages.recv_timeout(left), Ok(Message::Stop)) {
                return;
            }
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
