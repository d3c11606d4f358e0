//! Finished requests: the last of them, for readers.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use http::Method;
use jiff::Timestamp;

use super::in_flight::InFlight;
use crate::auth::caller::Caller;

/// Number of finished requests that are kept.
pub(super) const RECENT: usize = 500;

/// A request whose response was sent at once, with everything to be accounted for.
#[derive(Clone, Copy, Debug)]
pub struct Immediate<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// Clean, percent-encoded, without a key.
    pub path: &'a str,
    /// The client's address.
    pub client: IpAddr,
    /// The caller.
    pub caller: &'a Caller,
    /// The response's status.
    pub status: u16,
    /// The [kind](crate::telemetry::counters::range_kind) of the response, if it is one with a file.
    pub kind: Option<&'static str>,
    /// When it arrived.
    pub began: Instant,
    /// Time until it ended. Its response began at the same moment.
    pub took: Duration,
    /// Bytes of the response.
    pub sent: u64,
    /// Whether the whole response was sent.
    pub is_complete: bool,
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// The response's status, or 499.
    pub status: u16,
    /// Time until the response began.
    pub latency: Duration,
    /// Time until it ended.
    pub took: Duration,
    /// When it ended.
    pub time: Timestamp,
    /// Whether the whole response was sent.
    pub is_complete: bool,
}

/// A finished request, formatted only for readers.
#[derive(Debug)]
pub(super) struct Finished {
    /// When it ended, by the monotonic clock.
    pub(super) at: Instant,
    pub(super) ended: Ended,
    pub(super) request: RequestInfo,
}

/// The request itself.
#[derive(Clone, Debug)]
pub(super) enum RequestInfo {
    /// One that took a while. The rest of its body may still arrive after its response.
    InFlight(Arc<InFlight>),
    /// One whose response was sent at once.
    Immediate {
        method: Method,
        path: Arc<str>,
        client: IpAddr,
        /// `None` for a caller without a name.
        caller: Option<Arc<Caller>>,
        sent: u64,
    },
}

impl RequestInfo {
    pub(super) fn method(&self) -> &Method {
        match self {
            RequestInfo::InFlight(open) => open.method(),
            RequestInfo::Immediate { method, .. } => method,
        }
    }

    pub(super) fn path(&self) -> &str {
        match self {
            RequestInfo::InFlight(open) => open.path(),
            RequestInfo::Immediate { path, .. } => path,
        }
    }

    pub(super) fn client(&self) -> IpAddr {
        match self {
            RequestInfo::InFlight(open) => open.client(),
            RequestInfo::Immediate { client, .. } => *client,
        }
    }

    pub(super) fn caller(&self) -> Option<&Caller> {
        match self {
            RequestInfo::InFlight(open) => open.caller(),
            RequestInfo::Immediate { caller, .. } => caller.as_deref(),
        }
    }

    /// Bytes sent, and bytes received.
    pub(super) fn moved(&self) -> (u64, u64) {
        match self {
            RequestInfo::InFlight(open) => (open.sent.load(Relaxed), open.received.load(Relaxed)),
            RequestInfo::Immediate { sent, .. } => (*sent, 0),
        }
    }
}

impl Immediate<'_> {
    pub(super) fn ended(&self, time: Timestamp) -> Ended {
        let Immediate { status, took, is_complete, .. } = *self;
        Ended { status, latency: took, took, time, is_complete }
    }

    pub(super) fn asked(&self, path: Arc<str>, caller: Option<Arc<Caller>>) -> RequestInfo {
        let Immediate { method, client, sent, .. } = *self;
        RequestInfo::Immediate { method: method.clone(), path, client, caller, sent }
    }
}
