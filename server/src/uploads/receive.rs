//! Writes a request's body to the disk.
//!
//! While one buffer is written on the blocking pool, the next one is filled from the connection. A client that sends nothing for a while is
//! disconnected, and so is one whose key is revoked; a slow one may take as long as it likes.
//!
//! Hundreds of uploads at a time must leave disk, threads and memory for other requests. So only a few write at the same time, and the more
//! bodies there are, the smaller their buffers.

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

/// Size of a body's buffer with few bodies, and with many. Besides it, one more buffer is being written.
const BUFFER: usize = 512 * 1024;
const SMALL_BUFFER: usize = 32 * 1024;
/// Size of all buffers together, unless [`SMALL_BUFFER`] for each is more.
const ALL_BUFFERS: usize = 8 << 20;
/// Bodies that write at the same time. Writing takes processor time, mostly for digests.
const MOST_WRITING: usize = 4;
/// Files that are made durable and published at the same time. This waits for the disk, which handles several together.
const MOST_PUBLISHING: usize = 16;

/// Limits that all uploads of a service share.
#[derive(Debug)]
pub struct Intake {
    /// Bounds the writing of bodies.
    writing: Bulkhead,
    /// Bounds making files durable and publishing them.
    publishing: Bulkhead,
    /// Number of bodies being received.
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
    /// Writes a body to its end, or as far as it arrives. Returns also why it ended early, if so. Fails only if the writing thread did.
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

    /// Runs work that makes something durable, within the limit.
    pub async fn durably<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        self.publishing.run(work).await.map_err(Problem::internal)
    }
}

/// Counts a body as being received, until dropped.
struct Underway<'a>(&'a AtomicUsize);

impl Underway<'_> {
    fn begin(bodies: &AtomicUsize) -> Underway<'_> {
        bodies.fetch_add(1, Ordering::Relaxed);
        Underway(bodies)
    }

    /// Size of its buffer, in bytes.
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

/// Where a body's bytes go.
#[derive(Debug)]
pub struct Sink {
    /// The staged file.
    pub staged: Staged,
    /// The digests that are computed meanwhile.
    pub digests: Digests,
}

/// Conditions that end a body early.
#[derive(Debug)]
pub struct BodyLimits {
    /// No bytes for this long.
    pub stall: Duration,
    /// More bytes than this.
    pub most: Option<u64>,
    /// Another request takes the upload over.
    pub stop: CancellationToken,
    /// The caller's key is revoked.
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

/// Bytes of a body.
struct WriteBuffer {
    pieces: Vec<Bytes>,
    /// `None` if there is more to come.
    ended: Option<Result<(), Problem>>,
}

/// Reads the next bytes of a body, about one buffer.
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
