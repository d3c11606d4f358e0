//! The other sides: this crate again, and the Python clients as programs.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use wormhole::{
    Arrival, Code, Error, IfNoPeer, Incoming, Offer, Outgoing, Receiving, Sending, Settings,
    Wormhole,
};

use crate::servers::{PYTHON, Servers, soon};

/// Both sides with a key.
pub async fn pair(ours: &Settings, theirs: &Settings, code: &Code) -> (Wormhole, Wormhole) {
    let (one, other) = soon(async { tokio::join!(meet(ours, code), meet(theirs, code)) }).await;
    (one.unwrap(), other.unwrap())
}

/// Joins a code, whichever side comes first.
pub async fn meet(settings: &Settings, code: &Code) -> Result<Wormhole, Error> {
    wormhole::join(settings, code, IfNoPeer::Wait).await?.peer().await
}

/// One side has made an offer, and the other has received it.
pub async fn offered(
    ours: &Settings,
    theirs: &Settings,
    code: &Code,
    offer: Offer,
) -> (Outgoing, Incoming) {
    let (sender, receiver) = pair(ours, theirs, code).await;
    let (outgoing, arrival) =
        soon(async { tokio::join!(sender.offer(offer), receiver.receive()) }).await;
    (outgoing.unwrap(), incoming(arrival.unwrap()))
}

/// One side has made an offer, the other has accepted, and they are connected.
pub async fn connected(
    ours: &Settings,
    theirs: &Settings,
    code: &Code,
    size: u64,
) -> (Sending, Receiving) {
    let (outgoing, incoming) = offered(ours, theirs, code, file(size)).await;
    let (sending, receiving) =
        soon(async { tokio::join!(outgoing.accepted(), incoming.accept()) }).await;
    (sending.unwrap().unwrap(), receiving.unwrap())
}

pub fn file(size: u64) -> Offer {
    Offer::File { name: "x.bin".to_owned(), size }
}

pub fn incoming(arrival: Arrival) -> Incoming {
    match arrival {
        Arrival::Offer(incoming) => incoming,
        Arrival::Text(text) => panic!("it is a text: {text}"),
    }
}

/// All bytes that arrive.
pub async fn read_all(receiving: &mut Receiving) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    while let Some(bytes) = receiving.next().await? {
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

/// Receives all bytes, and confirms them.
pub async fn receive_all(incoming: Incoming) -> Result<Vec<u8>, Error> {
    let mut receiving = incoming.accept().await?;
    let all = read_all(&mut receiving).await?;
    receiving.finish().await?;
    Ok(all)
}

/// Waits until all good-byes are done.
pub async fn farewell(settings: &Settings) {
    settings.tracker.close();
    soon(settings.tracker.wait()).await;
}

/// The version of a Python client.
#[derive(Clone, Copy, Debug)]
pub enum Version {
    /// 0.24, from the test's own environment.
    New,
    /// 0.12, from Debian.
    Old,
}

/// A running Python client, in a folder of its own. Killed when dropped.
pub struct Python {
    child: Child,
    folder: TempDir,
}

impl Python {
    /// A new working folder.
    pub fn folder() -> TempDir {
        tempfile::tempdir().unwrap()
    }

    /// `arguments` begin with the sub-command.
    pub fn start(
        version: Version,
        servers: &Servers,
        folder: TempDir,
        arguments: &[&str],
    ) -> Python {
        let mut command = match version {
            Version::New => {
                let mut command = Command::new(PYTHON);
                command.args(["-m", "wormhole"]);
                command
            }
            Version::Old => {
                assert!(Path::new("/usr/bin/wormhole").exists(), "run .ci/setup.sh");
                Command::new("/usr/bin/wormhole")
            }
        };
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = command
            .args(["--relay-url", &servers.mailbox_url(), "--transit-helper", &servers.relay()])
            .args(arguments)
            .current_dir(folder.path())
            .env("PYTHONUNBUFFERED", "1")
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Python { child, folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Types a line.
    pub async fn type_line(&mut self, line: &str) {
        use tokio::io::AsyncWriteExt as _;
        let mut input = self.child.stdin.take().unwrap();
        input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// Waits until it ends: returns whether it succeeded, and its output.
    pub async fn end(&mut self) -> (bool, String) {
        let status = soon(self.child.wait()).await.unwrap();
        (status.success(), self.log())
    }

    /// It must succeed.
    pub async fn succeeds(&mut self) {
        let (is_content, log) = self.end().await;
        assert!(is_content, "{log}");
    }

    /// It must fail, with this text in its output.
    pub async fn fails(&mut self, with: &str) {
        let (is_content, log) = self.end().await;
        assert!(!is_content && log.contains(with), "{log}");
    }
}
