//! Conversion of other modules' errors to problems.

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

/// The only place that decides which failed look-ups are a 404. Not all of them are.
impl From<FindError> for Problem {
    fn from(error: FindError) -> Problem {
        match error {
            FindError::Missing { .. } | FindError::NotServed { .. } => Problem::NotFound,
            FindError::Io { path, source } => Problem::from(ReadError { path, source }),
            FindError::WouldBlock { .. } => Problem::internal(error),
        }
    }
}

/// A file or folder was found, but could not be opened or read.
#[derive(Debug, thiserror::Error)]
#[error("could not read `{path}`")]
pub struct ReadError {
    /// Its path.
    pub path: RelPath,
    /// The system's error.
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
