//! The Sounding Board file service.
//!
//! Streams a volume's files with HTTP ranges behind keys, lists its folders, and takes uploads in. It stands on the crate [`volume`] for
//! everything on the disk and adds what HTTP needs. A request's way through the folders: `net` accepts its connection and, if it is a
//! plain read whose response is known, answers it by `files::cached_response`; otherwise `service` sends it through `router` to
//! `files`, `uploads` or `feed`, which find out by `extract` and `auth` whose it is and what it may have.

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
