//! When a service that nobody needs goes to sleep: the rules, and nothing else.
//!
//! Pure: takes what is known at a moment, and says what keeps the service awake and until when. What is under way keeps
//! it awake as long as it lasts, and [`Rules::idle`] behind its end; the rest keeps it awake until a time of its own.

use std::fmt;
use std::time::{Duration, Instant};

/// How long what keeps it awake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How long nobody may have needed it before it sleeps.
    pub idle: Duration,
    /// The same for a start that nobody turned out to want: who tries doors wakes the machine, but not for long.
    pub unwanted: Duration,
    /// How long the last key press in a console counts.
    pub console: Duration,
    /// How long an ssh session counts in which nothing is typed or printed.
    pub session: Duration,
    /// How long a wormhole transfer may wait for the other side.
    pub waiting: Duration,
}

/// What is known at a moment.
#[derive(Clone, Debug)]
pub struct Signals {
    /// When the service began.
    pub started: Instant,
    /// Whether anybody with a key, or after something public, has come since then.
    pub is_wanted: bool,
    /// When the last request that counts was over.
    pub request: Option<Instant>,
    /// Answers on their way out.
    pub downloads: usize,
    /// Bodies on their way in.
    pub uploads: usize,
    /// Wormhole transfers that have met the other side.
    pub transfers: usize,
    /// When those began that wait for it.
    pub waiting: Vec<Instant>,
    /// When the last transfer was over.
    pub transfer: Option<Instant>,
    /// When a key was last pressed in each open console.
    pub consoles: Vec<Instant>,
    /// Ssh sessions, and when one of them was last used.
    pub sessions: Option<(usize, Instant)>,
    /// When sessions that counted were last seen.
    pub session: Option<Instant>,
    /// Until when an operator wants it awake.
    pub kept_until: Option<Instant>,
}

/// What keeps a service awake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It has only just begun.
    Start,
    /// A request that counts is not long over; or a transfer, or an ssh session.
    Recent,
    /// So many answers are on their way out.
    Downloads(usize),
    /// So many bodies are on their way in.
    Uploads(usize),
    /// So many wormhole transfers are under way.
    Transfers(usize),
    /// Somebody sits at so many consoles.
    Consoles(usize),
    /// Somebody is logged in by ssh, so many times.
    Sessions(usize),
    /// An operator wants it so.
    Kept,
}

/// Whether to sleep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What keeps it awake. [`Reason::Start`] and [`Reason::Recent`] are told only where there is nothing else.
    pub reasons: Vec<Reason>,
    /// When it sleeps, if nothing comes between; none while something is under way whose end is not known.
    pub sleeps_at: Option<Instant>,
}

impl Rules {
    /// Weighs what is known.
    pub fn weigh(&self, known: &Signals, now: Instant) -> Verdict {
        let lasts = |it: &Instant, length: Duration| *it + length > now;
        let waiting: Vec<_> =
            known.waiting.iter().filter(|it| lasts(it, self.waiting)).copied().collect();
        let consoles: Vec<_> =
            known.consoles.iter().filter(|it| lasts(it, self.console)).copied().collect();
        let sessions = known.sessions.filter(|(_, used)| lasts(used, self.session));
        let kept_until = known.kept_until.filter(|it| *it > now);
        let reasons = [
            (Reason::Downloads(known.downloads), known.downloads),
            (Reason::Uploads(known.uploads), known.uploads),
            (Reason::Transfers(known.transfers + waiting.len()), known.transfers + waiting.len()),
            (Reason::Consoles(consoles.len()), consoles.len()),
            (Reason::Sessions(sessions.map_or(0, |it| it.0)), sessions.map_or(0, |it| it.0)),
            (Reason::Kept, usize::from(kept_until.is_some())),
        ];
        let mut reasons: Vec<Reason> =
            reasons.into_iter().filter(|it| it.1 > 0).map(|it| it.0).collect();

        let start = known.started + if known.is_wanted { self.idle } else { self.unwanted };
        let recent = [known.request, known.transfer, known.session].into_iter().flatten().max();
        let recent = recent.map(|it| it + self.idle);
        if reasons.is_empty() {
            let last = recent.filter(|it| *it > now).map(|_| Reason::Recent);
            reasons.extend(last.or_else(|| (start > now).then_some(Reason::Start)));
        }
        let ends = consoles
            .iter()
            .map(|it| *it + self.console)
            .chain(waiting.iter().map(|it| *it + self.waiting + self.idle))
            .chain(sessions.map(|(_, used)| used + self.session))
            .chain(kept_until)
            .chain(recent);
        let is_open = known.downloads + known.uploads + known.transfers > 0;
        let sleeps_at = (!is_open).then(|| ends.fold(start, Instant::max));
        Verdict { reasons, sleeps_at }
    }
}

impl Verdict {
    /// Whether its time has come.
    pub fn is_due(&self, now: Instant) -> bool {
        self.sleeps_at.is_some_and(|it| it <= now)
    }
}

impl Reason {
    /// The words for all of them.
    pub const NAMES: [&str; 8] =
        ["start", "recent", "download", "upload", "transfer", "console", "ssh", "kept"];

    /// How many things it stands for.
    pub fn count(self) -> usize {
        match self {
            Reason::Downloads(count)
            | Reason::Uploads(count)
            | Reason::Transfers(count)
            | Reason::Consoles(count)
            | Reason::Sessions(count) => count,
            Reason::Start | Reason::Recent | Reason::Kept => 1,
        }
    }

    /// One word for it.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Start => "start",
            Reason::Recent => "recent",
            Reason::Downloads(_) => "download",
            Reason::Uploads(_) => "upload",
            Reason::Transfers(_) => "transfer",
            Reason::Consoles(_) => "console",
            Reason::Sessions(_) => "ssh",
            Reason::Kept => "kept",
        }
    }
}

/// As people are told, behind `awake for`.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, one, more) = match *self {
            Reason::Start => return f.write_str("its start"),
            Reason::Recent => return f.write_str("the last request"),
            Reason::Kept => return f.write_str("an operator's wish"),
            Reason::Downloads(count) => (count, "download", "downloads"),
            Reason::Uploads(count) => (count, "upload", "uploads"),
            Reason::Transfers(count) => (count, "wormhole transfer", "wormhole transfers"),
            Reason::Consoles(count) => (count, "console", "consoles"),
            Reason::Sessions(count) => (count, "ssh session", "ssh sessions"),
        };
        write!(f, "{count} {}", if count == 1 { one } else { more })
    }
}
