//! The connection that carries the data, once both sides have shaken hands.
//!
//! Reads and writes in large pieces: system calls cost more than the records in them. Every wait for the network is limited.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::key::Key;
use crate::records::{InvalidRecord, PLAIN, RecordReader, RecordWriter};

/// Bytes that are asked for at once.
const READ: usize = 256 * 1024;
/// Bytes that are written at once.
const WRITE: usize = 256 * 1024;
/// What was given to be sent goes out after this time at the latest, when the next is given.
const LATEST: Duration = Duration::from_secs(1);

/// Who begins, and which keys belong to whom.
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

/// What ends a connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// It is gone.
    #[error("the connection was lost")]
    Lost(#[source] Option<io::Error>),
    /// Nothing moves.
    #[error("nothing moved any more")]
    Stalled,
    /// What comes is none of ours.
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

    /// What comes next: at least one byte, of as many records as are here. A wait that is given up loses nothing.
    pub(crate) async fn receive(&mut self) -> Result<Bytes, LinkError> {
        self.receive_within(self.idle).await
    }

    /// The same with another limit.
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

    /// Sends bytes, or keeps a little of them for the next time.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        // So much at a time, that a large piece is not kept twice.
        for piece in bytes.chunks(WRITE / PLAIN * PLAIN) {
            self.sealer.seal(piece, &mut self.to_go);
            if self.to_go.len() >= WRITE || self.has_gone.elapsed() >= LATEST {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Sends what was kept.
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

    /// Ends it, and waits for a while until the other side has ended it too: so what was sent last is heard.
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
                tracing::debug!("the other side ended the connection otherwise: {error}");
            }
            Err(_) => tracing::debug!("the other side did not end the connection"),
        }
    }
}
