//! The trash: deleted things can be restored for a while.

use std::fs;
use std::time::Duration;

use jiff::Timestamp;
use volume::RelPath;
use volume::trash::{DiscardError, DiscardTarget};

use crate::support::{Place, rel, write};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn discard(
    place: &Place,
    path: &str,
    wanted: DiscardTarget,
    when: &str,
) -> Result<Vec<u8>, DiscardError> {
    place.volume.discard(&rel(path), wanted, "kmt", at(when), &|_: &RelPath| true)
}

fn trashed(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.path(".sounding/trash/files")).unwrap();
    let mut names: Vec<_> =
        entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_trash_knows_where_a_thing_came_from_and_when() {
    let place = Place::new();
    place.put("berlin/run 1/trips.csv", "one");
    place.put("zurich/trips.csv", "two");
    place.put("zurich/run/a/b", "three");
    discard(&place, "berlin/run 1/trips.csv", DiscardTarget::File, "2026-11-24T07:33:58Z").unwrap();
    discard(&place, "zurich/trips.csv", DiscardTarget::File, "2026-11-24T07:34:00Z").unwrap();
    discard(&place, "zurich/run", DiscardTarget::Folder, "2026-11-24T07:35:00Z").unwrap();
    assert_eq!(trashed(&place), ["run", "trips.csv", "trips.csv.2"]);
    let read = |it: &str| fs::read_to_string(place.path(".sounding/trash").join(it)).unwrap();
    assert_eq!(
        read("info/trips.csv.trashinfo"),
        "[Trash Info]\nPath=berlin/run%201/trips.csv\nDeletionDate=2026-11-24T07:33:58\nX-Deleted-By=kmt\n"
    );
    assert_eq!(read("files/trips.csv.2"), "two");
    assert_eq!(read("files/run/a/b"), "three");
    assert!(!place.path("zurich/run").exists());
}

#[test]
fn what_was_restored_goes_back_as_if_it_never_had_been() {
    let place = Place::new();
    place.put("zurich/trips.csv", "one");
    let when = "2026-11-24T07:33:58Z";
    let name = discard(&place, "zurich/trips.csv", DiscardTarget::File, when).unwrap();
    let before = place.volume.trashed_as(&name).unwrap().unwrap();
    place.volume.restore(&name, Some(&rel("berlin/other.csv"))).unwrap();
    let again = place.volume.discard_again(
        &rel("berlin/other.csv"),
        DiscardTarget::File,
        &before,
        &|_: &RelPath| true,
    );
    assert_eq!(place.volume.trashed_as(&again.unwrap()).unwrap(), Some(before));
}

#[test]
fn only_what_was_meant_is_deleted() {
    let place = Place::new();
    place.put("folder/a", "old");
    let when = "2026-11-24T07:33:58Z";
    let seen = place.file("folder/a").stat;
    place.put("folder/a", "a new version");
    assert!(matches!(
        discard(&place, "folder/a", DiscardTarget::Version(seen), when),
        Err(DiscardError::Changed { .. })
    ));
    assert!(matches!(
        discard(&place, "folder", DiscardTarget::File, when),
        Err(DiscardError::IsFolder { .. })
    ));
    for (path, wanted) in [
        ("folder/a", DiscardTarget::Folder),
        ("b", DiscardTarget::File),
        ("no/b", DiscardTarget::File),
        ("folder/a/b", DiscardTarget::File),
    ] {
        let missing = discard(&place, path, wanted, when);
        assert!(matches!(missing, Err(DiscardError::Missing { .. })), "{path}: {missing:?}");
    }
    assert!(matches!(
        discard(&place, "", DiscardTarget::Folder, when),
        Err(DiscardError::Target(_))
    ));
    assert!(place.path("folder/a").exists());
}

#[test]
fn a_link_is_deleted_itself() {
    let place = Place::new();
    place.put("run/a", "kept");
    place.link("run", "latest");
    discard(&place, "latest", DiscardTarget::File, "2026-11-24T07:33:58Z").unwrap();
    assert!(place.path("run/a").exists());
    place.volume.empty_trash(Duration::ZERO, at("2026-11-25T00:00:00Z")).unwrap();
    assert!(place.path("run/a").exists());
}

