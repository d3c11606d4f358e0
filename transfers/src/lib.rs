//! Wormhole transfers into a volume and out of it: each a job with a record that outlives the program.
//!
//! [`Transfers`] runs them: in the service, so that a dropped line ends nothing, or in a console where no service
//! runs. What arrives goes through staging, is written by a thread of its own, and appears by one rename; only then is
//! the sender told that all is well. What fails before that leaves nothing, and both sides learn why.
//!
//! In reading order: [`transfer`] is what is known of a transfer, plain data; [`Transfers`] starts, lists, answers
//! and cancels; `receive` and `send` are the two ways, step by step; `preflight` is what an operator is asked about an
//! offer; `storing` and `unpacking` are the threads that write, `reading` the one that reads; [`settings`] says
//! which servers are used.

mod context;
#[doc(hidden)]
pub mod fuzz;
mod host;
mod job;
mod preflight;
mod publish;
mod reading;
mod receive;
mod send;
pub mod settings;
mod store_names;
mod storing;
pub mod transfer;
mod unpacking;

pub use host::{Refused, Totals, Transfers};
