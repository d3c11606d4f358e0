//! The body of a response with a file: streams its bytes.
//!
//! If the connection supports it, the kernel sends what is in the page cache (module [`sendfile`]). Short parts, for which that costs more,
//! and bodies that are changed on the way are read (`preadv2` with `RWF_NOWAIT`). Neither needs a hand-over between threads. Only what must
//! come from the disk goes to the blocking pool. A body has at most one buffer in flight, whatever the file's size. If the file becomes
//! shorter, the connection ends: a client must never take padding for data.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use rustix::fs::{Advice, Mode, OFlags};
use rustix::io::{Errno, ReadWriteFlags, retry_on_intr};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::http::range::Slice;
use crate::net::fair_share::in_a_row;
use crate::net::sendfile::{self, SendfileQueue};
use crate::sync::lock;

/// Bytes per read. Less costs more system calls, more saves no processor time.
const CHUNK: usize = 128 * 1024;
/// For fewer bytes than this, reading and writing costs less than `sendfile`.
const WORTH_SENDFILE: u64 = 32 * 1024;
/// Bytes fetched from the disk at a time, while those before them are sent.
const FETCHED: u64 = 1 << 20;
/// Unused buffers kept for reuse.
const BUFFERS_KEPT: usize = 16;

/// A piece of a body.
#[derive(Debug)]
pub enum Piece {
    /// Bytes in memory: the headings of a multipart body.
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
    /// End of the previous part, if it was in the page cache.
    cached_to: Option<u64>,
    /// The read of the next bytes, on the blocking pool.
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    /// The fetch of the next bytes into the page cache.
    fetching: Option<JoinHandle<io::Result<()>>>,
    /// The queue of file parts for the kernel to send, if it may send this body.
    sendfile_queue: Option<SendfileQueue>,
}

impl FileBody {
    /// Streams pieces, which must lie within the file as it is now. With a queue, the body's bytes must reach the queue's connection
    /// unchanged.
    pub fn new(
        file: Arc<File>,
        pieces: impl IntoIterator<Item = Piece>,
        sendfile_queue: Option<SendfileQueue>,
    ) -> FileBody {
        let pieces: VecDeque<Piece> = pieces.into_iter().collect();
        let remaining = pieces.iter().map(Piece::length).sum();
        FileBody {
            file,
            pieces,
            remaining,
            cached_to: None,
            reading: None,
            fetching: None,
            sendfile_queue,
        }
    }

    fn poll_slice(&mut self, slice: Slice, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        match self.sendfile_queue.clone().filter(|_| slice.len >= WORTH_SENDFILE) {
            Some(sendfile_queue) => self.poll_sent(slice, &sendfile_queue, context),
            None => self.poll_read(slice, context),
        }
    }

