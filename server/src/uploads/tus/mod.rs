//! `/uploads`: resumable uploads, as tus 1.0.0 has them (<https://tus.io/protocols/resumable-upload>), with the
//! extensions *creation*, *creation-with-upload*, *termination*, *checksum*, *expiration* and *concatenation*.
//!
//! A request step by step:
//!
//! 1. client and server speak the same version, which each answer says ([`Announcement`]);
//! 2. the caller is known and may write the upload's target ([`Uploader`]);
//! 3. the upload is taken over from whoever still holds it ([`holders`]);
//! 4. what comes is appended, and made durable before the client is told ([`upload`]);
//! 5. what is complete is published, or joined from its parts first ([`join`]).
//!
//! Steps 3 to 5 go on by themselves when the client goes away, so that what came is never lost.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use jiff::Timestamp;
use volume::staged_id::StagedId;
use volume::uploads::{Exists, Part, Purpose, Record, Target, Upload};
use volume::{FindError, Found, RelPath};

use crate::app::App;
use crate::auth::caller::{Access, Caller};
use crate::auth::credentials::key_in;
use crate::auth::identify::Permit;
use crate::blocking::blocking;
use crate::extract::path;
use crate::http::fields;
use crate::http::tus_headers::{
    CONTENT_TYPES, EXTENSIONS, METHOD_OVERRIDE, TUS_CHECKSUM_ALGORITHM, TUS_EXTENSION,
    TUS_RESUMABLE, TUS_VERSION, UPLOAD_CONCAT, UPLOAD_DEFER_LENGTH, UPLOAD_EXPIRES, UPLOAD_LENGTH,
    UPLOAD_METADATA, UPLOAD_OFFSET, VERSION,
};
use crate::problem::Problem;
use crate::telemetry::counters::Way;
use crate::uploads::digest::{CHECKSUMS, Digests};
use crate::uploads::receive::{Limits, Sink};

pub mod concatenation;
pub mod locks;
pub(crate) mod metadata;

pub use concatenation::recover;

use locks::Held;
use metadata::Metadata;

/// How long a request waits for parts to be joined, which goes on without it.
const JOINING: Duration = Duration::from_secs(25);

/// Whoever holds a key that may write somewhere.
#[derive(Clone, Debug)]
pub struct Uploader {
    caller: Caller,
    user: String,
}

impl FromRequestParts<Arc<App>> for Uploader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Uploader, Problem> {
        let key = key_in(&parts.headers);
        let caller = path::caller(parts, app, key, Access::Write, &RelPath::root()).await?;
        caller.may_write_somewhere()?;
        let user = caller.user().unwrap_or_default().to_owned();
        Ok(Uploader { caller, user })
    }
}

impl Uploader {
    fn may_write(&self) -> impl Fn(&RelPath) -> bool + Send + 'static {
        let caller = self.caller.clone();
        move |path| caller.may_write(path).is_ok()
    }

    /// What it may do to an upload, for as long as the key is good.
    fn permit(&self, app: &Arc<App>, record: &Record) -> Permit {
        let somewhere = || self.caller.key().map_or_else(RelPath::root, |it| it.path.clone());
        let path = record.target().map_or_else(somewhere, |it| it.path.clone());
        let (keys, caller) = (Arc::clone(&app.key_ring), self.caller.clone());
        Permit { keys, caller, access: Access::Write, path }
    }

    /// A part belongs to the user who began it; all else to whoever may write its target.
    fn may_have(&self, record: &Record) -> Result<(), Problem> {
        match record.target() {
            Some(target) => self.caller.may_write(&target.path),
            None if record.user == self.user => Ok(()),
            None => Err(Problem::NotCovered(None)),
        }
    }
}

/// What each answer below `/uploads` says of what is spoken.
#[derive(Clone, Copy, Debug)]
pub struct Announcement {
    is_due: bool,
    is_options: bool,
}

impl Announcement {
    /// Whether a request's answer is to have one.
    pub fn of(request: &Request) -> Announcement {
        let path = request.uri().path();
        let is_due = path == "/uploads" || path.starts_with("/uploads/");
        Announcement { is_due, is_options: *request.method() == Method::OPTIONS }
    }

