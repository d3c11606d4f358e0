//! Writer for the head of an HTTP/1.1 response (RFC 9112 §4, §5).

use std::cell::Cell;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderName, HeaderValue, StatusCode, header};

/// The first bytes of every response.
pub(crate) const BEGIN: &[u8] = b"HTTP/1.1 ";

/// Appends a response head to `out`, line by line.
#[derive(Debug)]
pub(crate) struct ResponseHead<'a>(&'a mut Vec<u8>);

impl<'a> ResponseHead<'a> {
    /// Writes the status line.
    pub(crate) fn new(out: &'a mut Vec<u8>, status: StatusCode) -> ResponseHead<'a> {
        out.extend_from_slice(BEGIN);
        out.extend_from_slice(status.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(status.canonical_reason().unwrap_or("-").as_bytes());
        out.extend_from_slice(b"\r\n");
        ResponseHead(out)
    }

    /// Appends field lines that [`lines`] wrote before.
    #[must_use]
    pub(crate) fn lines(self, lines: &[u8]) -> ResponseHead<'a> {
        self.0.extend_from_slice(lines);
        self
    }

    #[must_use]
    pub(crate) fn field(self, name: &str, value: &[u8]) -> ResponseHead<'a> {
        write_field(self.0, name, value);
        self
    }

    /// Writes `Content-Length`, in bytes.
    #[must_use]
    pub(crate) fn length(self, length: u64) -> ResponseHead<'a> {
        // Writing to a `Vec` never fails.
        write!(self.0, "content-length: {length}\r\n").unwrap_or_default();
        self
    }

    /// Writes `Date` (RFC 9110 §6.6.1) and the blank line, and `Connection: close` if this is the connection's last response.
    pub(crate) fn end(self, is_last: bool) {
        if is_last {
            write_field(self.0, "connection", b"close");
        }
        write_field(self.0, "date", &date());
        self.0.extend_from_slice(b"\r\n");
    }
}

/// Header fields as field lines, without `Connection` and `Date`.
pub(crate) fn lines<'a>(
    fields: impl IntoIterator<Item = (&'a HeaderName, &'a HeaderValue)>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    for (name, value) in fields {
        // `end` writes both, because only there their values are known.
        if *name != header::CONNECTION && *name != header::DATE {
            write_field(&mut out, name.as_str(), value.as_bytes());
        }
    }
    out
}

fn write_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`: an HTTP date always has this length.
type Date = [u8; 29];

thread_local! {
    /// The last date written, and its second since the epoch.
    static WRITTEN: Cell<(u64, Date)> = const { Cell::new((u64::MAX, [0; 29])) };
}

fn date() -> Date {
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (written, date) = WRITTEN.get();
    if written == second {
        return date;
    }
    let mut date = [b' '; 29];
    let text = httpdate::fmt_http_date(now);
    date.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
    WRITTEN.set((second, date));
    date
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn a_head_is_written_line_by_line() {
        let mut out = Vec::new();
        let fields = HeaderMap::from_iter([
            (header::ETAG, "\"a\"".parse().unwrap()),
            (header::CONNECTION, "close".parse().unwrap()),
        ]);
        ResponseHead::new(&mut out, StatusCode::PARTIAL_CONTENT)
            .lines(&lines(&fields))
            .length(5)
            .end(true);
        let text = String::from_utf8(out).unwrap();
        let (head, date) = text.split_once("date: ").unwrap();
        assert_eq!(
            head,
            "HTTP/1.1 206 Partial Content\r\netag: \"a\"\r\ncontent-length: 5\r\nconnection: close\r\n"
        );
        let date = date.strip_suffix("\r\n\r\n").unwrap();
        let age = SystemTime::now().duration_since(httpdate::parse_http_date(date).unwrap());
        assert!(age.unwrap().as_secs() < 5, "{date}");
    }
}
