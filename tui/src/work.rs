//! Does what the console asks of the world, on threads of its own, and tells what came of it.
//!
//! Every disk call is made here and none on the thread that draws. What takes long tells how far it is, and can be
//! stopped.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use tokio::sync::mpsc::Sender;
use volume::names::Names;
use volume::uploads::Exists;
use volume::{Effort, Found, RelPath};

use crate::admin::{Admin, KeysNow};
use crate::cli::Cli;
use crate::effect::{Done, Effect, Message, Op};
use crate::model::Undo;
use crate::ops::keys::{MadeKey, named, reach};
use crate::ops::{Desk, Failure, shown};
use crate::preview::pages::{Pages, Where};
use crate::preview::{Preview, Whole, preview, whole};
use crate::run::{Out, run};
use crate::text;

/// How many names are looked up before they are told.
const CHUNK: usize = 4096;
/// How long the cursor rests before a file is looked into.
const REST: Duration = Duration::from_millis(120);
/// How often a copy tells how far it is.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What works.
#[derive(Clone, Debug)]
pub struct Work {
    desk: Arc<Desk>,
    admin: Option<Admin>,
    /// Which console asks.
    console: String,
    inbox: Sender<Message>,
    /// Which of the long works is wanted: one of an older number stops.
    epoch: Arc<AtomicU64>,
    /// Which reading of a folder is wanted: sizes of an older one are not looked up any more.
    listing: Arc<AtomicU64>,
    /// The file that is paged through.
    pages: Arc<Mutex<Option<(RelPath, Pages)>>>,
    /// How many previews were wanted: only the last one still is.
    previews: Arc<AtomicU64>,
}

impl Work {
    /// For a desk; what comes of it goes to the inbox.
    pub fn new(desk: Desk, console: String, inbox: Sender<Message>) -> Work {
        let admin = Admin::new(desk.admin.as_deref(), &desk.volume).ok();
        let (listing, pages, previews) = (Arc::default(), Arc::default(), Arc::default());
        Work {
            desk: Arc::new(desk),
            admin,
            console,
            inbox,
            epoch: Arc::default(),
            listing,
            pages,
            previews,
        }
    }

    /// Begins what is wanted.
    pub fn begin(&self, effect: Effect) {
        if matches!(effect, Effect::Stop) {
            self.epoch.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if let Effect::List(generation, _) = &effect {
            self.listing.store(*generation, Ordering::Relaxed);
        }
        let (work, epoch) = (self.clone(), self.epoch.load(Ordering::Relaxed));
        if let Effect::Preview(path) = effect {
            let serial = self.previews.fetch_add(1, Ordering::Relaxed) + 1;
            tokio::spawn(async move {
                tokio::time::sleep(REST).await;
                // The cursor went on meanwhile.
                if work.previews.load(Ordering::Relaxed) == serial {
                    tokio::task::spawn_blocking(move || work.look_into(path));
                }
            });
            return;
        }
        tokio::task::spawn_blocking(move || work.carry_out(effect, epoch));
    }

    /// Says good-bye to the server.
    pub fn end(&self) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
        if let Some(admin) = &self.admin {
            admin.end(&self.console);
        }
    }

    fn carry_out(&self, effect: Effect, epoch: u64) {
        let desk = &self.desk;
        match effect {
            Effect::List(generation, path) => {
                self.tell(Message::Listed(generation, desk.names(&path).map(Arc::new)));
            }
            Effect::LookAgain(generation, path) => self.look_again(generation, &path),
            Effect::Stat(generation, names, wanted) => self.stat(generation, &names, &wanted),
            Effect::Count(generation, folders) => {
                let count = |(index, path): (usize, RelPath)| match desk
                    .volume
                    .find(&path, Effort::MayBlock)
                {
                    Ok(Found::Folder(folder)) => Some((index, folder.count().ok()?)),
                    _ => None,
                };
                let counts = folders.into_iter().filter_map(count).collect();
                self.tell(Message::Counted(generation, counts));
            }
            Effect::Readers(path) => {
                let lines = readers(desk, &path);
                self.tell(Message::Readers(path, lines));
            }
            Effect::OpenFile(path, size) => self.open_file(path, size),
            Effect::Page(at, lines) => self.page(at, lines, epoch),
            Effect::Find(generation, path, pattern) => {
                let result = desk.search(&pattern, &path, &mut |it| {
                    self.tell(Message::Found(generation, Ok(it.clone())));
                    self.go_on(epoch)
                });
                if let Err(failure) = result {
                    self.tell(Message::Found(generation, Err(failure)));
                }
            }
            Effect::Measure(generation, path) => {
                let result = desk.usage(&path, &mut |it| {
                    self.tell(Message::Measured(generation, Ok(it.clone())));
                    self.go_on(epoch)
                });
                if let Err(failure) = result {
                    self.tell(Message::Measured(generation, Err(failure)));
                }
            }
            Effect::Do(op) => self.tell(Message::Done(self.change(op, epoch))),
            Effect::ReadKeys => self.tell(Message::KeysRead(desk.keys())),
            Effect::ReadTrash => self.tell(Message::TrashRead(desk.trashed())),
            Effect::ReadSpace => {
                if let Ok(space) = desk.volume.space() {
                    self.tell(Message::SpaceRead(space));
                }
            }
            Effect::AskServer(since) => {
                let none = || Failure::new("the volume's own place is not known");
                let told = self.admin.as_ref().ok_or_else(none);
                let told = told.and_then(|it| it.activity(since, Some(&self.console)));
                self.tell(Message::Activity(told.map(Box::new)));
            }
            Effect::AskKeys => {
                let asked = self.admin.as_ref().and_then(|it| it.keys().ok());
                let known = asked.unwrap_or_else(|| desk.remembered_keys());
                self.tell(Message::ServerKeys(Ok(known)));
            }
            // Begun otherwise, or done by the loop itself.
            Effect::Stop | Effect::Preview(_) | Effect::Copy(_) | Effect::Suspend => {}
        }
    }

