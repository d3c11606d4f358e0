//! The request header fields that the response to a read can depend on.
//!
//! Everything that decides about reads takes [`RequestFields`], which gives access to these fields only. The fast path copies exactly these
//! fields from a request's head. So when a decision begins to use another field, the fast path cannot miss it.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// A field that the response to a read can depend on.
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

    /// The name, in lower case.
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

    /// The name.
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

/// A view of a request's header fields, limited to [`Field`].
#[derive(Clone, Copy, Debug)]
pub struct RequestFields<'a>(&'a HeaderMap);

impl<'a> RequestFields<'a> {
    /// The view of a request's header fields.
    pub const fn new(fields: &'a HeaderMap) -> RequestFields<'a> {
        RequestFields(fields)
    }

    /// Whether the request has a field.
    pub fn contains(self, field: Field) -> bool {
        self.0.contains_key(field.name())
    }

    /// The first value of a field.
    pub fn get(self, field: Field) -> Option<&'a HeaderValue> {
        self.0.get(field.name())
    }

    /// The values of a field, in the order of the request.
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
