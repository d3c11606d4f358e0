//! The operators' door: what goes on, told over a Unix socket that is its owner's alone.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use crate::process::{Program, SocketPath, admin_socket, volume_with_key};
use crate::support;

struct Place {
    volume: tempfile::TempDir,
    socket: SocketPath,
    program: Program,
}

impl Place {
    fn new() -> Place {
        let (volume, socket) = (volume_with_key(), admin_socket());
        let program = start(volume.path(), &socket);
        Place { volume, socket, program }
    }

    fn public(&self, request: &str) -> String {
        let address = self.program.address.strip_prefix("http://").unwrap();
        exchange(TcpStream::connect(address).unwrap(), request)
    }

    fn ask(&self, target: &str) -> Value {
        let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = exchange(UnixStream::connect(&self.socket).unwrap(), &request);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }
}

fn start(volume: &Path, socket: &Path) -> Program {
    Program::start(volume, &["--admin", socket.to_str().unwrap()])
}

fn wait_for(mut is_so: impl FnMut() -> bool) {
    support::wait_for("what the server tells", || is_so().then_some(()));
}

fn exchange(mut stream: impl Read + Write, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(path: &str, key: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nConnection: close\r\n\r\n")
}

#[test]
fn only_the_owner_can_open_the_socket_and_it_goes_with_the_program() {
    let Place { socket, program, volume } = Place::new();
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(program.end().0.success());
    wait_for(|| !socket.exists());
    drop(volume);
}

#[test]
fn a_second_server_leaves_the_socket_to_the_first() {
    let place = Place::new();
    let other = volume_with_key();
    let refused = std::process::Command::new(env!("CARGO_BIN_EXE_sounding-server"))
        .args(["--listen", "127.0.0.1:0", "--volume"])
        .arg(other.path())
        .arg("--admin")
        .arg(&place.socket)
        .output()
        .unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("another server listens"));
    assert!(place.ask("/service")["pid"] == place.program.id());
}

#[test]
fn what_was_asked_for_is_told_without_any_key() {
    let place = Place::new();
    assert!(place.public(&get("/files/run/a.txt", "kmt-secret")).ends_with("hello"));
    place.public(&get("/share/kmt-secret/run/a.txt", ""));
    place.public(&get("/files/run/a.txt", "wrong-secret"));
    wait_for(|| place.ask("/activity")["recent"].as_array().unwrap().len() == 3);
    let now = place.ask("/activity?since=0");
    assert_eq!(now["since"], place.ask("/service")["since"]);
    assert!(now["parts"].as_array().unwrap().iter().any(|it| it["p99_micros"].as_u64() > Some(0)));
    let recent = now["recent"].as_array().unwrap();
    let column = |name: &str| recent.iter().map(|it| it[name].clone()).collect::<Vec<_>>();
    assert_eq!(column("status"), [200, 200, 401]);
    assert_eq!(column("username"), [Value::from("kmt"), "kmt".into(), Value::Null]);
    assert_eq!(recent[0]["sent"], 5);
    assert!(!now.to_string().contains("secret"), "{now}");
    assert!(now["p50_micros"].as_u64().unwrap() > 0 && now["disk"]["free"].as_u64().unwrap() > 0);
    let requests: u64 =
        now["parts"].as_array().unwrap().iter().map(|it| it["requests"].as_u64().unwrap()).sum();
    assert_eq!(requests, 3);
    let seq = recent[2]["seq"].as_u64().unwrap();
    assert_eq!(place.ask(&format!("/activity?since={seq}"))["recent"].as_array().unwrap().len(), 1);
}

