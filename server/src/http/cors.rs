//! CORS: open to every origin. A page from anywhere may send requests, and read everything in a response (Fetch §3.3). Keys are the
//! protection, and they are never in cookies.
//!
//! One kind of key can be used by a page that does not know it: the password of a login, which the browser itself sends with a page's
//! images and scripts. What may need it can be embedded only by pages of the same origin ([`Embedding`]).

use std::time::Duration;

use axum::Router;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tower::Layer as _;
use tower_http::cors::{AllowHeaders, AllowMethods, Any, Cors, CorsLayer};
use volume::RelPath;

/// How long a browser may cache the result of a preflight. Chromium's own limit is two hours.
const PREFLIGHT_LASTS: Duration = Duration::from_hours(2);

/// Responds to every preflight, and allows what it asks for.
pub(crate) fn preflight() -> Cors<Router> {
    let layer = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods(AllowMethods::mirror_request())
        .allow_headers(AllowHeaders::mirror_request())
        .allow_private_network(true)
        .max_age(PREFLIGHT_LASTS)
        // The responses do not depend on the origin.
        .vary([]);
    layer.layer(Router::new())
}

/// Allows scripts of every origin to read a response with all its fields; `*` stands for all, because there are no cookies (Fetch §3.3.3).
/// Problems too: an app must be able to report what went wrong.
pub(crate) fn open(headers: &mut HeaderMap) {
    let all = HeaderValue::from_static("*");
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, all.clone());
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, all);
}

/// Which pages may embed a response, such as an image or a script, by its URL alone (`Cross-Origin-Resource-Policy`, Fetch §3.7). It does
/// not apply to `fetch`, which sends a key of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Embedding {
    /// Pages of every origin: everyone who knows the URL may read the content. Isolated pages, which set `Cross-Origin-Embedder-Policy` to
    /// `require-corp`, need the field to say so.
    Anywhere,
    /// Pages of this origin only. Otherwise another origin's page could embed what only a login opens.
    SameOrigin,
}

impl Embedding {
    /// For a file at a path, and at another real path if a link led there.
    pub fn of(key_is_in_address: bool, path: &RelPath, real_path: Option<&RelPath>) -> Embedding {
        let is_public = path.is_public() && real_path.is_none_or(RelPath::is_public);
        if key_is_in_address || is_public { Embedding::Anywhere } else { Embedding::SameOrigin }
    }

    /// Sets the field.
    pub fn tell(self, headers: &mut HeaderMap) {
        let value = match self {
            Embedding::Anywhere => "cross-origin",
            Embedding::SameOrigin => "same-origin",
        };
        let name = HeaderName::from_static("cross-origin-resource-policy");
        headers.insert(name, HeaderValue::from_static(value));
    }
}
