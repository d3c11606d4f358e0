//! Attacks on the path: nothing outside the volume, and nothing hidden in it, is ever read.
//!
//! Each attack is sent as it stands, on every route that takes a path, with a key that covers everything, by both
//! ways of looking up. A canary lies outside the volume and in its hidden places; it must never come back.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;

use crate::support::{BERLIN_KEY, KEY, Setup, TestServer, write};

const CANARY: &str = "canary-that-never-sings";

/// Where the canaries lie: beside the volume, in its hidden folders, behind links.
fn volume(has_openat2: bool) -> (TestServer, tempfile::TempDir) {
    let server = TestServer::start_with(Setup { has_openat2, ..Setup::default() });
    let outside = tempfile::tempdir().unwrap();
    write(&outside.path().join("canary.txt"), CANARY.as_bytes());
    write(&outside.path().join("deep/canary.txt"), CANARY.as_bytes());
    // Next to the volume, where one `..` too many would lead.
    write(&server.path("../canary.txt"), CANARY.as_bytes());
    for hidden in [
        ".env",
        ".git/config",
        ".sounding/secret.txt",
        ".ssh/id_rsa",
        "run/.env",
        "run/.sounding/x",
    ] {
        server.put(hidden, CANARY.as_bytes());
    }
    server.put("run/file.txt", b"fine");
    server.put("public/file.txt", b"fine");
    server.put("private/secret.txt", b"private");
    let link = |target: &str, at: &str| symlink(target, server.path(at)).unwrap();
    let outside_path = outside.path().to_str().unwrap().to_owned();
    link(&format!("{outside_path}/canary.txt"), "run/to-file");
    link(&outside_path, "run/to-folder");
    link("to-folder", "run/to-link");
    link("../../canary.txt", "run/up");
    link("../..", "run/upper");
    link("../.env", "run/to-hidden");
    link("../.sounding", "run/to-service");
    link("/proc/self/environ", "run/environ");
    link("/proc/self/root", "run/root");
    link("/", "run/slash");
    link("loop-b", "run/loop-a");
    link("loop-a", "run/loop-b");
    link("nowhere", "run/dangling");
    link("../private", "public/private");
    (server, outside)
}

