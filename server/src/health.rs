//! `GET /health`: 200 as soon as the service can serve; the body says whether anything is amiss.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use serde::Serialize;
use volume::keys::Keys;

use crate::app::App;

#[derive(Serialize)]
struct Health {
    /// `ok`, or `degraded` if there is a warning.
    status: &'static str,
    version: &'static str,
    warnings: Vec<String>,
}

/// Answers without a key, so it says nothing that a stranger may not know.
pub async fn answer(State(app): State<Arc<App>>) -> Response {
    let warnings = warnings(&app, &app.keys());
    let status = if warnings.is_empty() { "ok" } else { "degraded" };
    let health = Health { status, version: env!("CARGO_PKG_VERSION"), warnings };
    let mut response = Json(health).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What is amiss, in words that anyone may read.
pub fn warnings(app: &App, keys: &Keys) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(trouble) = app.key_file.trouble() {
        warnings.push(format!(
            "auth-keys.csv is not in force, the last good keys are: {}",
            trouble.what
        ));
    }
    for notice in &keys.notices {
        warnings.push(format!("auth-keys.csv, line {}: {}", notice.line, notice.what));
    }
    warnings.extend(app.feed.warning());
    warnings.extend(app.activity.kept_out_warning().map(str::to_owned));
    if app.volume.walks() {
        warnings.push("this kernel has no openat2: look-ups are slower".to_owned());
    }
    warnings
}
