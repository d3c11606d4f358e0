//! The Sounding Board file service.
//!
//! Streams a volume's files with HTTP ranges behind keys, and lists its folders. It stands on the crate [`volume`] for
//! everything on the disk and adds what HTTP needs. A request goes through the modules in this order: [`serve`],
//! [`router`], [`visit`], [`files`].

pub mod access_log;
pub mod app;
pub mod auth;
pub mod body;
pub mod browser_cache;
pub mod coding;
pub mod config;
pub mod etag;
pub mod fields;
pub mod files;
pub mod guesses;
pub mod health;
pub mod listener;
pub mod listing;
pub mod media;
pub mod openapi;
pub mod page;
pub mod patience;
pub mod problem;
pub mod query;
pub mod range;
pub mod router;
pub mod serve;
pub mod start;
pub mod text;
pub mod validators;
pub mod visit;
