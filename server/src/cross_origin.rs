//! Open to every origin: a page from anywhere may ask, and read all that an answer says (Fetch §3.3). Keys are the protection, and
//! they never ride on cookies.

use std::sync::LazyLock;
use std::time::Duration;

use axum::Router;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tower::Layer as _;
use tower_http::cors::{AllowHeaders, AllowMethods, Any, Cors, CorsLayer};

use crate::digest;
use crate::listing;
use crate::tus;

/// How long a browser may remember what a preflight allowed. Chromium's own limit is two hours.
const PREFLIGHT_LASTS: Duration = Duration::from_hours(2);

/// The fields that an app on another origin may read.
static EXPOSED: LazyLock<HeaderValue> = LazyLock::new(|| {
    let ours = [
        header::ACCEPT_RANGES,
        header::CONTENT_DISPOSITION,
        header::CONTENT_ENCODING,
        header::CONTENT_LENGTH,
        header::CONTENT_LOCATION,
        header::CONTENT_RANGE,
        header::DATE,
        header::ETAG,
        header::LAST_MODIFIED,
        header::LINK,
        header::LOCATION,
        header::RETRY_AFTER,
        digest::REPR_DIGEST,
        listing::TOTAL_COUNT,
    ];
    let names: Vec<HeaderName> = ours.into_iter().chain(tus::EXPOSED).collect();
    let names: Vec<&str> = names.iter().map(HeaderName::as_str).collect();
    HeaderValue::from_str(&names.join(",")).unwrap_or(HeaderValue::from_static("*"))
});

/// Answers preflights, whatever they ask for.
pub fn preflight() -> Cors<Router> {
    let layer = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods(AllowMethods::mirror_request())
        .allow_headers(AllowHeaders::mirror_request())
        .allow_private_network(true)
        .max_age(PREFLIGHT_LASTS)
        // The answers do not depend on the origin.
        .vary([]);
    layer.layer(Router::new())
}

/// Lets an answer be read. Problems too: an app on another origin must be able to read them.
pub fn open(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED.clone());
}
