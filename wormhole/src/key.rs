//! Keys: from a code to a shared key, and from that to one key for each purpose. Pure, except for random nonces.
//!
//! Follows client-protocol.md ("The `pake` message", "Key derivation"): SPAKE2 in its symmetric form over Ed25519, with the application's
//! name as identity; HKDF-SHA256 without salt; a secretbox with the nonce in front. The cryptography comes from the crates `spake2`,
//! `hmac`, `salsa20` and `poly1305`.

use std::fmt;

use hmac::digest::block_api::Block;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use spake2::{Ed25519Group, Identity, Password, Spake2};

use crate::code::Code;
use crate::error::Error;
use crate::hex;
use crate::secretbox::{NONCE, Secretbox};
use crate::settings::APP;

/// The first half of the exchange: this side's message, and the state to read the other side's.
pub(crate) struct Exchange {
    state: Spake2<Ed25519Group>,
    message: Vec<u8>,
}

/// A key that both sides share if they had the same code. `Debug` does not show it.
#[derive(Clone)]
pub(crate) struct Key([u8; 32]);

/// The body of the phase `pake`.
#[derive(Serialize, Deserialize)]
struct PakeMessage {
    pake_v1: String,
}

impl Exchange {
    pub(crate) fn begin(code: &Code) -> Exchange {
        let password = Password::new(code.as_str().as_bytes());
        let identity = Identity::new(APP.as_bytes());
        let (state, message) = Spake2::<Ed25519Group>::start_symmetric(&password, &identity);
        Exchange { state, message }
    }

    /// The message for the other side.
    pub(crate) fn message(&self) -> Result<Vec<u8>, Error> {
        let message = PakeMessage { pake_v1: hex::encode(&self.message) };
        serde_json::to_vec(&message).map_err(|_impossible| Error::bad("our own message"))
    }

    /// Computes the key. Whether the other side has the same one shows only when something is opened with it.
    pub(crate) fn finish(self, theirs: &[u8]) -> Result<Key, Error> {
        let bad = || Error::bad("the other side's half of the key exchange");
        let message: PakeMessage = serde_json::from_slice(theirs).map_err(|_odd| bad())?;
        let message = hex::decode(&message.pake_v1).ok_or_else(bad)?;
        let key = self.state.finish(&message).map_err(|_odd| bad())?;
        Ok(Key(key.try_into().map_err(|_odd| bad())?))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    /// A fixed key, for tests and fuzzing.
    pub(crate) fn known() -> Key {
        Key([7; 32])
    }

    /// A key for one purpose, from which no other can be computed.
    ///
    /// HKDF (RFC 5869) without salt. A key is exactly one block, so no length can be wrong.
    pub(crate) fn derive(&self, purpose: &[u8]) -> Key {
        let extracted = hmac([0; 32], &[&self.0]);
        Key(hmac(extracted, &[purpose, &[1]]))
    }

    /// The key for a message of one side in one phase.
    pub(crate) fn for_phase(&self, side: &str, phase: &str) -> Key {
        let side = Sha256::digest(side.as_bytes());
        let phase = Sha256::digest(phase.as_bytes());
        self.derive(&[b"wormhole:phase:", side.as_slice(), phase.as_slice()].concat())
    }

    /// The verifier, which both people may compare.
    pub(crate) fn verifier(&self) -> Key {
        self.derive(b"wormhole:verifier")
    }

    /// The key for the connection that carries the data.
    pub(crate) fn for_transit(&self) -> Key {
        self.derive(format!("{APP}/transit-key").as_bytes())
    }

    /// Hexadecimal digits, for a key that is used as a token.
    pub(crate) fn token(&self) -> String {
        hex::encode(&self.0)
    }

    pub(crate) fn secretbox(&self) -> Secretbox {
        Secretbox::new(self.0)
    }

    /// Encrypts with a random nonce, which goes in front.
    pub(crate) fn seal(&self, plain: &[u8]) -> Result<Vec<u8>, Error> {
        let mut nonce = [0; NONCE];
        random(&mut nonce)?;
        Ok([nonce.as_slice(), &self.secretbox().seal(nonce, plain)].concat())
    }

    /// Decrypts; `None` where the data were sealed with another key, or changed.
    pub(crate) fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
        self.secretbox().open(*nonce, sealed)
    }
}

/// HMAC-SHA256 (RFC 2104) of these parts, joined.
fn hmac(key: [u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // A key is padded with zeros to the hash's block.
    let mut block = Block::<Sha256>::default();
    block.iter_mut().zip(key).for_each(|(to, from)| *to = from);
    let mut hmac = Hmac::<Sha256>::new(&block);
    for part in parts {
        hmac.update(part);
    }
    hmac.finalize().into_bytes().into()
}

/// Fills a buffer with random bytes.
pub(crate) fn random(bytes: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(bytes).map_err(|it| Error::Random { source: std::io::Error::other(it) })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Computed by the Python client's functions for the key 00 01 02 … 1f.
    #[test]
    fn keys_are_those_of_the_other_clients() {
        let key = counting();
        let check = |key: Key, expected: &str| assert_eq!(key.token(), expected);
        let version = "dea028ef102b3932bbf50e202819f15ecec800707ec66924df0ec89bde0a72df";
        check(key.for_phase("0011223344", "version"), version);
        let verifier = "116c6e41d0faf2886a5b488079748585db2c4d6d151cca6c580055e1bd176459";
        check(key.verifier(), verifier);
        let transit = "9329a646acaba7172c557c7971191ec6a1e287f84abe58c60dce2659c44c2925";
        check(key.for_transit(), transit);
    }

    #[test]
    fn the_same_code_gives_the_same_key_and_another_code_another() {
        let exchange = |ours: &str, theirs: &str| {
            let ours = Exchange::begin(&Code::parse(ours).unwrap());
            let theirs = Exchange::begin(&Code::parse(theirs).unwrap());
            let (our_message, their_message) = (ours.message().unwrap(), theirs.message().unwrap());
            let ours = ours.finish(&their_message).unwrap();
            (ours.token(), theirs.finish(&our_message).unwrap().token())
        };
        let (ours, theirs) = exchange("7-a-b", "7-a-b");
        assert_eq!(ours, theirs);
        let (ours, theirs) = exchange("7-a-b", "7-a-c");
        assert_ne!(ours, theirs);
    }

    #[test]
    fn an_odd_half_of_the_exchange_is_refused() {
        let own = Exchange::begin(&Code::parse("7-a").unwrap()).message().unwrap();
        let odd = [
            b"".as_slice(),
            b"{}",
            b"[1]",
            b"{\"pake_v1\":5}",
            b"{\"pake_v1\":\"0\"}",
            b"{\"pake_v1\":\"53\"}",
            b"{\"pake_v1\":\"530000000000000000000000000000000000000000000000000000000000000000ff\"}",
            b"\xff\xfe",
        ];
        for message in odd {
            let exchange = Exchange::begin(&Code::parse("7-a").unwrap());
            assert!(exchange.finish(message).is_err(), "{message:?}");
        }
        assert!(Exchange::begin(&Code::parse("7-a").unwrap()).finish(&own).is_ok());
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_only() {
        let key = counting();
        let sealed = key.seal(b"hello").unwrap();
        assert_eq!(key.open(&sealed).unwrap(), b"hello");
        assert_eq!(key.verifier().open(&sealed), None);
        for end in 0..sealed.len() {
            assert_eq!(key.open(&sealed[..end]), None);
        }
    }

    pub(crate) fn counting() -> Key {
        let bytes: Vec<u8> = (0..32).collect();
        Key(bytes.try_into().unwrap())
    }
}
