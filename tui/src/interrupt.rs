//! SIGINT, SIGQUIT, SIGTERM and SIGHUP, for commands that leave something half-done when they are ended at once.
//!
//! A signal concerns the whole program, so what is known of it is the program's too. The first asks to stop: whoever
//! works looks [whether it came](is_asked) and tidies up. The second ends the program as if nobody had listened.

use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

/// The first that came; 0 before.
static ASKED: AtomicI32 = AtomicI32::new(0);
/// Ends with the first that comes.
static UNTIL_ASKED: OnceLock<PipeReader> = OnceLock::new();

/// Begins to listen. What whoever started this had it ignore (as `nohup` does) stays ignored.
pub fn listen() -> io::Result<()> {
    let (reader, writer) = io::pipe()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let entered = runtime.enter();
    let ignored = ignored();
    let mut of = [Signal::INT, Signal::QUIT, Signal::TERM, Signal::HUP].map(|it| {
        let number = it.as_raw();
        let is_ignored = ignored >> (number - 1) & 1 == 1;
        (number, (!is_ignored).then(|| signal(SignalKind::from_raw(number))))
    });
    drop(entered);
    UNTIL_ASKED.set(reader).unwrap_or_default();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            let [interrupt, quit, terminate, hang_up] = &mut of;
            let mut next = async || {
                tokio::select! {
                    number = one(interrupt) => number,
                    number = one(quit) => number,
                    number = one(terminate) => number,
                    number = one(hang_up) => number,
                }
            };
            ask(next().await, writer);
            std::process::exit(128 + next().await);
        });
    })?;
    Ok(())
}

/// Which signals this program ignores, a bit each.
#[expect(clippy::disallowed_methods, reason = "a file of the kernel's, not of the volume")]
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|it| it.strip_prefix("SigIgn:"));
    mask.and_then(|it| u64::from_str_radix(it.trim(), 16).ok()).unwrap_or(0)
}

async fn one(of: &mut (i32, Option<io::Result<tokio::signal::unix::Signal>>)) -> i32 {
    match &mut of.1 {
        Some(Ok(signal)) => drop(signal.recv().await),
        Some(Err(_)) | None => std::future::pending().await,
    }
    of.0
}

fn ask(number: i32, writer: PipeWriter) {
    ASKED.store(number, SeqCst);
    drop(writer);
}

/// Whether somebody wants the program to end.
pub fn is_asked() -> bool {
    ASKED.load(SeqCst) != 0
}

/// The status that a shell expects of a program that a signal ended.
pub fn status() -> Option<u8> {
    let number = ASKED.load(SeqCst);
    u8::try_from(128 + number).ok().filter(|_| number != 0)
}

/// What comes from somewhere, until somebody wants the program to end.
pub struct UntilAsked<R>(pub R);

impl<R: Read + AsFd> Read for UntilAsked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(asked) = UNTIL_ASKED.get() {
            let mut both = [PollFd::new(asked, PollFlags::IN), PollFd::new(&self.0, PollFlags::IN)];
            match poll(&mut both, None) {
                Ok(_) | Err(Errno::INTR) if is_asked() => return Err(stopped()),
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        self.0.read(buffer)
    }
}

fn stopped() -> io::Error {
    io::Error::other("stopped; nothing was changed")
}
