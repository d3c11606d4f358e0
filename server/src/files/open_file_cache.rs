//! What was found out about files a moment ago, for answering [again](crate::files::cached_response).
//!
//! Most of what a small answer costs is finding out all about its file once more. So what was found out is kept for a moment, with
//! the open file, and with its content where that is small. One look at the stamp of the open file (a system call) tells whether it
//! is still that version: who writes to it, replaces it, moves or deletes it changes that. What happens to a *folder* on the way it
//! does not tell. When something on the volume is said to have left its place, the look goes the way there instead; only a link in
//! a folder's place is noticed no earlier than when the moment is over. Nothing is kept longer, since a deleted file's room is free
//! only when nobody has it open any more.

use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use volume::{RelPath, Stat, Volume};

use crate::files::file_body;
use crate::files::representation::{self, Representation};
use crate::http::cors;
use crate::net::fast_path::response_head;
use crate::net::sendfile;

/// How long the way to a file is trusted.
const MOMENT: Duration = Duration::from_secs(1);
/// Bytes of the largest content that is kept.
pub(crate) const LARGEST: u64 = 16 * 1024;
/// Bytes of all that is kept, about.
const ROOM: u64 = 8 << 20;
/// Bytes that one takes besides its content, about. There are some thousand at most, each with an open file.
const OVERHEAD: u64 = 4 * 1024;

/// What is kept, by the paths of requests.
#[derive(Clone, Debug)]
pub struct OpenFileCache(Arc<Store>);

#[derive(Debug)]
struct Store {
    known: Cache<Box<str>, Arc<CachedFile>, Weight>,
    /// How often something was said to have left its place.
    doubts: AtomicU64,
    /// Whether somebody will come and clear what is old.
    is_looked_after: AtomicBool,
}

/// What was found out about a file that lies behind no link.
#[derive(Debug)]
pub struct CachedFile {
    /// Where it is.
    pub path: RelPath,
    /// The request's path, [as the log shows it](crate::telemetry::redact).
    pub shown: String,
    /// Which version it is.
    pub stat: Stat,
    /// The file as it is.
    pub representation: Representation,
    /// What the heads of answers with it have in common, beyond [what all have](common_lines).
    pub lines: Vec<u8>,
    /// Open.
    pub file: Arc<File>,
    /// Its bytes.
    pub kept: Content,
    /// When the way there was gone.
    found: Epoch,
}

/// When something was found out.
#[derive(Clone, Copy, Debug)]
pub struct Epoch {
    began: Instant,
    doubts: u64,
}

/// Where a file's bytes are.
#[derive(Debug)]
pub enum Content {
    /// All of them.
    InMemory(Bytes),
    /// None of them.
    OnDisk {
        /// How long it must have been left alone to be [sent by the kernel](sendfile::quiet_period).
        rest: Duration,
    },
}

/// The fields that all answers with files have, whatever they are.
static COMMON: LazyLock<HeaderMap> = LazyLock::new(|| {
    let mut fields = HeaderMap::new();
    representation::set_always(&mut fields);
    cors::open(&mut fields);
    fields
});

/// These fields as lines: in one place that is always at hand, not with each file.
pub(crate) fn common_lines() -> &'static [u8] {
    static LINES: LazyLock<Vec<u8>> = LazyLock::new(|| response_head::lines(&*COMMON));
    &LINES
}

#[derive(Clone, Debug)]
struct Weight;

impl Weighter<Box<str>, Arc<CachedFile>> for Weight {
    fn weight(&self, path: &Box<str>, known: &Arc<CachedFile>) -> u64 {
        let kept = match &known.kept {
            Content::InMemory(content) => content.len() as u64,
            Content::OnDisk { .. } => 0,
        };
        path.len() as u64 + OVERHEAD + kept
    }
}

impl CachedFile {
    /// What was found out about a file that has been opened, beginning at a moment.
    pub fn new(
        (path, shown): (RelPath, String),
        stat: Stat,
        representation: Representation,
        file: Arc<File>,
        found: Epoch,
    ) -> CachedFile {
        let is_small = stat.len <= LARGEST;
        let content = is_small.then(|| file_body::small(&file, stat.len)).flatten();
        let kept = match content {
            Some(content) => Content::InMemory(content),
            None => Content::OnDisk { rest: sendfile::quiet_period(&file, &stat) },
        };
        let own = representation.shared().iter().filter(|(name, _)| !COMMON.contains_key(*name));
        let lines = response_head::lines(own);
        CachedFile { path, shown, stat, representation, lines, file, kept, found }
    }
}

impl Default for OpenFileCache {
    fn default() -> OpenFileCache {
        OpenFileCache::of(u64::MAX)
    }
}

impl OpenFileCache {
    /// With so many open files at most.
    pub fn of(files: u64) -> OpenFileCache {
        let files = files.min(ROOM / OVERHEAD);
        let items = usize::try_from(files).unwrap_or_default();
        let known = Cache::with_weighter(items, files * OVERHEAD, Weight);
        let (doubts, is_looked_after) = (AtomicU64::new(0), AtomicBool::new(false));
        OpenFileCache(Arc::new(Store { known, doubts, is_looked_after }))
    }

    /// Whether what a request finds out may be kept. A key in an address may not.
    pub fn is_for(method: &Method, uri: &Uri) -> bool {
        matches!(*method, Method::GET | Method::HEAD)
            && uri.query().is_none()
            && uri.path().starts_with("/files/")
    }

    /// What was found out a moment ago.
    pub fn get(&self, path: &str, now: Instant) -> Option<Arc<CachedFile>> {
        self.0.known.get(path).filter(|it| now.saturating_duration_since(it.found.began) < MOMENT)
    }

    /// Whether a file is still there, and the version that is known.
    pub fn is_current(&self, known: &CachedFile, volume: &Volume) -> bool {
        let is_trusted = known.found.doubts == self.0.doubts.load(SeqCst);
        let now = if is_trusted { Stat::of_open(&known.file) } else { volume.glance(&known.path) };
        now == Some(known.stat)
    }

    /// Something has left its place, so ways that were gone before may lead nowhere.
    pub fn invalidate(&self) {
        self.0.doubts.fetch_add(1, SeqCst);
    }

    /// Closes all that is kept open: what is removed from the volume now is to give its room back.
    pub fn let_go(&self) {
        self.0.known.clear();
    }

    /// Now, for what is going to be found out.
    pub fn moment(&self) -> Epoch {
        Epoch { began: Instant::now(), doubts: self.0.doubts.load(SeqCst) }
    }

    /// Keeps what was found out for the requests of a moment.
    pub fn insert(&self, uri: &Uri, known: CachedFile) {
        self.0.known.insert(uri.path().into(), Arc::new(known));
        if !self.0.is_looked_after.swap(true, SeqCst) {
            tokio::spawn(self.clone().look_after());
        }
    }

    /// Lets go what is old, until nothing is left.
    async fn look_after(self) {
        loop {
            tokio::time::sleep(MOMENT).await;
            self.0.known.retain(|_, it| it.found.began.elapsed() < MOMENT);
            if !self.0.known.is_empty() {
                continue;
            }
            self.0.is_looked_after.store(false, SeqCst);
            // Something may have come just now, whose request saw that it is looked after.
            if self.0.known.is_empty() || self.0.is_looked_after.swap(true, SeqCst) {
                return;
            }
        }
    }
}
