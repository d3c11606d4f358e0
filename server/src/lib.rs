//! The Sounding Board file service.
//!
//! Serves a volume's files over HTTP, with ranges and API keys; lists its folders; and takes uploads. The crate [`volume`] does everything
//! on the disk; this crate adds HTTP.
//!
//! A request's way through the modules: `net` accepts its connection. If it is a plain read whose response is cached,
//! `files::cached_response` writes it at once. Otherwise `service` passes it through `router` to `files`, `uploads` or `feed`, which use
//! `extract` and `auth` to find out who the caller is and what it may do.

mod admin;
mod app;
mod auth;
mod blocking;
mod bulkhead;
mod config;
mod extract;
mod feed;
mod files;
#[doc(hidden)]
pub mod fuzz;
mod http;
mod idle;
mod maintenance;
mod metrics;
mod net;
mod problem;
mod program;
mod router;
mod routes;
mod service;
mod startup;
mod sync;
mod telemetry;
mod uploads;
mod web;

pub use app::App;
pub use auth::key_guesses::DELAY as WRONG_KEY_DELAY;
pub use http::content_coding::Coding;
pub use http::range;
pub use http::request_fields::{Field, RequestFields};
pub use http::validators::Validators;
pub use net::accept_loop::{ServeOutcome, serve};
pub use net::concurrency_limit::{ConcurrencyLimit, ConnectionLimits};
pub use net::fast_path::request_head::{MOST_FIELDS, Parsed, RequestHead};
pub use net::listener::{Listen, Listener};
pub use net::sendfile::bytes_sent;
pub use net::timeouts::Timeouts;
pub use net::worker_threads::Workers;
pub use program::main;
pub use service::PublicService;
