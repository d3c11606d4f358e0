//! The errors of reading an archive, in plain words.

use flate2::DecompressError;

/// The most characters of a name in an error.
const SHOWN: usize = 120;

/// Why a stream is refused. Names are cut, and invisible characters are escaped.
#[derive(Debug, thiserror::Error)]
pub enum ZipError {
    /// The first bytes are not those of an archive.
    #[error("this is not a ZIP archive")]
    NotAZip,
    /// No record begins where one must.
    #[error("the archive is damaged: at byte {offset} stands nothing that belongs there")]
    Unexpected {
        /// The offset in the stream.
        offset: u64,
    },
    /// A record is malformed.
    #[error("the archive is damaged: the record at byte {offset} is malformed")]
    Malformed {
        /// The offset in the stream.
        offset: u64,
    },
    /// An entry has no name.
    #[error("the archive has an entry without a name")]
    NameEmpty,
    /// A name is longer than 4096 bytes.
    #[error("the archive has a name of {length} bytes; 4096 are the most")]
    NameTooLong {
        /// The length in bytes.
        length: u16,
    },
    /// A name is marked as UTF-8 and is not.
    #[error("the name `{name}` is not the UTF-8 that it is said to be")]
    NameNotUtf8 {
        /// The name, made printable.
        name: String,
    },
    /// Two entries have the same name.
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
    /// An entry has an unknown compression method.
    #[error(
        "`{name}` is packed by method {method}; only 0 (stored) and 8 (deflated) can be unpacked"
    )]
    Method {
        /// The entry.
        name: String,
        /// The method's number (§4.4.5).
        method: u16,
    },
    /// An entry is a link, a device or similar.
    #[error("`{name}` is neither a file nor a folder (its mode is {mode:o})")]
    SpecialFile {
        /// The entry.
        name: String,
        /// Its Unix mode.
        mode: u16,
    },
    /// A folder has data like a file.
    #[error("`{name}` is a folder and has data of its own")]
    FolderWithData {
        /// The folder.
        name: String,
    },
    /// An entry's sizes differ from those of its data.
    #[error("the sizes given for `{name}` contradict its data")]
    Sizes {
        /// The entry.
        name: String,
    },
    /// An entry's CRC differs from that of its data.
    #[error("`{name}` is damaged: its checksum is wrong")]
    Checksum {
        /// The entry.
        name: String,
    },
    /// An entry's compressed data are invalid.
    #[error("`{name}` is damaged: it can't be unpacked")]
    Deflate {
        /// The entry.
        name: String,
        /// The error of the decompressor.
        source: DecompressError,
    },
    /// There are more bytes or more files than were announced.
    #[error("the archive holds more than was announced")]
    MoreThanAnnounced,
    /// There are far more folders than files.
    #[error("the archive has too many folders")]
    TooManyFolders,
    /// The directory's record of an entry has other values than the entry.
    #[error("the archive's directory contradicts what came for `{name}`")]
    Directory {
        /// The entry.
        name: String,
    },
    /// The directory names an entry that was not received, or names one twice.
    #[error("the archive's directory has `{name}`, which did not come")]
    Stranger {
        /// The entry.
        name: String,
    },
    /// The directory does not name all entries.
    #[error("the archive's directory leaves out {count} of the entries that came")]
    Omitted {
        /// The number of entries left out.
        count: u64,
    },
    /// The record at the end contradicts the directory before it.
    #[error("the archive's end contradicts its directory")]
    End,
    /// More bytes follow the end.
    #[error("something follows the archive's end")]
    DataAfterEnd,
    /// The stream ended before the archive.
    #[error("the archive is cut off: {missing} did not come")]
    Truncated {
        /// The missing part.
        missing: String,
    },
    /// The reader was used again after an error.
    #[error("the archive was already refused")]
    Refused,
}

/// Why a push failed.
#[derive(Debug, thiserror::Error)]
pub enum UnzipError<E> {
    /// The stream is refused.
    #[error(transparent)]
    Zip(#[from] ZipError),
    /// The sink could not take something.
    #[error(transparent)]
    Sink(E),
}

/// A stranger's name, cut and escaped for an error.
pub(super) fn shown(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    let mut characters = text.chars();
    let mut shown: String = characters.by_ref().take(SHOWN).collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    shown.escape_debug().to_string()
}
