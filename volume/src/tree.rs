//! Moves, copies and new folders: changes of the tree that bring nothing in from outside.
//!
//! Each appears whole, by one rename. It replaces nothing unless the caller asks for that; then the replaced thing goes to the trash.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use jiff::Timestamp;
use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;

use crate::copy_name;
use crate::names::{Kind, Names};
use crate::on_conflict::OnConflict;
use crate::parent_dir::{CurrentEntry, DirEntryTarget, TargetError};
use crate::path::{Refusal, RelPath};
use crate::staged_folder::{PartError, StagedFolder};
use crate::staging::{PublishError, StageError, Staged};
use crate::stat::FileId;
use crate::trash::{DiscardError, DiscardTarget};
use crate::volume::{Blocking, FindError, Found, FoundFile, FoundFolder, Volume};

/// The number of names `name (2)`, `name (3)`, … that are tried.
const MOST_COPIES: u32 = 10_000;
/// Bytes between two checks whether a copy is still wanted.
const STEP: u64 = 8 << 20;

/// The progress of a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copying {
    /// Files that are complete.
    pub files: u64,
    /// Bytes copied so far.
    pub bytes: u64,
}

/// The result of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Its path. With [`OnConflict::KeepBoth`] it may differ from the path that was asked for.
    pub path: RelPath,
    /// The number of files and bytes.
    pub size: Copying,
    /// The number of links to folders. They are not copied, since they could lead in a circle.
    pub links_left_out: u64,
    /// The name in the trash of what it replaced.
    pub replaced: Option<Vec<u8>>,
}

/// The result of a move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Its new path. With [`OnConflict::KeepBoth`] it may differ from the path that was asked for.
    pub path: RelPath,
    /// The name in the trash of what it replaced.
    pub replaced: Option<Vec<u8>>,
}

/// A copy that is complete and not visible yet. Removed when dropped.
#[derive(Debug)]
pub struct PreparedCopy {
    volume: Arc<Volume>,
    staged: StagedCopy,
    from: RelPath,
    size: Copying,
    links_left_out: u64,
}

#[derive(Debug)]
enum StagedCopy {
    File(Staged),
    Folder(StagedFolder),
}

/// Called with the progress now and then. Its result is whether to go on, or to stop and leave no trace.
pub type Progress<'a, T> = &'a mut dyn FnMut(&T) -> ControlFlow<()>;

