//! Hints: the addresses where the other side says it can be reached, and the policy for using them.
//!
//! Hints come from a stranger (transit.md, "Canonical hint encodings"). Only a few are kept. The policy is applied to the addresses that
//! are connected to, after names are resolved: a name for this machine is as bad as its address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use serde_json::{Value, json};

/// The most hints of each kind that are kept of one peer.
const MOST_HINTS: usize = 16;
/// The most addresses of one name that are tried.
const MOST_ADDRESSES: usize = 4;
/// The most bytes of a host name.
const LONGEST_HOST: usize = 255;

/// A host and port to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Hint {
    /// A name or an address; IPv6 without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// The hints that one side sends to the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hints {
    pub(crate) direct: Vec<Hint>,
    pub(crate) relays: Vec<Hint>,
}

impl Hint {
    /// `None` where the host or the port is invalid.
    pub(crate) fn new(host: &str, port: u16) -> Option<Hint> {
        let is_odd = |it: char| it.is_control() || it.is_whitespace();
        let is_host = !host.is_empty() && host.len() <= LONGEST_HOST && !host.contains(is_odd);
        (is_host && port != 0).then(|| Hint { host: host.to_owned(), port })
    }

    /// The hint's addresses that `reach` allows.
    pub(crate) async fn resolve(&self, reach: HintPolicy, own: &[IpAddr]) -> Vec<SocketAddr> {
        let Ok(found) = tokio::net::lookup_host((self.host.as_str(), self.port)).await else {
            return Vec::new();
        };
        let found = found.filter(|it| reach == HintPolicy::Anywhere || is_elsewhere(it.ip(), own));
        found.take(MOST_ADDRESSES).collect()
    }

    fn of(value: &Value) -> Option<Hint> {
        if value.get("type")?.as_str()? != "direct-tcp-v1" {
            return None;
        }
        let port = u16::try_from(value.get("port")?.as_u64()?).ok()?;
        Hint::new(value.get("hostname")?.as_str()?, port)
    }

