//! `GET /health`: 200 as soon as the service can serve; the body says whether anything is amiss.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};
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

/// Answers without a key.
pub(crate) async fn answer(State(app): State<Arc<App>>) -> Response {
    let mut response = Response::new(Body::from(told(&app, &app.key_ring.current())));
    set_fields(response.headers_mut());
    response
}

/// How it is, as JSON. Nothing that a stranger may not know.
pub(crate) fn told(app: &App, keys: &Keys) -> Vec<u8> {
    let warnings = warnings(app, keys);
    let status = if warnings.is_empty() { "ok" } else { "degraded" };
    let health = Health { status, version: env!("CARGO_PKG_VERSION"), warnings };
    // Texts alone can always be written.
    serde_json::to_vec(&health).unwrap_or_default()
}

/// The fields of an answer, but for its length.
pub(crate) fn set_fields(fields: &mut HeaderMap) {
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // As the front says of all that is no file, so that the fast path says it too.
    fields.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

/// What is amiss, in words that anyone may read: no path, and nothing of what the system said. The log and the operator's
/// console have the whole of it.
pub(crate) fn warnings(app: &App, keys: &Keys) -> Vec<String> {
    let mut warnings = Vec::new();
    if app.key_ring.file.trouble().is_some() {
        warnings.push(
            "auth-keys.csv is not in force, the last good keys are: the log says why".to_owned(),
        );
    }
    for notice in &keys.notices {
        warnings.push(format!("auth-keys.csv, line {}: {}", notice.line, notice.what));
    }
    warnings.extend(app.disk.warnings());
    warnings.extend(app.feed.warning().map(|it| it.public));
    warnings.extend(app.activity.kept_out_warning().map(str::to_owned));
    if app.volume.walks() {
        warnings.push("this kernel has no openat2: look-ups are slower".to_owned());
    }
    warnings
}
