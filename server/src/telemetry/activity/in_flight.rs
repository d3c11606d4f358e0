//! A request that is under way.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use http::Method;
use serde::Serialize;

use crate::auth::caller::Caller;
use crate::routes::Route;
use crate::sync::{lock, micros};

/// A request that is under way.
#[derive(Debug)]
pub struct InFlight {
    /// Which shard accounts for it.
    pub(super) shard: usize,
    /// Its position among the shard's, until it ends.
    pub(super) position: usize,
    /// Its own.
    pub(super) number: u64,
    is_first: bool,
    began: Instant,
    method: Method,
    path: String,
    pub(super) route: Route,
    client: IpAddr,
    /// Set once, when it is known who asks.
    caller: OnceLock<Caller>,
    /// The part that was asked for, where it is not the whole.
    range: Mutex<Option<String>>,
    /// How many bytes there will be, where that is known.
    expected: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
    /// Of the answer; 0 before there is one.
    status: AtomicU16,
}

/// What a request says about whether the service is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    /// Nothing: it is a stranger's, a look at the health, or not known yet.
    None,
    /// Somebody with business here wants to be told of changes. That alone keeps nothing awake, however long or often it
    /// is asked: it would be for ever.
    Told,
    /// It is needed while this lasts, and for a while after.
    Work,
}

/// A request that is under way.
#[derive(Clone, Debug, Serialize)]
pub struct OpenNow {
    /// Its own number.
    pub seq: u64,
    /// Of the request.
    pub method: String,
    /// Clean, percent-encoded, without a key.
    pub path: String,
    /// The part that was asked for, where it is not the whole.
    pub range: Option<String>,
    /// Whose key it came with.
    pub username: Option<String>,
    /// Where it came from.
    pub client: IpAddr,
    /// For how long, in milliseconds.
    pub millis: u64,
    /// Bytes that went out.
    pub sent: u64,
    /// Bytes that came in.
    pub received: u64,
    /// How many bytes there will be, where that is known.
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
    /// One that has come in just now. Its shard gives it its position.
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

    /// Of the request.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Clean, percent-encoded, without a key.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where it came from.
    pub fn client(&self) -> IpAddr {
        self.client
    }

    /// Says who asks, once that is known.
    pub fn is_from(&self, caller: &Caller) {
        self.caller.get_or_init(|| caller.clone());
    }

    pub(super) fn caller(&self) -> Option<&Caller> {
        self.caller.get()
    }

    /// The name of whoever asks, for the log.
    pub fn user(&self) -> Option<&str> {
        self.caller()?.user()
    }

    /// How many bytes there will be, and which part of the file they are.
    pub fn expect(&self, bytes: Option<u64>, range: Option<&str>) {
        self.expected.fetch_max(bytes.unwrap_or(0), Relaxed);
        if let Some(range) = range {
            *lock(&self.range) = Some(range.to_owned());
        }
    }

    /// Whether it is the first of all.
    pub fn is_first(&self) -> bool {
        self.is_first
    }

    /// How long it has been under way.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// When it came in.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// It has an answer.
    pub(super) fn is_answered(&self, status: u16) {
        self.status.store(status, Relaxed);
    }

    /// Whether it has none yet, and may be one that counts.
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

    /// Whether it is told of changes as they come.
    pub(super) fn is_stream(&self) -> bool {
        self.path == "/events"
    }
}

impl Demand {
    /// A good key makes a request count, whatever becomes of it; without one, only an answer that has something public
    /// to tell of. `/health` and what is tried at doors have neither.
    pub(super) fn of(method: &Method, path: &str, status: u16, has_key: bool) -> Demand {
        match (is_of_the_feed(path), has_key) {
            (true, true) => Demand::Told,
            (true, false) => Demand::None,
            (false, true) => Demand::Work,
            (false, false) => {
                let is_of_the_tree = ["/files/", "/share/"].iter().any(|it| path.starts_with(it));
                let is_look = matches!(*method, Method::GET | Method::HEAD);
                // Redirects and preflights are answered without a look at what is there.
                let is_there = matches!(status, 200..300 | 304 | 412 | 416);
                if is_of_the_tree && is_look && is_there { Demand::Work } else { Demand::None }
            }
        }
    }
}

fn is_of_the_feed(path: &str) -> bool {
    matches!(path, "/events" | "/changes")
}
