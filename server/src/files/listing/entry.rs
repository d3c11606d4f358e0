//! An entry of a listing as it is shown, and how many there are.

use jiff::Timestamp;
use volume::Stat;
use volume::names::Name;

use super::snapshots::Snapshot;

/// An entry as it is shown.
pub(super) struct ListingEntry<'a> {
    pub(super) name: Name<'a>,
    pub(super) stat: Stat,
}

impl ListingEntry<'_> {
    /// The last write; a time that no calendar has becomes the nearest that one has.
    pub(super) fn modified(&self) -> Timestamp {
        let nearest = if self.stat.modified < 0 { Timestamp::MIN } else { Timestamp::MAX };
        Timestamp::from_nanosecond(self.stat.modified).unwrap_or(nearest)
    }
}

/// How many there are of each kind.
pub(super) struct Counts {
    pub(super) folders: usize,
    pub(super) files: usize,
}

impl Counts {
    pub(super) fn of(snapshot: &Snapshot) -> Counts {
        let folders = snapshot.folders();
        Counts { folders, files: snapshot.len() - folders }
    }
}
