//! The records of an archive, as bytes (§4.3).
//!
//! Layout only: this module reads the values of a record, and the reader decides whether they are allowed. The lengths that a record gives
//! for its own parts are checked against the bytes that have arrived.

use std::borrow::Cow;

/// Bit 0: the data is encrypted.
pub(super) const FLAG_ENCRYPTED: u16 = 1;
/// Bit 3: CRC and sizes follow the data, in a descriptor.
pub(super) const FLAG_DESCRIPTOR: u16 = 1 << 3;
/// Bit 5: the data is a patch to other data.
pub(super) const FLAG_PATCH: u16 = 1 << 5;
/// Bit 6: the data is encrypted in another way.
pub(super) const FLAG_STRONGLY_ENCRYPTED: u16 = 1 << 6;
/// Bit 11: the name is UTF-8.
pub(super) const FLAG_UTF8: u16 = 1 << 11;
/// Bit 13: parts of the header are hidden, because the directory is encrypted.
pub(super) const FLAG_MASKED: u16 = 1 << 13;

/// Method 0: the data as it is.
pub(super) const STORED: u16 = 0;
/// Method 8: DEFLATE.
pub(super) const DEFLATED: u16 = 8;

/// The identifier of the zip64 extra field (§4.5.3).
pub(super) const ZIP64_EXTRA: u16 = 1;

/// The length field of a zip64 end record: the bytes after it (§4.3.14.1).
pub(super) const END64_LENGTH: u64 = 44;

/// The bytes do not have the layout of the record.
#[derive(Debug)]
pub(super) struct Malformed;

/// The records that begin with a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// Before each entry (§4.3.7).
    Local,
    /// One for each entry, after them all (§4.3.12).
    Central,
    /// The end of the directory, with 64-bit numbers (§4.3.14).
    End64,
    /// The offset of that record (§4.3.15).
    Locator64,
    /// The end of the directory (§4.3.16).
    End,
}

impl Record {
    pub(super) const fn signature(self) -> [u8; 4] {
        match self {
            Record::Local => *b"PK\x03\x04",
            Record::Central => *b"PK\x01\x02",
            Record::End64 => *b"PK\x06\x06",
            Record::Locator64 => *b"PK\x06\x07",
            Record::End => *b"PK\x05\x06",
        }
    }

    pub(super) fn of(signature: [u8; 4]) -> Option<Record> {
        [Record::Local, Record::Central, Record::End64, Record::Locator64, Record::End]
            .into_iter()
            .find(|it| it.signature() == signature)
    }

    /// The length of the fixed part of a record of this kind.
    pub(super) const fn fixed_length(self) -> usize {
        match self {
            Record::Local => 30,
            Record::Central => 46,
            Record::End64 => 56,
            Record::Locator64 => 20,
            Record::End => 22,
        }
    }

    /// The lengths of the variable parts that follow it, the name's first. An archive's comment does not count as a part of its record:
    /// nobody reads it.
    pub(super) fn variable_lengths(self, fixed: &[u8]) -> Result<[u16; 3], Malformed> {
        let mut fields = Fields::new(fixed);
        match self {
            Record::Local => {
                fields.skip(26)?;
                Ok([fields.u16()?, fields.u16()?, 0])
            }
            Record::Central => {
                fields.skip(28)?;
                Ok([fields.u16()?, fields.u16()?, fields.u16()?])
            }
            Record::End64 | Record::Locator64 | Record::End => Ok([0; 3]),
        }
    }
}

/// A local header (§4.3.7).
pub(super) struct LocalHeader<'a> {
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) crc: u32,
    pub(super) compressed: u64,
    pub(super) size: u64,
    /// Whether it has the zip64 extra field, and so a wide descriptor (§4.3.9.2).
    pub(super) is_zip64: bool,
    pub(super) name: &'a [u8],
}

impl<'a> LocalHeader<'a> {
    pub(super) fn parse(record: &'a [u8]) -> Result<LocalHeader<'a>, Malformed> {
        let mut fields = Fields::new(record);
        fields.skip(6)?;
        let flags = fields.u16()?;
        let method = fields.u16()?;
        fields.skip(4)?;
        let crc = fields.u32()?;
        let (compressed, size) = (fields.u32()?, fields.u32()?);
        let (name_length, extra_length) = (fields.u16()?, fields.u16()?);
        let name = fields.take(name_length.into())?;
        let mut zip64 = zip64_extra(fields.take(extra_length.into())?)?;
        let is_zip64 = zip64.is_some();
        let size = widen(size, &mut zip64)?;
        let compressed = widen(compressed, &mut zip64)?;
        Ok(LocalHeader { flags, method, crc, compressed, size, is_zip64, name })
    }
}

/// A directory's record of one entry (§4.3.12).
pub(super) struct CentralHeader<'a> {
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) crc: u32,
    pub(super) compressed: u64,
    pub(super) size: u64,
    pub(super) disk: u16,
    /// The upper half of the external attributes: the mode, if a Unix wrote it.
    pub(super) mode: u16,
    pub(super) offset: u64,
    pub(super) name: &'a [u8],
}

