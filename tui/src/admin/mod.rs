//! The running server, asked over its admin socket what goes on.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod transfers;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use volume::keys::usage::KeyUse;

use crate::ops::{Failure, READ_ONLY};
use crate::text;

/// Where machines have such sockets.
const FOLDER: &str = "/run/sounding";
const SOCKET: &str = "admin.sock";
/// A server that does not answer for so long does not answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of an answer.
const LARGEST: u64 = 8 << 20;

/// What goes on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "named as the server names them")]
pub struct ActivityNow {
    pub since: Option<Timestamp>,
    pub up_seconds: u64,
    pub part_seconds: u64,
    pub parts: Vec<Part>,
    pub p50_micros: u64,
    pub p99_micros: u64,
    pub open: Vec<Open>,
    pub recent: Vec<Recent>,
    pub arrivals: Vec<Arrival>,
    pub disk: Disk,
    #[serde(flatten)]
    pub sleep: Awake,
    pub warnings: Vec<String>,
    pub console: Option<u32>,
    pub consoles: Vec<Console>,
}

/// Why the server is awake, and for how long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "named as the server names them")]
pub struct Awake {
    pub awake: Vec<String>,
    pub idle_exit: Option<u64>,
    pub sleeps_at: Option<Timestamp>,
    pub kept_until: Option<Timestamp>,
}

/// A part of the last five minutes.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "named as the server names them")]
pub struct Part {
    pub requests: u64,
    pub refused: u64,
    pub errors: u64,
    pub sent: u64,
    pub received: u64,
    pub p50_micros: u64,
    pub p99_micros: u64,
}

/// How full the disk is.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "named as the server names them")]
pub struct Disk {
    pub size: u64,
    pub free: u64,
    pub filling: Option<f64>,
}

/// A request under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as the server names them")]
pub struct Open {
    pub seq: u64,
    pub method: String,
    pub path: String,
    pub range: Option<String>,
    pub username: Option<String>,
    pub client: String,
    pub millis: u64,
    pub sent: u64,
    pub received: u64,
    pub expected: Option<u64>,
}

/// A request that is over.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as the server names them")]
pub struct Recent {
    pub seq: u64,
    pub time: Timestamp,
    pub status: u16,
    pub latency_micros: u64,
    pub micros: u64,
    pub method: String,
    pub path: String,
    pub sent: u64,
    pub received: u64,
    pub username: Option<String>,
    pub client: String,
    pub complete: bool,
}

/// A file or folder that has arrived.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as the server names them")]
pub struct Arrival {
    pub time: Timestamp,
    pub path: volume::RelPath,
    #[serde(rename = "type")]
    pub kind: String,
    pub size: Option<u64>,
}

/// A console that is open.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as the server names them")]
pub struct Console {
    pub number: u32,
    pub since: Timestamp,
}

/// What the server knows of the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "named as the server names them")]
pub struct KeysNow {
    pub version: Option<String>,
    pub trouble: Option<String>,
    pub extra: Vec<ExtraKey>,
    pub uses: BTreeMap<String, KeyUse>,
}

/// A key from `API_KEYS`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as the server names them")]
pub struct ExtraKey {
    pub id: String,
    pub username: String,
    pub apikey: String,
}

/// Which service it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as the server names them")]
pub struct Service {
    pub version: String,
    pub pid: u32,
    pub since: Timestamp,
    pub volume: (u64, u64),
    /// Where it listens, if that is an address.
    #[serde(default)]
    pub address: Option<String>,
}

/// What [`Recent::line`] has in its columns.
pub const HEADINGS: &str = "ended     code    took  request  [bytes]  user";

impl Part {
    /// Requests that were answered with a status from 400 on.
    pub fn failed(&self) -> u64 {
        self.refused + self.errors
    }
}

impl ActivityNow {
    /// What there is in all, in a few lines.
    pub fn summary(&self) -> Vec<String> {
        let sum = |figure: fn(&Part) -> u64| self.parts.iter().map(figure).sum::<u64>();
        let requests = text::things(sum(|it| it.requests), "request", "requests");
        let mut lines = vec![
            format!("up        {}", text::duration(Duration::from_secs(self.up_seconds))),
            format!(
                "5 min     {requests}, {} failed (5xx: {}), half began within {}, 99 of 100 within {}; {} sent, {} received",
                text::count(sum(Part::failed)),
                text::count(sum(|it| it.errors)),
                millis(self.p50_micros),
                millis(self.p99_micros),
                text::bytes(sum(|it| it.sent)),
                text::bytes(sum(|it| it.received)),
            ),
            format!("disk      {}", self.disk.line()),
        ];
        let sleeps = self.sleep.sleeps().map_or(String::new(), |it| format!("; {it}"));
        lines.push(format!("awake     {}{sleeps}", self.sleep.reasons()));
        let consoles: Vec<String> = self
            .consoles
            .iter()
            .map(|it| format!("{} since {}", it.number, text::clock(it.since)))
            .collect();
        if !consoles.is_empty() {
            lines.push(format!("consoles  {}", consoles.join(", ")));
        }
        lines.extend(self.arrivals.iter().map(|it| format!("arrived   {}", it.line())));
        lines.extend(self.warnings.iter().map(|it| format!("! {it}")));
        lines
    }
}

