//! Whole folders on their way in: nobody sees a part of one, and what one replaces is in the trash.

use std::fs;
use std::sync::Arc;

use volume::staged_folder::StagedFolder;
use volume::staging::PublishError;
use volume::uploads::Exists;
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
        let mut file = volume.stage(Some(content.len() as u64)).unwrap();
        file.write(content.as_bytes()).unwrap();
        folder.put(file, &rel(path)).unwrap();
    }
    folder.make_folder(&rel("empty")).unwrap();
    folder
}

fn publish(volume: &Arc<Volume>, to: &str, exists: Exists) -> Result<String, PublishError> {
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
    folder.publish(&rel("berlin/v6.4"), Exists::Refuse, "kmt", &anywhere).unwrap();
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
    let refused = publish(&volume, "v6.4", Exists::Refuse);
    assert!(matches!(refused, Err(PublishError::Occupied { .. })), "{refused:?}");
    assert_eq!(publish(&volume, "v6.4", Exists::KeepBoth).unwrap(), "v6.4%20%282%29");
    assert_eq!(publish(&volume, "v6.4", Exists::KeepBoth).unwrap(), "v6.4%20%283%29");
    assert!(place.path("v6.4/old.csv").exists() && place.path("v6.4 (3)/trips.csv").exists());
    let published = staged(&volume, "new").publish(&rel("v6.4"), Exists::Replace, "kmt", &anywhere);
    assert!(published.unwrap().has_replaced);
    assert!(!place.path("v6.4/old.csv").exists() && place.path("v6.4/trips.csv").exists());
    assert_eq!(
        fs::read_to_string(place.path(".sounding/trash/files/v6.4/old.csv")).unwrap(),
        "old"
    );
    let record = fs::read_to_string(place.path(".sounding/trash/info/v6.4.trashinfo")).unwrap();
    assert!(record.contains("Path=v6.4\n") && record.contains("X-Deleted-By=kmt\n"), "{record}");
    place.put("file", "content");
    for exists in [Exists::Refuse, Exists::Replace] {
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
    publish(&volume, "run", Exists::Replace).unwrap();
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
                .map(|_| scope.spawn(|| publish(&volume, &to, Exists::Refuse).is_ok()))
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
    let refused = staged(&volume, "new").publish(&rel(""), Exists::Replace, "kmt", &anywhere);
    assert!(matches!(refused, Err(PublishError::Place(_))), "{refused:?}");
    assert!(is_staging_empty(&place));
}
