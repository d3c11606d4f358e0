//! Moves and copies: one thing or several, as a group or not at all.
//!
//! The screen and the commands both come here. First all is looked at that could be in the way, and nothing is done where
//! something is. Copies are all made where nobody sees them before the first gets its name. What fails in the middle
//! all the same is taken back.

use std::collections::HashSet;
use std::ops::ControlFlow;

use volume::OnConflict;
use volume::tree::{Copying, PreparedCopy};
use volume::{Blocking, Found, RelPath};

use super::undo::Step;
use super::{Desk, Failure, WHO, anywhere, shown};
use crate::text;

/// How many of those in the way are named.
const MOST_NAMED: usize = 3;

/// Whether things leave where they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relocating {
    /// They do.
    Move,
    /// They stay there too.
    Copy,
}

/// Where things go, as somebody writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The path.
    pub path: RelPath,
    /// Whether it ends in a slash: then it is a folder, and never a new name.
    pub is_folder: bool,
}

/// What is to be moved or copied.
#[derive(Clone, Debug)]
pub struct Relocation {
    /// Which of the two.
    pub how: Relocating,
    /// What.
    pub from: Vec<RelPath>,
    /// Where to.
    pub to: Destination,
    /// What to do where a name is taken.
    pub exists: OnConflict,
    /// Whether the folder is made where it is missing.
    pub makes_folder: bool,
}

/// What was moved or copied.
#[derive(Debug, Default)]
pub struct Relocated {
    /// Where each is now, and how many links to folders were left out of it.
    pub things: Vec<(RelPath, u64)>,
    /// What was done, in its order.
    pub steps: Vec<Step>,
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The thing it is at.
    pub at: &'a RelPath,
    /// How many were before it.
    pub done: usize,
    /// What was copied of it so far.
    pub copied: Copying,
}

/// Why nothing was moved or copied.
#[derive(Debug)]
pub enum NotRelocated {
    /// The folder is missing: it may be made.
    NoFolder(RelPath),
    /// Nothing was changed.
    Refused(Failure),
    /// It failed in the middle, and not all could be taken back: what was done still.
    Partly(Failure, Vec<Step>),
}

impl From<Failure> for NotRelocated {
    fn from(failure: Failure) -> NotRelocated {
        NotRelocated::Refused(failure)
    }
}

impl Relocating {
    /// As in "was moved".
    pub fn done(self) -> &'static str {
        match self {
            Relocating::Move => "moved",
            Relocating::Copy => "copied",
        }
    }
}

impl Destination {
    /// A path, and the text that it was written as.
    pub fn written(path: RelPath, text: &[u8]) -> Destination {
        let is_folder = path.is_root() || text.ends_with(b"/");
        Destination { path, is_folder }
    }
}

/// One thing, and the path that it gets.
struct Going {
    from: RelPath,
    to: RelPath,
}

