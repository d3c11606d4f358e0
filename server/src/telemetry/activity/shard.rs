//! Shards of the accounting, for the threads that serve requests.
//!
//! A thread usually has a shard to itself, on cache lines of its own, so its lock is free and in the cache. A request stays in the shard in
//! which it began. A reader locks one shard after another.

use std::cell::Cell;
use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use super::callers::Callers;
use super::finished::{Ended, Finished, RECENT};
use super::in_flight::{Demand, InFlight};
use super::key_usage::PendingUsage;
use super::rates::Seconds;
use crate::auth::caller::Caller;
use crate::routes::Route;
use crate::sync::lock;
use crate::telemetry::request_counters::RequestCounters;

thread_local! {
    /// Number of this thread, among those that serve requests.
    static THREAD: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The shards: one for each core.
#[derive(Debug)]
pub(super) struct Shards(Box<[Shard]>);

/// 128-byte aligned: adjacent cache lines are prefetched in pairs, so this avoids false sharing.
#[derive(Debug)]
#[repr(align(128))]
struct Shard(Mutex<Ledger>);

/// The accounts of one shard.
#[derive(Debug)]
pub(super) struct Ledger {
    /// Number for the next request. Numbers are unique over all shards.
    next: u64,
    step: u64,
    /// Requests in flight, each at its position.
    open: Vec<Option<Arc<InFlight>>>,
    free: Vec<usize>,
    /// Ended requests that no reader has collected yet.
    recent: VecDeque<Finished>,
    /// Number of ended requests, including those that were dropped from `recent`.
    ended: u64,
    /// When the last request that counts ended.
    pub(super) needed: Option<Instant>,
    /// Uses of keys that no reader has collected yet.
    pub(super) uses: PendingUsage,
    pub(super) callers: Callers,
    pub(super) seconds: Seconds,
    pub(super) tally: RequestCounters,
}

impl Default for Shards {
    fn default() -> Shards {
        Shards::new(std::thread::available_parallelism().map_or(1, NonZeroUsize::get))
    }
}

impl Shards {
    /// A number of shards, at least one.
    pub(super) fn new(count: usize) -> Shards {
        let count = count.max(1);
        Shards((0..count).map(|it| Shard(Mutex::new(Ledger::new(it, count)))).collect())
    }

    /// The index of this thread's shard. Threads get their numbers in the order of their first call.
    pub(super) fn mine(&self) -> usize {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = THREAD.get().unwrap_or_else(|| {
            let number = NEXT.fetch_add(1, Relaxed);
            THREAD.set(Some(number));
            number
        });
        number % self.0.len()
    }

    /// A shard, locked.
    pub(super) fn at(&self, number: usize) -> MutexGuard<'_, Ledger> {
        #[expect(clippy::indexing_slicing, reason = "a remainder of its length")]
        let shard = &self.0[number % self.0.len()];
        lock(&shard.0)
    }

    /// All shards, locked one after another.
    pub(super) fn each(&self) -> impl Iterator<Item = MutexGuard<'_, Ledger>> {
        self.0.iter().map(|it| lock(&it.0))
    }
}

impl Ledger {
    fn new(shard: usize, shards: usize) -> Ledger {
        Ledger {
            next: shard as u64,
            step: shards as u64,
            open: Vec::new(),
            free: Vec::new(),
            recent: VecDeque::new(),
            ended: 0,
            needed: None,
            uses: PendingUsage::default(),
            callers: Callers::default(),
            seconds: Seconds::default(),
            tally: RequestCounters::default(),
        }
    }

    /// Adds a request in flight.
    pub(super) fn begin(&mut self, mut open: InFlight) -> Arc<InFlight> {
        open.number = self.next;
        self.next += self.step;
        open.position = self.free.pop().unwrap_or(self.open.len());
        let open = Arc::new(open);
        match self.open.get_mut(open.position) {
            Some(slot) => *slot = Some(Arc::clone(&open)),
            None => self.open.push(Some(Arc::clone(&open))),
        }
        open
    }

    /// Removes a request in flight.
    pub(super) fn end(&mut self, open: &InFlight) {
        if self.open.get_mut(open.position).and_then(Option::take).is_some() {
            self.free.push(open.position);
        }
    }

    /// The requests in flight.
    pub(super) fn open(&self) -> impl Iterator<Item = &Arc<InFlight>> {
        self.open.iter().flatten()
    }

    /// Bytes of a response were sent.
    pub(super) fn sent(&mut self, route: Route, second: u64, bytes: u64) {
        self.tally.sent(route, bytes);
        self.seconds.at(second).sent += bytes;
    }

    /// Bytes of a request's body were received.
    pub(super) fn received(&mut self, route: Route, second: u64, bytes: u64) {
        self.tally.received(route, bytes);
        self.seconds.at(second).received += bytes;
    }

    /// A request has ended, in a second since the start.
    pub(super) fn over(&mut self, over: Finished, route: Route, second: u64, need: Demand) {
        let Ended { status, latency, took, time, .. } = over.ended;
        self.tally.ended(route, status, latency, took);
        self.seconds.at(second).ended(status, latency);
        if let Some(key) = over.request.caller().and_then(Caller::key) {
            self.uses.used(key.hashed, &over.request, time);
        }
        if need == Demand::Work {
            self.needed = self.needed.max(Some(over.at));
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(over);
        self.ended += 1;
    }

    /// Moves the ended requests to a reader. Returns their number, including those that were dropped.
    pub(super) fn take_over(&mut self, to: &mut Vec<Finished>) -> u64 {
        to.extend(self.recent.drain(..));
        std::mem::take(&mut self.ended)
    }
}
