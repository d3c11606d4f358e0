//! Who asks, and what they may.

pub(crate) mod caller;
pub(crate) mod credentials;
pub(crate) mod identify;
pub(crate) mod key_guesses;
pub(crate) mod key_ring;
