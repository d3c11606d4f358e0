//! Transfers through the console, in a terminal, with a real sender and real servers on loopback.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fake::Fake;
use crate::screen::{Console, Place, Setup};
use crate::server::{KEY, Server};

#[path = "../../../wormhole/tests/it/servers.rs"]
#[allow(dead_code, reason = "the protocol's own tests use all of it")]
mod servers;

use servers::PYTHON;

/// A mailbox server and a relay.
struct Servers {
    _running: servers::Servers,
    mailbox: String,
    relay: String,
}

impl Servers {
    fn start() -> Servers {
        let running = servers::Servers::start(&["mailbox", "relay"]);
        let (mailbox, relay) = (running.mailbox_url(), running.relay());
        Servers { _running: running, mailbox, relay }
    }

    fn env(&self) -> [(&str, &str); 3] {
        [
            ("SOUNDING_MAILBOX", &self.mailbox),
            ("SOUNDING_RELAY", &self.relay),
            ("SOUNDING_LOCAL_PEERS", "true"),
        ]
    }

    /// A Python client with these arguments, in a folder.
    fn python(&self, folder: &Path, arguments: &[&str]) -> Python {
        let log = folder.join("log");
        let to = std::fs::File::create(&log).unwrap();
        let child = Command::new(PYTHON)
            .args(["-m", "wormhole", "--relay-url", &self.mailbox, "--transit-helper", &self.relay])
            .args(arguments)
            .current_dir(folder)
            .env("PYTHONUNBUFFERED", "1")
            .stdin(Stdio::null())
            .stdout(to.try_clone().unwrap())
            .stderr(to)
            .spawn()
            .unwrap();
        Python { child, log }
    }
}

/// A running Python client.
struct Python {
    child: Child,
    log: PathBuf,
}

impl Python {
    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    fn signal(&self, signal: Signal) {
        signal_to(self.child.id(), signal);
    }

