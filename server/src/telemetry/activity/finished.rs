//! Requests that are over: the last of them, for whoever looks.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use http::Method;
use jiff::Timestamp;

use super::in_flight::InFlight;
use crate::auth::caller::Caller;

/// How many requests that are over are remembered.
pub(super) const RECENT: usize = 500;

/// A request whose answer was given at once: all that there is to say of it.
#[derive(Clone, Copy, Debug)]
pub struct Immediate<'a> {
    /// Of the request.
    pub method: &'a Method,
    /// Clean, percent-encoded, without a key.
    pub path: &'a str,
    /// Where it came from.
    pub client: IpAddr,
    /// Who asked.
    pub caller: &'a Caller,
    /// Of the answer.
    pub status: u16,
    /// Which part of a file the answer was, as [`range_kind`](crate::telemetry::counters::range_kind) tells it.
    pub kind: Option<&'static str>,
    /// When it came in.
    pub began: Instant,
    /// Until it was over. Its answer began in the same moment.
    pub took: Duration,
    /// Bytes of the answer.
    pub sent: u64,
    /// Whether all of the answer went out.
    pub is_complete: bool,
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Of the answer, or 499.
    pub status: u16,
    /// Until the answer began.
    pub latency: Duration,
    /// Until it ended.
    pub took: Duration,
    /// When it ended, by the clock of people.
    pub time: Timestamp,
    /// Whether all of the answer went out.
    pub is_complete: bool,
}

/// A request that is over, as it is remembered: written out only for whoever looks.
#[derive(Debug)]
pub(super) struct Finished {
    /// When it ended, by the clock that nobody sets.
    pub(super) at: Instant,
    pub(super) ended: Ended,
    pub(super) request: RequestInfo,
}

/// What was asked.
#[derive(Clone, Debug)]
pub(super) enum RequestInfo {
    /// In a request that was under way for a while. What is left of its body may still come in behind its answer.
    InFlight(Arc<InFlight>),
    /// In one whose answer was given at once.
    Immediate {
        method: Method,
        path: Arc<str>,
        client: IpAddr,
        /// None for whoever has no name.
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

    /// Bytes that went out, and that came in.
    pub(super) fn moved(&self) -> (u64, u64) {
        match self {
            RequestInfo::InFlight(open) => (open.sent.load(Relaxed), open.received.load(Relaxed)),
            RequestInfo::Immediate { sent, .. } => (*sent, 0),
        }
    }
}

impl Immediate<'_> {
    /// How it ended.
    pub(super) fn ended(&self, time: Timestamp) -> Ended {
        let Immediate { status, took, is_complete, .. } = *self;
        Ended { status, latency: took, took, time, is_complete }
    }

    pub(super) fn asked(&self, path: Arc<str>, caller: Option<Arc<Caller>>) -> RequestInfo {
        let Immediate { method, client, sent, .. } = *self;
        RequestInfo::Immediate { method: method.clone(), path, client, caller, sent }
    }
}
