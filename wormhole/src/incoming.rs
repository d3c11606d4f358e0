//! The receiving side of a transfer: an offer, then its bytes, then the confirmation that they are stored.
//!
//! Follows file-transfer-protocol.md. Each step takes the value of the step before, so there is no answer without an offer, no byte without
//! an answer, and no confirmation before the last byte. The caller decides where the bytes go.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::hex;
use crate::hints::Hints;
use crate::offer::Offer;
use crate::peer_message::{Ack, Saying};
use crate::session::Session;
use crate::transit::connection::{LinkError, PeerConnection, Role};
use crate::transit::{Route, TransitListener, connect};

/// An offer; the other side waits for the answer. Dropping it refuses the offer.
#[derive(Debug)]
pub struct Incoming {
    session: Box<Session>,
    offer: Offer,
    hints: Hints,
}

impl Incoming {
    pub(crate) fn new(session: Box<Session>, offer: Offer, hints: Hints) -> Incoming {
        Incoming { session, offer, hints }
    }

    /// The offered file or directory. Its names come from a stranger.
    pub fn offer(&self) -> &Offer {
        &self.offer
    }

    /// Resolves when the offer can't be accepted any more: the other side has given up, or the mailbox is lost permanently. Dropping the
    /// future loses nothing.
    pub async fn withdrawn(&mut self) -> Error {
        self.session.end().await
    }

    /// Accepts the offer: answers, and connects to the other side.
    pub async fn accept(self) -> Result<Receiving, Error> {
        let Incoming { mut session, offer, hints } = self;
        let settings = session.settings().clone();
        let door = TransitListener::open(&settings).await;
        session.say(Saying::Transit(door.hints())).await?;
        session.say(Saying::FileAck).await?;
        let key = session.key().for_transit();
        let connected = tokio::select! {
            connected = connect(door, &hints, &key, Role::Receiver, &settings) => connected,
            error = session.gives_up() => Err(error),
        };
        match connected {
            Ok((link, route)) => Ok(Receiving {
                session,
                link,
                route,
                total: offer.size(),
                done: 0,
                checksum: Sha256::new(),
            }),
            Err(error) => Err(session.note(error)),
        }
    }

    /// Refuses the offer, and sends the reason to the other side.
    pub async fn refuse(self, why: &str) -> Result<(), Error> {
        self.session.give_up(why).await;
        Ok(())
    }
}

/// A transfer whose bytes arrive. Dropping it ends the transfer.
#[derive(Debug)]
pub struct Receiving {
    session: Box<Session>,
    link: Box<PeerConnection>,
    route: Route,
    total: u64,
    done: u64,
    checksum: Sha256,
}

impl Receiving {
    /// The route of the connection.
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// Bytes received so far.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// The next bytes, as many as have arrived; `None` once all announced bytes have. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.done == self.total {
            return Ok(None);
        }
        let bytes = match self.link.receive().await {
            Ok(bytes) => bytes,
            Err(error) => return Err(self.broken(error).await),
        };
        let done = self.done + bytes.len() as u64;
        if done > self.total {
            return Err(self.session.note(Error::TooMuch { announced: self.total }));
        }
        self.done = done;
        self.checksum.update(&bytes);
        Ok(Some(bytes))
    }

    /// Confirms that all bytes are stored, with their checksum. After an error the other side may not know it.
    pub async fn finish(mut self) -> Result<(), Error> {
        if self.done != self.total {
            let error = Error::OtherSize { announced: self.total, found: self.done };
            return Err(self.session.note(error));
        }
        let checksum = std::mem::take(&mut self.checksum).finalize();
        let ack = Ack::Kept { sha256: Some(hex::encode(&checksum)) };
        if let Err(error) = self.acknowledge(&ack).await {
            return Err(self.broken(error).await);
        }
        let Receiving { session, link, .. } = self;
        let limit = session.settings().limits.closing;
        tokio::join!(link.close(limit), session.close());
        Ok(())
    }

    /// Reports that the bytes can't be stored, with the reason. A sender reads from its connection only after its last byte; before that
    /// the reason goes through the mailbox.
    pub async fn fail(mut self, why: &str) {
        let is_complete = self.done == self.total;
        if is_complete && let Err(error) = self.acknowledge(&Ack::Failed(why.to_owned())).await {
            tracing::debug!("could not report the failure to the other side: {error}");
        }
        let Receiving { session, link, .. } = self;
        let limit = session.settings().limits.closing;
        if is_complete {
            tokio::join!(link.close(limit), session.close());
        } else {
            // The reason first: the other side looks for it when the connection ends.
            session.give_up(why).await;
            drop(link);
        }
    }

    async fn acknowledge(&mut self, ack: &Ack) -> Result<(), LinkError> {
        self.link.send(&ack.to_bytes()).await?;
        self.link.flush().await
    }

    /// The error for a broken connection.
    async fn broken(&mut self, error: LinkError) -> Error {
        let (done, total) = (self.done, self.total);
        let error = match error {
            LinkError::Odd(odd) => {
                tracing::debug!("the other side sent an invalid record: {odd}");
                Error::bad("what the other side sent")
            }
            LinkError::Lost(source) => match self.session.reason().await {
                Some(reason) => reason,
                None => Error::ConnectionLost { done, total, source },
            },
            LinkError::Stalled => Error::Stalled { done, total },
        };
        self.session.note(error)
    }
}
