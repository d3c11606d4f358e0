//! What others bring into the volume, as people bring it, is told once and whole: by rsync, `cp -r` and unzip, while the
//! server can't listen, and where it has no watches left.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::Program;
use crate::support::{Connection, KEY, write};

/// Files in a burst, and folders they lie in.
const FILES: usize = 50_000;
const FOLDERS: usize = 500;
const DEADLINE: Duration = Duration::from_mins(2);

struct Place {
    folder: TempDir,
    program: Program,
    cursor: String,
}

impl Place {
    fn new() -> Place {
        Place::started_by(|volume| Program::start_quiet(volume, "127.0.0.1:0"))
    }

    fn started_by(start: impl FnOnce(&Path) -> Program) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let volume = folder.path().join("volume");
        write(&volume.join(".sounding/auth-keys.csv"), format!("kmt,{KEY},write\n").as_bytes());
        let program = start(&volume);
        let mut place = Place { folder, program, cursor: String::new() };
        place.changes("");
        place
    }

    fn volume(&self) -> std::path::PathBuf {
        self.folder.path().join("volume")
    }

    /// Files to be brought, in folders; the length of each follows from its number.
    fn make_source(&self) -> std::path::PathBuf {
        let source = self.folder.path().join("source");
        for folder in 0..FOLDERS {
            fs::create_dir_all(source.join(format!("run/it.{folder}"))).unwrap();
        }
        for number in 0..FILES {
            let path = source.join(format!("run/it.{}/{number}.csv", number % FOLDERS));
            fs::write(path, "x".repeat(length(number))).unwrap();
        }
        source
    }

    /// Over a connection of its own: what is brought meanwhile may take longer than the server keeps a silent one.
    fn get(&self, target: &str) -> serde_json::Value {
        let mut connection = Connection::to(&self.program.address);
        connection.send("GET", target, &[("Authorization", KEY)]);
        let response = connection.receive("GET");
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()
    }

    fn changes(&mut self, query: &str) -> Vec<serde_json::Value> {
        let mut answer = self.get(&format!("/changes?since={}&limit=10000{query}", self.cursor));
        assert_eq!(answer["fresh"], false);
        answer["cursor"].as_str().unwrap().clone_into(&mut self.cursor);
        match answer["changes"].take() {
            serde_json::Value::Array(changes) => changes,
            other => panic!("{other}"),
        }
    }

    /// Waits until each file of the source is told; each may be told once only, and whole.
    fn expect_all_once(&mut self) {
        let (mut told, deadline) = (HashSet::new(), Instant::now() + DEADLINE);
        while told.len() < FILES + FOLDERS + 1 {
            assert!(Instant::now() < deadline, "{} were told", told.len());
            for change in self.changes("&wait=5") {
                self.check(&change);
                assert!(told.insert(change["path"].to_string()), "twice: {change}");
            }
        }
        // Nothing comes after.
        fs::write(self.volume().join("end.csv"), "end").unwrap();
        let last = loop {
            let changes = self.changes("&wait=5");
            if !changes.is_empty() {
                break changes;
            }
        };
        assert_eq!(last.len(), 1, "{last:?}");
        assert_eq!(last[0]["path"], "end.csv");
    }

    fn check(&self, change: &serde_json::Value) {
        assert_eq!(change["kind"], "added", "{change}");
        if change["type"] == "directory" {
            return;
        }
        let path = change["path"].as_str().unwrap();
        let number: usize =
            path.rsplit('/').next().unwrap().strip_suffix(".csv").unwrap().parse().unwrap();
        assert_eq!(change["size"], length(number), "{change}");
        let there = fs::metadata(self.volume().join(path)).unwrap().len();
        assert_eq!(there, length(number) as u64, "{change}");
    }
}

fn length(number: usize) -> usize {
    10 + number % 3000
}

