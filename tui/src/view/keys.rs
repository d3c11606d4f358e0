//! The keys.

use jiff::tz::Offset;
use ratatui::layout::Rect;
use ratatui::style::Style;
use volume::keys::sheet::{KeyRow, KeyState};

use super::paint::Paint;
use crate::admin::ExtraKey;
use crate::model::{Meant, Model, Server};
use crate::ops::keys::{EXTRA_STAYS, FROM_API_KEYS, reach};
use crate::ops::shown;
use crate::text;

/// Where the columns begin; those that have no room are told of one key below the list.
struct Columns {
    key: u16,
    scope: u16,
    path: u16,
    created: Option<u16>,
    used: Option<u16>,
    ends: u16,
    note: Option<u16>,
}

const USER: u16 = 3;
const NARROW: Columns =
    Columns { key: 12, scope: 27, path: 33, created: None, used: None, ends: 47, note: None };
const MIDDLE: Columns = Columns {
    key: 13,
    scope: 28,
    path: 34,
    created: None,
    used: Some(45),
    ends: 57,
    note: Some(69),
};
const WIDE: Columns = Columns {
    key: 16,
    scope: 33,
    path: 39,
    created: Some(59),
    used: Some(71),
    ends: 83,
    note: Some(95),
};
const WIDEST: Columns = Columns {
    key: 20,
    scope: 44,
    path: 52,
    created: Some(80),
    used: Some(94),
    ends: 107,
    note: Some(120),
};

impl Columns {
    fn of(width: u16) -> &'static Columns {
        match width {
            140.. => &WIDEST,
            110.. => &WIDE,
            76.. => &MIDDLE,
            _ => &NARROW,
        }
    }

    /// Each with its name, in their order.
    fn named(&self) -> impl Iterator<Item = (u16, &'static str)> {
        let all = [
            (Some(USER), "User"),
            (Some(self.key), "Key"),
            (Some(self.scope), "Scope"),
            (Some(self.path), "Path"),
            (self.created, "Created"),
            (self.used, "Last used"),
            (Some(self.ends), "Ends"),
            (self.note, "Note"),
        ];
        all.into_iter().filter_map(|(x, name)| Some((x?, name)))
    }

    /// One row: each text in its column, cut where the next text begins.
    fn put(&self, paint: &mut Paint<'_, '_>, area: Rect, texts: &Texts, style: Style) {
        let all = [
            (Some(USER), &texts.user),
            (Some(self.key), &texts.key),
            (Some(self.scope), &texts.scope),
            (Some(self.path), &texts.path),
            (self.created, &texts.created),
            (self.used, &texts.used),
            (Some(self.ends), &texts.ends),
            (self.note, &texts.note),
        ];
        let shown = all.into_iter().filter_map(|(x, text)| Some((x?, text)));
        let shown: Vec<_> = shown.filter(|it| !it.1.is_empty()).collect();
        for (index, (x, text)) in shown.iter().enumerate() {
            let end = shown.get(index + 1).map_or(area.width, |it| it.0 - 1);
            let room = end.saturating_sub(*x);
            if *x == self.path {
                paint.name(*x, area.y, room, text, style);
            } else {
                paint.put(*x, area.y, room, text, style);
            }
        }
    }
}

/// What stands in the columns.
#[derive(Default)]
struct Texts {
    user: String,
    key: String,
    scope: String,
    path: String,
    created: String,
    used: String,
    ends: String,
    note: String,
}

pub(super) fn title(model: &Model) -> (String, String) {
    let left = format!(" Keys   {}/.sounding/auth-keys.csv", model.folder.trim_end_matches('/'));
    let Some(keys) = &model.keys.keys else { return (left, String::new()) };
    let extra = model.extra_keys();
    let count = text::things(
        (keys.rows.iter().filter(|it| it.key.is_some()).count() + extra.len()) as u64,
        "key",
        "keys",
    );
    let users = text::things(keys.users(extra) as u64, "user", "users");
    let warnings = keys.faults().count() as u64;
    let warned = if warnings > 0 {
        format!("   {} (w)", text::things(warnings, "warning", "warnings"))
    } else {
        String::new()
    };
    (left, format!("{count}, {users}{warned} "))
}

