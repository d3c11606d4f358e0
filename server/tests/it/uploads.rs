//! `PUT` and `DELETE` against the running server: what becomes visible, when, and what never does.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use sounding_server::Timeouts;

use crate::support::{
    BERLIN_KEY, Connection, KEY, OLD_KEY, Response, Setup, Site, TestServer, pattern, wait_for,
};

impl Site {
    /// `PUT` with the key that may write everything.
    pub fn upload(&self, target: &str, body: &[u8], fields: &[(&str, &str)]) -> Response {
        let mut fields = fields.to_vec();
        fields.push(("Authorization", KEY));
        self.upload_with(target, body, &fields)
    }

    fn upload_with(&self, target: &str, body: &[u8], fields: &[(&str, &str)]) -> Response {
        let mut connection = self.connect();
        connection.send_body("PUT", target, body, fields);
        connection.receive("PUT")
    }

    pub fn delete(&self, target: &str, fields: &[(&str, &str)]) -> u16 {
        let mut fields = fields.to_vec();
        fields.push(("Authorization", KEY));
        self.request("DELETE", target, &fields).status
    }

    pub fn content(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.path(path)).ok()
    }

    /// Names in staging; whoever dropped something there may need a moment to tidy up.
    pub fn staged(&self) -> usize {
        fs::read_dir(self.path(".sounding/staging")).map_or(0, Iterator::count)
    }

    pub fn wait_until_nothing_is_staged(&self) {
        wait_for("empty staging", || (self.staged() == 0).then_some(()));
    }
}

impl Connection {
    /// Says whether all could be sent.
    pub fn send_body(
        &mut self,
        method: &str,
        target: &str,
        body: &[u8],
        fields: &[(&str, &str)],
    ) -> bool {
        let length = body.len().to_string();
        let mut fields = fields.to_vec();
        fields.push(("Content-Length", &length));
        self.send(method, target, &fields);
        self.stream.get_mut().write_all(body).is_ok()
    }

    /// To a server that may be gone.
    pub fn try_send_body(
        &mut self,
        method: &str,
        target: &str,
        body: &[u8],
        fields: &[(&str, &str)],
    ) -> Option<()> {
        let length = body.len().to_string();
        let mut fields = fields.to_vec();
        fields.push(("Content-Length", &length));
        let head = Connection::head(method, target, &fields);
        self.stream.get_mut().write_all(head.as_bytes()).ok()?;
        self.stream.get_mut().write_all(body).ok()
    }
}

