//! What nginx passes on is what the server says, field by field and byte by byte.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use super::{Front, behind_nginx, in_chain};
use crate::support::{KEY, pattern};
use crate::{conditions, ranges};

#[test]
fn the_tables_of_ranges_and_conditions_hold() {
    in_chain(&[], |chain| {
        chain.wait_until_ready();
        ranges::the_table_holds_of(chain);
        // RFC 9110 §5.3 allows `If-Match` to come twice; nginx does not, and no client does so.
        conditions::the_table_holds_of(chain, chain.front == Front::Nginx);
    });
}

/// An answer: its first line, its fields in order, its body.
#[derive(Debug, PartialEq)]
struct Answer {
    status: String,
    fields: Vec<String>,
    body: Vec<u8>,
}

/// Sends a request, and reads what comes up to the connection's end.
fn exchange(mut stream: impl Read + Write, request: &str) -> Answer {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n").expect("a whole answer");
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n").map(str::to_owned);
    let status = lines.next().unwrap();
    // Of the connection itself, and of the moment.
    let is_own = |field: &String| {
        ["connection:", "date:", "keep-alive:"].iter().any(|it| field.starts_with(it))
    };
    let lower = |field: String| {
        let (name, value) = field.split_once(": ").unwrap();
        format!("{}: {value}", name.to_ascii_lowercase())
    };
    let mut fields: Vec<_> = lines.map(lower).filter(|it| !is_own(it)).collect();
    fields.sort();
    let body = &answer[end + 4..];
    let is_chunked = fields.iter().any(|it| it == "transfer-encoding: chunked");
    Answer { status, fields, body: if is_chunked { joined(body) } else { body.to_vec() } }
}

/// A body out of its chunks, which may be cut elsewhere.
fn joined(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = chunks.iter().position(|it| *it == b'\r').unwrap();
        let size = std::str::from_utf8(&chunks[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend(&chunks[end + 2..end + 2 + size]);
        chunks = &chunks[end + 2 + size + 2..];
    }
}

#[test]
fn every_answer_is_the_servers_own() {
    behind_nginx(&[], |chain| {
        chain.wait_until_ready();
        chain.put("run/file.bin", &pattern(100_000));
        chain.put("run/trips.csv", "person;trip\n".repeat(1000).as_bytes());
        chain.put("run/Größe & Umland (50%).csv", b"a;b\n");
        let many = format!("Range: bytes={}", vec!["0-0"; 1000].join(","));
        let long = format!("X-Long: {}", "x".repeat(40_000));
        let etag = format!("If-None-Match: {}", chain.get("/files/run/file.bin", &[]).etag());
        let file = "/files/run/file.bin";
        let check = |method: &str, target: &str, fields: &[&str]| {
            let (first, key) =
                (format!("{method} {target} HTTP/1.1"), format!("Authorization: {KEY}"));
            let lines =
                [&[&*first, "Host: data.example", &*key, "Connection: close"][..], fields].concat();
            let request = format!("{}\r\n\r\n", lines.join("\r\n"));
            let direct = UnixStream::connect(chain.inner("/run/server.sock")).unwrap();
            let direct = exchange(direct, &request);
            let through = exchange(TcpStream::connect(chain.address).unwrap(), &request);
            assert_eq!(through.fields, direct.fields, "{method} {target} {fields:.80?}");
            assert!(
                through == direct,
                "{method} {target} {fields:.80?}: {} {}",
                through.status,
                direct.status
            );
        };
        for fields in [
            &[][..],
            &["Range: bytes=0-4"],
            &["Range: bytes=-500"],
            &["Range: bytes=200000-"],
            &["Range: bytes=0-4", "If-Range: \"other\""],
            &["If-None-Match: *"],
            &["If-Match: \"other\""],
            &[&*etag],
            &[&*many],
            &[&*long],
            &["Origin: https://web.example"],
            &["Accept-Encoding: gzip, br, zstd"],
        ] {
            check("GET", file, fields);
            check("HEAD", file, fields);
        }
        for coding in ["gzip", "br", "zstd", "identity"] {
            check("GET", "/files/run/trips.csv", &[&format!("Accept-Encoding: {coding}")]);
        }
        for target in [
            "/",
            "/files",
            "/files/",
            "/files/run",
            "/files/run?a=b&c",
            "/files/run?format=json&filter=b",
            "/files/run/",
            "/files/run/?format=json",
            "/files/run/?format=json&limit=1",
            "/files/run/Gr%C3%B6%C3%9Fe%20&%20Umland%20(50%25).csv",
            "/files/run/none",
            "/files/run%2Ffile.bin",
            "/files//run//file.bin",
            "/files/./run/file.bin",
            "/files/run/../run/file.bin",
            "/files/run/%2e%2e/file.bin",
            "/files/.sounding/auth-keys.csv",
            &format!("/share/{KEY}/run/file.bin"),
            "/changes",
            "/openapi.json",
            "/uploads",
            "/nothing",
        ] {
            check("GET", target, &[]);
        }
        let asked = [
            "Origin: https://web.example",
            "Access-Control-Request-Method: PUT",
            "Access-Control-Request-Headers: authorization, range",
        ];
        check("OPTIONS", file, &asked);
        check("OPTIONS", "/uploads", &["Tus-Resumable: 1.0.0"]);
        check("POST", file, &["Content-Length: 0"]);
        check("DELETE", "/files/run/none", &[]);
    });
}
