//! Two sides meet: by a code that one of them has made, and that the other was told.

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

/// Makes a code with so many words, for somebody else to join.
pub async fn allocate(settings: &Settings, words: usize) -> Result<Invitation, Error> {
    Invitation::open(settings, Start::Allocate { words }).await
}

/// Uses a code that somebody else has made. With [`IfNoPeer::Fail`] a code under which nobody waits is left as it is.
pub async fn join(settings: &Settings, code: &Code, absent: IfNoPeer) -> Result<Invitation, Error> {
    Invitation::open(settings, Start::Join { code: code.clone(), absent }).await
}

/// A code that we hold. Dropping it gives it back; a code that nobody else has used by then can be used again.
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

    /// What the mailbox server wants people to read.
    pub fn welcome(&self) -> Option<&str> {
        self.welcome.as_deref()
    }

    /// Waits for the other side, and agrees with it on a key. After that the code is used up. Dropping the future
    /// before the other side has come leaves the code as it was.
    pub async fn peer(self) -> Result<Wormhole, Error> {
        let Invitation { mailbox, settings, code, .. } = self;
        Ok(Wormhole { session: Session::begin(mailbox, &code, settings).await? })
    }

    /// Gives the code back, and waits until the server knows.
    pub async fn close(self) {
        self.mailbox.close().await;
    }

    #[cfg(test)]
    pub(crate) fn mailbox_for_tests(&mut self) -> &mut Mailbox {
        &mut self.mailbox
    }
}

/// Two sides with a key: now one of them offers something.
#[derive(Debug)]
pub struct Wormhole {
    session: Box<Session>,
}

/// What the other side has for us.
#[derive(Debug)]
pub enum Arrival {
    /// A text. The other side knows already that it has come.
    Text(String),
    /// A file or a directory, which waits for our answer.
    Offer(Incoming),
}

impl Wormhole {
    /// What two careful people compare, in hexadecimal digits: it is the same on both sides, and nobody is in between.
    pub fn verifier(&self) -> String {
        self.session.key().verifier().token()
    }

    /// Waits for what the other side offers.
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

    /// Offers something to the other side.
    pub async fn offer(self, offer: Offer) -> Result<Outgoing, Error> {
        Outgoing::begin(self.session, offer).await
    }

    /// Ends it, and waits until both servers and the other side can know.
    pub async fn close(self) {
        self.session.give_up("the other side stopped the transfer").await;
    }
}

/// The offer, and the hints that came before it or with it. Nothing is said to it: a sender of texts does not understand
/// that we can be reached.
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
