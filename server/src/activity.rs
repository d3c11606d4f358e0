//! What the service does right now, for whoever looks after it.
//!
//! Counting costs a request a few atomic additions; one short lock when it begins and one when it ends. Nothing here
//! runs by itself: a service that nobody asks sleeps.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use http::Method;
use jiff::Timestamp;
use serde::Serialize;
use volume::key_use::KeyUses;

use crate::auth::Caller;
use crate::counted::{Counted, OfRoute};

mod uses;

use uses::Uses;

/// How many seconds are remembered, one by one.
const SECONDS: usize = 300;
/// Latencies are counted in classes, each a fifth wider than the one before: the first ends at 100 µs, the last
/// at about 40 minutes.
const CLASSES: usize = 96;
const FIRST_CLASS_MICROS: f64 = 100.0;
const CLASS_RATIO: f64 = 1.2;
/// How many requests that are over are remembered.
const RECENT: usize = 500;
/// A console that has not asked for so long is gone.
const CONSOLE_STAYS: Duration = Duration::from_mins(1);
/// For how long it is told that permissions kept the service out of something.
const KEPT_OUT_TOLD: Duration = Duration::from_hours(1);
/// How far back the disk's trend looks.
const TREND: Duration = Duration::from_mins(5);

/// All that is remembered.
#[derive(Debug)]
pub struct Activity {
    started: Instant,
    /// When it began to serve.
    pub since: Timestamp,
    seconds: Box<[Second]>,
    /// Locked for a few instructions when a request begins and ends, and to look.
    requests: Mutex<Requests>,
    key_uses: Mutex<Uses>,
    consoles: Mutex<BTreeMap<String, Console>>,
    disk: Mutex<VecDeque<(Instant, u64)>>,
    /// What is counted since the start.
    pub counted: Counted,
    /// When permissions on the volume last kept the service out of something that was asked for.
    kept_out: Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Requests {
    next: u64,
    /// How many are over.
    ended: u64,
    open: HashMap<u64, Arc<Open>>,
    recent: VecDeque<Over>,
    /// Whether anybody has come who had business here.
    is_wanted: bool,
    /// When the last request that counts was over.
    needed: Option<Instant>,
}

/// A request that is over, as it is remembered: written out only for whoever looks.
#[derive(Debug)]
struct Over {
    seq: u64,
    time: Timestamp,
    micros: u64,
    ended: Ended,
    open: Arc<Open>,
}

/// What a request says about whether the service is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// Nothing: it is a stranger's, a look at the health, or not known yet.
    None,
    /// Somebody with business here wants to be told of changes. That alone keeps nothing awake, however long or often it
    /// is asked: it would be for ever.
    Told,
    /// It is needed while this lasts, and for a while after.
    Work,
}

/// What keeps the service awake, as far as requests do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Whether anybody has come who had business here.
    pub is_wanted: bool,
    /// Answers on their way out that count.
    pub downloads: usize,
    /// Bodies on their way in that count.
    pub uploads: usize,
    /// Requests that have no answer yet, and of which it is not known whether they count.
    pub undecided: usize,
    /// When the last request that counts was over.
    pub needed: Option<Instant>,
}

/// How many requests are under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnderWay {
    /// In all.
    pub all: usize,
    /// Whose bodies may bring something.
    pub uploads: usize,
    /// That are told of changes as they come.
    pub streams: usize,
}

/// One second's figures. Their place is used again five minutes later.
#[derive(Debug)]
struct Second {
    /// Which second it is, since the start.
    number: AtomicU64,
    requests: AtomicU64,
    errors: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    latencies: [AtomicU32; CLASSES],
}

/// A request that is under way.
#[derive(Debug)]
pub struct Open {
    number: u64,
    began: Instant,
    method: Method,
    path: String,
    route: Arc<OfRoute>,
    client: IpAddr,
    /// Set once, when it is known who asks.
    caller: OnceLock<Caller>,
    /// The part that was asked for, where it is not the whole.
    range: Mutex<Option<String>>,
    /// How many bytes there will be, where that is known.
    expected: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    /// Of the answer; 0 before there is one.
    status: AtomicU16,
}

