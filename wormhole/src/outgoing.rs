//! The sending side of a transfer: an offer, then its bytes, then the other side's confirmation that they are stored.
//!
//! The counterpart of `incoming`. The caller decides where the bytes come from.

use sha2::{Digest as _, Sha256};
use tokio::time::{Duration, timeout};

use crate::error::{Error, Stage};
use crate::hex;
use crate::hints::Hints;
use crate::offer::Offer;
use crate::peer_message::{Ack, Answer, PeerMessage, Saying};
use crate::session::Session;
use crate::transit::connection::{LinkError, PeerConnection, Role};
use crate::transit::{Route, TransitListener, connect};

/// How long to wait for the other side's last record after the connection broke.
const LAST_RECORD: Duration = Duration::from_millis(500);

/// An offer that waits for its answer. Dropping it withdraws the offer.
#[derive(Debug)]
pub struct Outgoing {
    session: Box<Session>,
    offer: Offer,
    /// `None` for a text, which comes with the offer.
    door: Option<TransitListener>,
}

impl Outgoing {
    pub(crate) async fn begin(mut session: Box<Session>, offer: Offer) -> Result<Outgoing, Error> {
        let door = match &offer {
            Offer::Message(_) => None,
            Offer::File { .. } | Offer::Directory { .. } => {
                let settings = session.settings().clone();
                let door = TransitListener::open(&settings).await;
                session.say(Saying::Transit(door.hints())).await?;
                Some(door)
            }
        };
        session.say(Saying::Offer(&offer)).await?;
        Ok(Outgoing { session, offer, door })
    }

    /// Waits for the answer, and connects to the other side. `None` for a text, which then has arrived.
    pub async fn accepted(self) -> Result<Option<Sending>, Error> {
        let Outgoing { mut session, offer, door } = self;
        let limit = session.settings().limits.answer;
        let answered = timeout(limit, hear_answer(&mut session)).await;
        let answered = answered.unwrap_or(Err(Error::TimedOut { what: Stage::Answer }));
        let (answer, hints) = match answered {
            Ok(answered) => answered,
            Err(Error::PeerError(why)) => return Err(session.note(Error::Refused(why))),
            Err(error) => return Err(session.note(error)),
        };
        match (answer, door) {
            (Answer::File, Some(door)) => connected(session, &offer, door, &hints).await.map(Some),
            (Answer::Message, None) => {
                session.close().await;
                Ok(None)
            }
            (Answer::Odd(what), _) => Err(session.note(Error::Refused(what))),
            _ => Err(session.note(Error::bad("the other side's answer"))),
        }
    }

    /// Withdraws the offer, and waits until the other side can know.
    pub async fn close(self) {
        self.session.give_up("the offer was withdrawn").await;
    }
}

/// The answer, and the hints that came before it or with it.
async fn hear_answer(session: &mut Session) -> Result<(Answer, Hints), Error> {
    let mut hints = Hints::default();
    loop {
        let PeerMessage { transit, answer, .. } = session.hear().await?;
        if let Some(transit) = transit {
            hints = transit;
        }
        if let Some(answer) = answer {
            return Ok((answer, hints));
        }
    }
}

async fn connected(
    mut session: Box<Session>,
    offer: &Offer,
    door: TransitListener,
    hints: &Hints,
) -> Result<Sending, Error> {
    let settings = session.settings().clone();
    let key = session.key().for_transit();
    let connected = tokio::select! {
        connected = connect(door, hints, &key, Role::Sender, &settings) => connected,
        error = session.gives_up() => Err(error),
    };
    match connected {
        Ok((link, route)) => {
            let total = offer.size();
            Ok(Sending { session, link, route, total, done: 0, checksum: Sha256::new() })
        }
        Err(error) => Err(session.note(error)),
    }
}

/// A transfer whose bytes are being sent. Dropping it ends the transfer.
#[derive(Debug)]
pub struct Sending {
    session: Box<Session>,
    link: Box<PeerConnection>,
    route: Route,
    total: u64,
    done: u64,
    checksum: Sha256,
}

impl Sending {
    /// The route of the connection.
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// Bytes that were passed to [`Sending::send`].
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Sends the next bytes. If the future is dropped, an unknown part of them was sent; then the transfer can only be ended.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let done = self.done + bytes.len() as u64;
        if done > self.total {
            let error = Error::OtherSize { announced: self.total, found: done };
            return Err(self.session.note(error));
        }
        self.checksum.update(bytes);
        match self.link.send(bytes).await {
            Ok(()) => self.done = done,
            Err(error) => return Err(self.broken(error).await),
        }
        Ok(())
    }

    /// Ends the data: waits for the confirmation that the other side has stored them, and compares its checksum, if it sends one.
    pub async fn finish(mut self) -> Result<(), Error> {
        if self.done != self.total {
            let error = Error::OtherSize { announced: self.total, found: self.done };
            return Err(self.session.note(error));
        }
        if let Err(error) = self.link.flush().await {
            return Err(self.broken(error).await);
        }
        let limit = self.session.settings().limits.confirm;
        let record = tokio::select! {
            record = self.link.receive_within(limit) => record,
            error = self.session.gives_up() => return Err(error),
        };
        let record = match record {
            Ok(record) => record,
            Err(LinkError::Stalled) => {
                return Err(self.session.note(Error::TimedOut { what: Stage::Confirmation }));
            }
            Err(error) => return Err(self.broken(error).await),
        };
        match Ack::parse(&record) {
            Some(Ack::Kept { sha256 }) => self.compare(sha256.as_deref())?,
            Some(Ack::Failed(why)) => return Err(self.session.note(Error::NotAcknowledged(why))),
            None => return Err(self.session.note(Error::bad("the other side's confirmation"))),
        }
        let Sending { session, link, .. } = self;
        let limit = session.settings().limits.closing;
        tokio::join!(link.close(limit), session.close());
        Ok(())
    }

    /// Ends the transfer early, and sends the reason to the other side.
    pub async fn fail(self, why: &str) {
        // The reason first: the other side looks for it when the connection ends.
        self.session.give_up(why).await;
        drop(self.link);
    }

    fn compare(&mut self, theirs: Option<&str>) -> Result<(), Error> {
        let ours = hex::encode(&std::mem::take(&mut self.checksum).finalize());
        if theirs.is_some_and(|it| it != ours) {
            return Err(self.session.note(Error::ChecksumDiffers));
        }
        Ok(())
    }

    /// The error for a broken connection: the other side may have sent a reason before it ended it.
    async fn broken(&mut self, error: LinkError) -> Error {
        let (done, total) = (self.done, self.total);
        let error = match error {
            LinkError::Odd(odd) => {
                tracing::debug!("the other side sent an invalid record: {odd}");
                Error::bad("what the other side sent")
            }
            LinkError::Lost(source) => match self.last_words().await {
                Some(reason) => reason,
                None => Error::ConnectionLost { done, total, source },
            },
            LinkError::Stalled => Error::Stalled { done, total },
        };
        self.session.note(error)
    }

    async fn last_words(&mut self) -> Option<Error> {
        let record = self.link.receive_within(LAST_RECORD).await;
        match record.ok().and_then(|it| Ack::parse(&it)) {
            Some(Ack::Failed(why)) => Some(Error::NotAcknowledged(why)),
            _ => self.session.reason().await,
        }
    }
}
