//! The service's log, on standard error: events, and one line per request.
//!
//! Events are written at once. Request lines are collected for a moment and written together, because a system call for each would cost
//! more than many a response does. Each line is composed by the thread of its request, and then added to the others. Lines are in the order
//! in which they were added. A killed process loses those of the last moment.

use clap::ValueEnum;
use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write};
use std::net::IpAddr;
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tracing_subscriber::fmt::MakeWriter;

use crate::sync::lock;

/// The format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// How long request lines are collected.
const MOMENT: Duration = Duration::from_millis(50);
/// Most bytes that are collected. The thread that reaches this number writes them.
const MOST: usize = 256 * 1024;

/// The fields of a request's line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AccessFields<'a> {
    /// When the request ended.
    pub time: Timestamp,
    /// The request's method.
    pub method: &'a str,
    /// Clean, percent-encoded, without key and query.
    pub path: &'a str,
    /// The response's status.
    pub status: u16,
    /// Bytes of the response's body that were sent.
    pub bytes: u64,
    /// From the request's head to the end of its response, in microseconds.
    pub micros: u64,
    /// The user's name, or `-`.
    pub user: &'a str,
    /// The client's address.
    pub client: IpAddr,
    /// `complete` or `aborted`.
    pub ended: &'static str,
}

/// The log's lines that are still to be written.
#[derive(Debug)]
struct Log {
    format: LogFormat,
    /// Locked to add a line.
    lines: Mutex<Vec<u8>>,
    /// Locked while lines are written, so that they stay in order. Never locked while `lines` is. Holds the spare buffer.
    out: Mutex<Vec<u8>>,
    /// Notified when the first line has been added.
    first: Condvar,
}

/// Global, because there is only one standard error.
static LOG: OnceLock<Log> = OnceLock::new();

thread_local! {
    static PEN: RefCell<Pen> = RefCell::default();
}

/// A thread's buffer for composing lines.
#[derive(Debug, Default)]
struct Pen {
    line: Vec<u8>,
    clock: Clock,
}

/// Formats times. Most are in the same second as the previous one.
#[derive(Debug, Default)]
struct Clock {
    second: i64,
    /// The second as text, up to the decimal point. Empty before the first time.
    text: String,
}

/// Starts writing the log.
pub(crate) fn start(format: LogFormat) -> io::Result<()> {
    let log = LOG.get_or_init(|| Log {
        format,
        lines: Mutex::default(),
        out: Mutex::default(),
        first: Condvar::new(),
    });
    std::thread::Builder::new().name("log".to_owned()).spawn(move || log.write_on())?;
    let events =
        tracing_subscriber::fmt().with_writer(FlushingWriter).with_max_level(tracing::Level::INFO);
    match format {
        LogFormat::Text => events.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => events.json().flatten_event(true).init(),
    }
    Ok(())
}

/// Writes the collected lines.
pub(crate) fn flush() {
    if let Some(log) = LOG.get() {
        log.flush();
    }
}

/// Adds a request's line, if the log was started.
pub(crate) fn request(line: &AccessFields<'_>) {
    let Some(log) = LOG.get() else { return };
    let add = |pen: &mut Pen| log.add(pen.write(line, log.format));
    // The thread may be ending, so that its buffer is already gone.
    if PEN.try_with(|it| add(&mut it.borrow_mut())).is_err() {
        add(&mut Pen::default());
    }
}

impl Log {
    fn add(&self, line: &[u8]) {
        let mut lines = lock(&self.lines);
        if lines.is_empty() {
            self.first.notify_one();
        }
        lines.extend_from_slice(line);
        let is_full = lines.len() >= MOST;
        drop(lines);
        if is_full {
            self.flush();
        }
    }

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
        let mut out = lock(&self.out);
        std::mem::swap(&mut *out, &mut lock(&self.lines));
        // If standard error cannot be written, there is no place to report that.
        io::stderr().lock().write_all(&out).unwrap_or_default();
        out.clear();
    }
}

/// Writes events after the lines that were collected before them.
#[derive(Clone, Copy, Debug)]
struct FlushingWriter;

impl MakeWriter<'_> for FlushingWriter {
    type Writer = FlushingWriter;

    fn make_writer(&self) -> FlushingWriter {
        FlushingWriter
    }
}