/// A request that is over.
#[derive(Clone, Debug, Serialize)]
pub struct Recent {
    /// Its place in the order in which they ended.
    pub seq: u64,
    /// When it ended.
    pub time: Timestamp,
    /// Of the answer; 499 where the client did not wait for one.
    pub status: u16,
    /// Until the answer began, in microseconds.
    pub latency_micros: u64,
    /// Until it ended, in microseconds.
    pub micros: u64,
    /// Of the request.
    pub method: String,
    /// Percent-encoded as it came, without a key.
    pub path: String,
    /// Bytes of the answer.
    pub sent: u64,
    /// Bytes of the request's body.
    pub received: u64,
    /// Whose key it came with.
    pub username: Option<String>,
    /// Where it came from.
    pub client: IpAddr,
    /// Whether all of the answer went out.
    pub complete: bool,
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Of the answer, or 499.
    pub status: u16,
    /// Until the answer began.
    pub latency: Duration,
    /// Whether all of the answer went out.
    pub is_complete: bool,
}

#[derive(Debug)]
struct Console {
    number: u32,
    since: Timestamp,
    asked: Instant,
    presence: Presence,
}

/// What a console says of whoever sits at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// When a key was last pressed in it.
    pub touched: Option<Instant>,
    /// The number of the terminal that it draws on, which is no sign of anybody: it draws by itself.
    pub terminal: Option<u32>,
}

impl Default for Activity {
    fn default() -> Activity {
        Activity {
            started: Instant::now(),
            since: Timestamp::now(),
            seconds: (0..SECONDS).map(|_| Second::new()).collect(),
            requests: Mutex::default(),
            key_uses: Mutex::default(),
            consoles: Mutex::default(),
            disk: Mutex::default(),
            counted: Counted::default(),
            kept_out: Mutex::default(),
        }
    }
}

impl Activity {
    /// A request has come in. The path is without a key.
    pub fn begin(&self, method: &Method, path: String, client: IpAddr) -> Arc<Open> {
        let mut open = Open {
            number: 0,
            began: Instant::now(),
            method: method.clone(),
            route: self.counted.of_route(&path),
            path,
            client,
            caller: OnceLock::new(),
            range: Mutex::default(),
            expected: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            status: AtomicU16::new(0),
        };
        let mut requests = lock(&self.requests);
        open.number = requests.next;
        requests.next += 1;
        let open = Arc::new(open);
        requests.open.insert(open.number, Arc::clone(&open));
        open
    }

    /// Bytes of an answer went out.
    pub fn sent(&self, open: &Open, bytes: u64) {
        open.sent.fetch_add(bytes, Relaxed);
        open.route.sent.inc_by(bytes);
        self.second().sent.fetch_add(bytes, Relaxed);
    }

    /// Bytes of a request's body came in.
    pub fn received(&self, open: &Open, bytes: u64) {
        open.received.fetch_add(bytes, Relaxed);
        open.route.received.inc_by(bytes);
        self.second().received.fetch_add(bytes, Relaxed);
    }

    /// A request has an answer, which begins to go out.
    pub fn answered(&self, open: &Open, status: u16) {
        open.status.store(status, Relaxed);
        if open.need() != Need::None {
            lock(&self.requests).is_wanted = true;
        }
    }

    /// A request is over.
    pub fn end(&self, open: &Arc<Open>, ended: Ended) {
        self.counted.ended(&open.route, ended.status, ended.latency, open.elapsed());
        let second = self.second();
        second.requests.fetch_add(1, Relaxed);
        if ended.status >= 500 {
            second.errors.fetch_add(1, Relaxed);
        }
        if let Some(class) = second.latencies.get(class_of(ended.latency)) {
            class.fetch_add(1, Relaxed);
        }
        let now = Timestamp::now();
        if let Some(key) = open.caller().and_then(Caller::key) {
            lock(&self.key_uses).used(key.hashed, open, now);
        }
        let mut requests = lock(&self.requests);
        requests.open.remove(&open.number);
        // One that broke off without an answer counts by its key.
        match open.need() {
            Need::Work => (requests.is_wanted, requests.needed) = (true, Some(Instant::now())),
            Need::Told => requests.is_wanted = true,
            Need::None => {}
        }
        if requests.recent.len() == RECENT {
            requests.recent.pop_front();
        }
        let seq = requests.ended;
        requests.ended += 1;
        let (micros, open) = (micros(open.began.elapsed()), Arc::clone(open));
        requests.recent.push_back(Over { seq, time: now, micros, ended, open });
    }

