//! A folder on the screen.
//!
//! Names come first; sizes and dates as they are looked up. Rows are numbered as they are shown: the folder above
//! first, where there is one, then the names in the order that is wanted.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use volume::names::{Kind, Name, Names, natural};
use volume::scan::{Hit, Usage};
use volume::{RelPath, Stat};

use super::Input;
use crate::cli::Sort;
use crate::ops::files::{sort_by, suffix};
use crate::ops::shown;
use crate::preview::Preview;
use crate::text;

/// The screen of files.
#[derive(Debug, Default)]
pub struct Browse {
    /// Which folder.
    pub path: RelPath,
    /// Its names; none while they are read.
    pub names: Option<Arc<Names>>,
    /// Why they can't be.
    pub trouble: Option<String>,
    /// What is known of each, in the order of the names; the outer none where it was not looked up yet.
    pub stats: Vec<Option<Option<Stat>>>,
    /// How many of those are known.
    pub known: usize,
    /// Bytes of all files that are known.
    pub total: u64,
    /// How many items folders have, by their number among the names.
    pub counts: HashMap<usize, usize>,
    /// Numbers of names as they are shown.
    pub order: Vec<usize>,
    /// How they are sorted.
    pub sort: Order,
    /// Only these, if anything was typed.
    pub filter: Option<Filter>,
    /// Which row is meant.
    pub cursor: usize,
    /// The first row that is shown.
    pub top: usize,
    /// Numbers of names that are selected.
    pub selected: BTreeSet<usize>,
    /// Which reading of the folder this is: what comes late of another is dropped.
    pub generation: u64,
    /// The name that the cursor goes to when the folder is read.
    pub go_to: Option<Vec<u8>>,
    /// A search below, while its hits are shown.
    pub finding: Option<Finding>,
    /// What takes the room below, while it is shown.
    pub measuring: Option<Measuring>,
    /// What is being done that takes long.
    pub job: Option<Job>,
    /// The file that is looked into.
    pub looking: Option<RelPath>,
    /// What was seen of a file, and of which.
    pub previewed: Option<RelPath>,
    /// What that was.
    pub preview: Option<Box<Preview>>,
    /// The first column of it that is shown.
    pub column: usize,
    /// Whether what was seen has the screen to itself, where there is no room beside the list.
    pub page: bool,
    /// Who can read what is under the cursor, while that is shown.
    pub info: Option<Vec<String>>,
    /// The first line of that which is shown.
    pub info_top: usize,
}

/// The folders around the one that is shown: those of the folder above.
#[derive(Debug)]
pub struct Above {
    /// Which folder that is.
    pub path: RelPath,
    /// Its names, once they are read.
    pub names: Option<Arc<Names>>,
    /// How many of them are folders, which come first.
    pub folders: usize,
    /// Whether they may have changed since.
    pub is_old: bool,
}

impl Above {
    /// Takes its names in.
    pub fn learn(&mut self, names: Arc<Names>) {
        let is_folder = |it: &usize| names.get(*it).is_some_and(|it| it.kind == Kind::Folder);
        self.folders = (0..names.len()).take_while(is_folder).count();
        self.names = Some(names);
    }

    /// The place of one of its folders.
    pub fn position(&self, name: &[u8]) -> Option<usize> {
        let names = self.names.as_ref()?;
        (0..self.folders).find(|it| names.get(*it).is_some_and(|it| it.bytes == name))
    }
}

/// How names are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// By what.
    pub by: Sort,
    /// In reverse order.
    pub reverse: bool,
}

/// What was typed to see less.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// What.
    pub input: Input,
    /// Whether keys still go there.
    pub is_typed: bool,
}

/// A search below a folder.
#[derive(Debug, Default)]
pub struct Finding {
    /// What is looked for.
    pub pattern: String,
    /// What was found.
    pub hits: Vec<Hit>,
    /// How many files and folders were looked at.
    pub seen: u64,
    /// How many could not be read.
    pub unreadable: u64,
    /// Whether that is all.
    pub is_done: bool,
    /// Which is meant.
    pub cursor: usize,
    /// The first that is shown.
    pub top: usize,
    /// Which search this is.
    pub generation: u64,
}

