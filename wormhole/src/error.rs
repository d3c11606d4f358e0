//! What can go wrong between two sides, each thing by its name, and what to do next.

use std::fmt;

/// Why a transfer did not come about, or ended early. What is said of it names the next step.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address of the mailbox server is none.
    #[error("invalid mailbox server `{url}`: its URL begins with `ws://` or `wss://`")]
    NoMailbox {
        /// As it is set.
        url: String,
    },
    /// There is no connection to the mailbox server.
    #[error(
        "could not reach the mailbox server {url}: check the network and the address, then try again"
    )]
    MailboxUnreachable {
        /// Its address.
        url: String,
        /// What failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The mailbox server has refused something.
    #[error("the mailbox server refused: {0}")]
    MailboxSaid(String),
    /// The mailbox server was there, and could not be found again.
    #[error("the mailbox server was lost: try again with a new code")]
    MailboxLost {
        /// What failed last.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// Nobody waits under this code.
    #[error(
        "nobody waits under this code: check its number, and that `wormhole send` still runs there"
    )]
    NobodyThere,
    /// Two sides use the code already.
    #[error("two others use this code already: ask for a new one")]
    Crowded,
    /// The code was used before.
    #[error("this code is used up: ask for a new `wormhole send`")]
    UsedUp,
    /// The two sides have different codes.
    #[error("the codes differ; this code is used up: ask for a new `wormhole send`")]
    WrongCode,
    /// A wait was too long.
    #[error("{what}")]
    TimedOut {
        /// What it was for.
        what: Stage,
    },
    /// The other side gave up, and said why.
    #[error("the other side gave up: {0}")]
    PeerError(String),
    /// The other side does not want what we offer.
    #[error("the other side refused: {0}")]
    Refused(String),
    /// Something came that is not of the protocol.
    #[error("{what} made no sense: try again with a new code")]
    BadMessage {
        /// What it was.
        what: &'static str,
    },
    /// The two sides can't be connected.
    #[error(
        "there is no way to the other side, neither directly nor by a relay: check the relay on both sides, then try again with a new code"
    )]
    NoRoute,
    /// The connection broke.
    #[error(
        "the connection was lost after {done} of {total} bytes: the transfer has to begin again, with a new code"
    )]
    ConnectionLost {
        /// Bytes that have come or gone.
        done: u64,
        /// Bytes that were announced.
        total: u64,
        /// What failed.
        source: Option<std::io::Error>,
    },
    /// No byte came or went for too long.
    #[error(
        "nothing moved any more after {done} of {total} bytes: the transfer has to begin again, with a new code"
    )]
    Stalled {
        /// Bytes that have come or gone.
        done: u64,
        /// Bytes that were announced.
        total: u64,
    },
    /// The other side sent more than it had announced.
    #[error(
        "the other side sent more than the {announced} bytes that it had announced: nothing was kept"
    )]
    TooMuch {
        /// What it had announced.
        announced: u64,
    },
    /// What was to be sent is of another length than was announced.
    #[error(
        "{announced} bytes were announced, but there are {found}: it has changed meanwhile, send it again"
    )]
    OtherSize {
        /// What we had announced.
        announced: u64,
        /// What there was.
        found: u64,
    },
    /// The other side got something else than was sent.
    #[error("the other side got other bytes than were sent: send it again")]
    ChecksumDiffers,
    /// The other side has all bytes, but could not keep them.
    #[error("the other side could not keep it: {0}")]
    NotAcknowledged(String),
    /// The other side offers what we don't know.
    #[error("the other side offers something that is not supported: {what}")]
    NotSupported {
        /// What it is.
        what: String,
    },
    /// The system has no random bytes for us.
    #[error("the system gave no random bytes")]
    Random {
        /// What it said.
        source: std::io::Error,
    },
    /// The program ends.
    #[error("the transfer was stopped")]
    Stopped,
}

/// What was waited for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// The mailbox server's answers.
    Mailbox,
    /// Somebody who uses the code.
    Peer,
    /// The confirmed key.
    Key,
    /// The peer's offer.
    Offer,
    /// The peer's answer to our offer.
    Answer,
    /// A connection for the data.
    Transit,
    /// The peer's word that it has stored what it got.
    Confirmation,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Mailbox => "the mailbox server does not answer: try again later",
            Stage::Peer => "nobody has used the code in time: make a new one",
            Stage::Key => "the other side went away during the key exchange: try again with a new code",
            Stage::Offer => "the other side did not say what it offers: try again with a new code",
            Stage::Answer => "the other side did not answer in time: try again with a new code",
            Stage::Transit => "no connection to the other side in time: check the relay on both sides, then try again with a new code",
            Stage::Confirmation => "the other side has all bytes but did not confirm that it keeps them: ask there",
        })
    }
}

impl Error {
    /// A message that makes no sense.
    pub(crate) fn bad(what: &'static str) -> Error {
        Error::BadMessage { what }
    }
}
