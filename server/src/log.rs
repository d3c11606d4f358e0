//! The service's log, on standard error: what happens, and a line for each request.
//!
//! What happens is written at once. Requests' lines are gathered for a moment and written together, since a system call
//! for each would cost more than many an answer does. They come in the order in which they were made; a process that is
//! killed takes those of its last moment along.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::LogFormat;

/// How long lines are gathered.
const MOMENT: Duration = Duration::from_millis(50);
/// Bytes that are gathered at most. Whoever comes then waits until they are written.
const MOST: usize = 256 * 1024;

/// What a request's line says.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Of the request.
    pub method: &'a str,
    /// Percent-encoded as it came, without a key and a query.
    pub path: &'a str,
    /// Of the answer.
    pub status: u16,
    /// Of the answer's body, as far as it went out.
    pub bytes: u64,
    /// From the request's head to the end of its answer.
    pub micros: u64,
    /// The user's name, or `-`.
    pub user: &'a str,
    /// Where it came from.
    pub client: std::net::IpAddr,
    /// `complete` or `aborted`.
    pub ended: &'static str,
}

/// Lines on their way out.
#[derive(Debug)]
struct Log {
    format: LogFormat,
    /// Locked to add a line.
    lines: Mutex<Vec<u8>>,
    /// Locked while lines are written, so that they stay in order. Never taken under the other one.
    out: Mutex<()>,
    /// Told when the first line has been added.
    first: Condvar,
}

/// There is one standard error.
static LOG: OnceLock<Log> = OnceLock::new();

/// Begins to write the log.
pub fn start(format: LogFormat) -> io::Result<()> {
    let log = LOG.get_or_init(|| Log {
        format,
        lines: Mutex::default(),
        out: Mutex::default(),
        first: Condvar::new(),
    });
    std::thread::Builder::new().name("log".to_owned()).spawn(move || log.write_on())?;
    let events = tracing_subscriber::fmt().with_writer(AtOnce).with_max_level(tracing::Level::INFO);
    match format {
        LogFormat::Text => events.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => events.json().flatten_event(true).init(),
    }
    Ok(())
}

/// Writes what has been gathered.
pub fn flush() {
    if let Some(log) = LOG.get() {
        log.flush();
    }
}

/// Adds a request's line, where there is a log.
pub fn request(line: &Line<'_>) {
    let Some(log) = LOG.get() else { return };
    let mut lines = lock(&log.lines);
    if lines.is_empty() {
        log.first.notify_one();
    }
    match log.format {
        LogFormat::Text => line.as_text(&mut lines),
        LogFormat::Json => line.as_json(&mut lines),
    }
    let is_full = lines.len() >= MOST;
    drop(lines);
    if is_full {
        log.flush();
    }
}

impl Log {
    fn write_on(&self) {
        loop {
            let lines = lock(&self.lines);
            let some = self.first.wait_while(lines, |it| it.is_empty());
            drop(some.unwrap_or_else(PoisonError::into_inner));
            #[expect(
                clippy::disallowed_methods,
                reason = "a thread of its own, and this is its work"
            )]
            std::thread::sleep(MOMENT);
            self.flush();
        }
    }

    fn flush(&self) {
        let _order = lock(&self.out);
        let lines = std::mem::take(&mut *lock(&self.lines));
        // There is nowhere to say that nobody can be told anything.
        io::stderr().lock().write_all(&lines).unwrap_or_default();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes events, behind the lines that were gathered before them.
#[derive(Clone, Copy, Debug)]
struct AtOnce;

impl MakeWriter<'_> for AtOnce {
    type Writer = AtOnce;

    fn make_writer(&self) -> AtOnce {
        AtOnce
    }
}

impl Write for AtOnce {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        if let Some(log) = LOG.get() {
            lock(&log.lines).extend_from_slice(event);
            log.flush();
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Line<'_> {
    /// As events are written, so that one reader reads both.
    fn as_text(&self, out: &mut Vec<u8>) {
        let Line { method, status, bytes, micros, client, ended, .. } = self;
        let (path, user) = (Escaped(self.path), Escaped(self.user));
        let now = Timestamp::now();
        // Memory takes it.
        writeln!(
            out,
            "{now:.6}  INFO access: method={method} path={path} status={status} bytes={bytes} micros={micros} user={user} \
             client={client} ended=\"{ended}\""
        )
        .unwrap_or_default();
    }

    fn as_json(&self, out: &mut Vec<u8>) {
        let Line { status, bytes, micros, client, ended, .. } = self;
        let (path, user) = (Quoted(self.path), Quoted(self.user));
        let (now, method) = (Timestamp::now(), Quoted(self.method));
        writeln!(
            out,
            "{{\"timestamp\":\"{now:.6}\",\"level\":\"INFO\",\"method\":{method},\"path\":{path},\"status\":{status},\
             \"bytes\":{bytes},\"micros\":{micros},\"user\":{user},\"client\":\"{client}\",\"ended\":\"{ended}\",\
             \"target\":\"access\"}}"
        )
        .unwrap_or_default();
    }
}

/// A stranger's text in one line of the log.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if is_plain(self.0) {
            return f.write_str(self.0);
        }
        write!(f, "{}", self.0.escape_debug())
    }
}

/// The same as a string of JSON (RFC 8259 §7).
struct Quoted<'a>(&'a str);

impl std::fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_char('"')?;
        if is_plain(self.0) {
            f.write_str(self.0)?;
        } else {
            for char in self.0.escape_debug() {
                match char {
                    '"' | '\\' => write!(f, "\\{char}")?,
                    _ => f.write_char(char)?,
                }
            }
        }
        f.write_char('"')
    }
}

/// Whether a text stands for itself, as most do.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|it| it.is_ascii_graphic() && !matches!(it, b'"' | b'\\' | b'\''))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: Line<'_> = Line {
        method: "GET",
        path: "/files/a",
        status: 200,
        bytes: 1,
        micros: 2,
        user: "-",
        client: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        ended: "complete",
    };

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_looks_like_an_event() {
        let text = written(|it| LINE.as_text(it));
        let (time, rest) = text.split_once("Z  INFO ").unwrap();
        assert_eq!(time.len(), "2026-11-27T10:00:00.000000".len());
        assert_eq!(
            rest,
            "access: method=GET path=/files/a status=200 bytes=1 micros=2 user=- client=127.0.0.1 ended=\"complete\"\n"
        );
    }

    #[test]
    fn a_strangers_text_stays_in_its_place() {
        let line = Line { path: "/a\"\\\n\u{1b}'é", user: "k m\u{2028}t", ..LINE };
        let text = written(|it| line.as_text(it));
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains(r#"path=/a\"\\\n\u{1b}\'é status"#), "{text}");
        let json: serde_json::Value =
            serde_json::from_str(&written(|it| line.as_json(it))).unwrap();
        assert_eq!(json["path"], r#"/a\"\\\n\u{1b}\'é"#);
        assert_eq!(json["user"], "k m\\u{2028}t");
        assert_eq!((&json["status"], &json["target"]), (&200.into(), &"access".into()));
    }
}
