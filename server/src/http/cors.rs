//! Open to every origin: a page from anywhere may ask, and read all that an answer says (Fetch §3.3). Keys are the protection, and
//! they never ride on cookies.
//!
//! There is one key that a page need not have to use it: the password that a browser keeps of a login and sends along with a page's
//! images and scripts by itself. What may need it is embedded by pages of this origin only ([`Embedding`]).

use std::time::Duration;

use axum::Router;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tower::Layer as _;
use tower_http::cors::{AllowHeaders, AllowMethods, Any, Cors, CorsLayer};
use volume::RelPath;

/// How long a browser may remember what a preflight allowed. Chromium's own limit is two hours.
const PREFLIGHT_LASTS: Duration = Duration::from_hours(2);

/// Answers preflights, whatever they ask for.
pub(crate) fn preflight() -> Cors<Router> {
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
pub(crate) fn open(headers: &mut HeaderMap) {
    let all = HeaderValue::from_static("*");
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, all.clone());
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, all);
}

/// Which pages may embed an answer, as an image or a script, by its address alone (`Cross-Origin-Resource-Policy`, Fetch §3.7). Says
/// nothing of `fetch`, which brings a key of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Embedding {
    /// Pages of every origin: whoever knows the address may read what is there. Pages that are isolated
    /// (`Cross-Origin-Embedder-Policy: require-corp`) must be told so.
    Anywhere,
    /// Pages of this origin: another's would come by what only a login opens.
    SameOrigin,
}

impl Embedding {
    /// Of what lies at a path, and really elsewhere where a link led there.
    pub fn of(key_is_in_address: bool, path: &RelPath, real_path: Option<&RelPath>) -> Embedding {
        let is_public = path.is_public() && real_path.is_none_or(RelPath::is_public);
        if key_is_in_address || is_public { Embedding::Anywhere } else { Embedding::SameOrigin }
    }

    /// Says so.
    pub fn tell(self, headers: &mut HeaderMap) {
        let value = match self {
            Embedding::Anywhere => "cross-origin",
            Embedding::SameOrigin => "same-origin",
        };
        let name = HeaderName::from_static("cross-origin-resource-policy");
        headers.insert(name, HeaderValue::from_static(value));
    }
}
