//! A program's settings: the servers, the hint policy, and the limit of each wait.

use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::hints::{Hint, HintPolicy, RelayHint};

/// The application's name: two sides only find each other within one application (file-transfer-protocol.md).
pub(crate) const APP: &str = "lothar.com/wormhole/text-or-file-xfer";

/// The settings of a transfer.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The mailbox server, as a `ws://` or `wss://` URL.
    pub mailbox: String,
    /// This side's transit relays, for peers that can't be reached directly. May be empty.
    pub relays: Vec<RelayHint>,
    /// Where a peer's hints may lead.
    pub reach: HintPolicy,
    /// Whether a peer may connect to this side: on a random port of all addresses, until the transfer has its connection.
    pub listens: bool,
    /// The limit of each wait.
    pub limits: Timeouts,
    /// Tracks the good-byes to the mailbox server. A program that is about to end closes it and waits for it.
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

/// The limit of each wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the mailbox server has answered all requests of the start.
    pub connect: Duration,
    /// Until a peer uses the code.
    pub peer: Duration,
    /// Until the key is confirmed, once the peer is there.
    pub key: Duration,
    /// Until the peer has made its offer. With `--verify` a person compares digits before that.
    pub offer: Duration,
    /// Until the peer has answered the offer. A person reads it.
    pub answer: Duration,
    /// Until both sides are connected for the data.
    pub transit: Duration,
    /// Without a single byte.
    pub idle: Duration,
    /// Until the peer has confirmed that it stored the data, after the last byte.
    pub confirm: Duration,
    /// For reconnecting to a lost mailbox server.
    pub reconnect: Duration,
    /// For closing the mailbox and the connection.
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
