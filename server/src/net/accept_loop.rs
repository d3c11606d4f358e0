//! The accept loop: accepts connections, serves HTTP/1.1 on each, and shuts down gracefully.
//!
//! The loop is our own and not axum's, because header time-outs and buffer sizes are set on hyper's builder. When `stop` is done, it
//! accepts nothing more, lets responses in flight finish within the grace period, then returns. When the service is [idle](IdleShutdown),
//! it returns only if no client has come: every accepted connection is served to its end, and pending ones stay in the socket's queue for
//! the next process that listens on it.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Body;
use http::Request;
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio_util::task::TaskTracker;

use crate::net::client_address::Peer;
use crate::net::concurrency_limit::{ConcurrencyLimit, ConnectionLimits};
use crate::net::fast_path;
use crate::net::handler::{Connection, Handler, IdleShutdown};
use crate::net::listener::{Accepted, Listener};
use crate::net::sendfile::{SendfileQueue, SendfileStream};
use crate::net::shutdown::{Shutdown, ShutdownSignal};
use crate::net::socket::Socket;
use crate::net::timeouts::{FIRST_REQUEST_TIMEOUT, Timeouts};
use crate::net::worker_threads::Workers;
use crate::net::write_timeout::{Stream, WriteTimeout};
use crate::sync::lock;

/// Size of hyper's buffers for a request's header and a response, in bytes. It is above the router's own limits, so that a header over
/// these limits gets a problem document.
const BUFFER: usize = 64 * 1024;
/// Most header fields in a request.
const MOST_FIELDS: usize = 128;
/// How long the loop pauses when the process has no file descriptors left. Some connections may end meanwhile.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);

/// How many connections over the limit get a 503 at the same time. More than these are closed without a response.
const REJECTED: ConnectionLimits = ConnectionLimits { total: 100, per_address: 10 };

/// Minimum time between two warnings about connections closed without a response.
const WARN_INTERVAL: Duration = Duration::from_mins(1);

/// How many times a drain accepts the connections that arrived while it served those before. Bounded, because new ones may never stop
/// coming.
const DRAIN_ROUNDS: u32 = 5;

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServeOutcome {
    /// `stop` was done, and every response in flight was finished.
    Drained,
    /// `stop` was done, and responses were cut off at the end of the grace period.
    CutOff,
    /// The service was idle.
    Idle,
}

/// Serves until `stop` is done, and then for `timeouts.shutdown_grace` at most; or until `idle` requests a shutdown.
pub async fn serve(
    listener: Listener,
    handler: impl Handler,
    (workers, limit): (Workers, Arc<ConcurrencyLimit>),
    timeouts: Timeouts,
    stop: impl Future<Output = ()>,
    idle: impl IdleShutdown,
) -> ServeOutcome {
    let mut connections = Connections::new(handler, (workers, limit), timeouts);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
            () = idle.requested() => {
                let is_idle = tokio::select! {
                    is_idle = connections.drain(&listener, &idle) => is_idle,
                    () = &mut stop => break,
                };
                if is_idle {
                    drop(listener);
                    connections.end(Duration::ZERO).await;
                    return ServeOutcome::Idle;
                }
                idle.cancelled();
                continue;
            }
        };
        match accepted {
            Ok(accepted) => connections.take(accepted),
            // A client that gave up while it was queued is no reason to stop.
            Err(error) if error.raw_os_error().is_none_or(is_of_one_connection) => {}
            Err(error) => {
                tracing::error!("could not accept a connection: {error}");
                tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
            }
        }
    }
    drop(listener);
    if connections.end(timeouts.shutdown_grace).await {
        ServeOutcome::Drained
    } else {
        ServeOutcome::CutOff
    }
}

/// The open connections.
struct Connections<H> {
    handler: Arc<H>,
    workers: Workers,
    limit: Arc<ConcurrencyLimit>,
    /// Bounds the connections that get a 503 because `limit` was reached.
    rejected: Arc<ConcurrencyLimit>,
    /// When a connection closed without a response was last logged.
    said: Mutex<Option<Instant>>,
    timeouts: Timeouts,
    /// Tells the open connections to finish their current response and then close. Connections that are accepted later get a new signal.
    finish: Shutdown,
    /// Tells every connection to close now.
    cut_off: Shutdown,
    tasks: TaskTracker,
}

impl<H: Handler> Connections<H> {
    fn new(
        handler: H,
        (workers, limit): (Workers, Arc<ConcurrencyLimit>),
        timeouts: Timeouts,
    ) -> Connections<H> {
        Connections {
            handler: Arc::new(handler),
            workers,
            limit,
            rejected: ConcurrencyLimit::new(REJECTED),
            said: Mutex::default(),
            timeouts,
            finish: Shutdown::default(),
            cut_off: Shutdown::default(),
            tasks: TaskTracker::new(),
        }
    }

    /// Hands a connection to the next worker. With [`Workers::here`], that is the runtime that accepted it.
    fn take(&self, accepted: Accepted) {
        match accepted {
            Accepted::Tcp(stream, address) => {
                // On a dual-stack socket, an IPv4 client has an IPv4-mapped IPv6 address.
                let peer = self.handler.peer(address.ip().to_canonical());
                let stream = stream.into_std();
                self.spawn(move || tokio::net::TcpStream::from_std(stream?), peer);
            }
            Accepted::Unix(stream) => self.spawn(move || Ok(stream), Peer { address: None }),
        }
    }

    /// Lets responses in flight go on for `grace`, then cuts them off. Returns whether all were finished.
    async fn end(mut self, grace: Duration) -> bool {
        let is_finished = self.finish(grace).await;
        self.cut_off.trigger();
        self.tasks.close();
        self.tasks.wait().await;
        is_finished
    }

