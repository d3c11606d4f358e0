//! The names in a folder, in the order people expect, and what is known of each.
//!
//! Reading a folder takes its visible names and their kinds, no more: a hundred thousand names are a few megabytes
//! in two allocations. Sizes and times are asked for where they are shown, a page at a time.

use std::cmp::Ordering;
use std::io;

use rustix::fs::FileType;

use crate::layout;
use crate::path::RelPath;
use crate::stat::Stat;
use crate::volume::{Effort, Found, FoundFile, FoundFolder, Volume};

/// Whether a name is a folder's or a file's. Folders come first.
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
    /// As it is on the disk: any bytes but `/` and NUL.
    pub bytes: &'a [u8],
    /// What it is, or what the link leads to.
    pub kind: Kind,
    /// Whether it is a symbolic link.
    pub is_link: bool,
}

/// All visible names of a folder, folders first, each in natural order.
#[derive(Debug)]
pub struct Names {
    folder: FoundFolder,
    path: RelPath,
    /// Every name, one after the other.
    text: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: usize,
    len: u8,
    kind: Kind,
    is_link: bool,
}

impl Names {
    /// Reads a folder that was found at `path`.
    ///
    /// Left out are hidden names, what is neither file nor folder, and links that lead out of the volume or to a
    /// place that `may_read` refuses.
    pub fn read(
        volume: &Volume,
        folder: FoundFolder,
        path: &RelPath,
        may_read: impl Fn(&RelPath) -> bool,
    ) -> io::Result<Names> {
        let mut text = Vec::new();
        let mut entries = Vec::new();
        for entry in rustix::fs::Dir::new(folder.open()?)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            let Ok(full_path) = path.join(name) else { continue };
            let (kind, is_link) = match entry.file_type() {
                FileType::RegularFile => (Kind::File, false),
                FileType::Directory => (Kind::Folder, false),
                // Some file systems do not tell in the folder; and a link's kind is its target's.
                file_type @ (FileType::Symlink | FileType::Unknown) => {
                    let found = match volume.find(&full_path, Effort::MayBlock) {
                        Ok(found) if found.real_path().is_none_or(&may_read) => found,
                        _ => continue,
                    };
                    let kind = match found {
                        Found::File(_) => Kind::File,
                        Found::Folder(_) => Kind::Folder,
                    };
                    (kind, file_type == FileType::Symlink)
                }
                _ => continue,
            };
            debug_assert!(!layout::is_hidden(name), "a RelPath holds no hidden name");
            let Ok(len) = u8::try_from(name.len()) else { continue };
            entries.push(Entry { start: text.len(), len, kind, is_link });
            text.extend_from_slice(name);
        }
        let mut names = Names { folder, path: path.clone(), text, entries };
        names.sort();
        Ok(names)
    }

    fn sort(&mut self) {
        let Names { text, entries, .. } = self;
        entries.sort_unstable_by(|a, b| {
            order((a.kind, bytes_of(text, a)), (b.kind, bytes_of(text, b)))
        });
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The name at a position.
    pub fn get(&self, index: usize) -> Option<Name<'_>> {
        let entry = self.entries.get(index)?;
        Some(Name { bytes: bytes_of(&self.text, entry), kind: entry.kind, is_link: entry.is_link })
    }

    /// The position behind a name, whether or not that name is (still) there.
    pub fn position_after(&self, kind: Kind, name: &[u8]) -> usize {
        self.entries.partition_point(|it| {
            order((it.kind, bytes_of(&self.text, it)), (kind, name)) != Ordering::Greater
        })
    }

    /// Size and times of a name, asked of the disk now; none if it is gone meanwhile.
    pub fn stat(&self, volume: &Volume, name: Name<'_>) -> Option<Stat> {
        if !name.is_link {
            return self.folder.stat(name.bytes);
        }
        let path = self.path.join(name.bytes).ok()?;
        match volume.find(&path, Effort::MayBlock).ok()? {
            Found::File(file) => Some(file.stat),
            Found::Folder(folder) => folder.stat(b"."),
        }
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

    /// Where it really lies, if a symbolic link led there.
    pub fn real_path(&self) -> Option<&RelPath> {
        match self {
            Found::File(file) => file.real_path.as_ref(),
            Found::Folder(folder) => folder.real_path.as_ref(),
        }
    }
}

fn bytes_of<'a>(text: &'a [u8], entry: &Entry) -> &'a [u8] {
    text.get(entry.start..entry.start + usize::from(entry.len)).unwrap_or_default()
}

fn order(a: (Kind, &[u8]), b: (Kind, &[u8])) -> Ordering {
    a.0.cmp(&b.0).then_with(|| natural(a.1, b.1))
}

/// Natural order: `it.2` before `it.10`, `a` next to `A`; names that look alike then by their bytes, so that no
/// two are equal.
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

/// The digits in front, without leading zeros, and what follows.
fn number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|it| !it.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let zeros = digits.iter().take_while(|it| **it == b'0').count();
    (digits.get(zeros..).unwrap_or_default(), rest)
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
