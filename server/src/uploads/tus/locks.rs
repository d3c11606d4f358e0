//! Who holds which upload. One request at a time works on an upload; a newer one ends the older.
//!
//! A client whose line broke comes back at once, while the server still waits for the rest of its last request. The
//! older request is told to stop, writes down what it has, and lets go.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;
use volume::staged_id::StagedId;

use crate::sync::lock;

/// When so many are known, those that nobody holds are forgotten.
const MANY: usize = 256;

/// All that are held.
#[derive(Debug, Default)]
pub struct UploadLocks {
    seats: Mutex<HashMap<StagedId, Weak<LockEntry>>>,
}

/// An upload in a holder's hands, until dropped.
#[derive(Debug)]
pub struct UploadLock {
    /// Cancelled when somebody else wants it.
    pub stop: CancellationToken,
    _turn: OwnedMutexGuard<()>,
    _seat: Arc<LockEntry>,
}

#[derive(Debug, Default)]
struct LockEntry {
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Of the last who asked.
    stop: Mutex<CancellationToken>,
}

impl UploadLocks {
    /// Takes an upload over from whoever holds it, and waits until they let go.
    pub async fn take(&self, id: StagedId) -> UploadLock {
        let seat = self.seat(id);
        let stop = CancellationToken::new();
        let last = std::mem::replace(&mut *lock(&seat.stop), stop.clone());
        last.cancel();
        let turn = Arc::clone(&seat.turn).lock_owned().await;
        UploadLock { stop, _turn: turn, _seat: seat }
    }

    /// Takes an upload if nobody holds it.
    pub fn try_take(&self, id: StagedId) -> Option<UploadLock> {
        let seat = self.seat(id);
        let turn = Arc::clone(&seat.turn).try_lock_owned().ok()?;
        let stop = CancellationToken::new();
        (*lock(&seat.stop)).clone_from(&stop);
        Some(UploadLock { stop, _turn: turn, _seat: seat })
    }

    fn seat(&self, id: StagedId) -> Arc<LockEntry> {
        let mut seats = lock(&self.seats);
        if seats.len() >= MANY {
            seats.retain(|_, seat| seat.strong_count() > 0);
        }
        if let Some(seat) = seats.get(&id).and_then(Weak::upgrade) {
            return seat;
        }
        let seat = Arc::new(LockEntry::default());
        seats.insert(id, Arc::downgrade(&seat));
        seat
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_newer_holder_ends_the_older_and_waits_for_it() {
        let holders = Arc::new(UploadLocks::default());
        let id = StagedId::random().unwrap();
        let first = holders.take(id).await;
        assert!(holders.try_take(id).is_none() && !first.stop.is_cancelled());
        let second = tokio::spawn({
            let holders = Arc::clone(&holders);
            async move { holders.take(id).await }
        });
        first.stop.cancelled().await;
        assert!(!second.is_finished());
        drop(first);
        let second = second.await.unwrap();
        assert!(!second.stop.is_cancelled());
        drop(second);
        assert!(holders.try_take(id).is_some());
    }
}
