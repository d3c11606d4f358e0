//! What the server says of itself.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::Input;
use crate::admin::{ActivityNow, KeysNow, Recent, Wanted};

/// How many requests are kept to be read.
const KEPT: usize = 2000;

/// The screen of what goes on.
#[derive(Debug, Default)]
pub struct ActivityScreen {
    /// The server, as far as it is known.
    pub server: Server,
    /// What it said last.
    pub now: Option<ActivityNow>,
    /// What it said before that, and when, for rates.
    pub before: Option<(Timestamp, ActivityNow)>,
    /// When it said it.
    pub told: Option<Timestamp>,
    /// What it knows of the keys.
    pub keys: Option<KeysNow>,
    /// Requests that are over, the newest first.
    pub recent: VecDeque<Recent>,
    /// Whether the list holds still.
    pub is_paused: bool,
    /// Only requests with this in them; and whether it is being typed.
    pub filter: Option<(Input, bool)>,
    /// Only those of this user, or from this address.
    pub user: Option<String>,
    /// Only those that failed.
    pub errors_only: bool,
    /// Which is meant, by its place in the order; the youngest where none is.
    pub chosen: Option<u64>,
}

/// The server, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Server {
    /// Nobody has asked yet.
    #[default]
    Unknown,
    /// It answers.
    Up,
    /// It does not: since when, and why.
    Down(Timestamp, String),
}

impl ActivityScreen {
    /// Takes in what is over, the youngest last. What was told already is not told again.
    pub fn add(&mut self, recent: &[Recent]) {
        let since = self.since();
        for it in recent.iter().filter(|it| it.seq >= since) {
            self.recent.push_front(it.clone());
        }
        self.recent.truncate(KEPT);
    }

    /// The place in the order from which on there is something new.
    pub fn since(&self) -> u64 {
        self.recent.front().map_or(0, |it| it.seq + 1)
    }

    /// The requests that are wanted, the newest first.
    pub fn wanted(&self) -> impl Iterator<Item = &Recent> {
        let wanted = Wanted {
            text: self.filter.as_ref().map(|it| it.0.text().to_owned()).unwrap_or_default(),
            user: self.user.clone(),
            errors_only: self.errors_only,
        };
        self.recent.iter().filter(move |it| wanted.has(it))
    }

    /// Which wrong key within a minute it brought, of those from its address; 0 where it brought none.
    pub fn guesses(&self, request: &Recent) -> usize {
        let is_wrong = |it: &Recent| matches!(it.status, 401 | 429) && it.client == request.client;
        if !is_wrong(request) {
            return 0;
        }
        let age = |it: &Recent| request.time.duration_since(it.time).as_secs();
        let before = self.recent.iter().filter(|it| it.seq <= request.seq);
        before.take_while(|it| age(it) < 60).filter(|it| is_wrong(it)).count()
    }

    /// The row of the one that is meant.
    pub fn row(&self) -> usize {
        let at = |seq| self.wanted().position(|it| it.seq <= seq);
        self.chosen.map_or(0, |it| at(it).unwrap_or(0))
    }
}
