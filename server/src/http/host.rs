//! The check of a request's `Host` (RFC 9110 §7.2).
//!
//! If `Host` is missing, occurs twice or is not a host, a proxy may read the request in one way and the server behind it in another. So
//! such a request is refused (RFC 9112 §3.2). Which host it names makes no difference here. Pure.

use http::{HeaderMap, Version, header};

/// Why a request's `Host` is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// There is none.
    #[error("The request has no `Host`: HTTP/1.1 wants one.")]
    Missing,
    /// There are several.
    #[error("The request has more than one `Host`.")]
    Several,
    /// It is not a host.
    #[error("The request's `Host` is none: it is a name or an address, and perhaps `:PORT`.")]
    Invalid,
}

/// Checks that a request has exactly one valid `Host`. It may be missing before HTTP/1.1.
pub(crate) fn check(version: Version, fields: &HeaderMap) -> Result<(), HostError> {
    let mut hosts = fields.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version < Version::HTTP_11 => Ok(()),
        (Some(host), None) if is_host(host.as_bytes()) => Ok(()),
        (None, _) => Err(HostError::Missing),
        (_, Some(_)) => Err(HostError::Several),
        (Some(_), None) => Err(HostError::Invalid),
    }
}

/// Whether a value is a URI's host (RFC 3986 §3.2.2), which may be empty, with an optional port.
pub(crate) fn is_host(value: &[u8]) -> bool {
    let (name, port) = match value {
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|it| *it == b']') else { return false };
            let (address, port) = rest.split_at(end);
            if address.is_empty() || !address.iter().all(|it| *it == b':' || is_of_name(*it)) {
                return false;
            }
            (&[][..], port.get(1..).unwrap_or_default())
        }
        _ => value.split_at(value.iter().position(|it| *it == b':').unwrap_or(value.len())),
    };
    let is_port = match port {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    is_port && name.iter().all(|it| is_of_name(*it))
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for host in [
            "",
            "a",
            "A.example",
            "a.example:80",
            "a:",
            ":80",
            "127.0.0.1:4999",
            "[::1]",
            "[::1]:80",
            "[v1.a:b]",
            "[fe80::1%25eth0]",
            "a_b",
            "m%C3%BCnchen",
            "a,b",
        ] {
            assert!(is_host(host.as_bytes()), "{host:?}");
        }
        for odd in [
            "a b", "a/b", "a@b", "a:b", "a:80:80", "http://a", "[", "[]", "[::1", "[::1]a",
            "[::1]:a", "a[", "\u{fc}", "a\tb", "a?", "a#", "a\\b", "\"a\"", "<a>", "::1",
        ] {
            assert!(!is_host(odd.as_bytes()), "{odd:?}");
        }
    }

    #[test]
    fn one_is_wanted_and_before_http_1_1_none_will_do() {
        let check = |hosts: &[&'static str], version, expected: bool| {
            let hosts = hosts.iter().map(|it| (header::HOST, it.parse().unwrap()));
            let mut fields = HeaderMap::new();
            hosts.for_each(|(name, value)| _ = fields.append(name, value));
            assert_eq!(super::check(version, &fields).is_ok(), expected, "{fields:?}");
        };
        for version in [Version::HTTP_10, Version::HTTP_11] {
            check(&["a"], version, true);
            check(&[""], version, true);
            check(&["a", "a"], version, false);
            check(&["a", "b"], version, false);
            check(&["a b"], version, false);
        }
        check(&[], Version::HTTP_10, true);
        check(&[], Version::HTTP_11, false);
    }
}
