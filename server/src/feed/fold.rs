//! Folds many changes into a few rows: one for a whole folder.
//!
//! A folder that is added, moved or removed stands for everything in it. Files that are added to an existing folder become one row for that
//! folder; a single file stays a row of its own. Pure.

use std::collections::HashMap;

use volume::RelPath;
use volume::journal::ChangeKind;
use volume::names::Kind;

use super::row::{ChangeJson, VisibleChange, text};

#[derive(Debug, Default)]
pub(super) struct Fold {
    groups: Vec<Group>,
    /// The group for a kind of change and a folder, as an index.
    by_folder: HashMap<(&'static str, RelPath), usize>,
}

#[derive(Debug)]
struct Group {
    folder: RelPath,
    /// The first change. It is the file's own row as long as it is the only one.
    row: ChangeJson,
    files: u64,
    bytes: u64,
    /// Whether the folder itself was added, moved or removed.
    is_whole: bool,
    has_stat: bool,
}

impl Fold {
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether a change belongs to an existing row.
    pub(super) fn takes(&self, seen: &VisibleChange<'_>) -> bool {
        self.group_of(seen).is_some()
    }

    pub(super) fn add(&mut self, seen: VisibleChange<'_>) {
        let index = self.group_of(&seen).unwrap_or_else(|| self.begin(&seen));
        let Some(group) = self.groups.get_mut(index) else { return };
        let row = ChangeJson::of(&seen);
        (group.row.seq, group.row.time) = (row.seq, row.time);
        match seen.entry {
            Kind::File => {
                group.files += 1;
                group.bytes += seen.stat.map_or(0, |it| it.len);
                group.has_stat |= seen.stat.is_some();
            }
            // The removal of a folder is reported after the removal of its content.
            Kind::Folder if *seen.path == group.folder => {
                group.is_whole = true;
                group.row.from = row.from;
            }
            Kind::Folder => {}
        }
        if seen.kind == ChangeKind::Removed && seen.entry == Kind::Folder {
            self.swallow(seen.path, index);
        }
    }

    pub(super) fn into_rows(self) -> Vec<ChangeJson> {
        let mut rows: Vec<ChangeJson> =
            self.groups.into_iter().filter_map(Group::into_row).collect();
        rows.sort_by_key(|it| it.seq);
        // A cursor would be wrong, because another row may stand for changes before and after it.
        for row in &mut rows {
            row.cursor = None;
        }
        rows
    }

    /// The row of the topmost folder that contains a change.
    fn group_of(&self, seen: &VisibleChange<'_>) -> Option<usize> {
        let mut folders = Vec::new();
        let mut folder = match seen.entry {
            Kind::Folder => Some(seen.path.clone()),
            Kind::File => seen.path.parent(),
        };
        let parent = folder.clone();
        while let Some(path) = folder {
            folder = path.parent();
            folders.push(path);
        }
        let groups = folders.into_iter().rev().filter_map(|path| {
            let is_parent = Some(&path) == parent.as_ref();
            let index = *self.by_folder.get(&(seen.kind.as_str(), path))?;
            // An existing folder stands for the files directly in it, but not for deeper ones.
            let is_whole = self.groups.get(index).is_some_and(|it| it.is_whole);
            (is_whole || is_parent && seen.entry == Kind::File).then_some(index)
        });
        groups.into_iter().next()
    }

    fn begin(&mut self, seen: &VisibleChange<'_>) -> usize {
        let folder = match seen.entry {
            Kind::Folder => seen.path.clone(),
            Kind::File => seen.path.parent().unwrap_or_default(),
        };
        let index = self.groups.len();
        self.by_folder.insert((seen.kind.as_str(), folder.clone()), index);
        let row = ChangeJson::of(seen);
        let is_whole = seen.entry == Kind::Folder;
        self.groups.push(Group { folder, row, files: 0, bytes: 0, is_whole, has_stat: false });
        index
    }

    /// Merges the removals below a folder into the removal of the folder.
    fn swallow(&mut self, folder: &RelPath, into: usize) {
        let below = |(at, it): (usize, &Group)| {
            let is_below = at != into
                && it.row.kind == ChangeKind::Removed.as_str()
                && it.folder.is_within(folder);
            is_below.then_some(at)
        };
        let below: Vec<usize> = self.groups.iter().enumerate().filter_map(below).collect();
        let mut files = 0;
        for index in below {
            if let Some(group) = self.groups.get_mut(index) {
                files += std::mem::take(&mut group.files);
                group.is_whole = false;
            }
        }
        if let Some(group) = self.groups.get_mut(into) {
            group.files += files;
        }
    }
}

impl Group {
    /// `None` if the group was merged into another one.
    fn into_row(self) -> Option<ChangeJson> {
        let Group { folder, row, files, bytes, is_whole, has_stat } = self;
        match (is_whole, files) {
            (false, 0) => None,
            (false, 1) => Some(row),
            _ => {
                let (path, href) = text(&folder);
                let size = has_stat.then_some(bytes);
                let (mtime, etag, count) = (None, None, Some(files));
                Some(ChangeJson {
                    path,
                    href,
                    r#type: "directory",
                    size,
                    mtime,
                    etag,
                    count,
                    ..row
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use volume::journal::{Change, ChangeKind};

    use super::*;

    /// `+` added, `-` removed, `~` modified, `>` moved from `old/…`; folders end in `/`.
    fn fold(lines: &str) -> String {
        let changes: Vec<Change> = lines
            .split_whitespace()
            .zip(1..)
            .map(|(line, seq)| {
                let (kind, path) = line.split_at(1);
                let kind = match kind {
                    "+" => ChangeKind::Added,
                    "-" => ChangeKind::Removed,
                    "~" => ChangeKind::Modified,
                    _ => ChangeKind::Moved,
                };
                let entry = if path.ends_with('/') { Kind::Folder } else { Kind::File };
                let path = RelPath::from_plain(path.trim_end_matches('/').as_bytes()).unwrap();
                let from = (kind == ChangeKind::Moved).then(|| {
                    RelPath::from_plain(format!("old/{}", path.to_url()).as_bytes()).unwrap()
                });
                let time = Timestamp::UNIX_EPOCH;
                Change { seq, time, kind, path, from, entry, stat: None }
            })
            .collect();
        let mut fold = Fold::default();
        for change in &changes {
            fold.add(VisibleChange::of(change, |_| true).unwrap());
        }
        let rows = fold.into_rows().into_iter().map(|it| {
            let count = it.count.map_or(String::new(), |it| format!("({it})"));
            let from = it.from.map_or(String::new(), |it| format!("<{it}"));
            format!("{} {}{from}{count}", it.kind, it.path)
        });
        rows.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn a_folder_stands_for_all_that_comes_with_it() {
        let check = |lines: &str, expected: &str| assert_eq!(fold(lines), expected, "{lines}");
        check("+run/ +run/a +run/it/ +run/it/b +run/it/c", "added run(3)");
        check("+run/ +run/a +x/ +run/b +x/c", "added run(2), added x(1)");
        check("+run/", "added run(0)");
        check("+a", "added a");
        check("+run/a", "added run/a");
        check("+run/a +run/b", "added run(2)");
        check("+run/it/a +run/b +run/it/c", "added run/b, added run/it(2)");
        check("~run/a ~run/b +run/c", "modified run(2), added run/c");
        check("+a +b", "added (2)");
        check("-run/it/b -run/it/ -run/a -run/", "removed run(2)");
        check("-run/a -other/b", "removed run/a, removed other/b");
        check(">run/ >run/a >run/it/ >run/it/b", "moved run<old/run(2)");
    }
}
