//! The Sounding Board file service.
//!
//! Streams a volume's files with HTTP ranges behind keys, lists its folders, and takes uploads in. It stands on the
//! crate [`volume`] for everything on the disk and adds what HTTP needs. A request goes through the modules in this
//! order: [`serve`], [`lane`] or hyper, [`front`], and [`again`] if its answer is known. If not, [`router`] (which plain reads
//! are led past), [`visit`], then [`files`], [`put`] or [`delete`].

pub mod admin;
pub mod app;
pub mod auth;
pub mod blocking;
pub mod bulkhead;
pub mod config;
pub mod extract;
pub mod feed;
pub mod files;
pub mod fuzz;
pub mod http;
pub mod idle;
pub mod maintenance;
pub mod metrics;
pub mod net;
pub mod problem;
pub mod program;
pub mod router;
pub mod routes;
pub mod service;
pub mod startup;
pub mod sync;
pub mod telemetry;
pub mod uploads;
pub mod web;
