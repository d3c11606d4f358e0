//! Checks the names in a directory or an archive: which can be stored, and which are left out.

use volume::staged_folder::PartError;
use volume::staging::{PublishError, StageError};
use volume::{Refusal, RelPath};
use zipstream::ZipError;

/// The name that the trash records as the deleting user.
pub(crate) const WHO: &str = "wormhole";
/// The most hidden names in a note.
const TOLD: usize = 3;

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// A name in the directory can't be stored here.
    #[error("`{name}` can't be stored")]
    Name {
        /// The name as it was sent, made safe to show.
        name: String,
        source: Refusal,
    },
    /// A file of the directory can't be written.
    #[error(transparent)]
    Part(#[from] PartError),
    /// The zip stream is invalid.
    #[error("the folder did not come whole")]
    Zip(#[source] ZipError),
    /// The staged file can't be written.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// It can't be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The thread panicked.
    #[error("storing it broke off: an internal error")]
    BrokeOff,
}

/// Hidden names: they could not be served, so they are left out, and a note names some of them.
#[derive(Debug, Default)]
pub(crate) struct SkippedNames {
    names: Vec<String>,
    count: u64,
}

impl SkippedNames {
    pub(crate) fn add(&mut self, name: &[u8]) {
        self.count += 1;
        if self.names.len() < TOLD {
            self.names.push(safe(name));
        }
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        let more = if self.count > self.names.len() as u64 { ", …" } else { "" };
        let names = self.names.join(", ");
        match self.count {
            0 => Vec::new(),
            1 => vec![format!("1 hidden name was left out: {names}")],
            count => vec![format!("{count} hidden names were left out: {names}{more}")],
        }
    }
}

/// A stranger's text, safe to show.
pub(crate) fn safe(name: &[u8]) -> String {
    const LONGEST: usize = 200;
    let text = String::from_utf8_lossy(name);
    let mut safe: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        safe.push('…');
    }
    safe
}

/// The path of a name in a directory or an archive; `None` for the directory itself and for hidden names.
pub(crate) fn place(name: &[u8], hidden: &mut SkippedNames) -> Result<Option<RelPath>, StoreError> {
    let plain = name.strip_suffix(b"/").unwrap_or(name);
    let plain = plain.strip_prefix(b"./").unwrap_or(plain);
    if plain == b"." || plain.is_empty() {
        return Ok(None);
    }
    match RelPath::from_plain(plain) {
        Ok(path) => Ok(Some(path)),
        Err(Refusal::Hidden) => {
            hidden.add(name);
            Ok(None)
        }
        Err(source) => Err(StoreError::Name { name: safe(name), source }),
    }
}
