//! The public service: everything that is done with a request before routing, and with a response afterwards.
//!
//! It is one function, from the outside in and back. Layers of the router would each be cloned and boxed for each request, which costs more
//! than many a response does.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tower::{Service as _, ServiceExt as _};
use tower_http::cors::Cors;

use crate::app::App;
use crate::files::cached_response::{self, CachedResponse, RequestContext};
use crate::files::get;
use crate::files::open_file_cache::OpenFileCache;
use crate::http::cors;
use crate::http::host;
use crate::http::request_fields::RequestFields;
use crate::http::route_path;
use crate::net::client_address::Peer;
use crate::net::concurrency_limit::{LimitReached, Permit};
use crate::net::fast_path::request_head::RequestHead;
use crate::net::handler::{Connection, Handler, Remainder};
use crate::net::linger::linger;
use crate::net::sendfile::SendfileQueue;
use crate::problem::Problem;
use crate::problem::page::ErrorPage;
use crate::router::router;
use crate::telemetry::access_log::{self, AccessLogEntry, LoggedBody};
use crate::telemetry::activity::InFlight;
use crate::uploads::tus::TusHeaders;

/// Maximum length of path and query, in bytes. A file's longest path takes 12 KiB if every byte is escaped.
const LONGEST_URI: usize = 16 * 1024;
/// Maximum length of all header fields together, in bytes.
const LARGEST_HEADERS: usize = 16 * 1024;
/// The handler for public connections.
#[derive(Clone, Debug)]
pub struct PublicService {
    app: Arc<App>,
    router: Router,
    preflight: Cors<Router>,
}

impl PublicService {
    /// For the service of an [`App`].
    pub fn new(app: Arc<App>) -> PublicService {
        let router = router(Arc::clone(&app));
        PublicService { app, router, preflight: cors::preflight() }
    }

    async fn pass(
        &self,
        request: Request,
        open: &Arc<InFlight>,
        full: Option<LimitReached>,
        sendfile_queue: &SendfileQueue,
    ) -> Response {
        if let Err(problem) = check(&request) {
            let mut response = problem.into_response();
            cors::open(response.headers_mut());
            return response;
        }
        if *request.method() == Method::OPTIONS {
            let Ok(response) = self.preflight.clone().oneshot(request).await;
            return response;
        }
        let full = full.map(Problem::TooManyConnections);
        // The URL may contain a key, perhaps in a mistyped one: neither the page nor its links may pass it on as a referrer.
        let may_hold_key = !request.uri().path().starts_with("/files/");
        let mut response = match full.map_or_else(|| limit_sizes(&request), Err) {
            Err(problem) => problem.into_response(),
            // Boxed, so that the memory is freed when the head is done. Otherwise every connection would hold it as long as it lasts.
            Ok(()) => Box::pin(self.route(request, open, sendfile_queue)).await,
        };
        let headers = response.headers_mut();
        cors::open(headers);
        if may_hold_key {
            headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        }
        response
    }

    /// A permit for a request, if its client has none by its connection: a proxy's connection is shared by many clients.
    fn permit(
        &self,
        client: IpAddr,
        connection: &Connection,
    ) -> Result<Option<Permit>, LimitReached> {
        if let Some(full) = connection.full {
            return Err(full);
        }
        let is_of_proxy = connection.peer.address.is_none_or(|it| it.to_canonical() != client);
        if is_of_proxy { self.app.requests.acquire(Some(client)).map(Some) } else { Ok(None) }
    }

    async fn route(
        &self,
        mut request: Request,
        open: &Arc<InFlight>,
        sendfile_queue: &SendfileQueue,
    ) -> Response {
        request.extensions_mut().insert(Arc::clone(open));
        if *request.method() == Method::GET {
            request.extensions_mut().insert(sendfile_queue.clone());
        }
        // The router would do the same, more slowly.
        if OpenFileCache::is_for(request.method(), request.uri()) {
            let answer = get::answer(State(Arc::clone(&self.app)), request).await;
            return answer.unwrap_or_else(Problem::into_response);
        }
        let Ok(mut response) = self.router.clone().call(request).await;
        if response.status() == StatusCode::NOT_MODIFIED {
            // axum sets the length of the body that is sent. In a 304 it would be taken for the file's length (RFC 9110 §8.6).
            response.headers_mut().remove(header::CONTENT_LENGTH);
        }
        response
    }
}

