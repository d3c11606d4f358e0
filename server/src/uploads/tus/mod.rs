//! `/uploads`: resumable uploads by tus 1.0.0 (<https://tus.io/protocols/resumable-upload>), with the extensions *creation*,
//! *creation-with-upload*, *termination*, *checksum*, *expiration* and *concatenation*.
//!
//! A request, step by step:
//!
//! 1. Client and server must use the same version of tus, which every response names ([`TusHeaders`]).
//! 2. The caller is identified, and must be allowed to write the upload's target ([`uploader`]).
//! 3. The upload is taken over from another request that still holds it ([`locks`]).
//! 4. The bytes are appended, and made durable before the client is told ([`receive`](crate::uploads::receive)).
//! 5. A complete upload is published; a joined one is first put together from its parts ([`concatenation`]).
//!
//! Steps 3 to 5 continue when the client goes away, so no received bytes are lost.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use volume::uploads::{Upload, UploadKind};

use crate::app::App;
use crate::blocking::blocking;
use crate::http::fields::set;
use crate::http::tus_headers::{
    EXTENSIONS, METHOD_OVERRIDE, TUS_CHECKSUM_ALGORITHM, TUS_EXTENSION, TUS_RESUMABLE, TUS_VERSION,
    UPLOAD_CONCAT, UPLOAD_LENGTH, UPLOAD_METADATA, UPLOAD_OFFSET, VERSION,
};
use crate::problem::Problem;
use crate::telemetry::counters::UploadMethod;
use crate::uploads::digest::{CHECKSUMS, Digests};
use crate::uploads::receive::{BodyLimits, Sink};

pub(crate) mod concatenation;
mod creation;
mod fields;
pub(crate) mod locks;
pub(crate) mod metadata;
mod uploader;

pub(crate) use concatenation::recover;

use creation::parse_creation;
use fields::{check_version, describe_end, is_offset_stream, number};
use locks::UploadLock;
use uploader::{Uploader, find};

/// How long a request waits while parts are joined. Joining continues without it.
const JOINING: Duration = Duration::from_secs(25);

/// Adds the tus header fields to every response below `/uploads`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TusHeaders {
    is_due: bool,
    is_options: bool,
}

impl TusHeaders {
    /// Notes whether the response to a request needs them.
    pub(crate) fn of(request: &Request) -> TusHeaders {
        let path = request.uri().path();
        let is_due = path == "/uploads" || path.starts_with("/uploads/");
        TusHeaders { is_due, is_options: *request.method() == Method::OPTIONS }
    }

    /// Adds them to the response.
    pub(crate) fn make(self, response: &mut Response) {
        if !self.is_due {
            return;
        }
        if self.is_options && response.status() == StatusCode::OK {
            *response.status_mut() = StatusCode::NO_CONTENT;
        }
        let headers = response.headers_mut();
        set(headers, TUS_RESUMABLE, VERSION);
        if self.is_options || headers.contains_key(TUS_VERSION) {
            set(headers, TUS_VERSION, VERSION);
            set(headers, TUS_EXTENSION, EXTENSIONS);
            set(headers, TUS_CHECKSUM_ALGORITHM, CHECKSUMS);
        }
    }
}

/// `POST /uploads`: creates an upload, or joins parts.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    uploader: Uploader,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    check_version(&headers)?;
    let order = parse_creation(&app, &uploader, &uri, &headers).await?;
    let upload = {
        let volume = Arc::clone(&app.volume);
        blocking(move || volume.begin_upload(order)).await??
    };
    let id = upload.id;
    let lock = app.upload_locks.take(id).await;
    let is_joined = matches!(upload.record.purpose, UploadKind::Joined { .. });
    let brings_bytes = !is_joined && is_offset_stream(&headers);
    let work = async move {
        if is_joined {
            return concatenation::join(&app, upload, lock, uploader.may_write()).await;
        }
        if brings_bytes {
            append(&app, upload, &uploader, &headers, body, &lock).await
        } else {
            finish(&app, upload, &uploader).await
        }
    };
    let work = tokio::spawn(work);
    // Joining continues after this; the client can ask for the upload's state with `HEAD`.
    let patience = if is_joined { JOINING } else { Duration::MAX };
    let done = match tokio::time::timeout(patience, work).await {
        Ok(done) => Some(done.map_err(Problem::internal)??),
        Err(_) => None,
    };
    let mut response = StatusCode::CREATED.into_response();
    let fields = response.headers_mut();
    // Relative to the request's own URL, so that it works behind any proxy.
    let up = if uri.path().ends_with('/') { "./" } else { "./uploads/" };
    set(fields, header::LOCATION, &format!("{up}{id}"));
    if let Some(upload) = done {
        if brings_bytes {
            set(fields, UPLOAD_OFFSET, &upload.offset().to_string());
        }
        describe_end(fields, &upload);
    }
    Ok(response)
}

