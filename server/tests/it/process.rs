//! The program itself: its first lines, its log, its listeners, its end.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::ops::Deref;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::{Connection, wait_for, write};

/// Nothing here takes longer, on however busy a machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running `sounding-server`.
pub struct Program {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: Option<ChildStderr>,
    /// What comes behind `listening on `.
    pub address: String,
    /// Where its admin socket is, which one that is killed leaves behind.
    admin: Option<PathBuf>,
}

impl Program {
    pub fn start(volume: &Path, arguments: &[&str]) -> Program {
        let mut command = command(volume);
        command.args(["--listen", "127.0.0.1:0"]).args(arguments);
        Program::run(command)
    }

    /// With no log, which nobody would read: for programs that run long.
    pub fn start_quiet(volume: &Path, listen: &str) -> Program {
        let mut command = command(volume);
        command.args(["--listen", listen]).stderr(Stdio::null());
        Program::spawn(command)
    }

    pub fn run(mut command: Command) -> Program {
        command.stderr(Stdio::piped());
        Program::spawn(command)
    }

    /// With a log that can be read while it runs.
    pub fn with_log(mut command: Command, log: File) -> Program {
        command.stderr(log);
        Program::spawn(command)
    }

    /// Reads its log and keeps nothing of it. Where nobody reads the log, a program stands still once the pipe is full.
    pub fn drop_log(&mut self) {
        if let Some(mut log) = self.stderr.take() {
            std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        }
    }

    fn spawn(mut command: Command) -> Program {
        let admin = command.get_envs().find(|(name, _)| *name == "SOUNDING_ADMIN");
        let admin = admin.and_then(|(_, path)| path).map(PathBuf::from);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = child.stderr.take();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on ");
        let address = address.unwrap_or_else(|| panic!("the first line is {line:?}")).to_owned();
        Program { child, stdout, stderr, address, admin }
    }

    /// The lines behind the first, up to one with this text in it.
    fn lines_until(&mut self, end: &str) -> String {
        let mut lines = String::new();
        while !lines.contains(end) {
            assert_ne!(self.stdout.read_line(&mut lines).unwrap(), 0, "{lines}");
        }
        lines
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Ends it with SIGTERM; its exit status, the rest of its output, and its log.
    pub fn end(mut self) -> (ExitStatus, String, String) {
        self.signal(Signal::TERM);
        let status = self.child.wait().unwrap();
        let (mut output, mut log) = (String::new(), String::new());
        self.stdout.read_to_string(&mut output).unwrap();
        if let Some(mut stderr) = self.stderr.take() {
            stderr.read_to_string(&mut log).unwrap();
        }
        (status, output, log)
    }
}

impl Program {
    /// Waits until it ends by itself; its exit status and its log.
    pub fn ended(mut self) -> (ExitStatus, String) {
        let (send, read) = std::sync::mpsc::channel();
        let mut stderr = self.stderr.take().unwrap();
        // The log ends with the program.
        std::thread::spawn(move || {
            let mut log = String::new();
            stderr.read_to_string(&mut log).unwrap();
            send.send(log).unwrap_or_default();
        });
        let log = read.recv_timeout(PATIENCE).expect("it ends by itself");
        (self.child.wait().unwrap(), log)
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Already gone, where the test ended it.
        self.child.kill().unwrap_or_default();
        self.child.wait().unwrap();
        if let Some(admin) = &self.admin {
            remove_sockets(admin);
        }
    }
}

pub fn command(volume: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sounding-server"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).arg("--volume").arg(volume);
    // Not the machine's own: tests run side by side.
    // The program removes it: nothing is there yet.
    command.env("SOUNDING_ADMIN", admin_socket());
    command
}

/// A socket's path that no other test has. What a server that was killed leaves there, and the socket of its metrics beside it, go with this.
#[derive(Debug)]
pub struct SocketPath(PathBuf);

pub fn admin_socket() -> SocketPath {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("sounding-test-{}-{number}.sock", std::process::id());
    SocketPath(std::env::temp_dir().join(name))
}

impl Deref for SocketPath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<OsStr> for SocketPath {
    fn as_ref(&self) -> &OsStr {
        self.0.as_os_str()
    }
}

impl AsRef<Path> for SocketPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        remove_sockets(&self.0);
    }
}