    /// What keeps the service awake, as far as requests do.
    pub fn work(&self) -> Work {
        let requests = lock(&self.requests);
        let mut work =
            Work { is_wanted: requests.is_wanted, needed: requests.needed, ..Work::default() };
        for open in requests.open.values() {
            match open.need() {
                Need::Work if is_upload(&open.method) => work.uploads += 1,
                Need::Work => work.downloads += 1,
                Need::None if open.status.load(Relaxed) == 0 && !open.is_of_the_feed() => {
                    work.undecided += 1;
                }
                Need::None | Need::Told => {}
            }
        }
        work
    }

    /// How many requests are under way.
    pub fn under_way(&self) -> UnderWay {
        let requests = lock(&self.requests);
        let count = |is_so: fn(&&Arc<Open>) -> bool| requests.open.values().filter(is_so).count();
        UnderWay {
            all: requests.open.len(),
            uploads: count(|it| is_upload(&it.method)),
            streams: count(|it| it.path == "/events"),
        }
    }

    /// When each key was last used.
    pub fn key_uses(&self) -> KeyUses {
        lock(&self.key_uses).all().clone()
    }

    /// What was known before the service started.
    pub fn remember(&self, uses: KeyUses) {
        let mut ours = lock(&self.key_uses);
        for (key, old) in uses {
            ours.known.entry(key).or_insert(old);
        }
    }

    /// The uses of keys, where they changed since they were last taken to be written down.
    pub fn take_changed_key_uses(&self) -> Option<KeyUses> {
        let mut uses = lock(&self.key_uses);
        std::mem::take(&mut uses.are_changed).then(|| uses.all().clone())
    }

    /// A console asks: it is there. It may say who sits at it. Returns its number.
    pub fn console(&self, id: &str, presence: Option<Presence>) -> u32 {
        let mut consoles = lock(&self.consoles);
        consoles.retain(|_, it| it.asked.elapsed() < CONSOLE_STAYS);
        let free = (1..=u32::MAX).find(|it| consoles.values().all(|other| other.number != *it));
        let now = Instant::now();
        let fresh = Console {
            number: free.unwrap_or(1),
            since: Timestamp::now(),
            asked: now,
            presence: Presence::default(),
        };
        let console = consoles.entry(id.to_owned()).or_insert(fresh);
        console.asked = now;
        console.presence = presence.unwrap_or(console.presence);
        console.number
    }

    /// A console says good-bye.
    pub fn console_ends(&self, id: &str) {
        lock(&self.consoles).remove(id);
    }

    /// The consoles that are open.
    pub fn consoles(&self) -> Vec<ConsoleNow> {
        let mut consoles: Vec<_> = lock(&self.consoles)
            .values()
            .filter(|it| it.asked.elapsed() < CONSOLE_STAYS)
            .map(|it| ConsoleNow { number: it.number, since: it.since })
            .collect();
        consoles.sort_by_key(|it| it.number);
        consoles
    }

    /// Who sits at them.
    pub fn presences(&self) -> Vec<Presence> {
        let consoles = lock(&self.consoles);
        let open = consoles.values().filter(|it| it.asked.elapsed() < CONSOLE_STAYS);
        open.map(|it| it.presence).collect()
    }

    /// The free space was looked at. Returns bytes that are filled each second, as far back as is known.
    pub fn filling(&self, free: u64) -> Option<f64> {
        let now = Instant::now();
        let mut samples = lock(&self.disk);
        samples.retain(|(when, _)| now.duration_since(*when) < TREND);
        samples.push_back((now, free));
        let (when, before) = samples.front()?;
        let seconds = now.duration_since(*when).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let filled = *before as f64 - free as f64;
        (seconds >= 1.0).then(|| filled / seconds)
    }

    /// Permissions on the volume kept the service out of what a request was about.
    pub fn kept_out(&self) {
        *lock(&self.kept_out) = Some(Instant::now());
    }

