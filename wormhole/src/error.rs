//! The errors of a transfer. Each message says what to do next.

use std::fmt;

/// Why a transfer did not start, or ended early. The message names the next step.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The mailbox server's URL is invalid.
    #[error("invalid mailbox server `{url}`: its URL begins with `ws://` or `wss://`")]
    NoMailbox {
        /// The URL as it is set.
        url: String,
    },
    /// The mailbox server can't be reached.
    #[error(
        "could not reach the mailbox server {url}: check the network and the address, then try again"
    )]
    MailboxUnreachable {
        /// The server's URL.
        url: String,
        /// The error of the connection.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The mailbox server refused a request.
    #[error("the mailbox server refused: {0}")]
    MailboxSaid(String),
    /// The connection to the mailbox server was lost and could not be restored.
    #[error("the mailbox server was lost: try again with a new code")]
    MailboxLost {
        /// The last error.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// No peer waits under this code.
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
    /// A time-out.
    #[error("{what}")]
    TimedOut {
        /// The step that took too long.
        what: Stage,
    },
    /// The other side gave up, with its reason.
    #[error("the other side gave up: {0}")]
    PeerError(String),
    /// The other side refused the offer, with its reason.
    #[error("the other side refused: {0}")]
    Refused(String),
    /// The other side or the server sent something that does not follow the protocol.
    #[error("{what} made no sense: try again with a new code")]
    BadMessage {
        /// The message that was expected.
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
        /// Bytes received or sent so far.
        done: u64,
        /// Bytes announced.
        total: u64,
        /// The error of the connection.
        source: Option<std::io::Error>,
    },
    /// No byte was received or sent for too long.
    #[error(
        "nothing moved any more after {done} of {total} bytes: the transfer has to begin again, with a new code"
    )]
    Stalled {
        /// Bytes received or sent so far.
        done: u64,
        /// Bytes announced.
        total: u64,
    },
    /// The other side sent more than it had announced.
    #[error(
        "the other side sent more than the {announced} bytes that it had announced: nothing was kept"
    )]
    TooMuch {
        /// Bytes announced.
        announced: u64,
    },
    /// The length of the data differs from the announced length.
    #[error(
        "{announced} bytes were announced, but there are {found}: it has changed meanwhile, send it again"
    )]
    OtherSize {
        /// Bytes announced.
        announced: u64,
        /// Bytes found.
        found: u64,
    },
    /// The other side received other bytes than were sent.
    #[error("the other side got other bytes than were sent: send it again")]
    ChecksumDiffers,
    /// The other side received all bytes but could not keep them, with its reason.
    #[error("the other side could not keep it: {0}")]
    NotAcknowledged(String),
    /// The other side offers something that this client does not support.
    #[error("the other side offers something that is not supported: {what}")]
    NotSupported {
        /// The kind of the offer.
        what: String,
    },
    /// The system has no random bytes.
    #[error("the system gave no random bytes")]
    Random {
        /// The system's error.
        source: std::io::Error,
    },
    /// The program ends.
    #[error("the transfer was stopped")]
    Stopped,
}

/// The steps of a transfer that can time out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// The mailbox server's responses.
    Mailbox,
    /// A peer that uses the code.
    Peer,
    /// The confirmed key.
    Key,
    /// The peer's offer.
    Offer,
    /// The peer's answer to the offer.
    Answer,
    /// A connection for the data.
    Transit,
    /// The peer's confirmation that it has stored everything.
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
    /// An error for a message that does not follow the protocol.
    pub(crate) fn bad(what: &'static str) -> Error {
        Error::BadMessage { what }
    }
}
