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
    /// How long it dozes before it sleeps.
    pub doze: Duration,
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
pub struct SleepDecision {
    /// What keeps it awake. [`Reason::Start`] and [`Reason::Recent`] are told only where there is nothing else.
    pub reasons: Vec<Reason>,
    /// When it sleeps, if nothing comes between; none while something is under way whose end is not known.
    pub sleeps_at: Option<Instant>,
}

impl Rules {
    /// Weighs what is known.
    pub fn decide(&self, known: &Signals, now: Instant) -> SleepDecision {
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
        // One that is still there was forgotten, and not over a moment ago.
        let session = known.session.filter(|_| known.sessions.is_none());
        let recent = [known.request, known.transfer, session].into_iter().flatten().max();
        let recent = recent.map(|it| it + self.idle);
        if reasons.is_empty() {
            let last = recent.filter(|it| *it > now).map(|_| Reason::Recent);
            reasons.extend(last.or_else(|| (start > now).then_some(Reason::Start)));
        }
        let ends = consoles
            .iter()
            .map(|it| *it + self.console)
            .chain(waiting.iter().map(|it| *it + self.waiting))
            .chain(sessions.map(|(_, used)| used + self.session))
            .chain(kept_until)
            .chain(recent);
        let is_open = known.downloads + known.uploads + known.transfers > 0;
        let sleeps_at = (!is_open).then(|| ends.fold(start, Instant::max));
        SleepDecision { reasons, sleeps_at }
    }
}

