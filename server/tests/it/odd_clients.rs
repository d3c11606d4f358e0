//! Clients that are odd and real: of HTTP/1.0, with absolute addresses, that wait to be asked for their body, that want the head only.

use std::io::Write as _;

use crate::support::{Connection, KEY, Response, TestServer};

fn volume() -> TestServer {
    let server = TestServer::start();
    server.put("run/trips.csv", "person;trip\n".repeat(400).as_bytes());
    server.put("public/a.txt", b"public");
    server
}

/// All that can be read: each route, files and folders.
const READ: &[&str] = &[
    "/",
    "/files",
    "/files/",
    "/files/run",
    "/files/run/",
    "/files/run/?format=json",
    "/files/run/trips.csv",
    "/files/public/a.txt",
    "/files/run/nothing",
    "/share/kmt-covers-everything",
    "/share/kmt-covers-everything/",
    "/share/kmt-covers-everything/run/trips.csv",
    "/uploads",
    "/uploads/x",
    "/changes",
    "/events?quiet=0",
    "/health",
    "/openapi.json",
    "/sounding.js",
    "/sounding.d.ts",
    "/nothing",
];

/// Fields that are the same whenever one asks.
fn lasting(response: &Response) -> Vec<&(String, String)> {
    let mut fields: Vec<_> = response.fields.iter().filter(|it| it.0 != "date").collect();
    fields.sort();
    fields
}

#[test]
fn an_absolute_address_is_answered_as_its_path_is() {
    let server = volume();
    for target in READ {
        for method in ["GET", "HEAD"] {
            // Of another host than `Host` says, whose word goes then (RFC 9112 §3.2.2).
            let absolute = format!("http://other.example:81{target}");
            let fields = [("Authorization", KEY)];
            let [plain, absolute] =
                [*target, &absolute].map(|it| server.request(method, it, &fields));
            assert_eq!(plain.status, absolute.status, "{method} {target}");
            assert_eq!(lasting(&plain), lasting(&absolute), "{method} {target}");
            assert!(plain.body == absolute.body, "{method} {target}");
        }
    }
    let put = [("Authorization", KEY), ("Content-Length", "0")];
    assert_eq!(server.request("PUT", "http://a.example/files/run/new.txt", &put).status, 201);
    assert!(server.path("run/new.txt").exists());
}

#[test]
fn the_head_of_every_route_says_what_its_content_comes_with() {
    let server = volume();
    for target in READ.iter().filter(|it| !it.starts_with("/uploads/")) {
        for more in [&[][..], &[("Accept-Encoding", "gzip")], &[("Accept", "text/html")]] {
            let fields = [&[("Authorization", KEY)], more].concat();
            let [get, head] = ["GET", "HEAD"].map(|it| server.request(it, target, &fields));
            assert_eq!(get.status, head.status, "{target}");
            // How long what is not sent would be need not be said.
            let framing = ["content-length", "transfer-encoding"];
            let of_get = lasting(&get).into_iter();
            let mut missing = of_get.filter(|it| !head.fields.contains(it));
            assert!(missing.all(|it| framing.contains(&it.0.as_str())), "{target}: {head:?}");
            assert!(lasting(&head).iter().all(|it| get.fields.contains(it)), "{target}: {head:?}");
        }
    }
}

#[test]
fn a_client_of_http_1_0_gets_no_chunks_and_stays_only_if_it_wants_to() {
    let server = volume();
    for target in READ {
        for more in ["", "Accept-Encoding: gzip\r\n"] {
            let ask = |connection: &mut Connection, field: &str| {
                let head =
                    format!("GET {target} HTTP/1.0\r\nAuthorization: {KEY}\r\n{more}{field}\r\n");
                connection.send_raw(head.as_bytes());
                let response = connection.receive("GET");
                assert_eq!(response.field("transfer-encoding"), None, "{target}");
                assert!(response.is_complete, "{target}");
                response
            };
            let status = server.get(target, &[]).status;
            for field in ["", "Connection: close\r\n"] {
                let mut connection = server.connect();
                assert_eq!(ask(&mut connection, field).status, status, "{target}");
                assert!(connection.is_closed(), "{target}");
            }
            let mut connection = server.connect();
            let keep = "Connection: keep-alive\r\n";
            // Without a length, its end is the connection's.
            if ask(&mut connection, keep).field("content-length").is_some() {
                assert_eq!(ask(&mut connection, keep).status, status, "{target}");
            }
        }
    }
}

/// A method, what it is asked of, with which fields, and the answer's status.
type Asked<'a> = (&'a str, &'a str, Vec<(&'a str, &'a str)>, u16);

#[test]
fn whoever_waits_to_be_asked_for_a_body_is_asked_or_told_that_it_is_over() {
    let server = volume();
    let large = (8_u64 << 20).to_string();
    let key = ("Authorization", KEY);
    let upload = server.begin(3, "run/upload.csv", &[]);
    let tus =
        [key, ("Tus-Resumable", "1.0.0"), ("Content-Type", "application/offset+octet-stream")];
    let refused: [Asked<'_>; 5] = [
        ("PUT", "/files/run/new.txt", vec![], 401),
        ("PUT", "/files/run/trips.csv", vec![key, ("If-None-Match", "*")], 412),
        ("PUT", "/files/run/trips.csv?exists=refuse", vec![key], 409),
        ("POST", "/nothing", vec![key], 404),
        ("PATCH", &upload, [&tus[..], &[("Upload-Offset", "2")]].concat(), 409),
    ];
    for (method, target, fields, status) in refused {
        let expect = [("Content-Length", large.as_str()), ("Expect", "100-Continue")];
        let mut connection = server.connect();
        connection.send(method, target, &[&fields[..], &expect].concat());
        let response = connection.receive(method);
        assert_eq!(response.status, status, "{method} {target}");
        // Nobody takes the connection for one that goes on.
        assert_eq!(response.field("connection").as_deref(), Some("close"), "{method} {target}");
        assert!(connection.is_closed(), "{method} {target}");

        // Whoever does not wait reads why, and may ask on.
        let body = vec![b'x'; 8 << 20];
        for version in ["1.0\r\nConnection: keep-alive\r\nExpect: 100-continue", "1.1\r\nExpect:"] {
            let mut head = format!("{method} {target} HTTP/{version}\r\nHost: a\r\n");
            for (name, value) in fields.iter().chain(&expect[..1]) {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str("\r\n");
            let mut connection = server.connect();
            connection.send_raw(head.as_bytes());
            connection.stream.get_mut().write_all(&body).unwrap();
            assert_eq!(connection.receive(method).status, status, "{method} {target} {version}");
            connection.send("GET", "/health", &[]);
            assert_eq!(connection.receive("GET").status, 200, "{method} {target} {version}");
        }
    }
    let good: [Asked<'_>; 2] = [
        ("PUT", "/files/run/new.txt", vec![key], 201),
        ("PATCH", &upload, [&tus[..], &[("Upload-Offset", "0")]].concat(), 204),
    ];
    for (method, target, fields, status) in good {
        let mut connection = server.connect();
        let expect = [("Content-Length", "3"), ("Expect", "100-continue")];
        connection.send(method, target, &[&fields[..], &expect].concat());
        assert_eq!(connection.receive_head().status, 100, "{method} {target}");
        connection.send_raw(b"abc");
        assert_eq!(connection.receive(method).status, status, "{method} {target}");
        connection.send("GET", "/health", &[]);
        assert_eq!(connection.receive("GET").status, 200, "{method} {target}");
    }
}
