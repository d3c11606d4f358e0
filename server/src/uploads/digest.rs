//! Digests of uploads: those of RFC 9530, and the checksums of tus.
//!
//! A `PUT` has the whole representation without a coding, so `Repr-Digest` and `Content-Digest` are digests of the same bytes. SHA-256 and
//! SHA-512 are checked; the registry's weaker algorithms are ignored, as RFC 9530 §6 asks. Digests cost time, so only those that a request
//! needs are computed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use crate::problem::Problem;

/// Digest of the whole file.
pub(crate) const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
/// Checksum of the bytes in a tus request.
pub(crate) const UPLOAD_CHECKSUM: HeaderName = HeaderName::from_static("upload-checksum");
/// Algorithms for `Upload-Checksum`.
pub(crate) const CHECKSUMS: &str = "sha1,sha256";
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
const WANT_REPR_DIGEST: HeaderName = HeaderName::from_static("want-repr-digest");
const WANT_CONTENT_DIGEST: HeaderName = HeaderName::from_static("want-content-digest");

/// The digests that a request sends or wants, computed while its body arrives.
#[derive(Debug, Default)]
pub struct Digests {
    sha1: Option<Sha1>,
    sha256: Option<Sha256>,
    sha512: Option<Sha512>,
    sent: Vec<(Algorithm, Vec<u8>)>,
    is_wanted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    /// Only for tus clients: it protects against transmission errors, not against forgery.
    Sha1,
    Sha256,
    Sha512,
}

impl Digests {
    /// The digests that the header fields of a `PUT` ask for.
    pub fn of(headers: &HeaderMap) -> Result<Digests, Problem> {
        let mut digests = Digests::default();
        for name in [REPR_DIGEST, CONTENT_DIGEST] {
            for member in members(headers, &name) {
                let (algorithm, value) = member.split_once('=').unwrap_or((member, ""));
                let Some(algorithm) = Algorithm::of(algorithm) else { continue };
                let digest = decode(value).filter(|it| it.len() == algorithm.length());
                let digest = digest.ok_or_else(|| {
                    Problem::BadField(format!(
                        "`{name}`: the value of `{}` is not a digest in base64 between colons.",
                        algorithm.name()
                    ))
                })?;
                digests.sent.push((algorithm, digest));
            }
        }
        digests.is_wanted = [WANT_REPR_DIGEST, WANT_CONTENT_DIGEST].iter().any(|name| {
            members(headers, name).any(|it| {
                let (algorithm, weight) = it.split_once('=').unwrap_or((it, ""));
                Algorithm::of(algorithm) == Some(Algorithm::Sha256) && weight.trim() != "0"
            })
        });
        let is_sent = |algorithm| digests.sent.iter().any(|(it, _)| *it == algorithm);
        let needs_sha256 = digests.is_wanted || is_sent(Algorithm::Sha256);
        let needs_sha512 = is_sent(Algorithm::Sha512);
        digests.sha256 = needs_sha256.then(Sha256::new);
        digests.sha512 = needs_sha512.then(Sha512::new);
        Ok(digests)
    }

    /// The checksum in the header fields of a tus request (tus 1.0, *Checksum*).
    pub fn of_chunk(headers: &HeaderMap) -> Result<Digests, Problem> {
        let mut digests = Digests::default();
        let Some(value) = headers.get(UPLOAD_CHECKSUM) else { return Ok(digests) };
        let bad = |what: &str| Problem::BadField(format!("`Upload-Checksum`: {what}."));
        let value = value.to_str().map_err(|_malformed| bad("it is not text"))?;
        let (name, base64) = value.trim().split_once(' ').ok_or_else(|| bad("it has no value"))?;
        let algorithm = match name {
            "sha1" => Algorithm::Sha1,
            "sha256" => Algorithm::Sha256,
            _ => return Err(bad(&format!("only {CHECKSUMS} are known"))),
        };
        let sent = STANDARD.decode(base64.trim()).ok();
        let sent = sent.filter(|it| it.len() == algorithm.length());
        digests
            .sent
            .push((algorithm, sent.ok_or_else(|| bad("its value is not a digest in base64"))?));
        digests.sha1 = (algorithm == Algorithm::Sha1).then(Sha1::new);
        digests.sha256 = (algorithm == Algorithm::Sha256).then(Sha256::new);
        Ok(digests)
    }

    /// Whether there are any to check.
    pub fn are_sent(&self) -> bool {
        !self.sent.is_empty()
    }

