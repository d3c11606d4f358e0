//! The journal: a catalogue of the volume, and the changes that led to it, in order.
//!
//! `.sounding/journal.sqlite` holds both, since each only makes sense with the other: the catalogue is the volume as it was last seen. Both
//! are written in one transaction, so no change is lost or recorded twice, however the service ends. The number of changes is bounded. A
//! [`Cursor`] that is older than all of them, or from another journal, gets a page marked [fresh](Page::is_fresh).
//!
//! A damaged journal is put aside as soon as the damage shows, and a new one is started. A reader that has the old one open sees that it is
//! [not in force any more](Journal::is_in_force), and opens the new one.
//!
//! Only [`crate::observer`] writes. Any number of readers may read at the same time.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Row, ffi, params, params_from_iter,
};
use rustix::fs::{AtFlags, FileType, FlockOperation, RenameFlags};
use rustix::io::Errno;

use crate::copy_name::beside;
use crate::layout::{BROKEN_JOURNAL_FILE, JOURNAL_FILE};
use crate::names::Kind;
use crate::path::RelPath;
use crate::resolve::proc_path;
use crate::stat::Stat;
use crate::volume::{Volume, folder_to_read};

/// At least this many changes are kept,
const KEPT: i64 = 300_000;
/// and this many more before the oldest are deleted.
const SLACK: i64 = 30_000;
/// The version of the file's format.
const VERSION: i64 = 1;
/// How long a statement waits for another writer. Each writes for much less than this.
const BUSY: Duration = Duration::from_secs(10);

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS folder (
    id INTEGER PRIMARY KEY, parent INTEGER NOT NULL, path BLOB NOT NULL UNIQUE, inode INTEGER NOT NULL, born INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS folder_by_parent ON folder (parent);
CREATE INDEX IF NOT EXISTS folder_by_inode ON folder (inode);
CREATE TABLE IF NOT EXISTS file (
    folder INTEGER NOT NULL, name BLOB NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT NULL,
    inode INTEGER NOT NULL, PRIMARY KEY (folder, name)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS file_by_inode ON file (inode);
CREATE TABLE IF NOT EXISTS change (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, kind TEXT NOT NULL, path BLOB NOT NULL, origin BLOB,
    type TEXT NOT NULL, size INTEGER, mtime INTEGER, ctime INTEGER, inode INTEGER
);
CREATE TABLE IF NOT EXISTS state (
    base_seq INTEGER NOT NULL, base_time INTEGER NOT NULL, born INTEGER NOT NULL, is_scanned INTEGER NOT NULL
);
";

/// The SQL condition for changes in the folder that everybody may read. The index `change_of_public` holds those alone, so a reader without
/// a key pays nothing for the others. The database uses it only where a query has exactly these words.
const OF_PUBLIC: &str = "(path = CAST('public' AS BLOB) OR (path > CAST('public/' AS BLOB) AND path < CAST('public0' AS BLOB)) \
     OR origin = CAST('public' AS BLOB) OR (origin > CAST('public/' AS BLOB) AND origin < CAST('public0' AS BLOB)))";

/// A position in the order of changes. Valid across restarts; a cursor of another journal is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The number of the last change before it.
    pub seq: u64,
    /// The time of that change, in milliseconds since 1970. Two journals are unlikely to agree in both.
    time: i64,
}

/// The text is not a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid cursor")]
pub struct NoCursor;

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It arrived.
    Added,
    /// It has other content or other properties.
    Modified,
    /// It has another path.
    Moved,
    /// It was removed.
    Removed,
}

/// One change of a file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The change's number. Numbers grow.
    pub seq: u64,
    /// When the change was noticed.
    pub time: Timestamp,
    /// The kind of the change.
    pub kind: ChangeKind,
    /// The path that changed.
    pub path: RelPath,
    /// The old path, if it was moved.
    pub from: Option<RelPath>,
    /// Whether it is, or was, a file or a folder.
    pub entry: Kind,
    /// The file as it was then; `None` for folders and for what was removed.
    pub stat: Option<Stat>,
}

