//! What breaks off on one side of the container breaks off on the other, and nothing that is half is ever seen.

use std::fs;
use std::io::{Read, Write};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{Chain, behind_nginx, in_chain, signal, wait_for};
use crate::support::{Connection, KEY, pattern, write};
use crate::transfers::python::{Python, Version};
use crate::transfers::servers::Servers;
use crate::transfers::{ask, fresh_code};
use crate::uploads::problem;

#[test]
fn an_upload_that_breaks_off_is_nowhere() {
    in_chain(&[], |chain| {
        chain.wait_until_ready();
        let content = pattern(4_000_000);
        let head = [("Authorization", KEY), ("Content-Length", "8000000")];
        let mut connection = chain.connect();
        connection.send("PUT", "/files/half.bin", &head);
        connection.send_raw(&content);
        wait_for("the first bytes", || (chain.staged() > 0).then_some(()));
        drop(connection);
        wait_for("empty staging", || (chain.staged() == 0).then_some(()));
        assert_eq!(chain.get("/files/half.bin", &[]).status, 404);
        // Without a length too, where only the last chunk is missing.
        let mut connection = chain.connect();
        connection.send(
            "PUT",
            "/files/half.bin",
            &[("Authorization", KEY), ("Transfer-Encoding", "chunked")],
        );
        connection.send_raw(b"5\r\nhello\r\n");
        wait_for("the first bytes", || (chain.staged() > 0).then_some(()));
        drop(connection);
        wait_for("empty staging", || (chain.staged() == 0).then_some(()));
        assert_eq!(chain.get("/files/half.bin", &[]).status, 404);
    });
}

#[test]
fn a_resumable_upload_goes_on_where_it_broke_off() {
    in_chain(&[], |chain| {
        chain.wait_until_ready();
        let content = pattern(6_000_000);
        let address = chain.begin(content.len(), "run/trips.bin", &[]);
        let mut connection = chain.connect();
        let fields = [
            ("Authorization", KEY),
            ("Tus-Resumable", "1.0.0"),
            ("Content-Type", "application/offset+octet-stream"),
            ("Upload-Offset", "0"),
            ("Content-Length", "6000000"),
        ];
        connection.send("PATCH", &address, &fields);
        connection.send_raw(&content[..3_000_000]);
        chain.wait_for_bytes(&address);
        drop(connection);
        let offset = chain.offset(&address).unwrap();
        assert!(offset > 0 && offset <= 3_000_000, "{offset}");
        assert_eq!(chain.append(&address, offset, &content[offset..]).status, 204);
        assert!(chain.get("/files/run/trips.bin", &[]).body == content);
    });
}

#[test]
fn the_server_hears_when_a_reader_goes() {
    in_chain(&[], |chain| {
        chain.wait_until_ready();
        chain.put("big.bin", &pattern(64 << 20));
        let mut connection = chain.connect();
        connection.send("GET", "/files/big.bin", &[("Authorization", KEY)]);
        connection.stream.read_exact(&mut [0; 1000]).unwrap();
        drop(connection);
        let line = wait_for("a line of it in the log", || {
            let log = chain.log();
            log.lines().find(|it| it.contains("path=/files/big.bin")).map(str::to_owned)
        });
        assert!(line.contains("ended=\"aborted\""), "{line}");
    });
}

