//! `NaCl`'s secretbox: `XSalsa20` and Poly1305, the tag in front. Pure: bytes in, bytes out.
//!
//! D. J. Bernstein, "Cryptography in `NaCl`" (2009), sections 9 and 10. The ciphers are the crates `salsa20` and `poly1305`. libsodium has
//! wider vectors and needs less time for a transfer, but minutes and `make` for a build.

use std::fmt;

use poly1305::Poly1305;
use poly1305::universal_hash::KeyInit as _;
use salsa20::XSalsa20;
use salsa20::cipher::{KeyIvInit as _, StreamCipher as _};
use subtle::ConstantTimeEq as _;

/// The bytes of a nonce.
pub(crate) const NONCE: usize = 24;
/// The bytes of a tag.
pub(crate) const TAG: usize = 16;

/// Seals and opens with one key. `Debug` does not show it.
pub(crate) struct Secretbox([u8; 32]);

impl Secretbox {
    pub(crate) fn new(key: [u8; 32]) -> Secretbox {
        Secretbox(key)
    }

    /// Seals a text: the tag comes first. A nonce must be used only once.
    pub(crate) fn seal(&self, nonce: [u8; NONCE], plain: &[u8]) -> Vec<u8> {
        let (mut cipher, hash) = self.begin(nonce);
        let mut text = plain.to_vec();
        cipher.apply_keystream(&mut text);
        let mut sealed = Vec::with_capacity(TAG + text.len());
        sealed.extend_from_slice(&hash.compute_unpadded(&text));
        sealed.append(&mut text);
        sealed
    }

    /// Opens a sealed text; `None` where it was sealed with another key or nonce, or changed.
    pub(crate) fn open(&self, nonce: [u8; NONCE], sealed: &[u8]) -> Option<Vec<u8>> {
        let (tag, text) = sealed.split_at_checked(TAG)?;
        let (mut cipher, hash) = self.begin(nonce);
        let is_whole: bool = hash.compute_unpadded(text).as_slice().ct_eq(tag).into();
        is_whole.then(|| {
            let mut text = text.to_vec();
            cipher.apply_keystream(&mut text);
            text
        })
    }

    /// The first 32 bytes of the stream are the tag's key; the rest encrypts the text.
    fn begin(&self, nonce: [u8; NONCE]) -> (XSalsa20, Poly1305) {
        let mut cipher = XSalsa20::new(&self.0.into(), &nonce.into());
        let mut key = [0; 32];
        cipher.apply_keystream(&mut key);
        (cipher, Poly1305::new(&key.into()))
    }
}

impl fmt::Debug for Secretbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secretbox(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389";
    const NONCE_: &str = "69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37";
    const PLAIN: &str = "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296cdc3c01\
        233561f41db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde048977eb48f59ffd4924ca1c60902e52f0a0\
        89bc76897040e082f937763848645e0705";
    const SEALED: &str = "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186ac0dfc1\
        7c98dce87b4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae90224368517acfeabd6bb3732bc0e9da99\
        832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74e355a5";

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> =
            hex.chars().map(|it| it.to_digit(16).unwrap().try_into().unwrap()).collect();
        digits.chunks(2).map(|it| it[0] << 4 | it[1]).collect()
    }

    /// The example of "Cryptography in `NaCl`", section 10, which `NaCl`'s own tests have too (`tests/secretbox.c`).
    #[test]
    fn it_is_nacls() {
        let secretbox = Secretbox::new(bytes(KEY).try_into().unwrap());
        let nonce = bytes(NONCE_).try_into().unwrap();
        assert_eq!(secretbox.seal(nonce, &bytes(PLAIN)), bytes(SEALED));
        assert_eq!(secretbox.open(nonce, &bytes(SEALED)).unwrap(), bytes(PLAIN));
    }

    #[test]
    fn nothing_that_was_changed_or_cut_is_opened() {
        let (secretbox, nonce) = (Secretbox::new([7; 32]), [9; NONCE]);
        for length in [0, 1, 31, 32, 33, 64, 4096] {
            let sealed = secretbox.seal(nonce, &vec![5; length]);
            assert_eq!(secretbox.open(nonce, &sealed).unwrap(), vec![5; length]);
            for at in 0..sealed.len() {
                let mut changed = sealed.clone();
                changed[at] ^= 1;
                assert_eq!(secretbox.open(nonce, &changed), None, "byte {at} of {length}");
                if at < 64 {
                    assert_eq!(
                        secretbox.open(nonce, &sealed[..at]),
                        None,
                        "{at} bytes of {length}"
                    );
                }
            }
            assert_eq!(secretbox.open([8; NONCE], &sealed), None);
            assert_eq!(Secretbox::new([6; 32]).open(nonce, &sealed), None);
        }
    }
}
