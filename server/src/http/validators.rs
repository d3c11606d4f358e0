//! Validators and preconditions (RFC 9110 §13).
//!
//! Pure: takes header values and the validators of the representation that would be sent. Preconditions are evaluated in the order of RFC
//! 9110 §13.2.2. An invalid date is ignored, as §13.1.3 and §13.1.4 require.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::http::request_fields::{Field, RequestFields};

/// The validators of a representation: they tell its versions apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validators {
    /// A strong entity tag, with its quotes.
    pub etag: String,
    /// Time of the last modification, in whole seconds since 1970.
    pub last_modified: i64,
}

/// The result of a request's preconditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreconditionResult {
    /// Respond as if there were none.
    Proceed,
    /// 304: the client's stored response is still valid.
    NotModified,
    /// 412: the file is not in the version that the client expects.
    Failed,
}

impl Validators {
    /// Evaluates the preconditions of a `GET` or `HEAD`. The representation exists.
    pub fn evaluate(&self, fields: RequestFields<'_>) -> PreconditionResult {
        if fields.contains(Field::IfMatch) {
            if !self.is_listed(fields, Field::IfMatch, Comparison::Strong) {
                return PreconditionResult::Failed;
            }
        } else if date(fields, Field::IfUnmodifiedSince).is_some_and(|it| self.last_modified > it) {
            return PreconditionResult::Failed;
        }
        if fields.contains(Field::IfNoneMatch) {
            if self.is_listed(fields, Field::IfNoneMatch, Comparison::Weak) {
                return PreconditionResult::NotModified;
            }
        } else if date(fields, Field::IfModifiedSince).is_some_and(|it| self.last_modified <= it) {
            return PreconditionResult::NotModified;
        }
        PreconditionResult::Proceed
    }

    /// Whether `Range` applies to this version (RFC 9110 §13.1.5): there is no `If-Range`, or it names exactly this version.
    ///
    /// A date counts if it equals the time of the last modification in seconds, and that second has ended (RFC 9110 §8.8.2.2). A client may
    /// only send a date that it received at least a second later, so nothing changed in between.
    pub fn range_applies(&self, fields: RequestFields<'_>, now: SystemTime) -> bool {
        let mut values = fields.get_all(Field::IfRange);
        let value = match (values.next(), values.next()) {
            (None, _) => return true,
            (Some(value), None) => value,
            (Some(_), Some(_)) => return false,
        };
        let Ok(text) = value.to_str() else { return false };
        if text.starts_with('"') || text.starts_with("W/") {
            return text == self.etag;
        }
        parse_date(text).is_some_and(|it| it == self.last_modified && it < seconds(now))
    }

    fn is_listed(&self, fields: RequestFields<'_>, field: Field, comparison: Comparison) -> bool {
        let values = fields.get_all(field).filter_map(|it| it.to_str().ok());
        values.flat_map(entity_tags).any(|tag| match tag.strip_prefix("W/") {
            _ if tag == "*" => true,
            None => tag == self.etag,
            Some(opaque) => comparison == Comparison::Weak && opaque == self.etag,
        })
    }
}

/// RFC 9110 §8.8.3.2.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// The entity tags in a list. A comma within quotes belongs to the tag. Whatever else is in the list comes out as it is, and matches no
/// tag.
pub(crate) fn entity_tags(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = list;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return None;
        }
        let mut quotes = 0;
        let end = rest.find(|it| {
            quotes += usize::from(it == '"');
            it == ',' && quotes % 2 == 0
        });
        let (tag, behind) = rest.split_at(end.unwrap_or(rest.len()));
        rest = behind;
        Some(tag.trim_end_matches([' ', '\t']))
    })
}

/// The date in a field that occurs once.
fn date(fields: RequestFields<'_>, field: Field) -> Option<i64> {
    let mut values = fields.get_all(field);
    match (values.next(), values.next()) {
        (Some(value), None) => parse_date(value.to_str().ok()?),
        _ => None,
    }
}

