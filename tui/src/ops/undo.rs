//! Changes taken back, step by step.
//!
//! A change writes down its steps, and what it left behind at each. A step is taken back only while that is still there:
//! what somebody else has put or changed there since stays, and is said. Nothing that is taken back is lost: what was
//! made goes to the trash, and a folder is removed only when nothing is in it.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use volume::OnConflict;
use volume::keys::sheet::change::SheetChange;
use volume::trash::Trashed;
use volume::{Blocking, FileId, Found, RelPath, Stat};

use super::files::InFolder;
use super::{Desk, Failure, WHO, anywhere, shown};
use crate::text;

/// How a change is undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undo {
    /// The change, as it was told: `moved 3 things to /zurich`.
    pub what: String,
    /// What it did, in its order.
    pub steps: Vec<Step>,
    /// Whether it was tried before: these are what could not be taken back then.
    pub is_rest: bool,
    /// The id of the key that it changed, if it changed one.
    pub key: Option<String>,
}

/// What a change did, and how it was before.
#[derive(Clone, PartialEq, Eq)]
pub enum Step {
    /// A folder was made.
    MadeFolder(RelPath),
    /// Something was moved.
    Moved {
        /// Where from.
        from: RelPath,
        /// Where to.
        to: RelPath,
        /// What it is.
        id: Option<FileId>,
    },
    /// Something went to the trash.
    Trashed {
        /// Where from.
        path: RelPath,
        /// Its name in the trash.
        name: Vec<u8>,
        /// What it is.
        id: Option<FileId>,
    },
    /// Something with a hidden name went to the trash.
    TrashedHidden {
        /// Where from: its folder and its name there.
        from: InFolder,
        /// Its name in the trash.
        name: Vec<u8>,
        /// What it is.
        id: Option<FileId>,
    },
    /// A copy came, or a new file.
    Came {
        /// Where to.
        path: RelPath,
        /// A print of it as it was then.
        print: Option<u64>,
    },
    /// Something came from the trash.
    Restored {
        /// Where to.
        path: RelPath,
        /// A print of it as it was then.
        print: Option<u64>,
        /// What the trash said of it.
        before: Trashed,
    },
    /// A text was written.
    Wrote {
        /// Into which file.
        path: RelPath,
        /// The text before it.
        before: Vec<u8>,
        /// When that was written.
        modified: i128,
        /// The file with the new text.
        now: Written,
    },
    /// Lines of the keys file were changed.
    Keys(SheetChange),
}

/// Shows neither keys nor texts.
impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Step::MadeFolder(path) => write!(f, "MadeFolder({path})"),
            Step::Moved { from, to, .. } => write!(f, "Moved({from}, {to})"),
            Step::Trashed { path, .. } => write!(f, "Trashed({path})"),
            Step::TrashedHidden { from, .. } => write!(f, "TrashedHidden({from:?})"),
            Step::Came { path, .. } => write!(f, "Came({path})"),
            Step::Restored { path, .. } => write!(f, "Restored({path})"),
            Step::Wrote { path, .. } => write!(f, "Wrote({path})"),
            Step::Keys(change) => write!(f, "Keys({change:?})"),
        }
    }
}

/// A file as somebody has written it. A rename does not change it, as it changes a [`Stat`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Which file it is.
    pub id: Option<FileId>,
    len: u64,
    modified: i128,
}

/// What came of taking steps back.
#[derive(Debug, Default)]
pub struct TakenBack {
    /// How many were.
    pub done: usize,
    /// How many things went to the trash by it.
    pub to_trash: usize,
    /// Those that could not be, in their order.
    pub left: Vec<Step>,
    /// Why, for the first that was tried.
    pub why: Option<Failure>,
    /// Files that are others now, though to whoever works with them they are the same.
    pub became: Vec<(FileId, FileId)>,
}

impl Undo {
    /// Of a change.
    pub fn new(what: impl Into<String>, steps: Vec<Step>) -> Undo {
        Undo { what: what.into(), steps, is_rest: false, key: None }
    }

    /// Where the cursor goes when it is taken back.
    pub fn place(&self) -> Option<&RelPath> {
        match self.steps.first()? {
            Step::Moved { from: path, .. }
            | Step::Trashed { path, .. }
            | Step::Wrote { path, .. } => Some(path),
            Step::MadeFolder(_)
            | Step::TrashedHidden { .. }
            | Step::Came { .. }
            | Step::Restored { .. }
            | Step::Keys(_) => None,
        }
    }

    /// A file is another one now, though to whoever works with it it is the same.
    pub fn became(&mut self, old: FileId, new: FileId) {
        for step in &mut self.steps {
            let id = match step {
                Step::Moved { id, .. }
                | Step::Trashed { id, .. }
                | Step::TrashedHidden { id, .. } => id,
                Step::Wrote { now, .. } => &mut now.id,
                Step::MadeFolder(_) | Step::Came { .. } | Step::Restored { .. } | Step::Keys(_) => {
                    continue;
                }
            };
            if *id == Some(old) {
                *id = Some(new);
            }
        }
    }
}

