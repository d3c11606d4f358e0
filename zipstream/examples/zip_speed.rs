//! Measures how fast archives are read: `cargo run --release -p zipstream --example zip_speed`.
//!
//! One gibibyte in one entry, in records of 16 KiB as they arrive over the network: random bytes, and bytes made to mislead the search for
//! the entry's end. Then a million small files. All bytes are in memory before the clock starts, and nothing is kept.

#![expect(clippy::print_stdout, clippy::expect_used, reason = "a measurement for a person")]

use std::convert::Infallible;
use std::time::Instant;

use zipstream::{Announced, Entry, Kind, Member, Sink, ZipReader, ZipWriter};

const SIZE: usize = 1 << 30;
const RECORD: usize = 16 << 10;

fn main() {
    measure("random", &noise());
    measure("zeros", &vec![0; SIZE]);
    measure("PK repeated", &b"PK".repeat(SIZE / 2));
    measure("descriptors' signatures", &b"PK\x07\x08".repeat(SIZE / 4));
    measure("headers' signatures", &b"PK\x03\x04".repeat(SIZE / 4));
    measure("descriptors with the right sizes", &near_misses(false));
    measure("the same without signatures", &near_misses(true));
    measure_many();
}

/// A million files of a hundred bytes.
fn measure_many() {
    let count = 1_000_000u64;
    let data = [b'x'; 100];
    let member = |it| Member {
        name: format!("folder/{it}.txt"),
        kind: Kind::File { size: 100 },
        mode: 0o644,
    };
    let start = Instant::now();
    let mut writer = ZipWriter::new((0..count).map(member).collect());
    let mut stream = Vec::new();
    while let Some((_, header)) = writer.begin() {
        stream.extend(header);
        writer.data(&data).expect("the size is right");
        stream.extend(data);
        stream.extend(writer.end().expect("the size is right"));
    }
    stream.extend(writer.finish());
    let writing = start.elapsed();

    let mut reader = ZipReader::new(Announced { bytes: count * 100, files: count });
    let start = Instant::now();
    for piece in stream.chunks(RECORD) {
        reader.push(piece, &mut Nothing).expect("it is well made");
    }
    reader.finish().expect("it is whole");
    println!("a million small files: read in {:.2?}, written in {writing:.2?}", start.elapsed());
}

/// One descriptor after the other, each correct except for its CRC.
fn near_misses(is_bare: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SIZE + 32);
    while bytes.len() < SIZE {
        let size = u32::try_from(bytes.len()).unwrap_or_default().to_le_bytes();
        if !is_bare {
            bytes.extend(b"PK\x07\x08");
        }
        bytes.extend([1, 2, 3, 4]);
        bytes.extend(size);
        bytes.extend(size);
        bytes.extend(b"PK\x03\x04");
    }
    bytes.truncate(SIZE);
    bytes
}

fn noise() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..SIZE / 8).flat_map(|_| next()).collect()
}

fn measure(what: &str, data: &[u8]) {
    let size = data.len() as u64;
    let member = Member { name: "data".into(), kind: Kind::File { size }, mode: 0o644 };
    let mut writer = ZipWriter::new(vec![member]);
    let (_, header) = writer.begin().expect("there is one");
    let start = Instant::now();
    data.chunks(RECORD).for_each(|it| writer.data(it).expect("the size is right"));
    let writing = start.elapsed();
    let descriptor = writer.end().expect("the size is right");
    let directory = writer.finish();

    let mut reader = ZipReader::new(Announced { bytes: size, files: 1 });
    let start = Instant::now();
    let pieces = [&header[..]].into_iter().chain(data.chunks(RECORD));
    for piece in pieces.chain([&descriptor[..], &directory[..]]) {
        reader.push(piece, &mut Nothing).expect("it is well made");
    }
    let totals = reader.finish().expect("it is whole");
    let reading = start.elapsed();
    assert_eq!(totals.bytes, size);
    let rate = |time: std::time::Duration| u128::from(size) / time.as_micros().max(1);
    println!("{what:36} read {:6} MB/s, written {:6} MB/s", rate(reading), rate(writing));
}

struct Nothing;

impl Sink for Nothing {
    type Error = Infallible;

    fn folder(&mut self, _: &[u8]) -> Result<(), Infallible> {
        Ok(())
    }

    fn begin(&mut self, _: &Entry<'_>) -> Result<(), Infallible> {
        Ok(())
    }

    fn data(&mut self, _: &[u8]) -> Result<(), Infallible> {
        Ok(())
    }

    fn end(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
