//! A folder as a page for people and for programs that read pages, or as JSON.
//!
//! A folder's names are read and put in order at once; sizes and times are asked for a page of entries at a time,
//! on the blocking pool, two pages side by side and only as fast as the client reads. A client that goes away ends it,
//! whatever it is at. Nothing of it is cached: a listing is as fresh as its request.

mod html;
mod json;
pub mod way;

use std::future::ready;
use std::sync::{Arc, Weak};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use http::{HeaderMap, HeaderName, StatusCode, header};
use jiff::Timestamp;
use percent_encoding::{CONTROLS, utf8_percent_encode};
use tokio::task::JoinError;
use volume::names::{Kind, Name, Names};
use volume::{FoundFolder, RelPath, Stat};

use crate::accept;
use crate::app::App;
use crate::coding::Coding;
use crate::cross_origin::Embedding;
use crate::fields;
use crate::page;
use crate::problem::{Problem, ReadError};
use crate::query;
use crate::text::visible;
use crate::visit::Visit;

/// Entries whose sizes and times are asked for, written and sent together.
const PAGE: usize = 500;
/// What an entry takes as text, where its name is not long: a page grows no more than once or twice.
const ROOM: usize = 160;
/// Pages that are made at the same time. Asking for sizes is most of a listing's work, and the kernel does it for two as fast
/// as for one; with more, a listing would leave others nothing of a small machine.
const PAGES_AT_ONCE: usize = 2;
/// Entries that are not worth a second thread, where all are asked before the first is written.
const WORTH_A_THREAD: usize = 2000;
/// A listing of fewer entries than this is not worth a coding.
const WORTH_CODING: usize = 20;

/// What a listing can be asked for in a URL's query.
const PARAMETERS: [&str; 5] = ["format", "sort", "filter", "limit", "after"];

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

/// A listing that is ready to be written, in pages that know nothing of each other.
struct Listing {
    app: Arc<App>,
    names: Names,
    /// Positions in `names`, in the order of the listing.
    shown: Vec<u32>,
    format: Format,
    /// Whether the page has an upload area.
    takes_uploads: bool,
    /// What comes before the first entry.
    head: String,
}

/// Whoever waits for an answer or reads it, as the threads see it that work for it. The answer holds the `Arc`, so all
/// threads know at once when it is dropped.
#[derive(Clone)]
struct Reader(Weak<()>);

impl Reader {
    fn of(answered: &Arc<()>) -> Reader {
        Reader(Arc::downgrade(answered))
    }

    fn is_there(&self) -> bool {
        self.0.strong_count() > 0
    }
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
    if wish.needs_slash(&visit) {
        return redirect(&visit, query);
    }
    let coding = Coding::preferred(headers);
    let service = Arc::clone(&app);
    let answered = Arc::new(());
    let reader = Reader::of(&answered);
    let prepare = move || Prepared::new(service, &visit, folder, &wish, &reader);
    let Prepared { listing, first, total, next } =
        tokio::task::spawn_blocking(prepare).await.map_err(Problem::internal)??;
    let (format, takes_uploads) = (listing.format, listing.takes_uploads);
    let is_worth_coding = listing.shown.len() >= WORTH_CODING;
    let body = if listing.pages() == 1 {
        Body::from(first)
    } else {
        Body::from_stream(Arc::new(listing).stream(first, answered))
    };
    let mut response = respond(body, format, total, takes_uploads);
    let headers = response.headers_mut();
    if let Some(next) = next {
        fields::set(headers, header::LINK, &format!("<{next}>; rel=\"next\""));
    }
    if let Some(encoder) = is_worth_coding.then(|| app.encoders.take(coding)).flatten() {
        fields::set(headers, header::CONTENT_ENCODING, coding.token());
        let plain = std::mem::take(response.body_mut());
        *response.body_mut() = encoder.encode(plain, None);
    }
    Ok(response)
}

/// A listing's answer, with the fields that each has.
fn respond(body: Body, format: Format, total: usize, takes_uploads: bool) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    fields::set(headers, header::CACHE_CONTROL, "no-cache");
    fields::set(headers, header::VARY, "Accept, Accept-Encoding");
    fields::set(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    fields::set(headers, TOTAL_COUNT, &total.to_string());
    Embedding::SameOrigin.tell(headers);
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
        }
    }
    response
}

/// To a folder's own address, which ends in a slash. Relative, so that it holds behind any proxy.
pub fn redirect(visit: &Visit, query: Option<&str>) -> Result<Response, Problem> {
    query::only(query, &PARAMETERS)?;
    let folder = visit.reference(&visit.path);
    let query =
        query.map(|it| format!("?{}", utf8_percent_encode(it, CONTROLS))).unwrap_or_default();
    let mut response = Response::new(Body::empty());
    // Not for good: the name may be a file's tomorrow.
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    fields::set(response.headers_mut(), header::LOCATION, &format!("{folder}/{query}"));
    fields::set(response.headers_mut(), header::CACHE_CONTROL, "no-cache");
    Ok(response)
}

