//! What is done with every request before it is routed, and with every answer after.
//!
//! One function, from the outside in and back: the router's own layers would each be cloned and boxed for each request,
//! which costs more than many an answer does.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use http_body::Body as _;
use hyper::body::Incoming;
use tower::{Layer as _, Service as _, ServiceExt as _};
use tower_http::cors::{AllowHeaders, AllowMethods, Any, Cors, CorsLayer};

use crate::access_log::{self, LoggedBody};
use crate::activity::Open;
use crate::app::App;
use crate::crowd::{Full, Place};
use crate::digest;
use crate::files;
use crate::linger::linger;
use crate::listing;
use crate::problem::{Problem, Reader};
use crate::recall::Recall;
use crate::router::router;
use crate::sendfile::Outlet;
use crate::serve::{Answers, Connection};
use crate::tus::{self, Announcement};

/// Bytes of a path and query; the longest path of a file takes 12 KiB with every byte escaped.
const LONGEST_URI: usize = 16 * 1024;
/// Bytes of all header fields together.
const LARGEST_HEADERS: usize = 16 * 1024;
/// How long a browser may remember what a preflight allowed. Chromium's own limit is two hours.
const PREFLIGHT_LASTS: Duration = Duration::from_hours(2);

/// The service's public face.
#[derive(Clone, Debug)]
pub struct Front {
    app: Arc<App>,
    router: Router,
    preflight: Cors<Router>,
    exposed: HeaderValue,
}

impl Front {
    /// Of a service.
    pub fn new(app: Arc<App>) -> Front {
        let router = router(Arc::clone(&app));
        let preflight = preflight().layer(Router::new());
        Front { app, router, preflight, exposed: exposed() }
    }

    async fn pass(
        &self,
        request: Request,
        open: &Arc<Open>,
        full: Option<Full>,
        outlet: &Outlet,
    ) -> Response {
        if *request.method() == Method::OPTIONS {
            let Ok(response) = self.preflight.clone().oneshot(request).await;
            return response;
        }
        let full = full.map(Problem::Crowded);
        let mut response = match full.map_or_else(|| limit_sizes(&request), Err) {
            Err(problem) => problem.into_response(),
            // A connection has room for its request's work for as long as it lasts: this is most of it, and is over with the head.
            Ok(()) => Box::pin(self.route(request, open, outlet)).await,
        };
        // On problems too: an app on another origin must be able to read them. Keys are the protection, and they never
        // ride on cookies.
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, self.exposed.clone());
        response
    }

    /// A place for a request, where its client has not got one with its connection: a proxy's connections are many clients'.
    fn place(&self, client: IpAddr, connection: &Connection) -> Result<Option<Place>, Full> {
        if let Some(full) = connection.full {
            return Err(full);
        }
        let is_of_proxy = connection.peer.address.is_none_or(|it| it.to_canonical() != client);
        if is_of_proxy { self.app.crowd.enter(Some(client)).map(Some) } else { Ok(None) }
    }

    async fn route(&self, mut request: Request, open: &Arc<Open>, outlet: &Outlet) -> Response {
        request.extensions_mut().insert(Arc::clone(open));
        if *request.method() == Method::GET {
            request.extensions_mut().insert(outlet.clone());
        }
        // The router would come to the same, after a while.
        if Recall::is_for(request.method(), request.uri()) {
            let answer = files::answer(State(Arc::clone(&self.app)), request).await;
            return answer.unwrap_or_else(Problem::into_response);
        }
        let Ok(response) = self.router.clone().call(request).await;
        response
    }
}

impl Answers for Front {
    type Body = LoggedBody;

    async fn answer(
        &self,
        request: http::Request<Incoming>,
        connection: &Connection,
    ) -> Response<LoggedBody> {
        let request =
            request.map(|it| if it.is_end_stream() { Body::empty() } else { Body::new(it) });
        // Outermost, so that each request has its line.
        let (request, line) = access_log::begin(&self.app.activity, request, connection.peer);
        // Around all that may leave a body unread.
        let request = linger(request);
        let (place, full) = match self.place(line.open().client(), connection) {
            Ok(place) => (place, None),
            Err(full) => (None, Some(full)),
        };
        let (reader, announcement) = (Reader::of(&request), Announcement::of(&request));
        let mut response = self.pass(request, line.open(), full, &connection.outlet).await;
        reader.rewrite(&mut response);
        announcement.make(&mut response);
        if connection.full.is_some() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        line.answered(response, connection.outlet.clone(), place)
    }
}

/// Open to every origin, whatever it wants to ask.
fn preflight() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods(AllowMethods::mirror_request())
        .allow_headers(AllowHeaders::mirror_request())
        .allow_private_network(true)
        .max_age(PREFLIGHT_LASTS)
        // The answers do not depend on the origin.
        .vary([])
}

/// The fields that an app on another origin may read.
fn exposed() -> HeaderValue {
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
}

/// Before any route reads them.
fn limit_sizes(request: &Request) -> Result<(), Problem> {
    if request.uri().path_and_query().is_some_and(|it| it.as_str().len() > LONGEST_URI) {
        return Err(Problem::UriTooLong);
    }
    if size(request.headers()) > LARGEST_HEADERS { Err(Problem::HeadersTooLarge) } else { Ok(()) }
}

fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}
