//! Reads an archive while it arrives.
//!
//! A [`ZipReader`] takes the archive's bytes, in pieces of any size, and passes folders, files and the files' bytes to a [`Sink`]. It does
//! not seek and keeps only the names' hashes, so the data is stored once. Entries may be stored or deflated. Their sizes may come before or
//! after the data, with 32 or 64 bits (§4.3.9, §4.5.3): Python's magic-wormhole has sent all of these.
//!
//! Only a consistent archive is accepted. Each entry is compared with its own sizes and CRC, the directory at the end with all entries, and
//! the whole with the announced limits. Nothing beyond these is passed on, so a zip bomb stops at the accepted size. Encrypted entries,
//! links, devices and duplicate names are refused.
//!
//! **A stream is not valid until [`ZipReader::finish`] returns `Ok`.** That an entry is a link shows only at the end. Everything that the
//! sink has written before must be easy to throw away.
//!
//! Left to the sink: whether a name is acceptable. `..`, absolute paths, backslashes, NUL, a folder where a file is: all are passed on as
//! they arrived.

use crc32fast::Hasher;

use crate::descriptor::{self, DECIDING, Search, Verdict};
use crate::directory::{Directory, Facts, Misfit};
use crate::entry::{Current, Delivery, Packing, name_of};
use crate::error::shown;
use crate::format::{CentralHeader, EndRecord, LocalHeader, Malformed, Record, parse_locator};
use crate::inflate::Inflater;
use crate::sink::{Announced, Sink, Totals};

use crate::error::{UnzipError, ZipError};

/// The longest name that is accepted, in bytes. No Linux system could open a longer one.
const NAME_MAX: u16 = 4096;

/// The bits for the file type in a Unix mode, and the two types that are accepted.
const TYPE: u16 = 0o170_000;
const REGULAR: u16 = 0o100_000;
const FOLDER: u16 = 0o040_000;

/// Reads one archive. See the [module](self).
#[derive(Debug)]
pub struct ZipReader {
    state: State,
    /// Decides which records may come.
    part: Part,
    /// The offset in the stream of the record or entry that is being read.
    offset: u64,
    /// The part of a record that has arrived.
    record: Vec<u8>,
    delivery: Delivery,
    search: Search,
    inflater: Option<Inflater>,
    directory: Directory,
    central: Central,
}

/// The part that the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A record; its beginning is in `record`.
    Record,
    /// Stored data of a known length.
    Stored,
    /// Stored data that ends where the search finds its descriptor.
    Unmeasured,
    /// Deflated data, which marks its own end.
    Deflated,
    /// The descriptor after that.
    Descriptor,
    /// The archive's comment.
    Comment { left: u16 },
    /// Nothing: the archive is complete.
    Done,
    /// Nothing: there was an error.
    Refused,
}

/// The parts of an archive, in order (§4.3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Entries,
    Directory,
    AfterEnd64,
    AfterLocator64,
}

/// The directory, as far as it has arrived.
#[derive(Debug, Default)]
struct Central {
    /// Its offset.
    offset: u64,
    /// Its length in bytes, known at its end.
    size: u64,
    entries: u64,
    /// The offset of the wide end record, if there is one.
    end64: Option<u64>,
}

impl ZipReader {
    /// A reader that accepts no more than was announced.
    pub fn new(announced: Announced) -> ZipReader {
        ZipReader {
            state: State::Record,
            part: Part::Entries,
            offset: 0,
            record: Vec::new(),
            delivery: Delivery { announced, totals: Totals::default(), entry: Current::default() },
            search: Search::new(),
            inflater: None,
            directory: Directory::default(),
            central: Central::default(),
        }
    }

