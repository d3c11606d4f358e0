//! Wormhole transfers into a volume and out of it: each a job with a record that outlives the program.
//!
//! [`Transfers`] runs them: in the service, so that a lost connection to the operator ends nothing, or in a console where no service runs.
//! Received bytes are staged by a thread of their own and published by one rename. Only then does the sender get the confirmation. A
//! transfer that fails before that leaves nothing behind, and both sides learn the reason.
//!
//! In reading order:
//! - [`transfer`] is the data of a transfer. [`Transfers`] starts, lists, answers and cancels transfers.
//! - `receive` and `send` are the two directions, step by step. `preflight` checks an offer and makes the operator's question.
//! - `storing`, `publish` and `unpacking` write on a thread; `reading` reads on one. `store_names` checks the names that arrive.
//! - [`settings`] chooses the servers.

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
