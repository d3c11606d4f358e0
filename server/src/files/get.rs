//! `GET` and `HEAD` of a file or a folder, step by step:
//!
//! 1. The URL becomes a path that the caller may read ([`AuthorizedPath`]), or a folder above the one that the key covers ([`way`]).
//! 2. The path is looked up once. The handle of that look-up decides everything that follows.
//! 3. If a link led there, the caller must be allowed to read its real path too.
//! 4. A folder is listed, or redirected to its address with a slash ([`listing`]).
//! 5. The representation is chosen: the file as it is, or with a content coding made on the fly ([`Representation`]).
//! 6. The preconditions and the range decide what the request gets of it ([`ResponsePlan`]).
//! 7. The file is opened and its body prepared ([`FileBody`]).
//! 8. If the key is revoked while the body is sent, the response ends early ([`Authorizations`]).
//!
//! The result is [cached](crate::files::open_file_cache), so that requests within the next second get their response
//! [at once](crate::files::cached_response).

use std::fs::File;
use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::request::Parts;
use http::{Method, header};
use http_body::Body as _;
use volume::{Found, FoundFile, RelPath, Stat};

use crate::app::App;
use crate::auth::identify::Authorizations;
use crate::extract::path::AuthorizedPath;
use crate::extract::query;
use crate::files::file_body::FileBody;
use crate::files::listing::{self, way};
use crate::files::open_file_cache::{CachedFile, Epoch, OpenFileCache};
use crate::files::plan::ResponsePlan;
use crate::files::representation::Representation;
use crate::http::cors::Embedding;
use crate::http::fields;
use crate::http::request_fields::RequestFields;
use crate::net::sendfile::{self, SendfileQueue};
use crate::problem::Problem;
use crate::problem::convert::ReadError;
use crate::telemetry::activity::InFlight;

/// The handler for `GET` and `HEAD` on a path of the tree.
pub(crate) async fn answer(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let target = AuthorizedPath::asked(&parts, &app).await?;
    if let Some(goal) = target.caller.led_to(&target.path) {
        return way::answer(&app, &target, goal, &parts).await;
    }
    target.caller.may_read(&target.path)?;
    let ask = FileRequest { app: &app, target: &target, parts: &parts };
    let moment = app.open_files.moment();
    let found = app.find(&target.path).await?;
    if let Some(real_path) = found.real_path() {
        target.caller.may_read(real_path)?;
    }
    let places = [Some(&target.path), found.real_path()].into_iter().flatten();
    let permits = Authorizations::to_read(&app.key_ring, &target.caller, places);
    let query = parts.uri.query();
    let mut response = match found {
        Found::Folder(_) if !target.names_folder => listing::redirect(&target, query),
        Found::Folder(folder) => {
            listing::answer(app, target, folder, &parts.uri, &parts.headers).await
        }
        Found::File(_) if target.names_folder => Err(Problem::NotFound),
        Found::File(file) => ask.file(file, moment).await,
    }?;
    if let Some(permits) = permits.filter(|_| !response.body().is_end_stream()) {
        response.extensions_mut().insert(permits);
    }
    Ok(response)
}

/// A request whose caller may read its target.
struct FileRequest<'a> {
    app: &'a App,
    target: &'a AuthorizedPath,
    parts: &'a Parts,
}

