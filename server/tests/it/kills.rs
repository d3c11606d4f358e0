//! `kill -9`, again and again, while all that changes a volume goes on: uploads by PUT and tus, replacing, deletes, wormhole
//! receives in the server, moves and copies of folders in another program that is killed with it.
//!
//! In each round one of these is waited for, in turns; the kill comes within 50 ms of it. After each start nothing that was acknowledged is lost, no file is half-written, and no room is held. How many rounds
//! there are says `SOUNDING_KILL_ROUNDS`; the seed is fixed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use volume::OnConflict;
use volume::{RelPath, Volume};

use crate::crashes::{Random, ask, comes, content, is_whole};
use crate::process::{Program, command};
use crate::support::{KEY, wait_for, write};
use crate::transfers::{Place, fresh_code};

const ROUNDS: usize = 100;
const SEED: u64 = 0x6b69_6c6c_2d39;
/// After so many rounds the trash is emptied, so that it does not grow without end.
const EMPTIED_EVERY: usize = 10;
/// Tells a process of this test that it is the mover, and of which volume.
const MOVER: &str = "SOUNDING_TEST_MOVER";

/// What was done so far, by whom; read while it goes on.
#[derive(Debug, Default)]
struct Done([AtomicUsize; DEEDS.len()]);

/// What has to be done once more in a round before its kill, in turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Replaced,
    Deleted,
    /// A piece of a resumable upload came.
    Piece,
    /// A folder was moved, and copied.
    Copied,
    /// A folder is on its way by wormhole.
    Receiving,
    Received,
}

const DEEDS: [Deed; 6] =
    [Deed::Replaced, Deed::Deleted, Deed::Piece, Deed::Copied, Deed::Receiving, Deed::Received];

impl Done {
    fn add(&self, deed: Deed) {
        self.0[deed as usize].fetch_add(1, SeqCst);
    }

    fn of(&self, deed: Deed) -> usize {
        self.0[deed as usize].load(SeqCst)
    }
}

/// A file under one name: what was acknowledged, and what was sent since.
#[derive(Default)]
struct Versions {
    acknowledged: Option<Vec<u8>>,
    sent: Option<Vec<u8>>,
}

/// Who replaces files by PUT.
#[derive(Default)]
struct Replacing {
    files: BTreeMap<String, Versions>,
}

impl Replacing {
    fn run(&mut self, address: &str, random: &mut Random, done: &Done) {
        loop {
            let name = format!("run/{}.bin", random.below(4));
            let body = content(random);
            let versions = self.files.entry(name.clone()).or_default();
            versions.sent = Some(body.clone());
            if ask(address, "PUT", &format!("/files/{name}"), &[], &body).is_none() {
                return;
            }
            *versions = Versions { acknowledged: Some(body), sent: None };
            done.add(Deed::Replaced);
        }
    }

    fn check(&mut self, volume: &Path) {
        for (name, versions) in &mut self.files {
            let there = fs::read(volume.join(name)).ok();
            let is_acknowledged = there == versions.acknowledged;
            let is_sent = there.is_some() && there == versions.sent;
            assert!(is_acknowledged || is_sent, "{name} is neither the old nor the new version");
            *versions = Versions { acknowledged: there, sent: None };
        }
    }
}

/// How far a file is that is uploaded and then deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Uploading,
    Uploaded,
    Deleting,
    Deleted,
}

/// Who uploads files and deletes most of them.
#[derive(Default)]
struct Deleting {
    files: BTreeMap<String, (Vec<u8>, Fate)>,
    next: usize,
}

impl Deleting {
    fn run(&mut self, address: &str, random: &mut Random, done: &Done) {
        loop {
            self.next += 1;
            let name = format!("deleted-{}.bin", self.next);
            let target = format!("/files/gone/{name}");
            let body = content(random);
            let mut tell = |fate| self.files.insert(name.clone(), (body.clone(), fate));
            tell(Fate::Uploading);
            if ask(address, "PUT", &target, &[], &body).is_none() {
                return;
            }
            tell(Fate::Uploaded);
            if random.below(4) == 0 {
                continue;
            }
            tell(Fate::Deleting);
            if ask(address, "DELETE", &target, &[], b"").is_none() {
                return;
            }
            tell(Fate::Deleted);
            done.add(Deed::Deleted);
        }
    }