impl Write for FlushingWriter {
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

impl Pen {
    /// Composes a line. It is valid until the next one.
    fn write(&mut self, line: &AccessFields<'_>, format: LogFormat) -> &[u8] {
        self.line.clear();
        match format {
            LogFormat::Text => line.as_text(&mut self.line, &mut self.clock),
            LogFormat::Json => line.as_json(&mut self.line, &mut self.clock),
        }
        &self.line
    }
}

impl Clock {
    /// Writes a time as jiff does, with six digits after the decimal point.
    fn write(&mut self, out: &mut Vec<u8>, time: Timestamp) {
        let (mut second, mut nanos) = (time.as_second(), time.subsec_nanosecond());
        // Before 1970, both are negative.
        if nanos < 0 {
            (second, nanos) = (second - 1, nanos + 1_000_000_000);
        }
        if second != self.second || self.text.is_empty() {
            let whole = Timestamp::from_second(second).unwrap_or(time);
            (self.second, self.text) = (second, format!("{whole:.0}"));
            self.text.truncate(self.text.len() - "Z".len());
        }
        let micros = nanos.unsigned_abs() / 1000;
        out.extend_from_slice(self.text.as_bytes());
        out.push(b'.');
        out.extend([100_000, 10_000, 1000, 100, 10, 1].map(|it| digit(u64::from(micros / it))));
        out.push(b'Z');
    }
}

// Fields are appended one by one: `fmt` would take longer than everything else.
impl AccessFields<'_> {
    /// In the same format as events, so that one parser reads both.
    fn as_text(&self, out: &mut Vec<u8>, clock: &mut Clock) {
        clock.write(out, self.time);
        text(out, "  INFO access: method=");
        text(out, self.method);
        text(out, " path=");
        escaped(out, self.path);
        text(out, " status=");
        number(out, self.status.into());
        text(out, " bytes=");
        number(out, self.bytes);
        text(out, " micros=");
        number(out, self.micros);
        text(out, " user=");
        escaped(out, self.user);
        text(out, " client=");
        address(out, self.client);
        text(out, " ended=\"");
        text(out, self.ended);
        text(out, "\"\n");
    }

    fn as_json(&self, out: &mut Vec<u8>, clock: &mut Clock) {
        text(out, "{\"timestamp\":\"");
        clock.write(out, self.time);
        text(out, "\",\"level\":\"INFO\",\"method\":");
        quoted(out, self.method);
        text(out, ",\"path\":");
        quoted(out, self.path);
        text(out, ",\"status\":");
        number(out, self.status.into());
        text(out, ",\"bytes\":");
        number(out, self.bytes);
        text(out, ",\"micros\":");
        number(out, self.micros);
        text(out, ",\"user\":");
        quoted(out, self.user);
        text(out, ",\"client\":\"");
        address(out, self.client);
        text(out, "\",\"ended\":\"");
        text(out, self.ended);
        text(out, "\",\"target\":\"access\"}\n");
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn number(out: &mut Vec<u8>, mut number: u64) {
    let first = out.len();
    loop {
        out.push(digit(number));
        number /= 10;
        if number == 0 {
            break;
        }
    }
    // The digits were written in reverse order.
    out.get_mut(first..).unwrap_or_default().reverse();
}

/// The last digit of a number.
fn digit(number: u64) -> u8 {
    b'0' + (number % 10) as u8
}

fn address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(it) => {
            let [first, rest @ ..] = it.octets();
            number(out, first.into());
            for octet in rest {
                out.push(b'.');
                number(out, octet.into());
            }
        }
        // Writing to a `Vec` never fails, here and below.
        IpAddr::V6(it) => write!(out, "{it}").unwrap_or_default(),
    }
}

fn escaped(out: &mut Vec<u8>, words: &str) {
    if is_plain(words) {
        text(out, words);
    } else {
        write!(out, "{}", Escaped(words)).unwrap_or_default();
    }
}

/// Writes a JSON string (RFC 8259 §7).
fn quoted(out: &mut Vec<u8>, words: &str) {
    out.push(b'"');
    if is_plain(words) {
        text(out, words);
    } else {
        write!(out, "{}", Quoted(words)).unwrap_or_default();
    }
    out.push(b'"');
}

/// Untrusted text, escaped so that it stays on one line of the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Escaped<'a>(pub &'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if is_plain(self.0) {
            return f.write_str(self.0);
        }
        write!(f, "{}", self.0.escape_debug())
    }
}

