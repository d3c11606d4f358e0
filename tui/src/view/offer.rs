//! An offer, and the answer to it.

use ::transfers::transfer::{Existing, OfferedKind, Question, TransferStatus};
use ratatui::layout::Rect;
use volume::copy_name::beside;

use super::paint::Paint;
use super::receive::field;
use crate::model::{Conflict, Model, OfferField, OfferForm};
use crate::ops::shown;
use crate::ops::transfers::name;
use crate::text;

/// Where what is told begins.
const COLUMN: u16 = 15;

pub(super) fn draw(
    model: &Model,
    (now, question): (&TransferStatus, &Question),
    form: &OfferForm,
    paint: &mut Paint<'_, '_>,
    area: Rect,
) {
    let mut rows = rows(model, now, question, form);
    let room = usize::from(area.height);
    // Blank lines go first where there is little room; then what is above the cursor.
    while rows.len() > room {
        let Some(blank) = rows.iter().position(|it| matches!(it, Row::Blank)) else { break };
        rows.remove(blank);
    }
    let has_focus = |it: &Row| {
        it.field() == Some(form.focus)
            || (form.focus == OfferField::Refuse && matches!(it, Row::Buttons))
    };
    let focus = rows.iter().rposition(has_focus).unwrap_or(0);
    let top = (focus + 1).saturating_sub(room);
    for (y, row) in (area.y..area.y + area.height).zip(rows.iter().skip(top)) {
        draw_row(row, form, paint, Rect { y, ..area });
    }
}

/// What the keys do where the cursor is.
pub(super) fn keys(form: &OfferForm) -> Vec<(String, String)> {
    let keys: &[(&str, &str)] = match form.focus {
        OfferField::Into => &[("Tab", "complete"), ("Enter", "next field")],
        OfferField::Name => &[("Enter Tab", "next field")],
        OfferField::Conflict => &[("Space", "choose"), ("Enter", "go on"), ("Tab", "next field")],
        OfferField::Unpack => &[("Space", "choose"), ("Enter Tab", "next field")],
        OfferField::Accept => &[("Enter", "receive"), ("Tab", "next field")],
        OfferField::Refuse => &[("Enter", "refuse"), ("Tab", "next field")],
    };
    let back = ("Esc", "back, it waits");
    keys.iter().chain([&back]).map(|it| (it.0.to_owned(), it.1.to_owned())).collect()
}

