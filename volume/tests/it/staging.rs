//! Staged files: no half file is visible, and of two uploads at the same time one wins.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use volume::OnConflict;
use volume::staging::{PublishError, Replace, StageError, Staged, TargetError};
use volume::uploads::{UploadKind, UploadRecord, UploadTarget};
use volume::{RelPath, Volume};

use crate::support::{CANARY, Place, rel};

fn anywhere(_: &RelPath) -> bool {
    true
}

fn open(place: &Place) -> Arc<Volume> {
    Arc::new(Volume::open(&place.path("")).unwrap())
}

fn staged(volume: &Arc<Volume>, content: &str) -> Staged {
    let mut staged = volume.stage(Some(content.len() as u64)).unwrap();
    staged.write(content.as_bytes()).unwrap();
    staged
}

fn publish(volume: &Arc<Volume>, to: &str, replace: Replace) -> Result<String, PublishError> {
    let published = staged(volume, "new").publish(&rel(to), replace, &anywhere)?;
    Ok(published.path.to_url())
}

fn left_in_staging(place: &Place) -> usize {
    fs::read_dir(place.path(".sounding/staging")).unwrap().count()
}

#[test]
fn a_file_appears_whole_with_the_folders_above_it() {
    let place = Place::new();
    let volume = open(&place);
    let mut staged = volume.stage(None).unwrap();
    staged.write(b"half ").unwrap();
    assert!(!place.path("berlin").exists());
    staged.write(b"a file").unwrap();
    let published = staged.publish(&rel("berlin/run 1/trips.csv"), Replace::Refuse, &anywhere);
    assert!(!published.unwrap().has_replaced);
    let path = place.path("berlin/run 1/trips.csv");
    assert_eq!(fs::read_to_string(&path).unwrap(), "half a file");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o666 & !umask(&place));
    assert_eq!(fs::metadata(place.path(".sounding/staging")).unwrap().mode() & 0o777, 0o700);
    assert_eq!(left_in_staging(&place), 0);
}

/// The umask that files made here get.
fn umask(place: &Place) -> u32 {
    place.put("probe", "");
    0o666 & !fs::metadata(place.path("probe")).unwrap().mode()
}

#[test]
fn what_is_dropped_is_gone() {
    let place = Place::new();
    drop(staged(&open(&place), "never published"));
    assert_eq!(left_in_staging(&place), 0);
}

#[test]
fn the_caller_chooses_what_happens_to_what_is_there() {
    let place = Place::new();
    let volume = open(&place);
    place.put("trips.csv.gz", "old");
    let occupied = publish(&volume, "trips.csv.gz", Replace::Refuse);
    assert!(matches!(occupied, Err(PublishError::Occupied { .. })), "{occupied:?}");
    assert_eq!(
        publish(&volume, "trips.csv.gz", Replace::KeepBoth).unwrap(),
        "trips%20%282%29.csv.gz"
    );
    assert_eq!(
        publish(&volume, "trips.csv.gz", Replace::KeepBoth).unwrap(),
        "trips%20%283%29.csv.gz"
    );
    assert_eq!(fs::read_to_string(place.path("trips.csv.gz")).unwrap(), "old");
    let mut reader = fs::File::open(place.path("trips.csv.gz")).unwrap();
    assert_eq!(publish(&volume, "trips.csv.gz", Replace::Always).unwrap(), "trips.csv.gz");
    assert_eq!(fs::read_to_string(place.path("trips.csv.gz")).unwrap(), "new");
    let mut old = String::new();
    reader.read_to_string(&mut old).unwrap();
    assert_eq!(old, "old", "who had it open goes on reading it");
    assert_eq!(left_in_staging(&place), 0);
}

#[test]
fn only_the_version_that_was_meant_is_replaced() {
    let place = Place::new();
    let volume = open(&place);
    place.put("a", "old");
    let seen = place.file("a").stat;
    publish(&volume, "a", Replace::IfStill(seen)).unwrap();
    let second = publish(&volume, "a", Replace::IfStill(seen));
    assert!(matches!(second, Err(PublishError::Changed { .. })), "{second:?}");
    let missing = publish(&volume, "b", Replace::IfStill(seen));
    assert!(matches!(missing, Err(PublishError::Changed { .. })), "{missing:?}");
    assert!(!place.path("b").exists());
}

