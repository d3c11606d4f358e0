//! The header fields of a request that the response to a read can depend on.
//!
//! What decides about reads takes [`RequestFields`], which gives no other field. The fast path takes just these out of a request's head:
//! so a field that a decision begins to need can't be missing there.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// A field that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `accept-encoding`.
    AcceptEncoding,
    /// `authorization`.
    Authorization,
    /// `fly-client-ip`.
    FlyClientIp,
    /// `if-match`.
    IfMatch,
    /// `if-modified-since`.
    IfModifiedSince,
    /// `if-none-match`.
    IfNoneMatch,
    /// `if-range`.
    IfRange,
    /// `if-unmodified-since`.
    IfUnmodifiedSince,
    /// `range`.
    Range,
    /// `sec-fetch-mode`.
    SecFetchMode,
    /// `x-forwarded-for`.
    XForwardedFor,
}

impl Field {
    /// All of them.
    pub const ALL: [Field; 11] = [
        Field::AcceptEncoding,
        Field::Authorization,
        Field::FlyClientIp,
        Field::IfMatch,
        Field::IfModifiedSince,
        Field::IfNoneMatch,
        Field::IfRange,
        Field::IfUnmodifiedSince,
        Field::Range,
        Field::SecFetchMode,
        Field::XForwardedFor,
    ];

    /// Its name in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Field::AcceptEncoding => "accept-encoding",
            Field::Authorization => "authorization",
            Field::FlyClientIp => "fly-client-ip",
            Field::IfMatch => "if-match",
            Field::IfModifiedSince => "if-modified-since",
            Field::IfNoneMatch => "if-none-match",
            Field::IfRange => "if-range",
            Field::IfUnmodifiedSince => "if-unmodified-since",
            Field::Range => "range",
            Field::SecFetchMode => "sec-fetch-mode",
            Field::XForwardedFor => "x-forwarded-for",
        }
    }

    /// Its name.
    pub const fn name(self) -> HeaderName {
        match self {
            Field::AcceptEncoding => header::ACCEPT_ENCODING,
            Field::Authorization => header::AUTHORIZATION,
            Field::FlyClientIp => HeaderName::from_static("fly-client-ip"),
            Field::IfMatch => header::IF_MATCH,
            Field::IfModifiedSince => header::IF_MODIFIED_SINCE,
            Field::IfNoneMatch => header::IF_NONE_MATCH,
            Field::IfRange => header::IF_RANGE,
            Field::IfUnmodifiedSince => header::IF_UNMODIFIED_SINCE,
            Field::Range => header::RANGE,
            Field::SecFetchMode => HeaderName::from_static("sec-fetch-mode"),
            Field::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
        }
    }
}

/// The fields of a request that matter.
#[derive(Clone, Copy, Debug)]
pub struct RequestFields<'a>(&'a HeaderMap);

impl<'a> RequestFields<'a> {
    /// Those among a request's fields.
    pub const fn new(fields: &'a HeaderMap) -> RequestFields<'a> {
        RequestFields(fields)
    }

    /// Whether a field is there.
    pub fn contains(self, field: Field) -> bool {
        self.0.contains_key(field.name())
    }

    /// A field's first value.
    pub fn get(self, field: Field) -> Option<&'a HeaderValue> {
        self.0.get(field.name())
    }

    /// A field's values, in the order in which they came.
    pub fn get_all(self, field: Field) -> impl DoubleEndedIterator<Item = &'a HeaderValue> + 'a {
        self.0.get_all(field.name()).into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_one_name() {
        for field in Field::ALL {
            assert_eq!(field.name().as_str(), field.as_str());
        }
    }
}
