//! Keys against the running server: who may read what, edits, guesses, and that no key shows.

use std::fs;
use std::io::{BufRead, ErrorKind, Read};
use std::time::Instant;

use crate::floods::{ENDLESS, put_endless};
use crate::support::{
    BERLIN_KEY, KEY, OLD_KEY, Setup, Site, TestServer, pattern, wait_for, write, write_keys,
};

fn volume() -> TestServer {
    let server =
        TestServer::start_with(Setup { extra_keys: "env-key,nameless", ..Setup::default() });
    for path in ["public/a.txt", "berlin/a.txt", "berlin-secret/a.txt", "zurich/a.txt"] {
        server.put(path, path.as_bytes());
    }
    server
}

fn status(server: &TestServer, target: &str, authorization: Option<&str>) -> u16 {
    let fields: Vec<_> = authorization.map(|it| ("Authorization", it)).into_iter().collect();
    server.request("GET", target, &fields).status
}

#[test]
fn a_key_opens_what_it_covers_and_nothing_else() {
    let server = volume();
    let check = |target: &str, authorization: Option<&str>, expected: u16| {
        assert_eq!(
            status(&server, target, authorization),
            expected,
            "{target} with {authorization:?}"
        );
    };
    check("/files/public/a.txt", None, 200);
    check("/files/public/", None, 200);
    check("/files/public/a.txt", Some("unknown"), 200);
    check("/files/public/a.txt", Some(BERLIN_KEY), 200);
    check("/files/public/none.txt", None, 404);
    check("/files/", None, 401);
    check("/files/berlin/a.txt", None, 401);
    check("/files/berlin/a.txt", Some("unknown"), 401);
    check("/files/berlin/a.txt", Some(OLD_KEY), 401);
    check("/files/berlin/a.txt", Some(KEY), 200);
    check("/files/berlin/a.txt", Some(BERLIN_KEY), 200);
    check("/files/berlin/", Some(BERLIN_KEY), 200);
    // Above its folder a key sees the way there (listings.rs).
    check("/files/", Some(BERLIN_KEY), 200);
    check("/files/zurich/a.txt", Some(BERLIN_KEY), 403);
    check("/files/berlin-secret/a.txt", Some(BERLIN_KEY), 403);
    check("/files/zurich/a.txt", Some("env-key"), 200);
    check("/files/zurich/a.txt", Some("nameless"), 200);
}

#[test]
fn a_key_comes_in_four_ways() {
    use base64::Engine;
    let server = volume();
    let basic =
        |text: String| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text));
    for value in [
        KEY.to_owned(),
        format!("Bearer {KEY}"),
        format!("bearer {KEY}"),
        basic(format!("anyone:{KEY}")),
        basic(format!(":{KEY}")),
    ] {
        assert_eq!(status(&server, "/files/zurich/a.txt", Some(&value)), 200, "{value}");
    }
    for value in [
        basic(format!("{KEY}:")),
        basic(KEY.to_owned()),
        "Basic !!!".to_owned(),
        "Bearer".to_owned(),
        format!("Digest {KEY}"),
        format!("{KEY} "),
        KEY[..KEY.len() - 1].to_owned(),
        format!("{KEY}x"),
        KEY.to_uppercase(),
    ] {
        // White space around a field's value is no part of it (RFC 9110 §5.5).
        let expected = if value.trim_end() == KEY { 200 } else { 401 };
        assert_eq!(status(&server, "/files/zurich/a.txt", Some(&value)), expected, "{value}");
    }
    assert_eq!(status(&server, &format!("/share/{KEY}/zurich/a.txt"), None), 200);
    assert_eq!(status(&server, &format!("/share/{KEY}/zurich/"), None), 200);
    assert_eq!(status(&server, &format!("/share/{KEY}/"), None), 200);
    assert_eq!(status(&server, &format!("/share/{KEY}/zurich"), None), 307);
    assert_eq!(
        status(&server, &format!("/share/{}/zurich/a.txt", KEY.replace('k', "%6b")), None),
        200
    );
    // A redirect would show the key once more, so the page itself says from where its links lead.
    for (target, key) in
        [(format!("/share/{KEY}"), KEY), (format!("/share/{BERLIN_KEY}"), BERLIN_KEY)]
    {
        let without_slash = server.request("GET", &target, &[]);
        assert_eq!((without_slash.status, without_slash.field("location")), (200, None));
        assert!(without_slash.text().contains(&format!("<base href=\"./{key}/\">")));
        let with_slash = server.request("GET", &format!("{target}/"), &[]);
        assert!(!with_slash.text().contains("<base"));
        let listing = server.request("GET", &format!("{target}?format=json"), &[]);
        assert_eq!(listing.json()[0]["name"], "berlin");
        assert_eq!(status(&server, &format!("{target}?other"), None), 400);
    }
    assert_eq!(status(&server, "/share/unknown", None), 401);
    assert_eq!(status(&server, "/share/", None), 404);
    assert_eq!(status(&server, &format!("/share/{BERLIN_KEY}/zurich/a.txt"), None), 403);
    assert_eq!(status(&server, "/share/unknown/zurich/a.txt", None), 401);
    assert_eq!(status(&server, "/share//zurich/a.txt", None), 401);
}

