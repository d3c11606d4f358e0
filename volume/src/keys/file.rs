//! The keys file on the volume: read again whenever it has changed, written by one rename.
//!
//! An edit counts from the next request on, because each request asks [`KeyFile::current`], which looks at the
//! file's stamp (one system call) and reads it only when that has changed. A file that can't be read, or looks
//! as if somebody is in the middle of writing it, takes no key away: the last good ones go on being good.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::atomic_file::{self, Durable};
use crate::keys::sheet::change::SheetChange;
use crate::keys::sheet::{KeySheet, NewKey, SheetError, SheetVersion};
use crate::keys::{HashedKey, Keys, PlainKey, Scope, parse_line};
use crate::layout::{KEYS_FILE, KEYS_PLACE};
use crate::path::RelPath;
use crate::stat::Stat;
use crate::volume::Volume;

/// How long a file that looks half-written is given to be finished. After that it is taken as it stands.
const PATIENCE: Duration = Duration::from_secs(10);
/// A file that could not be read is tried again after so long, if it shows no change before.
const RETRY: Duration = Duration::from_secs(1);
/// A keys file is a few kilobytes; what is larger than this, some ten thousand keys, is something else.
const LARGEST: u64 = 1 << 20;

/// The keys file of a volume, and the keys that are good besides those in it.
#[derive(Debug)]
pub struct KeyFile {
    volume: Arc<Volume>,
    /// Keys from elsewhere (`API_KEYS`), good whatever the file says.
    extra: Keys,
    /// Every request takes this lock for one look at the stamp, and for a read of the file if that has changed.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The file as it was when last read; none where it must be read again at the next look.
    stamp: Option<Stamp>,
    /// When it is to be read again though it shows no change; none where there is no need.
    again_at: Option<Instant>,
    /// The last good keys of the file alone.
    of_file: Keys,
    /// What is handed out: these, and the extra ones.
    current: Arc<Keys>,
    /// Which text of the file is in force; none before the first.
    version: Option<SheetVersion>,
    /// Why the file as it stands is not in force.
    trouble: Option<Trouble>,
}

/// Why the last good keys are still in force instead of the file as it stands.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// In plain words.
    pub what: String,
    /// Since when.
    since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stamp {
    Missing,
    Settled(Stat),
}

/// What a look at the file brought, to be said once in the log.
#[derive(Debug)]
pub enum KeyFileEvent {
    /// The file was read.
    Loaded(Arc<Keys>),
    /// The file is in trouble; the last good keys stay.
    Kept(Trouble),
}