pub fn problem(response: &Response) -> String {
    response.json()["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned()
}

#[test]
fn a_file_is_put_and_read_back_with_the_tag_that_put_gave() {
    let server = TestServer::start();
    let content = pattern(3_000_000);
    let made = server.upload("/files/new/run%201/trips%20%C3%A4.bin", &content, &[]);
    assert_eq!(made.status, 201);
    assert_eq!(made.field("location").as_deref(), Some("./trips%20%C3%A4.bin"));
    let got = server.get("/files/new/run%201/trips%20%C3%A4.bin", &[]);
    assert!(got.body == content);
    assert_eq!(got.etag(), made.etag());
    let replaced = server.upload("/files/new/run%201/trips%20%C3%A4.bin", b"other", &[]);
    assert_eq!(replaced.status, 204);
    let got = server.get("/files/new/run%201/trips%20%C3%A4.bin", &[]);
    assert_eq!(got.text(), "other");
    assert_eq!(got.etag(), replaced.etag());
    assert_ne!(replaced.etag(), made.etag());
    assert_eq!(server.staged(), 0);
}

#[test]
fn an_empty_file_and_a_chunked_one_are_files_too() {
    let server = TestServer::start();
    assert_eq!(server.upload("/files/empty.csv", b"", &[]).status, 201);
    assert_eq!(server.content("empty.csv").as_deref(), Some(""));
    let mut connection = server.connect();
    connection.send(
        "PUT",
        "/files/chunked.csv",
        &[("Authorization", KEY), ("Transfer-Encoding", "chunked")],
    );
    connection.send_raw(b"4\r\na;b\n\r\n4\r\nc;d\n\r\n0\r\n\r\n");
    assert_eq!(connection.receive("PUT").status, 201);
    assert_eq!(server.content("chunked.csv").as_deref(), Some("a;b\nc;d\n"));
}

#[test]
fn a_body_in_a_coding_that_nobody_takes_off_is_refused() {
    let server = TestServer::start();
    for codings in [&["gzip, chunked"][..], &["gzip", "chunked"], &["chunked", "chunked"]] {
        let mut connection = server.connect();
        let mut fields = vec![("Authorization", KEY)];
        fields.extend(codings.iter().map(|it| ("Transfer-Encoding", *it)));
        connection.send("PUT", "/files/run/trips.csv", &fields);
        connection.send_raw(b"3\r\nnew\r\n0\r\n\r\n");
        let response = connection.receive("PUT");
        assert_eq!((response.status, problem(&response).as_str()), (501, "transfer-coding"));
        assert_eq!(server.content("run/trips.csv"), None, "{codings:?}");
    }
}

#[test]
fn the_body_is_asked_for_only_where_it_is_wanted() {
    let server = TestServer::start();
    server.put("run/trips.csv", b"old");
    let ask = |fields: &[(&str, &str)]| {
        let mut connection = server.connect();
        let mut fields = fields.to_vec();
        fields.extend([("Expect", "100-continue"), ("Content-Length", "3")]);
        connection.send("PUT", "/files/run/trips.csv", &fields);
        let first = connection.receive_head().status;
        (connection, first)
    };
    for (fields, status) in [
        (vec![], 401),
        (vec![("Authorization", BERLIN_KEY)], 403),
        (vec![("Authorization", KEY), ("If-None-Match", "*")], 412),
        (vec![("Authorization", KEY), ("Content-Range", "bytes 0-2/10")], 400),
        (vec![("Authorization", KEY), ("Content-Encoding", "gzip")], 415),
        (vec![("Authorization", KEY), ("Repr-Digest", "sha-256=:AA:")], 400),
    ] {
        assert_eq!(ask(&fields).1, status, "{fields:?}");
    }
    let (mut connection, first) = ask(&[("Authorization", KEY)]);
    assert_eq!(first, 100);
    connection.send_raw(b"new");
    assert_eq!(connection.receive("PUT").status, 204);
    assert_eq!(server.content("run/trips.csv").as_deref(), Some("new"));
}

#[test]
fn a_client_that_sends_all_the_same_reads_why_it_was_refused() {
    let server = TestServer::start();
    for _ in 0..5 {
        // More than sockets hold, so that the client is still sending when the answer is ready.
        let mut connection = server.connect();
        let body = vec![b'x'; 32 << 20];
        assert!(connection.send_body("PUT", "/files/run/big.bin", &body, &[]), "it was reset");
        let response = connection.receive("PUT");
        assert_eq!(response.status, 401);
        assert_eq!(problem(&response), "key-needed");
    }
    server.wait_until_nothing_is_staged();
}

#[test]
fn conditions_decide_whether_a_file_is_replaced() {
    let server = TestServer::start();
    let put = |fields: &[(&str, &str)]| {
        server.put("run/trips.csv", "old;\n".repeat(1000).as_bytes());
        let tag = server.get("/files/run/trips.csv", &[]).etag();
        let coded = server.get("/files/run/trips.csv", &[("Accept-Encoding", "gzip")]).etag();
        assert_ne!(tag, coded);
        let fields: Vec<(&str, String)> = fields
            .iter()
            .map(|(name, value)| (*name, value.replace("$C", &coded).replace('$', &tag)))
            .collect();
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let status = server.upload("/files/run/trips.csv", b"new", &fields).status;
        let is_new = server.content("run/trips.csv").as_deref() == Some("new");
        assert_eq!(is_new, status == 204, "{fields:?}");
        status
    };
    assert_eq!(put(&[("If-Match", "$")]), 204);
    assert_eq!(put(&[("If-Match", "$C")]), 204);
    assert_eq!(put(&[("If-Match", "*")]), 204);
    assert_eq!(put(&[("If-Match", "\"other\"")]), 412);
    assert_eq!(put(&[("If-Match", "W/$")]), 412);
    assert_eq!(put(&[("If-None-Match", "*")]), 412);
    assert_eq!(put(&[("If-None-Match", "$")]), 412);
    assert_eq!(put(&[("If-None-Match", "\"other\"")]), 204);
    assert_eq!(put(&[("If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:37 GMT")]), 412);
    assert_eq!(put(&[("If-Unmodified-Since", "Sun, 06 Nov 2094 08:49:37 GMT")]), 204);
    let fresh = |name: &str, value: &str| {
        server.upload("/files/run/fresh.csv", b"new", &[(name, value)]).status
    };
    assert_eq!(fresh("If-Match", "*"), 412);
    assert_eq!(fresh("If-Unmodified-Since", "Sun, 06 Nov 2094 08:49:37 GMT"), 412);
    assert_eq!(server.content("run/fresh.csv"), None);
    assert_eq!(fresh("If-None-Match", "*"), 201);
}

#[test]
fn of_two_that_replace_the_same_version_one_wins() {
    let server = TestServer::start();
    server.put("run/notes.md", b"first");
    for round in 0..20 {
        let tag = server.get("/files/run/notes.md", &[]).etag();
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|writer| {
                    let (server, tag) = (&server, &tag);
                    let body = format!("{round} by {writer}");
                    scope.spawn(move || {
                        server
                            .upload("/files/run/notes.md", body.as_bytes(), &[("If-Match", tag)])
                            .status
                    })
                })
                .collect();
            writers.into_iter().map(|it| it.join().unwrap()).collect()
        });
        let won = statuses.iter().filter(|it| **it == 204).count();
        assert_eq!(won, 1, "{statuses:?}");
        assert!(statuses.iter().all(|it| matches!(it, 204 | 412)), "{statuses:?}");
    }
}

