//! Whom root becomes before anything else: the service's user.
//!
//! `fly ssh console` is root's. What root wrote onto the volume the service could not change, move or delete. So the
//! program begins anew as whoever owns the service's folder there, and is silent about it. Only giving things away needs root.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::fs::OFlags;
use volume::owner::{self, Owner};

use crate::cli::{self, Cli};
use crate::ops::Failure;
use crate::term::tty::open_stdin_again;

/// Its own program, also where the service's user can't reach that by its path.
const OURSELVES: &str = "/proc/self/exe";

/// Does not return where root becomes the service's user; returns at once where there is nothing to become. Where it
/// fails, the program goes on as it is: whoever is root must be able to mend what is wrong.
pub fn become_it(cli: &Cli) -> Result<(), Failure> {
    if !rustix::process::geteuid().is_root() || is_roots(cli.command.as_ref()) {
        return Ok(());
    }
    let Some(service) = owner::of_service(&cli.desk.volume) else { return Ok(()) };
    let by_path = std::env::current_exe().ok().map(|it| begin_anew(it.as_os_str(), service));
    let error = match by_path {
        Some(error) if error.kind() != io::ErrorKind::PermissionDenied => error,
        _ => begin_anew(OsStr::new(OURSELVES), service),
    };
    Err(Failure::new(format!(
        "could not become the service's user ({}), so what this makes may not be the service's own; \
         `sounding doctor --fix-owners` fixes that: {error}",
        service.user
    )))
}

/// Whether only root can do it, or it has nothing to do with the volume.
fn is_roots(command: Option<&cli::Command>) -> bool {
    matches!(
        command,
        Some(
            cli::Command::Doctor { fix_owners: true, .. }
                | cli::Command::Completions { .. }
                | cli::Command::Man
        )
    )
}

/// Comes back only with what went wrong. Groups besides the service's own are dropped.
fn begin_anew(program: &OsStr, service: Owner) -> io::Error {
    let mut arguments = std::env::args_os();
    let mut command = Command::new(program);
    command.arg0(arguments.next().unwrap_or_default()).args(arguments);
    command.uid(service.user).gid(service.group);
    // The terminal is root's too: the screen, which wants it on a file description of its own, could not open it.
    if let Ok(terminal) = open_stdin_again(OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC) {
        command.stdin(Stdio::from(terminal));
    }
    command.exec()
}
