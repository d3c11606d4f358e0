//! `/changes` and `/events` against the running server: who is told what, and when.

use std::fs;
use std::io::{BufRead, Read};
use std::time::{Duration, Instant};

use crate::support::{BERLIN_KEY, Connection, KEY, OLD_KEY, Site, TestServer, write};
use crate::uploads::problem;

impl Site {
    /// A file that was written here and now.
    pub fn arrive(&self, path: &str) {
        write(&self.path(path), b"content");
    }

    fn changes(&self, query: &str) -> serde_json::Value {
        let response = self.get(&format!("/changes?{query}"), &[]);
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()
    }

    pub fn cursor(&self) -> String {
        self.changes("")["cursor"].as_str().unwrap().to_owned()
    }

    /// Waits for so many changes behind a cursor; them as `kind path`, and the cursor behind them.
    pub fn wait_for_changes(
        &self,
        count: usize,
        mut cursor: String,
        key: &str,
        query: &str,
    ) -> (Vec<String>, String) {
        let (mut lines, deadline) = (Vec::new(), Instant::now() + Duration::from_secs(30));
        while lines.len() < count {
            assert!(Instant::now() < deadline, "only {lines:?}");
            let target = format!("/changes?wait=5&since={cursor}{query}");
            let answer = self.request("GET", &target, &[("Authorization", key)]).json();
            assert_eq!(answer["fresh"], false, "{answer}");
            answer["cursor"].as_str().unwrap().clone_into(&mut cursor);
            lines.extend(answer["changes"].as_array().unwrap().iter().map(line));
        }
        (lines, cursor)
    }
}

fn line(change: &serde_json::Value) -> String {
    let text = |name: &str| change[name].as_str().unwrap_or_default().to_owned();
    let slash = if text("type") == "directory" { "/" } else { "" };
    let from = change["from"].as_str().map_or(String::new(), |it| format!(" from {it}{slash}"));
    let count = change["count"].as_u64().map_or(String::new(), |it| format!(" of {it}"));
    format!("{} {}{slash}{from}{count}", text("kind"), text("path"))
}

#[test]
fn a_change_is_told_to_whom_waits_with_all_that_a_listing_says() {
    let server = TestServer::start();
    let cursor = server.cursor();
    server.arrive("run/trips ä.csv");
    let (lines, cursor) = server.wait_for_changes(2, cursor, KEY, "");
    assert_eq!(lines, ["added run/", "added run/trips ä.csv"]);
    server.arrive("run/trips ä.csv");
    let answer = server.changes(&format!("since={cursor}&wait=20"));
    let change = &answer["changes"][0];
    let listed = server.get("/files/run/?format=json", &[]).json();
    assert_eq!(change["kind"], "modified");
    for field in ["type", "size", "mtime", "etag"] {
        assert_eq!(change[field], listed[0][field], "{field}");
    }
    let got = server.get("/files/run/trips%20%C3%A4.csv", &[]);
    assert_eq!(change["etag"], got.etag());
    assert!(change["seq"].is_u64() && change["time"].as_str().unwrap().ends_with('Z'));
    fs::rename(server.path("run/trips ä.csv"), server.path("run/b.csv")).unwrap();
    let cursor = answer["cursor"].as_str().unwrap().to_owned();
    let (lines, cursor) = server.wait_for_changes(1, cursor, KEY, "");
    assert_eq!(lines, ["moved run/b.csv from run/trips ä.csv"]);
    fs::remove_dir_all(server.path("run")).unwrap();
    let (lines, _) = server.wait_for_changes(2, cursor, KEY, "");
    assert_eq!(lines, ["removed run/b.csv", "removed run/"]);
}

#[test]
fn uploads_and_deletions_by_http_are_told_too() {
    let server = TestServer::start();
    let cursor = server.cursor();
    assert_eq!(server.upload("/files/run/a.csv", b"one", &[]).status, 201);
    let (lines, cursor) = server.wait_for_changes(2, cursor, KEY, "");
    assert_eq!(lines, ["added run/", "added run/a.csv"]);
    server.upload("/files/run/a.csv", b"two", &[]);
    let (lines, cursor) = server.wait_for_changes(1, cursor, KEY, "");
    assert_eq!(lines, ["modified run/a.csv"]);
    assert_eq!(server.request("DELETE", "/files/run/a.csv", &[("Authorization", KEY)]).status, 204);
    let (lines, _) = server.wait_for_changes(1, cursor, KEY, "");
    assert_eq!(lines, ["removed run/a.csv"]);
}

