//! Parser for the head of a plain read, in place.
//!
//! Pure: takes bytes, keeps none. Any other request is [`Parsed::Other`], and left to hyper, which knows all of HTTP.

use std::mem::MaybeUninit;

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use httparse::Status;

use crate::http::host;
use crate::http::request_fields::Field;
use crate::routes::HEALTH;

/// Maximum number of header fields in a plain read. Browsers send about fifteen.
pub const MOST_FIELDS: usize = 48;

/// Space for a head's header fields. It needs no initialisation.
pub(crate) type Room<'a> = [MaybeUninit<httparse::Header<'a>>; MOST_FIELDS];

/// What the bytes received so far are.
#[derive(Debug)]
pub enum Parsed<'room, 'a> {
    /// They begin with a plain read: `GET` or `HEAD` of a path below `/files/` or of `/health`, with HTTP/1.1, without a body.
    Read(RequestHead<'room, 'a>),
    /// The head is not complete yet.
    Partial,
    /// Another request, or not HTTP at all.
    Other,
}

/// The head of a plain read.
#[derive(Debug)]
pub struct RequestHead<'room, 'a> {
    /// `GET` or `HEAD`.
    pub method: Method,
    /// Path and query, as received.
    pub target: &'a str,
    /// Whether the client sent `Connection: close`.
    pub is_last: bool,
    /// Length of the head in bytes, its blank line included.
    pub len: usize,
    fields: &'room [httparse::Header<'a>],
}