/// Changes after a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Whether the cursor is unknown, so the reader must read everything again.
    pub is_fresh: bool,
    /// In order.
    pub changes: Vec<Change>,
    /// The position after the last of them; with `is_end`, the position after all changes, also those that were not asked for.
    pub cursor: Cursor,
    /// Whether there are no more changes for now.
    pub is_end: bool,
}

/// Why the journal can't be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The database failed.
    #[error("`.sounding/{JOURNAL_FILE}` failed")]
    Database(#[from] rusqlite::Error),
    /// The folder could not be opened or locked.
    #[error("could not open `.sounding`")]
    Io(#[from] io::Error),
    /// A newer version of the service has written it.
    #[error("`.sounding/{JOURNAL_FILE}` is of a newer version of the service")]
    Newer,
    /// A folder, a pipe or a device has its name.
    #[error("`.sounding/{JOURNAL_FILE}` is not a regular file")]
    NotAFile,
    /// It was put aside or removed while it was open.
    #[error("`.sounding/{JOURNAL_FILE}` is another one now")]
    Replaced,
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    db: Connection,
    /// Keeps the folder's descriptor open: the database's path goes through it.
    folder: OwnedFd,
    /// The device and inode of the open file.
    file: (u64, u64),
    /// The damage of the journal before, if opening this one put it aside.
    before: Option<JournalError>,
}

/// The state of the journal, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalHealth {
    /// The damage of the journal in force, as the database reports it.
    pub damage: Option<String>,
    /// When the damaged journal that was put aside was last written, if there is one.
    pub put_aside: Option<Timestamp>,
}

/// A file in the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileRow {
    size: i64,
    mtime: i64,
    ctime: i64,
    pub(crate) inode: i64,
}

/// A file in the catalogue, with its folder and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownFile {
    pub(crate) folder: i64,
    pub(crate) folder_path: Vec<u8>,
    pub(crate) name: Vec<u8>,
    pub(crate) row: FileRow,
}

/// A folder in the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FolderRow {
    pub(crate) id: i64,
    pub(crate) path: Vec<u8>,
    pub(crate) inode: i64,
    /// The folder's birth time. An inode's number is used again, but hardly with the same birth time.
    pub(crate) born: i64,
}

impl Journal {
    /// Opens the journal of a volume, or starts one where there is none. A damaged one is put aside.
    pub fn open(volume: &Volume) -> Result<Journal, JournalError> {
        let folder = volume.service_folder()?;
        let _alone = alone(volume)?;
        let (db, before) = match Journal::open_in(&folder) {
            Err(error) if error.is_damage() => {
                put_aside(&folder)?;
                (Journal::open_in(&folder)?, Some(error))
            }
            result => (result?, None),
        };
        let file = identity(&folder)?.ok_or(JournalError::Replaced)?;
        Ok(Journal { db, folder, file, before })
    }

    /// Takes the damage of the journal before, if opening this one put it aside. `None` from the second call on.
    pub fn take_damage(&mut self) -> Option<JournalError> {
        self.before.take()
    }

    /// Whether this is still the file that a new reader would open.
    pub fn is_in_force(&self) -> bool {
        identity(&self.folder).is_ok_and(|it| it == Some(self.file))
    }

    /// Puts the journal aside if an error shows damage and nobody has put it aside before. Returns whether it is damaged.
    pub fn put_aside_if_damaged(
        &self,
        volume: &Volume,
        error: &JournalError,
    ) -> Result<bool, JournalError> {
        if !error.is_damage() {
            return Ok(false);
        }
        let _alone = alone(volume)?;
        if self.is_in_force() {
            put_aside(&self.folder)?;
        }
        Ok(true)
    }

    /// Checks the whole journal for damage and changes nothing. Both fields are `None` where there never was a journal.
    pub fn examine(volume: &Volume) -> Result<JournalHealth, JournalError> {
        let Some(folder) = folder_to_read(volume, ".")? else {
            return Ok(JournalHealth { damage: None, put_aside: None });
        };
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let put_aside = rustix::fs::statat(&folder, BROKEN_JOURNAL_FILE, flags).ok();
        let put_aside =
            put_aside.and_then(|it| Timestamp::from_nanosecond(Stat::of(&it).modified).ok());
        let damage = match identity(&folder)? {
            None => None,
            Some(_) => match quick_check(&folder) {
                Ok(found) => Some(found).filter(|it| it != "ok"),
                Err(JournalError::Database(error)) if is_damage(&error) => Some(error.to_string()),
                Err(error) if error.is_damage() => Some(error.to_string()),
                Err(error) => return Err(error),
            },
        };
        Ok(JournalHealth { damage, put_aside })
    }

