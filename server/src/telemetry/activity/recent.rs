//! The last finished requests, in the order in which they ended.

use std::collections::VecDeque;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;

use super::finished::{Finished, RECENT};
use super::shard::Shards;
use crate::auth::caller::Caller;
use crate::sync::micros;

/// A finished request.
#[derive(Clone, Debug, Serialize)]
pub struct Recent {
    /// Its number in the order of endings.
    pub seq: u64,
    /// When it ended.
    pub time: Timestamp,
    /// The response's status; 499 if the client did not wait for it.
    pub status: u16,
    /// Time until the response began, in microseconds.
    pub latency_micros: u64,
    /// Time until it ended, in microseconds.
    pub micros: u64,
    /// The request's method.
    pub method: String,
    /// Clean, percent-encoded, without a key.
    pub path: String,
    /// Bytes of the response.
    pub sent: u64,
    /// Bytes of the request's body.
    pub received: u64,
    /// The user of its key.
    pub username: Option<String>,
    /// The client's address.
    pub client: IpAddr,
    /// Whether the whole response was sent.
    pub complete: bool,
}

/// The order in which requests ended. It is made when somebody reads; until then, each shard keeps its own.
///
/// A request that ends during a read gets a number after those of the read. So a reader that asks for later ones misses nothing.
#[derive(Debug, Default)]
pub(super) struct CompletionOrder {
    recent: VecDeque<(u64, Finished)>,
    /// Number of the next request.
    next: u64,
}

impl CompletionOrder {
    /// The finished requests from a number on.
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
        // A shard that has dropped requests has kept more than enough later ones.
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
