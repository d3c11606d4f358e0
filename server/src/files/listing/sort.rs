//! The order of a listing.

use std::sync::{Arc, Weak};

use volume::Stat;
use volume::names::Names;

use crate::app::App;
use crate::problem::Problem;

/// Entries that are not worth a second thread, where all are asked before the first is written.
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
    /// Folders stay first. Sizes and dates are asked of all entries, and one number is kept of each.
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

/// What is asked of the disk for all entries at once.
pub(super) struct Sorter<'a> {
    pub(super) app: &'a App,
    pub(super) names: &'a Names,
    pub(super) reader: &'a Liveness,
}

impl Sorter<'_> {
    /// By a number that the disk knows, and by name where that is the same.
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

/// Whoever waits for an answer or reads it, as the threads see it that work for it. The answer holds the `Arc`, so all
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
