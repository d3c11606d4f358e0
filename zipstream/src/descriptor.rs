//! Finds the descriptor after an entry whose sizes its header did not know (§4.3.9). It has one of four forms.
//!
//! After compressed data the position of the descriptor and its content are known. After stored data they are not: [`Search`] scans the
//! bytes for the position where a descriptor fits everything before it, CRC and both sizes, and a header follows. Bytes that only look like
//! a descriptor, or whole archives as data, do not fit. Data that was made to fit ends its entry early; then the directory at the end
//! contradicts, and the archive is refused.

use crc32fast::Hasher;
use memchr::memmem::Finder;

use crate::format::{Fields, Malformed, Record};

/// `PK\x07\x08`: most writers put it before a descriptor, though it is not a part of it (§4.3.9.3).
pub(super) const SIGNATURE: [u8; 4] = *b"PK\x07\x08";

/// The longest descriptor, in bytes.
const LONGEST: usize = 24;
/// The bytes that show the form of a descriptor: the longest form and the signature that follows. At least this many bytes come from the
/// start of every descriptor on, because each entry has a record in the directory.
pub(super) const DECIDING: usize = LONGEST + 4;
/// The most bytes that may be the beginning of a descriptor and the next signature.
const HELD: usize = DECIDING - 1;

/// The values of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub(super) crc: u32,
    pub(super) compressed: u64,
    pub(super) size: u64,
}

/// The form of a descriptor.
#[derive(Clone, Copy, Debug)]
struct Form {
    has_signature: bool,
    /// Whether the sizes have 64 bits, as in zip64.
    is_wide: bool,
}

/// The longest first, so that the data before it, which has to be hashed, only grows.
const FORMS: [Form; 4] = [
    Form { has_signature: true, is_wide: true },
    Form { has_signature: false, is_wide: true },
    Form { has_signature: true, is_wide: false },
    Form { has_signature: false, is_wide: false },
];

impl Form {
    const fn length(self) -> usize {
        let signature = if self.has_signature { 4 } else { 0 };
        let sizes = if self.is_wide { 16 } else { 8 };
        signature + 4 + sizes
    }

    /// Whether an entry may have this form. With a signature both widths are allowed, because some writers learn too late how large the
    /// file is. Without one, the width is what the header says: twelve zeros are not rare.
    fn is_possible(self, is_zip64: bool) -> bool {
        self.has_signature || self.is_wide == is_zip64
    }

    fn parse(self, bytes: &[u8]) -> Result<Descriptor, Malformed> {
        let mut fields = Fields::new(bytes);
        if self.has_signature && fields.array()? != SIGNATURE {
            return Err(Malformed);
        }
        let crc = fields.u32()?;
        let mut size = || if self.is_wide { fields.u64() } else { fields.u32().map(u64::from) };
        let (compressed, size) = (size()?, size()?);
        Ok(Descriptor { crc, compressed, size })
    }
}

/// The result of [`judge`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The descriptor, of this length.
    Fits(usize),
    /// A descriptor with these sizes and another CRC.
    OtherChecksum,
    /// Not a descriptor of this data.
    Contradicts,
}

/// Checks whether `bytes`, [`DECIDING`] of them, begin with the expected descriptor and go on with a header.
pub(super) fn judge(bytes: &[u8], expected: Descriptor, is_zip64: bool) -> Verdict {
    let mut verdict = Verdict::Contradicts;
    for form in FORMS.into_iter().filter(|it| it.is_possible(is_zip64)) {
        let Some((descriptor, next)) = bytes.split_at_checked(form.length()) else { continue };
        let Ok(descriptor) = form.parse(descriptor) else { continue };
        let fits = (descriptor.compressed, descriptor.size) == (expected.compressed, expected.size);
        if !fits || !begins_record(next) {
            continue;
        }
        if descriptor.crc == expected.crc {
            return Verdict::Fits(form.length());
        }
        verdict = Verdict::OtherChecksum;
    }
    verdict
}

/// Whether the next entry or the directory begins here.
fn begins_record(bytes: &[u8]) -> bool {
    bytes.starts_with(&Record::Local.signature()) || bytes.starts_with(&Record::Central.signature())
}

/// The search for the end of stored data.
///
/// It looks for the signature that follows the descriptor, which is fast, and compares the sizes in front of it with the number of bytes so
/// far, which costs the same at every position. Only where these fit, it finishes a CRC over at most [`LONGEST`] bytes. So the time is
/// linear in the length of the data, whatever the data is.
#[derive(Debug)]
pub(super) struct Search {
    headers: Headers,
    /// The last bytes, which may be the beginning of the end: at most [`HELD`].
    held: Vec<u8>,
    /// The length of the data before `held`.
    passed: u64,
    /// Over the data before `held`, and over the first `hashed` bytes of those being searched.
    hasher: Hasher,
    hashed: usize,
    is_zip64: bool,
    has_near_miss: bool,
}

/// Finds the signatures of the records that may follow an entry.
#[derive(Debug)]
struct Headers {
    local: Finder<'static>,
    central: Finder<'static>,
}

