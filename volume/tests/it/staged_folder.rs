//! Staged folders: none is visible in part, and a replaced one is in the trash.

use std::fs;
use std::sync::Arc;

use volume::OnConflict;
use volume::staged_folder::StagedFolder;
use volume::staging::{PublishError, Replace};
use volume::{RelPath, Volume};

use crate::support::{Place, rel};

fn anywhere(_: &RelPath) -> bool {
    true
}

fn open(place: &Place) -> Arc<Volume> {
    Arc::new(Volume::open(&place.path("")).unwrap())
}

/// A run of two files, one in a folder, and an empty folder.
fn staged(volume: &Arc<Volume>, content: &str) -> StagedFolder {
    let folder = volume.stage_folder().unwrap();
    for path in ["trips.csv", "ITERS/it.0/legs.csv"] {
        folder.file(&rel(path)).unwrap().write(content.as_bytes()).unwrap();
    }
    folder.make_folder(&rel("empty")).unwrap();
    folder
}

fn publish(volume: &Arc<Volume>, to: &str, exists: OnConflict) -> Result<String, PublishError> {
    let published = staged(volume, "new").publish(&rel(to), exists, "kmt", &anywhere)?;
    Ok(published.path.to_url())
}

fn is_staging_empty(place: &Place) -> bool {
    fs::read_dir(place.path(".sounding/staging")).unwrap().count() == 0
}

#[test]
fn a_folder_appears_whole() {
    let place = Place::new();
    let volume = open(&place);
    let folder = staged(&volume, "new");
    assert!(!place.path("berlin").exists());
    folder.publish(&rel("berlin/v6.4"), OnConflict::Refuse, "kmt", &anywhere).unwrap();
    assert_eq!(fs::read_to_string(place.path("berlin/v6.4/trips.csv")).unwrap(), "new");
    assert_eq!(fs::read_to_string(place.path("berlin/v6.4/ITERS/it.0/legs.csv")).unwrap(), "new");
    assert!(place.path("berlin/v6.4/empty").is_dir());
    assert!(is_staging_empty(&place));
}

#[test]
fn the_caller_chooses_what_becomes_of_a_folder_that_is_there() {
    let place = Place::new();
    let volume = open(&place);
    place.put("v6.4/old.csv", "old");
    let refused = publish(&volume, "v6.4", OnConflict::Refuse);
    assert!(matches!(refused, Err(PublishError::Occupied { .. })), "{refused:?}");
    assert_eq!(publish(&volume, "v6.4", OnConflict::KeepBoth).unwrap(), "v6.4%20%282%29");
    assert_eq!(publish(&volume, "v6.4", OnConflict::KeepBoth).unwrap(), "v6.4%20%283%29");
    assert!(place.path("v6.4/old.csv").exists() && place.path("v6.4 (3)/trips.csv").exists());
    let published =
        staged(&volume, "new").publish(&rel("v6.4"), OnConflict::Replace, "kmt", &anywhere);
    assert!(published.unwrap().has_replaced);
    assert!(!place.path("v6.4/old.csv").exists() && place.path("v6.4/trips.csv").exists());
    assert_eq!(
        fs::read_to_string(place.path(".sounding/trash/files/v6.4/old.csv")).unwrap(),
        "old"
    );
    let record = fs::read_to_string(place.path(".sounding/trash/info/v6.4.trashinfo")).unwrap();
    assert!(record.contains("Path=v6.4\n") && record.contains("X-Deleted-By=kmt\n"), "{record}");
    place.put("file", "content");
    for exists in [OnConflict::Refuse, OnConflict::Replace] {
        let refused = publish(&volume, "file", exists);
        assert!(matches!(refused, Err(PublishError::Occupied { .. })), "{refused:?}");
    }
    assert_eq!(fs::read_to_string(place.path("file")).unwrap(), "content");
    assert!(is_staging_empty(&place));
}

#[test]
fn a_reader_in_the_old_folder_goes_on_reading_it() {
    let place = Place::new();
    let volume = open(&place);
    place.put("run/trips.csv", "old");
    let file = place.file("run/trips.csv");
    publish(&volume, "run", OnConflict::Replace).unwrap();
    assert_eq!(std::io::read_to_string(file.open().unwrap()).unwrap(), "old");
}

#[test]
fn of_two_that_finish_at_once_one_wins() {
    let place = Place::new();
    let volume = open(&place);
    for round in 0..30 {
        let to = format!("run-{round}");
        let results: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3)
                .map(|_| scope.spawn(|| publish(&volume, &to, OnConflict::Refuse).is_ok()))
                .collect();
            threads.into_iter().map(|it| it.join().unwrap()).collect()
        });
        assert_eq!(results.iter().filter(|it| **it).count(), 1);
    }
    assert!(is_staging_empty(&place));
}

#[test]
fn what_is_not_published_is_gone_and_nothing_leaves_the_folder() {
    let place = Place::new();
    let volume = open(&place);
    let folder = staged(&volume, "new");
    drop(folder);
    assert!(is_staging_empty(&place));
    let refused = staged(&volume, "new").publish(&rel(""), OnConflict::Replace, "kmt", &anywhere);
    assert!(matches!(refused, Err(PublishError::Target(_))), "{refused:?}");
    assert!(is_staging_empty(&place));
}

#[test]
fn no_name_comes_twice_and_none_lies_in_a_file() {
    let place = Place::new();
    let volume = open(&place);
    let folder = staged(&volume, "new");
    let check = |path: &str, expected: &str| {
        assert_eq!(folder.file(&rel(path)).unwrap_err().to_string(), expected);
    };
    check("trips.csv", "`trips.csv` comes twice");
    check("empty", "`empty` comes twice");
    check("trips.csv/x", "`trips.csv` lies in a file");
    check("", "a file needs a name");
    folder.make_folder(&rel("ITERS/it.0")).unwrap();
    assert!(folder.make_folder(&rel("trips.csv")).is_err());
}

#[test]
fn what_a_crash_left_is_removed_by_its_name() {
    let place = Place::new();
    let volume = open(&place);
    let folder = staged(&volume, "new");
    let file = volume.stage(Some(100)).unwrap();
    let ids = [folder.id().unwrap(), file.id().unwrap()];
    std::mem::forget((folder, file));
    assert!(!is_staging_empty(&place));
    for id in ids {
        assert!(volume.remove_staged(id).unwrap());
        assert!(!volume.remove_staged(id).unwrap());
    }
    assert!(is_staging_empty(&place));
}

#[test]
fn a_file_that_is_replaced_may_go_to_the_trash() {
    let place = Place::new();
    let volume = open(&place);
    place.put("trips.csv", "old");
    let publish = |to: &str| {
        let mut file = volume.stage(Some(3)).unwrap();
        file.write(b"new").unwrap();
        file.publish(&rel(to), Replace::ToTrash("wormhole"), &anywhere)
    };
    assert!(publish("trips.csv").unwrap().has_replaced);
    assert_eq!(fs::read_to_string(place.path("trips.csv")).unwrap(), "new");
    assert_eq!(fs::read_to_string(place.path(".sounding/trash/files/trips.csv")).unwrap(), "old");
    assert!(!publish("fresh.csv").unwrap().has_replaced);
    fs::create_dir(place.path("folder")).unwrap();
    assert!(matches!(publish("folder"), Err(PublishError::IsFolder { .. })));
    assert!(is_staging_empty(&place));
}
