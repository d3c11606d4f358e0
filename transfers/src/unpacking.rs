//! Unpacks an archive that was sent as a file: a tar of `wormhole-rs`, which sends folders like this, or a zip.
//!
//! The archive is complete and staged. Its contents become a staged folder beside it. If that fails, the caller still has the archive.
//! Links and special files are refused, hidden names are left out. A single folder at the top becomes the folder itself.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use volume::RelPath;
use volume::staged_folder::StagedFolder;
use volume::staging::{PublishError, StageError, Staged};

use crate::preflight::{StorePlan, is_tar};
use crate::store_names::{SkippedNames, StoreError, WHO, place, safe};

/// The bytes of one read.
const BLOCK: usize = 256 << 10;
/// The most bytes that one byte of deflated data can give.
const MOST_OF_ONE: u64 = 1032;

/// The result of unpacking.
pub(crate) struct Unpacked {
    pub(crate) path: RelPath,
    pub(crate) hidden: SkippedNames,
}

/// Why an archive can't be unpacked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    /// It is not an archive, or a damaged one.
    #[error("it can't be read")]
    Read(#[source] io::Error),
    /// It is not a zip, or one that is not supported.
    #[error("it can't be read")]
    Zip(#[source] zip::result::ZipError),
    /// An entry is neither a file nor a folder.
    #[error("`{name}` is neither a file nor a folder")]
    Special { name: String },
    /// A zip announces more than it can hold.
    #[error("it can't hold as much as it says")]
    Bloated,
    /// A file in it is longer than the archive says.
    #[error("`{name}` is longer than the archive says")]
    Longer { name: String },
    /// A file in it is cut off.
    #[error("`{name}` is cut off")]
    Shorter { name: String },
    /// There is not enough space for its contents.
    #[error(transparent)]
    NoRoom(#[from] volume::space::NoRoom),
    /// A file can't be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing can be staged.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The folder can't be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// The kind of an entry.
enum Member {
    Folder,
    /// A file of this many bytes.
    File(u64),
    Special,
}

/// Unpacks a staged archive, and publishes its contents as planned.
pub(crate) fn unpack(staged: &Staged, plan: &StorePlan) -> Result<Unpacked, UnpackError> {
    let volume = staged.volume();
    let folder = volume.stage_folder()?;
    let archive = staged.read_again().map_err(UnpackError::Read)?;
    let mut into = Into { folder: &folder, top: Vec::new(), hidden: SkippedNames::default() };
    if is_tar(&plan.offer.name) {
        into.top = top(tar_names(&archive).map_err(UnpackError::Read)?);
        into.tar(&archive)?;
    } else {
        let length = archive.metadata().map_err(UnpackError::Read)?.len();
        let mut zip = zip::ZipArchive::new(archive).map_err(UnpackError::Zip)?;
        let names: Result<Vec<_>, _> =
            zip.file_names().map(|it| it.map(|it| it.as_bytes().to_vec())).collect();
        into.top = top(names.map_err(UnpackError::Zip)?);
        let announced = zip_size(&mut zip, length)?;
        volume.make_room(announced).map_err(UnpackError::Read)??;
        into.zip(&mut zip)?;
    }
    let hidden = into.hidden;
    let published = folder.publish(&plan.to, plan.exists, WHO, &|_| true)?;
    Ok(Unpacked { path: published.path, hidden })
}

/// The path of an archive that could not be unpacked: beside the planned folder.
pub(crate) fn beside(folder: &RelPath, archive: &str) -> RelPath {
    let parent = folder.parent().unwrap_or_default();
    parent.join(archive.as_bytes()).unwrap_or_else(|_refusal| folder.clone())
}

/// The single folder that all names lie in, with its slash; empty if there is none.
fn top(names: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut top: Option<Vec<u8>> = None;
    for name in names {
        let name = name.strip_prefix(b"./").unwrap_or(&name);
        if name.is_empty() {
            continue;
        }
        let Some(end) = name.iter().position(|it| *it == b'/') else { return Vec::new() };
        let first = name.get(..=end).unwrap_or_default();
        match &top {
            None => top = Some(first.to_vec()),
            Some(top) if top == first => {}
            Some(_) => return Vec::new(),
        }
    }
    top.unwrap_or_default()
}

fn tar_names(archive: &File) -> io::Result<Vec<Vec<u8>>> {
    let mut archive = archive;
    archive.seek(SeekFrom::Start(0))?;
    let mut names = Vec::new();
    for entry in tar::Archive::new(archive).entries_with_seek()? {
        let entry = entry?;
        let mut name = entry.path_bytes().into_owned();
        if entry.header().entry_type().is_dir() && !name.ends_with(b"/") {
            name.push(b'/');
        }
        names.push(name);
    }
    Ok(names)
}

/// The bytes of all files in a zip of this length, from the directory at its end: a program that wrote it as a stream knew them only then.
/// Impossible numbers are refused, so that a made-up number does not empty the trash.
fn zip_size(archive: &mut zip::ZipArchive<File>, length: u64) -> Result<u64, UnpackError> {
    let (mut packed, mut all): (u64, u64) = (0, 0);
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(UnpackError::Zip)?;
        if entry.size() > entry.compressed_size().saturating_mul(MOST_OF_ONE) {
            return Err(UnpackError::Bloated);
        }
        packed = packed.saturating_add(entry.compressed_size());
        all = all.saturating_add(entry.size());
    }
    if packed > length { Err(UnpackError::Bloated) } else { Ok(all) }
}

struct Into<'a> {
    folder: &'a StagedFolder,
    top: Vec<u8>,
    hidden: SkippedNames,
}

impl Into<'_> {
    fn tar(&mut self, mut archive: &File) -> Result<(), UnpackError> {
        archive.seek(SeekFrom::Start(0)).map_err(UnpackError::Read)?;
        let mut archive = tar::Archive::new(archive);
        for entry in archive.entries_with_seek().map_err(UnpackError::Read)? {
            let mut entry = entry.map_err(UnpackError::Read)?;
            let kind = entry.header().entry_type();
            let member = match kind {
                _ if kind.is_dir() => Member::Folder,
                _ if kind.is_file() || kind.is_contiguous() => Member::File(entry.size()),
                // Concerns the whole archive, not an entry.
                _ if kind.is_pax_global_extensions() => continue,
                _ => Member::Special,
            };
            let name = entry.path_bytes().into_owned();
            self.put(&name, &member, &mut entry)?;
        }
        Ok(())
    }

    fn zip(&mut self, archive: &mut zip::ZipArchive<File>) -> Result<(), UnpackError> {
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).map_err(UnpackError::Zip)?;
            let member = match (entry.is_dir(), entry.is_symlink()) {
                (true, _) => Member::Folder,
                (false, true) => Member::Special,
                (false, false) => Member::File(entry.size()),
            };
            let name = entry.name().map_err(UnpackError::Zip)?.as_bytes().to_vec();
            self.put(&name, &member, &mut entry)?;
        }
        Ok(())
    }

    fn put(
        &mut self,
        name: &[u8],
        member: &Member,
        content: &mut dyn Read,
    ) -> Result<(), UnpackError> {
        let plain = name.strip_prefix(b"./").unwrap_or(name);
        let plain = plain.strip_prefix(self.top.as_slice()).unwrap_or(plain);
        let is_top = self.top.strip_suffix(b"/") == Some(plain);
        if is_top || plain.is_empty() {
            return Ok(());
        }
        let Some(path) = place(plain, &mut self.hidden)? else { return Ok(()) };
        match member {
            Member::Special => Err(UnpackError::Special { name: safe(name) }),
            Member::Folder => Ok(self.folder.make_folder(&path).map_err(StoreError::from)?),
            Member::File(size) => {
                let mut file = self.folder.file(&path).map_err(StoreError::from)?;
                let mut block = vec![0; BLOCK];
                let mut left = *size;
                loop {
                    let read = content.read(&mut block).map_err(UnpackError::Read)?;
                    let bytes = block.get(..read).unwrap_or_default();
                    if bytes.is_empty() && left > 0 {
                        return Err(UnpackError::Shorter { name: safe(name) });
                    }
                    if bytes.is_empty() {
                        return Ok(());
                    }
                    left = left
                        .checked_sub(read as u64)
                        .ok_or_else(|| UnpackError::Longer { name: safe(name) })?;
                    file.write(bytes)?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_folder_at_the_top_is_the_folder_itself() {
        let check = |names: &[&str], expected: &str| {
            let names = names.iter().map(|it| it.as_bytes().to_vec());
            assert_eq!(String::from_utf8(top(names)).unwrap(), expected);
        };
        check(&["tree/", "tree/a", "tree/b/c"], "tree/");
        check(&["./", "./tree/", "./tree/a"], "tree/");
        check(&["tree/a", "other/b"], "");
        check(&["tree/a", "b"], "");
        check(&[], "");
    }
}
