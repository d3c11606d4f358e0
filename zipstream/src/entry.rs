//! The entry that is being read, and the delivery of its data.

use std::borrow::Cow;

use crc32fast::Hasher;

use crate::descriptor::Descriptor;
use crate::directory::Facts;
use crate::error::{UnzipError, ZipError, shown};
use crate::format::{
    DEFLATED, FLAG_DESCRIPTOR, FLAG_ENCRYPTED, FLAG_MASKED, FLAG_PATCH, FLAG_STRONGLY_ENCRYPTED,
    LocalHeader, Malformed, STORED, decode_name,
};
use crate::sink::{Announced, CHUNK, Entry, Sink, Totals};

/// This many folders are allowed in addition to as many as there are files.
const FREE_FOLDERS: u64 = 100_000;

/// The entry that is being read.
#[derive(Debug, Default)]
pub(super) struct Current {
    pub(super) name: Vec<u8>,
    pub(super) is_folder: bool,
    /// The offset of its local header.
    pub(super) offset: u64,
    pub(super) method: u16,
    pub(super) has_descriptor: bool,
    pub(super) is_zip64: bool,
    /// The values of the local header; with a descriptor they may be zero.
    pub(super) said: Said,
    /// The data so far.
    pub(super) hasher: Hasher,
    pub(super) compressed: u64,
    pub(super) size: u64,
}

/// The values of a local header.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said {
    pub(super) crc: u32,
    pub(super) compressed: u64,
    pub(super) size: u64,
}

/// The form of an entry's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// No data.
    Nothing,
    /// Stored, of a known length.
    Stored,
    /// Stored, up to its descriptor.
    Unmeasured,
    /// Deflated: the data marks its own end.
    Deflated,
}

/// Passes the entry's data to the sink, within the announced limits.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) announced: Announced,
    pub(super) totals: Totals,
    pub(super) entry: Current,
}

impl Current {
    /// The entry of a local header; an error if it can't be unpacked.
    pub(super) fn announced(header: &LocalHeader<'_>, offset: u64) -> Result<Current, ZipError> {
        let name = name_of(header.name, header.flags)?;
        if header.flags & (FLAG_ENCRYPTED | FLAG_STRONGLY_ENCRYPTED | FLAG_MASKED) != 0 {
            return Err(ZipError::Encrypted { name: shown(&name) });
        }
        if header.flags & FLAG_PATCH != 0 || ![STORED, DEFLATED].contains(&header.method) {
            return Err(ZipError::Method { name: shown(&name), method: header.method });
        }
        Ok(Current {
            is_folder: name.ends_with(b"/"),
            name: name.into_owned(),
            offset,
            method: header.method,
            has_descriptor: header.flags & FLAG_DESCRIPTOR != 0,
            is_zip64: header.is_zip64,
            said: Said { crc: header.crc, compressed: header.compressed, size: header.size },
            hasher: Hasher::new(),
            compressed: 0,
            size: 0,
        })
    }

    /// The form of the data that comes next.
    pub(super) fn packing(&self) -> Result<Packing, ZipError> {
        let Said { compressed, size, .. } = self.said;
        let is_stored = self.method == STORED;
        match (is_stored, self.has_descriptor) {
            (true, true) => Ok(Packing::Unmeasured),
            (false, true) => Ok(Packing::Deflated),
            // Some writers give folders a method, and no data.
            (_, false) if compressed == 0 && size == 0 => Ok(Packing::Nothing),
            (true, false) if compressed == size => Ok(Packing::Stored),
            (false, false) if compressed > 0 => Ok(Packing::Deflated),
            _ => Err(self.wrong_sizes()),
        }
    }

    /// The bytes of data that the header announces and that have not arrived.
    pub(super) fn left(&self) -> u64 {
        self.said.compressed.saturating_sub(self.compressed)
    }

    /// The unpacked length, if the header gives it.
    pub(super) fn known_size(&self) -> Option<u64> {
        (!self.has_descriptor).then_some(self.said.size)
    }

    pub(super) fn crc(&self) -> u32 {
        self.hasher.clone().finalize()
    }

