//! The screen of keys.

use volume::key_sheet::{Fault, Mend, Row, State};
use volume::keys::Scope;

use super::browse::moved;
use super::forms::path_text;
use super::open;
use crate::effect::{Effect, Op};
use crate::key::Act;
use crate::model::{Form, Input, Model, Purpose, Redraw, Screen, scrolled};
use crate::ops::Failure;
use crate::ops::keys::{KeyEdit, Keys};

/// The keys were read.
pub(super) fn read(model: &mut Model, result: Result<Keys, Failure>) -> Vec<Effect> {
    let screen = &mut model.keys;
    match result {
        Err(failure) => {
            screen.trouble = Some(failure.what);
            screen.keys = None;
        }
        Ok(keys) => {
            let is_same = screen.keys.as_ref().is_some_and(|it| it.version == keys.version);
            if is_same && screen.go_to.is_none() {
                return Vec::new();
            }
            let under = screen.go_to.take().or_else(|| screen.row()?.id());
            let row = keys.rows.iter().position(|it| under.is_some() && it.id() == under);
            screen.cursor = row.unwrap_or(screen.cursor).min(keys.rows.len().saturating_sub(1));
            (screen.keys, screen.trouble) = (Some(keys), None);
        }
    }
    if model.screen == Screen::Keys {
        model.dirty(Redraw::Now);
    }
    Vec::new()
}

/// Does what a key means here.
pub(super) fn act(model: &mut Model, act: Act) -> Vec<Effect> {
    let rows = model.list_rows().saturating_sub(5).max(1);
    let count = model.keys.keys.as_ref().map_or(0, |it| it.rows.len());
    match act {
        Act::Up | Act::Down | Act::PageUp | Act::PageDown | Act::First | Act::Last => {
            let screen = &mut model.keys;
            screen.cursor = moved(act, screen.cursor, count, rows);
            screen.top = scrolled(screen.top, screen.cursor, rows);
            return Vec::new();
        }
        Act::AddKey => {
            let form = Form::new("Add a key", "Create", Purpose::AddKey)
                .text("User", Input::default(), "letters, digits, . _")
                .text("Note", Input::default(), "")
                .choice("May", &["read", "read and upload"], 0)
                .text("Path", Input::with("/"), "the folder it covers, with all below")
                .text("Ends", Input::with("90d"), "90d, a date, or never");
            open(model, form);
            return Vec::new();
        }
        Act::Cancel => return Vec::new(),
        _ => {}
    }
    let Some((row, version)) =
        model.keys.row().cloned().zip(model.keys.keys.as_ref().map(|it| it.version))
    else {
        model.complain("there is no key: a makes one");
        return Vec::new();
    };
    match act {
        Act::RotateKey if row.key.is_some() => rotate(model, row),
        Act::RevokeKey => revoke(model, row),
        Act::EditKey if row.key.is_some() => {
            let at = usize::from(row.key.as_ref().is_some_and(|it| it.scope == Scope::Write));
            let ends = if row.expires.is_empty() { "never" } else { &row.expires };
            let form = Form::new(
                format!("Key {} of {}", row.masked, row.user),
                "Change",
                Purpose::EditKey(Box::new(row.clone())),
            )
            .text("Note", Input::with(&row.note), "")
            .choice("May", &["read", "read and upload"], at)
            .text("Path", Input::with(&path_text(&row)), "the folder it covers, with all below")
            .text("Ends", Input::with(ends), "90d, a date, or never");
            open(
                model,
                form.line(
                    "Scope, path and end are kept by this server only, not by the old Python one.",
                ),
            );
        }
        Act::ToggleKey => {
            let (edit, what) = match row.state {
                State::Off => (KeyEdit::On, "switched on"),
                State::On | State::PassedOver => (KeyEdit::Off, "switched off"),
            };
            return vec![Effect::Do(Op::EditKey(version, Box::new(row), edit, what))];
        }
        Act::MendKey => return mend(model),
        Act::SealKey => {
            let op = Op::EditKey(version, Box::new(row.clone()), KeyEdit::Seal, "sealed");
            let form = Form::new(
                format!("Seal key {}", row.masked),
                "Seal",
                Purpose::Confirm(Box::new(op), None),
            )
            .line("Only the key's hash is kept: whoever reads the file does not learn it.")
            .line("The old Python server does not know the key any more. This can't be undone.");
            open(model, form);
        }
        _ => model.complain("this line has no key: w mends it, p switches it off"),
    }
    Vec::new()
}

fn rotate(model: &mut Model, row: Row) {
    let title = format!("Rotate key {}", row.masked);
    let options = ["ends now", "ends in 7 days", "I revoke it by hand"];
    let form = Form::new(title, "Rotate", Purpose::RotateKey(Box::new(row)))
        .line("Makes a second key. The old one keeps working until you say so:")
        .choice("The old key", &options, 1)
        .line("! an end date is kept by this server only, not by the old Python one");
    open(model, form);
}

fn revoke(model: &mut Model, row: Row) {
    let last: String = if row.is_sealed {
        "revoke".to_owned()
    } else {
        row.masked
            .rsplit("..")
            .next()
            .unwrap_or_default()
            .chars()
            .filter(|_| row.masked.contains(".."))
            .collect()
    };
    let last = if last.is_empty() { "revoke".to_owned() } else { last };
    let title = format!("Revoke key {} of {}", row.masked, row.user);
    let uses = row.id().and_then(|id| model.activity.keys.as_ref()?.uses.get(&id).cloned());
    let is_last = model.keys.keys.as_ref().is_some_and(|it| it.good == 1) && row.key.is_some();
    let hint = if last == "revoke" { "type: revoke" } else { "as the list shows them" };
    let mut form = Form::new(title, "Revoke", Purpose::RevokeKey(Box::new(row), last));
    if let Some(uses) = uses {
        form = form.line(format!(
            "Last used {} ({})",
            crate::text::ago(uses.last, model.now),
            uses.what
        ));
    }
    form = form.line("Requests with it fail from the moment you confirm. It can't be had back.");
    if is_last {
        form = form.line(
            "! This is the last key. The old Python server does not start with an empty key file.",
        );
    }
    open(model, form.text("Its last characters", Input::default(), hint));
}

/// Mends the row under the cursor, or goes to the next one that something is wrong with.
fn mend(model: &mut Model) -> Vec<Effect> {
    let Some(keys) = &model.keys.keys else { return Vec::new() };
    let here = keys.rows.get(model.keys.cursor).filter(|it| !it.faults.is_empty());
    let Some(row) = here.cloned() else {
        match keys.rows.iter().position(|it| !it.faults.is_empty()) {
            None => model.say("nothing is wrong with the keys"),
            Some(row) => {
                model.keys.cursor = row;
                model.keys.top =
                    scrolled(model.keys.top, row, model.list_rows().saturating_sub(5).max(1));
            }
        }
        return Vec::new();
    };
    let version = keys.version;
    let Some(fault) = row.faults.first().copied() else { return Vec::new() };
    if fault.mend() == Mend::Rotate {
        rotate(model, row);
        return Vec::new();
    }
    let what = match fault {
        Fault::Header => "made a comment",
        Fault::ByteOrderMark => "freed of its byte order mark",
        Fault::Spaces => "freed of its spaces",
        _ => "switched off",
    };
    vec![Effect::Do(Op::EditKey(version, Box::new(row), KeyEdit::Mend(fault), what))]
}
