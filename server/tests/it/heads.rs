//! The fast path beside hyper: the same bytes to both, thousands of times, and both must come to the same.
//!
//! Heads are made by chance from parts that clients send, or nearly, and then damaged. Each is numbered, and its number makes it again.
//! `SOUNDING_HEADS` says how many are tried, or which: `100000`, or `39328..39329`.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::ops::Range;

use crate::support::{Connection, Site, TestServer, pattern, write};

/// Tried where nobody says how many.
const HEADS: u64 = 5000;
/// What the last request of each is answered with: when that comes, all before it has been answered.
const LAST: &[u8] = b"the last of all";

/// The key that all are asked with: nothing is changed by it, so each finds all as those before.
const READS_ALL: &str = "ada-reads-everything";

/// The numbers of those that are wanted.
pub fn wanted() -> Range<u64> {
    let Ok(text) = std::env::var("SOUNDING_HEADS") else { return 0..HEADS };
    let number = |it: &str| it.parse().unwrap();
    match text.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => 0..number(&text),
    }
}

/// What a client sends over one connection.
pub struct Sent {
    pub bytes: Vec<u8>,
    /// Where it is cut into pieces.
    cuts: Vec<usize>,
}

/// What is there to be asked for.
pub fn fill(site: &Site) {
    site.put("run/small.txt", b"0123456789");
    site.put("run/middle.bin", &pattern(70_000));
    site.put("run/large.bin", &pattern(1 << 20));
    site.put("run/trips.csv", "person;trip\n".repeat(400).as_bytes());
    site.put("run/empty.bin", b"");
    site.put("run/below/a.txt", b"a");
    site.put("public/a.txt", b"public");
    site.put("public/last.txt", LAST);
    let keys = site.path(".sounding/auth-keys.csv");
    let more = fs::read_to_string(&keys).unwrap() + &format!("ada,{READS_ALL},read\n");
    write(&keys, more.as_bytes());
}

