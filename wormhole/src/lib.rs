//! A magic-wormhole client for tokio: files, directories and texts, in both roles.

pub mod zip;
