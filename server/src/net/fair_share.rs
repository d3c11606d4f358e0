//! How much an answer is given before the others of its thread have their turn.

use std::cell::Cell;

/// Bytes that the answers of a thread are given in a row, all together, where their clients take them faster than they can be sent: some
/// hundredth of a second, after which whoever comes anew has a turn.
const ROUND: usize = 8 << 20;
/// Bytes of them that one answer is given: at most, so that few share a round fairly, and at least, since each turn costs something.
pub(crate) const MOST_IN_A_ROW: usize = 4 << 20;
const LEAST_IN_A_ROW: usize = 64 << 10;

thread_local! {
    /// Answers that the thread is sending.
    static SENDING: Cell<usize> = const { Cell::new(0) };
}

/// Bytes that an answer of this thread is given before the others have their turn.
pub(crate) fn in_a_row() -> usize {
    (ROUND / SENDING.get().max(1)).clamp(LEAST_IN_A_ROW, MOST_IN_A_ROW)
}

/// Counts an answer among those that its thread is sending. It stays with that thread, as its connection does.
#[derive(Debug)]
pub(crate) struct Counted;

impl Counted {
    /// One more.
    pub(crate) fn start() -> Counted {
        SENDING.set(SENDING.get() + 1);
        Counted
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        SENDING.set(SENDING.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_of_a_thread_share_its_round() {
        assert_eq!(in_a_row(), MOST_IN_A_ROW);
        let mut sent: Vec<Counted> = (0..16).map(|_| Counted::start()).collect();
        assert_eq!(in_a_row(), ROUND / 16);
        sent.extend((0..1000).map(|_| Counted::start()));
        assert_eq!(in_a_row(), LEAST_IN_A_ROW);
        drop(sent);
        assert_eq!(in_a_row(), MOST_IN_A_ROW);
    }
}
