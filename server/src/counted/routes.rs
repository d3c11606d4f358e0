//! Which route a path leads to. A route is the pattern that it is matched by, never a path: paths are without end, and
//! they are people's.

/// The router's patterns. What is missing here counts as [`OTHER`].
pub(crate) const ROUTES: [&str; 17] = [
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

/// One of the router's patterns, by its place among [`ROUTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route(pub(super) usize);

impl Route {
    /// A path's.
    pub(crate) fn of(path: &str) -> Route {
        let pattern = pattern(path);
        // `OTHER` is the first.
        Route(ROUTES.iter().position(|it| *it == pattern).unwrap_or(0))
    }
}

impl Route {
    /// Whether a path is a pattern by itself, so that it tells nothing of whoever asks.
    pub(crate) fn is_fixed(path: &str) -> bool {
        path != OTHER && !path.contains('{') && ROUTES.contains(&path)
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

#[cfg(test)]
mod tests {
    use super::*;

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
