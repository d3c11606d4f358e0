//! Codings made on the fly, against the running server, each undone by another program than made it.

use std::io::Write;
use std::process::{Command, Stdio};

use sounding_server::Coding;

use crate::support::{KEY, TestServer, pattern};

fn text() -> Vec<u8> {
    (0..20_000).flat_map(|it| format!("{it};{};car\n", it * 7919 % 1000).into_bytes()).collect()
}

fn volume() -> TestServer {
    let server = TestServer::start();
    server.put("run/trips.csv", &text());
    server.put("run/small.csv", b"a;b\n1;2\n");
    server.put("run/data.parquet", &text());
    server.put("run/trips.csv.gz", &text());
    server.put("run/noise.bin", &pattern(100_000));
    server
}

fn pipe_through(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|it| panic!("{program}: {it}; .ci/setup.sh installs it"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{program} could not read it");
    output.stdout
}

#[test]
fn each_coding_gives_the_file_back() {
    let server = volume();
    for (coding, program) in [("gzip", "gzip"), ("br", "brotli"), ("zstd", "zstd")] {
        let response = server.get("/files/run/trips.csv", &[("Accept-Encoding", coding)]);
        assert_eq!(response.field("content-encoding").as_deref(), Some(coding));
        assert_eq!(response.field("content-length"), None, "the length is not known beforehand");
        assert_eq!(response.field("vary").as_deref(), Some("Accept-Encoding"));
        assert!(response.is_complete && response.body.len() < text().len() / 2, "{coding}");
        assert!(pipe_through(program, &["-dc"], &response.body) == text(), "{coding}");
    }
}

#[test]
fn what_does_not_shrink_or_is_small_is_left_alone() {
    let server = volume();
    for path in ["small.csv", "data.parquet", "trips.csv.gz", "noise.bin"] {
        let response =
            server.get(&format!("/files/run/{path}"), &[("Accept-Encoding", "gzip, br, zstd")]);
        assert_eq!(response.field("content-encoding"), None, "{path}");
        assert_eq!(
            response.field("content-length").unwrap(),
            response.body.len().to_string(),
            "{path}"
        );
        assert_eq!(response.field("vary"), None, "{path}");
    }
    let gz = server.get("/files/run/trips.csv.gz", &[]);
    assert_eq!(gz.field("content-type").as_deref(), Some("application/gzip"));
}

#[test]
fn the_plain_file_also_says_that_there_are_others() {
    let server = volume();
    for fields in [&[][..], &[("Accept-Encoding", "identity")], &[("Range", "bytes=0-4")]] {
        let response = server.get("/files/run/trips.csv", fields);
        assert_eq!(response.field("content-encoding"), None);
        assert_eq!(response.field("vary").as_deref(), Some("Accept-Encoding"), "{fields:?}");
    }
}

#[test]
fn each_coding_has_its_own_tag_and_conditions_work_with_it() {
    let server = volume();
    let get = |fields: &[(&str, &str)]| server.get("/files/run/trips.csv", fields);
    let codings = ["identity", "gzip", "br", "zstd"];
    let tags: Vec<String> =
        codings.iter().map(|it| get(&[("Accept-Encoding", it)]).etag()).collect();
    for (index, coding) in codings.iter().enumerate() {
        for (other, tag) in tags.iter().enumerate() {
            let expected = if index == other { 304 } else { 200 };
            let response = get(&[("Accept-Encoding", coding), ("If-None-Match", tag)]);
            assert_eq!(response.status, expected, "{coding} with the tag of {}", codings[other]);
            let expected = if index == other { 200 } else { 412 };
            let response = get(&[("Accept-Encoding", coding), ("If-Match", tag)]);
            assert_eq!(
                response.status, expected,
                "{coding} if the tag of {} matches",
                codings[other]
            );
        }
        let not_modified = get(&[("Accept-Encoding", coding), ("If-None-Match", &tags[index])]);
        assert_eq!(not_modified.etag(), tags[index]);
        assert_eq!(not_modified.field("vary").as_deref(), Some("Accept-Encoding"));
    }
    // A range under a coding's tag would not fit: the whole file comes instead.
    for tag in &tags[1..] {
        let response = get(&[
            ("Range", "bytes=0-4"),
            ("If-Range", tag),
            ("Accept-Encoding", "gzip, br, zstd"),
        ]);
        assert_eq!((response.status, response.body == text()), (200, true));
    }
    let response =
        get(&[("Range", "bytes=0-4"), ("If-Range", &tags[0]), ("Accept-Encoding", "gzip")]);
    assert_eq!((response.status, response.body.len()), (206, 5));
}

#[test]
fn a_cache_that_reckons_on_a_coded_copy_gets_the_whole_file() {
    let server = volume();
    for coding in ["gzip", "br", "zstd"] {
        let copy = server.get("/files/run/trips.csv", &[("Accept-Encoding", coding)]);
        let get = |range: String| {
            let tag = copy.etag();
            let fields = [
                ("Range", range.as_str()),
                ("If-None-Match", &tag),
                ("Accept-Encoding", "identity"),
            ];
            server.get("/files/run/trips.csv", &fields)
        };
        // What Chromium makes of a page's `bytes=-100` and `bytes=50-`: up to the end of the copy that it holds.
        let end = copy.body.len();
        for start in [end - 100, 50] {
            let response = get(format!("bytes={start}-{}", end - 1));
            assert_eq!((response.status, response.field("content-range")), (200, None), "{coding}");
            assert!(response.body == text(), "{coding}");
        }
        // A page's own range stays one.
        let response = get("bytes=100-199".to_owned());
        assert_eq!(
            (response.status, response.body.as_slice()),
            (206, &text()[100..200]),
            "{coding}"
        );
        assert_eq!(get("bytes=99999999-".to_owned()).status, 416);
    }
    // A copy of which nothing is known any more.
    let fields = [("Range", "bytes=100-199"), ("If-None-Match", "\"forgotten-br\"")];
    assert_eq!(server.get("/files/run/trips.csv", &fields).status, 200);
}

#[test]
fn head_says_what_get_would() {
    let server = volume();
    let fields = [("Accept-Encoding", "br"), ("Authorization", KEY)];
    let head = server.request("HEAD", "/files/run/trips.csv", &fields);
    let get = server.request("GET", "/files/run/trips.csv", &fields);
    for name in ["content-encoding", "etag", "vary", "content-type", "content-length"] {
        assert_eq!(head.field(name), get.field(name), "{name}");
    }
}

#[test]
fn when_all_encoders_are_busy_the_file_comes_as_it_is() {
    let server = volume();
    let get = || server.get("/files/run/trips.csv", &[("Accept-Encoding", "gzip")]);
    let busy: Vec<_> = std::iter::from_fn(|| server.app.encoders.take(Coding::Gzip)).collect();
    assert!((1..100).contains(&busy.len()));
    let plain = get();
    assert_eq!(plain.field("content-encoding"), None);
    assert!(!plain.etag().contains("gzip") && plain.body == text());
    drop(busy);
    assert_eq!(get().field("content-encoding").as_deref(), Some("gzip"));
}

#[test]
fn long_listings_are_coded_too() {
    let server = TestServer::start();
    for number in 0..1200 {
        server.put(&format!("run/file-{number}.csv"), b"");
    }
    let plain = server.get("/files/run/", &[]);
    let coded = server.get("/files/run/", &[("Accept-Encoding", "gzip")]);
    assert_eq!(coded.field("content-encoding").as_deref(), Some("gzip"));
    assert!(pipe_through("gzip", &["-dc"], &coded.body) == plain.body);
}
