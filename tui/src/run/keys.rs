//! `sounding keys`: who may read and upload.

use std::io::{self, Read};

use jiff::Timestamp;
use volume::keys::sheet::{Column, Fix, KeyState, NewKey};
use volume::keys::{PlainKey, Scope};

use super::{Out, Outcome};
use crate::admin::KeysNow;
use crate::cli::KeysCommand;
use crate::ops::keys::{
    KeyEdit, KeyEntry, Keys, MadeKey, named, on_line, parse_overlap, reach, remedy,
};
use crate::ops::{Desk, Failure, parse_end};
use crate::text;

/// What is said of the last key.
const LAST: &str =
    "this is the last key: without one nobody can read, and the old Python server does not start";

pub(super) fn keys(
    desk: &Desk,
    command: KeysCommand,
    json: bool,
    out: &mut Out<'_>,
) -> Result<Outcome, Failure> {
    let (keys, known) = (desk.keys()?, desk.keys_in_use());
    let shown_version = Some(keys.version);
    let now = Timestamp::now();
    let edit = |key: &str, edit: KeyEdit, out: &mut Out<'_>| {
        let row = keys.pick(key, &known)?;
        desk.edit_key(shown_version, row.line, &[edit])?;
        if json { keys_json(desk, out) } else { Ok(()) }
    };
    match command {
        KeysCommand::List if json => keys_json(desk, out)?,
        KeysCommand::List => {
            for line in key_table(&keys, &known, now) {
                out.line(&line)?;
            }
        }
        KeysCommand::Add { user, write, path, expires, note, key_stdin } => {
            let scope = if write { Scope::Write } else { Scope::Read };
            let (path, expires) = (desk.path(&path)?, parse_end(&expires, now)?);
            let plain = if key_stdin { Some(key_from_stdin()?) } else { None };
            let new = NewKey { user, scope, path, expires, note };
            made(&desk.add_key(shown_version, &new, plain)?, json, out)?;
        }
        KeysCommand::Rotate { key, overlap, expires } => {
            let row = keys.pick(&key, &known)?;
            let old = parse_overlap(&overlap, now)?;
            let expires = expires.map(|it| parse_end(&it, now)).transpose()?;
            if expires.is_none() && !row.expires.is_empty() {
                return Err(Failure::new(format!(
                    "{} has the end {}: say when its new key ends, --expires 90d, a date, or never",
                    named(row),
                    row.expires
                )));
            }
            made(&desk.rotate_key(shown_version, row, &old, expires.as_deref())?, json, out)?;
        }
        KeysCommand::Revoke { key, last } => {
            let row = keys.pick(&key, &known)?;
            let is_good = row.key.as_ref().is_some_and(|it| !it.has_expired(now));
            if keys.good == 1 && row.state == KeyState::On && is_good && !last {
                return Err(Failure::new(format!("{LAST}; say --last to revoke it")));
            }
            edit(&key, KeyEdit::Revoke, out)?;
        }
        KeysCommand::Disable { key } => {
            edit(&key, KeyEdit::Off, out)?;
            if keys.good == 1 && desk.keys()?.good == 0 {
                writeln!(out.errors, "sounding: {LAST}")?;
            }
        }
        KeysCommand::Enable { key } => edit(&key, KeyEdit::On, out)?,
        KeysCommand::Note { key, text } => edit(&key, KeyEdit::Set(Column::Note, text), out)?,
        KeysCommand::Seal { key } => edit(&key, KeyEdit::Seal, out)?,
        KeysCommand::Set { key, scope, path, expires, note } => {
            let row = keys.pick(&key, &known)?;
            let expires = expires.map(|it| parse_end(&it, now)).transpose()?;
            let changes = [
                (Column::Scope, scope),
                (Column::Path, path),
                (Column::Expires, expires),
                (Column::Note, note),
            ];
            let edits: Vec<_> = changes
                .into_iter()
                .filter_map(|(column, it)| Some(KeyEdit::Set(column, it?)))
                .collect();
            if edits.is_empty() {
                return Err(Failure::new(
                    "say what to change: --scope, --path, --expires or --note",
                ));
            }
            desk.edit_key(shown_version, row.line, &edits)?;
            if json {
                keys_json(desk, out)?;
            }
        }
        KeysCommand::Check { fix } => return check(desk, fix, json, out),
    }
    Ok(Outcome::Done)
}

