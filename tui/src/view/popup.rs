//! Questions, choices and what is shown once, in front of the screen.

use ratatui::layout::Rect;

use super::browse::wrapped;
use super::paint::Paint;
use crate::model::{Field, FieldKind, Form, Menu, Model, Popup, Secret};
use crate::ops::shown;
use crate::ops::trash::TrashEntry;
use crate::text;

/// A popup is never wider.
const WIDEST: u16 = 80;

pub(super) fn draw(model: &Model, paint: &mut Paint<'_, '_>, area: Rect) {
    match &model.popup {
        None | Some(Popup::Help(..) | Popup::Text(..) | Popup::Pager(..) | Popup::Picture(..)) => {}
        Some(Popup::Form(it)) => form(it, paint, area),
        Some(Popup::Secret(it)) => secret(it, paint, area),
        Some(Popup::Menu(it)) => menu(it, paint, area),
        Some(Popup::Trash(entries, at)) => trash(model, entries, *at, paint, area),
    }
}

/// The keys that work in it.
pub(super) fn keys(popup: &Popup) -> Vec<(String, String)> {
    let all: &[(&str, &str)] = match popup {
        Popup::Help(..) => &[("Up Down", "scroll"), ("Esc", "close")],
        Popup::Text(..) => &[("Up Down PgDn", "scroll"), ("Esc", "close")],
        Popup::Pager(..) => {
            &[("PgUp PgDn", "page"), ("Up Down", "line"), ("g G", "begin, end"), ("Esc", "close")]
        }
        Popup::Picture(..) => &[("Esc", "close")],
        Popup::Form(_) => &[
            ("Tab", "next field"),
            ("Left Right", "choose"),
            ("Enter", "do it"),
            ("Esc", "cancel"),
        ],
        Popup::Secret(_) => &[("y", "copy"), ("Enter", "I have saved it")],
        Popup::Menu(_) => &[("letter", "choose"), ("Esc", "cancel")],
        Popup::Trash(..) => &[("Enter", "put back"), ("X", "delete for good"), ("Esc", "close")],
    };
    all.iter().map(|(key, label)| ((*key).to_owned(), (*label).to_owned())).collect()
}

/// Lines that are read, on all of the screen.
pub(super) fn lines(paint: &mut Paint<'_, '_>, area: Rect, lines: &[String], top: usize) {
    for (y, line) in (area.y..area.y + area.height).zip(lines.iter().skip(top)) {
        paint.put(1, y, area.width - 1, line, paint.plain());
    }
}

/// A box in the middle, for so many lines.
fn boxed(paint: &mut Paint<'_, '_>, area: Rect, title: &str, lines: usize) -> Rect {
    let width = area.width.min(WIDEST);
    let height = u16::try_from(lines + 2).unwrap_or(u16::MAX).min(area.height);
    let x = area.x + (area.width - width) / 2;
    let y = area.y + (area.height - height) / 3;
    paint.boxed(Rect { x, y, width, height }, title);
    Rect { x: x + 2, y: y + 1, width: width - 4, height: height - 2 }
}

fn form(form: &Form, paint: &mut Paint<'_, '_>, area: Rect) {
    let room = usize::from(area.width.min(WIDEST) - 4);
    let text: Vec<String> = form.text.iter().flat_map(|it| wrapped(it, room)).collect();
    let label_room = form.fields.iter().map(|it| text::width(it.label)).max().unwrap_or(0);
    let label_room = u16::try_from(label_room).unwrap_or(0) + 2;
    let field_room = area.width.min(WIDEST).saturating_sub(4 + label_room);
    let fields: u16 = form.fields.iter().map(|it| rows_of(it, field_room)).sum();
    let lines = text.len() + usize::from(fields) + 2 + usize::from(form.error.is_some());
    let inner = boxed(paint, area, &form.title, lines);
    let mut y = inner.y;
    for line in &text {
        paint.put(inner.x, y, inner.width, line, paint.plain());
        y += 1;
    }
    for (index, field) in form.fields.iter().enumerate() {
        let is_meant = index == form.focus;
        let style = if is_meant { paint.bold() } else { paint.plain() };
        paint.put(inner.x, y, label_room, field.label, style);
        let (x, room) = (inner.x + label_room, inner.width.saturating_sub(label_room));
        match &field.kind {
            FieldKind::Text(input) => {
                let hint = u16::try_from(text::width(field.hint)).unwrap_or(0);
                let wide = if hint > 0 && room > hint + 22 { room - hint - 2 } else { room };
                // The letter being typed is always seen.
                let before = text::width(input.before());
                let skipped = before.saturating_sub(usize::from(wide).saturating_sub(2));
                let seen = skip_columns(input.text(), skipped);
                let line = format!(
                    "{seen}{}",
                    "_".repeat(usize::from(wide).saturating_sub(text::width(&seen)))
                );
                paint.put(x, y, wide, &line, style);
                if wide < room {
                    let style = paint.dim();
                    paint.put(x + wide + 2, y, hint, field.hint, style);
                }
                if is_meant {
                    paint.cursor(x + u16::try_from(before - skipped).unwrap_or(0), y);
                }
            }
            FieldKind::Choice(options, at) => {
                for (number, (label, row, column)) in
                    laid_out(options, *at, room).iter().enumerate()
                {
                    let (x, y) = (x + column, y + row);
                    let room = (inner.x + inner.width).saturating_sub(x);
                    paint.put(x, y, room, label, style);
                    if is_meant && number == *at {
                        let wide = u16::try_from(text::width(label)).unwrap_or(0);
                        paint.choose(x, y, wide.min(room));
                    }
                }
            }
        }
        y += rows_of(field, room);
    }
    if let Some(error) = &form.error {
        let style = paint.error();
        paint.put(inner.x, y, inner.width, &format!("! {error}"), style);
        y += 1;
    }
    // The buttons have a line above them where there is room for it.
    y = (y + 1).min((inner.y + inner.height).saturating_sub(1));
    let cancel = "[ Cancel ]";
    let button = format!("[ {} ]", form.button);
    let at = (inner.x + inner.width).saturating_sub(11);
    let wide = u16::try_from(text::width(&button)).unwrap_or(0);
    paint.put(at, y, 10, cancel, paint.plain());
    paint.put(at.saturating_sub(wide + 3), y, wide, &button, paint.bold());
    if form.is_on_cancel() {
        paint.choose(at, y, 10);
    } else if form.is_on_button() {
        paint.choose(at.saturating_sub(wide + 3), y, wide);
    }
}

