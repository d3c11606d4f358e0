//! The keys file on the volume: read again after each change, replaced by one rename.
//!
//! An edit counts from the next request on. Each request calls [`KeyFile::current`], which checks the file's stamp (one system call) and
//! reads the file only if the stamp changed. A file that can't be read, or that looks half-written, revokes no key: the last valid keys
//! stay in force.

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

/// How long a file that looks half-written may take to be finished. After that it is taken as it stands.
const PATIENCE: Duration = Duration::from_secs(10);
/// The wait before a file that could not be read is tried again, if its stamp does not change earlier.
const RETRY: Duration = Duration::from_secs(1);
/// The largest file that is read, in bytes. A keys file has a few kilobytes; 1 MiB would hold some ten thousand keys.
const LARGEST: u64 = 1 << 20;

/// A volume's keys file, and the extra keys that are valid besides it.
#[derive(Debug)]
pub struct KeyFile {
    volume: Arc<Volume>,
    /// Keys from elsewhere (`API_KEYS`), valid whatever the file says.
    extra: Keys,
    /// Each request takes this lock to compare the stamp, and to read the file if the stamp changed.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The file's stamp when it was last read; `None` if the next call must read it again.
    stamp: Option<Stamp>,
    /// When the file is read again even without a change; `None` where that is not needed.
    again_at: Option<Instant>,
    /// The last valid keys of the file alone.
    of_file: Keys,
    /// The keys that callers get: those of the file and the extra ones.
    current: Arc<Keys>,
    /// The version of the text in force; `None` before the first one.
    version: Option<SheetVersion>,
    /// Why the file's present text is not in force.
    trouble: Option<Trouble>,
}

/// Why the last valid keys are in force instead of the file's present text.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// The reason, in plain words.
    pub what: String,
    /// When the trouble began.
    since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stamp {
    Missing,
    Settled(Stat),
}

/// The result of reading the file, for one line in the log.
#[derive(Debug)]
pub enum KeyFileEvent {
    /// The file was read.
    Loaded(Arc<Keys>),
    /// The file is in trouble; the last valid keys stay in force.
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
    /// The file has changed since it was shown.
    #[error("the keys file was changed by somebody else meanwhile: look at it again")]
    Changed,
    /// The edit asked for something that can't be written.
    #[error(transparent)]
    Sheet(#[from] SheetError),
    /// The file could not be read or written.
    #[error("could not write `.sounding/auth-keys.csv` on the volume")]
    Write(#[source] io::Error),
}

impl KeyFile {
    /// The keys file of a volume. It is read at the first call of [`KeyFile::current`].
    pub fn new(volume: Arc<Volume>, extra: Keys) -> KeyFile {
        let current = Arc::new(extra.clone());
        let of_file = Keys::default();
        let (stamp, again_at, version, trouble) = (None, None, None, None);
        let state = State { stamp, again_at, of_file, current, version, trouble };
        KeyFile { volume, extra, state: Mutex::new(state) }
    }

    /// The keys that are valid now, and the event since the last call, if there was one.
    pub fn current(&self) -> (Arc<Keys>, Option<KeyFileEvent>) {
        // Before the lock, so that no request waits for this system call.
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

    /// Why the file's present text is not in force; `None` if it is.
    pub fn trouble(&self) -> Option<Trouble> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).trouble.clone()
    }

    /// The version of the text in force, as of the last call of [`KeyFile::current`].
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
                // An operator who removes all of `.sounding` did not mean to revoke everybody's key.
                let passes = doubt.passes && !self.volume.has_lost_service_folder();
                if passes && Instant::now() >= patience_ends {
                    state.accept(keys, &self.extra, &text);
                    return Some(KeyFileEvent::Loaded(Arc::clone(&state.current)));
                }
                state.again_at = doubt.passes.then_some(patience_ends);
                // New keys are valid at once; keys that were valid stay so.
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

    /// Generates a key, adds it to the file and returns it. It is shown this one time only.
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
    /// The lines of the keys file, for the console; empty where there is no file.
    pub fn key_sheet(&self) -> io::Result<KeySheet> {
        Ok(KeySheet::parse(&self.read_keys()?))
    }

    /// Changes the keys file, if it still has the version that was shown to the caller. Also returns the changed lines, so that the edit
    /// can be undone.
    ///
    /// One edit at a time, across all processes. The whole file is written beside the old one, synced and renamed over it: a reader sees
    /// the old or the new file. Lines that are not changed stay the same, byte for byte.
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
        // A FIFO with this name must not block the service.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        match rustix::fs::openat(self.root(), KEYS_PLACE, flags, Mode::empty()) {
            Ok(file) => read_all(File::from(file)),
            Err(Errno::NOENT) => Ok(Vec::new()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// The text of a keys file at any path; an error if it is larger than 1 MiB.
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

/// Why a text may not be what its writer means.
struct SuspectContent {
    what: &'static str,
    /// Whether the text is accepted if it stays like this for [`PATIENCE`].
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

/// Whether more of the keys that were valid stand on lines that can't be parsed than are left: then a program that writes quotes or other
/// separators has saved the file.
fn is_garbled(text: &[u8], keys: &Keys, last_good: &Keys) -> bool {
    let is_lost = |it: &HashedKey| last_good.find(*it).is_some() && keys.find(*it).is_none();
    let is_unclear = |line: &&[u8]| parse_line(line, false).is_err();
    let words = text.split(|it| *it == b'\n').filter(is_unclear).flat_map(words);
    let lost: HashSet<HashedKey> = words.flat_map(as_keys).filter(is_lost).collect();
    lost.len() > last_good.iter().filter(|it| keys.find(it.hashed).is_some()).count()
}

/// The words of a line, split at every separator that a program may write.
fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_between = |byte: &u8| byte.is_ascii_whitespace() || b"\"',;|".contains(byte);
    line.split(is_between).filter(|it| !it.is_empty())
}

/// The keys that a word may stand for: itself, or the sealed key whose hash it is.
fn as_keys(word: &[u8]) -> impl Iterator<Item = HashedKey> {
    let sealed = std::str::from_utf8(word).ok().and_then(HashedKey::from_hex);
    sealed.into_iter().chain([PlainKey::new(word).hash()])
}
