//! A time-out for writes that make no progress.
//!
//! A client that reads nothing of a response for a while is disconnected, so that silent clients cannot pile up. A slow client may take as
//! long as it likes, while it reads something. Time-outs for a request's header are left to hyper and to the [fast
//! path](crate::net::fast_path). The stream also reports when a client's first bytes have arrived.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

use crate::net::sendfile::SendfileStream;

/// A stream whose writes must make progress.
pub(crate) struct WriteTimeout<S> {
    stream: S,
    /// Bytes put back, to be read again.
    rewind: Vec<u8>,
    /// Longest time without progress.
    stall: Duration,
    /// Runs while a write makes no progress. Boxed, so that the stream can move.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Notified once, when the first bytes arrive.
    first: Option<oneshot::Sender<()>>,
}

impl<S> WriteTimeout<S> {
    /// Fails writes that make no progress for `stall`.
    pub(crate) fn new(stream: S, stall: Duration) -> WriteTimeout<S> {
        WriteTimeout { stream, rewind: Vec::new(), stall, deadline: None, first: None }
    }

    /// Ready when the first bytes have arrived. Fails if none can arrive any more.
    pub(crate) fn first(&mut self) -> oneshot::Receiver<()> {
        let (tell, told) = oneshot::channel();
        self.first = Some(tell);
        told
    }

    /// Puts bytes back, to be read before new ones.
    pub(crate) fn rewind(&mut self, bytes: Vec<u8>) {
        self.rewind = bytes;
    }

    pub(crate) fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The outcome of a write, or an error if it made no progress for too long.
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
            // The receiver may have been dropped.
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

/// The stream of a connection.
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
