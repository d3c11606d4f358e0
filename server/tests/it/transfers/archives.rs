//! Archives that are sent as files are unpacked on the operator's word, and never lost.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::python::{Python, Version};
use super::{Place, fresh_code, tree};
use crate::support::write;

/// A folder `tree` with a file, one in a folder, an empty folder, and a hidden file.
fn make_tree(folder: &Path) {
    for sub in ["tree/a/b", "tree/empty"] {
        fs::create_dir_all(folder.join(sub)).unwrap();
    }
    fs::write(folder.join("tree/x.csv"), b"a,b\n").unwrap();
    fs::write(folder.join("tree/a/b/Größe.bin"), vec![7; 300_000]).unwrap();
}

fn shell(folder: &Path, script: &str) {
    let status = Command::new("sh").args(["-c", script]).current_dir(folder).status().unwrap();
    assert!(status.success(), "{script}");
}

/// Sends an archive that a script makes, and has it unpacked.
fn unpacked(place: &Place, script: &str, archive: &str) -> Value {
    let code = fresh_code();
    let make = |folder: &Path| {
        make_tree(folder);
        shell(folder, script);
    };
    let mut sender = Python::send(Version::New, place, make, &code, &[archive]);
    let wanted = json!({"code": code, "yes": true, "unpack": true, "wait": true});
    let now = place.done(place.receive(wanted));
    sender.succeeds();
    place.is_clean("");
    now
}

#[test]
fn an_archive_becomes_the_folder_that_is_in_it() {
    let scripts = [
        ("tar cf tree.tar tree", "tree.tar"),
        ("tar cf tree.tar -C tree .", "tree.tar"),
        ("tar --format=posix -cf tree.tar tree", "tree.tar"),
        ("zip -qr tree.zip tree", "tree.zip"),
        ("cd tree && zip -qr0 ../tree.zip .", "tree.zip"),
    ];
    for (script, archive) in scripts {
        let place = Place::new();
        let now = unpacked(&place, script, archive);
        assert_eq!((&now["path"], &now["notes"]), (&"tree".into(), &Value::Null), "{script}");
        let expected = tempfile::tempdir().unwrap();
        make_tree(expected.path());
        assert_eq!(tree(&place.path("tree")), tree(&expected.path().join("tree")), "{script}");
        assert!(!place.path(archive).exists());
    }
}

/// As programs make one that can't go back in their output: each entry's sizes come behind it.
const STREAMED_ZIP: &str = "python3 -c \"
import os, zipfile

class Stream:
    def __init__(self, file):
        self.write, self.flush = file.write, file.flush

with open('tree.zip', 'wb') as file, zipfile.ZipFile(Stream(file), 'w', zipfile.ZIP_DEFLATED) as archive:
    for folder, _, names in os.walk('tree'):
        archive.write(folder)
        for name in names:
            archive.write(os.path.join(folder, name))
\"";

#[test]
fn a_zip_written_as_a_stream_is_unpacked_and_costs_nobody_their_trash() {
    let place = Place::new();
    let trashed = place.path(".sounding/trash/files/dear.csv");
    write(&trashed, b"dear");
    let now = unpacked(&place, STREAMED_ZIP, "tree.zip");
    assert_eq!((&now["path"], &now["notes"]), (&"tree".into(), &Value::Null));
    let expected = tempfile::tempdir().unwrap();
    make_tree(expected.path());
    assert_eq!(tree(&place.path("tree")), tree(&expected.path().join("tree")));
    assert!(trashed.exists());
}

#[test]
fn one_that_cannot_be_unpacked_is_kept_as_it_came() {
    let scripts = [
        ("head -c 100000 /dev/urandom > tree.zip", "tree.zip"),
        ("head -c 100000 /dev/urandom > tree.tar", "tree.tar"),
        ("tar cf t.tar tree && head -c 200000 t.tar > tree.tar", "tree.tar"),
        ("ln -s /etc/passwd tree/link && tar cf tree.tar tree", "tree.tar"),
        ("ln -s /etc/passwd tree/link && zip -qry tree.zip tree", "tree.zip"),
        (
            "echo x > evil && tar --transform 's,evil,../../evil,' -P -cf tree.tar tree evil",
            "tree.tar",
        ),
        (
            "echo x > evil && tar --transform 's,evil,/tmp/evil,' -P -cf tree.tar tree evil",
            "tree.tar",
        ),
    ];
    for (script, archive) in scripts {
        let place = Place::new();
        let now = unpacked(&place, script, archive);
        assert_eq!(now["path"], archive, "{script}");
        let note = now["notes"][0].as_str().unwrap();
        assert!(
            note.starts_with("could not be unpacked, so the archive itself was kept"),
            "{note}"
        );
        assert!(!place.path("tree").exists() && !place.path("../evil").exists(), "{script}");
        assert!(fs::metadata(place.path(archive)).unwrap().len() > 500);
    }
}

#[test]
fn hidden_names_are_left_out_and_that_is_told() {
    let place = Place::new();
    let script =
        "touch tree/.DS_Store && mkdir tree/.git && touch tree/.git/x && tar cf tree.tar tree";
    let now = unpacked(&place, script, "tree.tar");
    assert_eq!(now["path"], "tree");
    let note = now["notes"][0].as_str().unwrap();
    assert!(
        note.starts_with("3 hidden names were left out: ") && note.contains(".DS_Store"),
        "{note}"
    );
}

#[test]
fn without_the_operators_word_an_archive_is_a_file() {
    let place = Place::new();
    let code = fresh_code();
    let make = |folder: &Path| {
        make_tree(folder);
        shell(folder, "tar cf tree.tar tree");
    };
    let mut sender = Python::send(Version::New, &place, make, &code, &["tree.tar"]);
    let number = place.receive(json!({"code": code, "yes": true, "wait": true}));
    let now = place.done(number);
    sender.succeeds();
    assert_eq!((&now["path"], &now["offer"]["is_archive"]), (&"tree.tar".into(), &true.into()));
}
