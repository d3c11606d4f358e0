//! The terminal itself: raw, never waited for, and given back when dropped.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::io::unix::AsyncFd;

use super::restore;

/// Shows the alternate screen, empty, without a cursor. What is pasted comes marked as that.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?2004h\x1b[?25l\x1b[0m\x1b[2J";
/// Bytes that are read at once.
const CHUNK: usize = 4096;

/// The terminal in use.
#[derive(Debug)]
pub struct Tty {
    fd: AsyncFd<OwnedFd>,
    before: Termios,
    /// What has not gone out yet.
    pending: RefCell<Vec<u8>>,
}

/// Why there is no screen to be had.
#[derive(Debug, thiserror::Error)]
pub enum TtyError {
    /// It is no terminal.
    #[error(
        "needs a terminal: fly ssh console --pty -C 'sounding'; without one: sounding ls, sounding keys, … (sounding --help)"
    )]
    None,
    /// It can't move its cursor.
    #[error(
        "TERM={term} cannot draw; use: sounding ls, sounding keys, … (sounding --help) or TERM=xterm sounding"
    )]
    Dumb {
        /// What the variable says.
        term: String,
    },
    /// The system failed.
    #[error("could not use the terminal")]
    Io(#[from] io::Error),
}

impl Tty {
    /// Takes the terminal in use.
    pub fn open() -> Result<Tty, TtyError> {
        let term = std::env::var("TERM").unwrap_or_default();
        if !rustix::termios::isatty(io::stdin()) || !rustix::termios::isatty(io::stdout()) {
            return Err(TtyError::None);
        }
        if matches!(term.as_str(), "" | "dumb" | "unknown") {
            return Err(TtyError::Dumb { term });
        }
        let fd = open_own()?;
        let before = tcgetattr(&fd).map_err(io::Error::from)?;
        let shared = fd.try_clone()?;
        let mut tty = Tty { fd: watch(fd)?, before: before.clone(), pending: RefCell::default() };
        restore::remember(shared, before);
        tty.enter()?;
        Ok(tty)
    }

    fn enter(&mut self) -> io::Result<()> {
        let mut raw = self.before.clone();
        raw.make_raw();
        tcsetattr(self.fd.get_ref(), OptionalActions::Now, &raw)?;
        self.pending.replace(ENTER.to_vec());
        Ok(())
    }

    /// Its number among the machine's terminals, if it has one.
    pub fn number(&self) -> Option<u32> {
        let name = rustix::termios::ttyname(io::stdin(), Vec::new()).ok()?;
        name.to_str().ok()?.strip_prefix("/dev/pts/")?.parse().ok()
    }

    /// Columns and rows.
    pub fn size(&self) -> (u16, u16) {
        match tcgetwinsize(self.fd.get_ref()) {
            // A line that does not tell its size is as fly's is.
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
            _ => (80, 24),
        }
    }

    /// Whether all that was drawn has gone out.
    pub fn is_idle(&self) -> bool {
        self.pending.borrow().is_empty()
    }

    /// Something to go out.
    pub fn send(&self, bytes: &[u8]) {
        self.pending.borrow_mut().extend_from_slice(bytes);
    }

    /// Takes the mouse, or leaves it to the terminal.
    pub fn mouse(&self, is_taken: bool) {
        if let Some(change) = restore::mouse(is_taken) {
            self.send(change);
        }
    }

    /// Lets go out what the line takes now. Fails where it is gone.
    pub async fn flush(&self) -> io::Result<()> {
        let mut ready = self.fd.writable().await?;
        let mut pending = self.pending.borrow_mut();
        if !pending.is_empty() {
            match rustix::io::write(ready.get_inner(), &pending) {
                Ok(written) => drop(pending.drain(..written)),
                Err(Errno::AGAIN | Errno::INTR) => ready.clear_ready(),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// The next bytes that somebody typed. Fails where the line is gone.
    pub async fn read(&self) -> io::Result<Vec<u8>> {
        loop {
            let mut ready = self.fd.readable().await?;
            let mut bytes = vec![0; CHUNK];
            match rustix::io::read(ready.get_inner(), &mut bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    bytes.truncate(count);
                    return Ok(bytes);
                }
                Err(Errno::AGAIN | Errno::INTR) => ready.clear_ready(),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Stops the process as `^Z` does, and takes the terminal in use again when it goes on.
    pub fn suspend(&mut self) -> io::Result<()> {
        let shared = self.fd.get_ref().try_clone()?;
        restore::restore();
        // To the whole group, as the terminal would. Without a shell that could bring it back this returns at once.
        rustix::process::kill_current_process_group(rustix::process::Signal::TSTP)?;
        restore::remember(shared, self.before.clone());
        self.enter()
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        restore::restore();
    }
}

#[expect(
    deprecated,
    reason = "sound with an OwnedFd, which stays the same descriptor; its successor is unsafe"
)]
fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(fd)
}

/// The terminal on a file description of our own.
#[expect(clippy::disallowed_methods, reason = "the terminal is no part of the volume")]
fn open_own() -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    match rustix::fs::openat(CWD, "/dev/tty", flags, Mode::empty()) {
        Ok(fd) => Ok(fd),
        // It is not our controlling terminal, but one it is.
        Err(Errno::NXIO | Errno::NOENT) => match open_stdin_again(flags) {
            Err(Errno::ACCESS) => Ok(stdin_of_our_own()?),
            result => Ok(result?),
        },
        Err(errno) => Err(errno.into()),
    }
}

/// The terminal that standard input is, once more.
#[expect(clippy::disallowed_methods, reason = "the terminal is no part of the volume")]
pub(crate) fn open_stdin_again(flags: OFlags) -> Result<OwnedFd, Errno> {
    let name = rustix::termios::ttyname(io::stdin().as_fd(), Vec::new())?;
    rustix::fs::openat(CWD, name, flags, Mode::empty())
}

/// The terminal is another user's: root's, before we became the service's user. Root has opened it for us, as standard
/// input (see [`crate::service_user`]).
fn stdin_of_our_own() -> io::Result<OwnedFd> {
    let fd = io::stdin().as_fd().try_clone_to_owned()?;
    let flags = rustix::fs::fcntl_getfl(&fd)?;
    rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?;
    Ok(fd)
}