#[test]
fn a_reader_sees_what_their_key_covers_and_nothing_else() {
    let server = TestServer::start();
    let cursor = server.cursor();
    server.arrive("berlin/a.csv");
    server.arrive("hamburg/b.csv");
    server.arrive("public/c.csv");
    fs::create_dir(server.path("berlin/in")).unwrap();
    let (_, end) = server.wait_for_changes(7, cursor.clone(), KEY, "");
    fs::rename(server.path("hamburg/b.csv"), server.path("berlin/b.csv")).unwrap();
    let (_, end) = server.wait_for_changes(1, end, KEY, "");
    fs::rename(server.path("berlin/a.csv"), server.path("hamburg/a.csv")).unwrap();
    server.wait_for_changes(1, end, KEY, "");
    let read = |key: Option<&str>, query: &str| {
        let fields: Vec<_> = key.map(|it| ("Authorization", it)).into_iter().collect();
        let target = format!("/changes?since={cursor}{query}");
        let response = server.request("GET", &target, &fields);
        assert_eq!(response.status, 200, "{}", response.text());
        let mut lines: Vec<String> =
            response.json()["changes"].as_array().unwrap().iter().map(line).collect();
        lines.sort_unstable();
        lines
    };
    let berlin = ["added berlin/", "added berlin/a.csv", "added berlin/b.csv", "added berlin/in/"];
    let public = ["added public/", "added public/c.csv"];
    let sorted = |lists: &[&[&str]]| {
        let mut lines: Vec<String> = lists.concat().iter().map(|it| (*it).to_owned()).collect();
        lines.sort_unstable();
        lines
    };
    let all = sorted(&[&berlin, &public, &["removed berlin/a.csv"]]);
    assert_eq!(read(Some(BERLIN_KEY), ""), all);
    assert_eq!(read(None, ""), sorted(&[&public]));
    assert_eq!(read(None, "&path=public"), sorted(&[&public]));
    assert_eq!(read(Some(KEY), "&path=berlin/in/"), ["added berlin/in/"]);
    for (key, query, status, kind) in [
        (None, "?path=berlin", 401, "key-needed"),
        (Some("nobody"), "", 401, "unknown-key"),
        (Some(OLD_KEY), "", 401, "expired-key"),
        (Some(BERLIN_KEY), "?path=hamburg", 403, "key-does-not-cover"),
        (Some(KEY), "?path=.sounding", 404, "not-found"),
        (Some(KEY), "?path=../x", 400, "bad-path"),
        (Some(KEY), "?since=yesterday", 400, "bad-query"),
        (Some(KEY), "?limit=many", 400, "bad-query"),
        (Some(KEY), "?fold=file", 400, "bad-query"),
    ] {
        for target in ["/changes", "/events"] {
            if target == "/events" && query.contains("limit") {
                continue;
            }
            let fields: Vec<_> = key.map(|it| ("Authorization", it)).into_iter().collect();
            let response = server.request("GET", &format!("{target}{query}"), &fields);
            assert_eq!((response.status, problem(&response).as_str()), (status, kind), "{query}");
        }
    }
}

#[test]
fn a_cursor_that_is_not_known_makes_the_reader_list_anew() {
    let server = TestServer::start();
    let cursor = server.cursor();
    let answer = server.changes("since=12345-6789&wait=20");
    assert_eq!((&answer["fresh"], &answer["changes"]), (&true.into(), &serde_json::json!([])));
    assert_eq!(answer["cursor"], cursor);
    // Without one it is from now on.
    server.arrive("a.csv");
    server.wait_for_changes(1, cursor, KEY, "");
    assert_eq!(server.changes("")["changes"], serde_json::json!([]));
}

#[test]
fn many_changes_come_in_pages() {
    let server = TestServer::start();
    let mut cursor = server.cursor();
    for number in 0..25 {
        server.arrive(&format!("{number}.csv"));
    }
    server.wait_for_changes(25, cursor.clone(), KEY, "");
    let mut counts = Vec::new();
    loop {
        let answer = server.changes(&format!("since={cursor}&limit=10"));
        answer["cursor"].as_str().unwrap().clone_into(&mut cursor);
        counts.push(answer["changes"].as_array().unwrap().len());
        if counts.last() == Some(&0) {
            break;
        }
    }
    assert_eq!(counts, [10, 10, 5, 0]);
}

#[test]
fn a_run_that_arrives_is_told_as_one() {
    let server = TestServer::start();
    let cursor = server.cursor();
    let waiting = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| server.wait_for_changes(1, cursor, KEY, "&fold=folder"));
        for number in 0..2000 {
            server.arrive(&format!("run 7/ITERS/it.{}/{number}.csv", number % 20));
        }
        waiting.join().unwrap()
    });
    assert_eq!(waiting.0, ["added run 7/ of 2000"]);
}

/// Lines of a stream of events, up to one that says what is awaited.
fn lines_until(connection: &mut Connection, end: &str) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        assert_ne!(connection.stream.read_line(&mut line).unwrap(), 0, "{lines:?}");
        let is_end = line.contains(end);
        lines.push(line.trim_end().to_owned());
        if is_end {
            return lines;
        }
    }
}

fn id_in(lines: &[String]) -> String {
    lines.iter().rev().find_map(|it| it.strip_prefix("id: ")).unwrap().to_owned()
}

