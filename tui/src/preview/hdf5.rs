//! HDF5, and with it OMX (Open Matrix): the datasets, with their shapes and types.
//!
//! Read by our own few lines: only groups and the heads of datasets (HDF5 file format specification 3.0, sections II,
//! III.A, III.B, III.D, IV.A). The HDF5 library is some megabytes of C; the readers in plain Rust (`hdf5-reader`,
//! `hdf5-pure`) are made to read the data too, and a preview of a stranger's file is to read little and has a limit on
//! it. What newer writers may do and these do not know is said as such.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::{Body, Preview};
use crate::text;

/// Datasets that are listed.
const MOST: usize = 500;
/// Groups within groups.
const DEEPEST: usize = 8;
/// Bytes that are read of one thing, and of all.
const LARGEST: u64 = 1 << 20;
const ALL: u64 = 8 << 20;
/// The address of nothing.
const NOWHERE: u64 = u64::MAX;

/// A dataset.
struct Dataset {
    path: String,
    shape: Vec<u64>,
    kind: &'static str,
}

/// Why not all of it could be read.
type Trouble = &'static str;

pub(super) fn look(file: &File, len: u64) -> Preview {
    let mut reader = Reader { file, len, read: 0, base: 0, datasets: Vec::new() };
    let trouble = reader.root().and_then(|root| reader.object(root, "", 0)).err();
    let datasets = reader.datasets;
    let matrices: Vec<&Dataset> =
        datasets.iter().filter(|it| it.path.starts_with("/data/") && it.shape.len() == 2).collect();
    let fact = match matrices.first() {
        Some(first) => {
            let count = text::things(matrices.len() as u64, "matrix", "matrices");
            format!("OMX  {count}, {}", shape(&first.shape))
        }
        None => format!("HDF5  {}", text::things(datasets.len() as u64, "dataset", "datasets")),
    };
    let row = |it: &Dataset| vec![it.path.clone(), shape(&it.shape), it.kind.to_owned()];
    let header = ["dataset", "shape", "type"].map(str::to_owned).to_vec();
    let rows = std::iter::once(header).chain(datasets.iter().map(row)).collect();
    let is_lost = datasets.is_empty() && trouble.is_some();
    Preview {
        facts: if is_lost { Vec::new() } else { vec![fact] },
        body: if is_lost { Body::Nothing } else { Body::Table(rows) },
        read: reader.read,
        trouble: trouble.map(str::to_owned),
        ..Preview::default()
    }
}

fn shape(dimensions: &[u64]) -> String {
    if dimensions.is_empty() {
        return "one value".to_owned();
    }
    dimensions.iter().map(u64::to_string).collect::<Vec<_>>().join(" x ")
}

struct Reader<'a> {
    file: &'a File,
    len: u64,
    read: u64,
    /// What addresses count from.
    base: u64,
    datasets: Vec<Dataset>,
}

/// What an object's header says.
#[derive(Default)]
struct Object {
    shape: Option<Vec<u64>>,
    kind: Option<&'static str>,
    /// B-tree and local heap of a group.
    table: Option<(u64, u64)>,
    /// Names and addresses of a group of the newer kind.
    links: Vec<(Vec<u8>, u64)>,
    is_dense: bool,
}

const BROKEN: Trouble = "the file is cut off or broken: not all of it could be read";
const UNKNOWN: Trouble = "written in a way that is not known here: not all of it could be read";

