//! The way back to the terminal as it was, also where something went wrong.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios, tcsetattr};

/// Leaves the alternate screen, shows the cursor, default colours; what is pasted is typed again.
const LEAVE: &[u8] = b"\x1b[0m\x1b[?25h\x1b[?2004l\x1b[?1049l";
/// Wheel and buttons are told of, as SGR has it; and not any more.
const TAKE_MOUSE: &[u8] = b"\x1b[?1000h\x1b[?1006h";
const LEAVE_MOUSE: &[u8] = b"\x1b[?1006l\x1b[?1000l";
/// A line that takes nothing for so long is not waited for.
const PATIENCE: Duration = Duration::from_millis(200);

/// The terminal that is in use, and how it was. Here and not with its owner, because a panic must find it.
static IN_USE: Mutex<Option<(OwnedFd, Termios)>> = Mutex::new(None);

/// Whether the mouse is taken.
static MOUSE: AtomicBool = AtomicBool::new(false);

/// What takes the mouse or gives it back, where that is a change.
pub(super) fn mouse(is_taken: bool) -> Option<&'static [u8]> {
    let was_taken = MOUSE.swap(is_taken, Ordering::Relaxed);
    let change = if is_taken { TAKE_MOUSE } else { LEAVE_MOUSE };
    (was_taken != is_taken).then_some(change)
}

/// The terminal is in use from now on.
pub(super) fn remember(tty: OwnedFd, before: Termios) {
    *IN_USE.lock().unwrap_or_else(PoisonError::into_inner) = Some((tty, before));
}

/// Gives the terminal back as it was. Once; errors are of no use to anybody any more.
pub(super) fn restore() {
    let in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some((tty, before)) = in_use else { return };
    let leave = [mouse(false).unwrap_or_default(), LEAVE].concat();
    let mut rest = leave.as_slice();
    while !rest.is_empty() {
        match rustix::io::write(&tty, rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(rustix::io::Errno::AGAIN) if can_take(&tty) => {}
            Err(_) => break,
        }
    }
    tcsetattr(tty.as_fd(), OptionalActions::Now, &before).unwrap_or_default();
}

fn can_take(tty: &OwnedFd) -> bool {
    let patience = Timespec::try_from(PATIENCE).ok();
    let mut wanted = [PollFd::new(tty, PollFlags::OUT)];
    let ready = poll(&mut wanted, patience.as_ref());
    ready.is_ok_and(|it| it > 0) && wanted.iter().all(|it| it.revents().contains(PollFlags::OUT))
}

/// A panic gives the terminal back first, so that its message can be read, and says it where anybody can be told.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        restore();
        let message = format!(
            "sounding: internal error: {panic}\n\
             If the screen looks odd, type `reset`.\n"
        );
        std::io::stderr().write_all(message.as_bytes()).unwrap_or_default();
    }));
}
