//! Records: the sealed pieces in which data cross the connection.
//!
//! Follows transit.md, "Encryption": four bytes of length, then a nonce of 24 bytes that counts from zero, then the secretbox. Pure: bytes
//! in, bytes out. All records that have arrived are joined, so callers do their work once for all of them. A length is checked before
//! memory is used for it.

use std::fmt;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use crate::key::Key;
use crate::secretbox::{NONCE, Secretbox, TAG};

/// The plain bytes of a full record, as in all clients.
pub(crate) const PLAIN: usize = 16 * 1024;
/// The most bytes of a record that is accepted.
const LONGEST: usize = 4 << 20;
/// The bytes of a length.
const LENGTH: usize = 4;
/// The bytes of an empty record.
const SHORTEST: usize = NONCE + TAG;
/// The most empty records that are ignored: they carry nothing, and could come for ever.
const MOST_EMPTY: u32 = 64;

/// The bytes are not a valid record, or not the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidRecord {
    #[error("a record is longer than any client sends")]
    TooLong,
    #[error("a record is too short to be one")]
    TooShort,
    #[error("a record is not the next one")]
    OutOfOrder,
    #[error("a record was changed on its way")]
    Changed,
    #[error("there are too many empty records")]
    Empty,
}

/// Opens the other side's records.
pub(crate) struct RecordReader {
    secretbox: Secretbox,
    next: u64,
    empty: u32,
}

/// Seals this side's records.
pub(crate) struct RecordWriter {
    secretbox: Secretbox,
    next: u64,
}

impl RecordReader {
    pub(crate) fn new(key: &Key) -> RecordReader {
        RecordReader { secretbox: key.secretbox(), next: 0, empty: 0 }
    }

    /// Takes all complete records from the front of the buffer, and returns their contents. Empty if none is complete.
    pub(crate) fn open(&mut self, come: &mut BytesMut) -> Result<Bytes, InvalidRecord> {
        let (mut at, mut opened) = (0, BytesMut::with_capacity(come.len()));
        while let Some(length) = length(come.get(at..).unwrap_or_default())? {
            let start = at + LENGTH;
            let Some(record) = come.get(start..start + length) else { break };
            opened.put_slice(&self.open_one(record)?);
            at = start + length;
        }
        come.advance(at);
        Ok(opened.freeze())
    }

    fn open_one(&mut self, record: &[u8]) -> Result<Vec<u8>, InvalidRecord> {
        let (found, sealed) = record.split_first_chunk::<NONCE>().ok_or(InvalidRecord::TooShort)?;
        if *found != nonce(self.next) {
            return Err(InvalidRecord::OutOfOrder);
        }
        let plain = self.secretbox.open(*found, sealed).ok_or(InvalidRecord::Changed)?;
        if plain.is_empty() {
            self.empty += 1;
            if self.empty > MOST_EMPTY {
                return Err(InvalidRecord::Empty);
            }
        }
        self.next += 1;
        Ok(plain)
    }
}

impl RecordWriter {
    pub(crate) fn new(key: &Key) -> RecordWriter {
        RecordWriter { secretbox: key.secretbox(), next: 0 }
    }

    /// Seals bytes into as many records as they need, and appends these to the buffer. No bytes give one empty record.
    pub(crate) fn seal(&mut self, plain: &[u8], out: &mut BytesMut) {
        if plain.is_empty() {
            self.seal_one(plain, out);
        }
        for piece in plain.chunks(PLAIN) {
            self.seal_one(piece, out);
        }
    }

    fn seal_one(&mut self, plain: &[u8], out: &mut BytesMut) {
        let nonce = nonce(self.next);
        self.next += 1;
        let length = SHORTEST + plain.len();
        out.reserve(LENGTH + length);
        out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
        out.put_slice(&nonce);
        out.put_slice(&self.secretbox.seal(nonce, plain));
    }
}

impl fmt::Debug for RecordReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("next", &self.next).finish_non_exhaustive()
    }
}

impl fmt::Debug for RecordWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("next", &self.next).finish_non_exhaustive()
    }
}

/// The length of the record that begins here, if its length has arrived.
fn length(come: &[u8]) -> Result<Option<usize>, InvalidRecord> {
    let Some(length) = come.first_chunk::<LENGTH>() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    match length {
        0..SHORTEST => Err(InvalidRecord::TooShort),
        SHORTEST..=LONGEST => Ok(Some(length)),
        _ => Err(InvalidRecord::TooLong),
    }
}

