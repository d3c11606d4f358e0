//! Answers to questions.

use crossterm::event::{KeyCode, KeyEvent};
use volume::RelPath;
use volume::key_sheet::{Column, NewKey, OldKey};
use volume::keys::Scope;
use volume::uploads::Exists;

use super::{below, palette, transfers};
use crate::effect::{Effect, Op, Wish};
use crate::model::{FieldKind, Form, Model, Purpose};
use crate::ops::keys::KeyEdit;
use crate::ops::relocate::{Relocating, Relocation};
use crate::ops::{
    parse_end, shown, typed_destination, typed_folder as folder, typed_name as name_of,
};

/// Takes a key in. None where the form stays open.
pub(super) fn key(model: &mut Model, form: &mut Form, key: KeyEvent) -> Option<Vec<Effect>> {
    let is_last = form.focus + 1 >= form.fields.len();
    match key.code {
        KeyCode::Esc => return Some(Vec::new()),
        KeyCode::Enter if form.is_on_cancel() => return Some(Vec::new()),
        KeyCode::Enter if form.is_on_button() || is_last => match answer(model, form) {
            Ok(effects) => return Some(effects),
            Err(why) => form.error = Some(why),
        },
        KeyCode::Enter | KeyCode::Tab | KeyCode::Down => form.forward(),
        KeyCode::BackTab | KeyCode::Up => form.backward(),
        _ if form.is_on_button() || form.is_on_cancel() => {
            if matches!(key.code, KeyCode::Left | KeyCode::Right) {
                form.focus = if form.is_on_button() { form.focus + 1 } else { form.focus - 1 };
            }
        }
        _ => {
            form.error = None;
            match form.field().map(|it| &mut it.kind) {
                Some(FieldKind::Text(input)) => drop(input.key(key)),
                Some(FieldKind::Choice(options, at)) => match key.code {
                    KeyCode::Left => *at = at.checked_sub(1).unwrap_or(options.len() - 1),
                    KeyCode::Right | KeyCode::Char(' ') => *at = (*at + 1) % options.len().max(1),
                    _ => {}
                },
                None => {}
            }
        }
    }
    None
}

fn answer(model: &mut Model, form: &Form) -> Result<Vec<Effect>, String> {
    let now = model.now;
    let version = model.keys.keys.as_ref().map(|it| it.version);
    let op = match &form.purpose {
        Purpose::Rename(from) => {
            let name = name_of(form.value("Name"))?;
            let to = from.parent().unwrap_or_default().join(&name).map_err(|it| it.to_string())?;
            if to == *from {
                return Ok(Vec::new());
            }
            Op::Rename(from.clone(), to)
        }
        Purpose::MoveTo(from) => relocate(Relocating::Move, from, form)?,
        Purpose::CopyTo(from) => relocate(Relocating::Copy, from, form)?,
        Purpose::NewFolder(parent) => {
            let name = name_of(form.value("Name"))?;
            Op::NewFolder(parent.join(&name).map_err(|it| it.to_string())?)
        }
        Purpose::Find(path) => {
            let pattern = form.value("Name has").to_owned();
            if pattern.is_empty() {
                return Err("type a part of the name".to_owned());
            }
            return Ok(below::find(model, path.clone(), pattern));
        }
        Purpose::Share(path) => {
            let until = form.value("Ends");
            parse_end(until, now).map_err(|it| it.what)?;
            Op::Share(path.clone(), until.to_owned())
        }
        Purpose::Palette => return palette::run(model, form.value(":")),
        Purpose::AddKey => {
            let scope = if form.chosen("May") == 0 { Scope::Read } else { Scope::Write };
            let new = NewKey {
                user: form.value("User").trim().to_owned(),
                scope,
                path: folder(form.value("Path"))?,
                expires: parse_end(form.value("Ends"), now).map_err(|it| it.what)?,
                note: form.value("Note").to_owned(),
            };
            // What the file can't hold is told here, not behind the closed form.
            let check = volume::keys::PlainKey::new(&[b'x'; 20]);
            volume::key_sheet::KeySheet::parse(b"")
                .add(&new, &check, now)
                .map_err(|it| it.to_string())?;
            Op::AddKey(version.ok_or("the keys are not read yet")?, new)
        }
        Purpose::RotateKey(row, choices) => {
            let old = choices.get(form.chosen("The old key")).cloned().unwrap_or(OldKey::Stays);
            let ends = form.value("The new key ends");
            if ends.trim().is_empty() {
                return Err("say when the new key ends: 90d, a date, or never".to_owned());
            }
            let ends = parse_end(ends, now).map_err(|it| it.what)?;
            Op::RotateKey(version.ok_or("the keys are not read yet")?, row.clone(), old, ends)
        }
        Purpose::RevokeKey(row, last) => {
            if form.value("Its last characters") != last {
                return Err("these are not its last characters".to_owned());
            }
            let version = version.ok_or("the keys are not read yet")?;
            Op::EditKey(version, row.clone(), vec![KeyEdit::Revoke], "revoked")
        }
        Purpose::EditKey(row) => {
            let expires = match form.value("Ends").trim() {
                // An end that has passed may stay, where something else is changed.
                same if same == row.expires => same.to_owned(),
                ends => parse_end(ends, now).map_err(|it| it.what)?,
            };
            let scope = if form.chosen("May") == 0 { "read" } else { "write" };
            let wanted = [
                (
                    Column::Scope,
                    scope.to_owned(),
                    row.key.as_ref().map_or("", |it| it.scope.text()).to_owned(),
                ),
                (Column::Path, form.value("Path").to_owned(), path_text(row)),
                (Column::Expires, expires, row.expires.clone()),
                (Column::Note, form.value("Note").to_owned(), row.note.clone()),
            ];
            let changes: Vec<_> = wanted
                .into_iter()
                .filter(|(_, now, before)| now != before)
                .map(|(column, now, _)| (column, now))
                .collect();
            if changes.is_empty() {
                return Ok(Vec::new());
            }
            let mut sheet = volume::key_sheet::KeySheet::parse(b"x,x\n");
            for (column, text) in &changes {
                sheet.set(1, *column, text).map_err(|it| it.to_string())?;
            }
            let edits = changes.into_iter().map(|(column, text)| KeyEdit::Set(column, text));
            let version = version.ok_or("the keys are not read yet")?;
            Op::EditKey(version, row.clone(), edits.collect(), "changed")
        }
        Purpose::Quit => {
            model.is_over = true;
            return Ok(Vec::new());
        }
        Purpose::Send(paths) => return Ok(transfers::sent(model, paths)),
        Purpose::CancelTransfer(number) => {
            return Ok(vec![Effect::Transfer(Wish::cancel(*number))]);
        }
        Purpose::Confirm(op, word) => {
            if let Some(word) = word
                && form.value("To confirm") != word
            {
                return Err(format!("type {word} to do it"));
            }
            (**op).clone()
        }
    };
    Ok(vec![Effect::Do(op)])
}

/// The path of a key as the form shows it.
pub(super) fn path_text(row: &volume::key_sheet::Row) -> String {
    row.key.as_ref().map_or("/".to_owned(), |it| shown(&it.path))
}

fn relocate(how: Relocating, from: &[RelPath], form: &Form) -> Result<Op, String> {
    let to = typed_destination(form.value("Into"))?;
    let exists = exists(form);
    Ok(Op::Relocate(Relocation { how, from: from.to_vec(), to, exists, makes_folder: false }))
}

fn exists(form: &Form) -> Exists {
    match form.chosen("If there") {
        0 => Exists::Refuse,
        1 => Exists::KeepBoth,
        _ => Exists::Replace,
    }
}
