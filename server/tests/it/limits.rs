//! Slow, silent, greedy and broken clients against the running server, and its end.

use std::time::{Duration, Instant};

use sounding_server::Timeouts;

use crate::support::{KEY, Setup, TestServer, wait_for};

fn impatient() -> TestServer {
    let timeouts = Timeouts {
        header_read: Duration::from_millis(300),
        write: Duration::from_millis(300),
        shutdown_grace: Duration::from_secs(10),
    };
    TestServer::start_with(Setup { timeouts, ..Setup::default() })
}

#[test]
fn a_header_that_does_not_come_to_its_end_is_not_waited_for() {
    let server = impatient();
    for begun in ["", "GET /files/", "GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: "] {
        let mut connection = server.connect();
        connection.send_raw(begun.as_bytes());
        let began = Instant::now();
        assert!(connection.is_closed(), "{begun:?}");
        assert!(began.elapsed() < Duration::from_secs(10), "{begun:?}");
    }
}

#[test]
fn a_silent_connection_is_closed_and_a_busy_one_is_not() {
    let server = impatient();
    let mut connection = server.connect();
    for _ in 0..3 {
        connection.send("GET", "/health", &[]);
        assert_eq!(connection.receive("GET").status, 200);
    }
    assert!(connection.is_closed());
}

#[test]
fn a_client_that_takes_nothing_is_cut_off() {
    let server = impatient();
    server.put("run/big.bin", &vec![b'x'; 64 << 20]);
    let mut connection = server.connect();
    connection.send("GET", "/files/run/big.bin", &[("Authorization", KEY)]);
    assert_eq!(connection.receive_head().status, 200);
    // The client does nothing until the server has given it up, which ends the connection for writing.
    wait_for("the server to give up", || {
        let inode_of_peer = open_downloads(&server);
        (inode_of_peer == 0).then_some(())
    });
}

/// How many of this process's descriptors are the big file: the server runs in it.
fn open_downloads(server: &TestServer) -> usize {
    let big = server.path("run/big.bin");
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    descriptors
        .filter(|it| std::fs::read_link(it.as_ref().unwrap().path()).is_ok_and(|it| it == big))
        .count()
}

#[test]
fn what_a_refused_client_goes_on_to_send_is_limited() {
    let server = TestServer::start();
    let mut connection = server.connect();
    let announced = 1_u64 << 40;
    for field in
        [("Content-Length", announced.to_string().as_str()), ("Transfer-Encoding", "chunked")]
    {
        let mut connection = server.connect();
        connection.send("PUT", "/files/run/big.bin", &[field]);
        let chunk = vec![b'x'; 1 << 20];
        let size = format!("{:x}\r\n", chunk.len());
        let (mut sent, most) = (0, 256);
        while sent < most {
            let chunked = [size.as_bytes(), &chunk, b"\r\n"].concat();
            let bytes = if field.0 == "Content-Length" { &chunk } else { &chunked };
            if std::io::Write::write_all(connection.stream.get_mut(), bytes).is_err() {
                break;
            }
            sent += 1;
        }
        assert!((16..most).contains(&sent), "{sent} MiB were taken");
    }
    // Whoever sends less learns why, and may ask on.
    connection.send("PUT", "/files/run/big.bin", &[("Content-Length", "33554432")]);
    connection.send_raw(&vec![b'x'; 32 << 20]);
    assert_eq!(connection.receive("PUT").status, 401);
    connection.send("GET", "/health", &[]);
    assert_eq!(connection.receive("GET").status, 200);
}

#[test]
fn a_client_that_goes_away_frees_its_file_at_once() {
    let server = TestServer::start();
    server.put("run/big.bin", &vec![b'x'; 64 << 20]);
    let mut connection = server.connect();
    connection.send("GET", "/files/run/big.bin", &[("Authorization", KEY)]);
    assert_eq!(connection.receive_head().status, 200);
    assert_eq!(open_downloads(&server), 1);
    drop(connection);
    wait_for("the file to be closed", || (open_downloads(&server) == 0).then_some(()));
}