impl Finding {
    /// Takes more hits in. They are shown in the order of listings, and the cursor stays with its hit where it was moved to one.
    pub fn learn(&mut self, hits: Vec<Hit>) {
        let meant = self.hits.get(self.cursor).filter(|_| self.cursor > 0).cloned();
        self.hits.extend(hits);
        self.hits.sort_by(by_path);
        let now = meant.and_then(|it| self.hits.binary_search_by(|hit| by_path(hit, &it)).ok());
        if let Some(now) = now {
            self.top += now - self.cursor;
            self.cursor = now;
        }
    }
}

/// Each folder's folders before its files, by their names in natural order, and right behind a folder what is in it.
fn by_path(a: &Hit, b: &Hit) -> Ordering {
    let (mut left, mut right) = (a.path.names().peekable(), b.path.names().peekable());
    loop {
        let (Some(x), Some(y)) = (left.next(), right.next()) else {
            return a.path.names().count().cmp(&b.path.names().count());
        };
        if x != y {
            let is_file = |hit: &Hit, is_last: bool| is_last && hit.kind == Kind::File;
            let files = [is_file(a, left.peek().is_none()), is_file(b, right.peek().is_none())];
            return files[0].cmp(&files[1]).then_with(|| natural(x, y));
        }
    }
}

/// What takes the room below a folder.
#[derive(Debug, Default)]
pub struct Measuring {
    /// So far.
    pub usage: Usage,
    /// Which is meant.
    pub cursor: usize,
    /// The first that is shown.
    pub top: usize,
    /// Which scan this is.
    pub generation: u64,
}

/// Something that takes long.
#[derive(Clone, Debug)]
pub struct Job {
    /// What, and how far it is.
    pub text: String,
}

impl Browse {
    /// Whether the first row is the folder above.
    pub fn has_parent(&self) -> bool {
        !self.path.is_root()
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.order.len() + usize::from(self.has_parent())
    }

    /// The number of the name in a row; none for the folder above.
    pub fn index(&self, row: usize) -> Option<usize> {
        let row = row.checked_sub(usize::from(self.has_parent()))?;
        self.order.get(row).copied()
    }