impl Handler for PublicService {
    type Body = LoggedBody;
    type Account = AccessLogEntry;
    type KnownResponse<'a> = CachedResponse<'a>;

    fn peer(&self, address: IpAddr) -> Peer {
        Peer { address: Some(address).filter(|_| !self.app.is_behind_proxy) }
    }

    fn respond_now<'a>(
        &'a self,
        head: &'a RequestHead<'_, '_>,
        connection: &Connection,
        began: Instant,
        out: &mut Vec<u8>,
    ) -> Option<Remainder<CachedResponse<'a>>> {
        // The request that woke the service is logged with all its fields, which the fast path does not have.
        if !self.app.activity.has_begun() {
            return None;
        }
        let fields = head.request_fields();
        let fields = RequestFields::new(&fields);
        let client = connection.peer.client(fields);
        let permit = self.permit(client, connection).ok()?;
        let context = RequestContext {
            client,
            fields,
            sendfile_queue: &connection.sendfile_queue,
            permit,
            began,
        };
        cached_response::respond(&self.app, head, context, out)
    }

    async fn respond(&self, mut request: Request, connection: &Connection) -> Response<LoggedBody> {
        if let Some(clean) = route_path::cleaned(request.uri()) {
            *request.uri_mut() = clean;
        }
        // Outermost, so that every request is logged.
        let (request, line) = access_log::begin(
            &self.app.activity,
            &self.app.key_ring,
            self.app.idle.length().is_some(),
            request,
            connection.peer,
        );
        // Around everything that may leave a body unread.
        let (request, waiting) = linger(request);
        let (permit, full) = match self.permit(line.open().client(), connection) {
            Ok(permit) => (permit, None),
            Err(full) => (None, Some(full)),
        };
        let (reader, announcement) = (ErrorPage::of(&request), TusHeaders::of(&request));
        let mut response = self.pass(request, line.open(), full, &connection.sendfile_queue).await;
        reader.rewrite(&mut response);
        announcement.make(&mut response);
        if connection.full.is_some() || waiting.is_some_and(|it| it.is_in_vain()) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        line.answered(response, connection.sendfile_queue.clone(), permit)
    }
}

/// A handler for admin and metrics, where the client's address does not matter.
impl Handler for Router {
    type Body = Body;
    type Account = Infallible;
    type KnownResponse<'a> = (Infallible, PhantomData<Body>);

    fn respond_now<'a>(
        &'a self,
        _head: &'a RequestHead<'_, '_>,
        _connection: &Connection,
        _began: Instant,
        _out: &mut Vec<u8>,
    ) -> Option<Remainder<Self::KnownResponse<'a>>> {
        None
    }

    async fn respond(&self, request: Request<Body>, _: &Connection) -> Response<Body> {
        if let Err(problem) = host::check(request.version(), request.headers()) {
            return Problem::from(problem).into_response();
        }
        let Ok(response) = self.clone().call(request).await;
        response
    }
}

/// Checks the fields that message framing depends on, before anything else.
fn check(request: &Request) -> Result<(), Problem> {
    host::check(request.version(), request.headers())?;
    // hyper decodes the chunks and leaves other codings as they are (RFC 9112 §6.1).
    let mut codings = request.headers().get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(it), None) if it.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Problem::TransferCoding),
    }
}

/// Checks the sizes, before any route reads the fields.
fn limit_sizes(request: &Request) -> Result<(), Problem> {
    if request.uri().path_and_query().is_some_and(|it| it.as_str().len() > LONGEST_URI) {
        return Err(Problem::UriTooLong);
    }
    if size(request.headers()) > LARGEST_HEADERS { Err(Problem::HeadersTooLarge) } else { Ok(()) }
}

fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}
