//! What is counted from the start on, for Prometheus.
//!
//! A request costs some atomic additions and one look-up by its route and status. A route is the pattern that it is
//! matched by, never a path: paths are without end, and they are people's.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, header};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::launch::Launch;

/// The router's patterns. What is missing here counts as [`OTHER`].
const ROUTES: [&str; 17] = [
    OTHER,
    "/",
    "/files",
    "/files/",
    "/files/{*path}",
    "/share/{key}",
    "/share/{key}/",
    "/share/{key}/{*path}",
    "/uploads",
    "/uploads/",
    "/uploads/{id}",
    "/changes",
    "/events",
    "/health",
    "/openapi.json",
    "/sounding.js",
    "/sounding.d.ts",
];
/// Whatever leads nowhere.
const OTHER: &str = "other";
/// Seconds until an answer begins: from a page in memory to a wait for changes.
const FIRST_BYTE: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// Seconds until it has gone out: from a listing to tens of gigabytes.
const LAST_BYTE: [f64; 11] = [0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0];

/// The labels of what is counted by route.
type Route = [(&'static str, &'static str); 1];
/// Histograms by route, and how a new one is made.
type Histograms = Family<Route, Histogram, fn() -> Histogram>;

/// All that is counted.
#[derive(Debug)]
pub struct Counted {
    requests: Family<Answered, Counter>,
    ranges: Family<Route, Counter>,
    sent: Family<Route, Counter>,
    received: Family<Route, Counter>,
    first_byte: Histograms,
    last_byte: Histograms,
    routes: [Arc<OfRoute>; ROUTES.len()],
    uploads: Family<Route, Counter>,
    resumed: Counter,
    /// How long the start took.
    pub launch: Launch,
}

/// What is counted of the requests of one route.
#[derive(Debug)]
pub struct OfRoute {
    name: &'static str,
    /// Bytes of answers.
    pub sent: Counter,
    /// Bytes of requests' bodies.
    pub received: Counter,
    first_byte: Histogram,
    last_byte: Histogram,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answered {
    route: &'static str,
    status: u16,
}

/// How an upload came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// In one request.
    Put,
    /// In any number of them.
    Tus,
}

impl Default for Counted {
    fn default() -> Counted {
        let (sent, received): (Family<Route, Counter>, Family<Route, Counter>) = Default::default();
        let first_byte: Histograms = Family::new_with_constructor(|| Histogram::new(FIRST_BYTE));
        let last_byte: Histograms = Family::new_with_constructor(|| Histogram::new(LAST_BYTE));
        // All are there from the start: a rate needs the zero before the first.
        let routes = ROUTES.map(|name| {
            let route = [("route", name)];
            Arc::new(OfRoute {
                name,
                sent: sent.get_or_create_owned(&route),
                received: received.get_or_create_owned(&route),
                first_byte: first_byte.get_or_create_owned(&route),
                last_byte: last_byte.get_or_create_owned(&route),
            })
        });
        let counted = Counted {
            requests: Family::default(),
            ranges: Family::default(),
            sent,
            received,
            first_byte,
            last_byte,
            routes,
            uploads: Family::default(),
            resumed: Counter::default(),
            launch: Launch::default(),
        };
        for kind in ["whole", "single", "multi", "unsatisfiable"] {
            drop(counted.ranges.get_or_create(&[("kind", kind)]));
        }
        for way in [Way::Put, Way::Tus] {
            drop(counted.uploads.get_or_create(&way.label()));
        }
        counted
    }
}

impl Counted {
    /// What is counted of the requests for a path.
    pub fn of_route(&self, path: &str) -> Arc<OfRoute> {
        let pattern = pattern(path);
        let [other, ..] = &self.routes;
        Arc::clone(self.routes.iter().find(|it| it.name == pattern).unwrap_or(other))
    }

    /// A request is over: with which status, when its answer began, and when it ended.
    pub fn ended(&self, route: &OfRoute, status: u16, first_byte: Duration, last_byte: Duration) {
        self.requests.get_or_create(&Answered { route: route.name, status }).inc();
        route.first_byte.observe(first_byte.as_secs_f64());
        route.last_byte.observe(last_byte.as_secs_f64());
    }

    /// An answer begins: which part of a file it is, if it is one.
    pub fn answered(&self, method: &Method, status: StatusCode, headers: &HeaderMap) {
        self.launch.answers();
        if let Some(kind) = range_kind(method, status, headers) {
            self.ranges.get_or_create(&[("kind", kind)]).inc();
        }
    }

    /// The same of an answer that is a file's for certain: whole, or one part of it.
    pub fn read(&self, method: &Method, status: StatusCode) {
        self.launch.answers();
        let kind = match status {
            _ if *method != Method::GET => return,
            StatusCode::OK => "whole",
            StatusCode::PARTIAL_CONTENT => "single",
            _ => return,
        };
        self.ranges.get_or_create(&[("kind", kind)]).inc();
    }

    /// A file was uploaded.
    pub fn uploaded(&self, way: Way) {
        self.uploads.get_or_create(&way.label()).inc();
    }

