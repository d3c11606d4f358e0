//! Going to sleep: what keeps the program awake, what does not, and that nobody is cut off by it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Program, SocketPath, admin_socket, command, volume_with_key};
use crate::support::{Connection, write};
use crate::transfers::ask;

const AUTHORIZATION: (&str, &str) = ("Authorization", "kmt-secret");
const SECOND: Duration = Duration::from_secs(1);
/// What a minute is to a program that nobody told otherwise, in milliseconds.
const MINUTE: u32 = 60_000;

/// A program that sleeps when nobody needs it.
struct Sleeper {
    volume: TempDir,
    socket: SocketPath,
    program: Program,
    started: Instant,
}

impl Sleeper {
    /// After so many seconds; a minute of the other rules is so many milliseconds.
    fn start(idle: u32, minute: u32) -> Sleeper {
        Sleeper::on(volume_with_key(), idle, minute)
    }

    fn on(volume: TempDir, idle: u32, minute: u32) -> Sleeper {
        let socket = admin_socket();
        let started = Instant::now();
        let program = Program::start(
            volume.path(),
            &[
                "--idle-exit",
                &idle.to_string(),
                "--idle-minute",
                &minute.to_string(),
                "--admin",
                socket.to_str().unwrap(),
                "--metrics",
                &format!("unix:{}.metrics", socket.display()),
            ],
        );
        Sleeper { volume, socket, program, started }
    }

    fn connect(&self) -> Connection {
        Connection::to(&self.program.address)
    }

    /// A request with a good key: the service is needed.
    fn needs(&self) {
        let mut connection = self.connect();
        connection.send("GET", "/files/run/a.txt", &[AUTHORIZATION]);
        assert_eq!(connection.receive("GET").text(), "hello");
    }

    /// A question or an order over the admin socket.
    fn ask(&self, method: &str, target: &str, body: &Value) -> Value {
        let (status, answer) = ask(&self.socket, method, target, body);
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// What keeps it awake.
    fn reasons(&self) -> Value {
        self.ask("GET", "/awake", &Value::Null)["awake"].clone()
    }

    /// Waits until it sleeps in good order: how long it was awake, its log, and its volume.
    fn sleeps(self) -> (Duration, String, TempDir) {
        let (status, log) = self.program.ended();
        let awake = self.started.elapsed();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(log.contains("asleep"), "{log}");
        (awake, log, self.volume)
    }
}

/// An operator wants it awake, from before it starts.
pub fn keep_awake(volume: &Path, length: Duration) {
    let until = jiff::Timestamp::now() + length;
    volume::Volume::open(volume).unwrap().set_keep_awake(Some(until)).unwrap();
}

#[test]
fn it_sleeps_when_nobody_comes_and_the_next_start_is_clean() {
    let sleeper = Sleeper::start(3, MINUTE);
    sleeper.needs();
    let (awake, log, volume) = sleeper.sleeps();
    assert!(awake >= 3 * SECOND, "{awake:?}");
    assert!(log.contains("woken by a request") && log.contains("path=/files/run/a.txt"), "{log}");
    // The journal is closed, and the key's use is written down.
    assert!(volume.path().join(".sounding/journal.sqlite").exists());
    assert!(!volume.path().join(".sounding/journal.sqlite-wal").exists());
    let uses = std::fs::read_to_string(volume.path().join(".sounding/key-use.json")).unwrap();
    assert!(uses.contains("GET /files/run/a.txt"), "{uses}");
    let (_, log, _) = Sleeper::on(volume, 1, MINUTE).sleeps();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
}

#[test]
fn the_first_request_and_its_client_are_named_without_a_key() {
    let sleeper = Sleeper::start(3, MINUTE);
    let mut connection = sleeper.connect();
    let agent = ("User-Agent", "curl/8 \u{202e}");
    connection.send("GET", "/share/kmt-secret/run/a.txt?token=secret", &[agent]);
    connection.receive("GET");
    sleeper.needs();
    let (_, log, _) = sleeper.sleeps();
    let lines: Vec<&str> = log.lines().filter(|it| it.contains("woken")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    for expected in ["GET", "/share/.../run/a.txt", "127.0.0.1", "curl/8 \\u{202e}", "millis="] {
        assert!(lines[0].contains(expected), "{expected} in {}", lines[0]);
    }
    assert!(!log.contains("secret"), "{log}");
}

#[test]
fn a_start_without_a_request_is_told_as_one() {
    let (awake, log, _) = Sleeper::start(11, MINUTE).sleeps();
    assert!(awake >= 11 * SECOND && log.contains("woken by no request"), "{log}");
}

#[test]
fn a_start_that_only_strangers_wanted_is_over_sooner() {
    // Two minutes are five seconds.
    let sleeper = Sleeper::start(60, 2500);
    let mut connection = sleeper.connect();
    for target in ["/files/run/a.txt", "/wp-login.php"] {
        connection.send("GET", target, &[]);
        assert!(matches!(connection.receive("GET").status, 401 | 404));
    }
    let (awake, ..) = sleeper.sleeps();
    assert!((5 * SECOND..50 * SECOND).contains(&awake), "{awake:?}");
}

#[test]
fn strangers_health_checks_and_metrics_do_not_keep_it_awake() {
    let sleeper = Sleeper::start(3, MINUTE);
    sleeper.needs();
    let address = sleeper.program.address.clone();
    let metrics = format!("{}.metrics", sleeper.socket.display());
    let is_over = AtomicBool::new(false);
    let (asked, awake) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut asked = 0;
            while !is_over.load(Relaxed) {
                asked += usize::from(strangers_ask(&address, &metrics).is_some());
                std::thread::sleep(Duration::from_millis(20));
            }
            asked
        });
        let (awake, ..) = sleeper.sleeps();
        is_over.store(true, Relaxed);
        (asking.join().unwrap(), awake)
    });
    assert!(asked > 10 && awake < 40 * SECOND, "{asked} rounds in {awake:?}");
}

