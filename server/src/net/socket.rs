//! Sockets that the kernel can send files to: TCP connections and Unix sockets.

use std::io;
use std::os::fd::AsFd;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::{TcpStream, UnixStream};

/// What sending needs from a socket beyond reading and writing.
pub(crate) trait Socket:
    AsyncRead + AsyncWrite + AsFd + Unpin + Send + Sync + 'static
{
    /// Whether the kernel can join small writes into full packets (`TCP_CORK`).
    const CORKS: bool;

    /// Sets how many unsent bytes the socket holds. On a Unix socket these are the bytes that the other end has not read yet.
    fn hold(&self, bytes: u32) -> io::Result<()>;

    /// Ready when the socket takes more bytes.
    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Tries a write that may have to wait until the socket takes more bytes.
    fn try_write(&self, write: impl FnOnce() -> io::Result<usize>) -> io::Result<usize>;

    /// Ready when bytes have arrived, or the other end has closed.
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Tries a read that may have to wait until bytes have arrived.
    fn try_read(&self, read: impl FnOnce() -> io::Result<usize>) -> io::Result<usize>;

    /// Ready when the connection is broken.
    fn broken(&self) -> impl Future<Output = ()> + Send;
}

impl Socket for TcpStream {
    const CORKS: bool = true;

    fn hold(&self, bytes: u32) -> io::Result<()> {
        socket2::SockRef::from(self).set_tcp_notsent_lowat(bytes)
    }

    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_ready(context)
    }

    fn try_write(&self, write: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
        self.try_io(Interest::WRITABLE, write)
    }

    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(context)
    }

    fn try_read(&self, read: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
        self.try_io(Interest::READABLE, read)
    }

    async fn broken(&self) {
        // If waiting itself fails, the connection is unusable too.
        self.ready(Interest::ERROR).await.map(drop).unwrap_or_default();
    }
}

impl Socket for UnixStream {
    const CORKS: bool = false;

    /// Sets the send buffer, which the system limits (`net.core.wmem_max`). A Unix socket takes more only after three quarters of its
    /// buffer have been read, so with a small buffer both ends wait for each other all the time.
    fn hold(&self, bytes: u32) -> io::Result<()> {
        socket2::SockRef::from(self).set_send_buffer_size(bytes as usize)
    }

    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_ready(context)
    }

    fn try_write(&self, write: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
        self.try_io(Interest::WRITABLE, write)
    }

    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(context)
    }

    fn try_read(&self, read: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
        self.try_io(Interest::READABLE, read)
    }

    async fn broken(&self) {
        // If waiting itself fails, the connection is unusable too.
        self.ready(Interest::ERROR).await.map(drop).unwrap_or_default();
    }
}