/// A line of it.
enum Row {
    Blank,
    Text(String),
    Told(&'static str, String),
    Warning(String),
    Into,
    Name,
    Option(OfferField, bool, String),
    Bar(f64, f64),
    Buttons,
}

impl Row {
    /// The field that it is.
    fn field(&self) -> Option<OfferField> {
        match self {
            Row::Into => Some(OfferField::Into),
            Row::Name => Some(OfferField::Name),
            Row::Option(field, ..) => Some(*field),
            Row::Buttons => Some(OfferField::Accept),
            _ => None,
        }
    }
}

fn rows(model: &Model, now: &TransferStatus, question: &Question, form: &OfferForm) -> Vec<Row> {
    let mut rows = vec![Row::Blank];
    rows.extend(what(now));
    rows.push(Row::Blank);
    rows.extend([Row::Into, Row::Name]);
    if !form.folders.is_empty() && form.focus == OfferField::Into {
        rows.push(Row::Told("", form.folders.join("  ")));
    }
    if let Some(unpack) = form.unpack {
        let mark = if unpack { "x" } else { " " };
        rows.push(Row::Option(
            OfferField::Unpack,
            unpack,
            format!("[{mark}] unpack the archive into a folder"),
        ));
    }
    if form.path().is_ok_and(|it| it.is_public()) {
        rows.push(Row::Warning(
            "Anyone will be able to read it: `public` needs no key.".to_owned(),
        ));
    }
    let is_at = form.is_at(question);
    match &question.existing {
        Some(existing) if is_at => {
            let kind = now.transfer.offer.as_ref().map(|it| it.kind);
            let is_folder = kind == Some(OfferedKind::Directory) || form.unpack == Some(true);
            rows.extend(conflict(model, existing, form, is_folder));
        }
        None if is_at => rows.push(Row::Told("Exists", "nothing of this name".to_owned())),
        _ => rows.push(Row::Told("Exists", "looked up when you press Receive".to_owned())),
    }
    rows.push(Row::Blank);
    rows.extend(disk(question, form));
    let problem = form.error.as_ref().or(question.problem.as_ref());
    if let Some(problem) = problem {
        let lines = text::wrapped(problem, usize::from(model.size.0.saturating_sub(8)));
        rows.extend(lines.into_iter().map(Row::Warning));
    }
    rows.push(Row::Blank);
    rows.push(Row::Buttons);
    rows
}

/// What is offered.
fn what(now: &TransferStatus) -> Vec<Row> {
    let Some(offer) = &now.transfer.offer else { return Vec::new() };
    let kind = match offer.kind {
        OfferedKind::Directory => {
            format!("folder, {}", text::things(offer.files, "file", "files"))
        }
        OfferedKind::File if offer.is_archive => "an archive, as one file".to_owned(),
        OfferedKind::File => "file".to_owned(),
        OfferedKind::Text => "text".to_owned(),
    };
    let mut rows =
        vec![Row::Text(format!("The other side offers   {}   {kind}", name(&now.transfer)))];
    let zip = if offer.kind == OfferedKind::Directory { "   as one zip" } else { "" };
    rows.push(Row::Told("to download", format!("{}{zip}", text::bytes(offer.size))));
    if offer.kind == OfferedKind::Directory {
        rows.push(Row::Told("unpacked", text::bytes(offer.unpacked)));
    }
    rows
}

/// What has the name already, and what may become of it.
fn conflict(model: &Model, existing: &Existing, form: &OfferForm, is_folder: bool) -> Vec<Row> {
    let mut parts = Vec::new();
    parts.push(match existing.items {
        Some(items) => text::things(items, "item", "items"),
        None if existing.is_folder => "a folder".to_owned(),
        None => "a file".to_owned(),
    });
    parts.extend(existing.size.map(text::bytes));
    parts.extend(existing.modified.map(|it| format!("of {}", text::day(it, model.now))));
    let path = form.path().unwrap_or_default();
    let second = second(path.file_name().unwrap_or_default(), is_folder);
    let thing = if existing.is_folder { "folder" } else { "file" };
    let choices = [
        (Conflict::KeepBoth, format!("keep both, write {second}")),
        (Conflict::Replace, format!("replace, move the old {thing} to trash")),
        (Conflict::Elsewhere, "other folder or name ...".to_owned()),
    ];
    let mut rows = vec![Row::Told("Exists", parts.join(", "))];
    rows.extend(choices.into_iter().map(|(choice, label)| {
        let is_chosen = choice == form.conflict;
        let mark = if is_chosen { "*" } else { " " };
        Row::Option(OfferField::Conflict, is_chosen, format!("({mark}) {label}"))
    }));
    rows
}

/// As the volume names a second one.
fn second(name: &[u8], is_folder: bool) -> String {
    text::escape(&beside(name, is_folder, 2))
}

/// How full the disk is, and will be.
fn disk(question: &Question, form: &OfferForm) -> Vec<Row> {
    let used = question.disk.saturating_sub(question.free);
    // Of an archive that is unpacked both are there for a while.
    let is_told = form.unpack != Some(true) || form.is_at(question);
    let needed = question.needed.saturating_mul(if is_told { 1 } else { 2 });
    #[expect(clippy::cast_precision_loss, reason = "a bar")]
    let part = |bytes: u64| bytes as f64 / question.disk.max(1) as f64;
    let left = question.free.saturating_sub(needed);
    let mut rows = vec![
        Row::Bar(part(used), part(needed)),
        Row::Told(
            "",
            format!(
                "{} used, {} needed at the peak, {} left",
                text::bytes(used),
                text::bytes(needed),
                text::bytes(left)
            ),
        ),
    ];
    if needed > question.room {
        let line = format!(
            "There is room for {}: the rest is kept for the service, or promised to others.",
            text::bytes(question.room)
        );
        rows.push(Row::Warning(line));
    }
    rows
}

fn draw_row(row: &Row, form: &OfferForm, paint: &mut Paint<'_, '_>, at: Rect) {
    let (y, room) = (at.y, at.width.saturating_sub(COLUMN + 1));
    match row {
        Row::Blank => {}
        Row::Text(line) => paint.put(3, y, at.width - 3, line, paint.bold()),
        Row::Told(label, text) => {
            paint.put(if *label == "Exists" { 6 } else { 3 }, y, 12, label, paint.plain());
            paint.put(COLUMN, y, room, text, paint.plain());
        }
        Row::Warning(line) => paint.put(6, y, at.width - 6, &format!("! {line}"), paint.error()),
        Row::Into | Row::Name => {
            let (label, input) =
                if matches!(row, Row::Into) { ("Into", &form.into) } else { ("As", &form.name) };
            let is_meant = row.field() == Some(form.focus);
            field(label, input, (is_meant, COLUMN), paint, Rect { width: room.min(60), ..at });
        }
        Row::Option(field, is_chosen, label) => {
            let is_meant = *field == form.focus && (*is_chosen || *field == OfferField::Unpack);
            paint.put(COLUMN, y, room, label, paint.plain());
            if is_meant {
                let wide = u16::try_from(text::width(label)).unwrap_or(room).min(room);
                paint.choose(COLUMN, y, wide);
            }
        }
        Row::Bar(used, needed) => {
            paint.put(6, y, 8, "Disk", paint.plain());
            let bar = paint.bar_of_two(room.min(40), *used, *needed);
            paint.put(COLUMN, y, room, &bar, paint.plain());
        }
        Row::Buttons => {
            let buttons = [(OfferField::Accept, "[ Receive ]"), (OfferField::Refuse, "[ Refuse ]")];
            let mut x = COLUMN + 6;
            for (button, label) in buttons {
                let wide = u16::try_from(label.len()).unwrap_or(0);
                paint.put(x, y, wide, label, paint.bold());
                if form.focus == button {
                    paint.choose(x, y, wide);
                }
                x += wide + 4;
            }
        }
    }
}

/// Until when it can be answered.
pub(super) fn footer(model: &Model, question: &Question) -> String {
    let left = question.ends.duration_since(model.now).unsigned_abs();
    format!("  offer ends in {} ", text::duration(left))
}

/// What is said below: where there is little room above, what is wrong comes first.
pub(super) fn waiting_line(model: &Model, form: &OfferForm, question: &Question) -> String {
    if form.is_answered {
        return "answering ...".to_owned();
    }
    if !model.has_room_beside() {
        let problem = form.error.as_ref().or(question.problem.as_ref());
        return problem.map_or("the sender waits".to_owned(), |it| format!("! {it}"));
    }
    let path = form.path().map_or_else(|_| shown(&question.path), |it| shown(&it));
    format!("the sender waits; it goes to {path}")
}
