//! What is told of the service: its log, its counters, and what it does right now.

pub mod access_log;
pub mod activity;
pub mod counters;
pub mod log;
pub mod process;
pub mod redact;
pub mod request_counters;
pub mod startup_time;
pub mod volume_warnings;
pub mod wake_log;
