//! Parses a request at the edge: its path and its query.

pub(crate) mod path;
pub(crate) mod query;