    /// Reads more bytes. After an error every further call fails.
    pub fn push<S: Sink>(
        &mut self,
        bytes: &[u8],
        sink: &mut S,
    ) -> Result<(), UnzipError<S::Error>> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.advance(rest, sink) {
                Ok(it) => rest = it,
                Err(error) => {
                    let error = self.explain(error);
                    self.state = State::Refused;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Ends the stream. Returns the totals if the archive is complete.
    pub fn finish(self) -> Result<Totals, ZipError> {
        match self.state {
            State::Done => Ok(self.delivery.totals),
            State::Refused => Err(ZipError::Refused),
            State::Unmeasured if self.search.has_near_miss() => {
                Err(self.delivery.entry.wrong_checksum())
            }
            _ => Err(ZipError::Truncated { missing: self.missing() }),
        }
    }

    /// The part that would have come next.
    fn missing(&self) -> String {
        let name = || shown(&self.delivery.entry.name);
        match self.state {
            State::Stored | State::Deflated => format!("the rest of `{}`", name()),
            State::Unmeasured => format!("the end of `{}`", name()),
            State::Descriptor => format!("the sizes after `{}`", name()),
            State::Comment { left } => format!("{left} bytes of its comment"),
            State::Record | State::Done | State::Refused => match self.part {
                Part::Entries if self.offset == 0 => "its beginning".to_owned(),
                Part::Entries => "its directory".to_owned(),
                Part::Directory => "the end of its directory".to_owned(),
                Part::AfterEnd64 | Part::AfterLocator64 => "its last record".to_owned(),
            },
        }
    }

    /// If the end of stored data was missed because of a wrong CRC, everything after it was read as data until there was too much. Then the
    /// CRC is the real error.
    fn explain<E>(&self, error: UnzipError<E>) -> UnzipError<E> {
        let is_lost = self.state == State::Unmeasured && self.search.has_near_miss();
        match error {
            UnzipError::Zip(ZipError::MoreThanAnnounced) if is_lost => {
                self.delivery.entry.wrong_checksum().into()
            }
            error => error,
        }
    }

    /// Uses some of the bytes, and returns the rest.
    fn advance<'b, S: Sink>(
        &mut self,
        bytes: &'b [u8],
        sink: &mut S,
    ) -> Result<&'b [u8], UnzipError<S::Error>> {
        match self.state {
            State::Record => self.read_record(bytes, sink),
            State::Stored => self.read_stored(bytes, sink),
            State::Unmeasured => self.read_unmeasured(bytes, sink),
            State::Deflated => self.read_deflated(bytes, sink),
            State::Descriptor => self.read_descriptor(bytes, sink),
            State::Comment { left } => Ok(self.read_comment(left, bytes)),
            State::Done => Err(ZipError::DataAfterEnd.into()),
            State::Refused => Err(ZipError::Refused.into()),
        }
    }

