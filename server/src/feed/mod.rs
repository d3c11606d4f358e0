//! What changed on the volume, for those who wait for it: the journal, as far as a key goes.
//!
//! [`changes`] answers once, at once or when there is something; [`events`] goes on. Both stand on [`Following`], which
//! knows where a reader is and what they may see.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::FromRequestParts;
use http::request::Parts;
use tokio::sync::watch;
use volume::journal::{Cursor, Journal, JournalError, Page};
use volume::observer::{News, Observer, Warning};
use volume::{RelPath, Volume};

use crate::app::App;
use crate::auth::caller::{self, Caller, Purpose};
use crate::extract::path;
use crate::extract::query;
use crate::problem::Problem;
use crate::sync::lock;

pub mod changes;
pub mod events;
mod fold;
mod row;

use fold::Fold;
use row::Row;

/// Changes read from the journal at a time.
const BATCH: usize = 1000;
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
    last: watch::Sender<u64>,
    observer: Mutex<Option<Observer>>,
    /// How often hints of what changes were lost.
    overflows: Arc<AtomicU64>,
}

/// A reader: where they are, and what they may see.
#[derive(Debug)]
pub struct Following {
    app: Arc<App>,
    caller: Caller,
    /// Only what lies in this folder.
    folder: RelPath,
    is_folded: bool,
    /// None before they said where to begin.
    cursor: Option<Cursor>,
}

/// Some changes that a reader sees.
struct Batch {
    is_fresh: bool,
    rows: Vec<Row>,
    cursor: Cursor,
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
            News::Changed(seq) => {
                last.send_replace(seq);
            }
            News::Walked { folders, took } => {
                let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                tracing::info!(folders, millis, "the volume has been walked");
            }
            News::Gone => gone(),
            News::HintsLost => {
                gone();
                overflows.fetch_add(1, Relaxed);
                tracing::info!("hints of changes were lost: the volume is walked again");
            }
            News::BegunAnew(why) => {
                tracing::warn!(
                    "the change journal is begun anew, and the volume walked again: {why}"
                );
            }
            News::Warning(what) => tracing::warn!("{}", what.whole),
            News::AllIsWell => tracing::info!("changes are noticed again"),
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

    async fn read<T: Send + 'static>(
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
pub fn open(volume: &Volume) -> Result<Journal, JournalError> {
    let mut journal = Journal::open(volume)?;
    if let Some(damage) = journal.take_damage() {
        tracing::warn!("the change journal is begun anew: {damage}");
    }
    Ok(journal)
}

impl FromRequestParts<Arc<App>> for Following {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Following, Problem> {
        let query = parts.uri.query();
        let folder = match query::value(query, "path") {
            None => RelPath::root(),
            Some(path) => RelPath::normalize(&path)?,
        };
        let is_folded = match query::value(query, "fold").as_deref() {
            None => false,
            Some(b"folder") => true,
            Some(_) => {
                return Err(Problem::BadQuery("`fold` is `folder`, or left out.".to_owned()));
            }
        };
        let since = query::value(query, "since");
        let cursor = since.as_deref().filter(|it| !it.is_empty()).map(parse_cursor).transpose()?;
        let key = caller::key_in(&parts.headers);
        let caller = path::caller(parts, app, key, Purpose::Read, &folder).await?;
        caller.may_follow(&folder)?;
        Ok(Following { app: Arc::clone(app), caller, folder, is_folded, cursor })
    }
}

impl Following {
    /// What is there behind the cursor, at most so many; moves the cursor behind it.
    ///
    /// Fails where the key was taken away meanwhile.
    async fn next(&mut self, limit: usize) -> Result<Batch, Problem> {
        self.caller = self.caller.by_now(&self.app);
        self.caller.may_follow(&self.folder)?;
        let mut cursor = match self.cursor {
            Some(cursor) => cursor,
            None => self.app.feed.read(Journal::now).await?,
        };
        let mut fold = self.is_folded.then(Fold::default);
        let mut rows = Vec::new();
        let mut is_fresh = false;
        let sight = Arc::new(self.caller.sight(&self.folder));
        'pages: loop {
            let within = Arc::clone(&sight);
            let page: Page = self.app.feed.read(move |it| it.since(cursor, BATCH, &within)).await?;
            is_fresh |= page.is_fresh;
            for change in &page.changes {
                let may_see = |path: &RelPath| {
                    path.is_within(&self.folder) && self.caller.may_read(path).is_ok()
                };
                let is_full = |rows: usize| rows >= limit;
                if let Some(seen) = row::Seen::of(change, may_see) {
                    match &mut fold {
                        // Only one that begins a new row can be too many.
                        Some(fold) if is_full(fold.len()) && !fold.takes(&seen) => break 'pages,
                        Some(fold) => fold.add(seen),
                        None if is_full(rows.len()) => break 'pages,
                        None => rows.push(Row::of(&seen)),
                    }
                }
                cursor = change.cursor();
            }
            cursor = page.cursor;
            if page.is_end {
                break;
            }
        }
        self.cursor = Some(cursor);
        let rows = fold.map_or(rows, Fold::into_rows);
        Ok(Batch { is_fresh, rows, cursor })
    }
}

fn parse_cursor(text: &[u8]) -> Result<Cursor, Problem> {
    let bad = || {
        Problem::BadQuery("Invalid `since`: it is not a cursor that was given out here.".to_owned())
    };
    std::str::from_utf8(text).ok().and_then(|it| it.parse().ok()).ok_or_else(bad)
}
