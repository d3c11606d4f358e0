//! A transfer in progress: its status, its progress, and the request to stop it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use volume::error_chain;
use volume::transfers::TransferRecords;

use crate::transfer::{Answer, Question, Transfer, TransferState, TransferStatus};

/// The period that the rate is computed over.
const RATE_OVER: Duration = Duration::from_secs(5);
/// The time between two samples for the rate.
const RATE_EVERY: Duration = Duration::from_millis(250);
/// The time between two saves of the progress.
const SAVE_EVERY: Duration = Duration::from_secs(10);

/// An operator's answer, and the channel that reports whether it was accepted.
pub(crate) type Answered = (Answer, oneshot::Sender<Result<(), String>>);

/// A transfer in progress.
#[derive(Debug)]
pub(crate) struct Job {
    records: Arc<TransferRecords>,
    /// Locked for a few instructions only.
    live: Mutex<Live>,
    change: watch::Sender<u64>,
    done: AtomicU64,
    answers: mpsc::Sender<Answered>,
    stop: CancellationToken,
    stopped: OnceLock<Stop>,
}

#[derive(Debug)]
struct Live {
    transfer: Transfer,
    question: Option<Question>,
    /// The number of bytes at each sample's time.
    samples: VecDeque<(Instant, u64)>,
    moved: Instant,
    saved: Instant,
}

/// Why a transfer is stopped.
#[derive(Clone, Debug)]
pub(crate) enum Stop {
    /// A user cancelled it; holds the user.
    Cancelled(String),
    /// The program stops; holds the reason.
    Ends(String),
}

/// How a transfer ended without success.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) state: TransferState,
    pub(crate) cause: String,
}

impl Job {
    pub(crate) fn new(
        records: Arc<TransferRecords>,
        transfer: Transfer,
    ) -> (Arc<Job>, mpsc::Receiver<Answered>) {
        let now = Instant::now();
        let (answers, answered) = mpsc::channel(1);
        let live =
            Live { transfer, question: None, samples: VecDeque::new(), moved: now, saved: now };
        let job = Job {
            records,
            live: Mutex::new(live),
            change: watch::Sender::new(0),
            done: AtomicU64::new(0),
            answers,
            stop: CancellationToken::new(),
            stopped: OnceLock::new(),
        };
        (Arc::new(job), answered)
    }

    /// The status now.
    pub(crate) fn now(&self) -> TransferStatus {
        let done = self.done.load(Relaxed);
        let live = self.live();
        let mut transfer = live.transfer.clone();
        transfer.done = done;
        let is_running = transfer.state == TransferState::Running;
        let rate = live.samples.front().filter(|_| is_running).and_then(|(when, before)| {
            let millis = u64::try_from(when.elapsed().as_millis()).ok().filter(|it| *it >= 200)?;
            Some(done.saturating_sub(*before).saturating_mul(1000) / millis)
        });
        TransferStatus {
            rate,
            quiet_seconds: is_running.then(|| live.moved.elapsed().as_secs()),
            question: live.question.clone(),
            change: *self.change.borrow(),
            is_live: !transfer.state.is_over(),
            transfer,
        }
    }

    /// Changes the record, saves it, and wakes followers.
    pub(crate) async fn set(&self, change: impl FnOnce(&mut Transfer)) {
        change(&mut self.live().transfer);
        self.save().await;
        self.tell();
    }

    /// Changes the state alone.
    pub(crate) async fn enter(&self, state: TransferState) {
        self.set(|it| it.state = state).await;
    }

    /// Sets the question for the operator; `None` removes it.
    pub(crate) fn ask(&self, question: Option<Question>) {
        self.live().question = question;
        self.tell();
    }

