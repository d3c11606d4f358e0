//! Ranges against the running server: each row with the section of RFC 9110 that it stands for.

use crate::support::{KEY, Response, Site, TestServer, pattern};

/// A row of the table: what is asked of the 100 000-byte file, and what must come.
struct Row {
    section: &'static str,
    range: &'static str,
    status: u16,
    /// `Content-Range`, without the unit.
    content_range: &'static str,
    /// The bytes of the file that come, as `start..end`.
    bytes: std::ops::Range<usize>,
}

const LEN: usize = 100_000;

const fn partial(
    section: &'static str,
    range: &'static str,
    content_range: &'static str,
    bytes: std::ops::Range<usize>,
) -> Row {
    Row { section, range, status: 206, content_range, bytes }
}

const fn whole(section: &'static str, range: &'static str) -> Row {
    Row { section, range, status: 200, content_range: "", bytes: 0..LEN }
}

const fn unsatisfiable(section: &'static str, range: &'static str) -> Row {
    Row { section, range, status: 416, content_range: "*/100000", bytes: 0..0 }
}

const ROWS: &[Row] = &[
    // §14.1.2: int-range
    partial("14.1.2", "bytes=0-0", "0-0/100000", 0..1),
    partial("14.1.2", "bytes=0-1", "0-1/100000", 0..2),
    partial("14.1.2", "bytes=0-499", "0-499/100000", 0..500),
    partial("14.1.2", "bytes=500-999", "500-999/100000", 500..1000),
    partial("14.1.2", "bytes=99999-99999", "99999-99999/100000", 99_999..100_000),
    partial("14.1.2", "bytes=0-99999", "0-99999/100000", 0..100_000),
    partial("14.1.2", "bytes=0-", "0-99999/100000", 0..100_000),
    partial("14.1.2", "bytes=1-", "1-99999/100000", 1..100_000),
    partial("14.1.2", "bytes=99999-", "99999-99999/100000", 99_999..100_000),
    partial("14.1.2", "bytes=000-0004", "0-4/100000", 0..5),
    // §14.1.2: a last position behind the end means the end
    partial("14.1.2", "bytes=99990-200000", "99990-99999/100000", 99_990..100_000),
    partial("14.1.2", "bytes=0-100000", "0-99999/100000", 0..100_000),
    partial("14.1.2", "bytes=0-18446744073709551615", "0-99999/100000", 0..100_000),
    partial("14.1.2", "bytes=0-18446744073709551616", "0-99999/100000", 0..100_000),
    partial("14.1.2", "bytes=5-99999999999999999999999999999999", "5-99999/100000", 5..100_000),
    // §14.1.2: suffix-range
    partial("14.1.2", "bytes=-1", "99999-99999/100000", 99_999..100_000),
    partial("14.1.2", "bytes=-500", "99500-99999/100000", 99_500..100_000),
    partial("14.1.2", "bytes=-100000", "0-99999/100000", 0..100_000),
    partial("14.1.2", "bytes=-200000", "0-99999/100000", 0..100_000),
    partial("14.1.2", "bytes=-262144", "0-99999/100000", 0..100_000),
    partial("14.1.2", "bytes=-99999999999999999999999999", "0-99999/100000", 0..100_000),
    // §14.1: the unit is case-insensitive
    partial("14.1", "Bytes=0-4", "0-4/100000", 0..5),
    partial("14.1", "BYTES=0-4", "0-4/100000", 0..5),
    // §5.6.1.2: empty elements and white space of a list
    partial("5.6.1.2", "bytes= 0-4", "0-4/100000", 0..5),
    partial("5.6.1.2", "bytes=0-4,", "0-4/100000", 0..5),
    partial("5.6.1.2", "bytes=,0-4", "0-4/100000", 0..5),
    partial("5.6.1.2", "bytes=, ,0-4 ,\t", "0-4/100000", 0..5),
    // §14.2, §15.3.7: unsatisfiable ones among several are dropped
    partial("15.3.7", "bytes=0-4,200000-", "0-4/100000", 0..5),
    partial("15.3.7", "bytes=200000-,0-4", "0-4/100000", 0..5),
    partial("15.3.7", "bytes=-0,0-4", "0-4/100000", 0..5),
    // §15.5.17
    unsatisfiable("15.5.17", "bytes=100000-"),
    unsatisfiable("15.5.17", "bytes=100000-100000"),
    unsatisfiable("15.5.17", "bytes=200000-300000"),
    unsatisfiable("15.5.17", "bytes=-0"),
    unsatisfiable("15.5.17", "bytes=18446744073709551615-"),
    unsatisfiable("15.5.17", "bytes=18446744073709551616-"),
    unsatisfiable("15.5.17", "bytes=100000-,200000-"),
    unsatisfiable("15.5.17", "bytes=-0,-0"),
    // §14.2: a unit that is not understood, §14.2: an invalid set: both are ignored
    whole("14.2", "items=0-4"),
    whole("14.2", "byte=0-4"),
    whole("14.2", "bytes =0-4"),
    whole("14.2", "bytes"),
    whole("14.2", "bytes="),
    whole("14.2", "bytes=,"),
    whole("14.2", "bytes:0-4"),
    whole("14.2", "0-4"),
    whole("14.2", "=0-4"),
    whole("14.2", "bytes=5-2"),
    whole("14.2", "bytes=abc"),
    whole("14.2", "bytes=a-b"),
    whole("14.2", "bytes=-"),
    whole("14.2", "bytes=--1"),
    whole("14.2", "bytes=1--1"),
    whole("14.2", "bytes=5"),
    whole("14.2", "bytes=0-4;5-9"),
    whole("14.2", "bytes=0 - 4"),
    whole("14.2", "bytes=+0-4"),
    whole("14.2", "bytes=0x0-0x4"),
    whole("14.2", "bytes=0-4,x"),
    whole("14.2", "bytes=0-4,5-2"),
    whole("14.2", "bytes=0.5-4"),
    whole("14.2", "bytes=\u{ff10}-4"),
    // §14.2 and §17.15: many or overlapping ranges that ask for more than the file
    whole("17.15", "bytes=0-,0-"),
    whole("17.15", "bytes=0-99999,0-0"),
    whole("17.15", "bytes=0-60000,40000-99999"),
    whole("17.15", "bytes=-60000,-60000"),
];

