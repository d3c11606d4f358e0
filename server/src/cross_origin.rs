//! Open to every origin: a page from anywhere may ask, and read all that an answer says (Fetch §3.3). Keys are the protection, and
//! they never ride on cookies.

use std::time::Duration;

use axum::Router;
use http::{HeaderMap, HeaderValue, header};
use tower::Layer as _;
use tower_http::cors::{AllowHeaders, AllowMethods, Any, Cors, CorsLayer};

/// How long a browser may remember what a preflight allowed. Chromium's own limit is two hours.
const PREFLIGHT_LASTS: Duration = Duration::from_hours(2);

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

/// Lets an answer be read, with all its fields, which `*` stands for where no cookies are (Fetch §3.3.3). Problems too: an app must
/// be able to tell what went wrong.
pub fn open(headers: &mut HeaderMap) {
    let all = HeaderValue::from_static("*");
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, all.clone());
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, all);
}