/// How many rows a field takes.
fn rows_of(field: &Field, room: u16) -> u16 {
    match &field.kind {
        FieldKind::Text(_) => 1,
        FieldKind::Choice(options, at) => {
            laid_out(options, *at, room).last().map_or(1, |(_, row, _)| row + 1)
        }
    }
}

/// Choices side by side, in as many rows as they need: each with its row and column.
fn laid_out(options: &[String], at: usize, room: u16) -> Vec<(String, u16, u16)> {
    let (mut row, mut column) = (0, 0);
    let mut place = |(number, option): (usize, &String)| {
        let label = if number == at { format!("[{option}]") } else { format!(" {option} ") };
        let wide = u16::try_from(text::width(&label)).unwrap_or(u16::MAX);
        if column > 0 && column + wide > room {
            (row, column) = (row + 1, 0);
        }
        let placed = (label, row, column);
        column += wide + 1;
        placed
    };
    options.iter().enumerate().map(&mut place).collect()
}

fn skip_columns(text: &str, columns: usize) -> String {
    let mut left = columns;
    text.chars()
        .skip_while(|it| {
            let wide = text::width(it.encode_utf8(&mut [0; 4]));
            let skip = left > 0;
            left = left.saturating_sub(wide);
            skip
        })
        .collect()
}

/// The secret stands alone on its line, without a border, so that it can be marked with a mouse.
fn secret(secret: &Secret, paint: &mut Paint<'_, '_>, area: Rect) {
    let rows = secret.secret.len().div_ceil(usize::from(area.width.max(1))).max(1);
    let lines = secret.below.len() + rows + 4;
    let inner = boxed(paint, area, &secret.title, lines);
    let mut rest = secret.secret.as_str();
    let mut y = inner.y + 1;
    for _ in 0..rows {
        paint.put(0, y, area.width, &" ".repeat(area.width.into()), paint.plain());
        let (line, behind) =
            rest.split_at_checked(usize::from(area.width).min(rest.len())).unwrap_or((rest, ""));
        let x = if rows == 1 && line.len() + usize::from(inner.x) < usize::from(area.width) {
            inner.x
        } else {
            0
        };
        paint.put(x, y, area.width, line, paint.bold());
        rest = behind;
        y += 1;
    }
    y += 1;
    for line in &secret.below {
        paint.put(inner.x, y, inner.width, line, paint.plain());
        y += 1;
    }
    paint.right(y, inner.x + inner.width, "[ I have saved it ]", paint.bold());
    paint.choose((inner.x + inner.width).saturating_sub(19), y, 19);
}

fn menu(menu: &Menu, paint: &mut Paint<'_, '_>, area: Rect) {
    let inner = boxed(paint, area, &menu.title, menu.options.len());
    for (y, (letter, what)) in (inner.y..inner.y + inner.height).zip(&menu.options) {
        paint.put(inner.x, y, 1, &letter.to_string(), paint.bold());
        paint.put(inner.x + 3, y, inner.width.saturating_sub(3), what, paint.plain());
    }
}

fn trash(model: &Model, entries: &[TrashEntry], at: usize, paint: &mut Paint<'_, '_>, area: Rect) {
    let title = format!("Trash: {}", text::things(entries.len() as u64, "thing", "things"));
    let inner = boxed(paint, area, &title, entries.len());
    let top = at.saturating_sub(usize::from(inner.height).saturating_sub(1));
    for (y, (row, entry)) in
        (inner.y..inner.y + inner.height).zip(entries.iter().enumerate().skip(top))
    {
        let when = entry.deleted.map_or("?".to_owned(), |it| text::ago(it, model.now));
        let from = entry.path.as_ref().map_or_else(|| text::escape(&entry.bytes), shown);
        let slash = if entry.kind == "directory" { "/" } else { "" };
        let size = if entry.kind == "file" { text::bytes(entry.size) } else { String::new() };
        let mark = if row == at { paint.cursor_mark() } else { " " };
        paint.put(inner.x, y, 1, mark, paint.bold());
        paint.put(
            inner.x + 2,
            y,
            inner.width.saturating_sub(38),
            &format!("{from}{slash}"),
            paint.plain(),
        );
        paint.right(y, (inner.x + inner.width).saturating_sub(24), &size, paint.plain());
        let whose =
            text::cut(&format!("{when} by {}", text::escape(entry.username.as_bytes())), 22);
        paint.right(y, inner.x + inner.width, &whose, paint.plain());
        if row == at {
            paint.choose(inner.x, y, inner.width);
        }
    }
}
