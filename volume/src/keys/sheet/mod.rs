//! The keys file line by line, for people who read and edit it.
//!
//! Pure, except for the time that tells which keys have ended, and lossless: a line that is not changed keeps its bytes, with its spaces, its line end and its unknown columns.
//! [`Keys`](crate::keys::Keys) says what the text means for a request. This module says what it shows to a person, what is wrong with it,
//! and how that is fixed.

use std::collections::HashMap;
use std::fmt;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::keys::{
    COLUMN_COUNT, COLUMNS, Columns, HashedKey, Key, Line, PlainKey, SEALED_MARK, SEALED_WORD,
    Scope, end_of, parse_line,
};
use crate::path::RelPath;

pub mod change;
mod fault;

pub use fault::{Fault, Fix};

/// Some editors put this in front of the first line.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// The prefix of a row that is switched off.
const OFF_MARK: &str = "# ";
/// The format of a day, in UTC.
const DATE: &str = "%Y-%m-%d";

/// The text of a keys file, as lines.
#[derive(Clone, PartialEq, Eq)]
pub struct KeySheet {
    has_byte_order_mark: bool,
    /// Each with its line end.
    lines: Vec<Vec<u8>>,
}

/// Identifies the text of a sheet by its SHA-256: texts that differ in a byte have different versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SheetVersion([u8; 32]);

/// A line of a sheet that holds a key, held one or looks as if it should.
#[derive(Clone, Debug)]
pub struct KeyRow {
    /// The line's number, from 1.
    pub line: usize,
    /// Whether the row's key is in use.
    pub state: KeyState,
    /// Whether the row holds only the key's SHA-256.
    pub is_sealed: bool,
    /// The key's owner, as written.
    pub user: String,
    /// The part of the key that may be shown.
    pub masked: String,
    /// The day the key was made, as written.
    pub created: String,
    /// The expiry, as written.
    pub expires: String,
    /// The note, as written.
    pub note: String,
    /// The key, where the line can be parsed.
    pub key: Option<Key>,
    /// The faults of the row.
    pub faults: Vec<Fault>,
}

/// Whether a row's key is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// The row is in force.
    On,
    /// The row was switched off: a comment to every reader.
    Off,
    /// The row can't be parsed or holds no key; readers skip it.
    Skipped,
}

/// A column that can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// `read` or `write`.
    Scope,
    /// The folder that the key covers.
    Path,
    /// A date or a date-time.
    Expires,
    /// Any text.
    Note,
}

/// A key to be added.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// The key's owner.
    pub user: String,
    /// What it allows.
    pub scope: Scope,
    /// The folder it covers.
    pub path: RelPath,
    /// The expiry, as in [`Column::Expires`]; empty for none.
    pub expires: String,
    /// Any text.
    pub note: String,
}

/// What happens to the old key when there is a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OldKey {
    /// The new key replaces it.
    EndsNow,
    /// It expires on this date or at this time.
    EndsAt(String),
    /// It stays until an operator revokes it.
    Stays,
}

