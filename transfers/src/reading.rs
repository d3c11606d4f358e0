//! Reads the files to send: a file as it is, a folder as a zip stream whose length is known beforehand.
//!
//! Blocking, on a thread of its own, a few blocks ahead of the network.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use volume::names::{Kind, Names};
use volume::{Blocking, FindError, Found, RelPath, Volume};
use wormhole::Offer;
use zipstream::{Kind as MemberKind, Member, ZipWriter, zip_size};

/// The bytes of one read.
const BLOCK: usize = 256 << 10;
/// How many blocks are read ahead.
const AHEAD: usize = 8;
/// The most files of a folder.
const MOST_FILES: usize = 1_000_000;

/// The files to send.
#[derive(Debug)]
pub(crate) struct Payload {
    pub(crate) offer: Offer,
    members: Vec<(Member, RelPath)>,
    is_folder: bool,
    /// Remarks about links that are left out.
    pub(crate) notes: Vec<String>,
}

/// Why something can't be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// It can't be found.
    #[error(transparent)]
    Find(#[from] FindError),
    /// It can't be read.
    #[error("could not read `{path}`")]
    Io { path: RelPath, source: io::Error },
    /// It changed while it was sent.
    #[error("`{path}` was changed while it was sent")]
    Changed { path: RelPath },
    /// Its name is not UTF-8, so the other side could not have it.
    #[error("the name of `{path}` is not UTF-8: rename it first")]
    Name { path: RelPath },
    /// The request names nothing.
    #[error("nothing was named to be sent")]
    Nothing,
    /// Two things would have the same name in the folder that is sent: only one would arrive.
    #[error("`{path}` has the same name as another that is to be sent: send them one by one")]
    Twice { path: RelPath },
    /// There are too many files.
    #[error(
        "a folder of more than {MOST_FILES} files can't be sent at once: send its folders one by one"
    )]
    TooMany,
    /// The zip stream can't be made.
    #[error("could not pack `{path}`")]
    Zip { path: RelPath, source: zipstream::WriteError },
}

impl Payload {
    /// Collects the files to send. Links to folders are left out: they could lead in a circle.
    pub(crate) fn pack(volume: &Volume, paths: &[RelPath]) -> Result<Payload, ReadError> {
        match paths {
            [] => Err(ReadError::Nothing),
            [path] => match volume.find(path, Blocking::MayBlock)? {
                Found::File(file) => {
                    let name = text(path, path.file_name().unwrap_or_default())?;
                    let size = file.stat.len;
                    let kind = MemberKind::File { size };
                    let member = Member { name: name.clone(), kind, mode: 0o644 };
                    Ok(Payload {
                        offer: Offer::File { name, size },
                        members: vec![(member, path.clone())],
                        is_folder: false,
                        notes: Vec::new(),
                    })
                }
                Found::Folder(_) => {
                    let name = path.file_name().map(|it| text(path, it)).transpose()?;
                    let mut packing = Packing::new(volume);
                    packing.folder(path, "")?;
                    Ok(packing.parcel(name.unwrap_or_else(|| "volume".to_owned())))
                }
            },
            [first, ..] => {
                let parent = first.parent().unwrap_or_default();
                let name = parent.file_name().map(|it| text(&parent, it)).transpose()?;
                let mut packing = Packing::new(volume);
                let mut names = HashSet::new();
                for path in paths {
                    if !names.insert(path.file_name()) {
                        return Err(ReadError::Twice { path: path.clone() });
                    }
                    packing.add(path, path.file_name().unwrap_or_default(), "")?;
                }
                Ok(packing.parcel(name.unwrap_or_else(|| "files".to_owned())))
            }
        }
    }

    /// Starts to read; the pieces come in order, and an error is the last.
    pub(crate) fn read(self, volume: Arc<Volume>) -> mpsc::Receiver<Result<Bytes, ReadError>> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        tokio::task::spawn_blocking(move || {
            let mut send =
                |bytes: Bytes| bytes.is_empty() || sender.blocking_send(Ok(bytes)).is_ok();
            if let Err(error) = self.write_to(&volume, &mut send) {
                // The receiver is gone: nobody needs the error.
                sender.blocking_send(Err(error)).unwrap_or_default();
            }
        });
        receiver
    }

    /// Passes all pieces to `send`, until it returns `false` because the receiver is gone.
    fn write_to(
        self,
        volume: &Volume,
        send: &mut dyn FnMut(Bytes) -> bool,
    ) -> Result<(), ReadError> {
        if !self.is_folder {
            for (member, path) in &self.members {
                let mut left = size(member);
                read(volume, path, left, &mut |block| {
                    left -= block.len() as u64;
                    Ok(send(Bytes::copy_from_slice(block)))
                })?;
            }
            return Ok(());
        }
        let (members, paths): (Vec<_>, Vec<_>) = self.members.into_iter().unzip();
        let mut writer = ZipWriter::new(members.clone());
        for (member, path) in members.iter().zip(&paths) {
            let failed = |source| ReadError::Zip { path: path.clone(), source };
            let Some((_, header)) = writer.begin() else { break };
            if !send(Bytes::from(header)) {
                return Ok(());
            }
            if let MemberKind::File { size: len } = member.kind {
                let mut is_wanted = true;
                read(volume, path, len, &mut |block| {
                    writer.data(block).map_err(failed)?;
                    is_wanted = send(Bytes::copy_from_slice(block));
                    Ok(is_wanted)
                })?;
                if !is_wanted {
                    return Ok(());
                }
            }
            if !send(Bytes::from(writer.end().map_err(failed)?)) {
                return Ok(());
            }
        }
        send(Bytes::from(writer.finish()));
        Ok(())
    }
}