    fn check(&mut self, volume: &Path) {
        for (name, (body, fate)) in std::mem::take(&mut self.files) {
            let read = |path: String| fs::read(volume.join(path)).ok();
            let in_tree = read(format!("gone/{name}"));
            let in_trash = read(format!(".sounding/trash/files/{name}"));
            for found in [&in_tree, &in_trash].into_iter().flatten() {
                assert!(*found == body, "{name} is partial");
            }
            let expected: &[_] = match fate {
                Fate::Uploading => &[(false, false), (true, false)],
                Fate::Uploaded => &[(true, false)],
                Fate::Deleting => &[(true, false), (false, true)],
                Fate::Deleted => &[(false, true)],
            };
            let found = (in_tree.is_some(), in_trash.is_some());
            assert!(expected.contains(&found), "{name} in tree, in trash: {found:?}, {fate:?}");
            if in_trash.is_some() {
                let record = read(format!(".sounding/trash/info/{name}.trashinfo")).unwrap();
                let path = format!("Path=gone/{name}\n");
                assert!(String::from_utf8(record).unwrap().contains(&path), "{name}");
            }
        }
    }
}

/// Who uploads by tus in pieces, and goes on after each kill.
#[derive(Default)]
struct Resuming {
    upload: Option<Upload>,
    next: usize,
    resumed: usize,
    count: usize,
}

struct Upload {
    address: String,
    name: String,
    body: Vec<u8>,
    acknowledged: usize,
}

impl Resuming {
    fn run(&mut self, address: &str, random: &mut Random, done: &Done) {
        while self.step(address, random, done).is_some() {}
    }

    fn step(&mut self, address: &str, random: &mut Random, done: &Done) -> Option<()> {
        let Some(upload) = &mut self.upload else {
            self.next += 1;
            let (name, body) = (format!("resumed-{}.bin", self.next), content(random));
            let metadata = format!("filename {}", STANDARD.encode(&name));
            let length = body.len().to_string();
            let fields = [("Upload-Length", &*length), ("Upload-Metadata", &metadata)];
            let begun = ask(address, "POST", "/uploads?into=resumed", &fields, b"")?;
            let address = begun.field("location").unwrap().replacen("./", "/", 1);
            self.upload = Some(Upload { address, name, body, acknowledged: 0 });
            return Some(());
        };
        let rest = upload.body.get(upload.acknowledged..).unwrap();
        let piece = rest.get(..rest.len().min(1 + upload.body.len() / 5)).unwrap();
        let offset = upload.acknowledged.to_string();
        let stream = ("Content-Type", "application/offset+octet-stream");
        ask(address, "PATCH", &upload.address, &[("Upload-Offset", &offset), stream], piece)?;
        upload.acknowledged += piece.len();
        done.add(Deed::Piece);
        if upload.acknowledged == upload.body.len() {
            self.count += 1;
        }
        Some(())
    }

    /// What was acknowledged is there, and the upload goes on behind it.
    fn check(&mut self, volume: &Path, address: &str) {
        let Some(upload) = &mut self.upload else { return };
        let answer = ask(address, "HEAD", &upload.address, &[], b"").expect("the upload is known");
        let offset: usize = answer.field("upload-offset").unwrap().parse().unwrap();
        assert!(offset >= upload.acknowledged, "{offset} of {} are left", upload.acknowledged);
        let path = volume.join("resumed").join(&upload.name);
        if offset == upload.body.len() {
            assert!(fs::read(path).unwrap() == upload.body, "{} is partial", upload.name);
            self.upload = None;
            return;
        }
        assert!(!path.exists());
        upload.acknowledged = offset;
        self.resumed += usize::from(offset > 0);
    }
}

/// A folder that another server sends, and the killed one receives.
struct Receiving {
    sender: Place,
    socket: PathBuf,
    under_way: Option<Receive>,
    done: usize,
    interrupted: usize,
}

struct Receive {
    /// The transfer's number where it is sent, and where it is received.
    sending: u64,
    number: u64,
    into: String,
    is_running: bool,
    is_done: bool,
}

impl Receiving {
    fn new(socket: PathBuf) -> Receiving {
        let mut sender = Place::new();
        sender.program.as_mut().unwrap().drop_log();
        for name in ["a.bin", "b.bin"] {
            write(&sender.path(&format!("sent/{name}")), &content(&mut Random(SEED)));
        }
        Receiving { sender, socket, under_way: None, done: 0, interrupted: 0 }
    }

