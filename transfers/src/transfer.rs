//! What is known of a transfer: plain data, as it stands in its record and as it is told.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use volume::OnConflict;
use volume::RelPath;
use volume::staged_id::StagedId;
use wormhole::{Code, CodeError};

/// The records' format.
pub const VERSION: u32 = 1;

/// What somebody wants to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "direction", rename_all = "kebab-case")]
pub enum Request {
    /// Receive what somebody sends.
    Receive(Receive),
    /// Send something of the volume.
    Send(Send),
}

/// To receive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command of its own")]
pub struct Receive {
    /// The sender's code; where there is none, one is made for the sender to use.
    pub code: Option<String>,
    /// Whether each letter of the code counts as it stands; else words of the word list may have capitals.
    pub exact: bool,
    /// The folder that it goes into.
    pub into: RelPath,
    /// What becomes of what has the name already; asked for where it is not said.
    pub on_conflict: Option<OnConflict>,
    /// Whether the offer is accepted without asking.
    pub yes: bool,
    /// Whether an archive that is sent as a file is unpacked.
    pub unpack: bool,
    /// Whether to wait for a sender who has not come yet.
    pub wait: bool,
    /// Other servers than the configured ones.
    pub servers: Servers,
}

impl Receive {
    /// The sender's code, if there is one.
    pub(crate) fn parsed_code(&self) -> Result<Option<Code>, CodeError> {
        let parse = if self.exact { Code::exact } else { Code::parse };
        self.code.as_deref().map(parse).transpose()
    }
}

/// To send.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Send {
    /// What to send; more than one go as one folder.
    pub paths: Vec<RelPath>,
    /// A text to send instead.
    pub text: Option<String>,
    /// A code to use; made where there is none.
    pub code: Option<String>,
    /// Other servers than the configured ones.
    pub servers: Servers,
}

/// Which servers to go by; what is not said is as configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Servers {
    /// The mailbox server's URL.
    pub mailbox: Option<String>,
    /// Transit relays, as `tcp:HOST:PORT`.
    pub relays: Vec<String>,
}

/// What an operator says to an offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// It may come.
    Accept(Accept),
    /// It may not.
    Refuse {
        /// What the sender is told.
        why: String,
    },
}

/// How an offer is accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Accept {
    /// Another folder than was said at first.
    pub into: Option<RelPath>,
    /// Another name than the sender gives it.
    pub name: Option<String>,
    /// What becomes of what has the name already.
    pub on_conflict: Option<OnConflict>,
    /// Whether an archive that is sent as a file is unpacked.
    pub unpack: bool,
}

/// Which way a transfer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Into the volume.
    Receive,
    /// Out of it.
    Send,
}

/// Where a transfer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransferState {
    /// On its way to the mailbox server.
    Connecting,
    /// Waiting for the other side.
    Waiting,
    /// Something is offered: waiting for the answer, an operator's or the other side's.
    Offered,
    /// Looking for a way to the other side.
    Linking,
    /// Bytes flow.
    Running,
    /// All bytes are there; they are checked, made durable and put in place.
    Storing,
    /// Over, and all is well.
    Done,
    /// Over: the answer was no.
    Refused,
    /// Over: somebody wanted it no more.
    Cancelled,
    /// Over: it went wrong.
    Failed,
    /// Over: the program that ran it ended.
    Interrupted,
}

/// What is offered, or is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offered {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: OfferedKind,
    /// As the sender calls it.
    pub name: String,
    /// Bytes to be sent.
    pub size: u64,
    /// Bytes that it will have.
    pub unpacked: u64,
    /// How many files.
    pub files: u64,
    /// Whether it is an archive that can be unpacked.
    #[serde(default)]
    pub is_archive: bool,
}

/// What is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OfferedKind {
    /// A file.
    File,
    /// A folder with all that is in it.
    Directory,
    /// A text.
    Text,
}

