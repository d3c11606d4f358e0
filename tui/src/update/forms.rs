//! Answers to questions.

use crossterm::event::{KeyCode, KeyEvent};
use volume::OnConflict;
use volume::RelPath;
use volume::keys::Scope;
use volume::keys::sheet::{Column, NewKey, OldKey, SheetError};

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
    match key.code {
        KeyCode::Esc => return Some(Vec::new()),
        KeyCode::Enter if form.is_on_cancel() => return Some(Vec::new()),
        KeyCode::Enter if form.is_answered() => match answer(model, form) {
            Ok(effects) => return Some(effects),
            Err(wrong) => form.refuse(wrong.field, wrong.why),
        },
        // What is wrong in this field is told before the next is filled in.
        KeyCode::Enter => {
            let here = form.field().map(|it| it.label);
            match change(model, form) {
                Err(wrong) if wrong.field == here => form.refuse(here, wrong.why),
                _ => {
                    form.error = None;
                    form.forward();
                }
            }
        }
        KeyCode::Tab | KeyCode::Down => form.forward(),
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

/// What is wrong with an answer, and the field that it is in.
struct Wrong {
    field: Option<&'static str>,
    why: String,
}

impl From<&str> for Wrong {
    fn from(why: &str) -> Wrong {
        Wrong { field: None, why: why.to_owned() }
    }
}

impl From<SheetError> for Wrong {
    fn from(error: SheetError) -> Wrong {
        let field = match &error {
            SheetError::User => Some("User"),
            SheetError::Scope => Some("May"),
            SheetError::Path { .. } => Some("Path"),
            SheetError::Expires { .. } | SheetError::Ended { .. } => Some("Ends"),
            SheetError::Control { column } => {
                ["Note", "Path", "Ends"].into_iter().find(|it| it.eq_ignore_ascii_case(column))
            }
            _ => None,
        };
        Wrong { field, why: error.to_string() }
    }
}

/// What a field says, or what is wrong with it.
fn of_field<T>(field: &'static str, read: Result<T, impl Into<String>>) -> Result<T, Wrong> {
    read.map_err(|why| Wrong { field: Some(field), why: why.into() })
}

fn answer(model: &mut Model, form: &Form) -> Result<Vec<Effect>, Wrong> {
    match &form.purpose {
        Purpose::Find(path) => {
            let pattern = form.value("Name has").to_owned();
            if pattern.is_empty() {
                return of_field("Name has", Err("type a part of the name"));
            }
            Ok(below::find(model, path.clone(), pattern))
        }
        Purpose::Palette => of_field(":", palette::run(model, form.value(":"))),
        Purpose::Quit => {
            model.is_over = true;
            Ok(Vec::new())
        }
        Purpose::Send(paths) => Ok(transfers::sent(model, paths)),
        Purpose::CancelTransfer(number) => Ok(vec![Effect::Transfer(Wish::cancel(*number))]),
        _ => Ok(change(model, form)?.map(Effect::Do).into_iter().collect()),
    }
}

/// The change that is asked for, if it is one.
fn change(model: &Model, form: &Form) -> Result<Option<Op>, Wrong> {
    let now = model.now;
    let version = model.keys.keys.as_ref().map(|it| it.version);
    let end = |field| of_field(field, parse_end(form.value(field), now).map_err(|it| it.what));
    Ok(Some(match &form.purpose {
        Purpose::Rename(from) => {
            let to = named(&from.parent().unwrap_or_default(), form)?;
            if to == *from {
                return Ok(None);
            }
            Op::Rename(from.clone(), to)
        }
        Purpose::MoveTo(from) => relocate(Relocating::Move, from, form)?,
        Purpose::CopyTo(from) => relocate(Relocating::Copy, from, form)?,
        Purpose::NewFolder(parent) => Op::NewFolder(named(parent, form)?),
        Purpose::Share(path) => {
            end("Ends")?;
            Op::Share(path.clone(), form.value("Ends").to_owned())
        }
        Purpose::AddKey => {
            let user = form.value("User").trim().to_owned();
            if user.is_empty() {
                return of_field("User", Err("type whose key it is"));
            }
            let scope = if form.chosen("May") == 0 { Scope::Read } else { Scope::Write };
            let path = of_field("Path", folder(form.value("Path")))?;
            let note = form.value("Note").to_owned();
            let new = NewKey { user, scope, path, expires: end("Ends")?, note };
            // What the file can't hold is told here, not behind the closed form.
            let check = volume::keys::PlainKey::new(&[b'x'; 20]);
            volume::keys::sheet::KeySheet::parse(b"").add(&new, &check, now)?;
            Op::AddKey(version.ok_or("the keys are not read yet")?, new)
        }
        Purpose::RotateKey(row, choices) => {
            let old = choices.get(form.chosen("The old key")).cloned().unwrap_or(OldKey::Stays);
            let field = "The new key ends";
            if form.value(field).trim().is_empty() {
                return of_field(field, Err("say when the new key ends: 90d, a date, or never"));
            }
            let ends = end(field)?;
            Op::RotateKey(version.ok_or("the keys are not read yet")?, row.clone(), old, ends)
        }
        Purpose::RevokeKey(row, last) => {
            let field = "Its last characters";
            if form.value(field) != last {
                return of_field(field, Err("these are not its last characters"));
            }
            let version = version.ok_or("the keys are not read yet")?;
            Op::EditKey(version, row.clone(), vec![KeyEdit::Revoke], "revoked")
        }
        Purpose::EditKey(row) => {
            let expires = match form.value("Ends").trim() {
                // An end that has passed may stay, where something else is changed.
                same if same == row.expires => same.to_owned(),
                _ => end("Ends")?,
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
                return Ok(None);
            }
            let mut sheet = volume::keys::sheet::KeySheet::parse(b"x,x\n");
            for (column, text) in &changes {
                sheet.set(1, *column, text)?;
            }
            let edits = changes.into_iter().map(|(column, text)| KeyEdit::Set(column, text));
            let version = version.ok_or("the keys are not read yet")?;
            Op::EditKey(version, row.clone(), edits.collect(), "changed")
        }
        Purpose::Confirm(op, word) => {
            if let Some(word) = word
                && form.value("To confirm") != word
            {
                return of_field("To confirm", Err(format!("type {word} to do it")));
            }
            (**op).clone()
        }
        Purpose::Find(_)
        | Purpose::Palette
        | Purpose::Quit
        | Purpose::Send(_)
        | Purpose::CancelTransfer(_) => return Ok(None),
    }))
}

/// What gets the name that is typed, in a folder.
fn named(parent: &RelPath, form: &Form) -> Result<RelPath, Wrong> {
    let name = of_field("Name", name_of(form.value("Name")))?;
    of_field("Name", parent.join(&name).map_err(|it| it.to_string()))
}

/// The path of a key as the form shows it.
pub(super) fn path_text(row: &volume::keys::sheet::KeyRow) -> String {
    row.key.as_ref().map_or("/".to_owned(), |it| shown(&it.path))
}

fn relocate(how: Relocating, from: &[RelPath], form: &Form) -> Result<Op, Wrong> {
    let to = of_field("Into", typed_destination(form.value("Into")))?;
    let exists = exists(form);
    Ok(Op::Relocate(Relocation { how, from: from.to_vec(), to, exists, makes_folder: false }))
}

fn exists(form: &Form) -> OnConflict {
    match form.chosen("If it exists") {
        0 => OnConflict::Refuse,
        1 => OnConflict::KeepBoth,
        _ => OnConflict::Replace,
    }
}
