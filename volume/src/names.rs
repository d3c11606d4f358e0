//! The names in a folder, in natural order, with the kind of each.
//!
//! Reading a folder collects its visible names and their kinds, no more: sixteen bytes for each name besides the name itself, in two
//! allocations. Sizes and times are read when they are shown, one page at a time.

use std::cmp::Ordering;
use std::io;
use std::sync::Arc;

use rustix::fs::{FileType, RawDir, RawDirEntry};

use crate::layout;
use crate::path::RelPath;
use crate::stat::Stat;
use crate::volume::{Blocking, Found, FoundFile, FoundFolder, Volume};

/// Bytes that the kernel returns from a folder at once. A larger buffer is not faster.
pub(crate) const STEP: usize = 64 * 1024;

/// Whether a name is a folder or a file. Folders sort first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A regular file.
    File,
}

/// A name and its kind, borrowed from [`Names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'a> {
    /// The name as it is on the disk: any bytes except `/` and NUL.
    pub bytes: &'a [u8],
    /// The kind; for a link, the kind of its target.
    pub kind: Kind,
    /// Whether it is a symbolic link.
    pub is_link: bool,
}

/// All visible names of a folder, folders first, each in natural order.
#[derive(Debug)]
pub struct Names {
    folder: Arc<FoundFolder>,
    path: RelPath,
    /// Every name, one after the other.
    text: Vec<u8>,
    entries: Vec<Entry>,
    left_out: usize,
}

/// Four entries fill a cache line, and a million names are sorted in place.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The part of its [`SortKey`] that is being compared.
    key: u64,
    start: u32,
    len: u8,
    kind: Kind,
    is_link: bool,
}

impl Names {
    /// Reads a folder that was found at `path`.
    ///
    /// Leaves out hidden names, anything but files and folders, and links that lead out of the volume or to a path that `may_read` refuses.
    pub fn read(
        volume: &Volume,
        folder: impl Into<Arc<FoundFolder>>,
        path: &RelPath,
        may_read: impl Fn(&RelPath) -> bool,
    ) -> io::Result<Names> {
        Names::read_while(|| true, volume, folder, path, may_read)
    }

    /// The same, for a caller that may go away: calls `is_wanted` before each name, and fails once it returns `false`.
    pub fn read_while(
        is_wanted: impl Fn() -> bool,
        volume: &Volume,
        folder: impl Into<Arc<FoundFolder>>,
        path: &RelPath,
        may_read: impl Fn(&RelPath) -> bool,
    ) -> io::Result<Names> {
        let folder = folder.into();
        let mut text = Vec::new();
        let mut entries = Vec::new();
        let mut left_out = 0;
        let mut step = Vec::with_capacity(STEP);
        let mut dir = RawDir::new(folder.open()?, step.spare_capacity_mut());
        while let Some(entry) = dir.next() {
            if !is_wanted() {
                return Err(io::Error::other("nobody wants the folder's names any more"));
            }
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            let Some((kind, is_link)) = shown(volume, path, &entry, &may_read) else {
                left_out += usize::from(!is_own(real(&folder, path), name));
                continue;
            };
            debug_assert!(!layout::is_hidden(name), "a RelPath holds no hidden name");
            let Ok(len) = u8::try_from(name.len()) else { continue };
            let start = u32::try_from(text.len()).map_err(io::Error::other)?;
            entries.push(Entry { key: 0, start, len, kind, is_link });
            text.extend_from_slice(name);
        }
        // A list may be kept for as long as a client takes to read it.
        text.shrink_to_fit();
        entries.shrink_to_fit();
        sort(&mut entries, &text, 0);
        Ok(Names { folder, path: path.clone(), text, entries, left_out })
    }

    /// The number of names.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The number of other names in the folder, which are [left out](crate::left_out).
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Whether there are no names.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of memory that the list takes.
    pub fn memory(&self) -> usize {
        size_of::<Names>() + self.text.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// Whether any name is a symbolic link: its kind, and whether it may be shown, depend on another folder.
    pub fn has_links(&self) -> bool {
        self.entries.iter().any(|it| it.is_link)
    }

    /// The name at an index.
    pub fn get(&self, index: usize) -> Option<Name<'_>> {
        let entry = self.entries.get(index)?;
        Some(Name { bytes: bytes_of(&self.text, entry), kind: entry.kind, is_link: entry.is_link })
    }

    /// The index after a name, whether or not that name is (still) there.
    pub fn position_after(&self, kind: Kind, name: &[u8]) -> usize {
        self.entries.partition_point(|it| {
            order((it.kind, bytes_of(&self.text, it)), (kind, name)) != Ordering::Greater
        })
    }

