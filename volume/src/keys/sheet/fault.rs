//! What can be wrong with a row of the keys file, and how it goes.

use std::fmt;

/// What is wrong with a row. Each has one [fix](super::KeySheet::mend).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The names of the columns, which the old reader takes for a key.
    Header,
    /// A byte order mark stands in front, which the old reader takes for a part of the user's name.
    ByteOrderMark,
    /// Spaces stand around the user's name or the key, which the old reader takes for a part of it.
    Spaces,
    /// The key is empty: the old reader lets in whoever sends an empty one.
    Empty,
    /// There is no second column.
    NoKey,
    /// The key could be guessed.
    Short,
    /// The same key stands further down, and that line counts.
    Duplicate {
        /// Where, from 1.
        again: usize,
    },
    /// Its end has come; the old reader does not know of ends.
    Expired,
    /// What it covers is not there. Only who knows the volume finds this.
    NoFolder,
    /// Another program has written it, with quotes or other separators.
    Garbled(&'static str),
    /// It can't be understood.
    Unclear(&'static str),
}

/// How a fault goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fix {
    /// [`KeySheet::fix`](super::KeySheet::fix) does it; no key that is good stops being good.
    Rewrite,
    /// The key has to be [rotated](super::KeySheet::rotate), which its owner has to learn of.
    Rotate,
    /// Somebody has to say what is meant: [`KeySheet::set`](super::KeySheet::set).
    Edit,
}

impl Fault {
    /// How it goes.
    pub fn fix(self) -> Fix {
        match self {
            Fault::Short => Fix::Rotate,
            Fault::NoFolder => Fix::Edit,
            _ => Fix::Rewrite,
        }
    }

    /// What its mend does, in a few words.
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
