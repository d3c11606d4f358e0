//! Sends files or a text, step by step:
//!
//! 1. Collect the files: names, sizes and, for a folder, the length of the zip stream.
//! 2. Connect to the receiver, usually with a code that is made here.
//! 3. Make the offer, and wait for the answer.
//! 4. Read and send. A file that changes meanwhile ends the transfer: the other side throws away what it has.
//! 5. Wait until the other side confirms that it has everything, and compare the checksum.

use std::sync::Arc;
use volume::error_chain;

use wormhole::{Code, IfNoPeer, Offer, Sending, Settings};

use crate::context::{TransferContext, options};
use crate::job::{Ended, Job};
use crate::preflight::offered;
use crate::reading::Payload;
use crate::transfer::{Send, TransferState};

/// The number of words of a code that is made here.
const WORDS: usize = 2;

/// Sends one offer. An error is the state and the cause of the end.
pub(crate) async fn send(job: &Job, world: &TransferContext, wanted: Send) -> Result<(), Ended> {
    let (offer, parcel) = if let Some(text) = &wanted.text {
        (Offer::Message(text.clone()), None)
    } else {
        let parcel = pack(world, &wanted).await?;
        (parcel.offer.clone(), Some(parcel))
    };
    let notes = parcel.as_ref().map(|it| it.notes.clone()).unwrap_or_default();
    job.set(|it| (it.offer, it.notes) = (Some(offered(&offer)), notes)).await;

    let invitation = match &wanted.code {
        Some(code) => {
            let code = Code::parse(code).map_err(|it| Ended::failed(error_chain(&it)))?;
            job.unless_stopped(wormhole::join(&world.settings, &code, IfNoPeer::Wait)).await?
        }
        None => job.unless_stopped(wormhole::allocate(&world.settings, WORDS)).await?,
    };
    let code = invitation.code().to_string();
    let command = command(&world.settings, &code);
    job.set(|it| {
        (it.code, it.command, it.state) = (Some(code), Some(command), TransferState::Waiting);
    })
    .await;
    let wormhole = job.unless_stopped(invitation.peer()).await?;
    let verifier = wormhole.verifier();
    job.set(|it| it.verifier = Some(verifier)).await;
    let outgoing = job.unless_stopped(wormhole.offer(offer)).await?;
    job.enter(TransferState::Offered).await;
    let sending = job.unless_stopped(outgoing.accepted()).await?;
    match (sending, parcel) {
        (Some(sending), Some(parcel)) => give(job, world, sending, parcel).await,
        // A text was read and acknowledged; nothing else is sent.
        _ => Ok(()),
    }
}

fn command(settings: &Settings, code: &str) -> String {
    format!("wormhole {}receive {code}", options(settings))
}

async fn pack(world: &TransferContext, wanted: &Send) -> Result<Payload, Ended> {
    let (volume, paths) = (Arc::clone(&world.volume), wanted.paths.clone());
    let packed = tokio::task::spawn_blocking(move || Payload::pack(&volume, &paths)).await;
    let packed = packed.map_err(|it| Ended::failed(it.to_string()))?;
    packed.map_err(|it| Ended::failed(error_chain(&it)))
}

async fn give(
    job: &Job,
    world: &TransferContext,
    mut sending: Sending,
    parcel: Payload,
) -> Result<(), Ended> {
    let route = sending.route().to_string();
    job.set(|it| (it.state, it.route) = (TransferState::Running, Some(route))).await;
    job.begin();
    let mut pieces = parcel.read(Arc::clone(&world.volume));
    while let Some(piece) = pieces.recv().await {
        let sent = match piece {
            Err(error) => Err(Ended::failed(error_chain(&error))),
            Ok(bytes) => {
                let sent = job.unless_stopped(sending.send(&bytes)).await;
                sent.map(|()| bytes.len() as u64)
            }
        };
        match sent {
            Ok(len) => job.advance(len).await,
            Err(ended) => {
                sending.fail(&ended.cause).await;
                return Err(ended);
            }
        }
    }
    job.enter(TransferState::Storing).await;
    job.unless_stopped(sending.finish()).await
}