pub(super) fn draw(model: &Model, paint: &mut Paint<'_, '_>, area: Rect) {
    if let Some(trouble) = &model.keys.trouble {
        return paint.put(
            3,
            area.y,
            area.width - 3,
            &format!("The keys file can't be read: {trouble}"),
            paint.error(),
        );
    }
    let Some(keys) = &model.keys.keys else {
        return paint.put(3, area.y, area.width - 3, "reading ...", paint.dim());
    };
    let columns = Columns::of(area.width);
    for (x, name) in columns.named() {
        paint.put(x, area.y, area.width.saturating_sub(x), name, paint.dim());
    }
    let rows = model.key_rows();
    let extra = model.extra_keys();
    for (line, row) in (area.y + 1..).zip(model.keys.top..model.key_count()).take(rows) {
        let area = Rect { y: line, ..area };
        if let Some(key) = keys.rows.get(row) {
            key_row(model, key, columns, paint, area);
        } else if let Some(key) = extra.get(row - keys.rows.len()) {
            columns.put(paint, area, &extra_texts(model, key, columns), paint.dim());
        }
        if row == model.keys.cursor {
            paint.cursor_row(Rect { height: 1, ..area });
        }
    }
    if keys.rows.is_empty() && extra.is_empty() {
        let line = "No key in the file yet: a makes one.";
        paint.put(3, area.y + 1, area.width - 3, line, paint.dim());
    }
    let height = model.key_details();
    let y = (area.y + area.height).saturating_sub(height + 1);
    paint.rule(y, 0, area.width);
    details(model, paint, Rect { y: y + 1, height, ..area });
}

fn key_row(model: &Model, row: &KeyRow, columns: &Columns, paint: &mut Paint<'_, '_>, area: Rect) {
    let now = model.now;
    let key = row.key.as_ref();
    let is_off = row.state == KeyState::Off;
    let note = match row.faults.first() {
        Some(fault) => format!("! {}", fault.to_string().split(':').next().unwrap_or_default()),
        None => text::escape(row.note.as_bytes()),
    };
    let ends = match (row.expires.as_str(), key.is_some_and(|it| it.has_expired(now))) {
        _ if is_off => "off".to_owned(),
        ("", _) => "never".to_owned(),
        (_, true) => "expired".to_owned(),
        (text, false) => day(text),
    };
    let created = if row.created.is_empty() { "unknown".to_owned() } else { day(&row.created) };
    let texts = Texts {
        user: line_or_user(row),
        key: row.masked.clone(),
        scope: key.map_or(String::new(), |it| it.scope.text().to_owned()),
        path: key.map_or(String::new(), |it| shown(&it.path)),
        created,
        used: used(model, row.id().as_deref()),
        ends,
        note,
    };
    let style = if is_off { paint.dim() } else { paint.plain() };
    columns.put(paint, area, &texts, style);
    if !row.faults.is_empty() {
        // Where there is no column for it, what is wrong is more than what the key covers.
        let x = columns.note.unwrap_or(columns.path);
        let room = area.width.saturating_sub(x);
        paint.put(x, area.y, room, &" ".repeat(room.into()), style);
        paint.put(x, area.y, room, &texts.note, paint.error());
    }
    if is_off {
        paint.put(0, area.y, 1, "#", paint.bold());
    }
}

/// Whose a row is; its line where that can't be read.
fn line_or_user(row: &KeyRow) -> String {
    match row.user.as_str() {
        "" => format!("line {}", row.line),
        user => text::escape(user.as_bytes()),
    }
}

fn extra_texts(model: &Model, key: &ExtraKey, columns: &Columns) -> Texts {
    // Where notes have little room, it takes that of the end, which it has none of.
    let has_room = columns.created.is_some();
    let (ends, note) = if has_room { ("", FROM_API_KEYS) } else { (FROM_API_KEYS, "") };
    Texts {
        user: text::escape(key.username.as_bytes()),
        key: key.apikey.clone(),
        scope: "read".to_owned(),
        path: "/".to_owned(),
        used: used(model, Some(&key.id)),
        ends: ends.to_owned(),
        note: note.to_owned(),
        ..Texts::default()
    }
}

/// When a key was last used.
fn used(model: &Model, id: Option<&str>) -> String {
    let Some(known) = &model.activity.keys else { return "?".to_owned() };
    id.and_then(|it| known.uses.get(it))
        .map_or_else(|| "never".to_owned(), |it| text::ago(it.last, model.now))
}

