//! Questions, choices and what is shown once, in front of the screen.

use ratatui::layout::Rect;
use volume::RelPath;
use volume::left_out::{LeftOut, Why};
use volume::names::Kind;

use super::paint::Paint;
use crate::model::{Editor, Field, FieldKind, Form, Menu, Model, Popup, Purpose, Secret};
use crate::ops::files::not_shown;
use crate::ops::shown;
use crate::ops::trash::TrashEntry;
use crate::text;

/// A popup is never wider.
const WIDEST: u16 = 80;

pub(super) fn draw(model: &Model, paint: &mut Paint<'_, '_>, area: Rect) {
    match &model.popup {
        None
        | Some(
            Popup::Help(..)
            | Popup::Text(..)
            | Popup::Pager(..)
            | Popup::Editor(_)
            | Popup::Picture(..),
        ) => {}
        Some(Popup::Form(it)) => form(it, paint, area),
        Some(Popup::Secret(it)) => secret(it, paint, area),
        Some(Popup::Menu(it)) => menu(it, paint, area),
        Some(Popup::Trash(entries, at)) => trash(model, entries, *at, paint, area),
        Some(Popup::LeftOut(path, all, at)) => left_out(path, all, *at, paint, area),
    }
}

/// The keys that work in it.
pub(super) fn keys(popup: &Popup) -> Vec<(String, String)> {
    let all: &[(&str, &str)] = match popup {
        Popup::Help(it) if it.is_typed => {
            &[("Enter", "keep"), ("Esc", "all"), ("Up Down", "scroll")]
        }
        Popup::Help(it) if it.filter.text().is_empty() => {
            &[("/", "search"), ("Up Down", "scroll"), ("1 .. 6", "open a topic"), ("q", "close")]
        }
        Popup::Help(_) => &[("/", "search"), ("Up Down", "scroll"), ("Esc", "all"), ("q", "close")],
        Popup::Text(it) if it.file.is_some() => &[
            ("Up Down PgDn", "scroll"),
            ("Left Right", "scroll sideways"),
            ("x", "bytes"),
            ("Esc", "close"),
        ],
        Popup::Text(..) => {
            &[("Up Down PgDn", "scroll"), ("Left Right", "scroll sideways"), ("Esc", "close")]
        }
        Popup::Pager(..) => &[
            ("PgUp PgDn", "page"),
            ("Up Down", "line"),
            ("g G", "begin, end"),
            ("Left Right", "scroll sideways"),
            ("Esc", "close"),
        ],
        Popup::Editor(it) if it.is_leaving => &[("s", "save"), ("x", "throw away")],
        Popup::Editor(_) => &[("^O", "save"), ("Esc", "leave")],
        Popup::Picture(..) => &[("Esc", "close")],
        Popup::Form(it) => return form_keys(it),
        Popup::Secret(_) => &[("y", "copy"), ("Enter", "close")],
        Popup::Menu(_) => &[("letter", "choose"), ("Esc", "cancel")],
        Popup::LeftOut(..) => &[("d", "trash"), ("D", "trash all"), ("Esc", "close")],
        Popup::Trash(..) => &[("Enter", "put back"), ("X", "delete for good"), ("Esc", "close")],
    };
    all.iter().map(|(key, label)| ((*key).to_owned(), (*label).to_owned())).collect()
}

/// What the keys do where the cursor is.
fn form_keys(form: &Form) -> Vec<(String, String)> {
    let is_palette = matches!(form.purpose, Purpose::Palette);
    let button = form.button.to_lowercase();
    let mut keys = match form.is_answered() {
        _ if form.is_on_cancel() => vec![("Enter", "cancel")],
        true if is_palette => vec![("Tab", "complete"), ("Enter", button.as_str())],
        true if form.fields.is_empty() => vec![("Enter", button.as_str())],
        true => vec![("Enter", button.as_str()), ("Tab", "next")],
        false => vec![("Enter Tab", "next field")],
    };
    if form.is_on_choice() {
        keys.push(("Left Right", "choose"));
    }
    keys.push(("Esc", "cancel"));
    keys.into_iter().map(|(key, label)| (key.to_owned(), label.to_owned())).collect()
}

/// Lines that are read, on all of the screen, from a column on.
pub(super) fn lines<'t>(
    paint: &mut Paint<'_, '_>,
    area: Rect,
    lines: impl Iterator<Item = &'t String>,
    column: usize,
) {
    for (y, line) in (area.y..area.y + area.height).zip(lines) {
        paint.put(1, y, area.width - 1, &text::skip(line, column), paint.plain());
    }
}

