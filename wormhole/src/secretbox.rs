//! `NaCl`'s secretbox: `XSalsa20` and Poly1305, the tag in front. Pure: bytes in, bytes out.
//!
//! The mathematics is libsodium's, through its author's own binding: it has these ciphers in vectors of 256 bits, and a
//! transfer is little else. The crates in plain Rust have none, and took three times as long.

use std::fmt;

use libsodium_rs::crypto_secretbox as sodium;

/// Bytes of a nonce.
pub(crate) const NONCE: usize = sodium::NONCEBYTES;
/// Bytes of a tag.
pub(crate) const TAG: usize = sodium::MACBYTES;

/// Seals and opens under one key. Nothing shows it.
pub(crate) struct Secretbox(sodium::Key);

impl Secretbox {
    pub(crate) fn new(key: [u8; 32]) -> Secretbox {
        Secretbox(sodium::Key::from(key))
    }

    /// The tag, then the text. A nonce must be used once only.
    pub(crate) fn seal(&self, nonce: [u8; NONCE], plain: &[u8]) -> Vec<u8> {
        sodium::seal(plain, &sodium::Nonce::from_bytes(nonce), &self.0)
    }

    /// None where it was sealed with another key or nonce, or changed.
    pub(crate) fn open(&self, nonce: [u8; NONCE], sealed: &[u8]) -> Option<Vec<u8>> {
        sodium::open(sealed, &sodium::Nonce::from_bytes(nonce), &self.0).ok()
    }
}

impl fmt::Debug for Secretbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secretbox(…)")
    }
}
