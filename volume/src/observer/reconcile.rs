//! Reconciles the journal's catalogue with the disk.
//!
//! The loop of the observer's thread: receives hints, checks the paths that are due, and records each difference. [`Debouncer`] decides
//! when a path is due.

use std::collections::{HashMap, HashSet, VecDeque};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, FileType, StatxFlags};

use super::event::{Message, ObserverEvent, ObserverExit, Report, Warning, told};
use crate::journal::{ChangeKind, FileRow, FolderRow, Journal, JournalError};
use crate::names::Kind;
use crate::observer::debounce::{Debouncer, Pending, STILL};
use crate::observer::watches::{Hint, WatchError, Watches};
use crate::path::RelPath;
use crate::stat::Stat;
use crate::volume::{Blocking, FindError, Found, FoundFolder, Volume};

/// How long one turn runs before its changes are committed and new hints are received.
const TURN: Duration = Duration::from_millis(20);
/// The longest wait for a message when nothing is due.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// The wait before a path that could not be checked is checked again.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// The shortest pause between two polls of the folders that have no watch.
const POLL: Duration = Duration::from_secs(10);
/// The pause is also at least this many times as long as the last poll took.
const POLL_SHARE: u32 = 20;
/// The parent id of the catalogue's root folder.
const NO_PARENT: i64 = 0;

/// Reconciles one volume.
pub(super) struct Reconciler<'a> {
    volume: &'a Arc<Volume>,
    report: &'a Report,
    journal: Journal,
    /// `None` where the system has no inotify to give.
    watches: Option<Watches>,
    /// Catalogue ids of the folders that have a watch.
    watched: HashSet<i64>,
    unwatched: HashSet<i64>,
    suspects: Debouncer,
    /// Folders to read.
    folders: VecDeque<(RelPath, Depth)>,
    walk: Option<Walk>,
    /// When the folders without a watch are read again.
    poll_at: Option<Instant>,
    polling_since: Option<Instant>,
    /// The journal's birth, in nanoseconds, until its first walk has finished. Files and folders older than this go into the catalogue
    /// without a change.
    silent_before: Option<i128>,
    /// Whether this turn has recorded changes.
    has_logged: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// The folder itself, and folders in it that are new.
    Folder,
    /// The folder and everything below it.
    Tree,
}

struct Walk {
    began: Instant,
    folders: u64,
}

