//! Writes what arrives: a thread of its own takes the bytes, puts them into staging, and at the end makes them
//! visible by one rename.
//!
//! The thread alone owns what is staged. Whatever goes wrong, what was staged is gone when it has ended, and it has
//! always ended when [`Storing::finish`] or [`Storing::abandon`] returns.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use volume::Volume;
use volume::staged_id::StagedId;

use crate::preflight::StorePlan;
use crate::publish::{Batch, Stage, Stored};
use crate::store_names::StoreError;

/// The thread is woken for so many bytes at a time: a wake for each piece costs more than the write.
const BATCH: usize = 1 << 20;
/// How many batches may wait for the disk.
const BATCHES: usize = 8;
/// Takes what arrives.
#[derive(Debug)]
pub(crate) struct Storing {
    batches: mpsc::Sender<Batch>,
    /// What is not handed on yet, and how much that is.
    gathered: (Vec<Bytes>, usize),
    thread: JoinHandle<Result<Option<Stored>, StoreError>>,
    /// What it is called in staging.
    pub(crate) staged: Option<StagedId>,
}

impl Storing {
    /// Makes a place in staging, with room for all that was announced.
    pub(crate) async fn begin(volume: Arc<Volume>, plan: StorePlan) -> Result<Storing, StoreError> {
        let begun = tokio::task::spawn_blocking(move || {
            let stage = Stage::begin(&volume, &plan)?;
            Ok::<_, StoreError>((stage.id(), stage, plan))
        });
        let (staged, stage, plan) = begun.await.map_err(|_panic| StoreError::BrokeOff)??;
        let (batches, mut arriving) = mpsc::channel(BATCHES);
        let thread = tokio::task::spawn_blocking(move || stage.fill(&plan, &mut arriving));
        Ok(Storing { batches, gathered: (Vec::new(), 0), thread, staged })
    }

    /// Hands on what has come. False when the thread has ended: [`Storing::finish`] says why.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> bool {
        let (pieces, len) = &mut self.gathered;
        *len += bytes.len();
        pieces.push(bytes);
        if *len < BATCH {
            return true;
        }
        *len = 0;
        let pieces = std::mem::take(pieces);
        self.batches.send(Batch::Pieces(pieces)).await.is_ok()
    }

    /// All has come: checks it, makes it durable, and lets it appear.
    pub(crate) async fn finish(self) -> Result<Stored, StoreError> {
        // Where the thread has ended before, it says why below.
        self.batches.send(Batch::Pieces(self.gathered.0)).await.unwrap_or_default();
        self.batches.send(Batch::End).await.unwrap_or_default();
        drop(self.batches);
        let ended = self.thread.await.map_err(|_panic| StoreError::BrokeOff)?;
        ended?.ok_or(StoreError::BrokeOff)
    }

    /// It is not wanted any more. When this returns, nothing is left of it.
    pub(crate) async fn abandon(self) {
        drop(self.batches);
        // How it ended does not matter: nothing has appeared.
        self.thread.await.map(drop).unwrap_or_default();
    }
}
