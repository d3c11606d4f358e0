//! Wormhole transfers over the admin socket: start, list, follow, answer, cancel.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use http::StatusCode;
use serde::Serialize;
use transfers::transfer::{Answer, Request, TransferStatus};

use crate::app::App;
use crate::extract::query;
use crate::problem::Problem;

/// Longest wait for a change, in seconds.
const LONGEST_WAIT: u64 = 60;

/// All transfers, newest first.
pub(super) async fn list(
    State(app): State<Arc<App>>,
) -> Result<Json<Vec<TransferStatus>>, Problem> {
    Ok(Json(app.transfers.list().await?))
}

/// Starts a transfer. The query's `console` says who does.
pub(super) async fn start(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    Json(request): Json<Request>,
) -> Result<(StatusCode, Json<TransferStatus>), Problem> {
    let by = who(&app, query.as_deref());
    let number = app.transfers.start(request, &by).await?;
    Ok((StatusCode::CREATED, Json(app.transfers.get(number).await?)))
}

/// One transfer. With `change` and `wait`, the response comes when it has changed since, or after that number of seconds.
pub(super) async fn get(
    State(app): State<Arc<App>>,
    Path(number): Path<u64>,
    RawQuery(query): RawQuery,
) -> Result<Json<TransferStatus>, Problem> {
    let change = query::number(query.as_deref(), "change")?;
    let wait = query::number(query.as_deref(), "wait")?.unwrap_or(0).min(LONGEST_WAIT);
    let now = match change {
        Some(change) => app.transfers.follow(number, change, Duration::from_secs(wait)).await?,
        None => app.transfers.get(number).await?,
    };
    Ok(Json(now))
}

/// An operator's answer to an offer.
pub(super) async fn answer(
    State(app): State<Arc<App>>,
    Path(number): Path<u64>,
    Json(answer): Json<Answer>,
) -> Result<StatusCode, Problem> {
    app.transfers.answer(number, answer).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    Path(number): Path<u64>,
    RawQuery(query): RawQuery,
) -> Result<StatusCode, Problem> {
    let by = who(&app, query.as_deref());
    app.transfers.cancel(number, &by).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize)]
pub(super) struct Forgotten {
    forgotten: usize,
}

/// Removes finished transfers from the list.
pub(super) async fn forget(State(app): State<Arc<App>>) -> Result<Json<Forgotten>, Problem> {
    Ok(Json(Forgotten { forgotten: app.transfers.forget().await? }))
}

/// The caller's name, for people.
fn who(app: &App, query: Option<&str>) -> String {
    match query::value(query, "console") {
        Some(id) => {
            let number = app.activity.console(&String::from_utf8_lossy(&id), None);
            format!("console {number}")
        }
        None => "the command line".to_owned(),
    }
}