#[test]
fn no_log_has_a_key_where_the_server_fails() {
    behind_nginx(&[], |chain| {
        chain.wait_until_ready();
        chain.put("run/big.bin", &pattern(64 << 20));
        let shared = format!("/share/{KEY}/run/big.bin");
        let ask = |target: &str| {
            let mut connection = chain.patient();
            let fields =
                [("Referer", &*format!("http://x/share/{KEY}/run/")), ("Authorization", KEY)];
            connection.send("GET", target, &fields);
            connection
        };
        // It goes in the middle of an answer.
        let mut connection = ask(&format!("{shared}?key={KEY}"));
        connection.stream.read_exact(&mut [0; 1000]).unwrap();
        signal(chain.process("sounding-server"), Signal::KILL);
        connection.stream.read_to_end(&mut Vec::new()).unwrap_or_default();
        // And it can't be reached.
        fs::remove_file(chain.inner("/run/server.sock")).unwrap();
        for target in [
            &*shared,
            &format!("/{shared}"),
            &format!("/share%2F{KEY}/a"),
            &format!("/files/run?{KEY}"),
        ] {
            assert_eq!(ask(target).receive("GET").status, 503, "{target}");
        }
        let too_long = format!("/share/{KEY}/{}", "x".repeat(70_000));
        assert!(ask(&too_long).receive("GET").status >= 400);
        let log = chain.log();
        assert_eq!(log.lines().find(|it| it.contains(KEY)), None);
        // The operator hears of it all the same.
        assert!(log.contains("server"), "{log}");
    });
}

#[test]
fn a_refusal_is_read_before_all_is_sent() {
    in_chain(&[], |chain| {
        chain.wait_until_ready();
        // A client that sends without looking, more than all buffers on the way hold.
        let body = pattern(32 << 20);
        let mut connection = chain.patient();
        connection.send_body("PUT", "/files/a.bin", &body, &[]);
        let refused = connection.receive("PUT");
        assert_eq!((refused.status, problem(&refused).as_str()), (401, "key-needed"));
        // One that announces more than there is room for.
        let mut connection = chain.connect();
        let length = [("Authorization", KEY), ("Content-Length", "1000000000000000")];
        connection.send("PUT", "/files/a.bin", &length);
        let refused = connection.receive("PUT");
        assert_eq!((refused.status, problem(&refused).as_str()), (507, "no-room"));
    });
}

/// Where the chain finds the servers that wormhole transfers go by: its network is its own, and so are all ports.
const WORMHOLE: &[&str] = &[
    "SOUNDING_MAILBOX=ws://127.0.0.1:4000/v1",
    "SOUNDING_RELAY=tcp:127.0.0.1:4001",
    "SOUNDING_LOCAL_PEERS=true",
];

/// Begins to receive; the transfer's number.
fn receive(chain: &Chain, code: &str) -> u64 {
    let wanted = json!({"direction": "receive", "code": code, "yes": true, "wait": true});
    let (status, now) =
        ask(&chain.inner("/run/sounding/admin.sock"), "POST", "/transfers", &wanted);
    assert_eq!(status, 201, "{now}");
    now["number"].as_u64().unwrap()
}

fn wait_until(chain: &Chain, number: u64, is_so: impl Fn(&Value) -> bool) -> Value {
    wait_for("the transfer's state", || {
        let admin = chain.inner("/run/sounding/admin.sock");
        let now = ask(&admin, "GET", &format!("/transfers/{number}"), &Value::Null).1;
        is_so(&now).then_some(now)
    })
}

