//! Comma-separated values and their kin (RFC 4180).

use super::head::Head;
use super::{Body, LINES, Preview};
use crate::text;

pub(super) fn look(head: &Head, len: u64, is_tsv: bool) -> Preview {
    let first = head.lines().next().unwrap_or_default();
    let count = |mark: u8| first.split(|it| *it == mark).count();
    let marks = [b',', b';', b'\t', b'|'];
    let delimiter = if is_tsv {
        b'\t'
    } else {
        marks.into_iter().max_by_key(|it| (count(*it), *it == b',')).unwrap_or(b',')
    };
    // The last line is whole, or left out.
    let whole = if head.is_all {
        head.text.as_slice()
    } else {
        let end =
            head.text.iter().rposition(|it| *it == b'\n').map_or(head.text.len(), |it| it + 1);
        head.text.get(..end).unwrap_or_default()
    };
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(whole);
    let mut rows = Vec::new();
    let (mut all, mut uneven) = (0_u64, 0_u64);
    let mut columns = 0;
    for record in reader.byte_records() {
        let Ok(record) = record else { break };
        if all == 0 {
            columns = record.len();
        }
        uneven += u64::from(record.len() != columns);
        if rows.len() < LINES {
            rows.push(record.iter().map(text::escape).collect());
        }
        all += 1;
    }
    let data = all.saturating_sub(1);
    let rows_text = if head.is_all {
        text::things(data, "row", "rows")
    } else {
        format!("about {} rows", rounded(head.estimate(data, len)))
    };
    if all == 0 {
        // Its packing is broken from the first byte on.
        return Preview::default();
    }
    let facts = vec![format!("{}, {rows_text}", text::things(columns as u64, "column", "columns"))];
    let trouble = (uneven > 0).then(|| {
        format!(
            "{} of {} rows have another number of columns",
            text::count(uneven),
            text::count(all)
        )
    });
    Preview { facts, body: Body::Table(rows), trouble, ..Preview::default() }
}

/// An estimate has two digits that say something.
fn rounded(count: u64) -> String {
    match count {
        0..1000 => count.to_string(),
        1000..1_000_000 => format!("{},000", count / 1000),
        1_000_000..10_000_000 => format!("{}.{} M", count / 1_000_000, count % 1_000_000 / 100_000),
        _ => format!("{} M", text::count(count / 1_000_000)),
    }
}
