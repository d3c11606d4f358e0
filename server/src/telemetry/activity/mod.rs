//! What the service does right now, for whoever looks after it.
//!
//! A request is accounted for by the thread that serves it: one short lock when it begins and one when it ends, which no
//! other thread wants unless somebody looks. Whoever looks puts together what the threads know. Nothing here runs by itself:
//! a service that nobody asks sleeps.

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

/// For how long it is told that permissions kept the service out of something.
const KEPT_OUT_TOLD: Duration = Duration::from_hours(1);
/// How far back the disk's trend looks.
const TREND: Duration = Duration::from_mins(5);

/// All that is remembered.
///
/// On cache lines of its own: beside it there is a count of those who share it, which changes with many a request.
#[derive(Debug)]
#[repr(align(128))]
pub struct Activity {
    started: Instant,
    /// When it began to serve.
    pub since: Timestamp,
    /// Locked for a few instructions when a request begins and ends, and one after another to look.
    shards: Shards,
    /// Whether there has been any request. Written once.
    has_begun: AtomicBool,
    /// Whether anybody has come who had business here. Written once, or nearly.
    is_wanted: AtomicBool,
    /// Locked to look, before the shards.
    order: Mutex<CompletionOrder>,
    /// Locked to look, before the shards.
    key_uses: Mutex<KeyUsage>,
    consoles: Consoles,
    disk: Mutex<VecDeque<(Instant, u64)>>,
    /// What is counted since the start, beside requests.
    pub counted: Counters,
    /// When permissions on the volume last kept the service out of something that was asked for.
    kept_out: Mutex<Option<Instant>>,
}

/// What keeps the service awake, as far as requests do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Whether anybody has come who had business here.
    pub is_wanted: bool,
    /// Answers on their way out that count.
    pub downloads: usize,
    /// Bodies on their way in that count.
    pub uploads: usize,
    /// Requests that have no answer yet, and of which it is not known whether they count.
    pub undecided: usize,
    /// When the last request that counts was over.
    pub needed: Option<Instant>,
}

/// How many requests are under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnderWay {
    /// In all.
    pub all: usize,
    /// Whose bodies may bring something.
    pub uploads: usize,
    /// That are told of changes as they come.
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

/// What requests say of themselves.
impl Activity {
    /// A request has come in. The path is without a key.
    pub fn begin(&self, method: &Method, path: String, client: IpAddr) -> Arc<InFlight> {
        let shard = self.shards.mine();
        let open = InFlight::new(method, path, client, shard, self.begins());
        self.shards.at(shard).begin(open)
    }

    /// Bytes of an answer went out.
    pub fn sent(&self, open: &InFlight, bytes: u64) {
        open.sent.fetch_add(bytes, Relaxed);
        let second = self.second(Instant::now());
        self.shards.at(open.shard).sent(open.route, second, bytes);
    }

    /// Bytes of a request's body came in.
    pub fn received(&self, open: &InFlight, bytes: u64) {
        open.received.fetch_add(bytes, Relaxed);
        let second = self.second(Instant::now());
        self.shards.at(open.shard).received(open.route, second, bytes);
    }

    /// A request has an answer, which begins to go out: which part of a file it is, if it is one.
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

