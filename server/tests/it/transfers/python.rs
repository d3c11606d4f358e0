//! The Python clients as programs: 0.24 of the tests' own environment, and 0.12 as Debian has it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::servers::{PYTHON, Servers};
use super::{PATIENCE, Place};

/// Which client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    New,
    Old,
}

/// A running client in a folder of its own. Killed when dropped.
pub struct Python {
    child: Child,
    folder: TempDir,
}

impl Python {
    /// `make` puts into the client's folder what it sends. `arguments` begin with the sub-command.
    pub fn start(
        version: Version,
        servers: &Servers,
        make: impl FnOnce(&Path),
        arguments: &[&str],
    ) -> Python {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path());
        // It heeds no Ctrl-C where that is ignored when it starts, as it is in a shell's background.
        let mut command = Command::new("env");
        command.arg("--default-signal=INT");
        match version {
            Version::New => command.args([PYTHON, "-m", "wormhole"]),
            Version::Old => command.arg("/usr/bin/wormhole"),
        };
        let log = File::create(folder.path().join("log")).unwrap();
        let child = command
            .args(["--relay-url", &servers.mailbox_url(), "--transit-helper", &servers.relay()])
            .args(arguments)
            .current_dir(folder.path())
            .env("PYTHONUNBUFFERED", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("the clients are installed by .ci/setup.sh");
        Python { child, folder }
    }

    /// Sends something that `make` puts into its folder.
    pub fn send(
        version: Version,
        place: &Place,
        make: impl FnOnce(&Path),
        code: &str,
        what: &[&str],
    ) -> Python {
        let options: &[&str] = match version {
            Version::New => &["send", "--no-qr", "--hide-progress", "--code", code],
            Version::Old => &["send", "--hide-progress", "--code", code],
        };
        Python::start(version, place.servers, make, &[options, what].concat())
    }

    /// Receives without asking.
    pub fn receive(version: Version, place: &Place, options: &[&str], code: &str) -> Python {
        let arguments = [&["receive", "--accept-file", "--hide-progress"][..], options, &[code]];
        Python::start(version, place.servers, |_| {}, &arguments.concat())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Ctrl-C, again and again until it ends: it now and then does not notice one.
    pub fn interrupt(&mut self) {
        let until = Instant::now() + PATIENCE;
        self.signal(Signal::INT);
        while self.ends_within(Duration::from_secs(3)).is_none() {
            assert!(Instant::now() < until, "it does not end: {}", self.log());
            self.signal(Signal::INT);
        }
    }

    /// Waits for its end: whether it was content, and what it said.
    pub fn end(&mut self) -> (bool, String) {
        let Some(is_content) = self.ends_within(PATIENCE) else {
            panic!("it does not end: {}", self.log())
        };
        (is_content, self.log())
    }

    /// Whether it was content, if it ends in time.
    fn ends_within(&mut self, patience: Duration) -> Option<bool> {
        let until = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status.success());
            }
            if Instant::now() >= until {
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn succeeds(&mut self) {
        let (is_content, log) = self.end();
        assert!(is_content, "{log}");
    }

    /// Its end is a bad one, in which it says this.
    pub fn fails(&mut self, with: &str) {
        let (is_content, log) = self.end();
        assert!(!is_content && log.contains(with), "{log}");
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().unwrap();
    }
}
