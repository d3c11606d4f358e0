//! A change as one reader sees it, and as JSON.

use jiff::Timestamp;
use serde::Serialize;
use volume::journal::{Change, ChangeKind, Cursor};
use volume::names::Kind;
use volume::{RelPath, Stat};

use crate::files::etag;

/// A change as one reader sees it: something moved into what the reader may see is added, something moved out of it is removed.
#[derive(Clone, Copy, Debug)]
pub(super) struct VisibleChange<'a> {
    pub(super) cursor: Cursor,
    pub(super) seq: u64,
    pub(super) time: Timestamp,
    pub(super) kind: ChangeKind,
    pub(super) path: &'a RelPath,
    pub(super) from: Option<&'a RelPath>,
    pub(super) entry: Kind,
    pub(super) stat: Option<&'a Stat>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct ChangeJson {
    /// The cursor after this row. `None` for a folded row.
    #[serde(skip)]
    pub(super) cursor: Option<Cursor>,
    pub(super) seq: u64,
    pub(super) time: String,
    pub(super) kind: &'static str,
    pub(super) path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<String>,
    pub(super) r#type: &'static str,
    /// Size in bytes. For a folded row, of all its files together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mtime: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) etag: Option<String>,
    /// Number of files that a folded row stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) count: Option<u64>,
    /// The path as in a URL, if the path is not valid UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) href: Option<String>,
}

impl<'a> VisibleChange<'a> {
    /// `None` if the reader may not see the change.
    pub(super) fn of(
        change: &'a Change,
        may_see: impl Fn(&RelPath) -> bool,
    ) -> Option<VisibleChange<'a>> {
        let from = change.from.as_ref().filter(|it| may_see(it));
        let is_moved = change.kind == ChangeKind::Moved;
        let (kind, path, from) = match (may_see(&change.path), from) {
            (true, None) if is_moved => (ChangeKind::Added, &change.path, None),
            (true, from) => (change.kind, &change.path, from),
            (false, Some(from)) => (ChangeKind::Removed, from, None),
            (false, None) => return None,
        };
        let stat = change.stat.as_ref().filter(|_| kind != ChangeKind::Removed);
        let Change { seq, time, entry, .. } = *change;
        let cursor = change.cursor();
        Some(VisibleChange { cursor, seq, time, kind, path, from, entry, stat })
    }
}

impl ChangeJson {
    pub(super) fn of(seen: &VisibleChange<'_>) -> ChangeJson {
        let modified =
            |it: &Stat| Timestamp::from_nanosecond(it.modified).map(|it| format!("{it:.3}")).ok();
        let (path, href) = text(seen.path);
        ChangeJson {
            cursor: Some(seen.cursor),
            seq: seen.seq,
            time: format!("{:.3}", seen.time),
            kind: seen.kind.as_str(),
            path,
            from: seen.from.map(|it| text(it).0),
            r#type: if seen.entry == Kind::File { "file" } else { "directory" },
            size: seen.stat.map(|it| it.len),
            mtime: seen.stat.and_then(modified),
            etag: seen.stat.map(etag::of),
            count: None,
            href,
        }
    }
}

/// A path as text, and as in a URL if the text is not exact.
pub(super) fn text(path: &RelPath) -> (String, Option<String>) {
    match String::from_utf8(path.to_plain()) {
        Ok(text) => (text, None),
        Err(error) => (String::from_utf8_lossy(error.as_bytes()).into_owned(), Some(path.to_url())),
    }
}