/// Why a key could not be added.
#[derive(Debug, thiserror::Error)]
pub enum AddKeyError {
    /// The system has no randomness.
    #[error("could not make a random key")]
    Random(#[source] getrandom::Error),
    /// The key could not be written.
    #[error(transparent)]
    Edit(#[from] EditKeysError),
}

/// Why the keys file was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditKeysError {
    /// It is not what was shown any more.
    #[error("the keys file was changed by somebody else meanwhile: look at it again")]
    Changed,
    /// What was asked for can't be written.
    #[error(transparent)]
    Sheet(#[from] SheetError),
    /// The file could not be read or written.
    #[error("could not write `.sounding/auth-keys.csv` on the volume")]
    Write(#[source] io::Error),
}

impl KeyFile {
    /// The keys file of a volume. Reads it at the first look.
    pub fn new(volume: Arc<Volume>, extra: Keys) -> KeyFile {
        let current = Arc::new(extra.clone());
        let of_file = Keys::default();
        let (stamp, again_at, version, trouble) = (None, None, None, None);
        let state = State { stamp, again_at, of_file, current, version, trouble };
        KeyFile { volume, extra, state: Mutex::new(state) }
    }

    /// The keys that are good now, and what is new since the last call.
    pub fn current(&self) -> (Arc<Keys>, Option<KeyFileEvent>) {
        // Asked for before anybody is kept waiting.
        let stamp = self.stamp();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = state.again_at.is_some_and(|it| it <= Instant::now());
        if state.stamp.is_some() && state.stamp == stamp && !is_due {
            return (Arc::clone(&state.current), None);
        }
        state.stamp = stamp;
        let news = self.read_again(&mut state);
        (Arc::clone(&state.current), news)
    }

    /// Why the file as it stands is not in force, if it isn't.
    pub fn trouble(&self) -> Option<Trouble> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).trouble.clone()
    }

    /// Which text of the file is in force, after the last look.
    pub fn version(&self) -> Option<SheetVersion> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).version
    }

    /// The keys that come from elsewhere.
    pub fn extra(&self) -> &Keys {
        &self.extra
    }

    fn stamp(&self) -> Option<Stamp> {
        match rustix::fs::statat(self.volume.root(), KEYS_PLACE, AtFlags::empty()) {
            Ok(stat) => Some(Stat::of(&stat)).filter(Stat::is_settled).map(Stamp::Settled),
            Err(Errno::NOENT) => Some(Stamp::Missing),
            Err(_) => None,
        }
    }

    fn read_again(&self, state: &mut State) -> Option<KeyFileEvent> {
        let was_in_trouble = state.trouble.take();
        let since = was_in_trouble.as_ref().map_or_else(Instant::now, |it| it.since);
        state.again_at = None;
        let what = match self.volume.read_keys() {
            Err(error) => {
                state.again_at = Some(Instant::now() + RETRY);
                format!("it could not be read ({error})")
            }
            Ok(text) => {
                let keys = Keys::parse(&text);
                let Some(doubt) = doubt(&text, &keys, &state.of_file) else {
                    state.accept(keys, &self.extra, &text);
                    return Some(KeyFileEvent::Loaded(Arc::clone(&state.current)));
                };
                let patience_ends = since + PATIENCE;
                // Who removes all of `.sounding` did not mean to take everybody's key away.
                let passes = doubt.passes && !self.volume.has_lost_service_folder();
                if passes && Instant::now() >= patience_ends {
                    state.accept(keys, &self.extra, &text);
                    return Some(KeyFileEvent::Loaded(Arc::clone(&state.current)));
                }
                state.again_at = doubt.passes.then_some(patience_ends);
                // What is new in it is good at once; nothing that was good is lost.
                let mut both = state.of_file.clone();
                both.extend(&keys);
                state.hand_out(both, &self.extra);
                doubt.what.to_owned()
            }
        };
        let trouble = Trouble { what, since };
        let is_news = was_in_trouble.is_none_or(|it| it.what != trouble.what);
        state.trouble = Some(trouble.clone());
        is_news.then_some(KeyFileEvent::Kept(trouble))
    }

    /// Makes a new key, adds it to the file, and hands it out this one time.
    pub fn add(
        &self,
        user: &str,
        scope: Scope,
        created: Timestamp,
    ) -> Result<PlainKey, AddKeyError> {
        let key = PlainKey::generate(user).map_err(AddKeyError::Random)?;
        let (expires, note) = (String::new(), String::new());
        let new = NewKey { user: user.to_owned(), scope, path: RelPath::root(), expires, note };
        self.volume.edit_keys(None, |sheet| sheet.add(&new, &key, created))?;
        Ok(key)
    }
}

impl Volume {
    /// The keys file as it stands, for people; empty where there is none.
    pub fn key_sheet(&self) -> io::Result<KeySheet> {
        Ok(KeySheet::parse(&self.read_keys()?))
    }

    /// Changes the keys file, if it still is the version that was shown to whoever changes it. Says what became of its
    /// lines too, so that it can be taken back.
    ///
    /// One at a time, whichever process. The whole file is written beside the old one, made durable and renamed over
    /// it: a reader sees the old or the new file. What is not changed stays, byte for byte.
    pub fn edit_keys<T>(
        &self,
        shown: Option<SheetVersion>,
        edit: impl FnOnce(&mut KeySheet) -> Result<T, SheetError>,
    ) -> Result<(T, SheetChange), EditKeysError> {
        let folder = self.service_folder().map_err(EditKeysError::Write)?;
        rustix::fs::flock(&folder, FlockOperation::LockExclusive)
            .map_err(|it| EditKeysError::Write(it.into()))?;
        let before = self.key_sheet().map_err(EditKeysError::Write)?;
        if shown.is_some_and(|it| it != before.version()) {
            return Err(EditKeysError::Changed);
        }
        let mut sheet = before.clone();
        let result = edit(&mut sheet)?;
        if sheet.version() != before.version() {
            sheet.finish();
            atomic_file::replace(&folder, KEYS_FILE, &sheet.to_bytes(), Durable::Yes)
                .map_err(EditKeysError::Write)?;
        }
        Ok((result, SheetChange::between(&before, &sheet)))
    }