impl Awake {
    /// What keeps it awake.
    pub fn reasons(&self) -> String {
        match self.awake.as_slice() {
            [] => "with nothing to do".to_owned(),
            reasons => format!("for {}", reasons.join(", ")),
        }
    }

    /// When it sleeps; none where it never does by itself.
    pub fn sleeps(&self) -> Option<String> {
        let idle = text::duration(Duration::from_secs(self.idle_exit?));
        Some(match self.sleeps_at {
            Some(at) => format!("sleeps at {} UTC", text::clock(at)),
            None => format!("sleeps after {idle} idle"),
        })
    }
}

impl Disk {
    /// How full it is, and when it will be.
    pub fn line(&self) -> String {
        let used = self.size.saturating_sub(self.free);
        format!("{} of {} used{}", text::bytes(used), text::bytes(self.size), self.trend())
    }

    /// When it will be full, if that comes into sight.
    pub fn trend(&self) -> String {
        // Less than this is noise.
        const SLOWEST: f64 = 10_000.0;
        let Some(filling) = self.filling.filter(|it| *it >= SLOWEST) else { return String::new() };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rate and a time for people"
        )]
        let (rate, left) = (filling as u64, (self.free as f64 / filling) as u64);
        format!(
            ", +{}/s: full in about {}",
            text::bytes(rate),
            text::duration(Duration::from_secs(left))
        )
    }
}

impl Arrival {
    /// As a line.
    pub fn line(&self) -> String {
        let size = self.size.map(|it| format!("  {}", text::bytes(it))).unwrap_or_default();
        let slash = if self.kind == "directory" { "/" } else { "" };
        format!(
            "{}  {}{slash}{size}",
            self.time.strftime("%H:%M:%S"),
            crate::ops::shown(&self.path)
        )
    }
}

impl Open {
    /// As a line.
    pub fn line(&self) -> String {
        let user = self.username.as_deref().unwrap_or(&self.client);
        let bytes = text::bytes(self.sent.max(self.received));
        let of = self.expected.map(|it| format!(" of {}", text::bytes(it))).unwrap_or_default();
        let length = text::duration(Duration::from_millis(self.millis));
        format!("{:5} {}  {bytes}{of}  {user}  for {length}", self.method, text::path(&self.path))
    }
}

/// Which requests are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// With this in user, path, status or address, in any case.
    pub text: String,
    /// Of this user, or from this address where no user is known.
    pub user: Option<String>,
    /// That failed.
    pub errors_only: bool,
}

impl Wanted {
    /// Whether a request is.
    pub fn has(&self, it: &Recent) -> bool {
        let user = it.username.as_deref().unwrap_or_default();
        let line = format!("{} {} {user} {}", it.status, text::path(&it.path), it.client);
        (!self.errors_only || it.status >= 400)
            && self.user.as_deref().is_none_or(|user| user == it.who())
            && line.to_lowercase().contains(&self.text.to_lowercase())
    }
}

impl Recent {
    /// The user, or the address where none is known.
    pub fn who(&self) -> &str {
        self.username.as_deref().unwrap_or(&self.client)
    }

    /// All that is known of it, in lines.
    pub fn details(&self) -> Vec<String> {
        let cut_off = if self.complete { "" } else { ", cut off before its end" };
        vec![
            format!("{} {}", self.method, text::path(&self.path)),
            String::new(),
            format!("Status     {}{cut_off}", self.status),
            format!("Ended      {}", self.time.strftime("%Y-%m-%d %H:%M:%S UTC")),
            format!(
                "User       {}",
                self.username.as_deref().unwrap_or("without a key that is good")
            ),
            format!("Address    {}", self.client),
            format!("Began      after {}", millis(self.latency_micros)),
            format!("Took       {}", millis(self.micros)),
            format!("Sent       {} ({} bytes)", text::bytes(self.sent), text::count(self.sent)),
            format!(
                "Received   {} ({} bytes)",
                text::bytes(self.received),
                text::count(self.received)
            ),
        ]
    }

