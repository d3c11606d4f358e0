//! `sounding`: the operators' console as a program.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use tui::cli::{Cli, Command};
use tui::ops::{Desk, Failure};
use tui::run::{Out, Outcome, completions, man, run};

fn main() -> ExitCode {
    let cli = Cli::parse();
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
        None => Err(Failure::new("name a command: `sounding --help` lists them")),
    };
    let flushed = to.flush();
    match (result, flushed) {
        // Whoever reads the output has enough of it.
        (Err(failure), _) if failure.is_broken_pipe => ExitCode::SUCCESS,
        (_, Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        (Err(failure), _) => fail(&failure.what),
        (_, Err(error)) => fail(&error.to_string()),
        (Ok(Outcome::Done), _) => ExitCode::SUCCESS,
        (Ok(Outcome::Partly), _) => ExitCode::FAILURE,
        (Ok(Outcome::Found), _) => ExitCode::from(3),
    }
}

fn fail(why: &str) -> ExitCode {
    // Where nobody can be told, the status tells.
    writeln!(io::stderr(), "sounding: {why}").unwrap_or_default();
    ExitCode::FAILURE
}
