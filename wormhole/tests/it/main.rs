//! The client tested against itself and against the real clients, by the real servers, all on loopback.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "helpers of tests are not `in tests` to the lints, and tests lay out files by hand"
)]

mod breaks;
mod interop;
mod own;
mod peers;
mod servers;
