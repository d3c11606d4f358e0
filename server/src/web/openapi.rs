//! `GET /openapi.json`: the description of the HTTP API, written by hand next to this file.

use axum::response::IntoResponse;
use http::header;

const DESCRIPTION: &str = include_str!("openapi.json");

/// The description, with this program's version.
pub(crate) async fn answer() -> impl IntoResponse {
    let description =
        DESCRIPTION.replace("\"VERSION\"", concat!("\"", env!("CARGO_PKG_VERSION"), "\""));
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")], description)
}
