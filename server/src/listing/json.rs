//! A listing as JSON: an array of `{"name","type","size","mtime","etag"}`.
//!
//! A name that is no UTF-8 is shown as well as it can be and has its address in `href` besides.

use serde::Serialize;
use volume::names::Kind;

use super::Entry;
use crate::{etag, text};

/// What comes before the first entry.
pub(super) const HEAD: &str = "[";

#[derive(Serialize)]
struct Row {
    name: String,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    mtime: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    href: Option<String>,
}

pub(super) fn entry(out: &mut String, entry: &Entry<'_>) {
    let is_file = entry.name.kind == Kind::File;
    let (name, href) = match std::str::from_utf8(entry.name.bytes) {
        Ok(name) => (name.to_owned(), None),
        Err(_) => {
            (String::from_utf8_lossy(entry.name.bytes).into_owned(), Some(text::href(entry.name)))
        }
    };
    let row = Row {
        name,
        r#type: if is_file { "file" } else { "directory" },
        size: is_file.then_some(entry.stat.len),
        mtime: format!("{:.3}", entry.modified()),
        etag: is_file.then(|| etag::of(&entry.stat)),
        href,
    };
    match serde_json::to_string(&row) {
        Ok(row) => {
            out.push_str(if out == HEAD { "\n" } else { ",\n" });
            out.push_str(&row);
        }
        Err(error) => tracing::error!("an entry could not be written as JSON: {error}"),
    }
}

pub(super) fn tail(out: &mut String) {
    out.push_str("\n]\n");
}