/// `HEAD /uploads/ID`: how many bytes have been received.
pub(crate) async fn head(
    State(app): State<Arc<App>>,
    uploader: Uploader,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    check_version(&headers)?;
    let first = find(&app, &uploader, &id).await?;
    let upload = match first.record.purpose {
        UploadKind::Joined { .. } => joined_so_far(&app, uploader, first).await?,
        UploadKind::File(_) | UploadKind::Part => {
            let _held = app.upload_locks.take(first.id).await;
            let upload = find(&app, &uploader, &id).await?;
            // A client that sees the full offset believes that the upload is done, so it must be published by then.
            finish(&app, upload, &uploader).await?
        }
    };
    if (1..upload.record.length).contains(&upload.offset()) {
        app.activity.counted.resumed();
    }
    let mut response = StatusCode::OK.into_response();
    let fields = response.headers_mut();
    let is_joining =
        matches!(upload.record.purpose, UploadKind::Joined { .. }) && !upload.is_published();
    if !is_joining {
        set(fields, UPLOAD_OFFSET, &upload.offset().to_string());
    }
    set(fields, UPLOAD_LENGTH, &upload.record.length.to_string());
    if !upload.record.metadata.is_empty() {
        set(fields, UPLOAD_METADATA, &upload.record.metadata);
    }
    match &upload.record.purpose {
        UploadKind::File(_) => {}
        UploadKind::Part => set(fields, UPLOAD_CONCAT, "partial"),
        UploadKind::Joined { parts, .. } => {
            let parts: Vec<String> = parts.iter().map(|it| format!("/uploads/{}", it.id)).collect();
            set(fields, UPLOAD_CONCAT, &format!("final;{}", parts.join(" ")));
        }
    }
    describe_end(fields, &upload);
    set(fields, header::CACHE_CONTROL, "no-store");
    Ok(response)
}

/// `PATCH /uploads/ID`: appends bytes.
pub(crate) async fn patch(
    State(app): State<Arc<App>>,
    uploader: Uploader,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    check_version(&headers)?;
    if !is_offset_stream(&headers) {
        return Err(Problem::WrongContentType);
    }
    let offset = number(&headers, &UPLOAD_OFFSET)?
        .ok_or_else(|| Problem::BadField("`Upload-Offset` is missing.".to_owned()))?;
    let first = find(&app, &uploader, &id).await?;
    if matches!(first.record.purpose, UploadKind::Joined { .. }) {
        return Err(Problem::FinalUpload);
    }
    drop(first);
    // Spawned, so that it continues when the client goes away and the received bytes are recorded.
    let work = tokio::spawn(async move {
        let lock = app.upload_locks.take(id.parse().map_err(|_no_id| Problem::NotFound)?).await;
        let upload = find(&app, &uploader, &id).await?;
        if upload.offset() != offset {
            return Err(Problem::WrongOffset { offset: upload.offset() });
        }
        append(&app, upload, &uploader, &headers, body, &lock).await
    });
    let upload = work.await.map_err(Problem::internal)??;
    let mut response = StatusCode::NO_CONTENT.into_response();
    let fields = response.headers_mut();
    set(fields, UPLOAD_OFFSET, &upload.offset().to_string());
    describe_end(fields, &upload);
    Ok(response)
}

