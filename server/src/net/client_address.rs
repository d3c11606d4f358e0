//! The client's address, of a connection and of a request.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::http::request_fields::{Field, RequestFields};

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// The other end's IP address. `None` if the other end is a proxy: on a Unix socket, or with `--behind-proxy`.
    pub address: Option<IpAddr>,
}

impl Peer {
    /// The address of the client that sent a request. The fields of a proxy count only if the connection comes from this machine (loopback
    /// or a Unix socket) or from a proxy that the operator trusts: `Fly-Client-IP`, or else the last entry of `X-Forwarded-For`, which the
    /// nearest proxy added.
    pub fn client(self, fields: RequestFields<'_>) -> IpAddr {
        let address = self.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)).to_canonical();
        if !address.is_loopback() {
            return address;
        }
        let field = |field| fields.get_all(field).next_back()?.to_str().ok();
        let told = field(Field::FlyClientIp)
            .or_else(|| field(Field::XForwardedFor).and_then(|it| it.rsplit(',').next()))
            .and_then(|it| it.trim().parse::<IpAddr>().ok());
        told.map_or(address, |it| it.to_canonical())
    }
}

/// The network that counts as one client: an IPv4 address, or an IPv6 /64, since the holder of one IPv6 address has its whole /64.
pub(crate) fn client_network(address: IpAddr) -> IpAddr {
    prefix(address, 32, 64)
}

/// The network of an address: its first bits, the others set to zero.
pub(crate) fn prefix(address: IpAddr, bits_of_v4: u32, bits_of_v6: u32) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(it) => {
            Ipv4Addr::from_bits(it.to_bits() & (u32::MAX << (32 - bits_of_v4))).into()
        }
        IpAddr::V6(it) => {
            Ipv6Addr::from_bits(it.to_bits() & (u128::MAX << (128 - bits_of_v6))).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn only_a_proxy_on_this_machine_is_believed() {
        let check =
            |peer: Option<&str>, fields: &[(&'static str, &'static str)], expected: &str| {
                let headers: HeaderMap = fields
                    .iter()
                    .map(|(name, value)| ((*name).parse().unwrap(), (*value).parse().unwrap()))
                    .collect();
                let peer = Peer { address: peer.map(|it| it.parse().unwrap()) };
                assert_eq!(
                    peer.client(RequestFields::new(&headers)).to_string(),
                    expected,
                    "{fields:?}"
                );
            };
        let fly = ("fly-client-ip", "198.51.100.7");
        let forwarded = ("x-forwarded-for", "203.0.113.1, 198.51.100.9");
        check(Some("192.0.2.1"), &[fly, forwarded], "192.0.2.1");
        check(Some("127.0.0.1"), &[fly, forwarded], "198.51.100.7");
        check(Some("::ffff:127.0.0.1"), &[fly], "198.51.100.7");
        check(Some("::1"), &[forwarded], "198.51.100.9");
        check(None, &[forwarded], "198.51.100.9");
        check(None, &[], "127.0.0.1");
        check(Some("127.0.0.1"), &[("fly-client-ip", "nonsense")], "127.0.0.1");
    }
}