fn volume() -> (TestServer, Vec<u8>) {
    let server = TestServer::start();
    let content = put(&server);
    (server, content)
}

fn put(site: &Site) -> Vec<u8> {
    let content = pattern(LEN);
    site.put("run/file.bin", &content);
    content
}

#[test]
fn the_table_of_ranges_holds() {
    the_table_holds_of(&TestServer::start());
}

/// The whole table against a server, however it is reached.
pub fn the_table_holds_of(server: &Site) {
    let content = put(server);
    assert!(ROWS.len() >= 60);
    for row in ROWS {
        let name = format!("{} (RFC 9110 §{})", row.range, row.section);
        let response = server.get_twice("/files/run/file.bin", &[("Range", row.range)]);
        assert_eq!(response.status, row.status, "{name}");
        let content_range = response.field("content-range").unwrap_or_default();
        assert_eq!(content_range.trim_start_matches("bytes "), row.content_range, "{name}");
        if row.status == 416 {
            assert_eq!(
                response.json()["type"],
                "urn:sounding:problem:range-not-satisfiable",
                "{name}"
            );
            continue;
        }
        let length = response.field("content-length").unwrap();
        assert_eq!(length, row.bytes.len().to_string(), "{name}");
        assert!(response.body == content[row.bytes.clone()], "{name}: other bytes came");
        assert_eq!(response.field("accept-ranges").as_deref(), Some("bytes"), "{name}");
        assert!(
            response.field("etag").is_some() && response.field("last-modified").is_some(),
            "{name}"
        );
    }
}

#[test]
fn head_says_of_every_row_what_get_does() {
    let (server, _) = volume();
    for row in ROWS {
        let head = server.request(
            "HEAD",
            "/files/run/file.bin",
            &[("Range", row.range), ("Authorization", KEY)],
        );
        let get = server.get("/files/run/file.bin", &[("Range", row.range)]);
        assert_eq!(head.status, get.status, "{}", row.range);
        for name in [
            "content-length",
            "content-range",
            "content-type",
            "etag",
            "last-modified",
            "accept-ranges",
        ] {
            assert_eq!(head.field(name), get.field(name), "{name} of {}", row.range);
        }
    }
}

