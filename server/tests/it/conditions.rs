//! Conditional requests against the running server: each row with its section of RFC 9110.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::{KEY, Site, TestServer, pattern, wait_for, write};

/// 784111777 s: the example date of RFC 9110.
const OLD: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const NEW: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

struct Row {
    section: &'static str,
    /// `$` stands for the file's own tag.
    fields: &'static [(&'static str, &'static str)],
    status: u16,
}

const fn row(
    section: &'static str,
    fields: &'static [(&'static str, &'static str)],
    status: u16,
) -> Row {
    Row { section, fields, status }
}

const ROWS: &[Row] = &[
    row("13.1.1", &[("If-Match", "$")], 200),
    row("13.1.1", &[("If-Match", "*")], 200),
    row("13.1.1", &[("If-Match", "\"other\"")], 412),
    row("13.1.1", &[("If-Match", "\"other\", $")], 200),
    row("13.1.1", &[("If-Match", "W/$")], 412),
    row("13.1.1", &[("If-Match", "unquoted")], 412),
    row("13.1.1", &[("If-Match", "\"other\""), ("If-Match", "$")], 200),
    row("13.1.2", &[("If-None-Match", "$")], 304),
    row("13.1.2", &[("If-None-Match", "W/$")], 304),
    row("13.1.2", &[("If-None-Match", "*")], 304),
    row("13.1.2", &[("If-None-Match", "\"other\"")], 200),
    row("13.1.2", &[("If-None-Match", "\"a,b\" , \"other\",$")], 304),
    row("13.1.2", &[("If-None-Match", "unquoted")], 200),
    row("13.1.3", &[("If-Modified-Since", OLD)], 200),
    row("13.1.3", &[("If-Modified-Since", SAME)], 304),
    row("13.1.3", &[("If-Modified-Since", NEW)], 304),
    row("13.1.3", &[("If-Modified-Since", "Sunday, 06-Nov-94 08:49:37 GMT")], 304),
    row("13.1.3", &[("If-Modified-Since", "Sun Nov  6 08:49:37 1994")], 304),
    row("13.1.3", &[("If-Modified-Since", "soon")], 200),
    row("13.1.3", &[("If-Modified-Since", "")], 200),
    row("13.1.3", &[("If-None-Match", "\"other\""), ("If-Modified-Since", NEW)], 200),
    row("13.1.3", &[("If-None-Match", "$"), ("If-Modified-Since", OLD)], 304),
    row("13.1.4", &[("If-Unmodified-Since", OLD)], 412),
    row("13.1.4", &[("If-Unmodified-Since", SAME)], 200),
    row("13.1.4", &[("If-Unmodified-Since", NEW)], 200),
    row("13.1.4", &[("If-Unmodified-Since", "soon")], 200),
    row("13.1.4", &[("If-Match", "$"), ("If-Unmodified-Since", OLD)], 200),
    row("13.1.4", &[("If-Match", "\"other\""), ("If-Unmodified-Since", NEW)], 412),
    row("13.1.5", &[("Range", "bytes=0-4"), ("If-Range", "$")], 206),
    row("13.1.5", &[("Range", "bytes=0-4"), ("If-Range", "\"other\"")], 200),
    row("13.1.5", &[("Range", "bytes=0-4"), ("If-Range", "W/$")], 200),
    row("13.1.5", &[("Range", "bytes=0-4"), ("If-Range", "*")], 200),
    row("13.1.5", &[("Range", "bytes=0-4"), ("If-Range", SAME)], 206),
    row("13.1.5", &[("Range", "bytes=0-4"), ("If-Range", OLD)], 200),
    row("13.1.5", &[("Range", "bytes=0-4"), ("If-Range", NEW)], 200),
    row("13.1.5", &[("Range", "bytes=0-4"), ("If-Range", "soon")], 200),
    row("13.1.5", &[("If-Range", "\"other\"")], 200),
    row("13.1.5", &[("Range", "bytes=200000-"), ("If-Range", "\"other\"")], 200),
    row("13.1.5", &[("Range", "bytes=200000-"), ("If-Range", "$")], 416),
    row("13.2.2", &[("If-Match", "\"other\""), ("If-None-Match", "$")], 412),
    row("13.2.2", &[("If-Match", "$"), ("If-None-Match", "$")], 304),
    row("13.2.2", &[("If-Unmodified-Since", OLD), ("If-None-Match", "$")], 412),
    row("13.2.2", &[("If-Unmodified-Since", NEW), ("If-Modified-Since", NEW)], 304),
    row("13.2.2", &[("If-None-Match", "$"), ("Range", "bytes=0-4")], 304),
    row("13.2.2", &[("If-None-Match", "\"other\""), ("Range", "bytes=0-4")], 206),
    row("13.2.2", &[("If-Match", "$"), ("Range", "bytes=0-4")], 206),
    row("13.2.2", &[("If-Match", "\"other\""), ("Range", "bytes=0-4")], 412),
    row("13.2.2", &[("If-Match", "\"other\""), ("Range", "bytes=200000-")], 412),
    row("13.2.2", &[("If-None-Match", "$"), ("Range", "bytes=200000-")], 304),
    row(
        "13.2.2",
        &[("If-Modified-Since", SAME), ("Range", "bytes=0-4"), ("If-Range", "\"other\"")],
        304,
    ),
];

