//! The options of a listing, from a request's query and `Accept`.

use http::{HeaderMap, Uri};
use volume::names::{Kind, Name};

use super::sort::Sort;
use crate::extract::path::AuthorizedPath;
use crate::extract::query;
use crate::http::accept;
use crate::problem::Problem;

/// The query parameters of a listing.
pub(super) const PARAMETERS: [&str; 5] = ["format", "sort", "filter", "limit", "after"];

#[derive(Debug)]
pub(super) struct ListingOptions {
    /// The folder's address as requested, which the page shows as its title.
    pub(super) address: String,
    pub(super) format: Format,
    /// Maximum number of entries (JSON only).
    pub(super) limit: Option<usize>,
    /// Only entries after this one (JSON only). A folder's name ends in `/`.
    pub(super) after: Option<Vec<u8>>,
    pub(super) sort: Sort,
    /// Only names that contain this text, in lower case.
    pub(super) filter: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Html,
    Json,
}

impl ListingOptions {
    pub(super) fn of(uri: &Uri, headers: &HeaderMap) -> Result<ListingOptions, Problem> {
        let query = uri.query();
        query::only(query, &PARAMETERS)?;
        let text =
            |name| query::value(query, name).map(|it| String::from_utf8_lossy(&it).into_owned());
        let format = match text("format").as_deref() {
            Some("json") => Format::Json,
            Some("html") => Format::Html,
            Some(_) => return Err(Problem::BadQuery("`format` is `json` or `html`.".to_owned())),
            None => Format::preferred(headers),
        };
        let limit = match text("limit").map(|it| it.parse::<usize>()) {
            None => None,
            Some(Ok(limit @ 1..)) => Some(limit),
            Some(_) => return Err(Problem::BadQuery("`limit` is a number from 1 on.".to_owned())),
        };
        let sort = Sort::parse(text("sort").as_deref().unwrap_or("name"))?;
        if sort != Sort::BY_NAME && (limit.is_some() || query::value(query, "after").is_some()) {
            return Err(Problem::BadQuery(
                "Pages by `limit` and `after` are in the order of names.".to_owned(),
            ));
        }
        let filter = text("filter").unwrap_or_default().to_lowercase();
        let address = uri.path().to_owned();
        Ok(ListingOptions {
            address,
            format,
            limit,
            after: query::value(query, "after"),
            sort,
            filter,
        })
    }

    /// Whether the address ends in an encoded slash. A page's relative links would then lead elsewhere.
    pub(super) fn needs_slash(&self, target: &AuthorizedPath) -> bool {
        self.format == Format::Html && target.last_names > 0
    }

    pub(super) fn next_page(&self, limit: usize, last: Name<'_>) -> String {
        let slash = if last.kind == Kind::Folder { "%2F" } else { "" };
        let filter = match self.filter.as_str() {
            "" => String::new(),
            filter => format!("&filter={}", volume::escape(filter.as_bytes())),
        };
        format!("?format=json&limit={limit}&after={}{slash}{filter}", volume::escape(last.bytes))
    }
}

impl Format {
    /// JSON for clients that prefer it to HTML.
    pub(super) fn preferred(headers: &HeaderMap) -> Format {
        let liking = |media_type| accept::liking(headers, media_type);
        if liking("application/json") > liking("text/html") { Format::Json } else { Format::Html }
    }
}