#[test]
fn of_those_that_finish_at_once_one_wins() {
    let race = |replace: Replace, place: &Place| {
        let volume = open(place);
        let barrier = Arc::new(Barrier::new(8));
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let (volume, barrier) = (Arc::clone(&volume), Arc::clone(&barrier));
                std::thread::spawn(move || {
                    let staged = staged(&volume, "new");
                    barrier.wait();
                    staged.publish(&rel("folder/a"), replace, &anywhere).is_ok()
                })
            })
            .collect();
        threads.into_iter().map(|it| it.join().unwrap()).filter(|it| *it).count()
    };
    for _ in 0..20 {
        let place = Place::new();
        assert_eq!(race(Replace::Refuse, &place), 1);
        let seen = place.file("folder/a").stat;
        assert_eq!(race(Replace::IfStill(seen), &place), 1);
        assert_eq!(race(Replace::KeepBoth, &place), 8);
        assert_eq!(fs::read_dir(place.path("folder")).unwrap().count(), 9);
    }
}

#[test]
fn a_folder_is_never_replaced_by_a_file_nor_a_file_by_a_folder() {
    let place = Place::new();
    let volume = open(&place);
    place.put("folder/a", "old");
    let over_folder = publish(&volume, "folder", Replace::Always);
    assert!(matches!(over_folder, Err(PublishError::IsFolder { .. })), "{over_folder:?}");
    let below_file = publish(&volume, "folder/a/b", Replace::Always);
    assert!(
        matches!(below_file, Err(PublishError::Target(TargetError::NotAFolder { .. }))),
        "{below_file:?}"
    );
    let root = publish(&volume, "", Replace::Always);
    assert!(matches!(root, Err(PublishError::Target(TargetError::IsRoot))), "{root:?}");
    assert_eq!(fs::read_to_string(place.path("folder/a")).unwrap(), "old");
    assert_eq!(left_in_staging(&place), 0);
}

#[test]
fn a_link_takes_no_upload_out_of_the_volume_nor_where_the_caller_may_not_write() {
    crate::support::both_ways(|place| {
        let volume = Arc::new(place.volume);
        let publish = |to: &str, may_write: &dyn Fn(&RelPath) -> bool| {
            staged(&volume, "new").publish(&rel(to), Replace::Always, may_write).map(|_| ())
        };
        let path = |it: &str| place.folder.path().join("volume").join(it);
        fs::create_dir_all(path("secret")).unwrap();
        let outside = place.folder.path().join("outside");
        for (target, name) in [
            ("../outside", "out"),
            ("nowhere", "dangling"),
            ("secret", "in"),
            (".sounding", "hidden"),
        ] {
            std::os::unix::fs::symlink(target, path(name)).unwrap();
        }
        std::os::unix::fs::symlink("../outside/canary.txt", path("canary.txt")).unwrap();
        for to in ["out/a", "dangling/a", "hidden/key-use.json", "out/new/a"] {
            publish(to, &anywhere).unwrap_err();
        }
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
        let not_secret = |it: &RelPath| !it.is_within(&rel("secret"));
        let refused = publish("in/a", &not_secret);
        assert!(
            matches!(refused, Err(PublishError::Target(TargetError::NotAllowed { .. }))),
            "{refused:?}"
        );
        publish("in/a", &anywhere).unwrap();
        assert!(path("secret/a").exists());
        // A link with this very name is replaced, not followed.
        publish("canary.txt", &anywhere).unwrap();
        assert_eq!(fs::read_to_string(outside.join("canary.txt")).unwrap(), CANARY);
        assert!(fs::symlink_metadata(path("canary.txt")).unwrap().is_file());
    });
}

#[test]
fn what_does_not_fit_is_refused_before_the_first_byte() {
    let place = Place::new();
    let volume = open(&place);
    let space = volume.space().unwrap();
    let refused = volume.stage(Some(space.room() + (1 << 30)));
    assert!(matches!(refused, Err(StageError::NoRoom(_))), "{refused:?}");
    drop(volume.stage(Some(1)).unwrap());
    assert_eq!(left_in_staging(&place), 0);
}

