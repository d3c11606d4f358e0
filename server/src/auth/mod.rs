//! Who asks, and what they may.

pub mod caller;
pub mod key_guesses;