    fn read_record<'b, S: Sink>(
        &mut self,
        bytes: &'b [u8],
        sink: &mut S,
    ) -> Result<&'b [u8], UnzipError<S::Error>> {
        let mut rest = bytes;
        loop {
            let (kind, length) = self.expected()?;
            rest = gather(&mut self.record, length, rest);
            if self.record.len() < length {
                return Ok(rest);
            }
            // A length that is reached may only be the fixed part, which gives the length of the others.
            if let Some(kind) = kind
                && self.expected()?.1 == length
            {
                let record = std::mem::take(&mut self.record);
                self.take_record(kind, &record, sink)?;
                self.record = record;
                self.record.clear();
                return Ok(rest);
            }
        }
    }

    /// The kind of the record, if it is known yet, and the number of its bytes that are needed to know more.
    fn expected(&self) -> Result<(Option<Record>, usize), ZipError> {
        let Some(signature) = self.record.first_chunk() else {
            return Ok((None, 4));
        };
        let kind = Record::of(*signature).filter(|it| self.part.may_have(*it));
        let Some(kind) = kind else {
            return Err(match self.offset {
                0 => ZipError::NotAZip,
                offset => ZipError::Unexpected { offset },
            });
        };
        let fixed = kind.fixed_length();
        if self.record.len() < fixed {
            return Ok((Some(kind), fixed));
        }
        let lengths = kind.variable_lengths(&self.record).map_err(|it| self.malformed(it))?;
        let [name_length, ..] = lengths;
        match (kind, name_length) {
            (Record::Local | Record::Central, 0) => Err(ZipError::NameEmpty),
            (Record::Local | Record::Central, length) if length > NAME_MAX => {
                Err(ZipError::NameTooLong { length })
            }
            _ => {
                let variable: usize = lengths.into_iter().map(usize::from).sum();
                Ok((Some(kind), fixed + variable))
            }
        }
    }

    fn take_record<S: Sink>(
        &mut self,
        kind: Record,
        record: &[u8],
        sink: &mut S,
    ) -> Result<(), UnzipError<S::Error>> {
        if self.part == Part::Entries && kind != Record::Local {
            self.central.offset = self.offset;
            self.part = Part::Directory;
        }
        match kind {
            Record::Local => return self.take_local(record, sink),
            Record::Central => self.take_central(record)?,
            Record::End64 => self.take_end64(record)?,
            Record::Locator64 => self.take_locator(record)?,
            Record::End => self.take_end(record)?,
        }
        self.offset += record.len() as u64;
        Ok(())
    }

    /// Begins an entry.
    fn take_local<S: Sink>(
        &mut self,
        record: &[u8],
        sink: &mut S,
    ) -> Result<(), UnzipError<S::Error>> {
        let header = LocalHeader::parse(record).map_err(|it| self.malformed(it))?;
        let entry = Current::announced(&header, self.offset)?;
        if !self.directory.claim(&entry.name) {
            return Err(ZipError::Duplicate { name: shown(&entry.name) }.into());
        }
        self.offset += record.len() as u64;
        let packing = entry.packing()?;
        self.delivery.begin(entry, sink)?;
        match packing {
            Packing::Nothing => return self.end_entry(0, sink),
            Packing::Stored => self.state = State::Stored,
            Packing::Unmeasured => {
                self.search.begin(header.is_zip64);
                self.state = State::Unmeasured;
            }
            Packing::Deflated => {
                self.inflater.get_or_insert_with(Inflater::new).begin();
                self.state = State::Deflated;
            }
        }
        Ok(())
    }

    fn read_stored<'b, S: Sink>(
        &mut self,
        bytes: &'b [u8],
        sink: &mut S,
    ) -> Result<&'b [u8], UnzipError<S::Error>> {
        let (data, rest) = split(bytes, self.delivery.entry.left());
        self.delivery.entry.compressed += data.len() as u64;
        self.delivery.hand_on(data, sink)?;
        if self.delivery.entry.left() == 0 {
            self.end_entry(0, sink)?;
        }
        Ok(rest)
    }

    fn read_unmeasured<'b, S: Sink>(
        &mut self,
        bytes: &'b [u8],
        sink: &mut S,
    ) -> Result<&'b [u8], UnzipError<S::Error>> {
        let delivery = &mut self.delivery;
        let end = self.search.advance(bytes, |data| {
            delivery.entry.compressed += data.len() as u64;
            delivery.hand_on_hashed(data, sink)
        })?;
        let Some(end) = end else { return Ok(&[]) };
        self.delivery.entry.hasher = Hasher::new_with_initial(end.descriptor.crc);
        self.record = end.spilled;
        self.end_entry(end.length, sink)?;
        Ok(bytes.get(end.consumed..).unwrap_or_default())
    }

    fn read_deflated<'b, S: Sink>(
        &mut self,
        bytes: &'b [u8],
        sink: &mut S,
    ) -> Result<&'b [u8], UnzipError<S::Error>> {
        let entry = &self.delivery.entry;
        let limit = if entry.has_descriptor { u64::MAX } else { entry.left() };
        let (mut input, beyond) = split(bytes, limit);
        let inflater = self.inflater.get_or_insert_with(Inflater::new);
        loop {
            let piece = inflater.inflate(input).map_err(|source| ZipError::Deflate {
                name: shown(&self.delivery.entry.name),
                source,
            })?;
            let is_stuck = piece.used == 0 && piece.output.is_empty();
            let is_last = piece.is_last;
            input = input.get(piece.used..).unwrap_or_default();
            self.delivery.entry.compressed += piece.used as u64;
            self.delivery.hand_on(piece.output, sink)?;
            if is_last {
                self.end_deflated(sink)?;
                let (_, rest) = bytes.split_at(bytes.len() - input.len() - beyond.len());
                return Ok(rest);
            }
            if is_stuck {
                break;
            }
        }
        // The data must end within its length, and all of its bytes must be used.
        let entry = &self.delivery.entry;
        let is_over = !entry.has_descriptor && entry.left() == 0;
        if is_over || !input.is_empty() {
            return Err(entry.wrong_sizes().into());
        }
        Ok(beyond)
    }

    fn end_deflated<S: Sink>(&mut self, sink: &mut S) -> Result<(), UnzipError<S::Error>> {
        if self.delivery.entry.has_descriptor {
            self.state = State::Descriptor;
            return Ok(());
        }
        self.end_entry(0, sink)
    }

    fn read_descriptor<'b, S: Sink>(
        &mut self,
        bytes: &'b [u8],
        sink: &mut S,
    ) -> Result<&'b [u8], UnzipError<S::Error>> {
        let rest = gather(&mut self.record, DECIDING, bytes);
        if self.record.len() < DECIDING {
            return Ok(rest);
        }
        let entry = &self.delivery.entry;
        match descriptor::judge(&self.record, entry.descriptor(), entry.is_zip64) {
            Verdict::Fits(length) => {
                // The extra bytes are the beginning of the next record.
                self.record.drain(..length);
                self.end_entry(length, sink)?;
                Ok(rest)
            }
            Verdict::OtherChecksum => Err(entry.wrong_checksum().into()),
            Verdict::Contradicts => Err(entry.wrong_sizes().into()),
        }
    }

    /// Ends an entry: its values must agree with its header, and later the directory with them.
    fn end_entry<S: Sink>(
        &mut self,
        descriptor: usize,
        sink: &mut S,
    ) -> Result<(), UnzipError<S::Error>> {
        let entry = &self.delivery.entry;
        entry.check()?;
        self.directory.settle(&entry.name, entry.facts());
        self.offset += entry.compressed + descriptor as u64;
        self.state = State::Record;
        self.delivery.end(sink)
    }

    /// Reads the directory's record of an entry.
    fn take_central(&mut self, record: &[u8]) -> Result<(), ZipError> {
        let header = CentralHeader::parse(record).map_err(|it| self.malformed(it))?;
        let name = name_of(header.name, header.flags)?;
        let is_folder = name.ends_with(b"/");
        // Some writers give no mode, and some give folders a file's mode. Neither makes a link.
        match header.mode & TYPE {
            0 | REGULAR => {}
            FOLDER if is_folder => {}
            _ => return Err(ZipError::SpecialFile { name: shown(&name), mode: header.mode }),
        }
        let facts = Facts {
            is_folder,
            method: header.method,
            crc: header.crc,
            compressed: header.compressed,
            size: header.size,
            offset: header.offset,
        };
        self.directory.cross_out(&name, facts).map_err(|misfit| match misfit {
            Misfit::Stranger => ZipError::Stranger { name: shown(&name) },
            Misfit::Contradicts => ZipError::Directory { name: shown(&name) },
        })?;
        if header.disk != 0 {
            return Err(ZipError::Directory { name: shown(&name) });
        }
        self.central.entries += 1;
        Ok(())
    }

    fn take_end64(&mut self, record: &[u8]) -> Result<(), ZipError> {
        self.end_directory()?;
        let end = EndRecord::parse_wide(record).map_err(|it| self.malformed(it))?;
        if end != self.central.end() {
            return Err(ZipError::End);
        }
        self.central.end64 = Some(self.offset);
        self.part = Part::AfterEnd64;
        Ok(())
    }

    fn take_locator(&mut self, record: &[u8]) -> Result<(), ZipError> {
        let offset = parse_locator(record).map_err(|it| self.malformed(it))?;
        if offset != self.central.end64 {
            return Err(ZipError::End);
        }
        self.part = Part::AfterLocator64;
        Ok(())
    }

    fn take_end(&mut self, record: &[u8]) -> Result<(), ZipError> {
        if self.central.end64.is_none() {
            self.end_directory()?;
        }
        let (end, comment) = EndRecord::parse(record).map_err(|it| self.malformed(it))?;
        let expected = self.central.end();
        // With a wide record before it, each number may be there only.
        let fits = match self.central.end64 {
            Some(_) => end.is_narrowed(&expected),
            None => end == expected,
        };
        if !fits {
            return Err(ZipError::End);
        }
        self.state = match comment {
            0 => State::Done,
            left => State::Comment { left },
        };
        Ok(())
    }

    /// Ends the directory: it must have named every entry.
    fn end_directory(&mut self) -> Result<(), ZipError> {
        self.central.size = self.offset - self.central.offset;
        match self.directory.remaining() {
            0 => Ok(()),
            count => Err(ZipError::Omitted { count }),
        }
    }

    fn read_comment<'b>(&mut self, left: u16, bytes: &'b [u8]) -> &'b [u8] {
        let (comment, rest) = split(bytes, left.into());
        let taken = u16::try_from(comment.len()).unwrap_or(left);
        self.state = match left.saturating_sub(taken) {
            0 => State::Done,
            left => State::Comment { left },
        };
        rest
    }

    fn malformed(&self, _: Malformed) -> ZipError {
        ZipError::Malformed { offset: self.offset }
    }
}

