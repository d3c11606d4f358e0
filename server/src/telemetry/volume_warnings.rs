//! Warnings about the volume's file system: checked every few seconds, reported by `/health`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use volume::file_system::UNTOLD;
use volume::{Loss, Volume};

use crate::sync::lock;

const EVERY: Duration = Duration::from_secs(2);

/// The warnings of the last check.
#[derive(Debug, Default)]
pub struct VolumeWarnings {
    now: Mutex<Vec<String>>,
}

impl VolumeWarnings {
    /// The warnings, as text that anyone may read.
    pub fn warnings(&self) -> Vec<String> {
        lock(&self.now).clone()
    }

    /// Keeps the warnings of a check, and logs new ones.
    fn note(&self, found: Vec<String>) {
        let mut warnings = lock(&self.now);
        for it in found.iter().filter(|it| !warnings.contains(it)) {
            tracing::error!("{it}");
        }
        if found.is_empty() && !warnings.is_empty() {
            tracing::info!("all problems with the volume are solved");
        }
        *warnings = found;
    }
}

/// Checks the volume again and again.
pub(crate) async fn watch(volume: Arc<Volume>, warnings: Arc<VolumeWarnings>) {
    loop {
        let volume = Arc::clone(&volume);
        match tokio::task::spawn_blocking(move || look(&volume)).await {
            Ok(found) => warnings.note(found),
            Err(error) => tracing::error!("the check of the volume failed: {error}"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn look(volume: &Volume) -> Vec<String> {
    let loss = volume.loss().map(|it| match it {
        Loss::Place => {
            "the volume is not in its place any more: it was unmounted, moved or removed. What is open is still served, and \
             nothing is changed: put it back, and restart the service"
        }
        Loss::ServiceFolder => {
            "`.sounding` is gone from the volume, or another one has its name. The keys that were good stay so until the \
             service ends: put it back, and restart the service"
        }
    });
    let shared = volume.shared_file_system().unwrap_or(None).map(shared);
    let is_out_of_files = volume.is_out_of_files().unwrap_or(false).then_some(
        "the volume's file system holds no more files, however much room there is (no inodes are free): delete some, and \
         empty the trash",
    );
    loss.into_iter().chain(is_out_of_files).map(str::to_owned).chain(shared).collect()
}

/// The warning for a file system that is shared with other machines.
pub(crate) fn shared(file_system: &str) -> String {
    format!(
        "the volume lies on {file_system}, {UNTOLD}: that is served, but comes into the feed only when the service starts anew"
    )
}