    fn to_value(&self) -> Value {
        json!({ "type": "direct-tcp-v1", "hostname": self.host, "port": self.port, "priority": 0.0 })
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Hint { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl Hints {
    /// This side's hints: its addresses, and the relays.
    pub(crate) fn ours(addresses: &[IpAddr], port: u16, relays: &[RelayHint]) -> Hints {
        let direct = addresses.iter().filter_map(|it| Hint::new(&it.to_string(), port));
        let direct = direct.take(MOST_HINTS).collect();
        Hints { direct, relays: relays.iter().map(|it| it.0.clone()).collect() }
    }

    /// Parses a peer's transit message. Unknown and invalid hints are left out.
    pub(crate) fn of(transit: &Value) -> Hints {
        let mut hints = Hints::default();
        let all = transit.get("hints-v1").and_then(Value::as_array);
        for value in all.into_iter().flatten() {
            if hints.direct.len() >= MOST_HINTS && hints.relays.len() >= MOST_HINTS {
                break;
            }
            match value.get("type").and_then(Value::as_str) {
                Some("direct-tcp-v1") => keep(&mut hints.direct, Hint::of(value)),
                Some("relay-v1") => {
                    let ways = value.get("hints").and_then(Value::as_array);
                    for way in ways.into_iter().flatten().take(MOST_HINTS) {
                        keep(&mut hints.relays, Hint::of(way));
                    }
                }
                _ => {}
            }
        }
        hints
    }

    /// The JSON value of a transit message.
    pub(crate) fn to_value(&self) -> Value {
        let direct = self.direct.iter().map(Hint::to_value);
        let relays =
            self.relays.iter().map(|it| json!({ "type": "relay-v1", "hints": [it.to_value()] }));
        json!({
            "abilities-v1": [{ "type": "direct-tcp-v1" }, { "type": "relay-v1" }],
            "hints-v1": direct.chain(relays).collect::<Vec<_>>(),
        })
    }
}

fn keep(kept: &mut Vec<Hint>, hint: Option<Hint>) {
    if let Some(hint) = hint
        && kept.len() < MOST_HINTS
        && !kept.contains(&hint)
    {
        kept.push(hint);
    }
}

/// All addresses of this machine.
pub(crate) fn own_addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.into_iter().map(|it| it.ip()).collect()
}

/// The addresses that another machine may be able to connect to. Loopback only with [`HintPolicy::Anywhere`] (for tests), and only if there
/// is no other.
pub(crate) fn addresses_to_tell(own: &[IpAddr], reach: HintPolicy) -> Vec<IpAddr> {
    let is_told = |it: &&IpAddr| match it {
        IpAddr::V4(it) => is_v4_elsewhere(*it),
        IpAddr::V6(it) => is_v6_elsewhere(*it),
    };
    let mut told: Vec<IpAddr> = own.iter().filter(is_told).copied().collect();
    if told.is_empty() && reach == HintPolicy::Anywhere {
        told.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    told
}

/// Whether an address belongs to another machine, and is not one that only this machine or its link can reach.
fn is_elsewhere(address: IpAddr, own: &[IpAddr]) -> bool {
    let canonical = address.to_canonical();
    if own.iter().any(|it| it.to_canonical() == canonical) {
        return false;
    }
    match canonical {
        IpAddr::V4(address) => is_v4_elsewhere(address),
        IpAddr::V6(address) => {
            is_v6_elsewhere(address)
                && carried(address).is_none_or(|it| is_elsewhere(it.into(), own))
        }
    }
}

fn is_v4_elsewhere(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    // 0.0.0.0/8 is this network; 240.0.0.0/4 is reserved, with the broadcast address at its end.
    first != 0
        && first < 240
        && !address.is_loopback()
        && !address.is_link_local()
        && !address.is_multicast()
}

fn is_v6_elsewhere(address: Ipv6Addr) -> bool {
    let [first, ..] = address.segments();
    // fec0::/10 is the former form of fc00::/7.
    let is_site_local = first & 0xffc0 == 0xfec0;
    !address.is_unspecified()
        && !address.is_loopback()
        && !address.is_multicast()
        && !address.is_unicast_link_local()
        && !address.is_unique_local()
        && !is_site_local
}

/// The IPv4 address inside an address of a translator (`64:ff9b::/96`), of 6to4 (`2002::/16`), or of the old form `::1.2.3.4`.
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0, 0, high, low] => {
            Some(v4(high, low))
        }
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

/// Where a peer's hints may lead. A peer that knows the code makes this side connect to addresses of the peer's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HintPolicy {
    /// Only to other machines. Refused are loopback, link-local, unique local, multicast and unspecified addresses, and all addresses of
    /// this machine.
    Others,
    /// Anywhere. For tests, where both sides are on one machine.
    Anywhere,
}

/// A transit relay: `tcp:HOST:PORT`, and `tcp:[ADDRESS]:PORT` for an IPv6 address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RelayHint(pub(crate) Hint);

/// The text is not a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a relay is written as `tcp:HOST:PORT`")]
pub struct NoRelayHint;

impl RelayHint {
    /// The relay's name or address; IPv6 without brackets.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// The relay's port.
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
    fn hints_never_lead_to_this_machine_or_beside_it() {
        let own: Vec<IpAddr> = ["127.0.0.1", "10.0.0.5", "::1", "2001:db8::5", "203.0.113.9"]
            .map(|it| it.parse().unwrap())
            .to_vec();
        let check = |address: &str, expected: bool| {
            assert_eq!(is_elsewhere(address.parse().unwrap(), &own), expected, "{address}");
        };
        for other in
            ["10.0.0.6", "192.168.1.1", "172.16.0.1", "100.64.0.1", "8.8.8.8", "203.0.113.10"]
        {
            check(other, true);
            check(&format!("::ffff:{other}"), true);
            check(&format!("64:ff9b::{other}"), true);
        }
        for other in ["2001:db8::6", "2a00::1", "2002:0808:0808::1"] {
            check(other, true);
        }
        let here = [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "239.1.1.1",
            "255.255.255.255",
            "240.0.0.1",
            "10.0.0.5",
            "203.0.113.9",
        ];
        for home in here {
            check(home, false);
            check(&format!("::ffff:{home}"), false);
            check(&format!("64:ff9b::{home}"), false);
        }
        let here = [
            "::",
            "::1",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "fc00::1",
            "fdaa:0:1::3",
            "fec0::1",
            "2001:db8::5",
            "2002:7f00:0001::1",
            "2002:0a00:0005::1",
            "::127.0.0.1",
        ];
        for home in here {
            check(home, false);
        }
    }

