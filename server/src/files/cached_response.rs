//! Responses to plain reads from the [open-file cache](crate::files::open_file_cache), written at once.
//!
//! Checks the caller's key against the current keys, revalidates the file with one look-up, then evaluates preconditions and range. Nothing
//! here waits, and almost nothing allocates. Anything less simple returns `None` and goes through [`files::get`](crate::files::get).
//!
//! [`/health`](crate::admin::health) never has to wait, so its response is written here too.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use axum::body::Body;
use http::{HeaderMap, Method, StatusCode};
use http_body::Body as _;

use crate::admin::health;
use crate::app::App;
use crate::auth::caller::Caller;
use crate::auth::credentials::key_in;
use crate::auth::identify::{Authorizations, try_identify};
use crate::files::file_body::{FileBody, Piece};
use crate::files::open_file_cache::{self, CachedFile, Content};
use crate::files::plan::ResponsePlan;
use crate::http::content_coding::Coding;
use crate::http::cors;
use crate::http::range::{Slice, content_range};
use crate::http::request_fields::RequestFields;
use crate::net::concurrency_limit::Permit;
use crate::net::fast_path::request_head::RequestHead;
use crate::net::fast_path::response_head::{self, ResponseHead};
use crate::net::handler::{KnownResponse, Remainder};
use crate::net::sendfile::SendfileQueue;
use crate::routes::HEALTH;
use crate::telemetry::access_log::{self, AccessLogEntry, LoggedBody};
use crate::telemetry::activity::Immediate;
use crate::telemetry::counters::range_kind;

/// A response that is being sent. If it is sent at once, one call accounts for it.
#[derive(Debug)]
pub struct CachedResponse<'a> {
    app: &'a Arc<App>,
    method: &'a Method,
    /// The file. `None` for `/health`.
    known: Option<Arc<CachedFile>>,
    client: IpAddr,
    caller: Caller,
    status: StatusCode,
    began: Instant,
    length: u64,
    /// Whether the body is a whole file or a single range, for the counters. `None` if it is neither.
    kind: Option<&'static str>,
    /// `Content-Range`, if the body is a part of a file that is still to be sent.
    range: Option<String>,
    permit: Option<Permit>,
}

/// What a response depends on besides the request's head.
#[derive(Debug)]
pub(crate) struct RequestContext<'a> {
    /// The client's address.
    pub client: IpAddr,
    /// The header fields that the response can depend on.
    pub fields: RequestFields<'a>,
    /// The queue of file parts for the kernel to send on this connection.
    pub sendfile_queue: &'a SendfileQueue,
    /// Held until the response has been sent.
    pub permit: Option<Permit>,
    /// When the request was read.
    pub began: Instant,
}

/// Writes the head of a response from the cache, and its body too if that is small. Returns `None`, with nothing written, if the cache is
/// not enough.
pub(crate) fn respond<'a>(
    app: &'a Arc<App>,
    head: &'a RequestHead<'_, '_>,
    context: RequestContext<'_>,
    out: &mut Vec<u8>,
) -> Option<Remainder<CachedResponse<'a>>> {
    let path = head.bare_path()?;
    if path == HEALTH {
        return Some(tell_health(app, head, context, out));
    }
    let RequestContext { client, fields, sendfile_queue, permit, began } = context;
    let known = app.open_files.get(path, began)?;
    let caller = try_identify(
        &app.key_ring,
        &app.guess_limiter,
        client,
        key_in(fields),
        &known.path,
        began,
    )?;
    let (status, slice) = decide(&known, app, fields)?;
    if !app.open_files.is_current(&known, &app.volume) {
        return None;
    }
    let len = known.stat.len;
    let part = slice.filter(|_| status == StatusCode::PARTIAL_CONTENT);
    let range = part.map(|it| content_range(it, len));
    let mut written =
        ResponseHead::new(out, status).lines(open_file_cache::common_lines()).lines(&known.lines);
    if let Some(range) = &range {
        written = written.field("content-range", range.as_bytes());
    }
    if let Some(slice) = slice {
        let content_type = known.representation.content_type();
        written = written.field("content-type", content_type.as_bytes()).length(slice.len);
    }
    written.end(head.is_last);
    let sent = slice.filter(|it| head.method == Method::GET && it.len > 0);
    let body = match (&known.kept, sent) {
        (_, None) => None,
        (Content::InMemory(bytes), Some(slice)) => {
            out.extend_from_slice(part_of(bytes, slice));
            None
        }
        (Content::OnDisk { rest }, Some(slice)) => {
            let by_kernel = Some(sendfile_queue).filter(|_| known.stat.rests(*rest)).cloned();
            Some(FileBody::new(Arc::clone(&known.file), [Piece::File(slice)], by_kernel))
        }
    };
    let response = CachedResponse {
        app,
        method: &head.method,
        known: Some(known),
        client,
        caller,
        status,
        began,
        length: sent.map_or(0, |it| it.len),
        kind: range_kind(&head.method, status, true, true),
        range: range.filter(|_| body.is_some()),
        permit,
    };
    Some(match body {
        None => Remainder::Nothing(response),
        Some(body) => Remainder::Content(response, body),
    })
}

