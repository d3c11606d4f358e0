//! Files and folders as they are read and deleted.

pub mod browser_cache;
pub mod cached_response;
pub mod delete;
pub mod etag;
pub mod file_body;
pub mod get;
pub mod listing;
pub mod open_file_cache;
pub mod preconditions;
pub mod representation;
