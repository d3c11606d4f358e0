//! What was deleted.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use volume::RelPath;
use volume::trash::Trashed;

use super::{Desk, Failure};

/// Something in the trash.
#[derive(Clone, Debug, Serialize)]
pub struct TrashEntry {
    /// Its name in the trash.
    pub name: String,
    /// Where it came from, percent-encoded.
    pub path: Option<RelPath>,
    /// When.
    pub deleted: Option<Timestamp>,
    /// By whom.
    pub username: String,
    /// `file` or `directory`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Bytes, of a file.
    pub size: u64,
    /// The name itself.
    #[serde(skip)]
    pub bytes: Vec<u8>,
}

impl Desk {
    /// What is in the trash, the newest first.
    pub fn trashed(&self) -> Result<Vec<TrashEntry>, Failure> {
        let entry = |it: Trashed| TrashEntry {
            name: String::from_utf8_lossy(&it.name).into_owned(),
            path: it.path,
            deleted: it.deleted,
            username: it.user,
            kind: super::files::kind_text(it.kind),
            size: it.len,
            bytes: it.name,
        };
        Ok(self.volume.trashed()?.into_iter().map(entry).collect())
    }

    /// Puts something back.
    pub fn restore(&self, name: &[u8], to: Option<&RelPath>) -> Result<RelPath, Failure> {
        Ok(self.volume.restore(name, to)?)
    }

    /// Removes one thing for good.
    pub fn remove_trashed(&self, name: &[u8]) -> Result<(), Failure> {
        if self.volume.remove_trashed(name)? {
            return Ok(());
        }
        Err(Failure::new(format!("there is no `{}` in the trash", crate::text::escape(name))))
    }

    /// Removes for good what has been there for so long. Says how many things that were.
    pub fn empty_trash(&self, kept: Duration) -> Result<usize, Failure> {
        Ok(self.volume.empty_trash(kept, Timestamp::now())?)
    }
}
