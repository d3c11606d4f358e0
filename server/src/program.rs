//! The program: its log, its runtime, and what it says where it can't start.
//!
//! Here and not in `main.rs`, so that what is generic is compiled with the library, once.

use std::process::ExitCode;

use crate::config::Config;
use crate::net::worker_threads::MAIN_BLOCKING_THREADS;
use crate::startup;
use crate::telemetry::log;

/// Runs the service with the words of the command line, until it ends.
pub fn main() -> ExitCode {
    let config = Config::of_process();
    if let Err(error) = log::start(config.log) {
        return fail(&error);
    }
    // One thread: connections over TCP have threads of their own, and nginx in front of a Unix socket is one process too.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(MAIN_BLOCKING_THREADS)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let outcome = runtime.block_on(startup::run(config));
    // A read that waits for a slow disk is not waited for.
    runtime.shutdown_background();
    log::flush();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// The whole chain of causes, on one line.
#[expect(
    clippy::print_stderr,
    reason = "the log may be JSON; a person must be able to read why nothing started"
)]
fn fail(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    eprintln!("sounding-server: {}", volume::error_chain(error));
    ExitCode::FAILURE
}
