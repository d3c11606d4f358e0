//! A connection that does not wait for ever.
//!
//! A client that takes nothing of an answer for a while is cut off, so that silent ones can't pile up. A slow one
//! may take as long as it likes, while it takes something. What waits for a request's header is for hyper and
//! the [lane](crate::net::fast_path) to limit.
//! Whoever waits for a client's first word can learn that it has come.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

use crate::net::sendfile::SendfileStream;

/// A stream whose writes must get on.
pub(crate) struct WriteTimeout<S> {
    stream: S,
    /// What was read too early, to be read once more.
    rewind: Vec<u8>,
    /// How long a write may stand still.
    stall: Duration,
    /// Runs while one does; boxed, so that the stream can move.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Told of the first bytes that come, once.
    first: Option<oneshot::Sender<()>>,
}

impl<S> WriteTimeout<S> {
    /// Cuts writes off that stand still for so long.
    pub(crate) fn new(stream: S, stall: Duration) -> WriteTimeout<S> {
        WriteTimeout { stream, rewind: Vec::new(), stall, deadline: None, first: None }
    }

    /// Done when the first bytes have come; fails when none can come any more.
    pub(crate) fn first(&mut self) -> oneshot::Receiver<()> {
        let (tell, told) = oneshot::channel();
        self.first = Some(tell);
        told
    }

    /// Puts bytes back, to be read before what comes.
    pub(crate) fn rewind(&mut self, bytes: Vec<u8>) {
        self.rewind = bytes;
    }

    /// What is below.
    pub(crate) fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The outcome of a write; an error if it has stood still for too long.
    fn bound<T>(
        &mut self,
        poll: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.deadline = None;
            return poll;
        }
        let stall = self.stall;
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + stall)));
        match deadline.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the client takes nothing any more",
            ))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = if self.rewind.is_empty() {
            Pin::new(&mut self.stream).poll_read(context, buffer)
        } else {
            let rest = {
                let most = self.rewind.len().min(buffer.remaining());
                self.rewind.split_off(most)
            };
            buffer.put_slice(&std::mem::replace(&mut self.rewind, rest));
            Poll::Ready(Ok(()))
        };
        if buffer.filled().len() > before
            && let Some(first) = self.first.take()
        {
            // Nobody may want to know.
            first.send(()).unwrap_or_default();
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.bound(poll, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.bound(poll, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A connection's stream.
pub(crate) type Stream<S> = WriteTimeout<SendfileStream<S>>;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_is_cut_off() {
        let (near, _far) = tokio::io::duplex(16);
        let mut near = WriteTimeout::new(near, Duration::from_mins(1));
        let error = near.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_may_take_as_long_as_it_likes() {
        let (near, mut far) = tokio::io::duplex(16);
        let mut near = WriteTimeout::new(near, Duration::from_mins(1));
        let reader = tokio::spawn(async move {
            let mut read = 0;
            while read < 160 {
                tokio::time::sleep(Duration::from_secs(50)).await;
                read += far.read(&mut [0; 16]).await.unwrap();
            }
            read
        });
        near.write_all(&[0; 160]).await.unwrap();
        drop(near);
        assert_eq!(reader.await.unwrap(), 160);
    }
}
