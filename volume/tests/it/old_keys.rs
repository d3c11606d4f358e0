//! Importing the keys of the server before this one: once, whatever happens to them later.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use volume::keys::import::{KeyImport, TakeKeysError};
use volume::{RelPath, Volume};

const OLD: &str = "# ours\nimove,imove-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUm6AfG\r\nodd line\n";

struct Place {
    folder: tempfile::TempDir,
    volume: Volume,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let volume = Volume::open(folder.path()).unwrap();
        Place { folder, volume }
    }

    fn put(&self, path: &str, text: &str) -> &Place {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn keys(&self) -> Option<String> {
        fs::read_to_string(self.folder.path().join(".sounding/auth-keys.csv")).ok()
    }

    fn take(&self, named: Option<&Path>) -> KeyImport {
        self.volume.import_keys(named).unwrap()
    }
}

fn from(path: impl AsRef<Path>) -> KeyImport {
    KeyImport::TakenFrom(path.as_ref().to_owned())
}

#[test]
fn old_keys_are_copied_byte_for_byte_and_for_the_owner_alone() {
    let place = Place::new();
    place.put("auth-keys.csv", OLD);
    assert_eq!(place.take(None), from("auth-keys.csv"));
    assert_eq!(place.keys().as_deref(), Some(OLD));
    let new = place.folder.path().join(".sounding/auth-keys.csv");
    assert_eq!(fs::metadata(new).unwrap().permissions().mode() & 0o777, 0o600);
    let old = fs::read_to_string(place.folder.path().join("auth-keys.csv")).unwrap();
    assert_eq!(old, OLD, "the way back");
    assert_eq!(place.volume.old_key_files(), ["auth-keys.csv"]);
}

#[test]
fn the_named_file_comes_first_and_one_without_a_key_is_none() {
    let place = Place::new();
    let image = place.folder.path().join("image.csv");
    place.put("image.csv", "ours,ours-1\n").put(".admin/auth-keys.csv", "# none left\n");
    place.put("auth-keys.csv", OLD);
    assert_eq!(place.take(Some(&image)), from(&image));
    assert_eq!(place.keys().as_deref(), Some("ours,ours-1\n"));

    let place = Place::new();
    place.put(".admin/auth-keys.csv", "# none left\n").put("auth-keys.csv", OLD);
    assert_eq!(place.take(Some(&place.folder.path().join("no.csv"))), from("auth-keys.csv"));

    let place = Place::new();
    place.put(".admin/auth-keys.csv", OLD).put("auth-keys.csv", "other,other-1\n");
    assert_eq!(place.take(None), from(".admin/auth-keys.csv"));

    let place = Place::new();
    assert_eq!(place.take(None), KeyImport::None);
    assert_eq!(place.keys(), None);
}

#[test]
fn whoever_changed_the_new_file_has_the_last_word() {
    let check = |change: &dyn Fn(&Place), expected: Option<&str>| {
        let place = Place::new();
        place.put("auth-keys.csv", OLD);
        place.take(None);
        // Each start leaves a journal.
        place.put(".sounding/journal.sqlite", "");
        change(&place);
        assert_eq!(place.take(None), KeyImport::NotAsked);
        assert_eq!(place.keys().as_deref(), expected);
    };
    check(&|_| {}, Some(OLD));
    let edit = |text: &'static str| {
        move |it: &Place| {
            it.put(".sounding/auth-keys.csv", text);
        }
    };
    check(&edit("zoe,zoe-1\n"), Some("zoe,zoe-1\n"));
    check(&edit(""), Some(""));
    let remove = |it: &Place| {
        fs::remove_file(it.folder.path().join(".sounding/auth-keys.csv")).unwrap();
    };
    check(&remove, None);
}

#[test]
fn old_keys_that_cannot_be_read_are_no_reason_to_go_on_without_them() {
    let place = Place::new();
    fs::create_dir(place.folder.path().join("auth-keys.csv")).unwrap();
    let TakeKeysError::Read { from, .. } = place.volume.import_keys(None).unwrap_err() else {
        panic!("it is the old file that can't be read");
    };
    assert_eq!(from, Path::new("auth-keys.csv"));
    assert_eq!(place.keys(), None);
    // A link must not lead the start to another file.
    let place = Place::new();
    std::os::unix::fs::symlink("/etc/passwd", place.folder.path().join("auth-keys.csv")).unwrap();
    assert!(place.volume.import_keys(None).is_err());
}

#[test]
fn a_keys_file_has_no_path_wherever_it_lies() {
    for path in ["auth-keys.csv", "run/auth-keys.csv", "lost+found", "public/auth-keys.csv/x"] {
        assert!(RelPath::from_plain(path.as_bytes()).is_err(), "{path}");
    }
    assert!(RelPath::from_plain(b"run/my-auth-keys.csv").is_ok());
}