fn remove_sockets(admin: &Path) {
    for path in [admin.to_owned(), admin.with_extension("sock.metrics")] {
        std::fs::remove_file(path).unwrap_or_default();
    }
}

fn shell(script: &str) -> String {
    let output = Command::new("sh").args(["-c", script]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn volume_with_key() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(
        &folder.path().join(".sounding/auth-keys.csv"),
        b"kmt,kmt-secret\nzoe,zoe-secret,read,zurich\n",
    );
    write(&folder.path().join("run/a.txt"), b"hello");
    folder
}

#[test]
fn the_first_start_makes_a_key_and_a_curl_line_that_works() {
    let folder = tempfile::tempdir().unwrap();
    let volume = folder.path().join("not/made/yet");
    let mut program = Program::start(&volume, &[]);
    let lines = program.lines_until("curl ");
    let curl = lines.lines().find(|it| it.trim_start().starts_with("curl ")).unwrap().to_owned();
    let key = curl.split(['\'', ' ']).find(|it| it.starts_with("admin-")).unwrap().to_owned();
    assert_eq!(lines.matches(&key).count(), 2, "the key, and the curl line with it");
    let listing = shell(&format!("{} -s", curl.trim()));
    let listed: Vec<serde_json::Value> = serde_json::from_str(&listing).unwrap();
    assert!(listed.is_empty() && listing.len() < 10, "short enough to be read: {listing}");
    let keys = volume.join(".sounding/auth-keys.csv");
    assert_eq!(std::fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        std::fs::metadata(keys.parent().unwrap()).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let text = std::fs::read_to_string(&keys).unwrap();
    assert!(
        text.starts_with("# username,apikey,scope")
            && text.contains(&format!("admin,{key},write,,,"))
    );
    let (status, _, log) = program.end();
    assert!(status.success());
    assert!(!log.contains(&key), "the key is in the log");
    // The second start makes none.
    let inode = std::fs::metadata(&keys).unwrap().ino();
    let program = Program::start(&volume, &[]);
    let (_, output, _) = program.end();
    assert_eq!((output.as_str(), std::fs::metadata(&keys).unwrap().ino()), ("", inode));
}

/// All files below a folder of a listing, as they come, by their path.
fn fetch_all(base: &str, folder: &str, files: &mut Vec<(String, Vec<u8>)>) {
    let fetch = |target: &str| {
        let output =
            Command::new("curl").args(["-sf", &format!("{base}{target}")]).output().unwrap();
        assert!(output.status.success(), "{target}");
        output.stdout
    };
    let listing = fetch(&format!("{folder}?format=json"));
    for entry in serde_json::from_slice::<serde_json::Value>(&listing).unwrap().as_array().unwrap()
    {
        let target =
            format!("{folder}{}", volume::escape(entry["name"].as_str().unwrap().as_bytes()));
        if entry["type"] == "directory" {
            fetch_all(base, &format!("{target}/"), files);
        } else {
            let content = fetch(&target);
            assert_eq!(entry["size"].as_u64(), Some(content.len() as u64), "{target}");
            files.push((target, content));
        }
    }
}

#[test]
fn the_example_of_the_readme_is_served_whole() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/volume");
    let folder = tempfile::tempdir().unwrap();
    let volume = folder.path().join("volume");
    // A copy: a key of a first start in the tree would be a newcomer's.
    assert!(Command::new("cp").arg("-r").arg(&example).arg(&volume).status().unwrap().success());
    write(&volume.join(".sounding/auth-keys.csv"), b"kmt,kmt-secret\n");
    let program = Program::start(&volume, &[]);
    let mut files = Vec::new();
    fetch_all(&format!("{}/share/kmt-secret", program.address), "/", &mut files);
    for (target, content) in &files {
        let name = percent_encoding::percent_decode_str(&target[1..]).decode_utf8().unwrap();
        assert!(std::fs::read(example.join(&*name)).unwrap() == *content, "{target}");
    }
    for extension in ["yaml", "csv", "csv.gz", "geojson", "png", "parquet"] {
        assert!(
            files.iter().any(|(target, _)| target.ends_with(extension)),
            "no {extension} in the example"
        );
    }
}

#[test]
fn no_key_is_made_where_the_environment_brings_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(folder.path());
    command.args(["--listen", "127.0.0.1:0"]).env("API_KEYS", "kmt-secret");
    let program = Program::run(command);
    let listing =
        shell(&format!("curl -s -H 'Authorization: kmt-secret' {}/files/", program.address));
    assert!(listing.contains("<table>"), "{listing}");
    let (_, output, log) = program.end();
    assert_eq!(output, "");
    assert!(log.contains("user=kmt") && !log.contains("secret"), "{log}");
    assert!(!folder.path().join(".sounding/auth-keys.csv").exists());
}

