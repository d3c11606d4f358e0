//! Problem details (RFC 9457): what a client learns when its request fails.
//!
//! A [`Problem`] contains only what a client may know. The cause of an internal error travels in the response's extensions to the log, and
//! never reaches the client. Problems are written as JSON here; [`page`] turns them into a small page for browsers, which prefer HTML.

pub(crate) mod convert;
pub(crate) mod page;

use std::error::Error;
use std::io::ErrorKind;
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use transfers::Refused;
use volume::{Refusal, RelPath};

use crate::http::tus_headers::{self, TUS_VERSION, UPLOAD_OFFSET};
use crate::net::concurrency_limit::LimitReached;
use crate::web::text::visible;

/// The beginning of every problem's `type`. The rest of it is stable.
const TYPE_PREFIX: &str = "urn:sounding:problem:";

/// The challenge to a client without a valid key that can send header fields. Browsers show no login dialog for it.
const BEARER: &str = "Bearer realm=\"sounding\"";

/// Value of `Retry-After` when the service is at a limit, in seconds.
const RETRY_AFTER: u32 = 10;

/// Why a request failed.
#[derive(Debug)]
pub enum Problem {
    /// The path cannot be a path on a volume.
    BadPath(Refusal),
    /// A parameter of the query is invalid.
    BadQuery(String),
    /// Nothing that is served exists at the path.
    NotFound,
    /// The path is private and the request has no key.
    NoKey,
    /// The path is private and the request's key is unknown.
    UnknownKey,
    /// The request's key has expired.
    ExpiredKey,
    /// The request's key is valid, but covers another folder. With that folder, if its holder may know it.
    NotCovered(Option<RelPath>),
    /// The request's key is valid here, but only for reading.
    ReadOnlyKey,
    /// Too many wrong keys came from this address.
    TooManyWrongKeys {
        /// Seconds until another key is checked.
        retry_after: u64,
    },
    /// File permissions do not allow the service to read it.
    Unreadable,
    /// File permissions do not allow the service to write there.
    Unwritable,
    /// The volume was unmounted, moved or removed, or the service's own folder on it was.
    VolumeLost,
    /// The method is not allowed here.
    MethodNotAllowed,
    /// Only these methods are allowed here, which the router does not know.
    OnlyMethods(&'static str),
    /// The method is unknown.
    UnknownMethod,
    /// The body has an unsupported transfer coding.
    TransferCoding,
    /// A header field is invalid.
    BadField(String),
    /// The body has a content coding, which the service does not decode.
    ContentCoding,
    /// The name exists already, and must not be replaced.
    Exists,
    /// The name is a folder's, but the request is for a file.
    IsFolder,
    /// A part of the path is a file.
    NotAFolder,
    /// The volume is too full.
    NoRoom,
    /// The body does not match its digest.
    DigestMismatch {
        /// Name of the digest algorithm.
        algorithm: &'static str,
    },
    /// No bytes arrived for too long.
    Stalled,
    /// More bytes arrived than were announced.
    TooLong,
    /// A newer request continues the same upload.
    TakenOver,
    /// The upload is at another offset than the client assumes.
    WrongOffset {
        /// Bytes received so far.
        offset: u64,
    },
    /// Bytes of a resumable upload do not match their checksum.
    ChecksumMismatch,
    /// The client uses another version of tus, or none.
    WrongTusVersion,
    /// A transfer refused the request.
    Transfer(Refused),
    /// The change feed is not available.
    NoFeed(Arc<dyn Error + Send + Sync>),
    /// A request that continues an upload has the wrong content type.
    WrongContentType,
    /// An upload that is joined from parts takes no bytes itself.
    FinalUpload,
    /// A part is not a part, is incomplete, or belongs to another user.
    BadPart(String),
    /// The body ended too early.
    BrokenOff(String),
    /// A precondition failed.
    PreconditionFailed,
    /// The requested range is outside the file.
    RangeNotSatisfiable {
        /// Length of the file in bytes.
        len: u64,
    },
    /// The URI is too long.
    UriTooLong,
    /// The header fields are too long.
    HeadersTooLarge,
    /// A concurrency limit is reached.
    TooManyConnections(LimitReached),
    /// An internal error. The log has its cause.
    Internal(Arc<dyn Error + Send + Sync>),
}

/// The body of a problem, kept for a page that shows it in another form.
#[derive(Clone, Debug, Serialize)]
struct ProblemBody {
    r#type: String,
    /// The status's reason phrase (RFC 9110 §15).
    title: &'static str,
    status: u16,
    detail: String,
    /// The heading of the page.
    #[serde(skip)]
    heading: &'static str,
    /// The detail for people, where a browser can ask them for a key.
    #[serde(skip)]
    for_people: Option<&'static str>,
    /// A folder that the reader may see instead, for a link.
    #[serde(skip)]
    leads_to: Option<RelPath>,
}

/// The cause of an internal error, for the log.
#[derive(Clone, Debug)]
pub(crate) struct Cause(Arc<dyn Error + Send + Sync>);

/// Marks a response that failed because of file permissions on the volume, so that the operator is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PermissionDenied;

impl Problem {
    /// An internal error.
    pub fn internal(cause: impl Error + Send + Sync + 'static) -> Problem {
        Problem::Internal(Arc::new(cause))
    }

