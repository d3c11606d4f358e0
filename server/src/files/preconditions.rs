//! Whether a request's conditions let it change what is there (RFC 9110 §13).
//!
//! A tag of a coding made on the fly stands for the version of the file that it was made of: whoever read it
//! compressed may replace it.

use http::{HeaderMap, header};
use volume::FoundFile;

use crate::files::etag;
use crate::http::content_coding::Coding;
use crate::http::request_fields::RequestFields;
use crate::http::validators::{PreconditionResult, Validators};

/// Whether there are any.
pub(crate) fn are_in(headers: &HeaderMap) -> bool {
    [header::IF_MATCH, header::IF_NONE_MATCH, header::IF_UNMODIFIED_SINCE]
        .iter()
        .any(|it| headers.contains_key(it))
}

/// The verdict on a `PUT` or `DELETE`.
pub(crate) fn allow_change(there: Option<&FoundFile>, headers: &HeaderMap) -> bool {
    let Some(file) = there else {
        // §13.1.1, §13.1.4: what is not there matches nothing and has no date.
        return !headers.contains_key(header::IF_MATCH)
            && !headers.contains_key(header::IF_UNMODIFIED_SINCE);
    };
    let plain = etag::of(&file.stat);
    let verdicts: Vec<PreconditionResult> = Coding::ALL
        .iter()
        .map(|coding| {
            let last_modified = file.stat.modified_seconds();
            Validators { etag: coding.etag(&plain), last_modified }
                .evaluate(RequestFields::new(headers))
        })
        .collect();
    // `If-None-Match` must match none of them; `If-Match` one.
    let is_named = headers.contains_key(header::IF_NONE_MATCH)
        && verdicts.contains(&PreconditionResult::NotModified);
    !is_named && verdicts.iter().any(|it| *it != PreconditionResult::Failed)
}