/// Chance that can be had again (`SplitMix64`).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// One time in so many.
    fn is(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

const METHODS: &[&str] = &[
    "GET", "GET", "GET", "GET", "GET", "GET", "HEAD", "HEAD", "HEAD", "POST", "PUT", "DELETE",
    "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW", "get", "G", "",
];

/// So many of them are files that are there.
const PLAIN: usize = 13;

const TARGETS: &[&str] = &[
    "/files/run/small.txt",
    "/files/run/small.txt",
    "/files/run/small.txt",
    "/files/public/a.txt",
    "/files/run/trips.csv",
    "/files/run/trips.csv",
    "/files/run/middle.bin",
    "/files/run/large.bin",
    "/files/run/empty.bin",
    "/files/run/small.txt?x=1",
    "/files/run/small.txt?",
    "/files/run/trips.csv?download",
    "/files/run/small.txt#a",
    "/files/run/",
    "/files/run/?format=json",
    "/files/run/?format=odd",
    "/files/run",
    "/files/run/nothing",
    "/files/run/small.txt/",
    "/files",
    "/files/",
    "/files/run//small.txt",
    "/files//run/small.txt",
    "/files/./run/small.txt",
    "/files/run%2Fsmall.txt",
    "/files/run/../run/small.txt",
    "/files/run/%2e%2e/small.txt",
    "/files/run/sm%61ll.txt",
    "/files/run/%00",
    "/files/run/%zz",
    "/files/.sounding/auth-keys.csv",
    "/files/run/\u{fc}.txt",
    "/files/run/a b",
    "//files/run/small.txt",
    "/Files/run/small.txt",
    "http://a.example/files/run/small.txt",
    "http://a.example",
    "https://u@a.example:1/files/run/small.txt",
    "files/run/small.txt",
    "a.example:80",
    "*",
    "?",
    "",
    "/",
    "/health",
    "/health",
    "/health?x",
    "/health/",
    "/nothing",
    "/uploads",
    "/sounding.d.ts",
];

const VERSIONS: &[&str] = &[
    " HTTP/1.1",
    " HTTP/1.1",
    " HTTP/1.1",
    " HTTP/1.1",
    " HTTP/1.1",
    " HTTP/1.1",
    " HTTP/1.1",
    " HTTP/1.1",
    " HTTP/1.1",
    " HTTP/1.1",
    " HTTP/1.1",
    " HTTP/1.0",
    " HTTP/1.2",
    " HTTP/2.0",
    " http/1.1",
    "  HTTP/1.1",
    "",
    " HTTP/1.1 ",
];

const HOSTS: &[&str] = &[
    "Host: a.example\r\n",
    "Host: a.example\r\n",
    "Host: a.example\r\n",
    "Host: a.example\r\n",
    "Host: a.example\r\n",
    "host:a.example:8080\r\n",
    "HOST: \t[::1]:80 \r\n",
    "Host:\r\n",
    "",
    "Host: a.example\r\nHost: a.example\r\n",
    "Host: a.example, b.example\r\n",
    "Host: a b\r\n",
    "Host: u@a.example\r\n",
    "Host: a.example/files\r\n",
    "Host: a.example:port\r\n",
    "Host: \u{fc}\r\n",
];

/// Fields by name, with values of each, odd ones among them.
const FIELDS: &[(&str, &[&str])] = &[
    (
        "Range",
        &[
            "bytes=0-4",
            "bytes=2-",
            "bytes=-3",
            "bytes=-0",
            "bytes=20-",
            "bytes=4-2",
            "bytes=0-0,2-3",
            "bytes=0-1, 4-5 ,7-",
            "bytes=,0-1",
            "bytes=0-1,",
            "bytes=",
            "bytes",
            "Bytes=0-1",
            "bytes =0-1",
            "bytes= 0-1",
            "items=0-1",
            "bytes=0-99999999999999999999",
            "bytes=0-9,0-9,0-9,0-9",
            "bytes=0-1;x",
            "bytes=+1-2",
            "bytes=a-b",
            "",
            "bytes=1-2\t",
        ],
    ),
    (
        "Accept-Encoding",
        &[
            "gzip",
            "br",
            "zstd",
            "gzip, deflate, br, zstd",
            "identity",
            "identity;q=0",
            "*",
            "*;q=0",
            "gzip;q=0",
            "GZIP",
            "x-gzip",
            "gzip;q=0.001",
            "gzip ; q=0.5 , br;q=0.4",
            "gzip;q=2",
            "gzip;q=",
            ",,br,",
            "\"gzip\"",
            "",
            "deflate",
            "gzip;q=0.5;q=0",
            "br\u{fc}",
        ],
    ),
    (
        "If-None-Match",
        &[
            "*",
            "ETAG",
            "W/ETAG",
            "\"other\"",
            "\"other\", ETAG",
            "ETAG,",
            "odd",
            "",
            "\"",
            "ETAG ETAG",
        ],
    ),
    ("If-Match", &["*", "ETAG", "W/ETAG", "\"other\"", "\"other\",ETAG", "odd", ""]),
    (
        "If-Range",
        &["ETAG", "W/ETAG", "\"other\"", "Sun, 06 Nov 1994 08:49:37 GMT", "MODIFIED", "odd", ""],
    ),
    (
        "If-Modified-Since",
        &[
            "MODIFIED",
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 2094 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "odd",
        ],
    ),
    ("If-Unmodified-Since", &["MODIFIED", "Sun, 06 Nov 1994 08:49:37 GMT", "odd", ""]),
    (
        "Accept",
        &[
            "*/*",
            "text/html",
            "application/json",
            "text/html;q=0",
            "application/json, text/html;q=0.1",
            "TEXT/HTML",
            "",
        ],
    ),
    (
        "Connection",
        &[
            "close",
            "keep-alive",
            "Close",
            "KEEP-ALIVE",
            "close, te",
            "keep-alive, close",
            "upgrade",
            "te",
            "",
            "odd",
            "closed",
        ],
    ),
    (
        "Content-Length",
        &["0", "0", "5", "00", "5, 5", "+5", "-1", "0x5", "5 5", "", "99999999999999999999", "odd"],
    ),
    (
        "Transfer-Encoding",
        &[
            "chunked",
            "chunked",
            "Chunked",
            "gzip",
            "gzip, chunked",
            "chunked, gzip",
            "identity",
            "",
            "xchunked",
        ],
    ),
    ("Expect", &["100-continue", "100-Continue", "odd", ""]),
    ("Upgrade", &["h2c", "websocket", ""]),
    ("TE", &["trailers", "gzip"]),
    ("Origin", &["https://a.example", "null"]),
    ("Sec-Fetch-Mode", &["cors", "navigate", "odd"]),
    ("Access-Control-Request-Method", &["GET", "PUT"]),
    ("Tus-Resumable", &["1.0.0", "0.2.2"]),
    ("Want-Repr-Digest", &["sha-256=1"]),
    ("Cookie", &["a=b", ""]),
    ("Referer", &["https://a.example/"]),
    ("X-Odd", &["", "a", "\u{fc}", "a\u{1}b", "a\tb", "a\u{0}", "\u{7f}", " a  b ", ":"]),
];

/// What is done to a head that was well.
const DAMAGE: usize = 14;

/// The requests of a number: one or a few in a row, and behind them a last one that is well.
pub fn sent(number: u64, tags: &Tags) -> Sent {
    let mut chance = Chance(number.wrapping_mul(0x5851_f42d_4c95_7f2d));
    let mut bytes = Vec::new();
    for _ in 0..=chance.below(3) {
        if chance.is(12) {
            bytes.extend_from_slice(chance.of(&["\r\n", "\r\n\r\n", "\n", " ", "\0"]).as_bytes());
        }
        bytes.extend(request(&mut chance, tags));
    }
    bytes.extend_from_slice(b"GET /files/public/last.txt HTTP/1.1\r\nHost: last\r\n\r\n");
    let cuts = match chance.below(8) {
        0 if bytes.len() < 400 => (1..bytes.len()).collect(),
        0..4 => vec![chance.below(bytes.len())],
        _ => vec![],
    };
    Sent { bytes, cuts }
}

/// What a client knows of a file from before.
pub struct Tags {
    pub etag: String,
    pub modified: String,
}

impl Tags {
    pub fn of(site: &Site) -> Tags {
        let known = site.get("/files/run/small.txt", &[]);
        Tags { etag: known.etag(), modified: known.field("last-modified").unwrap() }
    }
}

fn request(chance: &mut Chance, tags: &Tags) -> Vec<u8> {
    // Half of all are well: so both ways are taken.
    let is_well = chance.is(2);
    let plain = if is_well { 9 } else { METHODS.len() };
    let method = chance.of(&METHODS[..plain]);
    let version = chance.of(&VERSIONS[..if is_well { 11 } else { VERSIONS.len() }]);
    let hosts = &HOSTS[..if is_well { 5 } else { HOSTS.len() }];
    let target = match chance.below(200) {
        0 => format!("/files/run/small.txt?{}", "x".repeat(9 << 10)),
        1 => format!("/files/run/{}", "x".repeat(17 << 10)),
        // What is there, and may be read.
        _ if is_well && !chance.is(3) => chance.of(&TARGETS[..PLAIN]).to_owned(),
        _ => chance.of(TARGETS).to_owned(),
    };
    let mut head = format!("{method} {target}{version}\r\n{}", chance.of(hosts));
    for _ in 0..chance.below(4) {
        let fields = if is_well { &FIELDS[..8] } else { FIELDS };
        let (name, values) = chance.of(fields);
        let value =
            chance.of(values).replace("ETAG", &tags.etag).replace("MODIFIED", &tags.modified);
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if chance.is(150) {
        head.push_str(&"X-Many: a\r\n".repeat(chance.of(&[40, 60, 130])));
    }
    if chance.is(150) {
        head.push_str(&format!("X-Long: {}\r\n", "x".repeat(chance.of(&[7, 9, 15, 17, 70]) << 10)));
    }
    let mut head = head.into_bytes();
    if !is_well && chance.is(2) {
        damage(&mut head, chance);
    }
    // Behind all damage: wrong keys are answered late, and others by them.
    if !chance.is(8) {
        head.extend_from_slice(format!("Authorization: {READS_ALL}\r\n").as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    if !is_well {
        head.extend_from_slice(body(chance).as_bytes());
    }
    head
}

/// What may stand behind a head, whether that announces it or not.
fn body(chance: &mut Chance) -> &'static str {
    let smuggled = "GET /files/public/a.txt HTTP/1.1\r\nHost: a\r\n\r\n";
    match chance.below(12) {
        0 => "hello",
        1 => "5\r\nhello\r\n0\r\n\r\n",
        2 => "5;x=y\r\nhello\r\n0\r\nX: y\r\n\r\n",
        3 => "5\nhello\n0\n\n",
        4 => "-5\r\nhello\r\n0\r\n\r\n",
        5 => "0\r\n\r\n",
        6 => smuggled,
        _ => "",
    }
}

fn damage(head: &mut Vec<u8>, chance: &mut Chance) {
    let lines: Vec<usize> =
        (0..head.len()).filter(|it| head[*it] == b'\n').map(|it| it + 1).collect();
    let line = chance.of(&lines);
    let any = chance.below(head.len());
    let mut insert = |at: usize, text: &[u8]| drop(head.splice(at..at, text.iter().copied()));
    match chance.below(DAMAGE) {
        // Folded lines.
        0 => insert(line, b" folded\r\n"),
        1 => insert(line, b"\tfolded\r\n"),
        // Bare LF, bare CR.
        2 => drop(head.remove(line - 2)),
        3 => {
            let text = String::from_utf8_lossy(head).replace("\r\n", "\n");
            *head = text.into_bytes();
        }
        4 => drop(head.remove(line - 1)),
        // Lengths and chunks together.
        5 => insert(line, b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        6 => insert(line, b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
        7 => insert(line, b"Content-Length: 5\r\nContent-Length: 6\r\n"),
        // Names that are none.
        8 => insert(line, b"X : a\r\n"),
        9 => insert(line, b"no field\r\n"),
        10 => insert(line, b": a\r\n"),
        // Any byte.
        11 => head[any] = u8::try_from(chance.below(256)).unwrap(),
        12 => drop(head.remove(any)),
        _ => insert(any, &[chance.of(b"\r\n \t:\0\x80\xff,;=\"/#%")]),
    }
}

/// An answer, without what is of its moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: String,
    pub fields: Vec<String>,
    pub body: Vec<u8>,
    /// Whether all of its body came.
    pub is_whole: bool,
}

/// All that came over a connection.
fn answers(mut bytes: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") else {
            let body = bytes.to_vec();
            answers.push(Answer {
                status: NO_HEAD.to_owned(),
                fields: vec![],
                body,
                is_whole: false,
            });
            break;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.split("\r\n").map(str::to_owned);
        let status = lines.next().unwrap();
        let lower = |line: String| {
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            format!("{}:{value}", name.to_ascii_lowercase())
        };
        let mut fields: Vec<String> =
            lines.map(lower).filter(|it| !it.starts_with("date:")).collect();
        fields.sort();
        let (body, rest, is_whole) = take_body(&fields, &bytes[end + 4..]);
        bytes = rest;
        // Random, and of one length.
        let boundary =
            fields.iter().find_map(|it| it.split_once("boundary=").map(|it| it.1.to_owned()));
        let body = match boundary {
            Some(boundary) => {
                fields = fields.iter().map(|it| it.replace(&boundary, "BOUNDARY")).collect();
                String::from_utf8_lossy(&body).replace(&boundary, "BOUNDARY").into_bytes()
            }
            None => body,
        };
        answers.push(Answer { status, fields, body, is_whole });
    }
    answers
}

/// A body, what comes behind it, and whether all of it came. Nothing that is served looks like an answer's head: so what has the next
/// answer or nothing behind its head is without a body, as an answer to `HEAD` is.
fn take_body<'a>(fields: &[String], rest: &'a [u8]) -> (Vec<u8>, &'a [u8], bool) {
    if rest.is_empty() || rest.starts_with(b"HTTP/1.") {
        return (vec![], rest, true);
    }
    if fields.iter().any(|it| it == "transfer-encoding: chunked") {
        return take_chunks(rest);
    }
    let length = fields.iter().find_map(|it| it.strip_prefix("content-length: ")?.parse().ok());
    let length: usize = length.unwrap_or(rest.len());
    let (body, behind) = rest.split_at(length.min(rest.len()));
    (body.to_vec(), behind, body.len() == length)
}

/// They may be cut elsewhere.
fn take_chunks(mut rest: &[u8]) -> (Vec<u8>, &[u8], bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|it| it == b"\r\n") else {
            return (body, &[], false);
        };
        let size = std::str::from_utf8(&rest[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        let chunk = &rest[end + 2..];
        if chunk.len() < size + 2 {
            return (body, &[], false);
        }
        body.extend_from_slice(&chunk[..size]);
        rest = &chunk[size + 2..];
        if size == 0 {
            return (body, rest, true);
        }
    }
}

impl Sent {
    /// Sends it, piece by piece, and reads what comes. Who is refused early may not be read to the end.
    pub fn exchange(&self, mut stream: impl Write, read: impl FnOnce() -> Came) -> Came {
        let mut start = 0;
        let ends = self.cuts.iter().copied().chain([self.bytes.len()]);
        let is_sent = ends.into_iter().all(|end| {
            let piece = &self.bytes[std::mem::replace(&mut start, end)..end];
            stream.write_all(piece).is_ok()
        });
        let mut came = read();
        came.is_reset |= !is_sent;
        // Of a head that is longer than it reads, hyper says that it is none and closes, or has just got the end of it: then we
        // say that it is too long, and go on. Which of the two depends on how the bytes came.
        let is_nginxs = |it: &Answer| it.fields.iter().any(|it| it == "server: nginx");
        let refused = |it: &Answer| {
            ["400", "431"].iter().any(|code| it.status.contains(code)) && !is_nginxs(it)
        };
        if self.bytes.len() > LONGEST_READ
            && let Some(first) = came.answers.iter().position(refused)
        {
            came.answers.truncate(first);
            came.answers.push(Answer {
                status: "HTTP/1.1 400 Bad Request".to_owned(),
                fields: vec!["connection: close".to_owned()],
                body: vec![],
                is_whole: true,
            });
        }
        came
    }

    /// For whoever is to look into it.
    pub fn shown(&self) -> String {
        let shown = self.bytes.escape_ascii().to_string();
        // What is long is one letter, over and over.
        let long = "x".repeat(1000);
        let short = std::iter::successors(Some(shown), |it| {
            it.contains(&long).then(|| it.replacen(&long, "", 1))
        });
        short.last().unwrap_or_default().chars().take(3000).collect()
    }
}

/// All that comes, up to the answer to the last request or the connection's end.
pub fn read_to_last(mut stream: impl Read) -> Came {
    read(&mut stream, |it| it.ends_with(LAST))
}

/// All that comes up to the connection's end.
pub fn read_to_end(mut stream: impl Read) -> Came {
    read(&mut stream, |_| false)
}

/// What came over a connection.
#[derive(Clone)]
pub struct Came {
    pub answers: Vec<Answer>,
    /// A head that is none ends its connection, and what the client has sent behind it resets that: then the end of what was
    /// answered before may be lost on the way (RFC 9112 §9.6).
    pub is_reset: bool,
}

impl Came {
    /// Whether two are the same, as far as they came.
    pub fn is_same(&self, other: &Came) -> bool {
        match (self.is_reset, other.is_reset) {
            (false, false) => self.answers == other.answers,
            (true, false) => self.begins(other),
            (false, true) => other.begins(self),
            (true, true) => self.begins(other) || other.begins(self),
        }
    }

    /// Whether it never came to an end.
    fn waits(&self) -> bool {
        self.answers.last().is_some_and(|it| it.status == WAITS)
    }

    fn begins(&self, other: &Came) -> bool {
        let Some((last, before)) = self.answers.split_last() else { return true };
        let is_cut = last.is_cut_from(other.answers.get(before.len()));
        other.answers.starts_with(before) && is_cut
    }

    /// Whether the server has closed the connection, or all that was sent was answered: then nothing more would have come.
    pub fn is_over(&self) -> bool {
        let closes = |it: &Answer| it.fields.iter().any(|it| it == "connection: close");
        self.answers.last().is_some_and(|it| it.body == LAST || closes(it))
    }
}

impl Answer {
    fn is_cut_from(&self, whole: Option<&Answer>) -> bool {
        let is_cut = |it: &Answer| {
            (&self.status, &self.fields) == (&it.status, &it.fields)
                && it.body.starts_with(&self.body)
        };
        self.status == NO_HEAD || whole.is_some_and(is_cut)
    }
}

/// Bytes of a head that are read at all.
const LONGEST_READ: usize = 64 << 10;
/// What stands for the status of an answer whose head did not come.
const NO_HEAD: &str = "no head";
/// What stands for that of one that does not come, nor the connection's end.
const WAITS: &str = "no answer and no end";

fn read(stream: &mut impl Read, is_enough: impl Fn(&[u8]) -> bool) -> Came {
    let (mut all, mut is_reset) = (Vec::new(), false);
    let mut some = vec![0; 64 << 10];
    while !is_enough(&all) {
        match stream.read(&mut some) {
            Ok(0) => break,
            Ok(read) => all.extend_from_slice(&some[..read]),
            // Something was sent that was not read any more.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                is_reset = true;
                break;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // It waits for more: so must the other.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                let mut answers = answers(&all);
                answers.push(Answer {
                    status: WAITS.to_owned(),
                    fields: vec![],
                    body: vec![],
                    is_whole: true,
                });
                return Came { answers, is_reset };
            }
            Err(error) => panic!("neither an answer nor an end: {error}"),
        }
    }
    Came { answers: answers(&all), is_reset }
}

/// A connection in the fast path, or behind a request that hands it to hyper.
fn connect(site: &Site, is_hypers: bool) -> TcpStream {
    let mut connection = site.connect();
    if is_hypers {
        connection.send("GET", "/", &[]);
        assert_eq!(connection.receive("GET").status, 307);
    }
    let Connection { stream } = connection;
    assert!(stream.buffer().is_empty());
    let stream = stream.into_inner();
    stream.set_nodelay(true).unwrap();
    stream
}

/// What comes of it where the client then sends no more; and where it goes on to listen, if that would come to an end.
fn outcomes(site: &Site, sent: &Sent, is_hypers: bool) -> [Came; 2] {
    let stream = connect(site, is_hypers);
    let silent = sent.exchange(&stream, || {
        // It may be closed already.
        stream.shutdown(Shutdown::Write).unwrap_or_default();
        read_to_end(&stream)
    });
    if !silent.is_over() {
        return [silent.clone(), silent];
    }
    let stream = connect(site, is_hypers);
    [silent, sent.exchange(&stream, || read_to_last(&stream))]
}

#[test]
fn thousands_of_heads_are_answered_as_hyper_would_have_them_answered() {
    let server = TestServer::start();
    fill(&server);
    let tags = Tags::of(&server);
    let (wanted, threads) = (wanted(), 4);
    let all = wanted.end - wanted.start;
    // Each takes every fourth: most of the time is spent waiting.
    let tried = std::thread::scope(|scope| {
        let some = |first: u64| {
            let numbers = (wanted.start + first..wanted.end).step_by(threads);
            let (server, tags) = (&server, &tags);
            scope.spawn(move || numbers.map(|it| tried(server, it, &sent(it, tags))).collect())
        };
        let all: Vec<_> = (0..threads as u64).map(some).collect();
        let all = all.into_iter().flat_map(|it| -> Vec<Tried> { it.join().unwrap() });
        all.collect::<Vec<_>>()
    });
    let count = |is: fn(&Tried) -> bool| tried.iter().filter(|it| is(it)).count() as u64;
    let (reads, found, different) =
        (count(|it| it.is_read), count(|it| it.is_found), count(|it| !it.is_same));
    println!(
        "{all} heads: {reads} are plain reads, {found} find what they ask for, {different} differ"
    );
    assert_eq!(different, 0, "of {all} heads");
    if all >= HEADS {
        assert!(reads > all / 4 && reads < all * 3 / 4, "{reads} of {all} go the fast way");
        assert!(found > all / 4, "{found} of {all} find what they ask for");
    }
}

/// What came of a number.
struct Tried {
    is_same: bool,
    /// The first of its heads is for the fast path,
    is_read: bool,
    /// and is answered with what it asks for.
    is_found: bool,
}

fn tried(server: &Site, number: u64, sent: &Sent) -> Tried {
    let all = [outcomes(server, sent, false), outcomes(server, sent, true)].concat();
    // Where both wait for more, what they say to a client that sends no more is another matter.
    let is_same = if all[1].waits() && all[3].waits() {
        all[0].is_same(&all[2]) && all[1].is_same(&all[3])
    } else {
        all.iter().all(|it| all.iter().all(|other| it.is_same(other)))
    };
    if !is_same {
        println!("{number}: {}", sent.shown());
        for (way, came) in ["fast, silent", "fast", "hyper, silent", "hyper"].iter().zip(&all) {
            println!("  {way}: {}", came.shown());
        }
    }
    let is_found = all[0]
        .answers
        .first()
        .is_some_and(|it| ["200", "206", "304"].map(Some).contains(&it.status.get(9..12)));
    Tried { is_same, is_read: begins_with_a_read(&sent.bytes), is_found }
}

fn begins_with_a_read(bytes: &[u8]) -> bool {
    let mut room = [const { std::mem::MaybeUninit::uninit() }; sounding_server::MOST_FIELDS];
    matches!(
        sounding_server::RequestHead::parse(bytes, &mut room),
        sounding_server::Parsed::Read(_)
    )
}

impl Came {
    /// In short.
    pub fn shown(&self) -> String {
        let shown = |it: &Answer| {
            let cut = if it.is_whole { "" } else { ", cut off" };
            let body: String = it.body.escape_ascii().to_string().chars().take(150).collect();
            format!("{} {:?} {} bytes{cut}: {body}", it.status, it.fields, it.body.len())
        };
        let end = if self.is_reset { "\n    reset" } else { "" };
        self.answers.iter().map(shown).collect::<Vec<_>>().join("\n    ") + end
    }
}