/// Why a sheet was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SheetError {
    /// That line does not exist or holds no row.
    #[error("there is no key on line {line}")]
    NoRow {
        /// The line's number, from 1.
        line: usize,
    },
    /// The row has no key that could be changed.
    #[error("line {line} has no key: switch it off, or write one")]
    NoKey {
        /// The line's number, from 1.
        line: usize,
    },
    /// The user's name can't be written.
    #[error("a user's name is made of letters, digits, `.` and `_`")]
    User,
    /// The key is short enough to be guessed.
    #[error("the key is too short: one of fewer than 20 characters could be guessed")]
    Short,
    /// The key has characters that can't be written.
    #[error("a key has no comma, space, `#`, quote or control character in it")]
    Key,
    /// The key is in the file already.
    #[error("the same key stands on line {line} already")]
    Taken {
        /// The line's number, from 1.
        line: usize,
    },
    /// The text has a control character.
    #[error("a {column} can have no line break or other control character in it")]
    Control {
        /// The name of the column.
        column: &'static str,
    },
    /// The scope is neither `read` nor `write`.
    #[error("invalid scope: write `read` or `write`")]
    Scope,
    /// The path names no folder that is served.
    #[error(
        "invalid path `{text}`: it names no folder that is served, or has a comma in it, which the file can't hold"
    )]
    Path {
        /// As given.
        text: String,
    },
    /// The expiry is not a date.
    #[error("invalid expiry `{text}`: write a date like 2026-11-27 or 2026-11-27T12:00:00Z")]
    Expires {
        /// As given.
        text: String,
    },
    /// The new key would have expired already.
    #[error("`{text}` has passed: a key with this end would not work")]
    Ended {
        /// As given.
        text: String,
    },
    /// The caller gave no expiry for the new key, and the old key has one, which may be the end of an earlier rotation.
    #[error("the old key has an end, {text}: say when the new one ends")]
    EndUnsaid {
        /// The old key's expiry, as written.
        text: String,
    },
    /// Another line has the same key, so a change of this line has less effect than it seems.
    #[error("line {line} has the same key, {effect}: mend that first, or revoke both")]
    Copy {
        /// That line's number, from 1.
        line: usize,
        /// The effect of that line.
        effect: &'static str,
    },
    /// The key can't be sealed.
    #[error("{why}")]
    Seal {
        /// The reason, and what to do.
        why: &'static str,
    },
    /// The key is on already, or off already.
    #[error("the key is {state} already")]
    Already {
        /// `on` or `off`.
        state: &'static str,
    },
    /// A change can't be undone, because its lines were changed since.
    #[error("somebody has changed that line of the keys file since: it stays as it is now")]
    ChangedSince,
}

impl KeySheet {
    /// Parses a text. Every text is a sheet.
    pub fn parse(text: &[u8]) -> KeySheet {
        let without_mark = text.strip_prefix(BYTE_ORDER_MARK);
        let lines = without_mark.unwrap_or(text).split_inclusive(|it| *it == b'\n');
        KeySheet {
            has_byte_order_mark: without_mark.is_some(),
            lines: lines.map(<[u8]>::to_vec).collect(),
        }
    }

