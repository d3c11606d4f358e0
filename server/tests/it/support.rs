//! The real server on a free port over a temporary volume, and a client that says exactly what it is told to.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Deref;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sounding_server::App;
use sounding_server::PublicService;
use sounding_server::Timeouts;
use sounding_server::Workers;
use sounding_server::{ConcurrencyLimit, ConnectionLimits};
use sounding_server::{Listen, Listener};
use sounding_server::{ServeOutcome, serve};
use tempfile::TempDir;
use tokio::sync::oneshot;
use transfers::Transfers;
use transfers::transfer::Servers;
use volume::Volume;
use volume::keys::Keys;
use wormhole::Settings;

/// No answer takes longer.
const DEADLINE: Duration = Duration::from_mins(2);

/// The key that covers the whole volume.
pub const KEY: &str = "kmt-covers-everything";
/// The key that covers `berlin`.
pub const BERLIN_KEY: &str = "zoe-covers-berlin";
/// The key that covers `berlin/v6.4`.
pub const FOLDER_KEY: &str = "lea-covers-one-folder";
/// The key that covers `hamburg`, and may write there.
pub const HAMBURG_KEY: &str = "eva-covers-hamburg";
/// The key whose end has come.
pub const OLD_KEY: &str = "old-expired";

/// Where a server answers, and its volume.
pub struct Site {
    pub address: SocketAddr,
    pub folder: TempDir,
}

pub struct TestServer {
    site: Site,
    pub app: Arc<App>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<bool>>,
}

/// What the server is started with.
#[derive(Clone, Copy)]
pub struct Setup {
    pub timeouts: Timeouts,
    pub extra_keys: &'static str,
    pub has_openat2: bool,
    pub limits: ConnectionLimits,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            timeouts: Timeouts::default(),
            extra_keys: "",
            has_openat2: true,
            limits: ConnectionLimits::default(),
        }
    }
}

impl TestServer {
    pub fn start() -> TestServer {
        TestServer::start_with(Setup::default())
    }

    pub fn start_with(setup: Setup) -> TestServer {
        let folder = tempfile::tempdir().unwrap();
        write_keys(folder.path());
        let (send_started, started) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let path = folder.path().to_owned();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.unwrap().block_on(async move {
                let volume = Volume::open(&path).unwrap();
                let volume = if setup.has_openat2 { volume } else { volume.without_openat2() };
                let extra_keys = Keys::parse_list(setup.extra_keys);
                let volume = Arc::new(volume);
                let transfers =
                    Transfers::new(Arc::clone(&volume), Settings::default(), Servers::default());
                let app = App::new(volume, extra_keys, transfers, setup.timeouts.write);
                let app = Arc::new(App { requests: ConcurrencyLimit::new(setup.limits), ..app });
                let listener =
                    Listener::bind(&Listen::Tcp("127.0.0.1:0".to_owned())).await.unwrap();
                send_started.send((listener.tcp_address().unwrap(), Arc::clone(&app))).unwrap();
                app.observe();
                let ending = app.ending.clone();
                let stop = async move {
                    stopped.await.unwrap_or_default();
                    ending.cancel();
                };
                let end = serve(
                    listener,
                    PublicService::new(Arc::clone(&app)),
                    (Workers::start().unwrap(), ConcurrencyLimit::new(setup.limits)),
                    setup.timeouts,
                    stop,
                    (),
                )
                .await;
                // What it writes would come back while the folder is removed.
                app.feed.close().await;
                end == ServeOutcome::Drained
            })
        });
        let (address, app) = started.recv_timeout(DEADLINE).unwrap();
        let site = Site { address, folder };
        TestServer { site, app, stop: Some(stop), thread: Some(thread) }
    }

    /// Tells the server to stop; says whether all answers could be finished.
    pub fn stop(mut self) -> bool {
        self.stop_now()
    }

    /// Tells the server to stop, and does not wait.
    pub fn begin_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).unwrap_or_default();
        }
    }

    fn stop_now(&mut self) -> bool {
        self.begin_stop();
        self.thread.take().is_some_and(|it| it.join().unwrap_or(false))
    }
}

impl Deref for TestServer {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl Site {
    /// Puts a file on the volume whose validators are strong at once: in place, and a minute old.
    pub fn put(&self, path: &str, content: &[u8]) {
        let path = self.folder.path().join(path);
        write(&path, content);
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_mins(1)).unwrap();
    }

    pub fn path(&self, path: &str) -> std::path::PathBuf {
        self.folder.path().join(path)
    }

    pub fn connect(&self) -> Connection {
        Connection::new(TcpStream::connect(self.address).unwrap())
    }

    /// One request on a connection of its own, with the key that covers everything.
    pub fn get(&self, target: &str, fields: &[(&str, &str)]) -> Response {
        let mut fields = fields.to_vec();
        fields.push(("Authorization", KEY));
        self.request("GET", target, &fields)
    }

    /// The same twice: the first finds out about the file, and the second may go by that. Both must come to the same.
    pub fn get_twice(&self, target: &str, fields: &[(&str, &str)]) -> Response {
        let (first, second) = (self.get(target, fields), self.get(target, fields));
        assert_eq!((first.status, first.body.len()), (second.status, second.body.len()));
        for name in ["etag", "last-modified", "content-range", "content-length", "vary"] {
            assert_eq!(first.field(name), second.field(name), "{name}");
        }
        second
    }

