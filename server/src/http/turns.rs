//! Bodies that are sent without a coding because all encoders are busy: they take turns with the coded ones.
//!
//! A plain file is sent a hundred times as fast as a coded one. So in a flood of requests, plain bodies would leave no processor time for
//! the encoders, nor for other clients. Before each part of such a body, an empty task goes through the encoder threads' queue. If they are
//! idle, it is done at once; if they are busy, the body continues at their pace. The bytes themselves do not pass through those threads.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Bytes of a body in one turn. A longer part takes several turns.
const TURN: isize = 32 * 1024;

#[derive(Debug)]
pub(super) struct InTurns<B> {
    body: B,
    /// The encoder threads.
    threads: Handle,
    waiting: Option<JoinHandle<()>>,
    /// Bytes left in this turn. Negative if the last part was longer than the turn.
    left: isize,
}

impl<B> InTurns<B> {
    pub(super) fn new(body: B, threads: Handle) -> InTurns<B> {
        InTurns { body, threads, waiting: None, left: 0 }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for InTurns<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        while this.left <= 0 {
            let waiting = this.waiting.get_or_insert_with(|| this.threads.spawn(async {}));
            // Fails only when the service ends. Then all bodies may continue.
            ready!(Pin::new(waiting).poll(context)).unwrap_or_default();
            this.waiting = None;
            this.left += TURN;
        }
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        let given = frame.as_ref().and_then(|it| it.as_ref().ok()?.data_ref().map(Bytes::len));
        this.left -= given.unwrap_or(0).cast_signed();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};
    use tokio::runtime::Builder;

    use super::*;

    #[tokio::test]
    async fn a_body_waits_for_those_that_are_coded_and_is_the_same() {
        let threads = Builder::new_current_thread().build().unwrap();
        let bytes = Bytes::from_static(b"as it is");
        let mut body = InTurns::new(Full::new(bytes.clone()), threads.handle().clone());
        assert_eq!(body.size_hint().exact(), Some(8));
        assert!(!body.is_end_stream());
        assert!(futures_util::poll!(body.frame()).is_pending());
        // Runs the body's empty task, as an encoder thread does.
        let turn = std::thread::spawn(move || {
            threads.block_on(tokio::task::yield_now());
            threads
        });
        let threads = turn.join().unwrap();
        assert_eq!(body.collect().await.unwrap().to_bytes(), bytes);
        threads.shutdown_background();
    }

    #[tokio::test]
    async fn a_body_goes_on_where_nothing_is_coded_any_more() {
        let threads = Builder::new_current_thread().build().unwrap();
        let body = InTurns::new(Full::new(Bytes::from_static(b"a")), threads.handle().clone());
        threads.shutdown_background();
        assert_eq!(body.collect().await.unwrap().to_bytes(), "a");
    }
}