    /// What the operator should know of the permissions on the volume. Names nothing, for anyone may read it.
    pub fn kept_out_warning(&self) -> Option<&'static str> {
        let is_told = lock(&self.kept_out).is_some_and(|it| it.elapsed() < KEPT_OUT_TOLD);
        is_told.then_some(
            "permissions on the volume kept the service out of something in the last hour: see `sounding doctor`",
        )
    }

    /// What is under way.
    pub fn open(&self) -> Vec<OpenNow> {
        let open: Vec<Arc<Open>> = lock(&self.requests).open.values().cloned().collect();
        let mut open: Vec<OpenNow> = open.iter().map(|it| OpenNow::of(it)).collect();
        open.sort_by_key(|it| it.seq);
        open
    }

    /// What is over, behind a place in the order.
    pub fn recent(&self, since: u64) -> Vec<Recent> {
        let requests = lock(&self.requests);
        requests.recent.iter().filter(|it| it.seq >= since).map(Recent::of).collect()
    }

    /// The last five minutes in parts, the oldest first, and latencies of all of them.
    pub fn figures(&self, parts: usize) -> Figures {
        let now = self.started.elapsed().as_secs();
        let length = (SECONDS / parts.max(1)).max(1);
        let mut series = vec![Part::default(); parts];
        let mut latencies = vec![[0_u64; CLASSES]; parts];
        for second in &self.seconds {
            let number = second.number.load(Relaxed);
            let Some(age) = now.checked_sub(number).and_then(|it| usize::try_from(it).ok()) else {
                continue;
            };
            let both = series.iter_mut().zip(&mut latencies).rev().nth(age / length);
            let Some((part, latencies)) = both else { continue };
            part.requests += second.requests.load(Relaxed);
            part.errors += second.errors.load(Relaxed);
            part.sent += second.sent.load(Relaxed);
            part.received += second.received.load(Relaxed);
            for (sum, class) in latencies.iter_mut().zip(&second.latencies) {
                *sum += u64::from(class.load(Relaxed));
            }
        }
        let mut all = [0_u64; CLASSES];
        for (part, latencies) in series.iter_mut().zip(&latencies) {
            part.p50_micros = percentile(latencies, 50);
            part.p99_micros = percentile(latencies, 99);
            all.iter_mut().zip(latencies).for_each(|(sum, it)| *sum += it);
        }
        let (p50_micros, p99_micros) = (percentile(&all, 50), percentile(&all, 99));
        Figures { part_seconds: length, parts: series, p50_micros, p99_micros }
    }

    /// When it began to serve, by the clock that nobody sets.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Whether there has been any request.
    pub fn has_begun(&self) -> bool {
        lock(&self.requests).next > 0
    }

    /// How long it has been serving.
    pub fn up(&self) -> Duration {
        self.started.elapsed()
    }

    fn second(&self) -> &Second {
        let now = self.started.elapsed().as_secs();
        #[expect(clippy::cast_possible_truncation, reason = "a remainder of 300")]
        let place = (now % SECONDS as u64) as usize;
        #[expect(clippy::indexing_slicing, reason = "a remainder of its length")]
        let second = &self.seconds[place];
        let before = second.number.load(Relaxed);
        // Whoever is first to see it clears what stood there. A figure that is lost to a race is one of many.
        if before != now && second.number.compare_exchange(before, now, Relaxed, Relaxed).is_ok() {
            second.clear();
        }
        second
    }
}

/// A part of the last five minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Requests that ended in it.
    pub requests: u64,
    /// Those of them that failed for the service's own fault.
    pub errors: u64,
    /// Bytes that went out.
    pub sent: u64,
    /// Bytes that came in.
    pub received: u64,
    /// Half of its answers began within so many microseconds.
    pub p50_micros: u64,
    /// And 99 of 100.
    pub p99_micros: u64,
}

/// Figures of the last five minutes.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// How many seconds a part is.
    pub part_seconds: usize,
    /// The oldest first; the last is not over yet.
    pub parts: Vec<Part>,
    /// Half of the answers began within so many microseconds.
    pub p50_micros: u64,
    /// And 99 of 100.
    pub p99_micros: u64,
}

/// A console that is open.
#[derive(Clone, Debug, Serialize)]
pub struct ConsoleNow {
    /// As people call it.
    pub number: u32,
    /// Since when.
    pub since: Timestamp,
}

