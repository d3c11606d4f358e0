//! Uploads that go on after a break.
//!
//! An upload is two files under one random name: `.sounding/staging/ID` is what has come so far, and
//! `.sounding/uploads/ID.json` what is known of it, for people to read too. How much has come is the length of the
//! first, so no record can be wrong about it, however the service ended. A record whose staged file is gone belongs
//! to an upload that was published.
//!
//! An upload may come in parts that travel side by side: each is an upload of its own that is never published, and
//! one more upload joins them.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rustix::fs::AtFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::layout::UPLOADS_FOLDER;
use crate::on_conflict::OnConflict;
use crate::path::RelPath;
use crate::records::{Records, file_name, unlink};
use crate::staged_id::StagedId;
use crate::staging::{PublishError, Published, Replace, StageError, Staged};
use crate::volume::{Volume, folder_to_read};

/// How long an upload that nobody goes on with is kept.
pub const KEPT: Duration = crate::staging::KEPT;
/// How long the record of a finished one is kept, for a client that missed the answer.
pub const KEPT_WHEN_DONE: Duration = Duration::from_hours(24);

/// The records' format.
const VERSION: u32 = 1;

/// What is known of an upload besides its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadRecord {
    version: u32,
    /// Whose it is.
    pub user: String,
    /// When it began.
    pub created: Timestamp,
    /// Bytes it will have.
    pub length: u64,
    /// Where it will be published, or what else becomes of it.
    #[serde(flatten)]
    pub purpose: UploadKind,
    /// What the client said of it, as it said it.
    pub metadata: String,
    /// Bytes from here on came with a checksum that they were not held against yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unchecked_from: Option<u64>,
    /// Where it was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<RelPath>,
}

/// What an upload is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "purpose", rename_all = "kebab-case")]
pub enum UploadKind {
    /// To be a file.
    File(UploadTarget),
    /// To be joined with others.
    Part,
    /// To be a file, joined from others.
    Joined {
        /// The file.
        #[serde(flatten)]
        target: UploadTarget,
        /// What it is joined from, in this order.
        parts: Vec<UploadPart>,
    },
}

/// Where an upload goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadTarget {
    /// The file's path.
    pub path: RelPath,
    /// What becomes of a file that is there.
    pub exists: OnConflict,
}

/// A part of a joined upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadPart {
    /// Its name.
    pub id: StagedId,
    /// Its length in bytes.
    pub length: u64,
}

/// An upload, with its staged file open. One at a time may hold it; the caller sees to that.
#[derive(Debug)]
pub struct Upload {
    volume: Arc<Volume>,
    /// Its name.
    pub id: StagedId,
    /// What is known of it.
    pub record: UploadRecord,
    /// None once it is published, and for one whose parts are not joined yet.
    staged: Option<Staged>,
}

impl UploadRecord {
    /// Of an upload that begins now.
    pub fn new(
        user: &str,
        created: Timestamp,
        length: u64,
        purpose: UploadKind,
        metadata: &str,
    ) -> UploadRecord {
        let (user, metadata) = (user.to_owned(), metadata.to_owned());
        let version = VERSION;
        UploadRecord {
            version,
            user,
            created,
            length,
            purpose,
            metadata,
            unchecked_from: None,
            published: None,
        }
    }

    /// Where it goes, if it is to be a file.
    pub fn target(&self) -> Option<&UploadTarget> {
        match &self.purpose {
            UploadKind::File(target) | UploadKind::Joined { target, .. } => Some(target),
            UploadKind::Part => None,
        }
    }
}

impl From<OnConflict> for Replace {
    fn from(exists: OnConflict) -> Replace {
        match exists {
            OnConflict::Refuse => Replace::Refuse,
            OnConflict::KeepBoth => Replace::KeepBoth,
            OnConflict::Replace => Replace::Always,
        }
    }
}

impl Volume {
    /// Begins an upload; all of its room is asked for now, and it is durable when this returns.
    pub fn begin_upload(self: &Arc<Volume>, record: UploadRecord) -> Result<Upload, StageError> {
        let id = StagedId::random().map_err(StageError::Io)?;
        let staged = match &record.purpose {
            UploadKind::Joined { .. } => None,
            UploadKind::File(_) | UploadKind::Part => Some(self.stage_kept(id, record.length)?),
        };
        let upload = Upload { volume: Arc::clone(self), id, record, staged };
        match upload.write_record() {
            Ok(()) => Ok(upload),
            Err(error) => {
                upload.remove().map_err(StageError::Io)?;
                Err(StageError::of(error))
            }
        }
    }

