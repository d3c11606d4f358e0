//! Changes: what they did, and how each is undone.

use std::time::{Duration, Instant};

use volume::OnConflict;
use volume::RelPath;
use volume::keys::sheet::change::SheetChange;

use super::ticket::Ticket;
use super::{TELL_EVERY, Work, command};
use crate::effect::{Done, Message, Offer, Op};
use crate::model::Editor;
use crate::ops::awake::told;
use crate::ops::keys::{MadeKey, named};
use crate::ops::relocate::{NotRelocated, Relocated, Relocating, Relocation};
use crate::ops::share::{NO_HOST, ShareLink};
use crate::ops::undo::{Step, TakenBack, Undo};
use crate::ops::{Failure, shown};
use crate::text;

impl Work {
    pub(super) fn change(&self, op: Op, ticket: &Ticket) -> Result<Done, Failure> {
        let desk = &self.desk;
        // A command says itself whether it changes anything.
        if !matches!(op, Op::Command(_)) {
            desk.may_change()?;
        }
        match op {
            Op::Discard(paths) => {
                let mut steps = Vec::new();
                let failure = self.each(&paths, "moving to trash", ticket, |it| {
                    let name = desk.discard(it)?;
                    steps.push(desk.trashed_step(it, name));
                    Ok(())
                });
                discarded(paths.first().map(name), paths.len(), steps, failure)
            }
            Op::DiscardNamed(all) => {
                let mut steps = Vec::new();
                let failure = self.each(&all, "moving to trash", ticket, |it| {
                    steps.push(desk.discard_named(it)?);
                    Ok(())
                });
                discarded(all.first().map(|it| text::escape(&it.1)), all.len(), steps, failure)
            }
            Op::Rename(from, to) => {
                let mut steps = Vec::new();
                let path = desk.move_one(&from, &to, OnConflict::Refuse, &mut steps)?;
                let what = format!("renamed {} to {}", name(&from), name(&path));
                Ok(Done { go_to: Some(path), ..undoable(what, steps) })
            }
            Op::Relocate(what) => self.relocate(&what, ticket),
            Op::NewFolder(path) => {
                let mut steps = Vec::new();
                desk.with_folders_above(&path, &mut steps, || desk.new_folder(&path))?;
                steps.push(Step::MadeFolder(path.clone()));
                let what = format!("made {}", name(&path));
                Ok(Done { go_to: Some(path), ..undoable(what, steps) })
            }
            Op::Write(path, text, version, before) => {
                let old = desk.id(&path);
                let now = match desk.write(&path, &mut text.as_slice(), Some(version)) {
                    Ok(now) => now,
                    Err(failure) => {
                        let text = Editor::again(path, version, &before, &text).map(Box::new);
                        return Ok(unsaved(&failure, text));
                    }
                };
                let became = old.zip(desk.id(&path)).into_iter().collect();
                let steps = vec![desk.wrote_step(&path, before, version.modified, now)];
                Ok(Done { became, ..undoable(format!("saved {}", name(&path)), steps) })
            }
            Op::Put(path, text) => {
                let mut steps = Vec::new();
                desk.with_folders_above(&path, &mut steps, || desk.put_new(&path, &text))?;
                steps.push(desk.came_step(&path));
                Ok(Done {
                    go_to: Some(path.clone()),
                    ..undoable(format!("made {}", name(&path)), steps)
                })
            }
            Op::Restore(in_trash, path) => {
                let mut steps = Vec::new();
                let before = desk.volume.trashed_as(&in_trash)?;
                let path = desk.with_folders_above(&path, &mut steps, || {
                    desk.restore(&in_trash, Some(&path))
                })?;
                steps.extend(before.map(|it| desk.restored_step(&path, it)));
                let what = format!("put back {}", shown(&path));
                Ok(Done { go_to: Some(path), ..undoable(what, steps) })
            }
            Op::Undo(undo) => Ok(self.undo(undo)),
            Op::EmptyTrash => {
                let mut emptied = 0;
                let failure = self.each(&desk.trashed()?, "emptying the trash", ticket, |it| {
                    desk.remove_trashed(&it.bytes)?;
                    emptied += 1;
                    Ok(())
                });
                // What has lost its record goes too.
                emptied += if failure.is_none() { desk.empty_trash(Duration::ZERO)? } else { 0 };
                let text =
                    format!("removed {} for good", text::things(emptied as u64, "item", "items"));
                match failure {
                    None => Ok(Done { text, ..Done::default() }),
                    Some(failure) => Err(Failure::new(format!("{text}, but: {}", failure.what))),
                }
            }
            Op::RemoveTrashed(name) => {
                desk.remove_trashed(&name)?;
                let text = format!("removed {} for good", text::escape(&name));
                Ok(Done { text, ..Done::default() })
            }
            Op::AddKey(version, new) => Ok(made(desk.add_key(Some(version), &new, None)?)),
            Op::RotateKey(version, row, old, expires) => {
                Ok(made(desk.rotate_key(Some(version), &row, &old, Some(&expires))?))
            }
            Op::EditKey(version, row, edits, what) => {
                let change = desk.edit_key(Some(version), row.line, &edits)?;
                let what = format!("{} {what}", named(&row));
                Ok(of_key(row.id(), undoable(what, vec![Step::Keys(change)])))
            }
            Op::KeepAwake(length) => {
                let awake = desk.keep_awake(length)?;
                let hint = if awake.kept_until.is_some() { " (w: no more)" } else { "" };
                Ok(Done { text: format!("{}{hint}", told(&awake, length)), ..Done::default() })
            }
            Op::Share(path, until) => Ok(shared(desk.share(None, &path, &until, "")?)),
            Op::Command(line) => self.command(&line, ticket),
        }
    }