    fn open_in(folder: &OwnedFd) -> Result<Connection, JournalError> {
        check_kind(folder)?;
        let db = Connection::open(format!("{}/{JOURNAL_FILE}", proc_path(folder.as_fd())))?;
        db.busy_timeout(BUSY)?;
        // After a crash of the machine the last changes may be missing and are found again. Nothing else is lost.
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "NORMAL")?;
        let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version > VERSION {
            return Err(JournalError::Newer);
        }
        if version < VERSION {
            db.execute_batch("BEGIN IMMEDIATE")?;
            db.execute_batch(SCHEMA)?;
            let now = Timestamp::now().as_millisecond();
            db.execute(
                "INSERT INTO state SELECT 0, ?1, ?1, 0 WHERE NOT EXISTS (SELECT 1 FROM state)",
                [now],
            )?;
            db.pragma_update(None, "user_version", VERSION)?;
            db.execute_batch("COMMIT")?;
        }
        // A journal of an older service has no such index, and an older service is not disturbed by it.
        db.execute_batch(&format!(
            "CREATE INDEX IF NOT EXISTS change_of_public ON change (seq, path, origin) WHERE {OF_PUBLIC}"
        ))?;
        Ok(db)
    }

    /// The position after the last change.
    pub fn now(&self) -> Result<Cursor, JournalError> {
        let last = self
            .db
            .prepare_cached("SELECT seq, time FROM change ORDER BY seq DESC LIMIT 1")?
            .query_row([], |row| Ok(Cursor { seq: unsigned(row.get(0)?), time: row.get(1)? }))
            .optional()?;
        Ok(last.map_or_else(|| self.base(), Ok)?)
    }

    /// At most `limit` changes after a cursor whose path or old path lies within one of the folders.
    pub fn since(
        &self,
        cursor: Cursor,
        limit: usize,
        within: &[RelPath],
    ) -> Result<Page, JournalError> {
        // All reads see one snapshot: nothing is recorded between the last change of the page and the end.
        let _moment = self.db.unchecked_transaction()?;
        if !self.knows(cursor)? {
            let (cursor, changes) = (self.now()?, Vec::new());
            return Ok(Page { is_fresh: true, changes, cursor, is_end: true });
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut statement = self.db.prepare_cached(&query_within(within))?;
        let mut values = vec![Value::Integer(signed(cursor.seq)), Value::Integer(limit)];
        let is_whole = within.iter().any(RelPath::is_root);
        for folder in within.iter().filter(|_| !is_whole) {
            let folder = folder.to_plain();
            let below = [[&folder[..], b"/"].concat(), [&folder[..], b"0"].concat()];
            values.extend([folder].into_iter().chain(below).map(Value::Blob));
        }
        let (mut changes, mut cursor, mut read) = (Vec::new(), cursor, 0);
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            read += 1;
            cursor = Cursor { seq: unsigned(row.get(0)?), time: row.get(1)? };
            changes.extend(change(row)?);
        }
        let is_end = read < limit;
        let cursor = if is_end { self.now()? } else { cursor };
        Ok(Page { is_fresh: false, changes, cursor, is_end })
    }

    /// The last changes, the newest first.
    pub fn latest(&self, limit: usize) -> Result<Vec<Change>, JournalError> {
        let mut statement = self.db.prepare_cached(
            "SELECT seq, time, kind, path, origin, type, size, mtime, ctime, inode FROM change ORDER BY seq DESC LIMIT ?1",
        )?;
        let mut rows = statement.query(params![i64::try_from(limit).unwrap_or(i64::MAX)])?;
        let mut changes = Vec::new();
        while let Some(row) = rows.next()? {
            changes.extend(change(row)?);
        }
        Ok(changes)
    }

    /// Whether a cursor is of this journal and all changes after it are still kept.
    fn knows(&self, cursor: Cursor) -> rusqlite::Result<bool> {
        if self.base()? == cursor {
            return Ok(true);
        }
        let time: Option<i64> = self
            .db
            .prepare_cached("SELECT time FROM change WHERE seq = ?1")?
            .query_row([signed(cursor.seq)], |row| row.get(0))
            .optional()?;
        Ok(time == Some(cursor.time))
    }

    fn base(&self) -> rusqlite::Result<Cursor> {
        self.db
            .prepare_cached("SELECT base_seq, base_time FROM state")?
            .query_row([], |row| Ok(Cursor { seq: unsigned(row.get(0)?), time: row.get(1)? }))
    }

    /// When the journal was started, in milliseconds since 1970, and whether all that was there then is in the catalogue.
    pub(crate) fn beginning(&self) -> rusqlite::Result<(i64, bool)> {
        self.db.query_row("SELECT born, is_scanned FROM state", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
    }

    pub(crate) fn set_scanned(&self) -> rusqlite::Result<()> {
        self.db.execute("UPDATE state SET is_scanned = 1", [])?;
        Ok(())
    }

    pub(crate) fn begin(&self) -> rusqlite::Result<()> {
        self.db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(())
    }

    /// Commits everything since `begin`, or nothing.
    pub(crate) fn commit(&self) -> rusqlite::Result<()> {
        self.db.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    /// Records a change.
    pub(crate) fn log(
        &self,
        kind: ChangeKind,
        path: &[u8],
        from: Option<&[u8]>,
        entry: Kind,
        row: Option<&FileRow>,
    ) -> rusqlite::Result<()> {
        self.db
            .prepare_cached(
                "INSERT INTO change (time, kind, path, origin, type, size, mtime, ctime, inode) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                Timestamp::now().as_millisecond(),
                kind.as_str(),
                path,
                from,
                type_name(entry),
                row.map(|it| it.size),
                row.map(|it| it.mtime),
                row.map(|it| it.ctime),
                row.map(|it| it.inode),
            ])?;
        let seq = self.db.last_insert_rowid();
        if seq % 1000 == 0 { self.let_go(seq) } else { Ok(()) }
    }

    /// Deletes the oldest changes where there are too many.
    fn let_go(&self, last: i64) -> rusqlite::Result<()> {
        let base = self.base()?;
        if last - signed(base.seq) < KEPT + SLACK {
            return Ok(());
        }
        let base = last - KEPT;
        self.db.execute(
            "UPDATE state SET base_seq = ?1, base_time = (SELECT time FROM change WHERE seq = ?1)",
            [base],
        )?;
        self.db.execute("DELETE FROM change WHERE seq <= ?1", [base])?;
        Ok(())
    }

    pub(crate) fn folder(&self, path: &[u8]) -> rusqlite::Result<Option<FolderRow>> {
        self.db
            .prepare_cached("SELECT id, path, inode, born FROM folder WHERE path = ?1")?
            .query_row([path], folder_row)
            .optional()
    }

    pub(crate) fn folders_by_inode(&self, inode: i64) -> rusqlite::Result<Vec<FolderRow>> {
        self.db
            .prepare_cached("SELECT id, path, inode, born FROM folder WHERE inode = ?1")?
            .query_map([inode], folder_row)?
            .collect()
    }

    pub(crate) fn folders_in(&self, parent: i64) -> rusqlite::Result<Vec<FolderRow>> {
        self.db
            .prepare_cached("SELECT id, path, inode, born FROM folder WHERE parent = ?1")?
            .query_map([parent], folder_row)?
            .collect()
    }

    /// A folder and all folders below it, the deepest last.
    pub(crate) fn folders_below(&self, path: &[u8]) -> rusqlite::Result<Vec<FolderRow>> {
        let (from, to) = ([path, b"/"].concat(), [path, b"0"].concat());
        self.db
            .prepare_cached(
                "SELECT id, path, inode, born FROM folder WHERE path = ?1 OR (path > ?2 AND path < ?3) ORDER BY path",
            )?
            .query_map(params![path, from, to], folder_row)?
            .collect()
    }

    pub(crate) fn folder_path(&self, id: i64) -> rusqlite::Result<Option<Vec<u8>>> {
        self.db
            .prepare_cached("SELECT path FROM folder WHERE id = ?1")?
            .query_row([id], |row| row.get(0))
            .optional()
    }

    pub(crate) fn add_folder(
        &self,
        parent: i64,
        path: &[u8],
        inode: i64,
        born: i64,
    ) -> rusqlite::Result<i64> {
        self.db
            .prepare_cached(
                "INSERT INTO folder (parent, path, inode, born) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![parent, path, inode, born])?;
        Ok(self.db.last_insert_rowid())
    }

    pub(crate) fn set_folder(&self, id: i64, inode: i64, born: i64) -> rusqlite::Result<()> {
        self.db
            .prepare_cached("UPDATE folder SET inode = ?2, born = ?3 WHERE id = ?1")?
            .execute(params![id, inode, born])?;
        Ok(())
    }

    pub(crate) fn remove_folder(&self, id: i64) -> rusqlite::Result<()> {
        self.db.prepare_cached("DELETE FROM file WHERE folder = ?1")?.execute([id])?;
        self.db.prepare_cached("DELETE FROM folder WHERE id = ?1")?.execute([id])?;
        Ok(())
    }

    pub(crate) fn file(&self, folder: i64, name: &[u8]) -> rusqlite::Result<Option<FileRow>> {
        self.db
            .prepare_cached(
                "SELECT size, mtime, ctime, inode FROM file WHERE folder = ?1 AND name = ?2",
            )?
            .query_row(params![folder, name], |row| file_row(row, 0))
            .optional()
    }

    pub(crate) fn files_in(&self, folder: i64) -> rusqlite::Result<Vec<(Vec<u8>, FileRow)>> {
        self.db
            .prepare_cached("SELECT name, size, mtime, ctime, inode FROM file WHERE folder = ?1")?
            .query_map([folder], |row| Ok((row.get(0)?, file_row(row, 1)?)))?
            .collect()
    }

    /// Every file with an inode. A hard link gives a second entry.
    pub(crate) fn files_by_inode(&self, inode: i64) -> rusqlite::Result<Vec<KnownFile>> {
        self.db
            .prepare_cached(
                "SELECT folder.id, folder.path, name, size, mtime, ctime, file.inode \
                 FROM file JOIN folder ON folder.id = file.folder WHERE file.inode = ?1",
            )?
            .query_map([inode], |row| {
                Ok(KnownFile {
                    folder: row.get(0)?,
                    folder_path: row.get(1)?,
                    name: row.get(2)?,
                    row: file_row(row, 3)?,
                })
            })?
            .collect()
    }

    pub(crate) fn put_file(&self, folder: i64, name: &[u8], row: &FileRow) -> rusqlite::Result<()> {
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO file (folder, name, size, mtime, ctime, inode) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![folder, name, row.size, row.mtime, row.ctime, row.inode])?;
        Ok(())
    }

    pub(crate) fn remove_file(&self, folder: i64, name: &[u8]) -> rusqlite::Result<()> {
        self.db
            .prepare_cached("DELETE FROM file WHERE folder = ?1 AND name = ?2")?
            .execute(params![folder, name])?;
        Ok(())
    }
}

