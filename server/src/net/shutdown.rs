//! A shutdown signal whose check is one atomic load.
//!
//! A [`CancellationToken`] takes a shared lock each time it is polled, and connections check for shutdown at every request. So a subscriber
//! polls the token once, to be woken by it, and afterwards only reads an atomic flag, which is written once.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Triggers a signal for all its subscribers, once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shutdown {
    has_rung: Arc<AtomicBool>,
    token: CancellationToken,
}

impl Shutdown {
    pub(crate) fn trigger(&self) {
        self.has_rung.store(true, SeqCst);
        self.token.cancel();
    }

    pub(crate) fn subscribe(&self) -> ShutdownSignal {
        ShutdownSignal {
            has_rung: Arc::clone(&self.has_rung),
            ringing: Box::pin(self.token.clone().cancelled_owned()),
            woken: None,
        }
    }
}

/// One task's subscription to a [`Shutdown`].
#[derive(Debug)]
pub(crate) struct ShutdownSignal {
    has_rung: Arc<AtomicBool>,
    ringing: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The waker that the token will wake.
    woken: Option<Waker>,
}

impl ShutdownSignal {
    pub(crate) fn is_triggered(&self) -> bool {
        self.has_rung.load(SeqCst)
    }

    /// Ready when the signal is triggered.
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

    /// Runs `work` until the signal is triggered. `None` if that happened before `work` was done.
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
        // Polled by another task than the one that subscribed, and after the trigger.
        tokio::spawn(moved).await.unwrap();
        assert!(shutdown.subscribe().is_triggered());
    }
}
