//! Snapshots: the names in folders whose listings are being sent, in a bounded amount of memory.
//!
//! A listing of several pages needs its folder's names until its client has taken the last page, which may take hours. So all listings
//! together keep at most `MOST_BYTES` of names; the least recently used snapshot is evicted first. A listing whose snapshot was evicted
//! reads its folder again for the next page. Listings of the same folder share a snapshot as long as the folder does not change. At most
//! `MOST_READING` listings read the disk at a time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};

use volume::names::{Kind, Name, Names};
use volume::{RelPath, Stat};

use crate::bulkhead::Bulkhead;
use crate::sync::lock;

/// Bytes of names kept for all listings together. The latest snapshot is kept whatever its size. A name of 15 letters takes 31 bytes.
const MOST_BYTES: usize = 16 << 20;
/// Number of entries that the pages of all listings together have, about. A single listing gets long pages, which are faster to make. With
/// very many listings, each page that waits for its client is small.
const ENTRIES: usize = 1500;
/// Smallest and largest number of entries on a page.
pub(super) const PAGE: std::ops::RangeInclusive<usize> = 16..=500;
/// Listings that read the disk at the same time.
const MOST_READING: usize = 4;

/// The names in a folder at one moment, in the order of a listing.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) names: Names,
    order: Order,
    /// The folder and its version, if the snapshot depends on nothing else.
    version: Option<(RelPath, Stat)>,
}

/// The names that are listed, as positions in `Names`.
#[derive(Debug)]
pub(super) enum Order {
    /// All names, in the order of names.
    All,
    /// Some names, in the order of names.
    Some(Vec<u32>),
    /// Names in another order.
    Sorted(Vec<u32>),
}

impl Snapshot {
    pub(super) fn new(names: Names, order: Order, version: Option<(RelPath, Stat)>) -> Snapshot {
        // The target of a link can change without the folder.
        let version = version.filter(|_| matches!(order, Order::All) && !names.has_links());
        Snapshot { names, order, version }
    }

    /// Number of entries in the listing.
    pub(super) fn len(&self) -> usize {
        match &self.order {
            Order::All => self.names.len(),
            Order::Some(listed) | Order::Sorted(listed) => listed.len(),
        }
    }

    /// The entry at a position in the listing.
    pub(super) fn get(&self, position: usize) -> Option<Name<'_>> {
        match &self.order {
            Order::All => self.names.get(position),
            Order::Some(listed) | Order::Sorted(listed) => {
                self.names.get(*listed.get(position)? as usize)
            }
        }
    }

    /// Number of folders. They come first.
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

    /// The position after an entry, even if the entry does not exist (any more). In an order other than by name, that of a missing entry is
    /// `otherwise`.
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
    /// The least recently used comes first. Locked only for a few steps through the list.
    kept: Mutex<VecDeque<Arc<Snapshot>>>,
    /// Number of listings in progress.
    listings: AtomicUsize,
    /// Bounds how many listings read the disk.
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
    /// A snapshot of all names in exactly this version of a folder.
    pub(super) fn find(&self, path: &RelPath, stat: &Stat) -> Option<Arc<Snapshot>> {
        let is_it = |it: &&Arc<Snapshot>| {
            it.version.as_ref().is_some_and(|it| it.1 == *stat && it.0 == *path)
        };
        self.kept().iter().find(is_it).cloned()
    }

    /// Keeps a snapshot as the most recently used, and evicts others if there are too many bytes.
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
        // Freed outside the lock, so that others do not wait.
        drop(kept);
        drop(gone);
    }

    /// Counts a listing that begins.
    pub(super) fn enter(&self) {
        self.listings.fetch_add(1, Relaxed);
    }

    /// Number of entries on a page, for the current number of listings. The sizes and times of a page are read together, and the page is
    /// written and sent as one. For a client that does not read, one page waits.
    pub(super) fn page_size(&self) -> usize {
        let share = ENTRIES / self.listings.load(Relaxed).max(1);
        share.clamp(*PAGE.start(), *PAGE.end())
    }

    /// Counts a listing that has ended. Removes its snapshot if no other listing uses it.
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

    /// Evicts all snapshots.
    #[cfg(test)]
    pub(super) fn let_all_go(&self) {
        self.kept().clear();
    }

    /// Bytes of all snapshots.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.kept().iter().map(|it| it.memory()).sum()
    }
}