#[test]
fn a_refusal_does_not_tell_whether_something_exists() {
    let server = volume();
    for authorization in [None, Some("unknown"), Some(OLD_KEY), Some(BERLIN_KEY)] {
        let fields: Vec<_> = authorization.map(|it| ("Authorization", it)).into_iter().collect();
        let there = server.request("GET", "/files/zurich/a.txt", &fields);
        for other in
            ["/files/zurich/none.txt", "/files/zurich/", "/files/zurich", "/files/none/none/none"]
        {
            let response = server.request("GET", other, &fields);
            assert_eq!((response.status, &response.body), (there.status, &there.body), "{other}");
        }
    }
}

#[test]
fn a_refusal_says_what_to_do() {
    let server = volume();
    let response = server.request("GET", "/files/zurich/a.txt", &[]);
    let challenge = response.field("www-authenticate").unwrap();
    assert!(
        challenge.contains("Bearer realm=") && challenge.contains("Basic realm="),
        "{challenge}"
    );
    assert_eq!(response.field("content-type").as_deref(), Some("application/problem+json"));
    assert_eq!(response.field("access-control-allow-origin").as_deref(), Some("*"));
    let problem = response.json();
    assert_eq!(problem["type"], "urn:sounding:problem:key-needed");
    assert_eq!(problem["status"], 401);
    assert_eq!(problem["title"], "Unauthorized");
    assert!(problem["detail"].is_string());
    let expired = server.request("GET", "/files/zurich/a.txt", &[("Authorization", OLD_KEY)]);
    assert_eq!(expired.json()["type"], "urn:sounding:problem:expired-key");
    let html = server.request("GET", "/files/zurich/a.txt", &[("Accept", "text/html,*/*;q=0.8")]);
    assert_eq!(html.field("content-type").as_deref(), Some("text/html; charset=utf-8"));
    assert_eq!(html.status, 401);
    assert!(html.text().contains("A key is needed"));
    // For a person, who looks at it after Cancel: no field of HTTP's, and a way to be asked again.
    assert!(html.text().contains("Enter your key as the password"), "{}", html.text());
    assert!(!html.text().contains('`') && !html.text().contains("Authorization"));
    assert!(html.text().contains("<a href=\"\">Enter a key</a>"));
    // Below /share/KEY/ a browser's own question is of no use.
    let html = server.request("GET", "/share/unknown/berlin/", &[("Accept", "text/html")]);
    assert!(!html.text().contains("Enter a key"), "{}", html.text());
    assert_eq!(html.field("www-authenticate").as_deref(), Some("Bearer realm=\"sounding\""));
    let html = server.request("POST", "/files/berlin/", &[("Accept", "text/html")]);
    assert!(html.text().contains("The <code>Allow</code> field"), "{}", html.text());
    assert_eq!(html.field("content-length").unwrap(), html.body.len().to_string());
}

#[test]
fn an_edit_counts_from_the_next_request_on() {
    let server = volume();
    let keys = server.path(".sounding/auth-keys.csv");
    for round in 0..50 {
        let (new, gone) = (format!("key-{round:02}"), format!("key-{:02}", (round + 99) % 100));
        // In place and by rename, always the same size.
        let text = format!("kmt,{new}\n");
        if round % 2 == 0 {
            fs::write(&keys, text).unwrap();
        } else {
            fs::write(server.path(".sounding/beside"), text).unwrap();
            fs::rename(server.path(".sounding/beside"), &keys).unwrap();
        }
        assert_eq!(status(&server, "/files/zurich/a.txt", Some(&new)), 200, "round {round}");
        // Each from another address: this is about edits, not about guesses.
        let from = format!("198.51.100.{round}");
        let fields = [("Authorization", gone.as_str()), ("Fly-Client-IP", from.as_str())];
        assert_eq!(
            server.request("GET", "/files/zurich/a.txt", &fields).status,
            401,
            "round {round}"
        );
        assert_eq!(status(&server, "/files/zurich/a.txt", Some("env-key")), 200, "round {round}");
    }
}

