//! The volume tested on a real file system.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "helpers of tests are not `in tests` to the lints"
)]

mod find;
mod key_file;
mod key_sheet;
mod left_out;
mod names;
mod observer;
mod old_keys;
mod owner;
mod staged_folder;
mod staging;
mod stat;
mod support;
mod transfers;
mod trash;
mod tree;
mod uploads;