#[test]
fn too_long_addresses_and_headers_are_refused() {
    let server = TestServer::start();
    let long = format!("/files/{}", "x".repeat(17_000));
    let response = server.get(&long, &[]);
    assert_eq!(
        (response.status, response.json()["type"].as_str()),
        (414, Some("urn:sounding:problem:uri-too-long"))
    );
    let many: Vec<String> = (0..100).map(|it| format!("X-Field-{it}")).collect();
    let value = "v".repeat(200);
    let fields: Vec<(&str, &str)> = many.iter().map(|it| (it.as_str(), value.as_str())).collect();
    let response = server.request("GET", "/health", &fields);
    assert_eq!(
        (response.status, response.json()["type"].as_str()),
        (431, Some("urn:sounding:problem:headers-too-large"))
    );
    // Beyond what is read at all.
    let huge = "v".repeat(200_000);
    let mut connection = server.connect();
    let request = format!("GET /health HTTP/1.1\r\nHost: x\r\nX-Huge: {huge}\r\n\r\n");
    std::io::Write::write_all(connection.stream.get_mut(), request.as_bytes()).unwrap_or_default();
    assert_eq!(connection.receive_head().status, 431);
    let too_many: Vec<String> = (0..200).map(|it| format!("X-{it}")).collect();
    let fields: Vec<(&str, &str)> = too_many.iter().map(|it| (it.as_str(), "v")).collect();
    assert_eq!(server.request("GET", "/health", &fields).status, 431);
}

#[test]
fn what_is_no_http_is_refused_and_ends_only_its_connection() {
    let server = TestServer::start();
    for nonsense in [
        "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        "HELO mail.example\r\n\r\n",
        "GET\r\n\r\n",
        "GET /health HTTP/9.9\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        "GET /he alth HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let mut connection = server.connect();
        connection.send_raw(nonsense.as_bytes());
        let status = connection.receive_head().status;
        assert!((400..600).contains(&status), "{nonsense:?}: {status}");
    }
    assert_eq!(server.request("GET", "/health", &[]).status, 200);
}

#[test]
fn requests_in_a_row_are_answered_in_a_row() {
    let server = TestServer::start();
    server.put("run/a.txt", b"0123456789");
    let mut connection = server.connect();
    for range in 0..10 {
        let range = format!("bytes={range}-{range}");
        connection.send("GET", "/files/run/a.txt", &[("Authorization", KEY), ("Range", &range)]);
    }
    for expected in "0123456789".chars() {
        assert_eq!(connection.receive("GET").text(), expected.to_string());
    }
}

#[test]
fn hundreds_of_readers_that_take_nothing_do_not_delay_others() {
    let server = TestServer::start();
    server.put("run/big.bin", &vec![b'x'; 64 << 20]);
    server.put("run/a.txt", b"small");
    let stuck: Vec<_> = (0..300)
        .map(|_| {
            let mut connection = server.connect();
            connection.send("GET", "/files/run/big.bin", &[("Authorization", KEY)]);
            connection
        })
        .collect();
    for _ in 0..50 {
        assert_eq!(server.get("/files/run/a.txt", &[]).text(), "small");
    }
    drop(stuck);
}

#[test]
fn a_stop_lets_downloads_finish_and_accepts_nothing_more() {
    let mut server = TestServer::start();
    let content = vec![b'x'; 64 << 20];
    server.put("run/big.bin", &content);
    let mut connection = server.connect();
    connection.send("GET", "/files/run/big.bin", &[("Authorization", KEY)]);
    let mut response = connection.receive_head();
    let mut idle = server.connect();
    idle.send("GET", "/health", &[]);
    assert_eq!(idle.receive("GET").status, 200);
    server.begin_stop();
    assert!(idle.is_closed(), "an idle connection is closed at once");
    wait_for("connections to be refused", || {
        std::net::TcpStream::connect(server.address).is_err().then_some(())
    });
    std::io::Read::read_to_end(&mut connection.stream, &mut response.body).unwrap();
    assert!(response.body == content);
    assert!(server.stop(), "everything could be finished");
}

#[test]
fn a_stop_does_not_wait_for_ever() {
    let timeouts = Timeouts { shutdown_grace: Duration::from_millis(200), ..Timeouts::default() };
    let server = TestServer::start_with(Setup { timeouts, ..Setup::default() });
    server.put("run/big.bin", &vec![b'x'; 64 << 20]);
    let mut connection = server.connect();
    connection.send("GET", "/files/run/big.bin", &[("Authorization", KEY)]);
    assert_eq!(connection.receive_head().status, 200);
    assert!(!server.stop(), "a reader that takes nothing can't be waited for");
}
