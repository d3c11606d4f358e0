//! What a client is told when it can't have what it asked for (RFC 9457).
//!
//! A [`Problem`] holds what a client may know. The cause of a failure of ours rides along in the response for the
//! log and never reaches the client. Problems are written as JSON here; [`page`] turns them into a small page
//! for a browser that asks for HTML.

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

/// What begins each problem's `type`; what follows is stable.
const TYPE_PREFIX: &str = "urn:sounding:problem:";

/// What a client without a good key is asked for, if it can send a field. No browser asks people for it.
const BEARER: &str = "Bearer realm=\"sounding\"";

/// Seconds after which there may be room again.
const RETRY_AFTER: u32 = 10;

/// Why a request isn't answered with what it asked for.
#[derive(Debug)]
pub enum Problem {
    /// The path can't be one on a volume.
    BadPath(Refusal),
    /// A parameter of the query can't be understood.
    BadQuery(String),
    /// Nothing is there that is served.
    NotFound,
    /// The path is private and there is no key in the request.
    NoKey,
    /// The path is private and the request's key is none of ours.
    UnknownKey,
    /// The request's key was good once.
    ExpiredKey,
    /// The request's key is good, but not here: it covers another folder, which its holder may know.
    NotCovered(Option<RelPath>),
    /// The request's key is good here, but only for reading.
    ReadOnlyKey,
    /// Too many wrong keys came from this address.
    TooManyWrongKeys {
        /// Seconds until another one is looked at.
        retry_after: u64,
    },
    /// The service itself may not read it.
    Unreadable,
    /// The service itself may not write there.
    Unwritable,
    /// The volume was unmounted, moved or removed, or the service's own folder on it was.
    VolumeLost,
    /// There is no such method here.
    MethodNotAllowed,
    /// There is no such method here, but these, which the router does not know of.
    OnlyMethods(&'static str),
    /// No such method is known.
    UnknownMethod,
    /// The body is in a transfer coding that is not known.
    TransferCoding,
    /// A field of the request's header can't be understood.
    BadField(String),
    /// The body is coded, and would have to be unpacked.
    ContentCoding,
    /// Something has the name already, and shall not be replaced.
    Exists,
    /// A folder has the name, where a file is meant.
    IsFolder,
    /// Something on the way is a file.
    NotAFolder,
    /// The volume is too full.
    NoRoom,
    /// What came is not what was sent.
    DigestMismatch {
        /// The digest's name.
        algorithm: &'static str,
    },
    /// Nothing came for too long.
    Stalled,
    /// More came than was announced.
    TooLong,
    /// A newer request goes on with the same upload.
    TakenOver,
    /// The upload stands elsewhere than the client believes.
    WrongOffset {
        /// Bytes that have come.
        offset: u64,
    },
    /// Bytes of a resumable upload are not those that were sent.
    ChecksumMismatch,
    /// The client speaks another version of tus, or none.
    WrongTusVersion,
    /// A transfer can't be had or changed so.
    Transfer(Refused),
    /// The change feed can't be had.
    NoFeed(Arc<dyn Error + Send + Sync>),
    /// A request to go on with an upload does not say so.
    WrongContentType,
    /// A joined upload takes no bytes of its own.
    FinalUpload,
    /// A part is no part, is not complete, or is another user's.
    BadPart(String),
    /// The body ended before its end.
    BrokenOff(String),
    /// A condition in the request does not hold.
    PreconditionFailed,
    /// The file has no such bytes.
    RangeNotSatisfiable {
        /// The file's length in bytes.
        len: u64,
    },
    /// The URI is longer than is read.
    UriTooLong,
    /// The header fields are longer than is read.
    HeadersTooLarge,
    /// As many are here as there is room for.
    TooManyConnections(LimitReached),
    /// We failed; the log knows why.
    Internal(Arc<dyn Error + Send + Sync>),
}

/// What was told, for whoever writes it otherwise.
#[derive(Clone, Debug, Serialize)]
struct ProblemBody {
    r#type: String,
    /// The status's reason phrase (RFC 9110 §15).
    title: &'static str,
    status: u16,
    detail: String,
    /// What heads the page.
    #[serde(skip)]
    heading: &'static str,
    /// The detail for people who look at a page, where a browser can ask them for a key.
    #[serde(skip)]
    for_people: Option<&'static str>,
    /// What the reader may have instead, for a link to it.
    #[serde(skip)]
    leads_to: Option<RelPath>,
}

/// The cause of a failure of ours, for the log.
#[derive(Clone, Debug)]
pub(crate) struct Cause(Arc<dyn Error + Send + Sync>);

/// Permissions on the volume kept the service itself out, which its operator should know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PermissionDenied;

impl Problem {
    /// A failure of ours.
    pub fn internal(cause: impl Error + Send + Sync + 'static) -> Problem {
        Problem::Internal(Arc::new(cause))
    }

    /// A method that can't be had here, or that is none of HTTP's own (RFC 9110 §15.6.2).
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

    /// A failure of the disk: it is full, or it is ours to mend.
    pub fn of_disk(cause: std::io::Error) -> Problem {
        let kind = cause.kind();
        Problem::of_write(kind, cause)
    }

    /// A change of the tree that the disk did not take.
    fn of_write(kind: ErrorKind, cause: impl Error + Send + Sync + 'static) -> Problem {
        match kind {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Problem::NoRoom,
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Problem::Unwritable,
            // Of our own (`volume::Loss`), and the system's of a file server that is gone.
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

    /// The fields that go with the status (RFC 9110 §11.6.1, §10.2.1, §10.2.3, §14.4).
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
        // No cache may keep what a key, a rename or a repair would change.
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

/// A status's reason phrase; tus has one of its own, 460.
fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Checksum Mismatch")
}

/// A folder for people, from the root.
fn folder(path: &RelPath) -> String {
    format!("/{}", visible(&path.to_plain()))
}

impl Cause {
    /// The whole chain, from what was attempted down to what the system said.
    pub(crate) fn chain(&self) -> String {
        volume::error_chain(&*self.0)
    }
}