/// Why the tree was not changed.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Nothing is there.
    #[error("there is nothing at `{path}`")]
    Missing {
        /// The path.
        path: RelPath,
    },
    /// Something has the name already.
    #[error("`{to}` already exists")]
    Occupied {
        /// The path.
        to: RelPath,
    },
    /// A folder can't be put into itself.
    #[error("`{path}` can't be put into itself")]
    IntoItself {
        /// The folder.
        path: RelPath,
    },
    /// The thing to be replaced holds the thing that should replace it.
    #[error("`{to}` can't be replaced by something in it")]
    FromWithin {
        /// The thing to be replaced.
        to: RelPath,
    },
    /// The folder is not empty.
    #[error("`{path}` is not empty")]
    NotEmpty {
        /// The folder.
        path: RelPath,
    },
    /// No name beside it is free.
    #[error("there is no free name beside `{to}`")]
    NoName {
        /// The path.
        to: RelPath,
        /// Why the last name that was tried is invalid.
        source: Option<Refusal>,
    },
    /// The caller stopped it; nothing is left of it.
    #[error("stopped; nothing was changed")]
    Stopped,
    /// A folder on the way can't be opened or changed.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The thing to be copied can't be found.
    #[error(transparent)]
    Find(#[from] FindError),
    /// The thing to be replaced can't be moved to the trash.
    #[error(transparent)]
    Discard(#[from] DiscardError),
    /// The copy can't be written.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// A copied folder can't be put together.
    #[error(transparent)]
    Part(#[from] PartError),
    /// The copy can't be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A system call failed.
    #[error("could not change `{path}`")]
    Io {
        /// The path.
        path: RelPath,
        /// The system's error.
        source: io::Error,
    },
}

impl Volume {
    /// Moves or renames a file, a folder or a link, by one rename.
    ///
    /// Creates missing folders above the new path. If something is replaced, the trash records `user` as the deleting user.
    pub fn move_to(
        &self,
        from: &RelPath,
        to: &RelPath,
        exists: OnConflict,
        user: &str,
        may_write: &dyn Fn(&RelPath) -> bool,
    ) -> Result<Moved, TreeError> {
        let failed = |errno: Errno| TreeError::Io { path: from.clone(), source: errno.into() };
        let source = self.place(from, may_write)?;
        let there = source.there().map_err(failed)?;
        if there == CurrentEntry::Nothing {
            return Err(TreeError::Missing { path: from.clone() });
        }
        let is_folder = there == CurrentEntry::Folder;
        if is_folder && to != from && to.is_within(from) {
            return Err(TreeError::IntoItself { path: from.clone() });
        }
        if from == to {
            return Err(TreeError::Occupied { to: to.clone() });
        }
        if exists == OnConflict::Replace && from.is_within(to) {
            return Err(TreeError::FromWithin { to: to.clone() });
        }
        let mut place = self.make_place(to, may_write)?;
        let replaced = match exists {
            OnConflict::Replace => self.clear(to, &place, user, may_write)?,
            OnConflict::Refuse | OnConflict::KeepBoth => None,
        };
        let name = rename_beside(&source, &mut place, to, is_folder, exists);
        let name = self.or_put_back(name, replaced.as_deref(), to)?;
        place
            .sync()
            .and_then(|()| source.sync())
            .map_err(|it| TreeError::Io { path: from.clone(), source: it })?;
        Ok(Moved { path: beside(to, &name)?, replaced })
    }

    /// Removes an empty folder.
    pub fn remove_empty_folder(
        &self,
        path: &RelPath,
        may_write: &dyn Fn(&RelPath) -> bool,
    ) -> Result<(), TreeError> {
        let place = self.place(path, may_write)?;
        let flags = AtFlags::REMOVEDIR;
        match rustix::fs::unlinkat(&place.folder.handle, place.name.as_slice(), flags) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Err(TreeError::Missing { path: path.clone() }),
            Err(Errno::NOTEMPTY | Errno::EXIST) => {
                return Err(TreeError::NotEmpty { path: path.clone() });
            }
            Err(errno) => {
                return Err(TreeError::Io { path: path.clone(), source: errno.into() });
            }
        }
        place.sync().map_err(|source| TreeError::Io { path: path.clone(), source })
    }

    /// Identifies the file, folder or link that a path names now. A link is not followed.
    pub fn file_id(&self, path: &RelPath) -> Result<FileId, TreeError> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(TargetError::IsRoot.into());
        };
        let Found::Folder(folder) = self.find(&parent, Blocking::MayBlock)? else {
            return Err(TreeError::Missing { path: path.clone() });
        };
        FileId::of(&folder.handle, name).map_err(|errno| match errno {
            Errno::NOENT => TreeError::Missing { path: path.clone() },
            errno => TreeError::Io { path: path.clone(), source: errno.into() },
        })
    }

    /// Creates a folder, and missing folders above it.
    pub fn new_folder(
        &self,
        path: &RelPath,
        may_write: &dyn Fn(&RelPath) -> bool,
    ) -> Result<(), TreeError> {
        let place = self.make_place(path, may_write)?;
        let there = place.there();
        match there.map_err(|it| TreeError::Io { path: path.clone(), source: it.into() })? {
            CurrentEntry::Nothing => Ok(self.make_folder(&place, path)?),
            CurrentEntry::Folder | CurrentEntry::File(_) => {
                Err(TreeError::Occupied { to: path.clone() })
            }
        }
    }

    /// Copies a file or a folder. A link to a file is copied as that file; hidden names are left out.
    ///
    /// The copy is not visible before it is complete. `tell` is called every few megabytes.
    pub fn copy_to(
        self: &Arc<Volume>,
        from: &RelPath,
        to: &RelPath,
        exists: OnConflict,
        user: &str,
        may_write: &dyn Fn(&RelPath) -> bool,
        tell: Progress<'_, Copying>,
    ) -> Result<Copied, TreeError> {
        self.check_copy(from, to, exists)?;
        self.prepare_copy(from, tell)?.publish(to, exists, user, may_write)
    }

    /// Whether a copy could be put there, as far as the names tell.
    fn check_copy(
        &self,
        from: &RelPath,
        to: &RelPath,
        exists: OnConflict,
    ) -> Result<(), TreeError> {
        if from == to && exists != OnConflict::KeepBoth {
            return Err(TreeError::Occupied { to: to.clone() });
        }
        if exists == OnConflict::Replace && from.is_within(to) {
            return Err(TreeError::FromWithin { to: to.clone() });
        }
        let is_inside = to != from && to.is_within(from);
        if is_inside && matches!(self.find(from, Blocking::MayBlock)?, Found::Folder(_)) {
            return Err(TreeError::IntoItself { path: from.clone() });
        }
        Ok(())
    }

    /// Copies a file or a folder into staging. So several copies can be made and then all be published.
    ///
    /// `tell` is called every few megabytes.
    pub fn prepare_copy(
        self: &Arc<Volume>,
        from: &RelPath,
        tell: Progress<'_, Copying>,
    ) -> Result<PreparedCopy, TreeError> {
        let mut copy = Copy { volume: self, tell, size: Copying::default() };
        let (staged, links_left_out) = match self.find(from, Blocking::MayBlock)? {
            Found::File(file) => (StagedCopy::File(copy.file(from, &file)?), 0),
            Found::Folder(folder) => {
                let (staged, links_left_out) = copy.folder(from, folder)?;
                (StagedCopy::Folder(staged), links_left_out)
            }
        };
        let size = copy.size;
        Ok(PreparedCopy {
            volume: Arc::clone(self),
            from: from.clone(),
            staged,
            size,
            links_left_out,
        })
    }

    /// Frees space for copies of all of these, or removes nothing.
    pub fn make_room_for_copies(self: &Arc<Volume>, all: &[&RelPath]) -> Result<(), TreeError> {
        let mut needed: u64 = 0;
        for from in all {
            let mut add = |file: &FoundFile| needed = needed.saturating_add(file.stat.len);
            match self.find(from, Blocking::MayBlock)? {
                Found::File(file) => add(&file),
                Found::Folder(folder) => {
                    let take = &mut |it: Part<'_>| {
                        if let Part::File(_, file, _) = it {
                            add(&file);
                        }
                        Ok(())
                    };
                    each_part(self, from, folder, &RelPath::root(), take, &mut 0)?;
                }
            }
        }
        let room = self.make_room(needed).map_err(StageError::Io)?;
        Ok(room.map_err(StageError::NoRoom)?)
    }

    /// Restores what was moved to the trash if its replacement failed.
    fn or_put_back<T, E>(
        &self,
        result: Result<T, E>,
        replaced: Option<&[u8]>,
        to: &RelPath,
    ) -> Result<T, E> {
        if let (Err(_), Some(name)) = (&result, replaced) {
            // If that fails too, it stays in the trash, and the caller gets the first error.
            self.restore(name, Some(to)).map(drop).unwrap_or_default();
        }
        result
    }

    /// Moves what has a name to the trash. Returns its name there; `None` if nothing had the name.
    fn clear(
        &self,
        to: &RelPath,
        place: &DirEntryTarget,
        user: &str,
        may_write: &dyn Fn(&RelPath) -> bool,
    ) -> Result<Option<Vec<u8>>, TreeError> {
        let there = place.there();
        let wanted =
            match there.map_err(|it| TreeError::Io { path: to.clone(), source: it.into() })? {
                CurrentEntry::Nothing => return Ok(None),
                CurrentEntry::Folder => DiscardTarget::Folder,
                CurrentEntry::File(_) => DiscardTarget::File,
            };
        Ok(Some(self.discard(to, wanted, user, Timestamp::now(), may_write)?))
    }
}

