//! The operator's terminal, at the end of a line that may be slow, stall or drop at any moment.
//!
//! It is opened once, on a file description of its own, so that not waiting for it changes nothing for the shell.
//! Nothing here ever blocks, and nothing is asked of the terminal: an answer could come late or never.

pub mod keys;
mod restore;
pub mod tty;

pub use restore::install_panic_hook;
pub use tty::{Tty, TtyError};
