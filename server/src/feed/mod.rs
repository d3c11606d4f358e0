//! What changed on the volume, for those who wait for it: the journal, as far as a key goes.
//!
//! [`changes`] answers once, at once or when there is something; [`events`] goes on. Both stand on [`reader`], which
//! knows where a reader is and what they may see.

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

/// How long it may take to close the journal.
const CLOSING: Duration = Duration::from_secs(3);

/// The journal, and word of what comes into it.
#[derive(Debug)]
pub struct Feed {
    volume: Arc<Volume>,
    /// Opened by the first who reads, so that a start does not wait for it. One reads at a time, and the others wait
    /// without a thread: a change wakes all of them at once.
    journal: Arc<tokio::sync::Mutex<Option<Journal>>>,
    /// The place of the last change.
    pub(super) last: watch::Sender<u64>,
    observer: Mutex<Option<Observer>>,
    /// How often hints of what changes were lost.
    overflows: Arc<AtomicU64>,
}

impl Feed {
    /// Over a volume that nobody observes yet.
    pub fn new(volume: Arc<Volume>) -> Feed {
        let (journal, observer) = (Arc::default(), Mutex::default());
        Feed { volume, journal, last: watch::Sender::new(0), observer, overflows: Arc::default() }
    }

    /// Begins to observe the volume, and calls `gone` when something may have left its place; what is amiss goes to the log.
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
                tracing::info!("hints of changes were lost: the volume is walked again");
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

    /// Observes no more, and closes the journal: what stands beside it is written into it.
    pub async fn close(&self) {
        let observer = lock(&self.observer).take();
        let journal = self.journal.lock().await.take();
        let closed = tokio::task::spawn_blocking(move || drop((observer, journal)));
        if tokio::time::timeout(CLOSING, closed).await.is_err() {
            tracing::warn!(
                "the journal was not closed in time; the next start finds what is missing"
            );
        }
    }

    /// What is amiss with it, for the operator.
    pub fn warning(&self) -> Option<Warning> {
        lock(&self.observer).as_ref()?.warning()
    }

    /// How often hints of what changes were lost since the start.
    pub fn overflows(&self) -> u64 {
        self.overflows.load(Relaxed)
    }

    /// For how long the journal has been behind what is known to have changed.
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
                // One that failed is opened anew by the next, who finds a new one if this was damaged.
                Err(error) => drop(opened.put_aside_if_damaged(&volume, error)?),
            }
            result
        });
        let read: Result<T, JournalError> = reading.await.map_err(Problem::internal)?;
        read.map_err(|it| Problem::NoFeed(Arc::new(it)))
    }
}

/// Opens a volume's journal. The log is told if that put a damaged one aside.
pub(crate) fn open(volume: &Volume) -> Result<Journal, JournalError> {
    let mut journal = Journal::open(volume)?;
    if let Some(damage) = journal.take_damage() {
        tracing::warn!("the change journal is begun anew: {damage}");
    }
    Ok(journal)
}