impl Headers {
    fn new() -> Headers {
        let finder = |it: Record| Finder::new(&it.signature()).into_owned();
        Headers { local: finder(Record::Local), central: finder(Record::Central) }
    }

    /// The positions of the signatures, in order. Two fast passes: one pass for the first half of both signatures would find too much in
    /// data made for that.
    fn places(&self, bytes: &[u8]) -> impl Iterator<Item = usize> {
        let mut local = self.local.find_iter(bytes).peekable();
        let mut central = self.central.find_iter(bytes).peekable();
        std::iter::from_fn(move || match (local.peek(), central.peek()) {
            (Some(one), Some(other)) if one < other => local.next(),
            (_, Some(_)) => central.next(),
            (_, None) => local.next(),
        })
    }
}

/// The end of the data.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct End {
    /// The descriptor, which fits the data.
    pub(super) descriptor: Descriptor,
    /// The descriptor's own length.
    pub(super) length: usize,
    /// The number of the last bytes passed in that belong to the entry and its descriptor.
    pub(super) consumed: usize,
    /// The beginning of the next record, if it was among earlier bytes.
    pub(super) spilled: Vec<u8>,
}

/// The position of the end in the bytes being searched.
struct Place {
    /// The index where the data ends and the descriptor begins.
    data: usize,
    /// The index where the next record begins.
    next: usize,
    descriptor: Descriptor,
}

impl Search {
    pub(super) fn new() -> Search {
        Search {
            headers: Headers::new(),
            held: Vec::new(),
            passed: 0,
            hasher: Hasher::new(),
            hashed: 0,
            is_zip64: false,
            has_near_miss: false,
        }
    }

    /// Starts again, with the first byte of another entry's data.
    pub(super) fn begin(&mut self, is_zip64: bool) {
        self.held.clear();
        self.passed = 0;
        self.hasher.reset();
        self.hashed = 0;
        self.is_zip64 = is_zip64;
        self.has_near_miss = false;
    }

    /// Whether the search passed an end that fits except for its CRC: then the data is probably damaged.
    pub(super) fn has_near_miss(&self) -> bool {
        self.has_near_miss
    }

