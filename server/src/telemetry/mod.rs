//! The service's log, its counters, and its current activity.

pub(crate) mod access_log;
pub(crate) mod activity;
pub(crate) mod counters;
pub(crate) mod log;
pub(crate) mod process;
pub(crate) mod redact;
pub(crate) mod request_counters;
pub(crate) mod startup_time;
pub(crate) mod volume_warnings;
pub(crate) mod wake_log;