    fn begin(&mut self, round: usize) {
        let (code, into) = (fresh_code(), format!("received/{round}"));
        let sending = self.sender.send(json!({"paths": ["sent"], "code": code}));
        let wanted =
            json!({"direction": "receive", "code": code, "yes": true, "wait": true, "into": into});
        let now = admin(&self.socket, "POST", "/transfers", &wanted).unwrap();
        let number = now["number"].as_u64().unwrap();
        self.under_way = Some(Receive { sending, number, into, is_running: false, is_done: false });
    }

    /// Until the server is gone.
    fn follow(&mut self, done: &Done) {
        let Some(receive) = &mut self.under_way else { return };
        let target = format!("/transfers/{}?wait=1", receive.number);
        while let Some(now) = admin(&self.socket, "GET", &target, &Value::Null) {
            let is_done = now["state"] == "done";
            let is_running =
                is_done || matches!(now["state"].as_str(), Some("running" | "storing"));
            if is_running && !receive.is_running {
                done.add(Deed::Receiving);
            }
            if is_done && !receive.is_done {
                done.add(Deed::Received);
            }
            (receive.is_running, receive.is_done) = (is_running, is_done);
            if is_done {
                return;
            }
        }
    }

    fn check(&mut self, volume: &Path) {
        let Some(receive) = self.under_way.take() else { return };
        let Receive { sending, number, into, is_running, is_done } = receive;
        self.sender.ask("DELETE", &format!("/transfers/{sending}"), &Value::Null);
        let record = volume.join(format!(".sounding/transfers/{number}.json"));
        let state = wait_for("the transfer's end", || {
            let record: Value = serde_json::from_slice(&fs::read(&record).ok()?).ok()?;
            let state = record["state"].as_str()?.to_owned();
            (!record["ended"].is_null()).then_some(state)
        });
        assert!(state == "done" || !is_done, "{state}, and it was said to be done");
        let received = volume.join(into).join("sent");
        assert_eq!(received.exists(), state == "done", "{}", received.display());
        if state == "done" {
            assert_eq!(whole_files(&received), 2);
            self.done += 1;
        } else {
            self.interrupted += usize::from(is_running);
        }
    }
}

/// A request to the admin socket of a server that may be gone.
fn admin(socket: &Path, method: &str, target: &str, body: &Value) -> Option<Value> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut stream = UnixStream::connect(socket).ok()?;
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

/// How many files lie in a folder, each of which is whole.
fn whole_files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    entries
        .inspect(|it| assert!(is_whole(&fs::read(it).unwrap()), "{} is partial", it.display()))
        .count()
}

/// Another program on the same volume, which moves and copies folders as the console does.
struct Mover {
    child: Child,
}

impl Mover {
    fn start(volume: &Path) -> Mover {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([
            "--exact",
            "kills::moves_and_copies_until_it_is_killed",
            "--ignored",
            "--nocapture",
        ]);
        command.env(MOVER, volume).stdout(Stdio::piped()).stderr(Stdio::null());
        Mover { child: command.spawn().unwrap() }
    }

    /// What it says, until it is gone.
    fn output(&mut self) -> impl Iterator<Item = String> + Send + use<> {
        BufReader::new(self.child.stdout.take().unwrap()).lines().map_while(Result::ok)
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().unwrap();
    }
}

#[test]
#[ignore = "a part of the test below, which runs it as a program of its own and kills it"]
fn moves_and_copies_until_it_is_killed() {
    let Some(place) = std::env::var_os(MOVER) else { return };
    let volume = Arc::new(Volume::open(Path::new(&place)).unwrap());
    let rel = |path: &str| RelPath::from_plain(path.as_bytes()).unwrap();
    let anywhere = |_: &RelPath| true;
    loop {
        let (here, there) = if Path::new(&place).join("moved/a").exists() {
            ("moved/a", "moved/b")
        } else {
            ("moved/b", "moved/a")
        };
        volume.move_to(&rel(here), &rel(there), OnConflict::Refuse, "kmt", &anywhere).unwrap();
        let go_on = &mut |_: &_| ControlFlow::Continue(());
        let (from, to) = (rel(there), rel("copied/it"));
        volume.copy_to(&from, &to, OnConflict::Replace, "kmt", &anywhere, go_on).unwrap();
        println!("copied");
    }
}

