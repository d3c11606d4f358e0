//! Runs transfers, keeps their records, and ends them cleanly.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{OnceCell, mpsc};
use tokio_util::task::TaskTracker;
use volume::Volume;
use volume::transfers::{Host, TransferRecords};
use wormhole::Settings;

use crate::context::TransferContext;
use crate::job::{Answered, Ended, Job, Stop};
use crate::preflight::SpaceReservations;
use crate::receive::receive;
use crate::send::send;
use crate::settings::{BadSettings, settings};
use crate::transfer::{
    Answer, Direction, Request, Servers, Transfer, TransferState, TransferStatus, VERSION,
};

/// How many finished transfers are kept.
const KEPT: usize = 200;
/// How many transfers may be in progress at once.
const MOST: usize = 32;

/// All transfers of a volume. Cheap to clone: all clones are the same.
#[derive(Clone, Debug)]
pub struct Transfers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    volume: Arc<Volume>,
    settings: Settings,
    /// The servers that the program was started with.
    servers: Servers,
    /// Opened with the first transfer, so that a start does not wait for it.
    desk: OnceCell<(Arc<TransferRecords>, Host)>,
    /// The transfers in progress. Locked for a few instructions only.
    live: Mutex<BTreeMap<u64, Arc<Job>>>,
    outstanding: SpaceReservations,
    tasks: TaskTracker,
    is_over: AtomicBool,
    counts: Counts,
    /// When the last transfer finished.
    ended: Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Counts {
    received: AtomicU64,
    sent: AtomicU64,
    done: AtomicU64,
    failed: AtomicU64,
    not_wanted: AtomicU64,
}

