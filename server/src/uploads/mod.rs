//! Files on their way in: by PUT, by tus.

pub(crate) mod digest;
pub(crate) mod put;
pub(crate) mod receive;
pub(crate) mod tus;
