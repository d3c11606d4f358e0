//! `sounding` started by root, as `fly ssh console` does, on a volume that is another user's. Needs root itself.

use std::os::unix::fs::{MetadataExt, chown, lchown};
use std::process::{Command, Output};

use portable_pty::CommandBuilder;
use serde_json::Value;
use walkdir::WalkDir;

use crate::screen::{Console, Place};

/// The service's user.
const USER: u32 = 900;

fn volume() -> Option<Place> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not root: nobody can be another user here");
        return None;
    }
    let place = Place::new();
    for entry in WalkDir::new(place.0.path()) {
        chown(entry.unwrap().path(), Some(USER), Some(USER)).unwrap();
    }
    Some(place)
}

fn sounding(place: &Place, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sounding"));
    command.args(args).env("SOUNDING_VOLUME", place.0.path());
    command.env("SOUNDING_URL", "https://x.fly.dev");
    command.env("SOUNDING_ADMIN", place.path("no.sock")).output().unwrap()
}

/// Whatever does not belong to the service, by its path on the volume.
fn of_others(place: &Place) -> Vec<String> {
    let root = place.0.path();
    let is_others = |it: &walkdir::DirEntry| {
        let stat = it.path().symlink_metadata().unwrap();
        (stat.uid(), stat.gid()) != (USER, USER)
    };
    let all = WalkDir::new(root).into_iter().map(Result::unwrap).filter(is_others);
    all.map(|it| it.path().strip_prefix(root).unwrap().display().to_string()).collect()
}

#[test]
fn what_root_does_is_the_services_own_and_nothing_is_said_of_it() {
    let Some(place) = volume() else { return };
    for args in [
        &["mv", "zurich/x", "zurich/y"][..],
        &["cp", "berlin", "hamburg"],
        &["mkdir", "new/folder"],
        &["put", "new/note.txt", "--text", "hello"],
        &["keys", "add", "kmt"],
        &["share", "berlin/trips.csv"],
        &["rm", "hamburg/it.2"],
    ] {
        let output = sounding(&place, args);
        assert!(output.status.success() && output.stderr.is_empty(), "{args:?}: {output:?}");
    }
    assert!(place.has("hamburg/trips.csv") && place.has(".sounding/trash/files/it.2"));
    assert_eq!(of_others(&place), [""; 0]);
}

#[test]
fn the_screen_is_the_services_users_on_a_terminal_that_is_roots() {
    let Some(place) = volume() else { return };
    for is_controlling in [true, false] {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_sounding"));
        command.env("TERM", "xterm-256color");
        command.env("SOUNDING_ADMIN", place.path("no.sock"));
        command.env("SOUNDING_VOLUME", place.0.path());
        command.set_controlling_tty(is_controlling);
        let mut console = Console::run(command, (80, 24));
        console.press("", "berlin/");
        console.press(":theme light\r", "berlin/");
        console.press("\r", "trips.csv");
        console.press("G", "▸ trips.csv");
        console.press("d", "moved trips.csv to trash");
        console.press("u", "undone: moved trips.csv to trash");
        console.type_in("q");
        assert_eq!(console.status(), 0);
        console.wait_restored(&format!("controlling: {is_controlling}"));
        assert!(place.has(".sounding/console.json"));
        assert_eq!(of_others(&place), [""; 0]);
    }
}

#[test]
fn root_that_cannot_become_another_user_says_so_and_goes_on() {
    let Some(place) = volume() else { return };
    let output = Command::new("setpriv")
        .args(["--bounding-set=-setuid,-setgid", env!("CARGO_BIN_EXE_sounding"), "ls", "berlin"])
        .env("SOUNDING_VOLUME", place.0.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && output.stdout.starts_with(b"it.2/"), "{output:?}");
    assert!(said.contains("could not become") && said.contains("--fix-owners"), "{said}");
}

#[test]
fn the_doctor_finds_what_is_others_and_root_gives_it_to_the_service() {
    let Some(place) = volume() else { return };
    let owners = || {
        let output = sounding(&place, &["doctor", "--json"]);
        let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
        let all = findings.as_array().unwrap().iter();
        all.filter(|it| it["what"] == "owners").cloned().collect::<Vec<_>>()
    };
    let found = owners();
    assert_eq!((found.len(), &found[0]["ok"]), (1, &Value::Bool(true)), "{found:?}");
    for (path, user) in [("berlin/trips.csv", 0), ("berlin/it.2", 0), ("zurich/x", 1000)] {
        lchown(place.path(path), Some(user), Some(user)).unwrap();
    }
    let found = owners();
    assert_eq!(found[0]["ok"], Value::Bool(false));
    assert!(found[0]["found"].as_str().unwrap().contains(", 3 of others"), "{found:?}");
    assert!(found[0]["to_do"].as_str().unwrap().contains("--fix-owners"), "{found:?}");
    let output = sounding(&place, &["doctor", "--fix-owners"]);
    assert!(!output.status.success() && of_others(&place).len() == 3, "{output:?}");

    // Asked on a terminal.
    let command = || {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_sounding"));
        command.env("SOUNDING_VOLUME", place.0.path());
        command.args(["doctor", "--fix-owners"]);
        command
    };
    let mut console = Console::run(command(), (80, 24));
    console.wait("3 files and folders belong");
    console.type_in("\r");
    console.wait("nothing was changed");
    assert_eq!((console.status(), of_others(&place).len()), (1, 3));
    let mut console = Console::run(command(), (80, 24));
    console.wait("[y/N]");
    console.type_in("y\r");
    console.wait("gave 3 files and folders to user 900");
    assert_eq!(console.status(), 0);
    assert_eq!(of_others(&place), [""; 0]);

    lchown(place.path("berlin"), Some(0), Some(0)).unwrap();
    let output = sounding(&place, &["doctor", "--fix-owners", "--yes", "--json"]);
    let mended: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&mended["mended"], &mended["failed"]), (&1.into(), &0.into()), "{mended}");
    assert_eq!((&mended["user"], of_others(&place).len()), (&USER.into(), 0));
}