    /// Searches more bytes, and passes those that are certainly data to `emit`.
    pub(super) fn advance<E>(
        &mut self,
        bytes: &[u8],
        mut emit: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<Option<End>, E> {
        let mut seam = std::mem::take(&mut self.held);
        let held = seam.len();
        if held > 0 {
            // An end that begins in the held bytes lies within these.
            seam.extend(bytes.iter().take(HELD));
            if let Some(place) = self.look(&seam) {
                emit(seam.get(..place.data).unwrap_or_default())?;
                return Ok(Some(End {
                    descriptor: place.descriptor,
                    length: place.next - place.data,
                    consumed: place.next.saturating_sub(held),
                    spilled: seam.get(place.next..held).unwrap_or_default().to_vec(),
                }));
            }
            let is_all = bytes.len() <= HELD;
            let sure = if is_all { seam.len().saturating_sub(HELD) } else { held };
            self.pass(seam.get(..sure).unwrap_or_default(), &mut emit)?;
            seam.drain(..sure);
            if is_all {
                self.held = seam;
                return Ok(None);
            }
            seam.clear();
        }
        if let Some(place) = self.look(bytes) {
            emit(bytes.get(..place.data).unwrap_or_default())?;
            return Ok(Some(End {
                descriptor: place.descriptor,
                length: place.next - place.data,
                consumed: place.next,
                spilled: Vec::new(),
            }));
        }
        let (sure, unsure) = bytes.split_at(bytes.len().saturating_sub(HELD));
        self.pass(sure, &mut emit)?;
        seam.extend_from_slice(unsure);
        self.held = seam;
        Ok(None)
    }

    /// The first end in bytes that follow the data passed so far.
    fn look(&mut self, bytes: &[u8]) -> Option<Place> {
        let Search { headers, passed, hasher, hashed, is_zip64, has_near_miss, .. } = self;
        for next in headers.places(bytes) {
            let before = bytes.get(..next)?;
            for form in FORMS.into_iter().filter(|it| it.is_possible(*is_zip64)) {
                let Some(data) = next.checked_sub(form.length()) else { continue };
                let Ok(descriptor) = form.parse(before.get(data..).unwrap_or_default()) else {
                    continue;
                };
                let size = *passed + data as u64;
                if descriptor.size != size || descriptor.compressed != size {
                    continue;
                }
                // No later end begins before this position, so the data before it is hashed once.
                let settled = next.saturating_sub(LONGEST);
                hasher.update(bytes.get(*hashed..settled).unwrap_or_default());
                *hashed = settled.max(*hashed);
                let mut complete = hasher.clone();
                complete.update(bytes.get(*hashed..data).unwrap_or_default());
                if complete.finalize() == descriptor.crc {
                    return Some(Place { data, next, descriptor });
                }
                *has_near_miss = true;
            }
        }
        None
    }

    fn pass<E>(
        &mut self,
        data: &[u8],
        emit: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.hasher.update(data.get(self.hashed..).unwrap_or_default());
        self.hashed = 0;
        self.passed += data.len() as u64;
        if data.is_empty() { Ok(()) } else { emit(data) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NEXT: &[u8] = b"PK\x01\x02 and more";

    fn describe(data: &[u8], form: Form) -> Vec<u8> {
        let mut bytes = Vec::new();
        if form.has_signature {
            bytes.extend(SIGNATURE);
        }
        bytes.extend(crc32fast::hash(data).to_le_bytes());
        for _ in 0..2 {
            let width = if form.is_wide { 8 } else { 4 };
            bytes.extend((data.len() as u64).to_le_bytes().iter().take(width));
        }
        bytes
    }

    /// The data that the search finds, and the bytes that it leaves for the next record.
    fn search(stream: &[u8], chunk: usize, is_zip64: bool) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut search = Search::new();
        search.begin(is_zip64);
        let mut data = Vec::new();
        let mut position = 0;
        for bytes in stream.chunks(chunk) {
            let end = search
                .advance(bytes, |it| {
                    data.extend_from_slice(it);
                    Ok::<_, ()>(())
                })
                .unwrap();
            assert!(search.held.len() <= HELD);
            if let Some(end) = end {
                assert_eq!(end.descriptor.size, data.len() as u64);
                let mut rest = end.spilled;
                rest.extend_from_slice(&stream[position + end.consumed..]);
                return Some((data, rest));
            }
            position += bytes.len();
        }
        None
    }

    fn check(data: &[u8], form: Form) {
        let stream = [data, &describe(data, form), NEXT].concat();
        for chunk in (1..=70).chain([stream.len()]) {
            let found = search(&stream, chunk, form.is_wide);
            assert_eq!(found, Some((data.to_vec(), NEXT.to_vec())), "{form:?} by {chunk}");
        }
    }

    #[test]
    fn the_end_is_found_in_every_form_and_by_every_chunk() {
        for form in FORMS {
            for length in (0..60).chain([100, 1000]) {
                let data: Vec<u8> = (0..251).map(|it| it ^ 0x5a).cycle().take(length).collect();
                check(&data, form);
            }
        }
    }

    #[test]
    fn data_that_looks_like_its_end_is_data() {
        let inner = b"an entry";
        for form in FORMS {
            check(&b"PK\x03\x04".repeat(30), form);
            check(&b"PK\x07\x08".repeat(30), form);
            check(b"PPKPK\x01PK\x03\x04\x03\x04PK\x07\x08", form);
            // An archive's entry with its end, but not from its first byte.
            check(&[b"x", &inner[..], &describe(inner, form), NEXT].concat(), form);
            // From its first byte, but damaged.
            check(&[b"An entry", &describe(inner, form)[..], NEXT].concat(), form);
        }
        check(&[&[0; 12][..], NEXT].concat(), FORMS[0]);
        check(&[&[0; 20][..], NEXT].concat(), FORMS[2]);
    }

    #[test]
    fn a_descriptor_after_compressed_data_is_judged_by_what_was_unpacked() {
        let expected = Descriptor { crc: 5, compressed: 2, size: 9 };
        let narrow = [
            &SIGNATURE[..],
            &5u32.to_le_bytes(),
            &2u32.to_le_bytes(),
            &9u32.to_le_bytes(),
            &b"PK\x03\x04........"[..],
        ]
        .concat();
        assert_eq!(narrow.len(), DECIDING);
        assert_eq!(judge(&narrow, expected, false), Verdict::Fits(16));
        assert_eq!(judge(&narrow, expected, true), Verdict::Fits(16));
        let other = Descriptor { crc: 6, ..expected };
        assert_eq!(judge(&narrow, other, false), Verdict::OtherChecksum);
        let other = Descriptor { size: 8, ..expected };
        assert_eq!(judge(&narrow, other, false), Verdict::Contradicts);
        assert_eq!(judge(&[&narrow[4..], &[0; 4]].concat(), expected, false), Verdict::Fits(12));
    }

    proptest! {
        #[test]
        fn the_end_is_found_in_data_made_of_pieces_of_ends(
            pieces in prop::collection::vec(
                prop_oneof![
                    Just(b"PK\x03\x04".to_vec()), Just(b"PK\x07\x08".to_vec()), Just(b"PK".to_vec()),
                    Just(vec![0; 4]), prop::collection::vec(any::<u8>(), 0..9),
                    (0u32..80).prop_map(|it| it.to_le_bytes().to_vec()),
                ],
                0..20,
            ),
            form in 0usize..4,
            chunk in 1usize..90,
        ) {
            let data = pieces.concat();
            // Only a true end may end it. Chance does not make one, except for empty data.
            prop_assume!(!data.starts_with(&[0; 12]) && !data.starts_with(&[&SIGNATURE[..], &[0; 12]].concat()));
            let form = FORMS[form];
            let stream = [&data, &describe(&data, form), NEXT].concat();
            let found = search(&stream, chunk, form.is_wide);
            prop_assert_eq!(found, Some((data, NEXT.to_vec())));
        }
    }
}
