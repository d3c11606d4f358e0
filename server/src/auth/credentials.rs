//! The key in a request's header. Only this module knows which field it is in.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use volume::keys::PlainKey;

use crate::http::request_fields::{Field, RequestFields};

/// The key in `Authorization`: `KEY`, `Bearer KEY` (RFC 6750), or the password of `Basic` (RFC 7617).
pub(crate) fn key_in(fields: RequestFields<'_>) -> Option<PlainKey> {
    let value = fields.get(Field::Authorization)?.as_bytes().trim_ascii();
    let credentials = |scheme: &str| {
        let (name, rest) = value.split_at_checked(scheme.len())?;
        let matches = name.eq_ignore_ascii_case(scheme.as_bytes()) && rest.starts_with(b" ");
        matches.then(|| rest.trim_ascii())
    };
    if let Some(key) = credentials("Bearer") {
        return Some(PlainKey::new(key));
    }
    let Some(encoded) = credentials("Basic") else {
        return Some(PlainKey::new(value)).filter(|it| !it.reveal().is_empty());
    };
    // If it cannot be decoded, it counts as an unknown key.
    let decoded = STANDARD.decode(encoded).unwrap_or_default();
    let password = decoded.splitn(2, |it| *it == b':').nth(1).unwrap_or_default();
    Some(PlainKey::new(password))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, header};

    use super::*;

    #[test]
    fn keys_come_in_three_forms() {
        let check = |value: &'static str, expected: Option<&str>| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            let key = key_in(RequestFields::new(&headers))
                .map(|it| String::from_utf8_lossy(it.reveal()).into_owned());
            assert_eq!(key.as_deref(), expected, "{value}");
        };
        check("kmt-1", Some("kmt-1"));
        check("Bearer kmt-1", Some("kmt-1"));
        check("bearer  kmt-1", Some("kmt-1"));
        check("Basic a210OmttdC0x", Some("kmt-1"));
        check("basic Omtt:", Some(""));
        check("Basic OmttdDpr", Some("kmt:k"));
        check("Bearerkmt", Some("Bearerkmt"));
        check("", None);
        assert_eq!(key_in(RequestFields::new(&HeaderMap::new())), None);
    }
}
