//! A response being sent: what is left of its head, then its body, piece by piece.
//!
//! It is plain state, polled with the stream that it writes to. So sending can start in the same poll that read the request, and continue
//! in a later one if the socket is full or the disk is slow.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::BoxError;
use bytes::{Buf as _, Bytes};
use http_body::{Body, Frame};
use tokio::io::AsyncWrite as _;

use crate::net::fair_share::{Counted, in_a_row};
use crate::net::sendfile::End;
use crate::net::socket::Socket;
use crate::net::write_timeout::Stream;

/// Room for the bytes around a chunk: its end, and the next chunk's length in hexadecimal.
const LINE: usize = 32;

/// How the client finds the end of the body (RFC 9112 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By its length, or because there is no body.
    Length,
    /// By the empty last chunk.
    Chunks,
}

/// A response that is being sent.
#[derive(Debug)]
pub(crate) struct ResponseWriter<B> {
    /// Bytes to write before `data`: the head, or the lines around chunks.
    front: Vec<u8>,
    /// How much of `front` has been written.
    written: usize,
    data: Bytes,
    body: B,
    is_body_over: bool,
    framing: Framing,
    /// Whether the previous chunk still needs its closing line break.
    is_in_chunk: bool,
    counted: Counted,
}

impl<B> ResponseWriter<B> {
    /// Starts with a complete head.
    pub(crate) fn new(head: Vec<u8>, body: B, framing: Framing) -> ResponseWriter<B> {
        ResponseWriter {
            front: head,
            written: 0,
            data: Bytes::new(),
            body,
            is_body_over: false,
            framing,
            is_in_chunk: false,
            counted: Counted::start(),
        }
    }

    /// Wraps the body in another one.
    pub(crate) fn map<C>(self, around: impl FnOnce(B) -> C) -> ResponseWriter<C> {
        let ResponseWriter {
            front,
            written,
            data,
            body,
            is_body_over,
            framing,
            is_in_chunk,
            counted,
        } = self;
        let body = around(body);
        ResponseWriter { front, written, data, body, is_body_over, framing, is_in_chunk, counted }
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> ResponseWriter<B> {
    /// Ready when everything has been written. Fails if the client goes away before.
    pub(crate) fn poll<S: Socket>(
        &mut self,
        stream: &mut Stream<S>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut sent = 0;
        let share = in_a_row();
        loop {
            if sent >= share {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.data.is_empty() && !self.is_body_over {
                match Pin::new(&mut self.body).poll_frame(context) {
                    Poll::Ready(frame) => self.take(frame.transpose().map_err(io::Error::other)?),
                    Poll::Pending => {
                        // Send what is in memory now. Then check that the client still waits for the rest.
                        ready!(self.poll_at_hand(stream, context))?;
                        return match ready!(stream.get_ref().poll_end(context)) {
                            End::Gone => Poll::Ready(Err(gone())),
                            End::Silent => Poll::Pending,
                        };
                    }
                }
            }
            sent += self.data.len();
            ready!(self.poll_at_hand(stream, context))?;
            if self.is_body_over {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Takes the next data of the body, or its end.
    fn take(&mut self, frame: Option<Frame<Bytes>>) {
        let is_chunked = self.framing == Framing::Chunks;
        // With chunks, the last chunk is still to be written after the body's end.
        self.is_body_over = frame.is_none() || !is_chunked && self.body.is_end_stream();
        self.data = frame.and_then(|it| it.into_data().ok()).unwrap_or_default();
        if !is_chunked || self.data.is_empty() && !self.is_body_over {
            return;
        }
        // RFC 9112 §7.1: the previous chunk's line break, this chunk's length, and behind the last chunk an empty line.
        let end = if std::mem::replace(&mut self.is_in_chunk, true) { "\r\n" } else { "" };
        let behind = if self.is_body_over { "\r\n" } else { "" };
        let line = format!("{end}{:x}\r\n{behind}", self.data.len());
        self.front.extend_from_slice(line.as_bytes());
    }

    /// Writes what is in memory.
    fn poll_at_hand<S: Socket>(
        &mut self,
        stream: &mut Stream<S>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let front = self.front.get(self.written..).unwrap_or_default();
            let slices = [IoSlice::new(front), IoSlice::new(&self.data)];
            let slices = match (front.is_empty(), self.data.is_empty()) {
                (true, true) => {
                    // The next data may take long to come, so free the memory of a long head. Chunk lines are short.
                    self.front.clear();
                    self.front.shrink_to(LINE);
                    self.written = 0;
                    self.data = Bytes::new();
                    return Poll::Ready(Ok(()));
                }
                (true, false) => slices.get(1..),
                (false, true) => slices.get(..1),
                (false, false) => slices.get(..),
            };
            let write =
                Pin::new(&mut *stream).poll_write_vectored(context, slices.unwrap_or_default());
            let written = ready!(write)?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_front = written.min(front.len());
            self.written += of_front;
            self.data.advance(written - of_front);
        }
    }
}

/// The error when the client went away before the end of its response.
pub(crate) fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the client has gone")
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::os::fd::{AsFd, BorrowedFd};
    use std::time::Duration;

    use http::HeaderMap;
    use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};
    use tokio::net::UnixStream;

    use super::*;
    use crate::net::fair_share::MOST_IN_A_ROW;
    use crate::net::sendfile::{SendfileQueue, SendfileStream};
    use crate::net::write_timeout::WriteTimeout;

    /// A socket that takes a limited number of bytes per write. Without a limit, it takes and discards everything.
    struct Narrow(UnixStream, usize);

    const ALL: usize = usize::MAX;

    impl AsyncRead for Narrow {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(context, buffer)
        }
    }

    impl tokio::io::AsyncWrite for Narrow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let most = self.1.min(bytes.len());
            Pin::new(&mut self.0).poll_write(context, &bytes[..most])
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            context: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            if self.1 == ALL {
                return Poll::Ready(Ok(slices.iter().map(|it| it.len()).sum()));
            }
            // Counts over all slices.
            let bytes: Vec<u8> = slices.iter().flat_map(|it| it.iter().copied()).collect();
            self.poll_write(context, &bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(context)
        }

        fn poll_shutdown(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(context)
        }
    }

    impl AsFd for Narrow {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    impl Socket for Narrow {
        const CORKS: bool = false;

        fn hold(&self, bytes: u32) -> io::Result<()> {
            self.0.hold(bytes)
        }

        fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.0.poll_writable(context)
        }

        fn try_write(&self, write: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
            Socket::try_write(&self.0, write)
        }

        fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.0.poll_readable(context)
        }

        fn try_read(&self, read: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
            Socket::try_read(&self.0, read)
        }

        async fn broken(&self) {
            self.0.broken().await;
        }
    }