/// The folder that is moved is in one of its two places, and its copy is whole.
fn check_moved(volume: &Path, has_copied: bool) {
    let places = ["moved/a", "moved/b"].map(|it| volume.join(it));
    let there: Vec<_> = places.iter().filter(|it| it.exists()).collect();
    assert_eq!(there.len(), 1, "{there:?}");
    assert_eq!(whole_files(there[0]), 3);
    let copy = volume.join("copied/it");
    assert!(copy.exists() || !has_copied, "the copy is lost");
    if copy.exists() {
        assert_eq!(whole_files(&copy), 3);
    }
}

/// What lies in staging belongs to an upload that can go on.
fn holds_no_room(volume: &Path) {
    wait_for("staging without what was killed", || {
        let entries = fs::read_dir(volume.join(".sounding/staging")).ok()?;
        let mut names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
        let is_known = |it: String| volume.join(format!(".sounding/uploads/{it}.json")).exists();
        names.all(is_known).then_some(())
    });
}

fn empty_trash(volume: &Path) {
    for folder in ["files", "info"] {
        for entry in fs::read_dir(volume.join(".sounding/trash").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
        }
    }
}

#[test]
fn whatever_is_killed_loses_nothing_that_was_acknowledged_and_holds_no_room() {
    let rounds = std::env::var("SOUNDING_KILL_ROUNDS").map_or(ROUNDS, |it| it.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (volume, socket) = (folder.path().join("volume"), folder.path().join("admin.sock"));
    write(&volume.join(".sounding/auth-keys.csv"), format!("kmt,{KEY},write\n").as_bytes());
    let mut random = Random(SEED);
    for name in ["x.bin", "y.bin", "z.bin"] {
        write(&volume.join("moved/a").join(name), &content(&mut random));
    }
    let mut receiving = Receiving::new(socket.clone());
    let (mut replacing, mut deleting) = (Replacing::default(), Deleting::default());
    let (mut resuming, done) = (Resuming::default(), Done::default());
    for round in 0..rounds {
        let mut command = command(&volume);
        command.env("SOUNDING_ADMIN", &socket).args(["--listen", "127.0.0.1:0", "--local-peers"]);
        command.args(receiving.sender.options());
        let program = Program::with_log(command, fs::File::create("/dev/null").unwrap());
        let address = program.address.clone();
        replacing.check(&volume);
        deleting.check(&volume);
        check_moved(&volume, done.of(Deed::Copied) > 0);
        resuming.check(&volume, &address);
        receiving.check(&volume);
        holds_no_room(&volume);
        if round % EMPTIED_EVERY == 0 && round > 0 {
            empty_trash(&volume);
        }
        receiving.begin(round);
        let mut mover = Mover::start(&volume);
        let mut copied = mover.output();
        let pause = Duration::from_millis(random.below(50));
        let deed = DEEDS[round % DEEDS.len()];
        let before = done.of(deed);
        let mut randoms = [(); 3].map(|()| Random(random.below(u64::MAX - 1) + 1));
        std::thread::scope(|scope| {
            let [one, two, three] = &mut randoms;
            let (address, done) = (&address, &done);
            scope.spawn(|| replacing.run(address, one, done));
            scope.spawn(|| deleting.run(address, two, done));
            scope.spawn(|| resuming.run(address, three, done));
            scope.spawn(|| receiving.follow(done));
            scope.spawn(|| {
                copied.by_ref().filter(|it| it == "copied").for_each(|_| done.add(Deed::Copied));
            });
            let is_done = comes(|| done.of(deed) > before);
            // The moment of the kill, which the seed chooses; nothing is waited for.
            std::thread::sleep(pause);
            program.signal(Signal::KILL);
            kill_process(Pid::from_child(&mover.child), Signal::KILL).unwrap();
            assert!(is_done, "round {round}: {deed:?} did not come in a minute");
        });
    }
    println!(
        "{rounds} rounds: {} replaced, {} deleted, {} resumable uploads done and {} gone on with, {} folders moved and \
         copied, {} received by wormhole and {} broken off in the middle; nothing acknowledged was lost",
        done.of(Deed::Replaced),
        done.of(Deed::Deleted),
        resuming.count,
        resuming.resumed,
        done.of(Deed::Copied),
        receiving.done,
        receiving.interrupted
    );
    let resumed = [resuming.count, resuming.resumed];
    assert!(resumed.iter().all(|it| *it > rounds / 10), "too little was gone on with: {resumed:?}");
}
