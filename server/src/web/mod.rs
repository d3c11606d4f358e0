//! What a browser is given besides files: pages, the script for web apps, the description; and a stranger's text made safe.

pub mod openapi;
pub mod page;
pub mod sounding_js;
pub mod text;
