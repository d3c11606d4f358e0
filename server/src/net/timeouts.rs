//! Time-outs for clients.

use std::time::Duration;

/// Time-outs for clients.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For receiving a request's header, and for silence between two requests.
    pub header_read: Duration,
    /// For a write of a response during which the client reads nothing.
    pub write: Duration,
    /// For finishing responses in flight when the service stops.
    pub shutdown_grace: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            header_read: Duration::from_secs(30),
            write: Duration::from_mins(2),
            shutdown_grace: Duration::from_secs(30),
        }
    }
}

/// How long a connected client that has sent nothing yet may take for its first request, when the service is shutting down.
pub(crate) const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