impl Reader<'_> {
    /// The address of the root group's header.
    fn root(&mut self) -> Result<u64, Trouble> {
        let block = self.bytes(0, 128)?;
        let version = byte(&block, 8)?;
        let (sizes, base, root) = match version {
            0 => ((13, 14), 24, 24 + 32 + 8),
            1 => ((13, 14), 28, 28 + 32 + 8),
            2 | 3 => ((9, 10), 12, 36),
            _ => return Err(UNKNOWN),
        };
        // Others have never been seen in the field.
        if (byte(&block, sizes.0)?, byte(&block, sizes.1)?) != (8, 8) {
            return Err(UNKNOWN);
        }
        self.base = long(&block, base)?;
        // Both kinds have the file's end two addresses further on.
        if self.base.saturating_add(long(&block, base + 16)?) > self.len {
            return Err("the file is cut off: it ends before it says it does");
        }
        long(&block, root)
    }

    /// A group with all that is in it, or a dataset.
    fn object(&mut self, address: u64, path: &str, depth: usize) -> Result<(), Trouble> {
        if depth > DEEPEST || self.datasets.len() >= MOST {
            return Ok(());
        }
        let object = self.header(address)?;
        if let (Some(shape), Some(kind)) = (object.shape, object.kind) {
            self.datasets.push(Dataset { path: path.to_owned(), shape, kind });
            return Ok(());
        }
        let mut links = object.links;
        if let Some((tree, heap)) = object.table {
            let heap = self.heap(heap)?;
            self.tree(tree, &heap, &mut links, 0)?;
        }
        links.sort();
        for (name, address) in links {
            self.object(address, &format!("{path}/{}", text::escape(&name)), depth + 1)?;
        }
        if object.is_dense { Err(UNKNOWN) } else { Ok(()) }
    }

    fn header(&mut self, address: u64) -> Result<Object, Trouble> {
        let mut object = Object::default();
        let start = self.bytes(address, 32)?;
        let mut chunks: Vec<(u64, u64)> = Vec::new();
        let is_new = start.starts_with(b"OHDR");
        let mut has_order = false;
        if is_new {
            let flags = byte(&start, 5)?;
            has_order = flags & 4 != 0;
            let mut at =
                6 + if flags & 0x20 != 0 { 16 } else { 0 } + if flags & 0x10 != 0 { 4 } else { 0 };
            let wide = 1 << (flags & 3);
            let size = number(&start, at, wide)?;
            at += wide;
            chunks.push((address + at as u64, size));
        } else if byte(&start, 0)? == 1 {
            chunks.push((address + 16, number(&start, 8, 4)?));
        } else {
            return Err(BROKEN);
        }
        let mut done = 0;
        while let Some((at, size)) = chunks.get(done).copied() {
            done += 1;
            if done > 64 {
                return Err(BROKEN);
            }
            let chunk = self.bytes(at, size)?;
            if (chunk.len() as u64) < size {
                return Err(BROKEN);
            }
            messages(&chunk, is_new, has_order, &mut object, &mut chunks)?;
        }
        Ok(object)
    }

    /// The names in a group.
    fn heap(&mut self, address: u64) -> Result<Vec<u8>, Trouble> {
        let head = self.bytes(address, 32)?;
        if !head.starts_with(b"HEAP") {
            return Err(BROKEN);
        }
        self.bytes(long(&head, 24)?, long(&head, 8)?)
    }

    fn tree(
        &mut self,
        address: u64,
        heap: &[u8],
        links: &mut Vec<(Vec<u8>, u64)>,
        depth: usize,
    ) -> Result<(), Trouble> {
        let start = self.bytes(address, 24)?;
        if !start.starts_with(b"TREE") || depth > DEEPEST {
            return Err(BROKEN);
        }
        let (level, count) = (byte(&start, 5)?, number(&start, 6, 2)?);
        let children = self.bytes(address + 24, count * 16 + 8)?;
        for index in 0..usize::try_from(count).unwrap_or(0) {
            let child = long(&children, index * 16 + 8)?;
            if level > 0 {
                self.tree(child, heap, links, depth + 1)?;
                continue;
            }
            let node = self.bytes(child, 8)?;
            if !node.starts_with(b"SNOD") {
                return Err(BROKEN);
            }
            let symbols = number(&node, 6, 2)?;
            let entries = self.bytes(child + 8, symbols * 40)?;
            for symbol in 0..usize::try_from(symbols).unwrap_or(0) {
                let name =
                    usize::try_from(long(&entries, symbol * 40)?).map_err(|_large| BROKEN)?;
                let name =
                    heap.get(name..).and_then(|it| it.split(|it| *it == 0).next()).ok_or(BROKEN)?;
                links.push((name.to_vec(), long(&entries, symbol * 40 + 8)?));
            }
        }
        Ok(())
    }

    fn bytes(&mut self, address: u64, len: u64) -> Result<Vec<u8>, Trouble> {
        self.read += len;
        if len > LARGEST || self.read > ALL {
            return Err("too large to be looked through");
        }
        let mut bytes = vec![0; usize::try_from(len).map_err(|_large| BROKEN)?];
        let at = address.checked_add(self.base).ok_or(BROKEN)?;
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|it| !it.is_empty()) {
            match self.file.read_at(rest, at.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(_) => return Err(BROKEN),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}

fn messages(
    chunk: &[u8],
    is_new: bool,
    has_order: bool,
    object: &mut Object,
    chunks: &mut Vec<(u64, u64)>,
) -> Result<(), Trouble> {
    let head = match (is_new, has_order) {
        (false, _) => 8,
        (true, false) => 4,
        (true, true) => 6,
    };
    let mut at = 0;
    while at + head <= chunk.len() {
        let (kind, size) = if is_new {
            (number(chunk, at, 1)?, number(chunk, at + 1, 2)?)
        } else {
            (number(chunk, at, 2)?, number(chunk, at + 2, 2)?)
        };
        at += head;
        let size = usize::try_from(size).map_err(|_large| BROKEN)?;
        let Some(message) = chunk.get(at..at + size) else { return Ok(()) };
        at += size;
        match kind {
            0x01 => object.shape = Some(dataspace(message)?),
            0x02 if message.len() >= 2 => {
                let flags = byte(message, 1)?;
                let elsewhere = long(message, 2 + if flags & 1 != 0 { 8 } else { 0 })?;
                object.is_dense = elsewhere != NOWHERE;
            }
            0x03 => object.kind = Some(datatype(message)?),
            0x06 => object.links.extend(link(message)?),
            0x10 => {
                let (address, length) = (long(message, 0)?, long(message, 8)?);
                // A chunk of the newer kind has a mark in front and a checksum behind.
                let cut = if is_new { 4 } else { 0 };
                chunks.push((address + cut, length.saturating_sub(2 * cut)));
            }
            0x11 => object.table = Some((long(message, 0)?, long(message, 8)?)),
            _ => {}
        }
    }
    Ok(())
}

fn dataspace(message: &[u8]) -> Result<Vec<u64>, Trouble> {
    let (version, rank) = (byte(message, 0)?, usize::from(byte(message, 1)?));
    let start = match version {
        1 => 8,
        2 => 4,
        _ => return Err(UNKNOWN),
    };
    (0..rank).map(|it| long(message, start + it * 8)).collect()
}

fn datatype(message: &[u8]) -> Result<&'static str, Trouble> {
    let (class, size) = (byte(message, 0)? & 0x0f, number(message, 4, 4)?);
    Ok(match (class, size) {
        (0, 1) => "int8",
        (0, 2) => "int16",
        (0, 4) => "int32",
        (0, 8) => "int64",
        (1, 4) => "float32",
        (1, 8) => "float64",
        (3, _) => "text",
        (6, _) => "compound",
        (8, _) => "enumeration",
        (9, _) => "variable length",
        _ => "other",
    })
}