/// The header fields of `/health`, as lines.
static HEALTH_LINES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut fields = HeaderMap::new();
    health::set_fields(&mut fields);
    cors::open(&mut fields);
    response_head::lines(&fields)
});

fn tell_health<'a>(
    app: &'a Arc<App>,
    head: &'a RequestHead<'_, '_>,
    context: RequestContext<'_>,
    out: &mut Vec<u8>,
) -> Remainder<CachedResponse<'a>> {
    let told = health::told(app, &app.key_ring.this_turn(context.began));
    ResponseHead::new(out, StatusCode::OK)
        .lines(&HEALTH_LINES)
        .length(told.len() as u64)
        .end(head.is_last);
    let body = if head.method == Method::GET { told.as_slice() } else { &[] };
    out.extend_from_slice(body);
    Remainder::Nothing(CachedResponse {
        app,
        method: &head.method,
        known: None,
        client: context.client,
        caller: Caller::Anyone,
        status: StatusCode::OK,
        began: context.began,
        length: body.len() as u64,
        kind: None,
        range: None,
        permit: context.permit,
    })
}

impl KnownResponse for CachedResponse<'_> {
    type Content = FileBody;
    type Body = LoggedBody;
    type Account = AccessLogEntry;

    fn sent(self) {
        access_log::passed(&self.app.activity, &self.passed());
    }

    fn length(&self) -> u64 {
        self.length
    }

    fn account(&mut self) -> AccessLogEntry {
        let permit = self.permit.take();
        let line = AccessLogEntry::of_known(&self.app.activity, self.passed(), permit);
        line.open().expect(Some(self.length), self.range.as_deref());
        line
    }

    fn body(&mut self, content: FileBody, sendfile_queue: SendfileQueue) -> LoggedBody {
        let mut line = self.account();
        line.went(self.length - content.size_hint().exact().unwrap_or_default());
        let permit = self.known.as_ref().map(|it| &it.path);
        let permits = Authorizations::to_read(&self.app.key_ring, &self.caller, permit);
        line.with(Body::new(content), permits, sendfile_queue)
    }
}

impl CachedResponse<'_> {
    fn passed(&self) -> Immediate<'_> {
        Immediate {
            method: self.method,
            path: self.known.as_ref().map_or(HEALTH, |it| &it.shown),
            client: self.client,
            caller: &self.caller,
            status: self.status.as_u16(),
            kind: self.kind,
            began: self.began,
            took: self.began.elapsed(),
            sent: self.length,
            is_complete: true,
        }
    }
}

/// The status, and the bytes of the file that are the content, or would be the content of a `GET`.
fn decide(
    known: &CachedFile,
    app: &App,
    fields: RequestFields<'_>,
) -> Option<(StatusCode, Option<Slice>)> {
    let representation = &known.representation;
    if representation.is_negotiated && Coding::wanted(fields) != Coding::Identity {
        return None;
    }
    let len = known.stat.len;
    match representation.plan(fields, len, &app.encoders) {
        ResponsePlan::Whole => Some((StatusCode::OK, Some(Slice::whole(len)))),
        ResponsePlan::Slice(slice) => Some((StatusCode::PARTIAL_CONTENT, Some(slice))),
        ResponsePlan::NotModified => Some((StatusCode::NOT_MODIFIED, None)),
        ResponsePlan::Several(_)
        | ResponsePlan::PreconditionFailed
        | ResponsePlan::Unsatisfiable => None,
    }
}

fn part_of(content: &[u8], slice: Slice) -> &[u8] {
    let permit = |it: u64| usize::try_from(it).unwrap_or(usize::MAX);
    content.get(permit(slice.start)..permit(slice.start + slice.len)).unwrap_or_default()
}
