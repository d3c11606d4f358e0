//! Slows down whoever tries keys.
//!
//! Wrong keys are counted by client address. An address with too many of them in a minute is suspect: each key that
//! has not been right from there before is answered a little later, the right like the wrong, and a wrong one with
//! 429. So guessing goes no faster with more patience for one connection, and a right key is never locked out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Release},
};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use volume::keys::HashedKey;

/// Wrong keys within [`WINDOW`] that make an address suspect.
const ALLOWED: u32 = 20;
/// How long wrong keys are counted together.
const WINDOW: Duration = Duration::from_mins(1);
/// How much later a suspect is answered.
pub const DELAY: Duration = Duration::from_millis(250);
/// As many addresses are kept in mind; beyond that the oldest are forgotten.
const MOST_ADDRESSES: usize = 4096;
/// As many right keys are kept in mind for an address.
const MOST_TRUSTED: usize = 64;

/// What came from which address.
#[derive(Debug, Default)]
pub struct Guesses {
    /// Taken by requests with a key for a private path only, for one look-up.
    records: Mutex<HashMap<IpAddr, Record>>,
    /// Whether there are any: most services never see a wrong key, and then nobody takes the lock.
    has_records: AtomicBool,
}

#[derive(Debug)]
struct Record {
    window_began: Instant,
    wrong: u32,
    /// Keys that were right from this address while it was suspect.
    trusted: Vec<HashedKey>,
}

impl Guesses {
    /// Whether a key from this address must wait for its answer.
    pub fn must_wait(&self, address: IpAddr, key: HashedKey, now: Instant) -> bool {
        if !self.has_records.load(Acquire) {
            return false;
        }
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let record = records.get(&neighbourhood(address));
        record.is_some_and(|it| it.is_suspect(now) && !it.trusted.contains(&key))
    }

    /// Counts a wrong key. Says how long to stay away if there were too many.
    pub fn was_wrong(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() >= MOST_ADDRESSES && !records.contains_key(&neighbourhood(address)) {
            forget_some(&mut records, now);
        }
        let fresh = || Record { window_began: now, wrong: 0, trusted: Vec::new() };
        let record = records.entry(neighbourhood(address)).or_insert_with(fresh);
        self.has_records.store(true, Release);
        if now.duration_since(record.window_began) >= WINDOW {
            record.window_began = now;
            record.wrong = 0;
        }
        record.wrong = record.wrong.saturating_add(1);
        let window_ends = record.window_began + WINDOW;
        record.is_suspect(now).then(|| window_ends.duration_since(now))
    }

    /// Keeps in mind that a key is right, so that its owner need not wait among guessers.
    pub fn was_right(&self, address: IpAddr, key: HashedKey) {
        if !self.has_records.load(Acquire) {
            return;
        }
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(record) = records.get_mut(&neighbourhood(address)) else { return };
        if record.trusted.len() < MOST_TRUSTED && !record.trusted.contains(&key) {
            record.trusted.push(key);
        }
    }
}

impl Record {
    fn is_suspect(&self, now: Instant) -> bool {
        self.wrong > ALLOWED && now.duration_since(self.window_began) < WINDOW
    }
}

fn forget_some(records: &mut HashMap<IpAddr, Record>, now: Instant) {
    records.retain(|_, it| now.duration_since(it.window_began) < WINDOW);
    if records.len() < MOST_ADDRESSES {
        return;
    }
    let oldest = records.iter().min_by_key(|(_, it)| it.window_began).map(|(address, _)| *address);
    if let Some(oldest) = oldest {
        records.remove(&oldest);
    }
}

/// One client, as far as addresses tell: whoever has one IPv6 address has the other 2⁶⁴ of its network as well.
pub fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use volume::keys::PlainKey;

    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn too_many_wrong_keys_make_an_address_suspect_for_a_while() {
        let (guesses, start) = (Guesses::default(), Instant::now());
        let key = PlainKey::new(b"right").hash();
        for _ in 0..ALLOWED {
            assert_eq!(guesses.was_wrong(HOME, start), None);
        }
        assert!(!guesses.must_wait(HOME, key, start));
        let later = start + Duration::from_secs(20);
        assert_eq!(guesses.was_wrong(HOME, later), Some(Duration::from_secs(40)));
        assert!(guesses.must_wait(HOME, key, later));
        assert!(!guesses.must_wait("10.0.0.1".parse().unwrap(), key, later));
        assert!(!guesses.must_wait(HOME, key, start + WINDOW));
        assert_eq!(guesses.was_wrong(HOME, start + WINDOW), None);
    }

    #[test]
    fn a_key_that_was_right_before_need_not_wait_among_guessers() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let key = PlainKey::new(b"right").hash();
        for _ in 0..=ALLOWED {
            guesses.was_wrong(HOME, now);
        }
        guesses.was_right(HOME, key);
        assert!(!guesses.must_wait(HOME, key, now));
        assert!(guesses.must_wait(HOME, PlainKey::new(b"another").hash(), now));
    }

    #[test]
    fn addresses_of_one_network_count_together() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for host in 0..=ALLOWED {
            guesses.was_wrong(format!("2001:db8::{host:x}").parse().unwrap(), now);
        }
        let key = PlainKey::new(b"x").hash();
        assert!(guesses.must_wait("2001:db8::ffff".parse().unwrap(), key, now));
        assert!(!guesses.must_wait("2001:db8:1::1".parse().unwrap(), key, now));
    }

    #[test]
    fn memory_is_bounded_however_many_addresses_try() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for host in 0..10_000u32 {
            guesses.was_wrong(IpAddr::V4(host.into()), now);
        }
        assert_eq!(guesses.records.lock().unwrap().len(), MOST_ADDRESSES);
    }
}
