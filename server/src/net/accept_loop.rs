//! Accepts connections, speaks HTTP/1.1 on each, and ends in good order.
//!
//! The loop is our own rather than axum's, because hyper's builder is where header time-outs and buffer sizes are
//! set. When told to stop it accepts nothing more, lets answers under way go on for a while, then returns. When it is
//! [time to sleep](IdleShutdown) it returns only if nobody has come: what was accepted is answered to its end, and what was
//! not is left to whoever has the socket next.

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

/// Bytes of a request's header that hyper reads, and of an answer that it holds: above the router's own limits, so
/// that these can answer with a problem.
const BUFFER: usize = 64 * 1024;
/// Header fields of a request.
const MOST_FIELDS: usize = 128;
/// A pause when the system is out of descriptors, in which some connections may end.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);

/// As many are told at a time that there is no place; more are not even that.
const REJECTED: ConnectionLimits = ConnectionLimits { total: 100, per_address: 10 };

/// How often the log is told of those.
const WARN_INTERVAL: Duration = Duration::from_mins(1);

/// How often those are let in who came while the ones before them were answered. Strangers come without end.
const DRAIN_ROUNDS: u32 = 5;

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServeOutcome {
    /// It was told to stop, and all answers could be finished.
    Drained,
    /// It was told to stop, and answers were cut off when their time was over.
    CutOff,
    /// Nobody needed it any more.
    Idle,
}

/// Serves until `stop` is done, and then for `timeouts.shutdown_grace` at most; or until it may sleep.
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
            // One that gave up while it waited is no reason to stop.
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

/// All that are open.
struct Connections<H> {
    handler: Arc<H>,
    workers: Workers,
    limit: Arc<ConcurrencyLimit>,
    /// Those who are told that there is no place.
    rejected: Arc<ConcurrencyLimit>,
    /// When the log was last told of those who are not even told that.
    said: Mutex<Option<Instant>>,
    timeouts: Timeouts,
    /// Tells those that are open to finish what they are doing and then to end. Those that come later get another one.
    finish: Shutdown,
    /// Tells each to end now.
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

    /// Hands a connection to the worker whose turn it is. Those of a Unix socket stay with the runtime that accepted them.
    fn take(&self, accepted: Accepted) {
        match accepted {
            Accepted::Tcp(stream, address) => {
                // A client of IPv4 by a socket of both protocols is one of IPv4.
                let peer = self.handler.peer(address.ip().to_canonical());
                let stream = stream.into_std();
                self.spawn(move || tokio::net::TcpStream::from_std(stream?), peer);
            }
            Accepted::Unix(stream) => self.spawn(move || Ok(stream), Peer { address: None }),
        }
    }

    /// Lets answers under way go on for a while, then ends them. Says whether all could be finished.
    async fn end(mut self, grace: Duration) -> bool {
        let is_finished = self.finish(grace).await;
        self.cut_off.trigger();
        self.tasks.close();
        self.tasks.wait().await;
        is_finished
    }

    /// Tells those that are open to end after what they are doing, and waits for that a while. Those that take longer go
    /// on, and still end then.
    async fn finish(&mut self, limit: Duration) -> bool {
        std::mem::take(&mut self.finish).trigger();
        self.tasks.close();
        let is_finished = tokio::time::timeout(limit, self.tasks.wait()).await.is_ok();
        self.tasks.reopen();
        is_finished
    }

    /// Lets nobody in any more but whoever is at the door, and answers all who were let in. Says whether it may sleep.
    async fn drain(&mut self, listener: &Listener, idle: &impl IdleShutdown) -> bool {
        for call in 0.. {
            self.finish(FIRST_REQUEST_TIMEOUT).await;
            if !idle.still_idle() {
                return false;
            }
            if call == DRAIN_ROUNDS || !listener.is_waited_at() {
                break;
            }
            // Another process may be faster.
            while listener.is_waited_at()
                && let Ok(Ok(accepted)) =
                    tokio::time::timeout(FIRST_REQUEST_TIMEOUT, listener.accept()).await
            {
                self.take(accepted);
            }
        }
        true
    }

    /// A connection was closed unanswered. Whoever does that to us on purpose shall not fill the log too.
    fn say_closed(&self, peer: Peer) {
        let mut said = lock(&self.said);
        if said.is_none_or(|it| it.elapsed() >= WARN_INTERVAL) {
            *said = Some(Instant::now());
            tracing::warn!(
                client = ?peer.address,
                "there is no place left, and connections are closed unanswered: see --connections"
            );
        }
    }

    /// The stream is opened by the worker: sockets are told of what comes by the runtime that opened them.
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
        // Behind a pointer: what is moved into an async function has its place there twice.
        self.tasks.spawn_on(cut_off.until_triggered(Box::pin(serving)), worker);
    }
}

/// Answers one request after the other, until the client has no more or it is time to `finish`.
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
            // Few get here, and all would have to have room for it.
            if let Err(error) = Box::pin(all).await {
                tracing::debug!(?client, "a connection ended early: {error}");
            }
        }
        Err(error) => tracing::debug!(?client, "a connection ended early: {error}"),
    }
}

/// The same with all of HTTP/1.
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
        // Whoever sends no more may still wait for its answer.
        .half_close(true)
        .header_read_timeout(timeouts.header_read)
        .max_buf_size(BUFFER)
        .max_headers(MOST_FIELDS)
        .serve_connection(TokioIo::new(stream), service);
    // Told to finish, hyper closes a connection whose first request it has not read yet, though that may be here.
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