#[test]
fn events_come_as_they_happen_and_go_on_where_the_line_broke() {
    let server = TestServer::start();
    let listen = |target: &str, id: Option<&str>| {
        let mut connection = server.connect();
        let mut fields = vec![("Authorization", KEY), ("Accept", "text/event-stream")];
        fields.extend(id.map(|it| ("Last-Event-ID", it)));
        connection.send("GET", target, &fields);
        let head = connection.receive_head();
        assert_eq!(head.status, 200);
        assert_eq!(head.field("content-type").as_deref(), Some("text/event-stream"));
        assert_eq!(head.field("x-accel-buffering").as_deref(), Some("no"));
        connection
    };
    let mut connection = listen("/events", None);
    let begin = lines_until(&mut connection, "id: ");
    assert!(begin.contains(&"retry: 3000".to_owned()), "{begin:?}");
    server.arrive("a.csv");
    let lines = lines_until(&mut connection, "data: ");
    assert!(lines.contains(&"event: change".to_owned()), "{lines:?}");
    let data = lines.last().unwrap().strip_prefix("data: ").unwrap();
    let change: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(line(&change), "added a.csv");
    let id = id_in(&lines_until(&mut connection, "id: "));
    drop(connection);
    server.arrive("b.csv");
    server.wait_for_changes(1, id.clone(), KEY, "");
    let mut connection = listen("/events", Some(&id));
    assert!(lines_until(&mut connection, "data: ").last().unwrap().contains("b.csv"));
    // A cursor that is not known is said to be so.
    let mut connection = listen("/events?since=9-9", None);
    lines_until(&mut connection, "event: fresh");
    // After a quiet while it ends, and says when to come back.
    let mut connection = listen("/events?quiet=1", None);
    let end = lines_until(&mut connection, "event: sleep");
    assert!(end.contains(&"retry: 3600000".to_owned()), "{end:?}");
    lines_until(&mut connection, "data: ");
    assert!(connection.receive_rest().is_empty());
}

#[test]
fn whoever_follows_with_a_key_that_is_revoked_hears_no_more() {
    let server = TestServer::start();
    let mut connection = server.connect();
    connection.send("GET", "/events", &[("Authorization", KEY)]);
    assert_eq!(connection.receive_head().status, 200);
    lines_until(&mut connection, "id: ");
    let volume = volume::Volume::open(&server.path("")).unwrap();
    let id = volume::keys::PlainKey::new(KEY.as_bytes()).hash().id();
    let rows = volume.key_sheet().unwrap().rows(jiff::Timestamp::now());
    let line = rows.iter().find(|it| it.id().as_ref() == Some(&id)).unwrap().line;
    volume.edit_keys(None, |sheet| sheet.revoke(line)).unwrap();
    server.arrive("secret.csv");
    let mut rest = Vec::new();
    // It is cut, or ended.
    connection.stream.read_to_end(&mut rest).unwrap_or_default();
    assert!(!String::from_utf8_lossy(&rest).contains("secret"), "{rest:?}");
}

#[test]
fn whoever_waits_is_let_go_when_the_server_ends() {
    let mut server = TestServer::start();
    let cursor = server.cursor();
    let [mut waiting, mut listening] = ["/changes?wait=60&since=", "/events?since="].map(|it| {
        let mut connection = server.connect();
        connection.send("GET", &format!("{it}{cursor}"), &[("Authorization", KEY)]);
        connection
    });
    assert_eq!(listening.receive_head().status, 200);
    lines_until(&mut listening, "id: ");
    let began = Instant::now();
    server.begin_stop();
    let answer = waiting.receive("GET");
    assert_eq!((answer.status, &answer.json()["changes"]), (200, &serde_json::json!([])));
    let lines = lines_until(&mut listening, "event: sleep");
    assert!(lines.contains(&"retry: 3000".to_owned()), "{lines:?}");
    assert!(server.stop() && began.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_journal_that_is_damaged_while_it_is_in_use_is_begun_anew() {
    let server = TestServer::start();
    let mut cursor = server.cursor();
    for number in 0..300 {
        server.arrive(&format!("run/{number}.csv"));
    }
    (_, cursor) = server.wait_for_changes(301, cursor, KEY, "");
    // All that stands in it, and beside it; a database of some pages, of which the first alone is good.
    let journal = server.path(".sounding/journal.sqlite");
    let good = fs::read(&journal).unwrap();
    let page = good.get(..4096).unwrap_or_default();
    write(&journal, &[page, &vec![0xa5; 400_000]].concat());
    write(&server.path(".sounding/journal.sqlite-wal"), b"");
    let deadline = Instant::now() + Duration::from_mins(1);
    let mut number = 0;
    loop {
        // Something happens, so that both who write it and who read it look.
        number += 1;
        server.arrive(&format!("more/{number}.csv"));
        let answer = server.get(&format!("/changes?wait=1&since={cursor}"), &[]);
        if answer.status == 200 && answer.json()["fresh"] == true {
            answer.json()["cursor"].as_str().unwrap().clone_into(&mut cursor);
            break;
        }
        assert!(Instant::now() < deadline, "{} {}", answer.status, answer.text());
    }
    assert!(server.path(".sounding/journal.broken.sqlite").exists());
    server.arrive("afterwards/x.csv");
    let (lines, _) = server.wait_for_changes(1, cursor, KEY, "&path=afterwards");
    assert_eq!(lines, ["added afterwards/"]);
}