/// A date as the file has it, as people read it; other text as it is.
fn day(text: &str) -> String {
    let start = text.get(..10).unwrap_or_default();
    match format!("{start}T00:00:00Z").parse::<jiff::Timestamp>() {
        Ok(when) => when.strftime("%-d %b %Y").to_string(),
        Err(_) => text::escape(text.as_bytes()),
    }
}

fn details(model: &Model, paint: &mut Paint<'_, '_>, area: Rect) {
    let mut lines = match model.meant_key() {
        Some(Meant::KeyRow(row)) => row_details(model, row),
        Some(Meant::Extra(key)) => vec![
            format!(
                "{}   key {}   id {}",
                text::escape(key.username.as_bytes()),
                key.apikey,
                key.id
            ),
            "Scope   read, whole volume".to_owned(),
            use_line(model, &key.id),
            EXTRA_STAYS.to_owned(),
        ],
        None => Vec::new(),
    };
    // What became of the last change is always seen.
    let state = state(model);
    lines.truncate(usize::from(area.height) - usize::from(state.is_some()));
    for (y, line) in (area.y..area.y + area.height).zip(lines) {
        paint.put(1, y, area.width - 1, &line, paint.plain());
    }
    if let Some(line) = state {
        paint.put(1, area.y + area.height - 1, area.width - 1, &line, paint.plain());
    }
}

fn row_details(model: &Model, row: &KeyRow) -> Vec<String> {
    let user = line_or_user(row);
    let kept = match (&row.key, row.is_sealed) {
        (None, _) => "no key that is understood",
        (_, true) => "sealed (the old reader does not know it)",
        (_, false) => "plain text (old reader can use it)",
    };
    let id = row.id();
    let named = id.as_ref().map_or(String::new(), |id| format!("key {}   id {id}   ", row.masked));
    let mut lines = vec![format!("{user}   {named}{kept}")];
    lines.extend(row.faults.iter().map(|it| format!("! {it}. w: {}", it.remedy())));
    if row.key.is_some() {
        lines.push(format!("Scope   {}", reach(row)));
        lines.push(dates(row));
    }
    lines.extend(id.map(|it| use_line(model, &it)));
    if !row.note.is_empty() {
        lines.push(format!("Note    {}", text::escape(row.note.as_bytes())));
    }
    lines
}

/// When it ends, with the time where the file has one, and when it was made.
fn dates(row: &KeyRow) -> String {
    let time = row.expires.parse::<jiff::Timestamp>().map(|it| format!(" {} UTC", text::clock(it)));
    let ends = match row.expires.as_str() {
        "" => "never".to_owned(),
        text => format!("{}{}", day(text), time.unwrap_or_default()),
    };
    let created = match row.created.as_str() {
        "" => String::new(),
        text => format!("   made {}", day(text)),
    };
    format!("Ends    {ends}{created}")
}

/// What a key was used for.
fn use_line(model: &Model, id: &str) -> String {
    let used = model.activity.keys.as_ref().and_then(|it| it.uses.get(id));
    let Some(used) = used else { return "Used    never".to_owned() };
    let today = used.of_day(Offset::UTC.to_datetime(model.now).date());
    let what = used
        .what
        .split_once(' ')
        .map_or(used.what.clone(), |(method, path)| format!("{method} {}", text::path(path)));
    let today = text::things(today, "request", "requests");
    format!("{today} today, last {what} from {}", used.from)
}

/// Whether the server goes by what is shown.
fn state(model: &Model) -> Option<String> {
    let server = model.activity.keys.as_ref();
    let in_force = server.and_then(|it| it.version.clone());
    let version = model.keys.keys.as_ref().map(|it| it.version.to_string());
    let saved = model.keys.saved.map(|it| format!("saved {}", text::clock(it)));
    match &model.activity.server {
        Server::Up if in_force.is_some() && in_force == version => Some(match saved {
            Some(saved) => format!(
                "{saved}, the server has reloaded it; the old Python server needs a restart"
            ),
            None => "The server has these keys in force.".to_owned(),
        }),
        Server::Up if in_force.is_some() => {
            let why = server.and_then(|it| it.trouble.as_ref());
            let why = why.map(|it| format!(": {it}")).unwrap_or_default();
            Some(format!("! The server has not taken these keys over yet{why}"))
        }
        Server::Down(..) => {
            saved.map(|it| format!("{it}; no server answers, the next one reads it"))
        }
        Server::Up | Server::Unknown => None,
    }
}