/// A hard link; none for a soft or outward one.
fn link(message: &[u8]) -> Result<Option<(Vec<u8>, u64)>, Trouble> {
    let flags = byte(message, 1)?;
    let mut at = 2;
    let mut kind = 0;
    if flags & 8 != 0 {
        kind = byte(message, at)?;
        at += 1;
    }
    at += if flags & 4 != 0 { 8 } else { 0 };
    at += usize::from(flags & 0x10 != 0);
    let wide = 1 << (flags & 3);
    let len = usize::try_from(number(message, at, wide)?).map_err(|_large| BROKEN)?;
    at += wide;
    let name = message.get(at..at + len).ok_or(BROKEN)?.to_vec();
    if kind != 0 {
        return Ok(None);
    }
    Ok(Some((name, long(message, at + len)?)))
}

fn byte(bytes: &[u8], at: usize) -> Result<u8, Trouble> {
    bytes.get(at).copied().ok_or(BROKEN)
}

fn long(bytes: &[u8], at: usize) -> Result<u64, Trouble> {
    number(bytes, at, 8)
}

/// Little-endian, of so many bytes.
fn number(bytes: &[u8], at: usize, wide: usize) -> Result<u64, Trouble> {
    let digits = at.checked_add(wide).and_then(|end| bytes.get(at..end)).ok_or(BROKEN)?;
    Ok(digits.iter().rev().fold(0, |sum, it| sum << 8 | u64::from(*it)))
}
