//! Preconditions of requests that change a file (RFC 9110 §13).
//!
//! The tag of a content coding made on the fly stands for the file version that it was made from. So a client that read the compressed
//! representation can replace the file.

use http::{HeaderMap, header};
use volume::FoundFile;

use crate::files::etag;
use crate::http::content_coding::Coding;
use crate::http::request_fields::RequestFields;
use crate::http::validators::{PreconditionResult, Validators};

/// Whether a request has preconditions.
pub(crate) fn are_in(headers: &HeaderMap) -> bool {
    [header::IF_MATCH, header::IF_NONE_MATCH, header::IF_UNMODIFIED_SINCE]
        .iter()
        .any(|it| headers.contains_key(it))
}

/// Whether the preconditions of a `PUT` or `DELETE` allow it. `there` is the file that it would replace or delete.
pub(crate) fn allow_change(there: Option<&FoundFile>, headers: &HeaderMap) -> bool {
    let Some(file) = there else {
        // RFC 9110 §13.1.1, §13.1.4: a missing file matches no tag and has no date.
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
    // `If-None-Match` must match none of the codings' tags; `If-Match` must match one.
    let is_named = headers.contains_key(header::IF_NONE_MATCH)
        && verdicts.contains(&PreconditionResult::NotModified);
    !is_named && verdicts.iter().any(|it| *it != PreconditionResult::Failed)
}
