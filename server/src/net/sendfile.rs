//! Sends files with `sendfile(2)`: the kernel moves bytes from the page cache to the socket. Works below hyper and below the [fast
//! path](crate::net::fast_path).
//!
//! Both write the bytes that a body yields. So a body that the kernel can send yields *placeholders*: slices of one static array of zeros,
//! with the length of the file part they stand for. The file parts wait in the connection's [`SendfileQueue`]. Hyper and the fast path keep
//! bytes by reference and pass them to [`SendfileStream`] below. It knows a placeholder by its address and has the kernel send the file
//! part instead.
//!
//! This is safe whatever layer is put in between. As soon as a placeholder is queued, every write must contain it, in order and in full
//! length. A layer that copies bodies (such as another hyper) would write zeros that are no placeholder: that write is refused, and the
//! connection ends before the first zero is sent. No pointer is ever followed, so nothing here is `unsafe`.
//!
//! If a file becomes shorter while it is sent, its connection ends. One race remains: the socket holds the file's own pages, and a
//! truncation in place clears the end of such a page while it waits to be sent. Three measures keep this window small. Only files that have
//! not changed for a while ([`quiet_period`]) are sent this way. The socket holds only as much unsent data as it needs ([`NOTSENT_LOWAT`]).
//! And where the client is slower than we are, the end of a file part is sent only when nearly everything before it has left; that fails if
//! the file was truncated by then.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, sendmsg};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use volume::Stat;

use crate::http::range::Slice;
use crate::net::fair_share::in_a_row;
use crate::net::socket::Socket;
use crate::sync::lock;

/// Maximum length of a placeholder, in bytes.
pub(crate) const LONGEST: usize = 2 << 20;

/// The array that placeholders are slices of. It is never read, so it takes no memory.
static ZEROS: [u8; LONGEST] = [0; LONGEST];

/// Shortest quiet period.
const REST: Duration = Duration::from_secs(10);

/// Bytes sent by the kernel since the start, for all connections.
static BY_KERNEL: AtomicU64 = AtomicU64::new(0);

/// How long a file must be unchanged before it is sent this way: as long as it was worked on before, because a program that truncates files
/// is one that works on them. At least [`REST`].
pub(crate) fn quiet_period(file: &File, stat: &Stat) -> Duration {
    stat.worked_on(file).max(REST)
}

/// Bytes sent by the kernel since the start. This should be nearly all bytes of large responses; if not, something prevents it.
pub fn bytes_sent() -> u64 {
    BY_KERNEL.load(Relaxed)
}