    /// As a line.
    pub fn line(&self) -> String {
        let bytes = self.sent.max(self.received);
        let bytes = if bytes > 0 { format!("  [{}]", text::bytes(bytes)) } else { String::new() };
        let cut_off = if self.complete { "" } else { "  cut off" };
        let user = self.who();
        let (time, path) = (self.time.strftime("%H:%M:%S"), text::path(&self.path));
        let took = millis(self.micros);
        format!(
            "{time}  {}  {took:>7}  {:5} {path}{bytes}{cut_off}  {user}",
            self.status, self.method
        )
    }
}

/// Microseconds as people read them.
pub fn millis(micros: u64) -> String {
    match micros {
        0 => "-".to_owned(),
        1..1000 => "<1 ms".to_owned(),
        1000..10_000_000 => format!("{} ms", micros / 1000),
        10_000_000..600_000_000 => format!("{} s", micros / 1_000_000),
        _ => format!("{} min", micros / 60_000_000),
    }
}

/// A console, as the server is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// Which.
    pub console: String,
    /// For how long nobody has pressed a key in it.
    pub untouched: Duration,
    /// The number of the terminal that it draws on, if that has one.
    pub terminal: Option<u32>,
}

#[derive(Serialize)]
struct Keep {
    seconds: u64,
}

impl Present {
    /// As parameters of a query.
    fn told(&self) -> String {
        let terminal = self.terminal.map(|it| format!("&terminal={it}")).unwrap_or_default();
        let untouched = self.untouched.as_secs();
        format!("&console={}&untouched={untouched}{terminal}", self.console)
    }
}

/// The way to a server.
#[derive(Clone, Debug)]
pub struct Admin {
    sockets: Vec<PathBuf>,
    /// The volume's device and inode: another server's answers are of no use.
    volume: (u64, u64),
    /// Whether it is only asked what it does.
    is_read_only: bool,
}

impl Admin {
    /// To the server of a volume, over a socket that was named, or those that it takes by itself.
    pub fn new(named: Option<&Path>, volume: &volume::Volume) -> Result<Admin, Failure> {
        let runtime =
            std::env::var_os("XDG_RUNTIME_DIR").map(|it| PathBuf::from(it).join("sounding"));
        let folders = [Some(PathBuf::from(FOLDER)), runtime].into_iter().flatten();
        let sockets = match named {
            Some(path) => vec![path.to_owned()],
            None => folders.map(|it| it.join(SOCKET)).collect(),
        };
        let is_read_only = volume.is_read_only();
        Ok(Admin { sockets, volume: volume.identity()?, is_read_only })
    }

    /// What goes on; requests that are over from a place in the order on. `console`: who asks.
    pub fn activity(&self, since: u64, console: Option<&Present>) -> Result<ActivityNow, Failure> {
        let console = console.map(Present::told).unwrap_or_default();
        self.ask(&format!("/activity?since={since}{console}"))
    }

    /// Why it is awake, and for how long.
    pub fn awake(&self) -> Result<Awake, Failure> {
        self.ask("/awake")
    }

    /// Keeps it awake for a while, counted from now, or no longer than it would be anyway.
    pub fn keep_awake(&self, length: Option<Duration>) -> Result<Awake, Failure> {
        match length {
            Some(length) => {
                let keep = Keep { seconds: length.as_secs() };
                self.call("PUT", "/awake", Some(&keep))
            }
            None => self.call("DELETE", "/awake", None::<&()>),
        }
    }

    /// What the server knows of the keys.
    pub fn keys(&self) -> Result<KeysNow, Failure> {
        self.ask("/keys")
    }

    /// Which service it is.
    pub fn service(&self) -> Result<Service, Failure> {
        let (_, service) = self.connect()?;
        Ok(service)
    }

    /// Says good-bye. Nobody minds if that fails.
    pub fn end(&self, console: &str) {
        if let Ok((socket, _)) = self.connect() {
            let request = format!("DELETE /activity?console={console}");
            exchange(&socket, &request, "").map(drop).unwrap_or_default();
        }
    }

    fn ask<T: DeserializeOwned>(&self, target: &str) -> Result<T, Failure> {
        self.call("GET", target, None::<&()>)
    }

    /// A request with a body or without, and what is answered.
    fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        target: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, Failure> {
        if self.is_read_only && method != "GET" {
            return Err(Failure::new(READ_ONLY));
        }
        let (socket, _) = self.connect()?;
        let body = body.map(serde_json::to_string).transpose()?.unwrap_or_default();
        parse(&exchange(&socket, &format!("{method} {target}"), &body)?)
    }

