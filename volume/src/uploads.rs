//! Resumable uploads.
//!
//! An upload is two files under one random name: `.sounding/staging/ID` holds the bytes received so far, `.sounding/uploads/ID.json` is its
//! record, which people can read too. The number of bytes received is the length of the first, so no record can be wrong about it, however
//! the service ended. A record whose staged file is gone belongs to an upload that was published.
//!
//! An upload may arrive in parts that are sent side by side. Each part is an upload of its own that is never published, and one more upload
//! joins them.

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

/// How long an abandoned upload is kept.
pub const KEPT: Duration = crate::staging::KEPT;
/// How long the record of a finished upload is kept, for a client that missed the response.
pub const KEPT_WHEN_DONE: Duration = Duration::from_hours(24);

/// The version of the records' format.
const VERSION: u32 = 1;

/// Everything about an upload except its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadRecord {
    version: u32,
    /// The user it belongs to.
    pub user: String,
    /// When it was created.
    pub created: Timestamp,
    /// Its full length in bytes.
    pub length: u64,
    /// The kind, with the target of one that will be published.
    #[serde(flatten)]
    pub purpose: UploadKind,
    /// The client's metadata, as it was sent.
    pub metadata: String,
    /// The offset from which bytes have arrived whose checksum was not compared yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unchecked_from: Option<u64>,
    /// The path it was published at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<RelPath>,
}

/// The kind of an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "purpose", rename_all = "kebab-case")]
pub enum UploadKind {
    /// It becomes a file.
    File(UploadTarget),
    /// It is joined with others.
    Part,
    /// It becomes a file, joined from parts.
    Joined {
        /// The file.
        #[serde(flatten)]
        target: UploadTarget,
        /// The parts, in this order.
        parts: Vec<UploadPart>,
    },
}

/// The target of an upload.
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

/// An upload with its staged file open. The caller makes sure that only one at a time is open.
#[derive(Debug)]
pub struct Upload {
    volume: Arc<Volume>,
    /// Its name.
    pub id: StagedId,
    /// Its record.
    pub record: UploadRecord,
    /// `None` once it is published, and for one whose parts are not joined yet.
    staged: Option<Staged>,
}

impl UploadRecord {
    /// The record of a new upload.
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

    /// Its target; `None` for a part.
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
    /// Creates an upload. Reserves its whole space and syncs its record.
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

    /// Opens an upload again; `None` if there is none with that name.
    pub fn upload(self: &Arc<Volume>, id: StagedId) -> io::Result<Option<Upload>> {
        let Some(record) = self.read_upload_record(id)? else { return Ok(None) };
        let staged = self.resume(id)?;
        let mut upload = Upload { volume: Arc::clone(self), id, record, staged };
        // The service ended before it could compare the checksum: unchecked bytes are dropped.
        upload.end_check(false)?;
        Ok(Some(upload))
    }

    /// The names of all records.
    pub fn uploads(&self) -> io::Result<Vec<StagedId>> {
        self.upload_records()?.names()
    }

    /// Removes uploads that were abandoned for a week, and the records of those that have been finished for a day. Returns the number of
    /// unfinished ones.
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
            // An upload whose parts are not joined yet has no staged file of its own, and is not done.
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

    /// Whether something staged belongs to a resumable upload, whatever its record holds.
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
    /// The number of bytes received.
    pub fn offset(&self) -> u64 {
        match (&self.staged, &self.record.purpose) {
            (Some(staged), _) => staged.len(),
            (None, UploadKind::Joined { .. }) if self.record.published.is_none() => 0,
            (None, _) => self.record.length,
        }
    }

    /// Whether all bytes were received.
    pub fn is_complete(&self) -> bool {
        self.offset() == self.record.length
    }

    /// Whether it has become a file.
    pub fn is_published(&self) -> bool {
        self.record.published.is_some()
            || (self.staged.is_none() && matches!(self.record.purpose, UploadKind::File(_)))
    }

    /// When it expires if it is abandoned; `None` for one that has become a file.
    pub fn expires(&self) -> Option<SystemTime> {
        let last_written = match &self.staged {
            Some(staged) => staged.file().metadata().and_then(|it| it.modified()),
            None => Ok(SystemTime::now()),
        };
        last_written.ok().filter(|_| !self.is_published()).map(|it| it + KEPT)
    }

    /// Takes the staged file, to write to it; [`Upload::put_back`] returns it.
    pub fn take_staged(&mut self) -> Option<Staged> {
        self.staged.take()
    }

    /// Returns the file that [`Upload::take_staged`] took.
    pub fn put_back(&mut self, staged: Staged) {
        self.staged = Some(staged);
    }

    /// Syncs the bytes received, so that the client may be told.
    pub fn sync(&self) -> io::Result<()> {
        self.staged.as_ref().map_or(Ok(()), Staged::sync)
    }

    /// Marks that the bytes from here on count only after their checksum was compared, even if the service is killed.
    pub fn begin_check(&mut self) -> io::Result<()> {
        self.record.unchecked_from = Some(self.offset());
        self.write_record()
    }

    /// Ends the check: bytes that failed it are dropped.
    pub fn end_check(&mut self, is_good: bool) -> io::Result<()> {
        let Some(from) = self.record.unchecked_from.take() else { return Ok(()) };
        if let (Some(staged), false) = (&mut self.staged, is_good) {
            staged.truncate(from)?;
        }
        self.sync()?;
        self.write_record()
    }

    /// Publishes a complete upload, if it has a target and is not published yet.
    pub fn finish(&mut self, may_write: &dyn Fn(&RelPath) -> bool) -> Result<(), PublishError> {
        let Some(target) = self.record.target().cloned().filter(|_| self.is_complete()) else {
            return Ok(());
        };
        let Some(staged) = self.staged.take() else { return Ok(()) };
        match staged.publish(&target.path, target.exists.into(), may_write) {
            Ok(Published { path, .. }) => self.record.published = Some(path),
            Err(error) => {
                // The bytes received are kept, for another try.
                self.staged = self.volume.resume(self.id).ok().flatten();
                return Err(error);
            }
        }
        // It is published even if this write fails: the missing staged file shows the same.
        self.write_record().unwrap_or_default();
        Ok(())
    }

    /// Joins up to `budget` bytes of the parts; returns whether that was all. Each part is removed when it is in the whole, so that joining
    /// needs extra space for one part only. May be interrupted anywhere.
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
                // Neither exists: the whole was published, and the service ended before its record was written.
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

    /// Removes the upload, its record and its parts.
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