    /// The file's text; empty where there is no file.
    fn read_keys(&self) -> io::Result<Vec<u8>> {
        // A FIFO under this name must not hold the service up.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        match rustix::fs::openat(self.root(), KEYS_PLACE, flags, Mode::empty()) {
            Ok(file) => read_all(File::from(file)),
            Err(Errno::NOENT) => Ok(Vec::new()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// The text of a keys file, wherever that lies.
pub(crate) fn read_all(file: File) -> io::Result<Vec<u8>> {
    let too_large = || io::Error::other("it is larger than 1 MiB");
    if file.metadata()?.len() > LARGEST {
        return Err(too_large());
    }
    let mut text = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LARGEST { Err(too_large()) } else { Ok(text) }
}

impl State {
    fn accept(&mut self, of_file: Keys, extra: &Keys, text: &[u8]) {
        self.version = Some(SheetVersion::of(text));
        self.hand_out(of_file.clone(), extra);
        self.of_file = of_file;
    }

    fn hand_out(&mut self, mut keys: Keys, extra: &Keys) {
        keys.extend(extra);
        self.current = Arc::new(keys);
    }
}

/// Why a text that was read may not be what its writer means.
struct SuspectContent {
    what: &'static str,
    /// Whether it may be meant after all, if it stays so.
    passes: bool,
}

fn doubt(text: &[u8], keys: &Keys, last_good: &Keys) -> Option<SuspectContent> {
    if last_good.are_all_in(keys) {
        return None;
    }
    if keys.is_empty() && !keys.notices.is_empty() {
        return Some(SuspectContent { what: "no line of it can be understood", passes: false });
    }
    if is_garbled(text, keys, last_good) {
        return Some(SuspectContent {
            what: "most of its keys can't be understood any more: a line is USER,KEY, without quotes and with commas",
            passes: false,
        });
    }
    if text.is_empty() {
        return Some(SuspectContent {
            what: "it is missing or empty, as if it were being written",
            passes: true,
        });
    }
    (!text.ends_with(b"\n")).then_some(SuspectContent {
        what: "its last line has no end, as if it were being written",
        passes: true,
    })
}

/// Whether more of the keys that were good stand on lines that can't be understood than are left: a program that writes quotes or
/// other separators has saved the file.
fn is_garbled(text: &[u8], keys: &Keys, last_good: &Keys) -> bool {
    let is_lost = |it: &HashedKey| last_good.find(*it).is_some() && keys.find(*it).is_none();
    let is_unclear = |line: &&[u8]| parse_line(line, false).is_err();
    let words = text.split(|it| *it == b'\n').filter(is_unclear).flat_map(words);
    let lost: HashSet<HashedKey> = words.flat_map(as_keys).filter(is_lost).collect();
    lost.len() > last_good.iter().filter(|it| keys.find(it.hashed).is_some()).count()
}

/// What stands between whatever a program may separate columns by.
fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_between = |byte: &u8| byte.is_ascii_whitespace() || b"\"',;|".contains(byte);
    line.split(is_between).filter(|it| !it.is_empty())
}

/// The keys that a word may be: itself, or the sealed one whose hash it is.
fn as_keys(word: &[u8]) -> impl Iterator<Item = HashedKey> {
    let sealed = std::str::from_utf8(word).ok().and_then(HashedKey::from_hex);
    sealed.into_iter().chain([PlainKey::new(word).hash()])
}