/// A request that is under way.
#[derive(Clone, Debug, Serialize)]
pub struct OpenNow {
    /// Its place in the order.
    pub seq: u64,
    /// Of the request.
    pub method: String,
    /// Percent-encoded as it came, without a key.
    pub path: String,
    /// The part that was asked for, where it is not the whole.
    pub range: Option<String>,
    /// Whose key it came with.
    pub username: Option<String>,
    /// Where it came from.
    pub client: IpAddr,
    /// For how long, in milliseconds.
    pub millis: u64,
    /// Bytes that went out.
    pub sent: u64,
    /// Bytes that came in.
    pub received: u64,
    /// How many bytes there will be, where that is known.
    pub expected: Option<u64>,
}

impl OpenNow {
    fn of(open: &Open) -> OpenNow {
        let expected = open.expected.load(Relaxed);
        OpenNow {
            seq: open.number,
            method: open.method.to_string(),
            path: open.path.clone(),
            range: lock(&open.range).clone(),
            username: open.user().map(str::to_owned),
            client: open.client,
            millis: micros(open.began.elapsed()) / 1000,
            sent: open.sent.load(Relaxed),
            received: open.received.load(Relaxed),
            expected: (expected > 0).then_some(expected),
        }
    }
}

impl Recent {
    fn of(over: &Over) -> Recent {
        let open = &over.open;
        Recent {
            seq: over.seq,
            time: over.time,
            status: over.ended.status,
            latency_micros: micros(over.ended.latency),
            micros: over.micros,
            method: open.method.to_string(),
            path: open.path.clone(),
            sent: open.sent.load(Relaxed),
            received: open.received.load(Relaxed),
            username: open.user().map(str::to_owned),
            client: open.client,
            complete: over.ended.is_complete,
        }
    }
}

impl Open {
    /// Of the request.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Percent-encoded as it came, without a key.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where it came from.
    pub fn client(&self) -> IpAddr {
        self.client
    }

    /// Says who asks, once that is known.
    pub fn is_from(&self, caller: &Caller) {
        self.caller.get_or_init(|| caller.clone());
    }

    fn caller(&self) -> Option<&Caller> {
        self.caller.get()
    }

    /// The name of whoever asks, for the log.
    pub fn user(&self) -> Option<&str> {
        self.caller()?.user()
    }

    /// How many bytes there will be, and which part of the file they are.
    pub fn expect(&self, bytes: Option<u64>, range: Option<&str>) {
        self.expected.fetch_max(bytes.unwrap_or(0), Relaxed);
        if let Some(range) = range {
            *lock(&self.range) = Some(range.to_owned());
        }
    }

    /// Whether it is the first of all.
    pub fn is_first(&self) -> bool {
        self.number == 0
    }

    /// How long it has been under way.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    fn is_of_the_feed(&self) -> bool {
        matches!(self.path.as_str(), "/events" | "/changes")
    }

    /// A good key makes a request count, whatever becomes of it; without one, only an answer that has something public
    /// to tell of. `/health` and what is tried at doors have neither.
    fn need(&self) -> Need {
        let has_key = self.caller().and_then(Caller::key).is_some();
        match (self.is_of_the_feed(), has_key) {
            (true, true) => Need::Told,
            (true, false) => Need::None,
            (false, true) => Need::Work,
            (false, false) => {
                let is_of_the_tree =
                    ["/files/", "/share/"].iter().any(|it| self.path.starts_with(it));
                let is_look = matches!(self.method, Method::GET | Method::HEAD);
                // Redirects and preflights are answered without a look at what is there.
                let is_there = matches!(self.status.load(Relaxed), 200..300 | 304 | 412 | 416);
                if is_of_the_tree && is_look && is_there { Need::Work } else { Need::None }
            }
        }
    }
}

fn is_upload(method: &Method) -> bool {
    matches!(*method, Method::PUT | Method::PATCH | Method::POST)
}