    /// One request on a connection of its own, with these fields and no others.
    pub fn request(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> Response {
        let mut connection = self.connect();
        connection.send(method, target, fields);
        connection.receive(method)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop_now();
        }
    }
}

/// Puts the keys of the tests on a volume.
pub fn write_keys(volume: &Path) {
    let keys = format!(
        "# the keys of the tests\nkmt,{KEY},write\nzoe,{BERLIN_KEY},read,berlin\nlea,{FOLDER_KEY},write,berlin/v6.4\n\
         eva,{HAMBURG_KEY},write,hamburg\nold,{OLD_KEY},read,,2020-01-01\n"
    );
    write(&volume.join(".sounding/auth-keys.csv"), keys.as_bytes());
}

pub fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Waits for a value; there is a deadline, and no sleep is counted on.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what} did not come about");
        // What is waited for needs the processors too.
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// Says that something can't be tested here, past what the test runner holds back of tests that pass. An error where all must be tested.
pub fn skipped(what: &str, missing: &str) {
    assert_ne!(
        std::env::var("CI").as_deref(),
        Ok("true"),
        "not tested, for want of {missing}: {what}"
    );
    let line = format!("not tested, for want of {missing}: {what}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Does something in the network of another process, on a thread that stays there. Root's work.
pub fn within_network<T: Send>(process: u32, work: impl FnOnce() -> T + Send) -> T {
    let network = match fs::File::open(format!("/proc/{process}/ns/net")) {
        // It has ended already: only what it has left is of interest.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return work(),
        network => network.unwrap(),
    };
    let outcome = std::thread::scope(|scope| {
        let within = scope.spawn(|| {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(network.as_fd(), kind).unwrap();
            work()
        });
        within.join()
    });
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Bytes of which no two places look alike.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64)
        .flat_map(|it| it.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes())
        .take(len)
        .collect()
}

/// A connection on which everything sent is the test's own.
pub struct Connection {
    pub stream: BufReader<TcpStream>,
}

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether all that was announced came.
    pub is_complete: bool,
}

impl Connection {
    /// To a server that runs as a program of its own.
    pub fn to(address: &str) -> Connection {
        Connection::new(TcpStream::connect(address.trim_start_matches("http://")).unwrap())
    }

    /// To one that may be gone.
    pub fn try_to(address: &str) -> Option<Connection> {
        TcpStream::connect(address.trim_start_matches("http://")).ok().map(Connection::new)
    }

    fn new(stream: TcpStream) -> Connection {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Connection { stream: BufReader::new(stream) }
    }

    pub fn send(&mut self, method: &str, target: &str, fields: &[(&str, &str)]) {
        self.send_raw(Connection::head(method, target, fields).as_bytes());
    }

    pub fn head(method: &str, target: &str, fields: &[(&str, &str)]) -> String {
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
        for (name, value) in fields {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        request
    }

    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// An answer that came whole, from a server that may be gone.
    pub fn try_receive(&mut self, method: &str) -> Option<Response> {
        self.stream.fill_buf().ok().filter(|it| !it.is_empty())?;
        // An answer's header comes in one piece.
        let response = self.receive(method);
        response.is_complete.then_some(response)
    }

    pub fn receive(&mut self, method: &str) -> Response {
        let mut response = self.receive_head();
        if method == "HEAD" || matches!(response.status, 204 | 304) {
            return response;
        }
        if response.field("transfer-encoding").as_deref() == Some("chunked") {
            self.receive_chunks(&mut response);
        } else {
            let length: u64 =
                response.field("content-length").map_or(u64::MAX, |it| it.parse().unwrap());
            let read = self.stream.by_ref().take(length).read_to_end(&mut response.body);
            response.is_complete = read.is_ok_and(|it| length == u64::MAX || it as u64 == length);
        }
        response
    }

    pub fn receive_head(&mut self) -> Response {
        let mut line = self.line();
        let status = line
            .split(' ')
            .nth(1)
            .unwrap_or_else(|| panic!("no status in {line:?}"))
            .parse()
            .unwrap();
        let mut fields = Vec::new();
        loop {
            line = self.line();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").unwrap();
            fields.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        Response { status, fields, body: Vec::new(), is_complete: true }
    }

    fn receive_chunks(&mut self, response: &mut Response) {
        loop {
            let Ok(size) = u64::from_str_radix(&self.line(), 16) else {
                response.is_complete = false;
                return;
            };
            let read = self.stream.by_ref().take(size).read_to_end(&mut response.body).unwrap_or(0);
            self.line();
            if size == 0 || (read as u64) < size {
                response.is_complete = size == 0;
                return;
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        // A connection that was reset has no further line.
        self.stream.read_until(b'\n', &mut line).unwrap_or(0);
        String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()
    }

    /// What comes before the last, empty chunk.
    pub fn receive_rest(&mut self) -> String {
        let mut rest = String::new();
        loop {
            match self.line().as_str() {
                "0" => return rest,
                line => rest.push_str(line),
            }
        }
    }

    /// Whether the server has closed the connection; waits for it.
    pub fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        matches!(self.stream.read(&mut byte), Ok(0))
            || self.stream.get_ref().take_error().is_ok_and(|it| it.is_some())
    }
}

impl Response {
    pub fn field(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self
            .fields
            .iter()
            .filter(|(it, _)| it == name)
            .map(|(_, value)| value.as_str())
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    pub fn etag(&self) -> String {
        self.field("etag").expect("an ETag")
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|it| panic!("{it} in {}", self.text()))
    }
}
