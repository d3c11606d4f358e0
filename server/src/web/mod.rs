//! Content for browsers besides files: pages, the script for web apps, the API description; and escaping of untrusted text.

pub(crate) mod openapi;
pub(crate) mod page;
pub(crate) mod sounding_js;
pub(crate) mod text;
