//! What is known of transfers by wormhole, and which programs run them.
//!
//! A transfer is a record, `.sounding/transfers/NUMBER.json`; what stands in it is its writer's affair. Whoever runs
//! transfers (the service, or a console where none runs) is a host: it holds a lock on a file of its own for as long
//! as it lives. So whoever comes later knows which of the transfers that are not over were interrupted, however that
//! came about.

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

/// The settings are a few lines; what is larger than this is something else.
const LARGEST_SETTINGS: u64 = 64 << 10;

/// All transfers' records.
#[derive(Debug)]
pub struct TransferRecords {
    records: Records,
    version: u32,
}

/// A program that runs transfers, for as long as this lives.
#[derive(Debug)]
pub struct Host {
    folder: OwnedFd,
    /// Held locked: the kernel lets go of it when the process ends, however it ends.
    _locked: OwnedFd,
    /// What records call it.
    pub id: StagedId,
}

impl Volume {
    /// The transfers' records. What is of a newer version than this is not touched.
    pub fn transfer_records(&self, version: u32) -> io::Result<TransferRecords> {
        Ok(TransferRecords { records: Records::open(self, TRANSFERS_FOLDER)?, version })
    }

    /// Whether anything was ever transferred.
    pub fn has_transfer_records(&self) -> io::Result<bool> {
        Ok(folder_to_read(self, TRANSFERS_FOLDER)?.is_some())
    }

    /// Which servers transfers go by, as it is written in `.sounding/wormhole.conf`; none where nothing is.
    pub fn wormhole_settings(&self) -> io::Result<Option<String>> {
        let text = small_file::read(self, WORMHOLE_FILE, LARGEST_SETTINGS)?;
        Ok(text.map(|it| String::from_utf8_lossy(&it).into_owned()))
    }
}

impl TransferRecords {
    /// Becomes a host.
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

    /// Whether a host is still there. One that is not is forgotten.
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

    /// Begins a record under the next number that is free.
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

    /// The numbers there are records of.
    pub fn numbers(&self) -> io::Result<Vec<u64>> {
        self.records.names()
    }

    /// What is known of a transfer; none if there is no such.
    pub fn read<T: DeserializeOwned>(&self, number: u64) -> io::Result<Option<T>> {
        self.records.read(&number.to_string(), self.version)
    }

    /// Writes down what is known of a transfer, durably.
    pub fn write(&self, number: u64, record: &impl Serialize) -> io::Result<()> {
        self.records.write(&number.to_string(), record)
    }

    /// Forgets a transfer.
    pub fn remove(&self, number: u64) -> io::Result<()> {
        self.records.remove(&number.to_string())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // One that stays is seen to be nobody's.
        unlink(&self.folder, &host_name(self.id)).unwrap_or_default();
    }
}

fn host_name(id: StagedId) -> String {
    format!("{id}{HOST_SUFFIX}")
}
