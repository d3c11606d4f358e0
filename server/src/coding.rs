//! Content codings made on the fly (RFC 9110 §8.4 and §12.5.3).
//!
//! Which one a client prefers, and the stream that makes it. A coded representation has an entity tag of its own
//! and no known length. An encoder holds up to two megabytes, whatever the file's size, so only so many work at a time.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use async_compression::Level;
use async_compression::tokio::bufread::{BrotliEncoder, GzipEncoder, ZstdEncoder};
use async_compression::{brotli, zstd};
use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use http::{HeaderMap, header};
use tokio::io::AsyncRead;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::io::{ReaderStream, StreamReader};

use crate::accept;

/// Below this many bytes the coding costs more than it saves: with a head, they are one packet anyway.
pub const SMALLEST: u64 = 1400;
/// Bytes of coded text handed on at a time.
const CHUNK: usize = 32 * 1024;
/// Log₂ of the encoders' windows in bytes.
const WINDOW_BITS: u32 = 18;
/// Where speed and size meet for text made on the fly, in each coding's own scale.
const ZSTD_LEVEL: i32 = 3;
const BROTLI_LEVEL: i32 = 4;
const GZIP_LEVEL: i32 = 5;

/// As many encoders work at a time.
const MOST_ENCODERS: usize = 32;

/// As many lengths of coded bodies are kept in mind.
const MOST_LENGTHS: usize = 4096;

/// The encoders of a service. Whoever comes when all are busy gets the file as it is.
#[derive(Debug)]
pub struct Encoders {
    places: Arc<Semaphore>,
    lengths: Arc<Lengths>,
}

/// How many bytes the bodies have had that went out whole, by entity tag.
///
/// Taken for one look-up or insertion, by bodies that end and by requests that name a coding's tag and a range.
#[derive(Debug, Default)]
struct Lengths(Mutex<HashMap<String, u64>>);

/// One of them, for one body in one coding.
#[derive(Debug)]
pub struct Encoder {
    coding: Coding,
    place: OwnedSemaphorePermit,
    lengths: Arc<Lengths>,
}

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
    pub fn wanted(headers: &HeaderMap) -> Coding {
        if headers.contains_key(header::RANGE) {
            Coding::Identity
        } else {
            Coding::preferred(headers)
        }
    }

    /// What a client likes best; of what it likes equally, what serves it best.
    pub fn preferred(headers: &HeaderMap) -> Coding {
        let mut best = (Coding::Identity, 0);
        for offer in Coding::ON_THE_FLY {
            let weight = weight(headers, offer.token());
            if weight > best.1 {
                best = (offer, weight);
            }
        }
        // Whoever says outright that it prefers the plain file gets it.
        let plain = explicit_weight(headers, Coding::Identity.token()).unwrap_or(0);
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

impl Default for Encoders {
    fn default() -> Encoders {
        Encoders { places: Arc::new(Semaphore::new(MOST_ENCODERS)), lengths: Arc::default() }
    }
}

impl Encoders {
    /// An encoder for a coding, if one is needed and free.
    pub fn take(&self, coding: Coding) -> Option<Encoder> {
        if coding == Coding::Identity {
            return None;
        }
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Encoder { coding, place, lengths: Arc::clone(&self.lengths) })
    }

    /// How many bytes the body with a tag has, if it went out whole of late.
    pub fn length_of(&self, etag: &str) -> Option<u64> {
        self.lengths.0.lock().unwrap_or_else(PoisonError::into_inner).get(etag).copied()
    }
}

impl Lengths {
    fn keep(&self, etag: String, length: u64) {
        let mut lengths = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What is forgotten costs a range, and nothing worse.
        if lengths.len() >= MOST_LENGTHS {
            lengths.clear();
        }
        lengths.insert(etag, length);
    }
}

impl Encoder {
    /// The body in this coding. Under an entity tag its length is kept in mind.
    pub fn encode(self, body: Body, etag: Option<&str>) -> Body {
        let coding = self.coding;
        let plain = StreamReader::new(body.into_data_stream().map_err(std::io::Error::other));
        let etag = etag.map(str::to_owned);
        match coding {
            Coding::Identity => self.stream(plain, etag),
            Coding::Zstd => {
                let window = zstd::CParameter::window_log(WINDOW_BITS);
                let level = Level::Precise(ZSTD_LEVEL);
                self.stream(ZstdEncoder::with_quality_and_params(plain, level, &[window]), etag)
            }
            Coding::Brotli => {
                let params = brotli::EncoderParams::default();
                let params = params
                    .quality(Level::Precise(BROTLI_LEVEL))
                    .window_size(WINDOW_BITS.cast_signed());
                self.stream(BrotliEncoder::with_params(plain, params), etag)
            }
            Coding::Gzip => {
                self.stream(GzipEncoder::with_quality(plain, Level::Precise(GZIP_LEVEL)), etag)
            }
        }
    }
}

impl Encoder {
    fn stream(self, reader: impl AsyncRead + Send + 'static, etag: Option<String>) -> Body {
        let stream = Box::pin(ReaderStream::with_capacity(reader, CHUNK));
        Body::from_stream(Coded {
            stream,
            lengths: self.lengths,
            etag,
            length: 0,
            _place: self.place,
        })
    }
}

/// A body in a coding, on its way.
struct Coded<S> {
    stream: Pin<Box<S>>,
    lengths: Arc<Lengths>,
    etag: Option<String>,
    /// Bytes so far.
    length: u64,
    /// Given back with the body.
    _place: OwnedSemaphorePermit,
}

impl<S: Stream<Item = io::Result<Bytes>>> Stream for Coded<S> {
    type Item = io::Result<Bytes>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        let next = ready!(self.stream.as_mut().poll_next(context));
        match &next {
            Some(Ok(bytes)) => self.length += bytes.len() as u64,
            Some(Err(_)) => self.etag = None,
            None => {
                if let Some(etag) = self.etag.take() {
                    self.lengths.keep(etag, self.length);
                }
            }
        }
        Poll::Ready(next)
    }
}

/// How much a client likes a coding, in thousandths; 0 is not at all.
fn weight(headers: &HeaderMap, token: &str) -> u32 {
    explicit_weight(headers, token).or_else(|| explicit_weight(headers, "*")).unwrap_or(0)
}

fn explicit_weight(headers: &HeaderMap, token: &str) -> Option<u32> {
    let named = |name| accept::named(headers, &header::ACCEPT_ENCODING, name);
    // RFC 9110 §8.4.1.3: `x-gzip` is `gzip`.
    named(token).or_else(|| (token == Coding::Gzip.token()).then(|| named("x-gzip")).flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_preference_decides() {
        let check = |accept: &'static str, expected: Coding| {
            let headers =
                HeaderMap::from_iter([(header::ACCEPT_ENCODING, accept.parse().unwrap())]);
            assert_eq!(Coding::preferred(&headers), expected, "{accept}");
        };
        assert_eq!(Coding::preferred(&HeaderMap::new()), Coding::Identity);
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
