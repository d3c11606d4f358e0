//! `GET` and `HEAD` of a file or a folder, step by step:
//!
//! 1. the URL has become a path that the caller may read ([`Visit`]);
//! 2. what lies there is found: one look-up, whose handle decides all that follows;
//! 3. a link's real place needs the caller's right too;
//! 4. a folder is listed, or redirected to its slash ([`listing`]);
//! 5. the representation is chosen: the file as it is, or coded on the fly ([`Coding`]);
//! 6. the request's conditions are weighed ([`Validators`]);
//! 7. the range is selected ([`range`]);
//! 8. the file is opened and its bytes set out ([`FileBody`]).

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::body::Body;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use volume::{Found, FoundFile, Stat};

use crate::app::App;
use crate::body::{self, FileBody, Piece};
use crate::browser_cache;
use crate::coding::{self, Coding, Encoder, Encoders};
use crate::etag;
use crate::fields;
use crate::listing;
use crate::media::MediaType;
use crate::problem::{Problem, ReadError};
use crate::query;
use crate::range::{self, Selection, Slice};
use crate::recall::{Known, Recall, Whole};
use crate::sendfile::Outlet;
use crate::validators::{Validators, Verdict, http_date};
use crate::visit::Visit;

/// A file that a visitor uploaded may not run scripts with our origin's rights, nor load anything from elsewhere.
const SANDBOX: &str =
    "sandbox; default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'";

/// Answers `GET` and `HEAD` on a path of the tree.
pub async fn answer(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let visit = Visit::from_request_parts(&mut parts, &app).await?;
    let began = Instant::now();
    let known = app.recall.fresh(parts.uri.path());
    let again = known.as_ref().and_then(|_| app.volume.find_again(&visit.path));
    let found = match again {
        Some(file) => Found::File(file),
        None => app.find(&visit.path).await?,
    };
    if let Some(real_path) = found.real_path() {
        visit.caller.may_read(real_path)?;
    }
    let query = parts.uri.query();
    match found {
        Found::Folder(_) if !visit.names_folder => Ok(listing::redirect(&visit.path, query)),
        Found::Folder(folder) => listing::answer(app, visit, folder, query, &parts.headers).await,
        Found::File(_) if visit.names_folder => Err(Problem::NotFound),
        Found::File(file) => {
            let known = known.filter(|it| it.stat == file.stat);
            answer_file(&app, &visit, file, &parts, (began, known.is_some())).await
        }
    }
}

async fn answer_file(
    app: &App,
    visit: &Visit,
    mut file: FoundFile,
    parts: &Parts,
    (found, is_known): (Instant, bool),
) -> Result<Response, Problem> {
    let Parts { method, uri, headers, extensions, .. } = parts;
    let unreadable = |source| ReadError { path: visit.path.clone(), source };
    let representation =
        Representation::choose(visit, &mut file, headers).await.map_err(unreadable)?;
    match representation.validators.verdict(headers) {
        Verdict::Failed => return Err(Problem::PreconditionFailed),
        Verdict::NotModified => return Ok(representation.not_modified()),
        Verdict::Proceed => {}
    }
    let (representation, encoder) = representation.with_encoder(&app.encoders);
    let stat = file.stat;
    let selection = if representation.validators.range_applies(headers, SystemTime::now()) {
        browser_cache::fitting(range::select(headers, stat.len), headers, &app.encoders)
    } else {
        Selection::Whole
    };
    if selection == Selection::Unsatisfiable {
        return Err(Problem::RangeNotSatisfiable { len: stat.len });
    }
    let is_plain = file.real_path.is_none() && encoder.is_none();
    // Opened for HEAD as well: what GET could not read, HEAD must not promise.
    let file = file.into_open().map_err(unreadable)?;
    let is_kept = !is_known && is_plain && stat.is_settled() && Recall::is_for(method, uri);
    let is_whole = is_kept && selection == Selection::Whole;
    let content = if is_whole { body::small(&file, stat.len) } else { None };
    // What is coded passes through here.
    let outlet = extensions.get::<Outlet>().filter(|_| encoder.is_none()).cloned();
    let kept = content.clone();
    let mut response = representation.response(selection, stat.len, encoder, |pieces| match kept {
        _ if *method == Method::HEAD => Body::empty(),
        Some(content) => Body::from(content),
        None => Body::new(FileBody::new(file, pieces, outlet)),
    });
    if is_kept {
        let whole = content.map(|content| Whole { head: response.headers().clone(), content });
        let known = representation.known(visit, stat, whole, found);
        app.recall.keep(uri.path(), known);
    }
    if query::value(uri.query(), "download").is_some() {
        let disposition = attachment(visit.path.file_name().unwrap_or_default());
        fields::set(response.headers_mut(), header::CONTENT_DISPOSITION, &disposition);
    }
    Ok(response)
}

/// A file in the form that a request gets it (RFC 9110 §3.2).
struct Representation {
    media_type: MediaType,
    coding: Coding,
    /// Whether another request could get it in another coding.
    is_negotiated: bool,
    validators: Validators,
    /// The tag of the file as it is.
    plain_etag: String,
}

impl Representation {
    /// A request for ranges gets the file as it is: ranges of a coding made on the fly would not fit together, and
    /// browsers' caches mix what has the same tag.
    async fn choose(
        visit: &Visit,
        file: &mut FoundFile,
        headers: &HeaderMap,
    ) -> std::io::Result<Representation> {
        let etag = etag::settled(file).await?;
        let media_type = MediaType::of_name(visit.path.file_name().unwrap_or_default());
        let is_negotiated = media_type.is_compressible() && file.stat.len >= coding::SMALLEST;
        let coding = if is_negotiated && !headers.contains_key(header::RANGE) {
            Coding::preferred(headers)
        } else {
            Coding::Identity
        };
        let validators =
            Validators { etag: coding.etag(&etag), last_modified: last_modified(file) };
        Ok(Representation { media_type, coding, is_negotiated, validators, plain_etag: etag })
    }

