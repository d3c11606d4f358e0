//! Answers that were given a moment ago, given again if the file is still the same.
//!
//! Most of what a small answer costs is finding out all about its file once more. So what was found out is kept for a moment, with
//! the content where that is small. One look at the file's stamp (a system call) tells whether it is still that version of it, and
//! the caller's key is looked at as ever. Only the way there is trusted that long: who puts a symbolic link in the place of a
//! *folder* is noticed when the moment is over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Uri};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use volume::{RelPath, Stat};

use crate::representation::Representation;

/// How long the way to a file is trusted.
const MOMENT: Duration = Duration::from_secs(1);
/// Bytes of the largest content that is kept.
pub const LARGEST: u64 = 16 * 1024;
/// Bytes of all that is kept, about.
const ROOM: u64 = 8 << 20;
/// Bytes that one takes besides its content, about.
const OVERHEAD: u64 = 3 * 1024;

/// What is kept, by the paths of requests.
#[derive(Debug)]
pub struct Recall(Cache<Box<str>, Arc<Known>, Weight>);

/// What was found out about a file that lies behind no link.
#[derive(Debug)]
pub struct Known {
    /// Where it is.
    pub path: RelPath,
    /// Which version it is.
    pub stat: Stat,
    /// The file as it is.
    pub representation: Representation,
    /// Its bytes; none where they are many.
    pub content: Option<Bytes>,
    /// When the way there was gone.
    pub found: Instant,
}

#[derive(Clone, Debug)]
struct Weight;

impl Weighter<Box<str>, Arc<Known>> for Weight {
    fn weight(&self, path: &Box<str>, known: &Arc<Known>) -> u64 {
        path.len() as u64 + OVERHEAD + known.content.as_ref().map_or(0, |it| it.len() as u64)
    }
}

impl Default for Recall {
    fn default() -> Recall {
        let items = usize::try_from(ROOM / OVERHEAD).unwrap_or_default();
        Recall(Cache::with_weighter(items, ROOM, Weight))
    }
}

impl Recall {
    /// Whether what a request finds out may be kept, or may have been. A key in an address may not.
    pub fn is_for(method: &Method, uri: &Uri) -> bool {
        matches!(*method, Method::GET | Method::HEAD)
            && uri.query().is_none()
            && uri.path().starts_with("/files/")
    }

    /// What was found out a moment ago.
    pub fn fresh(&self, method: &Method, uri: &Uri) -> Option<Arc<Known>> {
        if !Recall::is_for(method, uri) {
            return None;
        }
        self.0.get(uri.path()).filter(|it| it.found.elapsed() < MOMENT)
    }

    /// Keeps what was found out for the requests of a moment.
    pub fn keep(&self, uri: &Uri, known: Known) {
        self.0.insert(uri.path().into(), Arc::new(known));
    }
}