/// The file parts that one connection's placeholders stand for, in order. The body and the stream share it. Both belong to the same task,
/// so the lock is always free.
#[derive(Clone, Debug, Default)]
pub struct SendfileQueue(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue(VecDeque<Item>);

/// A file part to be sent.
struct Item {
    file: Arc<File>,
    slice: Slice,
    /// Whether the next part follows at once.
    goes_on: bool,
    /// Called when the part has been sent, or the connection has ended.
    then: Option<Then>,
}

/// Takes the number of bytes that were not sent.
type Then = Box<dyn FnOnce(u64) + Send>;

impl SendfileQueue {
    /// A placeholder for a file part. It must be the next bytes written. `goes_on` says that the part was cut and the next one follows. A
    /// slice longer than [`LONGEST`] must be cut, otherwise the placeholder is empty.
    pub fn placeholder(&self, file: &Arc<File>, slice: Slice, goes_on: bool) -> Bytes {
        let len = usize::try_from(slice.len).unwrap_or(LONGEST);
        let Some(bytes) = ZEROS.get(..len).filter(|it| !it.is_empty()) else { return Bytes::new() };
        self.lock().0.push_back(Item { file: Arc::clone(file), slice, goes_on, then: None });
        Bytes::from_static(bytes)
    }

    /// Calls `then` with the number of unsent bytes: when everything in the queue has been sent, or when the connection ends.
    pub fn when_sent(&self, then: impl FnOnce(u64) + Send + 'static) {
        let mut queue = self.lock();
        let Some(item) = queue.0.back_mut() else {
            drop(queue);
            return then(0);
        };
        if let Some(before) = item.then.replace(Box::new(then)) {
            drop(queue);
            before(0);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        lock(&self.0)
    }

    fn is_in_use(&self) -> bool {
        !self.lock().0.is_empty()
    }

    /// The part that must be sent next.
    fn due(&self) -> Option<Next> {
        let queue = self.lock();
        let item = queue.0.front()?;
        Some(Next { file: Arc::clone(&item.file), slice: item.slice, goes_on: item.goes_on })
    }

    fn sent(&self, bytes: u64) {
        let mut queue = self.lock();
        let Some(item) = queue.0.front_mut() else { return };
        item.slice.start += bytes;
        item.slice.len = item.slice.len.saturating_sub(bytes);
        if item.slice.len > 0 {
            return;
        }
        let then = queue.0.pop_front().and_then(|it| it.then);
        drop(queue);
        if let Some(then) = then {
            then(0);
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let mut unsent = 0;
        for item in self.0.drain(..) {
            unsent += item.slice.len;
            if let Some(then) = item.then {
                then(unsent);
                unsent = 0;
            }
        }
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item").field("slice", &self.slice).finish_non_exhaustive()
    }
}

struct Next {
    file: Arc<File>,
    slice: Slice,
    goes_on: bool,
}

/// State of the client's end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It sends no more, but may still read.
    Silent,
    /// It does not read either.
    Gone,
}

/// A stream that sends file parts in place of their placeholders.
#[derive(Debug)]
pub(crate) struct SendfileStream<S> {
    stream: S,
    sendfile_queue: SendfileQueue,
    /// Whether `TCP_CORK` is set: the kernel waits for full packets, because more of the same response follows.
    is_corked: bool,
    /// Whether we had to wait for the client to read, during this response.
    has_waited: bool,
    pace: Pace,
}

/// How fast the client reads.
#[derive(Debug)]
enum Pace {
    /// Not known yet: bytes sent since an instant.
    Unknown(Instant, u64),
    /// Fast: the socket may hold this many unsent bytes, so that the client never has to wait.
    Fast(u32),
}

/// Unsent bytes that a socket may hold: little enough for thousands of slow clients.
pub(crate) const NOTSENT_LOWAT: u32 = 40 * 1024;
/// A client is fast if it reads this many bytes within [`WHILE`].
const FAST: u64 = 8 << 20;
const WHILE: Duration = Duration::from_secs(1);
/// Length of a slice's end that a slow client gets only when nearly everything before it has been sent.
const END: u64 = 4096;
/// Slices from this length on are worth the system calls for full packets. For a megabyte, that saves a tenth of the processor time.
const WORTH_CORK: u64 = 256 * 1024;

impl<S> SendfileStream<S> {
    /// Sends the queue's file parts in place of their placeholders.
    pub(crate) fn new(stream: S, sendfile_queue: SendfileQueue) -> SendfileStream<S> {
        let pace = Pace::Unknown(Instant::now(), 0);
        SendfileStream { stream, sendfile_queue, is_corked: false, has_waited: false, pace }
    }
}

impl<S: Socket> SendfileStream<S> {
    /// Ready when the client has closed its sending half or the whole connection. Never ready while there are unread bytes from the client.
    pub(crate) fn poll_end(&self, context: &mut Context<'_>) -> Poll<End> {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let peek = || Ok(recv(&self.stream, &mut [0; 1], flags)?.1);
        loop {
            if ready!(self.stream.poll_readable(context)).is_err() {
                return Poll::Ready(End::Gone);
            }
            match self.stream.try_read(peek) {
                Ok(1..) => return Poll::Pending,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) if !self.is_hung_up() => return Poll::Ready(End::Silent),
                Ok(0) | Err(_) => return Poll::Ready(End::Gone),
            }
        }
    }

    /// Whether the client is known not to read any more. A Unix socket tells at once, TCP only after something was sent.
    fn is_hung_up(&self) -> bool {
        let mut sockets = [PollFd::new(&self.stream, PollFlags::empty())];
        // Polls with a time-out of zero, so it never blocks.
        poll(&mut sockets, Some(&Timespec::default())).is_ok_and(|it| it > 0)
    }

    /// Ready when the connection is broken.
    pub(crate) async fn broken(&self) {
        self.stream.broken().await;
    }

    /// Writes the bytes before a placeholder, then the file part it stands for, as far as the socket takes them.
    fn poll_due(
        &mut self,
        context: &mut Context<'_>,
        before: &[IoSlice<'_>],
        due: &Next,
    ) -> Poll<io::Result<usize>> {
        let length: usize = before.iter().map(|it| it.len()).sum();
        let mut written = 0;
        if length > 0 {
            written = ready!(self.poll_until_done(context, |socket| send_head(socket, before)))?;
            if written < length {
                return Poll::Ready(Ok(written));
            }
        }
        if due.goes_on || due.slice.len >= WORTH_CORK {
            self.cork(true)?;
        }
        let waits = self.has_waited && !due.goes_on;
        let end = if waits && due.slice.len > END { END } else { 0 };
        let most = due.slice.len - end;
        match self.poll_until_done(context, |socket| send_file(socket, due, most)) {
            Poll::Pending => {
                self.has_waited = true;
                // Report the bytes written before the placeholder now. The caller then polls again.
                return if written > 0 { Poll::Ready(Ok(written)) } else { Poll::Pending };
            }
            Poll::Ready(sent) => {
                let sent = sent?;
                self.sendfile_queue.sent(sent as u64);
                self.went(sent as u64);
                written += sent;
                if sent as u64 == due.slice.len && !due.goes_on {
                    self.has_waited = false;
                    self.cork(false)?;
                }
            }
        }
        Poll::Ready(Ok(written))
    }

    /// Adjusts how much unsent data the socket of a fast client may hold: one turn's share. With few responses that is much. With many it
    /// is little, because nginx reads everything that a socket holds before it turns to the next one.
    fn went(&mut self, bytes: u64) {
        let share = u32::try_from(in_a_row()).unwrap_or(NOTSENT_LOWAT).max(NOTSENT_LOWAT);
        match &mut self.pace {
            Pace::Fast(held) => {
                if share / 2 < *held && *held / 2 < share {
                    return;
                }
            }
            Pace::Unknown(since, sum) => {
                *sum += bytes;
                if *sum < FAST {
                    return;
                }
                if since.elapsed() > WHILE {
                    (*since, *sum) = (Instant::now(), 0);
                    return;
                }
            }
        }
        self.pace = Pace::Fast(share);
        // If this fails, the client only has to wait a little more often.
        self.stream.hold(share).unwrap_or_default();
    }

    /// Sets or clears `TCP_CORK`: packets stay full while more of the same response follows.
    fn cork(&mut self, is_corked: bool) -> io::Result<()> {
        if S::CORKS && self.is_corked != is_corked {
            rustix::net::sockopt::set_tcp_cork(&self.stream, is_corked)?;
            self.is_corked = is_corked;
        }
        Ok(())
    }

    fn poll_until_done(
        &self,
        context: &mut Context<'_>,
        mut write: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_writable(context))?;
            match self.stream.try_write(|| write(self.stream.as_fd())) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
    }
}

/// Sends a head with `MSG_MORE`, so that it shares a packet with the bytes that follow.
fn send_head(socket: BorrowedFd<'_>, head: &[IoSlice<'_>]) -> io::Result<usize> {
    let flags = SendFlags::MORE | SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    Ok(sendmsg(socket, head, &mut SendAncillaryBuffer::default(), flags)?)
}