impl PreparedCopy {
    /// Makes it visible, by one rename. What it replaces goes to the trash, which records `user` as the deleting user.
    pub fn publish(
        self,
        to: &RelPath,
        exists: OnConflict,
        user: &str,
        may_write: &dyn Fn(&RelPath) -> bool,
    ) -> Result<Copied, TreeError> {
        let PreparedCopy { volume, staged, from, size, links_left_out } = self;
        volume.check_copy(&from, to, exists)?;
        let place = volume.make_place(to, may_write)?;
        let there =
            place.there().map_err(|it| TreeError::Io { path: to.clone(), source: it.into() })?;
        // Two folders are exchanged in one step.
        let is_exchange = matches!(staged, StagedCopy::Folder(_)) && there == CurrentEntry::Folder;
        let (exists, replaced) = match exists {
            OnConflict::Replace if !is_exchange => {
                (OnConflict::Refuse, volume.clear(to, &place, user, may_write)?)
            }
            exists => (exists, None),
        };
        let published = match staged {
            StagedCopy::File(staged) => staged.publish(to, exists.into(), may_write),
            StagedCopy::Folder(staged) => staged.publish(to, exists, user, may_write),
        };
        let published = volume.or_put_back(published, replaced.as_deref(), to)?;
        let (path, replaced) = (published.path, replaced.or(published.trashed));
        Ok(Copied { path, size, links_left_out, replaced })
    }
}

