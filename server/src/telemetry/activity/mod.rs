//! The current activity of the service, for its operators.
//!
//! Each thread accounts for the requests that it serves: with one short lock when a request begins and one when it ends, which no other
//! thread wants unless somebody reads. A reader combines the accounts of all threads. Nothing here runs in the background: a service
//! without requests sleeps.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use http::Method;
use jiff::Timestamp;
use volume::keys::usage::KeyUses;

use crate::routes::Route;
use crate::sync::lock;
use crate::telemetry::counters::Counters;
use crate::telemetry::request_counters::RequestCounters;

mod callers;
mod consoles;
mod finished;
mod in_flight;
mod key_usage;
mod rates;
mod recent;
mod shard;

pub(crate) use consoles::{ConsoleNow, Presence};
pub(crate) use finished::{Ended, Immediate};
pub(crate) use in_flight::{InFlight, OpenNow};
pub(crate) use rates::Rates;
pub(crate) use recent::Recent;

use consoles::Consoles;
use finished::{Finished, RequestInfo};
use in_flight::Demand;
use key_usage::KeyUsage;
use rates::Sums;
use recent::CompletionOrder;
use shard::Shards;

/// How long a failure because of permissions is reported.
const KEPT_OUT_TOLD: Duration = Duration::from_hours(1);
/// The period for the disk's trend.
const TREND: Duration = Duration::from_mins(5);

/// The accounting of a service.
///
/// Aligned, so that it shares no cache line with the reference count beside it, which changes with many requests.
#[derive(Debug)]
#[repr(align(128))]
pub struct Activity {
    started: Instant,
    /// When the service started.
    pub since: Timestamp,
    /// Locked for a few instructions when a request begins and ends; locked one after another for reading.
    shards: Shards,
    /// Whether there has been any request. Written once.
    has_begun: AtomicBool,
    /// Whether there has been any request that counts. Written about once.
    is_wanted: AtomicBool,
    /// Locked for reading, before the shards.
    order: Mutex<CompletionOrder>,
    /// Locked for reading, before the shards.
    key_uses: Mutex<KeyUsage>,
    consoles: Consoles,
    disk: Mutex<VecDeque<(Instant, u64)>>,
    /// Counters other than those of requests.
    pub counted: Counters,
    /// When file permissions last prevented the service from doing what a request asked for.
    kept_out: Mutex<Option<Instant>>,
}

/// The demand of requests that keeps the service awake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Whether there has been any request that counts.
    pub is_wanted: bool,
    /// Responses in flight that count.
    pub downloads: usize,
    /// Request bodies in flight that count.
    pub uploads: usize,
    /// Requests without a response so far, so that it is not known whether they count.
    pub undecided: usize,
    /// When the last request that counts ended.
    pub needed: Option<Instant>,
}

/// Number of requests in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnderWay {
    /// All.
    pub all: usize,
    /// Those that may upload something.
    pub uploads: usize,
    /// Streams of changes.
    pub streams: usize,
}

impl Default for Activity {
    fn default() -> Activity {
        Activity {
            started: Instant::now(),
            since: Timestamp::now(),
            shards: Shards::default(),
            has_begun: AtomicBool::new(false),
            is_wanted: AtomicBool::new(false),
            order: Mutex::default(),
            key_uses: Mutex::default(),
            consoles: Consoles::default(),
            disk: Mutex::default(),
            counted: Counters::default(),
            kept_out: Mutex::default(),
        }
    }
}

/// Accounting, by the threads that serve requests.
impl Activity {
    /// A request has arrived. Its path must not contain a key.
    pub fn begin(&self, method: &Method, path: String, client: IpAddr) -> Arc<InFlight> {
        let shard = self.shards.mine();
        let open = InFlight::new(method, path, client, shard, self.begins());
        self.shards.at(shard).begin(open)
    }

    /// Bytes of a response were sent.
    pub fn sent(&self, open: &InFlight, bytes: u64) {
        open.sent.fetch_add(bytes, Relaxed);
        let second = self.second(Instant::now());
        self.shards.at(open.shard).sent(open.route, second, bytes);
    }

