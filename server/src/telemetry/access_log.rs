//! The access log: one line per request, written when its last byte has been sent or its client has gone.
//!
//! Method, path, status, bytes, duration, the user's name. Never a key ([`redact`]), nor the query, where people put secrets.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::{Method, StatusCode, header};
use http_body::{Body as _, Frame, SizeHint};
use jiff::Timestamp;

use crate::auth::identify::Authorizations;
use crate::auth::key_ring::KeyRing;
use crate::http::fields::content_length;
use crate::http::request_fields::RequestFields;
use crate::net::client_address::Peer;
use crate::net::concurrency_limit::Permit;
use crate::net::handler::Account;
use crate::net::sendfile::SendfileQueue;
use crate::problem::{Cause, PermissionDenied};
use crate::sync::micros;
use crate::telemetry::activity::{Activity, Ended, Immediate, InFlight};
use crate::telemetry::counters::range_kind;
use crate::telemetry::log::{self, Escaped};
use crate::telemetry::redact;
use crate::telemetry::wake_log;

/// The status in the log if the client went away before there was a response, as in nginx.
const CLIENT_GONE: u16 = 499;

/// Starts the accounting for a request. When the caller is identified, that is recorded in the entry's [`InFlight`].
pub(crate) fn begin(
    activity: &Arc<Activity>,
    keys: &KeyRing,
    is_woken: bool,
    mut request: Request,
    peer: Peer,
) -> (Request, AccessLogEntry) {
    let client = peer.client(RequestFields::new(request.headers()));
    let path = redact::path(request.uri().path(), &keys.this_turn(Instant::now()));
    let open = activity.begin(request.method(), path, client);
    // A service that never sleeps is not woken.
    if is_woken {
        wake_log::came(activity, &open, request.headers());
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        open.expect(content_length(request.headers()), None);
        let (activity, open) = (Arc::clone(activity), Arc::clone(&open));
        request = request.map(|body| Body::new(ReceivedBody { body, activity, open }));
    }
    let activity = Arc::clone(activity);
    let line = AccessLogEntry {
        activity,
        open,
        latency: None,
        status: None,
        bytes: 0,
        is_complete: false,
        permit: None,
    };
    (request, line)
}

/// A request's line. It is written when this is dropped, which happens however the request ends.
#[derive(Debug)]
pub struct AccessLogEntry {
    activity: Arc<Activity>,
    open: Arc<InFlight>,
    /// Time until the response began.
    latency: Option<Duration>,
    /// `None` as long as there is no response.
    status: Option<StatusCode>,
    bytes: u64,
    is_complete: bool,
    /// Held until the request ends.
    permit: Option<Permit>,
}

impl AccessLogEntry {
    /// The request.
    pub fn open(&self) -> &Arc<InFlight> {
        &self.open
    }

    /// For a request whose response was cached.
    pub fn of_known(
        activity: &Arc<Activity>,
        known: Immediate<'_>,
        permit: Option<Permit>,
    ) -> AccessLogEntry {
        let Immediate { method, path, client, caller, status, kind, .. } = known;
        let open = activity.begin(method, path.to_owned(), client);
        open.is_from(caller);
        activity.answered(&open, status, kind);
        AccessLogEntry {
            activity: Arc::clone(activity),
            latency: Some(known.took),
            open,
            status: StatusCode::from_u16(status).ok(),
            bytes: 0,
            is_complete: false,
            permit,
        }
    }

    /// Adds bytes of the response's body that were handed over to be sent.
    pub fn went(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.activity.sent(&self.open, bytes);
    }

    /// Wraps a response's body, so that its bytes are counted.
    pub fn with(
        self,
        body: Body,
        permits: Option<Authorizations>,
        sendfile_queue: SendfileQueue,
    ) -> LoggedBody {
        let is_complete = body.is_end_stream();
        LoggedBody { body, permits, line: Some(self), is_complete, sendfile_queue }
    }

    /// A response begins: logs its failure, if it is one, and wraps its body.
    pub fn answered(
        mut self,
        mut response: Response,
        sendfile_queue: SendfileQueue,
        permit: Option<Permit>,
    ) -> Response<LoggedBody> {
        self.permit = permit;
        let (open, headers) = (&self.open, response.headers());
        self.latency = Some(open.elapsed());
        if *open.method() == Method::GET {
            let range = headers.get(header::CONTENT_RANGE).and_then(|it| it.to_str().ok());
            open.expect(content_length(headers), range);
        }
        if let Some(cause) = response.extensions().get::<Cause>() {
            tracing::error!(method = %open.method(), path = %Escaped(open.path()), "{}", cause.chain());
        }
        if response.extensions().get::<PermissionDenied>().is_some() {
            tracing::warn!(
                method = %open.method(),
                path = %Escaped(open.path()),
                "permissions on the volume kept the service out",
            );
            self.activity.kept_out();
        }
        let status = response.status();
        let kind = range_kind(
            open.method(),
            status,
            headers.contains_key(header::ACCEPT_RANGES),
            headers.contains_key(header::CONTENT_RANGE),
        );
        self.activity.answered(open, status.as_u16(), kind);
        self.status = Some(status);
        let permits = response.extensions_mut().remove();
        response.map(|body| self.with(body, permits, sendfile_queue))
    }
}

