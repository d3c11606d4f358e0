//! Listings above the folder that a key covers: only the way down to it, and nothing beside.
//!
//! Each folder on the way has one entry: the next folder on the way. That is known from the key alone. From the disk, only the covered
//! folder is read, for the time and kind of the entries. So nothing is revealed about the folders above, and nothing at all to holders of
//! other keys.

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

/// The response with the way from a folder down to `goal`, which lies below it.
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

/// The file or folder that the key covers, if it exists and the caller may read its real path.
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

/// The entry of a folder on the way: `goal` itself, or the next folder.
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
    /// Whether the request's options include the only entry.
    fn wants(&self, name: Name<'_>) -> bool {
        let is_before = self
            .after
            .as_deref()
            .is_some_and(|after| after.strip_suffix(b"/").unwrap_or(after) == name.bytes);
        !is_before && visible(name.bytes).to_lowercase().contains(&self.filter)
    }
}
