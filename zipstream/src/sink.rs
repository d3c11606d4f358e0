//! The destination of unpacked files, and their totals before and after.

/// The most bytes that are passed on at once.
pub(crate) const CHUNK: usize = 64 << 10;

/// The limits that the offer announced and the caller accepted. The memory used grows with the number of files. More than this is refused;
/// the caller decides about less: see [`Totals`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// The unpacked bytes of all files together.
    pub bytes: u64,
    /// The number of files.
    pub files: u64,
}

/// The totals of an archive that was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The number of files.
    pub files: u64,
    /// The number of folders with an entry of their own. Most senders write one only for empty folders.
    pub folders: u64,
    /// The unpacked bytes of all files together.
    pub bytes: u64,
}

/// A file that begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The name as it arrived. It is not empty, had at most 4096 bytes and is unique; nothing else is checked. It is UTF-8: other bytes
    /// were read as code page 437 and converted (§D.1).
    pub name: &'a [u8],
    /// The length, if it is known before the data.
    pub size: Option<u64>,
}

/// The destination of unpacked files. An error of it ends the reading.
pub trait Sink {
    /// Why it could not take something.
    type Error;

    /// A folder, with its name as it arrived but without the slash at the end. The archive's own folder, `./`, is left out.
    fn folder(&mut self, name: &[u8]) -> Result<(), Self::Error>;

    /// A file begins.
    fn begin(&mut self, entry: &Entry<'_>) -> Result<(), Self::Error>;

    /// The next bytes of the file: at most 64 KiB, often only a few, because bytes that may be the end of a file are held back until more
    /// arrive. A sink that writes to a disk should buffer them.
    fn data(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;

    /// The file is complete, and its CRC is correct.
    fn end(&mut self) -> Result<(), Self::Error>;
}
