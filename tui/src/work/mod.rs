//! Does what the console asks of the world, on threads of its own, and tells what came of it.
//!
//! Every disk call is made here and none on the thread that draws. What takes long tells how far it is, and can be
//! stopped.

mod change;
mod command;
mod running;
mod ticket;
mod transfers;

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Sender;
use volume::names::Names;
use volume::{Blocking, Found, RelPath};

use crate::admin::{Admin, KeysNow, Present};
use crate::effect::{Effect, Message};
use crate::ops::carriers::Carriers;
use crate::ops::share::NO_HOST;
use crate::ops::transfers::GOOD_BYE;
use crate::ops::{Desk, Failure};
use crate::palette;
use crate::preview::pages::{Pages, Where};
use crate::preview::{Preview, Whole, preview, whole};
use crate::term::keys::PATIENCE;
use crate::text;

use running::Running;
use ticket::{Ticket, Tickets};

/// How many names are looked up before they are told.
const CHUNK: usize = 4096;
/// How long the cursor rests before a file is looked into.
const REST: Duration = Duration::from_millis(120);
/// How long a change may take to stop and to remove what it left on its way.
const STOPPING: Duration = Duration::from_secs(10);
/// How often a copy tells how far it is.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What works.
#[derive(Clone, Debug)]
pub struct Work {
    desk: Arc<Desk>,
    admin: Option<Admin>,
    carriers: Arc<Carriers>,
    /// Which console asks.
    console: String,
    /// The number of its terminal, if that has one.
    terminal: Option<u32>,
    /// When a key was last pressed.
    touched: Arc<Mutex<Instant>>,
    inbox: Sender<Message>,
    /// For what somebody looks at: stops when they look elsewhere.
    looks: Tickets,
    /// For changes: go on wherever somebody looks, until they are stopped themselves.
    changes: Tickets,
    /// Changes that are under way.
    running: Running,
    /// Which reading of a folder is wanted: sizes of an older one are not looked up any more.
    listing: Arc<AtomicU64>,
    /// The file that is paged through.
    pages: Arc<Mutex<Option<(RelPath, Pages)>>>,
    /// How many previews were wanted: only the last one still is.
    previews: Arc<AtomicU64>,
}

impl Work {
    /// For a desk; what comes of it goes to the inbox.
    pub fn new(desk: Desk, console: String, terminal: Option<u32>, inbox: Sender<Message>) -> Work {
        let admin = Admin::new(desk.admin.as_deref(), &desk.volume).ok();
        let desk = Arc::new(desk);
        let carriers = Arc::new(Carriers::new(Arc::clone(&desk), admin.clone(), console.clone()));
        let (listing, pages, previews) = (Arc::default(), Arc::default(), Arc::default());
        Work {
            desk,
            admin,
            carriers,
            console,
            terminal,
            touched: Arc::new(Mutex::new(Instant::now())),
            inbox,
            looks: Tickets::default(),
            changes: Tickets::default(),
            running: Running::default(),
            listing,
            pages,
            previews,
        }
    }

    /// Begins what is wanted.
    pub fn begin(&self, effect: Effect) {
        match effect {
            Effect::Stop => return self.looks.take_back(),
            Effect::StopChange => return self.changes.take_back(),
            _ => {}
        }
        if let Effect::List(generation, _) = &effect {
            self.listing.store(*generation, Ordering::Relaxed);
        }
        let tickets = if matches!(effect, Effect::Do(_)) { &self.changes } else { &self.looks };
        let (work, ticket) = (self.clone(), tickets.give());
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
        let running = matches!(effect, Effect::Do(_)).then(|| self.running.begin());
        tokio::task::spawn_blocking(move || {
            work.carry_out(effect, &ticket);
            drop(running);
        });
    }

    /// Somebody has pressed a key.
    pub fn touched(&self) {
        *lock(&self.touched) = Instant::now();
    }

    /// This console, as the server is told of it.
    fn present(&self) -> Present {
        Present {
            console: self.console.clone(),
            untouched: lock(&self.touched).elapsed(),
            terminal: self.terminal,
        }
    }

