use proptest::prelude::*;

use super::*;
use crate::format::{
    FLAG_DESCRIPTOR, FLAG_ENCRYPTED, FLAG_MASKED, FLAG_PATCH, FLAG_STRONGLY_ENCRYPTED, FLAG_UTF8,
};
use crate::sink::Entry;
use crate::writer::{Kind, Member, ZipWriter, zip_size};

/// Keeps everything that it receives.
#[derive(Debug, Default, PartialEq, Eq)]
struct Kept {
    folders: Vec<String>,
    files: Vec<(String, Vec<u8>)>,
    sizes: Vec<Option<u64>>,
    is_open: bool,
}

impl Sink for Kept {
    type Error = std::convert::Infallible;

    fn folder(&mut self, name: &[u8]) -> Result<(), Self::Error> {
        self.folders.push(String::from_utf8(name.to_vec()).unwrap());
        Ok(())
    }

    fn begin(&mut self, entry: &Entry<'_>) -> Result<(), Self::Error> {
        assert!(!self.is_open);
        self.is_open = true;
        self.files.push((String::from_utf8(entry.name.to_vec()).unwrap(), Vec::new()));
        self.sizes.push(entry.size);
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        assert!(self.is_open && !bytes.is_empty() && bytes.len() <= 64 << 10);
        self.files.last_mut().unwrap().1.extend_from_slice(bytes);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Self::Error> {
        assert!(self.is_open);
        self.is_open = false;
        Ok(())
    }
}

const PLENTY: Announced = Announced { bytes: 1 << 40, files: 1000 };

fn read(stream: &[u8], chunk: usize, announced: Announced) -> Result<(Kept, Totals), ZipError> {
    let mut reader = ZipReader::new(announced);
    let mut kept = Kept::default();
    for bytes in stream.chunks(chunk) {
        match reader.push(bytes, &mut kept) {
            Ok(()) => {}
            Err(UnzipError::Zip(error)) => return Err(error),
            Err(UnzipError::Sink(never)) => match never {},
        }
    }
    let totals = reader.finish()?;
    assert!(!kept.is_open);
    Ok((kept, totals))
}

/// The error, which is the same for all sizes of the pieces.
fn refusal(stream: &[u8], announced: Announced) -> String {
    let whole = read(stream, stream.len().max(1), announced).map(|_| ()).unwrap_err().to_string();
    for chunk in [1, 7, 64] {
        let cut = read(stream, chunk, announced).map(|_| ()).unwrap_err().to_string();
        assert_eq!(cut, whole, "by {chunk}");
    }
    whole
}

/// An archive in parts, each of which can be made wrong.
#[derive(Clone, Default)]
struct Archive {
    entries: Vec<Part>,
    /// Replaces the directory's records.
    central: Option<Vec<Header>>,
    end64: Option<Vec<u8>>,
    end: [u16; 4],
    size_error: u32,
    offset_error: u32,
    comment_length: u16,
    tail: Vec<u8>,
}

#[derive(Clone)]
struct Part {
    local: Header,
    data: Vec<u8>,
    descriptor: Vec<u8>,
    central: Header,
}

#[derive(Clone, Default)]
struct Header {
    name: Vec<u8>,
    flags: u16,
    method: u16,
    crc: u32,
    compressed: u32,
    size: u32,
    extra: Vec<u8>,
    comment: Vec<u8>,
    disk: u16,
    mode: u16,
    /// Computed if it is `None`.
    offset: Option<u32>,
}

impl Header {
    fn common(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(20u16.to_le_bytes());
        bytes.extend(self.flags.to_le_bytes());
        bytes.extend(self.method.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(self.crc.to_le_bytes());
        bytes.extend(self.compressed.to_le_bytes());
        bytes.extend(self.size.to_le_bytes());
        bytes.extend(u16::try_from(self.name.len()).unwrap().to_le_bytes());
        bytes.extend(u16::try_from(self.extra.len()).unwrap().to_le_bytes());
        bytes
    }

    fn local(&self) -> Vec<u8> {
        [b"PK\x03\x04", &self.common()[..], &self.name, &self.extra].concat()
    }

    fn central(&self, offset: u32) -> Vec<u8> {
        let mut bytes = b"PK\x01\x02\x14\x03".to_vec();
        bytes.extend(self.common());
        bytes.extend(u16::try_from(self.comment.len()).unwrap().to_le_bytes());
        bytes.extend(self.disk.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(self.mode.to_le_bytes());
        bytes.extend(self.offset.unwrap_or(offset).to_le_bytes());
        [&bytes[..], &self.name, &self.extra, &self.comment].concat()
    }
}

fn length(of: &[u8]) -> u32 {
    u32::try_from(of.len()).unwrap()
}

/// An entry whose sizes come before its data.
fn measured(name: &str, method: u16, packed: &[u8], data: &[u8]) -> Part {
    let header = Header {
        name: name.as_bytes().to_vec(),
        method,
        crc: crc32fast::hash(data),
        compressed: length(packed),
        size: length(data),
        ..Header::default()
    };
    Part {
        local: header.clone(),
        data: packed.to_vec(),
        descriptor: Vec::new(),
        central: Header { mode: 0o100_644, ..header },
    }
}

fn stored(name: &str, data: &[u8]) -> Part {
    measured(name, 0, data, data)
}

fn deflated(name: &str, data: &[u8]) -> Part {
    measured(name, 8, &deflate(data), data)
}

fn deflate(data: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// The same entry with its sizes after its data, in one of the four forms.
fn streamed(mut part: Part, has_signature: bool, is_wide: bool) -> Part {
    let Header { crc, compressed, size, .. } = part.central;
    part.local.flags |= FLAG_DESCRIPTOR;
    part.central.flags |= FLAG_DESCRIPTOR;
    (part.local.crc, part.local.compressed, part.local.size) = (0, 0, 0);
    if is_wide {
        (part.local.compressed, part.local.size) = (u32::MAX, u32::MAX);
        part.local.extra = [&[1, 0, 16, 0][..], &[0; 16]].concat();
    }
    if has_signature {
        part.descriptor.extend(b"PK\x07\x08");
    }
    part.descriptor.extend(crc.to_le_bytes());
    for number in [compressed, size] {
        let width = if is_wide { 8 } else { 4 };
        part.descriptor.extend(u64::from(number).to_le_bytes().iter().take(width));
    }
    part
}

fn folder(name: &str) -> Part {
    let mut part = stored(name, b"");
    part.central.mode = 0o040_755;
    part
}

fn archive(entries: &[Part]) -> Archive {
    Archive { entries: entries.to_vec(), ..Archive::default() }
}

impl Archive {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut records = Vec::new();
        for entry in &self.entries {
            records.push(entry.central.central(length(&bytes)));
            bytes.extend(entry.local.local());
            bytes.extend(&entry.data);
            bytes.extend(&entry.descriptor);
        }
        if let Some(central) = &self.central {
            records = central.iter().map(|it| it.central(0)).collect();
        }
        let (offset, size) = (length(&bytes), length(&records.concat()));
        let count = u16::try_from(records.len()).unwrap();
        bytes.extend(records.concat());
        bytes.extend(self.end64.iter().flatten());
        bytes.extend(b"PK\x05\x06");
        let numbers = [0, 0, count, count];
        for (number, error) in numbers.into_iter().zip(self.end) {
            bytes.extend((number ^ error).to_le_bytes());
        }
        bytes.extend((size ^ self.size_error).to_le_bytes());
        bytes.extend((offset ^ self.offset_error).to_le_bytes());
        bytes.extend(self.comment_length.to_le_bytes());
        bytes.extend(&self.tail);
        bytes
    }
}

/// A stored file, a deflated one, and a folder.
fn sample() -> Archive {
    archive(&[
        streamed(stored("a", b"first"), true, false),
        deflated("b/c", &b"second ".repeat(9)),
        folder("d/"),
    ])
}

#[test]
fn every_way_to_write_an_entry_is_read() {
    let text = b"some text, ".repeat(40);
    for data in [&b""[..], b"x", &text] {
        for packed in [stored("f", data), deflated("f", data)] {
            let mut variants = vec![packed.clone()];
            for has_signature in [true, false] {
                for is_wide in [true, false] {
                    variants.push(streamed(packed.clone(), has_signature, is_wide));
                }
            }
            for variant in variants {
                let is_streamed = !variant.descriptor.is_empty();
                let stream = archive(&[folder("e/"), variant, stored("last", b"l")]).bytes();
                for chunk in [1, 2, 3, 13, 29, 64, stream.len()] {
                    let (kept, totals) = read(&stream, chunk, PLENTY).unwrap();
                    let length = data.len() as u64;
                    assert_eq!(totals, Totals { files: 2, folders: 1, bytes: length + 1 });
                    assert_eq!(kept.folders, ["e"]);
                    let files = [("f".into(), data.to_vec()), ("last".into(), b"l".to_vec())];
                    assert_eq!(kept.files, files);
                    assert_eq!(kept.sizes, [(!is_streamed).then_some(length), Some(1)]);
                }
            }
        }
    }
}

#[test]
fn the_folder_that_the_archive_stands_for_needs_no_making() {
    let (kept, totals) = read(&archive(&[folder("./")]).bytes(), 9, PLENTY).unwrap();
    assert_eq!((kept, totals.folders, totals.files), (Kept::default(), 1, 0));
}

#[test]
fn an_archive_of_nothing_is_one() {
    let (kept, totals) = read(&Archive::default().bytes(), 5, PLENTY).unwrap();
    assert_eq!((kept, totals), (Kept::default(), Totals::default()));
}

#[test]
fn comments_and_the_order_of_the_directory_say_nothing() {
    let mut it = sample();
    it.entries[0].central.comment = b"PK\x05\x06".to_vec();
    it.comment_length = 300;
    it.tail = b"PK\x03\x04".repeat(75);
    read(&it.bytes(), 11, PLENTY).unwrap();
    let stream = it.bytes();
    let begins = |signature: &[u8; 4], at: usize| stream[at..].starts_with(signature);
    let offsets = (0..stream.len()).filter(|at| begins(b"PK\x03\x04", *at));
    let central = it.entries.iter().zip(offsets).map(|(entry, offset)| Header {
        offset: u32::try_from(offset).ok(),
        ..entry.central.clone()
    });
    let mut central: Vec<Header> = central.collect();
    central.reverse();
    it.central = Some(central);
    read(&it.bytes(), 11, PLENTY).unwrap();
}

#[test]
fn names_become_utf8() {
    let mut it = archive(&[stored("1", b""), stored("2", b""), stored("3", b"")]);
    let names: [(&[u8], u16); 3] =
        [("ä".as_bytes(), FLAG_UTF8), ("ö".as_bytes(), 0), (b"\x9a.txt", 0)];
    for (entry, (name, flags)) in it.entries.iter_mut().zip(names) {
        for header in [&mut entry.local, &mut entry.central] {
            header.name = name.to_vec();
            header.flags = flags;
        }
    }
    let (kept, _) = read(&it.bytes(), 4, PLENTY).unwrap();
    let names: Vec<&str> = kept.files.iter().map(|it| it.0.as_str()).collect();
    assert_eq!(names, ["ä", "ö", "Ü.txt"]);
}

/// The error for the sample after this change.
fn changed(change: impl FnOnce(&mut Archive)) -> String {
    let mut archive = sample();
    change(&mut archive);
    refusal(&archive.bytes(), PLENTY)
}

/// The same for a change of both headers of an entry.
fn changed_both(index: usize, change: impl Fn(&mut Header)) -> String {
    changed(|it| {
        change(&mut it.entries[index].local);
        change(&mut it.entries[index].central);
    })
}

#[test]
fn names_are_refused_that_are_none() {
    let named = |index: usize, name: &[u8]| changed_both(index, |it| it.name = name.to_vec());
    let check = |actual: String, expected: &str| assert_eq!(actual, expected);
    check(named(0, b""), "the archive has an entry without a name");
    check(named(2, b"/"), "the archive has an entry without a name");
    check(named(0, &[b'n'; 4097]), "the archive has a name of 4097 bytes; 4096 are the most");
    check(named(1, b"a"), "`a` is in the archive twice");
    check(named(2, b"a/"), "`a/` is in the archive twice");
    let unreadable = changed_both(0, |it| {
        it.name = b"k\x84se".to_vec();
        it.flags |= FLAG_UTF8;
    });
    check(unreadable, "the name `k\u{fffd}se` is not the UTF-8 that it is said to be");
}

#[test]
fn a_name_in_an_error_is_cut_and_shows_what_is_invisible() {
    let name = ["\u{1b}[2J\u{202e}\n", &"n".repeat(200)].concat();
    let error = changed_both(2, |it| {
        it.name = name.clone().into_bytes();
        it.flags |= FLAG_ENCRYPTED;
    });
    let shown = [r"\u{1b}[2J\u{202e}\n", &"n".repeat(114), "…"].concat();
    assert_eq!(error, format!("`{shown}` is encrypted; only the wormhole itself encrypts"));
}

#[test]
fn what_is_no_plain_file_is_refused() {
    let check = |actual: String, expected: &str| assert_eq!(actual, expected);
    for flag in [FLAG_ENCRYPTED, FLAG_STRONGLY_ENCRYPTED, FLAG_MASKED] {
        let error = changed_both(1, |it| it.flags |= flag);
        check(error, "`b/c` is encrypted; only the wormhole itself encrypts");
    }
    let method = |number: u16| {
        format!(
            "`b/c` is packed by method {number}; only 0 (stored) and 8 (deflated) can be unpacked"
        )
    };
    for number in [1, 9, 12, 14, 93, 99] {
        check(changed_both(1, |it| it.method = number), &method(number));
    }
    check(changed_both(1, |it| it.flags |= FLAG_PATCH), &method(8));
    for mode in [0o120_777, 0o020_600, 0o060_600, 0o010_600, 0o140_600, 0o040_755] {
        let error = changed(|it| it.entries[0].central.mode = mode);
        check(error, &format!("`a` is neither a file nor a folder (its mode is {mode:o})"));
    }
    let error = changed(|it| it.entries[2].central.mode = 0o120_777);
    check(error, "`d/` is neither a file nor a folder (its mode is 120777)");
}

#[test]
fn sizes_and_checksums_must_be_those_of_the_data() {
    const SIZES_A: &str = "the sizes given for `a` contradict its data";
    const SIZES_C: &str = "the sizes given for `b/c` contradict its data";
    const DAMAGED_C: &str = "`b/c` is damaged: its checksum is wrong";
    let check = |actual: String, expected: &str| assert_eq!(actual, expected);
    check(changed_both(1, |it| it.size += 1), SIZES_C);
    check(changed_both(1, |it| it.size -= 1), SIZES_C);
    check(changed_both(1, |it| it.size = 0), SIZES_C);
    check(changed_both(1, |it| it.compressed += 1), SIZES_C);
    check(changed_both(1, |it| it.compressed -= 1), SIZES_C);
    check(changed_both(1, |it| it.compressed = 0), SIZES_C);
    check(changed_both(1, |it| it.crc ^= 1), DAMAGED_C);
    // Marked as stored, but it is deflated.
    check(changed_both(1, |it| it.method = 0), SIZES_C);
    // The values in the header of a streamed entry need not be zero, but then they must be correct.
    check(changed(|it| it.entries[0].local.size = 4), SIZES_A);
    check(changed(|it| it.entries[0].local.crc = 4), "`a` is damaged: its checksum is wrong");
    // Damaged data: its end is not where the descriptor is.
    check(changed(|it| it.entries[0].data[2] ^= 1), "`a` is damaged: its checksum is wrong");
    check(changed(|it| it.entries[0].descriptor[5] ^= 1), "`a` is damaged: its checksum is wrong");
    let lost = "the archive is cut off: the end of `a` did not come";
    check(changed(|it| it.entries[0].descriptor[9] ^= 1), lost);
    check(changed(|it| it.entries[0].descriptor[13] ^= 1), lost);
    let stream_c = |change: &dyn Fn(&mut Part)| {
        changed(|it| {
            it.entries[1] = streamed(it.entries[1].clone(), true, false);
            change(&mut it.entries[1]);
        })
    };
    check(stream_c(&|it| it.descriptor[5] ^= 1), DAMAGED_C);
    check(stream_c(&|it| it.descriptor[9] ^= 1), SIZES_C);
    check(stream_c(&|it| it.descriptor[13] ^= 1), SIZES_C);
    check(stream_c(&|it| it.descriptor.clear()), SIZES_C);
    check(
        changed(|it| it.entries[1].data = vec![0xff; it.entries[1].data.len()]),
        "`b/c` is damaged: it can't be unpacked",
    );
    check(changed(|it| it.entries[1].data.truncate(4)), "`b/c` is damaged: it can't be unpacked");
}

#[test]
fn a_folder_has_no_data() {
    const EXPECTED: &str = "`d/` is a folder and has data of its own";
    let replaced = |part: Part| changed(|it| it.entries[2] = part);
    assert_eq!(replaced(stored("d/", b"data")), EXPECTED);
    assert_eq!(replaced(deflated("d/", b"data")), EXPECTED);
    assert_eq!(replaced(streamed(stored("d/", b"data"), true, false)), EXPECTED);
    // Some writers deflate even an empty folder, which gives it a few bytes.
    let mut it = sample();
    it.entries[2] = streamed(deflated("d/", b""), true, false);
    read(&it.bytes(), 8, PLENTY).unwrap();
}

#[test]
fn the_directory_must_repeat_what_came() {
    const CONTRADICTS: &str = "the archive's directory contradicts what came for `a`";
    let changes: [fn(&mut Header); 6] = [
        |it| it.crc ^= 1,
        |it| it.size ^= 1,
        |it| it.compressed ^= 1,
        |it| it.method ^= 8,
        |it| it.offset = Some(7),
        |it| it.disk = 1,
    ];
    for change in changes {
        assert_eq!(changed(|it| change(&mut it.entries[0].central)), CONTRADICTS);
    }
    assert_eq!(
        changed(|it| {
            it.entries[2].central.name = b"d".to_vec();
            it.entries[2].central.mode = 0;
        }),
        "the archive's directory contradicts what came for `d`",
    );
    assert_eq!(
        changed(|it| it.entries[0].central.name = b"A".to_vec()),
        "the archive's directory has `A`, which did not come",
    );
    let central = |count: usize| {
        changed(|it| {
            let records = it.entries.iter().map(|it| it.central.clone()).collect::<Vec<_>>();
            let first = Header { offset: Some(0), ..records[0].clone() };
            it.central = Some(vec![first; count]);
        })
    };
    assert_eq!(central(2), "the archive's directory has `a`, which did not come");
    assert_eq!(central(1), "the archive's directory leaves out 2 of the entries that came");
    let error = changed(|it| it.entries[0].central.extra = vec![1, 0, 9, 0, 1]);
    assert!(error.ends_with("is malformed"), "{error}");
}

#[test]
fn the_end_must_repeat_the_directory() {
    const EXPECTED: &str = "the archive's end contradicts its directory";
    for number in 0..4 {
        assert_eq!(changed(|it| it.end[number] = 1), EXPECTED);
    }
    assert_eq!(changed(|it| it.size_error = 1), EXPECTED);
    assert_eq!(changed(|it| it.offset_error = 1), EXPECTED);
    // All ones need a wide record, and there is none.
    assert_eq!(changed(|it| it.end = [0, 0, !3, !3]), EXPECTED);
    assert_eq!(changed(|it| it.tail = b"x".to_vec()), "something follows the archive's end");
    let error = changed(|it| {
        it.comment_length = 3;
        it.tail = b"four".to_vec();
    });
    assert_eq!(error, "something follows the archive's end");
}

/// The sample with a wide end record and its locator.
fn widened(change: impl FnOnce(&mut [u8])) -> Archive {
    let mut it = sample();
    let stream = it.bytes();
    let end = stream.last_chunk::<10>().unwrap();
    let number = |at: usize| u64::from(u32::from_le_bytes(end[at..at + 4].try_into().unwrap()));
    let (size, offset) = (number(0), number(4));
    let mut wide = [&b"PK\x06\x06"[..], &44u64.to_le_bytes(), &[45, 3, 45, 0], &[0; 8]].concat();
    for number in [3, 3, size, offset] {
        wide.extend(number.to_le_bytes());
    }
    wide.extend(b"PK\x06\x07");
    wide.extend([0; 4]);
    wide.extend((offset + size).to_le_bytes());
    wide.extend(1u32.to_le_bytes());
    change(&mut wide);
    it.end64 = Some(wide);
    it
}

#[test]
fn a_wide_end_is_held_against_the_directory_too() {
    let mut it = widened(|_| {});
    read(&it.bytes(), 3, PLENTY).unwrap();
    it.end = [0, 0, !3, !3];
    read(&it.bytes(), 3, PLENTY).unwrap();
    it.end = [0, 0, 1, 0];
    let contradicts = "the archive's end contradicts its directory";
    assert_eq!(refusal(&it.bytes(), PLENTY), contradicts);
    // Disks, counts, size, offset; then the locator's fields.
    for at in [16, 20, 24, 32, 40, 48, 60, 64, 73] {
        assert_eq!(refusal(&widened(|it| it[at] ^= 2).bytes(), PLENTY), contradicts, "{at}");
    }
    let error = refusal(&widened(|it| it[4] = 45).bytes(), PLENTY);
    assert!(error.ends_with("is malformed"), "{error}");
    let error = refusal(&widened(|it| it[56..60].copy_from_slice(b"PK\x05\x06")).bytes(), PLENTY);
    assert!(error.ends_with("stands nothing that belongs there"), "{error}");
}

#[test]
fn what_is_no_archive_is_refused_at_its_first_bytes() {
    for stream in [&b"PK00PK\x03\x04"[..], b"PK\x07\x08PK\x03\x04", b"#!/bin/sh", &[0; 9]] {
        assert_eq!(refusal(stream, PLENTY), "this is not a ZIP archive");
    }
    let error = changed(|it| it.entries[1].descriptor = b"more".to_vec());
    assert!(error.ends_with("stands nothing that belongs there"), "{error}");
}

#[test]
fn no_more_comes_than_was_announced() {
    const EXPECTED: &str = "the archive holds more than was announced";
    let stream = sample().bytes();
    let (_, totals) = read(&stream, 5, PLENTY).unwrap();
    assert_eq!((totals.bytes, totals.files), (68, 2));
    read(&stream, 5, Announced { bytes: 68, files: 2 }).unwrap();
    for (bytes, files) in [(67, 2), (4, 2), (0, 2), (68, 1), (68, 0)] {
        assert_eq!(refusal(&stream, Announced { bytes, files }), EXPECTED, "{bytes}, {files}");
    }
}

#[test]
fn a_bomb_stops_at_the_announced_size() {
    let zeros = vec![0; 100 << 20];
    let bomb = deflated("bomb", &zeros);
    for part in [streamed(bomb.clone(), true, false), bomb] {
        let mut reader = ZipReader::new(Announced { bytes: 1000, files: 1 });
        let mut kept = Kept::default();
        let error = reader.push(&archive(&[part]).bytes(), &mut kept).unwrap_err();
        assert!(matches!(error, UnzipError::Zip(ZipError::MoreThanAnnounced)));
        let size: usize = kept.files.iter().map(|it| it.1.len()).sum();
        assert!(size <= 1000);
    }
}

#[test]
fn folders_are_not_without_end() {
    let mut reader = ZipReader::new(Announced { bytes: 0, files: 1 });
    let mut kept = Kept::default();
    for number in 0..100_001 {
        reader.push(&folder(&format!("{number}/")).local.local(), &mut kept).unwrap();
    }
    let error = reader.push(&folder("more/").local.local(), &mut kept).unwrap_err();
    assert!(matches!(error, UnzipError::Zip(ZipError::TooManyFolders)));
}

#[test]
fn a_stream_that_is_cut_off_says_what_is_missing() {
    let mut it = sample();
    it.entries.push(streamed(deflated("f", b"some data"), true, false));
    it.entries.push(stored("g", b"more data"));
    it.comment_length = 4;
    it.tail = b"Bye.".to_vec();
    let stream = it.bytes();
    let mut missing = Vec::new();
    for end in 0..stream.len() {
        let error = read(&stream[..end], 10, PLENTY).unwrap_err().to_string();
        if missing.last() != Some(&error) {
            missing.push(error);
        }
    }
    let expected = [
        "its beginning",
        "the end of `a`",
        "its directory",
        "the rest of `b/c`",
        "its directory",
        "the rest of `f`",
        "the sizes after `f`",
        "its directory",
        "the rest of `g`",
        "its directory",
        "the end of its directory",
        "4 bytes of its comment",
        "3 bytes of its comment",
        "2 bytes of its comment",
        "1 bytes of its comment",
    ];
    let expected = expected.map(|it| format!("the archive is cut off: {it} did not come"));
    assert_eq!(missing, expected);
    let wide = widened(|_| {}).bytes();
    let error = read(&wide[..wide.len() - 30], 10, PLENTY).unwrap_err().to_string();
    assert_eq!(error, "the archive is cut off: its last record did not come");
}

#[test]
fn after_an_error_nothing_is_taken() {
    let mut reader = ZipReader::new(PLENTY);
    let mut kept = Kept::default();
    reader.push(b"what", &mut kept).unwrap_err();
    let error = reader.push(&sample().bytes(), &mut kept).unwrap_err();
    assert!(matches!(error, UnzipError::Zip(ZipError::Refused)));
    assert!(matches!(reader.finish(), Err(ZipError::Refused)));
    assert_eq!(kept, Kept::default());
}

/// Refuses everything.
struct Full;

#[derive(Debug, thiserror::Error)]
#[error("the disk is full")]
struct DiskFull;

impl Sink for Full {
    type Error = DiskFull;

    fn folder(&mut self, _: &[u8]) -> Result<(), DiskFull> {
        Err(DiskFull)
    }

    fn begin(&mut self, _: &Entry<'_>) -> Result<(), DiskFull> {
        Ok(())
    }

    fn data(&mut self, _: &[u8]) -> Result<(), DiskFull> {
        Err(DiskFull)
    }

    fn end(&mut self) -> Result<(), DiskFull> {
        Err(DiskFull)
    }
}

#[test]
fn an_error_of_the_sink_comes_back_as_it_was() {
    for part in [folder("d/"), stored("a", b"data"), deflated("a", b"data"), stored("e", b"")] {
        let mut reader = ZipReader::new(PLENTY);
        let error = reader.push(&archive(&[part]).bytes(), &mut Full).unwrap_err();
        assert!(matches!(error, UnzipError::Sink(DiskFull)));
        assert_eq!(error.to_string(), "the disk is full");
        assert!(matches!(reader.finish(), Err(ZipError::Refused)));
    }
}

#[test]
fn an_archive_made_to_look_ended_early_is_refused_and_not_corrupted() {
    // The file contains the descriptor of its own beginning, and a header after that.
    let inner = streamed(stored("a", b"beginning"), true, false);
    let data = [&inner.data[..], &inner.descriptor, &sample().bytes()].concat();
    let stream = archive(&[streamed(stored("a", &data), true, false)]).bytes();
    assert_eq!(refusal(&stream, PLENTY), "`a` is in the archive twice");
}

fn any_data() -> impl Strategy<Value = Vec<u8>> {
    let signature = prop_oneof![
        Just(b"PK\x03\x04".to_vec()),
        Just(b"PK\x01\x02".to_vec()),
        Just(b"PK\x07\x08".to_vec()),
        Just(b"PK\x05\x06".to_vec()),
        Just(sample().bytes()),
        prop::collection::vec(any::<u8>(), 0..300),
    ];
    prop::collection::vec(signature, 0..6).prop_map(|it| it.concat())
}

/// Members with their data.
fn any_members() -> impl Strategy<Value = Vec<(Member, Vec<u8>)>> {
    prop::collection::vec((any::<bool>(), any_data(), "[a-zä€/\\\\.]{0,9}", any::<u32>()), 0..8)
        .prop_map(|members| {
            let with_name =
                |(index, (is_folder, data, name, mode)): (usize, (bool, Vec<u8>, String, u32))| {
                    let data = if is_folder { Vec::new() } else { data };
                    let size = data.len() as u64;
                    let (kind, slash) =
                        if is_folder { (Kind::Folder, "/") } else { (Kind::File { size }, "") };
                    (Member { name: format!("{name}{index}{slash}"), kind, mode }, data)
                };
            members.into_iter().enumerate().map(with_name).collect()
        })
}

fn write(members: &[(Member, Vec<u8>)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(members.iter().map(|it| it.0.clone()).collect());
    let mut stream = Vec::new();
    while let Some((index, header)) = writer.begin() {
        stream.extend(header);
        for bytes in members[index].1.chunks(100) {
            writer.data(bytes).unwrap();
            stream.extend(bytes);
        }
        stream.extend(writer.end().unwrap());
    }
    stream.extend(writer.finish());
    stream
}

proptest! {
    #[test]
    fn what_is_written_is_read_and_has_the_size_that_was_promised(members in any_members(), chunk in 1usize..400) {
        let stream = write(&members);
        let promised: Vec<Member> = members.iter().map(|it| it.0.clone()).collect();
        prop_assert_eq!(zip_size(&promised), stream.len() as u64);
        let (kept, totals) = read(&stream, chunk, PLENTY).unwrap();
        let (folders, files): (Vec<_>, Vec<_>) = members.into_iter().partition(|it| it.0.kind == Kind::Folder);
        let files: Vec<_> = files.into_iter().map(|it| (it.0.name, it.1)).collect();
        let folders: Vec<_> = folders.into_iter().map(|it| it.0.name.strip_suffix('/').unwrap().to_owned()).collect();
        prop_assert_eq!(totals.bytes, files.iter().map(|it| it.1.len() as u64).sum::<u64>());
        prop_assert_eq!((kept.files, kept.folders), (files, folders));
    }

    #[test]
    fn a_change_of_bytes_breaks_nothing(
        members in any_members(), places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), chunk in 1usize..400,
    ) {
        let mut stream = write(&members);
        for (place, byte) in places {
            let length = stream.len();
            stream[place.index(length)] = byte;
        }
        let in_pieces = read(&stream, chunk, PLENTY);
        let at_once = read(&stream, stream.len(), PLENTY);
        prop_assert_eq!(in_pieces.ok(), at_once.ok());
    }

    #[test]
    fn a_change_of_data_is_noticed(members in any_members(), bit in 0u8..8) {
        let Some((_, data)) = members.iter().find(|it| !it.1.is_empty()) else { return Ok(()) };
        let mut stream = write(&members);
        let place = stream.windows(data.len()).position(|it| it == data).unwrap();
        stream[place] ^= 1 << bit;
        prop_assert!(read(&stream, 50, PLENTY).is_err());
    }

    #[test]
    fn no_bytes_break_the_reader(stream in prop::collection::vec(any_data(), 0..5), chunk in 1usize..50) {
        let stream = stream.concat();
        let _either = read(&stream, chunk, PLENTY);
    }
}
