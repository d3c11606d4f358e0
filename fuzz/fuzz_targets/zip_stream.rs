//! Any bytes, in pieces of any size, as a directory that comes in.
//!
//! The first six bytes say what was announced and how the others are cut; the others are the stream. The sink
//! asserts what the reader promises: nothing beyond what was announced, pieces that are not too large, calls in
//! their order. What is taken must be what the sink has seen.

#![cfg_attr(fuzzing, no_main)]

use std::collections::HashSet;
use std::convert::Infallible;

use zipstream::{Announced, Entry, Sink, Totals, ZipError, ZipReader};

fuzz::target!(check);

fn check(input: &[u8]) {
    let Some((head, stream)) = input.split_first_chunk::<6>() else { return };
    let [bytes_low, bytes_high, files, cut, cut_growth, is_generous] = *head;
    let announced = Announced {
        bytes: match is_generous % 2 {
            0 => u64::from(u16::from_le_bytes([bytes_low, bytes_high])),
            _ => u64::MAX,
        },
        files: u64::from(files),
    };
    let in_pieces = read(announced, pieces(stream, cut.into(), cut_growth.into()));
    let at_once = read(announced, [stream].into_iter());
    // How the stream is cut decides at most which of two faults is met first.
    match (in_pieces, at_once) {
        (Ok(one), Ok(other)) => assert_eq!(one, other),
        (Err(_), Err(_)) => {}
        (one, other) => panic!("{one:?} in pieces, {other:?} at once"),
    }
}

fn pieces(stream: &[u8], cut: usize, growth: usize) -> impl Iterator<Item = &[u8]> {
    let (mut rest, mut length) = (stream, cut + 1);
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        length = (length + growth) % 1000 + 1;
        (!piece.is_empty()).then_some(piece)
    })
}

fn read<'a>(
    announced: Announced,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Result<(Totals, Vec<u8>), ZipError> {
    let mut reader = ZipReader::new(announced);
    let mut sink = Watch { announced, ..Watch::default() };
    for piece in pieces {
        if let Err(error) = reader.push(piece, &mut sink) {
            assert!(reader.push(b"more", &mut sink).is_err());
            assert!(matches!(reader.finish(), Err(ZipError::Refused)));
            return match error {
                zipstream::UnzipError::Zip(error) => Err(error),
                zipstream::UnzipError::Sink(never) => match never {},
            };
        }
    }
    let totals = reader.finish()?;
    assert!(sink.open.is_none());
    assert_eq!((totals.files, totals.bytes), (sink.files, sink.bytes));
    assert!(totals.folders >= sink.folders && totals.folders <= sink.folders + 1);
    Ok((totals, sink.seen))
}

#[derive(Default)]
struct Watch {
    announced: Announced,
    files: u64,
    folders: u64,
    bytes: u64,
    names: HashSet<Vec<u8>>,
    /// The size so far and the one that was promised.
    open: Option<(u64, Option<u64>)>,
    seen: Vec<u8>,
}

impl Watch {
    fn name(&mut self, name: &[u8]) {
        assert!(self.open.is_none());
        assert!(!name.is_empty());
        assert!(std::str::from_utf8(name).is_ok());
        assert!(self.names.insert(name.to_vec()), "a name comes twice");
        self.seen.extend_from_slice(name);
        self.seen.push(0);
    }
}

impl Sink for Watch {
    type Error = Infallible;

    fn folder(&mut self, name: &[u8]) -> Result<(), Infallible> {
        self.name(name);
        self.folders += 1;
        Ok(())
    }

    fn begin(&mut self, entry: &Entry<'_>) -> Result<(), Infallible> {
        self.name(entry.name);
        self.open = Some((0, entry.size));
        self.files += 1;
        assert!(self.files <= self.announced.files);
        assert!(entry.size.unwrap_or(0) <= self.announced.bytes - self.bytes);
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        let (so_far, size) = self.open.as_mut().expect("a file is open");
        assert!(!bytes.is_empty() && bytes.len() <= 64 << 10);
        *so_far += bytes.len() as u64;
        assert!(size.is_none_or(|it| *so_far <= it));
        self.bytes += bytes.len() as u64;
        assert!(self.bytes <= self.announced.bytes);
        self.seen.extend_from_slice(bytes);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Infallible> {
        let (so_far, size) = self.open.take().expect("a file is open");
        assert!(size.is_none_or(|it| so_far == it));
        Ok(())
    }
}