    /// For a method that is not allowed here, or unknown to HTTP (RFC 9110 §15.6.2).
    pub fn of_method(method: &Method) -> Problem {
        match *method {
            Method::GET
            | Method::HEAD
            | Method::POST
            | Method::PUT
            | Method::DELETE
            | Method::PATCH
            | Method::OPTIONS
            | Method::CONNECT
            | Method::TRACE => Problem::MethodNotAllowed,
            _ => Problem::UnknownMethod,
        }
    }

    /// For an error of the disk: it is full, read-only or gone, or this is an internal error.
    pub fn of_disk(cause: std::io::Error) -> Problem {
        let kind = cause.kind();
        Problem::of_write(kind, cause)
    }

    /// For a change that the disk refused.
    fn of_write(kind: ErrorKind, cause: impl Error + Send + Sync + 'static) -> Problem {
        match kind {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Problem::NoRoom,
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Problem::Unwritable,
            // `volume::Loss` uses one of these; the other is the system's error when a file server is gone.
            ErrorKind::StaleNetworkFileHandle | ErrorKind::NotConnected => Problem::VolumeLost,
            _ => Problem::internal(cause),
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Problem::BadPath(Refusal::Hidden) | Problem::NotFound => StatusCode::NOT_FOUND,
            Problem::BadPath(_)
            | Problem::BadQuery(_)
            | Problem::BadField(_)
            | Problem::BadPart(_)
            | Problem::DigestMismatch { .. }
            | Problem::BrokenOff(_) => StatusCode::BAD_REQUEST,
            Problem::ContentCoding | Problem::WrongContentType => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Problem::Exists
            | Problem::IsFolder
            | Problem::NotAFolder
            | Problem::WrongOffset { .. } => StatusCode::CONFLICT,
            Problem::Transfer(refused) => of_transfer(refused),
            Problem::NoRoom => StatusCode::INSUFFICIENT_STORAGE,
            Problem::NoFeed(_) | Problem::TooManyConnections(_) | Problem::VolumeLost => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Problem::Stalled => StatusCode::REQUEST_TIMEOUT,
            Problem::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Problem::TakenOver => StatusCode::LOCKED,
            // tus 1.0, *Checksum*.
            Problem::ChecksumMismatch => {
                StatusCode::from_u16(460).unwrap_or(StatusCode::BAD_REQUEST)
            }
            Problem::NoKey | Problem::UnknownKey | Problem::ExpiredKey => StatusCode::UNAUTHORIZED,
            Problem::NotCovered(_)
            | Problem::ReadOnlyKey
            | Problem::Unreadable
            | Problem::Unwritable
            | Problem::FinalUpload => StatusCode::FORBIDDEN,
            Problem::TooManyWrongKeys { .. } => StatusCode::TOO_MANY_REQUESTS,
            Problem::MethodNotAllowed | Problem::OnlyMethods(_) => StatusCode::METHOD_NOT_ALLOWED,
            Problem::UnknownMethod | Problem::TransferCoding => StatusCode::NOT_IMPLEMENTED,
            Problem::PreconditionFailed | Problem::WrongTusVersion => {
                StatusCode::PRECONDITION_FAILED
            }
            Problem::RangeNotSatisfiable { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Problem::UriTooLong => StatusCode::URI_TOO_LONG,
            Problem::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Problem::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn body(&self) -> ProblemBody {
        let (kind, heading, detail) = match self {
            Problem::BadPath(Refusal::Hidden) | Problem::NotFound => {
                ("not-found", "Not found", "There is nothing here by this name.".to_owned())
            }
            Problem::BadPath(refusal) => {
                ("bad-path", "Invalid path", format!("This can't be the path of a file: {refusal}."))
            }
            Problem::BadQuery(what) => ("bad-query", "Invalid query", what.clone()),
            Problem::NoKey => (
                "key-needed",
                "A key is needed",
                "Send your key as `Authorization: KEY`, or as the password where a browser asks for one. \
                 What lies under /files/public/ needs no key."
                    .to_owned(),
            ),
            Problem::UnknownKey => (
                "unknown-key",
                "Unknown key",
                "This key is not known here. It may be mistyped, or have been revoked; ask whoever gave it to you."
                    .to_owned(),
            ),
            Problem::ExpiredKey => (
                "expired-key",
                "The key has expired",
                "This key was good until its end date. Ask whoever gave it to you for a new one.".to_owned(),
            ),
            Problem::NotCovered(covers) => (
                "key-does-not-cover",
                "Not covered by this key",
                match covers {
                    Some(path) => format!("Your key is valid, but for another folder: {}.", folder(path)),
                    None => "Your key is valid, but for another folder of this volume.".to_owned(),
                },
            ),
            Problem::ReadOnlyKey => (
                "key-only-reads",
                "This key can only read",
                "Your key may read here, but not change anything. Ask whoever gave it to you for one with the scope \
                 `write`."
                    .to_owned(),
            ),
            Problem::TooManyWrongKeys { retry_after } => (
                "too-many-wrong-keys",
                "Too many wrong keys",
                format!("Too many wrong keys came from your address. Try again in {retry_after} seconds."),
            ),
            Problem::Unreadable => (
                "unreadable",
                "The service may not read this",
                "The permissions on the volume keep the service from reading it. Ask the operator to change them: `sounding doctor` \
                 says how."
                    .to_owned(),
            ),
            Problem::Unwritable => (
                "unwritable",
                "The service may not write here",
                "The folder's permissions keep the service from changing anything in it; nothing was changed. Ask the operator to \
                 change them: `sounding doctor` says how."
                    .to_owned(),
            ),
            Problem::VolumeLost => (
                "volume-lost",
                "The volume is not in its place",
                "The volume was unmounted, moved or removed while the service runs, or its `.sounding` was; nothing was changed. Try \
                 again when the operator has put it back."
                    .to_owned(),
            ),
            Problem::MethodNotAllowed | Problem::OnlyMethods(_) => {
                (
                    "method-not-allowed",
                    "Method not allowed",
                    "This method is not allowed here. The `Allow` field lists those that are.".to_owned(),
                )
            }
            Problem::UnknownMethod => (
                "unknown-method",
                "Unknown method",
                "The service does not know this method. The `Allow` field lists those that are allowed here.".to_owned(),
            ),
            Problem::TransferCoding => (
                "transfer-coding",
                "Unsupported transfer coding",
                "Bodies come with a length, or `Transfer-Encoding: chunked` and nothing else.".to_owned(),
            ),
            Problem::BadField(what) => ("bad-field", "Invalid header field", what.clone()),
            Problem::ContentCoding => (
                "content-coding",
                "Unsupported content coding",
                "Files are stored as they come: send it without `Content-Encoding`.".to_owned(),
            ),
            Problem::Exists => (
                "exists",
                "This exists already",
                "Something has this name already and was left as it is. Choose another name, keep both \
                 (`exists=keep-both`), or replace it (`exists=replace`)."
                    .to_owned(),
            ),
            Problem::IsFolder => (
                "is-folder",
                "This is a folder",
                "A file is meant, and a folder has this name or the path ends in `/`. To delete a folder, put a `/` behind its \
                 name."
                    .to_owned(),
            ),
            Problem::NotAFolder => (
                "not-a-folder",
                "Not a folder",
                "Part of this path is a file, or a link that leads nowhere, so nothing can lie below it.".to_owned(),
            ),
            Problem::NoRoom => (
                "no-room",
                "The volume is full",
                "There is no room for this on the volume, and the trash would not make enough (it makes none for what comes \
                 without a `Content-Length`); nothing was changed. Delete something, or ask the operator for more."
                    .to_owned(),
            ),
            Problem::DigestMismatch { algorithm } => (
                "digest-mismatch",
                "Digest mismatch",
                format!("The {algorithm} digest of what was received is not the request's; nothing was changed. Send it again."),
            ),
            Problem::Stalled => (
                "stalled",
                "The upload timed out",
                "The upload stood still for too long; what is stored under its name was not changed. Send it again, or go \
                 on with it if it went to /uploads."
                    .to_owned(),
            ),
            Problem::TooLong => {
                ("too-long", "Longer than announced", "More was sent than the upload's length; the rest was not stored.".to_owned())
            }
            Problem::TakenOver => (
                "taken-over",
                "Taken over by another request",
                "A newer request goes on with this upload, so this one was ended.".to_owned(),
            ),
            Problem::WrongOffset { offset } => (
                "wrong-offset",
                "Wrong offset",
                format!("{offset} bytes have been received so far; continue from there."),
            ),
            Problem::ChecksumMismatch => (
                "checksum-mismatch",
                "Checksum mismatch",
                "The checksum of what was received is not that of `Upload-Checksum`; it was not stored. Send it again.".to_owned(),
            ),
            Problem::WrongTusVersion => (
                "tus-version",
                "Unsupported version of tus",
                "Resumable uploads are those of tus 1.0.0: send `Tus-Resumable: 1.0.0`. For a file in one request there is \
                 PUT."
                    .to_owned(),
            ),
            Problem::Transfer(refused) => {
                ("transfer", "Not possible with this transfer", volume::error_chain(refused))
            }
            Problem::NoFeed(_) => (
                "no-feed",
                "No change feed",
                "Changes can't be reported for now. Files are served all the same.".to_owned(),
            ),
            Problem::WrongContentType => (
                "content-type",
                "Unsupported content type",
                "Bytes of an upload come with `Content-Type: application/offset+octet-stream`.".to_owned(),
            ),
            Problem::FinalUpload => (
                "final-upload",
                "Joined from parts",
                "This upload is joined from its parts and takes no bytes of its own.".to_owned(),
            ),
            Problem::BadPart(what) => ("bad-part", "Invalid part", what.clone()),
            Problem::BrokenOff(what) => {
                ("broken-off", "The upload broke off", format!("The upload broke off, and nothing was changed ({what})."))
            }
            Problem::PreconditionFailed => (
                "precondition-failed",
                "Precondition failed",
                "The file has changed: it is not the version that the request's condition names.".to_owned(),
            ),
            Problem::RangeNotSatisfiable { len } => (
                "range-not-satisfiable",
                "Range not satisfiable",
                format!("The file has {len} bytes; the requested range lies outside."),
            ),
            Problem::UriTooLong => {
                ("uri-too-long", "The address is too long", "The address is too long: no file has such a long path.".to_owned())
            }
            Problem::HeadersTooLarge => (
                "headers-too-large",
                "Too many header fields",
                "The request's header fields are larger than is read here.".to_owned(),
            ),
            Problem::TooManyConnections(LimitReached::Total) => (
                "crowded",
                "Too many requests at once",
                format!("The service is at its limit. Try again in {RETRY_AFTER} seconds."),
            ),
            Problem::TooManyConnections(LimitReached::PerAddress) => (
                "crowded",
                "Too many requests at once",
                "Your address has as many connections or requests open as one may have. Let some of them end, or ask for more in \
                 one range."
                    .to_owned(),
            ),
            Problem::Internal(_) => (
                "internal",
                "Internal error",
                "The service failed to do this; its log says why. Try again, or tell the operator.".to_owned(),
            ),
        };
        ProblemBody {
            r#type: format!("{TYPE_PREFIX}{kind}"),
            title: reason(self.status()),
            status: self.status().as_u16(),
            detail,
            heading,
            for_people: self.for_people(),
            leads_to: match self {
                Problem::NotCovered(path) => path.clone(),
                _ => None,
            },
        }
    }

    fn for_people(&self) -> Option<&'static str> {
        match self {
            Problem::NoKey => Some(
                "This folder is private. Enter your key as the password; the user name may be anything. \
                 What lies under /files/public/ needs no key.",
            ),
            Problem::UnknownKey => Some(
                "This key is not known here. It may be mistyped, or have been revoked; ask whoever gave it to you.",
            ),
            Problem::ExpiredKey => {
                Some("This key has expired. Ask whoever gave it to you for a new one.")
            }
            _ => None,
        }
    }

    /// Adds the fields that belong to the status (RFC 9110 §11.6.1, §10.2.1, §10.2.3, §14.4).
    fn add_fields(&self, headers: &mut HeaderMap) {
        let mut add = |name, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.append(name, value);
            }
        };
        match self {
            Problem::NoKey | Problem::UnknownKey | Problem::ExpiredKey => {
                add(header::WWW_AUTHENTICATE, BEARER);
                add(header::WWW_AUTHENTICATE, "Basic realm=\"sounding\", charset=\"UTF-8\"");
            }
            Problem::TooManyWrongKeys { retry_after } => {
                add(header::RETRY_AFTER, &retry_after.to_string());
            }
            Problem::TooManyConnections(_) => add(header::RETRY_AFTER, &RETRY_AFTER.to_string()),
            Problem::WrongOffset { offset } => add(UPLOAD_OFFSET, &offset.to_string()),
            Problem::WrongTusVersion => add(TUS_VERSION, tus_headers::VERSION),
            Problem::OnlyMethods(methods) => add(header::ALLOW, methods),
            Problem::RangeNotSatisfiable { len } => {
                add(header::CONTENT_RANGE, &format!("bytes */{len}"));
            }
            _ => {}
        }
        // No cache may store a response that a new key, a rename or a repair would change.
        add(header::CACHE_CONTROL, "no-store");
        add(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        add(header::VARY, "Accept");
    }
}

fn of_transfer(refused: &Refused) -> StatusCode {
    match refused {
        Refused::NoSuch(_) => StatusCode::NOT_FOUND,
        Refused::Over(_) | Refused::Answer(_) => StatusCode::CONFLICT,
        Refused::TooMany | Refused::Ending => StatusCode::SERVICE_UNAVAILABLE,
        Refused::Wrong(_) | Refused::Settings(_) => StatusCode::BAD_REQUEST,
        Refused::Records(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let told = self.body();
        let json = serde_json::to_vec(&told).unwrap_or_default();
        let mut response = Response::new(Body::from(json));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        self.add_fields(headers);
        response.extensions_mut().insert(told);
        match self {
            Problem::Internal(cause) | Problem::NoFeed(cause) => {
                response.extensions_mut().insert(Cause(cause));
            }
            Problem::Unreadable | Problem::Unwritable => {
                response.extensions_mut().insert(PermissionDenied);
            }
            _ => {}
        }
        response
    }
}

/// The status's reason phrase. Status 460 is tus's own.
fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Checksum Mismatch")
}

/// A folder's path for people, from the root.
fn folder(path: &RelPath) -> String {
    format!("/{}", visible(&path.to_plain()))
}

impl Cause {
    /// The whole chain of causes, from what was attempted down to the system's error.
    pub(crate) fn chain(&self) -> String {
        volume::error_chain(&*self.0)
    }
}
