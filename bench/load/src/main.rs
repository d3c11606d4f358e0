//! The benchmark's client.
//!
//! It must cost less than the servers that it measures, or it would measure itself: one thread, `epoll`, and bodies that the kernel drops
//! (`MSG_TRUNC`) before they are copied. A sample of the responses is read and compared with the files' content, which follows from the
//! position of each byte ([`pattern`]).

mod args;
mod client;
mod connection;
mod pattern;
mod plan;
mod report;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Args, Work};

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = match args.work {
        Work::Make(make) => pattern::make(&make),
        Work::Ask(ask) => client::run(&ask).and_then(|it| it.print()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::fail(&error),
    }
}
