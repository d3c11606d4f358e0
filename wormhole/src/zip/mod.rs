//! Folders as they travel: a ZIP archive, read and written as a stream.
//!
//! A directory offer is a ZIP archive (PKWARE's APPNOTE.TXT 6.3.10; `§` below means its sections). [`reader`] takes
//! one apart as its bytes come over the wire, [`writer`] makes one whose length is known before the first byte is
//! read. Neither opens a file, seeks, or waits: both are told bytes and tell bytes, and leave paths and disks to
//! those who have them.

mod descriptor;
mod directory;
mod entry;
mod error;
mod format;
mod inflate;
pub mod reader;
pub mod writer;

pub use reader::{Announced, Entry, Sink, Totals, UnzipError, ZipError, ZipReader};
pub use writer::{Kind, Member, WriteError, ZipWriter, zip_size};