impl<'a> Reconciler<'a> {
    pub(super) fn new(
        volume: &'a Arc<Volume>,
        hints: &Sender<Message>,
        report: &'a Report,
    ) -> Result<Reconciler<'a>, JournalError> {
        let mut journal = Journal::open(volume)?;
        if let Some(damage) = journal.take_damage() {
            (report.tell)(ObserverEvent::BegunAnew(told(&damage)));
        }
        let beginning = journal.beginning().map_err(JournalError::from);
        let (born, is_scanned) = match beginning {
            Err(error) if journal.put_aside_if_damaged(volume, &error)? => return Err(error),
            result => result?,
        };
        let hints = hints.clone();
        let watches = Watches::new(volume, move |hint| {
            // The receiver is gone: nobody needs the hint.
            hints.send(Message::Hint(hint)).unwrap_or_default();
        });
        let mut looks = Reconciler {
            volume,
            report,
            journal,
            watches: None,
            watched: HashSet::new(),
            unwatched: HashSet::new(),
            suspects: Debouncer::default(),
            folders: VecDeque::new(),
            walk: None,
            poll_at: None,
            polling_since: None,
            silent_before: (!is_scanned).then_some(i128::from(born) * 1_000_000),
            has_logged: false,
        };
        match watches {
            Ok(watches) => looks.watches = Some(watches),
            Err(error) => looks.warn_of(&error),
        }
        looks.walk_all();
        Ok(looks)
    }

    pub(super) fn run(&mut self, messages: &Receiver<Message>) -> ObserverExit {
        loop {
            let wait = self.wait();
            match messages.recv_timeout(wait) {
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => {
                    return ObserverExit::Stopped;
                }
                Ok(Message::Hint(hint)) => self.hear(hint),
                Err(RecvTimeoutError::Timeout) => {}
            }
            while let Ok(message) = messages.try_recv() {
                match message {
                    Message::Hint(hint) => self.hear(hint),
                    Message::Stop => return ObserverExit::Stopped,
                }
            }
            if !self.journal.is_in_force() {
                return ObserverExit::Failed(JournalError::Replaced);
            }
            if let Err(error) = self.turn() {
                return ObserverExit::Failed(self.put_aside_if_damaged(error.into()));
            }
            self.report.is_behind(self.is_behind());
        }
    }

    fn put_aside_if_damaged(&self, error: JournalError) -> JournalError {
        match self.journal.put_aside_if_damaged(self.volume, &error) {
            Ok(_) => error,
            Err(another) => another,
        }
    }

    /// Whether a check is due or a folder waits to be read. Files that are still being written do not count.
    fn is_behind(&self) -> bool {
        !self.folders.is_empty() || self.suspects.next_due().is_some_and(|it| it <= Instant::now())
    }

    fn wait(&self) -> Duration {
        if !self.folders.is_empty() {
            return Duration::ZERO;
        }
        let next = [self.suspects.next_due(), self.poll_at].into_iter().flatten().min();
        let now = Instant::now();
        next.map_or(LONGEST_WAIT, |it| it.saturating_duration_since(now)).min(LONGEST_WAIT)
    }

    fn hear(&mut self, hint: Hint) {
        let now = Instant::now();
        match hint {
            Hint::Arrived(path) => self.suspects.note(path, Pending::Arrived, now),
            Hint::Written(path) => self.suspects.note(path, Pending::Written, now),
            Hint::Touched(path) => self.suspects.touch(path, now),
            Hint::Gone(path) => {
                (self.report.tell)(ObserverEvent::Gone);
                self.suspects.note(path, Pending::Gone, now);
            }
            // At once: nothing reports what is made in the folder before its watch is set.
            Hint::NewFolder(path) => self.folders.push_front((path, Depth::Folder)),
            Hint::Lost => {
                (self.report.tell)(ObserverEvent::HintsLost);
                self.walk_all();
            }
        }
    }

    fn walk_all(&mut self) {
        self.walk = Some(Walk { began: Instant::now(), folders: 0 });
        self.folders.retain(|(_, depth)| *depth != Depth::Tree);
        self.folders.push_back((RelPath::root(), Depth::Tree));
    }

    /// Works for one [`TURN`] and commits what it found in one transaction.
    fn turn(&mut self) -> rusqlite::Result<()> {
        let now = Instant::now();
        if self.poll_at.is_some_and(|it| it <= now) {
            self.poll()?;
        }
        if self.suspects.next_due().is_none_or(|it| it > now) && self.folders.is_empty() {
            return Ok(());
        }
        let end = now + TURN;
        self.journal.begin()?;
        while Instant::now() < end {
            if let Some((path, suspicion)) = self.suspects.take_due(now) {
                if suspicion == Pending::Gone && !self.folders.is_empty() {
                    // The new name of a moved file may lie in a folder that was not read yet.
                    self.suspects.note(path, suspicion, now);
                } else {
                    self.look(&path, suspicion)?;
                }
            } else if let Some((path, depth)) = self.folders.pop_front() {
                self.look_into(&path, depth)?;
            } else {
                break;
            }
        }
        let is_walked = self.folders.is_empty() && self.walk.is_some();
        if is_walked && self.silent_before.is_some() {
            self.journal.set_scanned()?;
        }
        self.journal.commit()?;
        if std::mem::take(&mut self.has_logged) {
            let last = self.journal.now().map_or(0, |it| it.seq);
            (self.report.tell)(ObserverEvent::Changed(last));
        }
        if self.folders.is_empty() {
            self.end_walk();
        }
        Ok(())
    }

    fn end_walk(&mut self) {
        if let Some(walk) = self.walk.take() {
            self.silent_before = None;
            let took = walk.began.elapsed();
            (self.report.tell)(ObserverEvent::Walked { folders: walk.folders, took });
        }
        if self.unwatched.is_empty() && self.watches.is_some() {
            self.report.warn(None);
        }
        let polled = self.polling_since.take().map(|it| it.elapsed());
        if !self.unwatched.is_empty() && (self.poll_at.is_none() || polled.is_some()) {
            let pause = POLL.max(polled.unwrap_or_default() * POLL_SHARE);
            self.poll_at = Some(Instant::now() + pause);
        }
    }

    /// Schedules all folders that have no watch.
    fn poll(&mut self) -> rusqlite::Result<()> {
        self.poll_at = None;
        self.polling_since = Some(Instant::now());
        for id in &self.unwatched {
            let path = self.journal.folder_path(*id)?;
            let path = path.and_then(|it| RelPath::from_plain(&it).ok());
            self.folders.extend(path.map(|it| (it, Depth::Folder)));
        }
        Ok(())
    }

    /// Checks one path.
    fn look(&mut self, path: &RelPath, suspicion: Pending) -> rusqlite::Result<()> {
        match self.volume.find(path, Blocking::MayBlock) {
            // A path through a link is not catalogued: the file is recorded where it lies.
            Ok(found) if found.real_path().is_some() => self.saw_nothing(path),
            Ok(Found::Folder(_)) => {
                self.folders.push_front((path.clone(), Depth::Folder));
                Ok(())
            }
            Ok(Found::File(file)) => match still_at(&file.stat) {
                Some(at) if suspicion == Pending::Written => {
                    self.suspects.find(path.clone(), at);
                    Ok(())
                }
                _ => {
                    let folder = self.folder_of(path)?;
                    self.saw_file(folder, path, &file.stat)
                }
            },
            Err(FindError::Missing { .. } | FindError::NotServed { .. }) => self.saw_nothing(path),
            // Can't be read now; that says nothing about what is there.
            Err(FindError::Io { .. } | FindError::WouldBlock { .. }) => {
                self.suspects.find(path.clone(), Instant::now() + TRY_AGAIN);
                Ok(())
            }
        }
    }

    /// Reads a folder and checks all names in it. Its watch is set first, so no change falls between the two.
    fn look_into(&mut self, path: &RelPath, depth: Depth) -> rusqlite::Result<()> {
        let folder = match self.volume.find(path, Blocking::MayBlock) {
            Ok(Found::Folder(folder)) if folder.real_path.is_none() => folder,
            Ok(_) | Err(FindError::Missing { .. } | FindError::NotServed { .. }) => {
                self.suspects.note(path.clone(), Pending::Gone, Instant::now());
                return Ok(());
            }
            Err(FindError::Io { .. } | FindError::WouldBlock { .. }) => return Ok(()),
        };
        if let Some(walk) = &mut self.walk {
            walk.folders += 1;
        }
        let id = self.saw_folder(path, &folder)?;
        self.watch(id, path);
        let mut files = Vec::new();
        let mut folders = HashSet::new();
        let is_read = read(&folder, |name, seen| match seen {
            Seen::File(stat) => files.push((name.to_vec(), stat)),
            Seen::Folder => {
                folders.insert(name.to_vec());
            }
        });
        if is_read.is_err() {
            return Ok(());
        }
        let known = self.journal.files_in(id)?;
        let mut known: HashMap<Vec<u8>, FileRow> = known.into_iter().collect();
        for (name, stat) in files {
            let is_news = known.remove(&name).is_none_or(|it| it != FileRow::of(&stat));
            let Ok(path) = path.join(&name) else { continue };
            if is_news {
                self.found(id, path, &stat)?;
            }
        }
        let now = Instant::now();
        for name in known.into_keys() {
            if let Ok(path) = path.join(&name) {
                self.suspects.note(path, Pending::Gone, now);
            }
        }
        for row in self.journal.folders_in(id)? {
            let Ok(path) = RelPath::from_plain(&row.path) else { continue };
            let is_there = path.file_name().is_some_and(|it| folders.remove(it));
            if !is_there {
                self.suspects.note(path, Pending::Gone, now);
            } else if depth == Depth::Tree {
                self.folders.push_back((path, depth));
            }
        }
        for name in folders {
            self.folders.extend(path.join(&name).ok().map(|it| (it, depth)));
        }
        Ok(())
    }

    /// Records a file that differs from the catalogue, or schedules it if it may still be written.
    fn found(&mut self, folder: i64, path: RelPath, stat: &Stat) -> rusqlite::Result<()> {
        if self.silent_before.is_some_and(|it| stat.changed < it) {
            let name = path.file_name().unwrap_or_default();
            return self.journal.put_file(folder, name, &FileRow::of(stat));
        }
        let row = FileRow::of(stat);
        // If the same content was complete under another name, it is complete under this one.
        let mut known = self.journal.files_by_inode(row.inode)?.into_iter();
        match still_at(stat) {
            Some(at) if !known.any(|it| it.row.is_same_content(&row)) => {
                self.suspects.find(path, at);
                Ok(())
            }
            _ => self.saw_file(folder, &path, stat),
        }
    }

    fn saw_file(&mut self, folder: i64, path: &RelPath, stat: &Stat) -> rusqlite::Result<()> {
        if let Some(folder) = self.journal.folder(path.as_bytes())? {
            self.remove_tree(&folder)?;
        }
        let (name, row) = (path.file_name().unwrap_or_default(), FileRow::of(stat));
        let (kind, from) = match self.journal.file(folder, name)? {
            Some(known) if known == row => return Ok(()),
            Some(_) => (ChangeKind::Modified, None),
            None => match self.moved_from(path, &row)? {
                Some(from) => (ChangeKind::Moved, Some(from)),
                None => (ChangeKind::Added, None),
            },
        };
        self.journal.put_file(folder, name, &row)?;
        self.log(kind, path.as_bytes(), from.as_deref(), Kind::File, Some(&row))
    }

    /// The old path of a file that was renamed. Removes that path from the catalogue.
    fn moved_from(&mut self, to: &RelPath, row: &FileRow) -> rusqlite::Result<Option<Vec<u8>>> {
        for known in self.journal.files_by_inode(row.inode)? {
            let folder = RelPath::from_plain(&known.folder_path).ok();
            let Some(from) = folder.and_then(|it| it.join(&known.name).ok()) else { continue };
            if from == *to || !known.row.is_same_content(row) {
                continue;
            }
            // A second name for the same file (a hard link) is not a move.
            let is_still_there = match self.volume.find(&from, Blocking::MayBlock) {
                Ok(Found::File(file)) => {
                    file.real_path.is_none() && FileRow::of(&file.stat).inode == row.inode
                }
                _ => false,
            };
            if !is_still_there {
                self.journal.remove_file(known.folder, &known.name)?;
                return Ok(Some(from.as_bytes().to_vec()));
            }
        }
        Ok(None)
    }

    /// The catalogue id of a folder that exists; adds it if it is new.
    fn saw_folder(&mut self, path: &RelPath, folder: &FoundFolder) -> rusqlite::Result<i64> {
        let (inode, born) = identity(folder);
        if let Some(known) = self.journal.folder(path.as_bytes())? {
            if (known.inode, known.born) != (inode, born) {
                // Another folder under the same name needs its own watch.
                self.unwatch(known.id, path);
                self.journal.set_folder(known.id, inode, born)?;
            }
            return Ok(known.id);
        }
        if path.is_root() {
            return self.journal.add_folder(NO_PARENT, b"", inode, born);
        }
        let parent = self.folder_of(path)?;
        let name = path.file_name().unwrap_or_default();
        if self.journal.file(parent, name)?.is_some() {
            self.journal.remove_file(parent, name)?;
            self.log(ChangeKind::Removed, path.as_bytes(), None, Kind::File, None)?;
        }
        let from = self.folder_moved_from(path, inode, born)?;
        let id = self.journal.add_folder(parent, path.as_bytes(), inode, born)?;
        let kind = if from.is_some() { ChangeKind::Moved } else { ChangeKind::Added };
        if self.silent_before.is_none_or(|it| i128::from(born) >= it) {
            self.log(kind, path.as_bytes(), from.as_deref(), Kind::Folder, None)?;
        }
        Ok(id)
    }

    /// The old path of a folder that was moved. Its files are recorded at their new paths one by one. The watches below the old path are
    /// removed, since they would report old paths.
    fn folder_moved_from(
        &mut self,
        to: &RelPath,
        inode: i64,
        born: i64,
    ) -> rusqlite::Result<Option<Vec<u8>>> {
        for known in self.journal.folders_by_inode(inode)? {
            let Ok(from) = RelPath::from_plain(&known.path) else { continue };
            if known.born != born || from == *to || from.is_root() {
                continue;
            }
            let is_still_there = match self.volume.find(&from, Blocking::MayBlock) {
                Ok(Found::Folder(folder)) => {
                    folder.real_path.is_none() && identity(&folder) == (inode, born)
                }
                _ => false,
            };
            if is_still_there {
                continue;
            }
            for below in self.journal.folders_below(&known.path)? {
                if let Ok(path) = RelPath::from_plain(&below.path) {
                    self.unwatch(below.id, &path);
                }
            }
            // The move covers this folder, so it gets no removal. What is left below it is removed once it is missed.
            self.journal.set_folder(known.id, 0, 0)?;
            return Ok(Some(known.path));
        }
        Ok(None)
    }

    /// The catalogue id of the folder that holds a path; adds the folder if it is not known yet.
    fn folder_of(&mut self, path: &RelPath) -> rusqlite::Result<i64> {
        let parent = path.parent().unwrap_or_default();
        if let Some(known) = self.journal.folder(parent.as_bytes())? {
            return Ok(known.id);
        }
        if let Ok(Found::Folder(folder)) = self.volume.find(&parent, Blocking::MayBlock) {
            self.folders.push_back((parent.clone(), Depth::Folder));
            return self.saw_folder(&parent, &folder);
        }
        // The folder is gone again; what was seen in it will be missed.
        let above = if parent.is_root() { NO_PARENT } else { self.folder_of(&parent)? };
        self.journal.add_folder(above, parent.as_bytes(), 0, 0)
    }

    fn saw_nothing(&mut self, path: &RelPath) -> rusqlite::Result<()> {
        if let Some(folder) = self.journal.folder(path.as_bytes())? {
            return self.remove_tree(&folder);
        }
        let parent = path.parent().unwrap_or_default();
        let Some(folder) = self.journal.folder(parent.as_bytes())? else { return Ok(()) };
        let name = path.file_name().unwrap_or_default();
        if self.journal.file(folder.id, name)?.is_none() {
            return Ok(());
        }
        self.journal.remove_file(folder.id, name)?;
        self.log(ChangeKind::Removed, path.as_bytes(), None, Kind::File, None)
    }

    /// Removes a folder and everything below it from the catalogue, deepest first.
    fn remove_tree(&mut self, folder: &FolderRow) -> rusqlite::Result<()> {
        for folder in self.journal.folders_below(&folder.path)?.into_iter().rev() {
            let Ok(path) = RelPath::from_plain(&folder.path) else { continue };
            for (name, _) in self.journal.files_in(folder.id)? {
                if let Ok(path) = path.join(&name) {
                    self.log(ChangeKind::Removed, path.as_bytes(), None, Kind::File, None)?;
                }
            }
            self.unwatch(folder.id, &path);
            self.journal.remove_folder(folder.id)?;
            // Inode 0 marks a folder whose move was recorded.
            if folder.inode != 0 {
                self.log(ChangeKind::Removed, path.as_bytes(), None, Kind::Folder, None)?;
            }
        }
        Ok(())
    }

    fn log(
        &mut self,
        kind: ChangeKind,
        path: &[u8],
        from: Option<&[u8]>,
        entry: Kind,
        row: Option<&FileRow>,
    ) -> rusqlite::Result<()> {
        self.has_logged = true;
        self.journal.log(kind, path, from, entry, row)
    }

    fn watch(&mut self, id: i64, path: &RelPath) {
        if self.watched.contains(&id) {
            return;
        }
        let watched = match &mut self.watches {
            Some(watches) => watches.add(path),
            None => Err(WatchError::NoneLeft),
        };
        match watched {
            Ok(()) => {
                self.watched.insert(id);
                self.unwatched.remove(&id);
            }
            // The watch on its parent reports that it is gone.
            Err(WatchError::Gone) => {}
            Err(error) => {
                self.unwatched.insert(id);
                if self.watches.is_some() {
                    self.warn_of(&error);
                }
            }
        }
    }

    fn unwatch(&mut self, id: i64, path: &RelPath) {
        self.unwatched.remove(&id);
        if self.watched.remove(&id)
            && let Some(watches) = &mut self.watches
        {
            watches.remove(path);
        }
    }

    fn warn_of(&self, error: &WatchError) {
        let what = format!(
            "some folders can't be watched and are looked at every {} seconds or less often",
            POLL.as_secs()
        );
        self.report.warn(Some(match error {
            WatchError::NoneLeft => Warning::open(format!(
                "{what}: no inotify watches are left (raise fs.inotify.max_user_watches)"
            )),
            WatchError::Gone => return,
            WatchError::Other(why) => Warning::of_system(&what, why),
        }));
    }
}

