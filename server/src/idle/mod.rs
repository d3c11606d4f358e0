//! Decides whether the service is needed, and shuts it down when it is idle.
//!
//! A thread of its own checks at the next deadline, and not more often; requests, transfers and consoles only leave records of their
//! activity. When nothing has kept the service awake for long enough, it dozes: requests that wait for changes are ended. If no client has
//! come by the end of that time, the accept loop is told to [shut down](IdleShutdown), which it does unless there are new connections.

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

/// Longest time that an operator may keep the service awake.
pub(crate) const LONGEST_KEPT: Duration = Duration::from_hours(12);
/// Times of the other rules, in minutes.
const UNWANTED: u32 = 2;
const CONSOLE: u32 = 30;
const SESSION: u32 = 2 * 60;
const WAITING: u32 = 2 * 60;

/// The idle shutdown of one service.
#[derive(Debug)]
pub struct Idle {
    /// `None` if it never shuts down when idle.
    rules: Option<Rules>,
    activity: Arc<Activity>,
    transfers: Transfers,
    /// Locked for a check, and to change what an operator wants.
    known: Mutex<IdleState>,
    /// Notified when a deadline may have moved to an earlier time.
    sooner: Condvar,
    phase: watch::Sender<Phase>,
}

/// State that is kept from check to check.
#[derive(Debug, Default)]
struct IdleState {
    sessions: Sessions,
    kept_until: Option<Timestamp>,
    /// Whether a change has not been checked yet.
    is_sooner: bool,
}

/// The stage of the shutdown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Awake,
    /// Requests that wait for changes are ended. A new client wakes the service.
    Dozing,
    /// The accept loop must shut down.
    IdleShutdown,
}

impl Rules {
    /// Rules for a given idle time. `minute` is the length of a minute, which is shorter in tests.
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
    /// With rules, or without, if the service never shuts down when idle.
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

    /// The idle time. `None` if it never shuts down when idle.
    pub fn length(&self) -> Option<Duration> {
        self.rules.map(|it| it.idle)
    }

    /// What keeps the service awake now, and until when.
    pub fn decision(&self) -> SleepDecision {
        // Without rules, only activity that lasts is of interest.
        let rules =
            self.rules.unwrap_or_else(|| Rules::new(Duration::ZERO, Duration::from_mins(1)));
        let decision = self.look(&rules, &mut self.known());
        match self.rules {
            Some(_) => decision,
            None => SleepDecision { sleeps_at: None, ..decision },
        }
    }

    /// Until when an operator keeps the service awake.
    pub fn kept_until(&self) -> Option<Timestamp> {
        self.known().kept_until.filter(|it| *it > Timestamp::now())
    }

    /// Keeps the service awake until a time on behalf of an operator, or ends that. Limited to [`LONGEST_KEPT`] from now.
    pub fn keep(&self, until: Option<Timestamp>) {
        let longest = Timestamp::now().checked_add(LONGEST_KEPT).unwrap_or(Timestamp::MAX);
        self.known().kept_until = until.map(|it| it.min(longest));
        self.look_again();
    }

    /// A deadline may have moved to an earlier time.
    pub fn look_again(&self) {
        self.known().is_sooner = true;
        self.sooner.notify_all();
    }

    /// A request starts to wait for changes. If the service dozes but was needed meanwhile, it wakes, so that the request is not ended.
    pub fn rouse(&self) {
        let is_dozing = *self.phase.borrow() == Phase::Dozing;
        if is_dozing && !self.decision().is_due(Instant::now()) {
            self.enter(Phase::Awake);
        }
    }

    /// Ready when the service dozes, so that requests that wait for changes end.
    pub async fn dozes(&self) {
        // Never fails: the sender lives as long as `self`.
        self.phase
            .subscribe()
            .wait_for(|it| *it != Phase::Awake)
            .await
            .map(drop)
            .unwrap_or_default();
    }

    /// Whether the accept loop must shut down.
    pub fn is_asleep(&self) -> bool {
        *self.phase.borrow() == Phase::IdleShutdown
    }

    /// Starts the thread, if there are rules.
    pub fn start(self: &Arc<Idle>) -> std::io::Result<()> {
        let Some(rules) = self.rules else { return Ok(()) };
        let idle = Arc::clone(self);
        let clock = std::thread::Builder::new().name("idle".to_owned());
        clock.spawn(move || idle.run(&rules)).map(drop)
    }

    /// Runs until the shutdown ends the process.
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
            // When something in progress ends, the service stays awake for `rules.idle` after that. So no earlier check is needed.
            let again = now + rules.idle;
            let wait = decision.sleeps_at.map_or(again, |it| it.min(again)) - now;
            known = self.wait(known, wait);
        }
    }

    /// Tells the accept loop to shut down, and waits until it refuses. If it does not refuse, the process ends.
    fn lie_down(&self) {
        self.enter(Phase::IdleShutdown);
        let mut known = self.known();
        while *self.phase.borrow() == Phase::IdleShutdown {
            known = self.sooner.wait(known).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for a time, or until a deadline may have moved to an earlier time.
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

    /// No request that counts has arrived, and every request has its response.
    fn still_idle(&self) -> bool {
        let is_due = self.decision().is_due(Instant::now());
        is_due && self.activity.work().undecided == 0
    }

    fn cancelled(&self) {
        self.enter(Phase::Awake);
    }
}

/// Whether a transfer cannot move bytes until the other side does something, which may never happen.
fn waits_for_the_other_side(transfer: &Transfer) -> bool {
    match transfer.state {
        TransferState::Connecting | TransferState::Waiting => true,
        // A received offer does not count as waiting: the operator has ten minutes to accept it.
        TransferState::Offered => transfer.direction == Direction::Send,
        _ => false,
    }
}

/// The same moment on the monotonic clock.
fn instant(moment: Timestamp, now: Instant) -> Instant {
    let ahead = moment.duration_since(Timestamp::now());
    let length = ahead.unsigned_abs();
    let moved = if ahead.is_negative() { now.checked_sub(length) } else { now.checked_add(length) };
    moved.unwrap_or(now)
}

/// The same moment on the wall clock.
pub(crate) fn timestamp(moment: Instant) -> Timestamp {
    let (now, today) = (Instant::now(), Timestamp::now());
    let told = match moment.checked_duration_since(now) {
        Some(ahead) => today.checked_add(ahead),
        None => today.checked_sub(now.duration_since(moment)),
    };
    told.unwrap_or(today)
}