/// Targets behind `/files/`, as they stand on the wire.
const ATTACKS: &[&str] = &[
    // Climbing.
    "../canary.txt",
    "../../canary.txt",
    "run/../../canary.txt",
    "run/../file.txt",
    "run/..",
    "..",
    "../",
    "../../../../../../../../etc/passwd",
    "run/../../../../../../../../etc/passwd",
    // Encoded.
    "%2e%2e/canary.txt",
    "%2E%2E/canary.txt",
    ".%2e/canary.txt",
    "%2e./canary.txt",
    "%2e%2e%2fcanary.txt",
    "..%2fcanary.txt",
    "..%2Fcanary.txt",
    "run%2f..%2f..%2fcanary.txt",
    "run/%2e%2e/%2e%2e/canary.txt",
    "%2fetc/passwd",
    "%2fetc%2fpasswd",
    "run%2F%2e%2e%2F%2e%2e%2Fcanary.txt",
    "run/.%2F..%2F../canary.txt",
    "run/.%2F../canary.txt",
    "run//..//..//canary.txt",
    "run/./.././../canary.txt",
    "%2F%2F..%2Fcanary.txt",
    "run/%2F../canary.txt",
    "run/file.txt/.%2F..",
    "run%2F.env",
    "run/.%2F.env",
    "run%2f.sounding%2fx",
    "%2F.sounding%2Fauth-keys.csv",
    "//.sounding//auth-keys.csv",
    "./.sounding/./auth-keys.csv",
    "run%2Fto-file",
    "run%2F/to-folder/./canary.txt",
    "run/./upper%2Fcanary.txt",
    "%2Fproc%2Fself%2Fenviron",
    "run%2ffile.txt%00",
    "run/file.txt%2F",
    "run/file.txt/.",
    // Encoded twice, or over-long, or in another alphabet.
    "%252e%252e/canary.txt",
    "%252e%252e%252fcanary.txt",
    "..%252fcanary.txt",
    "%25252e%25252e/canary.txt",
    "%c0%ae%c0%ae/canary.txt",
    "%c0%ae%c0%ae%c0%afcanary.txt",
    "%c0%2e%c0%2e/canary.txt",
    "..%c0%afcanary.txt",
    "..%c1%9ccanary.txt",
    "%e0%80%ae%e0%80%ae/canary.txt",
    "%u002e%u002e/canary.txt",
    "%uff0e%uff0e/canary.txt",
    "%ef%bc%8e%ef%bc%8e/canary.txt",
    "..%ef%bc%8fcanary.txt",
    "%e2%80%a5/canary.txt",
    // Backslashes and drives.
    "..\\canary.txt",
    "..%5ccanary.txt",
    "..%5Ccanary.txt",
    "run%5c..%5c..%5ccanary.txt",
    "%5c..%5ccanary.txt",
    "C:/canary.txt",
    "C:%5ccanary.txt",
    "file:///etc/passwd",
    "run:file.txt",
    // Slashes in a row, and absolute.
    "/etc/passwd",
    "//etc/passwd",
    "run/file.txt//",
    // NUL and control characters.
    "run/file.txt%00",
    "run/file.txt%00.csv",
    "%00",
    "%00/run/file.txt",
    ".%00./canary.txt",
    "..%00/canary.txt",
    "..%0d%0a/canary.txt",
    "..%0a/canary.txt",
    "..%09/canary.txt",
    "..%20/canary.txt",
    "%20../canary.txt",
    "..;/canary.txt",
    ";/../canary.txt",
    "run;/../../canary.txt",
    "run/file.txt;x",
    // Escapes that are none.
    "%",
    "%2",
    "%zz",
    "run/%g0",
    "%%32%65%%32%65/canary.txt",
    "run/file.txt%",
    // Hidden.
    ".env",
    "%2eenv",
    "%2Eenv",
    ".git/config",
    "%2egit/config",
    ".git/",
    ".ssh/id_rsa",
    ".sounding",
    ".sounding/",
    ".sounding/auth-keys.csv",
    "%2esounding/auth-keys.csv",
    ".sounding%2fauth-keys.csv",
    ".%73ounding/auth-keys.csv",
    ".sounding/secret.txt",
    ".sounding/../.sounding/auth-keys.csv",
    "run/../.sounding/auth-keys.csv",
    "run/.env",
    "run/.sounding/x",
    "run/.../canary.txt",
    ".Sounding/auth-keys.csv",
    // Links that lead out, into hidden places, or nowhere.
    "run/to-file",
    "run/to-folder/canary.txt",
    "run/to-folder/deep/canary.txt",
    "run/to-folder/",
    "run/to-folder",
    "run/to-link/canary.txt",
    "run/up",
    "run/upper/canary.txt",
    "run/to-hidden",
    "run/to-service/auth-keys.csv",
    "run/to-service/journal.sqlite",
    "run/to-service/",
    "run/environ",
    "run/root/etc/passwd",
    "run/slash/etc/passwd",
    "run/loop-a",
    "run/loop-a/file.txt",
    "run/dangling",
    // What a file is not.
    "run/file.txt/",
    "run/file.txt/x",
    "run/file.txt/..",
    "RUN/file.txt",
    "run/FILE.txt",
    "run/file.txt.",
    "run/file.txt%20",
    "run/file.txt::$DATA",
    "~root/.bashrc",
    "~/canary.txt",
    "run/file.txt~",
    "proc/self/environ",
];

/// Nothing that must not be seen, whatever the answer.
fn must_not_sing(what: &str, body: &str) {
    for secret in [CANARY, KEY, BERLIN_KEY, "root:x:0", "PATH="] {
        assert!(!body.contains(secret), "{what} brought {secret}");
    }
}

