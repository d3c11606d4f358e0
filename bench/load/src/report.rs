//! The results as JSON, and the errors.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use crate::connection::Answer;

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
    /// The bytes of all bodies.
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
    /// The time from a request to the last byte of its response, in microseconds.
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) longest: u64,
    /// The number of responses whose bytes were compared.
    pub(crate) compared: u64,
    /// The processor time of this client, in seconds.
    pub(crate) cpu: f64,
    /// The latencies of all responses, in microseconds.
    #[serde(skip)]
    latencies: Vec<u64>,
}

impl Report {
    pub(crate) fn count(&mut self, answer: &Answer) {
        self.answers += 1;
        self.bytes += answer.bytes;
        self.compared += u64::from(answer.is_compared);
        self.latencies.push(answer.micros);
    }

    /// Completes the figures after the last response.
    pub(crate) fn after(mut self, seconds: f64, cpu: f64) -> Report {
        self.latencies.sort_unstable();
        let at = |share: usize| self.latencies.get(self.latencies.len() * share / 100).copied();
        let (p50, p99) = (at(50).unwrap_or_default(), at(99).unwrap_or_default());
        let longest = self.latencies.last().copied().unwrap_or_default();
        Report { seconds, p50, p99, longest, cpu, ..self }
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
