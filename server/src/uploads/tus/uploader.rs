//! The caller of a tus request, and which uploads it may use.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use volume::RelPath;
use volume::staged_id::StagedId;
use volume::uploads::{Upload, UploadRecord};

use crate::app::App;
use crate::auth::caller::{Access, Caller};
use crate::auth::credentials::key_in;
use crate::auth::identify::Authorization;
use crate::blocking::blocking;
use crate::extract::path;
use crate::http::request_fields::RequestFields;
use crate::problem::Problem;

/// A caller with a key that may write somewhere.
#[derive(Clone, Debug)]
pub(crate) struct Uploader {
    pub(super) caller: Caller,
    pub(super) user: String,
}

impl FromRequestParts<Arc<App>> for Uploader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Uploader, Problem> {
        let key = key_in(RequestFields::new(&parts.headers));
        let caller = path::caller(parts, app, key, Access::Write, &RelPath::root()).await?;
        caller.may_write_somewhere()?;
        let user = caller.user().unwrap_or_default().to_owned();
        Ok(Uploader { caller, user })
    }
}

impl Uploader {
    pub(super) fn may_write(&self) -> impl Fn(&RelPath) -> bool + Send + 'static {
        let caller = self.caller.clone();
        move |path| caller.may_write(path).is_ok()
    }

    /// The authorization for an upload, checked again while the body arrives.
    pub(super) fn permit(&self, app: &Arc<App>, record: &UploadRecord) -> Authorization {
        let somewhere = || self.caller.key().map_or_else(RelPath::root, |it| it.path.clone());
        let path = record.target().map_or_else(somewhere, |it| it.path.clone());
        let (keys, caller) = (Arc::clone(&app.key_ring), self.caller.clone());
        Authorization { keys, caller, access: Access::Write, path }
    }

    /// Whether the caller may use an upload. A part belongs to the user who created it; other uploads to everyone who may write their
    /// target.
    pub(super) fn may_have(&self, record: &UploadRecord) -> Result<(), Problem> {
        match record.target() {
            Some(target) => self.caller.may_write(&target.path),
            None if record.user == self.user => Ok(()),
            None => Err(Problem::NotCovered(None)),
        }
    }
}

/// The upload with an ID, if the caller may use it.
pub(super) async fn find(app: &App, uploader: &Uploader, id: &str) -> Result<Upload, Problem> {
    let id: StagedId = id.parse().map_err(|_no_id| Problem::NotFound)?;
    let volume = Arc::clone(&app.volume);
    let upload = blocking(move || volume.upload(id)).await?.map_err(Problem::of_disk)?;
    let upload = upload.ok_or(Problem::NotFound)?;
    uploader.may_have(&upload.record)?;
    Ok(upload)
}
