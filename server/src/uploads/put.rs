//! `PUT` of one file, step by step:
//!
//! 1. The URL becomes a path that the caller may write ([`AuthorizedPath`]).
//! 2. What cannot succeed is refused before the client sends the body (`Expect: 100-continue`).
//! 3. The preconditions are evaluated for the existing file ([`preconditions`]).
//! 4. The body is staged, and its digests are computed meanwhile ([`receive`](crate::uploads::receive)).
//! 5. The file is published, unless the existing file has changed since step 3.
//!
//! If anything fails or breaks off before the last step, nothing has changed.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode, Uri, header};
use tokio_util::sync::CancellationToken;
use volume::OnConflict;
use volume::staging::{PublishError, Published, Replace, Staged};
use volume::{Blocking, FindError, Found, FoundFile, RelPath};

use crate::app::App;
use crate::auth::caller::Access;
use crate::auth::identify::Authorization;
use crate::extract::path::AuthorizedPath;
use crate::extract::query::on_conflict;
use crate::files::etag;
use crate::files::preconditions;
use crate::http::fields;
use crate::problem::Problem;
use crate::problem::convert::ReadError;
use crate::telemetry::counters::UploadMethod;
use crate::uploads::digest::{self, Digests};
use crate::uploads::receive::{BodyLimits, Sink};

/// The handler for `PUT` on a path of the tree.
pub(crate) async fn answer(
    State(app): State<Arc<App>>,
    target: AuthorizedPath,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    if target.names_folder {
        return Err(Problem::IsFolder);
    }
    refuse_parts_and_codings(&headers)?;
    let digests = Digests::of(&headers)?;
    let there = what_is_there(&app, &target).await?;
    let replace = replacement(there.as_ref(), &headers, uri.query())?;
    app.check_writable(&target.path, &target.caller).await?;
    let staged = app.stage(fields::content_length(&headers)).await?;
    let permit = Authorization {
        keys: Arc::clone(&app.key_ring),
        caller: target.caller.clone(),
        access: Access::Write,
        path: target.path.clone(),
    };
    let limits =
        BodyLimits { stall: app.stall, most: None, stop: CancellationToken::new(), permit };
    let (sink, ended) = app.intake.receive(body, Sink { staged, digests }, &limits).await?;
    ended?;
    let Sink { staged, digests } = sink;
    digests.check()?;
    let (published, file) =
        publish(&app, &target, staged, replace).await.map_err(|it| match it {
            Problem::Exists if preconditions::are_in(&headers) => Problem::PreconditionFailed,
            other => other,
        })?;
    app.activity.counted.uploaded(UploadMethod::Put);
    let mut response = Response::new(Body::empty());
    *response.status_mut() =
        if published.has_replaced { StatusCode::NO_CONTENT } else { StatusCode::CREATED };
    let fields = response.headers_mut();
    if let Some(mut file) = file {
        let unreadable = |source| ReadError { path: published.path.clone(), source };
        fields::set(fields, header::ETAG, &etag::settled(&mut file).await.map_err(unreadable)?);
    }
    // With `exists=keep-both`, the name may differ from the request's.
    fields::set(fields, header::LOCATION, &target.reference(&published.path));
    if let Some(value) = digests.answer() {
        fields::set(fields, digest::REPR_DIGEST, &value);
    }
    fields::set(fields, header::CACHE_CONTROL, "no-store");
    Ok(response)
}

/// Refuses a part of a file (RFC 9110 §14.5) and a coded body: the stored file would not be what the client means.
fn refuse_parts_and_codings(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key(header::CONTENT_RANGE) {
        return Err(Problem::BadField(
            "`Content-Range`: a PUT brings a whole file. For parts there is /uploads.".to_owned(),
        ));
    }
    let coding = headers.get(header::CONTENT_ENCODING);
    if coding.is_some_and(|it| !it.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Problem::ContentCoding);
    }
    Ok(())
}

/// The file that the path names now.
async fn what_is_there(
    app: &Arc<App>,
    target: &AuthorizedPath,
) -> Result<Option<FoundFile>, Problem> {
    match app.look(&target.path).await {
        Ok(Found::File(file)) => Ok(Some(file)),
        Ok(Found::Folder(_)) => Err(Problem::IsFolder),
        // Or something that a rename can replace and nobody can read: a FIFO, or a link that leads nowhere.
        Err(FindError::Missing { .. } | FindError::NotServed { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What to do with an existing file, by the request's preconditions and its `exists`.
fn replacement(
    there: Option<&FoundFile>,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Result<Replace, Problem> {
    if preconditions::are_in(headers) {
        if !preconditions::allow_change(there, headers) {
            return Err(Problem::PreconditionFailed);
        }
        return Ok(there.map_or(Replace::Refuse, |it| Replace::IfStill(it.stat)));
    }
    match on_conflict(query)?.unwrap_or(OnConflict::Replace) {
        OnConflict::Replace => Ok(Replace::Always),
        OnConflict::KeepBoth => Ok(Replace::KeepBoth),
        OnConflict::Refuse if there.is_some() => Err(Problem::Exists),
        OnConflict::Refuse => Ok(Replace::Refuse),
    }
}

/// Publishes, and looks the published file up for its entity tag. `None` if it is gone already.
async fn publish(
    app: &Arc<App>,
    target: &AuthorizedPath,
    staged: Staged,
    replace: Replace,
) -> Result<(Published, Option<FoundFile>), Problem> {
    let (volume, path, caller) =
        (Arc::clone(&app.volume), target.path.clone(), target.caller.clone());
    let publish = move || {
        let may_write = |real_path: &RelPath| caller.may_write(real_path).is_ok();
        let published = staged.publish(&path, replace, &may_write)?;
        let found = volume.find(&published.path, Blocking::MayBlock);
        Ok((published, found.ok().and_then(Found::into_file)))
    };
    let published: Result<_, PublishError> = app.intake.durably(publish).await?;
    Ok(published?)
}
