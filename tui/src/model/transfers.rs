//! Wormhole transfers, as the console knows them.

use jiff::{SignedDuration, Timestamp};
use transfers::transfer::{Direction, TransferState, TransferStatus};

use super::{Model, OfferForm, Screen};
use crate::ops::carriers::Carried;

/// Lines below the list that tell more of one, on a screen of so many rows.
const DETAILS: u16 = 5;
const HIGH: u16 = 20;
/// One answer that is late or missing is no news yet.
const AWAY: SignedDuration = SignedDuration::from_secs(5);

/// The screen of transfers.
#[derive(Debug, Default)]
pub struct TransfersScreen {
    /// As they were last told.
    pub carried: Option<Carried>,
    /// Why they can't be told.
    pub trouble: Option<String>,
    /// Which is meant, by its number; the first where none is.
    pub chosen: Option<u64>,
    /// When they were told.
    pub told: Option<Timestamp>,
    /// Whether somebody is asked for them right now.
    pub is_asked: bool,
    /// One whose command is to be shown as soon as it is known.
    pub awaited: Option<u64>,
}

/// What of all transfers is told on every screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Badge {
    /// Those that come, and how much of them has, in percent.
    pub receiving: (u64, u64),
    /// Those that go.
    pub sending: (u64, u64),
    /// Offers that wait for an answer.
    pub offers: u64,
}

impl TransfersScreen {
    /// All, in the order of the list: what runs, what waits, what is over; the youngest of each first.
    pub fn ordered(&self) -> Vec<&TransferStatus> {
        let mut all: Vec<&TransferStatus> = self.carried.iter().flat_map(|it| &it.all).collect();
        all.sort_by_key(|it| Stage::of(it.transfer.state));
        all
    }

    /// One by its number.
    pub fn get(&self, number: u64) -> Option<&TransferStatus> {
        self.carried.as_ref()?.all.iter().find(|it| it.transfer.number == number)
    }

    /// The one that is meant.
    pub fn meant(&self) -> Option<&TransferStatus> {
        let chosen = self.chosen.and_then(|it| self.get(it));
        chosen.or_else(|| self.ordered().first().copied())
    }

    /// Those that are not over.
    pub fn live(&self) -> impl Iterator<Item = &TransferStatus> {
        let all = self.carried.iter().flat_map(|it| &it.all);
        all.filter(|it| it.is_live)
    }

    /// How many end with this console.
    pub fn here(&self) -> usize {
        self.carried.as_ref().map_or(0, |it| it.here.len())
    }

    /// What is told of them on every screen.
    pub fn badge(&self) -> Badge {
        let running = |direction| {
            let (mut count, mut done, mut total) = (0, 0_u64, 0_u64);
            let moves =
                self.live().map(|it| &it.transfer).filter(|it| Stage::of(it.state) == Stage::Runs);
            for transfer in moves.filter(|it| it.direction == direction) {
                count += 1;
                done = done.saturating_add(transfer.done);
                total = total.saturating_add(transfer.total());
            }
            let percent = u128::from(done) * 100 / u128::from(total.max(1));
            (count, u64::try_from(percent).unwrap_or(100))
        };
        Badge {
            receiving: running(Direction::Receive),
            sending: running(Direction::Send),
            offers: self.live().filter(|it| it.question.is_some()).count() as u64,
        }
    }
}

/// How far a transfer is, in the order of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Bytes flow, or are about to.
    Runs,
    /// Somebody is waited for.
    Waits,
    /// It is over.
    Over,
}

impl Stage {
    /// Of a state.
    pub fn of(state: TransferState) -> Stage {
        match state {
            TransferState::Linking | TransferState::Running | TransferState::Storing => Stage::Runs,
            TransferState::Connecting | TransferState::Waiting | TransferState::Offered => {
                Stage::Waits
            }
            _ => Stage::Over,
        }
    }
}

impl Model {
    /// How many lines tell more of one transfer, where there is room for any.
    pub fn transfer_details(&self) -> u16 {
        if self.size.1 < HIGH { 0 } else { DETAILS }
    }

    /// Whether letters go into a field of the screen on which something is received.
    pub fn is_receive_typed(&self) -> bool {
        self.screen == Screen::Receive
            && match &self.receive.opened {
                None => true,
                Some(opened) => opened.offer.as_ref().is_some_and(OfferForm::is_typed),
            }
    }

    /// Since when nothing was told any more, if that is long enough to be said.
    pub fn transfers_are_of(&self) -> Option<Timestamp> {
        let told = self.transfers.told.filter(|_| self.transfers.trouble.is_some())?;
        (self.now.duration_since(told) >= AWAY).then_some(told)
    }

    /// For how long the offer that is shown still stands, at a moment, in words.
    pub fn offer_ends(&self, when: Timestamp) -> Option<String> {
        let now = self.transfers.get(self.receive.opened.as_ref()?.number)?;
        let left = now.question.as_ref()?.ends.duration_since(when);
        Some(crate::text::duration(left.unsigned_abs()))
    }

    /// Whether a moment is of today.
    pub fn is_today(&self, when: Timestamp) -> bool {
        let day = |it| jiff::tz::Offset::UTC.to_datetime(it).date();
        day(when) == day(self.now)
    }
}