    /// The same with what makes its coding; without one where all encoders are busy.
    fn with_encoder(mut self, encoders: &Encoders) -> (Representation, Option<Encoder>) {
        let encoder = encoders.take(self.coding);
        if encoder.is_none() {
            self.coding = Coding::Identity;
            self.validators.etag.clone_from(&self.plain_etag);
        }
        (self, encoder)
    }

    /// The fields that 200, 206 and 304 share (§15.4.5).
    fn headers(&self, headers: &mut HeaderMap) {
        fields::set(headers, header::ETAG, &self.validators.etag);
        fields::set(headers, header::LAST_MODIFIED, &http_date(self.validators.last_modified));
        fields::set(headers, header::CACHE_CONTROL, "no-cache");
        fields::set(headers, header::ACCEPT_RANGES, "bytes");
        fields::set(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        fields::set(
            headers,
            header::HeaderName::from_static("cross-origin-resource-policy"),
            "cross-origin",
        );
        if self.is_negotiated {
            fields::set(headers, header::VARY, "Accept-Encoding");
        }
        if self.media_type.is_active() {
            fields::set(headers, header::CONTENT_SECURITY_POLICY, SANDBOX);
        }
    }

    /// All of this, for the next who asks.
    fn known(&self, visit: &Visit, stat: Stat, whole: Option<Whole>, found: Instant) -> Known {
        let mut unchanged = HeaderMap::new();
        self.headers(&mut unchanged);
        Known {
            path: visit.path.clone(),
            stat,
            validators: self.validators.clone(),
            is_negotiated: self.is_negotiated,
            unchanged,
            whole,
            found,
        }
    }

    fn not_modified(&self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        self.headers(response.headers_mut());
        response
    }

    fn response(
        &self,
        selection: Selection,
        len: u64,
        encoder: Option<Encoder>,
        body: impl FnOnce(Vec<Piece>) -> Body,
    ) -> Response {
        let mut response = Response::new(Body::empty());
        let content_type = self.media_type.content_type();
        self.headers(response.headers_mut());
        fields::set(response.headers_mut(), header::CONTENT_TYPE, &content_type);
        let pieces = match selection {
            Selection::Whole | Selection::Unsatisfiable => {
                (len > 0).then_some(Piece::File(Slice { start: 0, len })).into_iter().collect()
            }
            Selection::Slice(slice) => {
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                fields::set(
                    response.headers_mut(),
                    header::CONTENT_RANGE,
                    &content_range(slice, len),
                );
                vec![Piece::File(slice)]
            }
            Selection::Several(slices) => {
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                let boundary = boundary();
                let multipart = format!("multipart/byteranges; boundary={boundary}");
                fields::set(response.headers_mut(), header::CONTENT_TYPE, &multipart);
                parts(&slices, len, &content_type, &boundary)
            }
        };
        if let Some(encoder) = encoder {
            fields::set(response.headers_mut(), header::CONTENT_ENCODING, self.coding.token());
            *response.body_mut() = encoder.encode(body(pieces), Some(&self.validators.etag));
        } else {
            let length: u64 = pieces.iter().map(Piece::length).sum();
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            *response.body_mut() = body(pieces);
        }
        response
    }
}

/// §8.8.2.1: never later than now.
fn last_modified(file: &FoundFile) -> i64 {
    file.stat.modified_seconds().min(jiff::Timestamp::now().as_second())
}

/// `multipart/byteranges` (§14.6): a heading before each part, and an end.
fn parts(slices: &[Slice], len: u64, content_type: &str, boundary: &str) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(slices.len() * 2 + 1);
    let mut line_end = "";
    for slice in slices {
        let range = content_range(*slice, len);
        let heading = format!(
            "{line_end}--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {range}\r\n\r\n"
        );
        pieces.push(Piece::Text(Bytes::from(heading)));
        pieces.push(Piece::File(*slice));
        line_end = "\r\n";
    }
    pieces.push(Piece::Text(Bytes::from(format!("\r\n--{boundary}--\r\n"))));
    pieces
}

/// So random that no file holds it by chance, nor on purpose.
fn boundary() -> String {
    let mut random = [0; 16];
    if getrandom::fill(&mut random).is_err() {
        tracing::warn!("the system has no randomness for a multipart boundary");
    }
    format!("{:032x}", u128::from_be_bytes(random))
}

fn content_range(slice: Slice, len: u64) -> String {
    format!("bytes {}-{}/{len}", slice.start, slice.last())
}

/// RFC 6266, with the name in ASCII for old clients and in full after RFC 8187.
fn attachment(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    let plain = |it: char| {
        if it.is_ascii_graphic() && !"\"\\%".contains(it) || it == ' ' { it } else { '_' }
    };
    let ascii: String = name.chars().map(plain).collect();
    format!(
        "attachment; filename=\"{ascii}\"; filename*=UTF-8''{}",
        volume::escape(name.as_bytes())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_keeps_its_name_whatever_it_is() {
        let check = |name: &str, expected: &str| assert_eq!(attachment(name.as_bytes()), expected);
        check("trips.csv", "attachment; filename=\"trips.csv\"; filename*=UTF-8''trips.csv");
        check(
            "Köln \"50%\"\r\n.csv",
            "attachment; filename=\"K_ln _50____.csv\"; filename*=UTF-8''K%C3%B6ln%20%2250%25%22%0D%0A.csv",
        );
    }
}
