//! Listening sockets: a TCP port, a Unix socket, or a socket inherited from the parent process.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::event::Timespec;
use rustix::net::AddressFamily;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::net::sendfile::NOTSENT_LOWAT;

/// Where to listen: the value of `--listen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// `HOST:PORT`.
    Tcp(String),
    /// `unix:PATH`.
    Unix(PathBuf),
    /// `fd:0`: a listening socket, inherited as standard input.
    Inherited,
}

/// A listening socket.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket. With a path if its file is ours to remove.
    Unix(UnixListener, Option<PathBuf>),
}

/// An accepted connection.
#[derive(Debug)]
pub enum Accepted {
    /// Over TCP, with the other end's address.
    Tcp(TcpStream, SocketAddr),
    /// Over a Unix socket.
    Unix(UnixStream),
}

/// Why listening failed.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The system refused the address.
    #[error("could not listen on {listen}")]
    Bind {
        /// The address.
        listen: Listen,
        /// The system's error.
        source: io::Error,
    },
    /// Another server is listening on the Unix socket.
    #[error("another server listens on unix:{}", path.display())]
    InUse {
        /// The socket's file.
        path: PathBuf,
    },
    /// Standard input is not a listening socket.
    #[error("file descriptor 0 is not a listening TCP or Unix socket")]
    NotInherited {
        /// The system's error.
        source: io::Error,
    },
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Listen, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() {
                Err("`unix:` needs the socket's path behind it".to_owned())
            } else {
                Ok(Listen::Unix(PathBuf::from(path)))
            };
        }
        match (text, text.rsplit_once(':')) {
            ("fd:0", _) => Ok(Listen::Inherited),
            (_, Some(("fd", _))) => Err("only `fd:0` can be inherited".to_owned()),
            (_, Some((host, port))) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(Listen::Tcp(text.to_owned()))
            }
            _ => Err("expected HOST:PORT, unix:PATH or fd:0".to_owned()),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp(address) => f.write_str(address),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
            Listen::Inherited => f.write_str("fd:0"),
        }
    }
}

impl Listener {
    /// Listens at an address. Replaces a Unix socket's file if nothing listens on it any more.
    pub async fn bind(listen: &Listen) -> Result<Listener, ListenError> {
        let bind = |source| ListenError::Bind { listen: listen.clone(), source };
        match listen {
            Listen::Tcp(address) => {
                Ok(Listener::Tcp(TcpListener::bind(address).await.map_err(bind)?))
            }
            Listen::Unix(path) => {
                if UnixStream::connect(path).await.is_ok() {
                    return Err(ListenError::InUse { path: path.clone() });
                }
                remove_socket(path).map_err(bind)?;
                let listener = UnixListener::bind(path).map_err(bind)?;
                Ok(Listener::Unix(listener, Some(path.clone())))
            }
            Listen::Inherited => inherited().map_err(|source| ListenError::NotInherited { source }),
        }
    }

    /// Accepts the next connection.
    pub async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // Without this, a small response waits until the previous one is acknowledged (Nagle's algorithm).
                stream.set_nodelay(true)?;
                socket2::SockRef::from(&stream).set_tcp_notsent_lowat(NOTSENT_LOWAT)?;
                Ok(Accepted::Tcp(stream, address))
            }
            Listener::Unix(listener, _) => Ok(Accepted::Unix(listener.accept().await?.0)),
        }
    }

    /// Whether connections are queued that have not been accepted yet.
    pub fn is_waited_at(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, poll};
        let socket = match self {
            Listener::Tcp(listener) => listener.as_fd(),
            Listener::Unix(listener, _) => listener.as_fd(),
        };
        let mut sockets = [PollFd::from_borrowed_fd(socket, PollFlags::IN)];
        poll(&mut sockets, Some(&Timespec::default())).is_ok_and(|it| it > 0)
    }

    /// The local TCP address. `None` for a Unix socket.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            Listener::Unix(..) => None,
        }
    }

    /// The Unix socket's path. `None` for TCP and for unnamed sockets.
    pub fn unix_path(&self) -> Option<PathBuf> {
        match self {
            Listener::Tcp(_) => None,
            Listener::Unix(listener, _) => {
                Some(listener.local_addr().ok()?.as_pathname()?.to_owned())
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix(_, Some(path)) = self
            && let Err(error) = remove_socket(path)
        {
            tracing::warn!("could not remove the socket {}: {error}", path.display());
        }
    }
}

/// Writes `http://ADDR` or `unix:PATH`, as in the first line on stdout.
impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.tcp_address(), self.unix_path()) {
            (Some(address), _) => write!(f, "http://{address}"),
            (None, Some(path)) => write!(f, "unix:{}", path.display()),
            (None, None) => f.write_str("unix:(unnamed)"),
        }
    }
}

/// Removes a socket's file. Fails if the path is anything other than a socket.
#[expect(clippy::disallowed_methods, reason = "the socket is not on the volume")]
fn remove_socket(path: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, FileType};
    let stat = match rustix::fs::lstat(path) {
        Ok(stat) => stat,
        Err(rustix::io::Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "a file that is not a socket is there",
        ));
    }
    Ok(rustix::fs::unlinkat(CWD, path, rustix::fs::AtFlags::empty())?)
}

/// The listening socket at standard input, as supervisord or systemd pass it.
fn inherited() -> io::Result<Listener> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    if !rustix::net::sockopt::socket_acceptconn(&socket)? {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the socket does not listen"));
    }
    let family = rustix::net::getsockname(&socket)?.address_family();
    if family == AddressFamily::UNIX {
        let listener = std::os::unix::net::UnixListener::from(socket);
        listener.set_nonblocking(true)?;
        return Ok(Listener::Unix(UnixListener::from_std(listener)?, None));
    }
    let listener = std::net::TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    Ok(Listener::Tcp(TcpListener::from_std(listener)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_to_listen_are_understood() {
        let check = |text: &str, expected: Option<Listen>| {
            assert_eq!(text.parse::<Listen>().ok(), expected, "{text}");
        };
        check("127.0.0.1:4999", Some(Listen::Tcp("127.0.0.1:4999".to_owned())));
        check("[::]:0", Some(Listen::Tcp("[::]:0".to_owned())));
        check("localhost:80", Some(Listen::Tcp("localhost:80".to_owned())));
        check("unix:/run/x.sock", Some(Listen::Unix("/run/x.sock".into())));
        check("fd:0", Some(Listen::Inherited));
        check("fd:3", None);
        check("unix:", None);
        check("4999", None);
        check(":4999", None);
        check("localhost:http", None);
    }
}
