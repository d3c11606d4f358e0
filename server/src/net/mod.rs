//! Connections and the bytes on them: accepting, limits, time-outs, writing. Knows nothing of files, keys or routes.

pub(crate) mod accept_loop;
pub(crate) mod client_address;
pub(crate) mod concurrency_limit;
pub(crate) mod fair_share;
pub(crate) mod fast_path;
pub(crate) mod handler;
pub(crate) mod linger;
pub(crate) mod listener;
pub(crate) mod sendfile;
pub(crate) mod shutdown;
pub(crate) mod socket;
pub(crate) mod timeouts;
pub(crate) mod worker_threads;
pub(crate) mod write_timeout;
