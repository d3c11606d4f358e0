//! Makes an archive while it is sent.
//!
//! The members and their sizes are known first, the bytes come later. So [`zip_size`] gives the archive's exact length for an offer before
//! a file is opened, and [`ZipWriter`] makes the pieces between the files' bytes. Files are stored, with a descriptor after them as in
//! Python's magic-wormhole, because the CRC is only known at the end. Sizes have 64 bits only where that is needed, so that old programs
//! can read the rest.
//!
//! A file that is longer or shorter than announced is an error, since the promised length would be wrong. Times are not sent. Left to the
//! caller: reading the files, sending all pieces in order, and choosing names and modes that the other side can use.

use crc32fast::Hasher;

use crate::descriptor;
use crate::format::{END64_LENGTH, FLAG_DESCRIPTOR, FLAG_UTF8, Record, STORED, ZIP64_EXTRA};

/// The version of the format that folders and stored files need (§4.4.3).
const VERSION: u16 = 20;
/// The version that 64-bit sizes need.
const VERSION_ZIP64: u16 = 45;
/// The upper byte for an archive made by a Unix (§4.4.2).
const UNIX: u16 = 3 << 8;
/// The first of January 1980, the earliest possible day (§4.4.6).
const DATE: u16 = 0x21;
/// The lower half of a folder's external attributes, as in DOS.
const DOS_FOLDER: u32 = 0x10;

const NARROW_DESCRIPTOR: u64 = 16;
const WIDE_DESCRIPTOR: u64 = 24;
/// The bytes of a local header's extra field with both sizes.
const LOCAL_EXTRA: u64 = 20;

/// A file or folder to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// A relative path with `/` between names; a folder's ends with one. The format has space for 65 535 bytes, Linux for 4095; the rest is
    /// cut off.
    pub name: String,
    /// Whether it is a file or a folder.
    pub kind: Kind,
    /// Its Unix permissions.
    pub mode: u32,
}

/// The kind of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file of this size.
    File {
        /// The size in bytes.
        size: u64,
    },
}

/// Why an archive can't be continued.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The file has become longer.
    #[error("`{name}` has grown while it was being sent: it had {size} bytes")]
    Longer {
        /// The member's name.
        name: String,
        /// The announced size in bytes.
        size: u64,
    },
    /// The file has become shorter.
    #[error(
        "`{name}` has shrunk while it was being sent: it had {size} bytes, now {left} are missing"
    )]
    Shorter {
        /// The member's name.
        name: String,
        /// The announced size in bytes.
        size: u64,
        /// The number of missing bytes.
        left: u64,
    },
    /// No member is open: none was begun, or it has ended.
    #[error("no file was begun")]
    NothingBegun,
}

/// The exact length of the archive of these members; `u64::MAX` if it needs more than 64 bits.
pub fn zip_size(members: &[Member]) -> u64 {
    let mut offset = 0u64;
    let mut directory = 0u64;
    for member in members {
        directory += member.central_length(offset);
        offset = offset.saturating_add(member.whole_length());
    }
    let end = End { entries: members.len() as u64, offset, size: directory };
    offset.saturating_add(directory + end.length())
}

/// Makes the pieces of one archive: for each member [`begin`](Self::begin), [`data`](Self::data) as often as needed, [`end`](Self::end),
/// and at last [`finish`](Self::finish).
#[derive(Debug)]
pub struct ZipWriter {
    members: Vec<Member>,
    /// The CRC and the offset of each member that has ended.
    written: Vec<Written>,
    open: Option<Open>,
    /// The length of the archive so far.
    offset: u64,
}

#[derive(Clone, Copy, Debug)]
struct Written {
    crc: u32,
    offset: u64,
}

/// A member that was begun.
#[derive(Debug)]
struct Open {
    hasher: Hasher,
    offset: u64,
    left: u64,
}

impl ZipWriter {
    /// An archive of these members, in this order.
    pub fn new(members: Vec<Member>) -> ZipWriter {
        ZipWriter { members, written: Vec::new(), open: None, offset: 0 }
    }

    /// Begins the next member: returns its index and the bytes before its data. `None` when there are no more, and while one is open.
    pub fn begin(&mut self) -> Option<(usize, Vec<u8>)> {
        if self.open.is_some() {
            return None;
        }
        let index = self.written.len();
        let member = self.members.get(index)?;
        let header = member.local_header();
        self.open = Some(Open { hasher: Hasher::new(), offset: self.offset, left: member.size() });
        self.offset += header.len() as u64;
        Some((index, header))
    }