fn keys_json(desk: &Desk, out: &mut Out<'_>) -> Result<(), Failure> {
    let (keys, known) = (desk.keys()?, desk.keys_in_use());
    out.json(&entries(&keys, &known, Timestamp::now()))
}

/// Those of the file, and behind them those that only the server has.
fn entries(keys: &Keys, known: &KeysNow, now: Timestamp) -> Vec<KeyEntry> {
    let of_file = keys.rows.iter().map(|it| KeyEntry::of(it, known, now));
    of_file.chain(known.extra.iter().map(|it| KeyEntry::extra(it, known))).collect()
}

fn key_table(keys: &Keys, known: &KeysNow, now: Timestamp) -> Vec<String> {
    let reaches =
        keys.rows.iter().map(reach).chain(std::iter::repeat("read, whole volume".to_owned()));
    let or = |text: &str, other: &str| if text.is_empty() { other } else { text }.to_owned();
    let rows = entries(keys, known, now).into_iter().zip(reaches).map(|(it, reach)| {
        let line = it.line.map(|it| format!("line:{it}")).unwrap_or_default();
        let used = it.last_used.map_or("never".to_owned(), |it| text::ago(it, now));
        let warnings = it.warnings.iter().fold(String::new(), |all, it| all + "  ! " + it);
        let note = text::escape(it.note.as_bytes());
        [
            it.id.unwrap_or(line),
            text::escape(it.username.as_bytes()),
            it.apikey,
            it.state.to_owned(),
            reach,
            format!("created {}", or(&it.created, "unknown")),
            format!("used {used}"),
            format!("ends {}", or(&it.expires, "never")),
            format!("{note}{warnings}").trim_start().to_owned(),
        ]
    });
    let rows: Vec<_> = rows.collect();
    let widths: Vec<usize> = (0..9)
        .map(|column| rows.iter().filter_map(|it| it.get(column)).map(|it| text::width(it)).max())
        .map(Option::unwrap_or_default)
        .collect();
    let line = |row: &[String; 9]| {
        let padded = row
            .iter()
            .zip(&widths)
            .map(|(it, width)| format!("{it}{}", " ".repeat(width - text::width(it))));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn made(made: &MadeKey, json: bool, out: &mut Out<'_>) -> Result<(), Failure> {
    if json { out.json(made) } else { out.line(&made.apikey) }
}

fn key_from_stdin() -> Result<PlainKey, Failure> {
    let mut text = String::new();
    io::stdin().take(4096).read_to_string(&mut text)?;
    let key = text.trim();
    if key.is_empty() {
        return Err(Failure::new("standard input has no key: write one word to it"));
    }
    Ok(PlainKey::new(key.as_bytes()))
}

fn check(desk: &Desk, fix: bool, json: bool, out: &mut Out<'_>) -> Result<Outcome, Failure> {
    if fix {
        // Each fix moves nothing but its own line; the file is looked at again after each.
        loop {
            let keys = desk.keys()?;
            let next = keys.faults().find(|(_, fault)| fault.fix() == Fix::Rewrite);
            let Some((row, fault)) = next else { break };
            desk.edit_key(Some(keys.version), row.line, &[KeyEdit::Fix(fault)])?;
            writeln!(out.errors, "{}: {fault}: fixed: {}", on_line(row), fault.remedy())?;
        }
    }
    let keys = desk.keys()?;
    if json {
        keys_json(desk, out)?;
    } else {
        for (row, fault) in keys.faults() {
            out.line(&format!("{}: {fault}. To do: {}", on_line(row), remedy(fault)))?;
        }
    }
    Ok(if keys.faults().next().is_some() { Outcome::Found } else { Outcome::Done })
}
