//! Slows down clients that guess keys.
//!
//! Wrong keys are counted per client address (IPv6: per /64), and per larger network around it. An address or network with too many wrong
//! keys in a minute is suspect. Then every key that has not been right from the same address before has to wait for its turn, whether it is
//! right or wrong, and there are only a few turns a second. So guessing is no faster over more connections or from more addresses. If the
//! wait would be too long, the request is refused without checking the key, since checking it would be one more guess.
//!
//! A key that has been right from an address never waits there.
//!
//! On paths that anyone may read, a key only changes what else is offered. Wrong keys are counted separately there and cause no delay:
//! after too many, keys are ignored.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Release},
};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use volume::keys::HashedKey;

use crate::net::client_address::{client_network, prefix};
use crate::sync::lock;

/// Wrong keys are counted within this time.
const WINDOW: Duration = Duration::from_mins(1);
/// Shortest delay for a key from a suspect address, and the time between two turns of one address.
pub const DELAY: Duration = Duration::from_millis(250);
/// Longest wait for a turn.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// The limit for an address,
const OF_ADDRESS: Rule = Rule { allowed: 20, pace: DELAY };
/// and the limit for all addresses in a larger network together.
const OF_NETWORK: Rule = Rule { allowed: 100, pace: Duration::from_millis(50) };
/// Entries of each kind that are kept: addresses, networks, and right keys. At this number, half of them are removed.
const MOST: usize = 4096;
/// How long a thread skips recording a right key again.
const NOTED: Duration = Duration::from_secs(30);
/// Right keys that a thread remembers.
const MOST_NOTED: usize = 256;

/// Counts wrong keys and remembers right ones.
#[derive(Debug, Default)]
pub struct GuessLimiter {
    /// For paths that need a key.
    private: Watch,
    /// For paths that need none.
    public: Watch,
    /// Keys that were right from an address, and when that was last recorded. Each thread locks it once per [`NOTED`] for each key.
    right: Mutex<HashMap<(IpAddr, HashedKey), Instant>>,
}

/// Wrong keys for one kind of path.
#[derive(Debug, Default)]
struct Watch {
    /// Locked by requests with a key, for one look-up.
    suspects: Mutex<Suspects>,
    /// Whether there are any. Most services never see a wrong key; then nobody takes the lock.
    has_suspects: AtomicBool,
}

#[derive(Debug, Default)]
struct Suspects {
    addresses: HashMap<IpAddr, Record>,
    networks: HashMap<IpAddr, Record>,
}

#[derive(Debug)]
struct Rule {
    /// More wrong keys than this within [`WINDOW`] make an address or network suspect.
    allowed: u32,
    /// Time between two of its turns then.
    pace: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    window_began: Instant,
    wrong: u32,
    /// Earliest time of the next turn.
    next_turn: Instant,
}

/// When a key may be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// At once.
    Now,
    /// After a wait.
    In(Duration),
    /// Not at all, because too many are waiting. The key may be sent again after this time.
    Refused(Duration),
}

thread_local! {
    /// Keys that this thread has recorded as right, by limiter (its address), client and key, with the time.
    static RIGHT: RefCell<HashMap<(usize, IpAddr, HashedKey), Instant>> = RefCell::default();
}

impl GuessLimiter {
    /// Whether a key from this address must wait for its turn.
    pub fn is_throttled(&self, address: IpAddr, key: HashedKey, now: Instant) -> bool {
        self.private.is_suspect(address, now) && !self.was_right_before(address, key)
    }

    /// Whether a key is checked on a path that needs none.
    pub fn counts_in_public(&self, address: IpAddr, key: HashedKey, now: Instant) -> bool {
        !self.public.is_suspect(address, now) || self.was_right_before(address, key)
    }

    /// Takes the next turn for a key from this address.
    pub fn turn(&self, address: IpAddr, key: HashedKey, now: Instant) -> Turn {
        if !self.is_throttled(address, key, now) {
            return Turn::Now;
        }
        let mut suspects = self.private.suspects();
        let suspicious = || |(it, rule): &(&mut Record, &Rule)| it.is_suspect(rule, now);
        let next = suspects.records(address).filter(suspicious()).map(|(it, _)| it.next_turn).max();
        let Some(next) = next else { return Turn::Now };
        let turn = next.max(now + DELAY);
        let wait = turn.duration_since(now);
        if wait > LONGEST_WAIT {
            return Turn::Refused(wait);
        }
        for (record, rule) in suspects.records(address).filter(suspicious()) {
            // Address and network each count on from their own last turn, since one may be less busy than the other.
            record.next_turn = record.next_turn.max(now + DELAY) + rule.pace;
        }
        Turn::In(wait)
    }

    /// Counts a wrong key. Returns how long the client should wait if there were too many.
    pub fn record_failure(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        self.private.count(address, now)
    }

    /// Counts a wrong key on a path that needs none.
    pub fn record_public_failure(&self, address: IpAddr, now: Instant) {
        self.public.count(address, now);
    }