impl Part {
    fn may_have(self, record: Record) -> bool {
        match self {
            Part::Entries => {
                matches!(record, Record::Local | Record::Central | Record::End64 | Record::End)
            }
            Part::Directory => matches!(record, Record::Central | Record::End64 | Record::End),
            Part::AfterEnd64 => record == Record::Locator64,
            Part::AfterLocator64 => record == Record::End,
        }
    }
}

impl Central {
    /// The values that its end record must have.
    fn end(&self) -> EndRecord {
        EndRecord {
            disk: 0,
            directory_disk: 0,
            entries_here: self.entries,
            entries: self.entries,
            directory_size: self.size,
            directory_offset: self.offset,
        }
    }
}

/// Moves bytes to the end of `buffer` until it has `length`, and returns the rest.
fn gather<'b>(buffer: &mut Vec<u8>, length: usize, bytes: &'b [u8]) -> &'b [u8] {
    let missing = length.saturating_sub(buffer.len());
    let (taken, rest) = bytes.split_at(missing.min(bytes.len()));
    buffer.extend_from_slice(taken);
    rest
}

/// Splits off the first `length` bytes, or all.
fn split(bytes: &[u8], length: u64) -> (&[u8], &[u8]) {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    bytes.split_at(length.min(bytes.len()))
}

#[cfg(test)]
mod tests;
