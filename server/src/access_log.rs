//! One line a request, written when its last byte has gone out or its client has.
//!
//! Method, path, status, bytes, duration, the user's name. Never a key, nor the query, where people put secrets.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::{Method, StatusCode};
use http_body::{Body as _, Frame, SizeHint};

use crate::auth::Peer;
use crate::problem::Cause;
use crate::visit::without_key;

/// What the log says, as nginx does, when the client went away before there was an answer.
const CLIENT_GONE: u16 = 499;

/// Where a request's user is written down for its line. Set once, when the caller is known.
#[derive(Clone, Debug, Default)]
pub struct LogUser(Arc<OnceLock<String>>);

impl LogUser {
    /// Names the user.
    pub fn set(&self, user: &str) {
        self.0.get_or_init(|| user.to_owned());
    }
}

/// Middleware, outermost of all.
pub async fn log(mut request: Request, next: Next) -> Response {
    let user = LogUser::default();
    request.extensions_mut().insert(user.clone());
    let peer = request.extensions().get::<Peer>().copied().unwrap_or(Peer { address: None });
    let mut line = Line {
        began: Instant::now(),
        method: request.method().clone(),
        path: without_key(request.uri().path()),
        client: peer.client(request.headers()),
        user,
        status: None,
        bytes: 0,
        is_complete: false,
    };
    let response = next.run(request).await;
    if let Some(cause) = response.extensions().get::<Cause>() {
        tracing::error!(method = %line.method, path = %Escaped(&line.path), "{}", cause.chain());
    }
    line.status = Some(response.status());
    response.map(|body| Body::new(LoggedBody { is_complete: body.is_end_stream(), body, line }))
}

/// What the line says. Written when dropped, which happens however a request ends.
struct Line {
    began: Instant,
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
        let user = self.user.0.get().map_or("-", String::as_str);
        #[expect(clippy::cast_possible_truncation, reason = "a request does not last that long")]
        let micros = self.began.elapsed().as_micros() as u64;
        // HEAD has no body to complete.
        let ended =
            if self.is_complete || self.method == Method::HEAD { "complete" } else { "aborted" };
        tracing::info!(
            target: "access",
            method = %self.method,
            path = %Escaped(&self.path),
            status = self.status.map_or(CLIENT_GONE, |it| it.as_u16()),
            bytes = self.bytes,
            micros,
            user = %Escaped(user),
            client = %self.client,
            ended,
        );
    }
}

/// A stranger's text in one line of the log.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.escape_debug())
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
            Some(Ok(frame)) => self.line.bytes += frame.data_ref().map_or(0, |it| it.len() as u64),
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
