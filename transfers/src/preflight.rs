//! Checks an offer before it is accepted: its path, an existing file there, and the free space.
//!
//! Blocking: reads the disk.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use volume::OnConflict;
use volume::{Blocking, FindError, Found, RelPath, Volume};
use wormhole::Offer;

use crate::transfer::{Existing, Offered, OfferedKind, Question};

/// How long the size of an existing folder is added up.
const ADDING: Duration = Duration::from_secs(1);

/// The bytes that transfers in progress have yet to write. They still count as free on the disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct SpaceReservations(Arc<AtomicU64>);

/// One transfer's part of them, until it has written them or has finished.
#[derive(Debug)]
pub(crate) struct Reservation {
    all: SpaceReservations,
    left: u64,
}

/// How an offer would be stored.
#[derive(Clone, Debug)]
pub(crate) struct StorePlan {
    pub(crate) offer: Offered,
    /// The path to publish at.
    pub(crate) to: RelPath,
    pub(crate) exists: OnConflict,
    /// Whether an archive is unpacked.
    pub(crate) unpack: bool,
}

impl SpaceReservations {
    pub(crate) fn reserve(&self, bytes: u64) -> Reservation {
        self.0.fetch_add(bytes, Relaxed);
        Reservation { all: self.clone(), left: bytes }
    }

    fn bytes(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Reservation {
    /// Releases this many bytes: they were written, so the disk no longer counts them as free.
    pub(crate) fn written(&mut self, bytes: u64) {
        let bytes = bytes.min(self.left);
        self.left -= bytes;
        self.all.0.fetch_sub(bytes, Relaxed);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.left, Relaxed);
    }
}

/// The data of an offer for records and questions.
pub(crate) fn offered(offer: &Offer) -> Offered {
    let archive = |name: &str| is_tar(name) || is_zip(name);
    match offer {
        Offer::File { name, size } => Offered {
            kind: OfferedKind::File,
            is_archive: archive(name),
            name: name.clone(),
            size: *size,
            unpacked: *size,
            files: 1,
        },
        Offer::Directory { name, zip_size, bytes, files } => Offered {
            kind: OfferedKind::Directory,
            name: name.clone(),
            size: *zip_size,
            unpacked: *bytes,
            files: *files,
            is_archive: false,
        },
        Offer::Message(text) => Offered {
            kind: OfferedKind::Text,
            name: String::new(),
            size: text.len() as u64,
            unpacked: text.len() as u64,
            files: 0,
            is_archive: false,
        },
    }
}

/// Whether a file is a tar archive, by its name.
pub(crate) fn is_tar(name: &str) -> bool {
    has_ending(name, ".tar")
}

fn is_zip(name: &str) -> bool {
    has_ending(name, ".zip")
}

fn has_ending(name: &str, ending: &str) -> bool {
    let start = name.len().checked_sub(ending.len());
    let end = start.filter(|it| *it > 0).and_then(|it| name.get(it..));
    end.is_some_and(|it| it.eq_ignore_ascii_case(ending))
}

impl StorePlan {
    /// A plan for an offer whose name was checked to be one plain name.
    pub(crate) fn new(
        offer: Offered,
        into: &RelPath,
        name: &str,
        exists: OnConflict,
        unpack: bool,
    ) -> Result<StorePlan, String> {
        let unpack = unpack && offer.is_archive;
        // `tree.tar` becomes the folder `tree`.
        let stem = name.len().checked_sub(4).filter(|_| unpack && name == offer.name);
        let name = stem.and_then(|it| name.get(..it)).unwrap_or(name);
        let to = into.join(name.as_bytes());
        let to = to.map_err(|it| format!("`{name}` can't be a name on this volume: {it}"))?;
        Ok(StorePlan { offer, to, exists, unpack })
    }

    /// The bytes needed at the peak. An archive and its contents are both there for a while. How much a zip holds is only known when it has
    /// arrived; until then its own size counts twice.
    pub(crate) fn needed(&self) -> u64 {
        match self.offer.kind {
            OfferedKind::Directory => self.offer.unpacked,
            _ if self.unpack => self.offer.size.saturating_mul(2),
            _ => self.offer.size,
        }
    }