    /// The socket at which the server of this volume answers.
    fn connect(&self) -> Result<(PathBuf, Service), Away> {
        let mut away = Away::None;
        for socket in &self.sockets {
            match exchange(socket, "GET /service", "") {
                Ok(answer) => match parse::<Service>(&answer) {
                    Ok(service) if service.volume == self.volume => {
                        return Ok((socket.clone(), service));
                    }
                    Ok(_) => away = Away::OtherVolume,
                    Err(failure) => away = Away::Failed(socket.clone(), failure.what),
                },
                Err(error) => away = Away::of(socket, &error).unwrap_or(away),
            }
        }
        Err(away)
    }

    /// Why no server of this volume answers, if none does.
    pub fn away(&self) -> Option<Away> {
        self.connect().err()
    }
}

/// Why no server of this volume answers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Away {
    /// There is no socket.
    #[error("no server answers")]
    None,
    /// There is a socket, and nobody behind it.
    #[error("no server answers at {}: one that was killed left it behind", .0.display())]
    Left(PathBuf),
    /// The socket is another user's.
    #[error("{} is another user's", .0.display())]
    Forbidden(PathBuf),
    /// Whoever answers has another volume.
    #[error("the server that answers serves another volume")]
    OtherVolume,
    /// It did not go as it should.
    #[error("{}: {}", .0.display(), .1)]
    Failed(PathBuf, String),
}

impl Away {
    /// None where there is no socket at all.
    fn of(socket: &Path, error: &io::Error) -> Option<Away> {
        let socket = socket.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound => None,
            io::ErrorKind::ConnectionRefused => Some(Away::Left(socket)),
            io::ErrorKind::PermissionDenied => Some(Away::Forbidden(socket)),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                let what = format!("it did not answer for {} s", PATIENCE.as_secs());
                Some(Away::Failed(socket, what))
            }
            _ => Some(Away::Failed(socket, error.to_string())),
        }
    }

    /// What to do about it.
    pub fn to_do(&self) -> &'static str {
        match self {
            Away::None => "start sounding-server, or name its socket with --admin PATH",
            Away::Left(_) => "start sounding-server again: it takes the socket over",
            Away::Forbidden(_) => "run this as the user that the server runs as",
            Away::OtherVolume => {
                "name the server's volume with --volume DIR, or another server's socket with --admin PATH"
            }
            Away::Failed(..) => "see the server's log",
        }
    }
}

/// One request and its answer (HTTP/1.1, RFC 9112): the connection ends behind it, so that no length matters.
fn exchange(socket: &Path, request: &str, body: &str) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "{request} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n")?;
    if !body.is_empty() {
        write!(stream, "Content-Type: application/json\r\nContent-Length: {}\r\n", body.len())?;
    }
    write!(stream, "\r\n{body}")?;
    let mut answer = Vec::new();
    stream.take(LARGEST).read_to_end(&mut answer)?;
    Ok(answer)
}

/// What was answered, or why it was not done (RFC 9457).
fn parse<T: DeserializeOwned>(answer: &[u8]) -> Result<T, Failure> {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
    }
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n");
    let (head, body) = answer.split_at(end.map_or(answer.len(), |it| it + 4));
    if head.starts_with(b"HTTP/1.1 2") {
        let nothing: &[u8] = b"null";
        return Ok(serde_json::from_slice(if body.is_empty() { nothing } else { body })?);
    }
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => Err(Failure::new(problem.detail)),
        Err(_) => Err(Failure::new("the server's answer can't be understood")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_no_server_answers_is_said_in_plain_words() {
        let check = |kind: io::ErrorKind, said: &str, to_do: &str| {
            let away = Away::of(Path::new("/run/x.sock"), &kind.into()).unwrap();
            assert_eq!((away.to_string().as_str(), away.to_do()), (said, to_do));
        };
        check(
            io::ErrorKind::PermissionDenied,
            "/run/x.sock is another user's",
            "run this as the user that the server runs as",
        );
        check(
            io::ErrorKind::ConnectionRefused,
            "no server answers at /run/x.sock: one that was killed left it behind",
            "start sounding-server again: it takes the socket over",
        );
        check(
            io::ErrorKind::WouldBlock,
            "/run/x.sock: it did not answer for 2 s",
            "see the server's log",
        );
        assert_eq!(Away::of(Path::new("/run/x.sock"), &io::ErrorKind::NotFound.into()), None);
    }
}
