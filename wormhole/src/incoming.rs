//! The receiving side of a transfer: an offer, then its bytes, then the word that they are kept.
//!
//! The order is that of file-transfer-protocol.md, and each step takes the one before it: there is no answer without an
//! offer, no byte without an answer, and no acknowledgement before the last byte. Where the bytes go is the caller's.

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

/// Something is offered, and the other side waits. Dropping it is a refusal.
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

    /// What is offered: a file or a directory. Its names are a stranger's text.
    pub fn offer(&self) -> &Offer {
        &self.offer
    }

    /// Resolves when there is nothing left to accept: the other side has given up, or the mailbox is lost for good. A
    /// wait that is given up loses nothing.
    pub async fn withdrawn(&mut self) -> Error {
        self.session.end().await
    }

    /// Takes it: tells the other side, and finds a way to it.
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

    /// Does not take it, and tells the other side why.
    pub async fn refuse(self, why: &str) -> Result<(), Error> {
        self.session.give_up(why).await;
        Ok(())
    }
}

/// Bytes are coming. Dropping it ends the transfer.
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
    /// Which way they come.
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// Bytes that have come.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// The next bytes, as many as are here; none when all that was announced has come. A wait that is given up loses
    /// nothing.
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

    /// All bytes are kept: tells the other side, with their checksum. An error means that it may believe otherwise.
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

    /// They can't be kept: tells the other side why. Only a sender that has sent all listens to its connection; before
    /// that it is told by the mailbox.
    pub async fn fail(mut self, why: &str) {
        let is_complete = self.done == self.total;
        if is_complete && let Err(error) = self.acknowledge(&Ack::Failed(why.to_owned())).await {
            tracing::debug!("the other side could not be told: {error}");
        }
        let Receiving { session, link, .. } = self;
        let limit = session.settings().limits.closing;
        if is_complete {
            tokio::join!(link.close(limit), session.close());
        } else {
            // The word first: when the connection ends, the other side looks for it.
            session.give_up(why).await;
            drop(link);
        }
    }

    async fn acknowledge(&mut self, ack: &Ack) -> Result<(), LinkError> {
        self.link.send(&ack.to_bytes()).await?;
        self.link.flush().await
    }

    /// What a broken connection means.
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