#[test]
fn an_empty_file_is_right_in_every_way() {
    let server = TestServer::start();
    server.put("empty.csv", b"");
    let check = |range: Option<&str>, status: u16, content_range: Option<&str>| {
        let fields: Vec<_> = range.map(|it| ("Range", it)).into_iter().collect();
        let response = server.get("/files/empty.csv", &fields);
        assert_eq!(response.status, status, "{range:?}");
        assert_eq!(response.field("content-range").as_deref(), content_range, "{range:?}");
        if status == 200 {
            assert_eq!(response.field("content-length").as_deref(), Some("0"), "{range:?}");
            assert!(response.body.is_empty() && response.is_complete);
        }
    };
    check(None, 200, None);
    check(Some("bytes=0-"), 416, Some("bytes */0"));
    check(Some("bytes=0-0"), 416, Some("bytes */0"));
    check(Some("bytes=1-"), 416, Some("bytes */0"));
    check(Some("bytes=-0"), 416, Some("bytes */0"));
    // A suffix of nothing is all of it (§14.1.2), which no Content-Range can say.
    check(Some("bytes=-5"), 200, None);
    check(Some("items=0-"), 200, None);
}

#[test]
fn two_range_fields_are_ignored() {
    // RFC 9110 §5.3: Range is no list field.
    let (server, content) = volume();
    let response =
        server.get("/files/run/file.bin", &[("Range", "bytes=0-4"), ("Range", "bytes=5-9")]);
    assert_eq!((response.status, response.body.len()), (200, content.len()));
}

/// The parts of a `multipart/byteranges`: `Content-Range` and bytes.
fn parts(response: &Response) -> Vec<(String, Vec<u8>)> {
    let content_type = response.field("content-type").unwrap();
    let boundary =
        content_type.strip_prefix("multipart/byteranges; boundary=").expect(&content_type);
    let end = format!("\r\n--{boundary}--\r\n");
    let body = response.body.strip_suffix(end.as_bytes()).expect("the closing boundary");
    let delimiter = format!("\r\n--{boundary}\r\n").into_bytes();
    let body = [b"\r\n", body].concat();
    let mut starts: Vec<usize> =
        (0..body.len()).filter(|it| body[*it..].starts_with(&delimiter)).collect();
    assert_eq!(starts.first(), Some(&0), "the body begins with a part");
    starts.push(body.len());
    starts
        .windows(2)
        .map(|it| {
            let part = &body[it[0] + delimiter.len()..it[1]];
            let head_end = part.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
            let head = String::from_utf8(part[..head_end].to_vec()).unwrap();
            let range =
                head.lines().find_map(|it| it.strip_prefix("Content-Range: bytes ")).unwrap();
            assert!(head.contains("Content-Type: application/octet-stream"), "{head}");
            (range.to_owned(), part[head_end + 4..].to_vec())
        })
        .collect()
}

#[test]
fn several_ranges_come_in_parts_as_asked_for() {
    // RFC 9110 §14.6, §15.3.7.2.
    let (server, content) = volume();
    let check = |range: &str, expected: &[(&str, std::ops::Range<usize>)]| {
        let response = server.get_twice("/files/run/file.bin", &[("Range", range)]);
        assert_eq!(response.status, 206, "{range}");
        assert_eq!(response.field("content-range"), None, "{range}: only parts have one");
        assert_eq!(
            response.field("content-length").unwrap(),
            response.body.len().to_string(),
            "{range}"
        );
        let expected: Vec<_> = expected
            .iter()
            .map(|(range, bytes)| ((*range).to_owned(), content[bytes.clone()].to_vec()))
            .collect();
        assert!(
            parts(&response) == expected,
            "{range}: {:?}",
            parts(&response).iter().map(|it| &it.0).collect::<Vec<_>>()
        );
    };
    check("bytes=0-4,10-14", &[("0-4/100000", 0..5), ("10-14/100000", 10..15)]);
    check("bytes=10-14,0-4", &[("10-14/100000", 10..15), ("0-4/100000", 0..5)]);
    check("bytes=0-0,-1", &[("0-0/100000", 0..1), ("99999-99999/100000", 99_999..100_000)]);
    check("bytes=0-9,5-14", &[("0-9/100000", 0..10), ("5-14/100000", 5..15)]);
    check(
        "bytes=0-49999,50000-",
        &[("0-49999/100000", 0..50_000), ("50000-99999/100000", 50_000..100_000)],
    );
    check(
        "bytes=0-1, 4-5 ,200000-,8-9,-0",
        &[("0-1/100000", 0..2), ("4-5/100000", 4..6), ("8-9/100000", 8..10)],
    );
    check(
        "bytes=99990-200000,0-1",
        &[("99990-99999/100000", 99_990..100_000), ("0-1/100000", 0..2)],
    );
}

