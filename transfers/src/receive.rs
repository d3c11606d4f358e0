//! Receives an offer, step by step:
//!
//! 1. Connect to the sender: with a code of theirs, or one that is made here.
//! 2. Read the offer. A text is kept in the record, and that is all.
//! 3. Ask the operator, unless the request accepts in advance. Everything that can be checked is checked now, while a refusal still reaches
//!    the sender in words: the name, an existing file, the space.
//! 4. Stage a file or folder, and only then accept.
//! 5. Write the bytes that arrive.
//! 6. Publish, and only then confirm to the sender.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use volume::OnConflict;
use volume::error_chain;
use wormhole::{Arrival, IfNoPeer, Incoming, Offer, Receiving, Settings};

use crate::context::{TransferContext, options};
use crate::job::{Answered, Ended, Job};
use crate::preflight::{Reservation, StorePlan, offered};
use crate::publish::Stored;
use crate::storing::Storing;
use crate::transfer::{Accept, Answer, OfferedKind, Question, Receive, TransferState};

/// How long an operator may take to answer an offer. The sender waits meanwhile.
const THINKING: Duration = Duration::from_mins(10);
/// The number of words of a code that is made here.
const WORDS: usize = 2;

/// Receives one offer. An error is the state and the cause of the end.
pub(crate) async fn receive(
    job: &Job,
    world: &TransferContext,
    wanted: Receive,
    mut answers: mpsc::Receiver<Answered>,
) -> Result<(), Ended> {
    let mut incoming = match meet(job, &world.settings, &wanted).await? {
        Arrival::Offer(incoming) => incoming,
        Arrival::Text(text) => {
            let offer = offered(&Offer::Message(text.clone()));
            job.set(|it| (it.offer, it.text) = (Some(offer), Some(text))).await;
            return Ok(());
        }
    };
    let offer = offered(incoming.offer());
    let name = match incoming.offer().plain_name() {
        Ok(name) => name.to_owned(),
        Err(error) => {
            let why = format!(
                "the name can't be used here: {}; rename it and send again",
                error_chain(&error)
            );
            return refuse(incoming, Ended::failed(why)).await;
        }
    };
    job.set(|it| (it.offer, it.state) = (Some(offer.clone()), TransferState::Offered)).await;

    let first = Accept {
        into: Some(wanted.into.clone()),
        name: None,
        on_conflict: wanted.on_conflict,
        unpack: wanted.unpack,
    };
    let accepted = if wanted.yes {
        let plan = plan(&offer, &wanted, &name, &first);
        check(world, plan).await.map_err(Ended::failed)
    } else {
        ask(job, world, &wanted, (&offer, &name), &mut incoming, &mut answers).await
    };
    let (plan, mut reserved) = match accepted {
        Ok(accepted) => accepted,
        Err(ended) => return refuse(incoming, ended).await,
    };
    job.ask(None);

    let storing = match Storing::begin(Arc::clone(&world.volume), plan.clone()).await {
        Ok(storing) => storing,
        Err(error) => return refuse(incoming, Ended::failed(error_chain(&error))).await,
    };
    // The space of a single file was reserved with its staged file. To count it twice could empty the trash without need.
    if plan.offer.kind == OfferedKind::File && !plan.unpack {
        reserved.written(u64::MAX);
    }
    let (staged, to) = (storing.staged, plan.to.clone());
    job.set(|it| (it.staged, it.path, it.state) = (staged, Some(to), TransferState::Linking)).await;
    let receiving = match job.unless_stopped(incoming.accept()).await {
        Ok(receiving) => receiving,
        Err(ended) => {
            storing.abandon().await;
            return Err(ended);
        }
    };
    take_in(job, receiving, storing, &plan, reserved).await
}

/// Connects to the sender and waits for the offer.
async fn meet(job: &Job, settings: &Settings, wanted: &Receive) -> Result<Arrival, Ended> {
    let invitation = match wanted.parsed_code().map_err(|it| Ended::failed(error_chain(&it)))? {
        Some(code) => {
            let absent = if wanted.wait { IfNoPeer::Wait } else { IfNoPeer::Fail };
            job.unless_stopped(wormhole::join(settings, &code, absent)).await?
        }
        None => job.unless_stopped(wormhole::allocate(settings, WORDS)).await?,
    };
    let code = invitation.code().to_string();
    let command = wanted.code.is_none().then(|| command(settings, &code));
    job.set(|it| (it.code, it.command, it.state) = (Some(code), command, TransferState::Waiting))
        .await;
    let wormhole = job.unless_stopped(invitation.peer()).await?;
    let verifier = wormhole.verifier();
    job.set(|it| it.verifier = Some(verifier)).await;
    job.unless_stopped(wormhole.receive()).await
}

/// The command for the sender. The public servers need not be named.
fn command(settings: &Settings, code: &str) -> String {
    format!("wormhole {}send --code {code} FILE-OR-FOLDER", options(settings))
}

