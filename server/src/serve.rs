//! Accepts connections, speaks HTTP/1.1 on each, and ends in good order.
//!
//! The loop is our own rather than axum's, because hyper's builder is where header time-outs and buffer sizes are
//! set. When told to stop it accepts nothing more, lets answers under way go on for a while, then returns. When it is
//! [time to sleep](Bedtime) it returns only if nobody has come: what was accepted is answered to its end, and what was
//! not is left to whoever has the socket next.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::auth::Peer;
use crate::listener::{Accepted, Listener};
use crate::patience::Patient;

/// How long clients may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// To send a request's header, and to stay silent between two requests.
    pub header: Duration,
    /// To take nothing of an answer.
    pub stall: Duration,
    /// To finish what is under way when the service stops.
    pub grace: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            header: Duration::from_secs(30),
            stall: Duration::from_mins(2),
            grace: Duration::from_secs(30),
        }
    }
}

/// Bytes of a request's header that hyper reads, and of an answer that it holds: above the router's own limits, so
/// that these can answer with a problem.
const BUFFER: usize = 64 * 1024;
/// Header fields of a request.
const MOST_FIELDS: usize = 128;
/// A pause when the system is out of descriptors, in which some connections may end.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);

/// How long those who are connected may take to say what they want, when all others sleep.
const AT_THE_DOOR: Duration = Duration::from_secs(1);

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was told to stop, and all answers could be finished.
    Finished,
    /// It was told to stop, and answers were cut off when their time was over.
    CutOff,
    /// Nobody needed it any more.
    Asleep,
}

/// Who says that nobody needs the service, and hears that somebody does.
pub trait Bedtime {
    /// Done when it is time to sleep.
    fn comes(&self) -> impl Future<Output = ()>;
    /// Whether it still is, when nobody is let in any more and those who were have had their answers.
    fn is_here(&self) -> bool;
    /// It is put off: somebody is there.
    fn is_put_off(&self);
}

/// Never.
impl Bedtime for () {
    fn comes(&self) -> impl Future<Output = ()> {
        std::future::pending()
    }

    fn is_here(&self) -> bool {
        false
    }

    fn is_put_off(&self) {}
}

/// Serves until `stop` is done, and then for `patience.grace` at most; or until it may sleep.
pub async fn serve(
    listener: Listener,
    router: Router,
    patience: Patience,
    stop: impl Future<Output = ()>,
    bedtime: impl Bedtime,
) -> End {
    let mut connections = Connections::default();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
            () = bedtime.comes() => {
                connections.finish(AT_THE_DOOR).await;
                if bedtime.is_here() && !listener.is_waited_at() {
                    drop(listener);
                    connections.end(Duration::ZERO).await;
                    return End::Asleep;
                }
                bedtime.is_put_off();
                continue;
            }
        };
        match accepted {
            Ok(Accepted::Tcp(stream, address)) => {
                let peer = Peer { address: Some(address.ip()) };
                connections.spawn(stream, peer, router.clone(), patience);
            }
            Ok(Accepted::Unix(stream)) => {
                connections.spawn(stream, Peer { address: None }, router.clone(), patience);
            }
            // One that gave up while it waited is no reason to stop.
            Err(error) if error.raw_os_error().is_none_or(is_of_one_connection) => {}
            Err(error) => {
                tracing::error!("could not accept a connection: {error}");
                tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
            }
        }
    }
    drop(listener);
    if connections.end(patience.grace).await { End::Finished } else { End::CutOff }
}

/// All that are open.
#[derive(Default)]
struct Connections {
    /// Tells each to finish what it is doing and then to end.
    graceful: GracefulShutdown,
    /// Tells each to end now.
    cut_off: CancellationToken,
    tasks: TaskTracker,
}

impl Connections {
    /// Lets answers under way go on for a while, then ends them. Says whether all could be finished.
    async fn end(mut self, grace: Duration) -> bool {
        self.tasks.close();
        let all = async {
            self.finish(grace).await;
            self.tasks.wait().await;
        };
        let is_finished = tokio::time::timeout(grace, all).await.is_ok();
        self.cut_off.cancel();
        self.tasks.wait().await;
        is_finished
    }

    /// Tells those that are open to end after what they are doing, and waits for that a while.
    async fn finish(&mut self, limit: Duration) {
        let open = std::mem::take(&mut self.graceful);
        // Those that take longer go on, and still end then.
        tokio::time::timeout(limit, open.shutdown()).await.unwrap_or_default();
    }

    fn spawn(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        router: Router,
        patience: Patience,
    ) {
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            let router = router.clone();
            async move {
                let Ok(response) = router.oneshot(request).await;
                Ok::<_, Infallible>(response)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(patience.header)
            .max_buf_size(BUFFER)
            .max_headers(MOST_FIELDS)
            .serve_connection(TokioIo::new(Patient::new(stream, patience.stall)), service);
        let connection = self.graceful.watch(connection);
        let cut_off = self.cut_off.clone();
        self.tasks.spawn(async move {
            let ended = cut_off.run_until_cancelled(connection).await;
            if let Some(Err(error)) = ended {
                tracing::debug!(client = ?peer.address, "a connection ended early: {error}");
            }
        });
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
