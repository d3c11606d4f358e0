//! What can be wrong with an archive, in plain words.

use flate2::DecompressError;

/// As many characters of a name stand in an error.
const SHOWN: usize = 120;

/// Why a stream is not taken. Names are shown cut, and with everything invisible escaped.
#[derive(Debug, thiserror::Error)]
pub enum ZipError {
    /// The first bytes are no archive's.
    #[error("this is not a ZIP archive")]
    NotAZip,
    /// No record begins where one must.
    #[error("the archive is damaged: at byte {offset} stands nothing that belongs there")]
    Unexpected {
        /// Where, in the stream.
        offset: u64,
    },
    /// A record is not made as it must be.
    #[error("the archive is damaged: the record at byte {offset} is malformed")]
    Malformed {
        /// Where, in the stream.
        offset: u64,
    },
    /// An entry has no name.
    #[error("the archive has an entry without a name")]
    NameEmpty,
    /// A name is longer than 4096 bytes.
    #[error("the archive has a name of {length} bytes; 4096 are the most")]
    NameTooLong {
        /// How long it is.
        length: u16,
    },
    /// A name is said to be UTF-8, and is not.
    #[error("the name `{name}` is not the UTF-8 that it is said to be")]
    NameNotUtf8 {
        /// The name, as far as it can be shown.
        name: String,
    },
    /// A name came before.
    #[error("`{name}` is in the archive twice")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// An entry is encrypted.
    #[error("`{name}` is encrypted; only the wormhole itself encrypts")]
    Encrypted {
        /// The entry.
        name: String,
    },
    /// An entry is compressed in a way that is not known here.
    #[error(
        "`{name}` is packed by method {method}; only 0 (stored) and 8 (deflated) can be unpacked"
    )]
    Method {
        /// The entry.
        name: String,
        /// The method's number (§4.4.5).
        method: u16,
    },
    /// An entry is a link, a device or the like.
    #[error("`{name}` is neither a file nor a folder (its mode is {mode:o})")]
    SpecialFile {
        /// The entry.
        name: String,
        /// Its mode.
        mode: u16,
    },
    /// A folder has contents like a file.
    #[error("`{name}` is a folder and has data of its own")]
    FolderWithData {
        /// The folder.
        name: String,
    },
    /// An entry's sizes are not those of its data.
    #[error("the sizes given for `{name}` contradict its data")]
    Sizes {
        /// The entry.
        name: String,
    },
    /// An entry's CRC is not that of its data.
    #[error("`{name}` is damaged: its checksum is wrong")]
    Checksum {
        /// The entry.
        name: String,
    },
    /// An entry's compressed data make no sense.
    #[error("`{name}` is damaged: it can't be unpacked")]
    Deflate {
        /// The entry.
        name: String,
        /// What is wrong.
        source: DecompressError,
    },
    /// There are more bytes or more files than were agreed to.
    #[error("the archive holds more than was announced")]
    MoreThanAnnounced,
    /// There are far more folders than files.
    #[error("the archive has too many folders")]
    TooManyFolders,
    /// The directory says something else of an entry than came.
    #[error("the archive's directory contradicts what came for `{name}`")]
    Directory {
        /// The entry.
        name: String,
    },
    /// The directory has an entry that did not come, or has it twice.
    #[error("the archive's directory has `{name}`, which did not come")]
    Stranger {
        /// The entry.
        name: String,
    },
    /// The directory has not all that came.
    #[error("the archive's directory leaves out {count} of the entries that came")]
    Omitted {
        /// How many.
        count: u64,
    },
    /// The record at the end contradicts the directory before it.
    #[error("the archive's end contradicts its directory")]
    End,
    /// Something follows the end.
    #[error("something follows the archive's end")]
    DataAfterEnd,
    /// The stream ended before the archive.
    #[error("the archive is cut off: {missing} did not come")]
    Truncated {
        /// What did not come.
        missing: String,
    },
    /// The reader was used on after an error.
    #[error("the archive was already refused")]
    Refused,
}

/// Why a push failed.
#[derive(Debug, thiserror::Error)]
pub enum UnzipError<E> {
    /// The stream is not taken.
    #[error(transparent)]
    Zip(#[from] ZipError),
    /// The sink could not take what is in it.
    #[error(transparent)]
    Sink(E),
}

/// A stranger's name, for an error.
pub(super) fn shown(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    let mut characters = text.chars();
    let mut shown: String = characters.by_ref().take(SHOWN).collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    shown.escape_debug().to_string()
}
