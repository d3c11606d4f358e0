//! Regular cleaning of the service's own folder.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use jiff::Timestamp;
use transfers::Transfers;
use volume::clock::Clock;
use volume::staging::Left;
use volume::{Volume, trash};

/// Delay after the start, so that the first responses are not slowed down.
const AFTER_START: Duration = Duration::from_secs(5);
const EVERY: Duration = Duration::from_hours(1);
const KEY_USES_EVERY: Duration = Duration::from_mins(1);

/// Cleans up without end: leftovers of killed programs at once and then every hour, expired uploads and trash after a delay and then every
/// hour.
pub(crate) async fn keep(app: Arc<App>) {
    let volume = Arc::clone(&app.volume);
    // Made while there is space: on a full disk, deleting must still be possible.
    match tokio::task::spawn_blocking(move || volume.make_trash()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!("could not make .sounding/trash: {error}"),
        Err(error) => tracing::error!("making .sounding/trash failed: {error}"),
    }
    sweep(&app).await;
    tokio::time::sleep(AFTER_START).await;
    loop {
        let volume = Arc::clone(&app.volume);
        if let Err(error) = tokio::task::spawn_blocking(move || tidy(&volume)).await {
            tracing::error!("cleaning .sounding failed: {error}");
        }
        tokio::time::sleep(EVERY).await;
        sweep(&app).await;
    }
}

async fn sweep(app: &App) {
    // Their outcome depends on what is in staging, so staging is swept afterwards.
    recover_transfers(&app.transfers).await;
    let volume = Arc::clone(&app.volume);
    match tokio::task::spawn_blocking(move || volume.sweep_staging()).await {
        Ok(Ok(Left { things: 0, .. })) => {}
        Ok(Ok(Left { things, bytes })) => {
            tracing::info!(things, bytes, "removed leftovers of killed programs from staging");
        }
        Ok(Err(error)) => tracing::error!("could not sweep .sounding/staging: {error}"),
        Err(error) => tracing::error!("sweeping .sounding/staging failed: {error}"),
    }
}

/// Records the outcome of transfers whose program has ended.
async fn recover_transfers(transfers: &Transfers) {
    match transfers.recover().await {
        Ok(interrupted) => {
            for transfer in interrupted {
                let (number, bytes) = (transfer.number, transfer.done);
                tracing::warn!(
                    number,
                    bytes,
                    "a transfer was interrupted when the program that ran it ended"
                );
            }
        }
        Err(error) => tracing::error!("could not look for interrupted transfers: {error}"),
    }
}

/// Restores the last uses of keys from the previous start, then stores them regularly.
pub(crate) async fn keep_key_uses(app: Arc<App>) {
    let volume = Arc::clone(&app.volume);
    match tokio::task::spawn_blocking(move || volume.key_uses()).await {
        Ok(Ok(uses)) => app.activity.remember(uses),
        Ok(Err(error)) => tracing::warn!("could not read .sounding/key-use.json: {error}"),
        Err(error) => tracing::error!("reading .sounding/key-use.json failed: {error}"),
    }
    loop {
        tokio::time::sleep(KEY_USES_EVERY).await;
        write_key_uses(&app).await;
    }
}

/// Stores the last uses of keys, if they have changed.
pub(crate) async fn write_key_uses(app: &App) {
    let Some(uses) = app.activity.take_changed_key_uses() else { return };
    let volume = Arc::clone(&app.volume);
    let written = tokio::task::spawn_blocking(move || volume.write_key_uses(&uses)).await;
    if let Ok(Err(error)) = written {
        tracing::warn!("could not write .sounding/key-use.json: {error}");
    }
}

fn tidy(volume: &Volume) {
    let now = Timestamp::now();
    match volume.clock(now) {
        Ok(Clock::Steady) => {}
        Ok(Clock::New) => return,
        Ok(Clock::Jumped) => {
            tracing::info!(
                "the clock has jumped: nothing is removed for its age until it has gone on for a day"
            );
            return;
        }
        Err(error) => {
            tracing::error!("nothing is removed for its age: .sounding/tidied.json: {error}");
            return;
        }
    }
    match volume.sweep_uploads(now) {
        Ok(0) => {}
        Ok(swept) => tracing::info!(swept, "removed unfinished uploads after a week"),
        Err(error) => tracing::error!("could not sweep .sounding/uploads: {error}"),
    }
    match volume.empty_trash(trash::KEPT, now) {
        Ok(0) => {}
        Ok(emptied) => tracing::info!(emptied, "removed trash older than 30 days"),
        Err(error) => tracing::error!("could not empty .sounding/trash: {error}"),
    }
}