fn volume() -> TestServer {
    let server = TestServer::start();
    put(&server);
    server
}

fn put(site: &Site) {
    let path = site.path("run/file.bin");
    write(&path, &pattern(100_000));
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(784_111_777)).unwrap();
}

#[test]
fn the_table_of_conditions_holds() {
    the_table_holds_of(&TestServer::start(), false);
}

/// The whole table against a server, however it is reached: some proxies refuse a field that comes twice.
pub fn the_table_holds_of(server: &Site, refuses_twice: bool) {
    put(server);
    let etag = server.get("/files/run/file.bin", &[]).etag();
    for row in ROWS {
        let fields: Vec<_> =
            row.fields.iter().map(|(name, value)| (*name, value.replace('$', &etag))).collect();
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let name = format!("{fields:?} (RFC 9110 §{})", row.section);
        let response = server.get_twice("/files/run/file.bin", &fields);
        if refuses_twice && matches!(row.fields, [(one, _), (other, _)] if one == other) {
            assert_eq!(response.status, 400, "{name}");
            continue;
        }
        assert_eq!(response.status, row.status, "{name}");
        match row.status {
            200 => assert_eq!(response.body.len(), 100_000, "{name}"),
            206 => assert_eq!(response.body.len(), 5, "{name}"),
            304 => {
                // §15.4.5: what a 200 would have said, and no content.
                assert_eq!(response.etag(), etag, "{name}");
                assert_eq!(response.field("last-modified").as_deref(), Some(SAME), "{name}");
                assert_eq!(response.field("cache-control").as_deref(), Some("no-cache"), "{name}");
                assert_eq!(response.field("content-type"), None, "{name}");
                assert_eq!(response.field("content-range"), None, "{name}");
            }
            412 => assert_eq!(
                response.json()["type"],
                "urn:sounding:problem:precondition-failed",
                "{name}"
            ),
            _ => {}
        }
        let mut fields = fields;
        fields.push(("Authorization", KEY));
        assert_eq!(
            server.request("HEAD", "/files/run/file.bin", &fields).status,
            row.status,
            "HEAD {name}"
        );
    }
}

#[test]
fn a_browsers_cache_that_refills_a_whole_copy_gets_the_whole_file() {
    // What Chromium sends when a page fetches the whole file, of which the cache holds a stale copy in parts.
    let server = volume();
    let get = |fields: &[(&str, &str)]| {
        let mut all = vec![("Range", "bytes=0-499")];
        all.extend(fields);
        server.get("/files/run/file.bin", &all)
    };
    let refill =
        [("Sec-Fetch-Mode", "cors"), ("If-None-Match", "\"old\""), ("Accept-Encoding", "gzip, br")];
    let whole = get(&refill);
    assert_eq!(
        (whole.status, whole.body.len(), whole.field("content-range")),
        (200, 100_000, None)
    );
    // A page's own range, and everyone else's, stays a range.
    let own = [refill[0], refill[1], ("Accept-Encoding", "identity")];
    assert_eq!((get(&own).status, get(&own).body.len()), (206, 500));
    assert_eq!(get(&refill[1..]).status, 206);
    assert_eq!(get(&[refill[0], refill[2]]).status, 206);
}

#[test]
fn a_connection_goes_on_after_304_and_412() {
    let server = volume();
    let mut connection = server.connect();
    let etag = server.get("/files/run/file.bin", &[]).etag();
    for (name, value, status) in [
        ("If-None-Match", etag.as_str(), 304),
        ("If-Match", "\"x\"", 412),
        ("If-None-Match", "*", 304),
    ] {
        connection.send("GET", "/files/run/file.bin", &[(name, value), ("Authorization", KEY)]);
        assert_eq!(connection.receive("GET").status, status);
    }
}