    /// Bytes of a request's body were received.
    pub fn received(&self, open: &InFlight, bytes: u64) {
        open.received.fetch_add(bytes, Relaxed);
        let second = self.second(Instant::now());
        self.shards.at(open.shard).received(open.route, second, bytes);
    }

    /// A response begins. `kind` is its [kind](crate::telemetry::counters::range_kind), if it is one with a file.
    pub fn answered(&self, open: &InFlight, status: u16, kind: Option<&'static str>) {
        open.is_answered(status);
        if open.need() != Demand::None {
            self.want();
        }
        self.counted.launch.answers();
        if let Some(kind) = kind {
            self.shards.at(open.shard).tally.answered(kind);
        }
    }

    /// A request has ended.
    pub fn end(&self, open: &Arc<InFlight>, ended: Ended) {
        // A request that broke off before its response counts by its key.
        let need = open.need();
        if need != Demand::None {
            self.want();
        }
        let at = open.began() + ended.took;
        let over = Finished { at, ended, request: RequestInfo::InFlight(Arc::clone(open)) };
        let mut ledger = self.shards.at(open.shard);
        ledger.end(open);
        ledger.over(over, open.route, self.second(at), need);
    }

    /// A request whose response was sent at once: as if it had begun, been answered and ended. For the very first request, use `begin`,
    /// because there is [more to log](crate::telemetry::wake_log).
    pub fn passed(&self, passed: Immediate<'_>) {
        self.passed_by(passed, Timestamp::now());
    }

    /// The same for a caller that knows the time.
    pub(crate) fn passed_by(&self, passed: Immediate<'_>, time: Timestamp) {
        let Immediate { method, path, caller, status, kind, sent, .. } = passed;
        self.begins();
        let need = Demand::of(method, path, status, caller.key().is_some());
        if need != Demand::None {
            self.want();
        }
        self.counted.launch.answers();
        let (route, at) = (Route::of(path), passed.began + passed.took);
        let (second, path) = (self.second(at), Arc::from(path));
        let mut ledger = self.shards.at(self.shards.mine());
        let request = passed.asked(path, ledger.callers.hold(caller));
        if let Some(kind) = kind {
            ledger.tally.answered(kind);
        }
        ledger.sent(route, second, sent);
        let over = Finished { at, ended: passed.ended(time), request };
        ledger.over(over, route, second, need);
    }

    /// File permissions prevented the service from doing what a request asked for.
    pub fn kept_out(&self) {
        *lock(&self.kept_out) = Some(Instant::now());
    }

    /// Counts the beginning of a request. Returns whether it is the first one.
    fn begins(&self) -> bool {
        // Read first: reading a value that no thread writes costs no wait.
        !self.has_begun.load(Relaxed) && !self.has_begun.swap(true, Relaxed)
    }

    /// A request that counts has arrived.
    fn want(&self) {
        if !self.is_wanted.load(Relaxed) {
            self.is_wanted.store(true, Relaxed);
        }
    }

    /// Seconds from the start to an instant.
    fn second(&self, moment: Instant) -> u64 {
        moment.saturating_duration_since(self.started).as_secs()
    }
}

/// Reading, for operators, metrics and the idle shutdown.
impl Activity {
    /// The demand of requests that keeps the service awake.
    pub fn work(&self) -> Work {
        let mut work = Work::default();
        for ledger in self.shards.each() {
            work.needed = work.needed.max(ledger.needed);
            for open in ledger.open() {
                match open.need() {
                    Demand::Work if open.is_upload() => work.uploads += 1,
                    Demand::Work => work.downloads += 1,
                    Demand::None if open.is_undecided() => work.undecided += 1,
                    Demand::None | Demand::Told => {}
                }
            }
        }
        // Read after the shards: a request that was seen as ended there has set it before.
        Work { is_wanted: self.is_wanted.load(Relaxed), ..work }
    }

    /// Number of requests in flight.
    pub fn under_way(&self) -> UnderWay {
        let mut under_way = UnderWay::default();
        for ledger in self.shards.each() {
            for open in ledger.open() {
                under_way.all += 1;
                under_way.uploads += usize::from(open.is_upload());
                under_way.streams += usize::from(open.is_stream());
            }
        }
        under_way
    }