/// `DELETE /uploads/ID`: removes the upload with its bytes. A published file stays.
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    uploader: Uploader,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    check_version(&headers)?;
    let id = find(&app, &uploader, &id).await?.id;
    let _held = app.upload_locks.take(id).await;
    let upload = find(&app, &uploader, &id.to_string()).await?;
    blocking(move || upload.remove()).await?.map_err(Problem::of_disk)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /uploads/ID` with a method override, for networks that block other methods.
pub(crate) async fn method_override(
    state: State<Arc<App>>,
    uploader: Uploader,
    id: Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    match headers.get(METHOD_OVERRIDE).map(HeaderValue::as_bytes) {
        Some(b"PATCH") => patch(state, uploader, id, headers, body).await,
        Some(b"HEAD") => head(state, uploader, id, headers).await,
        Some(b"DELETE") => {
            delete(state, uploader, id, headers).await.map(IntoResponse::into_response)
        }
        _ => Err(Problem::OnlyMethods("HEAD, PATCH, DELETE")),
    }
}

/// Continues joining that was interrupted by a restart. If another request is joining, leaves it alone.
async fn joined_so_far(
    app: &Arc<App>,
    uploader: Uploader,
    upload: Upload,
) -> Result<Upload, Problem> {
    let id = upload.id.to_string();
    if let Some(lock) = app.upload_locks.try_take(upload.id) {
        let upload = find(app, &uploader, &id).await?;
        let (app, may_write) = (Arc::clone(app), uploader.may_write());
        let joining =
            tokio::spawn(async move { concatenation::join(&app, upload, lock, may_write).await });
        if let Ok(joined) = tokio::time::timeout(JOINING, joining).await {
            return joined.map_err(Problem::internal)?;
        }
    }
    find(app, &uploader, &id).await
}

/// Appends a request's body. If the body breaks off, the received bytes count, unless they came with a checksum.
async fn append(
    app: &Arc<App>,
    mut upload: Upload,
    uploader: &Uploader,
    headers: &HeaderMap,
    body: Body,
    lock: &UploadLock,
) -> Result<Upload, Problem> {
    let digests = Digests::of_chunk(headers)?;
    let is_checked = digests.are_sent();
    let left = upload.record.length - upload.offset().min(upload.record.length);
    if number(headers, &header::CONTENT_LENGTH)?.is_some_and(|it| it > left) {
        return Err(Problem::TooLong);
    }
    if upload.is_published() {
        return Ok(upload);
    }
    if is_checked {
        upload = app
            .intake
            .durably(move || upload.begin_check().map(|()| upload))
            .await?
            .map_err(Problem::of_disk)?;
    }
    let Some(staged) = upload.take_staged() else { return Err(Problem::NotFound) };
    let permit = uploader.permit(app, &upload.record);
    let limits = BodyLimits { stall: app.stall, most: Some(left), stop: lock.stop.clone(), permit };
    let (sink, ended) = app.intake.receive(body, Sink { staged, digests }, &limits).await?;
    upload.put_back(sink.staged);
    let checked = sink.digests.check().map_err(|_mismatch| Problem::ChecksumMismatch);
    let is_good = ended.is_ok() && checked.is_ok();
    let upload = app.intake.durably(move || {
        if is_checked { upload.end_check(is_good) } else { upload.sync() }.map(|()| upload)
    });
    let upload = upload.await?.map_err(Problem::of_disk)?;
    ended?;
    checked?;
    finish(app, upload, uploader).await
}

/// Publishes the upload if it is complete.
async fn finish(app: &App, mut upload: Upload, uploader: &Uploader) -> Result<Upload, Problem> {
    let (was_published, may_write) = (upload.is_published(), uploader.may_write());
    let finished = app.intake.durably(move || {
        upload.sync()?;
        Ok::<_, std::io::Error>(upload.finish(&may_write).map(|()| upload))
    });
    let upload = finished.await?.map_err(Problem::of_disk)??;
    if upload.is_published() && !was_published {
        app.activity.counted.uploaded(UploadMethod::Tus);
    }
    Ok(upload)
}
