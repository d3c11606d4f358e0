//! Connections and the bytes that cross them: accepted, bounded, timed, written. Knows nothing of files, keys or routes.

pub mod accept_loop;
pub mod client_address;
pub mod concurrency_limit;
pub mod fair_share;
pub mod fast_path;
pub mod handler;
pub mod linger;
pub mod listener;
pub mod sendfile;
pub mod shutdown;
pub mod socket;
pub mod timeouts;
pub mod worker_threads;
pub mod write_timeout;