    /// A request is over.
    pub fn end(&self, open: &Arc<InFlight>, ended: Ended) {
        // One that broke off without an answer counts by its key.
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

    /// A request came and its answer has gone out, all at once: as if it had begun, been answered and ended. Of the first of
    /// all there is [more to say](crate::telemetry::wake_log), so it is better begun.
    pub fn passed(&self, passed: Immediate<'_>) {
        self.passed_by(passed, Timestamp::now());
    }

    /// The same for whoever knows the time.
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

    /// Permissions on the volume kept the service out of what a request was about.
    pub fn kept_out(&self) {
        *lock(&self.kept_out) = Some(Instant::now());
    }

    /// One more request. Returns whether it is the first of all.
    fn begins(&self) -> bool {
        // What is written once can be read by all without a wait.
        !self.has_begun.load(Relaxed) && !self.has_begun.swap(true, Relaxed)
    }

    /// Somebody has come who has business here.
    fn want(&self) {
        if !self.is_wanted.load(Relaxed) {
            self.is_wanted.store(true, Relaxed);
        }
    }

    /// Which second a moment is in, since the start.
    fn second(&self, moment: Instant) -> u64 {
        moment.saturating_duration_since(self.started).as_secs()
    }
}

/// What is told of requests.
impl Activity {
    /// What keeps the service awake, as far as requests do.
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
        // Behind the shards: who was seen to have ended there had said so before.
        Work { is_wanted: self.is_wanted.load(Relaxed), ..work }
    }

    /// How many requests are under way.
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

    /// When each key was last used.
    pub fn key_uses(&self) -> KeyUses {
        self.uses().known.clone()
    }

    /// What was known before the service started.
    pub fn remember(&self, uses: KeyUses) {
        let mut ours = lock(&self.key_uses);
        for (key, old) in uses {
            ours.known.entry(key).or_insert(old);
        }
    }

    /// The uses of keys, where they changed since they were last taken to be written down.
    pub fn take_changed_key_uses(&self) -> Option<KeyUses> {
        let mut uses = self.uses();
        std::mem::take(&mut uses.are_changed).then(|| uses.known.clone())
    }

    /// What is under way, the oldest first.
    pub fn open(&self) -> Vec<OpenNow> {
        let mut open: Vec<Arc<InFlight>> = Vec::new();
        for ledger in self.shards.each() {
            open.extend(ledger.open().cloned());
        }
        open.sort_by_key(|it| (it.began(), it.number));
        open.iter().map(|it| OpenNow::of(it)).collect()
    }

    /// What is over, behind a place in the order.
    pub fn recent(&self, since: u64) -> Vec<Recent> {
        lock(&self.order).recent(&self.shards, since)
    }

    /// The last five minutes in parts, the oldest first, and latencies of all of them.
    pub fn figures(&self, parts: usize) -> Rates {
        let mut sums = Sums::new(self.second(Instant::now()), parts);
        for ledger in self.shards.each() {
            sums.add(&ledger.seconds);
        }
        sums.figures()
    }

    /// What is counted of requests since the start.
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

    /// What the operator should know of the permissions on the volume. Names nothing, for anyone may read it.
    pub fn kept_out_warning(&self) -> Option<&'static str> {
        let is_told = lock(&self.kept_out).is_some_and(|it| it.elapsed() < KEPT_OUT_TOLD);
        is_told.then_some(
            "permissions on the volume kept the service out of something in the last hour: see `sounding doctor`",
        )
    }

    /// The uses of keys, with all that came by now.
    fn uses(&self) -> MutexGuard<'_, KeyUsage> {
        let mut uses = lock(&self.key_uses);
        uses.add(self.shards.each().map(|mut it| std::mem::take(&mut it.uses)));
        uses
    }
}

/// What is so beside requests.
impl Activity {
    /// A console asks: it is there. It may say who sits at it. Returns its number.
    pub fn console(&self, id: &str, presence: Option<Presence>) -> u32 {
        self.consoles.asks(id, presence)
    }

    /// A console says good-bye.
    pub fn console_ends(&self, id: &str) {
        self.consoles.end(id);
    }

    /// The consoles that are open.
    pub fn consoles(&self) -> Vec<ConsoleNow> {
        self.consoles.open()
    }

    /// Who sits at them.
    pub fn presences(&self) -> Vec<Presence> {
        self.consoles.presences()
    }

    /// The free space was looked at. Returns bytes that are filled each second, as far back as is known.
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

    /// When it began to serve, by the clock that nobody sets.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// How long it has been serving.
    pub fn up(&self) -> Duration {
        self.started.elapsed()
    }
}

#[cfg(test)]
mod tests;
