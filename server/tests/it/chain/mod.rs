//! What the container runs, without a container: supervisord and nginx as Debian has them with the project's own files, and the
//! server behind them, in namespaces of their own (server/tests/chain/run.sh).

mod addresses;
mod breaks;
mod ends;
mod heads;
mod same;
mod streams;

use std::fs::{self, File};
use std::net::SocketAddr;
use std::ops::Deref;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::{Connection, Site, skipped, within_network, write_keys};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chain/run.sh");
/// Nothing here takes longer, on however busy a machine.
pub const PATIENCE: Duration = Duration::from_mins(3);

/// Who has the public port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// nginx, which passes all on to the server.
    Nginx,
    /// The server itself.
    Direct,
}

/// The running chain. Ended with all that is in it when dropped.
pub struct Chain {
    pub front: Front,
    site: Site,
    /// `unshare`, whose only child is the container's first program.
    unshare: Child,
    /// Becomes the upper layer of the chain's root.
    _layer: TempDir,
    log: PathBuf,
}

impl Deref for Chain {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

/// Starts a chain, with these variables besides its own, and runs a test in its network: once with nginx in front of the server, and once
/// without. Does nothing where there can be no chain, and says so.
pub fn in_chain(variables: &[&str], test: impl Fn(&mut Chain) + Send + Sync) {
    in_chain_over(|_| (), variables, test);
}

/// The same over volumes that were prepared.
pub fn in_chain_over(
    prepare: impl Fn(&Path),
    variables: &[&str],
    test: impl Fn(&mut Chain) + Send + Sync,
) {
    for front in [Front::Nginx, Front::Direct] {
        in_chain_with(front, &prepare, variables, &test);
    }
}

/// What only nginx does.
pub fn behind_nginx(variables: &[&str], test: impl FnOnce(&mut Chain) + Send) {
    in_chain_with(Front::Nginx, |_| (), variables, test);
}

fn in_chain_with(
    front: Front,
    prepare: impl FnOnce(&Path),
    variables: &[&str],
    test: impl FnOnce(&mut Chain) + Send,
) {
    if let Some(what) = missing() {
        skipped("the container's programs", what);
        return;
    }
    println!("{front:?}");
    let mut chain = Chain::start(front, prepare, variables);
    within_network(chain.unshare.id(), || test(&mut chain));
}

fn missing() -> Option<&'static str> {
    let is_there = |path: &str| Path::new(path).exists();
    if !rustix::process::geteuid().is_root() {
        Some("root's rights")
    } else if !is_there("/usr/sbin/nginx") {
        Some("nginx")
    } else if !is_there("/usr/lib/python3/dist-packages/supervisor") {
        Some("supervisor")
    } else {
        None
    }
}

impl Chain {
    fn start(front: Front, prepare: impl FnOnce(&Path), variables: &[&str]) -> Chain {
        let (folder, layer) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write_keys(folder.path());
        prepare(folder.path());
        let log = layer.path().with_extension("log");
        let output = File::options().create(true).append(true).open(&log).unwrap();
        let unshare = Command::new("unshare")
            .args(["--mount", "--net", "--pid", "--fork", "--kill-child", SCRIPT])
            .arg(layer.path())
            .arg(env!("CARGO_BIN_EXE_sounding-server"))
            .arg(folder.path())
            .args(variables)
            .args((front == Front::Direct).then_some("SOUNDING_FRONT=direct"))
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            // Signals to the tests are not the chain's.
            .process_group(0)
            .spawn()
            .unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 8080));
        let chain = Chain { front, site: Site { address, folder }, unshare, _layer: layer, log };
        wait_for("the chain's first program", || chain.log().contains("ready\n").then_some(()));
        chain
    }

    /// Waits until nginx and the server answer.
    pub fn wait_until_ready(&self) {
        let connect = || Connection::try_to(&self.address.to_string());
        let mut connection = wait_for("an open port", connect);
        connection.send("GET", "/health", &[]);
        assert_eq!(connection.receive("GET").status, 200);
    }

    /// A connection that lets the other side take its time.
    pub fn patient(&self) -> Connection {
        let connection = self.connect();
        connection.stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        connection.stream.get_ref().set_write_timeout(Some(PATIENCE)).unwrap();
        connection
    }

    /// All that supervisord, nginx and the server have said.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// The container's first program.
    fn first(&self) -> u32 {
        wait_for("the first program", || children(self.unshare.id()).first().copied())
    }

    /// The process of a program: nginx's own, which has its worker for a child, or the server.
    pub fn process(&self, program: &str) -> u32 {
        let is_it = |id: &u32| {
            let name = fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
            name.trim_end() == program
        };
        wait_for(program, || children(self.first()).into_iter().find(is_it))
    }

    /// The process of nginx that does the work.
    pub fn worker(&self) -> u32 {
        wait_for("nginx's worker", || children(self.process("nginx")).first().copied())
    }

    /// A path in the chain's own root.
    pub fn inner(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.first()))
    }

    /// Asks the container to stop, as its platform does.
    pub fn stop(&self) {
        signal(self.first(), Signal::TERM);
    }

    /// Waits for the container's end: its status.
    pub fn ended(&mut self) -> Option<i32> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.unshare.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < until, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the chain's log:\n{}", self.log());
        }
        // Already gone, where the test ended it. With it goes all that is in its namespaces, a moment later: until then it may write.
        let first = children(self.unshare.id());
        self.unshare.kill().unwrap_or_default();
        self.unshare.wait().unwrap();
        let is_there = |it: &u32| Path::new(&format!("/proc/{it}")).exists();
        wait_for("the container's end", || (!first.iter().any(is_there)).then_some(()));
        fs::remove_file(&self.log).unwrap();
    }
}

/// Waits for a value, patiently.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(Instant::now() < until, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn signal(process: u32, signal: Signal) {
    kill_process(Pid::from_raw(process.try_into().unwrap()).unwrap(), signal).unwrap();
}

fn children(process: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    let children = children.unwrap_or_default();
    children.split_whitespace().map(|it| it.parse().unwrap()).collect()
}
