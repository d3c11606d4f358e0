//! The server tested as a server: real requests over a socket, on a volume of their own.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::format_push_string,
    missing_docs,
    unreachable_pub,
    reason = "helpers of tests are not `in tests` to the lints, and tests lay out volumes by hand"
)]

mod admin;
mod answers;
mod arrivals;
mod chain;
mod clients;
mod codings;
mod conditions;
mod connection_limits;
mod crashes;
mod documents;
mod fast_path;
mod feed;
mod floods;
mod fly;
mod full_disk;
mod heads;
mod hygiene;
mod idle;
mod image;
mod keys;
mod kills;
mod layers;
mod limits;
mod listings;
mod metrics;
mod odd_clients;
mod one_server;
mod open_file_cache;
mod owners;
mod paths;
mod process;
mod ranges;
mod resume;
mod support;
mod transfers;
mod tus;
mod uploads;
mod web;
