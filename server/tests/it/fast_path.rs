//! Connections whose clients only read take the fast path, and no client can tell: what is answered there, in which order and how
//! it ends is what hyper would have it be.

use std::fs;
use std::io::{BufRead, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use sounding_server::Timeouts;

use crate::support::{
    BERLIN_KEY, Connection, KEY, Response, Setup, Site, TestServer, pattern, wait_for,
};

const SMALL: &str = "/files/run/small.txt";
const LARGE: &str = "/files/run/large.bin";

fn text() -> Vec<u8> {
    (0..3000).flat_map(|it| format!("{it};{};car\n", it * 7919 % 1000).into_bytes()).collect()
}

fn fill(server: &Site) {
    server.put("run/small.txt", b"0123456789");
    server.put("run/middle.bin", &pattern(100_000));
    server.put("run/large.bin", &pattern(3 << 20));
    server.put("run/empty.bin", b"");
    server.put("run/kept.bin", &pattern(16 << 10));
    server.put("run/trips.csv", &text());
    server.put("berlin/a.txt", b"berlin");
    server.put("public/a.txt", b"public");
    server.put("public/b \u{fc}.txt", b"umlaut");
}

fn volume() -> TestServer {
    let server = TestServer::start();
    fill(&server);
    server
}

fn impatient() -> TestServer {
    let timeouts = Timeouts { header_read: Duration::from_secs(1), ..Timeouts::default() };
    let server = TestServer::start_with(Setup { timeouts, ..Setup::default() });
    fill(&server);
    server
}

/// A request with the key that covers everything.
fn request(method: &str, target: &str, fields: &[(&str, &str)]) -> String {
    Connection::head(method, target, &[&[("Authorization", KEY)], fields].concat())
}

impl Connection {
    /// A read over this connection.
    fn read(&mut self, target: &str) -> Response {
        self.send("GET", target, &[("Authorization", KEY)]);
        self.receive("GET")
    }

    /// A small read, as a proof that all before it has come to its end.
    fn reads_on(&mut self) {
        let response = self.read(SMALL);
        assert_eq!((response.status, response.text().as_str()), (200, "0123456789"));
    }

    /// One by which hyper takes the connection over.
    fn leave_the_lane(&mut self) {
        self.send("GET", "/openapi.json", &[]);
        assert_eq!(self.receive("GET").status, 200);
    }
}

/// What comes of a request: an answer, if there is one, and of another one behind it.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    status: u16,
    fields: Vec<(String, String)>,
    body: String,
    is_complete: bool,
    /// What comes of the next request.
    behind: String,
}

fn outcome(mut connection: Connection, bytes: &[u8]) -> Outcome {
    let method = if bytes.starts_with(b"HEAD") { "HEAD" } else { "GET" };
    // Who is refused early may not be read to the end.
    connection.stream.get_mut().write_all(bytes).unwrap_or_default();
    let closed = Response { status: 0, fields: vec![], body: vec![], is_complete: false };
    let response = if connection.is_over() { closed } else { connection.receive(method) };
    let sentinel = request("GET", SMALL, &[]);
    let is_sent = connection.stream.get_mut().write_all(sentinel.as_bytes());
    let behind = if is_sent.is_err() || connection.is_over() {
        "an end".to_owned()
    } else {
        let behind = connection.receive("GET");
        format!("{} {}", behind.status, behind.text())
    };
    let content_type = response.field("content-type").unwrap_or_default();
    let boundary = content_type.split_once("boundary=").map_or("\r\n", |(_, it)| it);
    // Random, and of one length.
    let alike = |text: &str| text.replace(boundary, "\r\n");
    let body = alike(&response.text());
    let mut fields: Vec<_> =
        response.fields.iter().map(|(name, it)| (name.clone(), alike(it))).collect();
    fields.retain(|(name, _)| name != "date");
    fields.sort();
    let Response { status, is_complete, .. } = response;
    Outcome { status, fields, body, is_complete, behind }
}

impl Connection {
    /// Whether nothing comes any more.
    fn is_over(&mut self) -> bool {
        loop {
            match self.stream.fill_buf() {
                Ok(bytes) => return bytes.is_empty(),
                // Something was sent that was not read any more. Which of the two it is depends on when it is seen.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
                    ) =>
                {
                    return true;
                }
                // As after a halt of the whole process.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("neither an answer nor an end: {error}"),
            }
        }
    }
}

