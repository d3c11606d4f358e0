//! `kill -9` at random moments under upload load, and readers while a file is replaced: nobody ever sees half a file.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;

use crate::process::Program;
use crate::support::{Connection, KEY, TestServer, pattern, write};

const ROUNDS: usize = 100;
const SEED: u64 = 0x5eed_0f5e_aed0;
const WRITERS: u64 = 3;

/// A small generator whose numbers follow from a seed (xorshift64*).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % end
    }
}

/// A content that tells by itself whether it is whole.
pub fn content(random: &mut Random) -> Vec<u8> {
    let length = 16 + usize::try_from(random.below(400_000)).unwrap();
    let mark = random.below(u64::MAX).to_be_bytes();
    let mut content = pattern(length);
    content[..8].copy_from_slice(&mark);
    content[8..16].copy_from_slice(&(length as u64).to_be_bytes());
    for (index, byte) in content.iter_mut().enumerate().skip(16) {
        *byte ^= mark[index % 8];
    }
    content
}

pub fn is_whole(content: &[u8]) -> bool {
    let Some((head, _)) = content.split_at_checked(16) else { return false };
    let length = u64::from_be_bytes(head[8..].try_into().unwrap());
    let mut plain = pattern(content.len());
    plain[..16].copy_from_slice(head);
    for (index, byte) in plain.iter_mut().enumerate().skip(16) {
        *byte ^= head[index % 8];
    }
    content.len() as u64 == length && plain == content
}

/// Uploads until the server is gone: by PUT, and by tus in two pieces. Counts what was acknowledged.
fn upload_until_killed(
    address: &str,
    mut random: Random,
    is_over: &AtomicBool,
    acknowledged: &AtomicUsize,
) {
    while !is_over.load(Ordering::SeqCst) {
        let name = format!("{}.bin", random.below(8));
        let body = content(&mut random);
        let by_tus = random.below(2) == 0;
        let uploaded = if by_tus {
            by_tus_in_two(address, &name, &body)
        } else {
            by_put(address, &name, &body)
        };
        acknowledged.fetch_add(usize::from(uploaded.is_some()), Ordering::SeqCst);
    }
}

/// A request to a server that may go away at any moment.
pub fn ask(
    address: &str,
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
    body: &[u8],
) -> Option<crate::support::Response> {
    let mut connection = Connection::try_to(address)?;
    let mut fields = fields.to_vec();
    fields.extend([("Authorization", KEY), ("Tus-Resumable", "1.0.0")]);
    connection.try_send_body(method, target, body, &fields)?;
    connection.try_receive(method).filter(|it| it.status < 300)
}

fn by_put(address: &str, name: &str, body: &[u8]) -> Option<()> {
    ask(address, "PUT", &format!("/files/run/{name}"), &[], body).map(|_| ())
}

fn by_tus_in_two(address: &str, name: &str, body: &[u8]) -> Option<()> {
    let (first, second) = body.split_at(body.len() / 2);
    let (length, offset) = (body.len().to_string(), first.len().to_string());
    let metadata = format!("filename {}", STANDARD.encode(name));
    let stream = ("Content-Type", "application/offset+octet-stream");
    let fields = [("Upload-Length", &*length), ("Upload-Metadata", &metadata), stream];
    let begun = ask(address, "POST", "/uploads?into=run&exists=replace", &fields, first)?;
    let upload = begun.field("location").unwrap().replacen("./", "/", 1);
    ask(address, "PATCH", &upload, &[("Upload-Offset", &offset), stream], second).map(|_| ())
}

