//! Wormhole transfers, over the admin socket: started, listed, followed, answered, cancelled.

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

/// No follower waits longer for one answer.
const LONGEST_WAIT: u64 = 60;

/// All of them, the newest first.
pub(super) async fn list(
    State(app): State<Arc<App>>,
) -> Result<Json<Vec<TransferStatus>>, Problem> {
    Ok(Json(app.transfers.list().await?))
}

/// A new one. `console`: who asks.
pub(super) async fn start(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    Json(request): Json<Request>,
) -> Result<(StatusCode, Json<TransferStatus>), Problem> {
    let by = who(&app, query.as_deref());
    let number = app.transfers.start(request, &by).await?;
    Ok((StatusCode::CREATED, Json(app.transfers.get(number).await?)))
}

/// One of them; with `change` and `wait` as soon as it has changed since, or after so many seconds.
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

/// What an operator says to an offer.
pub(super) async fn answer(
    State(app): State<Arc<App>>,
    Path(number): Path<u64>,
    Json(answer): Json<Answer>,
) -> Result<StatusCode, Problem> {
    app.transfers.answer(number, answer).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// It is not wanted any more.
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

/// Those that are over are forgotten.
pub(super) async fn forget(State(app): State<Arc<App>>) -> Result<Json<Forgotten>, Problem> {
    Ok(Json(Forgotten { forgotten: app.transfers.forget().await? }))
}

/// Who asks, as people call them.
fn who(app: &App, query: Option<&str>) -> String {
    match query::value(query, "console") {
        Some(id) => {
            let number = app.activity.console(&String::from_utf8_lossy(&id), None);
            format!("console {number}")
        }
        None => "the command line".to_owned(),
    }
}