impl Wish {
    fn of(query: Option<&str>, headers: &HeaderMap) -> Result<Wish, Problem> {
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
        Ok(Wish { format, limit, after: query::value(query, "after"), sort, filter })
    }
}

impl Format {
    /// JSON for whoever likes it better.
    fn preferred(headers: &HeaderMap) -> Format {
        let liking = |media_type| accept::liking(headers, media_type);
        if liking("application/json") > liking("text/html") { Format::Json } else { Format::Html }
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
        reader: &Reader,
    ) -> Result<Prepared, Problem> {
        let may_read = |path: &RelPath| visit.caller.may_read(path).is_ok();
        let place = folder.real_path.as_ref().unwrap_or(&visit.path);
        let takes_uploads =
            [&visit.path, place].iter().all(|it| visit.caller.may_write(it).is_ok());
        let is_wanted = || reader.is_there();
        let names = Names::read_while(is_wanted, &app.volume, folder, &visit.path, may_read)
            .map_err(|source| ReadError { path: visit.path.clone(), source })?;
        let mut shown = wish.select(&names);
        let counts = Counts::of(&names, &shown);
        let (folders, files) = shown.split_at_mut(counts.folders);
        let asked = Asked { app: &app, names: &names, reader };
        wish.sort.apply(&asked, folders, files);
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
            Format::Html => html::head(visit, &counts.in_words(&wish.filter), wish, takes_uploads),
            Format::Json => json::HEAD.to_owned(),
        };
        let format = wish.format;
        let listing = Listing { app, names, shown, format, takes_uploads, head };
        let first = listing.page(0, reader);
        Ok(Prepared { listing, first, total, next })
    }
}

impl Wish {
    /// Whether the address ends in an encoded slash, from which the relative links of a page would lead elsewhere.
    fn needs_slash(&self, visit: &Visit) -> bool {
        self.format == Format::Html && visit.last_names > 0
    }

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
    /// Folders stay first. Sizes and dates are asked of all entries, and one number is kept of each.
    fn apply(self, asked: &Asked<'_>, folders: &mut [u32], files: &mut [u32]) {
        match self.by {
            By::Name => {}
            By::Size => asked.sort(files, |it| it.len),
            By::Date => {
                asked.sort(folders, Stat::modified_seconds);
                asked.sort(files, Stat::modified_seconds);
            }
        }
        if self.is_reversed {
            folders.reverse();
            files.reverse();
        }
    }
}

/// What is asked of the disk for all entries at once.
struct Asked<'a> {
    app: &'a App,
    names: &'a Names,
    reader: &'a Reader,
}

impl Asked<'_> {
    /// By a number that the disk knows, and by name where that is the same.
    fn sort<N: Ord + Default + Send>(&self, shown: &mut [u32], number: impl Fn(&Stat) -> N + Sync) {
        let of = |part: &[u32]| -> Vec<(N, u32)> {
            let stat = |it: u32| {
                let name = self.names.get(it as usize).filter(|_| self.reader.is_there())?;
                self.names.stat(&self.app.volume, name)
            };
            part.iter()
                .map(|it| (stat(*it).as_ref().map(&number).unwrap_or_default(), *it))
                .collect()
        };
        let mut numbers = if shown.len() < WORTH_A_THREAD {
            of(shown)
        } else {
            let (left, right) = shown.split_at(shown.len() / 2);
            std::thread::scope(|scope| {
                let right = scope.spawn(|| of(right));
                let mut numbers = of(left);
                numbers.extend(right.join().unwrap_or_else(|it| std::panic::resume_unwind(it)));
                numbers
            })
        };
        // Positions are in the order of names, and no two are equal.
        numbers.sort_unstable();
        for (place, (_, index)) in shown.iter_mut().zip(numbers) {
            *place = index;
        }
    }
}

/// How many there are of each kind.
struct Counts {
    folders: usize,
    files: usize,
}

impl Counts {
    /// Of names in their order.
    fn of(names: &Names, shown: &[u32]) -> Counts {
        let is_folder =
            |it: &u32| names.get(*it as usize).is_some_and(|it| it.kind == Kind::Folder);
        let folders = shown.partition_point(is_folder);
        Counts { folders, files: shown.len() - folders }
    }
}

impl Listing {
    /// An empty listing has a page as well.
    fn pages(&self) -> usize {
        self.shown.len().div_ceil(PAGE).max(1)
    }

