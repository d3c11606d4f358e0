//! The keys.

use jiff::tz::Offset;
use ratatui::layout::Rect;
use ratatui::style::Style;
use volume::key_sheet::{Row, State};

use super::paint::Paint;
use crate::admin::ExtraKey;
use crate::model::{Meant, Model, Server};
use crate::ops::keys::{EXTRA_STAYS, FROM_API_KEYS, reach};
use crate::ops::shown;
use crate::text;

/// Where the columns begin; those that have no room are told of one key below the list.
struct Columns {
    key: u16,
    scope: Option<u16>,
    path: Option<u16>,
    created: Option<u16>,
    used: Option<u16>,
    ends: Option<u16>,
    note: u16,
}

const USER: u16 = 3;
const NARROW: Columns =
    Columns { key: 14, scope: None, path: None, created: None, used: None, ends: None, note: 30 };
const MIDDLE: Columns =
    Columns { created: Some(30), used: Some(43), ends: Some(56), note: 65, ..NARROW };
const WIDE: Columns = Columns {
    key: 20,
    scope: Some(44),
    path: Some(52),
    created: Some(80),
    used: Some(94),
    ends: Some(107),
    note: 117,
};
/// From so many columns on all have room.
const WIDEST: u16 = 140;

impl Columns {
    fn of(width: u16) -> &'static Columns {
        match width {
            WIDEST.. => &WIDE,
            super::BESIDE.. => &MIDDLE,
            _ => &NARROW,
        }
    }

    /// Each with its name, in their order.
    fn named(&self) -> impl Iterator<Item = (u16, &'static str)> {
        let all = [
            (Some(USER), "User"),
            (Some(self.key), "Key"),
            (self.scope, "Scope"),
            (self.path, "Path"),
            (self.created, "Created"),
            (self.used, "Last used"),
            (self.ends, "Ends"),
            (Some(self.note), "Note"),
        ];
        all.into_iter().filter_map(|(x, name)| Some((x?, name)))
    }

    /// One row: each text in its column, cut where the next one begins.
    fn put(&self, paint: &mut Paint<'_, '_>, area: Rect, texts: &Texts, style: Style) {
        let all = [
            (Some(USER), &texts.user),
            (Some(self.key), &texts.key),
            (self.scope, &texts.scope),
            (self.path, &texts.path),
            (self.created, &texts.created),
            (self.used, &texts.used),
            (self.ends, &texts.ends),
            (Some(self.note), &texts.note),
        ];
        let shown: Vec<(u16, &String)> =
            all.into_iter().filter_map(|(x, text)| Some((x?, text))).collect();
        for (index, (x, text)) in shown.iter().enumerate() {
            let end = shown.get(index + 1).map_or(area.width, |it| it.0 - 1);
            paint.put(*x, area.y, end.saturating_sub(*x), text, style);
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
    let extra = model.activity.keys.as_ref().map_or(0, |it| it.extra.len());
    let count = text::things(
        (keys.rows.iter().filter(|it| it.key.is_some()).count() + extra) as u64,
        "key",
        "keys",
    );
    let people = text::things(keys.people() as u64, "person", "people");
    let warnings = keys.faults().count() as u64;
    let warned = if warnings > 0 {
        format!("   {} (w)", text::things(warnings, "warning", "warnings"))
    } else {
        String::new()
    };
    (left, format!("{count}, {people}{warned} "))
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
            columns.put(paint, area, &extra_texts(model, key), paint.dim());
        }
        if row == model.keys.cursor {
            paint.put(1, line, 1, paint.cursor_mark(), paint.bold());
            paint.choose(0, line, area.width);
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

fn key_row(model: &Model, row: &Row, columns: &Columns, paint: &mut Paint<'_, '_>, area: Rect) {
    let now = model.now;
    let key = row.key.as_ref();
    let is_off = row.state == State::Off;
    let note = match row.faults.first() {
        Some(fault) => format!("! {}", fault.to_string().split(':').next().unwrap_or_default()),
        None => text::escape(row.note.as_bytes()),
    };
    let ends = match (row.expires.as_str(), key.is_some_and(|it| it.has_expired(now))) {
        ("", _) => "never".to_owned(),
        (_, true) => "over".to_owned(),
        (text, false) => day(text, now),
    };
    let created =
        if row.created.is_empty() { "unknown".to_owned() } else { long_day(&row.created) };
    let texts = Texts {
        user: text::escape(row.user.as_bytes()),
        key: if is_off { format!("off  {}", row.masked) } else { row.masked.clone() },
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
        let x = columns.note;
        paint.put(x, area.y, area.width.saturating_sub(x), &texts.note, paint.error());
    }
    if is_off {
        paint.put(0, area.y, 1, "#", paint.bold());
    }
}

fn extra_texts(model: &Model, key: &ExtraKey) -> Texts {
    Texts {
        user: text::escape(key.username.as_bytes()),
        key: key.apikey.clone(),
        scope: "read".to_owned(),
        path: "/".to_owned(),
        used: used(model, Some(&key.id)),
        note: FROM_API_KEYS.to_owned(),
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
fn day(text: &str, now: jiff::Timestamp) -> String {
    let start = text.get(..10).unwrap_or_default();
    match format!("{start}T00:00:00Z").parse() {
        Ok(when) => text::short_day(when, now),
        Err(_) => text::escape(text.as_bytes()),
    }
}

fn long_day(text: &str) -> String {
    let start = text.get(..10).unwrap_or_default();
    match format!("{start}T00:00:00Z").parse::<jiff::Timestamp>() {
        Ok(when) => when.strftime("%-d %b %Y").to_string(),
        Err(_) => text::escape(text.as_bytes()),
    }
}

fn details(model: &Model, paint: &mut Paint<'_, '_>, area: Rect) {
    let mut lines = match model.meant_key() {
        Some(Meant::Row(row)) => row_details(model, row),
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

fn row_details(model: &Model, row: &Row) -> Vec<String> {
    let user = match row.user.as_str() {
        "" => format!("line {}", row.line),
        user => text::escape(user.as_bytes()),
    };
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
    }
    lines.extend(id.map(|it| use_line(model, &it)));
    if !row.note.is_empty() {
        lines.push(format!("Note    {}", text::escape(row.note.as_bytes())));
    }
    lines
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
