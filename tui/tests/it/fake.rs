//! A server that answers consoles and commands alike, and keeps what it was asked to do.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::screen::Place;

/// It listens at `socket` as long as the test's process lives.
pub struct Fake {
    pub socket: PathBuf,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// Of a volume, with transfers as they are after a while.
    pub fn start(
        place: &Place,
        name: &str,
        transfers: impl Fn(Duration) -> Value + Send + 'static,
    ) -> Fake {
        let socket = place.path(name);
        let listener = UnixListener::bind(&socket).unwrap();
        let root = std::fs::metadata(place.0.path()).unwrap();
        let service = json!({"version": "1", "pid": 1, "since": "2026-11-24T14:00:00Z", "volume": [root.dev(), root.ino()]});
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        std::thread::spawn(move || {
            let began = Instant::now();
            for stream in listener.incoming() {
                answer(stream.unwrap(), &service, &transfers(began.elapsed()), &kept);
            }
        });
        Fake { socket, asked }
    }

    /// What it was asked to do so far: method, path without who asks, and body.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(stream: UnixStream, service: &Value, transfers: &Value, asked: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut request = String::new();
    reader.read_line(&mut request).unwrap();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let mut words = request.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let path = target.split('?').next().unwrap();
    let told = match (method, path) {
        ("GET", "/service") => service.clone(),
        ("GET", "/transfers") => transfers.clone(),
        ("GET", "/activity" | "/keys") => json!({}),
        ("GET", "/awake") => json!({"idle_exit": 600}),
        ("PUT", "/awake") => json!({"idle_exit": 600, "kept_until": "2036-11-24T16:02:00Z"}),
        ("GET", _) | ("POST", "/transfers") => transfers[0].clone(),
        _ => Value::Null,
    };
    if method != "GET" && path != "/activity" {
        let body = String::from_utf8(body).unwrap();
        asked.lock().unwrap().push(format!("{method} {path} {body}"));
    }
    let mut stream = stream;
    write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{told}").unwrap_or_default();
}