impl<'a> CentralHeader<'a> {
    pub(super) fn parse(record: &'a [u8]) -> Result<CentralHeader<'a>, Malformed> {
        let mut fields = Fields::new(record);
        fields.skip(8)?;
        let flags = fields.u16()?;
        let method = fields.u16()?;
        fields.skip(4)?;
        let crc = fields.u32()?;
        let (compressed, size) = (fields.u32()?, fields.u32()?);
        let (name_length, extra_length) = (fields.u16()?, fields.u16()?);
        fields.skip(2)?;
        let disk = fields.u16()?;
        fields.skip(4)?;
        let mode = fields.u16()?;
        let offset = fields.u32()?;
        let name = fields.take(name_length.into())?;
        let mut zip64 = zip64_extra(fields.take(extra_length.into())?)?;
        let size = widen(size, &mut zip64)?;
        let compressed = widen(compressed, &mut zip64)?;
        let offset = widen(offset, &mut zip64)?;
        Ok(CentralHeader { flags, method, crc, compressed, size, disk, mode, offset, name })
    }
}

/// The end of the directory, narrow (§4.3.16) or wide (§4.3.14).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EndRecord {
    pub(super) disk: u32,
    pub(super) directory_disk: u32,
    pub(super) entries_here: u64,
    pub(super) entries: u64,
    pub(super) directory_size: u64,
    pub(super) directory_offset: u64,
}

impl EndRecord {
    /// Parses a narrow record. Also returns the length of the comment that follows.
    pub(super) fn parse(record: &[u8]) -> Result<(EndRecord, u16), Malformed> {
        let mut fields = Fields::new(record);
        fields.skip(4)?;
        let end = EndRecord {
            disk: fields.u16()?.into(),
            directory_disk: fields.u16()?.into(),
            entries_here: fields.u16()?.into(),
            entries: fields.u16()?.into(),
            directory_size: fields.u32()?.into(),
            directory_offset: fields.u32()?.into(),
        };
        Ok((end, fields.u16()?))
    }

    /// Parses a wide record. One with more fields than the specification has is malformed.
    pub(super) fn parse_wide(record: &[u8]) -> Result<EndRecord, Malformed> {
        let mut fields = Fields::new(record);
        fields.skip(4)?;
        if fields.u64()? != END64_LENGTH {
            return Err(Malformed);
        }
        fields.skip(4)?;
        Ok(EndRecord {
            disk: fields.u32()?,
            directory_disk: fields.u32()?,
            entries_here: fields.u64()?,
            entries: fields.u64()?,
            directory_size: fields.u64()?,
            directory_offset: fields.u64()?,
        })
    }

    /// Whether this narrow record agrees with a wide one: a number of all ones means that it is in the wide record (§4.4.1.4).
    pub(super) fn is_narrowed(&self, wide: &EndRecord) -> bool {
        let short = |narrow, wide| narrow == wide || narrow == u64::from(u16::MAX);
        let long = |narrow, wide| narrow == wide || narrow == u64::from(u32::MAX);
        self.disk == wide.disk
            && self.directory_disk == wide.directory_disk
            && short(self.entries_here, wide.entries_here)
            && short(self.entries, wide.entries)
            && long(self.directory_size, wide.directory_size)
            && long(self.directory_offset, wide.directory_offset)
    }
}

/// The offset of the wide end record in a locator; `None` if it is on another disk (§4.3.15).
pub(super) fn parse_locator(record: &[u8]) -> Result<Option<u64>, Malformed> {
    let mut fields = Fields::new(record);
    fields.skip(4)?;
    let disk = fields.u32()?;
    let offset = fields.u64()?;
    let disks = fields.u32()?;
    Ok((disk == 0 && disks <= 1).then_some(offset))
}

/// A name as UTF-8. Without the flag it should be in code page 437 (§D.1), but most writers that forget the flag mean UTF-8.
pub(super) fn decode_name(raw: &[u8], flags: u16) -> Result<Cow<'_, [u8]>, Malformed> {
    match std::str::from_utf8(raw) {
        Ok(_) => Ok(Cow::Borrowed(raw)),
        Err(_) if flags & FLAG_UTF8 != 0 => Err(Malformed),
        Err(_) => {
            let text: String = raw.iter().map(|it| from_code_page_437(*it)).collect();
            Ok(Cow::Owned(text.into_bytes()))
        }
    }
}