    /// Writes it into the answer's header.
    pub fn make(self, response: &mut Response) {
        if !self.is_due {
            return;
        }
        if self.is_options && response.status() == StatusCode::OK {
            *response.status_mut() = StatusCode::NO_CONTENT;
        }
        let headers = response.headers_mut();
        fields::set(headers, TUS_RESUMABLE, VERSION);
        if self.is_options || headers.contains_key(TUS_VERSION) {
            fields::set(headers, TUS_VERSION, VERSION);
            fields::set(headers, TUS_EXTENSION, EXTENSIONS);
            fields::set(headers, TUS_CHECKSUM_ALGORITHM, CHECKSUMS);
        }
    }
}

/// `POST /uploads`: begins an upload, or joins parts.
pub async fn create(
    State(app): State<Arc<App>>,
    uploader: Uploader,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    check_version(&headers)?;
    let order = order(&app, &uploader, &uri, &headers).await?;
    let upload = {
        let volume = Arc::clone(&app.volume);
        blocking(move || volume.begin_upload(order)).await??
    };
    let id = upload.id;
    let held = app.holders.take(id).await;
    let is_joined = matches!(upload.record.purpose, Purpose::Joined { .. });
    let brings_bytes = !is_joined && is_offset_stream(&headers);
    let work = async move {
        if is_joined {
            return concatenation::join(&app, upload, held, uploader.may_write()).await;
        }
        if brings_bytes {
            append(&app, upload, &uploader, &headers, body, &held).await
        } else {
            finish(&app, upload, &uploader).await
        }
    };
    let work = tokio::spawn(work);
    // Joining goes on; whoever wants to know when it is done asks for the upload.
    let patience = if is_joined { JOINING } else { Duration::MAX };
    let done = match tokio::time::timeout(patience, work).await {
        Ok(done) => Some(done.map_err(Problem::internal)??),
        Err(_) => None,
    };
    let mut response = StatusCode::CREATED.into_response();
    let fields = response.headers_mut();
    // Relative to this very address, so that it holds behind any proxy.
    let up = if uri.path().ends_with('/') { "./" } else { "./uploads/" };
    fields::set(fields, header::LOCATION, &format!("{up}{id}"));
    if let Some(upload) = done {
        if brings_bytes {
            fields::set(fields, UPLOAD_OFFSET, &upload.offset().to_string());
        }
        describe_end(fields, &upload);
    }
    Ok(response)
}

/// `HEAD /uploads/ID`: how much has come.
pub async fn look(
    State(app): State<Arc<App>>,
    uploader: Uploader,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    check_version(&headers)?;
    let first = find(&app, &uploader, &id).await?;
    let upload = match first.record.purpose {
        Purpose::Joined { .. } => joined_so_far(&app, uploader, first).await?,
        Purpose::File(_) | Purpose::Part => {
            let _held = app.holders.take(first.id).await;
            let upload = find(&app, &uploader, &id).await?;
            // A client that reads that all has come believes that all is done: so it must be.
            finish(&app, upload, &uploader).await?
        }
    };
    if (1..upload.record.length).contains(&upload.offset()) {
        app.activity.counted.resumed();
    }
    let mut response = StatusCode::OK.into_response();
    let fields = response.headers_mut();
    let is_joining =
        matches!(upload.record.purpose, Purpose::Joined { .. }) && !upload.is_published();
    if !is_joining {
        fields::set(fields, UPLOAD_OFFSET, &upload.offset().to_string());
    }
    fields::set(fields, UPLOAD_LENGTH, &upload.record.length.to_string());
    if !upload.record.metadata.is_empty() {
        fields::set(fields, UPLOAD_METADATA, &upload.record.metadata);
    }
    match &upload.record.purpose {
        Purpose::File(_) => {}
        Purpose::Part => fields::set(fields, UPLOAD_CONCAT, "partial"),
        Purpose::Joined { parts, .. } => {
            let parts: Vec<String> = parts.iter().map(|it| format!("/uploads/{}", it.id)).collect();
            fields::set(fields, UPLOAD_CONCAT, &format!("final;{}", parts.join(" ")));
        }
    }
    describe_end(fields, &upload);
    fields::set(fields, header::CACHE_CONTROL, "no-store");
    Ok(response)
}