    /// How long the end may take: changes are stopped in good order, and transfers that run here take leave of the
    /// other side.
    pub fn patience(&self) -> Duration {
        let stopping = if self.running.is_any() { STOPPING } else { Duration::ZERO };
        let leaving = if self.carriers.running_here() > 0 { GOOD_BYE } else { Duration::ZERO };
        stopping + leaving + PATIENCE
    }

    /// Ends what runs here, and says good-bye to the server. A change that is stopped has removed what it left on its way when this
    /// returns.
    pub fn end(&self) {
        self.looks.take_back();
        self.changes.take_back();
        self.running.wait(STOPPING);
        self.carriers.end();
        if let Some(admin) = &self.admin {
            admin.end(&self.console);
        }
    }

    fn carry_out(&self, effect: Effect, ticket: &Ticket) {
        let desk = &self.desk;
        match effect {
            Effect::List(generation, path) => {
                self.tell(Message::Listed(generation, desk.names(&path).map(Arc::new)));
            }
            Effect::ListAbove(path) => {
                if let Ok(names) = desk.names(&path) {
                    self.tell(Message::ListedAbove(path, Arc::new(names)));
                }
            }
            Effect::LookAgain(generation, path) => self.look_again(generation, &path),
            Effect::Stat(generation, names, wanted) => self.stat(generation, &names, &wanted),
            Effect::Count(generation, folders) => {
                let count = |(index, path): (usize, RelPath)| match desk
                    .volume
                    .find(&path, Blocking::MayBlock)
                {
                    Ok(Found::Folder(folder)) => {
                        Some((index, desk.volume.count(&folder, &path).ok()?.shown))
                    }
                    _ => None,
                };
                let counts = folders.into_iter().filter_map(count).collect();
                self.tell(Message::Counted(generation, counts));
            }
            Effect::Readers(path) => {
                let access = desk.access(&path, &desk.keys_in_use());
                let lines = access.map(|it| {
                    let no_host = (!it.has_host()).then(|| NO_HOST.to_owned());
                    let url = std::iter::once(it.url()).chain(no_host);
                    url.chain([String::new()]).chain(it.readers()).collect()
                });
                self.tell(Message::Readers(path, lines));
            }
            Effect::Address(path, purpose) => {
                let access = desk.access(&path, &KeysNow::default());
                self.tell(Message::Addressed(access.map(Box::new), purpose));
            }
            Effect::OpenFile(path, size) => self.open_file(path, size, ticket),
            Effect::OpenEditor(path) => {
                self.tell(Message::Editing(desk.text(&path).map(Box::new)));
            }
            Effect::OpenBytes(path, rows) => self.open_bytes(path, rows, ticket),
            Effect::Page(at, lines) => self.page(at, lines, ticket),
            Effect::Find(generation, path, pattern) => {
                let result = desk.search(&pattern, &path, &mut |it| {
                    self.tell(Message::Found(generation, Ok(it.clone())));
                    self.go_on(ticket)
                });
                if let Err(failure) = result {
                    self.tell(Message::Found(generation, Err(failure)));
                }
            }
            Effect::Measure(generation, path) => {
                let result = desk.usage(&path, &mut |it| {
                    self.tell(Message::Measured(generation, Ok(it.clone())));
                    self.go_on(ticket)
                });
                if let Err(failure) = result {
                    self.tell(Message::Measured(generation, Err(failure)));
                }
            }
            Effect::Do(op) => self.tell(Message::Done(self.change(op, ticket))),
            Effect::ReadKeys => self.tell(Message::KeysRead(desk.keys())),
            Effect::ReadTrash => self.tell(Message::TrashRead(desk.trashed())),
            Effect::ReadLeftOut(path) => {
                let all = desk.left_out(&path);
                self.tell(Message::LeftOutRead(path, all));
            }
            Effect::ReadSpace => {
                if let Ok(space) = desk.volume.space() {
                    self.tell(Message::SpaceRead(space));
                }
            }
            Effect::AskServer(since) => {
                let none = || Failure::new("the volume's own place is not known");
                let told = self.admin.as_ref().ok_or_else(none);
                let told = told.and_then(|it| it.activity(since, Some(&self.present())));
                self.tell(Message::Activity(told.map(Box::new)));
            }
            Effect::AskKeys => {
                let asked = self.admin.as_ref().and_then(|it| it.keys().ok());
                let known = asked.unwrap_or_else(|| desk.remembered_keys());
                self.tell(Message::ServerKeys(Ok(known)));
            }
            Effect::AskTransfers => self.tell(Message::Transfers(self.carriers.list())),
            Effect::Transfer(wish) => {
                let result = self.fulfil(&wish);
                self.tell(Message::Transferred(wish, result));
            }
            Effect::CompleteFolder(line) => {
                let completion = palette::complete_folder(desk, &line);
                self.tell(Message::FolderCompleted(line, completion));
            }
            Effect::Complete(line) => {
                let completion = palette::complete(desk, &line);
                self.tell(Message::Completed(line, completion));
            }
            Effect::Goto(path) => self.tell(Message::Went(place(desk, &path))),
            Effect::KeepLook(look) => {
                let may_change = desk.may_change();
                let kept = may_change.and_then(|()| Ok(desk.volume.keep_console_look(&look)?));
                if let Err(failure) = kept {
                    self.tell(Message::NotKept(failure));
                }
            }
            // Begun otherwise, or done by the loop itself.
            Effect::Stop
            | Effect::StopChange
            | Effect::Preview(_)
            | Effect::Copy(_)
            | Effect::Mouse(_)
            | Effect::Suspend => {}
        }
    }

