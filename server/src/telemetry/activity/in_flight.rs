//! Requests in flight.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use http::Method;
use serde::Serialize;

use crate::auth::caller::Caller;
use crate::routes::Route;
use crate::sync::{lock, micros};

/// A request in flight.
#[derive(Debug)]
pub struct InFlight {
    /// The shard that accounts for it.
    pub(super) shard: usize,
    /// Its index in the shard, until it ends.
    pub(super) position: usize,
    /// Its unique number.
    pub(super) number: u64,
    is_first: bool,
    began: Instant,
    method: Method,
    path: String,
    pub(super) route: Route,
    client: IpAddr,
    /// Set once, when the caller is identified.
    caller: OnceLock<Caller>,
    /// `Content-Range` of the response, if it is a part of a file.
    range: Mutex<Option<String>>,
    /// Length of the body that is being transferred, if known. Otherwise 0.
    expected: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
    /// The response's status; 0 while there is none.
    status: AtomicU16,
}

/// What a request says about whether the service is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    /// Nothing: it has no valid key and nothing public to read, is about the service's health, or is not decided yet.
    None,
    /// A caller with a valid key wants to be notified of changes. That alone keeps nothing awake, no matter how long or how often, because
    /// it would never end.
    Told,
    /// The service is needed as long as this request lasts, and for a while after it.
    Work,
}

/// A request in flight, as operators see it.
#[derive(Clone, Debug, Serialize)]
pub struct OpenNow {
    /// Its unique number.
    pub seq: u64,
    /// The request's method.
    pub method: String,
    /// Clean, percent-encoded, without a key.
    pub path: String,
    /// `Content-Range` of the response, if it is a part of a file.
    pub range: Option<String>,
    /// The user of its key.
    pub username: Option<String>,
    /// The client's address.
    pub client: IpAddr,
    /// Its age in milliseconds.
    pub millis: u64,
    /// Bytes sent.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
    /// Length of the body that is being transferred, if known.
    pub expected: Option<u64>,
}

impl OpenNow {
    pub(super) fn of(open: &InFlight) -> OpenNow {
        let expected = open.expected.load(Relaxed);
        OpenNow {
            seq: open.number,
            method: open.method.to_string(),
            path: open.path.clone(),
            range: lock(&open.range).clone(),
            username: open.user().map(str::to_owned),
            client: open.client,
            millis: micros(open.began.elapsed()) / 1000,
            sent: open.sent.load(Relaxed),
            received: open.received.load(Relaxed),
            expected: (expected > 0).then_some(expected),
        }
    }
}

impl InFlight {
    /// A request that has just arrived. Its shard sets position and number.
    pub(super) fn new(
        method: &Method,
        path: String,
        client: IpAddr,
        shard: usize,
        is_first: bool,
    ) -> InFlight {
        InFlight {
            shard,
            position: 0,
            number: 0,
            is_first,
            began: Instant::now(),
            method: method.clone(),
            route: Route::of(&path),
            path,
            client,
            caller: OnceLock::new(),
            range: Mutex::default(),
            expected: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            status: AtomicU16::new(0),
        }
    }

    /// The request's method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Clean, percent-encoded, without a key.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The client's address.
    pub fn client(&self) -> IpAddr {
        self.client
    }

    /// Records the caller. Only the first call counts.
    pub fn is_from(&self, caller: &Caller) {
        self.caller.get_or_init(|| caller.clone());
    }

    pub(super) fn caller(&self) -> Option<&Caller> {
        self.caller.get()
    }

    /// The caller's name, for the log.
    pub fn user(&self) -> Option<&str> {
        self.caller()?.user()
    }

    /// Records the length of the body, and the range if it is a part of a file.
    pub fn expect(&self, bytes: Option<u64>, range: Option<&str>) {
        self.expected.fetch_max(bytes.unwrap_or(0), Relaxed);
        if let Some(range) = range {
            *lock(&self.range) = Some(range.to_owned());
        }
    }

    /// Whether it is the service's first request.
    pub fn is_first(&self) -> bool {
        self.is_first
    }

    /// Its age.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Records the status of its response.
    pub(super) fn is_answered(&self, status: u16) {
        self.status.store(status, Relaxed);
    }

    /// Whether it has no response yet and may turn out to count.
    pub(super) fn is_undecided(&self) -> bool {
        self.status.load(Relaxed) == 0 && !is_of_the_feed(&self.path)
    }

    pub(super) fn need(&self) -> Demand {
        let has_key = self.caller().and_then(Caller::key).is_some();
        Demand::of(&self.method, &self.path, self.status.load(Relaxed), has_key)
    }

    pub(super) fn is_upload(&self) -> bool {
        matches!(self.method, Method::PUT | Method::PATCH | Method::POST)
    }

    /// Whether it is a stream of changes.
    pub(super) fn is_stream(&self) -> bool {
        self.path == "/events"
    }
}

impl Demand {
    /// A request with a valid key counts, whatever its outcome. Without a key, it counts only if something public is there. `/health` and
    /// attempts at other URLs do not count.
    pub(super) fn of(method: &Method, path: &str, status: u16, has_key: bool) -> Demand {
        match (is_of_the_feed(path), has_key) {
            (true, true) => Demand::Told,
            (true, false) => Demand::None,
            (false, true) => Demand::Work,
            (false, false) => {
                let is_of_the_tree = ["/files/", "/share/"].iter().any(|it| path.starts_with(it));
                let is_look = matches!(*method, Method::GET | Method::HEAD);
                // Redirects and preflights are sent without a look-up, so they do not count.
                let is_there = matches!(status, 200..300 | 304 | 412 | 416);
                if is_of_the_tree && is_look && is_there { Demand::Work } else { Demand::None }
            }
        }
    }
}

fn is_of_the_feed(path: &str) -> bool {
    matches!(path, "/events" | "/changes")
}
