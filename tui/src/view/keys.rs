//! The keys.

use ratatui::layout::Rect;
use volume::key_sheet::{Row, State};

use super::paint::Paint;
use crate::model::{Model, Server};
use crate::ops::keys::reach;
use crate::text;

/// Lines below the list that tell more of one key.
const DETAILS: u16 = 5;
/// Columns: user, key, created, last used, ends, note.
const COLUMNS: [(u16, &str); 6] =
    [(3, "User"), (14, "Key"), (30, "Created"), (43, "Last used"), (56, "Ends"), (65, "Note")];

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
    let is_narrow = area.width < super::BESIDE;
    for (index, (x, name)) in COLUMNS.iter().enumerate() {
        if !is_narrow || index < 2 {
            paint.put(*x, area.y, area.width.saturating_sub(*x), name, paint.dim());
        }
    }
    let rows = area.height.saturating_sub(DETAILS + 2);
    for line in 0..rows {
        let row = model.keys.top + usize::from(line);
        let Some(key) = keys.rows.get(row) else { break };
        key_row(
            model,
            key,
            row == model.keys.cursor,
            is_narrow,
            paint,
            Rect { y: area.y + 1 + line, ..area },
        );
    }
    let mut below = area.y
        + 1
        + u16::try_from(keys.rows.len().saturating_sub(model.keys.top))
            .unwrap_or(u16::MAX)
            .min(rows);
    if let Some(server) = &model.activity.keys {
        for extra in &server.extra {
            if below >= area.y + 1 + rows {
                break;
            }
            let last = server
                .uses
                .get(&extra.id)
                .map_or("never".to_owned(), |it| text::ago(it.last, model.now));
            let style = paint.dim();
            paint.put(3, below, 10, &text::escape(extra.username.as_bytes()), style);
            paint.put(14, below, 15, &extra.apikey, style);
            if is_narrow {
                paint.put(30, below, area.width.saturating_sub(30), "from API_KEYS", style);
            } else {
                paint.put(43, below, 12, &last, style);
                paint.put(65, below, area.width.saturating_sub(65), "from API_KEYS", style);
            }
            below += 1;
        }
    }
    if keys.rows.is_empty() {
        paint.put(3, below, area.width - 3, "No key in the file yet: a makes one.", paint.dim());
    }
    let y = (area.y + area.height).saturating_sub(DETAILS + 1);
    paint.rule(y, 0, area.width);
    details(model, paint, Rect { y: y + 1, height: DETAILS, ..area });
}

fn key_row(
    model: &Model,
    row: &Row,
    is_meant: bool,
    is_narrow: bool,
    paint: &mut Paint<'_, '_>,
    area: Rect,
) {
    let y = area.y;
    if row.state == State::Off {
        paint.put(0, y, 1, "#", paint.bold());
    }
    if is_meant {
        paint.put(1, y, 1, paint.cursor_mark(), paint.bold());
    }
    let now = model.now;
    let has_expired = row.key.as_ref().is_some_and(|it| it.has_expired(now));
    let uses = row.id().and_then(|id| model.activity.keys.as_ref()?.uses.get(&id));
    let last = match (&model.activity.server, uses) {
        (_, Some(uses)) => text::ago(uses.last, now),
        (Server::Up, None) => "never".to_owned(),
        (Server::Down(..) | Server::Unknown, None) => "?".to_owned(),
    };
    let note = match row.faults.first() {
        Some(fault) => format!("! {}", fault.to_string().split(':').next().unwrap_or_default()),
        None => text::escape(row.note.as_bytes()),
    };
    paint.put(3, y, 10, &text::escape(row.user.as_bytes()), paint.plain());
    let style = if row.faults.is_empty() { paint.plain() } else { paint.error() };
    if row.state == State::Off {
        paint.put(14, y, 15, &format!("off  {}", row.masked), paint.dim());
    } else {
        paint.put(14, y, 15, &row.masked, paint.plain());
    }
    if is_narrow {
        paint.put(30, y, area.width.saturating_sub(30), &note, style);
    } else {
        let ends = match (row.expires.as_str(), has_expired) {
            ("", _) => "never".to_owned(),
            (_, true) => "over".to_owned(),
            (text, false) => day(text, now),
        };
        paint.put(
            30,
            y,
            12,
            &if row.created.is_empty() { "unknown".to_owned() } else { long_day(&row.created) },
            paint.plain(),
        );
        paint.put(43, y, 12, &last, paint.plain());
        paint.put(56, y, 8, &ends, paint.plain());
        paint.put(65, y, area.width.saturating_sub(65), &note, style);
    }
    if is_meant {
        paint.choose(0, y, area.width);
    }
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
    let Some(row) = model.keys.row() else { return };
    let id = row.id().map(|it| format!("   id {it}")).unwrap_or_default();
    let kept = if row.is_sealed {
        "sealed (the old reader does not know it)"
    } else {
        "plain text (old reader can use it)"
    };
    let mut lines =
        vec![format!("{}   key {}{id}   {kept}", text::escape(row.user.as_bytes()), row.masked)];
    let uses = row.id().and_then(|id| model.activity.keys.as_ref()?.uses.get(&id));
    lines.push(match uses {
        Some(uses) => {
            let today = if uses.day.to_string() == model.now.strftime("%Y-%m-%d").to_string() {
                uses.today
            } else {
                0
            };
            let what = uses.what.split_once(' ').map_or(uses.what.clone(), |(method, path)| {
                format!("{method} {}", text::path(path))
            });
            format!(
                "{} today, last {what} from {}",
                text::things(today, "request", "requests"),
                uses.from
            )
        }
        None => String::new(),
    });
    lines.push(format!("Scope   {}", reach(row)));
    for fault in &row.faults {
        lines.push(format!("! {fault}. w: {}", fault.remedy()));
    }
    if row.faults.is_empty() && !row.note.is_empty() {
        lines.push(format!("Note    {}", text::escape(row.note.as_bytes())));
    }
    let in_force = model.activity.keys.as_ref().and_then(|it| it.version.clone());
    let version = model.keys.keys.as_ref().map(|it| it.version.to_string());
    if model.activity.server == Server::Up && in_force.is_some() {
        lines.push(if in_force == version {
            "The server has these keys in force; the old Python server needs a restart.".to_owned()
        } else {
            "The server has not taken these keys over yet.".to_owned()
        });
    }
    for (y, line) in (area.y..area.y + area.height).zip(lines) {
        paint.put(1, y, area.width - 1, &line, paint.plain());
    }
}