    /// Counts bytes received or sent. Saves the progress now and then.
    pub(crate) async fn advance(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Relaxed) + bytes;
        let now = Instant::now();
        let is_to_save = {
            let mut live = self.live();
            live.moved = now;
            if live.samples.back().is_none_or(|(when, _)| now - *when >= RATE_EVERY) {
                live.samples.push_back((now, done));
            }
            while live.samples.front().is_some_and(|(when, _)| now - *when > RATE_OVER) {
                live.samples.pop_front();
            }
            now - live.saved >= SAVE_EVERY
        };
        if is_to_save {
            self.save().await;
        }
    }

    /// Starts the measurement of the rate, before the first byte.
    pub(crate) fn begin(&self) {
        let now = Instant::now();
        let mut live = self.live();
        live.samples = VecDeque::from([(now, self.done.load(Relaxed))]);
        live.moved = now;
    }

    /// Bytes received or sent so far.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Relaxed)
    }

    /// Passes an operator's answer to the transfer. An error is the reason why it was not accepted.
    pub(crate) async fn answer(&self, answer: Answer) -> Result<(), String> {
        let (reply, replied) = oneshot::channel();
        let not_asked = || "nothing is asked of you any more".to_owned();
        if self.live().question.is_none() {
            return Err(not_asked());
        }
        self.answers.send((answer, reply)).await.map_err(|_closed| not_asked())?;
        replied.await.unwrap_or_else(|_closed| Err(not_asked()))
    }

    /// Stops the transfer. Only the first reason counts.
    pub(crate) fn stop(&self, why: Stop) {
        self.stopped.get_or_init(|| why);
        self.stop.cancel();
    }

    /// Resolves when the transfer is stopped.
    pub(crate) async fn stopped(&self) -> Ended {
        self.stop.cancelled().await;
        let percent = self.now().transfer.percent();
        let how_far = if percent > 0 { format!(" at {percent} %") } else { String::new() };
        match self.stopped.get() {
            Some(Stop::Ends(why)) => {
                Ended { state: TransferState::Interrupted, cause: format!("{why}{how_far}") }
            }
            Some(Stop::Cancelled(by)) => Ended {
                state: TransferState::Cancelled,
                cause: format!("cancelled by {by}{how_far}"),
            },
            None => Ended { state: TransferState::Cancelled, cause: "cancelled".to_owned() },
        }
    }

    /// The result of a wait, unless the transfer is stopped first.
    pub(crate) async fn unless_stopped<T, E: Into<Ended>>(
        &self,
        wait: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Ended> {
        tokio::select! {
            biased;
            ended = self.stopped() => Err(ended),
            result = wait => result.map_err(Into::into),
        }
    }

    /// A receiver that changes with each change of the status.
    pub(crate) fn follow(&self) -> watch::Receiver<u64> {
        self.change.subscribe()
    }

    /// Ends the transfer, with or without success.
    pub(crate) async fn end(&self, result: Result<(), Ended>) {
        self.live().question = None;
        self.set(|it| {
            it.ended = Some(Timestamp::now());
            it.staged = None;
            match result {
                Ok(()) => it.state = TransferState::Done,
                Err(ended) => (it.state, it.cause) = (ended.state, Some(ended.cause)),
            }
        })
        .await;
    }

    fn tell(&self) {
        self.change.send_modify(|it| *it += 1);
    }

    async fn save(&self) {
        let transfer = {
            let mut live = self.live();
            live.saved = Instant::now();
            live.transfer.done = self.done.load(Relaxed);
            live.transfer.clone()
        };
        let (records, number) = (Arc::clone(&self.records), transfer.number);
        let written = tokio::task::spawn_blocking(move || records.write(number, &transfer)).await;
        // The transfer continues. Without a crash, nothing is lost by a failed save.
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(number, "could not write a transfer's record: {error}");
            }
            Err(error) => tracing::error!(number, "writing a transfer's record failed: {error}"),
        }
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ended {
    /// A failure, with its cause in plain words.
    pub(crate) fn failed(cause: impl Into<String>) -> Ended {
        Ended { state: TransferState::Failed, cause: cause.into() }
    }
}

impl From<wormhole::Error> for Ended {
    fn from(error: wormhole::Error) -> Ended {
        let state = match &error {
            wormhole::Error::Refused(_) => TransferState::Refused,
            _ => TransferState::Failed,
        };
        Ended { state, cause: error_chain(&error) }
    }
}
