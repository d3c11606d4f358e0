//! `GET /health`: 200 as soon as the service can serve. The body reports warnings.

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
    /// `ok`, or `degraded` if there are warnings.
    status: &'static str,
    version: &'static str,
    warnings: Vec<String>,
}

/// The handler. It needs no key.
pub(crate) async fn answer(State(app): State<Arc<App>>) -> Response {
    let mut response = Response::new(Body::from(told(&app, &app.key_ring.current())));
    set_fields(response.headers_mut());
    response
}

/// The body, as JSON. It contains nothing that a stranger must not know.
pub(crate) fn told(app: &App, keys: &Keys) -> Vec<u8> {
    let warnings = warnings(app, keys);
    let status = if warnings.is_empty() { "ok" } else { "degraded" };
    let health = Health { status, version: env!("CARGO_PKG_VERSION"), warnings };
    // Plain strings can always be serialized.
    serde_json::to_vec(&health).unwrap_or_default()
}

/// Sets the response's header fields, except for its length.
pub(crate) fn set_fields(fields: &mut HeaderMap) {
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // The fast path writes these fields too, so this one is here and not only in `service`, which adds it to every response that is no
    // file.
    fields.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

/// The warnings in words that anyone may read: without paths and without the system's errors. Those are in the log and on the operator's
/// console.
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
