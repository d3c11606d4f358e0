//! `SQLite` databases, and with them `GeoPackages`: tables and how many rows each has.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use super::{Body, Preview, broken};
use crate::text;

/// Counting takes no longer than this; what was not counted then is left open.
const MOST: Duration = Duration::from_millis(200);

pub(super) fn look(file: &File, most: usize) -> Preview {
    match tables(file, most) {
        Ok(preview) => preview,
        Err(_) => broken("the database"),
    }
}

fn tables(file: &File, most: usize) -> rusqlite::Result<Preview> {
    // Nothing is locked and nothing written: somebody may be working with it.
    let uri = format!("file:/proc/self/fd/{}?immutable=1", file.as_raw_fd());
    let mut db = Connection::open_with_flags(
        uri,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI,
    )?;
    let began = Instant::now();
    db.progress_handler(1000, Some(move || began.elapsed() >= MOST))?;
    let mut names = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")?;
    let names: Vec<String> = names.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut rows = vec![vec!["table".to_owned(), "rows".to_owned()]];
    for name in names.iter().take(most) {
        let quoted = name.replace('"', "\"\"");
        let count = db.query_row(&format!("SELECT count(*) FROM \"{quoted}\""), [], |row| {
            row.get::<_, i64>(0)
        });
        let count = count.map_or("many".to_owned(), |it| text::count(it.unsigned_abs()));
        rows.push(vec![text::escape(name.as_bytes()), count]);
    }
    let is_geo = names.iter().any(|it| it == "gpkg_contents");
    let what = if is_geo { "GeoPackage" } else { "SQLite" };
    let facts = vec![format!("{what}  {}", text::things(names.len() as u64, "table", "tables"))];
    Ok(Preview { facts, body: Body::Table(rows), ..Preview::default() })
}
