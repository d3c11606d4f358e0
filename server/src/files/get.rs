//! `GET` and `HEAD` of a file or a folder, step by step:
//!
//! 1. the URL has become a path that the caller may read ([`AuthorizedPath`]), or a folder above what the key covers ([`way`]);
//! 2. what lies there is found: one look-up, whose handle decides all that follows;
//! 3. a link's real place needs the caller's right too;
//! 4. a folder is listed, or redirected to its slash ([`listing`]);
//! 5. the representation is chosen: the file as it is, or coded on the fly ([`Representation`]);
//! 6. it is decided what the request gets of it, by its conditions and its range ([`ResponsePlan`]);
//! 7. the file is opened and its bytes set out ([`FileBody`]);
//! 8. what is sent ends early where the key is taken away meanwhile ([`Authorizations`]).
//!
//! What a request found out is [kept](crate::files::open_file_cache), for those of the next moment to be answered [at once](crate::files::cached_response).

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

/// Answers `GET` and `HEAD` on a path of the tree.
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

/// A request that may read what it asks for.
struct FileRequest<'a> {
    app: &'a App,
    target: &'a AuthorizedPath,
    parts: &'a Parts,
}

impl FileRequest<'_> {
    /// A file that was found.
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
                // What can't be opened is for those to say who want to read it.
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
        // Opened for HEAD as well: what GET could not read, HEAD must not promise.
        let file = Arc::new(file.open().map_err(|it| self.unreadable(it))?);
        if let Some(encoder) = encoder {
            // What is coded passes through here.
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

    /// Whether what is found out about a file may be of use to the requests of a moment.
    fn is_kept(&self, file: &FoundFile) -> bool {
        let Parts { method, uri, .. } = self.parts;
        file.real_path.is_none() && file.stat.is_settled() && OpenFileCache::is_for(method, uri)
    }

    fn keep(&self, known: CachedFile) {
        if !known.representation.is_coded() {
            self.app.open_files.insert(&self.parts.uri, known);
        }
    }

    /// The path, and how the log shows it.
    fn path(&self) -> (RelPath, String) {
        let open = self.parts.extensions.get::<Arc<InFlight>>();
        (self.target.path.clone(), open.map_or_else(String::new, |it| it.path().to_owned()))
    }

    /// The file as it is, or parts of it. Where it was wanted coded it takes turns with those that are.
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
