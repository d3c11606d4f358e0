//! Changes: what they did, and how each is undone.

use std::time::{Duration, Instant};

use volume::RelPath;
use volume::uploads::Exists;

use super::ticket::Ticket;
use super::{TELL_EVERY, Work, command};
use crate::admin::KeysNow;
use crate::effect::{Done, Message, Op};
use crate::model::Undo;
use crate::ops::awake::told;
use crate::ops::keys::{MadeKey, named};
use crate::ops::{Failure, shown};
use crate::text;

impl Work {
    pub(super) fn change(&self, op: Op, ticket: &Ticket) -> Result<Done, Failure> {
        let desk = &self.desk;
        match op {
            Op::Discard(paths) => {
                let mut trashed = Vec::new();
                let failure = self.each(&paths, "moving to trash", ticket, |it| {
                    trashed.push((desk.discard(it)?, it.clone()));
                    Ok(())
                });
                let what = match trashed.as_slice() {
                    [(_, one)] => name(one),
                    several => text::things(several.len() as u64, "thing", "things"),
                };
                let undo = (!trashed.is_empty()).then_some(Undo::Restore(trashed));
                partly(
                    Done {
                        text: format!("moved {what} to trash (u undo)"),
                        undo,
                        ..Done::default()
                    },
                    failure,
                )
            }
            Op::Rename(from, to) => {
                let path = desk.move_to(&from, &to, Exists::Refuse)?;
                let undo = Some(Undo::MoveBack(vec![(path.clone(), from.clone())]));
                let text = format!("renamed {} to {} (u undo)", name(&from), name(&path));
                Ok(Done { text, undo, go_to: Some(path), ..Done::default() })
            }
            Op::Move(paths, to, exists) => {
                let mut moved = Vec::new();
                let failure = self.each(&paths, "moving", ticket, |from| {
                    let path = desk.move_to(from, &desk.target(from, &to)?, exists)?;
                    moved.push((path, from.clone()));
                    Ok(())
                });
                let count = text::things(moved.len() as u64, "thing", "things");
                let undo = (!moved.is_empty()).then_some(Undo::MoveBack(moved));
                partly(
                    Done {
                        text: format!("moved {count} to {} (u undo)", shown(&to)),
                        undo,
                        ..Done::default()
                    },
                    failure,
                )
            }
            Op::Copy(paths, to, exists) => self.copy(&paths, &to, exists, ticket),
            Op::NewFolder(path) => {
                desk.new_folder(&path)?;
                let undo = Some(Undo::Discard(vec![path.clone()]));
                let text = format!("made {} (u undo)", name(&path));
                Ok(Done { text, undo, go_to: Some(path), ..Done::default() })
            }
            Op::Write(path, text, version, before) => {
                let now = desk.write(&path, &mut text.as_slice(), Some(version))?;
                let undo = Some(Undo::Write(path.clone(), before, now));
                let text = format!("saved {} (u undo)", name(&path));
                Ok(Done { text, undo, ..Done::default() })
            }
            Op::Restore(these) => {
                let mut back = Vec::new();
                let failure = self.each(&these, "putting back", ticket, |(name, path)| {
                    back.push(desk.restore(name, Some(path))?);
                    Ok(())
                });
                let go_to = back.first().cloned();
                let what = go_to.as_ref().map_or("nothing".to_owned(), shown);
                partly(Done { text: format!("put back {what}"), go_to, ..Done::default() }, failure)
            }
            Op::MoveBack(these) => {
                let failure = self.each(&these, "moving back", ticket, |(now, before)| {
                    desk.move_to(now, before, Exists::Refuse).map(drop)
                });
                let go_to = these.first().map(|it| it.1.clone());
                partly(Done { text: "moved back".to_owned(), go_to, ..Done::default() }, failure)
            }
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
                    format!("removed {} for good", text::things(emptied as u64, "thing", "things"));
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
                desk.edit_key(Some(version), row.line, &edits)?;
                let back: Option<Vec<_>> = edits.iter().map(|it| it.undone(&row)).collect();
                let undo = row.id().zip(back).map(|(id, back)| Undo::Key(id, back));
                let hint = if undo.is_some() { " (u undo)" } else { "" };
                let text = format!("{} {what}{hint}", named(&row));
                Ok(Done { text, undo, key: row.id(), ..Done::default() })
            }
            Op::UndoKey(id, edits) => {
                let keys = desk.keys()?;
                let row = keys.pick(&id, &KeysNow::default())?;
                desk.edit_key(Some(keys.version), row.line, &edits)?;
                let text = format!("{} is as it was", named(row));
                Ok(Done { text, key: Some(id), ..Done::default() })
            }
            Op::KeepAwake(length) => {
                let awake = desk.keep_awake(length)?;
                let hint = if awake.kept_until.is_some() { " (w: no more)" } else { "" };
                Ok(Done { text: format!("{}{hint}", told(&awake, length)), ..Done::default() })
            }
            Op::Share(path, until) => {
                let link = desk.share(None, &path, &until, "")?;
                let ends =
                    if link.expires.is_empty() { "never".to_owned() } else { link.expires.clone() };
                let below = vec![
                    format!(
                        "Whoever has it can read {} and nothing else. It ends: {ends}.",
                        shown(&path)
                    ),
                    "Its key is one of `share` among the keys (4): d there ends it at once."
                        .to_owned(),
                    "y copies it, if your terminal allows; otherwise mark the line above."
                        .to_owned(),
                ];
                let secret = Some(("Address to pass on".to_owned(), link.url, below));
                Ok(Done { text: format!("shared {}", shown(&path)), secret, ..Done::default() })
            }
            Op::Command(line) => command::command(desk, &line),
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
        let count = text::things(these.len() as u64, "thing", "things");
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

    fn copy(
        &self,
        paths: &[RelPath],
        to: &RelPath,
        exists: Exists,
        ticket: &Ticket,
    ) -> Result<Done, Failure> {
        let mut copies = Vec::new();
        let (mut told, mut links) = (Instant::now(), 0);
        let failure = self.each(paths, "copying", ticket, |from| {
            let target = self.desk.target(from, to)?;
            let copy = self.desk.copy_to(from, &target, exists, &mut |it| {
                if told.elapsed() >= TELL_EVERY {
                    told = Instant::now();
                    let files = text::things(it.files, "file", "files");
                    let text =
                        format!("copying {}: {files}, {}", name(from), text::bytes(it.bytes));
                    self.tell(Message::Progress(text));
                }
                self.go_on(ticket)
            })?;
            links += copy.links_left_out;
            copies.push(copy.path);
            Ok(())
        });
        let count = text::things(copies.len() as u64, "thing", "things");
        let left_out = match links {
            0 => String::new(),
            links => {
                format!(", without {}", text::things(links, "link to a folder", "links to folders"))
            }
        };
        let go_to = copies.first().cloned();
        let undo = (!copies.is_empty()).then_some(Undo::Discard(copies));
        let text = format!("copied {count} to {}{left_out} (u undo)", shown(to));
        partly(Done { text, undo, go_to, ..Done::default() }, failure)
    }
}

/// What was done counts, and what was not is told.
fn partly(done: Done, failure: Option<Failure>) -> Result<Done, Failure> {
    match failure {
        None => Ok(done),
        Some(failure) if done.undo.is_none() => Err(failure),
        Some(failure) => Ok(Done { text: format!("{}, but: {}", done.text, failure.what), ..done }),
    }
}

fn name(path: &RelPath) -> String {
    path.file_name().map_or_else(|| shown(path), text::escape)
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
    let text = format!("made key {masked}");
    Done { text, key: Some(id), secret: Some((title, made.apikey, below)), ..Done::default() }
}