#[test]
fn conditions_do_not_turn_a_404_or_a_401_into_something_else() {
    // RFC 9110 §13.2.1: they apply where the answer without them would have been a success.
    let server = volume();
    for field in [("If-Match", "*"), ("If-None-Match", "*"), ("If-Unmodified-Since", OLD)] {
        assert_eq!(server.get("/files/run/none.bin", &[field]).status, 404);
        assert_eq!(server.request("GET", "/files/run/file.bin", &[field]).status, 401);
    }
}

#[test]
fn each_rewrite_has_a_tag_of_its_own_even_within_a_second_and_with_the_same_size() {
    let server = TestServer::start();
    let path = server.path("run/file.txt");
    let mut seen = std::collections::HashMap::new();
    for round in 0..200 {
        let content = format!("round {round:04}");
        match round % 3 {
            // In place, with the time of modification set back.
            0 => {
                write(&path, content.as_bytes());
                let file = fs::File::options().write(true).open(&path).unwrap();
                file.set_modified(UNIX_EPOCH + Duration::from_secs(784_111_777)).unwrap();
            }
            1 => write(&path, content.as_bytes()),
            _ => {
                write(&server.path("run/.new"), content.as_bytes());
                fs::rename(server.path("run/.new"), &path).unwrap();
            }
        }
        let response = server.get("/files/run/file.txt", &[]);
        assert_eq!(response.text(), content);
        assert!(response.etag().starts_with('"'), "a weak tag: {}", response.etag());
        if let Some(before) = seen.insert(response.etag(), round) {
            panic!("rounds {before} and {round} have one tag");
        }
    }
}

#[test]
fn a_file_at_rest_keeps_its_tag() {
    let server = volume();
    let etag = server.get("/files/run/file.bin", &[]).etag();
    for _ in 0..20 {
        assert_eq!(server.get("/files/run/file.bin", &[("Range", "bytes=0-0")]).etag(), etag);
    }
}

#[test]
fn the_listing_tells_the_tag_that_the_file_has() {
    let server = volume();
    let tag = wait_for("a settled file", || {
        let listed = server.get("/files/run/?format=json", &[]).json()[0]["etag"]
            .as_str()
            .unwrap()
            .to_owned();
        (!listed.contains('~')).then_some(listed)
    });
    assert_eq!(server.get("/files/run/file.bin", &[]).etag(), tag);
}

#[test]
fn a_date_of_this_very_second_is_no_strong_validator() {
    // RFC 9110 §8.8.2.2.
    let server = TestServer::start();
    let path = server.path("run/file.bin");
    write(&path, b"0123456789");
    // A little ahead, so that it is this second's or a later one whenever the request comes.
    let soon = SystemTime::now() + Duration::from_secs(5);
    fs::File::options().write(true).open(&path).unwrap().set_modified(soon).unwrap();
    let date = server.get("/files/run/file.bin", &[]).field("last-modified").unwrap();
    let response =
        server.get("/files/run/file.bin", &[("Range", "bytes=0-4"), ("If-Range", &date)]);
    assert_eq!(response.status, 200);
}

#[test]
fn last_modified_is_never_in_the_future() {
    // RFC 9110 §8.8.2.1.
    let server = TestServer::start();
    let path = server.path("run/file.bin");
    write(&path, b"x");
    let future = SystemTime::now() + Duration::from_hours(48);
    fs::File::options().write(true).open(&path).unwrap().set_modified(future).unwrap();
    let response = server.get("/files/run/file.bin", &[]);
    assert_eq!(response.field("last-modified"), response.field("date"));
}

#[test]
fn what_is_not_sent_again_has_no_length() {
    let server = TestServer::start();
    server.put("run/a.txt", b"0123456789");
    // One with a query is routed.
    for target in ["/files/run/a.txt", "/files/run/a.txt?x=1"] {
        let etag = server.get(target, &[]).etag();
        let fields = [("Authorization", KEY), ("If-None-Match", etag.as_str())];
        for method in ["GET", "HEAD"] {
            let response = server.request(method, target, &fields);
            assert_eq!(response.status, 304, "{method} {target}");
            assert_eq!(response.field("content-length"), None, "{method} {target}");
        }
    }
}
