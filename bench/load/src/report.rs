//! What came of it, as JSON; and what went wrong.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("could not make `{}`", path.display())]
    Make { path: PathBuf, source: io::Error },
    #[error("could not speak with the server")]
    Io(#[from] io::Error),
    #[error("the server closed a connection before its answer was whole")]
    Closed,
    #[error("an odd answer: {0}")]
    Odd(String),
    #[error("file {number} differs from what it should hold, {at} bytes into the answer")]
    Differs { number: u64, at: u64 },
    #[error("nothing came for {0:?}")]
    Silence(Duration),
}

impl From<rustix::io::Errno> for Error {
    fn from(errno: rustix::io::Errno) -> Error {
        Error::Io(errno.into())
    }
}

/// The figures.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) answers: u64,
    /// Of bodies.
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
    /// From a request to the last byte of its answer, in microseconds.
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) longest: u64,
    /// Answers whose bytes were compared.
    pub(crate) compared: u64,
    /// Of this client, in seconds.
    pub(crate) cpu: f64,
}

impl Report {
    /// Takes the latencies, in microseconds and in any order.
    pub(crate) fn with_latencies(mut self, mut latencies: Vec<u64>) -> Report {
        latencies.sort_unstable();
        let at = |share: usize| latencies.get(latencies.len() * share / 100).copied();
        self.p50 = at(50).unwrap_or_default();
        self.p99 = at(99).unwrap_or_default();
        self.longest = latencies.last().copied().unwrap_or_default();
        self
    }

    #[expect(clippy::print_stdout, reason = "this is what it is for")]
    pub(crate) fn print(&self) -> Result<(), Error> {
        println!("{}", serde_json::to_string(self).map_err(io::Error::from)?);
        Ok(())
    }
}

#[expect(clippy::print_stderr, reason = "a person, or a script, reads why")]
pub(crate) fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprint!("load: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        eprint!(": {cause}");
        source = cause.source();
    }
    eprintln!();
    ExitCode::FAILURE
}