fn health(server: &TestServer) -> serde_json::Value {
    let response = server.request("GET", "/health", &[]);
    assert_eq!(response.status, 200);
    response.json()
}

#[test]
fn a_broken_line_costs_only_itself_and_health_says_so() {
    let server = volume();
    assert_eq!(health(&server)["status"], "ok");
    fs::write(
        server.path(".sounding/auth-keys.csv"),
        b"kmt,first-key\nno comma here\nbad,bad-key,admin\nx,\xff\xfe\nzoe,last-key\n",
    )
    .unwrap();
    assert_eq!(status(&server, "/files/zurich/a.txt", Some("first-key")), 200);
    assert_eq!(status(&server, "/files/zurich/a.txt", Some("last-key")), 200);
    assert_eq!(status(&server, "/files/zurich/a.txt", Some("bad-key")), 401);
    let health = health(&server);
    assert_eq!(health["status"], "degraded");
    let warnings = health["warnings"].to_string();
    for line in ["line 2", "line 3", "line 4"] {
        assert!(warnings.contains(line), "{warnings}");
    }
    assert!(!warnings.contains("bad-key") && !warnings.contains("no comma"), "{warnings}");
}

#[test]
fn a_file_that_is_half_written_or_unreadable_keeps_the_last_good_keys() {
    let server = volume();
    let keys = server.path(".sounding/auth-keys.csv");
    let good = fs::read(&keys).unwrap();
    assert_eq!(status(&server, "/files/zurich/a.txt", Some(KEY)), 200);
    let is_kept = |what: &str| {
        assert_eq!(status(&server, "/files/zurich/a.txt", Some(KEY)), 200, "{what}");
        assert_eq!(status(&server, "/files/berlin/a.txt", Some(BERLIN_KEY)), 200, "{what}");
        let health = health(&server);
        assert_eq!(health["status"], "degraded", "{what}");
        assert!(health["warnings"].to_string().contains("last good keys"), "{what}: {health}");
    };
    let is_mended = || {
        fs::write(&keys, &good).unwrap();
        assert_eq!(status(&server, "/files/zurich/a.txt", Some(KEY)), 200);
        wait_for("health to be ok again", || (health(&server)["status"] == "ok").then_some(()));
    };
    fs::write(&keys, &good[..good.len() / 2]).unwrap();
    is_kept("cut off");
    is_mended();
    fs::write(&keys, b"").unwrap();
    is_kept("emptied");
    is_mended();
    fs::write(&keys, b"\x00\xff\x00garbage\n\x01\x02\n").unwrap();
    is_kept("garbage");
    is_mended();
    fs::remove_file(&keys).unwrap();
    fs::create_dir(&keys).unwrap();
    is_kept("a folder in its place");
    fs::remove_dir(&keys).unwrap();
    is_mended();
    // What is new in a file whose last line has no end counts at once all the same.
    fs::write(&keys, format!("new,new-key\nkmt,{}", &KEY[..4])).unwrap();
    assert_eq!(status(&server, "/files/zurich/a.txt", Some("new-key")), 200);
    is_kept("without a last line end");
}

#[test]
fn too_many_wrong_keys_are_slowed_down_and_a_right_one_is_not_locked_out() {
    let server = volume();
    let client = |it: u32| format!("198.51.100.{it}");
    let try_key = |key: &str, from: &str| {
        server.request(
            "GET",
            "/files/zurich/a.txt",
            &[("Authorization", key), ("Fly-Client-IP", from)],
        )
    };
    let mut refused = None;
    for round in 0..25 {
        let response = try_key(&format!("guess-{round}"), &client(1));
        match response.status {
            401 => assert!(refused.is_none(), "429 stays"),
            429 => refused = Some(response),
            status => panic!("{status} for a wrong key"),
        }
    }
    let refused = refused.expect("429 after 25 wrong keys");
    let seconds: u64 = refused.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=61).contains(&seconds), "{seconds}");
    assert_eq!(refused.json()["type"], "urn:sounding:problem:too-many-wrong-keys");
    // A right key from the same address: late the first time, so that its answer tells no guesser more; then not.
    let began = Instant::now();
    assert_eq!(try_key(KEY, &client(1)).status, 200);
    assert!(
        began.elapsed() >= sounding_server::WRONG_KEY_DELAY,
        "a right key is told by its speed"
    );
    for _ in 0..3 {
        assert_eq!(try_key(KEY, &client(1)).status, 200);
    }
    // New ones come one after the other, however many connections they come over.
    let keys: Vec<String> = (0..8).map(|it| format!("new-{it}-of-eight-keys-012345")).collect();
    let lines = keys.join("\nnew,");
    fs::write(server.path(".sounding/auth-keys.csv"), format!("kmt,{KEY}\nnew,{lines}\n")).unwrap();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for key in &keys {
            scope.spawn(|| assert_eq!(try_key(key, &client(1)).status, 200));
        }
    });
    assert!(began.elapsed() >= sounding_server::WRONG_KEY_DELAY * 8, "{:?}", began.elapsed());
    // Other addresses, and what needs no key, are not concerned.
    assert_eq!(try_key("guess", &client(2)).status, 401);
    let public = [("Authorization", "guess"), ("Fly-Client-IP", "198.51.100.1")];
    assert_eq!(server.request("GET", "/files/public/a.txt", &public).status, 200);
    assert_eq!(server.request("GET", "/health", &public).status, 200);
}