#[test]
fn what_comes_by_wormhole_is_fetched_and_what_breaks_off_is_not() {
    // It does not come by the front.
    behind_nginx(WORMHOLE, |chain| {
        chain.wait_until_ready();
        let servers = Servers::start(&["mailbox:4000", "relay:4001"]);
        let content = pattern(3_000_000);
        let cursor = chain.cursor();
        let code = fresh_code();
        let run =
            |folder: &std::path::Path| write(&folder.join("output-1pct/trips.csv.gz"), &content);
        let mut sender = Python::start(
            Version::New,
            &servers,
            run,
            &["send", "--no-qr", "--code", &code, "output-1pct"],
        );
        let number = receive(chain, &code);
        wait_until(chain, number, |it| it["state"] == "done");
        sender.succeeds();
        assert!(chain.get("/files/output-1pct/trips.csv.gz", &[]).body == content);
        let (lines, _) = chain.wait_for_changes(2, cursor, KEY, "");
        assert_eq!(lines, ["added output-1pct/", "added output-1pct/trips.csv.gz"]);

        // A sender that dies on the way.
        let code = fresh_code();
        let large = |folder: &std::path::Path| {
            fs::File::create(folder.join("large.bin")).unwrap().set_len(2 << 30).unwrap();
        };
        let sender = Python::start(
            Version::New,
            &servers,
            large,
            &["send", "--no-qr", "--code", &code, "large.bin"],
        );
        let number = receive(chain, &code);
        wait_until(chain, number, |it| it["done"].as_u64().is_some_and(|it| it > 0));
        sender.signal(Signal::KILL);
        let now = wait_until(chain, number, |it| !it["ended"].is_null());
        assert_ne!(now["state"], "done", "{now}");
        wait_for("empty staging", || (chain.staged() == 0).then_some(()));
        assert_eq!(chain.get("/files/large.bin", &[]).status, 404);

        // One that is told that we don't want it any more.
        let code = fresh_code();
        let mut sender = Python::start(
            Version::New,
            &servers,
            large,
            &["send", "--no-qr", "--code", &code, "large.bin"],
        );
        let number = receive(chain, &code);
        wait_until(chain, number, |it| it["done"].as_u64().is_some_and(|it| it > 0));
        let admin = chain.inner("/run/sounding/admin.sock");
        assert_eq!(ask(&admin, "DELETE", &format!("/transfers/{number}"), &Value::Null).0, 204);
        assert!(!sender.end().0, "{}", sender.log());
        wait_for("empty staging", || (chain.staged() == 0).then_some(()));
        assert_eq!(chain.get("/files/large.bin", &[]).status, 404);
    });
}

#[test]
fn who_is_away_is_said_to_web_apps_and_a_restart_is_waited_for() {
    behind_nginx(&[], |chain| {
        chain.wait_until_ready();
        let mut waiting = chain.patient();
        let fields =
            [("Authorization", KEY), ("Origin", "https://web.example"), ("Content-Length", "1000")];
        waiting.send("PUT", "/files/half.bin", &fields);
        waiting.stream.get_mut().write_all(&[b'h'; 500]).unwrap();
        wait_for("the request", || {
            let admin = chain.inner("/run/sounding/admin.sock");
            let now = ask(&admin, "GET", "/activity", &Value::Null).1;
            now["open"].to_string().contains("/files/half.bin").then_some(())
        });
        signal(chain.process("sounding-server"), Signal::KILL);
        // What was on its way to it can't be sent once more, and a page on another origin can read why.
        let away = waiting.receive("PUT");
        assert_eq!((away.status, problem(&away).as_str()), (503, "away"));
        assert_eq!(away.field("retry-after").as_deref(), Some("2"));
        assert_eq!(away.field("access-control-allow-origin").as_deref(), Some("*"));
        assert_eq!(away.field("cache-control").as_deref(), Some("no-store"));
        assert_eq!(away.field("content-type").as_deref(), Some("application/problem+json"));
        // The next one waits in the socket for the next server.
        let mut next = chain.patient();
        next.send("GET", "/health", &[]);
        assert_eq!(next.receive("GET").status, 200);
    });
}

#[test]
fn a_browser_that_asks_for_leave_meanwhile_gets_it() {
    behind_nginx(&[], |chain| {
        chain.wait_until_ready();
        // The socket's file gone, and who was connected cut off, as if the server had ended for good.
        fs::remove_file(chain.inner("/run/server.sock")).unwrap();
        signal(chain.process("sounding-server"), Signal::KILL);
        let asked = [
            ("Origin", "https://web.example"),
            ("Access-Control-Request-Method", "PATCH"),
            ("Access-Control-Request-Headers", "authorization,upload-offset"),
        ];
        let leave = chain.request("OPTIONS", "/uploads/x", &asked);
        assert_eq!(leave.status, 204);
        assert_eq!(leave.field("access-control-allow-methods").as_deref(), Some("PATCH"));
        assert_eq!(
            leave.field("access-control-allow-headers").as_deref(),
            Some("authorization,upload-offset")
        );
        let mut connection: Connection = chain.connect();
        connection.send("GET", "/files/", &[("Authorization", KEY)]);
        let away = connection.receive("GET");
        assert_eq!(
            (away.status, away.field("access-control-expose-headers").as_deref()),
            (503, Some("Retry-After"))
        );
    });
}
