//! Wormhole transfers of the running program, with the real Python clients, mailbox server and relay.

#[path = "../../../../wormhole/tests/it/servers.rs"]
#[allow(dead_code, reason = "the protocol's own tests use all of it")]
pub mod servers;

mod archives;
mod ends;
mod hostile;
pub mod python;
mod receiving;
mod room;
mod sending;
mod sleeping;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Program, SocketPath, admin_socket, volume_with_key};
use servers::Servers;

/// Nothing here takes longer, on however busy a machine.
const PATIENCE: Duration = Duration::from_mins(5);

/// A server with a volume, that goes by the test's own mailbox server and relay.
pub struct Place {
    pub volume: TempDir,
    pub socket: SocketPath,
    pub program: Option<Program>,
    servers: &'static Servers,
}

impl Place {
    pub fn new() -> Place {
        let mut place = Place {
            volume: volume_with_key(),
            socket: admin_socket(),
            program: None,
            servers: Servers::shared(),
        };
        place.start();
        place
    }

    /// Starts the server, again where it has ended.
    pub fn start(&mut self) {
        self.start_with(&[]);
    }

    /// The same, with more arguments.
    pub fn start_with(&mut self, more: &[&str]) {
        let (mailbox, relay) = (self.servers.mailbox_url(), self.servers.relay());
        let arguments = ["--mailbox", &mailbox, "--relay", &relay, "--local-peers"];
        let socket = self.socket.to_str().unwrap().to_owned();
        let metrics = format!("unix:{socket}.metrics");
        let arguments =
            [&["--admin", &socket, "--metrics", &metrics][..], &arguments, more].concat();
        self.program = Some(Program::start(self.volume.path(), &arguments));
    }

    /// By which a program goes by the same mailbox server and relay.
    pub fn options(&self) -> [String; 4] {
        let (mailbox, relay) = (self.servers.mailbox_url(), self.servers.relay());
        ["--mailbox".to_owned(), mailbox, "--relay".to_owned(), relay]
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.volume.path().join(path)
    }

    /// A request to the admin socket: the status, and what is answered.
    pub fn ask(&self, method: &str, target: &str, body: &Value) -> (u16, Value) {
        ask(&self.socket, method, target, body)
    }

    /// Begins to receive.
    pub fn receive(&self, wanted: Value) -> u64 {
        self.begin("receive", wanted)
    }

    /// Begins to send.
    pub fn send(&self, wanted: Value) -> u64 {
        self.begin("send", wanted)
    }

    fn begin(&self, direction: &str, mut wanted: Value) -> u64 {
        wanted["direction"] = direction.into();
        let (status, now) = self.ask("POST", "/transfers", &wanted);
        assert_eq!(status, 201, "{now}");
        now["number"].as_u64().unwrap()
    }

    pub fn get(&self, number: u64) -> Value {
        let (status, now) = self.ask("GET", &format!("/transfers/{number}"), &Value::Null);
        assert_eq!(status, 200, "{now}");
        now
    }

    /// Waits until a transfer is as wanted.
    pub fn wait_until(&self, number: u64, is_so: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        let mut now = self.get(number);
        while !is_so(&now) {
            let is_over = !now["ended"].is_null();
            assert!(!is_over && Instant::now() < until, "{now:#}");
            let change = now["change"].as_u64().unwrap();
            let target = format!("/transfers/{number}?change={change}&wait=1");
            now = self.ask("GET", &target, &Value::Null).1;
        }
        now
    }

    pub fn wait_for(&self, number: u64, state: &str) -> Value {
        self.wait_until(number, |it| it["state"] == state)
    }

    /// Waits for its end, which is a good one.
    pub fn done(&self, number: u64) -> Value {
        self.wait_for(number, "done")
    }

    /// Waits until bytes flow.
    pub fn flows(&self, number: u64) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let now = self.get(number);
            if now["done"].as_u64().unwrap() > 0 {
                return now;
            }
            assert!(now["is_live"] == true && Instant::now() < until, "{now:#}");
            std::thread::yield_now();
        }
    }

    pub fn answer(&self, number: u64, answer: &Value) -> (u16, Value) {
        self.ask("POST", &format!("/transfers/{number}/answer"), answer)
    }

    pub fn accept(&self, number: u64) {
        let (status, said) = self.answer(number, &json!({"answer": "accept"}));
        assert_eq!(status, 204, "{said}");
    }

    pub fn cancel(&self, number: u64) {
        assert_eq!(self.ask("DELETE", &format!("/transfers/{number}"), &Value::Null).0, 204);
    }

    /// What Prometheus scrapes.
    pub fn metrics(&self) -> String {
        let mut stream = UnixStream::connect(self.socket.with_extension("sock.metrics")).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("content-type: application/openmetrics-text"), "{answer}");
        answer
    }

    /// Nothing partial is anywhere: not in staging, and not in the tree.
    pub fn is_clean(&self, but: &str) {
        let staging = fs::read_dir(self.path(".sounding/staging"));
        let staged: Vec<_> =
            staging.map(|it| it.map(|it| it.unwrap().path()).collect()).unwrap_or_default();
        assert!(staged.is_empty(), "{staged:?}");
        assert!(but.is_empty() || !self.path(but).exists(), "{but}");
    }
}

pub fn ask(socket: &Path, method: &str, target: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut stream = UnixStream::connect(socket).unwrap();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head[9..12].parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

/// A code that no other test has.
pub fn fresh_code() -> String {
    // Another range than the protocol's own tests take, whose servers are others anyway.
    servers::fresh_code().to_string()
}

/// All files and folders below a folder, with the files' content.
pub fn tree(folder: &Path) -> Vec<(String, Option<Vec<u8>>)> {
    fn look(folder: &Path, below: &Path, found: &mut Vec<(String, Option<Vec<u8>>)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(below).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                found.push((name, None));
                look(&path, below, found);
            } else {
                found.push((name, Some(fs::read(&path).unwrap())));
            }
        }
    }
    let mut found = Vec::new();
    look(folder, folder, &mut found);
    found.sort();
    found
}
