//! `sounding`: the operators' console as a program.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use sounding::cli::{Cli, Command};
use sounding::console;
use sounding::interrupt;
use sounding::ops::Desk;
use sounding::run::{Out, Outcome, completions, man, run};
use sounding::service_user;

fn main() -> ExitCode {
    let cli = Cli::read();
    if let Err(failure) = service_user::become_it(&cli) {
        tell(&failure.what);
    }
    // What these leave half-done is to be gone when they end.
    if let Some(Command::Cp(_) | Command::Mv(_) | Command::Put { .. }) = &cli.command
        && let Err(error) = interrupt::listen()
    {
        tell(&format!("a signal will end this at once, and may leave something behind: {error}"));
    }
    let mut to = io::BufWriter::new(io::stdout().lock());
    let mut errors = io::stderr();
    let is_screen = io::stdout().is_terminal();
    let mut out = Out { to: &mut to, errors: &mut errors, is_screen };
    let result = match cli.command {
        // These need no volume.
        Some(Command::Completions { shell }) => {
            completions(shell, &mut out);
            Ok(Outcome::Done)
        }
        Some(Command::Man) => man(&mut out).map(|()| Outcome::Done),
        Some(command) => Desk::open(&cli.desk).and_then(|desk| run(&desk, command, &mut out)),
        None => return screen(&cli),
    };
    let flushed = to.flush();
    match (result, flushed) {
        // Whoever reads the output has enough of it.
        (Err(failure), _) if failure.is_broken_pipe => ExitCode::SUCCESS,
        (_, Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        (Err(failure), _) => {
            let status = fail(&failure.what);
            interrupt::status().map_or(status, ExitCode::from)
        }
        (_, Err(error)) => fail(&error.to_string()),
        (Ok(Outcome::Done), _) => ExitCode::SUCCESS,
        (Ok(Outcome::Partly), _) => ExitCode::FAILURE,
        (Ok(Outcome::Found), _) => ExitCode::from(3),
    }
}

/// The screen. Status 2 where there is no terminal for it.
fn screen(cli: &Cli) -> ExitCode {
    match console::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let status = fail(&failure.what);
            if failure.is_misuse { ExitCode::from(2) } else { status }
        }
    }
}

fn fail(why: &str) -> ExitCode {
    tell(why);
    ExitCode::FAILURE
}

fn tell(what: &str) {
    // Where nobody can be told, the status tells.
    writeln!(io::stderr(), "sounding: {what}").unwrap_or_default();
}
