//! How long clients may take.

use std::time::Duration;

/// How long clients may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// To send a request's header, and to stay silent between two requests.
    pub header_read: Duration,
    /// To take nothing of an answer.
    pub write: Duration,
    /// To finish what is under way when the service stops.
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

/// How long those who are connected, and have said nothing yet, may take to say what they want before it ends.
pub(crate) const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