    /// Counts and hashes bytes of the member. The caller sends them unchanged.
    pub fn data(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let open = self.open.as_mut().ok_or(WriteError::NothingBegun)?;
        let length = bytes.len() as u64;
        let Some(left) = open.left.checked_sub(length) else {
            let member = self.members.get(self.written.len());
            return Err(WriteError::Longer {
                name: member.map(|it| it.name.clone()).unwrap_or_default(),
                size: member.map_or(0, Member::size),
            });
        };
        open.left = left;
        open.hasher.update(bytes);
        self.offset += length;
        Ok(())
    }

    /// Ends the member: returns the bytes after its data, empty for a folder.
    pub fn end(&mut self) -> Result<Vec<u8>, WriteError> {
        let (Some(open), Some(member)) = (self.open.as_ref(), self.members.get(self.written.len()))
        else {
            return Err(WriteError::NothingBegun);
        };
        if open.left > 0 {
            return Err(WriteError::Shorter {
                name: member.name.clone(),
                size: member.size(),
                left: open.left,
            });
        }
        let crc = open.hasher.clone().finalize();
        let descriptor = member.descriptor(crc);
        self.written.push(Written { crc, offset: open.offset });
        self.open = None;
        self.offset += descriptor.len() as u64;
        Ok(descriptor)
    }

    /// The directory and the end, for the members that have ended.
    pub fn finish(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (member, written) in self.members.iter().zip(&self.written) {
            member.put_central_header(&mut bytes, *written);
        }
        let end = End {
            entries: self.written.len() as u64,
            offset: self.offset,
            size: bytes.len() as u64,
        };
        end.put(&mut bytes);
        bytes
    }
}

impl Member {
    fn size(&self) -> u64 {
        match self.kind {
            Kind::Folder => 0,
            Kind::File { size } => size,
        }
    }

    fn is_wide(&self) -> bool {
        is_wide(self.size())
    }

    fn name(&self) -> &[u8] {
        let name = self.name.as_bytes();
        name.get(..usize::from(u16::MAX)).unwrap_or(name)
    }

    fn flags(&self) -> u16 {
        match self.kind {
            Kind::Folder => FLAG_UTF8,
            Kind::File { .. } => FLAG_UTF8 | FLAG_DESCRIPTOR,
        }
    }

    /// The length of header, data and descriptor.
    fn whole_length(&self) -> u64 {
        let header = Record::Local.fixed_length() as u64 + self.name().len() as u64;
        let around = match self.kind {
            Kind::Folder => header,
            Kind::File { .. } if self.is_wide() => header + LOCAL_EXTRA + WIDE_DESCRIPTOR,
            Kind::File { .. } => header + NARROW_DESCRIPTOR,
        };
        self.size().saturating_add(around)
    }

    fn central_length(&self, offset: u64) -> u64 {
        let numbers = self.wide_numbers(offset).len() as u64;
        let extra = if numbers == 0 { 0 } else { 4 + 8 * numbers };
        Record::Central.fixed_length() as u64 + self.name().len() as u64 + extra
    }

    /// The numbers that do not fit into its directory record itself (§4.5.3).
    fn wide_numbers(&self, offset: u64) -> Vec<u64> {
        [self.size(), self.size(), offset].into_iter().filter(|it| is_wide(*it)).collect()
    }

    fn local_header(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(Record::Local.signature());
        put_u16(&mut bytes, version(self.is_wide()));
        self.put_common(&mut bytes, 0);
        // The descriptor has the sizes; all ones only mean that they have 64 bits there.
        let size = if self.is_wide() { u32::MAX } else { 0 };
        put_u32(&mut bytes, size);
        put_u32(&mut bytes, size);
        let extra = if self.is_wide() { zip64_extra(&[0, 0]) } else { Vec::new() };
        put_length(&mut bytes, self.name());
        put_length(&mut bytes, &extra);
        bytes.extend_from_slice(self.name());
        bytes.extend(extra);
        bytes
    }