    /// The text of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mark = if self.has_byte_order_mark { BYTE_ORDER_MARK } else { b"" };
        [mark, &self.lines.concat()].concat()
    }

    /// The version of the text.
    pub fn version(&self) -> SheetVersion {
        SheetVersion::of(&self.to_bytes())
    }

    /// Every line that holds a key, held one or should hold one, in the order of the file.
    pub fn rows(&self, now: Timestamp) -> Vec<KeyRow> {
        let mut rows = Vec::new();
        let mut first = true;
        for (index, line) in self.lines.iter().enumerate() {
            let may_be_header = first;
            first &= is_blank(line);
            rows.extend(row(index + 1, line, may_be_header, now));
        }
        if self.has_byte_order_mark {
            // In front of a comment, the mark turns the comment into a key for the old reader.
            match rows.first_mut().filter(|it| it.line == 1) {
                Some(row) => row.faults.push(Fault::ByteOrderMark),
                None => rows.insert(0, KeyRow::skipped(1, "", Fault::ByteOrderMark)),
            }
        }
        // Of equal keys the last counts, for both readers.
        let mut later = HashMap::new();
        for row in rows.iter_mut().rev().filter(|it| it.state == KeyState::On) {
            let again = row.key.as_ref().and_then(|it| later.insert(it.hashed, row.line));
            row.faults.extend(again.map(|again| Fault::Duplicate { again }));
        }
        rows
    }

    /// The number of rows whose key is valid.
    pub fn good(&self, now: Timestamp) -> usize {
        let is_good = |row: &KeyRow| {
            row.state == KeyState::On && row.key.as_ref().is_some_and(|it| !it.has_expired(now))
        };
        self.rows(now).iter().filter(|it| is_good(it)).count()
    }

    /// Adds a key as the last line.
    pub fn add(
        &mut self,
        new: &NewKey,
        key: &PlainKey,
        created: Timestamp,
    ) -> Result<(), SheetError> {
        check_user(&new.user)?;
        self.check_key(key)?;
        let scope = scope_text(new.scope);
        let path = check(Column::Path, &String::from_utf8_lossy(new.path.as_bytes()))?;
        let expires = check_ahead(&new.expires, created)?;
        let note = check(Column::Note, &new.note)?;
        let created = created.strftime(DATE);
        if self.lines.is_empty() {
            self.lines.push(format!("# {COLUMNS}\n").into_bytes());
        }
        let mut line = format!("{},", new.user).into_bytes();
        line.extend(key.reveal());
        line.extend(format!(",{scope},{path},{expires},{created}").bytes());
        if !note.is_empty() {
            line.extend(format!(",{note}").bytes());
        }
        self.insert(self.lines.len(), line);
        Ok(())
    }

    /// Adds a new key for an existing one, with the same scope, path and note.
    ///
    /// The new key is on and valid: its end is `expires`, which must not have passed. `None` gives it no end, and is allowed only if the
    /// old key has none: that end may be what an earlier rotation left, and is not copied silently. The old key never gets a later end than
    /// it has, and one that is off stays off. If the old key was sealed, the new one is sealed too.
    pub fn rotate(
        &mut self,
        line: usize,
        key: &PlainKey,
        old: &OldKey,
        expires: Option<&str>,
        created: Timestamp,
    ) -> Result<(), SheetError> {
        let (row, text) = self.row_text(line)?;
        let Some(old_key) = row.key else { return Err(SheetError::NoKey { line }) };
        if expires.is_none() && !row.expires.is_empty() {
            return Err(SheetError::EndUnsaid { text: row.expires });
        }
        let fresh =
            successor(text, key, &check_ahead(expires.unwrap_or_default(), created)?, created);
        if let OldKey::EndsAt(end) = old {
            self.end_early(old_key.hashed, end)?;
        }
        if *old == OldKey::EndsNow {
            self.replace(line, fresh);
            self.remove_copies(old_key.hashed);
        } else {
            self.insert(line, fresh);
        }
        Ok(())
    }

    /// Changes one column of a row and leaves the others as they are.
    pub fn set(&mut self, line: usize, column: Column, text: &str) -> Result<(), SheetError> {
        let text = check(column, text)?;
        let row = self.row_at(line)?;
        if column != Column::Note
            && row.state == KeyState::On
            && let Some(key) = &row.key
        {
            // Of equal keys the last line counts.
            let later =
                self.lines_with(key.hashed, |it| it.state == KeyState::On && it.line > line);
            no_copy(&later, "and that line counts")?;
        }
        self.write_column(line, column, &text)
    }

    fn write_column(&mut self, line: usize, column: Column, text: &str) -> Result<(), SheetError> {
        let (_, old) = self.row_text(line)?;
        let (prefix, columns) = split_prefix(old);
        if Columns::of(columns).key.is_empty() {
            // One more comma would give the old reader an empty key.
            return Err(SheetError::NoKey { line });
        }
        let new = format!("{prefix}{}", with_column(columns, column.index(), text));
        self.replace(line, new.into_bytes());
        Ok(())
    }

    /// Switches a key off: its row becomes a comment.
    pub fn switch_off(&mut self, line: usize) -> Result<(), SheetError> {
        let row = self.row_at(line)?;
        if row.state == KeyState::Off {
            return Err(SheetError::Already { state: "off" });
        }
        if row.key.is_none() && row.faults == [Fault::ByteOrderMark] {
            self.has_byte_order_mark = false;
            return Ok(());
        }
        if let Some(key) = &row.key {
            let others =
                self.lines_with(key.hashed, |it| it.state == KeyState::On && it.line != line);
            no_copy(&others, "and would keep it good")?;
        }
        self.comment_out(line);
        Ok(())
    }

    /// Switches a key on again.
    pub fn switch_on(&mut self, line: usize) -> Result<(), SheetError> {
        let (row, text) = self.row_text(line)?;
        let Some(columns) = switched_off(text).filter(|_| row.state == KeyState::Off) else {
            return Err(SheetError::Already { state: "on" });
        };
        let new = columns.as_bytes().to_vec();
        self.replace(line, new);
        Ok(())
    }

    /// Removes a row and every other line with the same key: each of them, also one that is off or sealed, could bring the key back.
    pub fn revoke(&mut self, line: usize) -> Result<(), SheetError> {
        let row = self.row_at(line)?;
        match row.key {
            Some(key) => self.remove_copies(key.hashed),
            None if row.faults == [Fault::ByteOrderMark] => self.has_byte_order_mark = false,
            None => drop(self.lines.remove(line - 1)),
        }
        Ok(())
    }

    /// Removes every line that holds a key.
    fn remove_copies(&mut self, hashed: HashedKey) {
        for line in self.lines_with(hashed, |_| true).into_iter().rev() {
            self.lines.remove(line - 1);
        }
    }

    /// Gives this end to a key on every line where it is on and does not end earlier.
    fn end_early(&mut self, hashed: HashedKey, end: &str) -> Result<(), SheetError> {
        let refused = || SheetError::Expires { text: end.to_owned() };
        let wanted = end_of(end).ok_or_else(refused)?;
        let lasts_longer = |row: &KeyRow| {
            let own = row.key.as_ref().and_then(|it| it.expires);
            row.state == KeyState::On && own.is_none_or(|it| it > wanted)
        };
        for line in self.lines_with(hashed, lasts_longer) {
            self.write_column(line, Column::Expires, end)?;
        }
        Ok(())
    }

    /// The numbers of the lines that hold a key and match a condition.
    fn lines_with(&self, hashed: HashedKey, is_meant: impl Fn(&KeyRow) -> bool) -> Vec<usize> {
        let has_it = |row: &KeyRow| row.key.as_ref().is_some_and(|it| it.hashed == hashed);
        let rows = self.rows(Timestamp::now());
        rows.iter().filter(|it| has_it(it) && is_meant(it)).map(|it| it.line).collect()
    }

    /// Replaces a key by its SHA-256. A person who reads the file then does not learn the key, and the old reader no longer accepts it.
    pub fn seal(&mut self, line: usize) -> Result<(), SheetError> {
        let row = self.row_at(line)?;
        let refused = |why| Err(SheetError::Seal { why });
        if row.is_sealed {
            return refused("the key is sealed already");
        }
        let Some(key) = row.key.as_ref().filter(|_| row.state == KeyState::On) else {
            return refused("only a key that is on can be sealed: switch it on or mend it first");
        };
        if row.faults.contains(&Fault::Short) {
            return refused("a short key can be guessed from its hash as well: rotate it first");
        }
        let hashed = key.hashed;
        // A copy on another line would still show it, even one that is off.
        for line in self.lines_with(hashed, |it| !it.is_sealed) {
            let (_, text) = self.row_text(line)?;
            let (off, columns) = split_prefix(text);
            let new = format!("{off}{SEALED_MARK}{}", with_column(columns, 1, &hashed.to_hex()));
            self.replace(line, new.into_bytes());
        }
        Ok(())
    }

    /// Fixes a fault of a row.
    pub fn fix(&mut self, line: usize, fault: Fault) -> Result<(), SheetError> {
        if fault == Fault::ByteOrderMark {
            self.has_byte_order_mark = false;
            return Ok(());
        }
        if let Fault::Garbled(_) = fault {
            let (_, text) = self.row_text(line)?;
            let new = ungarbled(text);
            if new == text {
                // What was meant is unknown.
                self.comment_out(line);
            } else {
                self.replace(line, new.into_bytes());
            }
            return Ok(());
        }
        if fault != Fault::Spaces {
            self.row_at(line)?;
            self.comment_out(line);
            return Ok(());
        }
        // Without the spaces the row means the same to both readers.
        let (_, text) = self.row_text(line)?;
        let (prefix, columns) = split_prefix(text);
        let Columns { user, key, .. } = Columns::of(columns);
        let new = with_column(&with_column(columns, 0, user), 1, key);
        let new = format!("{prefix}{new}");
        self.replace(line, new.into_bytes());
        Ok(())
    }

    /// Ends the last line and leaves no empty text: a reader would take either for half-written.
    pub(crate) fn finish(&mut self) {
        if self.lines.is_empty() {
            self.lines.push(format!("# {COLUMNS}\n").into_bytes());
        }
        if let Some(last) = self.lines.last_mut().filter(|it| !it.ends_with(b"\n")) {
            last.push(b'\n');
        }
    }

    /// Whether a key can be added without a fault.
    fn check_key(&self, key: &PlainKey) -> Result<(), SheetError> {
        let is_odd = |it: &u8| matches!(it, b',' | b' ' | b'#' | b'"') || it.is_ascii_control();
        if key.is_short() {
            return Err(SheetError::Short);
        }
        if std::str::from_utf8(key.reveal()).is_err() || key.reveal().iter().any(is_odd) {
            return Err(SheetError::Key);
        }
        let hashed = key.hash();
        let rows = self.rows(Timestamp::now());
        let same = rows.iter().find(|it| it.key.as_ref().is_some_and(|it| it.hashed == hashed));
        same.map_or(Ok(()), |it| Err(SheetError::Taken { line: it.line }))
    }

    fn row_at(&self, line: usize) -> Result<KeyRow, SheetError> {
        let found = self.rows(Timestamp::now()).into_iter().find(|it| it.line == line);
        found.ok_or(SheetError::NoRow { line })
    }

    /// A row and its trimmed text.
    fn row_text(&self, line: usize) -> Result<(KeyRow, &str), SheetError> {
        let row = self.row_at(line)?;
        let bytes = self.lines.get(line - 1).map(Vec::as_slice).unwrap_or_default();
        let text = std::str::from_utf8(bytes).map_err(|_not_text| SheetError::NoRow { line })?;
        Ok((row, text.trim()))
    }

    /// Makes a row a comment for both readers, whatever bytes it holds.
    fn comment_out(&mut self, line: usize) {
        let text = self.lines.get(line - 1).map(|it| it.trim_ascii()).unwrap_or_default();
        self.replace(line, [OFF_MARK.as_bytes(), text].concat());
    }

    /// Replaces a line and keeps its line end.
    fn replace(&mut self, line: usize, mut new: Vec<u8>) {
        if let Some(old) = self.lines.get_mut(line - 1) {
            let end =
                old.iter().rposition(|it| !matches!(it, b'\r' | b'\n')).map_or(0, |it| it + 1);
            new.extend(old.get(end..).unwrap_or_default());
            *old = new;
        }
    }

    /// Inserts a line that ends like the others.
    fn insert(&mut self, at: usize, mut line: Vec<u8>) {
        let is_crlf = self.lines.first().is_some_and(|it| it.ends_with(b"\r\n"));
        let end: &[u8] = if is_crlf { b"\r\n" } else { b"\n" };
        if let Some(before) = at.checked_sub(1).and_then(|it| self.lines.get_mut(it))
            && !before.ends_with(b"\n")
        {
            before.extend(end);
        }
        line.extend(end);
        self.lines.insert(at, line);
    }
}

