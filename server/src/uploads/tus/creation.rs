//! Parses and checks a request that creates an upload.

use std::sync::Arc;

use http::{HeaderMap, Uri};
use jiff::Timestamp;
use volume::OnConflict;
use volume::uploads::{UploadKind, UploadPart, UploadRecord, UploadTarget};
use volume::{FindError, Found};

use super::fields::length;
use super::metadata::Metadata;
use super::uploader::{Uploader, find};
use crate::app::App;
use crate::http::tus_headers::{UPLOAD_CONCAT, UPLOAD_METADATA};
use crate::problem::Problem;

/// The record of the upload that a request asks for.
pub(super) async fn parse_creation(
    app: &Arc<App>,
    uploader: &Uploader,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<UploadRecord, Problem> {
    let metadata = Metadata::of(headers)?;
    let concat = headers.get(UPLOAD_CONCAT).map(|it| it.to_str().unwrap_or_default());
    let record = |length, purpose| {
        let said = headers.get(UPLOAD_METADATA).and_then(|it| it.to_str().ok());
        let (now, said) = (Timestamp::now(), said.unwrap_or_default());
        UploadRecord::new(&uploader.user, now, length, purpose, said)
    };
    if concat == Some("partial") {
        return Ok(record(length(headers)?, UploadKind::Part));
    }
    let target = metadata.target(uri.query())?;
    uploader.caller.may_write(&target.path)?;
    check_target(app, &target).await?;
    app.check_writable(&target.path, &uploader.caller).await?;
    match concat {
        None => Ok(record(length(headers)?, UploadKind::File(target))),
        Some(concat) => {
            let addresses = concat.strip_prefix("final;").ok_or_else(|| {
                Problem::BadField(
                    "`Upload-Concat` is `partial` or `final;` and addresses.".to_owned(),
                )
            })?;
            let parts = parts(app, uploader, addresses).await?;
            let length = parts.iter().map(|it| it.length).sum();
            Ok(record(length, UploadKind::Joined { target, parts }))
        }
    }
}

/// The parts that a final upload names by their URLs, which may be relative.
pub(super) async fn parts(
    app: &Arc<App>,
    uploader: &Uploader,
    addresses: &str,
) -> Result<Vec<UploadPart>, Problem> {
    let mut parts: Vec<UploadPart> = Vec::new();
    for address in addresses.split_whitespace() {
        let bad = |what: &str| Problem::BadPart(format!("`{address}` {what}."));
        let id = address.rsplit('/').next().unwrap_or_default();
        let part = match find(app, uploader, id).await {
            Err(Problem::NotFound) => return Err(bad("is not an upload that is known here")),
            result => result?,
        };
        if part.record.purpose != UploadKind::Part {
            return Err(bad("was not begun with `Upload-Concat: partial`"));
        }
        if !part.is_complete() {
            return Err(bad("is not complete yet"));
        }
        if parts.iter().any(|it| it.id == part.id) {
            return Err(bad("is named twice"));
        }
        parts.push(UploadPart { id: part.id, length: part.record.length });
    }
    if parts.is_empty() {
        return Err(Problem::BadPart("There is no part to join.".to_owned()));
    }
    Ok(parts)
}

/// Refuses a target before the first byte if publishing would fail after the last.
pub(super) async fn check_target(app: &Arc<App>, target: &UploadTarget) -> Result<(), Problem> {
    match app.look(&target.path).await {
        Ok(Found::Folder(_)) => Err(Problem::IsFolder),
        Ok(Found::File(_)) if target.exists == OnConflict::Refuse => Err(Problem::Exists),
        Ok(Found::File(_)) | Err(FindError::Missing { .. } | FindError::NotServed { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