/// What an operator is asked about an offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Where it would be.
    pub path: RelPath,
    /// What is there already.
    pub existing: Option<Existing>,
    /// Bytes of the volume in all.
    pub disk: u64,
    /// Bytes that are free now.
    pub free: u64,
    /// Bytes that it needs at the peak.
    pub needed: u64,
    /// Bytes that may be used, with what other transfers have yet to write taken off.
    pub room: u64,
    /// When it is answered with no.
    pub ends: Timestamp,
    /// Why the last answer could not be taken.
    pub problem: Option<String>,
}

/// What has the name already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Existing {
    /// Whether it is a folder.
    pub is_folder: bool,
    /// How many items are in it.
    pub items: Option<u64>,
    /// Bytes of it, where they could be added up quickly.
    pub size: Option<u64>,
    /// When it was last changed.
    pub modified: Option<Timestamp>,
}

/// A transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// The record's format.
    pub version: u32,
    /// Its number on this volume.
    pub number: u64,
    /// Which way it goes.
    pub direction: Direction,
    /// Where it stands.
    pub state: TransferState,
    /// Its code. It works once: here it is used up, or about to be.
    pub code: Option<String>,
    /// What the other side has to type, where the code was made here.
    pub command: Option<String>,
    /// What both sides see alike, unless somebody sits between them; for whoever wants to compare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifier: Option<String>,
    /// The folder that it goes into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<RelPath>,
    /// What is sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<RelPath>,
    /// Where it was put, under which name.
    pub path: Option<RelPath>,
    /// What is offered or sent.
    pub offer: Option<Offered>,
    /// The text that came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Bytes that have come or gone.
    pub done: u64,
    /// `direct` or `relay`, and where.
    pub route: Option<String>,
    /// When it began.
    pub started: Timestamp,
    /// Who began it.
    pub started_by: String,
    /// When it was over.
    pub ended: Option<Timestamp>,
    /// Why it ended otherwise than well, in plain words.
    pub cause: Option<String>,
    /// What is worth knowing besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The program that runs it, or ran it.
    pub host: StagedId,
    /// What is in staging of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staged: Option<StagedId>,
}

/// A transfer, with what only the program that runs it knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferStatus {
    /// What is known of it.
    #[serde(flatten)]
    pub transfer: Transfer,
    /// Changes with each new state, so that a follower can wait for the next.
    pub change: u64,
    /// Bytes a second, of the last few seconds.
    pub rate: Option<u64>,
    /// For how many seconds nothing has come or gone.
    pub quiet_seconds: Option<u64>,
    /// What an operator is asked.
    pub question: Option<Question>,
    /// Whether it can still be cancelled.
    pub is_live: bool,
}

impl TransferState {
    /// Whether it is over.
    pub fn is_over(self) -> bool {
        match self {
            TransferState::Connecting
            | TransferState::Waiting
            | TransferState::Offered
            | TransferState::Linking
            | TransferState::Running
            | TransferState::Storing => false,
            TransferState::Done
            | TransferState::Refused
            | TransferState::Cancelled
            | TransferState::Failed
            | TransferState::Interrupted => true,
        }
    }
}

impl Transfer {
    /// Bytes there will be.
    pub fn total(&self) -> u64 {
        self.offer.as_ref().map_or(0, |it| it.size)
    }

    /// How much of it has come or gone, in percent.
    pub fn percent(&self) -> u64 {
        match self.total() {
            0 => 0,
            total => u64::try_from(u128::from(self.done) * 100 / u128::from(total)).unwrap_or(100),
        }
    }
}

impl Request {
    /// Which way it goes.
    pub fn direction(&self) -> Direction {
        match self {
            Request::Receive(_) => Direction::Receive,
            Request::Send(_) => Direction::Send,
        }
    }

    /// Other servers than the configured ones.
    pub fn servers(&self) -> &Servers {
        match self {
            Request::Receive(it) => &it.servers,
            Request::Send(it) => &it.servers,
        }
    }
}