#[test]
fn no_attack_on_the_path_leads_out() {
    assert!(ATTACKS.len() >= 100);
    for has_openat2 in [true, false] {
        let (server, _outside) = volume(has_openat2);
        let long_name = "x".repeat(9000);
        let deep = "a/".repeat(3000);
        let climbing = "../".repeat(2000);
        let more = [long_name.as_str(), deep.as_str(), climbing.as_str()];
        for attack in ATTACKS.iter().chain(&more) {
            for target in [format!("/files/{attack}"), format!("/share/{KEY}/{attack}")] {
                for method in ["GET", "HEAD"] {
                    let response = server.request(method, &target, &[("Authorization", KEY)]);
                    let what = format!("{method} {target:.80} (openat2: {has_openat2})");
                    assert!((400..500).contains(&response.status), "{what}: {}", response.status);
                    must_not_sing(&what, &response.text());
                    assert!(!format!("{:?}", response.fields).contains(CANARY), "{what}");
                }
            }
        }
    }
}

#[test]
fn no_attack_on_the_request_line_leads_out() {
    let (server, _outside) = volume(true);
    for target in [
        "/files/../canary.txt",
        "/../canary.txt",
        "/../../etc/passwd",
        "//files/run/file.txt",
        "//files/../run/file.txt",
        "/../files/run/file.txt",
        "/files//run/file.txt",
        "/FILES/run/file.txt",
        "/files;/run/file.txt",
        "/files/..;/run/file.txt",
        "/%66iles/%2e%2e/canary.txt",
        "/health/../files/run/file.txt",
        "/share//run/file.txt",
        "/share/../files/run/file.txt",
        "http://localhost/files/../canary.txt",
        "http://evil.example/files/.sounding/auth-keys.csv",
        "/files/run/to-file?x=/../run/file.txt",
        "/public/file.txt",
        "/files/public/../run/file.txt",
        "/files/public/%2e%2e/run/file.txt",
        "/files/public%2f..%2frun/file.txt",
        "/files/public%2F..%2Frun%2Ffile.txt",
        "/files/public/./../run/file.txt",
        "/files/public//..//run/file.txt",
        "/files/public/.%2F../run/file.txt",
        "/files/./run/file.txt",
        "/files/%2Frun/file.txt",
        "/files/%2e/run/file.txt",
        "/files//public/../run/file.txt",
        "/files/publi%63%2F..%2Frun/file.txt",
        "/files/public%2Fprivate%2Fsecret.txt",
        "/files/public//private/./secret.txt",
        "//share/../kmt-covers-everything/run/file.txt",
        "/share%2Fkmt-covers-everything/run/file.txt",
        "/share/kmt-covers-everything%2Frun/file.txt",
    ] {
        // Without a key: also nothing private.
        let response = server.request("GET", target, &[]);
        assert!((400..500).contains(&response.status), "{target}: {}", response.status);
        assert_ne!(response.text(), "fine", "{target}");
        must_not_sing(target, &response.text());
    }
}

/// A client joins an address that ends in `/` with a path that begins with one.
#[test]
fn a_route_is_found_behind_empty_names() {
    let (server, _outside) = volume(true);
    for (number, front) in ["/", "//", "/.", "/.//%2e/%2E"].into_iter().enumerate() {
        let key = [("Authorization", KEY)];
        let answer = server.request("GET", &format!("{front}/files/run/file.txt"), &key);
        assert_eq!((answer.status, answer.text().as_str()), (200, "fine"), "{front}");
        let target = format!("{front}/files/run/file.txt");
        assert_eq!(server.request("GET", &target, &[]).status, 401, "{front}");
        for shared in [format!("{front}/share/{KEY}"), format!("/share{front}/{KEY}")] {
            let answer = server.request("GET", &format!("{shared}/run/file.txt"), &[]);
            assert_eq!((answer.status, answer.text().as_str()), (200, "fine"), "{shared}");
            let answer = server.request("GET", &format!("{shared}/run"), &[]);
            let location = answer.field("location");
            assert_eq!((answer.status, location.as_deref()), (307, Some("./run/")), "{shared}");
        }
        for target in ["/health", "/changes?wait=0", "/files/?format=json"] {
            let answer = server.request("GET", &format!("{front}{target}"), &key);
            assert_eq!(answer.status, 200, "{front}{target}");
        }
        let target = format!("{front}/files/run/new{number}.txt");
        assert_eq!(server.request("PUT", &target, &key).status, 201, "{front}");
        assert!(server.path(&format!("run/new{number}.txt")).exists(), "{front}");
    }
}

