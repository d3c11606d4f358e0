//! Writing header fields.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// A value that the server itself composed. An invalid one becomes empty.
pub(crate) fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

/// Sets a field. An invalid value is logged and left out, never sent in part.
pub(crate) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => {
            headers.insert(name, value);
        }
        Err(error) => tracing::error!("left out the invalid header field `{name}`: {error}"),
    }
}

/// The value of `Content-Length` (RFC 9110 §8.6), in bytes.
pub(crate) fn content_length(fields: &HeaderMap) -> Option<u64> {
    fields.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