/// A text that is being changed. The line with the cursor moves aside where it is too long.
pub(super) fn editor(paint: &mut Paint<'_, '_>, area: Rect, editor: &Editor) {
    let drawn = |it: &str| text::escape(it.as_bytes()).replace("\\t", "    ").replace("\\\\", "\\");
    let room = usize::from(area.width) - 1;
    for (index, line) in editor.lines().iter().enumerate().skip(editor.top) {
        let y = area.y + u16::try_from(index - editor.top).unwrap_or(u16::MAX);
        if y >= area.y + area.height {
            break;
        }
        let before = text::width(&drawn(line.before()));
        let skipped = if index == editor.row { (before + 2).saturating_sub(room) } else { 0 };
        paint.put(1, y, area.width - 1, &text::skip(&drawn(line.text()), skipped), paint.plain());
        if index == editor.row {
            paint.cursor(1 + u16::try_from(before - skipped).unwrap_or(0), y);
        }
    }
}

/// A box in the middle, for so many lines. Where these do not fit it takes the lines around the list too.
fn boxed(paint: &mut Paint<'_, '_>, area: Rect, title: &str, lines: usize) -> Rect {
    let wanted = u16::try_from(lines + 2).unwrap_or(u16::MAX);
    let all = Rect { y: area.y.saturating_sub(2), height: area.height + 4, ..area };
    let area = if wanted > area.height { all } else { area };
    let width = area.width.min(WIDEST);
    let height = wanted.min(area.height);
    let x = area.x + (area.width - width) / 2;
    let y = area.y + (area.height - height) / 3;
    paint.boxed(Rect { x, y, width, height }, title);
    Rect { x: x + 2, y: y + 1, width: width - 4, height: height - 2 }
}

/// A line of a question.
enum Row<'a> {
    Text(String),
    Field(usize, &'a Field),
    /// Choices of a field, as many as stand side by side, each with its number, label and column; and the chosen one.
    Choices(usize, &'a Field, Vec<Placed>, usize),
    Error(String),
    Space,
}

fn form(form: &Form, paint: &mut Paint<'_, '_>, area: Rect) {
    let room = usize::from(area.width.min(WIDEST) - 4);
    let label_room = form.fields.iter().map(|it| text::width(it.label)).max().unwrap_or(0);
    let label_room = u16::try_from(label_room).unwrap_or(0) + 2;
    let field_room = u16::try_from(room).unwrap_or(u16::MAX).saturating_sub(label_room);
    let text = form.text.iter().flat_map(|it| text::wrapped(it, room)).map(Row::Text);
    let error = form.error.iter().flat_map(|it| text::wrapped(&format!("! {it}"), room));
    let fields =
        form.fields.iter().enumerate().flat_map(|(index, it)| rows_of(index, it, field_room));
    let below = form.below.iter().flat_map(|it| text::wrapped(it, room)).map(Row::Text);
    let mut rows: Vec<Row<'_>> =
        text.chain(fields).chain(error.map(Row::Error)).chain(below).collect();
    rows.push(Row::Space);
    let inner = boxed(paint, area, &form.title, rows.len() + 1);
    // The buttons are always seen, and of the rest what is being filled in and what is wrong with it.
    let bottom = inner.y + inner.height.saturating_sub(1);
    let seen = usize::from(bottom - inner.y);
    if rows.len() > seen {
        rows.pop();
    }
    let has_focus = |it: &Row<'_>| match it {
        Row::Field(index, _) => *index == form.focus,
        Row::Choices(index, _, placed, chosen) => {
            *index == form.focus && placed.iter().any(|it| it.number == *chosen)
        }
        Row::Text(_) | Row::Error(_) | Row::Space => false,
    };
    let focus = rows.iter().position(has_focus).unwrap_or(if form.fields.is_empty() {
        0
    } else {
        rows.len()
    });
    let errors = rows.iter().filter(|it| matches!(it, Row::Error(_))).count();
    let last = rows.len().saturating_sub(seen);
    let top = if errors > 0 { last.min(focus) } else { (focus + 1).saturating_sub(seen).min(last) };
    for (y, row) in (inner.y..bottom).zip(rows.iter().skip(top)) {
        match row {
            Row::Space => {}
            Row::Text(line) => paint.put(inner.x, y, inner.width, line, paint.plain()),
            Row::Error(line) => paint.put(inner.x, y, inner.width, line, paint.error()),
            Row::Field(index, it) => {
                field(it, *index == form.focus, label_room, paint, Rect { y, height: 1, ..inner });
            }
            Row::Choices(index, field, placed, chosen) => {
                let is_meant = *index == form.focus;
                let at = Rect { y, height: 1, ..inner };
                choices(field, placed, (*chosen, is_meant), label_room, paint, at);
            }
        }
    }
    buttons(form, paint, Rect { y: bottom, height: 1, ..inner });
}

