//! Content negotiation for codings made on the fly (RFC 9110 §8.4, §12.5.3): which coding a client prefers.
//!
//! A coded representation has its own entity tag and no known length. The [`encoders`](crate::http::encoders) do the work.

use crate::http::accept;
use crate::http::request_fields::{Field, RequestFields};

/// Smallest file worth coding, in bytes. A smaller one fits into one packet together with its head anyway.
pub(crate) const SMALLEST: u64 = 1400;

/// A content coding, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// No coding.
    Identity,
    /// RFC 8878.
    Zstd,
    /// RFC 7932.
    Brotli,
    /// RFC 1952.
    Gzip,
}

impl Coding {
    /// Every coding in which a client may have received a file.
    pub const ALL: [Coding; 4] = [Coding::Identity, Coding::Zstd, Coding::Brotli, Coding::Gzip];
    /// In the server's order of preference.
    const ON_THE_FLY: [Coding; 3] = [Coding::Zstd, Coding::Brotli, Coding::Gzip];

    /// The coding for a response with a compressible file. Ranges are always ranges of the file without a coding.
    pub fn wanted(fields: RequestFields<'_>) -> Coding {
        if fields.contains(Field::Range) { Coding::Identity } else { Coding::preferred(fields) }
    }

    /// The coding that a client prefers. Among equal ones, the first in the server's order.
    pub fn preferred(fields: RequestFields<'_>) -> Coding {
        let mut best = (Coding::Identity, 0);
        for offer in Coding::ON_THE_FLY {
            let weight = weight(fields, offer.token());
            if weight > best.1 {
                best = (offer, weight);
            }
        }
        // A client that explicitly prefers no coding gets none.
        let plain = explicit_weight(fields, Coding::Identity.token()).unwrap_or(0);
        if plain > best.1 { Coding::Identity } else { best.0 }
    }

    /// The token in `Content-Encoding`.
    pub fn token(self) -> &'static str {
        match self {
            Coding::Identity => "identity",
            Coding::Zstd => "zstd",
            Coding::Brotli => "br",
            Coding::Gzip => "gzip",
        }
    }

    /// The entity tag of a representation with this coding, from the tag without a coding.
    pub fn etag(self, plain: &str) -> String {
        match self {
            Coding::Identity => plain.to_owned(),
            _ => format!("{}-{}\"", plain.trim_end_matches('"'), self.token()),
        }
    }

    /// Whether an entity tag is that of a coded representation.
    pub fn made(etag: &str) -> bool {
        let opaque = etag.trim_end_matches('"');
        Coding::ON_THE_FLY
            .iter()
            .any(|it| opaque.strip_suffix(it.token()).is_some_and(|it| it.ends_with('-')))
    }
}

/// A client's quality value for a coding, in thousandths; 0 means not acceptable.
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
