//! Where what is unpacked goes to, and what is known of it beforehand and afterwards.

/// The most that is handed on at once.
pub(crate) const CHUNK: usize = 64 << 10;

/// What the offer said, and the caller found bearable: the memory taken grows with the number of files. More is
/// refused; whether less is, is the caller's affair: see [`Totals`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// All files together, unpacked.
    pub bytes: u64,
    /// How many files.
    pub files: u64,
}

/// What came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many files.
    pub files: u64,
    /// How many folders that have an entry of their own. Most senders give one only to those that are empty.
    pub folders: u64,
    /// All files together, unpacked.
    pub bytes: u64,
}

/// A file that begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The name as it came, nothing checked but that it is not empty, was sent in no more than 4096 bytes, and is the
    /// only one. It is UTF-8: what is not was taken for code page 437 and converted (§D.1).
    pub name: &'a [u8],
    /// The length, if it is known before the data.
    pub size: Option<u64>,
}

/// Where what is unpacked goes to. An error of it ends the reading.
pub trait Sink {
    /// Why it could not take something.
    type Error;

    /// A folder, under its name as it came but without the slash at its end. The folder that the archive itself
    /// stands for, `./`, needs no making and is left out.
    fn folder(&mut self, name: &[u8]) -> Result<(), Self::Error>;

    /// A file begins.
    fn begin(&mut self, entry: &Entry<'_>) -> Result<(), Self::Error>;

    /// More of the file: 64 KiB at most, often only a few bytes, because what may be the end of a file is held back
    /// until more comes. A sink that writes to a disk gathers them.
    fn data(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;

    /// The file was whole, and its CRC is right.
    fn end(&mut self) -> Result<(), Self::Error>;
}
