//! How many changes are under way, for whoever waits for their end.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Counts what was begun and is not over.
#[derive(Clone, Debug, Default)]
pub(super) struct Running(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    count: Mutex<usize>,
    is_none: Condvar,
}

/// One of them. It is over when this is dropped.
#[derive(Debug)]
pub(super) struct Begun(Arc<Counted>);

impl Running {
    /// One more.
    pub(super) fn begin(&self) -> Begun {
        *self.0.lock() += 1;
        Begun(Arc::clone(&self.0))
    }

    /// Whether any is under way.
    pub(super) fn is_any(&self) -> bool {
        *self.0.lock() > 0
    }

    /// Waits until none is, and no longer than so.
    pub(super) fn wait(&self, longest: Duration) {
        let waited = self.0.is_none.wait_timeout_while(self.0.lock(), longest, |it| *it > 0);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Counted {
    fn lock(&self) -> MutexGuard<'_, usize> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        *self.0.lock() -= 1;
        self.0.is_none.notify_all();
    }
}