enum Seen {
    File(Stat),
    Folder,
}

/// Calls `see` for each visible file and folder. Symbolic links are skipped.
fn read(folder: &FoundFolder, mut see: impl FnMut(&[u8], Seen)) -> std::io::Result<()> {
    for entry in rustix::fs::Dir::new(folder.open()?)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") || crate::layout::is_hidden(name.to_bytes()) {
            continue;
        }
        let is_folder = match entry.file_type() {
            FileType::Directory => true,
            FileType::RegularFile | FileType::Unknown => false,
            _ => continue,
        };
        if is_folder {
            see(name.to_bytes(), Seen::Folder);
            continue;
        }
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        // Removed since the folder was read: a hint will follow.
        let Ok(stat) = rustix::fs::statat(&folder.handle, name, flags) else { continue };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => see(name.to_bytes(), Seen::File(Stat::of(&stat))),
            FileType::Directory => see(name.to_bytes(), Seen::Folder),
            _ => {}
        }
    }
    Ok(())
}

/// The inode and the birth time in nanoseconds. The birth time is zero where the file system has none.
fn identity(folder: &FoundFolder) -> (i64, i64) {
    let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
    let wanted = StatxFlags::INO | StatxFlags::BTIME;
    match rustix::fs::statx(folder.handle.as_fd(), c"", flags, wanted) {
        Ok(stat) => {
            let seconds = stat.stx_btime.tv_sec.saturating_mul(1_000_000_000);
            (stat.stx_ino.cast_signed(), seconds.saturating_add(stat.stx_btime.tv_nsec.into()))
        }
        Err(_) => (0, 0),
    }
}

/// When the file will have rested for [`STILL`]; `None` if it already has.
fn still_at(stat: &Stat) -> Option<Instant> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    let now = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec);
    let age = now - stat.changed;
    // After a clock was set back the age is negative; the file must not wait for ever.
    let age = u64::try_from(age).map_or(Duration::ZERO, Duration::from_nanos);
    STILL.checked_sub(age).filter(|it| !it.is_zero()).map(|it| Instant::now() + it)
}