impl SheetVersion {
    /// The version of a text.
    pub(crate) fn of(text: &[u8]) -> SheetVersion {
        SheetVersion(Sha256::digest(text).into())
    }
}

/// 16 hexadecimal digits, unlikely to be the same for two texts.
impl fmt::Display for SheetVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(8).try_for_each(|it| write!(f, "{it:02x}"))
    }
}

impl fmt::Debug for KeySheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySheet({} lines)", self.lines.len())
    }
}

impl KeyRow {
    /// Eight hexadecimal digits that identify the key, as in the log; `None` where there is no key.
    pub fn id(&self) -> Option<String> {
        self.key.as_ref().map(|it| it.hashed.id())
    }
}

impl Column {
    fn index(self) -> usize {
        match self {
            Column::Scope => 2,
            Column::Path => 3,
            Column::Expires => 4,
            Column::Note => COLUMN_COUNT - 1,
        }
    }
}

impl Scope {
    /// The scope's word in the keys file.
    pub fn text(self) -> &'static str {
        scope_text(self)
    }
}

fn scope_text(scope: Scope) -> &'static str {
    match scope {
        Scope::Read => "read",
        Scope::Write => "write",
    }
}

fn check_user(user: &str) -> Result<(), SheetError> {
    let is_plain = |it: char| it.is_alphanumeric() || matches!(it, '.' | '_');
    if user.is_empty() || !user.chars().all(is_plain) { Err(SheetError::User) } else { Ok(()) }
}