impl SleepDecision {
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
            Reason::Recent => return f.write_str("recent use"),
            Reason::Kept => return f.write_str("an operator's request"),
            Reason::Downloads(count) => (count, "download", "downloads"),
            Reason::Uploads(count) => (count, "upload", "uploads"),
            Reason::Transfers(count) => (count, "wormhole transfer", "wormhole transfers"),
            Reason::Consoles(count) => (count, "console", "consoles"),
            Reason::Sessions(count) => (count, "ssh session", "ssh sessions"),
        };
        write!(f, "{count} {}", if count == 1 { one } else { more })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;

    /// Ten minutes of idle, a start at second 0, and what else is known, in seconds since then.
    #[derive(Default)]
    struct Case {
        now: u64,
        is_wanted: bool,
        request: Option<u64>,
        downloads: usize,
        uploads: usize,
        transfers: usize,
        waiting: Vec<u64>,
        transfer: Option<u64>,
        consoles: Vec<u64>,
        sessions: Option<(usize, u64)>,
        session: Option<u64>,
        kept_until: Option<u64>,
    }

    fn check(case: Case, reasons: &[Reason], sleeps_at: Option<u64>) {
        let rules = Rules::new(Duration::from_mins(10), Duration::from_mins(1));
        let started = Instant::now();
        let at = |second: u64| started + Duration::from_secs(second);
        let signals = Signals {
            started,
            is_wanted: case.is_wanted,
            request: case.request.map(at),
            downloads: case.downloads,
            uploads: case.uploads,
            transfers: case.transfers,
            waiting: case.waiting.into_iter().map(at).collect(),
            transfer: case.transfer.map(at),
            consoles: case.consoles.into_iter().map(at).collect(),
            sessions: case.sessions.map(|(count, used)| (count, at(used))),
            session: case.session.map(at),
            kept_until: case.kept_until.map(at),
        };
        let decision = rules.decide(&signals, at(case.now));
        let told = decision.sleeps_at.map(|it| it.duration_since(started).as_secs());
        assert_eq!((decision.reasons.as_slice(), told), (reasons, sleeps_at), "at {}", case.now);
        let is_over = sleeps_at.is_some_and(|it| it <= case.now);
        assert_eq!((decision.is_due(at(case.now)), reasons.is_empty()), (is_over, is_over));
    }

    #[test]
    fn a_start_that_nobody_wanted_is_soon_over() {
        let start = |now| Case { now, ..Case::default() };
        check(start(0), &[Reason::Start], Some(2 * MINUTE));
        check(start(119), &[Reason::Start], Some(2 * MINUTE));
        check(start(120), &[], Some(2 * MINUTE));
        // Whoever only follows changes was wanted, and keeps nothing awake.
        let followed = |now| Case { is_wanted: true, ..start(now) };
        check(followed(120), &[Reason::Start], Some(10 * MINUTE));
        check(followed(600), &[], Some(10 * MINUTE));
    }

    #[test]
    fn what_ended_leaves_as_long_as_was_asked_for() {
        let served =
            |now, end| Case { now, is_wanted: true, request: Some(end), ..Case::default() };
        check(served(1000, 900), &[Reason::Recent], Some(1500));
        check(served(1499, 900), &[Reason::Recent], Some(1500));
        check(served(1500, 900), &[], Some(1500));
        check(Case { transfer: Some(1200), ..served(1500, 900) }, &[Reason::Recent], Some(1800));
        check(Case { session: Some(1300), ..served(1500, 900) }, &[Reason::Recent], Some(1900));
        // The last request was at once: the start counts no less than it.
        check(served(30, 1), &[Reason::Recent], Some(601));
    }

    #[test]
    fn what_is_under_way_keeps_it_awake_however_long() {
        let later = || Case { now: 5 * HOUR, ..Case::default() };
        check(Case { downloads: 2, ..later() }, &[Reason::Downloads(2)], None);
        check(Case { uploads: 1, ..later() }, &[Reason::Uploads(1)], None);
        check(Case { transfers: 1, ..later() }, &[Reason::Transfers(1)], None);
        check(
            Case { downloads: 1, transfers: 2, kept_until: Some(6 * HOUR), ..later() },
            &[Reason::Downloads(1), Reason::Transfers(2), Reason::Kept],
            None,
        );
    }

    #[test]
    fn a_transfer_waits_two_hours_for_the_other_side() {
        let waiting = |now| Case { now, waiting: vec![HOUR], ..Case::default() };
        check(waiting(2 * HOUR), &[Reason::Transfers(1)], Some(3 * HOUR));
        check(waiting(3 * HOUR - 1), &[Reason::Transfers(1)], Some(3 * HOUR));
        check(waiting(3 * HOUR), &[], Some(2 * MINUTE));
        let both = Case { transfers: 1, ..waiting(2 * HOUR) };
        check(both, &[Reason::Transfers(2)], None);
    }

    #[test]
    fn a_console_counts_for_half_an_hour_after_a_key() {
        let open = |now, consoles| Case { now, consoles, ..Case::default() };
        check(open(HOUR, vec![HOUR]), &[Reason::Consoles(1)], Some(90 * MINUTE));
        check(open(90 * MINUTE - 1, vec![HOUR]), &[Reason::Consoles(1)], Some(90 * MINUTE));
        check(open(90 * MINUTE, vec![HOUR]), &[], Some(2 * MINUTE));
        check(open(HOUR + 60, vec![HOUR, 0, HOUR + 60]), &[Reason::Consoles(2)], Some(91 * MINUTE));
    }

    #[test]
    fn ssh_counts_for_two_hours_after_it_was_used() {
        let session =
            |now| Case { now, sessions: Some((1, HOUR)), session: Some(now), ..Case::default() };
        check(session(2 * HOUR), &[Reason::Sessions(1)], Some(3 * HOUR));
        // A forgotten one was seen until its time was over, and is still there.
        let forgotten = Case { session: Some(3 * HOUR - 60), ..session(3 * HOUR) };
        check(forgotten, &[], Some(2 * MINUTE));
        let left = Case { sessions: None, session: Some(2 * HOUR), ..session(2 * HOUR + 60) };
        check(left, &[Reason::Recent], Some(2 * HOUR + 10 * MINUTE));
    }

    #[test]
    fn an_operators_wish_counts_until_its_time() {
        let kept = |now| Case { now, kept_until: Some(2 * HOUR), ..Case::default() };
        check(kept(HOUR), &[Reason::Kept], Some(2 * HOUR));
        check(kept(2 * HOUR - 1), &[Reason::Kept], Some(2 * HOUR));
        check(kept(2 * HOUR), &[], Some(2 * MINUTE));
        // It makes nothing shorter.
        check(
            Case { request: Some(2 * HOUR - 60), ..kept(HOUR + 1) },
            &[Reason::Kept],
            Some(2 * HOUR + 9 * MINUTE),
        );
    }
}