    /// Records that a key is right, so that its owner does not wait among guessers.
    pub fn record_success(&self, address: IpAddr, key: HashedKey, now: Instant) {
        let whose = std::ptr::from_ref(self).addr();
        let place = client_network(address);
        let is_noted = RIGHT.with_borrow_mut(|noted| {
            let last = noted.get(&(whose, place, key));
            if last.is_some_and(|it| now.saturating_duration_since(*it) < NOTED) {
                return true;
            }
            if noted.len() >= MOST_NOTED {
                noted.clear();
            }
            noted.insert((whose, place, key), now);
            false
        });
        if !is_noted {
            let mut right = lock(&self.right);
            if right.len() >= MOST && !right.contains_key(&(place, key)) {
                forget_half(&mut right, |noted| *noted);
            }
            right.insert((place, key), now);
        }
    }

    fn was_right_before(&self, address: IpAddr, key: HashedKey) -> bool {
        let right = lock(&self.right);
        right.contains_key(&(client_network(address), key))
    }
}

impl Watch {
    fn is_suspect(&self, address: IpAddr, now: Instant) -> bool {
        self.has_suspects.load(Acquire)
            && self.suspects().records(address).any(|(it, rule)| it.is_suspect(rule, now))
    }

    /// Counts a wrong key. Returns how long its address or network stays suspect, if it is.
    fn count(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let mut suspects = self.suspects();
        let Suspects { addresses, networks } = &mut *suspects;
        let of_address = count(addresses, client_network(address), &OF_ADDRESS, now);
        let of_network = count(networks, network(address), &OF_NETWORK, now);
        self.has_suspects.store(true, Release);
        of_address.max(of_network)
    }

    fn suspects(&self) -> MutexGuard<'_, Suspects> {
        lock(&self.suspects)
    }
}

impl Suspects {
    /// The records of an address and of its network.
    fn records(&mut self, address: IpAddr) -> impl Iterator<Item = (&mut Record, &'static Rule)> {
        let of_address =
            self.addresses.get_mut(&client_network(address)).map(|it| (it, &OF_ADDRESS));
        let of_network = self.networks.get_mut(&network(address)).map(|it| (it, &OF_NETWORK));
        of_address.into_iter().chain(of_network)
    }
}

impl Record {
    fn is_suspect(&self, rule: &Rule, now: Instant) -> bool {
        self.wrong > rule.allowed && now.saturating_duration_since(self.window_began) < WINDOW
    }
}

/// Counts a wrong key for an address or network. Returns how long that stays suspect, if it is.
fn count(
    records: &mut HashMap<IpAddr, Record>,
    place: IpAddr,
    rule: &Rule,
    now: Instant,
) -> Option<Duration> {
    if records.len() >= MOST && !records.contains_key(&place) {
        records.retain(|_, it| now.saturating_duration_since(it.window_began) < WINDOW);
        if records.len() >= MOST {
            // Those with the most wrong keys are kept, so that many addresses with one guess each cannot hide one with many guesses.
            forget_half(records, |it| (it.wrong, it.window_began));
        }
    }
    let fresh = Record { window_began: now, wrong: 0, next_turn: now };
    let record = records.entry(place).or_insert(fresh);
    if now.saturating_duration_since(record.window_began) >= WINDOW {
        record.window_began = now;
        record.wrong = 0;
    }
    record.wrong = record.wrong.saturating_add(1);
    let window_ends = record.window_began + WINDOW;
    record.is_suspect(rule, now).then(|| window_ends.saturating_duration_since(now))
}

/// Removes the half with the lowest worth.
fn forget_half<K: Copy + Eq + Hash, V, W: Ord>(known: &mut HashMap<K, V>, worth: impl Fn(&V) -> W) {
    let mut all: Vec<(W, K)> = known.iter().map(|(key, it)| (worth(it), *key)).collect();
    let half = all.len() / 2;
    all.select_nth_unstable_by(half, |(one, _), (other, _)| one.cmp(other));
    for (_, key) in all.iter().take(half) {
        known.remove(key);
    }
}

