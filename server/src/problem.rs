//! What a client is told when it can't have what it asked for (RFC 9457).
//!
//! A [`Problem`] holds what a client may know. The cause of a failure of ours rides along in the response for the
//! log and never reaches the client. Problems are written as JSON here; [`for_people`] turns them into a small page
//! for a browser that asks for HTML.

use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use volume::{FindError, Refusal, RelPath};

use crate::page;

/// What begins each problem's `type`; what follows is stable.
const TYPE_PREFIX: &str = "urn:sounding:problem:";

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
    /// The request's key is good, but not here.
    NotCovered,
    /// Too many wrong keys came from this address.
    TooManyWrongKeys {
        /// Seconds until another one is looked at.
        retry_after: u64,
    },
    /// The service itself may not read it.
    Unreadable,
    /// There is no such method here.
    MethodNotAllowed,
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
    /// We failed; the log knows why.
    Internal(Arc<dyn Error + Send + Sync>),
}

/// What was told, for whoever writes it otherwise.
#[derive(Clone, Debug, Serialize)]
struct Told {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: String,
}

/// The cause of a failure of ours, for the log.
#[derive(Clone, Debug)]
pub struct Cause(Arc<dyn Error + Send + Sync>);

impl Problem {
    /// A failure of ours.
    pub fn internal(cause: impl Error + Send + Sync + 'static) -> Problem {
        Problem::Internal(Arc::new(cause))
    }

    fn status(&self) -> StatusCode {
        match self {
            Problem::BadPath(Refusal::Hidden) | Problem::NotFound => StatusCode::NOT_FOUND,
            Problem::BadPath(_) | Problem::BadQuery(_) => StatusCode::BAD_REQUEST,
            Problem::NoKey | Problem::UnknownKey | Problem::ExpiredKey => StatusCode::UNAUTHORIZED,
            Problem::NotCovered | Problem::Unreadable => StatusCode::FORBIDDEN,
            Problem::TooManyWrongKeys { .. } => StatusCode::TOO_MANY_REQUESTS,
            Problem::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Problem::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Problem::RangeNotSatisfiable { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Problem::UriTooLong => StatusCode::URI_TOO_LONG,
            Problem::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Problem::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn told(&self) -> Told {
        let (kind, title, detail) = match self {
            Problem::BadPath(Refusal::Hidden) | Problem::NotFound => {
                ("not-found", "Not found", "There is nothing here by this name.".to_owned())
            }
            Problem::BadPath(refusal) => {
                ("bad-path", "Not a path", format!("This can't be the path of a file: {refusal}."))
            }
            Problem::BadQuery(what) => ("bad-query", "Not understood", what.clone()),
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
            Problem::NotCovered => (
                "key-does-not-cover",
                "Not with this key",
                "Your key is good, but for another folder of this volume.".to_owned(),
            ),
            Problem::TooManyWrongKeys { retry_after } => (
                "too-many-wrong-keys",
                "Too many wrong keys",
                format!("Too many wrong keys came from your address. Try again in {retry_after} seconds."),
            ),
            Problem::Unreadable => (
                "unreadable",
                "The service may not read this",
                "The file's permissions keep the service itself out. Ask the operator to mend them.".to_owned(),
            ),
            Problem::MethodNotAllowed => {
                ("method-not-allowed", "Not that way", "This can only be read: use GET or HEAD.".to_owned())
            }
            Problem::PreconditionFailed => (
                "precondition-failed",
                "Not the version you mean",
                "The file is not the version that the request's condition names; it has changed.".to_owned(),
            ),
            Problem::RangeNotSatisfiable { len } => (
                "range-not-satisfiable",
                "No such bytes",
                format!("The file has {len} bytes; none of what was asked for lies within them."),
            ),
            Problem::UriTooLong => {
                ("uri-too-long", "The address is too long", "No file has so long a path.".to_owned())
            }
            Problem::HeadersTooLarge => (
                "headers-too-large",
                "Too many header fields",
                "The request's header fields are larger than is read here.".to_owned(),
            ),
            Problem::Internal(_) => (
                "internal",
                "Something went wrong here",
                "The service could not do this; its log says why. Try again, or tell the operator.".to_owned(),
            ),
        };
        Told {
            r#type: format!("{TYPE_PREFIX}{kind}"),
            title,
            status: self.status().as_u16(),
            detail,
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
                add(header::WWW_AUTHENTICATE, "Bearer realm=\"sounding\"");
                add(header::WWW_AUTHENTICATE, "Basic realm=\"sounding\", charset=\"UTF-8\"");
            }
            Problem::TooManyWrongKeys { retry_after } => {
                add(header::RETRY_AFTER, &retry_after.to_string());
            }
            Problem::MethodNotAllowed => add(header::ALLOW, "GET, HEAD, OPTIONS"),
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

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        Problem::BadPath(refusal)
    }
}

/// Not every failed look-up is a 404, and not every 404 is a failed look-up: decided here and nowhere else.
impl From<FindError> for Problem {
    fn from(error: FindError) -> Problem {
        match error {
            FindError::Missing { .. } | FindError::NotServed { .. } => Problem::NotFound,
            FindError::Io { path, source } => Problem::from(ReadError { path, source }),
            FindError::WouldBlock { .. } => Problem::internal(error),
        }
    }
}

/// Why a file or folder that was found could not be opened or read.
#[derive(Debug, thiserror::Error)]
#[error("could not read `{path}`")]
pub struct ReadError {
    /// What was found.
    pub path: RelPath,
    /// What the system said.
    pub source: std::io::Error,
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Problem {
        match error.source.kind() {
            std::io::ErrorKind::PermissionDenied => Problem::Unreadable,
            _ => Problem::internal(error),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let told = self.told();
        let json = serde_json::to_vec(&told).unwrap_or_default();
        let mut response = Response::new(Body::from(json));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        self.add_fields(headers);
        response.extensions_mut().insert(told);
        if let Problem::Internal(cause) = self {
            response.extensions_mut().insert(Cause(cause));
        }
        response
    }
}

/// Writes a problem as a small page where a browser asks for HTML.
pub async fn for_people(request: Request, next: Next) -> Response {
    let accepts =
        request.headers().get_all(header::ACCEPT).iter().filter_map(|it| it.to_str().ok());
    let wants_html =
        accepts.flat_map(|it| it.split(',')).any(|it| it.trim_start().starts_with("text/html"));
    let is_head = request.method() == Method::HEAD;
    let mut response = next.run(request).await;
    if !wants_html {
        return response;
    }
    let Some(told) = response.extensions().get::<Told>() else { return response };
    let html = page::of_problem(told.status, told.title, &told.detail);
    let length = html.len();
    *response.body_mut() = if is_head { Body::empty() } else { Body::from(html) };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::CONTENT_SECURITY_POLICY, page::content_security_policy());
    response
}

impl Cause {
    /// The whole chain, from what was attempted down to what the system said.
    pub fn chain(&self) -> String {
        let mut chain = self.0.to_string();
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(chain, ": {cause}").unwrap_or_default();
            source = cause.source();
        }
        chain
    }
}