fn run(program: &str, args: &[&str], folder: &Path) {
    let output = Command::new(program).args(args).current_dir(folder).output();
    let output = output.unwrap_or_else(|it| panic!("{program}: {it}: run .ci/setup.sh"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_rsync_brings_is_told_once_and_whole() {
    let mut place = Place::new();
    let (source, volume) = (place.make_source(), place.volume());
    run("rsync", &["-a", source.join("run").to_str().unwrap(), volume.to_str().unwrap()], &volume);
    place.expect_all_once();
}

#[test]
fn what_cp_brings_is_told_once_and_whole() {
    let mut place = Place::new();
    let (source, volume) = (place.make_source(), place.volume());
    run("cp", &["-r", source.join("run").to_str().unwrap(), "."], &volume);
    place.expect_all_once();
}

#[test]
fn what_unzip_brings_is_told_once_and_whole() {
    let mut place = Place::new();
    let (source, volume) = (place.make_source(), place.volume());
    run("zip", &["-q", "-r", "-1", "../run.zip", "run"], &source);
    let archive = place.folder.path().join("run.zip");
    // Without times: unzip sets a file's after it has closed it, and where the machine is busy that is a change of its own.
    run("unzip", &["-q", "-DD", archive.to_str().unwrap()], &volume);
    place.expect_all_once();
}

#[test]
fn a_burst_that_the_kernel_could_not_tell_of_is_found() {
    let mut place = Place::new();
    let (source, volume) = (place.make_source(), place.volume());
    // All folders are watched, so that every file is an event or three: more than the kernel's queue holds.
    fs::create_dir(volume.join("run")).unwrap();
    for folder in 0..FOLDERS {
        fs::create_dir(volume.join(format!("run/it.{folder}"))).unwrap();
    }
    let mut folders = 0;
    while folders < FOLDERS + 1 {
        folders += place.changes("&wait=5").len();
    }
    place.program.signal(Signal::STOP);
    run("cp", &["-r", source.join("run").to_str().unwrap(), "."], &volume);
    place.program.signal(Signal::CONT);
    let (mut told, deadline) = (HashSet::new(), Instant::now() + DEADLINE);
    while told.len() < FILES {
        assert!(Instant::now() < deadline, "{} were told", told.len());
        for change in place.changes("&wait=5") {
            place.check(&change);
            assert!(told.insert(change["path"].to_string()), "twice: {change}");
        }
    }
}

#[test]
fn where_no_watches_are_left_folders_are_looked_at_now_and_then() {
    // In a user namespace of its own a process may lower its own limit. The outer one stays as it is.
    let script = "echo 5 > /proc/sys/user/max_inotify_watches && exec \"$@\"";
    let mut place = Place::started_by(|volume| {
        for folder in 0..10 {
            fs::create_dir_all(volume.join(format!("run/it.{folder}"))).unwrap();
        }
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "sh", "-c", script, "sh"]);
        command.arg(env!("CARGO_BIN_EXE_sounding-server")).arg("--volume").arg(volume);
        command.args(["--listen", "127.0.0.1:0"]);
        Program::run(command)
    });
    let deadline = Instant::now() + DEADLINE;
    let health = loop {
        let health = place.get("/health");
        if health["status"] == "degraded" {
            break health;
        }
        assert!(Instant::now() < deadline, "{health}");
    };
    let warning = health["warnings"][0].as_str().unwrap();
    assert!(warning.contains("max_user_watches"), "{warning}");
    for folder in 0..10 {
        fs::write(place.volume().join(format!("run/it.{folder}/a.csv")), "content").unwrap();
    }
    let mut told = HashSet::new();
    while told.len() < 10 {
        assert!(Instant::now() < deadline, "{told:?}");
        told.extend(place.changes("&wait=5").into_iter().map(|it| it["path"].to_string()));
    }
    let (_, _, log) = place.program.end();
    assert!(log.contains("WARN") && log.contains("max_user_watches"), "{log}");
}