    #[tokio::test]
    async fn a_name_is_judged_by_what_it_leads_to() {
        let own = own_addresses();
        for name in
            ["localhost", "127.0.0.1", "::1", "0.0.0.0", "::ffff:127.0.0.1", "127.1", "0x7f000001"]
        {
            let hint = Hint::new(name, 4001).unwrap();
            assert_eq!(hint.resolve(HintPolicy::Others, &own).await, [], "{name}");
        }
        let hint = Hint::new("127.0.0.1", 4001).unwrap();
        assert_eq!(
            hint.resolve(HintPolicy::Anywhere, &own).await,
            ["127.0.0.1:4001".parse().unwrap()]
        );
    }

    #[test]
    fn few_of_a_peers_hints_are_kept_and_odd_ones_are_not() {
        let direct = |host: Value, port: Value| json!({"type": "direct-tcp-v1", "hostname": host, "port": port});
        let good = direct("h".into(), 1.into());
        let odd = [
            direct("h".into(), 0.into()),
            direct("h".into(), 65536.into()),
            direct("h".into(), (-1).into()),
            direct("h".into(), 1.5.into()),
            direct("h".into(), "1".into()),
            direct("".into(), 1.into()),
            direct("a\nb".into(), 1.into()),
            direct("h".repeat(256).into(), 1.into()),
            direct(5.into(), 1.into()),
            json!({"type": "tor-tcp-v1", "hostname": "h", "port": 1}),
            json!({"type": "relay-v1", "hints": 7}),
            json!({"type": 7}),
            json!(null),
            json!([]),
        ];
        let mut all = odd.to_vec();
        all.push(good.clone());
        let hints = Hints::of(&json!({ "hints-v1": all }));
        assert_eq!(hints, Hints { direct: vec![Hint::new("h", 1).unwrap()], relays: vec![] });
        assert_eq!(Hints::of(&json!({"hints-v1": "x"})), Hints::default());
        assert_eq!(Hints::of(&json!(3)), Hints::default());

        let many: Vec<Value> = (1..=10_000).map(|it| direct("h".into(), it.into())).collect();
        let relays: Vec<Value> =
            many.iter().map(|it| json!({"type": "relay-v1", "hints": [it, it]})).collect();
        let both = [many, relays].concat();
        let hints = Hints::of(&json!({ "hints-v1": both }));
        assert_eq!((hints.direct.len(), hints.relays.len()), (MOST_HINTS, MOST_HINTS));
    }

    #[test]
    fn what_we_tell_is_what_a_peer_reads() {
        let relays = ["tcp:relay.example:4001".parse().unwrap()];
        let addresses = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        let ours = Hints::ours(&addresses, 5000, &relays);
        assert_eq!(Hints::of(&ours.to_value()), ours);
        assert_eq!(
            ours.direct.iter().map(Hint::to_string).collect::<Vec<_>>(),
            ["192.0.2.1:5000", "[2001:db8::1]:5000"]
        );
    }

    #[test]
    fn loopback_is_told_to_nobody_but_tests() {
        let own: Vec<IpAddr> =
            ["127.0.0.1", "::1", "fe80::1"].map(|it| it.parse().unwrap()).to_vec();
        assert_eq!(addresses_to_tell(&own, HintPolicy::Others), Vec::<IpAddr>::new());
        assert_eq!(
            addresses_to_tell(&own, HintPolicy::Anywhere),
            [IpAddr::V4(Ipv4Addr::LOCALHOST)]
        );
    }

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
