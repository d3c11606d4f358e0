//! The data of a transfer, in its record and in answers to clients.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use volume::OnConflict;
use volume::RelPath;
use volume::staged_id::StagedId;
use wormhole::{Code, CodeError};

/// The version of the records' format.
pub const VERSION: u32 = 1;

/// A request for a transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "direction", rename_all = "kebab-case")]
pub enum Request {
    /// Receive what a sender offers.
    Receive(Receive),
    /// Send files of the volume, or a text.
    Send(Send),
}

/// A request to receive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command of its own")]
pub struct Receive {
    /// The sender's code; without one, a code is made for the sender to use.
    pub code: Option<String>,
    /// Whether the code's case matters. Otherwise words of the word list may be in capitals.
    pub exact: bool,
    /// The folder that it goes into.
    pub into: RelPath,
    /// What to do if the name is taken; without this the operator is asked.
    pub on_conflict: Option<OnConflict>,
    /// Whether the offer is accepted without a question.
    pub yes: bool,
    /// Whether an archive that is sent as a file is unpacked.
    pub unpack: bool,
    /// Whether to wait for a sender that has not come yet.
    pub wait: bool,
    /// Servers instead of the configured ones.
    pub servers: Servers,
}

impl Receive {
    /// The sender's code, if there is one.
    pub(crate) fn parsed_code(&self) -> Result<Option<Code>, CodeError> {
        let parse = if self.exact { Code::exact } else { Code::parse };
        self.code.as_deref().map(parse).transpose()
    }
}

/// A request to send.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Send {
    /// The files and folders to send; more than one are sent as one folder.
    pub paths: Vec<RelPath>,
    /// A text to send instead.
    pub text: Option<String>,
    /// The code to use; without one, a code is made.
    pub code: Option<String>,
    /// Servers instead of the configured ones.
    pub servers: Servers,
}

/// The servers of a transfer; a missing one is taken from the settings below.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Servers {
    /// The mailbox server's URL.
    pub mailbox: Option<String>,
    /// Transit relays, as `tcp:HOST:PORT`.
    pub relays: Vec<String>,
}

/// An operator's answer to an offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// Accept the offer.
    Accept(Accept),
    /// Refuse the offer.
    Refuse {
        /// The reason for the sender.
        why: String,
    },
}

/// How an offer is accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Accept {
    /// Another folder than in the request.
    pub into: Option<RelPath>,
    /// Another name than the sender's.
    pub name: Option<String>,
    /// What to do if the name is taken.
    pub on_conflict: Option<OnConflict>,
    /// Whether an archive that is sent as a file is unpacked.
    pub unpack: bool,
}

/// The direction of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Into the volume.
    Receive,
    /// Out of the volume.
    Send,
}

/// The state of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransferState {
    /// Connecting to the mailbox server.
    Connecting,
    /// Waiting for the other side.
    Waiting,
    /// An offer waits for its answer, from an operator or the other side.
    Offered,
    /// Connecting to the other side.
    Linking,
    /// Bytes are received or sent.
    Running,
    /// All bytes were received or sent; the receiver checks, syncs and publishes them.
    Storing,
    /// Finished with success.
    Done,
    /// Finished: the offer was refused.
    Refused,
    /// Finished: a user cancelled it.
    Cancelled,
    /// Finished: it failed.
    Failed,
    /// Finished: the program that ran it ended.
    Interrupted,
}

/// An offer, received or sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offered {
    /// The kind.
    #[serde(rename = "type")]
    pub kind: OfferedKind,
    /// The sender's name for it.
    pub name: String,
    /// Bytes to be sent.
    pub size: u64,
    /// Bytes after unpacking.
    pub unpacked: u64,
    /// The number of files.
    pub files: u64,
    /// Whether it is an archive that can be unpacked.
    #[serde(default)]
    pub is_archive: bool,
}

/// The kind of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OfferedKind {
    /// A file.
    File,
    /// A folder with everything in it.
    Directory,
    /// A text.
    Text,
}

/// The operator's question about an offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The path that it would have.
    pub path: RelPath,
    /// The file or folder that is there already.
    pub existing: Option<Existing>,
    /// The size of the volume's file system in bytes.
    pub disk: u64,
    /// Bytes that are free now.
    pub free: u64,
    /// Bytes needed at the peak.
    pub needed: u64,
    /// Bytes that may be used, without those that other transfers have yet to write.
    pub room: u64,
    /// When the offer is refused if there is no answer.
    pub ends: Timestamp,
    /// Why the last answer was not accepted.
    pub problem: Option<String>,
}

/// The file or folder that has the name already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Existing {
    /// Whether it is a folder.
    pub is_folder: bool,
    /// The number of items in a folder.
    pub items: Option<u64>,
    /// Its size in bytes; `None` if it could not be added up quickly.
    pub size: Option<u64>,
    /// The time of its last change.
    pub modified: Option<Timestamp>,
}

/// The record of a transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// The version of the record's format.
    pub version: u32,
    /// Its number on this volume.
    pub number: u64,
    /// Its direction.
    pub direction: Direction,
    /// Its state.
    pub state: TransferState,
    /// Its code. A code works once: here it is used up, or about to be.
    pub code: Option<String>,
    /// The command for the other side, if the code was made here.
    pub command: Option<String>,
    /// The verifier: if both people see the same, nobody sits between the two sides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifier: Option<String>,
    /// The folder that it goes into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<RelPath>,
    /// The files and folders sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<RelPath>,
    /// The path that it was published at; before that, the planned one.
    pub path: Option<RelPath>,
    /// The offer.
    pub offer: Option<Offered>,
    /// The text received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Bytes received or sent.
    pub done: u64,
    /// `direct` or `relay`, with the address.
    pub route: Option<String>,
    /// When it started.
    pub started: Timestamp,
    /// The user who started it.
    pub started_by: String,
    /// When it finished.
    pub ended: Option<Timestamp>,
    /// Why it did not succeed, in plain words.
    pub cause: Option<String>,
    /// Further remarks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The program that runs it, or ran it.
    pub host: StagedId,
    /// The name of its staged file or folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staged: Option<StagedId>,
}

/// The status of a transfer: its record, and values that only the program that runs it knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferStatus {
    /// The record.
    #[serde(flatten)]
    pub transfer: Transfer,
    /// Grows with each change, so that a follower can wait for the next.
    pub change: u64,
    /// Bytes a second, over the last few seconds.
    pub rate: Option<u64>,
    /// Seconds without a byte received or sent.
    pub quiet_seconds: Option<u64>,
    /// The question for the operator.
    pub question: Option<Question>,
    /// Whether it can still be cancelled.
    pub is_live: bool,
}

impl TransferState {
    /// Whether it has finished.
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
    /// The number of bytes to be received or sent.
    pub fn total(&self) -> u64 {
        self.offer.as_ref().map_or(0, |it| it.size)
    }

    /// The part received or sent, in percent.
    pub fn percent(&self) -> u64 {
        match self.total() {
            0 => 0,
            total => u64::try_from(u128::from(self.done) * 100 / u128::from(total)).unwrap_or(100),
        }
    }
}

impl Request {
    /// Its direction.
    pub fn direction(&self) -> Direction {
        match self {
            Request::Receive(_) => Direction::Receive,
            Request::Send(_) => Direction::Send,
        }
    }

    /// Servers instead of the configured ones.
    pub fn servers(&self) -> &Servers {
        match self {
            Request::Receive(it) => &it.servers,
            Request::Send(it) => &it.servers,
        }
    }
}