#[test]
fn whoever_uploads_chooses_what_becomes_of_what_is_there() {
    let server = TestServer::start();
    let put = |query: &str| server.upload(&format!("/files/run/a.csv.gz{query}"), b"new", &[]);
    server.put("run/a.csv.gz", b"old");
    let refused = put("?exists=refuse");
    assert_eq!((refused.status, problem(&refused).as_str()), (409, "exists"));
    assert_eq!(server.content("run/a.csv.gz").as_deref(), Some("old"));
    for expected in ["a (2).csv.gz", "a (3).csv.gz"] {
        let kept = put("?exists=keep-both");
        assert_eq!(kept.status, 201);
        let location = kept.field("location").unwrap();
        assert_eq!(server.content(&format!("run/{expected}")).as_deref(), Some("new"));
        let name = location.strip_prefix("./").unwrap();
        let got = server.get(&format!("/files/run/{name}"), &[]);
        assert_eq!((got.status, got.etag()), (200, kept.etag()));
    }
    assert_eq!(server.content("run/a.csv.gz").as_deref(), Some("old"));
    assert_eq!(put("?exists=replace").status, 204);
    assert_eq!(put("?exists=perhaps").status, 400);
}

#[test]
fn digests_are_checked_and_told() {
    let server = TestServer::start();
    let body = pattern(1_000_000);
    let right = format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(&body)));
    let wrong = format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(b"other")));
    for field in ["Repr-Digest", "Content-Digest"] {
        let refused = server.upload("/files/run/a.bin", &body, &[(field, &wrong)]);
        assert_eq!((refused.status, problem(&refused).as_str()), (400, "digest-mismatch"));
        assert_eq!(server.get("/files/run/a.bin", &[]).status, 404);
        server.wait_until_nothing_is_staged();
    }
    let made = server.upload(
        "/files/run/a.bin",
        &body,
        &[("Repr-Digest", &right), ("Want-Repr-Digest", "sha-256=9")],
    );
    assert_eq!(made.status, 201);
    assert_eq!(made.field("repr-digest"), Some(right));
    assert_eq!(server.upload("/files/run/b.bin", &body, &[]).field("repr-digest"), None);
}

#[test]
fn a_broken_connection_leaves_the_old_file_and_nothing_else() {
    let server = TestServer::start();
    server.put("run/trips.csv", b"old");
    for (field, value, half) in
        [("Content-Length", "5000000", ""), ("Transfer-Encoding", "chunked", "4c4b40\r\n")]
    {
        let mut connection = server.connect();
        connection.send("PUT", "/files/run/trips.csv", &[("Authorization", KEY), (field, value)]);
        connection.send_raw(half.as_bytes());
        connection.send_raw(&vec![b'n'; 2_500_000]);
        wait_for("the upload to begin", || (server.staged() == 1).then_some(()));
        assert_eq!(server.content("run/trips.csv").as_deref(), Some("old"));
        drop(connection);
        server.wait_until_nothing_is_staged();
        assert_eq!(server.content("run/trips.csv").as_deref(), Some("old"));
    }
}

