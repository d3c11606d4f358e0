//! The service as a user of its own, on a volume where root put things and where another server was before.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use crate::process::{Program, command};
use crate::support::{Connection, Response, wait_for, write};

/// The service's user.
const USER: u32 = 900;
const KEY: &str = "kmt-secret";

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// A volume that is the service's own; none where this is not run by root.
    fn new() -> Option<Place> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("not root: nobody can be another user here");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        chown(folder.path(), Some(USER), Some(USER)).unwrap();
        Some(Place { folder })
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// A file as root puts it.
    fn put(&self, path: &str, mode: u32) {
        write(&self.path(path), b"hello");
        set_mode(&self.path(path), mode);
    }

    fn start(&self, arguments: &[&str]) -> Program {
        let mut command = command(self.folder.path());
        command.uid(USER).gid(USER).args(["--listen", "127.0.0.1:0"]).args(arguments);
        Program::run(command)
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn ask(program: &Program, method: &str, target: &str) -> Response {
    let mut connection = Connection::to(&program.address);
    let length = if method == "PUT" { "5" } else { "0" };
    let fields = [("Authorization", KEY), ("Content-Length", length), ("Expect", "100-continue")];
    connection.send(method, target, if method == "PUT" { &fields } else { &fields[..1] });
    let mut response = connection.receive_head();
    if response.status == 100 {
        connection.send_raw(b"hello");
        response = connection.receive_head();
    }
    let length = response.field("content-length").map_or(0, |it| it.parse().unwrap());
    response.body.resize(length, 0);
    std::io::Read::read_exact(&mut connection.stream, &mut response.body).unwrap();
    response
}

fn kind(response: &Response) -> (u16, String) {
    let kind = response.json()["type"].as_str().unwrap_or_default().to_owned();
    (response.status, kind.trim_start_matches("urn:sounding:problem:").to_owned())
}

#[test]
fn what_root_puts_there_is_served_and_what_keeps_the_service_out_is_said() {
    let Some(place) = Place::new() else { return };
    place.put(".sounding/auth-keys.csv", 0o600);
    write(&place.path(".sounding/auth-keys.csv"), format!("kmt,{KEY},write\n").as_bytes());
    for own in [".sounding", ".sounding/auth-keys.csv"] {
        chown(place.path(own), Some(USER), Some(USER)).unwrap();
    }
    place.put("run/a.txt", 0o644);
    place.put("run/secret.txt", 0o600);
    place.put("closed/b.txt", 0o644);
    let program = place.start(&[]);
    let health = || ask(&program, "GET", "/health").text();
    assert!(health().contains("\"ok\""), "{}", health());

    assert_eq!(ask(&program, "GET", "/files/run/a.txt").text(), "hello");
    assert!(ask(&program, "GET", "/files/run/").text().contains("secret.txt"));
    assert!(health().contains("\"ok\""), "{}", health());
    // Whoever watches the volume is kept out too, and says so at its own time.
    set_mode(&place.path("closed"), 0o700);
    let unreadable = (403, "unreadable".to_owned());
    for target in ["/files/run/secret.txt", "/files/closed/", "/files/closed/b.txt"] {
        assert_eq!(kind(&ask(&program, "GET", target)), unreadable, "{target}");
    }
    assert!(health().contains("degraded") && health().contains("sounding doctor"));
    let unwritable = (403, "unwritable".to_owned());
    for (method, target) in [
        ("PUT", "/files/run/new.txt"),
        ("PUT", "/files/run/a.txt"),
        ("PUT", "/files/run/new/folder/c.txt"),
        ("DELETE", "/files/run/a.txt"),
    ] {
        assert_eq!(kind(&ask(&program, method, target)), unwritable, "{method} {target}");
    }
    assert_eq!(fs::read_to_string(place.path("run/a.txt")).unwrap(), "hello");
    assert_eq!(fs::read_dir(place.path("run")).unwrap().count(), 2);
    // What is the service's own can be written all the while.
    assert_eq!(ask(&program, "PUT", "/files/mine/d.txt").status, 201);
    assert_eq!(fs::metadata(place.path("mine/d.txt")).unwrap().uid(), USER);
    let (_, _, log) = program.end();
    assert!(log.contains("kept the service out") && log.contains("/files/run/secret.txt"), "{log}");
}

#[test]
fn the_keys_of_the_server_before_are_good_from_the_first_request_on_and_are_not_served() {
    let Some(place) = Place::new() else { return };
    place.put("auth-keys.csv", 0o644);
    write(&place.path("auth-keys.csv"), format!("kmt,{KEY}\n").as_bytes());
    place.put("run/a.txt", 0o644);
    fs::create_dir(place.path("lost+found")).unwrap();
    set_mode(&place.path("lost+found"), 0o700);
    let program = place.start(&[]);
    assert_eq!(ask(&program, "GET", "/files/run/a.txt").text(), "hello");
    assert_eq!(ask(&program, "GET", "/files/auth-keys.csv").status, 404);
    let listing = ask(&program, "GET", "/files/?format=json").text();
    assert!(listing.contains("run"), "{listing}");
    assert!(!listing.contains("auth-keys") && !listing.contains("lost+found"), "{listing}");
    let cursor = ask(&program, "GET", "/changes").json()["cursor"].as_str().unwrap().to_owned();
    write(&place.path("auth-keys.csv"), format!("kmt,{KEY}\nzoe,zoe-secret\n").as_bytes());
    write(&place.path("run/b.txt"), b"after it");
    let told = ask(&program, "GET", &format!("/changes?since={cursor}&wait=60")).text();
    assert!(told.contains("run/b.txt") && !told.contains("auth-keys"), "{told}");
    let (_, output, log) = program.end();
    assert!(log.contains("taken over") && log.contains("auth-keys.csv"), "{log}");
    assert!(!log.contains("secret") && output.is_empty(), "{log}{output}");
    let keys = place.path(".sounding/auth-keys.csv");
    let stat = fs::metadata(&keys).unwrap();
    assert_eq!((stat.uid(), stat.mode() & 0o777), (USER, 0o600));

    // The new file has the last word.
    write(&keys, b"zoe,zoe-secret\n");
    let program = place.start(&[]);
    wait_for("the old key to be unknown", || {
        (ask(&program, "GET", "/files/run/a.txt").status == 401).then_some(())
    });
    let (_, _, log) = program.end();
    assert!(!log.contains("taken over"), "{log}");
}

#[test]
fn keys_are_taken_from_a_file_that_is_named_and_one_that_is_closed_ends_the_start() {
    let Some(place) = Place::new() else { return };
    let image = tempfile::tempdir().unwrap();
    set_mode(image.path(), 0o755);
    let named = image.path().join("auth-keys.csv");
    write(&named, format!("kmt,{KEY}\n").as_bytes());
    set_mode(&named, 0o600);
    let mut closed = command(place.folder.path());
    closed.uid(USER).gid(USER).env("SOUNDING_TAKE_KEYS", &named);
    let output = closed.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("old keys") && said.contains("auth-keys.csv"), "{said}");
    set_mode(&named, 0o644);
    place.put("run/a.txt", 0o644);
    let program = place.start(&["--import-keys", named.to_str().unwrap()]);
    assert_eq!(ask(&program, "GET", "/files/run/a.txt").text(), "hello");
}