#[test]
fn no_key_is_made_where_the_file_only_needs_mending() {
    let folder = tempfile::tempdir().unwrap();
    let damaged = "\"kmt\",\"kmt-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUm6AfG\"\n";
    write(&folder.path().join(".sounding/auth-keys.csv"), damaged.as_bytes());
    let mut command = command(folder.path());
    command.args(["--listen", "127.0.0.1:0"]).env("API_KEYS", "zoe-,");
    let (_, output, log) = Program::run(command).end();
    assert_eq!(output, "");
    assert!(log.contains("line 1: a quote stands") && log.contains("API_KEYS, key 1:"), "{log}");
    let keys = std::fs::read_to_string(folder.path().join(".sounding/auth-keys.csv")).unwrap();
    assert_eq!(keys, damaged);
}

#[test]
fn each_request_has_one_line_and_no_line_has_a_key() {
    let folder = volume_with_key();
    let program = Program::start(folder.path(), &[]);
    let base = program.address.clone();
    shell(&format!(
        "curl -s -H 'Authorization: kmt-secret' {base}/files/run/a.txt?token=query-secret"
    ));
    shell(&format!("curl -s -H 'Authorization: Bearer kmt-secret' -r 1-2 {base}/files/run/a.txt"));
    shell(&format!("curl -s -u me:kmt-secret -I {base}/files/run/a.txt"));
    shell(&format!("curl -s {base}/share/kmt-secret/run/a.txt"));
    shell(&format!("curl -s {base}/share/kmt-secret"));
    shell(&format!("curl -s {base}/share/wrong-secret/run/%0a"));
    shell(&format!("curl -s -H 'Authorization: wrong-secret' {base}/files/run/a.txt"));
    shell(&format!("curl -s -H 'Authorization: zoe-secret' {base}/files/run/a.txt"));
    let (status, output, log) = program.end();
    assert!(status.success() && output.is_empty());
    assert!(!log.contains("secret"), "{log}");
    let lines: Vec<&str> = log.lines().filter(|it| it.contains(" access: ")).collect();
    assert_eq!(lines.len(), 8, "{log}");
    // A line is written when the last byte has gone out, so on a busy machine the next may come before it.
    for expected in [
        "method=GET path=/files/run/a.txt status=200 bytes=5 micros= user=kmt client=127.0.0.1",
        "method=GET path=/files/run/a.txt status=206 bytes=2 user=kmt",
        "method=HEAD path=/files/run/a.txt status=200 bytes=0 user=kmt",
        "method=GET path=/share/.../run/a.txt status=200 user=kmt",
        "method=GET path=/share/... status=200 user=kmt",
        "method=GET path=/share/.../run/%0A status=401 user=-",
        "method=GET path=/files/run/a.txt status=401 user=-",
        "method=GET path=/files/run/a.txt status=403 user=zoe",
    ] {
        let has = |line: &str, word: &str| {
            let is_it = |it: &str| it == word || word.ends_with('=') && it.starts_with(word);
            line.split(' ').any(is_it)
        };
        let has_all = |line: &&str| expected.split(' ').all(|word| has(line, word));
        assert_eq!(lines.iter().copied().filter(has_all).count(), 1, "{expected}: {log}");
    }
}