    /// The inbox is bounded: whoever has much to tell waits for the screen. Nobody hears it when that is gone.
    fn tell(&self, message: Message) {
        self.inbox.blocking_send(message).unwrap_or_default();
    }

    fn go_on(&self, epoch: u64) -> ControlFlow<()> {
        let is_wanted = self.epoch.load(Ordering::Relaxed) == epoch && !self.inbox.is_closed();
        if is_wanted { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn look_into(&self, path: RelPath) {
        let looked = self.desk.file(&path).and_then(|it| Ok((it.open()?, it.stat.len)));
        let preview = match looked {
            Ok((file, len)) => preview(&file, path.file_name().unwrap_or_default(), len),
            Err(failure) => Preview { trouble: Some(failure.what), ..Preview::default() },
        };
        self.tell(Message::Previewed(path, Box::new(preview)));
    }

    fn open_file(&self, path: RelPath, size: (u16, u16)) {
        let name = path.file_name().unwrap_or_default();
        let opened =
            self.desk.file(&path).and_then(|it| whole(it.open()?, name, it.stat.len, size));
        match opened {
            Ok(Whole::Pages(pages)) => {
                *lock(&self.pages) = Some((path, pages));
                self.page(Where::From(0), size.1.into(), self.epoch.load(Ordering::Relaxed));
            }
            Ok(Whole::Lines(lines)) => {
                let output = Some((shown(&path), lines));
                self.tell(Message::Done(Ok(Done { output, ..Done::default() })));
            }
            Ok(Whole::Picture(rows)) => self.tell(Message::Pictured(path, rows)),
            Err(failure) => self.tell(Message::Paged(path, Err(failure))),
        }
    }

    fn page(&self, at: Where, lines: usize, epoch: u64) {
        let mut open = lock(&self.pages);
        let Some((path, pages)) = open.as_mut() else { return };
        let mut told = Instant::now();
        let page = pages.page(at, lines, &mut |bytes| {
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                self.tell(Message::Progress(format!("unpacked {}", text::bytes(bytes))));
            }
            self.go_on(epoch)
        });
        match page {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            page => self.tell(Message::Paged(path.clone(), page.map_err(Failure::from))),
        }
    }

    fn look_again(&self, generation: u64, path: &RelPath) {
        let stamp = |it: volume::FoundFolder| it.version();
        let now = match self.desk.folder(path) {
            Ok(folder) => stamp(folder),
            Err(_) => None,
        };
        let mut seen = lock(&SEEN);
        let before = seen.replace((generation, now.clone()));
        if before.is_some_and(|it| it.0 == generation && it.1 != now) {
            self.tell(Message::Changed(generation));
        }
    }

    fn stat(&self, generation: u64, names: &Names, wanted: &[usize]) {
        let look = |index: &usize| {
            (*index, names.get(*index).and_then(|it| names.stat(&self.desk.volume, it)))
        };
        for chunk in wanted.chunks(CHUNK) {
            if self.listing.load(Ordering::Relaxed) != generation || self.inbox.is_closed() {
                return;
            }
            self.tell(Message::Stats(generation, chunk.iter().map(look).collect()));
        }
    }

    fn change(&self, op: Op, epoch: u64) -> Result<Done, Failure> {
        let desk = &self.desk;
        match op {
            Op::Discard(paths) => {
                let mut trashed = Vec::new();
                let failure = all(&paths, |it| {
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
                let failure = all(&paths, |from| {
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
            Op::Copy(paths, to, exists) => self.copy(&paths, &to, exists, epoch),
            Op::NewFolder(path) => {
                desk.new_folder(&path)?;
                let undo = Some(Undo::Discard(vec![path.clone()]));
                let text = format!("made {} (u undo)", name(&path));
                Ok(Done { text, undo, go_to: Some(path), ..Done::default() })
            }
            Op::Restore(these) => {
                let mut back = Vec::new();
                let failure = all(&these, |(name, path)| {
                    back.push(desk.restore(name, Some(path))?);
                    Ok(())
                });
                let go_to = back.first().cloned();
                let what = go_to.as_ref().map_or("nothing".to_owned(), shown);
                partly(Done { text: format!("put back {what}"), go_to, ..Done::default() }, failure)
            }
            Op::MoveBack(these) => {
                let failure = all(&these, |(now, before)| {
                    desk.move_to(now, before, Exists::Refuse).map(drop)
                });
                let go_to = these.first().map(|it| it.1.clone());
                partly(Done { text: "moved back".to_owned(), go_to, ..Done::default() }, failure)
            }
            Op::EmptyTrash => {
                let emptied = desk.empty_trash(Duration::ZERO)?;
                let text =
                    format!("removed {} for good", text::things(emptied as u64, "thing", "things"));
                Ok(Done { text, ..Done::default() })
            }
            Op::RemoveTrashed(name) => {
                desk.remove_trashed(&name)?;
                let text = format!("removed {} for good", text::escape(&name));
                Ok(Done { text, ..Done::default() })
            }
            Op::AddKey(version, new) => Ok(made(desk.add_key(Some(version), &new, None)?)),
            Op::RotateKey(version, row, old) => {
                Ok(made(desk.rotate_key(Some(version), &row, &old)?))
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
            Op::Command(line) => command(desk, &line),
        }
    }

    fn copy(
        &self,
        paths: &[RelPath],
        to: &RelPath,
        exists: Exists,
        epoch: u64,
    ) -> Result<Done, Failure> {
        let mut copies = Vec::new();
        let (mut told, mut links) = (Instant::now(), 0);
        let failure = all(paths, |from| {
            let target = self.desk.target(from, to)?;
            let copy = self.desk.copy_to(from, &target, exists, &mut |it| {
                if told.elapsed() >= TELL_EVERY {
                    told = Instant::now();
                    let files = text::things(it.files, "file", "files");
                    let text =
                        format!("copying {}: {files}, {}", name(from), text::bytes(it.bytes));
                    self.tell(Message::Progress(text));
                }
                self.go_on(epoch)
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

/// The folder that was looked at last, as it was then.
static SEEN: Mutex<Option<(u64, Option<String>)>> = Mutex::new(None);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Each in turn, up to the first that fails.
fn all<T>(these: &[T], mut act: impl FnMut(&T) -> Result<(), Failure>) -> Option<Failure> {
    these.iter().find_map(|it| act(it).err())
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

/// Who can read a path and where, in lines.
fn readers(desk: &Desk, path: &RelPath) -> Result<Vec<String>, Failure> {
    let found = desk.find(path)?;
    let is_folder = matches!(found, Found::Folder(_));
    let real = found.real_path().unwrap_or(path).clone();
    let mut lines = vec![desk.address(path, is_folder), String::new()];
    if path.is_public() && real.is_public() {
        lines.push("Anyone can read it, without a key.".to_owned());
        return Ok(lines);
    }
    let rows = desk.readers(path)?;
    let readers: Vec<_> =
        rows.iter().filter(|it| it.key.as_ref().is_some_and(|it| it.covers(&real))).collect();
    lines.push(match readers.len() {
        0 => "No key covers it: nobody can read it.".to_owned(),
        count => format!("{} can read it:", text::things(count as u64, "key", "keys")),
    });
    lines.extend(
        readers.iter().map(|it| {
            format!("{}  {}  {}", text::escape(it.user.as_bytes()), it.masked, reach(it))
        }),
    );
    Ok(lines)
}

/// A command of the command line, and what it printed.
fn command(desk: &Desk, line: &str) -> Result<Done, Failure> {
    let words = words(line)?;
    let all = std::iter::once("sounding".to_owned()).chain(words);
    let cli = match Cli::try_parse_from(all) {
        Ok(cli) => cli,
        Err(error) => {
            let lines = error.to_string().lines().map(str::to_owned).collect();
            return Ok(Done { output: Some((line.to_owned(), lines)), ..Done::default() });
        }
    };
    let Some(command) = cli.command else { return Ok(Done::default()) };
    let (mut printed, mut errors) = (Vec::new(), Vec::new());
    let mut out = Out { to: &mut printed, errors: &mut errors, is_screen: true };
    run(desk, command, &mut out)?;
    let output = String::from_utf8_lossy(&[errors, printed].concat()).into_owned();
    // A file's own bytes may be anything.
    let lines: Vec<String> =
        output.lines().map(|it| text::escape(it.as_bytes()).replace("\\\\", "\\")).collect();
    if lines.is_empty() {
        return Ok(Done { text: format!("done: {line}"), ..Done::default() });
    }
    Ok(Done { output: Some((line.to_owned(), lines)), ..Done::default() })
}

/// Words as a shell parts them: by spaces, but for those between quotes.
fn words(line: &str) -> Result<Vec<String>, Failure> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in line.chars() {
        match (letter, quote) {
            (_, Some(open)) if letter == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (' ', None) => words.extend(word.take()),
            (_, _) => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err(Failure::new("a quote is not closed"));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parted_as_in_a_shell() {
        let check = |line: &str, parted: &[&str]| assert_eq!(words(line).unwrap(), parted);
        check("keys add kmt", &["keys", "add", "kmt"]);
        check("  mv 'run 1/a b' \"c d\"e '' ", &["mv", "run 1/a b", "c de", ""]);
        assert!(words("mv 'a").is_err());
    }
}
