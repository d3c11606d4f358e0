//! `/sounding.js`: how it is served, whether its types are true, and what it does in Chromium while the server behind it
//! sleeps and wakes.

use std::fs;
use std::path::Path;

use crate::clients::{CHROMIUM, Client, INSTALLED, SCRIPTS};
use crate::support::TestServer;

/// Seconds after which a script is ended, and its test fails.
const PATIENCE: &str = "150";
/// The same for the long one.
const LONG_PATIENCE: &str = "600";
/// Where the sources lie.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

const SERVED: [(&str, &str); 2] = [
    ("/sounding.js", "text/javascript; charset=utf-8"),
    ("/sounding.d.ts", "application/typescript; charset=utf-8"),
];

#[test]
fn the_module_is_for_all_origins_and_kept_by_browsers() {
    let server = TestServer::start();
    for (target, media_type) in SERVED {
        let response = server.request("GET", target, &[("Origin", "https://app.example")]);
        assert_eq!(response.status, 200, "without a key");
        assert_eq!(response.field("content-type").as_deref(), Some(media_type));
        assert_eq!(response.field("access-control-allow-origin").as_deref(), Some("*"));
        assert_eq!(response.field("x-content-type-options").as_deref(), Some("nosniff"));
        let caching = response.field("cache-control").unwrap();
        assert!(caching.contains("max-age=86400, stale-while-revalidate="), "{caching}");
        let tag = response.etag();
        for known in [&tag, &format!("W/{tag}"), &format!("\"other\", {tag}")] {
            let again = server.request("GET", target, &[("If-None-Match", known)]);
            assert_eq!((again.status, again.body.len()), (304, 0), "{known}");
            assert_eq!(again.etag(), tag);
        }
        let other = server.request("GET", target, &[("If-None-Match", "\"other\"")]);
        assert_eq!((other.status, &other.body), (200, &response.body));
        let head = server.request("HEAD", target, &[]);
        assert_eq!(head.field("content-length"), Some(response.body.len().to_string()));
    }
}

#[test]
fn the_modules_types_are_true() {
    let server = TestServer::start();
    let folder = tempfile::tempdir().unwrap();
    for (target, name) in [("/sounding.js", "module.js"), ("/sounding.d.ts", "sounding.d.ts")] {
        fs::write(folder.path().join(name), server.get(target, &[]).body).unwrap();
    }
    for name in ["agree.ts", "app.ts", "tsconfig.json"] {
        fs::copy(format!("{SCRIPTS}/types/{name}"), folder.path().join(name)).unwrap();
    }
    let compiler = format!("{INSTALLED}/node_modules/typescript/lib/tsc.js");
    assert!(Path::new(&compiler).exists(), "no typescript: run .ci/setup.sh");
    Client::node_program(&compiler, PATIENCE).args(["--project".as_ref(), folder.path()]).run();
}

/// The script prints what it did, and `done` at its end.
fn chromium(chapter: &str, timeouts: &str) {
    assert!(
        Path::new(INSTALLED).join("node_modules").exists(),
        "no playwright-core: run .ci/setup.sh"
    );
    assert!(Path::new(CHROMIUM).exists(), "`{CHROMIUM}` is not installed: run .ci/setup.sh");
    let program = env!("CARGO_BIN_EXE_sounding-server");
    let said = Client::node("web.mjs", timeouts)
        .args([INSTALLED, CHROMIUM, program, ROOT, chapter])
        .text();
    println!("{said}");
    assert!(said.contains(&format!("{chapter}: done")), "{said}");
}

#[test]
fn the_module_does_what_its_types_say() {
    chromium("calls", PATIENCE);
}

#[test]
fn no_call_fails_in_fifty_rounds_of_sleep_and_nothing_is_told_twice() {
    chromium("rounds", LONG_PATIENCE);
}

#[test]
fn a_page_wakes_the_server_once_and_only_when_somebody_looks() {
    chromium("attention", PATIENCE);
}

#[test]
fn the_example_shows_the_run_that_has_just_arrived() {
    chromium("example", PATIENCE);
}