fn parse_date(text: &str) -> Option<i64> {
    httpdate::parse_http_date(text).ok().map(seconds)
}

fn seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |it| i64::try_from(it.as_secs()).unwrap_or(i64::MAX))
}

/// Writes seconds since 1970 as an IMF-fixdate (RFC 9110 §5.6.7). A time out of its range becomes the nearest one within.
pub(crate) fn http_date(seconds: i64) -> String {
    /// 9999-12-31T23:59:59Z.
    const LAST: u64 = 253_402_300_799;
    let seconds = u64::try_from(seconds).unwrap_or(0).min(LAST);
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    const OLD: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const NEW: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn validators() -> Validators {
        Validators { etag: "\"a,b\"".to_owned(), last_modified: 784_111_777 }
    }

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| ((*name).parse().unwrap(), (*value).parse().unwrap()))
            .collect()
    }

    #[test]
    fn conditions_are_taken_in_the_order_of_rfc_9110() {
        use PreconditionResult::{Failed, NotModified, Proceed};
        let check = |fields: &[(&'static str, &'static str)], expected: PreconditionResult| {
            assert_eq!(
                validators().evaluate(RequestFields::new(&headers(fields))),
                expected,
                "{fields:?}"
            );
        };
        check(&[], Proceed);
        check(&[("if-match", "\"a,b\"")], Proceed);
        check(&[("if-match", "*")], Proceed);
        check(&[("if-match", "\"x\", \"a,b\"")], Proceed);
        check(&[("if-match", "\"x\"")], Failed);
        check(&[("if-match", "W/\"a,b\"")], Failed);
        check(&[("if-match", "\"a")], Failed);
        check(&[("if-match", "\"a,b\""), ("if-unmodified-since", OLD)], Proceed);
        check(&[("if-unmodified-since", OLD)], Failed);
        check(&[("if-unmodified-since", SAME)], Proceed);
        check(&[("if-unmodified-since", "yesterday")], Proceed);
        check(&[("if-none-match", "\"a,b\"")], NotModified);
        check(&[("if-none-match", "W/\"a,b\"")], NotModified);
        check(&[("if-none-match", "*")], NotModified);
        check(&[("if-none-match", "\"x\",\"y\"")], Proceed);
        check(&[("if-none-match", "\"x\""), ("if-modified-since", NEW)], Proceed);
        check(&[("if-modified-since", OLD)], Proceed);
        check(&[("if-modified-since", SAME)], NotModified);
        check(&[("if-modified-since", NEW)], NotModified);
        check(&[("if-modified-since", "soon")], Proceed);
        check(&[("if-modified-since", "Sunday, 06-Nov-94 08:49:37 GMT")], NotModified);
        check(&[("if-match", "\"x\""), ("if-none-match", "\"a,b\"")], Failed);
        check(&[("if-match", "*"), ("if-none-match", "\"a,b\"")], NotModified);
        check(&[("if-unmodified-since", SAME), ("if-none-match", "\"a,b\"")], NotModified);
    }

    #[test]
    fn a_range_applies_to_the_named_version_only() {
        let later = UNIX_EPOCH + Duration::from_secs(784_111_778);
        let check = |if_range: &'static str, now: SystemTime, expected: bool| {
            let actual = validators()
                .range_applies(RequestFields::new(&headers(&[("if-range", if_range)])), now);
            assert_eq!(actual, expected, "{if_range}");
        };
        assert!(validators().range_applies(RequestFields::new(&HeaderMap::new()), later));
        check("\"a,b\"", later, true);
        check("\"x\"", later, false);
        check("W/\"a,b\"", later, false);
        check("*", later, false);
        check(SAME, later, true);
        check(OLD, later, false);
        check(NEW, later, false);
        check("soon", later, false);
        let within_the_second = later - Duration::from_millis(1);
        check(SAME, within_the_second, false);
    }

    #[test]
    fn dates_out_of_reach_become_the_nearest() {
        assert_eq!(http_date(-5), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(i64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