/// Asked now and then: go on, or stop and leave no trace.
type Tell<'a> = &'a mut dyn FnMut(Progress<'_>) -> ControlFlow<()>;

impl Desk {
    /// Moves or copies all of them, or none.
    pub fn relocate(&self, what: &Relocation, tell: Tell<'_>) -> Result<Relocated, NotRelocated> {
        let going = self.targets(what)?;
        self.look_ahead(what, &going)?;
        let mut done = Relocated::default();
        let result = match what.how {
            Relocating::Move => self.move_all(what, &going, &mut done, tell),
            Relocating::Copy => self.copy_all(what, &going, &mut done, tell),
        };
        let Err(failure) = result else { return Ok(done) };
        let left = self.take_back(done.steps).left;
        if left.is_empty() {
            let why = format!("nothing was {}: {}", what.how.done(), failure.what);
            return Err(NotRelocated::Refused(Failure { what: why, ..failure }));
        }
        Err(NotRelocated::Partly(failure, left))
    }

    /// The path that each gets: in the folder, or for one thing a new name.
    fn targets(&self, what: &Relocation) -> Result<Vec<Going>, NotRelocated> {
        let Destination { path: to, is_folder } = &what.to;
        let needs_folder = *is_folder || what.from.len() > 1;
        let into = match self.volume.find(to, Blocking::MayBlock) {
            Ok(Found::Folder(_)) => true,
            Ok(Found::File(_)) if needs_folder => {
                let why = if *is_folder { "a slash at the end means one" } else { SEVERAL };
                return Err(Failure::new(format!("`{}` is not a folder: {why}", shown(to))).into());
            }
            Err(volume::FindError::Missing { .. }) if needs_folder && !what.makes_folder => {
                return Err(NotRelocated::NoFolder(to.clone()));
            }
            _ => needs_folder,
        };
        let target = |from: &RelPath| match from.file_name() {
            Some(name) if into => Ok(to.join(name).map_err(Failure::from)?),
            Some(_) => Ok(to.clone()),
            None => Err(Failure::new("the volume's root stays where it is")),
        };
        what.from.iter().map(|from| Ok(Going { from: from.clone(), to: target(from)? })).collect()
    }

    /// Whatever is known to be in the way is said before anything is done.
    fn look_ahead(&self, what: &Relocation, going: &[Going]) -> Result<(), Failure> {
        let mut names = HashSet::new();
        let mut taken = Vec::new();
        for Going { from, to } in going {
            let is_there = self.volume.file_id(to).is_ok();
            self.volume.file_id(from)?;
            if from == to && (what.how == Relocating::Move || what.exists != OnConflict::KeepBoth) {
                return Err(Failure::new(format!("`{}` is there already", shown(to))));
            }
            if to != from && to.is_within(from) {
                let name = shown(from);
                return Err(Failure::new(format!("`{name}` can't be put into itself")));
            }
            if let Some(above) =
                going.iter().find(|it| it.from != *from && from.is_within(&it.from))
            {
                let (one, all) = (shown(from), shown(&above.from));
                return Err(Failure::new(format!(
                    "`{one}` goes with `{all}`: name one of the two"
                )));
            }
            if what.exists == OnConflict::Replace && from.is_within(to) {
                let name = shown(to);
                return Err(Failure::new(format!("`{name}` can't be replaced by something in it")));
            }
            if !names.insert(to) && what.exists != OnConflict::KeepBoth {
                return Err(Failure::new(format!("two of them would become `{}`", shown(to))));
            }
            if is_there && what.exists == OnConflict::Refuse {
                taken.push(format!("`{}`", shown(to)));
            }
        }
        if taken.is_empty() {
            return Ok(());
        }
        let more = taken.len().saturating_sub(MOST_NAMED);
        taken.truncate(MOST_NAMED);
        if more > 0 {
            taken.push(format!("{} more", text::count(more as u64)));
        }
        let verb = if taken.len() == 1 { "exists" } else { "exist" };
        let (taken, done) = (taken.join(", "), what.how.done());
        Err(Failure::new(format!("{taken} already {verb}: nothing was {done}")))
    }

    fn move_all(
        &self,
        what: &Relocation,
        going: &[Going],
        done: &mut Relocated,
        tell: Tell<'_>,
    ) -> Result<(), Failure> {
        for (number, Going { from, to }) in going.iter().enumerate() {
            go_on(tell(Progress { at: from, done: number, copied: Copying::default() }))?;
            self.make_folders_above(to, &mut done.steps)?;
            let path = self.move_one(from, to, what.exists, &mut done.steps)?;
            done.things.push((path, 0));
        }
        Ok(())
    }

    fn copy_all(
        &self,
        what: &Relocation,
        going: &[Going],
        done: &mut Relocated,
        tell: Tell<'_>,
    ) -> Result<(), Failure> {
        let prepare = |(number, going): (usize, &Going)| {
            let tell = &mut |copied: &Copying| {
                tell(Progress { at: &going.from, done: number, copied: *copied })
            };
            self.volume.prepare_copy(&going.from, tell)
        };
        // Room is made for what can come only.
        for Going { to, .. } in going {
            self.volume.check_place(to, &anywhere)?;
        }
        let all: Vec<&RelPath> = going.iter().map(|it| &it.from).collect();
        self.volume.make_room_for_copies(&all)?;
        let copies: Vec<PreparedCopy> =
            going.iter().enumerate().map(prepare).collect::<Result<_, _>>()?;
        for (copy, Going { to, .. }) in copies.into_iter().zip(going) {
            self.make_folders_above(to, &mut done.steps)?;
            let published = copy.publish(to, what.exists, WHO, &anywhere)?;
            if let Some(name) = published.replaced {
                done.steps.push(self.trashed_step(to, name));
            }
            done.steps.push(self.came_step(&published.path));
            done.things.push((published.path, published.links_left_out));
        }
        Ok(())
    }

    /// Moves or renames one thing, and writes down what was done.
    pub fn move_one(
        &self,
        from: &RelPath,
        to: &RelPath,
        exists: OnConflict,
        steps: &mut Vec<Step>,
    ) -> Result<RelPath, Failure> {
        let moved = self.volume.move_to(from, to, exists, WHO, &anywhere)?;
        if let Some(name) = moved.replaced {
            steps.push(self.trashed_step(to, name));
        }
        let id = self.volume.file_id(&moved.path).ok();
        steps.push(Step::Moved { from: from.clone(), to: moved.path.clone(), id });
        Ok(moved.path)
    }

    /// Does something for which the folders above a path are made; where it fails, they go again.
    pub fn with_folders_above<T>(
        &self,
        path: &RelPath,
        steps: &mut Vec<Step>,
        act: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let result = self.make_folders_above(path, steps).and_then(|()| act());
        if result.is_err() {
            self.take_back(std::mem::take(steps));
        }
        result
    }

    /// Makes the folders above a path that are missing, and writes down which.
    pub fn make_folders_above(&self, path: &RelPath, steps: &mut Vec<Step>) -> Result<(), Failure> {
        let Some(folder) = path.parent().filter(|it| !it.is_root()) else { return Ok(()) };
        if self.volume.find(&folder, Blocking::MayBlock).is_ok() {
            return Ok(());
        }
        self.make_folders_above(&folder, steps)?;
        self.volume.new_folder(&folder, &anywhere)?;
        steps.push(Step::MadeFolder(folder));
        Ok(())
    }
}

/// Why several items are not given a file's name.
const SEVERAL: &str = "several items need one to go to";

fn go_on(asked: ControlFlow<()>) -> Result<(), Failure> {
    if asked.is_break() { Err(Failure::new("stopped")) } else { Ok(()) }
}