#[test]
fn wrong_keys_on_public_paths_are_no_guesses() {
    let server = volume();
    for _ in 0..100 {
        assert_eq!(status(&server, "/files/public/a.txt", Some("unknown")), 200);
    }
    assert_eq!(status(&server, "/files/zurich/a.txt", Some("unknown")), 401);
}

#[test]
fn what_needs_no_key_tells_no_guesser_which_one_is_right() {
    let server = volume();
    let has_upload_area = |key: &str, from: &str| {
        let fields = [("Authorization", key), ("Fly-Client-IP", from), ("Accept", "text/html")];
        let page = server.request("GET", "/files/public/", &fields);
        assert_eq!(page.status, 200);
        page.text().contains("id=\"upload\"")
    };
    for guess in 0..40 {
        assert!(!has_upload_area(&format!("guess-{guess}"), "198.51.100.1"));
    }
    assert!(!has_upload_area(KEY, "198.51.100.1"), "a guesser found it");
    assert!(has_upload_area(KEY, "203.0.113.2"));
    // Where it was right before, it goes on being so.
    let fields = [("Authorization", KEY), ("Fly-Client-IP", "198.51.100.1")];
    assert_eq!(server.request("GET", "/files/zurich/a.txt", &fields).status, 200);
    assert!(has_upload_area(KEY, "198.51.100.1"));
}

#[test]
fn nobody_is_let_in_by_a_key_of_nothing() {
    let server = volume();
    // `printf '' | sha256sum`, `echo | sha256sum`: what a script makes of an unset variable.
    for hash in [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "01ba4719c80b6fe911b091a7c05124b64eeece964e09c058ef8f9805daca546b",
    ] {
        let text = format!("kmt,{KEY}\n#!sha256,x,{hash},write\ny,y-\n\"z\",\"\"\n");
        fs::write(server.path(".sounding/auth-keys.csv"), text).unwrap();
        assert_eq!(status(&server, "/files/zurich/a.txt", Some(KEY)), 200);
        for nothing in ["Basic eDo=", "Basic eDoK", "Bearer", "Bearer ", "y-", "\"\""] {
            assert_eq!(status(&server, "/files/zurich/a.txt", Some(nothing)), 401, "{nothing}");
        }
        for target in ["/share//zurich/a.txt", "/share/%0a/zurich/a.txt", "/share/%20/zurich/a.txt"]
        {
            assert_ne!(status(&server, target, None), 200, "{target}");
        }
        let health = server.request("GET", "/health", &[]).text();
        assert!(health.contains("line 2: its key is the SHA-256 of nothing"), "{health}");
    }
}

/// What an answer says of addresses, to whom follows its links or its redirect.
#[test]
fn what_has_the_key_in_its_address_passes_it_on_in_no_field() {
    let server = volume();
    for target in [
        format!("/share/{KEY}"),
        format!("/share/{KEY}/"),
        format!("/share/{KEY}/zurich"),
        format!("/share/{KEY}/zurich/"),
        format!("/share/{KEY}/zurich/a.txt"),
        format!("/share/{KEY}//zurich"),
        format!("/share/{KEY}/zurich%2F"),
        format!("/share/{KEY}/none"),
        format!("/share/{KEY}/../x"),
        format!("//share/{KEY}/zurich"),
        format!("/Share/{KEY}/zurich"),
        format!("/share%2F{KEY}/zurich"),
        format!("/{KEY}"),
    ] {
        for method in ["GET", "HEAD", "PUT", "DELETE", "POST"] {
            let fields = [("Accept", "text/html"), ("Content-Length", "0")];
            let answer = server.request(method, &target, &fields);
            let policy = answer.field("referrer-policy");
            assert_eq!(policy.as_deref(), Some("no-referrer"), "{method} {target}");
            assert!(!format!("{:?}", answer.fields).contains(KEY), "{method} {target}");
        }
    }
}