impl Second {
    fn new() -> Second {
        let zero = || AtomicU64::new(0);
        Second {
            // Of no second.
            number: AtomicU64::new(u64::MAX),
            requests: zero(),
            errors: zero(),
            sent: zero(),
            received: zero(),
            latencies: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    fn clear(&self) {
        for figure in [&self.requests, &self.errors, &self.sent, &self.received] {
            figure.store(0, Relaxed);
        }
        for class in &self.latencies {
            class.store(0, Relaxed);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}

fn class_of(latency: Duration) -> usize {
    let classes = (latency.as_secs_f64() * 1e6 / FIRST_CLASS_MICROS).max(1.0).log(CLASS_RATIO);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 0")]
    let class = classes.ceil() as usize;
    class.min(CLASSES - 1)
}

/// The upper end of the class in which that part of all is reached.
fn percentile(classes: &[u64; CLASSES], percent: u64) -> u64 {
    let all: u64 = classes.iter().sum();
    let mut sum = 0;
    for (class, count) in (0..).zip(classes) {
        sum += count;
        if sum > 0 && sum * 100 >= all * percent {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "some 40 minutes at most"
            )]
            return (FIRST_CLASS_MICROS * CLASS_RATIO.powi(class)) as u64;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(status: u16, millis: u64) -> Ended {
        Ended { status, latency: Duration::from_millis(millis), is_complete: true }
    }

    fn begin(activity: &Activity, path: &str) -> Arc<Open> {
        activity.begin(&Method::GET, path.to_owned(), IpAddr::from([127, 0, 0, 1]))
    }

    #[test]
    fn requests_are_open_and_then_over() {
        let activity = Activity::default();
        let first = begin(&activity, "/files/a");
        let second = begin(&activity, "/files/b");
        activity.sent(&first, 10);
        activity.received(&second, 20);
        assert_eq!(activity.open().iter().map(|it| it.sent).collect::<Vec<_>>(), [10, 0]);
        activity.end(&first, ended(200, 4));
        activity.end(&second, ended(503, 90));
        assert!(activity.open().is_empty());
        let recent = activity.recent(1);
        assert_eq!(
            (recent.len(), recent[0].path.as_str(), recent[0].received),
            (1, "/files/b", 20)
        );
        let figures = activity.figures(60);
        let sum = |figure: fn(&Part) -> u64| figures.parts.iter().map(figure).sum::<u64>();
        assert_eq!((sum(|it| it.requests), sum(|it| it.errors)), (2, 1));
        assert_eq!((sum(|it| it.sent), sum(|it| it.received)), (10, 20));
        let slowest = figures.parts.iter().map(|it| it.p99_micros).max().unwrap();
        assert_eq!(slowest, figures.p99_micros);
    }

    #[test]
    fn a_long_request_is_told_to_whoever_has_seen_shorter_ones_end() {
        let activity = Activity::default();
        let long = begin(&activity, "/files/long");
        activity.end(&begin(&activity, "/files/short"), ended(200, 1));
        let seen = activity.recent(0).last().unwrap().seq + 1;
        activity.end(&long, ended(200, 1));
        let news: Vec<_> = activity.recent(seen).into_iter().map(|it| it.path).collect();
        assert_eq!(news, ["/files/long"]);
    }

    #[test]
    fn latencies_are_right_to_a_fifth() {
        let activity = Activity::default();
        for millis in [1, 2, 4, 4, 4, 4, 4, 5, 6, 700] {
            let open = begin(&activity, "/");
            activity.end(&open, ended(200, millis));
        }
        let figures = activity.figures(60);
        assert!((4000..=4800).contains(&figures.p50_micros), "{figures:?}");
        assert!((700_000..=840_000).contains(&figures.p99_micros), "{figures:?}");
        assert_eq!(Activity::default().figures(60).p50_micros, 0);
    }

    #[test]
    fn consoles_have_small_numbers() {
        let activity = Activity::default();
        assert_eq!(["a", "b", "a"].map(|it| activity.console(it, None)), [1, 2, 1]);
        activity.console_ends("a");
        assert_eq!(activity.console("c", None), 1);
        assert_eq!(activity.consoles().len(), 2);
    }

    #[test]
    fn only_so_many_requests_are_remembered() {
        let activity = Activity::default();
        for _ in 0..RECENT + 10 {
            let open = begin(&activity, "/");
            activity.end(&open, ended(200, 1));
        }
        let recent = activity.recent(0);
        assert_eq!((recent.len(), recent[0].seq), (RECENT, 10));
    }
}
