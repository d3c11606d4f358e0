//! Locks for uploads. Only one request at a time works on an upload; a newer request ends the older one.
//!
//! A client that lost its connection comes back at once, while the server still waits for the rest of its last request. The older request
//! is told to stop, records the bytes that it has received, and releases the lock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;
use volume::staged_id::StagedId;

use crate::sync::lock;

/// At this number of entries, unused ones are removed.
const MANY: usize = 256;

/// The locks of a service.
#[derive(Debug, Default)]
pub struct UploadLocks {
    entries: Mutex<HashMap<StagedId, Weak<LockEntry>>>,
}

/// Holds an upload until dropped.
#[derive(Debug)]
pub struct UploadLock {
    /// Cancelled when a newer request wants the upload.
    pub stop: CancellationToken,
    _turn: OwnedMutexGuard<()>,
    _entry: Arc<LockEntry>,
}

#[derive(Debug, Default)]
struct LockEntry {
    turn: Arc<tokio::sync::Mutex<()>>,
    /// The token of the latest holder, or of the latest request that waits.
    stop: Mutex<CancellationToken>,
}

impl UploadLocks {
    /// Takes an upload over from its holder, and waits until it is released.
    pub async fn take(&self, id: StagedId) -> UploadLock {
        let entry = self.entry(id);
        let stop = CancellationToken::new();
        let last = std::mem::replace(&mut *lock(&entry.stop), stop.clone());
        last.cancel();
        let turn = Arc::clone(&entry.turn).lock_owned().await;
        UploadLock { stop, _turn: turn, _entry: entry }
    }

    /// Takes an upload if it is free.
    pub fn try_take(&self, id: StagedId) -> Option<UploadLock> {
        let entry = self.entry(id);
        let turn = Arc::clone(&entry.turn).try_lock_owned().ok()?;
        let stop = CancellationToken::new();
        (*lock(&entry.stop)).clone_from(&stop);
        Some(UploadLock { stop, _turn: turn, _entry: entry })
    }

    fn entry(&self, id: StagedId) -> Arc<LockEntry> {
        let mut entries = lock(&self.entries);
        if entries.len() >= MANY {
            entries.retain(|_, entry| entry.strong_count() > 0);
        }
        if let Some(entry) = entries.get(&id).and_then(Weak::upgrade) {
            return entry;
        }
        let entry = Arc::new(LockEntry::default());
        entries.insert(id, Arc::downgrade(&entry));
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_newer_holder_ends_the_older_and_waits_for_it() {
        let locks = Arc::new(UploadLocks::default());
        let id = StagedId::random().unwrap();
        let first = locks.take(id).await;
        assert!(locks.try_take(id).is_none() && !first.stop.is_cancelled());
        let second = tokio::spawn({
            let locks = Arc::clone(&locks);
            async move { locks.take(id).await }
        });
        first.stop.cancelled().await;
        assert!(!second.is_finished());
        drop(first);
        let second = second.await.unwrap();
        assert!(!second.stop.is_cancelled());
        drop(second);
        assert!(locks.try_take(id).is_some());
    }
}
