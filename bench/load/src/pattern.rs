//! The content of the files: each eight bytes follow from the file's number and their position.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use crate::args::Make;
use crate::report::Error;

/// The bytes made at a time.
const STEP: u64 = 1 << 20;

/// Writes the files that the command asks for.
pub(crate) fn make(wish: &Make) -> Result<(), Error> {
    (0..wish.files).try_for_each(|number| {
        let path = wish.path.replace("{}", &number.to_string());
        write(Path::new(&path), wish.size, number)
    })
}

fn write(path: &Path, size: u64, number: u64) -> Result<(), Error> {
    let error = |source| Error::Make { path: path.to_owned(), source };
    #[expect(clippy::disallowed_methods, reason = "a file of the benchmark's, on no volume")]
    let mut file = File::create(path).map_err(error)?;
    let mut at = 0;
    while at < size {
        let len = STEP.min(size - at);
        file.write_all(&bytes(number, at, len)).map_err(error)?;
        at += len;
    }
    Ok(())
}

/// The bytes of a file from a position on.
pub(crate) fn bytes(number: u64, start: u64, len: u64) -> Vec<u8> {
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    let skipped = usize::try_from(start % 8).unwrap_or_default();
    let mut bytes = Vec::with_capacity(len + 16);
    let mut index = start / 8;
    while bytes.len() < skipped + len {
        bytes.extend_from_slice(&word(number, index).to_le_bytes());
        index += 1;
    }
    bytes.drain(..skipped);
    bytes.truncate(len);
    bytes
}

fn word(number: u64, index: u64) -> u64 {
    mix(number.wrapping_mul(0xA076_1D64_78BD_642F) ^ index)
}

/// `SplitMix64`'s step: Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014.
pub(crate) fn mix(seed: u64) -> u64 {
    let mut it = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    it = (it ^ (it >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    it = (it ^ (it >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    it ^ (it >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_part_is_a_part_of_the_whole() {
        let whole = bytes(3, 0, 1000);
        assert_eq!(whole.len(), 1000);
        for (start, end) in [(0, 1), (1, 8), (5, 13), (8, 16), (13, 913), (999, 1000), (1000, 1000)]
        {
            assert_eq!(bytes(3, start as u64, (end - start) as u64), whole[start..end]);
        }
        assert_ne!(bytes(4, 0, 1000), whole);
    }
}