fn send_file(socket: BorrowedFd<'_>, due: &Next, most: u64) -> io::Result<usize> {
    let mut at = due.slice.start;
    let len = usize::try_from(most).unwrap_or(LONGEST);
    match rustix::fs::sendfile(socket, &*due.file, Some(&mut at), len)? {
        0 => {
            let what = "the file has become shorter while it was being sent";
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, what))
        }
        sent => {
            BY_KERNEL.fetch_add(sent as u64, Relaxed);
            Ok(sent)
        }
    }
}

/// Whether bytes are a placeholder, or the rest of one.
fn is_stand_in(bytes: &[u8]) -> bool {
    ZEROS.as_ptr_range().contains(&bytes.as_ptr())
}

impl<S: Socket> AsyncWrite for SendfileStream<S> {
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Some(due) = self.sendfile_queue.due() else {
            return Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        };
        let before = slices.iter().take_while(|it| !is_stand_in(it)).count();
        let (before, rest) = slices.split_at(before);
        match rest.first() {
            Some(placeholder) if placeholder.len() as u64 == due.slice.len => {
                self.poll_due(context, before, &due)
            }
            _ => Poll::Ready(Err(io::Error::other(
                "a placeholder for a file did not come in its turn",
            ))),
        }
    }

    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.sendfile_queue.is_in_use() {
            return self.poll_write_vectored(context, &[IoSlice::new(bytes)]);
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: Socket> AsyncRead for SendfileStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpStream, UnixStream};

    use super::*;

    fn file(bytes: &[u8]) -> Arc<File> {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(bytes, 0).unwrap();
        Arc::new(file)
    }

    fn pair() -> (SendfileStream<UnixStream>, UnixStream, SendfileQueue) {
        let (near, far) = UnixStream::pair().unwrap();
        let sendfile_queue = SendfileQueue::default();
        (SendfileStream::new(near, sendfile_queue.clone()), far, sendfile_queue)
    }

    #[tokio::test]
    async fn the_file_comes_in_the_place_of_its_stand_in() {
        let (mut direct, mut far, sendfile_queue) = pair();
        let content: Vec<u8> = (0..=250).cycle().take(LONGEST).collect();
        let file = file(&content);
        let (start, len) = (1000, content.len() as u64 - 2000);
        let placeholder = sendfile_queue.placeholder(&file, Slice { start, len }, false);
        let reading = tokio::spawn(async move {
            let mut read = Vec::new();
            far.read_to_end(&mut read).await.unwrap();
            read
        });
        let mut queue =
            std::collections::VecDeque::from([Bytes::from_static(b"head"), placeholder]);
        while !queue.is_empty() {
            let slices: Vec<IoSlice<'_>> = queue.iter().map(|it| IoSlice::new(it)).collect();
            let mut written = direct.write_vectored(&slices).await.unwrap();
            while let Some(front) = queue.front_mut() {
                let step = written.min(front.len());
                bytes::Buf::advance(front, step);
                written -= step;
                if !front.is_empty() {
                    break;
                }
                queue.pop_front();
            }
        }
        drop(direct);
        let read = reading.await.unwrap();
        assert_eq!(read.len(), 4 + content.len() - 2000);
        assert!(read[4..] == content[1000..content.len() - 1000]);
    }

    #[tokio::test]
    async fn what_was_copied_is_refused_before_it_is_written() {
        let (mut direct, mut far, sendfile_queue) = pair();
        let placeholder =
            sendfile_queue.placeholder(&file(b"content"), Slice { start: 0, len: 7 }, false);
        let copied = [b"head".as_slice(), &placeholder].concat();
        assert!(direct.write(&copied).await.is_err());
        assert!(direct.write_vectored(&[IoSlice::new(&copied)]).await.is_err());
        // A part of the placeholder is refused too.
        assert!(direct.write(&placeholder[1..]).await.is_err());
        drop(direct);
        let mut read = Vec::new();
        far.read_to_end(&mut read).await.unwrap();
        assert!(read.is_empty());
    }

    #[tokio::test]
    async fn a_file_that_is_shorter_ends_the_connection() {
        let (mut direct, _far, sendfile_queue) = pair();
        let placeholder =
            sendfile_queue.placeholder(&file(b"content"), Slice { start: 4, len: 7 }, false);
        assert_eq!(direct.write(&placeholder).await.unwrap(), 3);
        let error = direct.write(&placeholder[3..]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn the_end_of_a_file_waits_for_a_client_that_is_waited_for() {
        let (mut direct, mut far, sendfile_queue) = pair();
        let file = file(&vec![7; LONGEST]);
        let slice = Slice { start: 0, len: LONGEST as u64 };
        let mut placeholder = sendfile_queue.placeholder(&file, slice, false);
        let reading = tokio::spawn(async move {
            let mut read = Vec::new();
            far.read_to_end(&mut read).await.unwrap();
            read.len() as u64
        });
        while placeholder.len() as u64 > END {
            let written = direct.write(&placeholder).await.unwrap();
            bytes::Buf::advance(&mut placeholder, written);
        }
        assert_eq!(placeholder.len() as u64, END);
        file.set_len(slice.len - END).unwrap();
        assert_eq!(
            direct.write(&placeholder).await.unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
        drop(direct);
        assert_eq!(reading.await.unwrap(), slice.len - END);
    }

    #[tokio::test]
    async fn a_socket_holds_more_for_whoever_reads_fast() {
        let (mut direct, mut far, sendfile_queue) = pair();
        let held = |direct: &SendfileStream<UnixStream>| {
            socket2::SockRef::from(&direct.stream).send_buffer_size().unwrap()
        };
        let before = held(&direct);
        tokio::spawn(async move { tokio::io::copy(&mut far, &mut tokio::io::sink()).await });
        let file = file(&vec![7; LONGEST]);
        // On a busy machine, the first rounds may be slow.
        for _ in 0..10_000 {
            let slice = Slice { start: 0, len: LONGEST as u64 };
            let mut placeholder = sendfile_queue.placeholder(&file, slice, true);
            while !placeholder.is_empty() {
                let written = direct.write(&placeholder).await.unwrap();
                bytes::Buf::advance(&mut placeholder, written);
            }
            if held(&direct) > before {
                return;
            }
        }
        panic!("it holds {before} bytes as before");
    }

    #[tokio::test]
    async fn packets_are_full_while_more_of_a_long_part_is_to_come() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap());
        let (far, accepted) = tokio::join!(far, listener.accept());
        let (mut far, sendfile_queue) = (far.unwrap(), SendfileQueue::default());
        let stream = accepted.unwrap().0;
        // A small buffer, so that a long part cannot be sent at once.
        socket2::SockRef::from(&stream).set_send_buffer_size(64 * 1024).unwrap();
        let mut direct = SendfileStream::new(stream, sendfile_queue.clone());
        let file = file(&vec![7; LONGEST]);
        let mut check = async |len: usize, goes_on: bool, meanwhile: bool, at_the_end: bool| {
            let mut placeholder =
                sendfile_queue.placeholder(&file, Slice::whole(len as u64), goes_on);
            let (mut seen, mut read) = (false, vec![0; len]);
            let writing = async {
                while !placeholder.is_empty() {
                    let written = direct.write(&placeholder).await.unwrap();
                    bytes::Buf::advance(&mut placeholder, written);
                    seen |= rustix::net::sockopt::tcp_cork(&direct.stream).unwrap();
                    tokio::task::yield_now().await;
                }
            };
            let ((), read) = tokio::join!(writing, far.read_exact(&mut read));
            read.unwrap();
            assert_eq!(seen, meanwhile, "{len}, {goes_on}");
            assert_eq!(rustix::net::sockopt::tcp_cork(&direct.stream).unwrap(), at_the_end);
        };
        check(1000, false, false, false).await;
        check(LONGEST, false, true, false).await;
        check(200_000, false, false, false).await;
        check(1000, true, true, true).await;
        check(1000, false, false, false).await;
    }

    #[tokio::test]
    async fn whoever_asks_hears_how_much_was_not_sent() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hear = |sendfile_queue: &SendfileQueue| {
            let heard = Arc::clone(&heard);
            sendfile_queue.when_sent(move |unsent| heard.lock().unwrap().push(unsent));
        };
        let (mut direct, _far, sendfile_queue) = pair();
        hear(&sendfile_queue);
        let content = file(b"content");
        let placeholder = sendfile_queue.placeholder(&content, Slice { start: 0, len: 7 }, false);
        hear(&sendfile_queue);
        assert_eq!(*heard.lock().unwrap(), [0]);
        assert_eq!(direct.write(&placeholder).await.unwrap(), 7);
        assert_eq!(*heard.lock().unwrap(), [0, 0]);
        let placeholder = sendfile_queue.placeholder(&content, Slice { start: 0, len: 100 }, false);
        hear(&sendfile_queue);
        assert_eq!(direct.write(&placeholder).await.unwrap(), 7);
        drop((direct, sendfile_queue));
        assert_eq!(*heard.lock().unwrap(), [0, 0, 93]);
    }
}
