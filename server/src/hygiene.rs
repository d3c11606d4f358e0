//! What tidies the service's own folder, now and then.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use volume::{Volume, staging, trash};

/// The first answers go before.
const AFTER_START: Duration = Duration::from_secs(5);
const EVERY: Duration = Duration::from_hours(1);

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