impl Desk {
    /// Takes back what can be, the last step first. One that can't be keeps none of the others from it.
    pub fn take_back(&self, steps: Vec<Step>) -> TakenBack {
        let mut result = TakenBack::default();
        for step in steps.into_iter().rev() {
            match self.take_back_one(&step) {
                Ok(became) => {
                    result.done += 1;
                    let is_trashed = matches!(step, Step::Came { .. } | Step::Restored { .. });
                    result.to_trash += usize::from(is_trashed);
                    result.became.extend(became);
                }
                Err(failure) => {
                    result.why.get_or_insert(failure);
                    result.left.insert(0, step);
                }
            }
        }
        result
    }

    fn take_back_one(&self, step: &Step) -> Result<Option<(FileId, FileId)>, Failure> {
        match step {
            Step::MadeFolder(path) => self.volume.remove_empty_folder(path, &anywhere)?,
            Step::Moved { from, to, id } => {
                if self.volume.file_id(to).ok() != *id {
                    return Err(not_the_same(to));
                }
                self.volume.move_to(to, from, OnConflict::Refuse, WHO, &anywhere)?;
            }
            Step::Trashed { path, name, id } => {
                let name = self.name_in_trash(&shown(path), name, *id)?;
                self.volume.restore(&name, Some(path))?;
            }
            Step::TrashedHidden { from: (folder, hidden), name, id } => {
                let name = self.name_in_trash(&text::escape(hidden), name, *id)?;
                self.volume.restore_hidden(&name, folder, hidden)?;
            }
            Step::Came { path, print } => {
                if self.print(path) != *print {
                    return Err(changed(path));
                }
                self.discard(path)?;
            }
            Step::Restored { path, print, before } => {
                if self.print(path) != *print {
                    return Err(changed(path));
                }
                self.discard_again(path, before)?;
            }
            Step::Wrote { path, before, modified, now } => {
                let file = self.file(path)?;
                if self.written(path, file.stat) != *now {
                    return Err(changed(path));
                }
                let mut text = before.as_slice();
                self.write_dated(path, &mut text, Some(file.stat), Some(*modified))?;
                return Ok(now.id.zip(self.volume.file_id(path).ok()));
            }
            Step::Keys(change) => {
                self.volume.edit_keys(None, |sheet| sheet.take_back(change))?;
            }
        }
        Ok(None)
    }

    /// Something may have put other things into the trash and taken them out since, under the same names.
    fn name_in_trash(
        &self,
        shown: &str,
        name: &[u8],
        id: Option<FileId>,
    ) -> Result<Vec<u8>, Failure> {
        if self.volume.trashed_as(name)?.is_some_and(|it| Some(it.id) == id) {
            return Ok(name.to_vec());
        }
        let found = self.volume.trashed()?.into_iter().find(|it| Some(it.id) == id);
        found
            .map(|it| it.name)
            .ok_or_else(|| Failure::new(format!("`{shown}` is not in the trash any more")))
    }

    /// Which file or folder a path names now.
    pub fn id(&self, path: &RelPath) -> Option<FileId> {
        self.volume.file_id(path).ok()
    }

    /// Something that went to the trash.
    pub fn trashed_step(&self, path: &RelPath, name: Vec<u8>) -> Step {
        let id = self.volume.trashed_as(&name).ok().flatten().map(|it| it.id);
        Step::Trashed { path: path.clone(), name, id }
    }

    /// Something with a hidden name that went to the trash.
    pub fn trashed_hidden_step(&self, folder: &RelPath, hidden: &[u8], name: Vec<u8>) -> Step {
        let id = self.volume.trashed_as(&name).ok().flatten().map(|it| it.id);
        Step::TrashedHidden { from: (folder.clone(), hidden.to_vec()), name, id }
    }

    /// Something that came.
    pub fn came_step(&self, path: &RelPath) -> Step {
        Step::Came { path: path.clone(), print: self.print(path) }
    }

    /// Something that was restored from the trash.
    pub fn restored_step(&self, path: &RelPath, before: Trashed) -> Step {
        Step::Restored { path: path.clone(), print: self.print(path), before }
    }

    /// A text that was written, in the place of another.
    pub fn wrote_step(&self, path: &RelPath, before: Vec<u8>, modified: i128, now: Stat) -> Step {
        Step::Wrote { path: path.clone(), before, modified, now: self.written(path, now) }
    }

    fn written(&self, path: &RelPath, stat: Stat) -> Written {
        let id = self.volume.file_id(path).ok();
        Written { id, len: stat.len, modified: stat.modified }
    }

    /// What changes when anything is written, put or removed there or below: names, sizes, times.
    fn print(&self, path: &RelPath) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        self.add_to_print(path, &mut hasher).ok()?;
        Some(hasher.finish())
    }

    fn add_to_print(&self, path: &RelPath, hasher: &mut DefaultHasher) -> Result<(), Failure> {
        match self.volume.find(path, Blocking::MayBlock)? {
            Found::File(file) => (file.stat.len, file.stat.modified).hash(hasher),
            Found::Folder(_) => {
                let names = self.names(path)?;
                names.len().hash(hasher);
                for name in (0..names.len()).filter_map(|it| names.get(it)) {
                    name.bytes.hash(hasher);
                    // A link may lead in a circle.
                    if !name.is_link {
                        self.add_to_print(&path.join(name.bytes)?, hasher)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn not_the_same(path: &RelPath) -> Failure {
    Failure::new(format!("`{}` is not what was moved there: it stays", shown(path)))
}

fn changed(path: &RelPath) -> Failure {
    Failure::new(format!("`{}` was changed since: it stays", shown(path)))
}
