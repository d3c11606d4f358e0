//! Byte ranges: which bytes of a file a request selects (RFC 9110 §14).
//!
//! Pure: takes header values and a length, opens nothing and streams nothing. A field that cannot be parsed, or whose unit is not `bytes`,
//! is ignored, as RFC 9110 §14.2 allows. A range outside the file is `Unsatisfiable`. The length must come from the opened file, never from
//! its path: the file may be replaced between two look-ups.

use crate::http::request_fields::{Field, RequestFields};

/// A request with more ranges than this gets the whole file. A reader of tiles or row groups requests a few dozen at a time.
const MOST_RANGES: usize = 200;

/// This many parts are sent even if their headings are longer than the file.
const FREE_HEADINGS: usize = 10;
/// Length of a part's heading in `multipart/byteranges`, in bytes, about.
const HEADING: u64 = 160;

/// A byte range within a file. Empty only for an empty file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Position of the first byte.
    pub start: u64,
    /// Number of bytes.
    pub len: u64,
}

/// What a request selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The whole file: 200.
    Whole,
    /// One part: 206.
    Slice(Slice),
    /// Two or more parts, in the order requested: 206 with `multipart/byteranges`. Together they are no longer than the file.
    Several(Vec<Slice>),
    /// None of the requested bytes exist: 416.
    Unsatisfiable,
}

impl Slice {
    /// The whole of a file of `len` bytes.
    pub fn whole(len: u64) -> Slice {
        Slice { start: 0, len }
    }

    /// Position of the last byte, as in `Content-Range`. The slice must not be empty.
    pub fn last(&self) -> u64 {
        self.start + self.len - 1
    }

    /// The first `most` bytes at most, and the rest, which may be empty.
    pub fn split_at(self, most: u64) -> (Slice, Slice) {
        let len = self.len.min(most);
        (Slice { len, ..self }, Slice { start: self.start + len, len: self.len - len })
    }
}

/// The value of `Content-Range` (RFC 9110 §14.4) for a part of a file of `len` bytes.
pub fn content_range(slice: Slice, len: u64) -> String {
    format!("bytes {}-{}/{len}", slice.start, slice.last())
}

/// One range as written in the field (RFC 9110 §14.1.2).
#[derive(Clone, Copy)]
enum Spec {
    /// `first-last` or `first-`.
    From(u64, Option<u64>),
    /// `-length`: the last bytes of the file.
    Suffix(u64),
}

/// What a request's `Range` selects of a file of `len` bytes.
pub fn select(fields: RequestFields<'_>, len: u64) -> Selection {
    let mut values = fields.get_all(Field::Range);
    // RFC 9110 §5.3: `Range` is not a list, so it may occur only once. Neither of two can be trusted.
    let (Some(value), None) = (values.next(), values.next()) else {
        return Selection::Whole;
    };
    match value.to_str().ok().and_then(parse) {
        Some(specs) => select_specs(&specs, len),
        None => Selection::Whole,
    }
}

fn select_specs(specs: &[Spec], len: u64) -> Selection {
    // A suffix range of an empty file is satisfiable, but no `Content-Range` can express an empty part.
    if len == 0 && specs.iter().any(|it| matches!(it, Spec::Suffix(1..))) {
        return Selection::Whole;
    }
    let slices: Vec<Slice> = specs.iter().filter_map(|it| it.slice(len)).collect();
    let sum = slices.iter().fold(0u64, |sum, it| sum.saturating_add(it.len));
    match slices.as_slice() {
        [] => Selection::Unsatisfiable,
        [slice] => Selection::Slice(*slice),
        // No request makes the server send more than the file: many overlapping ranges are an attack (CVE-2011-3192).
        _ if sum > len || specs.len() > MOST_RANGES => Selection::Whole,
        // Nor may the headings of many small parts make a response longer than the file.
        _ if slices.len() > FREE_HEADINGS && sum + headings(slices.len()) > len => Selection::Whole,
        _ => Selection::Several(slices),
    }
}

fn headings(parts: usize) -> u64 {
    HEADING * parts as u64
}

impl Spec {
    fn slice(self, len: u64) -> Option<Slice> {
        let (start, end) = match self {
            Spec::From(first, last) => {
                (first, last.map_or(len, |it| it.saturating_add(1)).min(len))
            }
            Spec::Suffix(length) => (len.saturating_sub(length), len),
        };
        (start < end).then(|| Slice { start, len: end - start })
    }
}

fn parse(value: &str) -> Option<Vec<Spec>> {
    let (unit, set) = value.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let items = set.split(',').map(|it| it.trim_matches([' ', '\t']));
    // RFC 9110 §5.6.1.2: a list may have empty elements.
    let specs: Vec<Spec> =
        items.filter(|it| !it.is_empty()).map(parse_spec).collect::<Option<_>>()?;
    (!specs.is_empty()).then_some(specs)
}

fn parse_spec(text: &str) -> Option<Spec> {
    let (first, last) = text.split_once('-')?;
    match (first, last) {
        ("", length) => Some(Spec::Suffix(number(length)?)),
        (first, "") => Some(Spec::From(number(first)?, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::From(first, Some(last)))
        }
    }
}

