//! The entries received so far, to compare with the directory at the end (§4.3.12).
//!
//! Keeps two numbers for each entry: a hash of its name, and a hash of everything that its directory record must repeat. The hashes are
//! keyed at random, so that nobody can make two names that collide. An archive of a million entries takes about 36 MB.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// The values that an entry and its directory record must agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Facts {
    pub(super) is_folder: bool,
    pub(super) method: u16,
    pub(super) crc: u32,
    pub(super) compressed: u64,
    pub(super) size: u64,
    /// The offset of its local header.
    pub(super) offset: u64,
}

/// Why a directory record does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// No entry of this name was received, or a record has named it before.
    Stranger,
    /// An entry of this name was received, with other values.
    Contradicts,
}

/// The entries received; while the directory is read, those that it has not named yet.
#[derive(Debug, Default)]
pub(super) struct Directory {
    keys: RandomState,
    entries: HashMap<u64, u64>,
}

impl Directory {
    /// Adds a name. `false` if the name is already there: a file and a folder can't both have it.
    pub(super) fn claim(&mut self, name: &[u8]) -> bool {
        let key = self.keys.hash_one(bare(name));
        self.entries.insert(key, 0).is_none()
    }

    /// Sets the values of a name.
    pub(super) fn settle(&mut self, name: &[u8], facts: Facts) {
        let key = self.keys.hash_one(bare(name));
        self.entries.insert(key, self.keys.hash_one(facts));
    }

    /// Removes the entry that a record names.
    pub(super) fn cross_out(&mut self, name: &[u8], facts: Facts) -> Result<(), Misfit> {
        let key = self.keys.hash_one(bare(name));
        match self.entries.remove(&key) {
            Some(kept) if kept == self.keys.hash_one(facts) => Ok(()),
            Some(_) => Err(Misfit::Contradicts),
            None => Err(Misfit::Stranger),
        }
    }

    /// The number of entries that no record has named.
    pub(super) fn remaining(&self) -> u64 {
        self.entries.len() as u64
    }
}

fn bare(name: &[u8]) -> &[u8] {
    name.strip_suffix(b"/").unwrap_or(name)
}
