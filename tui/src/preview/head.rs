//! A file's beginning, unpacked where it is gzip (RFC 1952).

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use super::encoding::Encoding;

/// The beginning of a file.
pub(super) struct Head {
    /// As it lies on the disk.
    pub(super) raw: Vec<u8>,
    /// Unpacked, where it is packed; as UTF-8, where it is a text.
    pub(super) text: Vec<u8>,
    /// The text's encoding; none where it is no text.
    pub(super) encoding: Option<Encoding>,
    /// Whether it is packed.
    pub(super) is_packed: bool,
    /// Bytes that were read.
    pub(super) read: u64,
    /// How many bytes of the file the unpacked ones come from.
    pub(super) consumed: u64,
    /// Whether this is all of it.
    pub(super) is_all: bool,
    /// What is wrong with how it is packed.
    pub(super) trouble: Option<String>,
}

impl Head {
    /// Reads at most so many bytes, and unpacks at most so many.
    pub(super) fn read(file: &File, most: usize, unpacked: usize) -> io::Result<Head> {
        let mut raw = vec![0; most];
        let mut filled = 0;
        while let Some(rest) = raw.get_mut(filled..).filter(|it| !it.is_empty()) {
            match file.read_at(rest, filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        raw.truncate(filled);
        let is_all = filled < most;
        let read = filled as u64;
        if !raw.starts_with(&[0x1f, 0x8b]) {
            let text = raw.clone();
            let head = Head {
                raw,
                text,
                encoding: None,
                is_packed: false,
                read,
                consumed: read,
                is_all,
                trouble: None,
            };
            return Ok(head.understood());
        }
        let mut text = Vec::new();
        let mut decoder = flate2::read::MultiGzDecoder::new(raw.as_slice());
        let unpacking = decoder.by_ref().take(unpacked as u64).read_to_end(&mut text);
        let left = decoder.get_ref().len();
        let consumed = (filled - left) as u64;
        let is_cut = text.len() == unpacked || left > 0;
        let trouble = match unpacking {
            Ok(_) => None,
            // It ends where we stopped to read, or where somebody stopped to write.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && !is_all => None,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Some(format!("gzip ends early, at {}: file incomplete?", crate::text::bytes(read)))
            }
            Err(error) => Some(format!("gzip is broken: {error}")),
        };
        let head = Head {
            raw,
            text,
            encoding: None,
            is_packed: true,
            read,
            consumed,
            is_all: is_all && !is_cut && trouble.is_none(),
            trouble,
        };
        Ok(head.understood())
    }

    /// What was unpacked, as UTF-8, where it is a text; and its encoding.
    fn understood(mut self) -> Head {
        self.encoding = Encoding::of(&self.text);
        if let Some(encoding) = self.encoding.filter(|it| *it != Encoding::Utf8) {
            let text = self.text.get(encoding.mark()..).unwrap_or_default();
            self.text = encoding.decode(text);
        }
        self
    }

    /// Whole lines; the last one too, where that is all.
    pub(super) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let end = if self.is_all {
            self.text.len()
        } else {
            self.text.iter().rposition(|it| *it == b'\n').unwrap_or(self.text.len())
        };
        let text = self.text.get(..end).unwrap_or_default();
        text.strip_suffix(b"\n")
            .unwrap_or(text)
            .split(|it| *it == b'\n')
            .map(|it| it.strip_suffix(b"\r").unwrap_or(it))
    }

    /// How many there are in all of the file, by so many in what was unpacked.
    pub(super) fn estimate(&self, count: u64, len: u64) -> u64 {
        if self.is_all || self.consumed == 0 {
            return count;
        }
        u64::try_from(u128::from(count) * u128::from(len) / u128::from(self.consumed))
            .unwrap_or(u64::MAX)
    }
}
