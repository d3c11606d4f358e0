//! Writing header fields.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// A value that is written here, and so can be one.
pub(crate) fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

/// Sets a field. A value that no field may have is left out and said in the log, never sent in part.
pub(crate) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => {
            headers.insert(name, value);
        }
        Err(error) => tracing::error!("the field `{name}` was left out: {error}"),
    }
}

/// How long a message's content is, as its `Content-Length` has it (RFC 9110 §8.6).
pub(crate) fn content_length(fields: &HeaderMap) -> Option<u64> {
    fields.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