fn size(member: &Member) -> u64 {
    match member.kind {
        MemberKind::File { size } => size,
        MemberKind::Folder => 0,
    }
}

/// Reads a file of exactly this many bytes; another length is an error.
fn read(
    volume: &Volume,
    path: &RelPath,
    len: u64,
    take: &mut dyn FnMut(&[u8]) -> Result<bool, ReadError>,
) -> Result<(), ReadError> {
    let changed = || ReadError::Changed { path: path.clone() };
    let failed = |source| ReadError::Io { path: path.clone(), source };
    let Found::File(found) = volume.find(path, Blocking::MayBlock)? else { return Err(changed()) };
    if found.stat.len != len {
        return Err(changed());
    }
    let mut file: File = found.open().map_err(failed)?;
    let (mut left, mut block) = (len, vec![0; BLOCK]);
    while left > 0 {
        let read = file.read(&mut block).map_err(failed)?;
        let part = block.get(..read).unwrap_or_default();
        if part.is_empty() || part.len() as u64 > left {
            return Err(changed());
        }
        left -= part.len() as u64;
        if !take(part)? {
            return Ok(());
        }
    }
    Ok(())
}

/// A folder while its files are collected.
struct Packing<'a> {
    volume: &'a Volume,
    members: Vec<(Member, RelPath)>,
    bytes: u64,
    files: u64,
    links: u64,
}

impl<'a> Packing<'a> {
    fn new(volume: &'a Volume) -> Packing<'a> {
        Packing { volume, members: Vec::new(), bytes: 0, files: 0, links: 0 }
    }

    fn folder(&mut self, path: &RelPath, at: &str) -> Result<(), ReadError> {
        let failed = |source| ReadError::Io { path: path.clone(), source };
        let Found::Folder(folder) = self.volume.find(path, Blocking::MayBlock)? else {
            return Err(ReadError::Changed { path: path.clone() });
        };
        if !at.is_empty() {
            let member = Member { name: at.to_owned(), kind: MemberKind::Folder, mode: 0o755 };
            self.members.push((member, path.clone()));
        }
        let names = Names::read(self.volume, folder, path, |_| true).map_err(failed)?;
        for name in (0..names.len()).filter_map(|it| names.get(it)) {
            if name.kind == Kind::Folder && name.is_link {
                self.links += 1;
                continue;
            }
            let below = path.join(name.bytes).map_err(|it| failed(io::Error::other(it)))?;
            self.add(&below, name.bytes, at)?;
        }
        Ok(())
    }

    fn add(&mut self, path: &RelPath, name: &[u8], at: &str) -> Result<(), ReadError> {
        let name = format!("{at}{}", text(path, name)?);
        match self.volume.find(path, Blocking::MayBlock)? {
            Found::Folder(_) => self.folder(path, &format!("{name}/")),
            Found::File(file) => {
                if self.members.len() >= MOST_FILES {
                    return Err(ReadError::TooMany);
                }
                self.bytes += file.stat.len;
                self.files += 1;
                let kind = MemberKind::File { size: file.stat.len };
                self.members.push((Member { name, kind, mode: 0o644 }, path.clone()));
                Ok(())
            }
        }
    }

    fn parcel(self, name: String) -> Payload {
        let members: Vec<Member> = self.members.iter().map(|it| it.0.clone()).collect();
        let zip_size = zip_size(&members);
        let notes = match self.links {
            0 => Vec::new(),
            links => vec![format!("{links} links to folders are left out")],
        };
        Payload {
            offer: Offer::Directory { name, zip_size, bytes: self.bytes, files: self.files },
            members: self.members,
            is_folder: true,
            notes,
        }
    }
}

fn text(path: &RelPath, name: &[u8]) -> Result<String, ReadError> {
    let text = std::str::from_utf8(name).map(str::to_owned);
    text.map_err(|_bad| ReadError::Name { path: path.clone() })
}