    /// The inbox is bounded: whoever has much to tell waits for the screen. Nobody hears it when that is gone.
    fn tell(&self, message: Message) {
        self.inbox.blocking_send(message).unwrap_or_default();
    }

    fn go_on(&self, ticket: &Ticket) -> ControlFlow<()> {
        let is_wanted = ticket.is_good() && !self.inbox.is_closed();
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

    fn open_file(&self, path: RelPath, size: (u16, u16), ticket: &Ticket) {
        let name = path.file_name().unwrap_or_default();
        let opened =
            self.desk.file(&path).and_then(|it| whole(it.open()?, name, it.stat.len, size));
        match opened {
            Ok(Whole::Pages(pages)) => {
                *lock(&self.pages) = Some((path, pages));
                self.page(Where::From(0), size.1.into(), ticket);
            }
            Ok(Whole::Lines(lines)) => self.tell(Message::Opened(path, lines)),
            Ok(Whole::Picture(rows)) => self.tell(Message::Pictured(path, rows)),
            Err(failure) => self.tell(Message::Paged(path, Err(failure))),
        }
    }

    fn open_bytes(&self, path: RelPath, rows: usize, ticket: &Ticket) {
        let opened = self.desk.file(&path).and_then(|it| Ok(Pages::new(it.open()?, None)?));
        match opened {
            Ok(pages) => {
                *lock(&self.pages) = Some((path, pages));
                self.page(Where::From(0), rows, ticket);
            }
            Err(failure) => self.tell(Message::Paged(path, Err(failure))),
        }
    }

    fn page(&self, at: Where, lines: usize, ticket: &Ticket) {
        let mut open = lock(&self.pages);
        let Some((path, pages)) = open.as_mut() else { return };
        let mut told = Instant::now();
        let page = pages.page(at, lines, &mut |bytes| {
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                self.tell(Message::Paging(format!("unpacked {}", text::bytes(bytes))));
            }
            self.go_on(ticket)
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
}

/// The folder that was looked at last, as it was then.
static SEEN: Mutex<Option<(u64, Option<String>)>> = Mutex::new(None);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
/// A folder itself, or a file's folder and its name.
fn place(desk: &Desk, given: &OsStr) -> Result<(RelPath, Option<Vec<u8>>), Failure> {
    let path = desk.path(given)?;
    match desk.find(&path)? {
        Found::Folder(_) => Ok((path, None)),
        Found::File(_) => {
            let name = path.file_name().map(<[u8]>::to_vec);
            Ok((path.parent().unwrap_or_default(), name))
        }
    }
}
