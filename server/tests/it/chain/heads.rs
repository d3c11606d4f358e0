//! The same bytes to the server and to nginx in front of it, thousands of times: what nginx does not refuse itself is answered as the
//! server answers it.

use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;

use super::{Chain, PATIENCE, behind_nginx};
use crate::heads::{self, Answer, Came, Sent, Tags, read_to_end, read_to_last, sent};

#[test]
fn thousands_of_heads_are_answered_through_nginx_as_without() {
    behind_nginx(&[], |chain| {
        chain.wait_until_ready();
        heads::fill(chain);
        let tags = Tags::of(chain);
        let outcomes: Vec<_> =
            heads::wanted().map(|it| compare(chain, it, &sent(it, &tags))).collect();
        let all = outcomes.len();
        let count = |of: Outcome| outcomes.iter().filter(|it| **it == of).count();
        let (same, explained, different) =
            (count(Outcome::Same), count(Outcome::Explained), count(Outcome::Different));
        println!(
            "{all} heads: {same} the same, {explained} differ as they may, {different} differ"
        );
        assert_eq!(different, 0, "of {all} heads");
        assert!(same > all / 5 || all < 1000, "{same} of {all} are the same");
    });
}

#[derive(PartialEq, Eq)]
enum Outcome {
    Same,
    /// The two differ where they may.
    Explained,
    /// It never comes to its end: both wait for more.
    Unfinished,
    Different,
}

fn compare(chain: &Chain, number: u64, sent: &Sent) -> Outcome {
    let stream = UnixStream::connect(chain.inner("/run/server.sock")).unwrap();
    let direct = sent.exchange(&stream, || {
        stream.shutdown(Shutdown::Write).unwrap_or_default();
        read_to_end(&stream)
    });
    if !direct.is_over() {
        return Outcome::Unfinished;
    }
    let stream = TcpStream::connect(chain.address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let through = sent.exchange(&stream, || read_to_last(&stream));
    match first_difference(&direct, &through) {
        None => Outcome::Same,
        Some((direct, through)) if explanation(sent, &direct, &through).is_some() => {
            Outcome::Explained
        }
        Some(_) => {
            let (direct, through) = (direct.shown(), through.shown());
            println!("{number}: {}\n  direct: {direct}\n  through: {through}", sent.shown());
            Outcome::Different
        }
    }
}

/// Behind it, all may differ.
fn first_difference(direct: &Came, through: &Came) -> Option<(Answer, Answer)> {
    let (ours, theirs) = (direct.answers.len(), through.answers.len());
    let places = if direct.is_reset || through.is_reset {
        // The end of the last may be lost.
        ours.min(theirs).saturating_sub(1)
    } else {
        ours.max(theirs)
    };
    let at = |it: &Came, place: usize| it.answers.get(place).map_or_else(none, bare);
    let places = (0..places).map(|it| (at(direct, it), at(through, it)));
    places.into_iter().find(|(direct, through)| direct != through)
}

/// Why the two may differ, by all that was sent and the first answers that are not the same. These are all reasons that there are.
fn explanation(sent: &Sent, direct: &Answer, through: &Answer) -> Option<&'static str> {
    let status = |it: &Answer| it.status.get(9..12).unwrap_or_default().to_owned();
    let (asked, said) = (status(direct), status(through));
    let text = String::from_utf8_lossy(&sent.bytes).to_lowercase();
    let heads = || heads_of(&text);
    if heads().any(|it| !it.lines().next().is_some_and(|line| line.contains(" http/"))) {
        return Some("nginx answers HTTP/0.9, which has no heads");
    }
    if asked.is_empty() {
        return Some("the server closes its own connection, and nginx keeps its client's");
    }
    if said.is_empty() && text.contains("connection: closed") {
        return Some("nginx closes where a `Connection` only begins with `close`");
    }
    if said == "100" && text.contains("expect: 100-continue") {
        return Some("nginx itself asks for the body that it passes on as it comes");
    }
    if through.fields.iter().any(|it| it == "server: nginx") {
        return own_refusal(&sent.bytes, &text, &asked);
    }
    if asked != "400" {
        return None;
    }
    // Its client may speak any version that begins so.
    let longer = |it: &str| it.starts_with(|it: char| it.is_ascii_digit());
    if [" http/1.2", " http/1.1 ", "  http/1.1"].iter().any(|it| text.contains(it))
        || text.split(" http/1.1").skip(1).any(longer)
    {
        return Some(
            "nginx speaks HTTP/1.1 to the server, and well-formed, whatever its client says",
        );
    }
    if heads().any(|it| it.lines().next().is_some_and(|line| line.contains("  "))) {
        return Some("nginx takes more than one space in a request line for one");
    }
    if heads().any(|it| it.lines().skip(1).any(|line| !line.contains(':'))) {
        return Some("nginx passes a line without a colon on as a field without a value");
    }
    None
}

/// Why nginx refuses itself what the server would answer.
fn own_refusal(bytes: &[u8], text: &str, asked: &str) -> Option<&'static str> {
    let heads = || heads_of(text);
    let twice = |name: &str| heads().any(|it| it.matches(&format!("\n{name}:")).count() > 1);
    let once = [
        "range",
        "if-match",
        "if-none-match",
        "if-range",
        "if-modified-since",
        "if-unmodified-since",
        "content-length",
        "te",
        "upgrade",
        "expect",
        "authorization",
        "transfer-encoding",
    ];
    let target = |head: &str| head.split(' ').nth(1).unwrap_or_default().to_owned();
    let has_path = |it: &str| {
        target(it).starts_with('/') && !target(it).contains("%zz") && !target(it).contains("%00")
    };
    let has = |what: &str| heads().any(|it| it.starts_with(what));
    if ["400", "405", "414", "431", "501"].contains(&asked) {
        Some("the server refuses it as well, in other words")
    } else if once.into_iter().any(twice) {
        Some("nginx takes fields that clients send once only once")
    } else if ["\nhost:\r", "\nhost:\n", "\nhost: \t"].iter().any(|it| text.contains(it)) {
        Some("nginx wants a `Host` with something in it, and no tab before that")
    } else if heads().any(|it| it.contains("content-length:") && it.contains("transfer-encoding:"))
    {
        Some(
            "nginx refuses a length with chunks; the server goes by the chunks, and closes (RFC 9112 §6.3)",
        )
    } else if !heads().all(has_path) {
        Some(
            "nginx wants a path with escapes that are some, or an address of the form `http://HOST/PATH`",
        )
    } else if has("trace ") || has("connect ") || bytes.windows(4).any(|it| it == b"get ") {
        Some("nginx refuses methods before it asks whether there is anything")
    } else {
        None
    }
}

fn heads_of(text: &str) -> impl Iterator<Item = &str> {
    let heads = text.split("\r\n\r\n").map(|it| it.trim_start_matches(['\r', '\n']));
    heads.filter(|it| !it.is_empty())
}

/// Without what is of the connection, whose version is one of its own.
fn bare(answer: &Answer) -> Answer {
    let mut answer = answer.clone();
    answer.status = answer.status.replacen("HTTP/1.0", "HTTP/1.1", 1);
    answer
        .fields
        .retain(|it| !["connection:", "keep-alive:"].iter().any(|own| it.starts_with(own)));
    answer
}

/// No answer.
fn none() -> Answer {
    Answer { status: String::new(), fields: vec![], body: vec![], is_whole: true }
}
