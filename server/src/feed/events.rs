//! `GET /events`: changes as server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
//!
//! A proxy that puts idle machines to sleep keeps a machine awake as long as a connection is open. So a stream without changes ends after a
//! while, and says when to come back. A browser that reconnects gets the missed changes by `Last-Event-ID`. A service that [shuts down when
//! idle](crate::idle) ends all streams in the same way first.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use tokio::sync::watch;
use tokio::time::Instant;

use super::changes;
use super::reader::{Batch, FeedReader, parse_cursor};
use crate::app::App;
use crate::extract::query;
use crate::problem::Problem;

/// Interval of comments that keep the connection alive.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Default and largest `quiet`, in seconds: without a change for this long, the stream ends.
const QUIET: u64 = 5 * 60;
const LONGEST_QUIET: u64 = 60 * 60;
/// When a browser should reconnect after a lost connection, in milliseconds,
const RETRY: u32 = 3_000;
/// and after a quiet end. The page may do so earlier when somebody looks at it.
const RETRY_AFTER_QUIET: u32 = 3_600_000;
/// The same if reconnecting would wake a machine.
const RETRY_AFTER_SLEEP: u32 = 86_400_000;
/// Largest number of rows per batch.
const ROWS: usize = 1000;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells nginx not to buffer events.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

struct Events {
    app: Arc<App>,
    following: FeedReader,
    news: watch::Receiver<u64>,
    quiet: Duration,
    quiet_at: Instant,
    has_begun: bool,
    is_over: bool,
}

/// The handler for `GET /events`.
pub(crate) async fn answer(
    State(app): State<Arc<App>>,
    mut following: FeedReader,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if let Some(id) = headers.get(LAST_EVENT_ID).filter(|it| !it.is_empty()) {
        following.cursor = Some(parse_cursor(id.as_bytes())?);
    }
    let quiet = query::number_within(uri.query(), "quiet", 0..=LONGEST_QUIET)?.unwrap_or(QUIET);
    let quiet = Duration::from_secs(quiet);
    app.idle.rouse();
    let news = app.feed.last.subscribe();
    let quiet_at = Instant::now() + quiet;
    let mut events =
        Events { app, following, news, quiet, quiet_at, has_begun: false, is_over: false };
    // A failure of the first batch becomes an error response, not a stream that breaks off.
    let first = events.next().await?;
    let rest = stream::unfold(events, async |mut events| {
        if events.is_over {
            return None;
        }
        let next = events.next().await;
        Some((next.map_err(|_told| std::io::Error::other("the stream can't go on")), events))
    });
    let body = futures_util::StreamExt::chain(stream::iter([Ok(first)]), rest);
    let mut response = Response::new(Body::from_stream(body));
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

impl Events {
    /// The next text of the stream: events, a heartbeat, or the end.
    async fn next(&mut self) -> Result<Bytes, Problem> {
        let heartbeat = Instant::now() + HEARTBEAT;
        loop {
            self.news.borrow_and_update();
            let begin = self.following.cursor;
            let mut batch = self.following.next(ROWS).await?;
            if self.following.is_folded && !batch.rows.is_empty() {
                changes::settle(&self.app, &mut self.news).await;
                self.following.cursor = begin;
                batch = self.following.next(ROWS).await?;
            }
            if batch.is_fresh || !batch.rows.is_empty() || !self.has_begun {
                self.quiet_at = Instant::now() + self.quiet;
                return Ok(self.write(&batch));
            }
            let end = tokio::select! {
                _ = self.news.changed() => continue,
                () = tokio::time::sleep_until(heartbeat) => None,
                () = tokio::time::sleep_until(self.quiet_at) => Some(RETRY_AFTER_QUIET),
                () = self.app.idle.dozes() => Some(RETRY_AFTER_SLEEP),
                () = self.app.ending.cancelled() => Some(RETRY),
            };
            let Some(retry) = end else { return Ok(Bytes::from_static(b":\n\n")) };
            self.is_over = true;
            let id = batch.cursor;
            return Ok(format!("retry: {retry}\nevent: sleep\nid: {id}\ndata: {{}}\n\n").into());
        }
    }

    fn write(&mut self, batch: &Batch) -> Bytes {
        let mut out = String::new();
        if !std::mem::replace(&mut self.has_begun, true) {
            let _infallible = write!(out, "retry: {RETRY}\n\n");
        }
        if batch.is_fresh {
            out.push_str("event: fresh\ndata: {}\n\n");
        }
        for row in &batch.rows {
            match serde_json::to_string(row) {
                Ok(json) => {
                    let _infallible = write!(out, "event: change\ndata: {json}\n");
                    if let Some(cursor) = row.cursor {
                        let _infallible = writeln!(out, "id: {cursor}");
                    }
                    out.push('\n');
                }
                Err(error) => tracing::error!("could not write a change as JSON: {error}"),
            }
        }
        // Without data, so no event is dispatched; but the browser remembers the ID, and continues from it.
        let _infallible = write!(out, "id: {}\n\n", batch.cursor);
        out.into()
    }
}