#[test]
fn an_upload_that_stands_still_is_given_up() {
    let timeouts = Timeouts { write: Duration::from_millis(300), ..Timeouts::default() };
    let server = TestServer::start_with(Setup { timeouts, ..Setup::default() });
    let mut connection = server.connect();
    connection.send(
        "PUT",
        "/files/run/trips.csv",
        &[("Authorization", KEY), ("Content-Length", "1000")],
    );
    connection.send_raw(b"begun");
    let response = connection.receive("PUT");
    assert_eq!((response.status, problem(&response).as_str()), (408, "stalled"));
    server.wait_until_nothing_is_staged();
    assert!(!server.path("run").exists());
}

#[test]
fn only_a_key_that_may_write_there_writes() {
    let server = TestServer::start();
    fs::create_dir(server.path("berlin")).unwrap();
    server.put("public/notes.md", b"old");
    for (target, key, status, kind) in [
        ("/files/berlin/x", BERLIN_KEY, 403, "key-only-reads"),
        ("/files/hamburg/x", BERLIN_KEY, 403, "key-does-not-cover"),
        ("/files/berlin/x", OLD_KEY, 401, "expired-key"),
        ("/files/berlin/x", "nobody-knows", 401, "unknown-key"),
        ("/files/public/notes.md", "nobody-knows", 401, "unknown-key"),
        ("/files/public/notes.md", BERLIN_KEY, 403, "key-does-not-cover"),
    ] {
        for method in ["PUT", "DELETE"] {
            let mut connection = server.connect();
            connection.send_body(method, target, b"new", &[("Authorization", key)]);
            let response = connection.receive(method);
            assert_eq!(response.status, status, "{method} {target} with {key}");
            assert_eq!(problem(&response), kind, "{method} {target} with {key}");
        }
    }
    assert_eq!(server.upload_with("/files/public/notes.md", b"new", &[]).status, 401);
    assert_eq!(server.content("public/notes.md").as_deref(), Some("old"));
    let share = format!("/share/{KEY}/berlin/by-link.csv");
    assert_eq!(server.upload_with(&share, b"new", &[]).status, 201);
    assert_eq!(server.upload("/files/public/notes.md", b"new", &[]).status, 204);
}

#[test]
fn wrong_keys_are_guesses_also_where_anyone_may_read() {
    let server = TestServer::start();
    server.put("public/notes.md", b"old");
    let status = |guess: usize| {
        let key = format!("guess-{guess}");
        server.request("DELETE", "/files/public/notes.md", &[("Authorization", &key)]).status
    };
    assert!((0..50).map(status).any(|it| it == 429));
}

#[test]
fn what_can_be_no_file_is_refused_in_plain_words() {
    let server = TestServer::start();
    server.put("run/trips.csv", b"old");
    for (target, status, kind) in [
        ("/files/run", 409, "is-folder"),
        ("/files/run/", 409, "is-folder"),
        ("/files/new/", 409, "is-folder"),
        ("/files/", 409, "is-folder"),
        ("/files/run/trips.csv/x", 409, "not-a-folder"),
        ("/files/run/trips.csv/x/y", 409, "not-a-folder"),
        ("/files/.sounding/auth-keys.csv", 404, "not-found"),
        ("/files/run/.hidden", 404, "not-found"),
        ("/files/run/../x", 400, "bad-path"),
        ("/files/run/a%2Fb/%00", 400, "bad-path"),
    ] {
        let response = server.upload(target, b"new", &[]);
        assert_eq!(response.status, status, "{target}: {}", response.text());
        assert_eq!(problem(&response), kind, "{target}");
    }
    assert_eq!(server.content("run/trips.csv").as_deref(), Some("old"));
    server.wait_until_nothing_is_staged();
}

