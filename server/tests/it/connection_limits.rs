//! Whoever comes when there is no place is told so.

use sounding_server::ConnectionLimits;

use crate::support::{Connection, KEY, Setup, TestServer, wait_for};

fn full_server(limits: ConnectionLimits) -> TestServer {
    let server = TestServer::start_with(Setup { limits, ..Setup::default() });
    server.put("public/a.txt", b"hello");
    server
}

#[test]
fn a_connection_too_many_is_told_to_come_again() {
    let server = full_server(ConnectionLimits { total: 2, per_address: 2 });
    let ask = |connection: &mut Connection| {
        connection.send("GET", "/files/public/a.txt", &[]);
        connection.receive("GET")
    };
    let mut first = server.connect();
    let mut second = server.connect();
    assert_eq!((ask(&mut first).status, ask(&mut second).status), (200, 200));
    let mut third = server.connect();
    let refused = ask(&mut third);
    assert_eq!(refused.status, 503);
    assert_eq!(refused.json()["type"], "urn:sounding:problem:crowded");
    assert_eq!(refused.field("retry-after").as_deref(), Some("10"));
    assert_eq!(refused.field("access-control-allow-origin").as_deref(), Some("*"));
    assert_eq!(refused.field("connection").as_deref(), Some("close"));
    assert!(third.is_closed());
    // Those who are here are not disturbed, and who goes leaves a place.
    assert_eq!(ask(&mut first).status, 200);
    drop(second);
    let came = wait_for("a place", || {
        let response = ask(&mut server.connect());
        (response.status != 503).then_some(response)
    });
    assert_eq!(came.body, b"hello");
}

#[test]
fn a_proxys_client_may_not_take_all_places() {
    let server = full_server(ConnectionLimits { total: 100, per_address: 2 });
    server.put("run/big.bin", &vec![b'x'; 16 << 20]);
    let ask = |target: &str, client: &str| {
        let mut connection = server.connect();
        connection.send("GET", target, &[("X-Forwarded-For", client), ("Authorization", KEY)]);
        let head = connection.receive_head();
        (connection, head)
    };
    let (one, head) = ask("/files/run/big.bin", "192.0.2.1");
    assert_eq!(head.status, 200);
    let (_two, head) = ask("/files/run/big.bin", "192.0.2.1");
    assert_eq!(head.status, 200);
    assert_eq!(ask("/files/public/a.txt", "192.0.2.1").1.status, 503);
    assert_eq!(ask("/files/public/a.txt", "192.0.2.2").1.status, 200);
    drop(one);
    wait_for("a place", || (ask("/files/public/a.txt", "192.0.2.1").1.status == 200).then_some(()));
}