#[test]
fn a_key_in_a_mistyped_address_is_in_no_log_and_on_no_screen() {
    let folder = volume_with_key();
    write(&folder.path().join("run/sub/b.txt"), b"hello");
    let admin = folder.path().join("admin.sock");
    let program = Program::start(folder.path(), &["--admin", admin.to_str().unwrap()]);
    let targets = [
        "/share/KEY",
        "/share/KEY/",
        "/share/KEY/run/a.txt",
        "/share/KEY/run",
        "/share/KEY/run/sub",
        "/share/KEY/KEY/a",
        "/share/KEY/../KEY",
        "//share/KEY/run/a.txt",
        "/share//KEY/run/a.txt",
        "/share/./KEY/run/a.txt",
        "/Share/KEY/run/a.txt",
        "/share%2fKEY/run/a.txt",
        "/share%2FKEY%2Frun",
        "/./share/KEY/a",
        "/shareKEY",
        "/KEY",
        "/KEY/run/a.txt",
        "/uploads/KEY",
        "/files/share/KEY/run/a.txt",
        "/files/KEY",
        "/files/KEY/",
        "/files/run/KEY/../a",
        "/files/run%2FKEY",
        "/files//KEY//",
        "/files/run/a.txt;KEY",
        "/files/run/a.txt&key=KEY",
        "/health/KEY",
        "/files/run/a.txt?key=KEY",
        "/share/KEY/run/a.txt?KEY",
        "/files/run?KEY",
        "/KEY?KEY",
        "http://kmt:KEY@localhost/files/run/a.txt",
        "/files/%zzKEY",
    ];
    for key in ["kmt-secret", "kmt%2Dsecret"] {
        for target in targets {
            let mut connection = Connection::to(&program.address);
            let fields = [("Connection", "close"), ("Referer", "http://x/share/kmt-secret/run/")];
            connection.send("GET", &target.replace("KEY", key), &fields);
            connection.receive("GET");
        }
    }
    let activity =
        shell(&format!("curl -s --unix-socket {} http://x/activity?since=0", admin.display()));
    let (_, _, log) = program.end();
    for (what, text) in [("the log", &log), ("the activity", &activity)] {
        assert_eq!(text.lines().find(|it| it.contains("secret")), None, "{what}");
    }
    let lines = log.lines().filter(|it| it.contains(" access: ")).count();
    assert_eq!(lines, 2 * targets.len(), "{log}");
}

#[test]
fn the_log_says_that_a_damaged_journal_was_put_aside() {
    let volume = volume_with_key();
    let folder = volume.path().join(".sounding");
    write(&folder.join("journal.sqlite"), b"no database at all\n");
    let server = Program::start(volume.path(), &[]);
    wait_for("the journal", || folder.join("journal.broken.sqlite").exists().then_some(()));
    let (status, _, log) = server.end();
    assert!(status.success(), "{log}");
    assert!(log.contains("the change journal is begun anew"), "{log}");
}

#[test]
fn the_log_can_be_json_an_object_a_line() {
    let folder = volume_with_key();
    let program = Program::start(folder.path(), &["--log", "json"]);
    shell(&format!("curl -s -H 'Authorization: kmt-secret' {}/files/run/a.txt", program.address));
    let (_, _, log) = program.end();
    let lines: Vec<serde_json::Value> =
        log.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let access = lines.iter().find(|it| it["target"] == "access").expect("an access line");
    assert_eq!((access["status"].as_u64(), access["bytes"].as_u64()), (Some(200), Some(5)));
    assert_eq!(
        (access["user"].as_str(), access["path"].as_str()),
        (Some("kmt"), Some("/files/run/a.txt"))
    );
}

#[test]
fn signals_end_it_with_status_0() {
    let folder = volume_with_key();
    for signal in [Signal::TERM, Signal::INT] {
        let mut program = Program::start(folder.path(), &[]);
        program.signal(signal);
        assert_eq!(program.child.wait().unwrap().code(), Some(0), "{signal:?}");
    }
}

