//! The rules for shutting down an idle service.
//!
//! Pure: takes the state at one moment; says what keeps the service awake, and until when. An activity in progress keeps it awake as long
//! as it lasts, and for [`Rules::idle`] after its end. Everything else keeps it awake until a time of its own.

use std::fmt;
use std::time::{Duration, Instant};

/// How long each kind of activity keeps the service awake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How long the service must be unused before it shuts down.
    pub idle: Duration,
    /// The same after a start for which no request counted: unauthenticated requests can wake a machine, but not for long.
    pub unwanted: Duration,
    /// How long the last key press in a console counts.
    pub console: Duration,
    /// How long an ssh session counts in which nothing is typed or printed.
    pub session: Duration,
    /// How long a wormhole transfer may wait for the other side.
    pub waiting: Duration,
    /// How long it dozes before it shuts down.
    pub doze: Duration,
}

/// The state at one moment.
#[derive(Clone, Debug)]
pub struct Signals {
    /// When the service started.
    pub started: Instant,
    /// Whether there has been a request with a valid key, or for something public, since then.
    pub is_wanted: bool,
    /// When the last request that counts ended.
    pub request: Option<Instant>,
    /// Responses in flight.
    pub downloads: usize,
    /// Request bodies in flight.
    pub uploads: usize,
    /// Wormhole transfers that are connected with the other side.
    pub transfers: usize,
    /// Start times of the transfers that wait for the other side.
    pub waiting: Vec<Instant>,
    /// When the last transfer ended.
    pub transfer: Option<Instant>,
    /// When a key was last pressed, in each open console.
    pub consoles: Vec<Instant>,
    /// Number of ssh sessions, and when one of them was last used.
    pub sessions: Option<(usize, Instant)>,
    /// When ssh sessions that count were last seen.
    pub session: Option<Instant>,
    /// Until when an operator keeps the service awake.
    pub kept_until: Option<Instant>,
}

/// What keeps a service awake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It has just started.
    Start,
    /// A request that counts, a transfer or an ssh session ended recently.
    Recent,
    /// This number of responses in flight.
    Downloads(usize),
    /// This number of request bodies in flight.
    Uploads(usize),
    /// This number of wormhole transfers.
    Transfers(usize),
    /// This number of consoles in use.
    Consoles(usize),
    /// This number of ssh sessions in use.
    Sessions(usize),
    /// An operator keeps it awake.
    Kept,
}

/// Whether, and when, to shut down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SleepDecision {
    /// What keeps the service awake. [`Reason::Start`] and [`Reason::Recent`] are included only if there is no other reason.
    pub reasons: Vec<Reason>,
    /// When it shuts down, unless something happens before. `None` while an activity is in progress whose end is not known.
    pub sleeps_at: Option<Instant>,
}

impl Rules {
    /// Applies the rules.
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
        // If there are still sessions, they did not end recently: they are unused.
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
    /// Whether the service should shut down now.
    pub fn is_due(&self, now: Instant) -> bool {
        self.sleeps_at.is_some_and(|it| it <= now)
    }
}

impl Reason {
    /// The names of all reasons.
    pub const NAMES: [&str; 8] =
        ["start", "recent", "download", "upload", "transfer", "console", "ssh", "kept"];

    /// Number of activities.
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

    /// Its name, one word.
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

/// The reason in words, as in "awake for ...".
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

    /// Ten minutes of idle time, a start at second 0, and the rest of the state in seconds after the start.
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
        // A client that only follows changes counts for the start, but keeps nothing awake.
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
        // Even if the last request was right after the start, the service stays awake no shorter than after the start.
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
        // An unused session was last seen as counting at the end of its time, and is still there.
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
        // It never shortens another reason.
        check(
            Case { request: Some(2 * HOUR - 60), ..kept(HOUR + 1) },
            &[Reason::Kept],
            Some(2 * HOUR + 9 * MINUTE),
        );
    }
}
