//! Content codings made on the fly (RFC 9110 §8.4 and §12.5.3).
//!
//! Which one a client prefers. A coded representation has an entity tag of its own and no known length. What makes it is
//! [`encoders`](crate::http::encoders).

use crate::http::accept;
use crate::http::request_fields::{Field, RequestFields};

/// Below this many bytes the coding costs more than it saves: with a head, they are one packet anyway.
pub(crate) const SMALLEST: u64 = 1400;

/// A content coding, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// The file as it is.
    Identity,
    /// RFC 8878.
    Zstd,
    /// RFC 7932.
    Brotli,
    /// RFC 1952.
    Gzip,
}

impl Coding {
    /// Every one that a client may have got a file in.
    pub const ALL: [Coding; 4] = [Coding::Identity, Coding::Zstd, Coding::Brotli, Coding::Gzip];
    /// In the order of our own liking.
    const ON_THE_FLY: [Coding; 3] = [Coding::Zstd, Coding::Brotli, Coding::Gzip];

    /// What a request is best answered in, if that is a file that shrinks. Parts are parts of the file as it is.
    pub fn wanted(fields: RequestFields<'_>) -> Coding {
        if fields.contains(Field::Range) { Coding::Identity } else { Coding::preferred(fields) }
    }

    /// What a client likes best; of what it likes equally, what serves it best.
    pub fn preferred(fields: RequestFields<'_>) -> Coding {
        let mut best = (Coding::Identity, 0);
        for offer in Coding::ON_THE_FLY {
            let weight = weight(fields, offer.token());
            if weight > best.1 {
                best = (offer, weight);
            }
        }
        // Whoever says outright that it prefers the plain file gets it.
        let plain = explicit_weight(fields, Coding::Identity.token()).unwrap_or(0);
        if plain > best.1 { Coding::Identity } else { best.0 }
    }

    /// The name in `Content-Encoding`.
    pub fn token(self) -> &'static str {
        match self {
            Coding::Identity => "identity",
            Coding::Zstd => "zstd",
            Coding::Brotli => "br",
            Coding::Gzip => "gzip",
        }
    }

    /// The entity tag of a representation in this coding, from that of the file as it is.
    pub fn etag(self, plain: &str) -> String {
        match self {
            Coding::Identity => plain.to_owned(),
            _ => format!("{}-{}\"", plain.trim_end_matches('"'), self.token()),
        }
    }

    /// Whether an entity tag is that of a coding.
    pub fn made(etag: &str) -> bool {
        let opaque = etag.trim_end_matches('"');
        Coding::ON_THE_FLY
            .iter()
            .any(|it| opaque.strip_suffix(it.token()).is_some_and(|it| it.ends_with('-')))
    }
}

/// How much a client likes a coding, in thousandths; 0 is not at all.
fn weight(fields: RequestFields<'_>, token: &str) -> u32 {
    explicit_weight(fields, token).or_else(|| explicit_weight(fields, "*")).unwrap_or(0)
}

fn explicit_weight(fields: RequestFields<'_>, token: &str) -> Option<u32> {
    let named = |name| accept::named(fields.get_all(Field::AcceptEncoding), name);
    // RFC 9110 §8.4.1.3: `x-gzip` is `gzip`.
    named(token).or_else(|| (token == Coding::Gzip.token()).then(|| named("x-gzip")).flatten())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, header};

    use super::*;

    #[test]
    fn the_clients_preference_decides() {
        let check = |accept: &'static str, expected: Coding| {
            let headers =
                HeaderMap::from_iter([(header::ACCEPT_ENCODING, accept.parse().unwrap())]);
            assert_eq!(Coding::preferred(RequestFields::new(&headers)), expected, "{accept}");
        };
        assert_eq!(Coding::preferred(RequestFields::new(&HeaderMap::new())), Coding::Identity);
        check("", Coding::Identity);
        check("gzip", Coding::Gzip);
        check("x-gzip", Coding::Gzip);
        check("GZIP", Coding::Gzip);
        check("gzip, deflate, br, zstd", Coding::Zstd);
        check("gzip, deflate, br", Coding::Brotli);
        check("zstd;q=0.5, gzip;q=0.8", Coding::Gzip);
        check("zstd;q=0, gzip", Coding::Gzip);
        check("*", Coding::Zstd);
        check("*;q=0.5, zstd;q=0", Coding::Brotli);
        check("identity", Coding::Identity);
        check("identity;q=1, gzip;q=0.5", Coding::Identity);
        check("identity;q=0.5, gzip;q=1.0", Coding::Gzip);
        check("identity;q=0", Coding::Identity);
        check("gzip;q=0", Coding::Identity);
        check("gzip;q=2", Coding::Identity);
        check("deflate", Coding::Identity);
        check("compress, gzip;q=0.001", Coding::Gzip);
    }

    #[test]
    fn each_coding_has_a_tag_of_its_own() {
        assert_eq!(Coding::Identity.etag("\"1-2\""), "\"1-2\"");
        assert_eq!(Coding::Brotli.etag("\"1-2\""), "\"1-2-br\"");
        assert!(Coding::made("\"1-2-br\"") && !Coding::made("\"1-2\"") && !Coding::made("\"br\""));
    }
}
