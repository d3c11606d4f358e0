//! An answer on its way out: what is left of its head, then its body, piece by piece.
//!
//! A plain state, polled with the stream that it goes to. So it can begin in the breath in which its request was read, and go on in
//! a task of its own if the socket takes no more, or the disk has to be waited for.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::BoxError;
use bytes::{Buf as _, Bytes};
use http_body::{Body, Frame};
use tokio::io::AsyncWrite as _;

use crate::lane::Stream;
use crate::sendfile::Socket;

/// How a body's end is told (RFC 9112 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By its length; or there is none.
    Length,
    /// By an empty chunk.
    Chunks,
}

/// An answer that is being sent.
#[derive(Debug)]
pub struct Sending<B> {
    /// What goes before the data: the head, and what is around chunks.
    front: Vec<u8>,
    /// How much of that has been written.
    written: usize,
    data: Bytes,
    body: B,
    is_body_over: bool,
    framing: Framing,
    /// Whether the chunk before has not got its end.
    is_in_chunk: bool,
}

impl<B> Sending<B> {
    /// One whose head is composed.
    pub fn new(head: Vec<u8>, body: B, framing: Framing) -> Sending<B> {
        Sending {
            front: head,
            written: 0,
            data: Bytes::new(),
            body,
            is_body_over: false,
            framing,
            is_in_chunk: false,
        }
    }

    /// What comes behind what is at hand.
    pub fn body(&self) -> &B {
        &self.body
    }

    /// The same with another body around the one that it had.
    pub fn map<C>(self, around: impl FnOnce(B) -> C) -> Sending<C> {
        let Sending { front, written, data, body, is_body_over, framing, is_in_chunk } = self;
        let body = around(body);
        Sending { front, written, data, body, is_body_over, framing, is_in_chunk }
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Sending<B> {
    /// Done when all has been written; fails when the client goes before.
    pub fn poll<S: Socket>(
        &mut self,
        stream: &mut Stream<S>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.data.is_empty() && !self.is_body_over {
                match Pin::new(&mut self.body).poll_frame(context) {
                    Poll::Ready(frame) => self.take(frame.transpose().map_err(io::Error::other)?),
                    Poll::Pending => {
                        // What is there need not wait, and nobody need work for a client that is not.
                        ready!(self.poll_at_hand(stream, context))?;
                        return stream.get_ref().poll_gone(context).map(|()| Err(gone()));
                    }
                }
            }
            ready!(self.poll_at_hand(stream, context))?;
            if self.is_body_over {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// The next data, or the end.
    fn take(&mut self, frame: Option<Frame<Bytes>>) {
        let is_chunked = self.framing == Framing::Chunks;
        // Behind the last chunk there is something still to be written.
        self.is_body_over = frame.is_none() || !is_chunked && self.body.is_end_stream();
        self.data = frame.and_then(|it| it.into_data().ok()).unwrap_or_default();
        if !is_chunked || self.data.is_empty() && !self.is_body_over {
            return;
        }
        // RFC 9112 §7.1.
        let end = if std::mem::replace(&mut self.is_in_chunk, true) { "\r\n" } else { "" };
        let behind = if self.is_body_over { "\r\n" } else { "" };
        let line = format!("{end}{:x}\r\n{behind}", self.data.len());
        self.front.extend_from_slice(line.as_bytes());
    }

    /// Writes what is at hand.
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
                    self.front.clear();
                    self.written = 0;
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

/// Why an answer is not sent any further.
pub fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the client has gone")
}
