//! What a browser is given besides files: pages, the script for web apps, the description; and a stranger's text made safe.

pub(crate) mod openapi;
pub(crate) mod page;
pub(crate) mod sounding_js;
pub(crate) mod text;
