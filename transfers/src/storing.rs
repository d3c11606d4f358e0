//! Writes what arrives: a thread of its own takes the bytes, puts them into staging, and at the end makes them
//! visible by one rename.
//!
//! The thread alone owns what is staged. Whatever goes wrong, what was staged is gone when it has ended, and it has
//! always ended when [`Storing::finish`] or [`Storing::abandon`] returns.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use volume::staged_folder::{PartError, PartFile, StagedFolder};
use volume::staged_id::StagedId;
use volume::staging::{PublishError, Published, Replace, StageError, Staged};
use volume::uploads::Exists;
use volume::{Refusal, RelPath, Volume};
use zipstream::{Announced, Entry, Sink, UnzipError, ZipError, ZipReader};

use crate::question::Plan;
use crate::transfer::OfferedKind;
use crate::unpacking::{self, Unpacked};

/// Whom the trash names for what is replaced.
pub(crate) const WHO: &str = "wormhole";
/// A piece of so many bytes is worth a write of its own;
const LARGE: usize = 64 << 10;
/// smaller ones are gathered up to so many.
const BLOCK: usize = 256 << 10;
/// The thread is woken for so many bytes at a time: a wake for each piece costs more than the write.
const BATCH: usize = 1 << 20;
/// How many batches may wait for the disk.
const BATCHES: usize = 8;
/// How many hidden names are told.
const TOLD: usize = 3;

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

#[derive(Debug)]
enum Batch {
    Pieces(Vec<Bytes>),
    /// That was all: it is to appear.
    End,
}

/// What has appeared.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) path: RelPath,
    /// What is worth knowing besides, in plain words.
    pub(crate) notes: Vec<String>,
}

/// Why nothing has appeared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// A name in the directory can't be a name here.
    #[error("`{name}` can't be stored")]
    Name {
        /// As it was sent, made safe to show.
        name: String,
        source: Refusal,
    },
    /// A file of the directory can't be written.
    #[error(transparent)]
    Part(#[from] PartError),
    /// The zip stream is not right.
    #[error("the folder did not come whole")]
    Zip(#[source] ZipError),
    /// It can't be written.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// It can't be put in place.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The thread ended by a mistake of its own.
    #[error("storing it broke off: an internal error")]
    BrokeOff,
}

impl Storing {
    /// Makes a place in staging, with room for all that was announced.
    pub(crate) async fn begin(volume: Arc<Volume>, plan: Plan) -> Result<Storing, StoreError> {
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

/// Something in staging, as it is filled.
enum Stage {
    File(Staged),
    Folder(StagedFolder),
}

impl Stage {
    fn begin(volume: &Arc<Volume>, plan: &Plan) -> Result<Stage, StoreError> {
        Ok(match plan.offer.kind {
            OfferedKind::Directory => Stage::Folder(volume.stage_folder()?),
            OfferedKind::File | OfferedKind::Text => {
                Stage::File(volume.stage(Some(plan.offer.size))?)
            }
        })
    }

    fn id(&self) -> Option<StagedId> {
        match self {
            Stage::File(it) => it.id(),
            Stage::Folder(it) => it.id(),
        }
    }

    /// None where it was not wanted to its end.
    fn fill(
        self,
        plan: &Plan,
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
                    IntoFolder { folder: &folder, file: None, hidden: Hidden::default() };
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

/// Takes batches until all have come; small pieces are gathered. False where they stop coming before.
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

fn publish_file(staged: Staged, plan: &Plan) -> Result<Stored, StoreError> {
    let mut notes = Vec::new();
    let mut to = plan.to.clone();
    if plan.unpack {
        match unpacking::unpack(&staged, plan) {
            Ok(Unpacked { path, hidden }) => {
                return Ok(Stored { path, notes: hidden.notes() });
            }
            // Nothing is lost: the archive is there as it came.
            Err(error) => {
                notes.push(format!(
                    "could not be unpacked, so the archive itself was kept: {}",
                    crate::job::chain(&error)
                ));
                to = unpacking::beside(&plan.to, &plan.offer.name);
            }
        }
    }
    let replace = match plan.exists {
        // It was asked for in place of a folder, and is none now.
        _ if plan.unpack => Replace::KeepBoth,
        Exists::Refuse => Replace::Refuse,
        Exists::KeepBoth => Replace::KeepBoth,
        Exists::Replace => Replace::ToTrash(WHO),
    };
    let Published { path, .. } = staged.publish(&to, replace, &|_| true)?;
    Ok(Stored { path, notes })
}

/// Names that begin with a dot: they could not be served, so they are left out, and that is told.
#[derive(Debug, Default)]
pub(crate) struct Hidden {
    names: Vec<String>,
    count: u64,
}

impl Hidden {
    pub(crate) fn add(&mut self, name: &[u8]) {
        self.count += 1;
        if self.names.len() < TOLD {
            self.names.push(safe(name));
        }
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        let more = if self.count > self.names.len() as u64 { ", …" } else { "" };
        let names = self.names.join(", ");
        match self.count {
            0 => Vec::new(),
            1 => vec![format!("1 hidden name was left out: {names}")],
            count => vec![format!("{count} hidden names were left out: {names}{more}")],
        }
    }
}

/// A stranger's text, safe to show.
pub(crate) fn safe(name: &[u8]) -> String {
    const LONGEST: usize = 200;
    let text = String::from_utf8_lossy(name);
    let mut safe: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        safe.push('…');
    }
    safe
}

/// A path in a directory or an archive; none for the directory itself, and for what is hidden.
pub(crate) fn place(name: &[u8], hidden: &mut Hidden) -> Result<Option<RelPath>, StoreError> {
    let plain = name.strip_suffix(b"/").unwrap_or(name);
    let plain = plain.strip_prefix(b"./").unwrap_or(plain);
    if plain == b"." || plain.is_empty() {
        return Ok(None);
    }
    match RelPath::from_plain(plain) {
        Ok(path) => Ok(Some(path)),
        Err(Refusal::Hidden) => {
            hidden.add(name);
            Ok(None)
        }
        Err(source) => Err(StoreError::Name { name: safe(name), source }),
    }
}

/// A zip stream's entries become files and folders of a staged folder.
struct IntoFolder<'a> {
    folder: &'a StagedFolder,
    /// None while a hidden file passes by.
    file: Option<PartFile>,
    hidden: Hidden,
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
