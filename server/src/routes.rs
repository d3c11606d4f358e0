//! The routes of the service. [The router](crate::router) is built from them, and requests are counted by them. A route is a pattern and
//! never a path: there are endless paths, and they are private.

/// The path of the health check.
pub(crate) const HEALTH: &str = "/health";

/// A pattern of the router, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// No route.
    Other,
    Root,
    Files,
    FilesRoot,
    FilesPath,
    Share,
    ShareRoot,
    SharePath,
    Uploads,
    UploadsSlash,
    Upload,
    Changes,
    Events,
    Health,
    OpenApi,
    Module,
    Types,
}

impl Route {
    /// All routes, in the order of their numbers.
    pub(crate) const ALL: [Route; 17] = [
        Route::Other,
        Route::Root,
        Route::Files,
        Route::FilesRoot,
        Route::FilesPath,
        Route::Share,
        Route::ShareRoot,
        Route::SharePath,
        Route::Uploads,
        Route::UploadsSlash,
        Route::Upload,
        Route::Changes,
        Route::Events,
        Route::Health,
        Route::OpenApi,
        Route::Module,
        Route::Types,
    ];

    /// The pattern, as the router writes it.
    pub(crate) const fn pattern(self) -> &'static str {
        match self {
            Route::Other => "other",
            Route::Root => "/",
            Route::Files => "/files",
            Route::FilesRoot => "/files/",
            Route::FilesPath => "/files/{*path}",
            Route::Share => "/share/{key}",
            Route::ShareRoot => "/share/{key}/",
            Route::SharePath => "/share/{key}/{*path}",
            Route::Uploads => "/uploads",
            Route::UploadsSlash => "/uploads/",
            Route::Upload => "/uploads/{id}",
            Route::Changes => "/changes",
            Route::Events => "/events",
            Route::Health => HEALTH,
            Route::OpenApi => "/openapi.json",
            Route::Module => "/sounding.js",
            Route::Types => "/sounding.d.ts",
        }
    }

    /// The route of a path, found without the router: a request may be refused before it is routed.
    pub(crate) fn of(path: &str) -> Route {
        if path.strip_prefix("/files/").is_some_and(|it| !it.is_empty()) {
            return Route::FilesPath;
        }
        if let Some((_, rest)) = path.strip_prefix("/share/").and_then(|it| it.split_once('/')) {
            return if rest.is_empty() { Route::ShareRoot } else { Route::SharePath };
        }
        match path.rsplit_once('/') {
            Some(("/share", key)) if !key.is_empty() => Route::Share,
            Some(("/uploads", id)) if !id.is_empty() => Route::Upload,
            _ => Route::fixed(path).unwrap_or(Route::Other),
        }
    }

    /// Whether a path is itself a pattern, so that it reveals nothing about the client.
    pub(crate) fn is_fixed(path: &str) -> bool {
        Route::fixed(path).is_some()
    }

    fn fixed(path: &str) -> Option<Route> {
        let mut fixed =
            Route::ALL.into_iter().filter(|it| it.is_pattern() && !it.pattern().contains('{'));
        fixed.find(|it| it.pattern() == path)
    }

    /// Whether it is a pattern of the router.
    pub(crate) fn is_pattern(self) -> bool {
        self != Route::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_number() {
        for (number, route) in Route::ALL.into_iter().enumerate() {
            assert_eq!(route as usize, number, "{route:?}");
        }
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
        let known = || Route::ALL.into_iter().filter(|it| it.is_pattern());
        let router = known().fold(Router::new(), |router, it| router.route(it.pattern(), told()));
        let router = router.fallback(|| async { Route::Other.pattern() });
        let fixed = known().map(Route::pattern).filter(|it| !it.contains('{'));
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
            assert_eq!(
                Route::of(path).pattern(),
                std::str::from_utf8(&expected).unwrap(),
                "{path}"
            );
        }
        assert_eq!(Route::of("*"), Route::Other);
    }
}