    /// The last use of each key.
    pub fn key_uses(&self) -> KeyUses {
        self.uses().known.clone()
    }

    /// Adds the uses of keys from before the start.
    pub fn remember(&self, uses: KeyUses) {
        let mut ours = lock(&self.key_uses);
        for (key, old) in uses {
            ours.known.entry(key).or_insert(old);
        }
    }

    /// The uses of keys, if they have changed since the last call, for storing them.
    pub fn take_changed_key_uses(&self) -> Option<KeyUses> {
        let mut uses = self.uses();
        std::mem::take(&mut uses.are_changed).then(|| uses.known.clone())
    }

    /// The requests in flight, oldest first.
    pub fn open(&self) -> Vec<OpenNow> {
        let mut open: Vec<Arc<InFlight>> = Vec::new();
        for ledger in self.shards.each() {
            open.extend(ledger.open().cloned());
        }
        open.sort_by_key(|it| (it.began(), it.number));
        open.iter().map(|it| OpenNow::of(it)).collect()
    }

    /// The ended requests, from a sequence number on.
    pub fn recent(&self, since: u64) -> Vec<Recent> {
        lock(&self.order).recent(&self.shards, since)
    }

    /// Rates of the last five minutes in a number of parts, oldest first, and latencies over all of them.
    pub fn figures(&self, parts: usize) -> Rates {
        let mut sums = Sums::new(self.second(Instant::now()), parts);
        for ledger in self.shards.each() {
            sums.add(&ledger.seconds);
        }
        sums.figures()
    }

    /// Counters for requests since the start.
    pub(crate) fn tally(&self) -> RequestCounters {
        let mut tally = RequestCounters::default();
        for ledger in self.shards.each() {
            tally.add(&ledger.tally);
        }
        tally
    }

    /// Whether there has been any request.
    pub fn has_begun(&self) -> bool {
        self.has_begun.load(Relaxed)
    }

    /// A warning for the operator about the permissions on the volume. It contains no names, because anyone may read it.
    pub fn kept_out_warning(&self) -> Option<&'static str> {
        let is_told = lock(&self.kept_out).is_some_and(|it| it.elapsed() < KEPT_OUT_TOLD);
        is_told.then_some(
            "permissions on the volume kept the service out of something in the last hour: see `sounding doctor`",
        )
    }

    /// The uses of keys, including those of all shards.
    fn uses(&self) -> MutexGuard<'_, KeyUsage> {
        let mut uses = lock(&self.key_uses);
        uses.add(self.shards.each().map(|mut it| std::mem::take(&mut it.uses)));
        uses
    }
}

/// Consoles, the disk and the uptime.
impl Activity {
    /// A console sends a request, perhaps with the presence of its user. Returns the console's number.
    pub fn console(&self, id: &str, presence: Option<Presence>) -> u32 {
        self.consoles.asks(id, presence)
    }

    /// A console has ended.
    pub fn console_ends(&self, id: &str) {
        self.consoles.end(id);
    }

    /// The open consoles.
    pub fn consoles(&self) -> Vec<ConsoleNow> {
        self.consoles.open()
    }

    /// The presence of their users.
    pub fn presences(&self) -> Vec<Presence> {
        self.consoles.presences()
    }

    /// Records the free space. Returns the bytes filled per second over the recorded period.
    pub fn filling(&self, free: u64) -> Option<f64> {
        let now = Instant::now();
        let mut samples = lock(&self.disk);
        samples.retain(|(when, _)| now.duration_since(*when) < TREND);
        samples.push_back((now, free));
        let (when, before) = samples.front()?;
        let seconds = now.duration_since(*when).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let filled = *before as f64 - free as f64;
        (seconds >= 1.0).then(|| filled / seconds)
    }

    /// When the service started, by the monotonic clock.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Time since the start.
    pub fn up(&self) -> Duration {
        self.started.elapsed()
    }
}

#[cfg(test)]
mod tests;