    /// The question for the operator.
    pub(crate) fn question(
        &self,
        volume: &Volume,
        outstanding: &SpaceReservations,
        ends: Timestamp,
    ) -> Result<Question, String> {
        let space =
            volume.space().map_err(|it| format!("could not see how full the disk is: {it}"))?;
        Ok(Question {
            path: self.to.clone(),
            existing: existing(volume, &self.to)?,
            disk: space.size,
            free: space.free,
            needed: self.needed(),
            room: space.room().saturating_sub(outstanding.bytes()),
            ends,
            problem: None,
        })
    }

    /// Checks whether the offer can be stored like this, as far as that can be known beforehand, and reserves the space. If there is too
    /// little, the trash is emptied, oldest first.
    pub(crate) fn check(
        &self,
        volume: &Volume,
        outstanding: &SpaceReservations,
    ) -> Result<Reservation, String> {
        let exists = existing(volume, &self.to)?;
        let is_folder = self.offer.kind == OfferedKind::Directory || self.unpack;
        let shown = self.to.to_string();
        match (exists, self.exists) {
            (Some(_), OnConflict::Refuse) => {
                return Err(format!(
                    "`{shown}` is there already: keep both, replace it, or choose another folder"
                ));
            }
            (Some(there), OnConflict::Replace) if there.is_folder != is_folder => {
                let (old, new) = if is_folder { ("file", "folder") } else { ("folder", "file") };
                return Err(format!(
                    "`{shown}` is a {old}, and a {new} can't take its place: keep both, or choose another folder"
                ));
            }
            _ => {}
        }
        if let Err(error) = volume.check_place(&self.to, &|_| true) {
            return Err(error.to_string());
        }
        if !volume.lets_write(&self.to) {
            return Err(format!(
                "permissions keep the service from putting `{shown}` in its folder: `sounding doctor` says how to mend them"
            ));
        }
        let needed = self.needed();
        let all = needed.saturating_add(outstanding.bytes());
        match volume.make_room(all) {
            Ok(Ok(())) => Ok(outstanding.reserve(needed)),
            Ok(Err(no_room)) => Err(format!(
                "{} are needed, and the volume has room for {}",
                volume::size_text(needed),
                volume::size_text(no_room.room.saturating_sub(outstanding.bytes()))
            )),
            Err(error) => Err(format!("could not see how full the disk is: {error}")),
        }
    }
}

fn existing(volume: &Volume, path: &RelPath) -> Result<Option<Existing>, String> {
    let time = |nanos: i128| Timestamp::from_nanosecond(nanos).ok();
    match volume.find(path, Blocking::MayBlock) {
        Ok(Found::File(file)) => Ok(Some(Existing {
            is_folder: false,
            items: None,
            size: Some(file.stat.len),
            modified: time(file.stat.modified),
        })),
        Ok(Found::Folder(folder)) => {
            let count = volume.count(&folder, path).ok();
            let items = count.and_then(|it| u64::try_from(it.shown).ok());
            let began = Instant::now();
            let mut size = None;
            volume.usage(&folder, &mut |usage| {
                size = usage.is_done.then(|| usage.entries.iter().map(|it| it.len).sum());
                if began.elapsed() > ADDING {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            Ok(Some(Existing { is_folder: true, items, size, modified: None }))
        }
        Err(FindError::Missing { .. }) => Ok(None),
        // Something else, like a FIFO, still has the name.
        Err(FindError::NotServed { .. }) => {
            Ok(Some(Existing { is_folder: false, items: None, size: None, modified: None }))
        }
        Err(error) => Err(volume::error_chain(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_told_by_its_name() {
        let check = |name: &str, expected: bool| {
            let offer = Offer::File { name: name.to_owned(), size: 1 };
            assert_eq!(offered(&offer).is_archive, expected, "{name}");
        };
        check("tree.tar", true);
        check("Run.ZIP", true);
        check(".tar", false);
        check("tar", false);
        check("tree.tar.gz", false);
        check("ä.zip", true);
        check("aä", false);
    }

    #[test]
    fn what_is_reserved_is_given_back() {
        let outstanding = SpaceReservations::default();
        let mut one = outstanding.reserve(100);
        let other = outstanding.reserve(50);
        one.written(30);
        assert_eq!(outstanding.bytes(), 120);
        one.written(1000);
        assert_eq!(outstanding.bytes(), 50);
        drop((one, other));
        assert_eq!(outstanding.bytes(), 0);
    }
}
