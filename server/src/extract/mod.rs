//! A request at the edge: its path and its query, as what they mean.

pub mod path;
pub mod query;