    fn descriptor(&self, crc: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let Kind::File { size } = self.kind else { return bytes };
        bytes.extend(descriptor::SIGNATURE);
        put_u32(&mut bytes, crc);
        for _ in 0..2 {
            if self.is_wide() {
                put_u64(&mut bytes, size);
            } else {
                put_u32(&mut bytes, narrow(size));
            }
        }
        bytes
    }

    fn put_central_header(&self, bytes: &mut Vec<u8>, written: Written) {
        let numbers = self.wide_numbers(written.offset);
        let extra = if numbers.is_empty() { Vec::new() } else { zip64_extra(&numbers) };
        bytes.extend(Record::Central.signature());
        let version = version(!numbers.is_empty());
        put_u16(bytes, UNIX | version);
        put_u16(bytes, version);
        self.put_common(bytes, written.crc);
        put_u32(bytes, narrow(self.size()));
        put_u32(bytes, narrow(self.size()));
        put_length(bytes, self.name());
        put_length(bytes, &extra);
        // No comment, on the first disk, binary data.
        put_u16(bytes, 0);
        put_u16(bytes, 0);
        put_u16(bytes, 0);
        put_u32(bytes, self.attributes());
        put_u32(bytes, narrow(written.offset));
        bytes.extend_from_slice(self.name());
        bytes.extend(extra);
    }

    /// The fields from the flags to the CRC, which are the same in both headers.
    fn put_common(&self, bytes: &mut Vec<u8>, crc: u32) {
        put_u16(bytes, self.flags());
        put_u16(bytes, STORED);
        put_u16(bytes, 0);
        put_u16(bytes, DATE);
        put_u32(bytes, crc);
    }

    fn attributes(&self) -> u32 {
        let permissions = self.mode & 0o7777;
        match self.kind {
            Kind::Folder => (0o040_000 | permissions) << 16 | DOS_FOLDER,
            Kind::File { .. } => (0o100_000 | permissions) << 16,
        }
    }
}

/// The end of an archive.
struct End {
    entries: u64,
    /// The offset and the length of the directory.
    offset: u64,
    size: u64,
}

impl End {
    fn is_wide(&self) -> bool {
        self.entries >= u64::from(u16::MAX) || is_wide(self.offset) || is_wide(self.size)
    }

    fn length(&self) -> u64 {
        let narrow = Record::End.fixed_length() as u64;
        let wide = (Record::End64.fixed_length() + Record::Locator64.fixed_length()) as u64;
        if self.is_wide() { wide + narrow } else { narrow }
    }

    fn put(&self, bytes: &mut Vec<u8>) {
        if self.is_wide() {
            self.put_wide(bytes);
        }
        bytes.extend(Record::End.signature());
        let entries = u16::try_from(self.entries).unwrap_or(u16::MAX);
        // The first of one disk.
        put_u16(bytes, 0);
        put_u16(bytes, 0);
        put_u16(bytes, entries);
        put_u16(bytes, entries);
        put_u32(bytes, narrow(self.size));
        put_u32(bytes, narrow(self.offset));
        // No comment.
        put_u16(bytes, 0);
    }

    fn put_wide(&self, bytes: &mut Vec<u8>) {
        bytes.extend(Record::End64.signature());
        put_u64(bytes, END64_LENGTH);
        put_u16(bytes, UNIX | VERSION_ZIP64);
        put_u16(bytes, VERSION_ZIP64);
        put_u32(bytes, 0);
        put_u32(bytes, 0);
        put_u64(bytes, self.entries);
        put_u64(bytes, self.entries);
        put_u64(bytes, self.size);
        put_u64(bytes, self.offset);
        bytes.extend(Record::Locator64.signature());
        put_u32(bytes, 0);
        put_u64(bytes, self.offset + self.size);
        put_u32(bytes, 1);
    }
}

