//! Watches folders with inotify and turns its events into hints.
//!
//! One watch for each folder, set by the observer before it reads that folder, so no change falls between the two. A hint may be late,
//! doubled or lost; the receiver must check the disk.

use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::event::{
    AccessKind, AccessMode, CreateKind, EventKind, MetadataKind, ModifyKind, RenameMode,
};
use notify::{Config, Event, EventKindMask, RecommendedWatcher, RecursiveMode, Watcher};

use crate::path::RelPath;
use crate::resolve::proc_path;
use crate::volume::Volume;

/// A hint that something may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    /// A writer has closed the file, or it was renamed into place.
    Arrived(RelPath),
    /// A folder was created.
    NewFolder(RelPath),
    /// The file is being written.
    Written(RelPath),
    /// The file's properties changed. A writer may do that before or after it closes the file.
    Touched(RelPath),
    /// The name was removed or moved away.
    Gone(RelPath),
    /// Hints were lost; anything may have changed.
    Lost,
}

/// Why a folder could not be watched.
#[derive(Debug)]
pub(crate) enum WatchError {
    /// The user has no watches left (`fs.inotify.max_user_watches`).
    NoneLeft,
    /// The folder no longer exists.
    Gone,
    /// inotify is missing or failed.
    Other(String),
}

/// All watches; dropping it removes them.
pub(crate) struct Watches {
    watcher: RecommendedWatcher,
    root: PathBuf,
    /// Keeps the root's descriptor open: `root` is a path through it.
    _volume: Arc<Volume>,
}

impl Watches {
    /// `tell` is called on the watcher's own thread.
    pub(crate) fn new(
        volume: &Arc<Volume>,
        mut tell: impl FnMut(Hint) + Send + 'static,
    ) -> Result<Watches, WatchError> {
        let root = PathBuf::from(proc_path(volume.root().as_fd()));
        let base = root.clone();
        let handler = move |event: notify::Result<Event>| match event {
            Ok(event) if event.need_rescan() => tell(Hint::Lost),
            Ok(event) => {
                if let Some(hint) = hint(&base, &event) {
                    tell(hint);
                }
            }
            // An unknown number of events was missed.
            Err(_) => tell(Hint::Lost),
        };
        let watcher =
            RecommendedWatcher::new(handler, config()).map_err(|it| WatchError::of(&it))?;
        Ok(Watches { watcher, root, _volume: Arc::clone(volume) })
    }

    pub(crate) fn add(&mut self, folder: &RelPath) -> Result<(), WatchError> {
        let path = self.path(folder);
        self.watcher.watch(&path, RecursiveMode::NonRecursive).map_err(|it| WatchError::of(&it))
    }

    /// Removes a folder's watch. A missing watch is not an error.
    pub(crate) fn remove(&mut self, folder: &RelPath) {
        let path = self.path(folder);
        self.watcher.unwatch(&path).unwrap_or_default();
    }

    fn path(&self, folder: &RelPath) -> PathBuf {
        if folder.is_root() { self.root.join(".") } else { self.root.join(folder.as_os_str()) }
    }
}

impl WatchError {
    fn of(error: &notify::Error) -> WatchError {
        match error.kind {
            notify::ErrorKind::MaxFilesWatch => WatchError::NoneLeft,
            notify::ErrorKind::PathNotFound | notify::ErrorKind::WatchNotFound => WatchError::Gone,
            _ => WatchError::Other(error.to_string()),
        }
    }
}

/// Reads are not changes: the kernel must not wake the process for each response.
fn config() -> Config {
    let news = EventKindMask::CORE | EventKindMask::ACCESS_CLOSE;
    Config::default().with_follow_symlinks(false).with_event_kinds(news)
}

fn hint(root: &Path, event: &Event) -> Option<Hint> {
    let hint: fn(RelPath) -> Hint = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Hint::Arrived,
        EventKind::Create(CreateKind::Folder) => Hint::NewFolder,
        EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_)) => Hint::Written,
        EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)) => Hint::Touched,
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) | EventKind::Remove(_) => Hint::Gone,
        // Reads, and events that arrive under another kind too.
        _ => return None,
    };
    let path = event.paths.first()?.strip_prefix(root).ok()?;
    let path = RelPath::from_plain(path.as_os_str().as_bytes()).ok()?;
    (!path.is_root()).then(|| hint(path))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_reads_a_file_makes_no_news() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        std::fs::write(&old, "old").unwrap();
        let (sender, events) = mpsc::channel::<notify::Result<Event>>();
        let mut watcher = RecommendedWatcher::new(sender, config()).unwrap();
        watcher.watch(folder.path(), RecursiveMode::NonRecursive).unwrap();
        assert_eq!(std::fs::read(&old).unwrap(), b"old");
        std::fs::write(&new, "new").unwrap();
        let first = events.recv_timeout(Duration::from_mins(1)).unwrap().unwrap();
        assert_eq!(first.kind, EventKind::Create(CreateKind::File));
    }
}