/// Compares the fast path's answers to some bytes with hyper's.
fn compare(server: &Site, bytes: &[u8]) -> u16 {
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
    let in_the_lane = |reads: usize| {
        let mut connection = server.connect();
        (0..reads).for_each(|_| connection.reads_on());
        outcome(connection, bytes)
    };
    // Perhaps nothing is known of what is asked for; then something is.
    let (first, second) = (in_the_lane(0), in_the_lane(1));
    let mut connection = server.connect();
    connection.leave_the_lane();
    let by_hyper = outcome(connection, bytes);
    assert_eq!(first, by_hyper, "{shown:?}");
    assert_eq!(second, by_hyper, "{shown:?}");
    let has_length = by_hyper.fields.iter().any(|(name, _)| name == "content-length");
    assert!(by_hyper.status != 304 || !has_length, "{shown:?}");
    by_hyper.status
}

#[test]
fn reads_are_answered_as_hyper_would_have_them_answered() {
    let server = volume();
    fs::create_dir(server.path("run/none")).unwrap();
    let known = server.get(SMALL, &[]);
    let (etag, modified) = (known.etag(), known.field("last-modified").unwrap());
    let check = |method: &str, target: &str, fields: &[(&str, &str)], status: u16| {
        let check = |target: &str, status: u16| {
            let text = request(method, target, fields);
            assert_eq!(compare(&server, text.as_bytes()), status, "{text:?}");
        };
        check(target, status);
        // Nothing is kept of one with a query, and a folder has none that is not known.
        if !target.contains(['?', '#']) {
            let is_folder = status == 307 || status == 200 && target.ends_with('/');
            check(&format!("{target}?x=1"), if is_folder { 400 } else { status });
        }
    };
    for method in ["GET", "HEAD"] {
        for target in [SMALL, LARGE, "/files/run/middle.bin", "/files/run/empty.bin"] {
            check(method, target, &[], 200);
        }
        let small = |fields: &[(&str, &str)], status| check(method, SMALL, fields, status);
        small(&[("Range", "bytes=2-4")], 206);
        small(&[("Range", "bytes=-1")], 206);
        small(&[("Range", "bytes=0-1,4-5")], 206);
        small(&[("Range", "bytes=20-")], 416);
        small(&[("Range", "lines=1-2")], 200);
        small(&[("Range", "bytes=1-2"), ("Range", "bytes=3-4")], 200);
        small(&[("Range", "bytes=1-2"), ("If-Range", &etag)], 206);
        small(&[("Range", "bytes=1-2"), ("If-Range", "\"other\"")], 200);
        small(&[("If-None-Match", &etag)], 304);
        small(&[("If-None-Match", "\"other\""), ("IF-NONE-MATCH", &etag)], 304);
        small(&[("If-None-Match", "*")], 304);
        small(&[("If-Match", "\"other\"")], 412);
        small(&[("If-Modified-Since", &modified)], 304);
        small(&[("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT")], 200);
        small(&[("If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:37 GMT")], 412);
        small(&[("Origin", "https://a.example"), ("Cookie", "a=b")], 200);
        small(&[("X-Odd", "\u{fc}")], 200);
        small(&[("X-Forwarded-For", "192.0.2.1")], 200);
        let tagged = [("Range", "bytes=1-2"), ("Sec-Fetch-Mode", "cors"), ("If-Range", &etag)];
        small(&tagged, 206);
        for coding in ["gzip", "br", "zstd", "gzip;q=0", "identity", ""] {
            check(method, "/files/run/trips.csv", &[("Accept-Encoding", coding)], 200);
        }
        check(method, LARGE, &[("Range", "bytes=1000-2000000")], 206);
        check(method, LARGE, &[("Range", "bytes=1-2000000,2000002-3000000")], 206);
        check(method, "/files/run/small.txt?download", &[], 200);
        check(method, "/files/public/b%20%C3%BC.txt", &[], 200);
        check(method, "/files/public/%62%20\u{fc}.txt", &[], 200);
        check(method, "/files/run/small.txt#a", &[], 200);
        check(method, "/files/run/small.txt?", &[], 200);
        check(method, "/files/", &[], 200);
        check(method, "/files/run/", &[("Accept", "text/html")], 200);
        check(method, "/files/run/?format=json", &[], 200);
        check(method, "/files/run/none/?format=json", &[], 200);
        check(method, "/files/run/?format=odd", &[], 400);
        check(method, "/files/run", &[], 307);
        check(method, "/files/run?format=json", &[], 307);
        check(method, "/files/run/nothing", &[], 404);
        check(method, "/files/run/nothing", &[("Accept", "text/html")], 404);
        check(method, "/files/run/small.txt/", &[], 404);
        for spelling in
            ["run//small.txt", "run/./small.txt", "run%2Fsmall.txt", "/run/%2e%2F/small.txt"]
        {
            check(method, &format!("/files/{spelling}"), &[], 200);
        }
        for attack in
            ["public%2F..%2Frun/small.txt", "run/.%2F../small.txt", "run%2F.env", "run//%00"]
        {
            let status = if attack.contains(".env") { 404 } else { 400 };
            check(method, &format!("/files/{attack}"), &[], status);
        }
        check(method, "/files/run/../small.txt", &[], 400);
        check(method, "/files/run/%00", &[], 400);
        check(method, "/files/run/%zz", &[], 400);
        for fields in [&[][..], &[("Accept", "text/html"), ("Range", "bytes=0-1")]] {
            check(method, "/health", fields, 200);
        }
        check(method, "/health/", &[], 404);
    }
}