#[test]
fn a_hundred_ranges_come_and_a_thousand_do_not() {
    let (server, content) = volume();
    let ranges = |count: usize| {
        let ranges: Vec<_> = (0..count).map(|it| format!("{}-{}", it * 50, it * 50 + 1)).collect();
        format!("bytes={}", ranges.join(","))
    };
    let response = server.get("/files/run/file.bin", &[("Range", &ranges(100))]);
    let parts = parts(&response);
    assert_eq!((response.status, parts.len()), (206, 100));
    assert!(
        parts
            .iter()
            .enumerate()
            .all(|(index, (_, bytes))| *bytes == content[index * 50..index * 50 + 2])
    );
    let response = server.get("/files/run/file.bin", &[("Range", &ranges(1000))]);
    assert_eq!((response.status, response.body.len()), (200, LEN));
}

#[test]
fn no_request_makes_the_server_send_more_than_the_file() {
    // CVE-2011-3192, and its smaller sisters: RFC 9110 §17.15.
    let (server, content) = volume();
    let overlapping =
        format!("bytes={}", (0..1200).map(|it| format!("{it}-")).collect::<Vec<_>>().join(","));
    let same = format!("bytes={}", vec!["0-0"; 1200].join(","));
    let huge = format!("bytes={}", vec!["0-18446744073709551615"; 300].join(","));
    let tiny_file =
        format!("bytes={}", (0..100).map(|it| format!("{it}-{it}")).collect::<Vec<_>>().join(","));
    server.put("run/tiny.bin", &content[..100]);
    for (path, range, len) in [
        ("file", &overlapping, LEN),
        ("file", &same, LEN),
        ("file", &huge, LEN),
        ("tiny", &tiny_file, 100),
    ] {
        let response = server.get_twice(&format!("/files/run/{path}.bin"), &[("Range", range)]);
        assert_eq!((response.status, response.body.len()), (200, len), "{range:.40}");
    }
}

#[test]
fn a_range_is_of_the_file_as_it_is_and_never_of_a_coding() {
    // RFC 9110 §14.2: ranges are of the selected representation, which here is the file itself.
    let server = TestServer::start();
    let text = "person;trip\n".repeat(1000);
    server.put("run/trips.csv", text.as_bytes());
    let coded = server.get("/files/run/trips.csv", &[("Accept-Encoding", "gzip")]);
    assert_eq!(coded.field("content-encoding").as_deref(), Some("gzip"));
    for range in ["bytes=0-11", "bytes=12-", "items=0-4", "nonsense"] {
        let response = server.get(
            "/files/run/trips.csv",
            &[("Range", range), ("Accept-Encoding", "gzip, br, zstd")],
        );
        assert_eq!(response.field("content-encoding"), None, "{range}");
        assert_ne!(response.etag(), coded.etag(), "{range}");
        assert!(
            text.as_bytes().windows(response.body.len()).any(|it| it == response.body),
            "{range}"
        );
    }
}

#[test]
fn ranges_of_a_shared_address_are_the_same() {
    let (server, content) = volume();
    let response =
        server.request("GET", &format!("/share/{KEY}/run/file.bin"), &[("Range", "bytes=7-9")]);
    assert_eq!((response.status, response.body.as_slice()), (206, &content[7..10]));
}
