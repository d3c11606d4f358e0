//! Clients of resumable uploads as people use them, over a line that breaks ten times to a server that is killed twice.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use crate::clients::Client;
use crate::process::Program;
use crate::support::{KEY, pattern, wait_for, write};

const MEGABYTE: u64 = 1_000_000;
/// Bytes of the file.
const LENGTH: u64 = 500 * MEGABYTE;
/// Seconds that a client has for it.
const PATIENCE: &str = "240";

/// What befalls the line when so many bytes have come along it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mishap {
    Cut,
    Kill,
}

/// Ten cuts and two kills, at odd places of the file.
fn mishaps() -> Vec<(u64, Mishap)> {
    let cuts = (1..=10).map(|it| (it * 43 * MEGABYTE + it * 1_237, Mishap::Cut));
    let kills = [155, 345].map(|it| (it * MEGABYTE + 77, Mishap::Kill));
    let mut mishaps: Vec<_> = cuts.chain(kills).collect();
    mishaps.sort_unstable_by_key(|it| it.0);
    mishaps
}

/// A proxy that passes bytes on until a mishap.
struct Line {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: SocketAddr,
    mishaps: Vec<(u64, Mishap)>,
    /// Bytes that have come from the client.
    bytes: AtomicU64,
    /// How many mishaps there have been.
    done: AtomicUsize,
    kill: Sender<()>,
}

impl Line {
    fn to(server: SocketAddr, kill: Sender<()>) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            server,
            mishaps: mishaps(),
            bytes: AtomicU64::new(0),
            done: AtomicUsize::new(0),
            kill,
        });
        let line = Line { address, shared: Arc::clone(&shared) };
        // Ends with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.carry(client.unwrap()));
            }
        });
        line
    }
}

impl Shared {
    fn carry(&self, mut client: TcpStream) {
        // While the server is away, the client finds nobody.
        let Ok(mut server) = TcpStream::connect(self.server) else { return };
        let (mut back, mut forth) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        let answers = std::thread::spawn(move || {
            std::io::copy(&mut back, &mut forth).unwrap_or_default();
            forth.shutdown(Shutdown::Both).unwrap_or_default();
        });
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = client.read(&mut buffer) {
            if server.write_all(&buffer[..read]).is_err() || self.count(read as u64) {
                break;
            }
        }
        client.shutdown(Shutdown::Both).unwrap_or_default();
        server.shutdown(Shutdown::Both).unwrap_or_default();
        answers.join().unwrap();
    }

    /// Counts bytes; says whether the line breaks now.
    fn count(&self, bytes: u64) -> bool {
        let bytes = self.bytes.fetch_add(bytes, Ordering::SeqCst) + bytes;
        let next = self.done.load(Ordering::SeqCst);
        let Some((_, mishap)) = self.mishaps.get(next).filter(|(at, _)| bytes >= *at) else {
            return false;
        };
        // Of connections that travel side by side, one meets it.
        if self.done.compare_exchange(next, next + 1, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            return false;
        }
        if *mishap == Mishap::Kill {
            self.kill.send(()).unwrap_or_default();
        }
        true
    }
}

/// Lets a client upload a large file through the worst of lines, and looks at what arrived.
fn survive(client: impl FnOnce(&str, &Path) -> Client) {
    let folder = tempfile::tempdir().unwrap();
    let volume = folder.path().join("volume");
    write(&volume.join(".sounding/auth-keys.csv"), format!("kmt,{KEY},write\n").as_bytes());
    let file = folder.path().join("events.bin");
    make_file(&file);
    let program = Program::start_quiet(&volume, "127.0.0.1:0");
    let server: SocketAddr = program.address.strip_prefix("http://").unwrap().parse().unwrap();
    let (kill, kills) = channel();
    let line = Line::to(server, kill);
    let running = Arc::new(Mutex::new(Some(program)));
    std::thread::spawn({
        let (volume, running) = (volume.clone(), Arc::clone(&running));
        move || restart_when_told(&running, &volume, server, &kills)
    });
    client(&format!("http://{}/uploads?into=run", line.address), &file).run();
    let done = line.shared.done.load(Ordering::SeqCst);
    assert_eq!(done, line.shared.mishaps.len(), "mishaps that came about");
    let came = volume.join("run/events.bin");
    assert_eq!(sha256(&came), sha256(&file));
    let staged = || std::fs::read_dir(volume.join(".sounding/staging")).unwrap().count();
    wait_for("empty staging", || (staged() == 0).then_some(()));
    drop(running.lock().unwrap().take());
}

/// Kills the server each time it is told to, and starts it anew on the same port.
fn restart_when_told(
    running: &Mutex<Option<Program>>,
    volume: &Path,
    address: SocketAddr,
    kills: &Receiver<()>,
) {
    while kills.recv().is_ok() {
        let mut running = running.lock().unwrap();
        drop(running.take());
        *running = Some(Program::start_quiet(volume, &address.to_string()));
    }
}

fn make_file(path: &Path) {
    let block = pattern(usize::try_from(MEGABYTE).unwrap());
    let mut file = BufWriter::new(File::create(path).unwrap());
    for number in 0..LENGTH / MEGABYTE {
        // No two blocks are alike.
        file.write_all(&number.to_be_bytes()).unwrap();
        file.write_all(&block[8..]).unwrap();
    }
    file.into_inner().unwrap().sync_all().unwrap();
}

fn sha256(path: &Path) -> String {
    let output = std::process::Command::new("sha256sum").arg(path).output().unwrap();
    assert!(output.status.success());
    String::from_utf8_lossy(&output.stdout).split(' ').next().unwrap().to_owned()
}

#[test]
fn tuspy_brings_a_large_file_over_the_worst_of_lines() {
    survive(|url, file| {
        Client::python("tus.py", PATIENCE).args([url, KEY, file.to_str().unwrap()])
    });
}

#[test]
fn tus_js_client_brings_a_large_file_over_the_worst_of_lines() {
    survive(|url, file| {
        Client::node("tus.mjs", PATIENCE).args([url, KEY, file.to_str().unwrap(), "1"])
    });
}

#[test]
fn tus_js_client_brings_a_large_file_in_parts_side_by_side() {
    survive(|url, file| {
        Client::node("tus.mjs", PATIENCE).args([url, KEY, file.to_str().unwrap(), "4"])
    });
}
