//! The interface between connections and the service: how a connection gets responses without knowing of files, keys or routes.

use std::convert::Infallible;
use std::net::IpAddr;
use std::time::Instant;

use axum::BoxError;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};

use crate::net::client_address::Peer;
use crate::net::concurrency_limit::LimitReached;
use crate::net::fast_path::request_head::RequestHead;
use crate::net::sendfile::SendfileQueue;

/// Responds to requests.
pub trait Handler: Send + Sync + 'static {
    /// The body of a response.
    type Body: http_body::Body<Data = Bytes, Error: Into<BoxError> + Send> + Unpin + Send + 'static;

    /// Accounting for a response that was not sent at once.
    type Account: Account + Send + 'static;

    /// A response to a plain read that is cached, and its accounting.
    type KnownResponse<'a>: KnownResponse<Body = Self::Body, Account = Self::Account>;

    /// Appends the head of a plain read's response to `out`, and perhaps its content, if the response is cached. Otherwise returns `None`
    /// and writes nothing.
    fn respond_now<'a>(
        &'a self,
        head: &'a RequestHead<'_, '_>,
        connection: &Connection,
        began: Instant,
        out: &mut Vec<u8>,
    ) -> Option<Remainder<Self::KnownResponse<'a>>>;

    /// The other end of a TCP connection from an address.
    fn peer(&self, address: IpAddr) -> Peer {
        Peer { address: Some(address) }
    }

    /// The response to a request from a connection.
    fn respond(
        &self,
        request: Request<Body>,
        connection: &Connection,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// What is still to be sent after the head of a cached response.
#[derive(Debug)]
pub enum Remainder<K: KnownResponse> {
    /// Nothing: the content, if any, was written with the head.
    Nothing(K),
    /// This content.
    Content(K, K::Content),
}

/// A cached response that is being sent. If it is sent at once, one call of [`sent`](KnownResponse::sent) accounts for it.
pub trait KnownResponse {
    /// The content still to be sent.
    type Content: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Unpin;
    /// The same content, with accounting while it is sent.
    type Body;
    /// Accounting for a response that is not sent at once.
    type Account: Account;

    /// Length of the body, in bytes.
    fn length(&self) -> u64;

    /// Accounts for a response that was sent at once.
    fn sent(self);

    /// Starts the accounting for a response that is in memory but could not be written at once.
    fn account(&mut self) -> Self::Account;

    /// Wraps content that takes longer to send, so that it is accounted for as it is sent.
    fn body(&mut self, content: Self::Content, sendfile_queue: SendfileQueue) -> Self::Body;
}

/// Accounting for a response that is written piece by piece.
pub trait Account {
    /// The response has ended: of a body of `length` bytes, `unsent` were not sent.
    fn ends(self, length: u64, unsent: u64);
}

/// For a handler that caches no responses.
impl<B> KnownResponse for (Infallible, std::marker::PhantomData<B>) {
    type Content = Body;
    type Body = B;
    type Account = Infallible;

    fn length(&self) -> u64 {
        match self.0 {}
    }

    fn sent(self) {
        match self.0 {}
    }

    fn account(&mut self) -> Infallible {
        self.0
    }

    fn body(&mut self, _content: Body, _queue: SendfileQueue) -> B {
        match self.0 {}
    }
}

impl Account for Infallible {
    fn ends(self, _length: u64, _unsent: u64) {
        match self {}
    }
}

/// What a request can learn about its connection.
#[derive(Debug)]
pub struct Connection {
    /// The other end.
    pub peer: Peer,
    /// The limit that was reached, if the connection is over it and gets only a 503.
    pub full: Option<LimitReached>,
    /// The queue of file parts for the kernel to send on this connection.
    pub sendfile_queue: SendfileQueue,
}

/// Decides when the service may shut down because it is idle.
pub trait IdleShutdown {
    /// Ready when the service should shut down.
    fn requested(&self) -> impl Future<Output = ()>;
    /// Whether it still should, asked when no more connections are accepted and those before have been served.
    fn still_idle(&self) -> bool;
    /// The shutdown was cancelled, because there are new clients.
    fn cancelled(&self);
}

/// A service that is never idle.
impl IdleShutdown for () {
    fn requested(&self) -> impl Future<Output = ()> {
        std::future::pending()
    }

    fn still_idle(&self) -> bool {
        false
    }

    fn cancelled(&self) {}
}
