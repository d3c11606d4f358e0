//! The rendezvous: one side makes a code, the other joins with it, and both agree on a key.

use tokio::time::timeout;

use crate::code::Code;
use crate::error::{Error, Stage};
use crate::hints::Hints;
use crate::incoming::Incoming;
use crate::mailbox::{IfNoPeer, Mailbox, Start};
use crate::offer::{InvalidOffer, Offer};
use crate::outgoing::Outgoing;
use crate::peer_message::{PeerMessage, Saying};
use crate::session::Session;
use crate::settings::Settings;
use crate::text::plain;

/// Makes a code with this many words, for another side to join.
pub async fn allocate(settings: &Settings, words: usize) -> Result<Invitation, Error> {
    Invitation::open(settings, Start::Allocate { words }).await
}

/// Uses a code that another side has made. With [`IfNoPeer::Fail`], a code under which nobody waits stays unused.
pub async fn join(settings: &Settings, code: &Code, absent: IfNoPeer) -> Result<Invitation, Error> {
    Invitation::open(settings, Start::Join { code: code.clone(), absent }).await
}

/// A code that this side holds. Dropping it releases the code; it can be used again unless another side has used it by then.
#[derive(Debug)]
pub struct Invitation {
    mailbox: Mailbox,
    settings: Settings,
    code: Code,
    welcome: Option<String>,
}

impl Invitation {
    async fn open(settings: &Settings, start: Start) -> Result<Invitation, Error> {
        let (mailbox, opened) = Mailbox::open(settings, start).await?;
        let settings = settings.clone();
        Ok(Invitation { mailbox, settings, code: opened.code, welcome: opened.welcome })
    }

    /// The code, for the other side.
    pub fn code(&self) -> &Code {
        &self.code
    }

    /// The mailbox server's message for people.
    pub fn welcome(&self) -> Option<&str> {
        self.welcome.as_deref()
    }

    /// Waits for the other side, and agrees on a key with it. After that the code is used up. Dropping the future before the other side has
    /// come leaves the code unused.
    pub async fn peer(self) -> Result<Wormhole, Error> {
        let Invitation { mailbox, settings, code, .. } = self;
        Ok(Wormhole { session: Session::begin(mailbox, &code, settings).await? })
    }

    /// Releases the code, and waits until the server knows.
    pub async fn close(self) {
        self.mailbox.close().await;
    }

    #[cfg(test)]
    pub(crate) fn mailbox_for_tests(&mut self) -> &mut Mailbox {
        &mut self.mailbox
    }
}

/// Two sides with a key. The next step is an offer by one of them.
#[derive(Debug)]
pub struct Wormhole {
    session: Box<Session>,
}

/// What the other side sends.
#[derive(Debug)]
pub enum Arrival {
    /// A text. The other side already knows that it has arrived.
    Text(String),
    /// A file or a directory that waits for the answer.
    Offer(Incoming),
}

impl Wormhole {
    /// The verifier, in hexadecimal digits. If two people compare it and find it equal, nobody is in between.
    pub fn verifier(&self) -> String {
        self.session.key().verifier().token()
    }

    /// Waits for the other side's offer.
    pub async fn receive(mut self) -> Result<Arrival, Error> {
        let limit = self.session.settings().limits.offer;
        let heard = timeout(limit, hear_offer(&mut self.session)).await;
        let (offer, hints) = match heard.unwrap_or(Err(Error::TimedOut { what: Stage::Offer })) {
            Ok(heard) => heard,
            Err(error) => return Err(self.session.note(error)),
        };
        match offer {
            Ok(Offer::Message(text)) => {
                self.session.say(Saying::MessageAck).await?;
                self.session.close().await;
                Ok(Arrival::Text(text))
            }
            Ok(offer) => Ok(Arrival::Offer(Incoming::new(self.session, offer, hints))),
            Err(InvalidOffer::Unknown(what)) => {
                let error = Error::NotSupported { what: plain(&what) };
                self.session.give_up(&error.to_string()).await;
                Err(error)
            }
            Err(InvalidOffer::NoSense) => {
                let error = Error::bad("what the other side offers");
                self.session.give_up("your offer made no sense").await;
                Err(error)
            }
        }
    }

    /// Makes an offer to the other side.
    pub async fn offer(self, offer: Offer) -> Result<Outgoing, Error> {
        Outgoing::begin(self.session, offer).await
    }

    /// Ends it, and waits until the server and the other side can know.
    pub async fn close(self) {
        self.session.give_up("the other side stopped the transfer").await;
    }
}

/// The offer, and the hints that came before it or with it. Sends nothing: a sender of texts does not understand hints.
async fn hear_offer(session: &mut Session) -> Result<(Result<Offer, InvalidOffer>, Hints), Error> {
    let mut hints = Hints::default();
    loop {
        let PeerMessage { transit, offer, .. } = session.hear().await?;
        if let Some(transit) = transit {
            hints = transit;
        }
        if let Some(offer) = offer {
            return Ok((offer, hints));
        }
    }
}
