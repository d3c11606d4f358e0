//! What was found out about files a moment ago, for answering [again](crate::again).
//!
//! Most of what a small answer costs is finding out all about its file once more. So what was found out is kept for a moment, with
//! the content where that is small, and with the open file where it is not. One look at the file's stamp (a system call) tells
//! whether it is still that version of it. Only the way there is trusted that long: who puts a symbolic link in the place of a
//! *folder* is noticed when the moment is over. Nothing is kept longer, since a deleted file's room is free only when nobody has it
//! open any more.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use volume::{RelPath, Stat};

use crate::answer_head;
use crate::body;
use crate::cross_origin;
use crate::representation::{self, Representation};
use crate::sendfile;

/// How long the way to a file is trusted.
const MOMENT: Duration = Duration::from_secs(1);
/// Bytes of the largest content that is kept.
pub const LARGEST: u64 = 16 * 1024;
/// Bytes of all that is kept, about.
const ROOM: u64 = 8 << 20;
/// Bytes that one takes besides its content, about.
const OVERHEAD: u64 = 4 * 1024;
/// As many bytes an open file counts for, so that there are some thousand at most.
const OPEN_FILE: u64 = 4 * 1024;

/// What is kept, by the paths of requests.
#[derive(Clone, Debug)]
pub struct Recall(Arc<Store>);

#[derive(Debug)]
struct Store {
    known: Cache<Box<str>, Arc<Known>, Weight>,
    /// Whether somebody will come and clear what is old.
    is_looked_after: AtomicBool,
}

/// What was found out about a file that lies behind no link.
#[derive(Debug)]
pub struct Known {
    /// Where it is.
    pub path: RelPath,
    /// Which version it is.
    pub stat: Stat,
    /// The file as it is.
    pub representation: Representation,
    /// What the heads of answers with it have in common, beyond [what all have](common_lines).
    pub lines: Vec<u8>,
    /// Its bytes.
    pub kept: Kept,
    /// When the way there was gone.
    found: Instant,
}

/// Where a file's bytes are.
#[derive(Debug)]
pub enum Kept {
    /// All of them in memory.
    Content(Bytes),
    /// On the volume.
    File {
        /// Open.
        file: Arc<File>,
        /// How long it must have been left alone to be [sent by the kernel](sendfile::rest_of).
        rest: Duration,
    },
}

/// The fields that all answers with files have, whatever they are.
static COMMON: LazyLock<HeaderMap> = LazyLock::new(|| {
    let mut fields = HeaderMap::new();
    representation::set_always(&mut fields);
    cross_origin::open(&mut fields);
    fields
});

/// These fields as lines: in one place that is always at hand, not with each file.
pub fn common_lines() -> &'static [u8] {
    static LINES: LazyLock<Vec<u8>> = LazyLock::new(|| answer_head::lines(&*COMMON));
    &LINES
}

#[derive(Clone, Debug)]
struct Weight;

impl Weighter<Box<str>, Arc<Known>> for Weight {
    fn weight(&self, path: &Box<str>, known: &Arc<Known>) -> u64 {
        let kept = match &known.kept {
            Kept::Content(content) => content.len() as u64,
            Kept::File { .. } => OPEN_FILE,
        };
        path.len() as u64 + OVERHEAD + kept
    }
}

impl Known {
    /// What was found out about a file that has been opened, `found` being when that began.
    pub fn new(
        path: RelPath,
        stat: Stat,
        representation: Representation,
        file: Arc<File>,
        found: Instant,
    ) -> Known {
        let kept = if let Some(content) = body::small(&file, stat.len) {
            Kept::Content(content)
        } else {
            let rest = sendfile::rest_of(&file, &stat);
            Kept::File { file, rest }
        };
        let own = representation.shared().iter().filter(|(name, _)| !COMMON.contains_key(*name));
        let lines = answer_head::lines(own);
        Known { path, stat, representation, lines, kept, found }
    }
}

impl Default for Recall {
    fn default() -> Recall {
        let items = usize::try_from(ROOM / OVERHEAD).unwrap_or_default();
        let known = Cache::with_weighter(items, ROOM, Weight);
        Recall(Arc::new(Store { known, is_looked_after: AtomicBool::new(false) }))
    }
}

impl Recall {
    /// Whether what a request finds out may be kept. A key in an address may not.
    pub fn is_for(method: &Method, uri: &Uri) -> bool {
        matches!(*method, Method::GET | Method::HEAD)
            && uri.query().is_none()
            && uri.path().starts_with("/files/")
    }

    /// What was found out a moment ago.
    pub fn fresh(&self, path: &str, now: Instant) -> Option<Arc<Known>> {
        self.0.known.get(path).filter(|it| now.saturating_duration_since(it.found) < MOMENT)
    }

    /// Keeps what was found out for the requests of a moment.
    pub fn keep(&self, uri: &Uri, known: Known) {
        self.0.known.insert(uri.path().into(), Arc::new(known));
        if !self.0.is_looked_after.swap(true, SeqCst) {
            tokio::spawn(self.clone().look_after());
        }
    }

    /// Lets go what is old, until nothing is left.
    async fn look_after(self) {
        loop {
            tokio::time::sleep(MOMENT).await;
            self.0.known.retain(|_, it| it.found.elapsed() < MOMENT);
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
