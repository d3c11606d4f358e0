//! The random name of a staged file or folder.

use std::fmt;
use std::io;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a staged file or folder: 128 random bits, so that nobody can guess it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct StagedId(u128);

/// The text is not a staged name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not 32 hexadecimal digits")]
pub struct NoStagedId;

impl StagedId {
    /// A new random name.
    pub fn random() -> io::Result<StagedId> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        Ok(StagedId(u128::from_be_bytes(random)))
    }
}

impl fmt::Display for StagedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for StagedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for StagedId {
    type Err = NoStagedId;

    fn from_str(text: &str) -> Result<StagedId, NoStagedId> {
        let is_hex = text.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
        let id = u128::from_str_radix(text, 16).ok().filter(|_| is_hex && text.len() == 32);
        id.map(StagedId).ok_or(NoStagedId)
    }
}

impl From<StagedId> for String {
    fn from(id: StagedId) -> String {
        id.to_string()
    }
}

impl TryFrom<String> for StagedId {
    type Error = NoStagedId;

    fn try_from(text: String) -> Result<StagedId, NoStagedId> {
        text.parse()
    }
}