/// In how many ways clients write `berlin/run/file.txt`.
const SPELLINGS: &[&str] = &[
    "berlin/run/file.txt",
    "/berlin/run/file.txt",
    "//berlin/run/file.txt",
    "berlin//run/file.txt",
    "berlin///run//file.txt",
    "./berlin/run/file.txt",
    "berlin/./run/file.txt",
    "berlin/%2e/run/file.txt",
    "berlin%2Frun%2Ffile.txt",
    "berlin%2frun/file.txt",
    "%2Fberlin%2F%2Frun%2F.%2Ffile.txt",
    "berlin/.%2F/run/file.txt",
    "%62erlin/run/file%2Etxt",
];

#[test]
fn however_a_client_writes_a_path_it_is_the_one_clean_path() {
    let server = TestServer::start();
    server.put("berlin/run/file.txt", b"fine");
    server.put("berlin/run/large.bin", &vec![7; 100_000]);
    for spelling in SPELLINGS {
        for prefix in ["/files".to_owned(), format!("/share/{KEY}"), format!("/share/{BERLIN_KEY}")]
        {
            let target = format!("{prefix}/{spelling}");
            let ask = |method: &str, target: &str, key: &str| {
                let fields: &[(&str, &str)] =
                    if key.is_empty() { &[] } else { &[("Authorization", key)] };
                server.request(method, target, fields)
            };
            let keys = if prefix == "/files" { [KEY, BERLIN_KEY] } else { ["", ""] };
            // The second and third time what is known is answered at once, also to whoever has another key.
            for key in [keys[0], keys[0], keys[1], keys[1]] {
                let response = ask("GET", &target, key);
                assert_eq!((response.status, response.text().as_str()), (200, "fine"), "{target}");
                assert_eq!(ask("HEAD", &target, key).status, 200, "{target}");
                let large =
                    target.replace("file.txt", "large.bin").replace("file%2Etxt", "large.bin");
                assert_eq!(ask("GET", &large, key).body.len(), 100_000, "{large}");
                let folder = target.replace("file.txt", "").replace("file%2Etxt", "");
                let listing = ask("GET", &format!("{folder}?format=json"), key);
                assert_eq!(
                    (listing.status, listing.json()[0]["name"].as_str()),
                    (200, Some("file.txt")),
                    "{folder}"
                );
            }
            if prefix == "/files" {
                // Known though it is, it is no less private.
                assert_eq!(ask("GET", &target, "").status, 401, "{target}");
                assert_eq!(ask("GET", &target, "none-of-ours").status, 401, "{target}");
                assert_eq!(
                    ask(
                        "GET",
                        &target.replace("berlin", "zurich").replace("%62erlin", "zurich"),
                        BERLIN_KEY
                    )
                    .status,
                    403
                );
            }
        }
        // What changes something: the same path, and the same right to it.
        let target = format!(
            "/files/{}",
            spelling.replace("file.txt", "new.txt").replace("file%2Etxt", "new.txt")
        );
        let change = |method: &str, key: &str| {
            server.request(method, &target, &[("Authorization", key), ("Content-Length", "0")])
        };
        assert_eq!(change("PUT", BERLIN_KEY).status, 403, "{target}");
        assert_eq!(change("DELETE", BERLIN_KEY).status, 403, "{target}");
        let put = change("PUT", KEY);
        assert_eq!(put.status, 201, "{target}");
        assert!(server.path("berlin/run/new.txt").exists(), "{target}");
        // Where it is now is said relative to the request's own address.
        let location = put.field("location").unwrap();
        let base = target.rsplit_once('/').unwrap().0;
        let there = format!("{base}/{}", location.strip_prefix("./").unwrap());
        assert_eq!(server.get(&there, &[]).status, 200, "{target}: {location}");
        assert_eq!(change("DELETE", KEY).status, 204, "{target}");
        assert!(!server.path("berlin/run/new.txt").exists(), "{target}");
    }
    for (spelling, status) in [
        ("berlin//./run", 200),
        ("/berlin/", 200),
        ("zurich//", 403),
        ("berlin/../zurich", 400),
        (".", 200),
    ] {
        let target = format!("/changes?path={spelling}");
        let response = server.request("GET", &target, &[("Authorization", BERLIN_KEY)]);
        assert_eq!(response.status, status, "{target}");
    }
}