impl FileRequest<'_> {
    /// The response with a file.
    async fn file(&self, mut file: FoundFile, moment: Epoch) -> Result<Response, Problem> {
        let method = &self.parts.method;
        let fields = RequestFields::new(&self.parts.headers);
        let name = self.target.path.file_name().unwrap_or_default();
        let AuthorizedPath { path, key_in_address, .. } = self.target;
        let embedding = Embedding::of(key_in_address.is_some(), path, file.real_path.as_ref());
        let representation = Representation::choose(name, &mut file, fields, embedding).await;
        let representation = representation.map_err(|it| self.unreadable(it))?;
        let (stat, is_kept) = (file.stat, self.is_kept(&file));
        let plan = representation.plan(fields, stat.len, &self.app.encoders);
        match plan {
            ResponsePlan::PreconditionFailed => return Err(Problem::PreconditionFailed),
            ResponsePlan::Unsatisfiable => {
                return Err(Problem::RangeNotSatisfiable { len: stat.len });
            }
            ResponsePlan::NotModified => {
                let response = representation.not_modified();
                // If the file cannot be opened, a request that needs its content reports that.
                if is_kept && let Ok(file) = file.open() {
                    let (path, file) = (self.path(), file.into());
                    self.keep(CachedFile::new(path, stat, representation, file, moment));
                }
                return Ok(response);
            }
            ResponsePlan::Whole | ResponsePlan::Slice(_) | ResponsePlan::Several(_) => {}
        }
        let is_wanted_coded = representation.is_coded();
        let (representation, encoder) = representation.with_encoder(&self.app.encoders);
        // Opened for `HEAD` too: if `GET` would fail, `HEAD` must not report success.
        let file = Arc::new(file.open().map_err(|it| self.unreadable(it))?);
        if let Some(encoder) = encoder {
            // An encoder reads the bytes itself, so the kernel cannot send them.
            let body = match *method {
                Method::HEAD => Body::empty(),
                _ => Body::new(FileBody::new(file, Representation::whole(stat.len), None)),
            };
            return Ok(self.finish(representation.coded(encoder, body)));
        }
        let response =
            self.respond(&representation, plan, &stat, Arc::clone(&file), is_wanted_coded);
        if is_kept {
            self.keep(CachedFile::new(self.path(), stat, representation, file, moment));
        }
        Ok(response)
    }

    /// Whether the result may be cached.
    fn is_kept(&self, file: &FoundFile) -> bool {
        let Parts { method, uri, .. } = self.parts;
        file.real_path.is_none() && file.stat.is_settled() && OpenFileCache::is_for(method, uri)
    }

    fn keep(&self, known: CachedFile) {
        if !known.representation.is_coded() {
            self.app.open_files.insert(&self.parts.uri, known);
        }
    }

    /// The file's path, and the path as the log shows it.
    fn path(&self) -> (RelPath, String) {
        let open = self.parts.extensions.get::<Arc<InFlight>>();
        (self.target.path.clone(), open.map_or_else(String::new, |it| it.path().to_owned()))
    }

    /// The response with the whole file or parts of it, not coded. If a coding was wanted but no encoder is free, the body takes turns with
    /// the coded ones.
    fn respond(
        &self,
        representation: &Representation,
        plan: ResponsePlan,
        stat: &Stat,
        file: Arc<File>,
        is_wanted_coded: bool,
    ) -> Response {
        let (mut response, pieces) = representation.response(plan, stat.len);
        if self.parts.method == Method::GET {
            let sendfile_queue = self.parts.extensions.get::<SendfileQueue>();
            let sendfile_queue =
                sendfile_queue.filter(|_| stat.rests(sendfile::quiet_period(&file, stat))).cloned();
            let body = FileBody::new(file, pieces, sendfile_queue);
            *response.body_mut() =
                if is_wanted_coded { self.app.encoders.in_turns(body) } else { Body::new(body) };
        }
        self.finish(response)
    }

    fn finish(&self, mut response: Response) -> Response {
        if query::value(self.parts.uri.query(), "download").is_some() {
            let disposition = attachment(self.target.path.file_name().unwrap_or_default());
            fields::set(response.headers_mut(), header::CONTENT_DISPOSITION, &disposition);
        }
        response
    }

    fn unreadable(&self, source: io::Error) -> ReadError {
        ReadError { path: self.target.path.clone(), source }
    }
}

/// The value of `Content-Disposition` (RFC 6266): the name in ASCII for old clients, and in full by RFC 8187.
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
