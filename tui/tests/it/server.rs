//! The console beside the real running server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::screen::{Console, Place, Setup};

/// The server's program, built where it is not.
fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
        let built =
            Command::new(cargo).args(["build", "-q", "-p", "sounding-server"]).status().unwrap();
        assert!(built.success());
        PathBuf::from(env!("CARGO_BIN_EXE_sounding")).with_file_name("sounding-server")
    })
}

pub struct Server {
    child: Child,
    address: String,
    pub socket: PathBuf,
}

impl Server {
    pub fn start(place: &Place) -> Server {
        Server::with(place, &[])
    }

    pub fn with(place: &Place, env: &[(&str, &str)]) -> Server {
        let socket = place
            .path("../")
            .join(format!("admin-{}.sock", place.0.path().file_name().unwrap().to_string_lossy()));
        let mut child = Command::new(program())
            .args(["--listen", "127.0.0.1:0", "--volume"])
            .arg(place.0.path())
            .arg("--admin")
            .arg(&socket)
            .envs(env.iter().copied())
            .env("API_KEYS", "ci-0123456789012345678901234567x9Qd")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on http://").unwrap().to_owned();
        Server { child, address, socket }
    }

    pub fn get(&self, path: &str, key: &str) -> String {
        String::from_utf8(self.answer(path, key)).unwrap()
    }

    /// What a file has in it.
    pub fn fetch(&self, path: &str, key: &str) -> Vec<u8> {
        let answer = self.answer(path, key);
        let head = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{path}");
        answer[head..].to_vec()
    }

    fn answer(&self, path: &str, key: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }

    fn status(&self, path: &str, key: &str) -> String {
        self.get(path, key)[9..12].to_owned()
    }

    pub fn console(&self, place: &Place) -> Console {
        self.console_with(place, &[])
    }

    pub fn console_with(&self, place: &Place, env: &[(&str, &str)]) -> Console {
        let admin = self.socket.to_str().unwrap();
        Console::with(place.0.path(), &Setup { args: &["--admin", admin], env, ..Setup::default() })
    }

    pub fn stop(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().unwrap();
        std::fs::remove_file(&self.socket).unwrap_or_default();
    }
}

/// An operator wants it awake, from before it starts.
fn keep_awake(place: &Place, seconds: u64) {
    let until = jiff::Timestamp::now() + Duration::from_secs(seconds);
    volume::Volume::open(place.0.path()).unwrap().set_keep_awake(Some(until)).unwrap();
}

