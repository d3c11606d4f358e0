//! What the kernel can send a file to: a TCP connection or a Unix socket.

use std::io;
use std::os::fd::AsFd;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::{TcpStream, UnixStream};

/// What a socket must offer beyond reading and writing.
pub(crate) trait Socket:
    AsyncRead + AsyncWrite + AsFd + Unpin + Send + Sync + 'static
{
    /// Whether its kernel joins packets (`TCP_CORK`).
    const CORKS: bool;

    /// Takes so many bytes ahead of what it has sent, or of what the other end has read where that is the same machine.
    fn hold(&self, bytes: u32) -> io::Result<()>;

    /// Done when it takes more.
    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Tries something that may have to wait until it takes more.
    fn try_write(&self, write: impl FnOnce() -> io::Result<usize>) -> io::Result<usize>;

    /// Done when something has come, or the other end has gone.
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Tries something that may have to wait until something has come.
    fn try_read(&self, read: impl FnOnce() -> io::Result<usize>) -> io::Result<usize>;

    /// Done when the connection is broken.
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
        // A failure of asking is the end of it, too.
        self.ready(Interest::ERROR).await.map(drop).unwrap_or_default();
    }
}

impl Socket for UnixStream {
    const CORKS: bool = false;

    /// By its buffer, as far as the system lets it grow (`net.core.wmem_max`): it takes more only when three quarters of that have
    /// been read, so with a small one both ends wait for each other all the time.
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
        // A failure of asking is the end of it, too.
        self.ready(Interest::ERROR).await.map(drop).unwrap_or_default();
    }
}