    /// Adds received bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        if let Some(sha1) = &mut self.sha1 {
            sha1.update(bytes);
        }
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
        if let Some(sha512) = &mut self.sha512 {
            sha512.update(bytes);
        }
    }

    /// Checks every digest that was sent against the received bytes.
    pub fn check(&self) -> Result<(), Problem> {
        for (algorithm, sent) in &self.sent {
            let made = match algorithm {
                Algorithm::Sha1 => self.sha1.clone().map(|it| it.finalize().to_vec()),
                Algorithm::Sha256 => self.sha256.clone().map(|it| it.finalize().to_vec()),
                Algorithm::Sha512 => self.sha512.clone().map(|it| it.finalize().to_vec()),
            };
            if made.as_ref() != Some(sent) {
                return Err(Problem::DigestMismatch { algorithm: algorithm.name() });
            }
        }
        Ok(())
    }

    /// The value of `Repr-Digest` for the response, if the client wants it.
    pub fn answer(&self) -> Option<String> {
        let made = self.sha256.clone().filter(|_| self.is_wanted)?.finalize();
        Some(format!("sha-256=:{}:", STANDARD.encode(made)))
    }
}

impl Algorithm {
    fn of(name: &str) -> Option<Algorithm> {
        match name.trim() {
            "sha-256" => Some(Algorithm::Sha256),
            "sha-512" => Some(Algorithm::Sha512),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Algorithm::Sha1 => "sha-1",
            Algorithm::Sha256 => "sha-256",
            Algorithm::Sha512 => "sha-512",
        }
    }

    /// Length of a digest in bytes.
    fn length(self) -> usize {
        match self {
            Algorithm::Sha1 => 20,
            Algorithm::Sha256 => 32,
            Algorithm::Sha512 => 64,
        }
    }
}

/// The members of a dictionary (RFC 9651 §3.2) whose values contain no comma, as is true for digests and weights.
fn members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter().filter_map(|it| it.to_str().ok());
    values.flat_map(|it| it.split(',')).map(str::trim).filter(|it| !it.is_empty())
}

/// Decodes a byte sequence (RFC 9651 §3.3.5).
fn decode(value: &str) -> Option<Vec<u8>> {
    let base64 = value.trim().strip_prefix(':')?.split_once(':')?.0;
    STANDARD.decode(base64).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_ABC: &str = "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:";

    fn digests(fields: &[(&'static str, &str)]) -> Result<Digests, Problem> {
        let headers = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        Digests::of(&headers)
    }

    #[test]
    fn what_came_is_held_against_what_was_sent() {
        let check = |fields: &[(&'static str, &str)], body: &str, expected: bool| {
            let mut digests = digests(fields).unwrap();
            digests.update(body.as_bytes());
            assert_eq!(digests.check().is_ok(), expected, "{fields:?} of {body}");
        };
        check(&[], "abc", true);
        check(&[("repr-digest", OF_ABC)], "abc", true);
        check(&[("repr-digest", OF_ABC)], "abd", false);
        check(&[("content-digest", OF_ABC)], "abd", false);
        check(&[("repr-digest", &format!("md5=:AAAA:, {OF_ABC}"))], "abd", false);
        check(&[("repr-digest", "md5=:AAAA:, unixsum=1")], "abc", true);
    }

    #[test]
    fn what_is_no_digest_is_not_ignored() {
        for value in ["sha-256", "sha-256=abc", "sha-256=:AAAA:", "sha-256=:!:", "sha-512=:AAAA:"] {
            assert!(digests(&[("repr-digest", value)]).is_err(), "{value}");
        }
    }

    #[test]
    fn a_chunk_has_one_checksum() {
        let check = |value: &str, body: &str, expected: Option<bool>| {
            let headers = HeaderMap::from_iter([(UPLOAD_CHECKSUM, value.parse().unwrap())]);
            let verdict = Digests::of_chunk(&headers).ok().map(|mut it| {
                it.update(body.as_bytes());
                it.check().is_ok()
            });
            assert_eq!(verdict, expected, "{value} of {body}");
        };
        check("sha1 qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", "abc", Some(true));
        check("sha1 qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", "abd", Some(false));
        check("sha256 ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=", "abc", Some(true));
        for value in ["sha1", "sha1 ", "sha1 AAAA", "md5 AAAA", "sha1 !"] {
            check(value, "", None);
        }
        assert!(!Digests::of_chunk(&HeaderMap::new()).unwrap().are_sent());
    }

    #[test]
    fn a_digest_is_answered_where_it_is_wanted() {
        let check = |field: &str, expected: Option<&str>| {
            let mut digests = digests(&[("want-repr-digest", field)]).unwrap();
            digests.update(b"abc");
            assert_eq!(digests.answer().as_deref(), expected, "{field}");
        };
        check("sha-256=1", Some(OF_ABC));
        check("sha-512=3, sha-256=10", Some(OF_ABC));
        check("sha-256=0", None);
        check("unixsum=1", None);
    }
}
