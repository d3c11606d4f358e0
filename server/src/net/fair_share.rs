//! How many bytes a response may send before the other responses on its thread have their turn.

use std::cell::Cell;

/// Bytes that the responses of a thread may send together in one round, where their clients read faster than we can send. It takes about a
/// hundredth of a second; after that, new requests have their turn.
const ROUND: usize = 8 << 20;
/// Upper bound of one response's share, so that a few responses share a round fairly. The lower bound exists because each turn has a cost.
pub(crate) const MOST_IN_A_ROW: usize = 4 << 20;
const LEAST_IN_A_ROW: usize = 64 << 10;

thread_local! {
    /// Number of responses that this thread is sending.
    static SENDING: Cell<usize> = const { Cell::new(0) };
}

/// Bytes that one response on this thread may send before the others have their turn.
pub(crate) fn in_a_row() -> usize {
    (ROUND / SENDING.get().max(1)).clamp(LEAST_IN_A_ROW, MOST_IN_A_ROW)
}

/// Counts a response as being sent by its thread, until it is dropped. A response stays on one thread, as its connection does.
#[derive(Debug)]
pub(crate) struct Counted;

impl Counted {
    /// Counts one more on this thread.
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
