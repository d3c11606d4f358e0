//! Receiving, step by step:
//!
//! 1. Meet the sender: with a code of theirs, or one that is made here.
//! 2. Hear what is offered. A text is kept, and that is all.
//! 3. Ask the operator, unless they said yes beforehand. All that can be decided is decided now, while a refusal
//!    still reaches the sender in words: the name, what is there already, the room.
//! 4. Make a place in staging, and only then accept.
//! 5. Write what comes.
//! 6. Let it appear, and only then tell the sender that all is well.

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

/// How long an operator may think about an offer. The sender waits meanwhile.
const THINKING: Duration = Duration::from_mins(10);
/// Words of a code that is made here.
const WORDS: usize = 2;

/// Receives. Returns how many bytes came, whatever else; an error says how it ended.
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
    // The room of a single file was taken with its place in staging; to count it twice would cost somebody their trash.
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

/// Meets the sender and hears what they have.
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

/// What the sender has to type. The public servers need not be named.
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

/// Asks until there is an answer that can be taken, nobody wants it any more, or the time is over.
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
                // What can't even be planned is not asked about.
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

/// Tells the sender no, in the same words as are kept here.
async fn refuse(incoming: Incoming, ended: Ended) -> Result<(), Ended> {
    // If they are gone, they need not be told.
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
