//! Stages received bytes, and publishes them by one rename.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use volume::OnConflict;
use volume::staged_folder::{PartFile, StagedFolder};
use volume::staged_id::StagedId;
use volume::staging::{Published, Replace, Staged};
use volume::{RelPath, Volume};
use zipstream::{Announced, Entry, Sink, UnzipError, ZipReader};

use crate::preflight::StorePlan;
use crate::store_names::{SkippedNames, StoreError, WHO, place};
use crate::transfer::OfferedKind;
use crate::unpacking::{self, Unpacked};

/// A piece of at least this many bytes is written directly;
const LARGE: usize = 64 << 10;
/// smaller ones are gathered up to this many.
const BLOCK: usize = 256 << 10;
#[derive(Debug)]
pub(crate) enum Batch {
    Pieces(Vec<Bytes>),
    /// The end of the bytes: publish.
    End,
}

/// The result of a published transfer.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) path: RelPath,
    /// Further remarks, in plain words.
    pub(crate) notes: Vec<String>,
}

/// A staged file or folder, while it is filled.
pub(crate) enum Stage {
    File(Staged),
    Folder(StagedFolder),
}

impl Stage {
    pub(crate) fn begin(volume: &Arc<Volume>, plan: &StorePlan) -> Result<Stage, StoreError> {
        Ok(match plan.offer.kind {
            OfferedKind::Directory => Stage::Folder(volume.stage_folder()?),
            OfferedKind::File | OfferedKind::Text => {
                Stage::File(volume.stage(Some(plan.offer.size))?)
            }
        })
    }

    pub(crate) fn id(&self) -> Option<StagedId> {
        match self {
            Stage::File(it) => it.id(),
            Stage::Folder(it) => it.id(),
        }
    }

    /// Writes all batches and publishes. `None` if the batches stop before their end.
    pub(crate) fn fill(
        self,
        plan: &StorePlan,
        arriving: &mut mpsc::Receiver<Batch>,
    ) -> Result<Option<Stored>, StoreError> {
        match self {
            Stage::File(mut staged) => {
                let is_all = take_in(arriving, &mut |bytes| Ok(staged.write(bytes)?))?;
                is_all.then(|| publish_file(staged, plan)).transpose()
            }
            Stage::Folder(folder) => {
                let announced = Announced { bytes: plan.offer.unpacked, files: plan.offer.files };
                let mut reader = ZipReader::new(announced);
                let mut into =
                    IntoFolder { folder: &folder, file: None, hidden: SkippedNames::default() };
                let is_all = take_in(arriving, &mut |bytes| {
                    reader.push(bytes, &mut into).map_err(|it| match it {
                        UnzipError::Zip(error) => StoreError::Zip(error),
                        UnzipError::Sink(error) => error,
                    })
                })?;
                if !is_all {
                    return Ok(None);
                }
                reader.finish().map_err(StoreError::Zip)?;
                let notes = into.hidden.notes();
                let published = folder.publish(&plan.to, plan.exists, WHO, &|_| true)?;
                Ok(Some(Stored { path: published.path, notes }))
            }
        }
    }
}

/// Passes batches to `take` until their end; small pieces are gathered. `false` if they stop before.
fn take_in(
    arriving: &mut mpsc::Receiver<Batch>,
    take: &mut dyn FnMut(&[u8]) -> Result<(), StoreError>,
) -> Result<bool, StoreError> {
    let mut block = Vec::with_capacity(BLOCK);
    while let Some(batch) = arriving.blocking_recv() {
        let Batch::Pieces(pieces) = batch else { return Ok(true) };
        for bytes in pieces {
            if block.is_empty() && bytes.len() >= LARGE {
                take(&bytes)?;
                continue;
            }
            block.extend_from_slice(&bytes);
            if block.len() >= BLOCK {
                take(&block)?;
                block.clear();
            }
        }
        if !block.is_empty() {
            take(&block)?;
            block.clear();
        }
    }
    Ok(false)
}

fn publish_file(staged: Staged, plan: &StorePlan) -> Result<Stored, StoreError> {
    let mut notes = Vec::new();
    let mut to = plan.to.clone();
    if plan.unpack {
        match unpacking::unpack(&staged, plan) {
            Ok(Unpacked { path, hidden }) => {
                return Ok(Stored { path, notes: hidden.notes() });
            }
            // Nothing is lost: the archive is kept as it arrived.
            Err(error) => {
                notes.push(format!(
                    "could not be unpacked, so the archive itself was kept: {}",
                    volume::error_chain(&error)
                ));
                to = unpacking::beside(&plan.to, &plan.offer.name);
            }
        }
    }
    let replace = match plan.exists {
        // The operator wanted to replace a folder, and this is a file now.
        _ if plan.unpack => Replace::KeepBoth,
        OnConflict::Refuse => Replace::Refuse,
        OnConflict::KeepBoth => Replace::KeepBoth,
        OnConflict::Replace => Replace::ToTrash(WHO),
    };
    let Published { path, .. } = staged.publish(&to, replace, &|_| true)?;
    Ok(Stored { path, notes })
}

/// Writes a zip stream's entries as files and folders of a staged folder.
struct IntoFolder<'a> {
    folder: &'a StagedFolder,
    /// `None` while a hidden file is skipped.
    file: Option<PartFile>,
    hidden: SkippedNames,
}

impl Sink for IntoFolder<'_> {
    type Error = StoreError;

    fn folder(&mut self, name: &[u8]) -> Result<(), StoreError> {
        match place(name, &mut self.hidden)? {
            Some(path) => Ok(self.folder.make_folder(&path)?),
            None => Ok(()),
        }
    }

    fn begin(&mut self, entry: &Entry<'_>) -> Result<(), StoreError> {
        let path = place(entry.name, &mut self.hidden)?;
        self.file = path.map(|it| self.folder.file(&it)).transpose()?;
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        match &mut self.file {
            Some(file) => Ok(file.write(bytes)?),
            None => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), StoreError> {
        self.file = None;
        Ok(())
    }
}
