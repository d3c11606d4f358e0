//! What other parts' errors mean to a client.

use std::io::ErrorKind;

use transfers::Refused;
use volume::staging::{PublishError, StageError, TargetError};
use volume::trash::DiscardError;
use volume::{FindError, Refusal, RelPath};

use super::Problem;
use crate::http::host::HostError;

impl From<HostError> for Problem {
    fn from(error: HostError) -> Problem {
        Problem::BadField(error.to_string())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        Problem::BadPath(refusal)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Problem {
        Problem::Transfer(refused)
    }
}

/// Not every failed look-up is a 404, and not every 404 is a failed look-up: decided here and nowhere else.
impl From<FindError> for Problem {
    fn from(error: FindError) -> Problem {
        match error {
            FindError::Missing { .. } | FindError::NotServed { .. } => Problem::NotFound,
            FindError::Io { path, source } => Problem::from(ReadError { path, source }),
            FindError::WouldBlock { .. } => Problem::internal(error),
        }
    }
}

/// Why a file or folder that was found could not be opened or read.
#[derive(Debug, thiserror::Error)]
#[error("could not read `{path}`")]
pub struct ReadError {
    /// What was found.
    pub path: RelPath,
    /// What the system said.
    pub source: std::io::Error,
}

impl From<TargetError> for Problem {
    fn from(error: TargetError) -> Problem {
        match error {
            TargetError::IsRoot => Problem::IsFolder,
            TargetError::NotAFolder { .. } => Problem::NotAFolder,
            TargetError::NotAllowed { .. } => Problem::NotCovered(None),
            TargetError::Find(error) => Problem::from(error),
            TargetError::MakeFolder { ref source, .. }
            | TargetError::ReadOnly { ref source, .. } => Problem::of_write(source.kind(), error),
        }
    }
}

impl From<StageError> for Problem {
    fn from(error: StageError) -> Problem {
        match error {
            StageError::NoRoom(_) => Problem::NoRoom,
            StageError::Io(ref source) => Problem::of_write(source.kind(), error),
        }
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Problem {
        match error {
            PublishError::Occupied { .. } | PublishError::NoName { source: None, .. } => {
                Problem::Exists
            }
            PublishError::IsFolder { .. } => Problem::IsFolder,
            PublishError::Changed { .. } => Problem::PreconditionFailed,
            PublishError::NoName { source: Some(refusal), .. } => Problem::BadPath(refusal),
            PublishError::Target(error) => Problem::from(error),
            PublishError::NoRoom { .. } => Problem::NoRoom,
            PublishError::Sync { ref source, .. } | PublishError::Rename { ref source, .. } => {
                Problem::of_write(source.kind(), error)
            }
        }
    }
}

impl From<DiscardError> for Problem {
    fn from(error: DiscardError) -> Problem {
        match error {
            DiscardError::Missing { .. } => Problem::NotFound,
            DiscardError::IsFolder { .. } => Problem::IsFolder,
            DiscardError::Changed { .. } => Problem::PreconditionFailed,
            DiscardError::Target(error) => Problem::from(error),
            DiscardError::Io { ref source, .. } => Problem::of_write(source.kind(), error),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Problem {
        match error.source.kind() {
            ErrorKind::PermissionDenied => Problem::Unreadable,
            _ => Problem::internal(error),
        }
    }
}
