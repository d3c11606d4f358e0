//! What the service tidies, what it leaves alone, and what it notices of its volume.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::{Timestamp, ToSpan};
use tempfile::TempDir;

use crate::process::{Program, volume_with_key};
use crate::support::{Connection, Response, wait_for, write};
use crate::uploads::problem;

const LEFT: &str = ".sounding/staging/0123456789abcdef0123456789abcdef";

fn get(program: &Program, target: &str) -> Response {
    let mut connection = Connection::to(&program.address);
    connection.send("GET", target, &[("Authorization", "kmt-secret")]);
    connection.receive("GET")
}

/// What a PUT of a new file is answered, and the DELETE of one.
fn changes(program: &Program, deleted: &str) -> [Response; 2] {
    [("PUT", "/files/run/new.txt"), ("DELETE", deleted)].map(|(method, target)| {
        let mut connection = Connection::to(&program.address);
        connection.send_body(method, target, b"new", &[("Authorization", "kmt-secret")]);
        connection.receive(method)
    })
}

fn are_refused(program: &Program) {
    for answer in changes(program, "/files/run/a.txt") {
        assert_eq!((answer.status, problem(&answer).as_str()), (503, "volume-lost"));
    }
}

fn are_made(program: &Program) {
    assert_eq!(changes(program, "/files/run/new.txt").map(|it| it.status), [201, 204]);
}

fn warnings(program: &Program) -> String {
    // It is asked again and again, and changes within seconds.
    std::thread::sleep(Duration::from_millis(20));
    get(program, "/health").json()["warnings"].to_string()
}

/// A volume with something in the trash that was deleted long ago, and a note of when it was tidied last.
fn deleted_long_ago(last: Timestamp, no_jump_since: Timestamp) -> (TempDir, PathBuf) {
    let volume = volume_with_key();
    let record = "[Trash Info]\nPath=a.csv\nDeletionDate=2020-01-01T00:00:00\nX-Deleted-By=kmt\n";
    write(&volume.path().join(".sounding/trash/info/a.csv.trashinfo"), record.as_bytes());
    let trashed = volume.path().join(".sounding/trash/files/a.csv");
    write(&trashed, b"dear");
    let tidied = format!("{{\"last\": \"{last}\", \"no_jump_since\": \"{no_jump_since}\"}}");
    write(&volume.path().join(".sounding/tidied.json"), tidied.as_bytes());
    (volume, trashed)
}

fn is_noted_anew(volume: &Path, last: Timestamp) -> bool {
    let text = fs::read_to_string(volume.join(".sounding/tidied.json")).unwrap_or_default();
    text.contains("last") && !text.contains(&last.to_string())
}

#[test]
fn what_is_old_leaves_the_trash_by_a_clock_that_has_not_jumped() {
    let now = Timestamp::now();
    let (volume, trashed) = deleted_long_ago(now - 2.hours(), now - 48.hours());
    let _program = Program::start_quiet(volume.path(), "127.0.0.1:0");
    wait_for("an empty trash", || (!trashed.exists()).then_some(()));
}

#[test]
fn a_clock_that_has_jumped_empties_no_trash() {
    let now = Timestamp::now();
    let year = (365 * 24).hours();
    // A year ahead, as seen from when it was tidied last; and a year behind.
    for last in [now - year, now + year] {
        let (volume, trashed) = deleted_long_ago(last, last - year);
        let program = Program::start(volume.path(), &[]);
        wait_for("a tidying", || is_noted_anew(volume.path(), last).then_some(()));
        // The note is written first; what would have gone after it goes in the same moment.
        let (status, _, log) = program.end();
        assert!(status.success() && log.contains("nothing is removed for its age"), "{log}");
        assert!(trashed.exists());
    }
}

#[test]
fn what_a_killed_program_left_in_staging_goes_with_the_next_start() {
    let volume = volume_with_key();
    let left = volume.path().join(LEFT);
    write(&left, &vec![0; 100_000]);
    let _program = Program::start_quiet(volume.path(), "127.0.0.1:0");
    wait_for("an empty staging", || (!left.exists()).then_some(()));
}

#[test]
fn a_volume_that_loses_the_service_s_folder_keeps_its_keys_and_says_so() {
    let volume = volume_with_key();
    write(&volume.path().join(".sounding/auth-keys.csv"), b"kmt,kmt-secret,write\n");
    let program = Program::start_quiet(volume.path(), "127.0.0.1:0");
    assert_eq!(get(&program, "/files/run/a.txt").status, 200);
    wait_for("the folder to be in use", || {
        volume.path().join(".sounding/trash/info").exists().then_some(())
    });
    let (place, away) = (volume.path().join(".sounding"), volume.path().join("away"));
    fs::rename(&place, &away).unwrap();
    wait_for("a warning", || warnings(&program).contains("`.sounding` is gone").then_some(()));
    are_refused(&program);
    // A keys file that is missing counts after ten seconds; one whose folder is missing does not.
    let until = Instant::now() + Duration::from_secs(12);
    while Instant::now() < until {
        assert_eq!(get(&program, "/files/run/a.txt").status, 200);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(!place.exists(), "a new folder would have no keys in it");
    fs::rename(&away, &place).unwrap();
    wait_for("no warning of it", || {
        (!warnings(&program).contains("`.sounding` is gone")).then_some(())
    });
    are_made(&program);
}

#[test]
fn a_volume_that_is_not_in_its_place_any_more_is_noticed() {
    let folder = TempDir::new().unwrap();
    let (place, away) = (folder.path().join("volume"), folder.path().join("away"));
    write(&place.join(".sounding/auth-keys.csv"), b"kmt,kmt-secret,write\n");
    write(&place.join("run/a.txt"), b"content");
    let program = Program::start_quiet(&place, "127.0.0.1:0");
    assert_eq!(warnings(&program), "[]");
    are_made(&program);
    // What is under way is refused when it has come.
    let mut under_way = Connection::to(&program.address);
    let head =
        [("Authorization", "kmt-secret"), ("Content-Length", "7"), ("Expect", "100-continue")];
    under_way.send("PUT", "/files/run/under-way.txt", &head);
    assert_eq!(under_way.receive_head().status, 100);
    fs::rename(&place, &away).unwrap();
    are_refused(&program);
    under_way.stream.get_mut().write_all(b"content").unwrap();
    assert_eq!(under_way.receive("PUT").status, 503);
    assert_eq!(get(&program, "/files/run/a.txt").status, 200);
    wait_for("a warning", || warnings(&program).contains("not in its place").then_some(()));
    // As an empty folder lies under what was unmounted.
    fs::create_dir(&place).unwrap();
    assert!(warnings(&program).contains("not in its place"));
    are_refused(&program);
    fs::remove_dir(&place).unwrap();
    fs::rename(&away, &place).unwrap();
    wait_for("no warning", || (warnings(&program) == "[]").then_some(()));
    are_made(&program);
    assert!(!place.join("run/under-way.txt").exists());
}