impl FileRow {
    pub(crate) fn of(stat: &Stat) -> FileRow {
        let clamp =
            |it: i128| i64::try_from(it).unwrap_or(if it < 0 { i64::MIN } else { i64::MAX });
        FileRow {
            size: signed(stat.len),
            mtime: clamp(stat.modified),
            ctime: clamp(stat.changed),
            inode: stat.inode.cast_signed(),
        }
    }

    /// Whether it may be the same file under another name: a rename changes only the change time.
    pub(crate) fn is_same_content(&self, other: &FileRow) -> bool {
        (self.size, self.mtime, self.inode) == (other.size, other.mtime, other.inode)
    }

    fn stat(&self) -> Stat {
        Stat {
            len: unsigned(self.size),
            modified: self.mtime.into(),
            changed: self.ctime.into(),
            inode: self.inode.cast_unsigned(),
        }
    }
}

impl Change {
    /// The position after this change.
    pub fn cursor(&self) -> Cursor {
        Cursor { seq: self.seq, time: self.time.as_millisecond() }
    }
}

impl ChangeKind {
    /// The word in the journal and the feed.
    pub fn as_str(self) -> &'static str {
        match self {
            ChangeKind::Added => "added",
            ChangeKind::Modified => "modified",
            ChangeKind::Moved => "moved",
            ChangeKind::Removed => "removed",
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:x}", self.seq, self.time)
    }
}

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Cursor, NoCursor> {
        let (seq, time) = text.split_once('-').ok_or(NoCursor)?;
        let seq = seq.parse().ok().filter(|it| i64::try_from(*it).is_ok());
        // Read as it is written, also where the clock was before 1970.
        let time = u64::from_str_radix(time, 16).map_err(|_not_hex| NoCursor)?;
        Ok(Cursor { seq: seq.ok_or(NoCursor)?, time: time.cast_signed() })
    }
}

