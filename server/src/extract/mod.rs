//! A request at the edge: its path and its query, as what they mean.

pub(crate) mod path;
pub(crate) mod query;
