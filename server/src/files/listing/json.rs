//! A listing as JSON: an array of `{"name","type","size","mtime","etag"}`.
//!
//! If a name is not valid UTF-8, `name` has replacement characters, and `href` has the exact address.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::tz::Offset;
use serde::Serialize;
use volume::names::Kind;

use super::entry::ListingEntry;
use crate::files::etag;
use crate::web::text;

/// The text before the first entry.
pub(super) const HEAD: &str = "[";

#[derive(Serialize)]
struct Row<'a> {
    name: Cow<'a, str>,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    mtime: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    href: Option<String>,
}

/// An entry, on its own line, with a comma before it unless it is the first.
pub(super) fn entry(out: &mut Vec<u8>, entry: &ListingEntry<'_>, is_first: bool) {
    let is_file = entry.name.kind == Kind::File;
    let name = String::from_utf8_lossy(entry.name.bytes);
    let is_text = matches!(name, Cow::Borrowed(_));
    let row = Row {
        name,
        r#type: if is_file { "file" } else { "directory" },
        size: is_file.then_some(entry.stat.len),
        mtime: to_milliseconds(entry.modified()),
        etag: is_file.then(|| etag::of(&entry.stat)),
        href: (!is_text).then(|| text::href(entry.name)),
    };
    let end = out.len();
    out.extend_from_slice(if is_first { b"\n" } else { b",\n" });
    if let Err(error) = serde_json::to_writer(&mut *out, &row) {
        tracing::error!("could not write an entry as JSON: {error}");
        out.truncate(end);
    }
}

/// RFC 3339 with milliseconds. The output is that of the calendar's own formatter, which is slower because it handles all formats.
fn to_milliseconds(time: Timestamp) -> String {
    let parts = Offset::UTC.to_datetime(time);
    let Ok(year @ 0..=9999) = u32::try_from(parts.year()) else { return format!("{time:.3}") };
    let mut out = String::with_capacity("2026-11-24T03:00:00.000Z".len());
    let mut push = |number: u32, positions: u32, behind: char| {
        let digit = |position: u32| char::from_digit(number / 10u32.pow(position) % 10, 10);
        out.extend((0..positions).rev().filter_map(digit));
        out.push(behind);
    };
    let two = |number: i8| number.unsigned_abs().into();
    push(year, 4, '-');
    push(two(parts.month()), 2, '-');
    push(two(parts.day()), 2, 'T');
    push(two(parts.hour()), 2, ':');
    push(two(parts.minute()), 2, ':');
    push(two(parts.second()), 2, '.');
    push(parts.millisecond().unsigned_abs().into(), 3, 'Z');
    out
}

pub(super) fn tail(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\n]\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn times_are_written_as_the_calendar_does(
            seconds in -377_705_023_201i64..=253_402_207_200, nanoseconds in 0..1_000_000_000
        ) {
            if let Ok(time) = Timestamp::new(seconds, nanoseconds) {
                prop_assert_eq!(to_milliseconds(time), format!("{time:.3}"));
            }
        }
    }
}
