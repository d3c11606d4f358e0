//! `GET /changes`: the changes after a cursor, at once or as soon as there are any (long polling).

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Uri, header};
use serde::Serialize;
use tokio::time::Instant;

use super::reader::{Batch, FeedReader};
use super::row::ChangeJson;
use crate::app::App;
use crate::extract::query;
use crate::problem::Problem;

/// Default and largest number of rows in a response.
const ROWS: usize = 1000;
const MOST_ROWS: usize = 10_000;
/// Longest `wait` in seconds. Proxies give up after about a minute.
const LONGEST_WAIT: u64 = 60;
/// A folder that is being added is reported as one row after this long without a change,
const QUIET: Duration = Duration::from_secs(3);
/// or after this long at the latest.
const LONGEST_FOLD: Duration = Duration::from_mins(1);

#[derive(Serialize)]
struct ChangesResponse {
    cursor: String,
    /// Whether the cursor could not be used, so that the client must list everything again.
    fresh: bool,
    changes: Vec<ChangeJson>,
}

/// The handler for `GET /changes`.
pub(crate) async fn answer(
    State(app): State<Arc<App>>,
    mut following: FeedReader,
    uri: Uri,
) -> Result<Response, Problem> {
    let limit = query::number_within(uri.query(), "limit", 1..=MOST_ROWS)?.unwrap_or(ROWS);
    let wait = query::number_within(uri.query(), "wait", 0..=LONGEST_WAIT)?.unwrap_or(0);
    let wait = Duration::from_secs(wait);
    let until = Instant::now() + wait;
    app.idle.rouse();
    let mut news = app.feed.last.subscribe();
    let batch = loop {
        news.borrow_and_update();
        let begin = following.cursor;
        let batch = following.next(limit).await?;
        if batch.is_fresh || !batch.rows.is_empty() {
            if following.is_folded && !wait.is_zero() && !batch.is_fresh {
                settle(&app, &mut news).await;
                following.cursor = begin.or(following.cursor);
                break following.next(limit).await?;
            }
            break batch;
        }
        let is_over = tokio::select! {
            changed = news.changed() => changed.is_err(),
            () = tokio::time::sleep_until(until) => true,
            () = app.idle.dozes() => true,
            () = app.ending.cancelled() => true,
        };
        if is_over {
            break batch;
        }
    };
    Ok(respond(batch))
}

fn respond(batch: Batch) -> Response {
    let Batch { is_fresh, rows, cursor } = batch;
    let answer = ChangesResponse { cursor: cursor.to_string(), fresh: is_fresh, changes: rows };
    let mut response = Json(answer).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Waits until there has been no change for a while: then an added folder is complete.
pub(super) async fn settle(app: &App, news: &mut tokio::sync::watch::Receiver<u64>) {
    let quiet =
        async { while let Ok(Ok(())) = tokio::time::timeout(QUIET, news.changed()).await {} };
    tokio::select! {
        () = quiet => {}
        () = tokio::time::sleep(LONGEST_FOLD) => {}
        () = app.idle.dozes() => {}
        () = app.ending.cancelled() => {}
    }
}