/// The text to write for a value; an error where it would be read as something else.
fn check(column: Column, text: &str) -> Result<String, SheetError> {
    let text = text.trim();
    match column {
        Column::Scope if matches!(text, "read" | "write") => {}
        Column::Scope => return Err(SheetError::Scope),
        Column::Path => {
            let path = text.strip_prefix('/').unwrap_or(text);
            let path = path.strip_suffix('/').unwrap_or(path);
            let refused = || SheetError::Path { text: text.to_owned() };
            let lossy = path.contains([',', '\u{fffd}']) || path.trim() != path;
            if lossy || path.contains(char::is_control) {
                return Err(refused());
            }
            RelPath::from_plain(path.as_bytes()).map_err(|_refusal| refused())?;
            return Ok(path.to_owned());
        }
        Column::Expires if text.is_empty() || end_of(text).is_some() => {}
        Column::Expires => return Err(SheetError::Expires { text: text.to_owned() }),
        Column::Note if text.contains(char::is_control) => {
            return Err(SheetError::Control { column: "note" });
        }
        Column::Note => {}
    }
    Ok(text.to_owned())
}

/// The expiry of a new key; an error if it has passed.
fn check_ahead(text: &str, now: Timestamp) -> Result<String, SheetError> {
    let text = check(Column::Expires, text)?;
    let has_passed = end_of(&text).is_some_and(|it| it <= now);
    if has_passed { Err(SheetError::Ended { text }) } else { Ok(text) }
}

