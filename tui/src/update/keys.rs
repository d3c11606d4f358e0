//! The screen of keys.

use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};
use volume::keys::sheet::{Fault, Fix, KeyRow, KeyState, OldKey};
use volume::keys::usage::KeyUse;
use volume::keys::{Scope, end_of};

use super::browse::moved;
use super::forms::path_text;
use super::open;
use crate::effect::{Effect, Op};
use crate::key::Act;
use crate::model::{Form, Input, Meant, Model, Purpose, Redraw, Screen, scrolled};
use crate::ops::keys::{EXTRA_STAYS, KeyEdit, Keys};
use crate::ops::{Failure, parse_end};
use crate::text;

/// The keys were read.
pub(super) fn read(model: &mut Model, result: Result<Keys, Failure>) -> Vec<Effect> {
    let screen = &mut model.keys;
    match result {
        Err(failure) => {
            screen.trouble = Some(failure.what);
            screen.keys = None;
        }
        Ok(keys) => {
            // A folder that came or went changes a warning, and not the file.
            let is_same = screen.keys.as_ref().is_some_and(|it| {
                let faults = |it: &Keys| it.faults().map(|it| it.1).collect::<Vec<_>>();
                it.version == keys.version && faults(it) == faults(&keys)
            });
            if is_same && screen.go_to.is_none() {
                return Vec::new();
            }
            let under = screen.go_to.take().or_else(|| screen.row()?.id());
            let row = keys.rows.iter().position(|it| under.is_some() && it.id() == under);
            let cursor = row.unwrap_or(screen.cursor);
            (screen.keys, screen.trouble) = (Some(keys), None);
            go_to(model, cursor);
        }
    }
    if model.screen == Screen::Keys {
        model.dirty(Redraw::Now);
    }
    Vec::new()
}

