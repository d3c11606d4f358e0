//! Reading and writing tus header fields.

use http::{HeaderMap, HeaderName, header};
use volume::uploads::Upload;

use crate::http::fields;
use crate::http::tus_headers::{
    CONTENT_TYPES, TUS_RESUMABLE, UPLOAD_DEFER_LENGTH, UPLOAD_EXPIRES, UPLOAD_LENGTH, VERSION,
};
use crate::problem::Problem;

/// Adds when an unfinished upload expires, and where a finished one was published.
pub(super) fn describe_end(fields: &mut HeaderMap, upload: &Upload) {
    if let Some(path) = &upload.record.published {
        fields::set(fields, header::CONTENT_LOCATION, &format!("/files/{}", path.to_url()));
    }
    if let Some(end) = upload.expires() {
        fields::set(fields, UPLOAD_EXPIRES, &httpdate::fmt_http_date(end));
    }
}

pub(super) fn check_version(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.get(TUS_RESUMABLE).is_some_and(|it| it == VERSION) {
        return Ok(());
    }
    Err(Problem::WrongTusVersion)
}

pub(super) fn is_offset_stream(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|it| CONTENT_TYPES.iter().any(|known| it == known))
}

pub(super) fn length(headers: &HeaderMap) -> Result<u64, Problem> {
    if headers.contains_key(UPLOAD_DEFER_LENGTH) {
        let what = "`Upload-Defer-Length`: an upload's length must be known when it begins.";
        return Err(Problem::BadField(what.to_owned()));
    }
    number(headers, &UPLOAD_LENGTH)?
        .ok_or_else(|| Problem::BadField("`Upload-Length` is missing.".to_owned()))
}

pub(super) fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let digits = value.to_str().ok().filter(|it| it.bytes().all(|it| it.is_ascii_digit()));
    let number = digits.and_then(|it| it.parse().ok()).filter(|it| i64::try_from(*it).is_ok());
    number.map(Some).ok_or_else(|| Problem::BadField(format!("`{name}` is not a number of bytes.")))
}