/// An error if other lines hold the same key.
fn no_copy(lines: &[usize], effect: &'static str) -> Result<(), SheetError> {
    lines.first().map_or(Ok(()), |line| Err(SheetError::Copy { line: *line, effect }))
}

/// The row of a new key for an old one: on, with another end.
fn successor(row: &str, key: &PlainKey, expires: &str, created: Timestamp) -> Vec<u8> {
    let (prefix, columns) = split_prefix(row);
    let is_sealed = prefix.ends_with(SEALED_MARK);
    let written = if is_sealed {
        key.hash().to_hex()
    } else {
        String::from_utf8_lossy(key.reveal()).into_owned()
    };
    // To the old reader, spaces around the user's name were a part of it.
    let fresh = with_column(columns, 0, Columns::of(columns).user);
    let fresh = with_column(&fresh, 1, &written);
    let fresh = with_column(&fresh, 4, expires);
    let fresh = with_column(&fresh, 5, &created.strftime(DATE).to_string());
    format!("{}{fresh}", if is_sealed { SEALED_MARK } else { "" }).into_bytes()
}

/// Whether a line is blank or a comment, so that a header may still follow.
fn is_blank(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    line.is_empty() || (line.starts_with(b"#") && !line.starts_with(SEALED_MARK.as_bytes()))
}

/// The row that a line holds; `None` for a blank line or a comment.
fn row(number: usize, line: &[u8], may_be_header: bool, now: Timestamp) -> Option<KeyRow> {
    let Ok(text) = std::str::from_utf8(line) else {
        let is_comment = line.trim_ascii_start().starts_with(b"#");
        return (!is_comment)
            .then(|| KeyRow::skipped(number, "", Fault::Unclear("it is not UTF-8 text")));
    };
    let text = text.trim();
    let off = switched_off(text);
    let is_comment = text.starts_with('#') && !text.starts_with(SEALED_WORD);
    if text.is_empty() || (is_comment && off.is_none()) {
        return None;
    }
    let text = off.unwrap_or(text);
    let (prefix, columns) = split_prefix(text);
    let is_sealed = !prefix.is_empty();
    let written = Columns::of(columns);
    if may_be_header && off.is_none() && written.are_names() {
        return Some(KeyRow::skipped(number, written.user, Fault::Header));
    }
    let parsed = parse_line(text.as_bytes(), false);
    let (key, fault) = match parsed {
        Ok(Line::Key(key)) => (Some(key), None),
        Ok(Line::Blank | Line::Header) => return None,
        Err(why) if written.garbled().is_some() => (None, Some(Fault::Garbled(why))),
        Err(_) if !columns.contains(',') => (None, Some(Fault::NoKey)),
        Err(_) if written.key.is_empty() => (None, Some(Fault::Empty)),
        Err(why) => (None, Some(Fault::Unclear(why))),
    };
    let plain = PlainKey::new(written.key.as_bytes());
    let masked = match &key {
        Some(key) => key.masked.clone(),
        None if written.key.is_empty() => String::new(),
        None => plain.mask(written.user),
    };
    let state = match (off, &key) {
        (Some(_), _) => KeyState::Off,
        (None, Some(_)) => KeyState::On,
        (None, None) => KeyState::Skipped,
    };
    let mut faults: Vec<Fault> = fault.into_iter().collect();
    if let Some(key) = &key
        && state == KeyState::On
    {
        let mut as_written = columns.split(',');
        let has_spaces = [written.user, written.key].map(|it| as_written.next() != Some(it));
        let candidates = [
            // On a later line the header is a key, to both readers.
            (written.are_names(), Fault::Header),
            // The old reader strips only the space at the end of a line.
            (!is_sealed && has_spaces.contains(&true), Fault::Spaces),
            (!is_sealed && !written.are_names() && plain.is_short(), Fault::Short),
            (key.has_expired(now), Fault::Expired),
        ];
        faults.extend(candidates.into_iter().filter(|it| it.0).map(|it| it.1));
    }
    Some(KeyRow {
        line: number,
        state,
        is_sealed,
        user: written.user.to_owned(),
        masked,
        created: written.created.to_owned(),
        expires: written.expires.to_owned(),
        note: written.note.to_owned(),
        key,
        faults,
    })
}