#[test]
fn a_redirect_leads_to_the_same_folder_on_the_same_server() {
    let server = TestServer::start();
    server.put("berlin/run/file.txt", b"fine");
    let prefixes = ["/files".to_owned(), format!("/share/{KEY}")];
    for prefix in &prefixes {
        for (spelling, location) in [
            ("berlin/run", Some("../berlin/run/")),
            ("/berlin/run", Some("./run/")),
            ("berlin//run", Some("./run/")),
            ("berlin%2Frun", Some("./berlin/run/")),
            ("%2F%2Fberlin%2F/run", Some("./run/")),
            ("%2F%2Fberlin%2Frun", Some("./berlin/run/")),
            ("/%2Fberlin%2Frun", Some("./berlin/run/")),
            // A page's links are relative, so it needs the address that they hold from.
            ("berlin%2Frun%2F", Some("./berlin/run/")),
            ("berlin/run/", None),
            ("berlin/run//", None),
            ("berlin/run/.", None),
            ("berlin%2Frun/", None),
        ] {
            let target = format!("{prefix}/{spelling}");
            let response = server.get(&target, &[]);
            assert_eq!(response.field("location").as_deref(), location, "{target}");
            let target = match location {
                None => target,
                Some(location) => {
                    assert_eq!(response.status, 307, "{target}");
                    let up = location.matches("../").count();
                    let base = target.rsplitn(up + 2, '/').last().unwrap();
                    format!("{base}/{}", location.trim_start_matches(['.', '/']))
                }
            };
            let page = server.get(&target, &[]);
            assert_eq!(page.status, 200, "{target}");
            // Resolved as RFC 3986 §5.2 has it.
            let base = target.rsplit_once('/').unwrap().0;
            assert!(page.text().contains("<td><a href=\"file.txt\">"), "{target}");
            assert_eq!(server.get(&format!("{base}/file.txt"), &[]).text(), "fine", "{target}");
        }
    }
    // A program takes a folder's JSON at the address that it writes.
    let listing = server.get("/files/berlin%2Frun%2F?format=json", &[]);
    assert_eq!((listing.status, listing.json()[0]["name"].as_str()), (200, Some("file.txt")));
}

#[test]
fn the_path_that_was_checked_is_the_path_that_is_opened() {
    let (server, _outside) = volume(true);
    // A link in `public` does not publish what it leads to.
    assert_eq!(server.request("GET", "/files/public/private/secret.txt", &[]).status, 401);
    assert_eq!(server.request("GET", "/files/public/private/", &[]).status, 401);
    let berlin = [("Authorization", BERLIN_KEY)];
    assert_eq!(server.request("GET", "/files/public/private/secret.txt", &berlin).status, 403);
    let listing = server.request("GET", "/files/public/?format=json", &[]).text();
    assert!(!listing.contains("private"), "{listing}");
    let whole = server.get("/files/public/private/secret.txt", &[]);
    assert_eq!((whole.status, whole.text().as_str()), (200, "private"));
}