#[test]
fn an_upload_follows_links_only_where_the_key_goes() {
    let server = TestServer::start();
    let keys = format!("kmt,{KEY},write\nlea,lea-writes-berlin,write,berlin\n");
    fs::write(server.path(".sounding/auth-keys.csv"), keys).unwrap();
    fs::create_dir_all(server.path("berlin/inner")).unwrap();
    fs::create_dir_all(server.path("hamburg")).unwrap();
    std::os::unix::fs::symlink("../hamburg", server.path("berlin/away")).unwrap();
    std::os::unix::fs::symlink("inner", server.path("berlin/within")).unwrap();
    std::os::unix::fs::symlink("/tmp", server.path("berlin/outside")).unwrap();
    let lea = [("Authorization", "lea-writes-berlin")];
    assert_eq!(server.upload_with("/files/berlin/within/x.csv", b"new", &lea).status, 201);
    assert_eq!(server.content("berlin/inner/x.csv").as_deref(), Some("new"));
    assert_eq!(server.upload_with("/files/berlin/away/x.csv", b"new", &lea).status, 403);
    assert_eq!(server.upload_with("/files/berlin/outside/x.csv", b"new", &lea).status, 409);
    assert_eq!(server.request("DELETE", "/files/berlin/away/x.csv", &lea).status, 403);
    assert_eq!(fs::read_dir(server.path("hamburg")).unwrap().count(), 0);
    assert_eq!(server.upload("/files/berlin/away/x.csv", b"new", &[]).status, 201);
}

#[test]
fn a_folder_is_not_deleted_by_a_request_that_says_what_is_not_known() {
    let server = TestServer::start();
    server.put("run/a.csv", b"a");
    for query in ["dry-run=1", "dry_run", "=1", "format=json"] {
        assert_eq!(server.delete(&format!("/files/run/?{query}"), &[]), 400, "{query}");
        assert!(server.path("run/a.csv").exists(), "{query}");
    }
    assert_eq!(server.delete("/files/run/?", &[]), 204);
}

#[test]
fn what_is_deleted_lies_in_the_trash() {
    let server = TestServer::start();
    server.put("run/trips.csv", b"content");
    server.put("run/ITERS/it.0/legs.csv", b"legs");
    assert_eq!(server.delete("/files/run/none.csv", &[]), 404);
    assert_eq!(server.delete("/files/run", &[]), 409);
    assert_eq!(server.delete("/files/run/trips.csv/", &[]), 404);
    assert_eq!(server.delete("/files/", &[]), 409);
    assert_eq!(server.delete("/files/run/trips.csv", &[("If-Match", "\"other\"")]), 412);
    let tag = server.get("/files/run/trips.csv", &[]).etag();
    assert_eq!(server.delete("/files/run/trips.csv", &[("If-Match", &tag)]), 204);
    assert_eq!(server.get("/files/run/trips.csv", &[]).status, 404);
    assert_eq!(server.content(".sounding/trash/files/trips.csv").as_deref(), Some("content"));
    let record = server.content(".sounding/trash/info/trips.csv.trashinfo").unwrap();
    assert!(record.contains("\nPath=run/trips.csv\n"), "{record}");
    assert!(record.contains("\nX-Deleted-By=kmt\n"), "{record}");
    assert_eq!(server.delete("/files/run/", &[]), 204);
    assert_eq!(server.get("/files/run/", &[]).status, 404);
    let trashed = server.content(".sounding/trash/files/run/ITERS/it.0/legs.csv");
    assert_eq!(trashed.as_deref(), Some("legs"));
}

#[test]
fn other_methods_are_told_which_there_are() {
    let server = TestServer::start();
    let response = server.request("POST", "/files/run/x", &[("Authorization", KEY)]);
    assert_eq!(response.status, 405);
    let allowed = response.field("allow").unwrap();
    let mut allowed: Vec<&str> = allowed.split(',').map(str::trim).collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["DELETE", "GET", "HEAD", "PUT"]);
}

#[test]
fn what_is_put_may_be_read_by_whom_the_umask_lets() {
    let server = TestServer::start();
    server.upload("/files/run/a.csv", b"x", &[]);
    let mode = |path: &str| fs::metadata(server.path(path)).unwrap().mode() & 0o777;
    let reference = server.path("reference");
    fs::write(&reference, "").unwrap();
    assert_eq!(mode("run/a.csv"), mode("reference"));
    assert_eq!(mode(".sounding/staging"), 0o700);
}
