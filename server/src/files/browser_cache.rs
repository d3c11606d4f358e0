//! Ranges that a browser's cache got wrong.
//!
//! A browser keeps a copy and asks whether it is still good (`Cache-Control: no-cache`). When its page wants a range, or
//! the cache holds only parts, the cache writes the `Range` itself, and Chromium reckons it on its copy even where that
//! does not fit the file. It would pass the wrong part on; all of the file is always a right answer (RFC 9110 §14.2).

use crate::http::content_coding::Coding;
use crate::http::range::Selection;
use crate::http::request_fields::{Field, RequestFields};
use crate::http::validators::entity_tags;

/// What is selected, or all of the file if the range was reckoned on another copy.
///
/// Chromium does so in two cases:
/// - It holds a copy in a coding, and takes the length of that for the file's: whatever was asked for up to the end, it
///   asks for up to there. A range that ends elsewhere is the page's own.
/// - Its copy is stale, the page wants the whole file, and it asks for as much as the copy had: of a file that has grown,
///   the beginning. A page's own `Range` goes out with `Accept-Encoding: identity` (Fetch §4.6), which tells the two apart.
pub(crate) fn fitting(
    selection: Selection,
    fields: RequestFields<'_>,
    coded_length: impl Fn(&str) -> Option<u64>,
) -> Selection {
    let slices = match &selection {
        Selection::Whole | Selection::Unsatisfiable => return selection,
        Selection::Slice(slice) => std::slice::from_ref(slice),
        Selection::Several(slices) => slices.as_slice(),
    };
    let tags = fields.get_all(Field::IfNoneMatch).filter_map(|it| it.to_str().ok());
    let fits_copy = |etag: &str| {
        coded_length(etag).is_some_and(|it| slices.iter().all(|slice| slice.last() + 1 != it))
    };
    let fits = tags.flat_map(entity_tags).filter(|it| Coding::made(it)).all(fits_copy);
    let had_copy = fields.contains(Field::IfNoneMatch) || fields.contains(Field::IfModifiedSince);
    let is_for_whole = had_copy
        && fields.contains(Field::SecFetchMode)
        && Coding::preferred(fields) != Coding::Identity;
    if fits && !is_for_whole { selection } else { Selection::Whole }
}
