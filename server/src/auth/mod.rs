//! Who asks, and what they may.

pub mod caller;
pub mod credentials;
pub mod identify;
pub mod key_guesses;
pub mod key_ring;