fn field(field: &Field, is_meant: bool, label_room: u16, paint: &mut Paint<'_, '_>, at: Rect) {
    let FieldKind::Text(input) = &field.kind else { return };
    let style = if is_meant { paint.bold() } else { paint.plain() };
    paint.put(at.x, at.y, label_room, field.label, style);
    let (x, room) = (at.x + label_room, at.width.saturating_sub(label_room));
    let hint = u16::try_from(text::width(field.hint)).unwrap_or(0);
    let wide = if hint > 0 && room > hint + 22 { room - hint - 2 } else { room };
    // The letter being typed is always seen.
    let before = text::width(input.before());
    let skipped = before.saturating_sub(usize::from(wide).saturating_sub(2));
    let seen = text::skip(input.text(), skipped);
    let line =
        format!("{seen}{}", "_".repeat(usize::from(wide).saturating_sub(text::width(&seen))));
    paint.put(x, at.y, wide, &line, style);
    if wide < room {
        let style = paint.dim();
        paint.put(x + wide + 2, at.y, hint, field.hint, style);
    }
    if is_meant {
        paint.cursor(x + u16::try_from(before - skipped).unwrap_or(0), at.y);
    }
}

fn choices(
    field: &Field,
    placed: &[Placed],
    (chosen, is_meant): (usize, bool),
    label_room: u16,
    paint: &mut Paint<'_, '_>,
    at: Rect,
) {
    let style = if is_meant { paint.bold() } else { paint.plain() };
    if placed.first().is_some_and(|it| it.number == 0) {
        paint.put(at.x, at.y, label_room, field.label, style);
    }
    for it in placed {
        let x = at.x + label_room + it.column;
        let wide = u16::try_from(text::width(&it.label)).unwrap_or(0);
        let wide = wide.min((at.x + at.width).saturating_sub(x));
        paint.put(x, at.y, wide, &it.label, style);
        if is_meant && it.number == chosen {
            paint.choose(x, at.y, wide);
        }
    }
}

/// A choice and where in its row it stands.
struct Placed {
    number: usize,
    label: String,
    column: u16,
}

/// The rows that a field takes: choices stand side by side, in as many rows as they need.
fn rows_of(index: usize, field: &Field, room: u16) -> Vec<Row<'_>> {
    let FieldKind::Choice(options, chosen) = &field.kind else {
        return vec![Row::Field(index, field)];
    };
    let (mut rows, mut row, mut column) = (Vec::new(), Vec::new(), 0);
    for (number, option) in options.iter().enumerate() {
        let label = if number == *chosen { format!("[{option}]") } else { format!(" {option} ") };
        let wide = u16::try_from(text::width(&label)).unwrap_or(u16::MAX);
        if column > 0 && column + wide > room {
            rows.push(Row::Choices(index, field, std::mem::take(&mut row), *chosen));
            column = 0;
        }
        row.push(Placed { number, label, column });
        column += wide + 1;
    }
    rows.push(Row::Choices(index, field, row, *chosen));
    rows
}

fn buttons(form: &Form, paint: &mut Paint<'_, '_>, at: Rect) {
    let cancel = "[ Cancel ]";
    let button = format!("[ {} ]", form.button);
    let x = (at.x + at.width).saturating_sub(11);
    let wide = u16::try_from(text::width(&button)).unwrap_or(0);
    paint.put(x, at.y, 10, cancel, paint.plain());
    paint.put(x.saturating_sub(wide + 3), at.y, wide, &button, paint.bold());
    if form.is_on_cancel() {
        paint.choose(x, at.y, 10);
    } else if form.is_on_button() {
        paint.choose(x.saturating_sub(wide + 3), at.y, wide);
    }
}