impl<'room, 'a> RequestHead<'room, 'a> {
    /// Parses the first request head in `bytes`.
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
        RequestHead::plain(method, target, headers, len).map_or(Parsed::Other, Parsed::Read)
    }

    fn plain(
        method: &str,
        target: &'a str,
        fields: &'room [httparse::Header<'a>],
        len: usize,
    ) -> Option<RequestHead<'room, 'a>> {
        let method = match method {
            "GET" => Method::GET,
            "HEAD" => Method::HEAD,
            _ => return None,
        };
        if !target.starts_with("/files/") && target != HEALTH {
            return None;
        }
        let (mut is_last, mut hosts) = (false, 0);
        for field in fields {
            match field.name.len() {
                4 if field.name.eq_ignore_ascii_case("host") => {
                    if !host::is_host(field.value) {
                        return None;
                    }
                    hosts += 1;
                }
                10 if field.name.eq_ignore_ascii_case("connection") => match field.value {
                    value if value.eq_ignore_ascii_case(b"close") => is_last = true,
                    value if value.eq_ignore_ascii_case(b"keep-alive") => {}
                    _ => return None,
                },
                // Fields that announce a body, or that need a reply before it.
                6 | 7 | 14 | 17 if is_of_a_body(field.name) => return None,
                _ => {}
            }
        }
        // RFC 9112 §3.2: exactly one `Host` field.
        (hosts == 1).then_some(RequestHead { method, target, is_last, len, fields })
    }

    /// The path, if the target has no query.
    pub fn bare_path(&self) -> Option<&'a str> {
        (!self.target.contains(['?', '#'])).then_some(self.target)
    }

    /// The header fields that the response can depend on.
    pub fn request_fields(&self) -> HeaderMap {
        let known = self.fields.iter().filter_map(|field| {
            let mut all = Field::ALL.into_iter();
            let name = all.find(|it| it.as_str().eq_ignore_ascii_case(field.name))?.name();
            Some((name, HeaderValue::from_bytes(field.value).ok()?))
        });
        let mut fields = HeaderMap::new();
        for (name, value) in known {
            fields.append(name, value);
        }
        fields
    }

    /// The same request for the general handler. `None` if the target is not a valid URI, or a field is not valid.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A request as a browser sends it.
    const PLAIN: &str = "GET /files/run/a.csv?x=1 HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\nRange: bytes=0-1\r\n\r\n";

    fn room<'a>() -> Room<'a> {
        [const { MaybeUninit::uninit() }; MOST_FIELDS]
    }

    fn with_parsed<T>(bytes: &[u8], look: impl FnOnce(Parsed<'_, '_>) -> T) -> T {
        look(RequestHead::parse(bytes, &mut room()))
    }

    fn kind(text: &str) -> &'static str {
        with_parsed(text.as_bytes(), |parsed| match parsed {
            Parsed::Read(head) => {
                assert_eq!(head.len, text.len(), "{text:?}");
                if head.is_last { "last" } else { "read" }
            }
            Parsed::Partial => "partial",
            Parsed::Other => "other",
        })
    }

    #[test]
    fn a_plain_read_is_known_from_all_that_is_for_hyper() {
        let first = |line: &str, expected: &str| {
            assert_eq!(kind(&format!("{line}\r\nHost: a\r\n\r\n")), expected, "{line}");
        };
        first("GET /files/a HTTP/1.1", "read");
        first("HEAD /files/a HTTP/1.1", "read");
        first("GET /files/ HTTP/1.1", "read");
        first("GET /files/a?format=json HTTP/1.1", "read");
        first("\r\nGET /files/a HTTP/1.1", "read");
        first("GET /files/a HTTP/1.0", "other");
        first("GET /files/a HTTP/2.0", "other");
        first("GET /files/a", "other");
        first("GET http://a/files/a HTTP/1.1", "other");
        first("GET * HTTP/1.1", "other");
        first("GET /health HTTP/1.1", "read");
        first("HEAD /health HTTP/1.1", "read");
        first("GET /health?x HTTP/1.1", "other");
        first("GET /health/ HTTP/1.1", "other");
        first("POST /health HTTP/1.1", "other");
        first("GET /files HTTP/1.1", "other");
        first("GET /Files/a HTTP/1.1", "other");
        first("GET /share/key/a HTTP/1.1", "other");
        first("GET //files/a HTTP/1.1", "other");
        first("GET /files/a b HTTP/1.1", "other");
        for method in ["get", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"] {
            first(&format!("{method} /files/a HTTP/1.1"), "other");
        }
        first("\x16\x03\x01", "other");

        let fields = |lines: &str, expected: &str| {
            let head = format!("GET /files/a HTTP/1.1\r\n{lines}\r\n");
            assert_eq!(kind(&head), expected, "{lines:?}");
        };
        fields("", "other");
        fields("Host: a\r\n", "read");
        fields("hOsT:a\r\n", "read");
        fields("Host: a\r\nHost: a\r\n", "other");
        fields("Host: a\r\nhost: b\r\n", "other");
        fields("Host: a\r\nHosts: b\r\n", "read");
        fields("Host:\r\n", "read");
        fields("Host: [::1]:80\r\n", "read");
        for odd in ["a b", "a/b", "a:b", "\u{fc}"] {
            fields(&format!("Host: {odd}\r\n"), "other");
        }
        fields("Host: a\nX: b\n", "read");
        for name in ["Content-Length", "Transfer-Encoding", "Expect", "Upgrade"] {
            for name in [name.to_owned(), name.to_lowercase(), name.to_uppercase()] {
                fields(&format!("Host: a\r\n{name}: 0\r\n"), "other");
                fields(&format!("{name}: \r\nHost: a\r\n"), "other");
                fields(&format!("Host: a\r\nX-{name}: 0\r\n"), "read");
            }
        }
        fields("Host: a\r\nConnection: keep-alive\r\n", "read");
        fields("Host: a\r\nconnection: Keep-Alive\r\n", "read");
        fields("Host: a\r\nConnection: close\r\n", "last");
        fields("CONNECTION: CLOSE\r\nHost: a\r\n", "last");
        fields("Host: a\r\nConnection: close\r\nConnection: keep-alive\r\n", "last");
        for other in ["", "close, te", "keep-alive, upgrade", "closed", "upgrade"] {
            fields(&format!("Host: a\r\nConnection: {other}\r\n"), "other");
        }
        fields("Host: a\r\nno field\r\n", "other");
        fields("Host: a\r\nX : b\r\n", "other");
        fields("Host: a\r\nX: b\r\n c\r\n", "other");
        fields("Host: a\r\nX: \x01\r\n", "other");
        let many = |count: usize| "X: y\r\n".repeat(count);
        fields(&format!("Host: a\r\n{}", many(MOST_FIELDS - 1)), "read");
        fields(&format!("Host: a\r\n{}", many(MOST_FIELDS)), "other");
    }

    #[test]
    fn a_beginning_is_told_at_every_length() {
        for len in 0..PLAIN.len() {
            let begun = PLAIN.get(..len).unwrap();
            assert_eq!(kind(begun), "partial", "{begun:?}");
        }
        assert_eq!(kind(PLAIN), "read");
    }

    #[test]
    fn what_comes_behind_a_head_is_not_its_own() {
        for behind in ["GET /files/b HTTP/1.1\r\n", "PUT /files/b HTTP/1.1\r\n\r\n", "\0\0", "\r\n"]
        {
            with_parsed([PLAIN, behind].concat().as_bytes(), |parsed| {
                let Parsed::Read(head) = parsed else { panic!("{behind:?} made it {parsed:?}") };
                assert_eq!((head.len, head.target), (PLAIN.len(), "/files/run/a.csv?x=1"));
            });
        }
    }

    #[test]
    fn a_path_with_something_behind_is_not_bare() {
        let check = |target: &str, expected: Option<&str>| {
            let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
            with_parsed(head.as_bytes(), |parsed| {
                let Parsed::Read(head) = parsed else { panic!("{target}: {parsed:?}") };
                assert_eq!(head.bare_path(), expected);
            });
        };
        check("/files/a%3Fb", Some("/files/a%3Fb"));
        check("/files/a?", None);
        check("/files/a?token=b", None);
        check("/files/a#b", None);
    }

    /// The fields of the request that the response can depend on.
    fn mattering(request: &Request<Body>) -> HeaderMap {
        let mut fields = request.headers().clone();
        for name in request
            .headers()
            .keys()
            .filter(|it| Field::ALL.iter().all(|field| field.as_str() != it.as_str()))
        {
            fields.remove(name);
        }
        fields
    }

    #[test]
    fn fields_are_the_same_for_all_who_look() {
        let text = "HEAD /files/a?b HTTP/1.1\r\nHOST: a\r\naccept-Encoding: gzip\r\nX-Other: 1\r\n\
            Accept-Encoding:  br \r\nIF-NONE-MATCH: \"a\"\r\nIf-None-Match: \"b\"\r\nauthorization: \r\n\
            X-Forwarded-For: \u{fc}\r\nX-Other: 2\r\n\r\n";
        with_parsed(text.as_bytes(), |parsed| {
            let Parsed::Read(head) = parsed else { panic!("{parsed:?}") };
            let request = head.request().unwrap();
            assert_eq!((request.method().as_str(), request.uri().path()), ("HEAD", "/files/a"));
            assert_eq!(request.uri().query(), Some("b"));
            assert_eq!(request.version(), http::Version::HTTP_11);
            let all = |fields: &HeaderMap, name: &str| {
                let values = fields.get_all(name).iter();
                values.map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned()).collect()
            };
            let check = |fields: &HeaderMap, name: &str, expected: &[&str]| {
                let values: Vec<String> = all(fields, name);
                assert_eq!(values, expected, "{name}");
            };
            let fields = head.request_fields();
            for fields in [&fields, request.headers()] {
                check(fields, "accept-encoding", &["gzip", "br"]);
                check(fields, "if-none-match", &["\"a\"", "\"b\""]);
                check(fields, "authorization", &[""]);
                check(fields, "x-forwarded-for", &["\u{fc}"]);
                check(fields, "range", &[]);
            }
            check(request.headers(), "x-other", &["1", "2"]);
            check(&fields, "x-other", &[]);
            assert_eq!(fields, mattering(&request));
        });
    }

    /// Whether a body follows a head, by RFC 9112 §6.3 alone, as hyper decides it.
    fn announces_body(head: &[u8]) -> bool {
        head.split(|it| *it == b'\n').any(|line| {
            let name = line.split(|it| *it == b':').next().unwrap_or_default();
            [b"content-length".as_slice(), b"transfer-encoding"]
                .iter()
                .any(|it| it.eq_ignore_ascii_case(name.trim_ascii()))
        })
    }

    /// Request heads as clients send them, and nearly valid ones.
    fn some_head() -> impl Strategy<Value = Vec<u8>> {
        let method = prop::sample::select(vec!["GET", "GET", "HEAD", "\r\nGET", "PUT"]);
        let target = prop::sample::select(vec!["/files/a", "/files/", "/files/a?", "/health"]);
        let version = prop::sample::select(vec!["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0"]);
        let name = prop::sample::select(vec![
            "Host",
            "host",
            "Range",
            "Content-Length",
            "content-lengtH",
            "Transfer-Encoding",
            "TRANSFER-ENCODING",
            "Content-Length ",
            " Transfer-Encoding",
            "Connection",
            "Expect",
            "If-Range",
            "X",
        ]);
        let value = prop_oneof![
            prop::sample::select(vec![
                "a", "0", "5", "chunked", "close", "", "\t", "a\r\n b", "\0"
            ])
            .prop_map(|it| it.as_bytes().to_vec()),
            prop::collection::vec(any::<u8>(), 0..6),
        ];
        let end = prop::sample::select(vec!["\r\n", "\r\n", "\r\n", "\n", "\r", "\r\n\r\n"]);
        let field = (name, prop::sample::select(vec![":", ": ", ":\t", " : "]), value, end);
        let fields = prop::collection::vec(field, 0..6);
        (method, target, version, fields).prop_map(|(method, target, version, fields)| {
            let mut head = format!("{method} {target} {version}\r\nHost: a\r\n").into_bytes();
            for (name, colon, value, end) in fields {
                head.extend_from_slice(name.as_bytes());
                head.extend_from_slice(colon.as_bytes());
                head.extend_from_slice(&value);
                head.extend_from_slice(end.as_bytes());
            }
            head.extend_from_slice(b"\r\n");
            head
        })
    }

    proptest! {
        #[test]
        fn whatever_comes_is_told(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            with_parsed(&bytes, |_| {});
            with_parsed(&[b"GET /files/".as_slice(), &bytes].concat(), |_| {});
        }

        #[test]
        fn no_read_has_a_body(bytes in some_head()) {
            with_parsed(&bytes, |parsed| {
                let Parsed::Read(head) = parsed else { return Ok(()) };
                prop_assert!(!announces_body(&bytes[..head.len]));
                if let Some(request) = head.request() {
                    prop_assert_eq!(head.request_fields(), mattering(&request));
                    prop_assert_eq!(request.headers().get_all("host").iter().count(), 1);
                }
                Ok(())
            })?;
        }
    }
}
