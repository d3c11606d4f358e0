//! Answers that were given a moment ago, given again if the file is still the same.
//!
//! Most of what a small answer costs is finding out all about its file once more. So what was found out is kept for a moment, with
//! the content where that is small. One look at the file's stamp (a system call) tells whether it is still that version of it, and
//! the caller's key is looked at as ever. Only the way there is trusted that long: who puts a symbolic link in the place of a
//! *folder* is noticed when the [moment](MOMENT) is over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri, header};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use volume::{RelPath, Stat};

use crate::activity::Open;
use crate::app::App;
use crate::auth::{self, Purpose};
use crate::coding::Coding;
use crate::conditions;
use crate::problem::Problem;
use crate::validators::{Validators, Verdict};

/// How long the way to a file is trusted.
const MOMENT: Duration = Duration::from_secs(1);
/// Bytes of the largest content that is kept.
pub const LARGEST: u64 = 16 * 1024;
/// Bytes of all that is kept, about.
const ROOM: u64 = 8 << 20;
/// Bytes that one takes besides its content, about.
const OVERHEAD: u64 = 3 * 1024;

/// What is kept, by the paths of requests.
#[derive(Debug)]
pub struct Recall(Cache<Box<str>, Arc<Known>, Weight>);

/// What was found out about a file that lies behind no link, in the form in which most get it: uncoded.
#[derive(Debug)]
pub struct Known {
    /// Where it is.
    pub path: RelPath,
    /// Which version it is.
    pub stat: Stat,
    /// Of that version.
    pub validators: Validators,
    /// Whether another request could get it in a coding.
    pub is_negotiated: bool,
    /// The header of a 304.
    pub unchanged: HeaderMap,
    /// None where that is too large.
    pub whole: Option<Whole>,
    /// When the way there was gone.
    pub found: Instant,
}

/// All of a file.
#[derive(Debug)]
pub struct Whole {
    /// The header of a 200.
    pub head: HeaderMap,
    /// The file's bytes.
    pub content: Bytes,
}

#[derive(Clone, Debug)]
struct Weight;

impl Weighter<Box<str>, Arc<Known>> for Weight {
    fn weight(&self, path: &Box<str>, known: &Arc<Known>) -> u64 {
        path.len() as u64 + OVERHEAD + known.whole.as_ref().map_or(0, |it| it.content.len() as u64)
    }
}

impl Default for Recall {
    fn default() -> Recall {
        let items = usize::try_from(ROOM / OVERHEAD).unwrap_or_default();
        Recall(Cache::with_weighter(items, ROOM, Weight))
    }
}

impl Recall {
    /// Whether what a request finds out may be kept, or may have been.
    pub fn is_for(method: &Method, uri: &Uri) -> bool {
        matches!(*method, Method::GET | Method::HEAD)
            && uri.query().is_none()
            // A key in an address is not to be kept.
            && uri.path().starts_with("/files/")
    }

    /// What was found out a moment ago.
    pub fn fresh(&self, path: &str) -> Option<Arc<Known>> {
        self.0.get(path).filter(|it| it.found.elapsed() < MOMENT)
    }

    /// Keeps what was found out for the requests of a moment.
    pub fn keep(&self, path: &str, known: Known) {
        self.0.insert(path.into(), Arc::new(known));
    }

    /// The answer to a request, where it is known; none where it must be found out.
    pub async fn answer(
        &self,
        app: &App,
        open: &Open,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Option<Result<Response, Problem>> {
        let method = open.method();
        if !Recall::is_for(method, uri) || headers.contains_key(header::RANGE) {
            return None;
        }
        let known = self.fresh(uri.path())?;
        if known.whole.is_none() && !conditions::are_in(headers) {
            return None;
        }
        if known.is_negotiated && Coding::preferred(headers) != Coding::Identity {
            return None;
        }
        let key = auth::key_in(headers);
        let caller = auth::identify(app, open.client(), key, Purpose::Read, &known.path).await;
        let may_read = caller.and_then(|it| {
            open.is_from(&it);
            it.may_read(&known.path)
        });
        if let Err(problem) = may_read {
            return Some(Err(problem));
        }
        if app.volume.glance(&known.path) != Some(known.stat) {
            return None;
        }
        match known.validators.verdict(headers) {
            Verdict::Failed => Some(Err(Problem::PreconditionFailed)),
            Verdict::NotModified => Some(Ok(with(&known.unchanged, StatusCode::NOT_MODIFIED))),
            Verdict::Proceed => {
                let Whole { head, content } = known.whole.as_ref()?;
                let mut response = with(head, StatusCode::OK);
                if *method == Method::GET {
                    *response.body_mut() = Body::from(content.clone());
                }
                Some(Ok(response))
            }
        }
    }
}

fn with(headers: &HeaderMap, status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().clone_from(headers);
    response
}
