//! What can be wrong with a row of the keys file, and how it is fixed.

use std::fmt;

/// A fault of a row. Each has one [fix](super::KeySheet::fix). "The old reader" is the server that this one replaces; it may still read
/// the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The names of the columns, which the old reader takes for a key.
    Header,
    /// A byte order mark in front, which the old reader takes for a part of the user's name.
    ByteOrderMark,
    /// Spaces around the user's name or the key, which the old reader takes for a part of it.
    Spaces,
    /// The key is empty. The old reader accepts a client that sends an empty key.
    Empty,
    /// There is no second column.
    NoKey,
    /// The key is short enough to be guessed.
    Short,
    /// The same key stands on a later line, and that line counts.
    Duplicate {
        /// The number of that line, from 1.
        again: usize,
    },
    /// The key has expired; the old reader knows no expiry and still accepts it.
    Expired,
    /// The key's folder does not exist. Only a caller that knows the volume can find this.
    NoFolder,
    /// Another program has written the row, with quotes or other separators.
    Garbled(&'static str),
    /// The row can't be parsed.
    Unclear(&'static str),
}

/// How a fault is fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fix {
    /// By [`KeySheet::fix`](super::KeySheet::fix); every valid key stays valid.
    Rewrite,
    /// By [rotating](super::KeySheet::rotate) the key, which its owner has to be told.
    Rotate,
    /// By a person who knows what is meant: [`KeySheet::set`](super::KeySheet::set).
    Edit,
}

impl Fault {
    /// The kind of fix that it needs.
    pub fn fix(self) -> Fix {
        match self {
            Fault::Short => Fix::Rotate,
            Fault::NoFolder => Fix::Edit,
            _ => Fix::Rewrite,
        }
    }

    /// What its fix does, in a few words.
    pub fn remedy(self) -> &'static str {
        match self {
            Fault::Short => "rotate it: a new key is long and random",
            Fault::NoFolder => "write its path anew, or revoke it",
            Fault::ByteOrderMark => "take the mark away",
            Fault::Spaces => "take the spaces away",
            Fault::Header => "make a comment of it",
            Fault::Garbled(_) => "write it with commas and without quotes",
            Fault::Duplicate { .. } | Fault::Expired => "switch this line off",
            Fault::Empty | Fault::NoKey | Fault::Unclear(_) => {
                "switch the line off; its text stays"
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Header => "header line: the old reader takes `apikey` for a key",
            Fault::ByteOrderMark => {
                "byte order mark: the old reader takes it for a part of the user's name"
            }
            Fault::Spaces => {
                "spaces around the user or the key: the old reader takes them for a part of it"
            }
            Fault::Empty => "empty key: the old reader lets in whoever sends no key",
            Fault::NoKey => "no key: a line is USER,KEY",
            Fault::Short => "short: it could be guessed",
            Fault::Duplicate { again } => {
                return write!(f, "the same key stands on line {again}, and that line counts");
            }
            Fault::NoFolder => "nothing there: its path does not lead to anything",
            Fault::Expired => "expired, but the old reader still accepts it",
            Fault::Garbled(why) | Fault::Unclear(why) => return write!(f, "skipped: {why}"),
        })
    }
}