    /// Tells the open connections to close after their current response, and waits for that up to `limit`. Those that take longer go on,
    /// and still close after that response.
    async fn finish(&mut self, limit: Duration) -> bool {
        std::mem::take(&mut self.finish).trigger();
        self.tasks.close();
        let is_finished = tokio::time::timeout(limit, self.tasks.wait()).await.is_ok();
        self.tasks.reopen();
        is_finished
    }

    /// Serves every accepted connection to its end, and accepts only those that are already queued. Returns whether the service is still
    /// idle.
    async fn drain(&mut self, listener: &Listener, idle: &impl IdleShutdown) -> bool {
        for call in 0.. {
            self.finish(FIRST_REQUEST_TIMEOUT).await;
            if !idle.still_idle() {
                return false;
            }
            if call == DRAIN_ROUNDS || !listener.is_waited_at() {
                break;
            }
            // Another process may listen on the same socket, and accept first.
            while listener.is_waited_at()
                && let Ok(Ok(accepted)) =
                    tokio::time::timeout(FIRST_REQUEST_TIMEOUT, listener.accept()).await
            {
                self.take(accepted);
            }
        }
        true
    }

    /// Logs that a connection was closed without a response, at most once per [`WARN_INTERVAL`]: a flood must not fill the log too.
    fn say_closed(&self, peer: Peer) {
        let mut said = lock(&self.said);
        if said.is_none_or(|it| it.elapsed() >= WARN_INTERVAL) {
            *said = Some(Instant::now());
            tracing::warn!(
                client = ?peer.address,
                "the connection limit is reached: connections are closed without a response (see --connections)"
            );
        }
    }

    /// Serves a connection on the next worker. The worker itself opens the stream, because a runtime reports events only for the sockets
    /// that were opened on it.
    fn spawn<S>(&self, open: impl FnOnce() -> io::Result<S> + Send + 'static, peer: Peer)
    where
        S: Socket,
    {
        let Some(worker) = self.workers.next() else { return };
        let (permit, full) = match self.limit.acquire(peer.address) {
            Ok(permit) => (permit, None),
            Err(full) => match self.rejected.acquire(peer.address) {
                Ok(permit) => (permit, Some(full)),
                Err(_) => return self.say_closed(peer),
            },
        };
        let (handler, mut timeouts) = (Arc::clone(&self.handler), self.timeouts);
        if full.is_some() {
            timeouts.header_read = timeouts.header_read.min(FIRST_REQUEST_TIMEOUT);
        }
        let (finish, cut_off) = (self.finish.subscribe(), self.cut_off.subscribe());
        let serving = async move {
            match open() {
                Ok(stream) => {
                    let connection =
                        Connection { peer, full, sendfile_queue: SendfileQueue::default() };
                    serve_connection(stream, handler, timeouts, connection, finish).await;
                }
                Err(error) => tracing::error!("could not serve a connection: {error}"),
            }
            drop(permit);
        };
        // Boxed: the future of an async function holds a moved argument twice.
        self.tasks.spawn_on(cut_off.until_triggered(Box::pin(serving)), worker);
    }
}

/// Serves the requests of a connection, one after the other, until the client has no more or `finish` is triggered.
async fn serve_connection(
    stream: impl Socket,
    handler: Arc<impl Handler>,
    timeouts: Timeouts,
    connection: Connection,
    mut finish: ShutdownSignal,
) {
    let client = connection.peer.address;
    let stream = SendfileStream::new(stream, connection.sendfile_queue.clone());
    let stream = WriteTimeout::new(stream, timeouts.write);
    match fast_path::serve(stream, &*handler, &connection, timeouts, &mut finish).await {
        Ok(None) => {}
        Ok(Some(stream)) => {
            let all = serve_all(stream, handler, timeouts, connection, finish);
            // Boxed: few connections get here, and the future of every connection would have to have room for it.
            if let Err(error) = Box::pin(all).await {
                tracing::debug!(?client, "a connection ended early: {error}");
            }
        }
        Err(error) => tracing::debug!(?client, "a connection ended early: {error}"),
    }
}

/// Serves a connection through hyper, with all of HTTP/1.
async fn serve_all(
    mut stream: Stream<impl Socket>,
    handler: Arc<impl Handler>,
    timeouts: Timeouts,
    connection: Connection,
    finish: ShutdownSignal,
) -> hyper::Result<()> {
    let connection = Arc::new(connection);
    let service = service_fn(move |request: Request<Incoming>| {
        let (handler, connection) = (Arc::clone(&handler), Arc::clone(&connection));
        let request =
            request.map(|it| if it.is_end_stream() { Body::empty() } else { Body::new(it) });
        async move { Ok::<_, Infallible>(handler.respond(request, &connection).await) }
    });
    let first = stream.first();
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // A client that has closed its sending half may still wait for its response.
        .half_close(true)
        .header_read_timeout(timeouts.header_read)
        .max_buf_size(BUFFER)
        .max_headers(MOST_FIELDS)
        .serve_connection(TokioIo::new(stream), service);
    // When told to shut down, hyper closes a connection whose first request it has not read yet, even if that request has already arrived.
    let told = async move {
        finish.await;
        tokio::time::timeout(FIRST_REQUEST_TIMEOUT, first).await.map(drop).unwrap_or_default();
    };
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = told => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}

fn is_of_one_connection(code: i32) -> bool {
    use rustix::io::Errno;
    let gone = [
        Errno::CONNABORTED,
        Errno::CONNRESET,
        Errno::INVAL,
        Errno::PERM,
        Errno::PROTO,
        Errno::NOTCONN,
    ];
    gone.iter().any(|it| it.raw_os_error() == code)
}
