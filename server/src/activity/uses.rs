//! When keys were last used: noted with each request, and written out for whoever looks.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use volume::key_use::{KeyUse, KeyUses};
use volume::keys::HashedKey;

use super::Open;

const SECONDS_OF_DAY: i64 = 24 * 60 * 60;

/// When keys were last used.
#[derive(Debug, Default)]
pub(super) struct Uses {
    /// By the keys' ids.
    pub(super) known: KeyUses,
    /// Those that came since, on one day.
    fresh: HashMap<HashedKey, Fresh>,
    /// Whether they are not written down yet.
    pub(super) are_changed: bool,
}

/// The last use of a key, and how many there were since it was last written out.
#[derive(Debug)]
struct Fresh {
    open: Arc<Open>,
    last: Timestamp,
    requests: u64,
}

impl Uses {
    /// One more request came with a key.
    pub(super) fn used(&mut self, key: HashedKey, open: &Arc<Open>, now: Timestamp) {
        self.are_changed = true;
        let day = |it: Timestamp| it.as_second().div_euclid(SECONDS_OF_DAY);
        if self.fresh.values().next().is_some_and(|it| day(it.last) != day(now)) {
            self.all();
        }
        let open = Arc::clone(open);
        let requests = self.fresh.get(&key).map_or(0, |it| it.requests) + 1;
        self.fresh.insert(key, Fresh { open, last: now, requests });
    }

    /// All of them, written out.
    pub(super) fn all(&mut self) -> &KeyUses {
        for (key, Fresh { open, last, requests }) in self.fresh.drain() {
            let (id, what) = (key.id(), format!("{} {}", open.method, open.path));
            let known = self.known.get(&id);
            let fresh = KeyUse::after(known, requests, last, what, open.client.to_string());
            self.known.insert(id, fresh);
        }
        &self.known
    }
}
