//! Entry point for fuzz targets: unpacks what strangers send. Not part of the interface.

use std::sync::Arc;

use volume::OnConflict;
use volume::{RelPath, Volume};

use crate::preflight::StorePlan;
use crate::transfer::{Offered, OfferedKind};
use crate::unpacking;

/// Receives an archive with this name, as `--unpack` does, into a folder `out` on the volume. Returns whether it was unpacked.
pub fn unpack(volume: &Arc<Volume>, name: &str, archive: &[u8]) -> Option<bool> {
    let size = archive.len() as u64;
    let mut staged = volume.stage(Some(size)).ok()?;
    staged.write(archive).ok()?;
    let (name, kind) = (name.to_owned(), OfferedKind::File);
    let offer = Offered { kind, name, size, unpacked: size, files: 1, is_archive: true };
    let to = RelPath::from_plain(b"out").ok()?;
    let plan = StorePlan { offer, to, exists: OnConflict::Refuse, unpack: true };
    Some(unpacking::unpack(&staged, &plan).is_ok())
}