/// Waits for the end of a server that ends by itself, and says how long that took and its status.
fn ended(mut server: Server) -> (Duration, Option<i32>) {
    let began = Instant::now();
    loop {
        if let Some(status) = server.child.try_wait().unwrap() {
            return (began.elapsed(), status.code());
        }
        assert!(began.elapsed() < Duration::from_mins(2), "it does not end");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_console_keeps_the_server_awake_by_keys_and_not_by_being_open() {
    let place = Place::new();
    // Half an hour is fifteen seconds. The wish is for as long as the start takes.
    keep_awake(&place, 20);
    let env = [("SOUNDING_IDLE_EXIT", "1"), ("SOUNDING_IDLE_MINUTE", "500")];
    let mut server = Server::with(&place, &env);
    let mut console = server.console(&place);
    console.press("", "berlin/");
    console.press("5", "for 1 console");
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(25) {
        console.type_in("j");
        std::thread::sleep(Duration::from_secs(1));
        assert!(server.child.try_wait().unwrap().is_none(), "it sleeps though somebody types");
    }
    console.wait("sleeps at");
    let (left, status) = ended(server);
    assert!(left > Duration::from_secs(5) && status == Some(0), "{left:?} {status:?}");
    console.wait("Server does not answer");
}

#[test]
fn an_operators_wish_keeps_the_server_awake_and_w_takes_it_back() {
    let place = Place::new();
    keep_awake(&place, 60);
    // A key in the console counts for a second and a half.
    let env = [("SOUNDING_IDLE_EXIT", "1"), ("SOUNDING_IDLE_MINUTE", "50")];
    let server = Server::with(&place, &env);
    let mut console = server.console(&place);
    console.press("", "berlin/");
    console.press(":awake 20h\r", "12 h is the most");
    console.press(":awake soon\r", "invalid duration");
    console.press("\x1b", "berlin/");
    console.press("5", "an operator's request");
    std::thread::sleep(Duration::from_secs(10));
    console.wait("Awake      for an operator's request");
    console.press("w", "no longer kept awake");
    let (_, status) = ended(server);
    assert_eq!(status, Some(0));
    let server = Server::start(&place);
    console = server.console(&place);
    console.press("", "berlin/");
    console.press(":awake 2h\r", "never sleeps by itself");
}

pub const KEY: &str = "imove-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUmx9Qd";

#[test]
fn the_server_honours_each_edit_at_the_next_request() {
    let place = Place::new();
    let server = Server::start(&place);
    assert_eq!(server.status("/files/berlin/trips.csv", KEY), "200");
    let mut console = server.console(&place);
    console.press("4", "imove-..x9Qd");
    console.press("", "just now");
    console.press("", "ci-..x9Qd");
    console.press("", "from API_KEYS");
    console.press("", "in force");
    console.press("p", "switched off");
    assert_eq!(server.status("/files/berlin/trips.csv", KEY), "401");
    console.press("", "the server has reloaded it; the old Python server needs a restart");
    // Twice the same at once counts once.
    console.press("gp", "switched on");
    assert_eq!(server.status("/files/berlin/trips.csv", KEY), "200");
    let before = place.keys();
    console.press("e", "Change");
    console.press("\t\x1b[C\t\x15/public\r\r", "changed (u undo)");
    assert_eq!(server.status("/files/berlin/trips.csv", KEY), "403");
    console.press("u", "undone: key");
    assert_eq!(place.keys(), before);
    assert_eq!(server.status("/files/berlin/trips.csv", KEY), "200");
    console.press("z", "Seal key");
    console.press("\x1b[Z\r", "sealed");
    assert_eq!(server.status("/files/berlin/trips.csv", KEY), "200");
    assert!(!place.keys().contains(KEY));
    console.press("d", "Revoke key sealed");
    console.press("revoke\r", "revoked");
    assert_eq!(server.status("/files/berlin/trips.csv", KEY), "401");
}

#[test]
fn what_goes_on_is_seen_and_a_server_that_goes_is_told() {
    let place = Place::new();
    let server = Server::start(&place);
    server.get("/files/berlin/trips.csv", KEY);
    server.get("/files/berlin/none", "wrong");
    let mut console = server.console(&place);
    console.press("5", "/files/berlin/trips.csv");
    let seen = console.wait("401");
    assert!(seen.contains("imove") && seen.contains("p50") && seen.contains("1 (you)"), "{seen}");
    console.press("e", "errors only");
    console.wait_gone("trips.csv");
    console.press("\x1b", "trips.csv");
    console.press("/imove\r", "with 'imove'");
    console.wait_gone("none");
    server.stop();
    console.press("", "Server does not answer since");
    console.press("1", "berlin/");
    console.press("d", "moved berlin to trash");
}

#[test]
fn a_server_that_was_killed_and_started_again_is_followed_from_its_beginning() {
    let place = Place::new();
    let mut server = Server::start(&place);
    (0..5).for_each(|_| drop(server.get("/files/berlin/trips.csv", KEY)));
    let mut console = server.console(&place);
    console.press("5", "trips.csv");
    // SIGKILL leaves its socket behind; the doctor knows.
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    let said = Command::new(env!("CARGO_BIN_EXE_sounding"))
        .args(["doctor", "--admin"])
        .arg(&server.socket)
        .arg("--volume")
        .arg(place.0.path())
        .output()
        .unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("start sounding-server again"), "{said}");
    let next = Server::start(&place);
    next.get("/files/berlin/none", KEY);
    console.press("", "/files/berlin/none");
    console.wait_gone("trips.csv");
}

#[test]
fn of_two_consoles_that_edit_at_once_one_looks_again() {
    let place = Place::new();
    let server = Server::start(&place);
    let (mut one, mut other) = (server.console(&place), server.console(&place));
    one.press("4", "imove-..x9Qd");
    other.press("4", "imove-..x9Qd");
    other.press("p", "switched off");
    one.press("p", "changed by somebody else");
    one.press("", "  off  ");
    one.press("p", "switched on");
}

#[test]
fn a_key_from_the_environment_is_shown_and_stays() {
    let place = Place::new();
    let server = Server::start(&place);
    let mut console = server.console(&place);
    console.press("4", "from API_KEYS");
    console.press("G", "▸ ci");
    console.press("d", "where the server is started");
    let keys = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_sounding"))
            .args(args)
            .env("SOUNDING_VOLUME", place.0.path())
            .env("SOUNDING_ADMIN", &server.socket)
            .output()
            .unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    server.get("/files/berlin/trips.csv", KEY);
    let list = keys(&["keys"]);
    assert!(list.contains("ci-..x9Qd") && list.contains("used just now"), "{list}");
    let list: Value = serde_json::from_str(&keys(&["keys", "--json"])).unwrap();
    let extra = list.as_array().unwrap().last().unwrap();
    assert_eq!((&extra["note"], &extra["line"]), (&"from API_KEYS".into(), &Value::Null));
    assert!(list[0]["last_used"].is_string(), "{list}");
    assert!(keys(&["keys", "revoke", "ci"]).contains("where the server is started"));
}

#[test]
fn a_share_link_works_where_the_server_listens_and_ends_with_its_key() {
    let place = Place::new();
    let server = Server::start(&place);
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_sounding"))
            .args(args)
            .env("SOUNDING_VOLUME", place.0.path())
            .env("SOUNDING_ADMIN", &server.socket)
            .env_remove("SOUNDING_URL")
            .env_remove("FLY_APP_NAME")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let link: Value = serde_json::from_str(&run(&["share", "berlin/it.2", "--json"])).unwrap();
    let base = format!("http://{}", server.address);
    let path = link["url"].as_str().unwrap().strip_prefix(&base).unwrap();
    assert_eq!(server.status(&format!("{path}a.csv"), ""), "200");
    assert_eq!(server.status(&path.replace("it.2", "it.10"), ""), "403");
    run(&["keys", "disable", "share"]);
    assert_eq!(server.status(&format!("{path}a.csv"), ""), "401");
    run(&["keys", "enable", "share"]);
    assert_eq!(server.status(&format!("{path}a.csv"), ""), "200");
    run(&["keys", "revoke", "share"]);
    assert_eq!(server.status(&format!("{path}a.csv"), ""), "401");
}

#[test]
fn the_command_tells_what_goes_on() {
    let place = Place::new();
    let server = Server::start(&place);
    server.get("/files/berlin/trips.csv", KEY);
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_sounding"))
            .args(args)
            .arg("--admin")
            .arg(&server.socket)
            .arg("--volume")
            .arg(place.0.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(run(&["activity"]).contains("/files/berlin/trips.csv  [8 B]  imove"));
    let now: Value = serde_json::from_str(&run(&["activity", "--json"])).unwrap();
    assert_eq!(now["recent"][0]["username"], "imove");
    assert!(!run(&["activity", "--errors"]).contains("trips.csv"));
    server.get("/files/berlin/none", KEY);
    server.get("/files/berlin/trips.csv", "no-key");
    let told = run(&["activity"]);
    assert!(told.contains(" 2 failed (5xx: 0)"), "{told}");
}

#[test]
fn a_download_took_as_long_as_it_took() {
    let place = Place::new();
    let file = std::fs::File::create(place.path("berlin/large.bin")).unwrap();
    file.set_len(64 << 20).unwrap();
    let server = Server::start(&place);
    let mut stream = TcpStream::connect(&server.address).unwrap();
    let request = "GET /files/berlin/large.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    write!(stream, "{request}Authorization: {KEY}\r\n\r\n").unwrap();
    // The answer has begun, and nobody reads on.
    stream.read_exact(&mut [0; 100]).unwrap();
    let now = || -> Value {
        let output = Command::new(env!("CARGO_BIN_EXE_sounding"))
            .args(["activity", "--json", "--admin"])
            .arg(&server.socket)
            .arg("--volume")
            .arg(place.0.path())
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let began = Instant::now();
    let wait_until = |is_so: &dyn Fn(&Value) -> bool| {
        while !is_so(&now()) {
            assert!(began.elapsed() < Duration::from_mins(1), "{}", now());
        }
    };
    wait_until(&|it| it["open"][0]["millis"].as_u64().is_some_and(|it| it >= 1200));
    std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
    wait_until(&|it| it["recent"].as_array().is_some_and(|it| !it.is_empty()));
    let mut console = server.console(&place);
    console.type_in("5");
    let seen = console.wait("large.bin");
    let row = seen.lines().find(|it| it.contains("large.bin")).unwrap();
    let words: Vec<&str> = row.split_whitespace().collect();
    let unit = words.iter().position(|it| *it == "ms" || *it == "s").unwrap();
    let took: u64 = words[unit - 1].parse().unwrap();
    assert!(took >= if words[unit] == "ms" { 1200 } else { 10 }, "{row}");
    assert!(seen.contains("Ended") && seen.contains("Took"), "{seen}");
}

#[test]
fn a_list_as_json_has_the_versions_that_the_server_tells() {
    let place = Place::new();
    let server = Server::start(&place);
    let listed = || {
        let output = Command::new(env!("CARGO_BIN_EXE_sounding"))
            .args(["ls", "--json", "berlin", "--volume"])
            .arg(place.0.path())
            .output()
            .unwrap();
        let list: Value = serde_json::from_slice(&output.stdout).unwrap();
        let of = |it: &Value| (it["name"].clone(), it["etag"].clone());
        list.as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    let told = server.fetch("/files/berlin/?format=json", KEY);
    let told: Value = serde_json::from_slice(&told).unwrap();
    let of = |it: &Value| (it["name"].clone(), it["etag"].clone());
    let told: Vec<_> = told.as_array().unwrap().iter().map(of).collect();
    assert_eq!(listed(), told);
    assert!(told.iter().any(|it| it.1.is_string()), "{told:?}");
}

#[test]
fn a_server_of_another_volume_is_not_taken_for_ours() {
    let (place, other) = (Place::new(), Place::new());
    let server = Server::start(&other);
    let mut console = server.console(&place);
    console.press("5", "serves another volume");
}

#[test]
fn the_doctor_finds_what_is_wrong_and_says_what_to_do() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let server = Server::start(&place);
    server.get("/files/berlin/trips.csv", KEY);
    let examine = || {
        let output = Command::new(env!("CARGO_BIN_EXE_sounding"))
            .args(["doctor", "--json", "--admin"])
            .arg(&server.socket)
            .arg("--volume")
            .arg(place.0.path())
            .output()
            .unwrap();
        let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), findings.as_array().unwrap().clone())
    };
    let mode = |path: &str, mode| {
        std::fs::set_permissions(place.path(path), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(".sounding", 0o700);
    mode(".sounding/auth-keys.csv", 0o600);
    let (_, findings) = examine();
    let of = |what: &str, findings: &[Value]| -> Vec<bool> {
        findings
            .iter()
            .filter(|it| it["what"] == what)
            .map(|it| it["ok"].as_bool().unwrap())
            .collect()
    };
    for what in ["volume", "permissions", "clock", "keys", "server"] {
        assert_eq!(of(what, &findings), [true], "{what}: {findings:?}");
    }
    mode(".sounding/auth-keys.csv", 0o644);
    place.put(".sounding/auth-keys.csv", "x,short\n");
    let (status, findings) = examine();
    assert_eq!(status, Some(3));
    assert_eq!(of("permissions", &findings), [false]);
    assert_eq!(of("keys", &findings), [true, false]);
    assert!(findings.iter().filter(|it| it["ok"] == false).all(|it| it["to_do"] != ""));
}
