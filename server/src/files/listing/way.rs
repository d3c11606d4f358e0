//! What the holder of a key for one folder sees above that folder: the way down to it, and nothing that lies beside.
//!
//! Each folder on the way has one entry, the next on the way. It is known from the key alone; of the disk only that is asked
//! which the key covers, whose time and kind the entries have. So it tells nothing of the folders above, and no other
//! key's holder anything at all.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use volume::names::{Kind, Name};
use volume::{FindError, Found, RelPath, Stat};

use super::entry::ListingEntry;
use super::options::{Format, ListingOptions};
use super::{html, json, redirect, respond};
use crate::app::App;
use crate::extract::path::AuthorizedPath;
use crate::problem::Problem;
use crate::web::text::visible;

/// The way from a folder down to `goal`, which lies below.
pub(crate) async fn answer(
    app: &Arc<App>,
    target: &AuthorizedPath,
    goal: &RelPath,
    parts: &Parts,
) -> Result<Response, Problem> {
    let query = parts.uri.query();
    if !target.names_folder {
        return redirect(target, query);
    }
    let options = ListingOptions::of(&parts.uri, &parts.headers)?;
    if options.needs_slash(target) {
        return redirect(target, query);
    }
    let found = find(app, target, goal).await?;
    let entry = found.and_then(|(kind, stat)| next_on_way(&target.path, goal, kind, stat));
    let covers = visible(&goal.to_plain());
    let summary = match entry {
        Some(_) => format!("Your key covers /{covers}: this is the way to it"),
        None => format!("Your key covers /{covers}, which is not there yet"),
    };
    let entry = entry.filter(|it| options.wants(it.name));
    let body = match options.format {
        Format::Html => {
            let mut out = html::head(target, &summary, &options, false);
            if let Some(entry) = &entry {
                html::entry(&mut out, entry);
            }
            html::tail(&mut out, false);
            Body::from(out)
        }
        Format::Json => {
            let mut out = json::HEAD.as_bytes().to_vec();
            if let Some(entry) = &entry {
                json::entry(&mut out, entry, true);
            }
            json::tail(&mut out);
            Body::from(out)
        }
    };
    Ok(respond(body, options.format, usize::from(entry.is_some()), false))
}

/// What the key covers, if it is there and may really be read.
async fn find(
    app: &Arc<App>,
    target: &AuthorizedPath,
    goal: &RelPath,
) -> Result<Option<(Kind, Stat)>, Problem> {
    let found = match app.look(goal).await {
        Err(FindError::Missing { .. } | FindError::NotServed { .. }) => return Ok(None),
        found => found?,
    };
    if found.real_path().is_some_and(|it| target.caller.may_read(it).is_err()) {
        return Ok(None);
    }
    let kind = match found {
        Found::File(_) => Kind::File,
        Found::Folder(_) => Kind::Folder,
    };
    Ok(found.stat().map(|it| (kind, it)))
}

/// The entry of a folder on the way: what is covered itself, or the next folder.
fn next_on_way<'a>(
    folder: &RelPath,
    goal: &'a RelPath,
    kind: Kind,
    stat: Stat,
) -> Option<ListingEntry<'a>> {
    let mut below = goal.names().skip(folder.names().count());
    let bytes = below.next()?;
    let kind = if below.next().is_none() { kind } else { Kind::Folder };
    Some(ListingEntry { name: Name { bytes, kind, is_link: false }, stat })
}

impl ListingOptions {
    /// Whether the only entry is one that is asked for.
    fn wants(&self, name: Name<'_>) -> bool {
        let is_before = self
            .after
            .as_deref()
            .is_some_and(|after| after.strip_suffix(b"/").unwrap_or(after) == name.bytes);
        !is_before && visible(name.bytes).to_lowercase().contains(&self.filter)
    }
}