#[test]
fn odd_requests_are_answered_as_hyper_would_have_them_answered() {
    let server = volume();
    let check = |bytes: &[u8], status: u16| {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
        assert_eq!(compare(&server, bytes), status, "{shown:?}");
    };
    let first = |line: &str, status| check(format!("{line}\r\nHost: x\r\n\r\n").as_bytes(), status);
    first("GET /files/public/a.txt HTTP/1.1", 200);
    first("\r\n\r\nGET /files/public/a.txt HTTP/1.1", 200);
    first("GET /files/public/a.txt HTTP/1.0", 200);
    first("GET /files/public/a.txt HTTP/1.2", 400);
    first("GET /files/public/a.txt HTTP/2.0", 400);
    first("GET  /files/public/a.txt HTTP/1.1", 400);
    first("GET /files/public/a b.txt HTTP/1.1", 400);
    first("GET http://x/files/public/a.txt HTTP/1.1", 200);
    check(b"GET http://x/files/public/a.txt HTTP/1.1\r\n\r\n", 400);
    check(b"GET /files/public/a.txt HTTP/1.0\r\n\r\n", 200);
    check(b"GET /files/public/a.txt HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400);
    check(b"OPTIONS /files/public/a.txt HTTP/1.1\r\n\r\n", 400);
    first("GET /files/public/\"<>{}|^` HTTP/1.1", 400);
    first("get /files/public/a.txt HTTP/1.1", 501);
    first("OPTIONS /files/public/a.txt HTTP/1.1", 200);
    first("DELETE /files/public/a.txt HTTP/1.1", 401);
    first("POST /files/public/a.txt HTTP/1.1", 405);
    first("PUT /files/public/a.txt HTTP/1.1", 401);
    first("GET /files/run/small.txt HTTP/1.1", 401);
    first("HEAD /files/run/small.txt HTTP/1.1", 401);
    first("GET /files HTTP/1.1", 307);
    first("GET / HTTP/1.1", 307);
    check(b"GET /files/public/\xff.txt HTTP/1.1\r\nHost: x\r\n\r\n", 400);

    let fields = |lines: &str, status| {
        let text = format!("GET /files/public/a.txt HTTP/1.1\r\n{lines}\r\n");
        check(text.as_bytes(), status);
        check(text.replacen(".txt", ".txt?x=1", 1).as_bytes(), status);
    };
    fields("", 400);
    fields("Host:\r\n", 200);
    fields("Host: a.example:80\r\n", 200);
    fields("Host: a\r\nHost: b\r\n", 400);
    fields("Host: a\r\nHost: a\r\n", 400);
    for odd in ["a b", "a/b", "a@b", "a:b", "http://a", "[::1", "\u{fc}"] {
        fields(&format!("Host: {odd}\r\n"), 400);
    }
    fields("Host: a\nAccept: */*\n", 200);
    fields("Host: a\r\nConnection: close\r\n", 200);
    fields("Host: a\r\nConnection: Keep-Alive\r\n", 200);
    fields("Host: a\r\nConnection: close, te\r\n", 200);
    fields("Host: a\r\nConnection: close\r\nConnection: keep-alive\r\n", 200);
    fields("Host: a\r\nConnection: odd\r\n", 200);
    fields("Host: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n", 200);
    fields("Host: a\r\nContent-Length: 0\r\n", 200);
    fields("Host: a\r\nContent-Length: odd\r\n", 400);
    fields("Host: a\r\nExpect: odd\r\n", 200);
    fields("Host: a\r\nX : b\r\n", 400);
    fields("Host: a\r\nX: b\r\n c\r\n", 400);
    fields("Host: a\r\nno field\r\n", 400);
    fields("Host: a\r\nX: \x01\r\n", 400);
    fields(&format!("Host: a\r\nAuthorization: {BERLIN_KEY}\r\n"), 200);
    for (count, status) in [(47, 200), (48, 200), (127, 200), (128, 431)] {
        fields(&format!("Host: a\r\n{}", "X: y\r\n".repeat(count)), status);
    }
    // Longer than the fast path's room; longer than the limits.
    for (len, status) in [(7 << 10, 200), (9 << 10, 200), (15 << 10, 200), (17 << 10, 431)] {
        fields(&format!("Host: a\r\nX: {}\r\n", "x".repeat(len)), status);
    }
    for (len, status) in [(4 << 10, 200), (9 << 10, 200), (17 << 10, 414)] {
        first(&format!("GET /files/public/a.txt?{} HTTP/1.1", "x".repeat(len)), status);
    }
    let berlin = format!("Authorization: {BERLIN_KEY}");
    first(&format!("GET /files/berlin/a.txt HTTP/1.1\r\n{berlin}"), 200);
    first(&format!("GET {SMALL} HTTP/1.1\r\n{berlin}"), 403);
}

#[test]
fn a_body_behind_a_read_is_not_taken_for_a_request() {
    let server = volume();
    let smuggled = "GET /files/public/a.txt HTTP/1.1\r\nHost: x\r\n\r\n";
    let chunk = format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len());
    let length = smuggled.len().to_string();
    for (field, body) in [
        (("Content-Length", length.as_str()), smuggled),
        (("Transfer-Encoding", "chunked"), chunk.as_str()),
    ] {
        for target in [SMALL, "/files/run/nothing"] {
            let bytes = format!("{}{body}", request("GET", target, &[field]));
            compare(&server, bytes.as_bytes());
            let mut connection = server.connect();
            connection.reads_on();
            connection.send_raw(bytes.as_bytes());
            connection.receive("GET");
            connection.reads_on();
        }
    }
}