/// `PATCH /uploads/ID`: more of it.
pub async fn patch(
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
    if matches!(first.record.purpose, Purpose::Joined { .. }) {
        return Err(Problem::FinalUpload);
    }
    drop(first);
    // Goes on by itself when the client goes away, so that what came is written down in order.
    let work = tokio::spawn(async move {
        let held = app.holders.take(id.parse().map_err(|_no_id| Problem::NotFound)?).await;
        let upload = find(&app, &uploader, &id).await?;
        if upload.offset() != offset {
            return Err(Problem::WrongOffset { offset: upload.offset() });
        }
        append(&app, upload, &uploader, &headers, body, &held).await
    });
    let upload = work.await.map_err(Problem::internal)??;
    let mut response = StatusCode::NO_CONTENT.into_response();
    let fields = response.headers_mut();
    fields::set(fields, UPLOAD_OFFSET, &upload.offset().to_string());
    describe_end(fields, &upload);
    Ok(response)
}

/// `DELETE /uploads/ID`: ends it; what came is thrown away. What was published stays.
pub async fn delete(
    State(app): State<Arc<App>>,
    uploader: Uploader,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    check_version(&headers)?;
    let id = find(&app, &uploader, &id).await?.id;
    let _held = app.holders.take(id).await;
    let upload = find(&app, &uploader, &id.to_string()).await?;
    blocking(move || upload.remove()).await?.map_err(Problem::of_disk)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /uploads/ID`, for networks that let no other method through.
pub async fn overridden(
    state: State<Arc<App>>,
    uploader: Uploader,
    id: Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    match headers.get(METHOD_OVERRIDE).map(HeaderValue::as_bytes) {
        Some(b"PATCH") => patch(state, uploader, id, headers, body).await,
        Some(b"HEAD") => look(state, uploader, id, headers).await,
        Some(b"DELETE") => {
            delete(state, uploader, id, headers).await.map(IntoResponse::into_response)
        }
        _ => Err(Problem::OnlyMethods("HEAD, PATCH, DELETE")),
    }
}

/// Goes on with joining where nobody does, because the server was stopped; takes it from nobody who does.
async fn joined_so_far(
    app: &Arc<App>,
    uploader: Uploader,
    upload: Upload,
) -> Result<Upload, Problem> {
    let id = upload.id.to_string();
    if let Some(held) = app.holders.try_take(upload.id) {
        let upload = find(app, &uploader, &id).await?;
        let (app, may_write) = (Arc::clone(app), uploader.may_write());
        let joining =
            tokio::spawn(async move { concatenation::join(&app, upload, held, may_write).await });
        if let Ok(joined) = tokio::time::timeout(JOINING, joining).await {
            return joined.map_err(Problem::internal)?;
        }
    }
    find(app, &uploader, &id).await
}

/// What a request wants begun.
async fn order(
    app: &Arc<App>,
    uploader: &Uploader,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Record, Problem> {
    let metadata = Metadata::of(headers)?;
    let concat = headers.get(UPLOAD_CONCAT).map(|it| it.to_str().unwrap_or_default());
    let record = |length, purpose| {
        let said = headers.get(UPLOAD_METADATA).and_then(|it| it.to_str().ok());
        let (now, said) = (Timestamp::now(), said.unwrap_or_default());
        Record::new(&uploader.user, now, length, purpose, said)
    };
    if concat == Some("partial") {
        return Ok(record(length(headers)?, Purpose::Part));
    }
    let target = metadata.target(uri.query())?;
    uploader.caller.may_write(&target.path)?;
    refuse_what_cannot_be(app, &target).await?;
    app.check_writable(&target.path, &uploader.caller).await?;
    match concat {
        None => Ok(record(length(headers)?, Purpose::File(target))),
        Some(concat) => {
            let addresses = concat.strip_prefix("final;").ok_or_else(|| {
                Problem::BadField(
                    "`Upload-Concat` is `partial` or `final;` and addresses.".to_owned(),
                )
            })?;
            let parts = parts(app, uploader, addresses).await?;
            let length = parts.iter().map(|it| it.length).sum();
            Ok(record(length, Purpose::Joined { target, parts }))
        }
    }
}

/// The parts that a final upload names by their addresses, which may be relative.
async fn parts(app: &Arc<App>, uploader: &Uploader, addresses: &str) -> Result<Vec<Part>, Problem> {
    let mut parts: Vec<Part> = Vec::new();
    for address in addresses.split_whitespace() {
        let bad = |what: &str| Problem::BadPart(format!("`{address}` {what}."));
        let id = address.rsplit('/').next().unwrap_or_default();
        let part = match find(app, uploader, id).await {
            Err(Problem::NotFound) => return Err(bad("is not an upload that is known here")),
            result => result?,
        };
        if part.record.purpose != Purpose::Part {
            return Err(bad("was not begun with `Upload-Concat: partial`"));
        }
        if !part.is_complete() {
            return Err(bad("is not complete yet"));
        }
        if parts.iter().any(|it| it.id == part.id) {
            return Err(bad("is named twice"));
        }
        parts.push(Part { id: part.id, length: part.record.length });
    }
    if parts.is_empty() {
        return Err(Problem::BadPart("There is no part to join.".to_owned()));
    }
    Ok(parts)
}

/// Says before the first byte what would go wrong after the last.
async fn refuse_what_cannot_be(app: &Arc<App>, target: &Target) -> Result<(), Problem> {
    match app.look(&target.path).await {
        Ok(Found::Folder(_)) => Err(Problem::IsFolder),
        Ok(Found::File(_)) if target.exists == Exists::Refuse => Err(Problem::Exists),
        Ok(Found::File(_)) | Err(FindError::Missing { .. } | FindError::NotServed { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Appends what a body brings. What broke off counts as far as it came, unless it came with a checksum.
async fn append(
    app: &Arc<App>,
    mut upload: Upload,
    uploader: &Uploader,
    headers: &HeaderMap,
    body: Body,
    held: &Held,
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
    let limits = Limits { stall: app.stall, most: Some(left), stop: held.stop.clone(), permit };
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

/// Publishes what is complete.
async fn finish(app: &App, mut upload: Upload, uploader: &Uploader) -> Result<Upload, Problem> {
    let (was_published, may_write) = (upload.is_published(), uploader.may_write());
    let finished = app.intake.durably(move || {
        upload.sync()?;
        Ok::<_, std::io::Error>(upload.finish(&may_write).map(|()| upload))
    });
    let upload = finished.await?.map_err(Problem::of_disk)??;
    if upload.is_published() && !was_published {
        app.activity.counted.uploaded(Way::Tus);
    }
    Ok(upload)
}

/// An upload that the caller may have.
async fn find(app: &App, uploader: &Uploader, id: &str) -> Result<Upload, Problem> {
    let id: StagedId = id.parse().map_err(|_no_id| Problem::NotFound)?;
    let volume = Arc::clone(&app.volume);
    let upload = blocking(move || volume.upload(id)).await?.map_err(Problem::of_disk)?;
    let upload = upload.ok_or(Problem::NotFound)?;
    uploader.may_have(&upload.record)?;
    Ok(upload)
}

/// When an upload ends, or where it went.
fn describe_end(fields: &mut HeaderMap, upload: &Upload) {
    if let Some(path) = &upload.record.published {
        fields::set(fields, header::CONTENT_LOCATION, &format!("/files/{}", path.to_url()));
    }
    if let Some(end) = upload.expires() {
        fields::set(fields, UPLOAD_EXPIRES, &httpdate::fmt_http_date(end));
    }
}

fn check_version(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.get(TUS_RESUMABLE).is_some_and(|it| it == VERSION) {
        return Ok(());
    }
    Err(Problem::WrongTusVersion)
}

fn is_offset_stream(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|it| CONTENT_TYPES.iter().any(|known| it == known))
}

fn length(headers: &HeaderMap) -> Result<u64, Problem> {
    if headers.contains_key(UPLOAD_DEFER_LENGTH) {
        let what = "`Upload-Defer-Length`: an upload's length must be known when it begins.";
        return Err(Problem::BadField(what.to_owned()));
    }
    number(headers, &UPLOAD_LENGTH)?
        .ok_or_else(|| Problem::BadField("`Upload-Length` is missing.".to_owned()))
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let digits = value.to_str().ok().filter(|it| it.bytes().all(|it| it.is_ascii_digit()));
    let number = digits.and_then(|it| it.parse().ok()).filter(|it| i64::try_from(*it).is_ok());
    number.map(Some).ok_or_else(|| Problem::BadField(format!("`{name}` is not a number of bytes.")))
}
