//! The parts that all pages share: style, script, and a policy that allows nothing else.
//!
//! Style and script are inside the page. So nothing is loaded from elsewhere, and a saved page still works.

use std::fmt::Write;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use sha2::{Digest, Sha256};

use crate::web::text::escape_html;

const STYLE: &str = include_str!("page.css");
/// The script at the end of a listing.
pub(crate) const SCRIPT: &str = include_str!("page.js");

/// A second script, for callers who may upload.
pub(crate) const UPLOAD_SCRIPT: &str = concat!(include_str!("size.js"), include_str!("upload.js"));

/// `Content-Security-Policy` for pages: their own style and script, by hash, and nothing else.
pub(crate) fn content_security_policy() -> HeaderValue {
    static POLICY: LazyLock<String> = LazyLock::new(|| policy("'none'", &[SCRIPT]));
    header(&POLICY)
}

/// The same for a page with an upload area, which connects to its own server.
pub(crate) fn content_security_policy_with_uploads() -> HeaderValue {
    static POLICY: LazyLock<String> = LazyLock::new(|| policy("'self'", &[SCRIPT, UPLOAD_SCRIPT]));
    header(&POLICY)
}

fn policy(connect: &str, scripts: &[&str]) -> String {
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
    let scripts: Vec<String> = scripts.iter().map(|it| hash(it)).collect();
    format!(
        "default-src 'none'; connect-src {connect}; style-src {}; script-src {}; img-src data:; form-action 'self'; \
         base-uri 'self'; frame-ancestors 'none'",
        hash(STYLE),
        scripts.join(" ")
    )
}

fn header(policy: &str) -> HeaderValue {
    HeaderValue::from_str(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// The beginning of a page, up to its body. `more` is added to its head.
pub(crate) fn top(title: &str, more: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n<style>{STYLE}</style>\n{more}</head>\n<body>\n",
        escape_html(title)
    )
}

/// Escapes text, and marks the parts between backticks as code.
fn with_code(text: &str) -> String {
    let mut parts = text.split('`').map(escape_html);
    let mut out = parts.next().unwrap_or_default();
    while let (Some(code), rest) = (parts.next(), parts.next()) {
        let _infallible = write!(out, "<code>{code}</code>{}", rest.unwrap_or_default());
    }
    out
}

/// A small page for a problem, with a link (its URL and text) to something that the reader may have instead.
pub(crate) fn of_problem(
    status: u16,
    title: &str,
    detail: &str,
    link: Option<(String, String)>,
) -> String {
    let (heading, detail) = (escape_html(title), with_code(detail));
    let link = link.map_or_else(String::new, |(address, text)| {
        format!("<p><a href=\"{}\">{}</a></p>\n", escape_html(&address), escape_html(&text))
    });
    format!(
        "{}<main class=\"problem\">\n<h1>{status}: {heading}</h1>\n<p>{detail}</p>\n{link}</main>\n</body>\n</html>\n",
        top(title, "")
    )
}