    /// Size and times of a name, read from the disk now; `None` if it was removed meanwhile.
    pub fn stat(&self, volume: &Volume, name: Name<'_>) -> Option<Stat> {
        if !name.is_link {
            return self.folder.stat(name.bytes);
        }
        let path = self.path.join(name.bytes).ok()?;
        volume.find(&path, Blocking::MayBlock).ok()?.stat()
    }
}

impl Found {
    /// The file, if it is one.
    pub fn into_file(self) -> Option<FoundFile> {
        match self {
            Found::File(file) => Some(file),
            Found::Folder(_) => None,
        }
    }

    /// Size and times; `None` for a folder that was removed.
    pub fn stat(&self) -> Option<Stat> {
        match self {
            Found::File(file) => Some(file.stat),
            Found::Folder(folder) => folder.stat(b"."),
        }
    }

    /// The path of the link's target, if a symbolic link led there.
    pub fn real_path(&self) -> Option<&RelPath> {
        match self {
            Found::File(file) => file.real_path.as_ref(),
            Found::Folder(folder) => folder.real_path.as_ref(),
        }
    }
}

fn bytes_of<'a>(text: &'a [u8], entry: &Entry) -> &'a [u8] {
    let start = entry.start as usize;
    text.get(start..start + usize::from(entry.len)).unwrap_or_default()
}

/// Sorts entries whose keys are equal before `depth`. Compares eight bytes of the keys at a time, as one number. The names lie all over the
/// memory, so they are not read in each of the twenty comparisons, but once, and again where eight bytes are equal.
fn sort(entries: &mut [Entry], text: &[u8], depth: usize) {
    for entry in &mut *entries {
        entry.key = SortKey::part(entry.kind, bytes_of(text, entry), depth);
    }
    entries.sort_unstable_by_key(|it| it.key);
    for alike in entries.chunk_by_mut(|a, b| a.key == b.key) {
        match alike {
            [] | [_] => {}
            // The keys have ended.
            [Entry { key: 0, .. }, ..] => {
                alike.sort_unstable_by(|a, b| bytes_of(text, a).cmp(bytes_of(text, b)));
            }
            _ => sort(alike, text, depth + SortKey::PART),
        }
    }
}

/// Eight bytes of a name's sort key. The keys' bytes are in [natural] order where the names are, folders before files: a byte for the kind,
/// letters in lower case, and before each number a digit and the number's length.
struct SortKey {
    /// The index of the part's first byte in the key.
    start: usize,
    /// The number of key bytes produced so far.
    seen: usize,
    part: [u8; SortKey::PART],
}

impl SortKey {
    /// The number of bytes that are compared at once.
    const PART: usize = size_of::<u64>();

    /// The key's bytes from `start` on, padded with zeros. Of the key's own bytes only a number's length can be zero.
    fn part(kind: Kind, name: &[u8], start: usize) -> u64 {
        let mut key = SortKey { start, seen: 0, part: [0; SortKey::PART] };
        key.push(if kind == Kind::Folder { 1 } else { 2 });
        let mut rest = name;
        while let [first, behind @ ..] = rest
            && key.seen < start + SortKey::PART
        {
            if first.is_ascii_digit() {
                let (digits, behind) = number(rest);
                key.push(b'0');
                // No name has more than 255 bytes.
                key.push(u8::try_from(digits.len()).unwrap_or(u8::MAX));
                for digit in digits {
                    key.push(*digit);
                }
                rest = behind;
            } else {
                key.push(first.to_ascii_lowercase());
                rest = behind;
            }
        }
        u64::from_be_bytes(key.part)
    }

    fn push(&mut self, byte: u8) {
        let slot = self.seen.checked_sub(self.start).and_then(|it| self.part.get_mut(it));
        if let Some(slot) = slot {
            *slot = byte;
        }
        self.seen += 1;
    }
}

fn order(a: (Kind, &[u8]), b: (Kind, &[u8])) -> Ordering {
    a.0.cmp(&b.0).then_with(|| natural(a.1, b.1))
}

