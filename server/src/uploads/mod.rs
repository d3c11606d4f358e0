//! Files on their way in: by PUT, by tus.

pub mod digest;
pub mod put;
pub mod receive;
pub mod tus;
