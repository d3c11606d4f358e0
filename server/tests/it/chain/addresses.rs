//! However a client writes an address, nginx hands it on as it is; and whatever is wrong with it, no log shows a key.

use std::process::Command;

use super::{in_chain, wait_for};
use crate::support::{BERLIN_KEY, KEY};

/// In how many ways clients write `berlin/run/a b.csv`: `SimWrapper` with two slashes, rclone with a dot, generated clients with
/// slashes that are encoded.
const SPELLINGS: &[&str] = &[
    "berlin/run/a%20b.csv",
    "/berlin/run/a%20b.csv",
    "//berlin/run/a%20b.csv",
    "berlin//run///a%20b.csv",
    "./berlin/run/a%20b.csv",
    "berlin/./run/%2E/a%20b.csv",
    "berlin%2Frun%2Fa%20b.csv",
    "berlin%2frun/a%20b.csv",
    "%2Fberlin%2F%2Frun%2F.%2Fa%20b.csv",
    "%62erlin/run/a%20b%2Ecsv",
];

#[test]
fn every_spelling_of_an_address_goes_through() {
    in_chain(&[], |chain| {
        chain.wait_until_ready();
        // By the service, so that the folder is its own.
        let mut connection = chain.patient();
        let authorization = [("Authorization", KEY)];
        connection.send_body("PUT", "/files/berlin/run/a%20b.csv", b"a;b\n", &authorization);
        assert_eq!(connection.receive("PUT").status, 201);
        for spelling in SPELLINGS {
            // As a program, which would clean the path if it weren't told not to.
            let address = format!("http://{}/files/{spelling}", chain.address);
            let authorization = format!("Authorization: {BERLIN_KEY}");
            let curl = Command::new("curl")
                .args(["-sS", "--fail", "--max-time", "60", "--noproxy", "*", "--path-as-is"])
                .args(["-H", &authorization, &address])
                .output()
                .unwrap();
            assert!(curl.status.success() && curl.stdout == b"a;b\n", "{spelling}: {curl:?}");
            for (prefix, key) in [("/files".to_owned(), KEY), (format!("/share/{KEY}"), "")] {
                let target = format!("{prefix}/{spelling}");
                let ask = |method: &str, target: &str| {
                    let fields: &[_] = &[("Authorization", key), ("Content-Length", "0")];
                    chain.request(method, target, &fields[usize::from(key.is_empty())..])
                };
                assert_eq!(ask("GET", &target).text(), "a;b\n", "{target}");
                assert_eq!(ask("HEAD", &target).field("content-length").as_deref(), Some("4"));
                let folder = target.rsplit_once("a%20b").unwrap().0;
                assert_eq!(ask("GET", &format!("{folder}?format=json")).status, 200, "{folder}");
                // The same path for what changes something.
                let other = target.replace("a%20b", "other");
                assert_eq!(ask("PUT", &other).status, 201, "{other}");
                assert!(chain.path("berlin/run/other.csv").exists(), "{other}");
                assert_eq!(ask("DELETE", &other).status, 204, "{other}");
            }
            // The one clean path is held against the key.
            let beside = spelling.replace("berlin", "zurich").replace("%62erlin", "zurich");
            for prefix in ["/files".to_owned(), format!("/share/{BERLIN_KEY}")] {
                let target = format!("{prefix}/{beside}");
                let fields: &[_] = &[("Authorization", BERLIN_KEY)];
                let fields = if prefix == "/files" { fields } else { &[] };
                assert_eq!(chain.request("GET", &target, fields).status, 403, "{target}");
            }
        }
    });
}

/// Where people put a key that doesn't belong there, or write an address a little wrong. `KEY` stands for it.
const MISTYPED: &[&str] = &[
    "/share/KEY",
    "/share/KEY/",
    "/share/KEY/berlin/a.csv",
    "/share/KEY/none",
    "/share/KEY/KEY/a",
    "/share/KEY/../KEY",
    "//share/KEY/a",
    "/share//KEY/a",
    "/share/./KEY/a",
    "/Share/KEY/a",
    "/share%2fKEY/a",
    "/share%252FKEY%252Fa",
    "/shareKEY",
    "/KEY",
    "/KEY/a",
    "/uploads/KEY",
    "/health/KEY",
    "/files/KEY",
    "/files/share/KEY/a",
    "/files/share%2FKEY%2Fa",
    "/files/share%252FKEY%252Fa",
    "/files/%zzKEY",
    "/files/a;KEY",
    "/files/berlin/?format=json&key=KEY",
    "/files/berlin?KEY",
    "/changes?since=KEY",
    "/share/KEY/a?KEY#KEY",
    "http://kmt:KEY@localhost/files/a",
];
/// What the server never sees, since nginx itself refuses it.
const MALFORMED: &[&str] = &[
    "GET /share/KEY/a b HTTP/1.1\r\nHost: x\r\nReferer: http://x/share/KEY/\r\n\r\n",
    "GET /share/KEY/a HTTP/9.9\r\nHost: x\r\nReferer: http://x/share/KEY/\r\n\r\n",
    "GET /share/KEY/a HTTP/1.1\r\nReferer: http://x/share/KEY/\r\n\r\n",
    "GET /share/KEY/a HTTP/1.1\r\nHost: x\r\nHost: KEY\r\n\r\n",
    "GET /share/KEY/a HTTP/1.1\r\nHost: x\r\nContent-Length: KEY\r\n\r\n",
    "KEY /share/KEY/a\r\n\r\n",
    "\x16\x03\x01KEY\r\n\r\n",
];

#[test]
fn no_log_has_a_key_in_any_spelling_a_referer_or_a_query() {
    in_chain(&[], |chain| {
        chain.wait_until_ready();
        chain.put("berlin/a.csv", b"a;b\n");
        let spellings = [KEY.to_owned(), KEY.replace('-', "%2D"), KEY.replace('-', "%252d")];
        let referer = format!("http://x/share/{KEY}/?referred");
        let mut asked = 0;
        for key in &spellings {
            for target in MISTYPED {
                let mut connection = chain.patient();
                let fields = [("Referer", &*referer), ("Connection", "close")];
                connection.send("GET", &target.replace("KEY", key), &fields);
                // What nginx itself answers has no line.
                let by_nginx =
                    connection.receive("GET").field("server").as_deref() == Some("nginx");
                asked += usize::from(!by_nginx);
            }
            for request in MALFORMED {
                let mut connection = chain.patient();
                connection.send_raw(request.replace("KEY", key).as_bytes());
                assert!(connection.is_closed() || connection.receive_head().status >= 400);
            }
        }
        // A last one, whose line comes after all of theirs; the checks of the container's health come between.
        chain.get("/files/berlin/a.csv?query", &[]);
        let lines = || chain.log().lines().filter(|it| it.contains(" access: ")).count();
        wait_for("a line for each request", || (lines() > asked).then_some(()));
        let log = chain.log();
        for secret in ["covers-everything", "covers%2D", "covers%252", "referred", "?"] {
            assert_eq!(log.lines().find(|it| it.contains(secret)), None, "{secret}");
        }
    });
}