    /// Somebody asks how much of an upload has come, to go on with it.
    pub fn resumed(&self) {
        self.resumed.inc();
    }

    /// Shows all of it to Prometheus.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "requests",
            "Requests that are over, by the pattern of their address",
            self.requests.clone(),
        );
        registry.register(
            "ranges",
            "Answers with a file, by which part of it was sent",
            self.ranges.clone(),
        );
        registry.register_with_unit("sent", "Bytes of answers", Unit::Bytes, self.sent.clone());
        registry.register_with_unit(
            "received",
            "Bytes of bodies of requests",
            Unit::Bytes,
            self.received.clone(),
        );
        registry.register_with_unit(
            "first_byte",
            "How long it took until an answer began",
            Unit::Seconds,
            self.first_byte.clone(),
        );
        registry.register_with_unit(
            "request",
            "How long it took until the answer had gone out",
            Unit::Seconds,
            self.last_byte.clone(),
        );
        registry.register("uploads_finished", "Files that were uploaded", self.uploads.clone());
        registry.register(
            "uploads_resumed",
            "How often a client asked how much of an upload had come, to go on with it",
            self.resumed.clone(),
        );
    }
}

impl Way {
    fn label(self) -> Route {
        [("way", if self == Way::Put { "put" } else { "tus" })]
    }
}

/// The router's pattern for a path, told without routing it: what refuses a request may come before that.
fn pattern(path: &str) -> &'static str {
    if path.strip_prefix("/files/").is_some_and(|it| !it.is_empty()) {
        return "/files/{*path}";
    }
    if let Some((_, rest)) = path.strip_prefix("/share/").and_then(|it| it.split_once('/')) {
        return if rest.is_empty() { "/share/{key}/" } else { "/share/{key}/{*path}" };
    }
    match path.rsplit_once('/') {
        Some(("/share", key)) if !key.is_empty() => "/share/{key}",
        Some(("/uploads", id)) if !id.is_empty() => "/uploads/{id}",
        _ => ROUTES.into_iter().find(|it| *it == path && !it.contains('{')).unwrap_or(OTHER),
    }
}

fn range_kind(method: &Method, status: StatusCode, headers: &HeaderMap) -> Option<&'static str> {
    match status {
        _ if *method != Method::GET => None,
        StatusCode::OK => headers.contains_key(header::ACCEPT_RANGES).then_some("whole"),
        // Parts say their places each for themselves (RFC 9110 §15.3.7.2).
        StatusCode::PARTIAL_CONTENT if headers.contains_key(header::CONTENT_RANGE) => {
            Some("single")
        }
        StatusCode::PARTIAL_CONTENT => Some("multi"),
        StatusCode::RANGE_NOT_SATISFIABLE => Some("unsatisfiable"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_part_of_a_file_is_told_by_its_answer() {
        let check = |method: Method, status: u16, field: Option<&str>, expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(field) = field {
                let name = header::HeaderName::from_bytes(field.as_bytes()).unwrap();
                headers.insert(name, HeaderValue::from_static("bytes"));
            }
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(range_kind(&method, status, &headers), expected, "{method} {status}");
        };
        check(Method::GET, 200, Some("accept-ranges"), Some("whole"));
        check(Method::GET, 200, None, None);
        check(Method::GET, 206, Some("content-range"), Some("single"));
        check(Method::GET, 206, None, Some("multi"));
        check(Method::GET, 416, None, Some("unsatisfiable"));
        check(Method::GET, 304, Some("accept-ranges"), None);
        check(Method::HEAD, 206, Some("content-range"), None);
    }

    #[tokio::test]
    async fn a_path_has_the_pattern_that_the_router_gives_it() {
        use axum::Router;
        use axum::body::Body;
        use axum::extract::MatchedPath;
        use axum::routing::get;
        use http::Request;
        use http_body_util::BodyExt as _;
        use tower::ServiceExt as _;
        let told = || get(|it: MatchedPath| async move { it.as_str().to_owned() });
        let patterns = ROUTES.into_iter().filter(|it| *it != OTHER);
        let router = patterns.fold(Router::new(), |router, it| router.route(it, told()));
        let router = router.fallback(|| async { OTHER });
        let fixed = ROUTES.into_iter().filter(|it| it.starts_with('/') && !it.contains('{'));
        let others = [
            "/files/a",
            "/files/a/b/",
            "/files//a",
            "/files/..",
            "/share/",
            "/share/k",
            "/share/k/",
            "/share/k/a",
            "/share/k//",
            "/share//",
            "/share//a",
            "/uploads/1",
            "/uploads/1/",
            "/uploads/1/2",
            "/other",
            "/new/a",
            "/files%2Fa",
            "/health/",
            "//",
        ];
        for path in fixed.chain(others) {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let answer = router.clone().oneshot(request).await.unwrap();
            let expected = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(pattern(path), std::str::from_utf8(&expected).unwrap(), "{path}");
        }
        assert_eq!(pattern("*"), OTHER);
    }
}
