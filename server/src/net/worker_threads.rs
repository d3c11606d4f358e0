//! Where connections are served: a runtime a core, each on a thread of its own.
//!
//! A connection stays with the thread that it was given to. A runtime whose threads take work from each other spends more on
//! that, and on waking them, than on a small answer itself. What must wait for the disk goes to the blocking pool, and work
//! that is not a connection's stays with the main runtime, which has one thread too, so no thread is ever held up for long. Behind
//! nginx, which opens a connection for each request, the main runtime serves those as well: handing them over would cost more.

use std::cell::Cell;
use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Threads that wait for the disk for the connections of all workers together, beside those of the main runtime. More would
/// not make a disk faster, and each takes memory.
const BLOCKING_THREADS: usize = 64;
/// As many for the main runtime, whose wormhole transfers keep one or two each for as long as they last.
pub(crate) const MAIN_BLOCKING_THREADS: usize = 128;

thread_local! {
    static TURN: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Which turn this is of the thread's, if it is a worker's: all that is done between two times that it asks the system what has come.
/// What has come was sent before.
pub(crate) fn event_loop_turn() -> Option<u64> {
    TURN.get()
}

/// Threads that serve connections, in turns. Dropped, they end, and what they serve with them.
#[derive(Debug)]
pub struct Workers {
    handles: Vec<Handle>,
    next: AtomicUsize,
    _end: DropGuard,
}

impl Workers {
    /// One for each core that the process may use.
    pub fn start() -> io::Result<Workers> {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let end = CancellationToken::new();
        let handles = (0..cores)
            .map(|number| worker(number, cores, end.clone()))
            .collect::<Result<_, _>>()?;
        Ok(Workers { handles, next: AtomicUsize::new(0), _end: end.drop_guard() })
    }

    /// The runtime that calls this serves them itself: for a few connections, or such as are over with one request.
    pub fn here() -> Workers {
        let end = CancellationToken::new();
        Workers {
            handles: vec![Handle::current()],
            next: AtomicUsize::new(0),
            _end: end.drop_guard(),
        }
    }

    /// Whose turn it is.
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
        // A read that waits for a slow disk is not waited for.
        runtime.shutdown_background();
    };
    std::thread::Builder::new().name(format!("worker-{number}")).spawn(work)?;
    Ok(handle)
}
