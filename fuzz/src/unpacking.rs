//! An archive unpacked on a volume, and what must be true afterwards.

use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use tempfile::TempDir;
use volume::Volume;

/// A volume for all archives of this process.
static PLACE: LazyLock<(TempDir, Arc<Volume>)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let volume = Volume::open(folder.path()).expect("a volume");
    (folder, Arc::new(volume))
});

/// These bytes as a tar.
pub fn tar(archive: &[u8]) {
    check("out.tar", archive);
}

/// These bytes as a zip.
pub fn zip(archive: &[u8]) {
    check("out.zip", archive);
}

fn check(name: &str, archive: &[u8]) {
    let (folder, volume) = &*PLACE;
    let out = folder.path().join("out");
    let is_there = transfers::fuzz::unpack(volume, name, archive);
    assert_eq!(out.exists(), is_there == Some(true), "there as it was said");
    let staging = folder.path().join(".sounding/staging");
    assert!(names(&staging).is_empty(), "something is left in staging");
    assert!(names(folder.path()).iter().all(|it| it == "out" || it == ".sounding"));
    if out.exists() {
        check_folder(&out);
        fs::remove_dir_all(&out).expect("what was unpacked can be removed");
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|it| it.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

/// Only files and folders, under names that are served.
fn check_folder(folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder that can be read") {
        let entry = entry.expect("an entry");
        let kind = entry.file_type().expect("its kind");
        assert!(kind.is_dir() || kind.is_file(), "neither a file nor a folder");
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        assert!(volume::RelPath::from_plain(name).is_ok(), "a name that is not served");
        if kind.is_dir() {
            check_folder(&entry.path());
        }
    }
}
