//! Entry points for fuzz targets: the parsers of what clients, operators and other programs write. Not part of the interface.

use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::RelPath;
use crate::journal::{Cursor, change};
use crate::keys::sheet::{Column, Fault, Fix, KeySheet, NewKey, OldKey};
use crate::keys::{Keys, PlainKey, Scope};

/// Parses a path as a URL holds it, and as a program on this machine writes it.
pub fn path(bytes: &[u8]) {
    let check = |path: &RelPath| {
        let plain = path.to_plain();
        assert!(path.names().all(|it| !it.is_empty() && it != b"." && it != b".."));
        assert!(
            !plain.contains(&0) && !plain.starts_with(b"/") && !plain.starts_with(b".sounding")
        );
        assert_eq!(RelPath::from_plain(&plain).as_ref(), Ok(path));
        assert_eq!(RelPath::from_url(&path.to_url()).as_ref(), Ok(path));
    };
    if let Some(path) = std::str::from_utf8(bytes).ok().and_then(|it| RelPath::from_url(it).ok()) {
        check(&path);
    }
    if let Ok(path) = RelPath::from_plain(bytes) {
        check(&path);
    }
}

/// Parses a keys file and edits it: each edit must do what its doc says, and fixing must come to an end.
pub fn keys(bytes: &[u8]) {
    let Some((edit, text)) = bytes.split_first() else { return };
    let now = Timestamp::UNIX_EPOCH;
    let keys = Keys::parse(text);
    let mut sheet = KeySheet::parse(text);
    assert_eq!(sheet.to_bytes(), text);
    let rows = sheet.rows(now);
    assert!(keys.verify(&PlainKey::new(b"")).is_none());
    let Some(row) = rows.get(usize::from(edit / 16) % rows.len().max(1)) else { return };
    let fresh = PlainKey::new(b"fresh-0123456789012345678901234567");
    let has_it = |sheet: &KeySheet, key: &PlainKey| {
        Keys::parse(&sheet.to_bytes()).verify(key).is_some_and(|it| !it.has_expired(now))
    };
    let gone = |sheet: &KeySheet| {
        let keys = Keys::parse(&sheet.to_bytes());
        assert!(row.key.as_ref().is_none_or(|it| keys.find(it.hashed).is_none()));
    };
    match edit % 8 {
        0 if sheet.switch_off(row.line).is_ok() => gone(&sheet),
        1 if sheet.revoke(row.line).is_ok() => gone(&sheet),
        2 if sheet.rotate(row.line, &fresh, &OldKey::EndsNow, Some(""), now).is_ok() => {
            gone(&sheet);
            assert!(has_it(&sheet, &fresh));
        }
        3 if sheet.rotate(row.line, &fresh, &OldKey::Stays, Some(""), now).is_ok() => {
            assert!(has_it(&sheet, &fresh));
        }
        4 => drop(sheet.seal(row.line)),
        5 => drop(sheet.set(row.line, Column::Note, "a, b")),
        6 => {
            let (user, path) = ("fresh".to_owned(), RelPath::root());
            let (expires, note) = (String::new(), String::new());
            let new = NewKey { user, scope: Scope::Read, path, expires, note };
            if sheet.add(&new, &fresh, now).is_ok() {
                assert!(has_it(&sheet, &fresh));
            }
        }
        _ => mend_all(&mut sheet, now),
    }
}

fn mend_all(sheet: &mut KeySheet, now: Timestamp) {
    // A line can have several faults, and each is fixed once.
    let mut left = 8 * (sheet.rows(now).len() + 1);
    let is_mended = |fault: &Fault| fault.fix() == Fix::Rewrite;
    while let Some((line, fault)) = sheet
        .rows(now)
        .iter()
        .find_map(|row| Some((row.line, *row.faults.iter().find(|it| is_mended(it))?)))
    {
        assert!(sheet.fix(line, fault).is_ok());
        left -= 1;
        assert!(left > 0, "a mend brings its fault back");
    }
}

/// Reads a row of the journal that a person may have changed: each of its ten columns holds any value of the database.
pub fn journal_row(bytes: &[u8]) {
    thread_local! {
        static DB: Option<Connection> = Connection::open_in_memory().ok();
    }
    if let Some(cursor) = std::str::from_utf8(bytes).ok().and_then(|it| Cursor::from_str(it).ok()) {
        assert_eq!(Cursor::from_str(&cursor.to_string()), Ok(cursor));
    }
    let mut rest = bytes;
    let values: Vec<Value> = (0..10).map(|_| value(&mut rest)).collect();
    DB.with(|db| {
        let Some(db) = db else { return };
        let Ok(mut row) = db.prepare_cached("SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10")
        else {
            return;
        };
        // A value of another type is an error. Any other row is skipped or gives a change that can be written out.
        if let Ok(Some(change)) = row.query_row(params_from_iter(values), change) {
            let told = (change.cursor().to_string(), change.path.to_url(), change.time.to_string());
            assert!(!told.0.is_empty());
        }
    });
}

/// Reads the next value: one byte for its type; then eight bytes for a number, or one byte of length and the bytes for a text or blob.
fn value(rest: &mut &[u8]) -> Value {
    let mut take = |count: usize| {
        let (taken, left) = rest.split_at(count.min(rest.len()));
        *rest = left;
        taken.to_vec()
    };
    let number =
        |bytes: Vec<u8>| bytes.iter().fold(0i64, |all, it| all.wrapping_shl(8) | i64::from(*it));
    match take(1).first().copied().unwrap_or_default() {
        b'i' => Value::Integer(number(take(8))),
        b'r' => Value::Real(f64::from_bits(number(take(8)).cast_unsigned())),
        kind @ (b't' | b'b') => {
            let count = take(1).first().copied().unwrap_or_default();
            let bytes = take(count.into());
            match String::from_utf8(bytes) {
                Ok(text) if kind == b't' => Value::Text(text),
                Ok(text) => Value::Blob(text.into_bytes()),
                Err(bytes) => Value::Blob(bytes.into_bytes()),
            }
        }
        _ => Value::Null,
    }
}
