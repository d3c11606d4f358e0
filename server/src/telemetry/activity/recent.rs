//! The last requests that are over, in the order in which they ended.

use std::collections::VecDeque;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;

use super::finished::{Finished, RECENT};
use super::shard::Shards;
use crate::auth::caller::Caller;
use crate::sync::micros;

/// A request that is over.
#[derive(Clone, Debug, Serialize)]
pub struct Recent {
    /// Its place in the order in which they ended.
    pub seq: u64,
    /// When it ended.
    pub time: Timestamp,
    /// Of the answer; 499 where the client did not wait for one.
    pub status: u16,
    /// Until the answer began, in microseconds.
    pub latency_micros: u64,
    /// Until it ended, in microseconds.
    pub micros: u64,
    /// Of the request.
    pub method: String,
    /// Clean, percent-encoded, without a key.
    pub path: String,
    /// Bytes of the answer.
    pub sent: u64,
    /// Bytes of the request's body.
    pub received: u64,
    /// Whose key it came with.
    pub username: Option<String>,
    /// Where it came from.
    pub client: IpAddr,
    /// Whether all of the answer went out.
    pub complete: bool,
}

/// The order in which requests ended, made when somebody looks: until then each shard remembers its own.
///
/// What ends during a look has its place behind what was seen in it, so who asks for what is new misses nothing.
#[derive(Debug, Default)]
pub(super) struct CompletionOrder {
    recent: VecDeque<(u64, Finished)>,
    /// The next one's place.
    next: u64,
}

impl CompletionOrder {
    /// Those that are over, from a place in the order on.
    pub(super) fn recent(&mut self, shards: &Shards, since: u64) -> Vec<Recent> {
        self.gather(shards);
        let recent = self.recent.iter().filter(|(seq, _)| *seq >= since);
        recent.map(|(seq, it)| Recent::of(*seq, it)).collect()
    }

    fn gather(&mut self, shards: &Shards) {
        let mut fresh = Vec::new();
        for mut ledger in shards.each() {
            self.next += ledger.take_over(&mut fresh);
        }
        fresh.sort_by_key(|it| it.at);
        // A shard that has forgotten some has more than enough later ones.
        let first = self.next - fresh.len() as u64;
        self.recent.extend((first..).zip(fresh));
        self.recent.drain(..self.recent.len().saturating_sub(RECENT));
    }
}

impl Recent {
    fn of(seq: u64, over: &Finished) -> Recent {
        let Finished { ended, request, .. } = over;
        let (sent, received) = request.moved();
        Recent {
            seq,
            time: ended.time,
            status: ended.status,
            latency_micros: micros(ended.latency),
            micros: micros(ended.took),
            method: request.method().to_string(),
            path: request.path().to_owned(),
            sent,
            received,
            username: request.caller().and_then(Caller::user).map(str::to_owned),
            client: request.client(),
            complete: ended.is_complete,
        }
    }
}