impl Account for AccessLogEntry {
    fn ends(mut self, length: u64, unsent: u64) {
        self.is_complete = unsent == 0;
        self.bytes = length.saturating_sub(unsent);
        self.activity.sent(&self.open, self.bytes);
    }
}

impl Drop for AccessLogEntry {
    fn drop(&mut self) {
        let open = &self.open;
        let (took, time) = (open.elapsed(), Timestamp::now());
        // The response to a `HEAD` has no body, so it is complete.
        let is_complete = self.is_complete || *open.method() == Method::HEAD;
        let status = self.status.map_or(CLIENT_GONE, |it| it.as_u16());
        let latency = self.latency.unwrap_or(took);
        self.activity.end(open, Ended { status, latency, took, time, is_complete });
        log::request(&log::AccessFields {
            time,
            method: open.method().as_str(),
            path: open.path(),
            status,
            bytes: self.bytes,
            micros: micros(took),
            user: open.user().unwrap_or("-"),
            client: open.client(),
            ended: ended(is_complete),
        });
    }
}

/// Accounts for a request whose response was sent at once. It does what [`begin`] and the end of the entry do, except for [`wake_log`].
pub(crate) fn passed(activity: &Activity, passed: &Immediate<'_>) {
    let time = Timestamp::now();
    activity.passed_by(*passed, time);
    log::request(&log::AccessFields {
        time,
        method: passed.method.as_str(),
        path: passed.path,
        status: passed.status,
        bytes: passed.sent,
        micros: micros(passed.took),
        user: passed.caller.user().unwrap_or("-"),
        client: passed.client,
        ended: ended(passed.is_complete),
    });
}

fn ended(is_complete: bool) -> &'static str {
    if is_complete { "complete" } else { "aborted" }
}

/// A request's body whose bytes are counted.
struct ReceivedBody {
    body: Body,
    activity: Arc<Activity>,
    open: Arc<InFlight>,
}

impl http_body::Body for ReceivedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            self.activity.received(&self.open, frame.data_ref().map_or(0, |it| it.len() as u64));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Why a response was cut off: its reader may not read the rest.
#[derive(Debug, thiserror::Error)]
#[error("its key is not good for it any more")]
struct Revoked;

/// A response's body whose bytes are counted, and whose authorizations are checked again.
#[derive(Debug)]
pub struct LoggedBody {
    body: Body,
    /// `None` if no key is needed.
    permits: Option<Authorizations>,
    /// `None` after it was passed on.
    line: Option<AccessLogEntry>,
    is_complete: bool,
    sendfile_queue: SendfileQueue,
}

impl LoggedBody {
    /// Whether the caller may still read the rest. The first bytes were authorized just before.
    fn may_go_on(&self) -> bool {
        let is_begun = self.line.as_ref().is_some_and(|it| it.bytes > 0);
        !is_begun || self.permits.as_ref().is_none_or(|it| it.check().is_ok())
    }
}

/// The body ends when its last bytes are queued. The line is written when they have been sent.
impl Drop for LoggedBody {
    fn drop(&mut self) {
        let Some(mut line) = self.line.take() else { return };
        line.is_complete = self.is_complete;
        self.sendfile_queue.when_sent(move |unsent| {
            line.is_complete &= unsent == 0;
            line.bytes = line.bytes.saturating_sub(unsent);
            drop(line);
        });
    }
}

impl http_body::Body for LoggedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = if self.may_go_on() {
            ready!(Pin::new(&mut self.body).poll_frame(context))
        } else {
            Some(Err(axum::Error::new(Revoked)))
        };
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, |it| it.len() as u64);
                if let Some(line) = &mut self.line {
                    line.bytes += bytes;
                    line.activity.sent(&line.open, bytes);
                }
            }
            Some(Err(error)) => {
                let path = Escaped(self.line.as_ref().map_or("", |it| it.open.path()));
                tracing::warn!(%path, "the response was cut off: {error}");
            }
            None => self.is_complete = true,
        }
        if self.body.is_end_stream() && !matches!(frame, Some(Err(_))) {
            self.is_complete = true;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
