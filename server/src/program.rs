//! The program: log, runtime, and the error message if it cannot start.
//!
//! It is here and not in `main.rs`, so that generic code is compiled only once, with the library.

use std::process::ExitCode;

use crate::config::Config;
use crate::net::worker_threads::MAIN_BLOCKING_THREADS;
use crate::startup;
use crate::telemetry::log;

/// Runs the service with the process's command line, until it ends. Fails with a message on standard error if it cannot start.
pub fn main() -> ExitCode {
    let config = Config::of_process();
    if let Err(error) = log::start(config.log) {
        return fail(&error);
    }
    // One thread: TCP connections have threads of their own, and nginx in front of a Unix socket is one process too.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(MAIN_BLOCKING_THREADS)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let outcome = runtime.block_on(startup::run(config));
    // Does not wait for reads that are blocked by a slow disk.
    runtime.shutdown_background();
    log::flush();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Prints the whole chain of causes on one line.
#[expect(
    clippy::print_stderr,
    reason = "the log may be JSON; a person must be able to read why nothing started"
)]
fn fail(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    eprintln!("sounding-server: {}", volume::error_chain(error));
    ExitCode::FAILURE
}
