//! The current keys, checked at most once per event-loop turn of a worker.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use volume::KeyFile;
use volume::keys::Keys;
use volume::keys::file::KeyFileEvent;

use crate::net::worker_threads;

/// The keys of a service.
#[derive(Debug)]
pub struct KeyRing {
    /// The keys file.
    pub file: KeyFile,
    /// Distinguishes the rings of one process.
    number: u64,
}

/// How long the keys of a turn are reused, at most.
const JUST_NOW: Duration = Duration::from_millis(1);

/// The keys as last read by this thread.
struct Looked {
    /// The ring's number.
    ring: u64,
    turn: Option<u64>,
    when: Instant,
    keys: Arc<Keys>,
}

thread_local! {
    /// The keys as last read by this thread.
    static KEYS: RefCell<Option<Looked>> = const { RefCell::new(None) };
}

impl KeyRing {
    /// The keys in a file.
    pub fn new(file: KeyFile) -> KeyRing {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        KeyRing { file, number: NEXT.fetch_add(1, Relaxed) }
    }

    /// The current keys. Logs a change, or a failure to read the file, once.
    pub fn current(&self) -> Arc<Keys> {
        let (keys, news) = self.file.current();
        match news {
            None => {}
            Some(KeyFileEvent::Kept(trouble)) => {
                tracing::error!(
                    "auth-keys.csv is not in force, the last good keys are: {}",
                    trouble.what
                );
            }
            Some(KeyFileEvent::Loaded(keys)) => {
                tracing::info!(keys = keys.len(), "auth-keys.csv has been read");
                for notice in &keys.notices {
                    tracing::warn!("auth-keys.csv, line {}: {}", notice.line, notice.what);
                }
            }
        }
        keys
    }

    /// The keys as of this event-loop turn, at most 1 ms old; outside of a worker, the current keys. Requests of a turn were sent before it
    /// began, except for those that arrive in the middle of it.
    pub fn this_turn(&self, now: Instant) -> Arc<Keys> {
        let turn = worker_threads::event_loop_turn();
        KEYS.with_borrow_mut(|known| {
            let is_so = |it: &&mut Looked| {
                turn.is_some()
                    && (it.ring, it.turn) == (self.number, turn)
                    && now.saturating_duration_since(it.when) < JUST_NOW
            };
            if let Some(looked) = known.as_mut().filter(is_so) {
                return Arc::clone(&looked.keys);
            }
            let keys = self.current();
            *known = Some(Looked { ring: self.number, turn, when: now, keys: Arc::clone(&keys) });
            keys
        })
    }
}
