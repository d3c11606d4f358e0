//! The order of a listing.

use std::sync::{Arc, Weak};

use volume::Stat;
use volume::names::Names;

use crate::app::App;
use crate::problem::Problem;

/// From this number of entries on, sizes and times are read with two threads, where all are needed before the first entry is written.
pub(super) const WORTH_A_THREAD: usize = 2000;
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sort {
    pub(super) by: SortKey,
    pub(super) is_reversed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SortKey {
    Name,
    Size,
    Date,
}

impl Sort {
    pub(super) const BY_NAME: Sort = Sort { by: SortKey::Name, is_reversed: false };

    pub(super) fn parse(text: &str) -> Result<Sort, Problem> {
        let name = text.strip_prefix('-').unwrap_or(text);
        let by = match name {
            "name" => SortKey::Name,
            "size" => SortKey::Size,
            "date" => SortKey::Date,
            _ => {
                let what =
                    "`sort` is `name`, `size` or `date`, with a `-` in front for the reverse.";
                return Err(Problem::BadQuery(what.to_owned()));
            }
        };
        Ok(Sort { by, is_reversed: name != text })
    }
}

impl Sort {
    /// Sorts folders and files separately, so that folders stay first. Reads the sizes or dates of all entries, and keeps one number for
    /// each.
    pub(super) fn apply(self, sorter: &Sorter<'_>, folders: &mut [u32], files: &mut [u32]) {
        match self.by {
            SortKey::Name => {}
            SortKey::Size => sorter.sort(files, |it| it.len),
            SortKey::Date => {
                sorter.sort(folders, Stat::modified_seconds);
                sorter.sort(files, Stat::modified_seconds);
            }
        }
        if self.is_reversed {
            folders.reverse();
            files.reverse();
        }
    }
}

/// Sorts by numbers that must be read from the disk.
pub(super) struct Sorter<'a> {
    pub(super) app: &'a App,
    pub(super) names: &'a Names,
    pub(super) reader: &'a Liveness,
}

impl Sorter<'_> {
    /// Sorts by a number from the disk, then by name.
    pub(super) fn sort<N: Ord + Default + Send>(
        &self,
        shown: &mut [u32],
        number: impl Fn(&Stat) -> N + Sync,
    ) {
        let of = |part: &[u32]| -> Vec<(N, u32)> {
            let stat = |it: u32| {
                let name = self.names.get(it as usize).filter(|_| self.reader.is_there())?;
                self.names.stat(&self.app.volume, name)
            };
            part.iter()
                .map(|it| (stat(*it).as_ref().map(&number).unwrap_or_default(), *it))
                .collect()
        };
        let mut numbers = if shown.len() < WORTH_A_THREAD {
            of(shown)
        } else {
            let (left, right) = shown.split_at(shown.len() / 2);
            std::thread::scope(|scope| {
                let right = scope.spawn(|| of(right));
                let mut numbers = of(left);
                numbers.extend(right.join().unwrap_or_else(|it| std::panic::resume_unwind(it)));
                numbers
            })
        };
        // Positions are in the order of names, and no two are equal.
        numbers.sort_unstable();
        for (position, (_, index)) in shown.iter_mut().zip(numbers) {
            *position = index;
        }
    }
}

/// Whether the client still waits for the response or reads it, for the threads that work on it. The response holds the `Arc`, so all
/// threads know at once when it is dropped.
#[derive(Clone)]
pub(super) struct Liveness(Weak<()>);

impl Liveness {
    pub(super) fn of(answered: &Arc<()>) -> Liveness {
        Liveness(Arc::downgrade(answered))
    }

    pub(super) fn is_there(&self) -> bool {
        self.0.strong_count() > 0
    }
}
