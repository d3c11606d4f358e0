//! A folder as a page for people and for programs that read pages, or as JSON.
//!
//! A folder's names are read and put in order at once; sizes and times are asked for a page of entries at a time,
//! on the blocking pool and only as fast as the client reads. A client that goes away ends it. Nothing of it is
//! cached: a listing is as fresh as its request.

mod html;
mod json;

use std::cmp::Reverse;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, StatusCode, header};
use jiff::Timestamp;
use percent_encoding::{CONTROLS, utf8_percent_encode};
use volume::names::{Kind, Name, Names};
use volume::{FoundFolder, RelPath, Stat};

use crate::app::App;
use crate::coding::{self, Coding};
use crate::fields;
use crate::page;
use crate::problem::{Problem, ReadError};
use crate::query;
use crate::text::visible;
use crate::visit::Visit;

/// Entries whose sizes and times are asked for, written and sent together.
const PAGE: usize = 500;
/// A listing of fewer entries than this is not worth a coding.
const WORTH_CODING: usize = 20;

/// How many entries there are in all, for clients that ask for a part of them.
pub const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// What a request wants of a listing.
#[derive(Debug)]
struct Wish {
    format: Format,
    /// At most so many entries (JSON only).
    limit: Option<usize>,
    /// Those behind this one only (JSON only); a folder's name ends in `/`.
    after: Option<Vec<u8>>,
    sort: Sort,
    /// Only names with this text in them, whatever its case.
    filter: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Html,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sort {
    by: By,
    is_reversed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Name,
    Size,
    Date,
}

/// A listing on its way: what is left of it, and how to write that.
struct Listing {
    app: Arc<App>,
    names: Names,
    /// Positions in `names`, in the order of the listing.
    shown: Vec<u32>,
    /// How many of them are written.
    written: usize,
    format: Format,
    /// Whether the page has an upload area.
    takes_uploads: bool,
    /// What comes before the first entry.
    head: String,
}

/// An entry as it is shown.
struct Entry<'a> {
    name: Name<'a>,
    stat: Stat,
}