    /// Waits until it has said something.
    fn wait_for(&self, text: &str) {
        let began = Instant::now();
        while !self.log().contains(text) {
            assert!(began.elapsed() < Duration::from_secs(30), "{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether it is content, and what it said.
    fn end(&mut self) -> (bool, String) {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.success(), self.log());
            }
            assert!(began.elapsed() < Duration::from_mins(1), "{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        drop(self.child.wait());
    }
}

fn signal_to(id: u32, signal: Signal) {
    let id = Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
    kill_process(id, signal).unwrap();
}

/// A folder to be sent, with a large file that does not fit into any buffer.
fn source(megabytes: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("output-1pct/it.0");
    std::fs::create_dir_all(&tree).unwrap();
    std::fs::write(tree.join("m\u{fc}nchen.csv"), "a,b\n").unwrap();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let bytes: Vec<u8> = (0..megabytes << 17).flat_map(|_| next()).collect();
    std::fs::write(folder.path().join("output-1pct/events.bin"), bytes).unwrap();
    folder
}

/// That both are the same to the last byte.
fn assert_arrived(place: &Place, source: &TempDir, at: &str) {
    for name in ["events.bin", "it.0/m\u{fc}nchen.csv"] {
        let sent = std::fs::read(source.path().join("output-1pct").join(name)).unwrap();
        let came = std::fs::read(place.path(at).join(name)).unwrap();
        assert!(sent == came, "{name}");
    }
}

/// The sender freezes when something has come, until it is told to go on.
fn freeze_mid_way(place: &Place, sender: &Python) {
    let began = Instant::now();
    let is_in_staging = |entry: walkdir::DirEntry| {
        entry.file_type().is_file() && entry.metadata().is_ok_and(|it| it.len() > 1 << 20)
    };
    let staging = place.path(".sounding/staging");
    while !walkdir::WalkDir::new(&staging).into_iter().flatten().any(is_in_staging) {
        assert!(began.elapsed() < Duration::from_secs(30), "{}", sender.log());
        std::thread::sleep(Duration::from_millis(1));
    }
    sender.signal(Signal::STOP);
}

/// As long as a slow machine takes for all of it.
fn wait_long(console: &Console, text: &str) {
    let began = Instant::now();
    while !console.text().contains(text) {
        assert!(began.elapsed() < Duration::from_mins(1), "{text}:\n{}", console.text());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn accept(console: &mut Console, number: u64) {
    console.press("2", "Code");
    console.press(&format!("{number} cros\tcloc\t"), &format!("{number}-crossover-clockwork_"));
    console.press("\r", "[ Receive ]");
    console.press("\r", "[3 Transfers]");
}

#[test]
fn a_folder_is_received_while_consoles_come_and_go() {
    let (place, servers, source) = (Place::new(), Servers::start(), source(64));
    let server = Server::with(&place, &servers.env());
    let mut sender =
        servers.python(source.path(), &["send", "--code", "4-crossover-clockwork", "output-1pct"]);
    sender.wait_for("receive 4-crossover-clockwork");
    let mut console = server.console_with(&place, &servers.env());
    console.press("", "berlin/");
    console.press("\r", "trips.csv");
    accept(&mut console, 4);
    freeze_mid_way(&place, &sender);
    console.wait("safe to quit");
    console.child.kill().unwrap();
    let mut console = server.console_with(&place, &servers.env());
    console.press("", "went on while you were away");
    console.press("3", "1 running");
    assert!(!place.has("berlin/output-1pct"), "nothing is seen of what is not whole");
    sender.signal(Signal::CONT);
    wait_long(&console, "1 today");
    let (is_content, log) = sender.end();
    assert!(is_content, "{log}");
    assert_arrived(&place, &source, "berlin/output-1pct");
    for (name, url) in
        [("events.bin", "events.bin"), ("it.0/m\u{fc}nchen.csv", "it.0/m%C3%BCnchen.csv")]
    {
        let sent = std::fs::read(source.path().join("output-1pct").join(name)).unwrap();
        let fetched = server.fetch(&format!("/files/berlin/output-1pct/{url}"), KEY);
        assert!(fetched == sent, "{name} over HTTP");
    }
    console.press("o", "\u{25b8} output-1pct/");
    // The same again: what is there already is asked about, and both are kept.
    let mut sender =
        servers.python(source.path(), &["send", "--code", "5-crossover-clockwork", "output-1pct"]);
    sender.wait_for("receive 5-crossover-clockwork");
    console.press("2", "Code");
    console.press("5-crossover-clockwork\r", "keep both");
    console.press("\r\r", "[3 Transfers]");
    wait_long(&console, "2 today");
    assert!(sender.end().0);
    assert_arrived(&place, &source, "berlin/output-1pct (2)");
    console.type_in("q");
    assert_eq!(console.status(), 0);
}

#[test]
fn without_a_server_the_console_does_it_and_quitting_is_asked() {
    let (place, servers, source) = (Place::new(), Servers::start(), source(32));
    let mut sender =
        servers.python(source.path(), &["send", "--code", "4-crossover-clockwork", "output-1pct"]);
    sender.wait_for("receive 4-crossover-clockwork");
    let setup = Setup { env: &servers.env(), ..Setup::default() };
    let mut console = Console::with(place.0.path(), &setup);
    console.press("", "berlin/");
    accept(&mut console, 4);
    freeze_mid_way(&place, &sender);
    console.wait("quitting ends it");
    console.press("q", "no server does it");
    console.press("\x1b", "quitting ends it");
    sender.signal(Signal::CONT);
    wait_long(&console, "1 today");
    assert!(sender.end().0);
    assert_arrived(&place, &source, "output-1pct");
    console.type_in("q");
    assert_eq!(console.status(), 0);
}

#[test]
fn a_line_that_drops_ends_what_the_console_runs_in_good_order() {
    let (place, servers, source) = (Place::new(), Servers::start(), source(64));
    let mut sender =
        servers.python(source.path(), &["send", "--code", "4-crossover-clockwork", "output-1pct"]);
    sender.wait_for("receive 4-crossover-clockwork");
    let setup = Setup { env: &servers.env(), ..Setup::default() };
    let mut console = Console::with(place.0.path(), &setup);
    console.press("", "berlin/");
    accept(&mut console, 4);
    freeze_mid_way(&place, &sender);
    sender.signal(Signal::CONT);
    let began = Instant::now();
    signal_to(console.child.process_id().unwrap(), Signal::HUP);
    console.status();
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    let (is_content, log) = sender.end();
    assert!(!is_content, "{log}");
    assert!(!place.has("output-1pct"));
    let staging = place.path(".sounding/staging");
    let left = std::fs::read_dir(staging).unwrap().count();
    assert_eq!(left, 0, "nothing is left behind");
    let mut console = Console::with(place.0.path(), &setup);
    console.press("3", "interrupted: stopped here");
}

#[test]
fn what_is_sent_from_the_list_arrives() {
    let (place, servers) = (Place::new(), Servers::start());
    let server = Server::with(&place, &servers.env());
    let mut console = server.console_with(&place, &servers.env());
    console.press("", "berlin/");
    console.press("w", "by wormhole");
    let seen = console.press("\r", "the other side runs");
    let at = seen.find("receive ").unwrap();
    let code = seen[at..].split_whitespace().nth(1).unwrap().to_owned();
    console.press("y", "clipboard");
    console.press("\r", "[1 Browse]");
    let folder = tempfile::tempdir().unwrap();
    let mut receiver = servers.python(folder.path(), &["receive", "--accept-file", &code]);
    let (is_content, log) = receiver.end();
    assert!(is_content, "{log}");
    assert_eq!(std::fs::read(folder.path().join("berlin/trips.csv")).unwrap(), b"content\n");
    console.press("3", "the receiver has it");
}

#[test]
fn a_code_is_made_here_and_the_sender_uses_it() {
    let (place, servers, source) = (Place::new(), Servers::start(), source(1));
    let server = Server::with(&place, &servers.env());
    let mut console = server.console_with(&place, &servers.env());
    console.press("2", "Code");
    let seen = console.press("\r", "send --code");
    let at = seen.find("--code ").unwrap();
    let code = seen[at..].split_whitespace().nth(1).unwrap().to_owned();
    let mut sender = servers.python(source.path(), &["send", "--code", &code, "output-1pct"]);
    console.press("", "[ Receive ]");
    console.press("x\r", "refused");
    let (is_content, _) = sender.end();
    assert!(!is_content);
}

/// Three transfers that get on as they do over an ordinary line.
fn three(passed: Duration) -> Value {
    let millis = u64::try_from(passed.as_millis()).unwrap();
    let one = |number: u64, size: u64, rate: u64| {
        // No line is quite even.
        let rate = rate + rate / 20 * (millis / 1000 * 7 + number) % (rate / 7);
        let done = size * 4 / 10 + rate * millis / 1000;
        json!({
            "version": 1, "number": number, "direction": "receive", "state": "running", "code": "7-guitarist-revenge",
            "command": null, "into": "berlin", "path": format!("berlin/run-{number}"), "done": done, "route": "relay (tcp:x:1)",
            "offer": {"type": "directory", "name": format!("run-{number}"), "size": size, "unpacked": size * 3, "files": 2341},
            "started": "2026-11-24T13:56:00Z", "started_by": "console 1", "ended": null, "cause": null,
            "host": "0123456789abcdef0123456789abcdef", "change": 3, "rate": rate, "quiet_seconds": 0, "is_live": true,
            "question": null
        })
    };
    json!([
        one(3, 18_400_000_000, 21_300_000),
        one(2, 2_200_000_000, 4_100_000),
        one(1, 412_000_000, 800_000)
    ])
}

/// Bytes a second that the screen sends.
fn rate(console: &Console, seconds: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(1500));
    let before = console.bytes().len();
    std::thread::sleep(Duration::from_secs(seconds));
    (console.bytes().len() - before) as u64 / seconds
}

#[test]
fn what_is_sent_is_little_while_three_transfers_run_and_nothing_when_none_does() {
    let place = Place::new();
    let console = |name: &str, transfers: fn(Duration) -> Value| {
        let fake = Fake::start(&place, name, transfers);
        let setup = Setup { args: &["--admin", fake.socket.to_str().unwrap()], ..Setup::default() };
        Console::with(place.0.path(), &setup)
    };
    let mut busy = console("a.sock", three);
    busy.press("3", "3 running");
    let sent = rate(&busy, 10);
    assert!(sent < 150, "{sent} B/s");
    busy.press("1", "berlin/");
    let sent = rate(&busy, 6);
    assert!(sent < 60, "{sent} B/s for the badge");
    let mut idle = console("b.sock", |_| json!([]));
    idle.press("3", "No transfers yet");
    // Others may fill the disk meanwhile, and that is told.
    let is_quiet = |console: &Console| (0..5).any(|_| rate(console, 3) == 0);
    assert!(is_quiet(&idle));
    idle.press("2", "Code");
    assert!(is_quiet(&idle));
}

/// The command line, in a place where no server runs.
fn command(place: &Place, servers: &Servers, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sounding"));
    command.args(arguments).envs(servers.env());
    command.env("SOUNDING_VOLUME", place.0.path()).env("SOUNDING_ADMIN", place.path("none.sock"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn without_a_server_the_command_receives_by_itself_and_says_so() {
    let (place, servers, source) = (Place::new(), Servers::start(), source(2));
    let options = ["receive", "6-crossover-clockwork", "new", "--yes", "--wait"];
    let run = command(&place, &servers, &options).spawn().unwrap();
    let mut sender =
        servers.python(source.path(), &["send", "--code", "6-crossover-clockwork", "output-1pct"]);
    let output = run.wait_with_output().unwrap();
    let (out, told) = (said(&output.stdout), said(&output.stderr));
    assert!(output.status.success(), "{told}");
    assert_eq!(out, "/new/output-1pct\n");
    assert!(told.contains("so this program does the transfer itself"), "{told}");
    assert!(told.contains("100 %") || told.contains("checking and storing"), "{told}");
    assert!(sender.end().0);
    assert_arrived(&place, &source, "new/output-1pct");

    // The same name once more is refused on both sides; and a script reads line by line.
    let options = ["receive", "7-crossover-clockwork", "new", "--yes", "--wait", "--json"];
    let run = command(&place, &servers, &options).spawn().unwrap();
    let mut sender =
        servers.python(source.path(), &["send", "--code", "7-crossover-clockwork", "output-1pct"]);
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let lines = said(&output.stdout);
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(last["state"], "failed");
    assert!(said(&output.stderr).contains("is there already"));
    assert!(!sender.end().0);
}

#[test]
fn a_command_that_is_interrupted_tells_the_sender_and_leaves_nothing() {
    let (place, servers, source) = (Place::new(), Servers::start(), source(64));
    let options = ["receive", "8-crossover-clockwork", "--yes", "--wait"];
    let run = command(&place, &servers, &options).spawn().unwrap();
    let mut sender =
        servers.python(source.path(), &["send", "--code", "8-crossover-clockwork", "output-1pct"]);
    freeze_mid_way(&place, &sender);
    signal_to(run.id(), Signal::INT);
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output.stderr).contains("interrupted: stopped here"), "{:?}", output.stderr);
    sender.signal(Signal::CONT);
    assert!(!sender.end().0);
    assert!(!place.has("output-1pct"));
    assert_eq!(std::fs::read_dir(place.path(".sounding/staging")).unwrap().count(), 0);
    let list = command(&place, &servers, &["transfers", "--json"]).output().unwrap();
    let all: Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!(all[0]["state"], "interrupted");
}

#[test]
fn a_code_with_capitals_is_the_one_that_was_chosen() {
    let (place, servers) = (Place::new(), Servers::start());
    let text = |code: &str, typed: &str, options: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let sent = ["send", "--hide-progress", "--code", code, "--text", "hello"];
        let mut sender = servers.python(folder.path(), &sent);
        let arguments = [&["receive", typed, "--yes", "--wait"], options].concat();
        let output = command(&place, &servers, &arguments).output().unwrap();
        assert!(output.status.success(), "{code}: {}", said(&output.stderr));
        assert!(said(&output.stdout).contains("hello"), "{code}");
        assert!(sender.end().0);
    };
    text("4-Purple-Sausages", "4-Purple-Sausages", &["--exact"]);
    text("5-Guitarist-Revenge", "5-Guitarist-Revenge", &["--exact"]);
    text("6-guitarist-revenge", "6 Guitarist REVENGE", &[]);
}

#[test]
fn what_cannot_be_right_is_said_before_a_code_is_used() {
    let (place, servers) = (Place::new(), Servers::start());
    let check = |arguments: &[&str], expected: &str| {
        let output = command(&place, &servers, arguments).output().unwrap();
        assert_ne!(output.status.code(), Some(0), "{arguments:?}");
        let told = said(&output.stderr);
        assert!(told.contains(expected), "{arguments:?}: {told}");
    };
    check(
        &["receive", "7-guitarist-reveng", "--yes"],
        "'reveng' is not in the word list: revenge?",
    );
    check(&["receive", "guitarist", "--yes", "--exact"], "number");
    check(&["receive", "7-guitarist-revenge"], "there is no terminal to ask on");
    check(&["receive", "7-guitarist-revenge", "--yes"], "nobody waits under this code");
    check(&["receive", "--yes", "--detach"], "there is no server to leave it to");
    check(&["send", "berlin/none"], "there is nothing at");
    check(&["send", "berlin", "--mailbox", "http://x"], "invalid mailbox server");
    check(&["transfers", "cancel", "99"], "there is no transfer 99");
}
