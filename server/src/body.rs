//! A file's bytes on their way to a client.
//!
//! Reads are taken from the page cache at once where they can be (`preadv2` with `RWF_NOWAIT`), so that a file in
//! memory costs no hand-over between threads; only what the disk must fetch goes to the blocking pool. One buffer is
//! under way per body, whatever the file's size. A file that has become shorter ends the body with an error, which
//! ends the connection: a client must never take padding for data.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use rustix::io::{Errno, ReadWriteFlags};
use tokio::task::JoinHandle;

use crate::range::Slice;

/// Bytes read at a time. Smaller ones cost more system calls, larger ones no fewer cycles.
const CHUNK: usize = 128 * 1024;
/// Buffers kept for reuse when no body needs them.
const BUFFERS_KEPT: usize = 16;

/// What a body is made of, in order.
#[derive(Debug)]
pub enum Piece {
    /// Bytes at hand: the headings of a multipart body.
    Text(Bytes),
    /// Bytes of the file.
    File(Slice),
}

/// Streams pieces of one open file.
#[derive(Debug)]
pub struct FileBody {
    file: Arc<File>,
    pieces: VecDeque<Piece>,
    /// Bytes still to come.
    remaining: u64,
    /// A read that waits for the disk, for the piece in front.
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl FileBody {
    /// The pieces must lie within the file as it is now.
    pub fn new(file: File, pieces: impl IntoIterator<Item = Piece>) -> FileBody {
        let pieces: VecDeque<Piece> = pieces.into_iter().collect();
        let remaining = pieces.iter().map(Piece::length).sum();
        FileBody { file: Arc::new(file), pieces, remaining, reading: None }
    }

    fn poll_slice(&mut self, slice: Slice, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let len = usize::try_from(slice.len).unwrap_or(CHUNK).min(CHUNK);
        let mut reading = if let Some(reading) = self.reading.take() {
            reading
        } else {
            if let Some(result) = read_cached(&self.file, slice.start, len) {
                return Poll::Ready(result);
            }
            let file = Arc::clone(&self.file);
            tokio::task::spawn_blocking(move || read(&file, slice.start, len))
        };
        match Pin::new(&mut reading).poll(context) {
            Poll::Ready(joined) => {
                Poll::Ready(joined.unwrap_or_else(|it| Err(io::Error::other(it))))
            }
            Poll::Pending => {
                self.reading = Some(reading);
                Poll::Pending
            }
        }
    }
}

impl Piece {
    /// Bytes.
    pub fn length(&self) -> u64 {
        match self {
            Piece::Text(text) => text.len() as u64,
            Piece::File(slice) => slice.len,
        }
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let bytes = match self.pieces.pop_front() {
            None => return Poll::Ready(None),
            Some(Piece::Text(text)) => text,
            Some(Piece::File(slice)) => {
                let result = self.poll_slice(slice, context);
                if result.is_pending() {
                    self.pieces.push_front(Piece::File(slice));
                }
                let bytes = ready!(result)?;
                let read = bytes.len() as u64;
                if read < slice.len {
                    let rest = Slice { start: slice.start + read, len: slice.len - read };
                    self.pieces.push_front(Piece::File(rest));
                }
                bytes
            }
        };
        self.remaining -= bytes.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

/// What the page cache has; none where the disk must be asked, or where this can't be told.
fn read_cached(file: &File, start: u64, len: usize) -> Option<io::Result<Bytes>> {
    let mut buffer = Buffer::of(len);
    let mut slices = [IoSliceMut::new(&mut buffer.bytes)];
    match rustix::io::preadv2(file, &mut slices, start, ReadWriteFlags::NOWAIT) {
        Ok(read) => Some(buffer.into_bytes(read)),
        Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INTR) => None,
        Err(errno) => Some(Err(errno.into())),
    }
}

fn read(file: &File, start: u64, len: usize) -> io::Result<Bytes> {
    let mut buffer = Buffer::of(len);
    let read = file.read_at(&mut buffer.bytes, start)?;
    buffer.into_bytes(read)
}

/// Memory for one read, reused when the last part of it has been sent.
struct Buffer {
    /// Filled with whatever was read last: fresh zeros are paid for once.
    bytes: Vec<u8>,
    /// How many of them count.
    read: usize,
}

/// Every read takes this lock twice, for a push or a pop.
static BUFFERS: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

impl Buffer {
    fn of(len: usize) -> Buffer {
        let kept = (len == CHUNK)
            .then(|| BUFFERS.lock().unwrap_or_else(PoisonError::into_inner).pop())
            .flatten();
        Buffer { bytes: kept.unwrap_or_else(|| vec![0; len]), read: 0 }
    }

    fn into_bytes(mut self, read: usize) -> io::Result<Bytes> {
        if read == 0 {
            let what = "the file has become shorter while it was being sent";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
        self.read = read;
        Ok(Bytes::from_owner(self))
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.read).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.bytes.len() != CHUNK {
            return;
        }
        let mut buffers = BUFFERS.lock().unwrap_or_else(PoisonError::into_inner);
        if buffers.len() < BUFFERS_KEPT {
            buffers.push(std::mem::take(&mut self.bytes));
        }
    }
}
