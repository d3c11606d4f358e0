//! A request's body on its way to the disk.
//!
//! While one buffer is written on the blocking pool, the next is gathered from the connection. A client that sends
//! nothing for a while is cut off; a slow one may take as long as it likes.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::task::JoinHandle;
use volume::staging::{StageError, Staged};

use crate::digest::Digests;
use crate::problem::Problem;

/// Bytes gathered before they are written.
const BUFFER: usize = 512 * 1024;

/// Where the bytes go.
struct Sink {
    staged: Staged,
    digests: Digests,
}

/// Writes a body to its end.
pub async fn receive(
    mut body: Body,
    staged: Staged,
    digests: Digests,
    stall: Duration,
) -> Result<(Staged, Digests), Problem> {
    let mut sink = Sink { staged, digests };
    let mut gathered = gather(&mut body, stall).await?;
    while !gathered.is_empty() {
        let writing: JoinHandle<Result<Sink, StageError>> =
            tokio::task::spawn_blocking(move || sink.write(&gathered));
        // What breaks off here leaves the writing to end by itself; what it staged is dropped with it.
        gathered = gather(&mut body, stall).await?;
        sink = writing.await.map_err(Problem::internal)??;
    }
    Ok((sink.staged, sink.digests))
}

impl Sink {
    fn write(mut self, pieces: &[Bytes]) -> Result<Sink, StageError> {
        for piece in pieces {
            self.digests.update(piece);
            self.staged.write(piece)?;
        }
        Ok(self)
    }
}

/// The next bytes of a body, about a buffer of them; none at its end.
async fn gather(body: &mut Body, stall: Duration) -> Result<Vec<Bytes>, Problem> {
    let (mut pieces, mut length) = (Vec::new(), 0);
    while length < BUFFER {
        let frame = match tokio::time::timeout(stall, body.frame()).await {
            Err(_) => return Err(Problem::Stalled),
            Ok(None) => break,
            Ok(Some(frame)) => frame.map_err(|it| Problem::BrokenOff(it.to_string()))?,
        };
        if let Ok(piece) = frame.into_data() {
            length += piece.len();
            pieces.push(piece);
        }
    }
    Ok(pieces)
}
