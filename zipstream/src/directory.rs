//! What came, kept to be held against the directory at the end (§4.3.12).
//!
//! Of each entry two numbers are kept: a hash of its name, and one of all that its directory record must repeat. They are
//! keyed at random, so that nobody can make two names that meet. An archive of a million entries takes some 36 MB.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// What an entry and its record in the directory must agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Facts {
    pub(super) is_folder: bool,
    pub(super) method: u16,
    pub(super) crc: u32,
    pub(super) compressed: u64,
    pub(super) size: u64,
    /// Where its local header begins.
    pub(super) offset: u64,
}

/// How a directory record does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// No entry of this name came, or a record for it was there before.
    Stranger,
    /// One came, and it was another.
    Contradicts,
}

/// The entries so far; while the directory is read, those that it has not named yet.
#[derive(Debug, Default)]
pub(super) struct Directory {
    keys: RandomState,
    entries: HashMap<u64, u64>,
}

impl Directory {
    /// Keeps a name, unless there is one like it: a file and a folder can't both have it.
    pub(super) fn claim(&mut self, name: &[u8]) -> bool {
        let key = self.keys.hash_one(bare(name));
        self.entries.insert(key, 0).is_none()
    }

    /// Keeps what came under a name.
    pub(super) fn settle(&mut self, name: &[u8], facts: Facts) {
        let key = self.keys.hash_one(bare(name));
        self.entries.insert(key, self.keys.hash_one(facts));
    }

    /// Crosses out the entry that a record names.
    pub(super) fn cross_out(&mut self, name: &[u8], facts: Facts) -> Result<(), Misfit> {
        let key = self.keys.hash_one(bare(name));
        match self.entries.remove(&key) {
            Some(kept) if kept == self.keys.hash_one(facts) => Ok(()),
            Some(_) => Err(Misfit::Contradicts),
            None => Err(Misfit::Stranger),
        }
    }

    /// How many entries no record has named.
    pub(super) fn remaining(&self) -> u64 {
        self.entries.len() as u64
    }
}

fn bare(name: &[u8]) -> &[u8] {
    name.strip_suffix(b"/").unwrap_or(name)
}
