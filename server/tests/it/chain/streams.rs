//! Bytes go through as they come, both ways, and none of them is kept on the way.

use std::fs::{self, File};
use std::io::{BufRead, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::inotify;

use super::{Chain, Front, in_chain, wait_for};
use crate::floods::put_endless;
use crate::keys::is_cut_off;
use crate::support::{Connection, KEY, pattern};

const BLOCK: usize = 1 << 20;
/// 2 GiB through nginx, which could spool them.
const BLOCKS: u64 = 2048;
/// And less where there is nothing between.
const DIRECT_BLOCKS: u64 = 128;
/// What the front may hold of them all in memory.
const MOST_MEMORY: u64 = 64 << 20;

/// Tells of each file that is made where nginx would spool, and where anything could be written but on the volume.
struct Watch {
    inotify: OwnedFd,
}

impl Watch {
    fn new(chain: &Chain) -> Watch {
        let inotify = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
        let spools = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|it| format!("/run/nginx/{it}"));
        let spools = spools.iter().map(String::as_str).filter(|_| chain.front == Front::Nginx);
        for folder in spools.chain(["/run/nginx", "/run", "/tmp"]) {
            let kinds = inotify::WatchFlags::CREATE | inotify::WatchFlags::MODIFY;
            inotify::add_watch(&inotify, chain.inner(folder), kinds).unwrap();
        }
        Watch { inotify }
    }

    /// Names of what was made or written since the last look.
    fn seen(&self) -> Vec<String> {
        let mut buffer = [const { std::mem::MaybeUninit::uninit() }; 4096];
        let mut events = inotify::Reader::new(&self.inotify, &mut buffer);
        let mut names = Vec::new();
        // An error is that there is nothing more.
        while let Ok(event) = events.next() {
            names.push(
                event.file_name().map_or_else(String::new, |it| it.to_string_lossy().into_owned()),
            );
        }
        names
    }
}

/// A block that is like no other.
fn stamp(block: &mut [u8], number: u64) {
    block[..8].copy_from_slice(&number.to_be_bytes());
}

fn send_blocks(connection: &mut Connection, blocks: std::ops::Range<u64>) {
    let mut block = pattern(BLOCK);
    for number in blocks {
        stamp(&mut block, number);
        connection.stream.get_mut().write_all(&block).unwrap();
    }
}

fn are_the_blocks(mut reader: impl Read, blocks: u64) -> bool {
    let (mut expected, mut block) = (pattern(BLOCK), vec![0; BLOCK]);
    for number in 0..blocks {
        stamp(&mut expected, number);
        if reader.read_exact(&mut block).is_err() || block != expected {
            return false;
        }
    }
    true
}

/// The most memory that a process ever had.
fn peak_memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn gibibytes_go_both_ways_and_nothing_is_spooled() {
    in_chain(&[], |chain| {
        chain.wait_until_ready();
        let watch = Watch::new(chain);
        let blocks = match chain.front {
            Front::Nginx => BLOCKS,
            Front::Direct => DIRECT_BLOCKS,
        };
        let length = (blocks * BLOCK as u64).to_string();

        // By PUT: what is sent is with the server before the rest is.
        let mut connection = chain.patient();
        connection.send(
            "PUT",
            "/files/put.bin",
            &[("Authorization", KEY), ("Content-Length", &length)],
        );
        send_blocks(&mut connection, 0..64);
        let staged = || size_of_files(&chain.path(".sounding/staging"));
        wait_for("the first bytes", || (staged() > 0).then_some(()));
        send_blocks(&mut connection, 64..blocks);
        assert_eq!(connection.receive("PUT").status, 201);
        assert!(
            are_the_blocks(File::open(chain.path("put.bin")).unwrap(), blocks),
            "other bytes came"
        );

        // And back.
        let mut connection = chain.patient();
        connection.send("GET", "/files/put.bin", &[("Authorization", KEY)]);
        let head = connection.receive_head();
        assert_eq!((head.status, head.field("content-length")), (200, Some(length.clone())));
        assert!(are_the_blocks(&mut connection.stream, blocks), "other bytes came back");
        fs::remove_file(chain.path("put.bin")).unwrap();

        // By tus.
        let address = chain.begin(length.parse().unwrap(), "tus.bin", &[]);
        let mut connection = chain.patient();
        let fields = [
            ("Authorization", KEY),
            ("Tus-Resumable", "1.0.0"),
            ("Content-Type", "application/offset+octet-stream"),
            ("Upload-Offset", "0"),
            ("Content-Length", &length),
        ];
        connection.send("PATCH", &address, &fields);
        send_blocks(&mut connection, 0..64);
        chain.wait_for_bytes(&address);
        send_blocks(&mut connection, 64..blocks);
        let done = connection.receive("PATCH");
        assert_eq!((done.status, done.field("upload-offset")), (204, Some(length)));
        assert!(
            are_the_blocks(File::open(chain.path("tus.bin")).unwrap(), blocks),
            "other bytes came"
        );

        assert_eq!(watch.seen(), Vec::<String>::new(), "something was written beside the volume");
        let front = match chain.front {
            Front::Nginx => chain.worker(),
            Front::Direct => chain.process("sounding-server"),
        };
        let memory = peak_memory(front);
        assert!(memory < MOST_MEMORY, "{memory} bytes were taken");
        // The watch would have seen it.
        fs::write(chain.inner("/run/nginx/spooled"), b"x").unwrap();
        assert_eq!(watch.seen().first().map(String::as_str), Some("spooled"));
    });
}

fn size_of_files(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten();
    files.filter_map(|it| Some(it.ok()?.metadata().ok()?.len())).sum()
}

#[test]
fn nothing_but_the_volume_and_memory_can_be_written() {
    in_chain(&[], |chain| {
        chain.wait_until_ready();
        let error = fs::write(chain.inner("/var/lib/nginx/x"), b"x").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
        assert_eq!(chain.upload("/files/a.txt", b"hello", &[]).status, 201);
        assert_eq!(chain.get("/files/a.txt", &[]).text(), "hello");
    });
}

#[test]
fn changes_are_told_as_they_come() {
    in_chain(&[], |chain| {
        chain.wait_until_ready();
        let cursor = chain.cursor();
        let mut events = chain.patient();
        events.send("GET", "/events", &[("Authorization", KEY)]);
        let head = events.receive_head();
        assert_eq!(
            (head.status, head.field("content-type").as_deref()),
            (200, Some("text/event-stream"))
        );
        let began = Instant::now();
        assert_eq!(chain.upload("/files/run/a.csv", b"one", &[]).status, 201);
        let mut told = String::new();
        while !told.contains("run/a.csv") {
            assert_ne!(events.stream.read_line(&mut told).unwrap(), 0, "{told}");
        }
        // Well before the next heartbeat would push it out.
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        // And whoever waits for an answer has it.
        let (lines, _) = chain.wait_for_changes(2, cursor, KEY, "");
        assert_eq!(lines, ["added run/", "added run/a.csv"]);
    });
}

#[test]
fn a_download_ends_when_its_key_is_taken_away() {
    in_chain(&[], |chain| {
        chain.wait_until_ready();
        put_endless(chain, "run/endless.bin");
        assert!(is_cut_off(chain, "/files/run/endless.bin", &[]));
        assert!(is_cut_off(chain, "/files/run/endless.bin", &[("Range", "bytes=1000-")]));
    });
}