/// The query for changes within some folders. Its parameters are the cursor, the limit and then three values for each folder; none of these
/// if one folder is the root.
fn query_within(folders: &[RelPath]) -> String {
    let one_of = |all: Vec<String>| format!("({})", all.join(" OR "));
    let folder = |number: usize| {
        let [it, from, to] = [3, 4, 5].map(|first| first + 3 * number);
        one_of(
            ["path", "origin"]
                .map(|path| format!("{path} = ?{it} OR ({path} > ?{from} AND {path} < ?{to})"))
                .to_vec(),
        )
    };
    let (index, is_within) = if folders.iter().any(RelPath::is_root) {
        ("", String::new())
    } else if folders.is_empty() {
        ("", " AND FALSE".to_owned())
    } else {
        let all = one_of((0..folders.len()).map(folder).collect());
        if folders.iter().all(RelPath::is_public) {
            (" INDEXED BY change_of_public", format!(" AND {OF_PUBLIC} AND {all}"))
        } else {
            ("", format!(" AND {all}"))
        }
    };
    format!(
        "SELECT seq, time, kind, path, origin, type, size, mtime, ctime, inode FROM change{index} \
         WHERE seq > ?1{is_within} ORDER BY seq LIMIT ?2"
    )
}

/// The change in a row; `None` for a row that a person has changed.
pub(crate) fn change(row: &Row<'_>) -> rusqlite::Result<Option<Change>> {
    let path = |bytes: Vec<u8>| RelPath::from_plain(&bytes).ok();
    let kind = match row.get::<_, String>(2)?.as_str() {
        "added" => ChangeKind::Added,
        "modified" => ChangeKind::Modified,
        "moved" => ChangeKind::Moved,
        "removed" => ChangeKind::Removed,
        _ => return Ok(None),
    };
    let entry =
        if row.get::<_, String>(5)? == type_name(Kind::Folder) { Kind::Folder } else { Kind::File };
    let stat = match row.get::<_, Option<i64>>(6)? {
        Some(_) => Some(file_row(row, 6)?.stat()),
        None => None,
    };
    let time = Timestamp::from_millisecond(row.get(1)?).unwrap_or_default();
    let from = row.get::<_, Option<Vec<u8>>>(4)?.and_then(path);
    let Some(path) = path(row.get(3)?) else { return Ok(None) };
    Ok(Some(Change { seq: unsigned(row.get(0)?), time, kind, path, from, entry, stat }))
}

