//! A reader of the feed: its cursor, and what its caller may see.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use volume::RelPath;
use volume::journal::{Cursor, Journal, Page};

use super::fold::Fold;
use super::row::{ChangeJson, VisibleChange};
use crate::app::App;
use crate::auth::caller::{Access, Caller};
use crate::auth::credentials::key_in;
use crate::extract::path;
use crate::extract::query;
use crate::http::request_fields::RequestFields;
use crate::problem::Problem;

/// Changes read from the journal at a time.
const BATCH: usize = 1000;

/// A reader of the feed: its cursor, and what its caller may see.
#[derive(Debug)]
pub(crate) struct FeedReader {
    app: Arc<App>,
    caller: Caller,
    /// Only changes in this folder are reported.
    folder: RelPath,
    pub(super) is_folded: bool,
    /// `None` if the client sent none: it starts with the current end of the journal.
    pub(super) cursor: Option<Cursor>,
}

/// Changes that the reader sees.
pub(super) struct Batch {
    pub(super) is_fresh: bool,
    pub(super) rows: Vec<ChangeJson>,
    pub(super) cursor: Cursor,
}

impl FromRequestParts<Arc<App>> for FeedReader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<FeedReader, Problem> {
        let query = parts.uri.query();
        let folder = match query::value(query, "path") {
            None => RelPath::root(),
            Some(path) => RelPath::normalize(&path)?,
        };
        let is_folded = match query::value(query, "fold").as_deref() {
            None => false,
            Some(b"folder") => true,
            Some(_) => {
                return Err(Problem::BadQuery("`fold` is `folder`, or left out.".to_owned()));
            }
        };
        let since = query::value(query, "since");
        let cursor = since.as_deref().filter(|it| !it.is_empty()).map(parse_cursor).transpose()?;
        let key = key_in(RequestFields::new(&parts.headers));
        let caller = path::caller(parts, app, key, Access::Read, &folder).await?;
        caller.may_follow(&folder)?;
        Ok(FeedReader { app: Arc::clone(app), caller, folder, is_folded, cursor })
    }
}

impl FeedReader {
    /// The changes after the cursor, at most `limit`; moves the cursor after them.
    ///
    /// Fails if the key was revoked meanwhile.
    pub(super) async fn next(&mut self, limit: usize) -> Result<Batch, Problem> {
        self.caller = self.caller.with_current_keys(&self.app.key_ring);
        self.caller.may_follow(&self.folder)?;
        let mut cursor = match self.cursor {
            Some(cursor) => cursor,
            None => self.app.feed.read(Journal::now).await?,
        };
        let mut fold = self.is_folded.then(Fold::default);
        let mut rows = Vec::new();
        let mut is_fresh = false;
        let sight = Arc::new(self.caller.sight(&self.folder));
        'pages: loop {
            let within = Arc::clone(&sight);
            let page: Page = self.app.feed.read(move |it| it.since(cursor, BATCH, &within)).await?;
            is_fresh |= page.is_fresh;
            for change in &page.changes {
                let may_see = |path: &RelPath| {
                    path.is_within(&self.folder) && self.caller.may_read(path).is_ok()
                };
                let is_full = |rows: usize| rows >= limit;
                if let Some(seen) = VisibleChange::of(change, may_see) {
                    match &mut fold {
                        // Only a change that starts a new row can exceed the limit.
                        Some(fold) if is_full(fold.len()) && !fold.takes(&seen) => break 'pages,
                        Some(fold) => fold.add(seen),
                        None if is_full(rows.len()) => break 'pages,
                        None => rows.push(ChangeJson::of(&seen)),
                    }
                }
                cursor = change.cursor();
            }
            cursor = page.cursor;
            if page.is_end {
                break;
            }
        }
        self.cursor = Some(cursor);
        let rows = fold.map_or(rows, Fold::into_rows);
        Ok(Batch { is_fresh, rows, cursor })
    }
}

pub(super) fn parse_cursor(text: &[u8]) -> Result<Cursor, Problem> {
    let bad = || {
        Problem::BadQuery("Invalid `since`: it is not a cursor that was given out here.".to_owned())
    };
    std::str::from_utf8(text).ok().and_then(|it| it.parse().ok()).ok_or_else(bad)
}
