//! The keys: who may read and upload.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::Serialize;
use volume::RelPath;
use volume::keys::sheet::change::SheetChange;
use volume::keys::sheet::{
    Column, Fault, Fix, KeyRow, KeySheet, KeyState, NewKey, OldKey, SheetVersion,
};
use volume::keys::{PlainKey, Scope};

use super::{Desk, Failure, parse_age, parse_end, shown};
use crate::admin::{Admin, ExtraKey, KeysNow};
use crate::text;

/// Why nothing can be done to a key that no file has.
pub const EXTRA_STAYS: &str =
    "this key comes from API_KEYS: it is changed where the server is started";
/// What is said of a key that no file has.
pub const FROM_API_KEYS: &str = "from API_KEYS";

/// A key as a list shows it. Never the key itself.
#[derive(Clone, Debug, Serialize)]
pub struct KeyEntry {
    /// The line it stands on, from 1; none where it comes from `API_KEYS`.
    pub line: Option<usize>,
    /// What the log calls it.
    pub id: Option<String>,
    /// Whose.
    pub username: String,
    /// What may be shown of it.
    pub apikey: String,
    /// `on`, `off`, `expired` or `skipped`.
    pub state: &'static str,
    /// Whether only its hash is kept.
    pub sealed: bool,
    /// `read` or `write`.
    pub scope: Option<&'static str>,
    /// The folder it covers.
    pub path: Option<RelPath>,
    /// Its end, as written.
    pub expires: String,
    /// The day it was made, as written.
    pub created: String,
    /// Any text.
    pub note: String,
    /// When it was last used, as far as the server remembers.
    pub last_used: Option<Timestamp>,
    /// What is wrong with it.
    pub warnings: Vec<String>,
}

/// A key that was made. Shows itself once.
#[derive(Debug, Serialize)]
pub struct MadeKey {
    /// Whose.
    pub username: String,
    /// The key.
    pub apikey: String,
    /// `read` or `write`.
    pub scope: &'static str,
    /// The folder it covers.
    pub path: RelPath,
    /// Its end.
    pub expires: String,
    /// The day it was made.
    pub created: String,
    /// Any text.
    pub note: String,
    /// What became of the keys file's lines.
    #[serde(skip)]
    pub change: SheetChange,
}

/// The keys file as it was at one moment.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Which text it was; an edit names it.
    pub version: SheetVersion,
    /// Its rows.
    pub rows: Vec<KeyRow>,
    /// How many are good.
    pub good: usize,
}

/// A change to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyEdit {
    /// Comment it out.
    Off,
    /// And back.
    On,
    /// Remove it.
    Revoke,
    /// Keep its hash only.
    Seal,
    /// Change a column.
    Set(Column, String),
    /// Mend what is wrong with it.
    Fix(Fault),
}

impl Desk {
    /// The keys as they are now.
    pub fn keys(&self) -> Result<Keys, Failure> {
        let now = Timestamp::now();
        let sheet = self.volume.key_sheet().map_err(|it| self.unreadable(&it))?;
        let mut rows = sheet.rows(now);
        for row in &mut rows {
            row.faults.extend(self.leads_nowhere(row).then_some(Fault::NoFolder));
        }
        Ok(Keys { version: sheet.version(), rows, good: sheet.good(now) })
    }

    /// What the server knows of the keys; without one what it has written down of them.
    pub fn keys_in_use(&self) -> KeysNow {
        let asked = Admin::new(self.admin.as_deref(), &self.volume).and_then(|it| it.keys());
        asked.unwrap_or_else(|_no_server| self.remembered_keys())
    }

    /// What the server has written down of the keys.
    pub fn remembered_keys(&self) -> KeysNow {
        KeysNow { uses: self.volume.key_uses().unwrap_or_default(), ..KeysNow::default() }
    }

    /// Whether a key reads what is not there. Whoever uploads may bring it yet.
    fn leads_nowhere(&self, row: &KeyRow) -> bool {
        let key = row.key.as_ref().filter(|it| {
            row.state == KeyState::On && it.scope == Scope::Read && !it.path.is_root()
        });
        let is_missing = |path| {
            matches!(
                self.volume.find(path, volume::Blocking::MayBlock),
                Err(volume::FindError::Missing { .. })
            )
        };
        key.is_some_and(|it| is_missing(&it.path))
    }

    fn unreadable(&self, error: &std::io::Error) -> Failure {
        let file = format!("{}/.sounding/auth-keys.csv", self.folder.display());
        Failure::new(match error.kind() {
            std::io::ErrorKind::PermissionDenied => {
                format!("{file} may not be read by this user: be the one that the server runs as")
            }
            _ => format!("{file} could not be read: {error}"),
        })
    }

    /// Makes a key. `plain`: this one instead of a random one.
    pub fn add_key(
        &self,
        shown: Option<SheetVersion>,
        new: &NewKey,
        plain: Option<PlainKey>,
    ) -> Result<MadeKey, Failure> {
        let now = Timestamp::now();
        let key = match plain {
            Some(key) => key,
            None => PlainKey::generate(&new.user)?,
        };
        let ((), change) = self.volume.edit_keys(shown, |sheet| sheet.add(new, &key, now))?;
        Ok(MadeKey::new(new, &key, now, change))
    }

