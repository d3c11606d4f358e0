//! `DELETE` of a file, or of a folder where the path ends in `/`: one rename into the trash.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use volume::trash::Wanted;
use volume::{FindError, Found, RelPath};

use crate::app::App;
use crate::extract::path::AuthorizedPath;
use crate::extract::query;
use crate::files::preconditions;
use crate::problem::Problem;

/// Answers `DELETE` on a path of the tree.
pub async fn answer(
    State(app): State<Arc<App>>,
    visit: AuthorizedPath,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    // Who asks for a trial only must not lose a folder.
    if visit.names_folder {
        query::only(query.as_deref(), &[])?;
    }
    let wanted = wanted(&app, &visit, &headers).await?;
    let volume = Arc::clone(&app.volume);
    let discard = move || {
        let may_write = |real_path: &RelPath| visit.caller.may_write(real_path).is_ok();
        let user = visit.caller.user().unwrap_or_default();
        volume.discard(&visit.path, wanted, user, Timestamp::now(), &may_write)
    };
    tokio::task::spawn_blocking(discard).await.map_err(Problem::internal)??;
    // Who is told that it is gone does not find what was in it.
    app.recall.doubt();
    Ok(StatusCode::NO_CONTENT)
}

async fn wanted(
    app: &Arc<App>,
    visit: &AuthorizedPath,
    headers: &HeaderMap,
) -> Result<Wanted, Problem> {
    let plain = if visit.names_folder { Wanted::Folder } else { Wanted::File };
    if !preconditions::are_in(headers) {
        return Ok(plain);
    }
    let there = match app.look(&visit.path).await {
        Ok(Found::File(file)) if !visit.names_folder => Some(file),
        // A folder has no version that a condition could name.
        Ok(_) | Err(FindError::Missing { .. } | FindError::NotServed { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    if !preconditions::allow_change(there.as_ref(), headers) {
        return Err(Problem::PreconditionFailed);
    }
    Ok(there.map_or(plain, |it| Wanted::Version(it.stat)))
}
