//! Last uses of keys: recorded with each request, and formatted only for readers.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use jiff::Timestamp;
use volume::keys::HashedKey;
use volume::keys::usage::{KeyUse, KeyUses};

use super::finished::RequestInfo;

const SECONDS_OF_DAY: i64 = 24 * 60 * 60;

/// The last uses of keys, formatted.
#[derive(Debug, Default)]
pub(super) struct KeyUsage {
    /// By the keys' IDs.
    pub(super) known: KeyUses,
    /// Whether they have changed since they were last stored.
    pub(super) are_changed: bool,
}

/// Uses since the last read, by day.
#[derive(Debug, Default)]
pub(super) struct PendingUsage(Vec<(i64, HashMap<HashedKey, Use>)>);

/// The last use of a key on a day, and the number of uses.
#[derive(Debug)]
struct Use {
    request: RequestInfo,
    last: Timestamp,
    requests: u64,
}

impl PendingUsage {
    /// Records a request with a key.
    pub(super) fn used(&mut self, key: HashedKey, request: &RequestInfo, now: Timestamp) {
        let today = now.as_second().div_euclid(SECONDS_OF_DAY);
        if self.0.last().is_none_or(|(day, _)| *day != today) {
            self.0.push((today, HashMap::new()));
        }
        let Some((_, uses)) = self.0.last_mut() else { return };
        match uses.entry(key) {
            Entry::Vacant(place) => {
                place.insert(Use { request: request.clone(), last: now, requests: 1 });
            }
            Entry::Occupied(place) => {
                let known = place.into_mut();
                known.request.clone_from(request);
                known.last = now;
                known.requests += 1;
            }
        }
    }
}

impl KeyUsage {
    /// Adds pending uses, in the order of time.
    pub(super) fn add(&mut self, fresh: impl IntoIterator<Item = PendingUsage>) {
        let days = fresh.into_iter().flat_map(|it| it.0);
        let mut uses: Vec<(HashedKey, Use)> = days.flat_map(|(_, it)| it).collect();
        uses.sort_by_key(|(_, it)| it.last);
        self.are_changed |= !uses.is_empty();
        for (key, Use { request, last, requests }) in uses {
            let (id, what) = (key.id(), format!("{} {}", request.method(), request.path()));
            let known = self.known.get(&id);
            let fresh = KeyUse::after(known, requests, last, what, request.client().to_string());
            self.known.insert(id, fresh);
        }
    }
}