#[test]
fn the_trash_is_emptied_after_its_time() {
    let place = Place::new();
    for (name, when) in [("a", "2026-10-01T00:00:00Z"), ("b", "2026-11-01T00:00:00Z")] {
        place.put(name, "x");
        discard(&place, name, DiscardTarget::File, when).unwrap();
    }
    let now = at("2026-11-24T00:00:00Z");
    assert_eq!(place.volume.empty_trash(volume::trash::KEPT, now).unwrap(), 1);
    assert_eq!(trashed(&place), ["b"]);
    assert!(!place.path(".sounding/trash/info/a.trashinfo").exists());
    assert!(place.path(".sounding/trash/info/b.trashinfo").exists());
}

#[test]
fn what_was_deleted_in_the_future_is_new() {
    let place = Place::new();
    place.put("a", "x");
    discard(&place, "a", DiscardTarget::File, "2026-12-31T00:00:00Z").unwrap();
    let now = at("2026-11-24T00:00:00Z");
    assert_eq!(place.volume.empty_trash(volume::trash::KEPT, now).unwrap(), 0);
    assert_eq!(trashed(&place), ["a"]);
    assert_eq!(place.volume.empty_trash(Duration::ZERO, now).unwrap(), 1);
}

#[test]
fn what_has_no_record_that_can_be_read_is_as_old_as_its_last_move() {
    let place = Place::new();
    for name in ["a", "b"] {
        place.put(name, "x");
        discard(&place, name, DiscardTarget::File, "2020-01-01T00:00:00Z").unwrap();
    }
    write(&place.path(".sounding/trash/info/a.trashinfo"), "");
    fs::remove_file(place.path(".sounding/trash/info/b.trashinfo")).unwrap();
    assert_eq!(place.volume.empty_trash(volume::trash::KEPT, Timestamp::now()).unwrap(), 0);
    assert_eq!(trashed(&place), ["a", "b"]);
}

#[test]
fn what_is_restored_while_it_is_removed_comes_back_whole_or_not_at_all() {
    const FILES: usize = 300;
    let (mut restored, mut removed) = (0, 0);
    for round in 0..40_u32 {
        let place = Place::new();
        for number in 0..FILES {
            place.put(&format!("run/{number}"), "x");
        }
        let name = discard(&place, "run", DiscardTarget::Folder, "2026-11-24T07:33:58Z").unwrap();
        let outcome = std::thread::scope(|scope| {
            let removing = scope.spawn(|| place.volume.remove_trashed(&name));
            // At once, or as soon as the first part of it is gone.
            let whole = || {
                let left = fs::read_dir(place.path(".sounding/trash/files/run"));
                left.is_ok_and(|it| it.count() == FILES)
            };
            while round % 2 == 1 && whole() {}
            let outcome = place.volume.restore(&name, None);
            drop(removing.join().unwrap());
            outcome
        });
        if let Ok(path) = outcome {
            assert_eq!(path, rel("run"));
            assert_eq!(fs::read_dir(place.path("run")).unwrap().count(), FILES, "{round}");
            restored += 1;
        } else {
            assert!(!place.path("run").exists(), "{round}");
            removed += 1;
        }
        assert!(trashed(&place).is_empty(), "{round}");
    }
    assert!(restored + removed == 40 && removed >= 20, "{restored} were restored");
}

#[test]
fn what_was_being_removed_when_a_process_was_killed_is_gone_after_the_next_start() {
    let place = Place::new();
    place.put("run/a", "a");
    discard(&place, "run/a", DiscardTarget::File, "2026-11-24T07:33:58Z").unwrap();
    let expunged = place.path(".sounding/trash/expunged");
    fs::create_dir_all(expunged.join("half/deeper")).unwrap();
    fs::write(expunged.join("half/deeper/b"), "b").unwrap();
    assert_eq!(place.volume.trashed().unwrap().len(), 1);
    place.volume.make_trash().unwrap();
    assert_eq!(fs::read_dir(&expunged).unwrap().count(), 0);
    assert_eq!(trashed(&place), ["a"]);
}
