//! The plan of a response with a file: what a request gets of it, decided here for the fast path and for all other requests.
//!
//! Pure: takes the request's fields, the representation's validators and its length. Preconditions are evaluated first, then the range (RFC
//! 9110 §13.2.2, §14.2).

use std::time::SystemTime;

use crate::files::browser_cache;
use crate::http::range::{self, Selection, Slice};
use crate::http::request_fields::{Field, RequestFields};
use crate::http::validators::{PreconditionResult, Validators};

/// The kind of response to a `GET` or `HEAD` of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ResponsePlan {
    /// 200 with the whole file.
    Whole,
    /// 206 with one part.
    Slice(Slice),
    /// 206 with several parts.
    Several(Vec<Slice>),
    /// 304: the client's stored response is still valid.
    NotModified,
    /// 412: the file is not in the version that the client expects.
    PreconditionFailed,
    /// 416: none of the requested bytes exist.
    Unsatisfiable,
}

impl ResponsePlan {
    /// Decides. `coded_length` returns the length of the coded representation with an entity tag, if it is known. `now` is called only if
    /// the request has a `Range`.
    pub(crate) fn new(
        fields: RequestFields<'_>,
        validators: &Validators,
        len: u64,
        now: impl FnOnce() -> SystemTime,
        coded_length: impl Fn(&str) -> Option<u64>,
    ) -> ResponsePlan {
        match validators.evaluate(fields) {
            PreconditionResult::Failed => return ResponsePlan::PreconditionFailed,
            PreconditionResult::NotModified => return ResponsePlan::NotModified,
            PreconditionResult::Proceed => {}
        }
        if !fields.contains(Field::Range) || !validators.range_applies(fields, now()) {
            return ResponsePlan::Whole;
        }
        match browser_cache::fitting(range::select(fields, len), fields, coded_length) {
            Selection::Whole => ResponsePlan::Whole,
            Selection::Slice(slice) => ResponsePlan::Slice(slice),
            Selection::Several(slices) => ResponsePlan::Several(slices),
            Selection::Unsatisfiable => ResponsePlan::Unsatisfiable,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn preconditions_come_before_the_range() {
        let validators = Validators { etag: "\"a\"".to_owned(), last_modified: 1_000 };
        let check = |fields: &[(&'static str, &'static str)], expected: ResponsePlan| {
            let fields: HeaderMap = fields
                .iter()
                .map(|(name, value)| {
                    (HeaderName::from_static(name), HeaderValue::from_static(value))
                })
                .collect();
            let plan = ResponsePlan::new(
                RequestFields::new(&fields),
                &validators,
                10,
                || UNIX_EPOCH,
                |_| None,
            );
            assert_eq!(plan, expected, "{fields:?}");
        };
        let slice = |start, len| Slice { start, len };
        check(&[], ResponsePlan::Whole);
        check(&[("range", "bytes=2-3")], ResponsePlan::Slice(slice(2, 2)));
        check(&[("range", "bytes=0-0,9-9")], ResponsePlan::Several(vec![slice(0, 1), slice(9, 1)]));
        check(&[("range", "bytes=10-")], ResponsePlan::Unsatisfiable);
        check(&[("range", "bytes=10-"), ("if-range", "\"b\"")], ResponsePlan::Whole);
        check(&[("range", "bytes=10-"), ("if-match", "\"b\"")], ResponsePlan::PreconditionFailed);
        check(&[("range", "bytes=10-"), ("if-none-match", "\"a\"")], ResponsePlan::NotModified);
        check(
            &[("range", "bytes=2-3"), ("if-none-match", "\"b\"")],
            ResponsePlan::Slice(slice(2, 2)),
        );
        check(
            &[("if-match", "\"b\""), ("if-none-match", "\"a\"")],
            ResponsePlan::PreconditionFailed,
        );
    }
}
