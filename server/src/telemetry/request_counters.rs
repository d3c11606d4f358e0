//! Counters for requests: plain numbers, without synchronisation.

use std::time::Duration;

use crate::routes::Route;

/// Kinds of responses with files, by the ranges they have.
pub(crate) const KINDS: [&str; 4] = ["whole", "single", "multi", "unsatisfiable"];
/// Upper ends of the classes for the time until a response begins, in microseconds: from a page in memory to a long poll for changes.
const FIRST_BYTE: [u64; 12] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000,
    30_000_000,
];
/// Upper ends of the classes for the time until a response has been sent, in microseconds: from a listing to tens of gigabytes.
const LAST_BYTE: [u64; 11] = [
    5_000,
    25_000,
    100_000,
    500_000,
    1_000_000,
    5_000_000,
    15_000_000,
    60_000_000,
    300_000_000,
    1_800_000_000,
    7_200_000_000,
];

#[derive(Clone, Debug, Default)]
pub(crate) struct RequestCounters {
    routes: [OfRoute; Route::ALL.len()],
    ranges: [u64; KINDS.len()],
}

/// Counters for the requests of one route.
#[derive(Clone, Debug)]
pub(crate) struct OfRoute {
    /// Bytes of response bodies.
    pub(crate) sent: u64,
    /// Bytes of request bodies.
    pub(crate) received: u64,
    /// Finished requests by status. A short list; the statuses seen first are usually the most frequent.
    pub(crate) statuses: Vec<(u16, u64)>,
    /// Time until the response began.
    pub(crate) first_byte: Histogram<12>,
    /// Time until the response was sent.
    pub(crate) last_byte: Histogram<11>,
}

/// A histogram of times.
#[derive(Clone, Debug)]
pub(crate) struct Histogram<const CLASSES: usize> {
    /// Upper ends of the classes, in microseconds.
    ends: &'static [u64; CLASSES],
    counts: [u64; CLASSES],
    /// Number of times above the last class.
    longer: u64,
    sum: Duration,
}

impl RequestCounters {
    /// Adds sent bytes of a response.
    pub(crate) fn sent(&mut self, route: Route, bytes: u64) {
        if let Some(route) = self.routes.get_mut(route as usize) {
            route.sent += bytes;
        }
    }

    /// Adds received bytes of a request's body.
    pub(crate) fn received(&mut self, route: Route, bytes: u64) {
        if let Some(route) = self.routes.get_mut(route as usize) {
            route.received += bytes;
        }
    }

    /// Counts a response by its kind, one of [`KINDS`].
    pub(crate) fn answered(&mut self, kind: &str) {
        let count = KINDS.iter().zip(&mut self.ranges).find(|(it, _)| **it == kind);
        if let Some((_, count)) = count {
            *count += 1;
        }
    }

    /// Counts a finished request.
    pub(crate) fn ended(
        &mut self,
        route: Route,
        status: u16,
        first_byte: Duration,
        last_byte: Duration,
    ) {
        if let Some(route) = self.routes.get_mut(route as usize) {
            route.count(status, 1);
            route.first_byte.observe(first_byte);
            route.last_byte.observe(last_byte);
        }
    }

    /// Adds the counters of another.
    pub(crate) fn add(&mut self, other: &RequestCounters) {
        for (ours, other) in self.routes.iter_mut().zip(&other.routes) {
            ours.sent += other.sent;
            ours.received += other.received;
            for (status, count) in &other.statuses {
                ours.count(*status, *count);
            }
            ours.first_byte.add(&other.first_byte);
            ours.last_byte.add(&other.last_byte);
        }
        for (ours, other) in self.ranges.iter_mut().zip(other.ranges) {
            *ours += other;
        }
    }

    /// The counters of each route.
    pub(crate) fn routes(&self) -> impl Iterator<Item = (&'static str, &OfRoute)> {
        Route::ALL.into_iter().map(Route::pattern).zip(&self.routes)
    }

    /// Number of responses of each kind.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (&'static str, u64)> {
        KINDS.into_iter().zip(self.ranges)
    }
}

impl Default for OfRoute {
    fn default() -> OfRoute {
        OfRoute {
            sent: 0,
            received: 0,
            statuses: Vec::new(),
            first_byte: Histogram::new(&FIRST_BYTE),
            last_byte: Histogram::new(&LAST_BYTE),
        }
    }
}

impl OfRoute {
    fn count(&mut self, status: u16, more: u64) {
        match self.statuses.iter_mut().find(|(it, _)| *it == status) {
            Some((_, count)) => *count += more,
            None => self.statuses.push((status, more)),
        }
    }
}

impl<const CLASSES: usize> Histogram<CLASSES> {
    fn new(ends: &'static [u64; CLASSES]) -> Histogram<CLASSES> {
        Histogram { ends, counts: [0; CLASSES], longer: 0, sum: Duration::ZERO }
    }

    fn observe(&mut self, length: Duration) {
        let class = self.ends.iter().position(|it| length <= Duration::from_micros(*it));
        let count = class.and_then(|it| self.counts.get_mut(it));
        *count.unwrap_or(&mut self.longer) += 1;
        self.sum = self.sum.saturating_add(length);
    }

    fn add(&mut self, other: &Histogram<CLASSES>) {
        for (ours, other) in self.counts.iter_mut().zip(other.counts) {
            *ours += other;
        }
        self.longer += other.longer;
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// Sum of all times, in seconds.
    pub(crate) fn sum(&self) -> f64 {
        self.sum.as_secs_f64()
    }

    /// Number of times.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.longer
    }

    /// Number of times in each class, with its upper end in seconds. The last class has no end.
    pub(crate) fn classes(&self) -> Vec<(f64, u64)> {
        let ends = self.ends.iter().map(|it| Duration::from_micros(*it).as_secs_f64());
        let last = (f64::INFINITY, self.longer);
        ends.zip(self.counts).chain(std::iter::once(last)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_end_where_they_say() {
        let mut histogram = Histogram::new(&FIRST_BYTE);
        for micros in [0, 1_000, 1_001, 2_500, 30_000_000, 30_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let mut twice = histogram.clone();
        twice.add(&histogram);
        let classes = twice.classes();
        assert_eq!(classes[..3], [(0.001, 4), (0.0025, 4), (0.005, 0)]);
        assert_eq!(classes[11..], [(30.0, 2), (f64::INFINITY, 2)]);
        assert_eq!((twice.count(), twice.sum()), (12, 120.009_004));
        let ends = Histogram::new(&LAST_BYTE).classes().into_iter().map(|it| it.0);
        let expected = [0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0];
        assert!(ends.eq(expected.into_iter().chain([f64::INFINITY])));
    }
}
