//! The keys on the screen.

use volume::key_sheet::Row;

use crate::ops::keys::Keys;

/// The screen of keys.
#[derive(Debug, Default)]
pub struct KeysScreen {
    /// As they were last read.
    pub keys: Option<Keys>,
    /// Why they can't be read.
    pub trouble: Option<String>,
    /// Which is meant.
    pub cursor: usize,
    /// The first that is shown.
    pub top: usize,
    /// Where the cursor goes when they are read again: a key's id.
    pub go_to: Option<String>,
}

impl KeysScreen {
    /// The row that is meant.
    pub fn row(&self) -> Option<&Row> {
        self.keys.as_ref()?.rows.get(self.cursor)
    }
}
