//! ZIP archives, read and written as a stream (PKWARE's APPNOTE.TXT 6.3.10; `§` below means its sections).
//!
//! [`reader`] reads an archive while its bytes arrive. [`writer`] makes one whose length is known before the first byte is read. Neither
//! opens a file, seeks or waits: callers pass bytes in and get bytes out, and take care of paths and disks.
//!
//! The `zip` crate can do neither. It can't read a stored entry whose length follows it in a data descriptor, which most senders of
//! magic-wormhole write; and it does not give the length of an archive in advance.

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
