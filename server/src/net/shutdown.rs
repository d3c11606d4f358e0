//! Word to all who work that it is over, which costs nothing until it comes.
//!
//! A [`CancellationToken`] takes a lock that all share each time it is looked at, and a connection looks for each request. Here
//! it is asked once, to be woken by it; after that a flag is looked at, which nobody writes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Rings once, for all who listen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shutdown {
    has_rung: Arc<AtomicBool>,
    token: CancellationToken,
}

impl Shutdown {
    /// Rings.
    pub(crate) fn trigger(&self) {
        self.has_rung.store(true, SeqCst);
        self.token.cancel();
    }

    /// An ear for it.
    pub(crate) fn subscribe(&self) -> ShutdownSignal {
        ShutdownSignal {
            has_rung: Arc::clone(&self.has_rung),
            ringing: Box::pin(self.token.clone().cancelled_owned()),
            woken: None,
        }
    }
}

/// Listens for one task.
#[derive(Debug)]
pub(crate) struct ShutdownSignal {
    has_rung: Arc<AtomicBool>,
    ringing: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Whom the bell will wake.
    woken: Option<Waker>,
}

impl ShutdownSignal {
    /// Whether it has rung.
    pub(crate) fn is_triggered(&self) -> bool {
        self.has_rung.load(SeqCst)
    }

    /// Done when it rings.
    pub(crate) fn poll_triggered(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let waker = context.waker();
        if !self.woken.as_ref().is_some_and(|it| it.will_wake(waker)) {
            if self.ringing.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            self.woken = Some(waker.clone());
        }
        if self.is_triggered() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Works until it rings; none if it did before the work was done.
    pub(crate) async fn until_triggered<T>(mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|context| {
            if self.poll_triggered(context).is_ready() {
                return Poll::Ready(None);
            }
            work.as_mut().poll(context).map(Some)
        })
        .await
    }
}

impl Future for ShutdownSignal {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.poll_triggered(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_works_stops_when_it_rings() {
        let shutdown = Shutdown::default();
        assert_eq!(shutdown.subscribe().until_triggered(async { 1 }).await, Some(1));
        let working =
            tokio::spawn(shutdown.subscribe().until_triggered(std::future::pending::<()>()));
        let moved = shutdown.subscribe();
        tokio::task::yield_now().await;
        shutdown.trigger();
        assert_eq!(working.await.unwrap(), None);
        // By another task than it was made in, and after the fact.
        tokio::spawn(moved).await.unwrap();
        assert!(shutdown.subscribe().is_triggered());
    }
}
