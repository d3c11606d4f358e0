//! Commands that are ended in the middle: by ^C, by a lost line, by whoever ends programs, and by `kill -9`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_mins(1);
/// So many files are not copied in a moment.
const FILES: usize = 3000;

/// A program that listens to signals, also where these tests were begun in the background of a shell, which has some ignored.
fn sounding(volume: &Path) -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal=INT,QUIT,TERM,HUP", env!("CARGO_BIN_EXE_sounding")]);
    command.env("SOUNDING_VOLUME", volume).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn folder_of_many() -> TempDir {
    let volume = tempfile::tempdir().unwrap();
    fs::create_dir_all(volume.path().join("run")).unwrap();
    for number in 0..FILES {
        fs::write(volume.path().join(format!("run/{number}.csv")), b"a,b\n").unwrap();
    }
    volume
}

fn staged(volume: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(volume.join(".sounding/staging")).into_iter().flatten();
    entries.map(|it| it.unwrap().path()).collect()
}

/// Waits until something is in staging, and then sends a signal.
fn end_in_the_middle(volume: &Path, child: &Child, signal: Signal) {
    let until = Instant::now() + DEADLINE;
    let holds_bytes = |it: &PathBuf| it.is_dir() || it.metadata().is_ok_and(|it| it.len() > 0);
    while !staged(volume).iter().any(holds_bytes) {
        assert!(Instant::now() < until, "nothing was staged");
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Puts a file from a pipe that stays open.
fn begin_to_put(mut command: Command) -> Child {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(&vec![1; 3 << 20]).unwrap();
    child
}

#[test]
fn a_copy_that_is_ended_leaves_nothing() {
    let volume = folder_of_many();
    for signal in [Signal::INT, Signal::QUIT, Signal::TERM, Signal::HUP] {
        let child = sounding(volume.path()).args(["cp", "run", "copy"]).spawn().unwrap();
        end_in_the_middle(volume.path(), &child, signal);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(128 + signal.as_raw()), "{said}");
        assert!(said.contains("stopped"), "{said}");
        assert_eq!(staged(volume.path()), [""; 0].map(PathBuf::from), "{signal:?}");
        assert!(!volume.path().join("copy").exists());
    }
}

#[test]
fn what_is_put_from_a_pipe_and_ended_leaves_nothing() {
    let volume = tempfile::tempdir().unwrap();
    for signal in [Signal::INT, Signal::QUIT, Signal::TERM, Signal::HUP] {
        let mut command = sounding(volume.path());
        command.args(["put", "x.bin"]);
        let mut child = begin_to_put(command);
        // Nothing more comes, and nobody closes it.
        let pipe = child.stdin.take();
        end_in_the_middle(volume.path(), &child, signal);
        let status = child.wait().unwrap();
        drop(pipe);
        assert_eq!(status.code(), Some(128 + signal.as_raw()));
        assert_eq!(staged(volume.path()), [""; 0].map(PathBuf::from), "{signal:?}");
        assert!(!volume.path().join("x.bin").exists());
    }
}

#[test]
fn a_signal_that_was_ignored_before_stays_so() {
    let volume = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" put x.bin", env!("CARGO_BIN_EXE_sounding")]);
    command.env("SOUNDING_VOLUME", volume.path());
    let mut child = begin_to_put(command);
    end_in_the_middle(volume.path(), &child, Signal::HUP);
    child.stdin.take().unwrap().write_all(b"the end").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::metadata(volume.path().join("x.bin")).unwrap().len(), (3 << 20) + 7);
}

#[test]
fn what_a_killed_copy_leaves_is_named_by_the_doctor() {
    let volume = folder_of_many();
    let mut child = sounding(volume.path()).args(["cp", "run", "copy"]).spawn().unwrap();
    end_in_the_middle(volume.path(), &child, Signal::KILL);
    child.wait().unwrap();
    assert_eq!(staged(volume.path()).iter().filter(|it| it.is_dir()).count(), 1);
    let doctor = Command::new(env!("CARGO_BIN_EXE_sounding"))
        .args(["doctor", "--json"])
        .env("SOUNDING_VOLUME", volume.path())
        .output()
        .unwrap();
    let findings: serde_json::Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let of_staging = findings.as_array().unwrap().iter().find(|it| it["what"] == "staging");
    let finding = of_staging.unwrap();
    assert_eq!(finding["ok"], false);
    assert!(finding["found"].as_str().unwrap().contains("left by a program that was killed"));
    // A server's start, and whoever tidies later.
    let swept = volume::Volume::open(volume.path()).unwrap().sweep_staging().unwrap();
    assert!(swept.things > 0 && staged(volume.path()).is_empty());
}
