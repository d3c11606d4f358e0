//! Whether the service is needed, and its going to sleep when it is not.
//!
//! A thread of its own looks when the next deadline comes, and not more often than that: requests, transfers and
//! consoles only leave word of themselves. When nothing has kept the service awake for long enough, it dozes: those
//! who wait for changes are told, and let go. If nobody has come by then, the accept loop is asked to
//! [lie down](IdleShutdown), which it does unless somebody is at the door.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;
use transfers::Transfers;
use transfers::transfer::{Direction, Transfer, TransferState};

use crate::net::handler::IdleShutdown;
use crate::sync::lock;
use crate::telemetry::activity::Activity;

mod rules;
mod sessions;

use rules::Signals;
pub(crate) use rules::{Reason, Rules, SleepDecision};
use sessions::Sessions;

/// How long an operator may want it awake.
pub(crate) const LONGEST_KEPT: Duration = Duration::from_hours(12);
/// The rules' own times, in minutes.
const UNWANTED: u32 = 2;
const CONSOLE: u32 = 30;
const SESSION: u32 = 2 * 60;
const WAITING: u32 = 2 * 60;

/// Going to sleep, as far as one service is concerned.
#[derive(Debug)]
pub struct Idle {
    /// None where it never sleeps by itself.
    rules: Option<Rules>,
    activity: Arc<Activity>,
    transfers: Transfers,
    /// Locked to look, and to change what an operator wants.
    known: Mutex<IdleState>,
    /// Told when a deadline may come sooner than was thought.
    sooner: Condvar,
    phase: watch::Sender<Phase>,
}

/// What is remembered from look to look.
#[derive(Debug, Default)]
struct IdleState {
    sessions: Sessions,
    kept_until: Option<Timestamp>,
    /// Whether there is something that was not looked at.
    is_sooner: bool,
}

/// How fast asleep it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Awake,
    /// Who waits for changes is let go. Whoever comes wakes it.
    Dozing,
    /// The accept loop is to lie down.
    IdleShutdown,
}

impl Rules {
    /// By how long nobody may need it. `minute` is a minute's length but in tests.
    pub fn new(idle: Duration, minute: Duration) -> Rules {
        Rules {
            idle,
            unwanted: idle.min(minute * UNWANTED),
            console: minute * CONSOLE,
            session: minute * SESSION,
            waiting: minute * WAITING,
            doze: minute / 60,
        }
    }
}

impl Idle {
    /// By rules, or never.
    pub fn new(rules: Option<Rules>, activity: Arc<Activity>, transfers: Transfers) -> Idle {
        Idle {
            activity,
            transfers,
            rules,
            known: Mutex::default(),
            sooner: Condvar::new(),
            phase: watch::Sender::default(),
        }
    }

    /// How long nobody may need it; none where it never sleeps by itself.
    pub fn length(&self) -> Option<Duration> {
        self.rules.map(|it| it.idle)
    }

    /// What keeps it awake now, and until when.
    pub fn decision(&self) -> SleepDecision {
        // Without a sleep to come, only what is under way is of interest.
        let rules =
            self.rules.unwrap_or_else(|| Rules::new(Duration::ZERO, Duration::from_mins(1)));
        let decision = self.look(&rules, &mut self.known());
        match self.rules {
            Some(_) => decision,
            None => SleepDecision { sleeps_at: None, ..decision },
        }
    }

    /// Until when an operator wants it awake.
    pub fn kept_until(&self) -> Option<Timestamp> {
        self.known().kept_until.filter(|it| *it > Timestamp::now())
    }

    /// An operator wants it awake until then, or no more than any other time. It is never for longer than
    /// [`LONGEST_KEPT`].
    pub fn keep(&self, until: Option<Timestamp>) {
        let longest = Timestamp::now().checked_add(LONGEST_KEPT).unwrap_or(Timestamp::MAX);
        self.known().kept_until = until.map(|it| it.min(longest));
        self.look_again();
    }

    /// A deadline may come sooner than was thought.
    pub fn look_again(&self) {
        self.known().is_sooner = true;
        self.sooner.notify_all();
    }

    /// Somebody begins to wait for changes. If it dozes, but was needed since then, they need not be let go again.
    pub fn rouse(&self) {
        let is_dozing = *self.phase.borrow() == Phase::Dozing;
        if is_dozing && !self.decision().is_due(Instant::now()) {
            self.enter(Phase::Awake);
        }
    }

    /// Done when it dozes: whoever waits for changes is let go.
    pub async fn dozes(&self) {
        // The sender lives as long as this does.
        self.phase
            .subscribe()
            .wait_for(|it| *it != Phase::Awake)
            .await
            .map(drop)
            .unwrap_or_default();
    }

    /// Whether it is time to lie down.
    pub fn is_asleep(&self) -> bool {
        *self.phase.borrow() == Phase::IdleShutdown
    }