/// Parses digits. A number that does not fit is beyond the end of any file.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};
    use proptest::prelude::*;

    use super::*;

    fn select_text(range: &str, len: u64) -> Selection {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_str(range).unwrap());
        select(RequestFields::new(&headers), len)
    }

    #[test]
    fn ranges_select_what_they_say() {
        let slice = |start, len| Selection::Slice(Slice { start, len });
        let check = |range: &str, len: u64, expected: Selection| {
            assert_eq!(select_text(range, len), expected, "{range} of {len}");
        };
        check("bytes=0-0", 10, slice(0, 1));
        check("bytes=0-9", 10, slice(0, 10));
        check("bytes=0-", 10, slice(0, 10));
        check("bytes=9-", 10, slice(9, 1));
        check("bytes=9-200", 10, slice(9, 1));
        check("bytes=10-", 10, Selection::Unsatisfiable);
        check("bytes=-1", 10, slice(9, 1));
        check("bytes=-10", 10, slice(0, 10));
        check("bytes=-200", 10, slice(0, 10));
        check("bytes=-0", 10, Selection::Unsatisfiable);
        check("bytes=-99999999999999999999999", 10, slice(0, 10));
        check("bytes=0-99999999999999999999999", 10, slice(0, 10));
        check("bytes=18446744073709551615-", 10, Selection::Unsatisfiable);
        check("bytes=0-18446744073709551615", 10, slice(0, 10));
        check("BYTES=1-2", 10, slice(1, 2));
        check("bytes= 1-2", 10, slice(1, 2));
        check("bytes=,1-2,,", 10, slice(1, 2));
        check("bytes=1-2, 20-", 10, slice(1, 2));
        for ignored in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "items=0-1",
            "bytes=5-2",
            "bytes=a-b",
            "bytes=1",
            "bytes=--1",
            "bytes=1-2-3",
            "bytes=1 -2",
            "bytes=+1-2",
            "bytes=0x1-2",
            "bytes=-",
            "bytes:0-1",
            "bytes=1-2;3-4",
            "bytes =1-2",
            "bytes=0-1,x",
        ] {
            check(ignored, 10, Selection::Whole);
        }
    }

    #[test]
    fn an_empty_file_has_nothing_to_select() {
        assert_eq!(select_text("bytes=0-", 0), Selection::Unsatisfiable);
        assert_eq!(select_text("bytes=0-0", 0), Selection::Unsatisfiable);
        assert_eq!(select_text("bytes=-0", 0), Selection::Unsatisfiable);
        assert_eq!(select_text("bytes=-5", 0), Selection::Whole);
    }

    #[test]
    fn several_ranges_keep_their_order_and_drop_what_is_not_there() {
        let expected = vec![Slice { start: 8, len: 2 }, Slice { start: 0, len: 1 }];
        assert_eq!(select_text("bytes=-2,0-0,50-60", 10), Selection::Several(expected));
    }

    #[test]
    fn more_than_the_file_is_the_file() {
        assert_eq!(select_text("bytes=0-8,1-9", 10), Selection::Whole);
        assert_eq!(select_text("bytes=0-4,5-9,0-0", 10), Selection::Whole);
        let many = (0..=MOST_RANGES).map(|it| format!("{it}-{it}")).collect::<Vec<_>>().join(",");
        assert_eq!(select_text(&format!("bytes={many}"), 1_000_000), Selection::Whole);
    }

    #[test]
    fn headings_never_outweigh_the_file_by_much() {
        let many = (0..20).map(|it| format!("{it}-{it}")).collect::<Vec<_>>().join(",");
        assert_eq!(select_text(&format!("bytes={many}"), 100), Selection::Whole);
        assert!(matches!(select_text(&format!("bytes={many}"), 100_000), Selection::Several(_)));
        assert!(matches!(select_text("bytes=0-0,2-2,4-4", 10), Selection::Several(_)));
    }

    #[test]
    fn two_range_fields_are_ignored() {
        let mut headers = HeaderMap::new();
        headers.append(header::RANGE, HeaderValue::from_static("bytes=0-1"));
        headers.append(header::RANGE, HeaderValue::from_static("bytes=2-3"));
        assert_eq!(select(RequestFields::new(&headers), 10), Selection::Whole);
    }

    fn slices(selection: Selection) -> Vec<Slice> {
        match selection {
            Selection::Whole | Selection::Unsatisfiable => Vec::new(),
            Selection::Slice(slice) => vec![slice],
            Selection::Several(slices) => slices,
        }
    }

    proptest! {
        #[test]
        fn what_is_selected_lies_in_the_file_and_is_no_more_than_it(
            specs in prop::collection::vec("[0-9]{0,20}-[0-9]{0,20}", 1..8), len in any::<u64>()
        ) {
            let slices = slices(select_text(&format!("bytes={}", specs.join(",")), len));
            let mut sum = 0u64;
            for slice in &slices {
                prop_assert!(slice.len > 0);
                prop_assert!(slice.start.checked_add(slice.len).is_some_and(|it| it <= len));
                sum = sum.checked_add(slice.len).unwrap();
            }
            prop_assert!(sum <= len);
        }

        #[test]
        fn a_plain_range_is_what_a_slice_of_memory_would_give(first in 0usize..300, last in 0usize..300, len in 1usize..200) {
            let file: Vec<usize> = (0..len).collect();
            let expected = if first > last { None } else { file.get(first..=last.min(len - 1)).filter(|it| !it.is_empty()) };
            let selection = select_text(&format!("bytes={first}-{last}"), len as u64);
            let actual = match selection {
                Selection::Slice(it) => Some(&file[usize::try_from(it.start).unwrap()..][..usize::try_from(it.len).unwrap()]),
                _ => None,
            };
            prop_assert_eq!(actual, expected);
        }

        #[test]
        fn no_header_breaks_the_reader(value in prop::collection::vec(0x20u8..0xff, 0..60), len in any::<u64>()) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let mut headers = HeaderMap::new();
                headers.insert(header::RANGE, value);
                let _selection = select(RequestFields::new(&headers), len);
            }
        }
    }
}
