//! What is done with every request before it is routed, and with every answer after.
//!
//! One function, from the outside in and back: the router's own layers would each be cloned and boxed for each request,
//! which costs more than many an answer does.

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

/// Bytes of a path and query; the longest path of a file takes 12 KiB with every byte escaped.
const LONGEST_URI: usize = 16 * 1024;
/// Bytes of all header fields together.
const LARGEST_HEADERS: usize = 16 * 1024;
/// The service's public face.
#[derive(Clone, Debug)]
pub struct PublicService {
    app: Arc<App>,
    router: Router,
    preflight: Cors<Router>,
}

impl PublicService {
    /// Of a service.
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
        // As `/share/KEY/` does, also where it is mistyped: no page, nor what it links to, shall tell of its address.
        let may_hold_key = !request.uri().path().starts_with("/files/");
        let mut response = match full.map_or_else(|| limit_sizes(&request), Err) {
            Err(problem) => problem.into_response(),
            // A connection has room for its request's work for as long as it lasts: this is most of it, and is over with the head.
            Ok(()) => Box::pin(self.route(request, open, sendfile_queue)).await,
        };
        let headers = response.headers_mut();
        cors::open(headers);
        if may_hold_key {
            headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        }
        response
    }

    /// A place for a request, where its client has not got one with its connection: a proxy's connections are many clients'.
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
        // The router would come to the same, after a while.
        if OpenFileCache::is_for(request.method(), request.uri()) {
            let answer = get::answer(State(Arc::clone(&self.app)), request).await;
            return answer.unwrap_or_else(Problem::into_response);
        }
        let Ok(mut response) = self.router.clone().call(request).await;
        if response.status() == StatusCode::NOT_MODIFIED {
            // axum gives the length of what is sent. Here it would be taken for the file's (RFC 9110 §8.6).
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
        // Who woke the service is said in the log, by all that is in its request.
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
        // Outermost, so that each request has its line.
        let (request, line) = access_log::begin(
            &self.app.activity,
            &self.app.key_ring,
            self.app.idle.length().is_some(),
            request,
            connection.peer,
        );
        // Around all that may leave a body unread.
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

/// To whom it is all the same where a request comes from.
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

/// What the framing of a message rests on, before anything is made of it.
fn check(request: &Request) -> Result<(), Problem> {
    host::check(request.version(), request.headers())?;
    // hyper takes the chunks off, and leaves what is below as it is (RFC 9112 §6.1).
    let mut codings = request.headers().get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(it), None) if it.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Problem::TransferCoding),
    }
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