/// The upper half of code page 437.
const CODE_PAGE_437: [char; 128] = [
    'Ç', 'ü', 'é', 'â', 'ä', 'à', 'å', 'ç', 'ê', 'ë', 'è', 'ï', 'î', 'ì', 'Ä', 'Å', 'É', 'æ', 'Æ',
    'ô', 'ö', 'ò', 'û', 'ù', 'ÿ', 'Ö', 'Ü', '¢', '£', '¥', '₧', 'ƒ', 'á', 'í', 'ó', 'ú', 'ñ', 'Ñ',
    'ª', 'º', '¿', '⌐', '¬', '½', '¼', '¡', '«', '»', '░', '▒', '▓', '│', '┤', '╡', '╢', '╖', '╕',
    '╣', '║', '╗', '╝', '╜', '╛', '┐', '└', '┴', '┬', '├', '─', '┼', '╞', '╟', '╚', '╔', '╩', '╦',
    '╠', '═', '╬', '╧', '╨', '╤', '╥', '╙', '╘', '╒', '╓', '╫', '╪', '┘', '┌', '█', '▄', '▌', '▐',
    '▀', 'α', 'ß', 'Γ', 'π', 'Σ', 'σ', 'µ', 'τ', 'Φ', 'Θ', 'Ω', 'δ', '∞', 'φ', 'ε', '∩', '≡', '±',
    '≥', '≤', '⌠', '⌡', '÷', '≈', '°', '∙', '·', '√', 'ⁿ', '²', '■', '\u{a0}',
];

fn from_code_page_437(byte: u8) -> char {
    byte.checked_sub(128)
        .and_then(|it| CODE_PAGE_437.get(usize::from(it)).copied())
        .unwrap_or(char::from(byte))
}

/// The zip64 extra field, if it is among these. Up to three bytes too many are padding.
fn zip64_extra(extra: &[u8]) -> Result<Option<Fields<'_>>, Malformed> {
    let mut fields = Fields::new(extra);
    let mut zip64 = None;
    while let (Ok(id), Ok(length)) = (fields.u16(), fields.u16()) {
        let body = fields.take(length.into())?;
        if id == ZIP64_EXTRA && zip64.replace(Fields::new(body)).is_some() {
            return Err(Malformed);
        }
    }
    Ok(zip64)
}

/// A number of 32 bits; all ones mean that it is, with 64 bits, in the zip64 extra field.
fn widen(narrow: u32, zip64: &mut Option<Fields<'_>>) -> Result<u64, Malformed> {
    match (narrow, zip64) {
        (u32::MAX, Some(fields)) => fields.u64(),
        (u32::MAX, None) => Err(Malformed),
        _ => Ok(narrow.into()),
    }
}

/// Reads bytes from the front; numbers are little-endian (§4.4.1.1).
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Fields<'a> {
        Fields { rest: bytes }
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*array)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn skip(&mut self, length: usize) -> Result<(), Malformed> {
        self.take(length).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_utf8_or_become_it() {
        let check = |raw: &[u8], flags: u16, expected: Option<&str>| {
            let decoded = decode_name(raw, flags).ok();
            assert_eq!(decoded.as_deref(), expected.map(str::as_bytes), "{raw:?}");
        };
        check(b"plain.txt", 0, Some("plain.txt"));
        check("käse".as_bytes(), FLAG_UTF8, Some("käse"));
        check("käse".as_bytes(), 0, Some("käse"));
        check(b"k\x84se", 0, Some("käse"));
        check(b"\x80\xff\xe1.txt", 0, Some("Ç\u{a0}ß.txt"));
        check(b"k\x84se", FLAG_UTF8, None);
    }

    #[test]
    fn a_number_of_all_ones_stands_in_the_zip64_field() {
        let extra = [
            &[0x55, 0x54, 1, 0, 9][..],
            &[1, 0, 16, 0],
            &7u64.to_le_bytes(),
            &(5u64 << 32).to_le_bytes(),
            &[0],
        ]
        .concat();
        let mut zip64 = zip64_extra(&extra).unwrap();
        assert_eq!(widen(3, &mut zip64).unwrap(), 3);
        assert_eq!(widen(u32::MAX, &mut zip64).unwrap(), 7);
        assert_eq!(widen(u32::MAX, &mut zip64).unwrap(), 5 << 32);
        assert!(widen(u32::MAX, &mut zip64).is_err());
        assert!(widen(u32::MAX, &mut None).is_err());
        assert!(zip64_extra(&[1, 0, 9, 0, 1]).is_err());
        assert!(zip64_extra(&[1, 0, 0, 0, 1, 0, 0, 0]).is_err(), "two of them");
    }
}