#[test]
fn what_nobody_can_say_whose_it_is_is_swept_after_a_week() {
    let place = Place::new();
    let volume = open(&place);
    let on_its_way = staged(&volume, "new");
    place.put(".sounding/staging/old", "x");
    place.put(".sounding/staging/folder/a", "x");
    let eight_days_ago = SystemTime::now() - Duration::from_hours(8 * 24);
    for name in ["old", "folder"] {
        let file = fs::File::open(place.path(".sounding/staging").join(name)).unwrap();
        file.set_modified(eight_days_ago).unwrap();
    }
    place.put(".sounding/staging/young", "x");
    assert_eq!(volume.sweep_staging().unwrap().things, 2);
    fs::remove_file(place.path(".sounding/staging/young")).unwrap();
    assert_eq!(left_in_staging(&place), 1);
    on_its_way.publish(&rel("a"), Replace::Refuse, &anywhere).unwrap();
}

#[test]
fn what_a_killed_process_left_is_swept_at_once_and_nothing_else() {
    let place = Place::new();
    let volume = open(&place);
    let file = staged(&volume, "new");
    let folder = volume.stage_folder().unwrap();
    let target = UploadTarget { path: rel("up"), exists: OnConflict::Refuse };
    let record = UploadRecord::new("kmt", Timestamp::now(), 3, UploadKind::File(target), "");
    let upload = volume.begin_upload(record).unwrap().id;
    // The files that a killed process leaves, which nobody holds.
    place.put(".sounding/staging/0123456789abcdef0123456789abcdef", &"x".repeat(100_000));
    place.put(".sounding/staging/fedcba9876543210fedcba9876543210/in/it", &"x".repeat(100_000));
    // A second volume stands for another process, also for one that has just started.
    let left = open(&place).left_in_staging().unwrap();
    assert!(left.things == 2 && left.bytes >= 200_000, "{left:?}");
    assert_eq!(left_in_staging(&place), 5);
    assert_eq!(open(&place).sweep_staging().unwrap(), left);
    assert_eq!(left_in_staging(&place), 3);
    file.publish(&rel("a"), Replace::Refuse, &anywhere).unwrap();
    folder.publish(&rel("b"), OnConflict::Refuse, "kmt", &anywhere).unwrap();
    assert!(volume.upload(upload).unwrap().is_some());
    assert_eq!(open(&place).sweep_staging().unwrap().things, 0);
}

#[test]
fn sweeping_takes_nothing_from_those_who_begin_meanwhile() {
    const ROUNDS: usize = 300;
    let place = Place::new();
    let volume = open(&place);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sweeper = scope.spawn(|| {
            let other = open(&place);
            while !is_over.load(Ordering::SeqCst) {
                other.sweep_staging().unwrap();
            }
        });
        for round in 0..ROUNDS {
            let to = format!("run/{round}");
            staged(&volume, "new").publish(&rel(&to), Replace::Refuse, &anywhere).unwrap();
            let folder = volume.stage_folder().unwrap();
            folder.publish(&rel(&format!("{to}.d")), OnConflict::Refuse, "kmt", &anywhere).unwrap();
        }
        is_over.store(true, Ordering::SeqCst);
        sweeper.join().unwrap();
    });
}

#[test]
fn a_shared_folder_s_group_gets_what_comes_in() {
    let place = Place::new();
    fs::create_dir(place.path("shared")).unwrap();
    let folder = place.path("shared");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o2775)).unwrap();
    // Only root can give a folder to another user.
    let has_given = std::os::unix::fs::chown(&folder, Some(4321), Some(4322)).is_ok();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o2775)).unwrap();
    publish(&open(&place), "shared/run/a", Replace::Refuse).unwrap();
    let expected = fs::metadata(&folder).unwrap();
    for made in ["shared/run", "shared/run/a"] {
        let made = fs::metadata(place.path(made)).unwrap();
        assert_eq!((made.uid(), made.gid()), (expected.uid(), expected.gid()));
    }
    assert_eq!(expected.gid() == 4322, has_given);
}
