//! Bodies that go out as they are because all encoders are busy, and take turns with those that are coded.
//!
//! A file as it is goes out a hundred times as fast as one that is coded. So a flood of clients of which some get their file coded and the
//! others get it as it is would leave the encoders nothing of the processors, and whoever else asks for something neither. Before each
//! part of such a body a task without work goes through the queue of the threads that code: where they are idle it is through at once,
//! and where they are not the body goes on at their pace. No byte of it passes through there.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Bytes of a body in one turn. A part that is longer takes several.
const TURN: isize = 32 * 1024;

/// A body that takes turns.
#[derive(Debug)]
pub(super) struct InTurns<B> {
    body: B,
    /// Those that code.
    threads: Handle,
    waiting: Option<JoinHandle<()>>,
    /// Bytes that it may still give in this turn; below zero where it has taken more than it had turns for.
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
            // It only fails where the service ends, and all may go on.
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
        // They come to its turn.
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
