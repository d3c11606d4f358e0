//! Authentication and authorization: who sends a request, and what the caller may do.

pub(crate) mod caller;
pub(crate) mod credentials;
pub(crate) mod identify;
pub(crate) mod key_guesses;
pub(crate) mod key_ring;
