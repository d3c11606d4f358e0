//! The versions of a file.

use std::fs;
use std::io::Write;
use std::time::{Duration, SystemTime};

use crate::support::{Place, wait_for};

/// The version, once every later write is certain to have another.
fn version(place: &Place) -> String {
    wait_for("a settled file", || {
        let file = place.file("file.txt");
        file.stat.is_settled().then(|| file.stat.version())
    })
}

#[test]
fn each_change_makes_another_version() {
    let place = Place::new();
    let path = place.path("file.txt");
    place.put("file.txt", "content 0");
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let set_back =
        || fs::File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    set_back();
    let mut seen = std::collections::HashSet::from([version(&place)]);
    for round in 1..60 {
        match round % 4 {
            0 => fs::write(&path, format!("content {}", round % 10)).unwrap(),
            1 => {
                fs::write(&path, format!("content {}", round % 10)).unwrap();
                set_back();
            }
            2 => fs::File::options().append(true).open(&path).unwrap().write_all(b"x").unwrap(),
            _ => {
                // Another file with the same size and the same time.
                let before = fs::metadata(&path).unwrap();
                place.put("beside.txt", &"y".repeat(usize::try_from(before.len()).unwrap()));
                let beside =
                    fs::File::options().write(true).open(place.path("beside.txt")).unwrap();
                beside.set_modified(before.modified().unwrap()).unwrap();
                fs::rename(place.path("beside.txt"), &path).unwrap();
            }
        }
        assert!(seen.insert(version(&place)), "round {round} has the version of an earlier one");
    }
}

#[test]
fn a_file_at_rest_has_one_version() {
    let place = Place::new();
    place.put("file.txt", "content");
    let first = version(&place);
    for _ in 0..100 {
        assert_eq!(version(&place), first);
    }
}

#[test]
fn a_file_that_was_written_just_now_is_not_settled_until_the_clock_moves_on() {
    let place = Place::new();
    let unsettled = (0..1000).filter(|_| {
        place.put("file.txt", "content");
        !place.file("file.txt").stat.is_settled()
    });
    assert!(unsettled.count() > 0, "a write and a look within one step of the clock");
    version(&place);
}