#[test]
fn transfers_under_way_are_told_with_their_progress() {
    let place = Place::new();
    let big = std::fs::File::create(place.volume.path().join("run/big")).unwrap();
    big.set_len(64 << 20).unwrap();
    let address = place.program.address.strip_prefix("http://").unwrap();
    let mut download = TcpStream::connect(address).unwrap();
    let range = "Host: x\r\nRange: bytes=1048576-";
    download
        .write_all(get("/files/run/big", "kmt-secret").replace("Host: x", range).as_bytes())
        .unwrap();
    wait_for(|| place.ask("/activity")["open"][0]["sent"].as_u64().is_some_and(|it| it > 0));
    let open = &place.ask("/activity?console=c1")["open"][0];
    assert_eq!((&open["path"], &open["username"]), (&"/files/run/big".into(), &"kmt".into()));
    assert_eq!(open["expected"], 63 << 20);
    assert_eq!(open["range"], "bytes 1048576-67108863/67108864");
    let awake = place.ask("/activity?console=c1&untouched=0")["awake"].to_string();
    assert_eq!(awake, r#"["1 download","1 console"]"#);
    drop(download);
    wait_for(|| place.ask("/activity")["open"].as_array().unwrap().is_empty());
    let last = place.ask("/activity")["recent"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["complete"], false);
}

#[test]
fn the_last_use_of_a_key_outlives_the_server_and_the_edit_in_force_is_named() {
    let place = Place::new();
    place.public(&get("/files/run/a.txt", "kmt-secret"));
    wait_for(|| !place.ask("/keys")["uses"].as_object().unwrap().is_empty());
    let keys = place.ask("/keys");
    let uses = keys["uses"].as_object().unwrap();
    let (id, last) = uses.iter().next().unwrap();
    assert_eq!((&last["what"], &last["today"]), (&"GET /files/run/a.txt".into(), &1.into()));
    let volume = volume::Volume::open(place.volume.path()).unwrap();
    assert_eq!(keys["version"], volume.key_sheet().unwrap().version().to_string());
    let id = id.clone();
    let Place { volume: folder, socket, program } = place;
    assert!(program.end().0.success());
    assert!(volume.key_uses().unwrap().contains_key(&id));
    let program = start(folder.path(), &socket);
    let place = Place { volume: folder, socket, program };
    wait_for(|| place.ask("/keys")["uses"].as_object().unwrap().contains_key(&id));
    place.public(&get("/files/run/a.txt", "kmt-secret"));
    wait_for(|| place.ask("/keys")["uses"][&id]["today"] == 2);
}

#[test]
fn keys_from_the_environment_are_told_as_what_they_are() {
    let (volume, socket) = (volume_with_key(), admin_socket());
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sounding-server"));
    command.args(["--listen", "127.0.0.1:0", "--volume"]).arg(volume.path());
    command.arg("--admin").arg(&socket).env("API_KEYS", "ci-0123456789012345678901234567x9Qd");
    let program = Program::run(command);
    let place = Place { volume, socket, program };
    let keys = place.ask("/keys");
    assert_eq!(
        (&keys["extra"][0]["username"], &keys["extra"][0]["apikey"]),
        (&"ci".into(), &"ci-..x9Qd".into())
    );
    assert!(!keys.to_string().contains("0123"));
}

#[test]
fn arrivals_are_told() {
    let place = Place::new();
    let mut count = 0;
    wait_for(|| {
        // What is there before the first walk has not arrived.
        count += 1;
        std::fs::write(place.volume.path().join(format!("run/new-{count}.csv")), "1").unwrap();
        let arrivals = place.ask("/activity")["arrivals"].clone();
        let is_new = |it: &Value| it["path"].as_str().unwrap().starts_with("run/new-");
        arrivals.as_array().unwrap().iter().any(is_new)
    });
}

#[test]
fn the_public_door_leads_nowhere_here() {
    let place = Place::new();
    for path in ["/activity", "/keys", "/service"] {
        assert!(place.public(&get(path, "kmt-secret")).starts_with("HTTP/1.1 404"), "{path}");
    }
}

#[test]
fn an_open_upload_is_cut_when_its_key_is_revoked() {
    let place = Place::new();
    let file = place.volume.path().join(".sounding/auth-keys.csv");
    let key = "zoe-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUm6AfG";
    std::fs::write(&file, format!("kmt,kmt-secret\nzoe,{key},write\n")).unwrap();
    let address = place.program.address.strip_prefix("http://").unwrap();
    let mut upload = TcpStream::connect(address).unwrap();
    let length = 4 << 20;
    let head = get("/files/run/new.bin", key).replace("GET", "PUT");
    let head = head.replace("Host: x", &format!("Host: x\r\nContent-Length: {length}"));
    upload.write_all(head.as_bytes()).unwrap();
    upload.write_all(&vec![0; 1 << 20]).unwrap();
    wait_for(|| place.ask("/activity")["open"][0]["received"] == 1 << 20);
    let volume = volume::Volume::open(place.volume.path()).unwrap();
    volume.edit_keys(None, |sheet| sheet.revoke(2)).unwrap();
    let answer = exchange(upload, &"\0".repeat(3 << 20));
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(!place.volume.path().join("run/new.bin").exists());
}
