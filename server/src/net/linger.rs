//! Bodies that nobody reads to their end.
//!
//! A request may be refused before its body came. A client that is still sending would have its connection reset, and
//! might never read why; so what is left of a body is read and thrown away for a while, while the answer goes out.
//! RFC 9112 §9.6 describes the danger. A client that waits for `100 Continue` sends nothing, and is not asked to: hyper then
//! closes its connection, and the answer says so (RFC 9110 §10.1.1).
//!
//! How much and how long has a limit each: whoever is refused may send on for ever, and nobody asked for it. Then the
//! connection is closed.

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
/// Bytes that it may go on to send: enough for most files, so that clients that listen only when all has gone learn why.
const MOST: usize = 64 << 20;

/// A client that waits to be asked for its body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting {
    is_asked: Arc<AtomicBool>,
}

impl Waiting {
    /// Whether it waits in vain: its body was not read.
    pub(crate) fn is_in_vain(&self) -> bool {
        !self.is_asked.load(Relaxed)
    }
}

/// Lets a request's body linger, if it has one; tells whether its client waits to be asked for that.
pub(crate) fn linger(request: Request) -> (Request, Option<Waiting>) {
    if request.body().is_end_stream() {
        return (request, None);
    }
    let waiting = waits(&request).then(Waiting::default);
    let its = waiting.clone();
    (request.map(|body| Body::new(Lingering { body, waiting: its, is_done: false })), waiting)
}

/// As hyper sees it. Whoever speaks HTTP/1.0, or expects anything else, sends its body at once.
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
        // Whether it came to its end makes no difference to anyone.
        tokio::spawn(async { tokio::time::timeout(LONGEST, drain).await.unwrap_or_default() });
    }
}
