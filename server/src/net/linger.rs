//! Reads the rest of a refused request's body.
//!
//! A request may be refused before its body was received. If the connection were closed then, a client that is still sending would get a
//! reset and might never read the response (RFC 9112 §9.6). So the rest of the body is read and discarded for a while, while the response
//! is sent. A client that waits for `100 Continue` sends nothing, and is not told to: hyper then closes its connection, and the response
//! says so (RFC 9110 §10.1.1).
//!
//! Size and time are limited, because a refused client may send without end. At a limit the connection is closed.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http::{Version, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;

/// How long a refused client may go on sending.
const LONGEST: Duration = Duration::from_secs(20);
/// Bytes that a refused client may go on sending: enough for most files, so that a client that reads only after it has sent everything gets
/// the response.
const MOST: usize = 64 << 20;

/// State of a client that waits for `100 Continue`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting {
    is_asked: Arc<AtomicBool>,
}

impl Waiting {
    /// Whether the body was never read, so that the client was not told to send it.
    pub(crate) fn is_in_vain(&self) -> bool {
        !self.is_asked.load(Relaxed)
    }
}

/// Wraps a request's body, if it has one, so that its rest is read when the body is dropped. Returns also the state of the expectation, if
/// the client waits for `100 Continue`.
pub(crate) fn linger(request: Request) -> (Request, Option<Waiting>) {
    if request.body().is_end_stream() {
        return (request, None);
    }
    let waiting = waits(&request).then(Waiting::default);
    let its = waiting.clone();
    (request.map(|body| Body::new(Lingering { body, waiting: its, is_done: false })), waiting)
}

/// Whether the client waits for `100 Continue`, by hyper's rule: HTTP/1.0 clients and those with another expectation send the body at once.
fn waits(request: &Request) -> bool {
    let expected = request.headers().get_all(header::EXPECT).iter().next_back();
    request.version() >= Version::HTTP_11
        && expected.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

struct Lingering {
    body: Body,
    waiting: Option<Waiting>,
    is_done: bool,
}

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(waiting) = &self.waiting {
            waiting.is_asked.store(true, Relaxed);
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        self.is_done = !matches!(frame, Some(Ok(_)));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let is_silent = self.waiting.as_ref().is_some_and(Waiting::is_in_vain);
        if is_silent || self.is_done || self.body.is_end_stream() {
            return;
        }
        let mut rest = std::mem::take(&mut self.body);
        let drain = async move {
            let mut left = MOST;
            while let Some(Ok(frame)) = rest.frame().await {
                let length = frame.data_ref().map_or(0, Bytes::len);
                let Some(less) = left.checked_sub(length) else { return };
                left = less;
            }
        };
        // Both outcomes, end of the body and time-out, are fine.
        tokio::spawn(async { tokio::time::timeout(LONGEST, drain).await.unwrap_or_default() });
    }
}