    /// A part for the kernel to send, as soon as it is in the page cache.
    fn poll_sent(
        &mut self,
        slice: Slice,
        sendfile_queue: &SendfileQueue,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Bytes>> {
        if self.fetching.is_none() {
            let (part, rest) = slice.split_at(sendfile::LONGEST.min(in_a_row()) as u64);
            if is_cached(&self.file, part, self.cached_to) {
                self.cached_to = Some(rest.start);
                return Poll::Ready(Ok(sendfile_queue.placeholder(&self.file, part, rest.len > 0)));
            }
        }
        let (part, rest) = slice.split_at(FETCHED);
        let fetching = self.fetching.get_or_insert_with(|| begin_fetch(&self.file, part));
        let fetched = ready!(Pin::new(fetching).poll(context));
        self.fetching = None;
        fetched.unwrap_or_else(|it| Err(io::Error::other(it)))?;
        self.cached_to = Some(rest.start);
        // Fetch the next part while this one is sent.
        let (next, _) = rest.split_at(FETCHED);
        if rest.len >= WORTH_SENDFILE && !is_cached(&self.file, next, self.cached_to) {
            self.fetching = Some(begin_fetch(&self.file, next));
        }
        Poll::Ready(Ok(sendfile_queue.placeholder(&self.file, part, rest.len > 0)))
    }

    /// The bytes of a part, read.
    fn poll_read(&mut self, slice: Slice, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let len = usize::try_from(slice.len).unwrap_or(CHUNK).min(CHUNK);
        if self.reading.is_none()
            && let Some(result) = read_cached(&self.file, slice.start, len)
        {
            return Poll::Ready(result);
        }
        let reading = self.reading.get_or_insert_with(|| {
            let file = Arc::clone(&self.file);
            spawn_blocking(move || read(&file, slice.start, len))
        });
        let result = ready!(Pin::new(reading).poll(context));
        self.reading = None;
        Poll::Ready(result.unwrap_or_else(|it| Err(io::Error::other(it))))
    }
}

impl Piece {
    /// Length in bytes.
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
                let (_, rest) = slice.split_at(read);
                if rest.len > 0 {
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

/// Whether a part's first and last bytes are in the page cache. Seldom, bytes between them are not; then sending blocks. The first byte is
/// not checked if the previous part ended there, since the kernel reads ahead.
fn is_cached(file: &File, part: Slice, cached_to: Option<u64>) -> bool {
    let is_there = |at| {
        let mut byte = [0];
        let mut slices = [IoSliceMut::new(&mut byte)];
        rustix::io::preadv2(file, &mut slices, at, ReadWriteFlags::NOWAIT).is_ok()
    };
    let is_begun = cached_to == Some(part.start);
    if is_begun || part.len <= CHUNK as u64 {
        return is_there(part.last());
    }
    is_there(part.start) && is_there(part.last())
}

/// `/dev/null`, to which parts are sent that are only wanted in the page cache.
static NOWHERE: LazyLock<Option<OwnedFd>> = LazyLock::new(|| {
    #[expect(clippy::disallowed_methods, reason = "it's nothing of the volume's")]
    let opened = rustix::fs::open("/dev/null", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
    opened
        .inspect_err(|error| {
            tracing::warn!(
                "could not open /dev/null: reads from the disk will delay other requests: {error}"
            );
        })
        .ok()
});

/// Opens `/dev/null` at the start, so that a failure is logged then.
pub(crate) fn prepare() {
    LazyLock::force(&NOWHERE);
}

/// Brings a part into the page cache. With `sendfile`, the kernel reads it in order, so it reads ahead in large pages. With
/// `POSIX_FADV_WILLNEED` it uses small pages and takes twice as long.
fn fetch(file: &File, part: Slice) -> io::Result<()> {
    read_far_ahead(file);
    let (mut at, end) = (part.start, part.start + part.len);
    // Without `/dev/null`, sending the part waits for the disk.
    let Some(nowhere) = &*NOWHERE else { return Ok(()) };
    while at < end {
        let len = usize::try_from(end - at).unwrap_or(sendfile::LONGEST);
        // A part that is not in the file any more: sending it reports that.
        if retry_on_intr(|| rustix::fs::sendfile(nowhere, file, Some(&mut at), len))? == 0 {
            break;
        }
    }
    Ok(())
}

/// Runs `fetch` on the blocking pool.
fn begin_fetch(file: &Arc<File>, part: Slice) -> JoinHandle<io::Result<()>> {
    let file = Arc::clone(file);
    spawn_blocking(move || fetch(&file, part))
}

/// Doubles the kernel's read-ahead for a file.
fn read_far_ahead(file: &File) {
    // This is only a hint, which some file systems do not support.
    rustix::fs::fadvise(file, 0, None, Advice::Sequential).unwrap_or_default();
}

/// The content of a small file, if it is in the page cache and still has this length.
pub(crate) fn small(file: &File, len: u64) -> Option<Bytes> {
    let len = usize::try_from(len).ok().filter(|it| *it > 0)?;
    let content = read_cached(file, 0, len)?.ok()?;
    (content.len() == len).then_some(content)
}

/// Reads from the page cache. `None` if the bytes are not there, or if the file system cannot tell.
fn read_cached(file: &File, start: u64, len: usize) -> Option<io::Result<Bytes>> {
    let mut buffer = Buffer::of(len);
    let mut slices = [IoSliceMut::new(&mut buffer.bytes)];
    match rustix::io::preadv2(file, &mut slices, start, ReadWriteFlags::NOWAIT) {
        Ok(read) => Some(buffer.into_bytes(read, file, start)),
        Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INTR) => None,
        Err(errno) => Some(Err(errno.into())),
    }
}

fn read(file: &File, start: u64, len: usize) -> io::Result<Bytes> {
    let mut buffer = Buffer::of(len);
    read_far_ahead(file);
    let read = file.read_at(&mut buffer.bytes, start)?;
    buffer.into_bytes(read, file, start)
}

/// A buffer for one read. It is reused when the last slice of it has been sent.
struct Buffer {
    /// Still filled with the previous read, so that zeroing is paid only once.
    bytes: Vec<u8>,
    /// Number of valid bytes.
    read: usize,
}

/// Spare buffers. Locked twice per read, for a push or a pop.
static BUFFERS: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

impl Buffer {
    fn of(len: usize) -> Buffer {
        let kept = (len == CHUNK).then(|| lock(&BUFFERS).pop()).flatten();
        Buffer { bytes: kept.unwrap_or_else(|| vec![0; len]), read: 0 }
    }

    /// The bytes read, if the file still has them. A truncation during a read clears the end of a page before it is copied, so the length
    /// is checked after the read.
    fn into_bytes(mut self, read: usize, file: &File, start: u64) -> io::Result<Bytes> {
        let len = u64::try_from(rustix::fs::fstat(file)?.st_size).unwrap_or(0);
        if read == 0 || len < start + read as u64 {
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
        let mut buffers = lock(&BUFFERS);
        if buffers.len() < BUFFERS_KEPT {
            buffers.push(std::mem::take(&mut self.bytes));
        }
    }
}