    /// Goes on with an upload; none if there is none of that name.
    pub fn upload(self: &Arc<Volume>, id: StagedId) -> io::Result<Option<Upload>> {
        let Some(record) = self.read_upload_record(id)? else { return Ok(None) };
        let staged = self.resume(id)?;
        let mut upload = Upload { volume: Arc::clone(self), id, record, staged };
        // The service ended before it could check: what was not checked has not come.
        upload.end_check(false)?;
        Ok(Some(upload))
    }

    /// All there are records of.
    pub fn uploads(&self) -> io::Result<Vec<StagedId>> {
        self.upload_records()?.names()
    }

    /// Removes uploads that nobody has gone on with for a week, and records of those that were finished yesterday.
    /// Says how many unfinished ones that were.
    pub fn sweep_uploads(&self, now: Timestamp) -> io::Result<usize> {
        let (records, staging) = (self.upload_records()?.folder, self.staging()?);
        let mut swept = 0;
        for id in self.uploads()? {
            let name = file_name(&id.to_string());
            let age = |folder: &OwnedFd, name: &str| -> io::Result<Option<Duration>> {
                match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => {
                        let age = now.as_second().saturating_sub(stat.st_mtime);
                        Ok(Some(Duration::from_secs(u64::try_from(age).unwrap_or(0))))
                    }
                    Err(Errno::NOENT) => Ok(None),
                    Err(errno) => Err(errno.into()),
                }
            };
            let of_record = age(&records, &name)?.unwrap_or_default();
            let of_staged = age(&staging, &id.to_string())?;
            // One that is still to be joined has no staged file of its own, and is not done.
            let is_done = of_staged.is_none()
                && self.read_upload_record(id).is_ok_and(|it| {
                    it.is_some_and(|it| {
                        it.published.is_some() || !matches!(it.purpose, UploadKind::Joined { .. })
                    })
                });
            let kept = if is_done { KEPT_WHEN_DONE } else { KEPT };
            if of_record.min(of_staged.unwrap_or(of_record)) >= kept {
                unlink(&records, &name)?;
                unlink(&staging, &id.to_string())?;
                swept += usize::from(!is_done);
            }
        }
        Ok(swept)
    }

    /// Whether something staged belongs to a resumable upload, whatever its record says.
    pub(crate) fn has_upload_record(&self, id: StagedId) -> io::Result<bool> {
        let Some(folder) = folder_to_read(self, UPLOADS_FOLDER)? else { return Ok(false) };
        let name = file_name(&id.to_string());
        match rustix::fs::statat(&folder, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    fn upload_records(&self) -> io::Result<Records> {
        Records::open(self, UPLOADS_FOLDER)
    }

    fn read_upload_record(&self, id: StagedId) -> io::Result<Option<UploadRecord>> {
        self.upload_records()?.read(&id.to_string(), VERSION)
    }
}

impl Upload {
    /// Bytes that have come.
    pub fn offset(&self) -> u64 {
        match (&self.staged, &self.record.purpose) {
            (Some(staged), _) => staged.len(),
            (None, UploadKind::Joined { .. }) if self.record.published.is_none() => 0,
            (None, _) => self.record.length,
        }
    }

    /// Whether all bytes have come.
    pub fn is_complete(&self) -> bool {
        self.offset() == self.record.length
    }

    /// Whether it has become a file.
    pub fn is_published(&self) -> bool {
        self.record.published.is_some()
            || (self.staged.is_none() && matches!(self.record.purpose, UploadKind::File(_)))
    }

    /// When it is swept, if nobody goes on with it; none for one that has become a file.
    pub fn expires(&self) -> Option<SystemTime> {
        let last_written = match &self.staged {
            Some(staged) => staged.file().metadata().and_then(|it| it.modified()),
            None => Ok(SystemTime::now()),
        };
        last_written.ok().filter(|_| !self.is_published()).map(|it| it + KEPT)
    }

    /// The staged file, to write to it; [`Upload::put_back`] returns it.
    pub fn take_staged(&mut self) -> Option<Staged> {
        self.staged.take()
    }

    /// Returns what [`Upload::take_staged`] took.
    pub fn put_back(&mut self, staged: Staged) {
        self.staged = Some(staged);
    }

    /// Makes durable what has come, so that a client may be told.
    pub fn sync(&self) -> io::Result<()> {
        self.staged.as_ref().map_or(Ok(()), Staged::sync)
    }

    /// From here on bytes come that are not to count until they were checked, even if the service is killed.
    pub fn begin_check(&mut self) -> io::Result<()> {
        self.record.unchecked_from = Some(self.offset());
        self.write_record()
    }

    /// Says how the check went: bytes that failed it have not come.
    pub fn end_check(&mut self, is_good: bool) -> io::Result<()> {
        let Some(from) = self.record.unchecked_from.take() else { return Ok(()) };
        if let (Some(staged), false) = (&mut self.staged, is_good) {
            staged.truncate(from)?;
        }
        self.sync()?;
        self.write_record()
    }

    /// Makes a complete upload a file, if it is to be one and is none yet.
    pub fn finish(&mut self, may_write: &dyn Fn(&RelPath) -> bool) -> Result<(), PublishError> {
        let Some(target) = self.record.target().cloned().filter(|_| self.is_complete()) else {
            return Ok(());
        };
        let Some(staged) = self.staged.take() else { return Ok(()) };
        match staged.publish(&target.path, target.exists.into(), may_write) {
            Ok(Published { path, .. }) => self.record.published = Some(path),
            Err(error) => {
                // What came is kept, for another try.
                self.staged = self.volume.resume(self.id).ok().flatten();
                return Err(error);
            }
        }
        // It is published, whatever becomes of the record: that its staged file is gone says the same.
        self.write_record().unwrap_or_default();
        Ok(())
    }

    /// Joins about so many bytes of the parts; says whether that was all. Each part goes when it is in the whole, so
    /// that joining needs no more room than one part has. Can be interrupted anywhere.
    pub fn join_more(&mut self, budget: u64) -> Result<bool, StageError> {
        let parts = match &self.record.purpose {
            UploadKind::Joined { parts, .. } if self.record.published.is_none() => parts.clone(),
            _ => return Ok(true),
        };
        let staging = self.volume.staging().map_err(StageError::Io)?;
        if self.staged.is_none() {
            // The first part's file becomes the whole's.
            let first = parts.first().map(|it| it.id.to_string()).unwrap_or_default();
            let whole = self.id.to_string();
            match rustix::fs::renameat(&staging, first.as_str(), &staging, whole.as_str()) {
                Ok(()) => {}
                // Neither is there: the whole has been published, and its record was not quick enough to say so.
                Err(Errno::NOENT) => {
                    self.record.published = self.record.target().map(|it| it.path.clone());
                    self.write_record().map_err(StageError::of)?;
                    return Ok(true);
                }
                Err(errno) => return Err(StageError::Io(errno.into())),
            }
            self.staged = self.volume.resume(self.id).map_err(StageError::Io)?;
        }
        let Some(whole) = &mut self.staged else { return Ok(true) };
        let mut end = 0;
        for part in &parts {
            end += part.length;
            if whole.len() < end {
                let Some(from) = self.volume.resume(part.id).map_err(StageError::Io)? else {
                    let what = format!("the part {} is gone", part.id);
                    return Err(StageError::Io(io::Error::other(what)));
                };
                let at = part.length - (end - whole.len());
                self.volume.make_room(end - whole.len()).map_err(StageError::Io)??;
                let copied = whole.append(from.file(), at, (end - whole.len()).min(budget))?;
                if whole.len() < end {
                    return if copied > 0 { Ok(false) } else { Err(short(part.id)) };
                }
                whole.sync().map_err(StageError::Io)?;
            }
            unlink(&staging, &part.id.to_string()).map_err(StageError::Io)?;
        }
        let records = self.volume.upload_records().map_err(StageError::Io)?;
        for part in &parts {
            records.remove(&part.id.to_string()).map_err(StageError::Io)?;
        }
        Ok(true)
    }

    /// Forgets the upload and what has come.
    pub fn remove(self) -> io::Result<()> {
        self.volume.upload_records()?.remove(&self.id.to_string())?;
        unlink(&self.volume.staging()?, &self.id.to_string())?;
        if let UploadKind::Joined { parts, .. } = &self.record.purpose {
            for part in parts {
                self.volume.upload_records()?.remove(&part.id.to_string())?;
                unlink(&self.volume.staging()?, &part.id.to_string())?;
            }
        }
        Ok(())
    }

    fn write_record(&self) -> io::Result<()> {
        self.volume.upload_records()?.write(&self.id.to_string(), &self.record)
    }
}

fn short(id: StagedId) -> StageError {
    StageError::Io(io::Error::other(format!("the part {id} is shorter than it was")))
}
