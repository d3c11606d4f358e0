//! Mailbox servers and relays: one of each for most tests, and more for tests that break them.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use wormhole::{Code, HintPolicy, Settings, Timeouts};

/// Installed by `.ci/setup.sh` beside the build.
pub const PYTHON: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../target/clients/wormhole-venv/bin/python");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../wormhole/tests/clients/servers.py");

/// Ended when dropped, or when the test's process ends: its input is ours.
pub struct Servers {
    child: Child,
    mailbox: u16,
    relay: u16,
}

impl Servers {
    /// For all tests that leave the servers as they are.
    pub fn shared() -> &'static Servers {
        static SHARED: LazyLock<Servers> = LazyLock::new(|| Servers::start(&["mailbox", "relay"]));
        &SHARED
    }

    /// Starts some of `mailbox[:PORT]` and `relay[:PORT]`, with options.
    pub fn start(arguments: &[&str]) -> Servers {
        let mut child = Command::new(PYTHON)
            .arg(SCRIPT)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the servers are installed by .ci/setup.sh");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut mailbox, mut relay) = (0, 0);
        for _ in arguments.iter().filter(|it| !it.contains('=')) {
            let line = lines.next().expect("the servers say their ports").unwrap();
            let (kind, port) = line.split_once(' ').unwrap();
            let place = if kind == "mailbox" { &mut mailbox } else { &mut relay };
            *place = port.parse().unwrap();
        }
        Servers { child, mailbox, relay }
    }

    pub fn mailbox_url(&self) -> String {
        format!("ws://127.0.0.1:{}/v1", self.mailbox)
    }

    pub fn mailbox_port(&self) -> u16 {
        self.mailbox
    }

    pub fn relay(&self) -> String {
        format!("tcp:127.0.0.1:{}", self.relay)
    }

    /// Settings with short time-outs, direct connections, and the relay if there is one.
    pub fn settings(&self) -> Settings {
        Settings {
            mailbox: self.mailbox_url(),
            relays: self.relay().parse().into_iter().collect(),
            reach: HintPolicy::Anywhere,
            listens: true,
            limits: limits(),
            ..Settings::default()
        }
    }

    /// Settings with which nobody can connect to this side.
    pub fn deaf(&self) -> Settings {
        Settings { listens: false, ..self.settings() }
    }

    /// Kills the servers with SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        drop(self.child.wait());
    }
}

/// Time-outs long enough for a busy machine.
pub fn limits() -> Timeouts {
    Timeouts {
        connect: Duration::from_secs(10),
        peer: Duration::from_secs(30),
        key: Duration::from_secs(15),
        offer: Duration::from_secs(15),
        answer: Duration::from_secs(30),
        transit: Duration::from_secs(20),
        idle: Duration::from_secs(15),
        confirm: Duration::from_secs(15),
        reconnect: Duration::from_secs(10),
        closing: Duration::from_secs(3),
    }
}

/// A code that no other test has.
pub fn fresh_code() -> Code {
    static NEXT: AtomicU32 = AtomicU32::new(1000);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Code::parse(&format!("{number}-crossover-clockwork")).unwrap()
}

/// Fails the test when it takes too long, so that nothing hangs.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(45), future).await.expect("it takes too long")
}

/// Bytes without a period, which could hide a mistake.
pub fn pattern(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| next()).collect();
    bytes.truncate(len);
    bytes
}
