//! ZIP archives, read and written as a stream (PKWARE's APPNOTE.TXT 6.3.10; `§` below means its sections).
//!
//! [`reader`] takes an archive apart as its bytes come over the wire, [`writer`] makes one whose length is known before the first byte
//! is read. Neither opens a file, seeks, or waits: both are told bytes and tell bytes, and leave paths and disks to those who have
//! them.
//!
//! The `zip` crate can't do either: it reads no stored entry whose length stands behind it, in a data descriptor, as most senders of
//! magic-wormhole write them; and it does not say how long an archive will be.

mod descriptor;
mod directory;
mod entry;
mod error;
mod format;
mod inflate;
pub mod reader;
mod sink;
pub mod writer;

pub use error::{UnzipError, ZipError};
pub use reader::ZipReader;
pub use sink::{Announced, Entry, Sink, Totals};
pub use writer::{Kind, Member, WriteError, ZipWriter, zip_size};