/// The secret stands alone on its line, without a border, so that it can be marked with a mouse.
fn secret(secret: &Secret, paint: &mut Paint<'_, '_>, area: Rect) {
    let rows = secret.secret.len().div_ceil(usize::from(area.width.max(1))).max(1);
    let room = usize::from(area.width.min(WIDEST) - 4);
    let below: Vec<String> = secret.below.iter().flat_map(|it| text::wrapped(it, room)).collect();
    let inner = boxed(paint, area, &secret.title, below.len() + rows + 3);
    let bottom = inner.y + inner.height.saturating_sub(1);
    let is_crowded = usize::from(inner.height) < below.len() + rows + 3;
    let mut rest = secret.secret.as_str();
    let mut y = inner.y + u16::from(!is_crowded);
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
    for (y, line) in (y + u16::from(!is_crowded)..bottom).zip(&below) {
        paint.put(inner.x, y, inner.width, line, paint.plain());
    }
    let button = format!("[ {} ]", secret.button);
    let wide = u16::try_from(text::width(&button)).unwrap_or(0);
    paint.right(bottom, inner.x + inner.width, &button, paint.bold());
    paint.choose((inner.x + inner.width).saturating_sub(wide), bottom, wide);
}

fn menu(menu: &Menu, paint: &mut Paint<'_, '_>, area: Rect) {
    let inner = boxed(paint, area, &menu.title, menu.options.len());
    for (y, (letter, what)) in (inner.y..inner.y + inner.height).zip(&menu.options) {
        paint.put(inner.x, y, 1, &letter.to_string(), paint.bold());
        paint.put(inner.x + 3, y, inner.width.saturating_sub(3), what, paint.plain());
    }
}

fn trash(model: &Model, entries: &[TrashEntry], at: usize, paint: &mut Paint<'_, '_>, area: Rect) {
    let title = format!("Trash: {}", text::things(entries.len() as u64, "item", "items"));
    let inner = boxed(paint, area, &title, entries.len());
    let top = at.saturating_sub(usize::from(inner.height).saturating_sub(1));
    for (y, (row, entry)) in
        (inner.y..inner.y + inner.height).zip(entries.iter().enumerate().skip(top))
    {
        let when = entry.deleted.map_or("?".to_owned(), |it| text::ago(it, model.now));
        let from = entry.path.as_ref().map_or_else(|| text::escape(&entry.bytes), shown);
        let slash = if entry.kind == "directory" { "/" } else { "" };
        let size = if entry.kind == "file" { text::bytes(entry.size) } else { String::new() };
        let room = inner.width.saturating_sub(38);
        paint.name(inner.x + 3, y, room, &format!("{from}{slash}"), paint.plain());
        paint.right(y, (inner.x + inner.width).saturating_sub(24), &size, paint.plain());
        let whose =
            text::cut(&format!("{when} by {}", text::escape(entry.username.as_bytes())), 22);
        paint.right(y, inner.x + inner.width, &whose, paint.plain());
        if row == at {
            paint.cursor_row(Rect { y, height: 1, ..inner });
        }
    }
}

fn left_out(path: &RelPath, all: &[LeftOut], at: usize, paint: &mut Paint<'_, '_>, area: Rect) {
    let title = format!("{} in {}", not_shown(all.len()), text::cut(&shown(path), 40));
    let inner = boxed(paint, area, &title, all.len());
    let top = at.saturating_sub(usize::from(inner.height).saturating_sub(1));
    for (y, (row, it)) in (inner.y..inner.y + inner.height).zip(all.iter().enumerate().skip(top)) {
        let is_folder = it.kind == Kind::Folder;
        let name = format!("{}{}", text::escape(&it.name), if is_folder { "/" } else { "" });
        let is_sized = it.why == Why::Hidden && !is_folder;
        let size = it.stat.filter(|_| is_sized).map(|it| format!("{}  ", text::bytes(it.len)));
        let known = format!("{}{}", size.unwrap_or_default(), it.why);
        let wide = u16::try_from(text::width(&known)).unwrap_or(0);
        let mark = if row == at { paint.cursor_mark() } else { " " };
        paint.put(inner.x, y, 1, mark, paint.bold());
        paint.put(inner.x + 2, y, inner.width.saturating_sub(wide + 4), &name, paint.plain());
        paint.right(y, inner.x + inner.width, &known, paint.plain());
        if row == at {
            paint.choose(inner.x, y, inner.width);
        }
    }
}
