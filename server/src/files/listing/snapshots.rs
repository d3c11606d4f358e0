//! Folders as listings under way read them, kept in memory while their clients read, and bounded in bytes.
//!
//! A listing of several pages needs its folder's names until its client has taken the last one, and a client may take hours. So
//! only `MOST_BYTES` of names are kept for all listings together; the least recently used go first. A listing whose
//! snapshot has gone reads its folder again for the next page. Listings of one folder share a snapshot as long as the folder
//! has not changed. And only so many listings ask the disk at a time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};

use volume::names::{Kind, Name, Names};
use volume::{RelPath, Stat};

use crate::bulkhead::Bulkhead;
use crate::sync::lock;

/// Bytes of names that are kept for all listings together. The latest snapshot is kept whatever its size: 31 bytes for each of
/// the names, if these are of 15 letters.
const MOST_BYTES: usize = 16 << 20;
/// Entries that the pages of all listings together have, about: one listing alone gets long pages, which are made faster, and of very many
/// that wait for their clients each holds little.
const ENTRIES: usize = 1500;
/// Entries of a page: at least, and at most.
pub(super) const PAGE: std::ops::RangeInclusive<usize> = 16..=500;
/// Listings that ask the disk at a time.
const MOST_READING: usize = 4;

/// A folder's names, as they were at one moment, in the order of a listing.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) names: Names,
    order: Order,
    /// Which folder, and which version of it, where nothing else decides what is in the snapshot.
    version: Option<(RelPath, Stat)>,
}

/// Which of a folder's names are listed: positions among them.
#[derive(Debug)]
pub(super) enum Order {
    /// All, by name.
    All,
    /// Some, by name.
    Some(Vec<u32>),
    /// By something else.
    Sorted(Vec<u32>),
}

impl Snapshot {
    pub(super) fn new(names: Names, order: Order, version: Option<(RelPath, Stat)>) -> Snapshot {
        // What a link leads to changes without its folder.
        let version = version.filter(|_| matches!(order, Order::All) && !names.has_links());
        Snapshot { names, order, version }
    }

    /// How many entries the listing has.
    pub(super) fn len(&self) -> usize {
        match &self.order {
            Order::All => self.names.len(),
            Order::Some(listed) | Order::Sorted(listed) => listed.len(),
        }
    }

    /// The entry at a place in the listing.
    pub(super) fn get(&self, position: usize) -> Option<Name<'_>> {
        match &self.order {
            Order::All => self.names.get(position),
            Order::Some(listed) | Order::Sorted(listed) => {
                self.names.get(*listed.get(position)? as usize)
            }
        }
    }

    /// How many of the entries are folders. They come first.
    pub(super) fn folders(&self) -> usize {
        let is_folder =
            |position: usize| self.get(position).is_some_and(|it| it.kind == Kind::Folder);
        let (mut start, mut end) = (0, self.len());
        while start < end {
            let middle = start.midpoint(end);
            if is_folder(middle) { start = middle + 1 } else { end = middle }
        }
        start
    }

    /// The place behind an entry, whether or not that is (still) there. Where the order is not that of names, an entry that is
    /// gone had the place before `otherwise`.
    pub(super) fn position_behind(&self, kind: Kind, name: &[u8], otherwise: usize) -> usize {
        let position = self.names.position_after(kind, name);
        match &self.order {
            Order::All => position,
            Order::Some(listed) => listed.partition_point(|it| (*it as usize) < position),
            Order::Sorted(listed) => {
                let is_it = |it: &u32| {
                    self.names
                        .get(*it as usize)
                        .is_some_and(|it| (it.kind, it.bytes) == (kind, name))
                };
                listed.iter().position(is_it).map_or(otherwise, |it| it + 1)
            }
        }
    }

    fn memory(&self) -> usize {
        let order = match &self.order {
            Order::All => 0,
            Order::Some(listed) | Order::Sorted(listed) => listed.capacity() * size_of::<u32>(),
        };
        self.names.memory() + order
    }
}

/// The snapshots of a service.
#[derive(Debug)]
pub struct Snapshots {
    /// The least recently used comes first. Taken for a few steps through the list.
    kept: Mutex<VecDeque<Arc<Snapshot>>>,
    /// Listings under way.
    listings: AtomicUsize,
    /// Where listings ask the disk.
    pub(super) reading: Bulkhead,
}

impl Default for Snapshots {
    fn default() -> Snapshots {
        Snapshots {
            kept: Mutex::default(),
            listings: AtomicUsize::new(0),
            reading: Bulkhead::new(MOST_READING),
        }
    }
}

impl Snapshots {
    /// One of all names of this very version of a folder.
    pub(super) fn find(&self, path: &RelPath, stat: &Stat) -> Option<Arc<Snapshot>> {
        let is_it = |it: &&Arc<Snapshot>| {
            it.version.as_ref().is_some_and(|it| it.1 == *stat && it.0 == *path)
        };
        self.kept().iter().find(is_it).cloned()
    }

    /// Keeps one that is used now; the least recently used are let go for it.
    pub(super) fn keep(&self, snapshot: &Arc<Snapshot>) {
        let mut gone = Vec::new();
        let mut kept = self.kept();
        kept.retain(|it| !Arc::ptr_eq(it, snapshot));
        kept.push_back(Arc::clone(snapshot));
        let mut bytes: usize = kept.iter().map(|it| it.memory()).sum();
        while bytes > MOST_BYTES && kept.len() > 1 {
            let Some(first) = kept.pop_front() else { break };
            bytes -= first.memory();
            gone.push(first);
        }
        // Not while others wait.
        drop(kept);
        drop(gone);
    }

    /// A listing begins.
    pub(super) fn enter(&self) {
        self.listings.fetch_add(1, Relaxed);
    }

    /// Entries whose sizes and times are asked for, written and sent together, as long as so many listings are under way. A client that
    /// does not read has one page waiting for it.
    pub(super) fn page_size(&self) -> usize {
        let share = ENTRIES / self.listings.load(Relaxed).max(1);
        share.clamp(*PAGE.start(), *PAGE.end())
    }

    /// A listing is over. What no other one uses is let go.
    pub(super) fn leave(&self, snapshot: Weak<Snapshot>) {
        self.listings.fetch_sub(1, Relaxed);
        let left = snapshot.as_ptr();
        let mut kept = self.kept();
        drop(snapshot);
        kept.retain(|it| Arc::as_ptr(it) != left || Arc::weak_count(it) > 0);
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, VecDeque<Arc<Snapshot>>> {
        lock(&self.kept)
    }

    /// As others do that need the room.
    #[cfg(test)]
    pub(super) fn let_all_go(&self) {
        self.kept().clear();
    }

    /// Bytes of names that are kept.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.kept().iter().map(|it| it.memory()).sum()
    }
}