    /// A name by its number.
    pub fn name(&self, index: usize) -> Option<Name<'_>> {
        self.names.as_ref()?.get(index)
    }

    /// What is known of a name; none where it was not looked up, or is gone.
    pub fn stat(&self, index: usize) -> Option<Stat> {
        self.stats.get(index).copied().flatten().flatten()
    }

    /// The path of a name by its number.
    pub fn path_of(&self, index: usize) -> Option<RelPath> {
        self.path.join(self.name(index)?.bytes).ok()
    }

    /// The name under the cursor; none on the folder above.
    pub fn current(&self) -> Option<Name<'_>> {
        self.name(self.index(self.cursor)?)
    }

    /// The path under the cursor; none on the folder above.
    pub fn current_path(&self) -> Option<RelPath> {
        self.path_of(self.index(self.cursor)?)
    }

    /// What is known of the row that is meant, in lines: its name first.
    pub fn facts(&self, now: Timestamp) -> Vec<String> {
        let Some((index, name)) = self.index(self.cursor).and_then(|it| Some((it, self.name(it)?)))
        else {
            return vec![shown(&self.path)];
        };
        let stat = self.stat(index);
        let kind = String::from_utf8_lossy(suffix(name.bytes)).into_owned();
        let items = self.counts.get(&index).map(|it| text::things(*it as u64, "item", "items"));
        let what = match name.kind {
            Kind::Folder => items.map_or("folder".to_owned(), |it| format!("folder  {it}")),
            Kind::File => {
                stat.map_or(kind.clone(), |it| format!("{kind}  {}", text::bytes(it.len)))
            }
        };
        let when = stat.map(|it| text::moment(text::timestamp(it.modified), now));
        let link = name.is_link.then(|| "a symbolic link".to_owned());
        [text::escape(name.bytes), what.trim().to_owned()]
            .into_iter()
            .chain(when)
            .chain(link)
            .collect()
    }

    /// What an action is for: what is selected, or what is under the cursor.
    pub fn chosen(&self) -> Vec<RelPath> {
        if self.selected.is_empty() {
            return self.current_path().into_iter().collect();
        }
        self.selected.iter().filter_map(|it| self.path_of(*it)).collect()
    }

    /// Bytes of the files that are selected.
    pub fn selected_bytes(&self) -> u64 {
        let is_file = |it: &&usize| self.name(**it).is_some_and(|it| it.kind == Kind::File);
        self.selected.iter().filter(is_file).filter_map(|it| self.stat(*it)).map(|it| it.len).sum()
    }

    /// Puts the names in the order that is wanted, and the cursor where its name is now.
    pub fn arrange(&mut self) {
        let Some(names) = self.names.clone() else { return };
        let under = self.go_to.take().or_else(|| self.current().map(|it| it.bytes.to_vec()));
        let wanted = self.filter.as_ref().map(|it| it.input.text()).unwrap_or_default();
        self.order = if wanted.is_empty() {
            let mut order: Vec<usize> = (0..names.len()).collect();
            let stats: Vec<Option<Stat>> =
                if self.sort.by == Sort::Name || self.sort.by == Sort::Kind {
                    Vec::new()
                } else {
                    self.stats.iter().map(|it| it.flatten()).collect()
                };
            if self.sort != Order::default() {
                sort_by(&mut order, &names, &stats, self.sort.by, self.sort.reverse);
            }
            order
        } else {
            ranked(&names, wanted)
        };
        if wanted.is_empty() {
            let row = under.and_then(|under| {
                let row = self
                    .order
                    .iter()
                    .position(|it| names.get(*it).is_some_and(|it| it.bytes == under));
                Some(row? + usize::from(self.has_parent()))
            });
            self.cursor = row.unwrap_or(self.cursor);
        } else {
            // What was typed means the best match.
            self.cursor = usize::from(self.has_parent());
        }
        self.cursor = self.cursor.min(self.rows().saturating_sub(1));
    }

    /// Takes in what was looked up of names, by their numbers.
    pub fn learn(&mut self, stats: &[(usize, Option<Stat>)]) {
        for (index, stat) in stats {
            let index = *index;
            let is_file = self.name(index).is_some_and(|it| it.kind == Kind::File);
            if let Some(place) = self.stats.get_mut(index)
                && place.is_none()
            {
                *place = Some(*stat);
                self.known += 1;
                self.total += stat.filter(|_| is_file).map_or(0, |it| it.len);
            }
        }
    }
}

/// Names that have the letters of a pattern in their order, the best match first.
fn ranked(names: &Names, pattern: &str) -> Vec<usize> {
    use nucleo_matcher::pattern::{AtomKind, CaseMatching, Normalization, Pattern};
    use nucleo_matcher::{Config, Matcher, Utf32Str};
    let mut matcher = Matcher::new(Config::DEFAULT);
    let pattern = Pattern::new(pattern, CaseMatching::Smart, Normalization::Smart, AtomKind::Fuzzy);
    let mut letters = Vec::new();
    let mut scored: Vec<(u32, usize)> = (0..names.len())
        .filter_map(|index| {
            let name = as_shown(names.get(index)?.bytes);
            let score = pattern.score(Utf32Str::new(&name, &mut letters), &mut matcher)?;
            Some((score, index))
        })
        .collect();
    scored.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    scored.into_iter().map(|it| it.1).collect()
}

/// A name as the list shows it, which for most is the name itself.
fn as_shown(name: &[u8]) -> Cow<'_, str> {
    let is_plain = name.iter().all(|it| (b' '..=b'~').contains(it) && *it != b'\\');
    match std::str::from_utf8(name) {
        Ok(text) if is_plain => Cow::Borrowed(text),
        _ => Cow::Owned(crate::text::escape(name)),
    }
}