#[test]
fn a_listing_shows_nothing_that_could_not_be_fetched() {
    for has_openat2 in [true, false] {
        let (server, _outside) = volume(has_openat2);
        for target in ["/files/", "/files/run/", "/files/public/"] {
            let entries = server.get(&format!("{target}?format=json"), &[]).json();
            for entry in entries.as_array().unwrap() {
                let slash = if entry["type"] == "directory" { "/" } else { "" };
                let target = format!("{target}{}{slash}", entry["name"].as_str().unwrap());
                assert_eq!(server.get(&target, &[]).status, 200, "{target}");
            }
        }
    }
}

#[test]
fn only_regular_files_are_opened_and_nothing_hangs() {
    for has_openat2 in [true, false] {
        let server = TestServer::start_with(Setup { has_openat2, ..Setup::default() });
        server.put("run/file.txt", b"fine");
        let fifo = server.path("run/fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let _socket = UnixListener::bind(server.path("run/socket")).unwrap();
        let device = server.path("run/null");
        let has_device =
            Command::new("mknod").arg(&device).args(["c", "1", "3"]).status().unwrap().success();
        let mut names = vec!["fifo", "socket"];
        names.extend(has_device.then_some("null"));
        for name in names {
            let response = server.get(&format!("/files/run/{name}"), &[]);
            assert_eq!(response.status, 404, "{name}");
            assert_eq!(response.json()["type"], "urn:sounding:problem:not-found");
        }
        assert!(!server.get("/files/run/", &[]).text().contains("fifo"));
    }
}

#[test]
fn names_of_all_kinds_are_served() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let server = TestServer::start();
    let names: [&[u8]; 22] = [
        b"plain.csv",
        b"with space.csv",
        "m\u{fc}nchen.csv".as_bytes(),
        "mu\u{308}nchen.csv".as_bytes(),
        b"a&b.csv",
        b"a#b.csv",
        b"100%.csv",
        b"%41.csv",
        b"a+b.csv",
        b"\"quoted\".csv",
        b"it's.csv",
        b"<b>bold.csv",
        b"a;b=c.csv",
        b"a:b.csv",
        b"a?b.csv",
        b"a\\b.csv",
        b"-dash.csv",
        b"new\nline.csv",
        b"\x1b]0;title\x07.csv",
        "gnp.\u{202e}exe".as_bytes(),
        b"latin1-\xe9.csv",
        "\u{1f6b2} bikes.csv".as_bytes(),
    ];
    for name in names {
        write(&server.folder.path().join("run").join(OsStr::from_bytes(name)), name);
    }
    for name in names {
        let target = format!("/files/run/{}", volume::escape(name));
        let response = server.get(&target, &[]);
        assert_eq!((response.status, response.body.as_slice()), (200, name), "{target}");
        let download =
            server.get(&format!("{target}?download"), &[]).field("content-disposition").unwrap();
        assert!(
            download.starts_with("attachment; filename=\"") && download.is_ascii(),
            "{download}"
        );
    }
    // Read as SimWrapper does: the text in the first quotes behind the cell's beginning, line by line.
    let page = server.get("/files/run/", &[]).text();
    let mut listed: Vec<Vec<u8>> = page
        .lines()
        .filter_map(|line| line.split_once("<td><a href=\"")?.1.split_once('"'))
        .map(|(href, _)| server.get(&format!("/files/run/{href}"), &[]).body)
        .collect();
    let mut expected: Vec<Vec<u8>> = names.iter().map(|it| it.to_vec()).collect();
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
    assert!(!page.contains("<b>bold") && !page.contains('\u{1b}') && !page.contains('\u{202e}'));
    // And so through JSON: the name, or the address where the name is no text.
    for entry in server.get("/files/run/?format=json", &[]).json().as_array().unwrap() {
        let name = entry["name"].as_str().unwrap();
        let href =
            entry["href"].as_str().map_or_else(|| volume::escape(name.as_bytes()), str::to_owned);
        assert_eq!(server.get(&format!("/files/run/{href}"), &[]).status, 200, "{entry}");
    }
}