    /// Makes a new key for an old one. `expires`: its end, which must be said where the old one has an end.
    pub fn rotate_key(
        &self,
        shown: Option<SheetVersion>,
        row: &KeyRow,
        old: &OldKey,
        expires: Option<&str>,
    ) -> Result<MadeKey, Failure> {
        let now = Timestamp::now();
        let key = PlainKey::generate(&row.user)?;
        let edit = |sheet: &mut KeySheet| sheet.rotate(row.line, &key, old, expires, now);
        let ((), change) = self.volume.edit_keys(shown, edit)?;
        let (scope, path) = row
            .key
            .as_ref()
            .map_or((Scope::Read, RelPath::root()), |it| (it.scope, it.path.clone()));
        let (user, note) = (row.user.clone(), row.note.clone());
        let expires = expires.unwrap_or_default().to_owned();
        let new = NewKey { user, scope, path, expires, note };
        Ok(MadeKey::new(&new, &key, now, change))
    }

    /// Changes a key: all of it or nothing. Returns what became of the file's lines.
    pub fn edit_key(
        &self,
        shown: Option<SheetVersion>,
        line: usize,
        edits: &[KeyEdit],
    ) -> Result<SheetChange, Failure> {
        let edit = |sheet: &mut KeySheet| edits.iter().try_for_each(|it| apply(sheet, line, it));
        let ((), change) = self.volume.edit_keys(shown, edit)?;
        Ok(change)
    }
}

fn apply(
    sheet: &mut KeySheet,
    line: usize,
    edit: &KeyEdit,
) -> Result<(), volume::keys::sheet::SheetError> {
    match edit {
        KeyEdit::Off => sheet.switch_off(line),
        KeyEdit::On => sheet.switch_on(line),
        KeyEdit::Revoke => sheet.revoke(line),
        KeyEdit::Seal => sheet.seal(line),
        KeyEdit::Set(column, text) => sheet.set(line, *column, text),
        KeyEdit::Fix(fault) => sheet.fix(line, *fault),
    }
}

/// A row as a message names it.
pub fn named(row: &KeyRow) -> String {
    match &row.key {
        Some(_) => format!("key {} of {}", row.masked, text::escape(row.user.as_bytes())),
        None => on_line(row),
    }
}

/// A row as one names it who has the file before him: its line, and whose it is where that can be read.
pub fn on_line(row: &KeyRow) -> String {
    match row.user.as_str() {
        "" => format!("line {}", row.line),
        user => format!("line {} ({})", row.line, text::escape(user.as_bytes())),
    }
}

impl Keys {
    /// Which row somebody means: a user's name where that has one key only, a key's id, or `line:N`.
    ///
    /// `known`: what the server knows, so that one of its own is told from none.
    pub fn pick(&self, given: &str, known: &KeysNow) -> Result<&KeyRow, Failure> {
        let line: Option<usize> = given.strip_prefix("line:").and_then(|it| it.parse().ok());
        let is_meant =
            |row: &&KeyRow| line == Some(row.line) || row.id().is_some_and(|it| it == given);
        // Of equal keys the last that is on counts.
        let counts = |row: &&KeyRow| (row.state == KeyState::On, row.line);
        if let Some(row) = self.rows.iter().filter(is_meant).max_by_key(counts) {
            return Ok(row);
        }
        let of_user: Vec<&KeyRow> = self.rows.iter().filter(|it| it.user == given).collect();
        match of_user.as_slice() {
            [row] => Ok(row),
            [] if known.extra.iter().any(|it| it.id == given || it.username == given) => {
                Err(Failure::new(format!("{given}: {EXTRA_STAYS}")))
            }
            [] => {
                Err(Failure::new(format!("there is no key `{given}`: `sounding keys` lists them")))
            }
            several => {
                let ids: Vec<String> = several
                    .iter()
                    .map(|it| {
                        format!(
                            "{} ({})",
                            it.id().unwrap_or(format!("line:{}", it.line)),
                            it.masked
                        )
                    })
                    .collect();
                Err(Failure::new(format!("{given} has several keys, name one: {}", ids.join(", "))))
            }
        }
    }

    /// All faults, with their rows.
    pub fn faults(&self) -> impl Iterator<Item = (&KeyRow, Fault)> {
        self.rows.iter().flat_map(|row| row.faults.iter().map(move |it| (row, *it)))
    }

    /// How many different users have one of these keys or of the server's own. A line that is no key is nobody's.
    pub fn users(&self, extra: &[ExtraKey]) -> usize {
        let of_file = self.rows.iter().filter(|it| it.key.is_some()).map(|it| it.user.as_str());
        let users: HashSet<&str> =
            of_file.chain(extra.iter().map(|it| it.username.as_str())).collect();
        users.len()
    }
}

