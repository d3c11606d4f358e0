//! `DELETE` of a file, or of a folder if the path ends in `/`: one rename into the trash.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use volume::trash::DiscardTarget;
use volume::{FindError, Found, RelPath};

use crate::app::App;
use crate::extract::path::AuthorizedPath;
use crate::extract::query;
use crate::files::preconditions;
use crate::problem::Problem;

/// The handler for `DELETE` on a path of the tree.
pub(crate) async fn answer(
    State(app): State<Arc<App>>,
    target: AuthorizedPath,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    // An unknown parameter, such as one for a dry run, must not delete a folder.
    if target.names_folder {
        query::only(query.as_deref(), &[])?;
    }
    let wanted = wanted(&app, &target, &headers).await?;
    let volume = Arc::clone(&app.volume);
    let discard = move || {
        let may_write = |real_path: &RelPath| target.caller.may_write(real_path).is_ok();
        let user = target.caller.user().unwrap_or_default();
        volume.discard(&target.path, wanted, user, Timestamp::now(), &may_write)
    };
    tokio::task::spawn_blocking(discard).await.map_err(Problem::internal)??;
    // After this response, the client must not find the content any more.
    app.open_files.invalidate();
    Ok(StatusCode::NO_CONTENT)
}

async fn wanted(
    app: &Arc<App>,
    target: &AuthorizedPath,
    headers: &HeaderMap,
) -> Result<DiscardTarget, Problem> {
    let plain = if target.names_folder { DiscardTarget::Folder } else { DiscardTarget::File };
    if !preconditions::are_in(headers) {
        return Ok(plain);
    }
    let there = match app.look(&target.path).await {
        Ok(Found::File(file)) if !target.names_folder => Some(file),
        // A folder has no version that a precondition could match.
        Ok(_) | Err(FindError::Missing { .. } | FindError::NotServed { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    if !preconditions::allow_change(there.as_ref(), headers) {
        return Err(Problem::PreconditionFailed);
    }
    Ok(there.map_or(plain, |it| DiscardTarget::Version(it.stat)))
}
