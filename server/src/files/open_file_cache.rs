//! The open-file cache: files that were read within the last second, for [responses at once](crate::files::cached_response).
//!
//! For a small response, most of the work is to look up its file. So the result is cached for a second, with the open file, and with its
//! content if that is small. One `fstat` of the open file shows whether it is still the same version: writing to it, replacing, moving or
//! deleting it changes its stamp. A change to a *folder* on its path does not. So after [`OpenFileCache::invalidate`], the path is looked
//! up again instead. Only a link that has replaced a folder may go unnoticed until the entry expires. Entries live no longer than a second,
//! because a deleted file's space is free only after everyone has closed it. Authorization is never cached.

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

/// Lifetime of an entry.
const MOMENT: Duration = Duration::from_secs(1);
/// Largest content that is cached, in bytes.
pub(crate) const LARGEST: u64 = 16 * 1024;
/// Capacity of the cache in bytes, about.
const ROOM: u64 = 8 << 20;
/// Bytes of an entry besides its content, about. This bounds the cache to 2,048 entries, each with an open file.
const OVERHEAD: u64 = 4 * 1024;

/// The cache. Its keys are the paths of requests.
#[derive(Clone, Debug)]
pub struct OpenFileCache(Arc<Store>);

#[derive(Debug)]
struct Store {
    known: Cache<Box<str>, Arc<CachedFile>, Weight>,
    /// Number of calls of `invalidate`.
    doubts: AtomicU64,
    /// Whether the task that evicts old entries is running.
    is_looked_after: AtomicBool,
}

/// A cache entry: what was found out about a file that was reached without links.
#[derive(Debug)]
pub struct CachedFile {
    /// Where the file is.
    pub path: RelPath,
    /// The request's path, [as the log shows it](crate::telemetry::redact).
    pub shown: String,
    /// The version.
    pub stat: Stat,
    /// The representation without a content coding.
    pub representation: Representation,
    /// Header fields that all responses with this file share, as lines, without the [common ones](common_lines).
    pub lines: Vec<u8>,
    /// The open file.
    pub file: Arc<File>,
    /// The content, if it is small.
    pub kept: Content,
    /// When the path was looked up.
    found: Epoch,
}

/// A point in time for the cache.
#[derive(Clone, Copy, Debug)]
pub struct Epoch {
    began: Instant,
    doubts: u64,
}

/// Where a file's content is.
#[derive(Debug)]
pub enum Content {
    /// In memory, whole.
    InMemory(Bytes),
    /// Only in the file.
    OnDisk {
        /// How long it must be unchanged before the kernel may [send it](sendfile::quiet_period).
        rest: Duration,
    },
}

/// The header fields that every response with a file has.
static COMMON: LazyLock<HeaderMap> = LazyLock::new(|| {
    let mut fields = HeaderMap::new();
    representation::set_always(&mut fields);
    cors::open(&mut fields);
    fields
});

/// These fields as lines, stored once and not with each entry.
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
    /// An entry for an opened file. `found` is the time before its look-up. Reads the content if it is small and in the page cache.
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
    /// A cache with at most this many open files.
    pub fn of(files: u64) -> OpenFileCache {
        let files = files.min(ROOM / OVERHEAD);
        let items = usize::try_from(files).unwrap_or_default();
        let known = Cache::with_weighter(items, files * OVERHEAD, Weight);
        let (doubts, is_looked_after) = (AtomicU64::new(0), AtomicBool::new(false));
        OpenFileCache(Arc::new(Store { known, doubts, is_looked_after }))
    }

    /// Whether the result of a request may be cached. It must not be if its URL may contain a key.
    pub fn is_for(method: &Method, uri: &Uri) -> bool {
        matches!(*method, Method::GET | Method::HEAD)
            && uri.query().is_none()
            && uri.path().starts_with("/files/")
    }

    /// The entry for a path, if it has not expired.
    pub fn get(&self, path: &str, now: Instant) -> Option<Arc<CachedFile>> {
        self.0.known.get(path).filter(|it| now.saturating_duration_since(it.found.began) < MOMENT)
    }

    /// Whether the file is still at its path, in the cached version.
    pub fn is_current(&self, known: &CachedFile, volume: &Volume) -> bool {
        let is_trusted = known.found.doubts == self.0.doubts.load(SeqCst);
        let now = if is_trusted { Stat::of_open(&known.file) } else { volume.glance(&known.path) };
        now == Some(known.stat)
    }

    /// Something was moved or deleted on the volume, so cached paths must be looked up again.
    pub fn invalidate(&self) {
        self.0.doubts.fetch_add(1, SeqCst);
    }

    /// Closes all cached files, so that the space of files deleted now is freed.
    pub fn let_go(&self) {
        self.0.known.clear();
    }

    /// The current point in time, to be taken before a look-up.
    pub fn moment(&self) -> Epoch {
        Epoch { began: Instant::now(), doubts: self.0.doubts.load(SeqCst) }
    }

    /// Adds an entry.
    pub fn insert(&self, uri: &Uri, known: CachedFile) {
        self.0.known.insert(uri.path().into(), Arc::new(known));
        if !self.0.is_looked_after.swap(true, SeqCst) {
            tokio::spawn(self.clone().look_after());
        }
    }

    /// Evicts expired entries until none are left.
    async fn look_after(self) {
        loop {
            tokio::time::sleep(MOMENT).await;
            self.0.known.retain(|_, it| it.found.began.elapsed() < MOMENT);
            if !self.0.known.is_empty() {
                continue;
            }
            self.0.is_looked_after.store(false, SeqCst);
            // An entry may have been added in between, by a request that saw this task still running.
            if self.0.known.is_empty() || self.0.is_looked_after.swap(true, SeqCst) {
                return;
            }
        }
    }
}