fn file_row(row: &Row<'_>, first: usize) -> rusqlite::Result<FileRow> {
    Ok(FileRow {
        size: row.get(first)?,
        mtime: row.get(first + 1)?,
        ctime: row.get(first + 2)?,
        inode: row.get(first + 3)?,
    })
}

fn folder_row(row: &Row<'_>) -> rusqlite::Result<FolderRow> {
    Ok(FolderRow { id: row.get(0)?, path: row.get(1)?, inode: row.get(2)?, born: row.get(3)? })
}

/// The word in the feed.
fn type_name(entry: Kind) -> &'static str {
    match entry {
        Kind::File => "file",
        Kind::Folder => "directory",
    }
}

impl JournalError {
    /// Whether the file's content is damaged, in contrast to a failure around it.
    pub fn is_damage(&self) -> bool {
        match self {
            JournalError::Database(error) => is_damage(error),
            JournalError::NotAFile => true,
            JournalError::Io(_) | JournalError::Newer | JournalError::Replaced => false,
        }
    }
}

/// Whether the file's content is damaged. All statements are fixed, so a statement that the database does not understand, or a value of
/// another type, is damage too.
fn is_damage(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(it, _) => {
            matches!(it.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
                || matches!(it.extended_code, ffi::SQLITE_ERROR | ffi::SQLITE_IOERR_SHORT_READ)
        }
        rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::Utf8Error(..)
        | rusqlite::Error::QueryReturnedNoRows => true,
        _ => false,
    }
}