#[test]
fn a_download_may_finish_within_the_grace_and_a_second_signal_ends_it() {
    let folder = volume_with_key();
    write(&folder.path().join("public/big.bin"), &vec![b'x'; 64 << 20]);
    let mut program = Program::start(folder.path(), &["--grace", "60"]);
    let address = program.address.strip_prefix("http://").unwrap().to_owned();
    let mut stream = std::net::TcpStream::connect(&address).unwrap();
    stream.write_all(b"GET /files/public/big.bin HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    stream.read_exact(&mut [0; 1000]).unwrap();
    program.signal(Signal::TERM);
    wait_for("connections to be refused", || {
        std::net::TcpStream::connect(&address).is_err().then_some(())
    });
    assert_eq!(program.child.try_wait().unwrap(), None, "it waits for the download");
    program.signal(Signal::TERM);
    assert_eq!(program.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_download_that_does_not_end_is_cut_off_after_the_grace() {
    let folder = volume_with_key();
    write(&folder.path().join("public/big.bin"), &vec![b'x'; 64 << 20]);
    let program = Program::start(folder.path(), &["--grace", "1"]);
    let address = program.address.strip_prefix("http://").unwrap().to_owned();
    let mut stream = std::net::TcpStream::connect(&address).unwrap();
    stream.write_all(b"GET /files/public/big.bin HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    stream.read_exact(&mut [0; 1000]).unwrap();
    let (status, _, log) = program.end();
    assert_eq!(status.code(), Some(0));
    assert!(log.contains("cut off") && log.contains("ended=\"aborted\""), "{log}");
}

#[test]
fn a_unix_socket_serves_and_goes_with_the_program() {
    let folder = volume_with_key();
    let socket = folder.path().join("run/server.sock");
    // One that a crash left behind is replaced.
    drop(UnixListener::bind(&socket).unwrap());
    let listen = format!("unix:{}", socket.display());
    let start = |volume: &Path| {
        let mut command = command(volume);
        command.args(["--listen", &listen]);
        command
    };
    let program = Program::run(start(folder.path()));
    assert_eq!(program.address, listen);
    let get = format!(
        "curl -s --unix-socket {} -H 'Authorization: kmt-secret' http://x/files/run/a.txt",
        socket.display()
    );
    assert_eq!(shell(&get), "hello");
    // A second server, of another volume, does not take it away from the first.
    let second = start(volume_with_key().path()).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("another server listens on"));
    assert_eq!(shell(&get), "hello");
    let (status, ..) = program.end();
    assert!(status.success() && !socket.exists());
}

#[test]
fn an_inherited_socket_is_served() {
    let folder = volume_with_key();
    let run = |socket: std::os::fd::OwnedFd| {
        let mut command = command(folder.path());
        command.args(["--listen", "fd:0"]).stdin(Stdio::from(socket));
        Program::run(command)
    };
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let program = run(tcp.into());
    assert_eq!(program.address, format!("http://{address}"));
    assert_eq!(
        shell(&format!("curl -s -H 'Authorization: kmt-secret' http://{address}/files/run/a.txt")),
        "hello"
    );
    drop(program);
    let path = folder.path().join("inherited.sock");
    let program = run(UnixListener::bind(&path).unwrap().into());
    assert_eq!(program.address, format!("unix:{}", path.display()));
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"GET /health HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("\"status\":\"ok\""), "{answer}");
    drop(program);
    assert!(path.exists(), "an inherited socket is not ours to remove");
}

#[test]
fn what_cannot_be_done_is_said_in_one_line() {
    let folder = volume_with_key();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let file = folder.path().join("run/a.txt");
    let no_socket = format!("unix:{}", file.display());
    let check = |volume: &Path, arguments: &[&str], code: i32, expected: &[&str]| {
        let output = command(volume).args(arguments).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        let last = if code == 1 { said.lines().last().unwrap() } else { &said };
        assert!(expected.iter().all(|it| last.contains(it)), "{arguments:?}: {said}");
    };
    check(folder.path(), &["--listen", &taken], 1, &["could not listen on", &taken, "in use"]);
    check(folder.path(), &["--listen", &no_socket], 1, &["a file that is not a socket is there"]);
    check(folder.path(), &["--listen", "fd:0"], 1, &["descriptor 0"]);
    check(&file, &[], 1, &["could not make the volume's folder", "a.txt"]);
    check(folder.path(), &["--listen", "nowhere"], 2, &["HOST:PORT"]);
    check(folder.path(), &["--grace", "soon"], 2, &["--grace"]);
    check(folder.path(), &["--colour"], 2, &["--colour", "--help"]);
    assert_eq!(std::fs::read(&file).unwrap(), b"hello");
}

#[test]
fn help_teaches() {
    let folder = volume_with_key();
    let output = command(folder.path()).arg("--help").output().unwrap();
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    for expected in [
        "--volume",
        "--listen",
        "SOUNDING_VOLUME",
        "unix:PATH",
        "API_KEYS",
        "auth-keys.csv",
        "curl",
        "/share/KEY/PATH",
    ] {
        assert!(help.contains(expected), "{expected} in {help}");
    }
}