    /// The entries of one page, as text, with what comes before the first and behind the last. Blocks on the disk.
    fn page(&self, number: usize, reader: &Reader) -> Bytes {
        let start = number * PAGE;
        let end = self.shown.len().min(start + PAGE);
        let (is_first, is_last) = (number == 0, end == self.shown.len());
        let shown = self.shown.get(start..end).unwrap_or_default().iter();
        let names =
            shown.map_while(|it| self.names.get(*it as usize).filter(|_| reader.is_there()));
        // Some may be gone since the folder was read.
        let entries = names.filter_map(|name| {
            Some(Entry { name, stat: self.names.stat(&self.app.volume, name)? })
        });
        let head = if is_first { self.head.as_str() } else { "" };
        let room = head.len() + (end - start) * ROOM;
        match self.format {
            Format::Html => {
                let mut out = String::with_capacity(room);
                out.push_str(head);
                if !is_first {
                    out.push_str(html::NEXT_GROUP);
                }
                for it in entries {
                    html::entry(&mut out, &it);
                }
                if is_last {
                    html::tail(&mut out, self.takes_uploads);
                }
                Bytes::from(out)
            }
            Format::Json => {
                let mut out = Vec::with_capacity(room);
                out.extend_from_slice(head.as_bytes());
                for it in entries {
                    json::entry(&mut out, &it);
                }
                if is_last {
                    json::tail(&mut out);
                }
                Bytes::from(out)
            }
        }
    }

    /// Page after page. The next ones are being made while one is on its way.
    fn stream(
        self: Arc<Self>,
        first: Bytes,
        answered: Arc<()>,
    ) -> impl Stream<Item = Result<Bytes, JoinError>> + Send {
        let mut follows_entry = first.len() > self.head.len();
        let format = self.format;
        let made = stream::iter(1..self.pages()).map(move |number| {
            let (listing, reader) = (Arc::clone(&self), Reader::of(&answered));
            tokio::task::spawn_blocking(move || listing.page(number, &reader))
        });
        let pages = made.buffered(PAGES_AT_ONCE).map_ok(move |page| {
            // All of the first page's entries were gone.
            let begins_here = format == Format::Json && !follows_entry && json::has_entry(&page);
            follows_entry |= begins_here;
            if begins_here { json::without_comma(&page) } else { page }
        });
        stream::once(ready(Ok(first))).chain(pages)
    }
}

impl Entry<'_> {
    /// The last write; a time that no calendar has becomes the nearest that one has.
    fn modified(&self) -> Timestamp {
        let nearest = if self.stat.modified < 0 { Timestamp::MIN } else { Timestamp::MAX };
        Timestamp::from_nanosecond(self.stat.modified).unwrap_or(nearest)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use transfers::Transfers;
    use transfers::transfer::Servers;
    use volume::keys::Keys;
    use volume::{Effort, Found, Volume};
    use wormhole::Settings;

    use super::*;

    /// All files of a folder that has `count` of them, for whoever holds the mark.
    fn listing(place: &std::path::Path, count: usize) -> (Arc<Listing>, Arc<()>) {
        for number in 0..count {
            std::fs::File::create_new(place.join(number.to_string())).unwrap();
        }
        let volume = Arc::new(Volume::open(place).unwrap());
        let transfers =
            Transfers::new(Arc::clone(&volume), Settings::default(), Servers::default());
        let app = App::new(volume, Keys::parse_list(""), transfers, Duration::ZERO);
        let Ok(Found::Folder(folder)) = app.volume.find(&RelPath::root(), Effort::MayBlock) else {
            panic!("a volume is a folder")
        };
        let names = Names::read(&app.volume, folder, &RelPath::root(), |_| true).unwrap();
        let answered = Arc::new(());
        let listing = Listing {
            app: Arc::new(app),
            shown: (0..u32::try_from(count).unwrap()).collect(),
            names,
            format: Format::Json,
            takes_uploads: false,
            head: json::HEAD.to_owned(),
        };
        (Arc::new(listing), answered)
    }

    fn lines(page: &Bytes) -> usize {
        page.split(|it| *it == b'\n').filter(|it| it.starts_with(b"{")).count()
    }

    #[tokio::test]
    async fn no_page_is_made_for_a_client_that_has_gone() {
        let place = tempfile::tempdir().unwrap();
        let (listing, answered) = listing(place.path(), 3 * PAGE);
        let reader = Reader::of(&answered);
        let first = listing.page(0, &reader);
        let mut pages = Box::pin(Arc::clone(&listing).stream(first, answered));
        for _ in 0..2 {
            assert_eq!(lines(&pages.next().await.unwrap().unwrap()), PAGE);
        }
        assert_eq!(lines(&listing.page(2, &reader)), PAGE);
        drop(pages);
        assert_eq!(lines(&listing.page(2, &reader)), 0);
    }

    #[tokio::test]
    async fn a_listing_whose_first_entries_are_gone_is_json_all_the_same() {
        let place = tempfile::tempdir().unwrap();
        let (listing, answered) = listing(place.path(), 3 * PAGE);
        for number in 0..PAGE + 10 {
            rustix::fs::unlink(place.path().join(number.to_string())).unwrap();
        }
        let first = listing.page(0, &Reader::of(&answered));
        let pages: Vec<Bytes> = listing.stream(first, answered).try_collect().await.unwrap();
        let pages = pages.concat();
        let entries: Vec<serde_json::Value> = serde_json::from_slice(&pages).unwrap();
        assert_eq!(entries.len(), 2 * PAGE - 10);
        assert_eq!(entries[0]["name"], "510");
    }
}