/// Begins an answer, takes its key away, and reads what still comes of it. Whether that was cut off.
pub fn is_cut_off(server: &Site, target: &str, fields: &[(&str, &str)]) -> bool {
    const FAR_TOO_MUCH: usize = 1 << 30;
    write_keys(server.folder.path());
    let mut connection = server.connect();
    connection.send("GET", target, &[&[("Authorization", KEY)], fields].concat());
    let head = connection.receive_head();
    assert!(matches!(head.status, 200 | 206), "{target}: {}", head.status);
    let other = "zoe,zoe-covers-everything-0123456789\n";
    fs::write(server.path(".sounding/auth-keys.csv"), other).unwrap();
    let (mut buffer, mut read) = (vec![0; 1 << 20], 0);
    let mut end = Vec::new();
    loop {
        let length = match connection.stream.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("{target} stands still"),
            Ok(0) | Err(_) => break,
            Ok(length) => length,
        };
        read += length;
        end = buffer[length.saturating_sub(5)..length].to_vec();
        if read > FAR_TOO_MUCH {
            return false;
        }
    }
    let is_chunked = head.field("transfer-encoding").is_some();
    let length = head.field("content-length").map(|it| it.parse::<usize>().unwrap());
    if is_chunked { end != b"0\r\n\r\n" } else { read < length.unwrap() }
}

#[test]
fn a_download_ends_when_its_key_is_taken_away() {
    let server = volume();
    for name in ["zurich/endless.bin", "zurich/endless.csv", "public/endless.bin"] {
        put_endless(&server, name);
    }
    for number in 0..8000 {
        write(&server.path(&format!("zurich/many/a-name-that-is-not-short-{number}.csv")), b"");
    }
    std::os::unix::fs::symlink("../zurich/endless.bin", server.path("public/link.bin")).unwrap();
    let file = "/files/zurich/endless.bin";
    let share = format!("/share/{KEY}/zurich/endless.bin");
    let listing = "/files/zurich/many/";
    for (target, fields) in [
        (file, &[][..]),
        // By what is known of it by now.
        (file, &[]),
        (&share, &[]),
        (file, &[("Range", "bytes=1000-")]),
        (file, &[("Range", "bytes=1-30000000000,30000001000-")]),
        ("/files/zurich/endless.csv", &[("Accept-Encoding", "gzip")]),
        ("/files/zurich/endless.csv", &[("Accept-Encoding", "zstd")]),
        ("/files/public/link.bin", &[]),
        (listing, &[("Accept", "text/html")]),
        (listing, &[("Accept", "application/json")]),
        // Over hyper.
        (file, &[("Content-Length", "0")]),
        (file, &[("Connection", "close")]),
    ] {
        assert!(is_cut_off(&server, target, fields), "{target}, {fields:?}");
    }
    // What anyone may have goes on.
    assert!(!is_cut_off(&server, "/files/public/endless.bin", &[]));
}

#[test]
fn a_download_goes_on_while_its_key_is_good_whatever_becomes_of_others() {
    let server = volume();
    let content = pattern(64 << 20);
    server.put("zurich/large.bin", &content);
    let mut connection = server.connect();
    connection.send("GET", "/files/zurich/large.bin", &[("Authorization", KEY)]);
    connection.stream.fill_buf().unwrap();
    fs::write(server.path(".sounding/auth-keys.csv"), format!("new,{KEY},read,zurich\n")).unwrap();
    let response = connection.receive("GET");
    assert!(response.is_complete && response.body == content);
    // A key that covers less now is not good for the rest.
    put_endless(&server, "zurich/endless.bin");
    let mut connection = server.connect();
    connection.send("GET", "/files/zurich/endless.bin", &[("Authorization", KEY)]);
    assert_eq!(connection.receive_head().status, 200);
    fs::write(server.path(".sounding/auth-keys.csv"), format!("new,{KEY},read,berlin\n")).unwrap();
    let rest = &mut connection.stream.by_ref().take(ENDLESS);
    let read = std::io::copy(rest, &mut std::io::sink()).unwrap_or_default();
    assert!(read < ENDLESS, "all of it came");
}
