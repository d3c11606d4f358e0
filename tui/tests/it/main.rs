//! The console tested as a program, on real volumes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::string_slice,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "helpers of tests are not `in tests` to the lints"
)]

mod acts;
mod cli_equivalents;
mod commands;
mod fake;
mod interrupts;
mod preview;
mod reference;
mod root;
mod screen;
mod server;
mod snapshots;
mod transfers;
mod update;
mod words;
mod wormhole;
