//! Stores received bytes on a thread of its own: it writes them into staging, and at the end publishes them by one rename.
//!
//! Only the thread owns the staged file or folder. If anything fails, this is removed when the thread ends; and the thread has ended when
//! [`Storing::finish`] or [`Storing::abandon`] returns.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use volume::Volume;
use volume::staged_id::StagedId;

use crate::preflight::StorePlan;
use crate::publish::{Batch, Stage, Stored};
use crate::store_names::StoreError;

/// The thread is woken for this many bytes at a time: a wake for each piece costs more than the write.
const BATCH: usize = 1 << 20;
/// How many batches may wait for the disk.
const BATCHES: usize = 8;
/// The sending end of the thread.
#[derive(Debug)]
pub(crate) struct Storing {
    batches: mpsc::Sender<Batch>,
    /// The pieces that were not passed on yet, and their bytes.
    gathered: (Vec<Bytes>, usize),
    thread: JoinHandle<Result<Option<Stored>, StoreError>>,
    /// The name in staging.
    pub(crate) staged: Option<StagedId>,
}

impl Storing {
    /// Stages a file or folder, with space for all announced bytes.
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

    /// Passes on received bytes. `false` when the thread has ended: [`Storing::finish`] returns the reason.
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

    /// Ends the bytes: the thread checks, syncs and publishes them.
    pub(crate) async fn finish(self) -> Result<Stored, StoreError> {
        // If the thread has ended before, its result is the error below.
        self.batches.send(Batch::Pieces(self.gathered.0)).await.unwrap_or_default();
        self.batches.send(Batch::End).await.unwrap_or_default();
        drop(self.batches);
        let ended = self.thread.await.map_err(|_panic| StoreError::BrokeOff)?;
        ended?.ok_or(StoreError::BrokeOff)
    }

    /// Stops the storing. When this returns, nothing is left in staging.
    pub(crate) async fn abandon(self) {
        drop(self.batches);
        // The result does not matter: nothing was published.
        self.thread.await.map(drop).unwrap_or_default();
    }
}