/// Requests of all kinds, and what must come of each.
fn all_kinds(server: &Site) -> Vec<(&'static str, String, u16, Vec<u8>)> {
    let etag = server.get(SMALL, &[]).etag();
    let large = pattern(3 << 20);
    let get = |target: &str, fields: &[(&str, &str)], status, body: &[u8]| {
        ("GET", request("GET", target, fields), status, body.to_vec())
    };
    vec![
        get(SMALL, &[], 200, b"0123456789"),
        get(LARGE, &[], 200, &large),
        ("HEAD", request("HEAD", LARGE, &[]), 200, vec![]),
        get(SMALL, &[("Range", "bytes=3-5")], 206, b"345"),
        get(LARGE, &[("Range", "bytes=5-2000004")], 206, &large[5..2_000_005]),
        get(SMALL, &[("If-None-Match", &etag)], 304, b""),
        get("/files/run/middle.bin", &[], 200, &pattern(100_000)),
        get("/files/run/middle.bin?x", &[], 200, &pattern(100_000)),
        get("/files/run/empty.bin", &[], 200, b""),
        ("HEAD", request("HEAD", "/files/nothing", &[]), 404, vec![]),
        get("/files/run", &[], 307, b""),
        get("/files/public/a.txt", &[], 200, b"public"),
    ]
}

#[test]
fn reads_in_one_packet_are_answered_in_order() {
    let server = volume();
    let kinds = all_kinds(&server);
    let bytes: String = kinds.iter().map(|(_, text, ..)| text.as_str()).collect();
    let mut connection = server.connect();
    for round in 0..4 {
        connection.send_raw(bytes.as_bytes());
        for (method, text, status, body) in &kinds {
            let response = connection.receive(method);
            assert_eq!(response.status, *status, "{round}: {text}");
            assert!(response.is_complete && response.body == *body, "{round}: {text}");
        }
    }
    // More at once than a head may be long, and than the socket takes of the answers.
    let many = 1000;
    connection.send_raw(request("GET", "/files/run/kept.bin", &[]).repeat(many).as_bytes());
    let content = pattern(16 << 10);
    for _ in 0..many {
        assert!(connection.receive("GET").body == content);
    }
    connection.reads_on();
}

