//! Whether work is still wanted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Gives out tickets, and takes all of them back at once.
#[derive(Clone, Debug, Default)]
pub(super) struct Tickets(Arc<AtomicU64>);

/// Leave to go on, until it is taken back.
#[derive(Clone, Debug)]
pub(super) struct Ticket {
    of: Arc<AtomicU64>,
    number: u64,
}

impl Tickets {
    /// For work that begins now.
    pub(super) fn give(&self) -> Ticket {
        Ticket { of: Arc::clone(&self.0), number: self.0.load(Ordering::Relaxed) }
    }

    /// What was given so far is good no more.
    pub(super) fn take_back(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Ticket {
    /// Whether the work is still wanted.
    pub(super) fn is_good(&self) -> bool {
        self.of.load(Ordering::Relaxed) == self.number
    }
}