    static MEGABYTE: [u8; 1 << 20] = [0; 1 << 20];

    /// A body of this number of megabytes.
    struct Megabytes(u64);

    impl Body for Megabytes {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            self.0 -= 1;
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&MEGABYTE)))))
        }

        fn is_end_stream(&self) -> bool {
            self.0 == 0
        }
    }

    #[tokio::test]
    async fn others_have_their_turn_while_a_fast_client_takes_all_it_can() {
        let (near, _far) = UnixStream::pair().unwrap();
        let mut stream = WriteTimeout::new(
            SendfileStream::new(Narrow(near, ALL), SendfileQueue::default()),
            Duration::from_mins(1),
        );
        let mut sending = ResponseWriter::new(b"head".to_vec(), Megabytes(16), Framing::Length);
        let mut turns = 0;
        std::future::poll_fn(|context| {
            turns += 1;
            sending.poll(&mut stream, context)
        })
        .await
        .unwrap();
        assert_eq!(turns, (16 << 20) / MOST_IN_A_ROW);
    }

    /// What a body does when it is polled.
    #[derive(Clone, Copy)]
    enum Step {
        Data(&'static str),
        Trailers,
        /// Is pending once.
        Wait,
        /// Is pending for ever.
        Stall,
        Fail,
    }

    struct Steps(VecDeque<Step>);

    impl Body for Steps {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            Poll::Ready(match self.0.pop_front() {
                None => None,
                Some(Step::Data(text)) => {
                    Some(Ok(Frame::data(Bytes::from_static(text.as_bytes()))))
                }
                Some(Step::Trailers) => Some(Ok(Frame::trailers(HeaderMap::new()))),
                Some(Step::Fail) => Some(Err(io::Error::other("no more"))),
                Some(Step::Wait) => {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(Step::Stall) => {
                    self.0.push_front(Step::Stall);
                    return Poll::Pending;
                }
            })
        }
    }

    fn sending(steps: &[Step], framing: Framing) -> ResponseWriter<Steps> {
        ResponseWriter::new(b"head\r\n".to_vec(), Steps(steps.iter().copied().collect()), framing)
    }

    fn stream(at_a_time: usize) -> (Stream<Narrow>, UnixStream) {
        let (near, far) = UnixStream::pair().unwrap();
        let direct = SendfileStream::new(Narrow(near, at_a_time), SendfileQueue::default());
        (WriteTimeout::new(direct, Duration::from_mins(1)), far)
    }

    /// Sends a body. Returns the bytes that the client receives, and how sending ended.
    async fn sent(steps: &[Step], framing: Framing, at_a_time: usize) -> (String, io::Result<()>) {
        let (mut stream, mut far) = stream(at_a_time);
        let mut sending = sending(steps, framing);
        let ended = std::future::poll_fn(|context| sending.poll(&mut stream, context)).await;
        drop(stream);
        let mut text = String::new();
        far.read_to_string(&mut text).await.unwrap();
        (text, ended)
    }

    #[tokio::test]
    async fn bodies_are_framed_as_they_are_announced() {
        use Step::{Data, Trailers, Wait};
        let check = async |steps: &[Step], plain: &str, chunks: &str| {
            for at_a_time in [1, 2, 3, 5, 1000] {
                for (framing, expected) in [(Framing::Length, plain), (Framing::Chunks, chunks)] {
                    let (text, ended) = sent(steps, framing, at_a_time).await;
                    assert_eq!(text, format!("head\r\n{expected}"), "{at_a_time}");
                    ended.unwrap();
                }
            }
        };
        check(&[], "", "0\r\n\r\n").await;
        check(&[Wait], "", "0\r\n\r\n").await;
        check(&[Data("")], "", "0\r\n\r\n").await;
        check(&[Data("abc")], "abc", "3\r\nabc\r\n0\r\n\r\n").await;
        let several = [Data("a"), Data("0123456789abcdefg")];
        check(&several, "a0123456789abcdefg", "1\r\na\r\n11\r\n0123456789abcdefg\r\n0\r\n\r\n")
            .await;
        // An empty chunk would end the body.
        let empty = [Data(""), Data("a"), Data(""), Wait, Data(""), Data("b"), Data("")];
        check(&empty, "ab", "1\r\na\r\n1\r\nb\r\n0\r\n\r\n").await;
        check(
            &[Wait, Data("a"), Wait, Wait, Data("b"), Wait],
            "ab",
            "1\r\na\r\n1\r\nb\r\n0\r\n\r\n",
        )
        .await;
        check(&[Data("a"), Trailers], "a", "1\r\na\r\n0\r\n\r\n").await;
    }

    #[tokio::test]
    async fn a_body_that_fails_never_looks_whole() {
        for at_a_time in [1, 1000] {
            let steps = [Step::Data("abc"), Step::Fail];
            for (framing, expected) in
                [(Framing::Length, "head\r\nabc"), (Framing::Chunks, "head\r\n3\r\nabc")]
            {
                let (text, ended) = sent(&steps, framing, at_a_time).await;
                assert_eq!((text.as_str(), ended.is_err()), (expected, true));
            }
        }
    }

    #[tokio::test]
    async fn what_is_there_does_not_wait_for_the_rest() {
        let (mut stream, mut far) = stream(2);
        let mut sending = sending(&[Step::Data("abc"), Step::Stall], Framing::Chunks);
        let mut ended =
            std::pin::pin!(std::future::poll_fn(|context| sending.poll(&mut stream, context)));
        let mut begun = [0; 12];
        tokio::select! {
            ended = &mut ended => panic!("{ended:?}"),
            read = far.read_exact(&mut begun) => assert_eq!(read.unwrap(), 12),
        }
        assert_eq!(begun.as_slice(), b"head\r\n3\r\nabc");
        // The body is not awaited any more when the client has gone.
        drop(far);
        assert_eq!(ended.await.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test]
    async fn what_was_begun_goes_on_with_another_body_around() {
        let (mut stream, mut far) = stream(4);
        let mut sending = sending(&[Step::Wait, Step::Data("abc")], Framing::Length);
        let polled =
            std::future::poll_fn(|context| Poll::Ready(sending.poll(&mut stream, context)));
        assert!(polled.await.is_pending());
        let mut sending = sending.map(axum::body::Body::new);
        std::future::poll_fn(|context| sending.poll(&mut stream, context)).await.unwrap();
        drop(stream);
        let mut text = String::new();
        far.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "head\r\nabc");
    }
}
