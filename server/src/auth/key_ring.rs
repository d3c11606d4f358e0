//! The keys as they are now, and once a turn of a worker's event loop.

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
    /// Where they stand.
    pub file: KeyFile,
    /// Tells it from others of the same process.
    number: u64,
}

/// How long a turn's look at the keys counts at most.
const JUST_NOW: Duration = Duration::from_millis(1);

/// A look at the keys.
struct Looked {
    /// Of which ring.
    ring: u64,
    turn: Option<u64>,
    when: Instant,
    keys: Arc<Keys>,
}

thread_local! {
    /// The last look of this thread.
    static KEYS: RefCell<Option<Looked>> = const { RefCell::new(None) };
}

impl KeyRing {
    /// Those of a file.
    pub fn new(file: KeyFile) -> KeyRing {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        KeyRing { file, number: NEXT.fetch_add(1, Relaxed) }
    }

    /// The keys that are good now. What is new about them goes to the log, once.
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

    /// The keys as they were when a worker's turn began, if that was just now. What is asked in a turn was sent before it began, but for
    /// what comes in the middle of one.
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