/// The larger network around an address: the owner of many addresses usually has them in one.
fn network(address: IpAddr) -> IpAddr {
    prefix(address, 24, 48)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use volume::keys::PlainKey;

    use super::*;

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn key(text: &str) -> HashedKey {
        PlainKey::new(text.as_bytes()).hash()
    }

    #[test]
    fn too_many_wrong_keys_make_an_address_suspect_for_a_while() {
        let (guesses, start) = (GuessLimiter::default(), Instant::now());
        let key = key("right");
        for _ in 0..OF_ADDRESS.allowed {
            assert_eq!(guesses.record_failure(HOME, start), None);
        }
        assert!(!guesses.is_throttled(HOME, key, start));
        let later = start + Duration::from_secs(20);
        assert_eq!(guesses.record_failure(HOME, later), Some(Duration::from_secs(40)));
        assert!(guesses.is_throttled(HOME, key, later));
        assert!(!guesses.is_throttled("10.0.0.1".parse().unwrap(), key, later));
        assert!(!guesses.is_throttled(HOME, key, start + WINDOW));
        assert_eq!(guesses.record_failure(HOME, start + WINDOW), None);
    }

    /// Number of keys checked within ten seconds, if each address tries `at_once` keys at once, again and again.
    fn looked_at(addresses: &[IpAddr], at_once: u32) -> u32 {
        let (guesses, start) = (GuessLimiter::default(), Instant::now());
        let mut looked_at = 0;
        let mut tried = 0;
        for tenth in 0..100 {
            let now = start + Duration::from_millis(100) * tenth;
            for _ in 0..at_once {
                let address = &addresses[tried % addresses.len()];
                tried += 1;
                match guesses.turn(*address, key(&format!("guess-{tried}")), now) {
                    Turn::Now => {}
                    Turn::In(wait) if now + wait < start + Duration::from_secs(10) => {}
                    Turn::In(_) | Turn::Refused(_) => continue,
                }
                guesses.record_failure(*address, now);
                looked_at += 1;
            }
        }
        looked_at
    }

    #[test]
    fn guessing_is_no_faster_over_more_connections_or_from_more_addresses() {
        let one = looked_at(&[HOME], 1);
        let over_many = looked_at(&[HOME], 300);
        assert!((40..=61).contains(&one), "{one}");
        assert!((40..=61).contains(&over_many), "{over_many}");
        let v6 = |it: u32| format!("2001:db8:0:{it:x}::1").parse().unwrap();
        let of_one_network: Vec<IpAddr> = (0..20_000).map(v6).collect();
        let from_many = looked_at(&of_one_network, 300);
        assert!((200..=301).contains(&from_many), "{from_many}");
        let v4: Vec<IpAddr> = (0..=255).map(|it| Ipv4Addr::new(192, 0, 2, it).into()).collect();
        let from_many = looked_at(&v4, 300);
        assert!((200..=301).contains(&from_many), "{from_many}");
    }

    #[test]
    fn a_key_that_was_right_before_waits_for_no_guesser() {
        let (guesses, now) = (GuessLimiter::default(), Instant::now());
        // Before anybody guesses, and among guessers.
        guesses.record_success(HOME, key("early"), now);
        for _ in 0..1000 {
            guesses.record_failure(HOME, now);
        }
        guesses.record_success(HOME, key("late"), now);
        for _ in 0..1000 {
            guesses.turn(HOME, key("guess"), now);
        }
        for right in ["early", "late"] {
            assert_eq!(guesses.turn(HOME, key(right), now), Turn::Now);
        }
        assert!(matches!(guesses.turn(HOME, key("another"), now), Turn::Refused(_)));
        assert_eq!(guesses.turn("10.0.0.1".parse().unwrap(), key("another"), now), Turn::Now);
        // From another address, the same key could be a guess.
        let neighbour = "127.0.0.2".parse().unwrap();
        assert!(matches!(guesses.turn(neighbour, key("early"), now), Turn::In(_)));
    }

    #[test]
    fn whoever_waits_waits_no_longer_than_it_takes_their_place() {
        let (guesses, now) = (GuessLimiter::default(), Instant::now());
        for _ in 0..=OF_ADDRESS.allowed {
            guesses.record_failure(HOME, now);
        }
        for place in 1..=40 {
            assert_eq!(guesses.turn(HOME, key("guess"), now), Turn::In(DELAY * place));
        }
        assert_eq!(guesses.turn(HOME, key("guess"), now), Turn::Refused(DELAY * 41));
        // A refused client takes no turn.
        let later = now + DELAY;
        assert_eq!(guesses.turn(HOME, key("guess"), later), Turn::In(DELAY * 40));
    }

    #[test]
    fn addresses_of_one_network_count_together() {
        let (guesses, now) = (GuessLimiter::default(), Instant::now());
        for host in 0..=OF_ADDRESS.allowed {
            guesses.record_failure(format!("2001:db8::{host:x}").parse().unwrap(), now);
        }
        let key = key("x");
        assert!(guesses.is_throttled("2001:db8::ffff".parse().unwrap(), key, now));
        assert!(!guesses.is_throttled("2001:db8:0:1::1".parse().unwrap(), key, now));
        for host in 0..=OF_NETWORK.allowed {
            guesses.record_failure(format!("2001:db8:0:{host:x}::1").parse().unwrap(), now);
        }
        assert!(guesses.is_throttled("2001:db8:0:ffff::1".parse().unwrap(), key, now));
        assert!(!guesses.is_throttled("2001:db8:1::1".parse().unwrap(), key, now));
    }

    #[test]
    fn memory_is_bounded_however_many_addresses_try_and_who_tries_often_is_kept() {
        let (guesses, now) = (GuessLimiter::default(), Instant::now());
        let often = "203.0.113.1".parse().unwrap();
        for _ in 0..1000 {
            guesses.record_failure(often, now);
        }
        for host in 0..10_000u32 {
            guesses.record_failure(IpAddr::V4((host << 8).into()), now);
            guesses.record_success(IpAddr::V4(host.into()), key("right"), now);
        }
        let suspects = guesses.private.suspects();
        assert!(suspects.addresses.len() <= MOST && suspects.networks.len() <= MOST);
        assert!(guesses.right.lock().unwrap().len() <= MOST);
        drop(suspects);
        assert!(guesses.is_throttled(often, key("x"), now));
    }
}
