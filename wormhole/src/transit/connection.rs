//! The encrypted connection that carries the data, after the handshake.
//!
//! Reads and writes large pieces: system calls cost more than the records in them. Every wait for the network has a time-out.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::key::Key;
use crate::records::{InvalidRecord, PLAIN, RecordReader, RecordWriter};

/// The bytes of one read.
const READ: usize = 256 * 1024;
/// The bytes of one write.
const WRITE: usize = 256 * 1024;
/// Buffered bytes are sent after this time at the latest, with the next call of `send`.
const LATEST: Duration = Duration::from_secs(1);

/// The side that sends the data, or the one that receives it. It decides the keys and who picks the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Sender,
    Receiver,
}

/// A connection with keys.
#[derive(Debug)]
pub(crate) struct PeerConnection {
    stream: TcpStream,
    idle: Duration,
    opener: RecordReader,
    sealer: RecordWriter,
    come: BytesMut,
    to_go: BytesMut,
    has_gone: Instant,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The connection was lost.
    #[error("the connection was lost")]
    Lost(#[source] Option<io::Error>),
    /// Nothing was sent or received until the time-out.
    #[error("nothing moved any more")]
    Stalled,
    /// The other side sent an invalid record.
    #[error(transparent)]
    Odd(InvalidRecord),
}

impl PeerConnection {
    pub(crate) fn new(
        stream: TcpStream,
        key: &Key,
        role: Role,
        idle: Duration,
    ) -> Box<PeerConnection> {
        let senders = key.derive(b"transit_record_sender_key");
        let receivers = key.derive(b"transit_record_receiver_key");
        let (ours, theirs) = match role {
            Role::Sender => (senders, receivers),
            Role::Receiver => (receivers, senders),
        };
        Box::new(PeerConnection {
            stream,
            idle,
            opener: RecordReader::new(&theirs),
            sealer: RecordWriter::new(&ours),
            come: BytesMut::new(),
            to_go: BytesMut::new(),
            has_gone: Instant::now(),
        })
    }

    /// The next bytes: at least one, from all records that have arrived. Dropping the future loses nothing.
    pub(crate) async fn receive(&mut self) -> Result<Bytes, LinkError> {
        self.receive_within(self.idle).await
    }

    /// The same with another time-out.
    pub(crate) async fn receive_within(&mut self, limit: Duration) -> Result<Bytes, LinkError> {
        loop {
            let opened = self.opener.open(&mut self.come).map_err(LinkError::Odd)?;
            if !opened.is_empty() {
                return Ok(opened);
            }
            self.come.reserve(READ);
            match timeout(limit, self.stream.read_buf(&mut self.come)).await {
                Ok(Ok(0)) => return Err(LinkError::Lost(None)),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(LinkError::Lost(Some(error))),
                Err(_) => return Err(LinkError::Stalled),
            }
        }
    }

    /// Sends bytes, and may keep some of them in its buffer.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        // In pieces, so that a large slice is not held in memory twice.
        for piece in bytes.chunks(WRITE / PLAIN * PLAIN) {
            self.sealer.seal(piece, &mut self.to_go);
            if self.to_go.len() >= WRITE || self.has_gone.elapsed() >= LATEST {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Sends the buffered bytes.
    pub(crate) async fn flush(&mut self) -> Result<(), LinkError> {
        while !self.to_go.is_empty() {
            match timeout(self.idle, self.stream.write_buf(&mut self.to_go)).await {
                Ok(Ok(0)) => return Err(LinkError::Lost(None)),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(LinkError::Lost(Some(error))),
                Err(_) => return Err(LinkError::Stalled),
            }
        }
        self.has_gone = Instant::now();
        Ok(())
    }

    /// Ends the connection, and waits up to `limit` for the other side to end it too, so that the last bytes are received.
    pub(crate) async fn close(mut self: Box<Self>, limit: Duration) {
        let ended = async {
            self.stream.shutdown().await?;
            let mut rest = [0; 64];
            while self.stream.read(&mut rest).await? > 0 {}
            Ok::<_, io::Error>(())
        };
        match timeout(limit, ended).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!("the connection did not close cleanly: {error}");
            }
            Err(_) => tracing::debug!("the other side did not close the connection in time"),
        }
    }
}
