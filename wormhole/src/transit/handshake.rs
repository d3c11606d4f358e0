//! The handshake: the first lines on each connection. They prove the key to the other side, and tell a relay which two connections belong
//! together.

use crate::error::Error;
use crate::hex;
use crate::key::{Key, random};
use crate::transit::connection::Role;

/// The lines of a handshake.
#[derive(Clone, Debug)]
pub(crate) struct Handshake {
    pub(crate) ours: String,
    pub(crate) theirs: String,
    pub(crate) to_relay: String,
}

impl Handshake {
    pub(crate) fn new(key: &Key, role: Role) -> Result<Handshake, Error> {
        let token = |purpose: &str| key.derive(purpose.as_bytes()).token();
        let sender = format!("transit sender {} ready\n\n", token("transit_sender"));
        let receiver = format!("transit receiver {} ready\n\n", token("transit_receiver"));
        let mut side = [0; 8];
        random(&mut side)?;
        let relay = token("transit_relay_token");
        let to_relay = format!("please relay {relay} for side {}\n", hex::encode(&side));
        Ok(match role {
            Role::Sender => Handshake { ours: sender, theirs: receiver, to_relay },
            Role::Receiver => Handshake { ours: receiver, theirs: sender, to_relay },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::tests::counting;

    /// Computed by the Python client's functions for the same key.
    #[test]
    fn the_words_are_those_of_the_other_clients() {
        let words = Handshake::new(&counting().for_transit(), Role::Receiver).unwrap();
        let ours = "0b5d03da4672ec8428bd2485e126faf13ef3ffb278196ddc2f95d96d3d82c1fd";
        assert_eq!(words.ours, format!("transit receiver {ours} ready\n\n"));
        let theirs = "6fa5ad1bb11461d5165ff989e5ce9bf1c2d464385caf06870527e62fc0643f4c";
        assert_eq!(words.theirs, format!("transit sender {theirs} ready\n\n"));
        let token = "ecd85f320731169f5768239a248b8b0f3e7834f1c05937a5939b13d6bfa933e1";
        let to_relay = format!("please relay {token} for side ");
        let side = words.to_relay.strip_prefix(&to_relay).unwrap();
        assert_eq!(side.len(), 17, "{side:?}");
    }
}
