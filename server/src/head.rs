//! The head of a request that only reads a file, taken apart where it lies.
//!
//! Pure: takes bytes, keeps none. What is anything else than a plain read is [`Parsed::Other`]: hyper knows all of HTTP,
//! this knows what most requests are.

use std::mem::MaybeUninit;

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use httparse::Status;

/// Fields of a plain read; browsers send some fifteen.
pub const MOST_FIELDS: usize = 48;

/// The fields that the answer to a read can depend on, in lower case.
const THAT_MATTER: [&str; 11] = [
    "accept-encoding",
    "authorization",
    "fly-client-ip",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "range",
    "sec-fetch-mode",
    "x-forwarded-for",
];

/// Room for a head's fields, which nobody needs to clear.
pub type Room<'a> = [MaybeUninit<httparse::Header<'a>>; MOST_FIELDS];

/// What bytes are that have come.
#[derive(Debug)]
pub enum Parsed<'room, 'a> {
    /// They begin with a plain read: `GET` or `HEAD` of a path below `/files/`, of HTTP/1.1, without a body.
    Read(Head<'room, 'a>),
    /// More must come before this can be told.
    Partial,
    /// Something else, or nothing that HTTP knows.
    Other,
}

/// The head of a plain read.
#[derive(Debug)]
pub struct Head<'room, 'a> {
    /// `GET` or `HEAD`.
    pub method: Method,
    /// Path and query as they came.
    pub target: &'a str,
    /// Whether the client wants no more over this connection.
    pub is_last: bool,
    /// Bytes up to the body that it has not.
    pub len: usize,
    fields: &'room [httparse::Header<'a>],
}

impl<'room, 'a> Head<'room, 'a> {
    /// Takes the first head of what has come.
    pub fn parse(bytes: &'a [u8], room: &'room mut Room<'a>) -> Parsed<'room, 'a> {
        let mut request = httparse::Request::new(&mut []);
        let len = match request.parse_with_uninit_headers(bytes, room) {
            Ok(Status::Complete(len)) => len,
            Ok(Status::Partial) => return Parsed::Partial,
            Err(_) => return Parsed::Other,
        };
        let httparse::Request { method, path, version, headers, .. } = request;
        let (Some(method), Some(target), Some(1)) = (method, path, version) else {
            return Parsed::Other;
        };
        Head::plain(method, target, headers, len).map_or(Parsed::Other, Parsed::Read)
    }

    fn plain(
        method: &str,
        target: &'a str,
        fields: &'room [httparse::Header<'a>],
        len: usize,
    ) -> Option<Head<'room, 'a>> {
        let method = match method {
            "GET" => Method::GET,
            "HEAD" => Method::HEAD,
            _ => return None,
        };
        if !target.starts_with("/files/") {
            return None;
        }
        let (mut is_last, mut hosts) = (false, 0);
        for field in fields {
            match field.name.len() {
                4 if field.name.eq_ignore_ascii_case("host") => hosts += 1,
                10 if field.name.eq_ignore_ascii_case("connection") => match field.value {
                    value if value.eq_ignore_ascii_case(b"close") => is_last = true,
                    value if value.eq_ignore_ascii_case(b"keep-alive") => {}
                    _ => return None,
                },
                // What announces a body, or asks for something before it.
                6 | 7 | 14 | 17 if is_of_a_body(field.name) => return None,
                _ => {}
            }
        }
        // RFC 9112 §3.2.
        (hosts == 1).then_some(Head { method, target, is_last, len, fields })
    }

    /// The path, if there is no query.
    pub fn bare_path(&self) -> Option<&'a str> {
        (!self.target.contains(['?', '#'])).then_some(self.target)
    }

    /// The fields that the answer can depend on.
    pub fn fields_that_matter(&self) -> HeaderMap {
        let known = self.fields.iter().filter_map(|field| {
            let name = THAT_MATTER.into_iter().find(|it| it.eq_ignore_ascii_case(field.name))?;
            Some((HeaderName::from_static(name), HeaderValue::from_bytes(field.value).ok()?))
        });
        let mut fields = HeaderMap::new();
        for (name, value) in known {
            fields.append(name, value);
        }
        fields
    }

    /// The request as all others see it; none where the address is none.
    pub fn request(&self) -> Option<Request<Body>> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = Uri::try_from(self.target).ok()?;
        let fields = request.headers_mut();
        fields.reserve(self.fields.len());
        for field in self.fields {
            let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
            fields.append(name, HeaderValue::from_bytes(field.value).ok()?);
        }
        Some(request)
    }
}

fn is_of_a_body(name: &str) -> bool {
    ["expect", "upgrade", "content-length", "transfer-encoding"]
        .iter()
        .any(|it| it.eq_ignore_ascii_case(name))
}