    /// Each in turn, up to the first that fails, or until somebody stops it.
    fn each<T>(
        &self,
        these: &[T],
        doing: &str,
        ticket: &Ticket,
        mut act: impl FnMut(&T) -> Result<(), Failure>,
    ) -> Option<Failure> {
        let mut told = Instant::now();
        let count = text::things(these.len() as u64, "item", "items");
        these.iter().enumerate().find_map(|(number, it)| {
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                let done = text::count(number as u64);
                self.tell(Message::Progress(format!("{doing}: {done} of {count}")));
            }
            if self.go_on(ticket).is_break() {
                return Some(Failure::new("stopped"));
            }
            act(it).err()
        })
    }

    fn relocate(&self, what: &Relocation, ticket: &Ticket) -> Result<Done, Failure> {
        let mut told = Instant::now();
        let doing = if what.how == Relocating::Move { "moving" } else { "copying" };
        let all = text::things(what.from.len() as u64, "item", "items");
        let result = self.desk.relocate(what, &mut |it| {
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                let files = text::things(it.copied.files, "file", "files");
                let text = match it.copied.bytes {
                    0 => format!("{doing}: {} of {all}", text::count(it.done as u64)),
                    bytes => format!("{doing} {}: {files}, {}", name(it.at), text::bytes(bytes)),
                };
                self.tell(Message::Progress(text));
            }
            self.go_on(ticket)
        });
        let to = shown(&what.to.path);
        let done = what.how.done();
        match result {
            Ok(Relocated { things, steps }) => {
                let links = text::things(
                    things.iter().map(|it| it.1).sum(),
                    "link to a folder",
                    "links to folders",
                );
                let left_out = if things.iter().all(|it| it.1 == 0) {
                    String::new()
                } else {
                    format!(", without {links}")
                };
                let count = text::things(things.len() as u64, "item", "items");
                let go_to = things.into_iter().next().map(|it| it.0);
                let told = format!("{done} {count} to {to}{left_out}");
                Ok(Done { go_to, ..undoable(told, steps) })
            }
            Err(NotRelocated::Refused(failure)) => Err(failure),
            Err(NotRelocated::NoFolder(path)) => {
                let (verb, button) = match what.how {
                    Relocating::Move => ("moved", "Make and move"),
                    Relocating::Copy => ("copied", "Make and copy"),
                };
                let offer = Offer {
                    title: format!("Make the folder {}", text::shortened(&shown(&path), 50)),
                    text: format!("It is not there yet. {all} would be {verb} into it."),
                    button,
                    op: Op::Relocate(Relocation { makes_folder: true, ..what.clone() }),
                };
                Ok(Done { offer: Some(Box::new(offer)), ..Done::default() })
            }
            Err(NotRelocated::Partly(failure, steps)) => {
                let done = undoable(format!("{done} a part of {all} to {to}"), steps);
                partly(done, Some(failure))
            }
        }
    }

    /// A line of the palette. What a key does too is done as by that key, and so it can be undone.
    fn command(&self, line: &str, ticket: &Ticket) -> Result<Done, Failure> {
        let desk = &self.desk;
        if let Some(op) = command::as_by_key(desk, line)? {
            return self.change(op, ticket);
        }
        let before = desk.volume.key_sheet().ok();
        let done = command::command(desk, line)?;
        let change = before.zip(desk.volume.key_sheet().ok());
        let change = change.filter(|(before, after)| before != after);
        let steps = change.map(|(before, after)| Step::Keys(SheetChange::between(&before, &after)));
        let undo = steps.map(|it| Undo::new(line, vec![it]));
        Ok(Done { undo, ..done })
    }

    /// Takes back what can be. What is left is kept for another time; once.
    fn undo(&self, undo: Undo) -> Done {
        let go_to = undo.place().cloned();
        let Undo { what, steps, is_rest, key } = undo;
        let TakenBack { done, to_trash, left, why, became } = self.desk.take_back(steps);
        let told = Done { became, go_to, key: key.clone().filter(|_| done > 0), ..Done::default() };
        let Some(why) = why else {
            let now = if to_trash > 0 { "undone, now in the trash" } else { "undone" };
            return Done { text: format!("{now}: {what}"), ..told };
        };
        let why = why.what;
        let steps = text::things(left.len() as u64, "step", "steps");
        let (text, is_kept) = match (done, is_rest) {
            (0, true) => (format!("can't be undone, and is given up: {what}: {why}"), false),
            (0, false) => (format!("not undone: {what}: {why} (u tries again)"), true),
            _ => (format!("undone but for {steps}: {what}: {why} (u tries those again)"), true),
        };
        let undo = is_kept.then_some(Undo { what, steps: left, is_rest: true, key });
        Done { text, undo, is_partial: true, ..told }
    }
}

