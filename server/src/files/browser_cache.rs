//! Detects ranges that a browser's cache computed wrongly.
//!
//! A browser stores a response and revalidates it (`Cache-Control: no-cache`). If its page wants a range, or if the cache holds only parts,
//! the cache writes `Range` itself. Chromium computes it from its stored response even if that does not fit the file, and would hand the
//! wrong part to the page. The whole file is always a correct response (RFC 9110 §14.2).

use crate::http::content_coding::Coding;
use crate::http::range::Selection;
use crate::http::request_fields::{Field, RequestFields};
use crate::http::validators::entity_tags;

/// The given selection, or the whole file if the range was computed from another version or coding.
///
/// Chromium does so in two cases:
/// - It has stored a content-coded response, and takes its length for the file's length. A range up to the end then ends at the coded
///   length. A range that ends elsewhere is the page's own.
/// - Its stored response is stale, the page wants the whole file, and Chromium asks for as many bytes as it had stored: the beginning of a
///   file that has grown. A page's own `Range` is sent with `Accept-Encoding: identity` (Fetch §4.6), which tells the two apart.
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
