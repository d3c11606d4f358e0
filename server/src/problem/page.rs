//! Problems as a small HTML page, for browsers.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderValue, Method, header};

use super::{BEARER, ProblemBody, folder};
use crate::http::accept;
use crate::web::page;

/// How a request's problem is shown: as a page, or as JSON.
#[derive(Clone, Debug)]
pub(crate) struct ErrorPage {
    /// Whether the client prefers HTML to JSON, as browsers do.
    wants_html: bool,
    is_head: bool,
    /// The beginning of the request's URL, if it has a key in it. Links then begin with it too.
    shared: Option<String>,
}

impl ErrorPage {
    /// From a request's header fields.
    pub(crate) fn of(request: &Request) -> ErrorPage {
        let liking = |media_type| accept::liking(request.headers(), media_type);
        let json = liking("application/problem+json").max(liking("application/json"));
        let wants_html = liking("text/html") > json;
        let shared = wants_html.then(|| shared(request.uri().path())).flatten();
        ErrorPage { wants_html, is_head: *request.method() == Method::HEAD, shared }
    }

    /// Replaces a problem's JSON by a page, if the response is a problem and the client prefers HTML.
    pub(crate) fn rewrite(self, response: &mut Response) {
        if !self.wants_html {
            return;
        }
        let Some(told) = response.extensions().get::<ProblemBody>() else { return };
        let link = told.leads_to.as_ref().map(|path| {
            let root = self.shared.as_deref().unwrap_or("/files/");
            (format!("{root}{}", path.to_url()), folder(path))
        });
        let html = match told.for_people {
            // Below `/share/KEY/` the key in the URL counts, even if the browser asks for another one.
            Some(detail) if self.shared.is_none() => {
                let again = (String::new(), "Enter a key".to_owned());
                page::of_problem(told.status, told.heading, detail, Some(again))
            }
            _ => page::of_problem(told.status, told.heading, &told.detail, link),
        };
        let length = html.len();
        *response.body_mut() = if self.is_head { Body::empty() } else { Body::from(html) };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        if self.shared.is_some() && headers.contains_key(header::WWW_AUTHENTICATE) {
            // With `Basic`, the browser would ask for a password again and again. None would help, because the key in the URL counts.
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(BEARER));
        }
        headers.insert(header::CONTENT_SECURITY_POLICY, page::content_security_policy());
    }
}

/// The beginning `/share/KEY/` of a path.
fn shared(path: &str) -> Option<String> {
    let (key, _) = path.strip_prefix("/share/")?.split_once('/')?;
    Some(format!("/share/{key}/"))
}