/// All that is asked by whoever has no business here; none where the program is gone.
fn strangers_ask(address: &str, metrics: &str) -> Option<()> {
    let wrong = ("Authorization", "guessed");
    for (method, target, fields) in [
        ("GET", "/health", &[AUTHORIZATION][..]),
        ("GET", "/", &[]),
        ("GET", "/wp-login.php", &[]),
        ("GET", "/openapi.json", &[]),
        ("GET", "/files/run/a.txt", &[wrong]),
        ("GET", "/files/public/nothing", &[]),
        ("GET", "/share/guessed", &[]),
        (
            "OPTIONS",
            "/files/run/a.txt",
            &[("Origin", "https://x"), ("Access-Control-Request-Method", "GET")],
        ),
        ("GET", "/changes", &[]),
    ] {
        let mut connection = Connection::try_to(address)?;
        let request = Connection::head(method, target, fields);
        connection.stream.get_mut().write_all(request.as_bytes()).ok()?;
        connection.try_receive(method)?;
    }
    let mut stream = std::os::unix::net::UnixStream::connect(metrics).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
    stream.read_to_end(&mut Vec::new()).ok().map(drop)
}

#[test]
fn forgotten_streams_and_waits_hear_of_it_and_keep_nothing_awake() {
    let sleeper = Sleeper::start(4, MINUTE);
    sleeper.needs();
    let mut streams: Vec<Connection> = (0..3).map(|_| sleeper.connect()).collect();
    for stream in &mut streams {
        stream.send("GET", "/events?quiet=3600", &[AUTHORIZATION]);
        assert_eq!(stream.receive_head().status, 200);
    }
    let mut waiting = sleeper.connect();
    waiting.send("GET", "/changes", &[AUTHORIZATION]);
    let cursor = waiting.receive("GET").json()["cursor"].as_str().unwrap().to_owned();
    waiting.send("GET", &format!("/changes?wait=60&since={cursor}"), &[AUTHORIZATION]);
    let address = sleeper.program.address.clone();
    let again = std::thread::spawn(move || {
        // A page that asks again and again is no better than one that waits.
        while let Some(mut connection) = Connection::try_to(&address) {
            let request = Connection::head("GET", "/changes?wait=1", &[AUTHORIZATION]);
            let sent = connection.stream.get_mut().write_all(request.as_bytes());
            if sent.is_err() || connection.try_receive("GET").is_none() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let (awake, log, _) = sleeper.sleeps();
    assert!(awake < 40 * SECOND, "{awake:?}: {log}");
    for stream in &mut streams {
        let rest = stream.receive_rest();
        assert!(rest.contains("retry: 86400000event: sleepid: "), "{rest}");
    }
    let answer = waiting.receive("GET").json();
    assert_eq!(answer["changes"], json!([]));
    again.join().unwrap();
}

#[test]
fn whoever_comes_while_it_dozes_wakes_it() {
    let sleeper = Sleeper::start(1, 5 * MINUTE);
    for _ in 0..3 {
        let mut stream = sleeper.connect();
        stream.send("GET", "/events", &[AUTHORIZATION]);
        // It ends when the program dozes, which it does for five seconds.
        assert!(stream.receive("GET").text().contains("event: sleep"));
        sleeper.needs();
    }
    let (awake, log, _) = sleeper.sleeps();
    assert!(awake >= 8 * SECOND, "{awake:?}");
    assert_eq!(log.matches("asleep").count(), 1, "{log}");
}

#[test]
fn a_slow_download_is_not_cut_off() {
    let (volume, length) = (volume_with_key(), 64 << 20);
    write(&volume.path().join("public/big.bin"), &vec![b'x'; length]);
    let sleeper = Sleeper::on(volume, 3, MINUTE);
    let mut download = sleeper.connect();
    download.send("GET", "/files/public/big.bin", &[]);
    assert_eq!(download.receive_head().status, 200);
    let mut taken = 0;
    let mut part = vec![0; 4 << 20];
    while taken < length {
        std::thread::sleep(Duration::from_millis(350));
        download.stream.read_exact(&mut part).unwrap();
        taken += part.len();
        if taken == length / 2 {
            assert_eq!(sleeper.reasons(), json!(["1 download"]));
        }
    }
    let (awake, log, _) = sleeper.sleeps();
    assert!(awake >= 8 * SECOND && log.contains("ended=\"complete\""), "{log}");
}

#[test]
fn a_slow_upload_is_not_cut_off() {
    let volume = volume_with_key();
    write(&volume.path().join(".sounding/auth-keys.csv"), b"kmt,kmt-secret,write\n");
    let sleeper = Sleeper::on(volume, 3, MINUTE);
    let mut upload = sleeper.connect();
    upload.send(
        "PUT",
        "/files/run/new.txt",
        &[("Authorization", "kmt-secret"), ("Content-Length", "12")],
    );
    for _ in 0..12 {
        std::thread::sleep(Duration::from_millis(450));
        assert_eq!(sleeper.reasons(), json!(["1 upload"]));
        upload.send_raw(b"x");
    }
    assert_eq!(upload.receive("PUT").status, 201);
    let (awake, _, volume) = sleeper.sleeps();
    assert!(awake >= 8 * SECOND, "{awake:?}");
    assert_eq!(std::fs::read(volume.path().join("run/new.txt")).unwrap(), b"xxxxxxxxxxxx");
}

#[test]
fn an_operators_wish_survives_a_crash_and_can_be_taken_back() {
    let sleeper = Sleeper::start(3, MINUTE);
    let kept = sleeper.ask("PUT", "/awake", &json!({"seconds": 8}));
    assert_eq!(
        (&kept["awake"], &kept["idle_exit"]),
        (&json!(["an operator's request"]), &json!(3))
    );
    assert!(kept["kept_until"].is_string());
    // Killed, not ended.
    let Sleeper { volume, program, started, .. } = sleeper;
    drop(program);
    let sleeper = Sleeper { started, ..Sleeper::on(volume, 3, MINUTE) };
    assert_eq!(sleeper.reasons(), json!(["an operator's request"]));
    let (awake, _, volume) = sleeper.sleeps();
    assert!(awake >= 8 * SECOND, "{awake:?}");

    let mut sleeper = Sleeper::on(volume, 3, MINUTE);
    // No longer than half a day.
    let kept = sleeper.ask("PUT", "/awake", &json!({"seconds": 1_000_000}));
    let until: jiff::Timestamp = kept["kept_until"].as_str().unwrap().parse().unwrap();
    let hours = until.duration_since(jiff::Timestamp::now()).as_secs_f64() / 3600.0;
    assert!((11.9..=12.0).contains(&hours), "{kept}");
    assert!(sleeper.program.is_running());
    let kept = sleeper.ask("DELETE", "/awake", &Value::Null);
    assert_eq!(kept["kept_until"], Value::Null);
    let (_, _, volume) = sleeper.sleeps();
    assert!(!volume.path().join(".sounding/keep-awake.json").exists());
}

#[test]
fn a_console_keeps_it_awake_for_half_an_hour_after_a_key() {
    // Half an hour is six seconds. The wish is for as long as the start takes.
    let volume = volume_with_key();
    keep_awake(volume.path(), 5 * SECOND);
    let sleeper = Sleeper::on(volume, 1, 200);
    let look = |touched: Instant| {
        let untouched = touched.elapsed().as_secs();
        sleeper.ask("GET", &format!("/activity?console=c1&untouched={untouched}"), &Value::Null)
    };
    // Somebody types for a while, and then leaves the console open.
    for _ in 0..50 {
        assert_eq!(look(Instant::now())["awake"][0], "1 console");
        std::thread::sleep(Duration::from_millis(200));
    }
    let touched = Instant::now();
    let left = std::thread::scope(|scope| {
        let socket = sleeper.socket.to_path_buf();
        scope.spawn(move || {
            while std::os::unix::net::UnixStream::connect(&socket).is_ok() {
                let untouched = touched.elapsed().as_secs();
                let target = format!("/activity?console=c1&untouched={untouched}");
                if std::panic::catch_unwind(|| ask(&socket, "GET", &target, &Value::Null)).is_err()
                {
                    return;
                }
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        let (_, log) = sleeper.program.ended();
        assert!(log.contains("asleep"), "{log}");
        touched.elapsed()
    });
    assert!((5 * SECOND..40 * SECOND).contains(&left), "{left:?}");
}

#[test]
fn a_console_that_is_closed_keeps_nothing_awake() {
    let sleeper = Sleeper::start(3, MINUTE);
    sleeper.ask("GET", "/activity?console=c1&untouched=0", &Value::Null);
    std::thread::sleep(5 * SECOND);
    assert_eq!(sleeper.reasons(), json!(["1 console"]));
    assert_eq!(ask(&sleeper.socket, "DELETE", "/activity?console=c1", &Value::Null).0, 200);
    sleeper.sleeps();
}

/// How long it is awake while somebody is logged in by ssh. Two hours are twelve seconds.
fn awake_with(kind: &str) -> f64 {
    let (volume, socket) = (volume_with_key(), admin_socket());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/ssh.py");
    let output = Command::new("unshare")
        .args(["--map-root-user", "--net", "--mount", "python3"])
        .arg(script)
        .args([kind, env!("CARGO_BIN_EXE_sounding-server"), "--listen", "127.0.0.1:0"])
        .args(["--idle-exit", "1", "--idle-minute", "100", "--volume"])
        .arg(volume.path())
        .env("SOUNDING_ADMIN", &socket)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let (code, awake) = said.trim().split_once(' ').unwrap();
    assert_eq!(code, "0");
    awake.parse().unwrap()
}

#[test]
fn an_ssh_session_keeps_it_awake_until_it_ends() {
    let awake = awake_with("session");
    assert!((3.0..11.9).contains(&awake), "{awake}");
}

#[test]
fn a_forgotten_ssh_session_keeps_it_awake_for_two_hours() {
    let awake = awake_with("forgotten");
    assert!((12.0..40.0).contains(&awake), "{awake}");
}

#[test]
fn an_ssh_session_in_use_keeps_it_awake_for_longer() {
    let awake = awake_with("shell");
    assert!(awake >= 15.0, "{awake}");
}

/// Says that all is over, also where a test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Requests that are on their way while it goes to sleep are answered, by it or by who has the socket next.
#[test]
fn no_request_is_lost_between_two_processes() {
    const STARTS: u32 = 30;
    let volume = volume_with_key();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let socket: OwnedFd = listener.into();
    let start = |arguments: &[&str]| {
        let mut command = command(volume.path());
        command.args(["--listen", "fd:0"]).args(arguments);
        command.stdin(Stdio::from(socket.try_clone().unwrap()));
        Program::run(command)
    };
    let is_over = AtomicBool::new(false);
    let ask = |client: u64| {
        let mut count = 0;
        while !is_over.load(Relaxed) {
            count += 1;
            // Strangers, as a rule: they come all the time, and it sleeps for all that.
            ask_once(address, client == 0 && count % 700 == 0);
            // Another pace for each, so that they meet the end at every moment.
            std::thread::sleep(Duration::from_micros((client + 1) * 3700 + count % 7 * 900));
        }
        count
    };
    let answers = std::thread::scope(|scope| {
        let over = Over(&is_over);
        let clients: Vec<_> = (0..3)
            .map(|it| {
                let ask = &ask;
                scope.spawn(move || ask(it))
            })
            .collect();
        for number in 0..STARTS {
            let (status, log) = start(&["--idle-exit", "1", "--idle-minute", "60"]).ended();
            assert!(status.success() && log.contains("asleep"), "start {number}: {log}");
        }
        // Those who wait now get an answer too.
        let _last = start(&[]);
        drop(over);
        clients.into_iter().map(|it| it.join().unwrap()).sum::<u64>()
    });
    assert!(answers > u64::from(STARTS) * 10, "{answers} answers");
}

/// One request on a connection of its own, with a key or without.
fn ask_once(address: SocketAddr, has_key: bool) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let mut fields = vec![("Connection", "close")];
    fields.extend(has_key.then_some(AUTHORIZATION));
    let request = Connection::head("GET", "/files/run/a.txt", &fields);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let expected = if has_key { "HTTP/1.1 200" } else { "HTTP/1.1 401" };
    assert!(answer.starts_with(expected), "{answer:?}");
}