/// Whether it comes about within a minute. It never fails by itself, so that whoever waits can first end what goes on.
pub fn comes(look: impl Fn() -> bool) -> bool {
    let until = Instant::now() + Duration::from_mins(1);
    while !look() {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

fn check_files(volume: &Path) {
    for entry in fs::read_dir(volume.join("run")).into_iter().flatten() {
        let path = entry.unwrap().path();
        assert!(is_whole(&fs::read(&path).unwrap()), "{} is partial", path.display());
    }
}

#[test]
fn after_a_kill_at_any_moment_no_file_is_partial_and_the_feed_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let volume = folder.path().join("volume");
    write(&volume.join(".sounding/auth-keys.csv"), format!("kmt,{KEY},write\n").as_bytes());
    let mut random = Random(SEED);
    let mut cursor = String::new();
    let mut last_seq = 0;
    let acknowledged = AtomicUsize::new(0);
    for round in 0..ROUNDS {
        let program = Program::start_quiet(&volume, "127.0.0.1:0");
        check_files(&volume);
        let address = program.address.clone();
        let target = format!("/changes?since={cursor}&limit=10000");
        let answer = ask(&address, "GET", &target, &[], b"").unwrap().json();
        assert_eq!(answer["fresh"], false, "round {round}");
        answer["cursor"].as_str().unwrap().clone_into(&mut cursor);
        for change in answer["changes"].as_array().unwrap() {
            let seq = change["seq"].as_u64().unwrap();
            assert!(seq > last_seq, "round {round}: {seq} after {last_seq}");
            last_seq = seq;
        }
        let is_over = AtomicBool::new(false);
        let pause = Duration::from_millis(random.below(50));
        let wanted = acknowledged.load(Ordering::SeqCst) + usize::from(round % 4 > 0);
        std::thread::scope(|scope| {
            for _ in 0..WRITERS {
                let random = Random(random.below(u64::MAX - 1) + 1);
                let (address, is_over, acknowledged) = (&address, &is_over, &acknowledged);
                scope.spawn(move || upload_until_killed(address, random, is_over, acknowledged));
            }
            let is_done = comes(|| acknowledged.load(Ordering::SeqCst) >= wanted);
            // The moment of the kill, which the seed chooses; nothing is waited for.
            std::thread::sleep(pause);
            program.signal(Signal::KILL);
            is_over.store(true, Ordering::SeqCst);
            assert!(is_done, "round {round}: no upload in a minute");
        });
    }
    check_files(&volume);
    assert!(last_seq > 0, "{acknowledged:?} uploads");
}

#[test]
fn a_reader_never_sees_a_mixture_of_two_versions() {
    const REPLACEMENTS: usize = 200;
    const READS_OF_EACH: usize = 40;
    let server = TestServer::start();
    let version = |number: usize| vec![u8::try_from(number % 256).unwrap(); 50_000 + number];
    server.put("run/file.bin", &version(0));
    let (reads, seen) = (AtomicUsize::new(0), Mutex::new(HashMap::<String, usize>::new()));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = || {
            let mut connection = server.connect();
            while !is_over.load(Ordering::SeqCst) {
                connection.send("GET", "/files/run/file.bin", &[("Authorization", KEY)]);
                let response = connection.receive("GET");
                assert_eq!(response.status, 200);
                let number = response.body.len() - 50_000;
                assert!(response.is_complete && response.body == version(number));
                let known = *seen.lock().unwrap().entry(response.etag()).or_insert(number);
                assert_eq!(known, number, "one tag for two versions");
                reads.fetch_add(1, Ordering::SeqCst);
            }
        };
        let readers = [scope.spawn(reader), scope.spawn(reader)];
        // A failed reader is told of when it is joined.
        let all_read = || readers.iter().all(|it| !it.is_finished());
        for number in 1..=REPLACEMENTS {
            assert_eq!(server.upload("/files/run/file.bin", &version(number), &[]).status, 204);
            let wanted = reads.load(Ordering::SeqCst) + READS_OF_EACH;
            while reads.load(Ordering::SeqCst) < wanted && all_read() {
                std::thread::yield_now();
            }
        }
        is_over.store(true, Ordering::SeqCst);
    });
    // Each was there for many reads, of which two can have begun before it came.
    let versions = seen.into_inner().unwrap().len();
    assert!(versions >= REPLACEMENTS, "only {versions} versions were read");
}
