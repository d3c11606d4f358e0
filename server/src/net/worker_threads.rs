//! Worker threads for connections: one single-threaded runtime for each core.
//!
//! A connection stays on the thread that it was given to. A work-stealing runtime spends more on stealing work and waking threads than a
//! small response costs. Disk reads that may block go to the blocking pool. Work that belongs to no connection stays on the main runtime,
//! which has one thread too. So no thread is ever blocked for long. Behind nginx, which opens a connection for each request, the main
//! runtime serves the connections too: handing them to another thread would cost more.

use std::cell::Cell;
use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Size of the blocking pools of all workers together. The main runtime has its own. More threads would not make a disk faster, and each
/// one takes memory.
const BLOCKING_THREADS: usize = 64;
/// Size of the main runtime's blocking pool. A wormhole transfer keeps one or two of its threads for as long as it lasts.
pub(crate) const MAIN_BLOCKING_THREADS: usize = 128;

thread_local! {
    static TURN: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Number of the current event-loop turn of this worker thread, if it is one. A turn is the work between two polls for new events, so
/// everything received in a turn was sent before the turn began.
pub(crate) fn event_loop_turn() -> Option<u64> {
    TURN.get()
}

/// The worker threads, used in rotation. When dropped, they end, with all connections that they serve.
#[derive(Debug)]
pub struct Workers {
    handles: Vec<Handle>,
    next: AtomicUsize,
    _end: DropGuard,
}

impl Workers {
    /// Starts one worker for each core that the process may use.
    pub fn start() -> io::Result<Workers> {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let end = CancellationToken::new();
        let handles = (0..cores)
            .map(|number| worker(number, cores, end.clone()))
            .collect::<Result<_, _>>()?;
        Ok(Workers { handles, next: AtomicUsize::new(0), _end: end.drop_guard() })
    }

    /// Serves on the calling runtime: for a few connections, or for connections with one request each.
    pub fn here() -> Workers {
        let end = CancellationToken::new();
        Workers {
            handles: vec![Handle::current()],
            next: AtomicUsize::new(0),
            _end: end.drop_guard(),
        }
    }

    /// The next worker's runtime.
    pub fn next(&self) -> Option<&Handle> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.handles.get(number % self.handles.len().max(1))
    }
}

fn worker(number: usize, cores: usize, end: CancellationToken) -> io::Result<Handle> {
    let next = || TURN.set(TURN.get().map(|it| it + 1).or(Some(0)));
    let runtime = Builder::new_current_thread()
        .enable_all()
        .on_thread_unpark(next)
        .max_blocking_threads((BLOCKING_THREADS / cores).max(4))
        .build()?;
    let handle = runtime.handle().clone();
    let work = move || {
        runtime.block_on(end.cancelled());
        // Does not wait for reads that are blocked by a slow disk.
        runtime.shutdown_background();
    };
    std::thread::Builder::new().name(format!("worker-{number}")).spawn(work)?;
    Ok(handle)
}