fn plan(
    offer: &crate::transfer::Offered,
    wanted: &Receive,
    name: &str,
    accept: &Accept,
) -> Result<StorePlan, String> {
    let into = accept.into.as_ref().unwrap_or(&wanted.into);
    let name = accept.name.as_deref().unwrap_or(name);
    let exists = accept.on_conflict.or(wanted.on_conflict).unwrap_or(OnConflict::Refuse);
    StorePlan::new(offer.clone(), into, name, exists, accept.unpack || wanted.unpack)
}

async fn check(
    world: &TransferContext,
    plan: Result<StorePlan, String>,
) -> Result<(StorePlan, Reservation), String> {
    let plan = plan?;
    let (volume, outstanding) = (Arc::clone(&world.volume), world.outstanding.clone());
    let checked =
        tokio::task::spawn_blocking(move || plan.check(&volume, &outstanding).map(|it| (plan, it)));
    checked.await.map_err(|it| it.to_string())?
}

/// Asks the operator until an answer is accepted, the transfer is stopped or withdrawn, or the time-out has passed.
async fn ask(
    job: &Job,
    world: &TransferContext,
    wanted: &Receive,
    (offer, name): (&crate::transfer::Offered, &str),
    incoming: &mut Incoming,
    answers: &mut mpsc::Receiver<Answered>,
) -> Result<(StorePlan, Reservation), Ended> {
    let ends = Timestamp::now().checked_add(THINKING).unwrap_or(Timestamp::MAX);
    let time_is_over = tokio::time::sleep(THINKING);
    tokio::pin!(time_is_over);
    let mut asked = Accept::default();
    let mut problem = None;
    loop {
        let question = question(world, plan(offer, wanted, name, &asked), ends).await;
        let question = question.map_err(Ended::failed)?;
        job.ask(Some(Question { problem: problem.take(), ..question }));
        let (answer, reply) = tokio::select! {
            biased;
            ended = job.stopped() => return Err(ended),
            gone = incoming.withdrawn() => return Err(gone.into()),
            () = &mut time_is_over => {
                return Err(Ended { state: TransferState::Refused, cause: "nobody answered the offer in time".to_owned() });
            }
            answered = answers.recv() => match answered {
                Some(answered) => answered,
                None => return Err(Ended::failed("nobody can answer the offer any more")),
            },
        };
        let (accept, checked) = match answer {
            Answer::Refuse { why } => {
                reply.send(Ok(())).unwrap_or_default();
                let cause = if why.is_empty() { "refused here".to_owned() } else { why };
                return Err(Ended { state: TransferState::Refused, cause });
            }
            Answer::Accept(accept) => {
                let plan = plan(offer, wanted, name, &accept);
                (accept, check(world, plan).await)
            }
        };
        match checked {
            Ok(accepted) => {
                reply.send(Ok(())).unwrap_or_default();
                return Ok(accepted);
            }
            Err(why) => {
                reply.send(Err(why.clone())).unwrap_or_default();
                problem = Some(why);
                // A plan that is not even valid is not asked about again.
                if plan(offer, wanted, name, &accept).is_ok() {
                    asked = accept;
                }
            }
        }
    }
}

async fn question(
    world: &TransferContext,
    plan: Result<StorePlan, String>,
    ends: Timestamp,
) -> Result<Question, String> {
    let plan = plan?;
    let (volume, outstanding) = (Arc::clone(&world.volume), world.outstanding.clone());
    let asked = tokio::task::spawn_blocking(move || plan.question(&volume, &outstanding, ends));
    asked.await.map_err(|it| it.to_string())?
}

/// Refuses the offer. The sender gets the same reason as the record.
async fn refuse(incoming: Incoming, ended: Ended) -> Result<(), Ended> {
    // A sender that is gone needs no refusal.
    incoming.refuse(&ended.cause).await.unwrap_or_default();
    Err(ended)
}

async fn take_in(
    job: &Job,
    mut receiving: Receiving,
    mut storing: Storing,
    plan: &StorePlan,
    mut reserved: Reservation,
) -> Result<(), Ended> {
    let route = receiving.route().to_string();
    job.set(|it| (it.state, it.route) = (TransferState::Running, Some(route))).await;
    job.begin();
    loop {
        let bytes = match job.unless_stopped(receiving.next()).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => break,
            Err(ended) => {
                storing.abandon().await;
                receiving.fail(&ended.cause).await;
                return Err(ended);
            }
        };
        let len = bytes.len() as u64;
        if !storing.write(bytes).await {
            break;
        }
        reserved.written(len);
        job.advance(len).await;
    }
    if job.done() == plan.offer.size {
        job.enter(TransferState::Storing).await;
    }
    match storing.finish().await {
        Ok(Stored { path, notes }) => {
            job.set(|it| (it.path, it.notes) = (Some(path), notes)).await;
            if let Err(error) = receiving.finish().await {
                let note = format!(
                    "it is all here, but the sender may believe it failed: {}",
                    error_chain(&error)
                );
                job.set(|it| it.notes.push(note)).await;
            }
            Ok(())
        }
        Err(error) => {
            let ended = Ended::failed(error_chain(&error));
            receiving.fail(&ended.cause).await;
            Err(ended)
        }
    }
}
