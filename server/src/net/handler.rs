//! What answers requests, as connections see it: they know nothing of files, keys or routes.

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

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// The body of a response.
    type Body: http_body::Body<Data = Bytes, Error: Into<BoxError> + Send> + Unpin + Send + 'static;

    /// The account of a response that takes longer.
    type Account: Account + Send + 'static;

    /// A response to a plain read that is known already, and how it is accounted for.
    type KnownResponse<'a>: KnownResponse<Body = Self::Body, Account = Self::Account>;

    /// Writes the head of a response to a plain read, if it is known already, and perhaps its content. None where it is not, with
    /// nothing written.
    fn respond_now<'a>(
        &'a self,
        head: &'a RequestHead<'_, '_>,
        connection: &Connection,
        began: Instant,
        out: &mut Vec<u8>,
    ) -> Option<Remainder<Self::KnownResponse<'a>>>;

    /// Who is at the other end of a TCP connection from an address.
    fn peer(&self, address: IpAddr) -> Peer {
        Peer { address: Some(address) }
    }

    /// The response to a request that came over a connection.
    fn respond(
        &self,
        request: Request<Body>,
        connection: &Connection,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// What comes behind the head of a response that is known.
#[derive(Debug)]
pub enum Remainder<K: KnownResponse> {
    /// Nothing: all there is has been written with it.
    Nothing(K),
    /// Content that is still to be sent.
    Content(K, K::Content),
}

/// A response that is known, on its way out. If that is over at once, it is accounted for in one go.
pub trait KnownResponse {
    /// What is still to be sent of it.
    type Content: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Unpin;
    /// The same, accounted for while it is sent.
    type Body;
    /// The account of one that takes longer.
    type Account: Account;

    /// Bytes of its body.
    fn length(&self) -> u64;

    /// It has gone out, at once.
    fn sent(self);

    /// It takes longer, and is accounted for when it ends.
    fn account(&mut self) -> Self::Account;

    /// Its content takes longer, and is accounted for as it is sent.
    fn body(&mut self, content: Self::Content, sendfile_queue: SendfileQueue) -> Self::Body;
}

/// The account of a response that is written piece by piece.
pub trait Account {
    /// All of it has gone out, but for so many bytes of a body of some length.
    fn ends(self, length: u64, unsent: u64);
}

/// For a handler that knows no response beforehand.
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

    fn body(&mut self, _content: Body, _outlet: SendfileQueue) -> B {
        match self.0 {}
    }
}

impl Account for Infallible {
    fn ends(self, _length: u64, _unsent: u64) {
        match self {}
    }
}

/// What a request may want to know of its connection.
#[derive(Debug)]
pub struct Connection {
    /// Where it comes from.
    pub peer: Peer,
    /// Why there is no place for it, if there is none.
    pub full: Option<LimitReached>,
    /// Through which files can leave.
    pub sendfile_queue: SendfileQueue,
}

/// Who says that nobody needs the service, and hears that somebody does.
pub trait IdleShutdown {
    /// Done when it is time to sleep.
    fn requested(&self) -> impl Future<Output = ()>;
    /// Whether it still is, when nobody is let in any more and those who were have had their answers.
    fn still_idle(&self) -> bool;
    /// It is put off: somebody is there.
    fn cancelled(&self);
}

/// Never.
impl IdleShutdown for () {
    fn requested(&self) -> impl Future<Output = ()> {
        std::future::pending()
    }

    fn still_idle(&self) -> bool {
        false
    }

    fn cancelled(&self) {}
}