#[test]
fn requests_may_come_in_any_pieces() {
    let server = volume();
    let mut connection = server.connect();
    connection.stream.get_ref().set_nodelay(true).unwrap();
    for byte in request("GET", SMALL, &[("Range", "bytes=1-3")]).bytes() {
        connection.send_raw(&[byte]);
    }
    assert_eq!(connection.receive("GET").text(), "123");
    let two = request("GET", SMALL, &[]) + &request("HEAD", "/files/public/a.txt", &[]);
    for cut in 1..two.len() {
        connection.send_raw(&two.as_bytes()[..cut]);
        connection.send_raw(&two.as_bytes()[cut..]);
        assert_eq!(connection.receive("GET").text(), "0123456789", "{cut}");
        let response = connection.receive("HEAD");
        assert_eq!(response.field("content-length").as_deref(), Some("6"), "{cut}");
    }
    // The answer to what is whole does not wait for the rest of what is not.
    let (behind, rest) = two.split_at(two.len() - 10);
    connection.send_raw(behind.as_bytes());
    assert_eq!(connection.receive("GET").text(), "0123456789");
    connection.send_raw(rest.as_bytes());
    assert_eq!(connection.receive("HEAD").status, 200);
    connection.reads_on();
}

#[test]
fn what_is_no_read_takes_all_that_came_with_it_along() {
    let server = volume();
    let body = pattern(50_000);
    let length = body.len().to_string();
    for (name, field) in [("new.bin", ("X-Large", "no")), ("other.bin", ("Expect", "100-continue"))]
    {
        let target = format!("/files/run/{name}");
        let put = request("PUT", &target, &[("Content-Length", &length), field]);
        let read = request("GET", SMALL, &[]);
        let all = [read.as_bytes(), put.as_bytes(), &body, read.as_bytes()].concat();
        let mut connection = server.connect();
        connection.reads_on();
        connection.send_raw(&all);
        assert_eq!(connection.receive("GET").text(), "0123456789");
        let mut created = connection.receive_head();
        if created.status == 100 {
            created = connection.receive_head();
        }
        assert_eq!(created.status, 201, "{name}");
        assert_eq!(created.field("content-length").as_deref(), Some("0"));
        assert_eq!(connection.receive("GET").text(), "0123456789");
        assert!(connection.read(&target).body == body, "{name}");
        connection.reads_on();
    }
}

#[test]
fn whoever_says_that_it_is_the_last_is_told_so() {
    let server = volume();
    for target in [SMALL, LARGE, "/files/run/", "/files/nothing", "/files/run/small.txt?x"] {
        for method in ["GET", "HEAD"] {
            for reads in 0..2 {
                let mut connection = server.connect();
                (0..reads).for_each(|_| connection.reads_on());
                connection.send_raw(request(method, target, &[("Connection", "close")]).as_bytes());
                let response = connection.receive(method);
                assert_eq!(response.field("connection").as_deref(), Some("close"), "{target}");
                assert!(response.is_complete, "{target}");
                assert!(connection.is_over(), "{target}");
            }
        }
    }
}

#[test]
fn a_listing_is_whole_and_others_follow_it() {
    let server = volume();
    for number in 0..2000 {
        fs::write(server.path(&format!("public/{number}.txt")), "x").unwrap();
    }
    let mut connection = server.connect();
    for _ in 0..3 {
        let listing = connection.read("/files/public/?format=json");
        assert_eq!(listing.field("transfer-encoding").as_deref(), Some("chunked"));
        assert!(listing.is_complete);
        assert_eq!(listing.json().as_array().unwrap().len(), 2002);
        connection.reads_on();
    }
}

#[test]
fn a_client_that_has_gone_is_not_read_for() {
    let server = volume();
    // So long that it would not end in the time of a test, and of no size.
    let path = server.path("run/long.csv");
    fs::File::create(&path).unwrap().set_len(64 << 30).unwrap();
    let is_open = || {
        let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
        open.filter_map(|it| fs::read_link(it.path()).ok()).any(|it| it == path)
    };
    for takes_head in [true, false] {
        let mut connection = server.connect();
        connection.reads_on();
        let target = "/files/run/long.csv";
        connection.send_raw(request("GET", target, &[("Accept-Encoding", "gzip")]).as_bytes());
        if takes_head {
            let head = connection.receive_head();
            assert_eq!(head.field("content-encoding").as_deref(), Some("gzip"));
        }
        wait_for("a file that is read", || is_open().then_some(()));
        drop(connection);
        wait_for("an end of the reading", || (!is_open()).then_some(()));
    }
}

