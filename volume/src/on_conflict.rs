//! What happens where a name is taken: one set of words for HTTP, tus, the command line and the records on disk.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What happens where a name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnConflict {
    /// What is there stays, and what comes is refused.
    Refuse,
    /// What is there stays, and what comes gets a name beside it: `name (2).csv`.
    KeepBoth,
    /// What comes takes the place of what is there, which goes to the trash where that was asked for.
    Replace,
}

/// A text is no [`OnConflict`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `refuse`, `keep-both` or `replace`")]
pub struct ParseOnConflictError;

impl OnConflict {
    /// All of them.
    pub const ALL: [OnConflict; 3] =
        [OnConflict::Refuse, OnConflict::KeepBoth, OnConflict::Replace];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            OnConflict::Refuse => "refuse",
            OnConflict::KeepBoth => "keep-both",
            OnConflict::Replace => "replace",
        }
    }
}

impl fmt::Display for OnConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for OnConflict {
    type Err = ParseOnConflictError;

    fn from_str(text: &str) -> Result<OnConflict, ParseOnConflictError> {
        let mut all = OnConflict::ALL.into_iter();
        all.find(|it| it.as_str() == text).ok_or(ParseOnConflictError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_words_are_the_same_wherever_it_is_read_or_written() {
        for it in OnConflict::ALL {
            assert_eq!(it.to_string().parse(), Ok(it));
            assert_eq!(serde_json::to_string(&it).unwrap(), format!("\"{it}\""));
        }
        for wrong in ["", "keep", "Refuse", "keep_both"] {
            assert_eq!(wrong.parse::<OnConflict>(), Err(ParseOnConflictError), "{wrong}");
        }
    }
}