impl KeyEntry {
    /// Of a row.
    pub fn of(row: &KeyRow, known: &KeysNow, now: Timestamp) -> KeyEntry {
        let key = row.key.as_ref();
        KeyEntry {
            line: Some(row.line),
            id: row.id(),
            username: row.user.clone(),
            apikey: row.masked.clone(),
            state: state_text(row, now),
            sealed: row.is_sealed,
            scope: key.map(|it| it.scope.text()),
            path: key.map(|it| it.path.clone()),
            expires: row.expires.clone(),
            created: row.created.clone(),
            note: row.note.clone(),
            last_used: row.id().and_then(|it| Some(known.uses.get(&it)?.last)),
            warnings: row.faults.iter().map(Fault::to_string).collect(),
        }
    }

    /// Of a key from `API_KEYS`, which no file has.
    pub fn extra(key: &ExtraKey, known: &KeysNow) -> KeyEntry {
        KeyEntry {
            line: None,
            id: Some(key.id.clone()),
            username: key.username.clone(),
            apikey: key.apikey.clone(),
            state: "on",
            sealed: false,
            scope: Some(Scope::Read.text()),
            path: Some(RelPath::root()),
            expires: String::new(),
            created: String::new(),
            note: FROM_API_KEYS.to_owned(),
            last_used: known.uses.get(&key.id).map(|it| it.last),
            warnings: Vec::new(),
        }
    }
}

/// Whether a key is good, in a word.
pub fn state_text(row: &KeyRow, now: Timestamp) -> &'static str {
    let has_expired = row.key.as_ref().is_some_and(|it| it.has_expired(now));
    match row.state {
        KeyState::Off => "off",
        KeyState::Skipped => "skipped",
        KeyState::On if has_expired => "expired",
        KeyState::On => "on",
    }
}

impl MadeKey {
    fn new(new: &NewKey, key: &PlainKey, now: Timestamp, change: SheetChange) -> MadeKey {
        MadeKey {
            username: new.user.clone(),
            apikey: String::from_utf8_lossy(key.reveal()).into_owned(),
            scope: new.scope.text(),
            path: new.path.clone(),
            expires: new.expires.clone(),
            created: now.strftime("%Y-%m-%d").to_string(),
            note: new.note.clone(),
            change,
        }
    }
}

/// What becomes of the old key, as somebody writes it: `7d`, `0`, `never`.
pub fn parse_overlap(given: &str, now: Timestamp) -> Result<OldKey, Failure> {
    if given.eq_ignore_ascii_case("never") {
        return Ok(OldKey::Stays);
    }
    if parse_age(given).is_ok_and(|it| it.is_zero()) {
        return Ok(OldKey::EndsNow);
    }
    Ok(OldKey::EndsAt(parse_end(given, now)?))
}

/// What one mend does, and whether it needs a new key, in a few words.
pub fn remedy(fault: Fault) -> String {
    match fault.fix() {
        Fix::Rotate | Fix::Edit => fault.remedy().to_owned(),
        Fix::Rewrite => format!("{} (`sounding keys check --fix`)", fault.remedy()),
    }
}

/// What a key covers, in a few words.
pub fn reach(row: &KeyRow) -> String {
    let Some(key) = &row.key else { return "nothing".to_owned() };
    let what = match key.scope {
        Scope::Read => "read",
        Scope::Write => "read and upload",
    };
    if key.path.is_root() {
        format!("{what}, whole volume")
    } else {
        format!("{what}, {} and all below", shown(&key.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_undone_is_as_it_was() {
        let key = "kmt-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUm6AfG";
        let text = format!("kmt,{key},write,berlin/v 6,2026-01-31,2026-01-20,a, b\nzoe,{key}z\n");
        let column = |column, text: &str| KeyEdit::Set(column, text.to_owned());
        for edits in [
            vec![KeyEdit::Off],
            vec![KeyEdit::Revoke],
            vec![KeyEdit::Seal],
            vec![KeyEdit::Fix(Fault::Expired)],
            vec![column(Column::Scope, "read"), column(Column::Path, "/zurich")],
            vec![column(Column::Expires, ""), column(Column::Note, "")],
        ] {
            let before = KeySheet::parse(text.as_bytes());
            let mut sheet = before.clone();
            edits.iter().try_for_each(|it| apply(&mut sheet, 1, it)).unwrap();
            assert_ne!(sheet.to_bytes(), text.as_bytes(), "{edits:?}");
            let change = SheetChange::between(&before, &sheet);
            sheet.take_back(&change).unwrap();
            assert_eq!(String::from_utf8(sheet.to_bytes()).unwrap(), text, "{edits:?}");
        }
    }

    #[test]
    fn of_equal_keys_the_one_that_counts_is_meant() {
        let key = "kmt-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUm6AfG";
        let pick = |text: &str| {
            let sheet = KeySheet::parse(text.as_bytes());
            let rows = sheet.rows(Timestamp::now());
            let id = rows[0].id().unwrap();
            let keys = Keys { version: sheet.version(), rows, good: 0 };
            keys.pick(&id, &KeysNow::default()).unwrap().line
        };
        assert_eq!(pick(&format!("# kmt,{key}\nkmt,{key}\n# kmt,{key}\n")), 2);
        assert_eq!(pick(&format!("kmt,{key}\nkmt,{key},write\n")), 2);
    }
}