/// The lock that is held while a journal is started or put aside. If two start one at the same time, `SQLite` would refuse one of them
/// rather than let it wait.
fn alone(volume: &Volume) -> Result<OwnedFd, JournalError> {
    let folder = volume.service_folder()?;
    rustix::fs::flock(&folder, FlockOperation::LockExclusive).map_err(io::Error::from)?;
    Ok(folder)
}

fn put_aside(folder: &OwnedFd) -> Result<(), JournalError> {
    match rustix::fs::renameat(folder, JOURNAL_FILE, folder, BROKEN_JOURNAL_FILE) {
        // A rename does not replace a folder by a file, nor a file by a folder.
        Err(Errno::ISDIR | Errno::NOTDIR | Errno::NOTEMPTY | Errno::EXIST) => {
            let free = (2..100).map(|it| beside(BROKEN_JOURNAL_FILE.as_bytes(), false, it));
            let flags = RenameFlags::NOREPLACE;
            let mut moved =
                free.map(|it| rustix::fs::renameat_with(folder, JOURNAL_FILE, folder, it, flags));
            moved.find(|it| *it != Err(Errno::EXIST)).unwrap_or(Err(Errno::EXIST))
        }
        result => result,
    }
    .map_err(io::Error::from)?;
    for suffix in ["-wal", "-shm"] {
        let name = format!("{JOURNAL_FILE}{suffix}");
        rustix::fs::unlinkat(folder, name.as_str(), AtFlags::empty()).unwrap_or_default();
    }
    Ok(())
}

