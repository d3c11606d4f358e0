//! An entry of a listing, and the number of entries.

use jiff::Timestamp;
use volume::Stat;
use volume::names::Name;

use super::snapshots::Snapshot;

pub(super) struct ListingEntry<'a> {
    pub(super) name: Name<'a>,
    pub(super) stat: Stat,
}

impl ListingEntry<'_> {
    /// The time of the last write. A time beyond the calendar's range becomes the nearest one within it.
    pub(super) fn modified(&self) -> Timestamp {
        let nearest = if self.stat.modified < 0 { Timestamp::MIN } else { Timestamp::MAX };
        Timestamp::from_nanosecond(self.stat.modified).unwrap_or(nearest)
    }
}

/// Number of folders and of files.
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
