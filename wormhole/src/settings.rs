//! What a program decides: which servers, how far a peer's word goes, and how long each wait may be.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::hints::Hint;

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
    pub reach: Reach,
    /// Whether a peer may connect to us: on a random port of all addresses, while one transfer looks for its way.
    pub listens: bool,
    /// How long each wait may be.
    pub limits: Limits,
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
            reach: Reach::Others,
            listens: true,
            limits: Limits::default(),
            tracker: TaskTracker::new(),
        }
    }
}

/// Where a peer's hints may lead. A peer that knows the code makes us connect to addresses of its choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Not to this machine, nor to what only machines next to it can reach: loopback, link-local, unique local,
    /// multicast and unspecified addresses are refused, and all that this machine has.
    Others,
    /// Anywhere. For tests, where both sides are on one machine.
    Anywhere,
}

/// How long each wait may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
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

impl Default for Limits {
    fn default() -> Limits {
        Limits {
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

/// A transit relay: `tcp:HOST:PORT`, and `tcp:[ADDRESS]:PORT` for an IPv6 address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RelayHint(pub(crate) Hint);

/// A text is no relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a relay is written as `tcp:HOST:PORT`")]
pub struct NoRelayHint;

impl RelayHint {
    /// Its name or address, an IPv6 one without brackets.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.0.port
    }
}

impl FromStr for RelayHint {
    type Err = NoRelayHint;

    fn from_str(text: &str) -> Result<RelayHint, NoRelayHint> {
        let rest = text.trim().strip_prefix("tcp:").ok_or(NoRelayHint)?;
        let (host, port) = rest.rsplit_once(':').ok_or(NoRelayHint)?;
        let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        if bare.is_none() && host.contains([':', '[', ']']) {
            return Err(NoRelayHint);
        }
        let port = port.parse().ok().filter(|_| port.bytes().all(|it| it.is_ascii_digit()));
        let hint = Hint::new(bare.unwrap_or(host), port.ok_or(NoRelayHint)?);
        hint.map(RelayHint).ok_or(NoRelayHint)
    }
}

impl fmt::Display for RelayHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tcp:{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_is_written_as_it_was_read() {
        for text in
            ["tcp:transit.magic-wormhole.io:4001", "tcp:127.0.0.1:1", "tcp:[2001:db8::1]:4001"]
        {
            assert_eq!(text.parse::<RelayHint>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "tcp:",
            "tcp:host",
            "host:4001",
            "tcp::1",
            "tcp:a:0",
            "tcp:a:65536",
            "tcp:a:+1",
            "tcp:::1:80",
            "tcp:a b:80",
        ] {
            assert_eq!(text.parse::<RelayHint>(), Err(NoRelayHint), "{text}");
        }
    }
}
