//! Joins parts, and finishes uploads that a restart interrupted.

use std::sync::Arc;
use std::time::Duration;

use volume::RelPath;
use volume::keys::Scope;
use volume::staging::PublishError;
use volume::uploads::{Upload, UploadKind};

use super::locks::UploadLock;
use crate::app::App;
use crate::blocking::blocking;
use crate::problem::Problem;
use crate::telemetry::counters::UploadMethod;

/// Bytes joined in one step. The service may stop between two steps.
const STEP: u64 = 64 << 20;
/// Delay after the start, so that the first responses are not slowed down.
const AFTER_START: Duration = Duration::from_secs(2);

/// Joins the parts of an upload and publishes the result.
pub(super) async fn join(
    app: &App,
    mut upload: Upload,
    lock: UploadLock,
    may_write: impl Fn(&RelPath) -> bool + Send + 'static,
) -> Result<Upload, Problem> {
    // Holds the parts, so that they take no more bytes meanwhile.
    let mut parts = Vec::new();
    if let UploadKind::Joined { parts: all, .. } = &upload.record.purpose {
        for part in all {
            parts.push(app.upload_locks.take(part.id).await);
        }
    }
    loop {
        if lock.stop.is_cancelled() {
            return Err(Problem::TakenOver);
        }
        let is_done;
        (upload, is_done) = app
            .intake
            .durably(move || upload.join_more(STEP).map(|is_done| (upload, is_done)))
            .await??;
        if is_done {
            let upload =
                app.intake.durably(move || upload.finish(&may_write).map(|()| upload)).await??;
            app.activity.counted.uploaded(UploadMethod::Tus);
            return Ok(upload);
        }
    }
}

/// Finishes uploads that were complete when the service stopped, since their clients may not come back.
///
/// An upload is published only if its user still has a key that allows it.
pub(crate) async fn recover(app: Arc<App>) {
    tokio::time::sleep(AFTER_START).await;
    let volume = Arc::clone(&app.volume);
    let ids = match blocking(move || volume.uploads()).await {
        Ok(Ok(ids)) => ids,
        Ok(Err(error)) => return tracing::error!("could not read .sounding/uploads: {error}"),
        Err(_) => return,
    };
    for id in ids {
        let Some(lock) = app.upload_locks.try_take(id) else { continue };
        let volume = Arc::clone(&app.volume);
        let upload = match blocking(move || volume.upload(id)).await {
            Ok(Ok(Some(upload))) => upload,
            Ok(Err(error)) => {
                tracing::error!("could not read the record of an upload: {error}");
                continue;
            }
            Ok(Ok(None)) | Err(_) => continue,
        };
        if upload.is_published() || upload.record.target().is_none() {
            continue;
        }
        let (keys, user) = (app.key_ring.current(), upload.record.user.clone());
        let may_write = move |path: &RelPath| {
            let now = jiff::Timestamp::now();
            let mut keys = keys.of_user(&user);
            keys.any(|it| it.scope == Scope::Write && it.covers(path) && !it.has_expired(now))
        };
        if !upload.record.target().is_some_and(|it| may_write(&it.path)) {
            continue;
        }
        let result = match upload.record.purpose {
            UploadKind::Joined { .. } => join(&app, upload, lock, may_write).await.map(|_| ()),
            _ => finish(&app, upload, may_write).await,
        };
        if let Err(problem) = result {
            tracing::warn!("the upload {id} is complete but could not be published: {problem:?}");
        }
    }
}

async fn finish(
    app: &App,
    mut upload: Upload,
    may_write: impl Fn(&RelPath) -> bool + Send + 'static,
) -> Result<(), Problem> {
    let finished: Result<(), PublishError> =
        app.intake.durably(move || upload.finish(&may_write)).await?;
    finished?;
    app.activity.counted.uploaded(UploadMethod::Tus);
    Ok(())
}
