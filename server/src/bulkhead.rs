//! Bulkheads: blocking work of one kind, limited in number, on threads of its own.
//!
//! A flood of such work leaves other threads and the disk free. What it allocates is close together in memory, so that it can be returned
//! to the system.

use std::sync::Arc;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinError;

/// Runs a limited number of jobs at a time, in the order of arrival.
#[derive(Clone, Debug)]
pub(crate) struct Bulkhead {
    permits: Arc<Semaphore>,
    threads: Arc<Threads>,
}

/// A pool of threads for blocking work. They start with work, and end after ten seconds without. `None` if it could not be made; then the
/// general blocking pool is used.
#[derive(Debug)]
struct Threads(Option<Runtime>);

impl Bulkhead {
    /// For a number of jobs at a time.
    pub(crate) fn new(most: usize) -> Bulkhead {
        let threads = Builder::new_current_thread().max_blocking_threads(most).build().ok();
        Bulkhead { permits: Arc::new(Semaphore::new(most)), threads: Arc::new(Threads(threads)) }
    }

    /// Waits for a permit and does the work. The permit is held until the work is done, even if nobody waits for the result any more.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        // Never fails, because the semaphore is never closed.
        let permits = Arc::clone(&self.permits).acquire_owned().await;
        let work = move || {
            let _place = permits;
            work()
        };
        let threads = self.threads.0.as_ref().map(Runtime::handle);
        threads.unwrap_or(&Handle::current()).spawn_blocking(work).await
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Does not wait for work that is blocked by a slow disk.
        if let Some(threads) = self.0.take() {
            threads.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn no_more_work_at_a_time_than_there_are_places() {
        let bulkhead = Bulkhead::new(2);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = || {
            let (bulkhead, now, most) = (bulkhead.clone(), Arc::clone(&now), Arc::clone(&most));
            async move {
                let work = move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    now.fetch_sub(1, Ordering::SeqCst);
                };
                bulkhead.run(work).await
            }
        };
        let all: Vec<_> = (0..100).map(|_| tokio::spawn(work())).collect();
        for one in all {
            one.await.unwrap().unwrap();
        }
        assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
    }

    #[tokio::test]
    async fn who_does_not_wait_any_more_takes_no_place_for_ever() {
        let bulkhead = Bulkhead::new(1);
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let mut first = Box::pin(bulkhead.run(move || ended.recv().is_err()));
        assert!(futures_util::poll!(&mut first).is_pending());
        let mut second = Box::pin(bulkhead.run(|| ()));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop((first, second));
        drop(end);
        bulkhead.run(|| ()).await.unwrap();
    }
}
