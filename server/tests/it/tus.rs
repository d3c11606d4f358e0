//! Resumable uploads against the running server, request by request.

use std::fs;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use sounding_server::Timeouts;

use crate::support::{BERLIN_KEY, KEY, Response, Setup, Site, TestServer, pattern, wait_for};
use crate::uploads::problem;

const STREAM: (&str, &str) = ("Content-Type", "application/offset+octet-stream");

impl Site {
    /// A request of a tus client with the key that may write everything.
    fn tus(&self, method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Response {
        self.tus_with(KEY, method, target, fields, body)
    }

    fn tus_with(
        &self,
        key: &str,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let mut fields = fields.to_vec();
        fields.extend([("Authorization", key), ("Tus-Resumable", "1.0.0")]);
        let mut connection = self.connect();
        connection.send_body(method, target, body, &fields);
        connection.receive(method)
    }

    /// Begins an upload; its address.
    pub fn begin(&self, length: usize, path: &str, fields: &[(&str, &str)]) -> String {
        let (length, metadata) = (length.to_string(), metadata(&[("relativePath", path)]));
        let mut fields = fields.to_vec();
        fields.extend([("Upload-Length", &*length), ("Upload-Metadata", &*metadata)]);
        let response = self.tus("POST", "/uploads", &fields, b"");
        assert_eq!(response.status, 201, "{}", response.text());
        address(&response)
    }

    pub fn append(&self, address: &str, offset: usize, body: &[u8]) -> Response {
        let offset = offset.to_string();
        self.tus("PATCH", address, &[STREAM, ("Upload-Offset", &offset)], body)
    }

    pub fn offset(&self, address: &str) -> Option<usize> {
        let response = self.tus("HEAD", address, &[], b"");
        (response.status == 200).then(|| response.field("upload-offset").unwrap().parse().unwrap())
    }

    /// Waits until bytes of an upload have come; asking the server would end the request that brings them.
    pub fn wait_for_bytes(&self, address: &str) {
        let staged = address.replace("/uploads/", ".sounding/staging/");
        let length = || fs::metadata(self.path(&staged)).unwrap().len();
        wait_for("some bytes", || (length() > 0).then_some(()));
    }

    fn records(&self) -> usize {
        fs::read_dir(self.path(".sounding/uploads")).map_or(0, Iterator::count)
    }
}

/// `Location` is relative to `/uploads`.
fn address(response: &Response) -> String {
    response.field("location").unwrap().replacen("./", "/", 1)
}

fn metadata(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        pairs.iter().map(|(key, value)| format!("{key} {}", STANDARD.encode(value))).collect();
    pairs.join(",")
}

#[test]
fn an_upload_comes_in_pieces_and_is_seen_when_all_are_there() {
    let server = TestServer::start();
    let content = pattern(1_000_000);
    let address = server.begin(content.len(), "run 1/trips.bin", &[]);
    assert_eq!(server.offset(&address), Some(0));
    let first = server.append(&address, 0, &content[..400_000]);
    assert_eq!((first.status, first.field("upload-offset").as_deref()), (204, Some("400000")));
    assert!(httpdate::parse_http_date(&first.field("upload-expires").unwrap()).is_ok());
    assert_eq!(server.get("/files/run%201/trips.bin", &[]).status, 404);
    assert!(!server.path("run 1").exists());
    let wrong = server.append(&address, 0, b"again");
    assert_eq!((wrong.status, problem(&wrong).as_str()), (409, "wrong-offset"));
    assert_eq!(wrong.field("upload-offset").as_deref(), Some("400000"));
    let last = server.append(&address, 400_000, &content[400_000..]);
    assert_eq!((last.status, last.field("upload-offset").as_deref()), (204, Some("1000000")));
    assert_eq!(last.field("content-location").as_deref(), Some("/files/run%201/trips.bin"));
    assert!(server.get("/files/run%201/trips.bin", &[]).body == content);
    assert_eq!(server.staged(), 0);
    // A client that missed the last answer asks, and is told that all is there.
    let look = server.tus("HEAD", &address, &[], b"");
    assert_eq!(look.field("upload-offset").as_deref(), Some("1000000"));
    assert_eq!(look.field("upload-length").as_deref(), Some("1000000"));
    assert_eq!(look.field("cache-control").as_deref(), Some("no-store"));
    let said = metadata(&[("relativePath", "run 1/trips.bin")]);
    assert_eq!(look.field("upload-metadata"), Some(said));
}

#[test]
fn what_is_spoken_is_announced_and_nothing_else_is_understood() {
    let server = TestServer::start();
    let options = server.request("OPTIONS", "/uploads", &[]);
    assert_eq!(options.status, 204);
    let field = |name: &str| options.field(name).unwrap_or_default();
    assert_eq!((field("tus-resumable"), field("tus-version")), ("1.0.0".into(), "1.0.0".into()));
    assert_eq!(
        field("tus-extension"),
        "creation,creation-with-upload,termination,checksum,expiration,concatenation"
    );
    assert_eq!(field("tus-checksum-algorithm"), "sha1,sha256");
    for version in [None, Some("0.2.2")] {
        let mut fields = vec![("Authorization", KEY), ("Upload-Length", "3")];
        fields.extend(version.map(|it| ("Tus-Resumable", it)));
        let refused = server.request("POST", "/uploads", &fields);
        assert_eq!((refused.status, problem(&refused).as_str()), (412, "tus-version"));
        assert_eq!(refused.field("tus-version").as_deref(), Some("1.0.0"));
    }
    let other_origin = server.tus("POST", "/uploads", &[("Origin", "https://a.example")], b"");
    assert_eq!(other_origin.field("access-control-expose-headers").as_deref(), Some("*"));
}

#[test]
fn what_cannot_become_a_file_is_refused_at_once() {
    let server = TestServer::start();
    server.put("run/trips.csv", b"old");
    let post = |fields: &[(&str, &str)]| {
        let response = server.tus("POST", "/uploads", fields, b"");
        (response.status, problem(&response))
    };
    let name = metadata(&[("filename", "new.csv")]);
    let taken = metadata(&[("relativePath", "run/trips.csv")]);
    let folder = metadata(&[("filename", "run")]);
    let hidden = metadata(&[("relativePath", ".sounding/auth-keys.csv")]);
    let length = ("Upload-Length", "3");
    for (fields, status, kind) in [
        (vec![length], 400, "bad-field"),
        (vec![("Upload-Metadata", &*name)], 400, "bad-field"),
        (vec![("Upload-Metadata", &*name), ("Upload-Length", "-3")], 400, "bad-field"),
        (vec![("Upload-Metadata", &*name), ("Upload-Defer-Length", "1")], 400, "bad-field"),
        (vec![("Upload-Metadata", "filename !"), length], 400, "bad-field"),
        (vec![("Upload-Metadata", &*taken), length], 409, "exists"),
        (vec![("Upload-Metadata", &*folder), length], 409, "is-folder"),
        (vec![("Upload-Metadata", &*hidden), length], 404, "not-found"),
        (vec![("Upload-Metadata", &*name), ("Upload-Length", "9000000000000000")], 507, "no-room"),
    ] {
        assert_eq!(post(&fields), (status, kind.to_owned()), "{fields:?}");
    }
    assert_eq!((server.staged(), server.records()), (0, 0));
}

#[test]
fn the_client_chooses_what_becomes_of_a_file_that_is_there() {
    let server = TestServer::start();
    server.put("run/trips.csv", b"old");
    let put = |query: &str, said: &str| {
        let metadata = metadata(&[("filename", "trips.csv"), ("exists", said)]);
        let fields = [STREAM, ("Upload-Length", "3"), ("Upload-Metadata", &*metadata)];
        let target = format!("/uploads?into=run{query}");
        server.tus("POST", &target, &fields, b"new")
    };
    assert_eq!(put("", "").status, 409);
    let kept = put("", "keep-both");
    assert_eq!((kept.status, kept.field("upload-offset").as_deref()), (201, Some("3")));
    assert_eq!(kept.field("content-location").as_deref(), Some("/files/run/trips%20%282%29.csv"));
    assert_eq!(server.content("run/trips.csv").as_deref(), Some("old"));
    assert_eq!(server.content("run/trips (2).csv").as_deref(), Some("new"));
    assert_eq!(put("&exists=replace", "").status, 201);
    assert_eq!(server.content("run/trips.csv").as_deref(), Some("new"));
}

#[test]
fn of_two_uploads_of_one_name_the_second_is_told_and_kept() {
    let server = TestServer::start();
    let [first, second] = [0, 1].map(|_| server.begin(3, "run/a.csv", &[]));
    assert_eq!(server.append(&first, 0, b"one").status, 204);
    let refused = server.append(&second, 0, b"two");
    assert_eq!((refused.status, problem(&refused).as_str()), (409, "exists"));
    // It must not look as if it had worked.
    assert_eq!(server.tus("HEAD", &second, &[], b"").status, 409);
    assert_eq!(server.content("run/a.csv").as_deref(), Some("one"));
    fs::rename(server.path("run/a.csv"), server.path("run/b.csv")).unwrap();
    assert_eq!(server.offset(&second), Some(3));
    assert_eq!(server.content("run/a.csv").as_deref(), Some("two"));
}

#[test]
fn a_broken_line_costs_nothing_that_came() {
    let server = TestServer::start();
    let content = pattern(3_000_000);
    let address = server.begin(content.len(), "run/a.bin", &[]);
    let mut connection = server.connect();
    let length = content.len().to_string();
    let fields = [
        STREAM,
        ("Authorization", KEY),
        ("Tus-Resumable", "1.0.0"),
        ("Upload-Offset", "0"),
        ("Content-Length", &*length),
    ];
    connection.send("PATCH", &address, &fields);
    connection.send_raw(&content[..2_000_001]);
    server.wait_for_bytes(&address);
    drop(connection);
    let come = server.offset(&address).unwrap();
    assert!(come > 0 && come <= 2_000_001, "{come}");
    assert_eq!(server.append(&address, come, &content[come..]).status, 204);
    assert!(server.get("/files/run/a.bin", &[]).body == content);
}

#[test]
fn a_newer_request_takes_over_from_one_that_hangs() {
    let server = TestServer::start();
    let content = pattern(2_000_000);
    let address = server.begin(content.len(), "run/a.bin", &[]);
    let mut hanging = server.connect();
    let length = content.len().to_string();
    let fields = [
        STREAM,
        ("Authorization", KEY),
        ("Tus-Resumable", "1.0.0"),
        ("Upload-Offset", "0"),
        ("Content-Length", &*length),
    ];
    hanging.send("PATCH", &address, &fields);
    hanging.send_raw(&content[..1_500_000]);
    server.wait_for_bytes(&address);
    // The line is open, and nothing comes any more.
    let come = server.offset(&address).unwrap();
    assert!(come > 0 && come <= 1_500_000, "{come}");
    let ended = hanging.receive("PATCH");
    assert_eq!((ended.status, problem(&ended).as_str()), (423, "taken-over"));
    assert_eq!(server.append(&address, come, &content[come..]).status, 204);
    assert!(server.get("/files/run/a.bin", &[]).body == content);
}

#[test]
fn an_upload_that_stands_still_keeps_what_came() {
    let timeouts = Timeouts { write: Duration::from_millis(300), ..Timeouts::default() };
    let server = TestServer::start_with(Setup { timeouts, ..Setup::default() });
    let address = server.begin(1000, "run/a.bin", &[]);
    let mut connection = server.connect();
    let fields = [
        STREAM,
        ("Authorization", KEY),
        ("Tus-Resumable", "1.0.0"),
        ("Upload-Offset", "0"),
        ("Content-Length", "1000"),
    ];
    connection.send("PATCH", &address, &fields);
    connection.send_raw(&[b'x'; 300]);
    assert_eq!(connection.receive("PATCH").status, 408);
    assert_eq!(server.offset(&address), Some(300));
}

#[test]
fn bytes_with_a_wrong_checksum_do_not_count() {
    let server = TestServer::start();
    let content = pattern(2_000_000);
    let address = server.begin(content.len(), "run/a.bin", &[]);
    let (one, two) = content.split_at(900_000);
    let sha1 = |bytes: &[u8]| format!("sha1 {}", STANDARD.encode(Sha1::digest(bytes)));
    let sha256 = |bytes: &[u8]| format!("sha256 {}", STANDARD.encode(Sha256::digest(bytes)));
    let patch = |offset: &str, checksum: &str, body: &[u8]| {
        let fields = [STREAM, ("Upload-Offset", offset), ("Upload-Checksum", checksum)];
        server.tus("PATCH", &address, &fields, body).status
    };
    assert_eq!(patch("0", &sha1(two), one), 460);
    assert_eq!(server.offset(&address), Some(0));
    assert_eq!(patch("0", &sha1(one), one), 204);
    assert_eq!(patch("900000", &sha256(one), two), 460);
    assert_eq!(patch("900000", "md5 AAAA", two), 400);
    assert_eq!(server.offset(&address), Some(900_000));
    assert!(!server.path("run").exists());
    assert_eq!(patch("900000", &sha256(two), two), 204);
    assert!(server.get("/files/run/a.bin", &[]).body == content);
}

#[test]
fn an_upload_takes_no_more_than_it_announced() {
    let server = TestServer::start();
    let address = server.begin(3, "run/a.csv", &[]);
    assert_eq!(server.append(&address, 0, b"abcd").status, 413);
    let mut connection = server.connect();
    let fields = [
        STREAM,
        ("Authorization", KEY),
        ("Tus-Resumable", "1.0.0"),
        ("Upload-Offset", "0"),
        ("Transfer-Encoding", "chunked"),
    ];
    connection.send("PATCH", &address, &fields);
    connection.send_raw(b"4\r\nabcd\r\n0\r\n\r\n");
    assert_eq!(connection.receive("PATCH").status, 413);
    assert_eq!(server.offset(&address), Some(0));
    let plain = server.tus("PATCH", &address, &[("Upload-Offset", "0")], b"abc");
    assert_eq!((plain.status, problem(&plain).as_str()), (415, "content-type"));
    assert_eq!(server.append(&address, 0, b"abc").status, 204);
}

#[test]
fn parts_that_travel_side_by_side_become_one_file() {
    let server = TestServer::start();
    let content = pattern(3_000_000);
    let parts: Vec<String> = content
        .chunks(1_000_000)
        .map(|part| {
            let length = part.len().to_string();
            let fields = [("Upload-Concat", "partial"), ("Upload-Length", &*length)];
            let response = server.tus("POST", "/uploads", &fields, b"");
            assert_eq!(response.status, 201, "{}", response.text());
            address(&response)
        })
        .collect();
    let join = || {
        let (concat, metadata) =
            (format!("final;{}", parts.join(" ")), metadata(&[("filename", "whole.bin")]));
        let fields = [("Upload-Concat", &*concat), ("Upload-Metadata", &*metadata)];
        server.tus("POST", "/uploads?into=run", &fields, b"")
    };
    let early = join();
    assert_eq!((early.status, problem(&early).as_str()), (400, "bad-part"));
    for (address, part) in parts.iter().zip(content.chunks(1_000_000)) {
        assert_eq!(server.append(address, 0, part).status, 204);
        let look = server.tus("HEAD", address, &[], b"");
        assert_eq!(look.field("upload-concat").as_deref(), Some("partial"));
    }
    let joined = join();
    assert_eq!(joined.status, 201, "{}", joined.text());
    assert!(server.get("/files/run/whole.bin", &[]).body == content);
    let whole = address(&joined);
    let look = server.tus("HEAD", &whole, &[], b"");
    assert_eq!(look.field("upload-offset").as_deref(), Some("3000000"));
    assert!(look.field("upload-concat").unwrap().starts_with("final;/uploads/"));
    let refused = server.append(&whole, 3_000_000, b"x");
    assert_eq!((refused.status, problem(&refused).as_str()), (403, "final-upload"));
    assert_eq!((server.staged(), server.records()), (0, 1));
}

#[test]
fn an_upload_can_be_ended() {
    let server = TestServer::start();
    let address = server.begin(6, "run/a.csv", &[]);
    server.append(&address, 0, b"abc");
    assert_eq!(server.tus("DELETE", &address, &[], b"").status, 204);
    assert_eq!(server.tus("HEAD", &address, &[], b"").status, 404);
    assert_eq!(server.append(&address, 3, b"def").status, 404);
    assert_eq!((server.staged(), server.records()), (0, 0));
}

#[test]
fn methods_may_be_written_in_a_field() {
    let server = TestServer::start();
    let address = server.begin(3, "run/a.csv", &[]);
    let fields = [STREAM, ("Upload-Offset", "0"), ("X-HTTP-Method-Override", "PATCH")];
    assert_eq!(server.tus("POST", &address, &fields, b"abc").status, 204);
    assert_eq!(server.content("run/a.csv").as_deref(), Some("abc"));
    assert_eq!(server.tus("POST", &address, &[], b"").status, 405);
}

#[test]
fn uploads_belong_to_whoever_may_write_their_target() {
    let server = TestServer::start();
    let keys = format!("kmt,{KEY},write\nzoe,{BERLIN_KEY},read,berlin\nlea,lea-1,write,berlin\n");
    fs::write(server.path(".sounding/auth-keys.csv"), keys).unwrap();
    let post = |key: &str, path: &str| {
        let metadata = metadata(&[("relativePath", path)]);
        let fields = [("Upload-Length", "3"), ("Upload-Metadata", &*metadata)];
        server.tus_with(key, "POST", "/uploads", &fields, b"")
    };
    assert_eq!(problem(&post(BERLIN_KEY, "berlin/a.csv")), "key-only-reads");
    assert_eq!(problem(&post("lea-1", "hamburg/a.csv")), "key-does-not-cover");
    assert_eq!(problem(&post("nobody", "berlin/a.csv")), "unknown-key");
    assert_eq!(problem(&server.request("POST", "/uploads", &[])), "key-needed");
    assert_eq!(post("lea-1", "berlin/a.csv").status, 201);
    let address = server.begin(3, "hamburg/a.csv", &[]);
    for method in ["HEAD", "PATCH", "DELETE"] {
        let fields = [STREAM, ("Upload-Offset", "0")];
        assert_eq!(server.tus_with("lea-1", method, &address, &fields, b"abc").status, 403);
    }
    let part = server.tus(
        "POST",
        "/uploads",
        &[("Upload-Concat", "partial"), ("Upload-Length", "3")],
        b"",
    );
    let looked = server.tus_with("lea-1", "HEAD", &self::address(&part), &[], b"");
    assert_eq!(looked.status, 403);
}

#[test]
fn an_unknown_upload_is_not_found() {
    let server = TestServer::start();
    for id in ["00000000000000000000000000000000", "x", "..%2Fauth-keys", "A".repeat(32).as_str()] {
        let address = format!("/uploads/{id}");
        assert_eq!(server.tus("HEAD", &address, &[], b"").status, 404, "{id}");
        assert_eq!(server.append(&address, 0, b"x").status, 404, "{id}");
    }
}

#[test]
fn what_was_complete_when_the_server_was_killed_is_published_at_the_next_start() {
    use jiff::Timestamp;
    use volume::OnConflict;
    use volume::uploads::{Upload, UploadKind, UploadPart, UploadRecord, UploadTarget};
    use volume::{RelPath, Volume};

    let folder = tempfile::tempdir().unwrap();
    let keys = format!("kmt,{KEY},write\nold,old-1,read\n");
    crate::support::write(&folder.path().join(".sounding/auth-keys.csv"), keys.as_bytes());
    let volume = std::sync::Arc::new(Volume::open(folder.path()).unwrap());
    let begin = |user: &str, length: usize, purpose: UploadKind| -> Upload {
        let record = UploadRecord::new(user, Timestamp::now(), length as u64, purpose, "");
        volume.begin_upload(record).unwrap()
    };
    let write = |upload: &mut Upload, content: &[u8]| {
        let mut staged = upload.take_staged().unwrap();
        staged.write(content).unwrap();
        upload.put_back(staged);
    };
    let target = |path: &str| UploadTarget {
        path: RelPath::from_plain(path.as_bytes()).unwrap(),
        exists: OnConflict::Refuse,
    };
    // As if each had been killed behind its last byte; the last user may not write any more.
    write(&mut begin("kmt", 3, UploadKind::File(target("run/whole.csv"))), b"abc");
    write(&mut begin("kmt", 4, UploadKind::File(target("run/half.csv"))), b"abc");
    write(&mut begin("old", 3, UploadKind::File(target("run/not.csv"))), b"abc");
    let parts = ["one", "two"].map(|content| {
        let mut part = begin("kmt", content.len(), UploadKind::Part);
        write(&mut part, content.as_bytes());
        UploadPart { id: part.id, length: content.len() as u64 }
    });
    let joined = UploadKind::Joined { target: target("run/joined.csv"), parts: parts.to_vec() };
    begin("kmt", 6, joined);
    let program = crate::process::Program::start_quiet(folder.path(), "127.0.0.1:0");
    let content = |path: &str| fs::read_to_string(folder.path().join(path)).ok();
    wait_for("the file", || content("run/whole.csv").filter(|it| it == "abc"));
    wait_for("the joined file", || content("run/joined.csv").filter(|it| it == "onetwo"));
    let (status, _, _) = program.end();
    assert!(status.success());
    assert_eq!((content("run/half.csv"), content("run/not.csv")), (None, None));
}
