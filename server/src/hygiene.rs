//! What tidies the service's own folder, now and then.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use jiff::Timestamp;
use transfers::Transfers;
use volume::{Volume, staging, trash};

/// The first answers go before.
const AFTER_START: Duration = Duration::from_secs(5);
const EVERY: Duration = Duration::from_hours(1);
const KEY_USES_EVERY: Duration = Duration::from_mins(1);

/// Sweeps staging and empties the trash of what has had its time, for ever.
pub async fn keep(volume: Arc<Volume>) {
    tokio::time::sleep(AFTER_START).await;
    loop {
        let volume = Arc::clone(&volume);
        if let Err(error) = tokio::task::spawn_blocking(move || tidy(&volume)).await {
            tracing::error!("tidying broke off: {error}");
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Says of transfers that were under way when the last service ended what became of them.
pub async fn recover_transfers(transfers: Transfers) {
    match transfers.recover().await {
        Ok(interrupted) => {
            for transfer in interrupted {
                let (number, bytes) = (transfer.number, transfer.done);
                tracing::warn!(
                    number,
                    bytes,
                    "a transfer was interrupted when the last service ended"
                );
            }
        }
        Err(error) => tracing::error!("could not look for interrupted transfers: {error}"),
    }
}

/// Remembers from start to start when each key was last used.
pub async fn keep_key_uses(app: Arc<App>) {
    let volume = Arc::clone(&app.volume);
    match tokio::task::spawn_blocking(move || volume.key_uses()).await {
        Ok(Ok(uses)) => app.activity.remember(uses),
        Ok(Err(error)) => tracing::warn!("could not read .sounding/key-use.json: {error}"),
        Err(error) => tracing::error!("reading .sounding/key-use.json broke off: {error}"),
    }
    loop {
        tokio::time::sleep(KEY_USES_EVERY).await;
        write_key_uses(&app).await;
    }
}

/// Writes down when each key was last used, if that is not written yet.
pub async fn write_key_uses(app: &App) {
    let Some(uses) = app.activity.take_changed_key_uses() else { return };
    let volume = Arc::clone(&app.volume);
    let written = tokio::task::spawn_blocking(move || volume.write_key_uses(&uses)).await;
    if let Ok(Err(error)) = written {
        tracing::warn!("could not write .sounding/key-use.json: {error}");
    }
}

fn tidy(volume: &Volume) {
    match volume.sweep_uploads(Timestamp::now()) {
        Ok(0) => {}
        Ok(swept) => tracing::info!(swept, "removed uploads that nobody went on with for a week"),
        Err(error) => tracing::error!("could not sweep .sounding/uploads: {error}"),
    }
    match volume.sweep_staging(staging::KEPT) {
        Ok(0) => {}
        Ok(swept) => tracing::info!(swept, "removed what was left in staging a week ago"),
        Err(error) => tracing::error!("could not sweep .sounding/staging: {error}"),
    }
    match volume.empty_trash(trash::KEPT, Timestamp::now()) {
        Ok(0) => {}
        Ok(emptied) => tracing::info!(emptied, "emptied the trash of what is older than 30 days"),
        Err(error) => tracing::error!("could not empty .sounding/trash: {error}"),
    }
}