/// The device and inode of the file that is the journal now; `None` where there is none.
fn identity(folder: &OwnedFd) -> io::Result<Option<(u64, u64)>> {
    match rustix::fs::statat(folder, JOURNAL_FILE, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some((stat.st_dev, stat.st_ino))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Refuses anything but a regular file before it is opened: opening a pipe would wait for a writer.
fn check_kind(folder: &OwnedFd) -> Result<(), JournalError> {
    match rustix::fs::statat(folder, JOURNAL_FILE, AtFlags::empty()) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile => {
            Err(JournalError::NotAFile)
        }
        Ok(_) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(io::Error::from(errno).into()),
    }
}

fn quick_check(folder: &OwnedFd) -> Result<String, JournalError> {
    check_kind(folder)?;
    let place = format!("{}/{JOURNAL_FILE}", proc_path(folder.as_fd()));
    let db = Connection::open_with_flags(place, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    db.busy_timeout(BUSY)?;
    Ok(db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?)
}

/// The database has signed numbers only. No number here is too large for them.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    #[test]
    fn old_changes_are_let_go_and_a_cursor_before_them_is_known_to_be_too_old() {
        let folder = tempfile::tempdir().unwrap();
        let volume = Volume::open(folder.path()).unwrap();
        let journal = Journal::open(&volume).unwrap();
        let begin = journal.now().unwrap();
        let log = |count: i64| {
            journal.begin().unwrap();
            for _ in 0..count {
                journal.log(ChangeKind::Added, b"a.csv", None, Kind::File, None).unwrap();
            }
            journal.commit().unwrap();
            journal.now().unwrap()
        };
        let middle = log(40_000);
        assert!(!journal.since(begin, 1, &[RelPath::root()]).unwrap().is_fresh);
        let end = log(KEPT);
        assert!(journal.since(begin, 1, &[RelPath::root()]).unwrap().is_fresh);
        let page = journal.since(middle, usize::MAX, &[RelPath::root()]).unwrap();
        assert!(!page.is_fresh && page.cursor == end);
        assert_eq!(page.changes.len(), usize::try_from(KEPT).unwrap());
        let rows: i64 =
            journal.db.query_row("SELECT count(*) FROM change", [], |row| row.get(0)).unwrap();
        assert!((KEPT..=KEPT + SLACK).contains(&rows), "{rows}");
    }

    #[test]
    fn a_reader_of_some_folders_gets_what_concerns_them_and_what_does_not_costs_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let volume = Volume::open(folder.path()).unwrap();
        // Made like the journal of an older service.
        let older = Journal::open(&volume).unwrap();
        older.db.execute("DROP INDEX change_of_public", []).unwrap();
        drop(older);
        let mut journal = Journal::open(&volume).unwrap();
        let begin = journal.now().unwrap();
        let log = |path: &str, from: Option<&str>| {
            let (path, from) = (path.as_bytes(), from.map(str::as_bytes));
            let kind = if from.is_some() { ChangeKind::Moved } else { ChangeKind::Added };
            journal.log(kind, path, from, Kind::File, None).unwrap();
        };
        journal.begin().unwrap();
        for number in 0..20_000 {
            log(&format!("private/{number}.csv"), None);
        }
        log("public", None);
        log("public/a.csv", None);
        log("publicity/b.csv", None);
        log("public-1/c.csv", None);
        log("berlin/d.csv", Some("public/d.csv"));
        log("public/e.csv", Some("berlin/e.csv"));
        log("berlin/f.csv", None);
        log("berlin-2/g.csv", None);
        journal.commit().unwrap();
        let steps = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&steps);
        let count = move || {
            counted.fetch_add(100, Relaxed);
            false
        };
        journal.db.progress_handler(100, Some(count)).unwrap();
        let check = |within: &[&str], expected: &[&str]| {
            let folders: Vec<_> = within.iter().map(|it| RelPath::from_url(it).unwrap()).collect();
            let page = journal.since(begin, 1000, &folders).unwrap();
            let names: Vec<_> = page.changes.iter().map(|it| it.path.to_url()).collect();
            assert_eq!(names, expected, "{within:?}");
            assert!(page.is_end && page.cursor == journal.now().unwrap());
            let page = journal.since(page.cursor, 1000, &folders).unwrap();
            assert!(!page.is_fresh && page.is_end && page.changes.is_empty());
        };
        let of_public = ["public", "public/a.csv", "berlin/d.csv", "public/e.csv"];
        check(&["public"], &of_public);
        check(&["public/a.csv"], &["public/a.csv"]);
        check(&[], &[]);
        assert!(steps.load(Relaxed) < 2000, "{steps:?} steps");
        check(&["berlin"], &["berlin/d.csv", "public/e.csv", "berlin/f.csv"]);
        check(&["public", "berlin"], &[&of_public[..], &["berlin/f.csv"]].concat());
        let all = [RelPath::public(), RelPath::root()];
        let page = journal.since(begin, 1000, &all).unwrap();
        assert_eq!((page.changes.len(), page.is_end), (1000, false));
        let page = journal.since(begin, 2, &[RelPath::from_url("public").unwrap()]).unwrap();
        assert_eq!((page.changes.len(), page.is_end), (2, false));
        assert_eq!(page.cursor, page.changes[1].cursor());
    }

    #[test]
    fn a_cursor_is_read_as_it_is_written() {
        for time in [0, 1, -5, i64::MAX, i64::MIN] {
            let cursor = Cursor { seq: 7, time };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for text in ["", "7", "7-", "-7", "7--5", "7-x", "7-0-0", "18446744073709551615-0"] {
            assert_eq!(text.parse::<Cursor>(), Err(NoCursor), "{text}");
        }
    }

    #[test]
    fn any_number_may_begin_it_at_the_same_time() {
        for _ in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let volume = Volume::open(folder.path()).unwrap();
            std::thread::scope(|scope| {
                let open = || Journal::open(&volume).map(drop);
                let all: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
                for it in all {
                    it.join().unwrap().unwrap();
                }
            });
        }
    }
}
