//! What a program decides: which servers, how far a peer's word goes, and how long each wait may be.

use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::hints::{Hint, HintPolicy, RelayHint};

/// Whose application the two sides belong to: they only meet within one (file-transfer-protocol.md).
pub(crate) const APP: &str = "lothar.com/wormhole/text-or-file-xfer";

/// What a transfer needs to know of the world.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The mailbox server, as a `ws://` or `wss://` URL.
    pub mailbox: String,
    /// Our transit relays, for peers that can't be reached directly. May be empty.
    pub relays: Vec<RelayHint>,
    /// Where a peer's hints may lead.
    pub reach: HintPolicy,
    /// Whether a peer may connect to us: on a random port of all addresses, while one transfer looks for its way.
    pub listens: bool,
    /// How long each wait may be.
    pub limits: Timeouts,
    /// Where good-byes to the mailbox server run. A program that is about to end closes it and waits for it.
    pub tracker: TaskTracker,
}

impl Default for Settings {
    /// The public servers of the magic-wormhole project.
    fn default() -> Settings {
        let relay = Hint { host: "transit.magic-wormhole.io".to_owned(), port: 4001 };
        Settings {
            mailbox: "ws://relay.magic-wormhole.io:4000/v1".to_owned(),
            relays: vec![RelayHint(relay)],
            reach: HintPolicy::Others,
            listens: true,
            limits: Timeouts::default(),
            tracker: TaskTracker::new(),
        }
    }
}

/// How long each wait may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the mailbox server has answered all that is asked at the beginning.
    pub connect: Duration,
    /// Until somebody uses the code.
    pub peer: Duration,
    /// Until the key is confirmed, once the peer is there.
    pub key: Duration,
    /// Until the peer has said what it offers. With `--verify` a person compares digits before.
    pub offer: Duration,
    /// Until the peer has answered our offer: a person reads it.
    pub answer: Duration,
    /// Until both sides are connected for the data.
    pub transit: Duration,
    /// Without any byte.
    pub idle: Duration,
    /// Until the peer has stored what it got, after the last byte.
    pub confirm: Duration,
    /// For coming back to a mailbox server that was lost.
    pub reconnect: Duration,
    /// For saying good-bye.
    pub closing: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(20),
            peer: Duration::from_hours(1),
            key: Duration::from_secs(30),
            offer: Duration::from_mins(5),
            answer: Duration::from_mins(30),
            transit: Duration::from_mins(1),
            idle: Duration::from_secs(90),
            confirm: Duration::from_mins(15),
            reconnect: Duration::from_mins(1),
            closing: Duration::from_secs(3),
        }
    }
}
