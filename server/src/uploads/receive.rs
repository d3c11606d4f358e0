//! A request's body on its way to the disk.
//!
//! While one buffer is written on the blocking pool, the next is gathered from the connection. A client that sends
//! nothing for a while is cut off, and so is one whose key is taken away; a slow one may take as long as it likes.
//!
//! Hundreds at a time leave the disk, its threads and the memory to the others: few of them write at a time, and the more there
//! are, the less of each is gathered.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio_util::sync::CancellationToken;
use volume::staging::{StageError, Staged};

use crate::auth::identify::Authorization;
use crate::bulkhead::Bulkhead;
use crate::problem::Problem;
use crate::uploads::digest::Digests;

/// Bytes of a body that are gathered before they are written, if few bodies come at a time, and if many do. As many are being written
/// meanwhile.
const BUFFER: usize = 512 * 1024;
const SMALL_BUFFER: usize = 32 * 1024;
/// Bytes that are gathered of all bodies together, as long as [`SMALL_BUFFER`] for each is less.
const ALL_BUFFERS: usize = 8 << 20;
/// Bodies of which something is written at a time. Writing takes the processor, for digests most of all.
const MOST_WRITING: usize = 4;
/// Files that are made durable and published at a time. That is waiting for the disk, which takes several together.
const MOST_PUBLISHING: usize = 16;

/// What all uploads of a service share.
#[derive(Debug)]
pub struct Intake {
    /// Where bodies are written.
    writing: Bulkhead,
    /// Where files are made durable and published.
    publishing: Bulkhead,
    /// Bodies on their way.
    bodies: AtomicUsize,
}

impl Default for Intake {
    fn default() -> Intake {
        Intake {
            writing: Bulkhead::new(MOST_WRITING),
            publishing: Bulkhead::new(MOST_PUBLISHING),
            bodies: AtomicUsize::new(0),
        }
    }
}

impl Intake {
    /// Writes a body to its end, or as far as it comes; says why it ended early. Fails only where the writing thread did.
    pub async fn receive(
        &self,
        mut body: Body,
        mut sink: Sink,
        limits: &BodyLimits,
    ) -> Result<(Sink, Result<(), Problem>), Problem> {
        let underway = Underway::begin(&self.bodies);
        let mut left = limits.most.unwrap_or(u64::MAX);
        let mut gathered = gather(&mut body, limits, underway.buffer(), &mut left).await;
        loop {
            let WriteBuffer { pieces, ended } = gathered;
            if pieces.is_empty() {
                let ended = ended.unwrap_or(Ok(()));
                return Ok((sink, ended.and_then(|()| limits.permit.check())));
            }
            if let Err(problem) = limits.permit.check() {
                return Ok((sink, Err(problem)));
            }
            let writing = self.writing.run(move || {
                let written = sink.write(&pieces);
                (sink, written)
            });
            let gathering = async {
                match ended {
                    None => gather(&mut body, limits, underway.buffer(), &mut left).await,
                    Some(ended) => WriteBuffer { pieces: Vec::new(), ended: Some(ended) },
                }
            };
            let (done, next) = tokio::join!(writing, gathering);
            let written;
            (sink, written) = done.map_err(Problem::internal)?;
            if let Err(error) = written {
                return Ok((sink, Err(error.into())));
            }
            gathered = next;
        }
    }

    /// Does work that makes something durable, in its turn.
    pub async fn durably<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        self.publishing.run(work).await.map_err(Problem::internal)
    }
}

/// A body on its way, until dropped.
struct Underway<'a>(&'a AtomicUsize);

impl Underway<'_> {
    fn begin(bodies: &AtomicUsize) -> Underway<'_> {
        bodies.fetch_add(1, Ordering::Relaxed);
        Underway(bodies)
    }

    /// How many bytes to gather.
    fn buffer(&self) -> usize {
        let share = ALL_BUFFERS / self.0.load(Ordering::Relaxed).max(1);
        share.clamp(SMALL_BUFFER, BUFFER)
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Where the bytes go.
#[derive(Debug)]
pub struct Sink {
    /// The file.
    pub staged: Staged,
    /// What is reckoned on the way.
    pub digests: Digests,
}

/// What ends a body before its own end.
#[derive(Debug)]
pub struct BodyLimits {
    /// Nothing came for so long.
    pub stall: Duration,
    /// More came than so many bytes.
    pub most: Option<u64>,
    /// Somebody wants it ended.
    pub stop: CancellationToken,
    /// Whoever brings it has no key for it any more.
    pub permit: Authorization,
}

impl Sink {
    fn write(&mut self, pieces: &[Bytes]) -> Result<(), StageError> {
        for piece in pieces {
            self.digests.update(piece);
            self.staged.write(piece)?;
        }
        Ok(())
    }
}

/// Some bytes of a body.
struct WriteBuffer {
    pieces: Vec<Bytes>,
    /// None where more are to come.
    ended: Option<Result<(), Problem>>,
}

/// The next bytes of a body, about a buffer of them.
async fn gather(
    body: &mut Body,
    limits: &BodyLimits,
    buffer: usize,
    left: &mut u64,
) -> WriteBuffer {
    let (mut pieces, mut length) = (Vec::new(), 0);
    while length < buffer {
        let piece = match next_piece(body, limits).await {
            Ok(Some(piece)) => piece,
            Ok(None) => return WriteBuffer { pieces, ended: Some(Ok(())) },
            Err(problem) => return WriteBuffer { pieces, ended: Some(Err(problem)) },
        };
        let Some(rest) = left.checked_sub(piece.len() as u64) else {
            return WriteBuffer { pieces, ended: Some(Err(Problem::TooLong)) };
        };
        *left = rest;
        length += piece.len();
        pieces.push(piece);
    }
    WriteBuffer { pieces, ended: None }
}

async fn next_piece(body: &mut Body, limits: &BodyLimits) -> Result<Option<Bytes>, Problem> {
    let next = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|it| Problem::BrokenOff(it.to_string()))?;
            if let Some(piece) = frame.into_data().ok().filter(|it| !it.is_empty()) {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    };
    let next = limits.stop.run_until_cancelled(tokio::time::timeout(limits.stall, next));
    match next.await {
        None => Err(Problem::TakenOver),
        Some(Err(_)) => Err(Problem::Stalled),
        Some(Ok(piece)) => piece,
    }
}