/// Whether a number does not fit into 32 bits, where all ones have a meaning (§4.4.1.4).
fn is_wide(number: u64) -> bool {
    number >= u64::from(u32::MAX)
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn version(is_wide: bool) -> u16 {
    if is_wide { VERSION_ZIP64 } else { VERSION }
}

fn zip64_extra(numbers: &[u64]) -> Vec<u8> {
    let body: Vec<u8> = numbers.iter().flat_map(|it| it.to_le_bytes()).collect();
    let mut bytes = Vec::new();
    put_u16(&mut bytes, ZIP64_EXTRA);
    put_length(&mut bytes, &body);
    bytes.extend(body);
    bytes
}

/// Appends the length of something with fewer than 65 536 bytes.
fn put_length(bytes: &mut Vec<u8>, of: &[u8]) {
    put_u16(bytes, u16::try_from(of.len()).unwrap_or(u16::MAX));
}

fn put_u16(bytes: &mut Vec<u8>, number: u16) {
    bytes.extend(number.to_le_bytes());
}

fn put_u32(bytes: &mut Vec<u8>, number: u32) {
    bytes.extend(number.to_le_bytes());
}

fn put_u64(bytes: &mut Vec<u8>, number: u64) {
    bytes.extend(number.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, size: u64) -> Member {
        Member { name: name.into(), kind: Kind::File { size }, mode: 0o644 }
    }

    #[test]
    fn a_file_must_have_the_size_that_was_promised() {
        let mut writer = ZipWriter::new(vec![file("a", 3)]);
        assert_eq!(writer.data(b"x"), Err(WriteError::NothingBegun));
        assert_eq!(writer.end(), Err(WriteError::NothingBegun));
        writer.begin().unwrap();
        writer.data(b"xy").unwrap();
        let longer = writer.data(b"zz").unwrap_err();
        assert_eq!(longer.to_string(), "`a` has grown while it was being sent: it had 3 bytes");
        let shorter = writer.end().unwrap_err();
        assert_eq!(
            shorter.to_string(),
            "`a` has shrunk while it was being sent: it had 3 bytes, now 1 are missing"
        );
        writer.data(b"z").unwrap();
        writer.end().unwrap();
        assert_eq!(writer.end(), Err(WriteError::NothingBegun));
        assert_eq!(writer.begin(), None);
    }

    #[test]
    fn one_member_ends_before_the_next_begins() {
        let mut writer = ZipWriter::new(vec![file("a", 0), file("b", 0)]);
        assert_eq!(writer.begin().map(|it| it.0), Some(0));
        assert_eq!(writer.begin(), None);
        writer.end().unwrap();
        assert_eq!(writer.begin().map(|it| it.0), Some(1));
    }

    #[test]
    fn a_folder_is_a_header_and_nothing_more() {
        let folder = Member { name: "d/".into(), kind: Kind::Folder, mode: 0o755 };
        let mut writer = ZipWriter::new(vec![folder]);
        let (_, header) = writer.begin().unwrap();
        assert_eq!(header.len(), 32);
        assert!(matches!(writer.data(b"x"), Err(WriteError::Longer { .. })));
        assert_eq!(writer.end().unwrap(), b"");
        // The permissions and the file type, then the DOS attributes.
        assert_eq!(writer.finish()[38..42], [0x10, 0, 0xed, 0x41]);
    }

    #[test]
    fn wide_numbers_stand_only_where_they_are_needed() {
        let limit = u64::from(u32::MAX);
        let check = |sizes: &[u64], expected: u64| {
            let members: Vec<Member> = sizes.iter().map(|it| file("n", *it)).collect();
            let without_data = zip_size(&members) - sizes.iter().sum::<u64>();
            assert_eq!(without_data, expected, "{sizes:?}");
        };
        let (local, central, end, end64) = (31 + 16, 47, 22, 56 + 20);
        check(&[], end);
        check(&[0], local + central + end);
        // The directory begins below the limit, and at it.
        check(&[limit - 48], local + central + end);
        check(&[limit - 47], local + central + end64 + end);
        check(&[limit - 1], local + central + end64 + end);
        let wide = local + 20 + 8 + central + 4 + 16 + end64 + end;
        check(&[limit], wide);
        // The offset of the second is wide too.
        check(&[limit, 0], wide + local + central + 4 + 8);
        check(&[limit, limit], 2 * (local + 28 + central + 20) + 8 + end64 + end);
    }

    #[test]
    fn what_no_archive_can_have_is_no_overflow() {
        assert_eq!(zip_size(&[file("a", u64::MAX), file("b", u64::MAX)]), u64::MAX);
        let long = file(&"n".repeat(70_000), 0);
        let mut writer = ZipWriter::new(vec![long.clone()]);
        let (_, header) = writer.begin().unwrap();
        let length = header.len() + writer.end().unwrap().len() + writer.finish().len();
        assert_eq!(length as u64, zip_size(&[long]));
    }
}
