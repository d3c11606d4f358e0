//! Uploads: by `PUT`, and resumable ones by tus.

pub(crate) mod digest;
pub(crate) mod put;
pub(crate) mod receive;
pub(crate) mod tus;
