//! One client, or hundreds that do the same, and what others get meanwhile.

use std::fs;
use std::io::BufRead;
use std::time::{Duration, SystemTime};

use sounding_server::Coding;

use crate::process::Program;
use crate::support::{Connection, KEY, Site, TestServer, wait_for, write, write_keys};

/// As good as endless: nobody reads so much here.
pub const ENDLESS: u64 = 1 << 36;

/// A text that takes no room, and no end to compress.
pub fn put_endless(server: &Site, path: &str) {
    server.put(path, b"");
    let file = fs::File::options().write(true).open(server.path(path)).unwrap();
    file.set_len(ENDLESS).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_mins(1)).unwrap();
}

fn begin(server: &TestServer, target: &str, coding: &str) -> Connection {
    let mut connection = server.connect();
    connection.send("GET", target, &[("Authorization", KEY), ("Accept-Encoding", coding)]);
    let head = connection.receive_head();
    assert_eq!(head.field("content-encoding").as_deref(), Some(coding));
    connection
}

#[test]
fn others_are_answered_while_files_are_compressed_that_have_no_end() {
    let server = TestServer::start();
    put_endless(&server, "run/endless.csv");
    server.put("run/small.csv", &b"1;2;3\n".repeat(1000));
    let codings = ["gzip", "br", "zstd"];
    // Some for each thread that serves.
    let endless: Vec<Connection> = (0..4)
        .flat_map(|_| codings)
        .map(|coding| begin(&server, "/files/run/endless.csv", coding))
        .collect();
    for _ in 0..20 {
        assert_eq!(server.request("GET", "/health", &[]).status, 200);
        assert!(server.get("/files/run/small.csv", &[]).is_complete);
    }
    // Compressed files come in turns.
    for coding in codings {
        let small = server.get("/files/run/small.csv", &[("Accept-Encoding", coding)]);
        assert_eq!(small.field("content-encoding").as_deref(), Some(coding));
        assert!(small.is_complete, "{coding}");
    }
    assert!(places(&server) < 100 && nicer_threads() > 0);
    // Nothing is compressed for a client that has gone.
    let before = places(&server);
    drop(endless);
    wait_for("places of clients that have gone", || (places(&server) >= before + 12).then_some(()));
}

/// Encoders that are free.
fn places(server: &TestServer) -> usize {
    std::iter::from_fn(|| server.app.encoders.take(Coding::Gzip)).collect::<Vec<_>>().len()
}

/// Threads of this process that give way to the others.
fn nicer_threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let stats = tasks.filter_map(|it| fs::read_to_string(it.unwrap().path().join("stat")).ok());
    let nice = |stat: String| stat.rsplit_once(')')?.1.split(' ').nth(17)?.parse::<i32>().ok();
    stats.filter_map(nice).filter(|it| *it > 0).count()
}

/// What a process has in memory, in MB, and its threads.
fn memory_and_threads(program: &Program) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let number = |name: &str| {
        let line = status.lines().find(|it| it.starts_with(name)).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    (number("VmRSS:") / 1024, number("Threads:"))
}

#[test]
fn hundreds_of_listings_that_nobody_reads_take_little_memory_and_few_threads() {
    const LISTINGS: usize = 300;
    let folder = tempfile::tempdir().unwrap();
    for name in 0..8000 {
        write(&folder.path().join(format!("public/names/link-{name}.csv")), b"");
    }
    let program = Program::start_quiet(folder.path(), "127.0.0.1:0");
    let (before, _) = memory_and_threads(&program);
    let unread: Vec<Connection> = (0..LISTINGS)
        .map(|number| {
            let mut connection = Connection::to(&program.address);
            let format = if number % 2 == 0 { "json" } else { "html" };
            connection.send("GET", &format!("/files/public/names/?format={format}"), &[]);
            connection
        })
        .collect();
    let mut unread = unread;
    for connection in &mut unread {
        assert!(connection.stream.fill_buf().unwrap().starts_with(b"HTTP/1.1 200"));
    }
    let (with, threads) = memory_and_threads(&program);
    assert!(with < before + 40, "{before} MB before, {with} MB with {LISTINGS} listings");
    assert!(threads < 120, "{threads} threads");
    // Others are answered, and who reads after all gets the whole.
    let mut other = Connection::to(&program.address);
    other.send("GET", "/files/public/names/link-1.csv", &[]);
    assert_eq!(other.receive("GET").status, 200);
    for mut connection in unread.into_iter().take(4) {
        let listing = connection.receive("GET");
        assert!(listing.is_complete);
        assert_eq!(listing.text().lines().filter(|it| it.contains("link-")).count(), 8000);
    }
}

#[test]
fn hundreds_of_uploads_that_stand_still_take_little_memory_and_no_thread() {
    const UPLOADS: usize = 250;
    let folder = tempfile::tempdir().unwrap();
    write_keys(folder.path());
    write(&folder.path().join("public/small.csv"), b"1;2;3\n");
    fs::create_dir(folder.path().join("in")).unwrap();
    let program = Program::start_quiet(folder.path(), "127.0.0.1:0");
    let (before, _) = memory_and_threads(&program);
    let part = vec![b'x'; 400_000];
    let mut standing: Vec<Connection> = (0..UPLOADS)
        .map(|number| {
            let mut connection = Connection::to(&program.address);
            let length = (2 * part.len()).to_string();
            let fields = [("Authorization", KEY), ("Content-Length", &length)];
            connection.send("PUT", &format!("/files/in/{number}.bin"), &fields);
            connection.send_raw(&part);
            connection
        })
        .collect();
    let (with, threads) = memory_and_threads(&program);
    assert!(with < before + 60, "{before} MB before, {with} MB with {UPLOADS} uploads");
    assert!(threads < 120, "{threads} threads");
    for target in ["/files/public/small.csv", "/health"] {
        let mut other = Connection::to(&program.address);
        other.send("GET", target, &[]);
        assert_eq!(other.receive("GET").status, 200);
    }
    for connection in &mut standing {
        connection.send_raw(&part);
    }
    for mut connection in standing {
        assert_eq!(connection.receive("PUT").status, 201);
    }
    assert_eq!(fs::metadata(folder.path().join("in/249.bin")).unwrap().len(), 800_000);
}