/// What was moved to the trash: the name of the first, of so many that were meant.
fn discarded(
    first: Option<String>,
    meant: usize,
    steps: Vec<Step>,
    failure: Option<Failure>,
) -> Result<Done, Failure> {
    let what = match (steps.as_slice(), first) {
        ([_], Some(one)) if meant == 1 => one,
        (several, _) => text::things(several.len() as u64, "item", "items"),
    };
    partly(undoable(format!("moved {what} to trash"), steps), failure)
}

/// What was done counts, and what was not is told.
fn partly(done: Done, failure: Option<Failure>) -> Result<Done, Failure> {
    match failure {
        None => Ok(done),
        Some(failure) if done.undo.is_none() => Err(failure),
        Some(failure) => {
            let text = format!("{}, but: {}", done.text, failure.what);
            Ok(Done { text, is_partial: true, ..done })
        }
    }
}

/// Nothing was written, and nothing is lost.
fn unsaved(failure: &Failure, text: Option<Box<Editor>>) -> Done {
    let why = format!("not saved: {}", failure.what);
    Done { text: why, is_partial: true, unsaved: text, ..Done::default() }
}

/// A change of a key.
fn of_key(key: Option<String>, mut done: Done) -> Done {
    if let Some(undo) = &mut done.undo {
        undo.key.clone_from(&key);
    }
    Done { key, ..done }
}

/// A change that can be undone, if it did anything.
fn undoable(what: String, steps: Vec<Step>) -> Done {
    let undo = (!steps.is_empty()).then(|| Undo::new(what.clone(), steps));
    Done { text: what, undo, ..Done::default() }
}

fn name(path: &RelPath) -> String {
    path.file_name().map_or_else(|| shown(path), text::escape)
}

fn shared(link: ShareLink) -> Done {
    let path = shown(&link.path);
    let ends = if link.expires.is_empty() { "never" } else { &link.expires };
    let how = "y copies it, if your terminal allows; otherwise mark the line above.";
    let whose = match &link.apikey {
        Some(_) => vec![
            format!("Whoever has it can read {path} and nothing else. It ends: {ends}."),
            "Its key is one of `share` among the keys (4): d there ends it at once.".to_owned(),
        ],
        None => vec!["Anyone can open it, without a key.".to_owned()],
    };
    let host = (!link.has_host).then(|| NO_HOST.to_owned());
    let below = whose.into_iter().chain([how.to_owned()]).chain(host).collect();
    let secret = Some(("Address to pass on".to_owned(), link.url, below));
    let what = format!("shared {path}");
    let done = match link.change {
        Some(change) => undoable(what, vec![Step::Keys(change)]),
        None => Done { text: what, ..Done::default() },
    };
    Done { secret, ..done }
}

fn made(made: MadeKey) -> Done {
    let masked = volume::keys::PlainKey::new(made.apikey.as_bytes()).mask(&made.username);
    let below = vec![
        "y copies it, if your terminal allows; otherwise mark the line above.".to_owned(),
        format!("Then press Enter. Only \"{masked}\" stays on the screen."),
    ];
    let id = volume::keys::PlainKey::new(made.apikey.as_bytes()).hash().id();
    let title = format!(
        "New key of {}: shown this one time (step 2 of 2)",
        text::escape(made.username.as_bytes())
    );
    let secret = Some((title, made.apikey, below));
    let done = undoable(format!("made key {masked}"), vec![Step::Keys(made.change)]);
    Done { secret, ..of_key(Some(id), done) }
}