/// A counter as a nonce: 24 bytes, the highest first.
fn nonce(count: u64) -> [u8; NONCE] {
    let mut nonce = [0; NONCE];
    if let Some(end) = nonce.last_chunk_mut() {
        *end = count.to_be_bytes();
    }
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex;
    use crate::key::tests::counting;

    fn transit(side: &str) -> Key {
        counting().for_transit().derive(format!("transit_record_{side}_key").as_bytes())
    }

    /// Two records that the Python client sealed with the same key.
    #[test]
    fn records_are_those_of_the_other_clients() {
        let expected = [
            "0000002d000000000000000000000000000000000000000000000000c4c7142d3b1c49ae2ef740567bff62b0e6bdbe5baa",
            "0000002d0000000000000000000000000000000000000000000000010e1f9378208c1e9993165e9f2d9d0c08412b4e48b2",
        ];
        let mut out = BytesMut::new();
        let mut sealer = RecordWriter::new(&transit("sender"));
        sealer.seal(b"hello", &mut out);
        sealer.seal(b"world", &mut out);
        assert_eq!(hex::encode(&out), expected.concat());
        let opened = RecordReader::new(&transit("sender")).open(&mut out).unwrap();
        assert_eq!((&opened[..], out.len()), (&b"helloworld"[..], 0));
    }

    #[test]
    fn records_come_in_any_pieces() {
        let plain: Vec<u8> = (0..100_000u32).map(|it| (it % 251) as u8).collect();
        let mut sent = BytesMut::new();
        RecordWriter::new(&counting()).seal(&plain, &mut sent);
        for piece in [1000, 1, 16_384, 16_428, 70_000, 1 << 20] {
            let (mut opener, mut come, mut all) =
                (RecordReader::new(&counting()), BytesMut::new(), Vec::new());
            for piece in sent.chunks(piece) {
                come.put_slice(piece);
                all.extend_from_slice(&opener.open(&mut come).unwrap());
            }
            assert_eq!(all, plain, "{piece}");
            assert!(come.is_empty());
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_opened_or_refused(
            texts in proptest::collection::vec(proptest::collection::vec(0_u8.., 0..2000), 0..5),
            changed in 0_usize..9000,
            piece in 1_usize..3000,
        ) {
            let mut out = BytesMut::new();
            let mut sealer = RecordWriter::new(&counting());
            for text in &texts {
                sealer.seal(text, &mut out);
            }
            let is_changed = changed < out.len();
            if let Some(byte) = out.get_mut(changed) {
                *byte ^= 0x40;
            }
            let (mut opener, mut come, mut all) =
                (RecordReader::new(&counting()), BytesMut::new(), Vec::new());
            for piece in out.chunks(piece) {
                come.put_slice(piece);
                match opener.open(&mut come) {
                    Ok(some) => all.extend_from_slice(&some),
                    Err(_) => proptest::prop_assert!(is_changed),
                }
            }
            let expected = texts.concat();
            // What is opened before the fault is correct.
            let is_right = if is_changed { expected.starts_with(&all) } else { expected == all };
            proptest::prop_assert!(is_right);
        }
    }

    #[test]
    fn a_lying_length_is_refused_before_anything_is_kept_for_it() {
        let check = |length: u32, expected: Result<usize, InvalidRecord>| {
            let mut come = BytesMut::from(&length.to_be_bytes()[..]);
            let opened = RecordReader::new(&counting()).open(&mut come).map(|it| it.len());
            assert_eq!(opened, expected, "{length}");
            assert!(come.capacity() < 1000);
        };
        check(0, Err(InvalidRecord::TooShort));
        check(39, Err(InvalidRecord::TooShort));
        check(40, Ok(0));
        check(4 << 20, Ok(0));
        check((4 << 20) + 1, Err(InvalidRecord::TooLong));
        check(1 << 30, Err(InvalidRecord::TooLong));
        check(u32::MAX, Err(InvalidRecord::TooLong));
    }

    #[test]
    fn a_record_that_is_repeated_left_out_or_changed_is_refused() {
        let mut records: Vec<BytesMut> = Vec::new();
        let mut sealer = RecordWriter::new(&counting());
        for text in ["one", "two", "three"] {
            let mut out = BytesMut::new();
            sealer.seal(text.as_bytes(), &mut out);
            records.push(out);
        }
        let open = |order: &[usize]| {
            let mut come = BytesMut::new();
            for record in order {
                come.put_slice(&records[*record]);
            }
            RecordReader::new(&counting()).open(&mut come)
        };
        assert_eq!(open(&[0, 1, 2]).unwrap(), "onetwothree");
        assert_eq!(open(&[0, 0]), Err(InvalidRecord::OutOfOrder));
        assert_eq!(open(&[0, 2]), Err(InvalidRecord::OutOfOrder));
        assert_eq!(open(&[1]), Err(InvalidRecord::OutOfOrder));
        for byte in LENGTH..records[0].len() {
            let mut come = records[0].clone();
            come[byte] ^= 1;
            let expected = if byte < LENGTH + NONCE {
                InvalidRecord::OutOfOrder
            } else {
                InvalidRecord::Changed
            };
            assert_eq!(RecordReader::new(&counting()).open(&mut come), Err(expected), "{byte}");
        }
    }

    #[test]
    fn empty_records_do_not_go_on_for_ever() {
        let (mut sealer, mut opener, mut come) =
            (RecordWriter::new(&counting()), RecordReader::new(&counting()), BytesMut::new());
        for _ in 0..MOST_EMPTY {
            sealer.seal(b"", &mut come);
        }
        assert_eq!(opener.open(&mut come).unwrap(), "");
        sealer.seal(b"", &mut come);
        assert_eq!(opener.open(&mut come), Err(InvalidRecord::Empty));
    }
}
