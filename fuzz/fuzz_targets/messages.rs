//! Any bytes as what a mailbox server, a peer, a connection or a person might say: nothing panics.
//!
//! The first byte says which of them speaks.

#![cfg_attr(fuzzing, no_main)]

use wormhole::fuzz::{code, peer_message, records, server_message};

fuzz::target!(check);

fn check(input: &[u8]) {
    let Some((kind, said)) = input.split_first() else { return };
    match kind % 4 {
        0 => server_message(said),
        1 => peer_message(said),
        2 => records(said),
        _ => code(said),
    }
}