/// Does what a key means here.
pub(super) fn act(model: &mut Model, act: Act) -> Vec<Effect> {
    match act {
        Act::Up | Act::Down | Act::PageUp | Act::PageDown | Act::First | Act::Last => {
            go_to(model, moved(act, model.keys.cursor, model.key_count(), model.key_rows()));
            return Vec::new();
        }
        Act::AddKey => {
            let form = Form::new("Add a key (step 1 of 2)", "Create", Purpose::AddKey)
                .text("User", Input::default(), "letters, digits, . _ (no comma, no \"-\")")
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
    if matches!(model.meant_key(), Some(Meant::Extra(_))) && act != Act::MendKey {
        model.complain(EXTRA_STAYS);
        return Vec::new();
    }
    if act == Act::MendKey {
        return fix(model);
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
        Act::EditKey if row.key.is_some() => edit(model, &row),
        Act::ToggleKey => {
            let (edit, what) = match row.state {
                KeyState::Off => (KeyEdit::On, "switched on"),
                KeyState::On | KeyState::Skipped => (KeyEdit::Off, "switched off"),
            };
            if edit == KeyEdit::Off && is_last(model, &row) {
                let title = format!("Switch off key {}", row.masked);
                let op = Op::EditKey(version, Box::new(row), vec![edit], what);
                let form = Form::new(title, "Switch off", Purpose::Confirm(Box::new(op), None));
                open(model, form.line(LAST));
                return Vec::new();
            }
            return vec![Effect::Do(Op::EditKey(version, Box::new(row), vec![edit], what))];
        }
        Act::SealKey => {
            let op = Op::EditKey(version, Box::new(row.clone()), vec![KeyEdit::Seal], "sealed");
            let form = Form::new(
                format!("Seal key {}", row.masked),
                "Seal",
                Purpose::Confirm(Box::new(op), None),
            )
            .line("Only the key's hash is kept: whoever reads the file does not learn it.")
            .line("The old Python server does not know the key any more.")
            .line("u undoes it as long as this console runs; after that nobody can.");
            open(model, form);
        }
        _ => model.complain("this line has no key: w fixes it, p switches it off"),
    }
    Vec::new()
}

/// What is said before the last key goes.
const LAST: &str =
    "! This is the last key. The old Python server does not start with an empty key file.";

/// Whether no key at all is good any more when this one is not.
fn is_last(model: &Model, row: &KeyRow) -> bool {
    let is_good =
        row.state == KeyState::On && row.key.as_ref().is_some_and(|it| !it.has_expired(model.now));
    is_good
        && model.extra_keys().is_empty()
        && model.keys.keys.as_ref().is_some_and(|it| it.good == 1)
}

/// The cursor goes to a key, or to the last one.
fn go_to(model: &mut Model, cursor: usize) {
    let rows = model.key_rows();
    model.keys.cursor = cursor.min(model.key_count().saturating_sub(1));
    model.keys.top = scrolled(model.keys.top, model.keys.cursor, rows);
}

fn edit(model: &mut Model, row: &KeyRow) {
    let at = usize::from(row.key.as_ref().is_some_and(|it| it.scope == Scope::Write));
    let ends = if row.expires.is_empty() { "never" } else { &row.expires };
    let title = format!("Key {} of {}", row.masked, text::escape(row.user.as_bytes()));
    let form = Form::new(title, "Change", Purpose::EditKey(Box::new(row.clone())))
        .line("Scope, path and end are kept by this server only, not by the old Python one.")
        .text("Note", Input::with(&row.note), "")
        .choice("May", &["read", "read and upload"], at)
        .text("Path", Input::with(&path_text(row)), "the folder it covers, with all below")
        .text("Ends", Input::with(ends), "90d, a date, or never");
    open(model, form);
}

fn rotate(model: &mut Model, row: KeyRow) {
    let (line, choices) = old_key_choices(&row, model.now);
    let (labels, choices): (Vec<_>, Vec<_>) = choices.into_iter().unzip();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    // Of three the one in the middle, of two the one that takes nothing away.
    let ends = if row.expires.is_empty() { Input::with("never") } else { Input::default() };
    let title = format!("Rotate key {} (step 1 of 2)", row.masked);
    let form = Form::new(title, "Rotate", Purpose::RotateKey(Box::new(row), choices))
        .line(line)
        .choice("The old key", &labels, 1)
        .text("The new key ends", ends, "90d, a date, or never")
        .line("! an end date is kept by this server only, not by the old Python one");
    open(model, form);
}

/// What may become of a key that is rotated, as things stand: nothing that gives it more time than it has.
fn old_key_choices(row: &KeyRow, now: Timestamp) -> (String, Vec<(String, OldKey)>) {
    let stays = |label: &str| {
        vec![("is removed".to_owned(), OldKey::EndsNow), (label.to_owned(), OldKey::Stays)]
    };
    let end = row.key.as_ref().and_then(|it| it.expires);
    if row.state == KeyState::Off {
        return ("Makes a new key. The old one is off:".to_owned(), stays("stays off"));
    }
    if end.is_some_and(|it| it <= now) {
        let line = format!("Makes a new key. The old one has ended ({}):", row.expires);
        return (line, stays("stays ended"));
    }
    let mut choices = vec![("ends now".to_owned(), OldKey::EndsNow)];
    let week = now.checked_add(7 * 24.hours()).unwrap_or(now);
    if let Ok(overlap) = parse_end("7d", now)
        && end.is_none_or(|it| end_of(&overlap).is_some_and(|overlap| overlap < it))
    {
        let label = format!("ends in 7 days ({})", text::day(week, now));
        choices.push((label, OldKey::EndsAt(overlap)));
    }
    let by_hand = match end {
        None => "I revoke it by hand".to_owned(),
        Some(_) => format!("keeps its end ({})", row.expires),
    };
    choices.push((by_hand, OldKey::Stays));
    ("Makes a second key. The old one keeps working until you say so:".to_owned(), choices)
}

fn revoke(model: &mut Model, row: KeyRow) {
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
    let user = text::escape(row.user.as_bytes());
    let title = format!("Revoke key {} of {user}", row.masked);
    let id = row.id();
    let told = id.as_ref().and_then(|id| {
        let known = model.activity.keys.as_ref()?;
        Some(known.uses.get(id).map(|it| last_use(it, &user, model.now)))
    });
    let stays = id.is_some_and(|id| model.extra_keys().iter().any(|it| it.id == id));
    let is_last = is_last(model, &row);
    let hint = if last == "revoke" { "type: revoke" } else { "as the list shows them" };
    let mut form = Form::new(title, "Revoke", Purpose::RevokeKey(Box::new(row), last));
    if let Some(told) = told {
        form = form.line(told.unwrap_or_else(|| "It was never used.".to_owned()));
    }
    form = form.line("Requests with it fail from the moment you confirm; open uploads are cut.");
    if stays {
        form = form.line("! API_KEYS has it too: it stays good until the server starts without.");
    }
    if is_last {
        form = form.line(LAST);
    }
    open(model, form.text("Its last characters", Input::default(), hint));
}

/// When a key was last used, by whom, for what and how often.
fn last_use(known: &KeyUse, user: &str, now: Timestamp) -> String {
    let mut when = text::ago(known.last, now);
    if now.duration_since(known.last).as_secs() >= 86_400 {
        when = format!("{when} {}", text::clock(known.last));
    }
    let week = match known.of_week(Offset::UTC.to_datetime(now).date()) {
        0 => "not this week".to_owned(),
        1 => "once this week".to_owned(),
        times => format!("{} times this week", text::count(times)),
    };
    let what = known.what.split_once(' ').map_or_else(
        || known.what.clone(),
        |(method, path)| format!("{method} {}", text::path(path)),
    );
    format!("Last used {when} by {user} ({what}, {week}).")
}

/// Mends the row under the cursor, or goes to the next one that something is wrong with.
fn fix(model: &mut Model) -> Vec<Effect> {
    let Some(keys) = &model.keys.keys else { return Vec::new() };
    let here = keys.rows.get(model.keys.cursor).filter(|it| !it.faults.is_empty());
    let Some(row) = here.cloned() else {
        match keys.rows.iter().position(|it| !it.faults.is_empty()) {
            None => model.say("nothing is wrong with the keys"),
            Some(row) => go_to(model, row),
        }
        return Vec::new();
    };
    let version = keys.version;
    let Some(fault) = row.faults.first().copied() else { return Vec::new() };
    match fault.fix() {
        Fix::Rewrite => {}
        Fix::Rotate => {
            rotate(model, row);
            return Vec::new();
        }
        Fix::Edit => {
            edit(model, &row);
            return Vec::new();
        }
    }
    let what = match fault {
        Fault::Header => "made a comment",
        Fault::ByteOrderMark => "freed of its byte order mark",
        Fault::Spaces => "freed of its spaces",
        Fault::Garbled(_) => "written with commas and without quotes",
        _ => "switched off",
    };
    vec![Effect::Do(Op::EditKey(version, Box::new(row), vec![KeyEdit::Fix(fault)], what))]
}

#[cfg(test)]
mod tests {
    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
    use serde_json::json;
    use volume::console_settings::ConsoleSettings;
    use volume::keys::sheet::{Column, KeySheet};

    use super::*;
    use crate::cli::ScreenArgs;
    use crate::model::{FieldKind, Look, Popup};
    use crate::update::forms;

    const KEY: &str = "kmt-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUm6AfG";

    /// A console that was told of keys, with a file of this text.
    fn model(text: &str) -> Model {
        let now = "2026-11-24T14:02:00Z".parse().unwrap();
        let look = Look::new(&ScreenArgs::default(), &ConsoleSettings::default(), &|_| None);
        let mut model = Model::new(look, "/data".to_owned(), (80, 24), now);
        model.screen = Screen::Keys;
        let sheet = KeySheet::parse(text.as_bytes());
        let keys = Keys { version: sheet.version(), rows: sheet.rows(now), good: sheet.good(now) };
        let id = keys.rows.first().and_then(KeyRow::id).unwrap_or_default();
        let known = json!({"version": "1", "extra": [{"id": "0b1c2d3e", "username": "ci", "apikey": "ci-..p0Aa"}],
            "uses": {id: {"last": "2026-11-23T13:40:00Z", "what": "POST /uploads/a%20b", "from": "::1",
                "day": "2026-11-23", "today": 30, "before": [1, 0, 0, 0, 0, 0]}}});
        model.activity.keys = Some(serde_json::from_value(known).unwrap());
        read(&mut model, Ok(keys));
        model
    }

    fn form(model: &Model) -> &Form {
        match &model.popup {
            Some(Popup::Form(form)) => form,
            other => panic!("{other:?}"),
        }
    }

    /// Types into the form that is open; what it brings, if it is answered.
    fn press(model: &mut Model, typed: &str) -> Vec<Effect> {
        let mut effects = Vec::new();
        for letter in typed.chars() {
            let (code, modifiers) = match letter {
                '\r' => (KeyCode::Enter, KeyModifiers::NONE),
                '\u{15}' => (KeyCode::Char('u'), KeyModifiers::CONTROL),
                letter => (KeyCode::Char(letter), KeyModifiers::NONE),
            };
            let Some(Popup::Form(mut form)) = model.popup.take() else { panic!("{typed:?}") };
            match forms::key(model, &mut form, KeyEvent::new(code, modifiers)) {
                Some(answer) => effects.extend(answer),
                None => model.popup = Some(Popup::Form(form)),
            }
        }
        effects
    }

    #[test]
    fn whoever_revokes_reads_when_the_key_was_last_used() {
        let mut model = model(&format!("kmt,{KEY}\nzoe,{KEY}z\n"));
        act(&mut model, Act::RevokeKey);
        let text = form(&model).text.join("\n");
        let wanted = "Last used yesterday 13:40 by kmt (POST /uploads/a b, 31 times this week).";
        assert!(text.contains(wanted) && text.contains("open uploads are cut"), "{text}");
        assert!(!text.contains("last key"), "{text}");
        act(&mut model, Act::Down);
        act(&mut model, Act::RevokeKey);
        assert!(form(&model).text.join("\n").contains("never used"));
    }

    #[test]
    fn the_last_key_is_not_revoked_unwarned() {
        let mut last = model(&format!("kmt,{KEY}\n"));
        act(&mut last, Act::RevokeKey);
        let warned = |model: &Model| form(model).text.join("\n").contains("an empty key file");
        assert!(!warned(&last), "API_KEYS has one more");
        last.activity.keys = None;
        act(&mut last, Act::RevokeKey);
        assert!(warned(&last));
    }

    #[test]
    fn the_last_key_is_not_switched_off_unasked() {
        let mut last = model(&format!("kmt,{KEY}\n"));
        last.activity.keys = None;
        assert!(act(&mut last, Act::ToggleKey).is_empty());
        assert!(form(&last).is_on_cancel() && form(&last).text[0].contains("last key"));
        let mut one_of_two = model(&format!("kmt,{KEY}\nzoe,{KEY}z\n"));
        assert_eq!(act(&mut one_of_two, Act::ToggleKey).len(), 1);
        let mut off = model(&format!("# kmt,{KEY}\nzoe,{KEY}z\n"));
        assert_eq!(act(&mut off, Act::ToggleKey).len(), 1);
    }

    #[test]
    fn nothing_is_done_to_a_key_that_no_file_has() {
        let mut model = model(&format!("kmt,{KEY}\n"));
        act(&mut model, Act::Last);
        assert!(matches!(model.meant_key(), Some(Meant::Extra(_))));
        for wanted in [Act::RevokeKey, Act::RotateKey, Act::EditKey, Act::ToggleKey, Act::SealKey] {
            model.message = None;
            assert!(act(&mut model, wanted).is_empty() && model.popup.is_none());
            assert_eq!(model.message.as_ref().unwrap().text, EXTRA_STAYS, "{wanted:?}");
        }
    }

    #[test]
    fn a_key_that_is_rotated_is_offered_no_time_that_it_has_not() {
        let check = |row: &str, choices: &[&str], ends: &str| {
            let mut model = model(&format!("{row}\n"));
            act(&mut model, Act::RotateKey);
            let form = form(&model);
            let Some(FieldKind::Choice(options, 1)) =
                form.fields.iter().find(|it| it.label == "The old key").map(|it| &it.kind)
            else {
                panic!("{form:?}")
            };
            assert_eq!(
                (options.as_slice(), form.value("The new key ends")),
                (&choices.iter().map(ToString::to_string).collect::<Vec<_>>()[..], ends),
                "{row}"
            );
        };
        check(
            &format!("kmt,{KEY}"),
            &["ends now", "ends in 7 days (1 Dec)", "I revoke it by hand"],
            "never",
        );
        check(
            &format!("kmt,{KEY},read,,2027-01-31"),
            &["ends now", "ends in 7 days (1 Dec)", "keeps its end (2027-01-31)"],
            "",
        );
        check(
            &format!("kmt,{KEY},read,,2026-11-26"),
            &["ends now", "keeps its end (2026-11-26)"],
            "",
        );
        check(&format!("kmt,{KEY},read,,2020-01-01"), &["is removed", "stays ended"], "");
        check(&format!("# kmt,{KEY}"), &["is removed", "stays off"], "never");
    }

    #[test]
    fn a_new_key_s_end_is_asked_for_and_lies_ahead() {
        let mut model = model(&format!("kmt,{KEY},read,,2020-01-01\n"));
        act(&mut model, Act::RotateKey);
        let error = |model: &mut Model, typed: &str| {
            press(model, typed);
            form(model).error.clone().unwrap_or_default()
        };
        assert!(error(&mut model, "\r\r").contains("say when the new key ends"));
        assert!(error(&mut model, "2020-01-01\r").contains("has passed"));
        let effects = press(&mut model, "\u{15}90d\r");
        assert!(
            matches!(
                effects.as_slice(),
                [Effect::Do(Op::RotateKey(_, _, OldKey::Stays, ends))] if ends == "2027-02-22"
            ),
            "{effects:?}"
        );
    }

    #[test]
    fn a_note_of_an_ended_key_is_changed_without_its_end() {
        let mut model = model(&format!("kmt,{KEY},read,,2020-01-01\n"));
        act(&mut model, Act::EditKey);
        let effects = press(&mut model, "x\r\r\r\r");
        assert!(
            matches!(
                effects.as_slice(),
                [Effect::Do(Op::EditKey(_, _, edits, _))] if *edits == [KeyEdit::Set(Column::Note, "x".to_owned())]
            ),
            "{effects:?}"
        );
        act(&mut model, Act::EditKey);
        press(&mut model, "\r\r\r\u{15}2020-01-02\r");
        assert!(form(&model).error.as_ref().unwrap().contains("has passed"));
    }

    #[test]
    fn each_warning_has_its_mend_in_one_key() {
        let mut nowhere = model(&format!("kmt,{KEY},read,none\n"));
        nowhere.keys.keys.as_mut().unwrap().rows[0].faults.push(Fault::NoFolder);
        act(&mut nowhere, Act::MendKey);
        assert!(matches!(form(&nowhere).purpose, Purpose::EditKey(_)));
        let mut short = model("kmt,short\n");
        act(&mut short, Act::MendKey);
        assert!(matches!(form(&short).purpose, Purpose::RotateKey(..)));
        assert_eq!(form(&short).value("The old key"), "ends in 7 days (1 Dec)");
        let mut empty = model("kmt,\n");
        let effects = act(&mut empty, Act::MendKey);
        assert!(matches!(
            effects.as_slice(),
            [Effect::Do(Op::EditKey(_, _, edits, _))] if *edits == [KeyEdit::Fix(Fault::Empty)]
        ));
    }
}