impl DirEntryTarget {
    /// Moves what has this name to another; `EEXIST` where that is taken.
    pub(crate) fn rename_to_free(&self, to: &DirEntryTarget) -> Result<(), Errno> {
        let (from, into) = (&self.folder.handle, &to.folder.handle);
        let flags = RenameFlags::NOREPLACE;
        rustix::fs::renameat_with(from, self.name.as_slice(), into, to.name.as_slice(), flags)
    }
}

/// The parts of a folder's copy, each folder before its contents.
enum Part<'a> {
    /// Its path in the copy.
    Folder(&'a RelPath),
    /// The original's path, the original, and its path in the copy.
    File(&'a RelPath, FoundFile, &'a RelPath),
}

/// Walks a folder that is to be copied, and calls `take` with each part of the copy.
fn each_part(
    volume: &Volume,
    from: &RelPath,
    folder: FoundFolder,
    at: &RelPath,
    take: &mut dyn FnMut(Part<'_>) -> Result<(), TreeError>,
    links_left_out: &mut u64,
) -> Result<(), TreeError> {
    let failed = |source| TreeError::Io { path: from.clone(), source };
    let no_name = |it| TreeError::NoName { to: from.clone(), source: Some(it) };
    let names = Names::read(volume, folder, from, |_| true).map_err(failed)?;
    take(Part::Folder(at))?;
    for name in (0..names.len()).filter_map(|it| names.get(it)) {
        if name.kind == Kind::Folder && name.is_link {
            *links_left_out += 1;
            continue;
        }
        let from = from.join(name.bytes).map_err(no_name)?;
        let at = at.join(name.bytes).map_err(no_name)?;
        match volume.find(&from, Blocking::MayBlock) {
            // It was removed while the folder was copied, so the copy does not have it.
            Err(FindError::Missing { .. }) => {}
            Err(error) => return Err(error.into()),
            Ok(Found::Folder(folder)) => {
                each_part(volume, &from, folder, &at, take, links_left_out)?;
            }
            Ok(Found::File(file)) => take(Part::File(&from, file, &at))?,
        }
    }
    Ok(())
}

struct Copy<'a, 't> {
    volume: &'a Arc<Volume>,
    tell: Progress<'t, Copying>,
    size: Copying,
}

impl Copy<'_, '_> {
    /// Copies a folder into staging. Also returns the number of links to folders that were left out.
    fn folder(
        &mut self,
        from: &RelPath,
        folder: FoundFolder,
    ) -> Result<(StagedFolder, u64), TreeError> {
        let volume = self.volume;
        // If there is no space for all of it, the trash is not touched.
        let (mut needed, mut seen): (u64, u64) = (0, 0);
        let again = volume.find(from, Blocking::MayBlock)?;
        each_part(
            volume,
            from,
            folder,
            &RelPath::root(),
            &mut |it| {
                if let Part::File(_, file, _) = it {
                    needed = needed.saturating_add(file.stat.len);
                }
                if (self.tell)(&self.size).is_break() { Err(TreeError::Stopped) } else { Ok(()) }
            },
            &mut seen,
        )?;
        let room = volume.make_room(needed).map_err(StageError::Io)?;
        room.map_err(StageError::NoRoom)?;
        let staged = volume.stage_folder()?;
        let mut links_left_out = 0;
        if let Found::Folder(folder) = again {
            each_part(
                volume,
                from,
                folder,
                &RelPath::root(),
                &mut |it| match it {
                    Part::Folder(at) => Ok(staged.make_folder(at)?),
                    Part::File(from, found, at) => {
                        let file = volume.stage_in_room(found.stat.len)?;
                        Ok(staged.put(self.fill(file, from, &found)?, at)?)
                    }
                },
                &mut links_left_out,
            )?;
        }
        Ok((staged, links_left_out))
    }

    fn file(&mut self, from: &RelPath, found: &FoundFile) -> Result<Staged, TreeError> {
        let staged = self.volume.stage(Some(found.stat.len))?;
        self.fill(staged, from, found)
    }

    fn fill(
        &mut self,
        mut staged: Staged,
        from: &RelPath,
        found: &FoundFile,
    ) -> Result<Staged, TreeError> {
        let failed = |source| TreeError::Io { path: from.clone(), source };
        let file = found.open().map_err(failed)?;
        loop {
            if (self.tell)(&self.size).is_break() {
                return Err(TreeError::Stopped);
            }
            let copied = append(&mut staged, &file, STEP).map_err(|it| match it {
                Appending::Read(source) => failed(source),
                Appending::Write(error) => error.into(),
            })?;
            self.size.bytes += copied;
            if copied == 0 {
                self.size.files += 1;
                return Ok(staged);
            }
        }
    }
}

enum Appending {
    Read(io::Error),
    Write(StageError),
}

/// Appends the next bytes of a file. The kernel copies them where it can: within one file system.
fn append(staged: &mut Staged, from: &File, len: u64) -> Result<u64, Appending> {
    let at = staged.len();
    match staged.append(from, at, len) {
        Err(StageError::Io(error)) if error.kind() == io::ErrorKind::CrossesDevices => {}
        result => return result.map_err(Appending::Write),
    }
    let mut buffer = vec![0; 1 << 20];
    let read = from.read_at(&mut buffer, at).map_err(Appending::Read)?;
    staged.write(buffer.get(..read).unwrap_or_default()).map_err(Appending::Write)?;
    Ok(read as u64)
}

/// Moves something to a free name: this one, or with [`OnConflict::KeepBoth`] the next that is free. Returns the name.
fn rename_beside(
    source: &DirEntryTarget,
    place: &mut DirEntryTarget,
    to: &RelPath,
    is_folder: bool,
    exists: OnConflict,
) -> Result<Vec<u8>, TreeError> {
    let name = place.name.clone();
    for copy in 2..MOST_COPIES {
        match source.rename_to_free(place) {
            Ok(()) => return Ok(place.name.clone()),
            Err(Errno::EXIST) if exists == OnConflict::KeepBoth => {
                place.name = copy_name::beside(&name, is_folder, copy);
            }
            Err(Errno::EXIST) => return Err(TreeError::Occupied { to: to.clone() }),
            Err(errno) => return Err(TreeError::Io { path: to.clone(), source: errno.into() }),
        }
    }
    Err(TreeError::NoName { to: to.clone(), source: None })
}

/// The path of another name in the same folder.
fn beside(path: &RelPath, name: &[u8]) -> Result<RelPath, TreeError> {
    let folder = path.parent().unwrap_or_default();
    folder.join(name).map_err(|it| TreeError::NoName { to: path.clone(), source: Some(it) })
}
