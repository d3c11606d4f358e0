//! Reading and deleting files and folders over HTTP.

pub(crate) mod browser_cache;
pub(crate) mod cached_response;
pub(crate) mod delete;
pub(crate) mod etag;
pub(crate) mod file_body;
pub(crate) mod get;
pub(crate) mod listing;
pub(crate) mod open_file_cache;
pub(crate) mod plan;
pub(crate) mod preconditions;
pub(crate) mod representation;
