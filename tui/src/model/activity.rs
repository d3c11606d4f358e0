//! What the server says of itself.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::Input;
use crate::admin::{ActivityNow, KeysNow, Recent};

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
    /// Requests that are over, the youngest first.
    pub recent: VecDeque<Recent>,
    /// Whether the list holds still.
    pub is_paused: bool,
    /// Only requests with this in them; and whether it is being typed.
    pub filter: Option<(Input, bool)>,
    /// Only those that failed.
    pub errors_only: bool,
    /// How many lines it is scrolled down.
    pub top: usize,
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
    /// Takes in what is over, the youngest last.
    pub fn add(&mut self, recent: &[Recent]) {
        for it in recent {
            self.recent.push_front(it.clone());
        }
        self.recent.truncate(KEPT);
    }

    /// The place in the order from which on there is something new.
    pub fn since(&self) -> u64 {
        self.recent.iter().map(|it| it.seq + 1).max().unwrap_or(0)
    }

    /// The requests that are wanted, the youngest first.
    pub fn wanted(&self) -> impl Iterator<Item = &Recent> {
        let filter = self.filter.as_ref().map(|it| it.0.text()).unwrap_or_default();
        self.recent.iter().filter(move |it| it.is_wanted(filter, self.errors_only))
    }
}
