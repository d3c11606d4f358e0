//! One server at a time serves a volume, and what lies on a file system of more than one machine is said to.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;
use volume::Volume;
use volume::journal::Journal;
use volume::server_lock::ServerLockError;

use crate::process::{Program, command};
use crate::support::{Connection, skipped, wait_for, write, write_keys};

/// Writes a file until a change is in the journal that was not. What is there at the first look is none.
fn wait_for_a_change(volume: &Path) {
    let journal = Journal::open(&Volume::open(volume).unwrap()).unwrap();
    let latest = || journal.latest(1).unwrap().first().map_or(0, |it| it.seq);
    let (before, mut number) = (latest(), 0);
    wait_for("a change", || {
        number += 1;
        write(&volume.join("run/a.csv"), format!("a;{number}\n").as_bytes());
        (latest() > before).then_some(())
    });
}

fn health(server: &Program) -> Value {
    let mut connection = Connection::to(&server.address);
    connection.send("GET", "/health", &[]);
    connection.receive("GET").json()
}

#[test]
fn a_second_server_says_who_is_there_and_ends_and_the_first_keeps_its_journal() {
    let folder = tempfile::tempdir().unwrap();
    write_keys(folder.path());
    let first = Program::start(folder.path(), &[]);
    wait_for_a_change(folder.path());
    for _ in 0..2 {
        let second = command(folder.path()).args(["--listen", "127.0.0.1:0"]).output().unwrap();
        let said = String::from_utf8_lossy(&second.stderr);
        assert_eq!(second.status.code(), Some(1), "{said}");
        let by = format!("another server serves this volume already (process {} on ", first.id());
        assert!(said.contains(&by), "{said}");
        assert!(said.contains("stop that one"), "{said}");
        assert!(second.stdout.is_empty(), "it says that it listens");
    }
    // The first has lost nothing, and goes on.
    wait_for_a_change(folder.path());
    assert!(!folder.path().join(".sounding/journal.broken.sqlite").exists());
    // However it ends, the next one can have the volume at once.
    first.signal(Signal::KILL);
    drop(first);
    let next = Program::start(folder.path(), &[]);
    assert_eq!(health(&next)["status"], "ok");
}

#[test]
fn the_lock_is_asked_for_and_not_the_file() {
    let folder = tempfile::tempdir().unwrap();
    write_keys(folder.path());
    // What a server that was killed left, and what stands there by mistake.
    for left in ["process 1 on another, since 2026-01-01", "", "\x1b[31m\n"] {
        write(&folder.path().join(".sounding/server.lock"), left.as_bytes());
        let volume = Volume::open(folder.path()).unwrap();
        let lock = volume.lock_for_server().unwrap();
        let refused = volume.lock_for_server().unwrap_err().to_string();
        assert!(refused.contains(&format!("process {} on ", std::process::id())), "{refused}");
        drop(lock);
        drop(volume.lock_for_server().unwrap());
    }
    // What is planted there is neither followed nor written to nor waited for, and no server serves without knowing.
    let place = |name: &str| folder.path().join(".sounding").join(name);
    let (lock, keys) = (place("server.lock"), place("auth-keys.csv"));
    let before = fs::read(&keys).unwrap();
    let plants: [&dyn Fn(); 4] = [
        &|| symlink(&keys, &lock).unwrap(),
        &|| fs::hard_link(&keys, &lock).unwrap(),
        &|| assert!(Command::new("mkfifo").arg(&lock).status().unwrap().success()),
        &|| fs::create_dir(&lock).unwrap(),
    ];
    for plant in plants {
        fs::remove_file(&lock).unwrap();
        plant();
        let refused = Volume::open(folder.path()).unwrap().lock_for_server().unwrap_err();
        assert!(matches!(refused, ServerLockError::Io(_)), "{refused}");
        assert_eq!(fs::read(&keys).unwrap(), before);
    }
}

/// Unmounts when dropped.
struct Mounted<'p>(&'p Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg(self.0).status().unwrap();
    }
}

/// The first server's journal was taken for broken by the second on a mount of this kind.
#[test]
fn a_volume_on_fuse_is_locked_as_well_and_says_what_it_cannot_tell() {
    let (folder, mount) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_keys(folder.path());
    let bindfs =
        Command::new("bindfs").arg(folder.path()).arg(mount.path()).stderr(Stdio::null()).status();
    if !bindfs.is_ok_and(|it| it.success()) {
        skipped("a volume on FUSE", "bindfs, or the right to mount");
        return;
    }
    let _mounted = Mounted(mount.path());
    let first = Program::start(mount.path(), &[]);
    let warning =
        wait_for("the warning", || health(&first)["warnings"][0].as_str().map(str::to_owned));
    assert!(warning.starts_with("the volume lies on FUSE, which does not tell"), "{warning}");
    let second = command(mount.path()).args(["--listen", "127.0.0.1:0"]).output().unwrap();
    assert_eq!(second.status.code(), Some(1), "{}", String::from_utf8_lossy(&second.stderr));
    drop(first);
}
