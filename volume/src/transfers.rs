//! The records of wormhole transfers, and the programs that run them.
//!
//! A transfer is a record, `.sounding/transfers/NUMBER.json`; its writer decides what is in it. A program that runs transfers (the service,
//! or a console where no service runs) is a host: it holds a lock on a file of its own while it runs. So a later program knows which of the
//! unfinished transfers were interrupted, however that happened.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::layout::{HOST_SUFFIX, TRANSFERS_FOLDER, WORMHOLE_FILE};
use crate::records::{Records, unlink};
use crate::small_file;
use crate::staged_id::StagedId;
use crate::volume::{Volume, folder_to_read};

/// The largest settings file that is read, in bytes. Usually it has a few lines.
const LARGEST_SETTINGS: u64 = 64 << 10;

/// The records of all transfers.
#[derive(Debug)]
pub struct TransferRecords {
    records: Records,
    version: u32,
}

/// A program that runs transfers, until dropped.
#[derive(Debug)]
pub struct Host {
    folder: OwnedFd,
    /// Holds the lock: the kernel releases it however the process ends.
    _locked: OwnedFd,
    /// The host's name in the records.
    pub id: StagedId,
}

impl Volume {
    /// The transfers' records. A record of a newer version is an error.
    pub fn transfer_records(&self, version: u32) -> io::Result<TransferRecords> {
        Ok(TransferRecords { records: Records::open(self, TRANSFERS_FOLDER)?, version })
    }

    /// Whether there ever was a transfer.
    pub fn has_transfer_records(&self) -> io::Result<bool> {
        Ok(folder_to_read(self, TRANSFERS_FOLDER)?.is_some())
    }

    /// The text of `.sounding/wormhole.conf`, which names the servers for transfers; `None` where there is no file.
    pub fn wormhole_settings(&self) -> io::Result<Option<String>> {
        let text = small_file::read(self, WORMHOLE_FILE, LARGEST_SETTINGS)?;
        Ok(text.map(|it| String::from_utf8_lossy(&it).into_owned()))
    }
}

impl TransferRecords {
    /// Registers this process as a host.
    pub fn host(&self) -> io::Result<Host> {
        self.records.may_change()?;
        let id = StagedId::random()?;
        let folder = rustix::io::fcntl_dupfd_cloexec(&self.records.folder, 0)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let owner_only = Mode::RUSR | Mode::WUSR;
        let locked = rustix::fs::openat(&folder, host_name(id).as_str(), flags, owner_only)?;
        rustix::fs::flock(&locked, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Host { folder, _locked: locked, id })
    }

    /// Whether a host still runs. The file of one that does not is removed.
    pub fn is_there(&self, host: StagedId) -> io::Result<bool> {
        let (folder, name) = (&self.records.folder, host_name(host));
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(folder, name.as_str(), flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
            Err(Errno::WOULDBLOCK) => Ok(true),
            Ok(()) if self.records.may_change().is_err() => Ok(false),
            Ok(()) => unlink(folder, &name).map(|()| false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Creates a record under the next free number.
    pub fn begin<T: Serialize>(&self, record: impl FnOnce(u64) -> T) -> io::Result<(u64, T)> {
        // One at a time. The lock ends with its descriptor.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let lock = rustix::fs::openat(&self.records.folder, c".", flags, Mode::empty())?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
        let number = self.numbers()?.into_iter().max().unwrap_or(0) + 1;
        let record = record(number);
        self.write(number, &record)?;
        Ok((number, record))
    }

    /// The numbers of all records.
    pub fn numbers(&self) -> io::Result<Vec<u64>> {
        self.records.names()
    }

    /// Reads a transfer's record; `None` if there is none.
    pub fn read<T: DeserializeOwned>(&self, number: u64) -> io::Result<Option<T>> {
        self.records.read(&number.to_string(), self.version)
    }

    /// Writes a transfer's record and syncs it to the disk.
    pub fn write(&self, number: u64, record: &impl Serialize) -> io::Result<()> {
        self.records.write(&number.to_string(), record)
    }

    /// Removes a transfer's record.
    pub fn remove(&self, number: u64) -> io::Result<()> {
        self.records.remove(&number.to_string())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // If the file stays, its missing lock shows that the host is gone.
        unlink(&self.folder, &host_name(self.id)).unwrap_or_default();
    }
}

fn host_name(id: StagedId) -> String {
    format!("{id}{HOST_SUFFIX}")
}