/// Counts of transfers and bytes since the start, and of those in progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Transfers in progress.
    pub running: u64,
    /// Transfers that succeeded.
    pub done: u64,
    /// Transfers that failed or were interrupted.
    pub failed: u64,
    /// Transfers that were refused or cancelled.
    pub not_wanted: u64,
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
}

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is no such transfer.
    #[error("there is no transfer {0}")]
    NoSuch(u64),
    /// The transfer has finished, or another program runs it.
    #[error("transfer {0} has finished")]
    Over(u64),
    /// The answer was not accepted; holds the reason.
    #[error("{0}")]
    Answer(String),
    /// Too many transfers are in progress.
    #[error("{MOST} transfers are under way: wait for one of them, or cancel it")]
    TooMany,
    /// The program is stopping.
    #[error("the service is stopping: try again in a moment")]
    Ending,
    /// The request is invalid; holds the reason.
    #[error("{0}")]
    Wrong(String),
    /// The settings can't be used.
    #[error(transparent)]
    Settings(#[from] BadSettings),
    /// The records can't be read or written.
    #[error("could not use .sounding/transfers")]
    Records(#[source] io::Error),
}

impl Transfers {
    /// The transfers of a volume; does nothing yet. `servers` overrides the settings on the volume, and a request's own servers override
    /// both.
    pub fn new(volume: Arc<Volume>, settings: Settings, servers: Servers) -> Transfers {
        Transfers(Arc::new(Inner {
            volume,
            settings,
            servers,
            desk: OnceCell::new(),
            live: Mutex::default(),
            outstanding: SpaceReservations::default(),
            tasks: TaskTracker::new(),
            is_over: AtomicBool::new(false),
            counts: Counts::default(),
            ended: Mutex::default(),
        }))
    }

    /// Finds the transfers that were interrupted when their program ended: marks their records, and removes the bytes received. Removes the
    /// oldest records if there are too many. Returns the interrupted transfers.
    pub async fn recover(&self) -> Result<Vec<Transfer>, Refused> {
        let volume = Arc::clone(&self.0.volume);
        blocking(move || recover(&volume)).await
    }

    /// Starts a transfer; `by` is the user who wants it. Returns its number.
    pub async fn start(&self, request: Request, by: &str) -> Result<u64, Refused> {
        if self.0.is_over.load(Relaxed) {
            return Err(Refused::Ending);
        }
        if self.live().len() >= MOST {
            return Err(Refused::TooMany);
        }
        check(&request)?;
        let (records, host) = self.desk().await?;
        let inner = Arc::clone(&self.0);
        let (wanted, by, its_records) = (request.clone(), by.to_owned(), Arc::clone(records));
        let host = host.id;
        let (settings, transfer) = blocking(move || {
            let Inner { volume, settings: base, servers, .. } = &*inner;
            let settings = settings(volume, base, servers, wanted.servers())?;
            let begun = its_records.begin(|number| begin(number, &wanted, &by, host));
            Ok((settings, begun.map_err(Refused::Records)?.1))
        })
        .await?;
        let number = transfer.number;
        let (job, answers) = Job::new(Arc::clone(records), transfer);
        self.live().insert(number, Arc::clone(&job));
        let world = TransferContext {
            volume: Arc::clone(&self.0.volume),
            settings,
            outstanding: self.0.outstanding.clone(),
        };
        let transfers = self.clone();
        self.0.tasks.spawn(async move { transfers.run(job, world, request, answers).await });
        // The program may have been told to stop since the check above.
        if self.0.is_over.load(Relaxed) {
            self.stop_all("the service was stopped");
        }
        Ok(number)
    }

    /// Runs a transfer to its end. A panic ends that transfer only.
    async fn run(
        &self,
        job: Arc<Job>,
        world: TransferContext,
        request: Request,
        answers: mpsc::Receiver<Answered>,
    ) {
        let running = Arc::clone(&job);
        let direction = request.direction();
        let task = tokio::spawn(async move {
            match request {
                Request::Receive(wanted) => receive(&running, &world, wanted, answers).await,
                Request::Send(wanted) => send(&running, &world, wanted).await,
            }
        });
        let result = task.await.unwrap_or_else(|_panic| {
            Err(Ended::failed("an internal error ended it; the log says more"))
        });
        job.end(result).await;
        let now = job.now().transfer;
        self.0.counts.count(direction, &now);
        let (number, bytes) = (now.number, now.done);
        if now.state == TransferState::Done {
            tracing::info!(number, bytes, "transfer done");
        } else {
            let cause = now.cause.as_deref().unwrap_or_default();
            tracing::warn!(number, bytes, cause, "transfer did not complete");
        }
        *self.0.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.live().remove(&now.number);
    }

    /// All transfers, the newest first.
    pub async fn list(&self) -> Result<Vec<TransferStatus>, Refused> {
        let volume = Arc::clone(&self.0.volume);
        let mut all: BTreeMap<u64, TransferStatus> = blocking(move || {
            let records = records(&volume)?;
            let numbers = records.numbers().map_err(Refused::Records)?;
            // A record that can't be read belongs to another version: it is left out, and stays.
            let read = |it| Some(over(records.read::<Transfer>(it).ok()??));
            Ok(numbers.into_iter().filter_map(read).map(|it| (it.transfer.number, it)).collect())
        })
        .await?;
        for job in self.live().values() {
            let now = job.now();
            all.insert(now.transfer.number, now);
        }
        Ok(all.into_values().rev().collect())
    }

    /// One transfer.
    pub async fn get(&self, number: u64) -> Result<TransferStatus, Refused> {
        let live = self.live().get(&number).cloned();
        if let Some(job) = live {
            return Ok(job.now());
        }
        let volume = Arc::clone(&self.0.volume);
        let read = move || records(&volume)?.read::<Transfer>(number).map_err(Refused::Records);
        blocking(read).await?.map(over).ok_or(Refused::NoSuch(number))
    }

    /// Waits until a transfer has changed since `change`, or until `wait` has passed, and returns its status.
    pub async fn follow(
        &self,
        number: u64,
        change: u64,
        wait: Duration,
    ) -> Result<TransferStatus, Refused> {
        let live = self.live().get(&number).cloned();
        if let Some(job) = live {
            let mut follower = job.follow();
            drop(job);
            let changed = follower.wait_for(|it| *it != change);
            // After a time-out, or when the transfer has finished, the present status is returned.
            tokio::time::timeout(wait, changed).await.map(drop).unwrap_or_default();
        }
        self.get(number).await
    }

    /// Answers an offer.
    pub async fn answer(&self, number: u64, answer: Answer) -> Result<(), Refused> {
        let job = self.job(number).await?;
        job.answer(answer).await.map_err(Refused::Answer)
    }

    /// Cancels a transfer; `by` is the user who wants that.
    pub async fn cancel(&self, number: u64, by: &str) -> Result<(), Refused> {
        self.job(number).await?.stop(Stop::Cancelled(by.to_owned()));
        Ok(())
    }

    /// Removes the records of all finished transfers. Returns their number.
    pub async fn forget(&self) -> Result<usize, Refused> {
        let volume = Arc::clone(&self.0.volume);
        blocking(move || {
            let records = records(&volume)?;
            let mut forgotten = 0;
            for number in records.numbers().map_err(Refused::Records)? {
                let transfer = records.read::<Transfer>(number);
                if transfer.is_ok_and(|it| it.is_some_and(|it| it.state.is_over())) {
                    records.remove(number).map_err(Refused::Records)?;
                    forgotten += 1;
                }
            }
            Ok(forgotten)
        })
        .await
    }

    /// The number of transfers in progress.
    pub fn running(&self) -> usize {
        self.live().len()
    }

    /// When the last transfer finished; `None` if none has since the start.
    pub fn last_ended(&self) -> Option<Instant> {
        *self.0.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The transfers in progress, as they are now.
    pub fn under_way(&self) -> Vec<Transfer> {
        self.live().values().map(|it| it.now().transfer).collect()
    }

    /// Counts of transfers and bytes since the start, and of those in progress.
    pub fn totals(&self) -> Totals {
        let counts = &self.0.counts;
        let live = self.under_way();
        let moved = |direction| -> u64 {
            live.iter().filter(|it| it.direction == direction).map(|it| it.done).sum()
        };
        Totals {
            running: live.len() as u64,
            done: counts.done.load(Relaxed),
            failed: counts.failed.load(Relaxed),
            not_wanted: counts.not_wanted.load(Relaxed),
            received: counts.received.load(Relaxed) + moved(Direction::Receive),
            sent: counts.sent.load(Relaxed) + moved(Direction::Send),
        }
    }

    /// Ends all transfers because the program stops, with a reason: the other sides are told, the bytes received are removed, and the
    /// records are completed. Takes no longer than `limit`.
    pub async fn end(&self, reason: &str, limit: Duration) {
        self.0.is_over.store(true, Relaxed);
        self.stop_all(reason);
        self.0.tasks.close();
        let good_byes = self.0.settings.tracker.clone();
        good_byes.close();
        let all = async {
            self.0.tasks.wait().await;
            good_byes.wait().await;
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::warn!("some transfers did not end cleanly within the time limit");
        }
    }

    fn stop_all(&self, reason: &str) {
        for job in self.live().values() {
            job.stop(Stop::Ends(reason.to_owned()));
        }
    }

    async fn job(&self, number: u64) -> Result<Arc<Job>, Refused> {
        let live = self.live().get(&number).cloned();
        match live {
            Some(job) => Ok(job),
            None => self.get(number).await.and(Err(Refused::Over(number))),
        }
    }

    /// The records, and this program's registration as a host of transfers.
    async fn desk(&self) -> Result<&(Arc<TransferRecords>, Host), Refused> {
        self.0
            .desk
            .get_or_try_init(|| {
                let volume = Arc::clone(&self.0.volume);
                blocking(move || {
                    let records = records(&volume)?;
                    let host = records.host().map_err(Refused::Records)?;
                    Ok((Arc::new(records), host))
                })
            })
            .await
    }

    fn live(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Job>>> {
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn count(&self, direction: Direction, transfer: &Transfer) {
        let bytes = match direction {
            Direction::Receive => &self.received,
            Direction::Send => &self.sent,
        };
        bytes.fetch_add(transfer.done, Relaxed);
        let how = match transfer.state {
            TransferState::Done => &self.done,
            TransferState::Refused | TransferState::Cancelled => &self.not_wanted,
            _ => &self.failed,
        };
        how.fetch_add(1, Relaxed);
    }
}

fn records(volume: &Volume) -> Result<TransferRecords, Refused> {
    volume.transfer_records(VERSION).map_err(Refused::Records)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refused> + Send + 'static,
) -> Result<T, Refused> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|it| Err(Refused::Records(io::Error::other(it))))
}

/// Checks what can be checked before the transfer starts.
fn check(request: &Request) -> Result<(), Refused> {
    let code = match request {
        Request::Receive(it) => it.parsed_code(),
        Request::Send(it) => it.code.as_deref().map(wormhole::Code::parse).transpose(),
    };
    code.map(drop).map_err(|it| Refused::Wrong(volume::error_chain(&it)))
}

fn begin(number: u64, request: &Request, by: &str, host: volume::staged_id::StagedId) -> Transfer {
    let (into, paths, code) = match request {
        Request::Receive(it) => (Some(it.into.clone()), Vec::new(), it.code.clone()),
        Request::Send(it) => (None, it.paths.clone(), it.code.clone()),
    };
    Transfer {
        version: VERSION,
        number,
        direction: request.direction(),
        state: TransferState::Connecting,
        code,
        command: None,
        verifier: None,
        into,
        paths,
        path: None,
        offer: None,
        text: None,
        done: 0,
        route: None,
        started: Timestamp::now(),
        started_by: by.to_owned(),
        ended: None,
        cause: None,
        notes: Vec::new(),
        host,
        staged: None,
    }
}

/// The status of a transfer that this program does not run.
fn over(transfer: Transfer) -> TransferStatus {
    TransferStatus {
        transfer,
        change: 0,
        rate: None,
        quiet_seconds: None,
        question: None,
        is_live: false,
    }
}

fn recover(volume: &Volume) -> Result<Vec<Transfer>, Refused> {
    let records = records(volume)?;
    let mut interrupted = Vec::new();
    let mut ended = Vec::new();
    for number in records.numbers().map_err(Refused::Records)? {
        let mut transfer = match records.read::<Transfer>(number) {
            Ok(Some(transfer)) => transfer,
            Ok(None) => continue,
            Err(error) => {
                tracing::warn!(number, "could not read a transfer's record: {error}");
                continue;
            }
        };
        if transfer.state.is_over() {
            ended.push(number);
            continue;
        }
        if records.is_there(transfer.host).map_err(Refused::Records)? {
            continue;
        }
        let is_left = match transfer.staged.take().map(|it| volume.remove_staged(it)) {
            Some(Ok(is_left)) => is_left,
            None => true,
            // The record stays as it is for the next start, and the other transfers are handled.
            Some(Err(error)) => {
                tracing::error!(
                    number,
                    "could not remove the staged bytes of an interrupted transfer: {error}"
                );
                continue;
            }
        };
        end_for(&mut transfer, is_left);
        transfer.ended = Some(Timestamp::now());
        records.write(number, &transfer).map_err(Refused::Records)?;
        if transfer.state == TransferState::Interrupted {
            interrupted.push(transfer);
        }
    }
    ended.sort_unstable();
    for number in ended.iter().rev().skip(KEPT) {
        records.remove(*number).map_err(Refused::Records)?;
    }
    Ok(interrupted)
}

/// Completes the record of a transfer whose program ended. If it was storing and nothing is left in staging, it was published before.
fn end_for(transfer: &mut Transfer, is_left: bool) {
    if transfer.state == TransferState::Storing && !is_left {
        transfer.state = TransferState::Done;
        let note = "it is all here, but the program ended then: the sender may believe it failed";
        transfer.notes.push(note.to_owned());
        return;
    }
    // The progress is saved only every few seconds.
    transfer.cause = Some(match transfer.state {
        TransferState::Running | TransferState::Storing => {
            format!("the program that ran it ended at about {} %", transfer.percent())
        }
        _ => "the program that ran it ended before anything had come".to_owned(),
    });
    transfer.state = TransferState::Interrupted;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_place_before_the_end_is_done() {
        let check = |state, is_left, expected| {
            let id = volume::staged_id::StagedId::random().unwrap();
            let request = Request::Receive(crate::transfer::Receive::default());
            let mut transfer = Transfer { state, ..begin(1, &request, "x", id) };
            end_for(&mut transfer, is_left);
            assert_eq!(transfer.state, expected, "{state:?}");
        };
        check(TransferState::Storing, false, TransferState::Done);
        check(TransferState::Storing, true, TransferState::Interrupted);
        check(TransferState::Running, false, TransferState::Interrupted);
        check(TransferState::Waiting, true, TransferState::Interrupted);
    }
}