    pub(super) fn descriptor(&self) -> Descriptor {
        Descriptor { crc: self.crc(), compressed: self.compressed, size: self.size }
    }

    pub(super) fn facts(&self) -> Facts {
        Facts {
            is_folder: self.is_folder,
            method: self.method,
            crc: self.crc(),
            compressed: self.compressed,
            size: self.size,
            offset: self.offset,
        }
    }

    /// Compares the data with the header. With a descriptor, a zero there means nothing (§4.4.4).
    pub(super) fn check(&self) -> Result<(), ZipError> {
        let agrees = |said: u64, is: u64| said == is || (self.has_descriptor && said == 0);
        if !agrees(self.said.compressed, self.compressed) || !agrees(self.said.size, self.size) {
            return Err(self.wrong_sizes());
        }
        if !agrees(self.said.crc.into(), self.crc().into()) {
            return Err(self.wrong_checksum());
        }
        Ok(())
    }

    pub(super) fn wrong_sizes(&self) -> ZipError {
        ZipError::Sizes { name: shown(&self.name) }
    }

    pub(super) fn wrong_checksum(&self) -> ZipError {
        ZipError::Checksum { name: shown(&self.name) }
    }
}

impl Delivery {
    pub(super) fn begin<S: Sink>(
        &mut self,
        entry: Current,
        sink: &mut S,
    ) -> Result<(), UnzipError<S::Error>> {
        self.entry = entry;
        let entry = &self.entry;
        if entry.is_folder {
            if self.totals.folders >= self.announced.files.saturating_add(FREE_FOLDERS) {
                return Err(ZipError::TooManyFolders.into());
            }
            self.totals.folders += 1;
            let name = entry.name.strip_suffix(b"/").unwrap_or(&entry.name);
            return match name {
                b"" => Err(ZipError::NameEmpty.into()),
                b"." => Ok(()),
                name => sink.folder(name).map_err(UnzipError::Sink),
            };
        }
        // Too large a file is refused before the sink makes space for it.
        let size = entry.known_size();
        let is_too_much = size.unwrap_or(0) > self.announced.bytes - self.totals.bytes;
        if is_too_much || self.totals.files >= self.announced.files {
            return Err(ZipError::MoreThanAnnounced.into());
        }
        self.totals.files += 1;
        sink.begin(&Entry { name: &entry.name, size }).map_err(UnzipError::Sink)
    }

    /// Passes on data, and adds it to the CRC.
    pub(super) fn hand_on<S: Sink>(
        &mut self,
        data: &[u8],
        sink: &mut S,
    ) -> Result<(), UnzipError<S::Error>> {
        self.entry.hasher.update(data);
        self.hand_on_hashed(data, sink)
    }

    /// Passes on data whose CRC is computed elsewhere.
    pub(super) fn hand_on_hashed<S: Sink>(
        &mut self,
        data: &[u8],
        sink: &mut S,
    ) -> Result<(), UnzipError<S::Error>> {
        for chunk in data.chunks(CHUNK) {
            let length = chunk.len() as u64;
            if self.entry.is_folder {
                return Err(ZipError::FolderWithData { name: shown(&self.entry.name) }.into());
            }
            if self.entry.known_size().is_some_and(|it| length > it - self.entry.size) {
                return Err(self.entry.wrong_sizes().into());
            }
            if length > self.announced.bytes - self.totals.bytes {
                return Err(ZipError::MoreThanAnnounced.into());
            }
            self.entry.size += length;
            self.totals.bytes += length;
            sink.data(chunk).map_err(UnzipError::Sink)?;
        }
        Ok(())
    }

    pub(super) fn end<S: Sink>(&mut self, sink: &mut S) -> Result<(), UnzipError<S::Error>> {
        if self.entry.is_folder { Ok(()) } else { sink.end().map_err(UnzipError::Sink) }
    }
}

/// A name from a header, as UTF-8.
pub(super) fn name_of(raw: &[u8], flags: u16) -> Result<Cow<'_, [u8]>, ZipError> {
    decode_name(raw, flags).map_err(|Malformed| ZipError::NameNotUtf8 { name: shown(raw) })
}