    /// Starts the clock, where it sleeps at all.
    pub fn start(self: &Arc<Idle>) -> std::io::Result<()> {
        let Some(rules) = self.rules else { return Ok(()) };
        let idle = Arc::clone(self);
        let clock = std::thread::Builder::new().name("idle".to_owned());
        clock.spawn(move || idle.run(&rules)).map(drop)
    }

    /// For ever: sleeping ends the process.
    fn run(&self, rules: &Rules) {
        loop {
            self.wait_until_due(rules);
            self.enter(Phase::Dozing);
            let dozes = |_: &mut IdleState| *self.phase.borrow() == Phase::Dozing;
            let known = self.sooner.wait_timeout_while(self.known(), rules.doze, dozes);
            let (mut known, is_over) = known.unwrap_or_else(PoisonError::into_inner);
            let is_due = self.look(rules, &mut known).is_due(Instant::now());
            drop(known);
            if is_over.timed_out() && is_due {
                self.lie_down();
            }
            self.enter(Phase::Awake);
        }
    }

    fn wait_until_due(&self, rules: &Rules) {
        let mut known = self.known();
        loop {
            let decision = self.look(rules, &mut known);
            let now = Instant::now();
            if decision.is_due(now) {
                return;
            }
            // What is under way may end, and what ends leaves that much time.
            let again = now + rules.idle;
            let wait = decision.sleeps_at.map_or(again, |it| it.min(again)) - now;
            known = self.wait(known, wait);
        }
    }

    /// Tells the accept loop, and waits for it to say that it can't: otherwise the process ends.
    fn lie_down(&self) {
        self.enter(Phase::IdleShutdown);
        let mut known = self.known();
        while *self.phase.borrow() == Phase::IdleShutdown {
            known = self.sooner.wait(known).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for so long, or less where a deadline may come sooner.
    fn wait<'a>(
        &self,
        mut known: MutexGuard<'a, IdleState>,
        length: Duration,
    ) -> MutexGuard<'a, IdleState> {
        let waited = self.sooner.wait_timeout_while(known, length, |it| !it.is_sooner);
        known = waited.unwrap_or_else(PoisonError::into_inner).0;
        known.is_sooner = false;
        known
    }

    fn enter(&self, phase: Phase) {
        let known = self.known();
        self.phase.send_replace(phase);
        self.sooner.notify_all();
        drop(known);
    }

    fn look(&self, rules: &Rules, known: &mut IdleState) -> SleepDecision {
        let now = Instant::now();
        let (work, live) = (self.activity.work(), self.transfers.under_way());
        let presences = self.activity.presences();
        let terminals: Vec<u32> = presences.iter().filter_map(|it| it.terminal).collect();
        let (waiting, met): (Vec<_>, Vec<_>) =
            live.iter().partition(|it| waits_for_the_other_side(it));
        let signals = Signals {
            started: self.activity.started(),
            is_wanted: work.is_wanted,
            request: work.needed,
            downloads: work.downloads,
            uploads: work.uploads,
            transfers: met.len(),
            waiting: waiting.iter().map(|it| instant(it.started, now)).collect(),
            transfer: self.transfers.last_ended(),
            consoles: presences.iter().filter_map(|it| it.touched).collect(),
            sessions: known.sessions.look(now, rules.session, &terminals),
            session: known.sessions.last_seen(),
            kept_until: known.kept_until.map(|it| instant(it, now)),
        };
        rules.decide(&signals, now)
    }

    fn known(&self) -> MutexGuard<'_, IdleState> {
        lock(&self.known)
    }
}

impl IdleShutdown for &Idle {
    async fn requested(&self) {
        let mut phase = self.phase.subscribe();
        phase.wait_for(|it| *it == Phase::IdleShutdown).await.map(drop).unwrap_or_default();
    }

    /// Nobody has come who counts, and nobody is left without an answer.
    fn still_idle(&self) -> bool {
        let is_due = self.decision().is_due(Instant::now());
        is_due && self.activity.work().undecided == 0
    }

    fn cancelled(&self) {
        self.enter(Phase::Awake);
    }
}

/// Bytes can't flow before somebody else does something, who may never come.
fn waits_for_the_other_side(transfer: &Transfer) -> bool {
    match transfer.state {
        TransferState::Connecting | TransferState::Waiting => true,
        // An operator who is asked has ten minutes.
        TransferState::Offered => transfer.direction == Direction::Send,
        _ => false,
    }
}

/// The same moment by the clock that nobody sets.
fn instant(moment: Timestamp, now: Instant) -> Instant {
    let ahead = moment.duration_since(Timestamp::now());
    let length = ahead.unsigned_abs();
    let moved = if ahead.is_negative() { now.checked_sub(length) } else { now.checked_add(length) };
    moved.unwrap_or(now)
}

/// The same moment by the clock of people.
pub(crate) fn timestamp(moment: Instant) -> Timestamp {
    let (now, today) = (Instant::now(), Timestamp::now());
    let told = match moment.checked_duration_since(now) {
        Some(ahead) => today.checked_add(ahead),
        None => today.checked_sub(now.duration_since(moment)),
    };
    told.unwrap_or(today)
}
