//! The keys on the screen.

use jiff::Timestamp;
use volume::keys::sheet::KeyRow;

use super::Model;
use crate::admin::ExtraKey;
use crate::ops::keys::Keys;

/// Lines below the list that tell more of one key, where there is room.
const DETAILS: u16 = 6;
/// And where there is not.
const FEW_DETAILS: u16 = 3;
/// From so many rows of the screen on there is.
const HIGH: u16 = 20;

/// The screen of keys.
#[derive(Debug, Default)]
pub struct KeysScreen {
    /// As they were last read.
    pub keys: Option<Keys>,
    /// Why they can't be read.
    pub trouble: Option<String>,
    /// Which is meant: first come those of the file, then those that only the server has.
    pub cursor: usize,
    /// The first that is shown.
    pub top: usize,
    /// Where the cursor goes when they are read again: a key's id.
    pub go_to: Option<String>,
    /// When one was changed from here, if that was just now.
    pub saved: Option<Timestamp>,
}

/// The key that is meant.
#[derive(Clone, Copy, Debug)]
pub enum Meant<'a> {
    /// One of the file.
    KeyRow(&'a KeyRow),
    /// One from `API_KEYS`.
    Extra(&'a ExtraKey),
}

impl KeysScreen {
    /// The row that is meant, if it is one of the file.
    pub fn row(&self) -> Option<&KeyRow> {
        self.keys.as_ref()?.rows.get(self.cursor)
    }
}

impl Model {
    /// The key that is meant.
    pub fn meant_key(&self) -> Option<Meant<'_>> {
        let rows = &self.keys.keys.as_ref()?.rows;
        match self.keys.cursor.checked_sub(rows.len()) {
            None => rows.get(self.keys.cursor).map(Meant::KeyRow),
            Some(behind) => self.extra_keys().get(behind).map(Meant::Extra),
        }
    }

    /// The keys that only the server has.
    pub fn extra_keys(&self) -> &[ExtraKey] {
        self.activity.keys.as_ref().map_or(&[], |it| &it.extra)
    }

    /// How many keys there are to be shown.
    pub fn key_count(&self) -> usize {
        self.keys.keys.as_ref().map_or(0, |it| it.rows.len()) + self.extra_keys().len()
    }

    /// How many lines tell more of one key.
    pub fn key_details(&self) -> u16 {
        if self.size.1 < HIGH { FEW_DETAILS } else { DETAILS }
    }

    /// How many rows the list of keys has: all but its head, a rule and the details.
    pub fn key_rows(&self) -> usize {
        self.list_rows().saturating_sub(usize::from(self.key_details()) + 2).max(1)
    }
}
