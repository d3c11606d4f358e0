//! Walks over everything below a folder: a search by path, and the disk usage of each entry.
//!
//! Both may take long, so both report their progress and can be stopped at any time.

use std::collections::{HashMap, HashSet};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use walkdir::{DirEntry, WalkDir};

use crate::layout;
use crate::names::Kind;
use crate::path::RelPath;
use crate::resolve::proc_path;
use crate::stat::Stat;
use crate::tree::Progress;
use crate::volume::{FoundFolder, Volume};

/// The shortest time between two reports of a walk.
const EVERY: Duration = Duration::from_millis(200);
/// How many entries pass between two checks of the clock.
const LOOK_EVERY: u64 = 256;

/// Something that a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The path.
    pub path: RelPath,
    /// The kind. A link counts as a file: a walk does not follow it.
    pub kind: Kind,
}

/// The progress of a search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchProgress {
    /// The hits since the last report.
    pub hits: Vec<Hit>,
    /// The number of files and folders checked.
    pub seen: u64,
    /// The number of files and folders that could not be read.
    pub unreadable: u64,
    /// Whether the search has finished.
    pub is_done: bool,
}

/// The disk usage of a folder's entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The entries of the folder itself, the largest first. Includes the service's own folder and hidden names.
    pub entries: Vec<UsageEntry>,
    /// The number of files and folders that could not be read.
    pub unreadable: u64,
    /// Whether the walk has finished.
    pub is_done: bool,
}

/// One entry of a folder, with everything in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageEntry {
    /// The name.
    pub name: Vec<u8>,
    /// The kind.
    pub kind: Kind,
    /// The length of all files, in bytes.
    pub len: u64,
    /// Bytes on the disk. A file with several names counts once.
    pub disk: u64,
    /// The number of files.
    pub files: u64,
}

impl Usage {
    /// Bytes on the disk of all entries together.
    pub fn disk(&self) -> u64 {
        self.entries.iter().map(|it| it.disk).sum()
    }
}

impl Volume {
    /// Finds files and folders below a folder whose paths `wanted` accepts. Skips hidden names and follows no links.
    pub fn search(
        &self,
        folder: &FoundFolder,
        path: &RelPath,
        wanted: &dyn Fn(&RelPath) -> bool,
        tell: Progress<'_, SearchProgress>,
    ) {
        let root = proc_path(folder.handle.as_fd());
        let is_visible =
            |it: &DirEntry| it.depth() == 0 || !layout::is_hidden(it.file_name().as_bytes());
        let walk = WalkDir::new(&root).min_depth(1).follow_root_links(true);
        let mut now = SearchProgress::default();
        // The first report comes early.
        let mut told: Option<Instant> = None;
        for entry in walk.into_iter().filter_entry(is_visible) {
            now.seen += 1;
            match entry {
                Err(_) => now.unreadable += 1,
                Ok(entry) => {
                    let below = entry.path().strip_prefix(&root).unwrap_or(Path::new(""));
                    if let Some(path) = below_path(path, below)
                        && wanted(&path)
                    {
                        now.hits.push(Hit { path, kind: kind_of(&entry) });
                    }
                }
            }
            if now.seen.is_multiple_of(LOOK_EVERY) && told.is_none_or(|it| it.elapsed() >= EVERY) {
                if tell(&now).is_break() {
                    return;
                }
                now.hits.clear();
                told = Some(Instant::now());
            }
        }
        now.is_done = true;
        if tell(&now) == ControlFlow::Break(()) {
            // There is nothing left to stop.
        }
    }

    /// Adds up the disk usage of each entry of a folder, with everything in it. Follows no links.
    pub fn usage(&self, folder: &FoundFolder, tell: Progress<'_, Usage>) {
        let root = proc_path(folder.handle.as_fd());
        let mut sum = Sum::default();
        // The first report comes early.
        let mut told: Option<Instant> = None;
        let walk = WalkDir::new(&root).min_depth(1).follow_root_links(true);
        for (count, entry) in (1..).zip(walk) {
            if entry.map_err(io::Error::from).and_then(|it| sum.add(&it, &root)).is_err() {
                sum.unreadable += 1;
            }
            if u64::is_multiple_of(count, LOOK_EVERY) && told.is_none_or(|it| it.elapsed() >= EVERY)
            {
                if tell(&sum.usage(false)).is_break() {
                    return;
                }
                told = Some(Instant::now());
            }
        }
        if tell(&sum.usage(true)) == ControlFlow::Break(()) {
            // There is nothing left to stop.
        }
    }
}

impl FoundFolder {
    /// A text that changes when a name is created in the folder or removed from it; `None` where the folder can't be read.
    pub fn version(&self) -> Option<String> {
        Some(Stat::of(&rustix::fs::fstat(&self.handle).ok()?).version())
    }
}

#[derive(Default)]
struct Sum {
    entries: HashMap<Vec<u8>, UsageEntry>,
    /// The device and inode of each file with several names that was counted.
    counted: HashSet<(u64, u64)>,
    unreadable: u64,
}

impl Sum {
    fn add(&mut self, entry: &DirEntry, root: &str) -> io::Result<()> {
        let metadata = entry.metadata()?;
        let below = entry.path().strip_prefix(root).unwrap_or(Path::new(""));
        let Some(name) = below.components().next() else { return Ok(()) };
        let name = name.as_os_str().as_bytes();
        if !self.entries.contains_key(name) {
            let kind = kind_of(entry);
            let used = UsageEntry { name: name.to_vec(), kind, len: 0, disk: 0, files: 0 };
            self.entries.insert(name.to_vec(), used);
        }
        let Some(used) = self.entries.get_mut(name) else { return Ok(()) };
        let is_again = !metadata.is_dir()
            && metadata.nlink() > 1
            && !self.counted.insert((metadata.dev(), metadata.ino()));
        if !is_again {
            used.disk += metadata.blocks() * 512;
        }
        if !metadata.is_dir() {
            used.len += metadata.len();
            used.files += 1;
        }
        Ok(())
    }

    fn usage(&self, is_done: bool) -> Usage {
        let mut entries: Vec<UsageEntry> = self.entries.values().cloned().collect();
        entries.sort_by(|a, b| b.disk.cmp(&a.disk).then_with(|| a.name.cmp(&b.name)));
        Usage { entries, unreadable: self.unreadable, is_done }
    }
}

fn kind_of(entry: &DirEntry) -> Kind {
    if entry.file_type().is_dir() { Kind::Folder } else { Kind::File }
}

/// A folder's path followed by names below it.
fn below_path(folder: &RelPath, below: &Path) -> Option<RelPath> {
    below
        .components()
        .try_fold(folder.clone(), |path, it| path.join(it.as_os_str().as_bytes()).ok())
}