/// The same within a JSON string.
struct Quoted<'a>(&'a str);

impl std::fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for char in self.0.escape_debug() {
            match char {
                '"' | '\\' => write!(f, "\\{char}")?,
                _ => f.write_char(char)?,
            }
        }
        Ok(())
    }
}

/// Whether a text needs no escaping, as is usual.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|it| it.is_ascii_graphic() && !matches!(it, b'"' | b'\\' | b'\''))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: AccessFields<'_> = AccessFields {
        time: Timestamp::UNIX_EPOCH,
        method: "GET",
        path: "/files/a",
        status: 200,
        bytes: 1,
        micros: 2,
        user: "-",
        client: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        ended: "complete",
    };

    fn written(line: &AccessFields<'_>, format: LogFormat) -> String {
        String::from_utf8(Pen::default().write(line, format).to_vec()).unwrap()
    }

    #[test]
    fn a_line_looks_like_an_event() {
        assert_eq!(
            written(&LINE, LogFormat::Text),
            "1970-01-01T00:00:00.000000Z  INFO access: method=GET path=/files/a status=200 bytes=1 micros=2 user=- \
             client=127.0.0.1 ended=\"complete\"\n"
        );
        assert_eq!(
            written(&LINE, LogFormat::Json),
            "{\"timestamp\":\"1970-01-01T00:00:00.000000Z\",\"level\":\"INFO\",\"method\":\"GET\",\
             \"path\":\"/files/a\",\"status\":200,\"bytes\":1,\"micros\":2,\"user\":\"-\",\
             \"client\":\"127.0.0.1\",\"ended\":\"complete\",\"target\":\"access\"}\n"
        );
    }

    #[test]
    fn a_pen_writes_one_line_after_another() {
        let mut pen = Pen::default();
        let second = AccessFields { path: "/b", ..LINE };
        for line in [LINE, second, LINE] {
            let expected = written(&line, LogFormat::Text);
            assert_eq!(pen.write(&line, LogFormat::Text), expected.as_bytes());
        }
    }

    #[test]
    fn a_time_is_written_as_jiff_writes_it() {
        let mut clock = Clock::default();
        let second = 1_795_795_199_000_000_000;
        let steps = [0, 1, 999, 1000, 1001, 999_999, 123_456_789, 999_999_499, 999_999_500];
        let around = steps.iter().flat_map(|it| [second + it, second + 1_000_000_000 + it]);
        // A clock may be set back, and machines without one start in 1970.
        let others = [999_999_999, second, 0, 1, 86_399_999_999_999, 951_782_399_999_999_999];
        for nanos in around.chain(others).chain([second + 999_999_999, second + 1_000_000_000]) {
            let time = Timestamp::from_nanosecond(nanos).unwrap();
            let mut out = Vec::new();
            clock.write(&mut out, time);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{time:.6}"));
        }
        let mut out = Vec::new();
        clock.write(&mut out, Timestamp::from_nanosecond(-1000).unwrap());
        assert_eq!(String::from_utf8(out).unwrap(), "1969-12-31T23:59:59.999999Z");
    }

    #[test]
    fn numbers_and_addresses_are_written_as_they_always_are() {
        for value in [0, 1, 9, 10, 99, 100, 1_234_567_890, u64::MAX] {
            let mut out = Vec::new();
            number(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
        for text in ["0.0.0.0", "192.168.10.255", "::1", "2001:db8::a:0:1", "::ffff:10.0.0.1"] {
            let mut out = Vec::new();
            address(&mut out, text.parse().unwrap());
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn a_strangers_text_stays_in_its_place() {
        let line = AccessFields { path: "/a\"\\\n\u{1b}'é", user: "k m\u{2028}t", ..LINE };
        let text = written(&line, LogFormat::Text);
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains(r#"path=/a\"\\\n\u{1b}\'é status"#), "{text}");
        let json: serde_json::Value =
            serde_json::from_str(&written(&line, LogFormat::Json)).unwrap();
        assert_eq!(json["path"], r#"/a\"\\\n\u{1b}\'é"#);
        assert_eq!(json["user"], "k m\\u{2028}t");
        assert_eq!((&json["status"], &json["target"]), (&200.into(), &"access".into()));
    }
}
