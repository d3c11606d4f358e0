//! One line a request, written when its last byte has gone out or its client has.
//!
//! Method, path, status, bytes, duration, the user's name. Never a key, nor the query, where people put secrets.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use http_body::{Body as _, Frame, SizeHint};

use crate::activity::{Activity, Ended, Open};
use crate::auth::Peer;
use crate::problem::{Cause, KeptOut};
use crate::visit::without_key;
use crate::wake;

/// What the log says, as nginx does, when the client went away before there was an answer.
const CLIENT_GONE: u16 = 499;

/// Where a request's user is written down for its line. Set once, when the caller is known.
#[derive(Clone, Debug, Default)]
pub struct LogUser(Arc<OnceLock<(String, Option<String>)>>);

impl LogUser {
    /// Names the user, and the id of the key, if that is good.
    pub fn set(&self, user: &str, key: Option<String>) {
        self.0.get_or_init(|| (user.to_owned(), key));
    }

    /// The user's name, once it is known.
    pub fn name(&self) -> Option<&str> {
        self.0.get().map(|it| it.0.as_str())
    }

    /// The id of the user's key.
    pub fn key(&self) -> Option<&str> {
        self.0.get()?.1.as_deref()
    }
}

/// Middleware, outermost of all.
pub async fn log(
    State(activity): State<Arc<Activity>>,
    mut request: Request,
    next: Next,
) -> Response {
    let user = LogUser::default();
    request.extensions_mut().insert(user.clone());
    let peer = request.extensions().get::<Peer>().copied().unwrap_or(Peer { address: None });
    let (method, path) = (request.method().clone(), without_key(request.uri().path()));
    let client = peer.client(request.headers());
    let pattern = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let open = activity.begin(&method, &path, pattern, client, user.clone());
    wake::came(&activity, &open, (&method, &path, client), request.headers());
    if !matches!(method, Method::GET | Method::HEAD | Method::OPTIONS) {
        open.expect(length(request.headers()), None);
        let (activity, open) = (Arc::clone(&activity), Arc::clone(&open));
        request = request.map(|body| Body::new(ReceivedBody { body, activity, open }));
    }
    let mut line = Line {
        activity,
        open,
        latency: None,
        method,
        path,
        client,
        user,
        status: None,
        bytes: 0,
        is_complete: false,
    };
    let response = next.run(request).await;
    line.latency = Some(line.open.elapsed());
    if line.method == Method::GET {
        let range = response.headers().get(header::CONTENT_RANGE).and_then(|it| it.to_str().ok());
        line.open.expect(length(response.headers()), range);
    }
    if let Some(cause) = response.extensions().get::<Cause>() {
        tracing::error!(method = %line.method, path = %Escaped(&line.path), "{}", cause.chain());
    }
    if response.extensions().get::<KeptOut>().is_some() {
        tracing::warn!(
            method = %line.method,
            path = %Escaped(&line.path),
            "permissions on the volume kept the service out",
        );
        line.activity.kept_out();
    }
    line.status = Some(response.status());
    line.activity.answered(&line.open, response.status().as_u16());
    line.activity.counted.answered(&line.method, response.status(), response.headers());
    response.map(|body| Body::new(LoggedBody { is_complete: body.is_end_stream(), body, line }))
}

/// What the line says. Written when dropped, which happens however a request ends.
struct Line {
    activity: Arc<Activity>,
    open: Arc<Open>,
    /// Until the answer began.
    latency: Option<Duration>,
    method: Method,
    path: String,
    client: IpAddr,
    user: LogUser,
    /// None while there is no answer yet.
    status: Option<StatusCode>,
    bytes: u64,
    is_complete: bool,
}

impl Drop for Line {
    fn drop(&mut self) {
        let user = self.user.name().unwrap_or("-");
        let took = self.open.elapsed();
        #[expect(clippy::cast_possible_truncation, reason = "a request does not last that long")]
        let micros = took.as_micros() as u64;
        // HEAD has no body to complete.
        let is_complete = self.is_complete || self.method == Method::HEAD;
        let ended = if is_complete { "complete" } else { "aborted" };
        let status = self.status.map_or(CLIENT_GONE, |it| it.as_u16());
        let latency = self.latency.unwrap_or(took);
        self.activity.end(&self.open, Ended { status, latency, is_complete });
        tracing::info!(
            target: "access",
            method = %self.method,
            path = %Escaped(&self.path),
            status,
            bytes = self.bytes,
            micros,
            user = %Escaped(user),
            client = %self.client,
            ended,
        );
    }
}

/// A stranger's text in one line of the log.
pub struct Escaped<'a>(pub &'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.escape_debug())
    }
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Counts what comes in.
struct ReceivedBody {
    body: Body,
    activity: Arc<Activity>,
    open: Arc<Open>,
}

impl http_body::Body for ReceivedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            self.activity.received(&self.open, frame.data_ref().map_or(0, |it| it.len() as u64));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Counts what goes out.
struct LoggedBody {
    body: Body,
    line: Line,
    is_complete: bool,
}

impl Drop for LoggedBody {
    fn drop(&mut self) {
        self.line.is_complete = self.is_complete;
    }
}

impl http_body::Body for LoggedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, |it| it.len() as u64);
                self.line.bytes += bytes;
                self.line.activity.sent(&self.line.open, bytes);
            }
            Some(Err(error)) => {
                let path = Escaped(&self.line.path);
                tracing::warn!(%path, "the answer was cut off: {error}");
            }
            None => self.is_complete = true,
        }
        if self.body.is_end_stream() && !matches!(frame, Some(Err(_))) {
            self.is_complete = true;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