/// Lists a folder that was found and may be read.
pub async fn answer(
    app: Arc<App>,
    visit: Visit,
    folder: FoundFolder,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let wish = Wish::of(query, headers)?;
    let coding = Coding::preferred(headers);
    let service = Arc::clone(&app);
    let prepare = move || Prepared::new(service, &visit, folder, &wish);
    let Prepared { listing, first, total, next } =
        tokio::task::spawn_blocking(prepare).await.map_err(Problem::internal)??;
    let (format, takes_uploads) = (listing.format, listing.takes_uploads);
    let is_worth_coding = listing.shown.len() >= WORTH_CODING;
    let body = if listing.is_done() {
        Body::from(first)
    } else {
        Body::from_stream(listing.stream(first))
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    fields::set(headers, header::CACHE_CONTROL, "no-cache");
    fields::set(headers, header::VARY, "Accept, Accept-Encoding");
    fields::set(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    fields::set(headers, TOTAL_COUNT, &total.to_string());
    match format {
        Format::Html => {
            fields::set(headers, header::CONTENT_TYPE, "text/html; charset=utf-8");
            let policy = if takes_uploads {
                page::content_security_policy_with_uploads()
            } else {
                page::content_security_policy()
            };
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
            // The address may hold a key.
            fields::set(headers, header::REFERRER_POLICY, "same-origin");
        }
        Format::Json => {
            fields::set(headers, header::CONTENT_TYPE, "application/json");
            if let Some(next) = next {
                fields::set(headers, header::LINK, &format!("<{next}>; rel=\"next\""));
            }
        }
    }
    if let Some(encoder) = is_worth_coding.then(|| app.encoders.take(coding)).flatten() {
        fields::set(headers, header::CONTENT_ENCODING, coding.token());
        let plain = std::mem::take(response.body_mut());
        *response.body_mut() = encoder.encode(plain, None);
    }
    Ok(response)
}

/// To a folder's own address, which ends in a slash. Relative, so that it holds behind any proxy.
pub fn redirect(path: &RelPath, query: Option<&str>) -> Response {
    let name = volume::escape(path.file_name().unwrap_or_default());
    let query =
        query.map(|it| format!("?{}", utf8_percent_encode(it, CONTROLS))).unwrap_or_default();
    let mut response = Response::new(Body::empty());
    // Not for good: the name may be a file's tomorrow.
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    fields::set(response.headers_mut(), header::LOCATION, &format!("./{name}/{query}"));
    fields::set(response.headers_mut(), header::CACHE_CONTROL, "no-cache");
    response
}

impl Wish {
    fn of(query: Option<&str>, headers: &HeaderMap) -> Result<Wish, Problem> {
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
        Ok(Wish { format, limit, after: query::value(query, "after"), sort, filter })
    }
}

impl Format {
    /// JSON for whoever asks for it by name and does not like HTML better.
    fn preferred(headers: &HeaderMap) -> Format {
        let weight = |media_type: &str| {
            let values = headers.get_all(header::ACCEPT).iter().filter_map(|it| it.to_str().ok());
            let mut items = values
                .flat_map(|it| it.split(','))
                .map(|it| it.split_once(';').unwrap_or((it, "")));
            let found = items.find(|(name, _)| name.trim().eq_ignore_ascii_case(media_type));
            found.map_or(0, |(_, parameters)| coding::quality(parameters))
        };
        if weight("application/json") > weight("text/html") { Format::Json } else { Format::Html }
    }
}

impl Sort {
    const BY_NAME: Sort = Sort { by: By::Name, is_reversed: false };

    fn parse(text: &str) -> Result<Sort, Problem> {
        let name = text.strip_prefix('-').unwrap_or(text);
        let by = match name {
            "name" => By::Name,
            "size" => By::Size,
            "date" => By::Date,
            _ => {
                let what =
                    "`sort` is `name`, `size` or `date`, with a `-` in front for the reverse.";
                return Err(Problem::BadQuery(what.to_owned()));
            }
        };
        Ok(Sort { by, is_reversed: name != text })
    }
}

/// A listing with its first page written, and what its header says of it.
struct Prepared {
    listing: Listing,
    first: Bytes,
    total: usize,
    /// Where the next page is.
    next: Option<String>,
}

impl Prepared {
    /// Blocks on the disk.
    fn new(
        app: Arc<App>,
        visit: &Visit,
        folder: FoundFolder,
        wish: &Wish,
    ) -> Result<Prepared, Problem> {
        let may_read = |path: &RelPath| visit.caller.may_read(path).is_ok();
        let place = folder.real_path.as_ref().unwrap_or(&visit.path);
        let takes_uploads =
            [&visit.path, place].iter().all(|it| visit.caller.may_write(it).is_ok());
        let names = Names::read(&app.volume, folder, &visit.path, may_read)
            .map_err(|source| ReadError { path: visit.path.clone(), source })?;
        let mut shown = wish.select(&names);
        wish.sort.apply(&app, &names, &mut shown);
        let total = shown.len();
        let mut next = None;
        if wish.format == Format::Json {
            shown.drain(..wish.start(&names, &shown));
            if let Some(limit) = wish.limit.filter(|it| *it < shown.len()) {
                shown.truncate(limit);
                next = shown
                    .last()
                    .and_then(|it| names.get(*it as usize))
                    .map(|it| wish.next_page(limit, it));
            }
        }
        let head = match wish.format {
            Format::Html => {
                html::head(&visit.path, &Counts::of(&names, &shown), wish, takes_uploads)
            }
            Format::Json => json::HEAD.to_owned(),
        };
        let format = wish.format;
        let mut listing = Listing { app, names, shown, written: 0, format, takes_uploads, head };
        let first = listing.next_page();
        Ok(Prepared { listing, first, total, next })
    }
}

impl Wish {
    fn select(&self, names: &Names) -> Vec<u32> {
        let matches = |index: &u32| {
            self.filter.is_empty()
                || names
                    .get(*index as usize)
                    .is_some_and(|it| visible(it.bytes).to_lowercase().contains(&self.filter))
        };
        // No folder holds four thousand million names.
        let len = u32::try_from(names.len()).unwrap_or(u32::MAX);
        (0..len).filter(matches).collect()
    }

    /// How many of the entries come before the page that is asked for.
    fn start(&self, names: &Names, shown: &[u32]) -> usize {
        let Some(after) = self.after.as_deref().filter(|it| !it.is_empty()) else { return 0 };
        let position = match after.strip_suffix(b"/") {
            Some(folder) => names.position_after(Kind::Folder, folder),
            None => names.position_after(Kind::File, after),
        };
        shown.partition_point(|it| (*it as usize) < position)
    }

    fn next_page(&self, limit: usize, last: Name<'_>) -> String {
        let slash = if last.kind == Kind::Folder { "%2F" } else { "" };
        let filter = match self.filter.as_str() {
            "" => String::new(),
            filter => format!("&filter={}", volume::escape(filter.as_bytes())),
        };
        format!("?format=json&limit={limit}&after={}{slash}{filter}", volume::escape(last.bytes))
    }
}

impl Sort {
    /// Folders stay first. By size or date every entry is asked for its own, and one number is kept of each.
    fn apply(self, app: &App, names: &Names, shown: &mut [u32]) {
        let stat = |it: &u32| names.get(*it as usize).and_then(|it| names.stat(&app.volume, it));
        let kind = |it: &u32| names.get(*it as usize).map(|it| it.kind);
        match self.by {
            By::Name => {}
            By::Size => {
                shown.sort_by_cached_key(|it| match kind(it) {
                    Some(Kind::File) => (kind(it), stat(it).map_or(0, |it| it.len)),
                    _ => (kind(it), 0),
                });
            }
            By::Date => shown.sort_by_cached_key(|it| {
                (kind(it), stat(it).map_or(0, |it| it.modified_seconds()))
            }),
        }
        if self.is_reversed {
            shown.reverse();
            shown.sort_by_key(|it| Reverse(kind(it) == Some(Kind::Folder)));
        }
    }
}

/// How many there are of each kind.
struct Counts {
    folders: usize,
    files: usize,
}

impl Counts {
    fn of(names: &Names, shown: &[u32]) -> Counts {
        let is_folder =
            |it: &&u32| names.get(**it as usize).is_some_and(|it| it.kind == Kind::Folder);
        let folders = shown.iter().filter(is_folder).count();
        Counts { folders, files: shown.len() - folders }
    }
}

impl Listing {
    fn is_done(&self) -> bool {
        self.written == self.shown.len()
    }

    /// The next entries, as text. Blocks on the disk.
    fn next_page(&mut self) -> Bytes {
        let mut out = std::mem::take(&mut self.head);
        if self.format == Format::Html && self.written > 0 {
            out.push_str(html::NEXT_GROUP);
        }
        let end = self.shown.len().min(self.written + PAGE);
        for index in self.shown.get(self.written..end).unwrap_or_default() {
            let Some(name) = self.names.get(*index as usize) else { continue };
            // Gone since the folder was read.
            let Some(stat) = self.names.stat(&self.app.volume, name) else { continue };
            let entry = Entry { name, stat };
            match self.format {
                Format::Html => html::entry(&mut out, &entry),
                Format::Json => json::entry(&mut out, &entry),
            }
        }
        self.written = end;
        if self.is_done() {
            match self.format {
                Format::Html => html::tail(&mut out, self.takes_uploads),
                Format::Json => json::tail(&mut out),
            }
        }
        Bytes::from(out)
    }

    /// Page after page, each made when the one before is on its way.
    fn stream(
        self,
        first: Bytes,
    ) -> impl futures_util::Stream<Item = Result<Bytes, tokio::task::JoinError>> + Send {
        stream::unfold((Some(first), Some(self)), async |(first, listing)| {
            if let Some(first) = first {
                return Some((Ok(first), (None, listing)));
            }
            let mut listing = listing.filter(|it| !it.is_done())?;
            let made = tokio::task::spawn_blocking(move || (listing.next_page(), listing)).await;
            match made {
                Ok((page, listing)) => Some((Ok(page), (None, Some(listing)))),
                Err(error) => Some((Err(error), (None, None))),
            }
        })
    }
}

impl Entry<'_> {
    /// The last write; a time that no calendar has becomes the nearest that one has.
    fn modified(&self) -> Timestamp {
        let nearest = if self.stat.modified < 0 { Timestamp::MIN } else { Timestamp::MAX };
        Timestamp::from_nanosecond(self.stat.modified).unwrap_or(nearest)
    }
}