impl KeyRow {
    fn skipped(line: usize, user: &str, fault: Fault) -> KeyRow {
        KeyRow {
            line,
            state: KeyState::Skipped,
            is_sealed: false,
            user: user.to_owned(),
            masked: String::new(),
            created: String::new(),
            expires: String::new(),
            note: String::new(),
            key: None,
            faults: vec![fault],
        }
    }
}

/// The row that a comment was before it was switched off; `None` for any other comment.
fn switched_off(text: &str) -> Option<&str> {
    let rest = text.strip_prefix('#').filter(|_| !text.starts_with(SEALED_WORD))?;
    let rest = rest.strip_prefix(' ').unwrap_or(rest).trim();
    let (_, columns) = split_prefix(rest);
    let mut written = columns.split(',');
    let is_word = |it: &str| !it.is_empty() && !it.contains([' ', '\t']);
    let looks_like_key = is_word(written.next()?.trim()) && is_word(written.next()?.trim());
    let is_key = matches!(parse_line(rest.as_bytes(), false), Ok(Line::Key(_)));
    (looks_like_key && is_key && !Columns::of(columns).are_names()).then_some(rest)
}

/// Splits a row into its marks (switched off, sealed) and its columns.
fn split_prefix(text: &str) -> (&str, &str) {
    let off = switched_off_mark(text);
    let (mark, rest) = text.split_at_checked(off).unwrap_or(("", text));
    let sealed = if rest.starts_with(SEALED_MARK) { SEALED_MARK.len() } else { 0 };
    text.split_at_checked(mark.len() + sealed).unwrap_or(("", text))
}

/// The number of bytes of the mark that makes a row a comment.
fn switched_off_mark(text: &str) -> usize {
    if text.starts_with(SEALED_MARK) || !text.starts_with('#') {
        return 0;
    }
    if text.starts_with(OFF_MARK) { OFF_MARK.len() } else { 1 }
}

/// The row as it was before another program wrote it with quotes or other separators.
fn ungarbled(text: &str) -> String {
    let separator = |it: &char| matches!(it, ',' | ';' | '\t');
    let separator = text.chars().find(separator).unwrap_or(',');
    let sealed = usize::from(text.trim_start_matches('"').starts_with(SEALED_WORD));
    let plain = |(index, column): (usize, &str)| {
        // A user's name and a key hold no quotes.
        let is_word = index <= 1 + sealed;
        if is_word { column.replace('"', "") } else { column.trim_matches('"').to_owned() }
    };
    let columns = text.splitn(COLUMN_COUNT + sealed, separator).enumerate().map(plain);
    columns.collect::<Vec<_>>().join(",")
}

/// The columns of a row with one of them replaced.
fn with_column(columns: &str, index: usize, text: &str) -> String {
    let mut all: Vec<&str> = columns.splitn(COLUMN_COUNT, ',').collect();
    while all.len() <= index {
        all.push("");
    }
    if let Some(column) = all.get_mut(index) {
        *column = text;
    }
    let joined = all.join(",");
    // Empty columns at the end have no meaning.
    if index == COLUMN_COUNT - 1 && text.is_empty() {
        return joined.trim_end_matches(',').to_owned();
    }
    joined
}