/// Natural order: `it.2` before `it.10`, `a` next to `A`. Names that are equal in this sense are ordered by their bytes, so no two are
/// equal.
pub fn natural(a: &[u8], b: &[u8]) -> Ordering {
    let (mut left, mut right) = (a, b);
    while let (Some(x), Some(y)) = (left.first(), right.first()) {
        let step = if x.is_ascii_digit() && y.is_ascii_digit() {
            let (number_x, rest_x) = number(left);
            let (number_y, rest_y) = number(right);
            (left, right) = (rest_x, rest_y);
            number_x.len().cmp(&number_y.len()).then_with(|| number_x.cmp(number_y))
        } else {
            (left, right) = (left.get(1..).unwrap_or_default(), right.get(1..).unwrap_or_default());
            x.to_ascii_lowercase().cmp(&y.to_ascii_lowercase())
        };
        if step != Ordering::Equal {
            return step;
        }
    }
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

/// The digits in front, without leading zeros, and the text after them.
fn number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|it| !it.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let zeros = digits.iter().take_while(|it| **it == b'0').count();
    (digits.get(zeros..).unwrap_or_default(), rest)
}

/// The kind of a folder's entry and whether it is a link; `None` if lists leave it out.
pub(crate) fn shown(
    volume: &Volume,
    path: &RelPath,
    entry: &RawDirEntry<'_>,
    may_read: impl Fn(&RelPath) -> bool,
) -> Option<(Kind, bool)> {
    let name = entry.file_name().to_bytes();
    path.accepts(name).ok()?;
    match entry.file_type() {
        FileType::RegularFile => Some((Kind::File, false)),
        FileType::Directory => Some((Kind::Folder, false)),
        // Some file systems give no type in the folder, and a link has the kind of its target.
        file_type @ (FileType::Symlink | FileType::Unknown) => {
            let found = volume.find(&path.join(name).ok()?, Blocking::MayBlock).ok()?;
            let kind = match &found {
                Found::File(_) => Kind::File,
                Found::Folder(_) => Kind::Folder,
            };
            let is_allowed = found.real_path().is_none_or(may_read);
            is_allowed.then_some((kind, file_type == FileType::Symlink))
        }
        _ => None,
    }
}

/// Whether a name is the folder itself, its parent, or belongs to the service or the file system.
pub(crate) fn is_own(path: &RelPath, name: &[u8]) -> bool {
    let own = [layout::SERVICE_FOLDER, layout::LOST_AND_FOUND];
    matches!(name, b"." | b"..") || path.is_root() && own.iter().any(|it| it.as_bytes() == name)
}

/// The real path of a folder that was found at a path.
pub(crate) fn real<'a>(folder: &'a FoundFolder, path: &'a RelPath) -> &'a RelPath {
    folder.real_path.as_ref().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let mut names =
            ["it.10", "it.2", "IT.3", "a", "B", "it.02", "it.", "it.2a", "10", "9", "Z"];
        names.sort_by(|a, b| natural(a.as_bytes(), b.as_bytes()));
        assert_eq!(
            names,
            ["9", "10", "a", "B", "it.", "it.02", "it.2", "it.2a", "IT.3", "it.10", "Z"]
        );
    }

    proptest! {
        #[test]
        fn names_are_sorted_as_they_are_compared(
            names in prop::collection::vec(("[aAb]{0,9}[-aA0-2.\u{e9}]{1,24}", any::<bool>()), 0..60)
        ) {
            let mut text = Vec::new();
            let mut entries = Vec::new();
            for (name, is_folder) in &names {
                let kind = if *is_folder { Kind::Folder } else { Kind::File };
                let (start, len) = (text.len().try_into().unwrap(), name.len().try_into().unwrap());
                entries.push(Entry { key: 0, start, len, kind, is_link: false });
                text.extend_from_slice(name.as_bytes());
            }
            sort(&mut entries, &text, 0);
            let key = |it: &Entry| (it.kind, bytes_of(&text, it).to_vec());
            let keys: Vec<_> = entries.iter().map(key).collect();
            let is_ordered = keys
                .is_sorted_by(|a, b| order((a.0, &a.1), (b.0, &b.1)) != Ordering::Greater);
            prop_assert!(is_ordered, "{:?}", keys);
            prop_assert_eq!(entries.len(), names.len());
        }

        #[test]
        fn natural_order_is_an_order(
            a in "[aA0-2.]{0,6}", b in "[aA0-2.]{0,6}", c in "[aA0-2.]{0,6}"
        ) {
            let (a, b, c) = (a.as_bytes(), b.as_bytes(), c.as_bytes());
            prop_assert_eq!(natural(a, b), natural(b, a).reverse());
            prop_assert_eq!(natural(a, b) == Ordering::Equal, a == b);
            if natural(a, b) != Ordering::Greater && natural(b, c) != Ordering::Greater {
                prop_assert_ne!(natural(a, c), Ordering::Greater);
            }
        }
    }
}