#[test]
fn nobody_is_waited_for_longer_than_a_head_may_take() {
    let server = impatient();
    for begun in ["", "G", "GET /files/run", "GET /files/a HTTP/1.1\r\nHost: x\r\nX-Slow: "] {
        for has_read in [false, true] {
            let mut connection = server.connect();
            if has_read {
                // On a slow machine its time may be over already.
                connection.send("GET", SMALL, &[("Authorization", KEY)]);
                connection.try_receive("GET");
            }
            connection.stream.get_mut().write_all(begun.as_bytes()).unwrap_or_default();
            assert!(connection.is_over(), "{begun:?}, {has_read}");
        }
    }
    // One that sends a byte now and then does not get more time.
    let mut connection = server.connect();
    connection.send_raw(b"GET /files/");
    wait_for("the end of a head that has none", || {
        std::thread::sleep(Duration::from_millis(10));
        connection.stream.get_mut().write_all(b"x").is_err().then_some(())
    });
}

#[test]
fn whoever_sends_no_more_is_let_go() {
    let server = volume();
    for begun in ["", "GET /files/run"] {
        let mut connection = server.connect();
        connection.reads_on();
        connection.send_raw(begun.as_bytes());
        connection.stream.get_ref().shutdown(Shutdown::Write).unwrap();
        assert!(connection.is_over(), "{begun:?}");
    }
}

#[test]
fn whoever_sends_no_more_gets_its_answer() {
    let server = volume();
    fs::create_dir(server.path("run/many")).unwrap();
    for number in 0..3000 {
        fs::write(server.path(&format!("run/many/{number}.csv")), "x").unwrap();
    }
    // From now on whoever sends a wrong key waits.
    for _ in 0..21 {
        server.request("GET", SMALL, &[("Authorization", "wrong")]);
    }
    let key = [("Authorization", KEY)];
    let coded = [("Authorization", KEY), ("Accept-Encoding", "gzip")];
    let wrong = [("Authorization", "wrong-too")];
    for (target, fields, status) in [
        (SMALL, &key[..], 200),
        (LARGE, &key, 200),
        ("/files/run/trips.csv", &coded, 200),
        ("/files/run/many/?format=json", &key, 200),
        ("/files/run/many/", &coded, 200),
        ("/files/run/", &key, 200),
        ("/files/run/nothing", &key, 404),
        (SMALL, &wrong, 429),
        ("/changes?wait=1", &key, 200),
        ("/events?quiet=0", &key, 200),
        ("/health", &[], 200),
    ] {
        for by_hyper in [false, true] {
            let mut connection = server.connect();
            if by_hyper {
                connection.leave_the_lane();
            }
            connection.send("GET", target, fields);
            connection.stream.get_ref().shutdown(Shutdown::Write).unwrap();
            let response = connection.receive("GET");
            let seen = (response.status, response.is_complete);
            assert_eq!(seen, (status, true), "{target} {fields:?}, {by_hyper}");
            assert!(connection.is_over(), "{target}");
        }
    }
}

#[test]
fn an_end_finishes_what_is_under_way_and_waits_for_no_more() {
    let mut server = volume();
    let content = vec![b'x'; 64 << 20];
    server.put("run/huge.bin", &content);
    let mut idle = server.connect();
    idle.reads_on();
    let mut busy = server.connect();
    busy.reads_on();
    busy.send("GET", "/files/run/huge.bin", &[("Authorization", KEY)]);
    let mut response = busy.receive_head();
    let mut new = server.connect();
    let mut begun = server.connect();
    let (half, rest) = ("GET /files/public/a.txt HT", "TP/1.1\r\nHost: x\r\n\r\n");
    begun.send_raw(half.as_bytes());
    // They are let in one after the other: those before this one are.
    let mut last = server.connect();
    last.reads_on();
    server.begin_stop();
    assert!(idle.is_closed(), "an idle connection is closed at once");
    assert!(last.is_closed());
    new.send("GET", "/files/public/a.txt", &[]);
    begun.send_raw(rest.as_bytes());
    for connection in [&mut new, &mut begun] {
        let response = connection.receive("GET");
        assert_eq!((response.status, response.text().as_str()), (200, "public"));
        assert_eq!(response.field("connection").as_deref(), Some("close"));
        assert!(connection.is_closed());
    }
    busy.stream.read_to_end(&mut response.body).unwrap();
    assert!(response.body == content);
    assert!(server.stop(), "everything could be finished");
}
