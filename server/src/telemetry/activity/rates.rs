//! Rates of the last five minutes, second by second.
//!
//! Plain numbers without synchronisation: each owner counts for itself, and a reader adds them up.

use std::time::Duration;

use serde::Serialize;

/// Number of seconds that are kept.
const SECONDS: usize = 300;
/// Number of latency classes. Each is a fifth wider than the previous one: the first ends at 100 µs, the last at about 40 minutes.
const CLASSES: usize = 96;
const FIRST_CLASS_MICROS: f64 = 100.0;
const CLASS_RATIO: f64 = 1.2;
/// Upper ends of the classes in nanoseconds. The last class has no end.
const CLASS_ENDS: [u64; CLASSES - 1] = class_ends();

/// The last five minutes.
#[derive(Debug)]
pub(super) struct Seconds(Box<[Second]>);

/// The numbers of one second. The entry is reused five minutes later.
#[derive(Clone, Debug)]
pub(super) struct Second {
    /// The second since the start. `None` before the first use.
    number: Option<u64>,
    requests: u64,
    refused: u64,
    errors: u64,
    /// Bytes sent.
    pub(super) sent: u64,
    /// Bytes received.
    pub(super) received: u64,
    latencies: [u32; CLASSES],
}

/// A part of the last five minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Interval {
    /// Requests that ended.
    pub requests: u64,
    /// Those with a status from 400 to 499.
    pub refused: u64,
    /// Those with a status from 500 on: failures of the service.
    pub errors: u64,
    /// Bytes sent.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
    /// Median of the time until the response began, in microseconds.
    pub p50_micros: u64,
    /// 99th percentile of the same.
    pub p99_micros: u64,
}

/// Rates of the last five minutes.
#[derive(Clone, Debug, Serialize)]
pub struct Rates {
    /// Length of a part, in seconds.
    pub part_seconds: usize,
    /// The oldest first. The last one is not complete yet.
    pub parts: Vec<Interval>,
    /// Median of the time until the response began, in microseconds.
    pub p50_micros: u64,
    /// 99th percentile of the same.
    pub p99_micros: u64,
}

/// Sums over all shards.
#[derive(Debug)]
pub(super) struct Sums {
    /// The current second since the start.
    now: u64,
    /// Length of a part, in seconds.
    length: usize,
    parts: Vec<Interval>,
    latencies: Vec<[u64; CLASSES]>,
}

impl Default for Seconds {
    fn default() -> Seconds {
        Seconds(vec![Second::of(None); SECONDS].into_boxed_slice())
    }
}

impl Seconds {
    /// The numbers of a second, to be added to.
    pub(super) fn at(&mut self, number: u64) -> &mut Second {
        #[expect(clippy::cast_possible_truncation, reason = "a remainder of 300")]
        let place = (number % SECONDS as u64) as usize;
        #[expect(clippy::indexing_slicing, reason = "a remainder of its length")]
        let second = &mut self.0[place];
        if second.number != Some(number) {
            *second = Second::of(Some(number));
        }
        second
    }
}

impl Second {
    fn of(number: Option<u64>) -> Second {
        Second {
            number,
            requests: 0,
            refused: 0,
            errors: 0,
            sent: 0,
            received: 0,
            latencies: [0; CLASSES],
        }
    }

    /// Counts a finished request. `latency` is the time until its response began.
    pub(super) fn ended(&mut self, status: u16, latency: Duration) {
        self.requests += 1;
        self.refused += u64::from((400..500).contains(&status));
        self.errors += u64::from(status >= 500);
        if let Some(class) = self.latencies.get_mut(class_of(latency)) {
            *class += 1;
        }
    }
}

impl Sums {
    /// Empty sums in a number of parts.
    pub(super) fn new(now: u64, parts: usize) -> Sums {
        Sums {
            now,
            length: (SECONDS / parts.max(1)).max(1),
            parts: vec![Interval::default(); parts],
            latencies: vec![[0; CLASSES]; parts],
        }
    }

    /// Adds the numbers of one shard.
    pub(super) fn add(&mut self, seconds: &Seconds) {
        for second in &seconds.0 {
            let age = second.number.and_then(|it| self.now.checked_sub(it));
            let Some(age) = age.and_then(|it| usize::try_from(it).ok()) else { continue };
            let both = self.parts.iter_mut().zip(&mut self.latencies).rev().nth(age / self.length);
            let Some((part, latencies)) = both else { continue };
            part.requests += second.requests;
            part.refused += second.refused;
            part.errors += second.errors;
            part.sent += second.sent;
            part.received += second.received;
            for (sum, class) in latencies.iter_mut().zip(second.latencies) {
                *sum += u64::from(class);
            }
        }
    }

    /// The rates of the sums.
    pub(super) fn figures(mut self) -> Rates {
        let mut all = [0_u64; CLASSES];
        for (part, latencies) in self.parts.iter_mut().zip(&self.latencies) {
            part.p50_micros = percentile(latencies, 50);
            part.p99_micros = percentile(latencies, 99);
            all.iter_mut().zip(latencies).for_each(|(sum, it)| *sum += it);
        }
        let (p50_micros, p99_micros) = (percentile(&all, 50), percentile(&all, 99));
        Rates { part_seconds: self.length, parts: self.parts, p50_micros, p99_micros }
    }
}

fn class_of(latency: Duration) -> usize {
    let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
    CLASS_ENDS.partition_point(|it| *it < nanos)
}

const fn class_ends() -> [u64; CLASSES - 1] {
    let mut ends = [0; CLASSES - 1];
    let mut end = FIRST_CLASS_MICROS * 1e3;
    let mut class = 0;
    while class < ends.len() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::indexing_slicing,
            reason = "some 40 minutes at most, and while it is shorter than its length"
        )]
        {
            ends[class] = end as u64;
        }
        end *= CLASS_RATIO;
        class += 1;
    }
    ends
}

/// The upper end of the class with this percentile.
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

    #[test]
    fn a_class_is_a_fifth_wider_than_the_one_before() {
        let expected = |latency: Duration| {
            let classes = latency.as_secs_f64() * 1e6 / FIRST_CLASS_MICROS;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "at least 0"
            )]
            let class = classes.max(1.0).log(CLASS_RATIO).ceil() as usize;
            class.min(CLASSES - 1)
        };
        // Exactly at an end, a logarithm may be wrong in its last digit.
        let beside = CLASS_ENDS.iter().flat_map(|it| [it - 2, it + 2]);
        for nanos in beside.chain([0, 1, 50_000, 99_999, 100_001, u64::MAX]) {
            let latency = Duration::from_nanos(nanos);
            assert_eq!(class_of(latency), expected(latency), "{latency:?}");
        }
        assert_eq!(class_of(Duration::from_micros(100)), 0);
        assert_eq!(class_of(Duration::MAX), CLASSES - 1);
    }

    #[test]
    fn a_second_has_its_place_to_itself() {
        let mut seconds = Seconds::default();
        seconds.at(7).sent += 1;
        seconds.at(7).sent += 1;
        seconds.at(7 + SECONDS as u64).sent += 5;
        let sent = |now: u64| {
            let mut sums = Sums::new(now, 1);
            sums.add(&seconds);
            sums.figures().parts[0].sent
        };
        assert_eq!((sent(7), sent(7 + SECONDS as u64)), (0, 5));
        assert_eq!((sent(6 + 2 * SECONDS as u64), sent(7 + 2 * SECONDS as u64)), (5, 0));
    }
}
