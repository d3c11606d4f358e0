//! The change feed: the volume's journal, as far as a caller may see it.
//!
//! [`changes`] responds once, at once or as soon as there is a change; [`events`] is a stream. Both use [`reader`], which knows the
//! client's cursor and what the caller may see.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use volume::Volume;
use volume::journal::{Journal, JournalError};
use volume::observer::{Observer, ObserverEvent, Warning};

use crate::problem::Problem;
use crate::sync::lock;

pub(crate) mod changes;
pub(crate) mod events;
mod fold;
mod reader;
mod row;

/// Longest time for closing the journal at shutdown.
const CLOSING: Duration = Duration::from_secs(3);

/// The journal, and notifications of new changes in it.
#[derive(Debug)]
pub struct Feed {
    volume: Arc<Volume>,
    /// Opened by the first reader, so that the start does not wait for it. One reader at a time; the others wait without a thread, because
    /// a change wakes all of them at once.
    journal: Arc<tokio::sync::Mutex<Option<Journal>>>,
    /// Sequence number of the last change.
    pub(super) last: watch::Sender<u64>,
    observer: Mutex<Option<Observer>>,
    /// How many times the kernel's event queue overflowed, so that changes had to be searched for.
    overflows: Arc<AtomicU64>,
}

impl Feed {
    /// A feed for a volume that is not observed yet.
    pub fn new(volume: Arc<Volume>) -> Feed {
        let (journal, observer) = (Arc::default(), Mutex::default());
        Feed { volume, journal, last: watch::Sender::new(0), observer, overflows: Arc::default() }
    }

    /// Starts observing the volume. Calls `gone` when something may have been moved or removed. Problems are logged.
    pub fn observe(&self, gone: impl Fn() + Send + 'static) {
        let (last, overflows) = (self.last.clone(), Arc::clone(&self.overflows));
        let tell = move |news| match news {
            ObserverEvent::Changed(seq) => {
                last.send_replace(seq);
            }
            ObserverEvent::Walked { folders, took } => {
                let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                tracing::info!(folders, millis, "the volume has been walked");
            }
            ObserverEvent::Gone => gone(),
            ObserverEvent::HintsLost => {
                gone();
                overflows.fetch_add(1, Relaxed);
                tracing::info!(
                    "notifications of changes were lost: the whole volume is checked for changes again"
                );
            }
            ObserverEvent::BegunAnew(why) => {
                tracing::warn!(
                    "the change journal is begun anew, and the volume walked again: {why}"
                );
            }
            ObserverEvent::Warning(what) => tracing::warn!("{}", what.whole),
            ObserverEvent::AllIsWell => tracing::info!("changes are noticed again"),
        };
        let observer = Observer::start(Arc::clone(&self.volume), tell);
        *lock(&self.observer) = Some(observer);
    }

    /// Stops observing, and closes the journal, which moves its write-ahead log into the main file.
    pub async fn close(&self) {
        let observer = lock(&self.observer).take();
        let journal = self.journal.lock().await.take();
        let closed = tokio::task::spawn_blocking(move || drop((observer, journal)));
        if tokio::time::timeout(CLOSING, closed).await.is_err() {
            tracing::warn!(
                "the journal was not closed in time; the next start finds the missing changes"
            );
        }
    }

    /// A warning for the operator, if something is wrong with it.
    pub fn warning(&self) -> Option<Warning> {
        lock(&self.observer).as_ref()?.warning()
    }

    /// How many times hints of changes were lost since the start.
    pub fn overflows(&self) -> u64 {
        self.overflows.load(Relaxed)
    }

    /// How far the journal is behind the known changes.
    pub fn lag(&self) -> Duration {
        let observer = lock(&self.observer);
        observer.as_ref().map_or(Duration::ZERO, Observer::lag)
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Journal) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, Problem> {
        let volume = Arc::clone(&self.volume);
        let mut journal = Arc::clone(&self.journal).lock_owned().await;
        let reading = tokio::task::spawn_blocking(move || {
            let opened = match journal.take().filter(Journal::is_in_force) {
                Some(opened) => opened,
                None => open(&volume)?,
            };
            let result = read(&opened);
            match &result {
                Ok(_) => *journal = Some(opened),
                // After a failed read, the next reader opens the journal again. If this one was damaged, that is a new one.
                Err(error) => drop(opened.put_aside_if_damaged(&volume, error)?),
            }
            result
        });
        let read: Result<T, JournalError> = reading.await.map_err(Problem::internal)?;
        read.map_err(|it| Problem::NoFeed(Arc::new(it)))
    }
}

/// Opens a volume's journal. Logs if a damaged one was set aside.
pub(crate) fn open(volume: &Volume) -> Result<Journal, JournalError> {
    let mut journal = Journal::open(volume)?;
    if let Some(damage) = journal.take_damage() {
        tracing::warn!("the change journal is begun anew: {damage}");
    }
    Ok(journal)
}
