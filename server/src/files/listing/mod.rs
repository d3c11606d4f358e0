//! A folder as a page for people and for programs that read pages, or as JSON.
//!
//! A folder's names are read and put in order at once; sizes and times are asked for a page of entries at a time,
//! on the blocking pool, when the client has taken the page before. A client that goes away ends it, whatever it is at. A listing is
//! as fresh as its request.
//!
//! What a listing holds while its client reads is small: a page. The names are in a [snapshot](snapshots) that all listings
//! share the room for. If it has been let go by the time that the client wants more, the folder is read again, and the listing goes on
//! behind the last entry that it has written: in the order of names nothing comes twice, and nothing that stayed is left out.

mod html;
mod json;
pub mod snapshots;
pub mod way;

use std::io;
use std::sync::{Arc, Weak};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderName, StatusCode, Uri, header};
use jiff::Timestamp;
use percent_encoding::{CONTROLS, utf8_percent_encode};
use volume::names::{Kind, Name, Names};
use volume::{FoundFolder, RelPath, Stat};

use crate::app::App;
use crate::extract::path::Visit;
use crate::extract::query;
use crate::http::accept;
use crate::http::content_coding::Coding;
use crate::http::cors::Embedding;
use crate::http::fields;
use crate::problem::{Problem, ReadError};
use crate::web::page;
use crate::web::text::visible;

use snapshots::{Order, Snapshot};

/// Rows that a browser can leave out together while they are not in sight.
const GROUP: usize = 500;
/// What an entry takes as text, where its name is not long: a page grows no more than once or twice.
const ROOM: usize = 160;
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
    /// The folder's address as it was asked for, which the page has for its title.
    address: String,
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

/// A listing that is being written, page after page.
struct Listing {
    app: Arc<App>,
    visit: Visit,
    folder: Arc<FoundFolder>,
    wish: Wish,
    /// Whether the page has an upload area.
    takes_uploads: bool,
    /// Gone, where others needed its room.
    snapshot: Weak<Snapshot>,
    /// Entries of the snapshot that come before the next page.
    place: usize,
    /// Entries that the listing may still have.
    left: usize,
    /// The last entry of the pages that are made.
    last: Option<(Kind, Vec<u8>)>,
    /// How many entries these pages have, with those that were gone when they were asked for.
    passed: usize,
    /// Whether any was there.
    has_entry: bool,
}

/// Some entries as text.
struct Page {
    text: Bytes,
    is_last: bool,
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
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let wish = Wish::of(uri, headers)?;
    if wish.needs_slash(&visit) {
        return redirect(&visit, uri.query());
    }
    let coding = Coding::preferred(headers);
    let service = Arc::clone(&app);
    let answered = Arc::new(());
    let reader = Reader::of(&answered);
    let prepare = move || Prepared::new(service, visit, folder, wish, &reader);
    let prepared = app.snapshots.reading.run(prepare).await;
    let Prepared { listing, first, total, listed, next } =
        prepared.map_err(Problem::internal)??;
    let (format, takes_uploads) = (listing.wish.format, listing.takes_uploads);
    let is_worth_coding = listed >= WORTH_CODING;
    let body = if first.is_last {
        Body::from(first.text)
    } else {
        Body::from_stream(listing.stream(first.text, answered))
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
    let folder = visit.own_reference();
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
    fn of(uri: &Uri, headers: &HeaderMap) -> Result<Wish, Problem> {
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
        Ok(Wish { address, format, limit, after: query::value(query, "after"), sort, filter })
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
    first: Page,
    total: usize,
    /// How many of them this answer has.
    listed: usize,
    /// Where the next page is.
    next: Option<String>,
}

impl Prepared {
    /// Blocks on the disk.
    fn new(
        app: Arc<App>,
        visit: Visit,
        folder: FoundFolder,
        wish: Wish,
        reader: &Reader,
    ) -> Result<Prepared, Problem> {
        let path = folder.real_path.as_ref().unwrap_or(&visit.path);
        let takes_uploads = [&visit.path, path].iter().all(|it| visit.caller.may_write(it).is_ok());
        let unreadable = |path: &RelPath, source| ReadError { path: path.clone(), source };
        let folder = Arc::new(folder);
        let snapshot = wish
            .snapshot(&app, &visit, &folder, reader)
            .map_err(|source| unreadable(&visit.path, source))?;
        let total = snapshot.len();
        let mut place = 0;
        let mut listed = total;
        let mut next = None;
        if wish.format == Format::Json {
            place = wish.start(&snapshot);
            listed = total - place;
            if let Some(limit) = wish.limit.filter(|it| *it < listed) {
                listed = limit;
                next = snapshot.get(place + limit - 1).map(|it| wish.next_page(limit, it));
            }
        }
        let head = match wish.format {
            Format::Html => {
                let counts = Counts::of(&snapshot).in_words(&wish.filter);
                html::head(&visit, &counts, &wish, takes_uploads)
            }
            Format::Json => json::HEAD.to_owned(),
        };
        app.snapshots.enter();
        let mut listing = Listing {
            app,
            visit,
            folder,
            wish,
            takes_uploads,
            snapshot: Arc::downgrade(&snapshot),
            place,
            left: listed,
            last: None,
            passed: 0,
            has_entry: false,
        };
        let first = listing.page(head, &snapshot, reader);
        Ok(Prepared { listing, first, total, listed, next })
    }
}

impl Wish {
    /// Whether the address ends in an encoded slash, from which the relative links of a page would lead elsewhere.
    fn needs_slash(&self, visit: &Visit) -> bool {
        self.format == Format::Html && visit.last_names > 0
    }

    /// The folder as it is now. Blocks on the disk.
    fn snapshot(
        &self,
        app: &App,
        visit: &Visit,
        folder: &Arc<FoundFolder>,
        reader: &Reader,
    ) -> io::Result<Arc<Snapshot>> {
        let has_all = self.sort == Sort::BY_NAME && self.filter.is_empty();
        // Asked before the names: whatever changes from now on gives the folder another time, once its clock has made a step.
        let stat = folder.stat_now().filter(|it| has_all && it.is_settled());
        if let Some(stat) = &stat
            && let Some(shared) = app.snapshots.find(&visit.path, stat)
        {
            return Ok(shared);
        }
        let may_read = |path: &RelPath| visit.caller.may_read(path).is_ok();
        let is_wanted = || reader.is_there();
        let names =
            Names::read_while(is_wanted, &app.volume, Arc::clone(folder), &visit.path, may_read)?;
        let order =
            if has_all { Order::All } else { self.order(&Asked { app, names: &names, reader }) };
        // Others read the folder at the same time, and one of them was the first.
        if let Some(shared) = stat.as_ref().and_then(|it| app.snapshots.find(&visit.path, it)) {
            return Ok(shared);
        }
        let version = stat.map(|it| (visit.path.clone(), it));
        Ok(Arc::new(Snapshot::new(names, order, version)))
    }

    /// What is listed, in the order of the listing.
    fn order(&self, asked: &Asked<'_>) -> Order {
        let mut listed = self.select(asked.names);
        if self.sort == Sort::BY_NAME {
            return Order::Some(listed);
        }
        let is_folder =
            |it: &u32| asked.names.get(*it as usize).is_some_and(|it| it.kind == Kind::Folder);
        let first_file = listed.partition_point(is_folder);
        let (folders, files) = listed.split_at_mut(first_file);
        self.sort.apply(asked, folders, files);
        Order::Sorted(listed)
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
    fn start(&self, snapshot: &Snapshot) -> usize {
        let Some(after) = self.after.as_deref().filter(|it| !it.is_empty()) else { return 0 };
        match after.strip_suffix(b"/") {
            Some(folder) => snapshot.place_behind(Kind::Folder, folder, 0),
            None => snapshot.place_behind(Kind::File, after, 0),
        }
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
    fn of(snapshot: &Snapshot) -> Counts {
        let folders = snapshot.folders();
        Counts { folders, files: snapshot.len() - folders }
    }
}

impl Listing {
    /// The next page, from a snapshot that is kept for those behind it. Blocks on the disk.
    fn page(&mut self, head: String, snapshot: &Arc<Snapshot>, reader: &Reader) -> Page {
        let listed = self.left.min(snapshot.len().saturating_sub(self.place));
        let most = self.app.snapshots.page_size();
        let places = self.place..self.place + listed.min(most);
        let is_last = listed <= most;
        let names = places.clone().map_while(|it| snapshot.get(it).filter(|_| reader.is_there()));
        // Some may be gone since the folder was read.
        let entries = names.zip(self.passed..).filter_map(|(name, passed)| {
            Some((Entry { name, stat: snapshot.names.stat(&self.app.volume, name)? }, passed))
        });
        let text = match self.wish.format {
            Format::Html => {
                let mut out = head;
                out.reserve_exact(places.len() * ROOM);
                let mut groups = self.passed.div_ceil(GROUP).max(1);
                for (it, passed) in entries {
                    if passed >= groups * GROUP {
                        out.push_str(html::NEXT_GROUP);
                        groups = passed / GROUP + 1;
                    }
                    html::entry(&mut out, &it);
                }
                if is_last {
                    html::tail(&mut out, self.takes_uploads);
                }
                out.into_bytes()
            }
            Format::Json => {
                let mut out = head.into_bytes();
                out.reserve_exact(places.len() * ROOM);
                let mut has_entry = self.has_entry;
                for (it, _) in entries {
                    json::entry(&mut out, &it, !has_entry);
                    has_entry = true;
                }
                self.has_entry = has_entry;
                if is_last {
                    json::tail(&mut out);
                }
                out
            }
        };
        if !is_last {
            self.app.snapshots.keep(snapshot);
        }
        let last = places.end.checked_sub(1).and_then(|it| snapshot.get(it));
        self.last = last.map(|it| (it.kind, it.bytes.to_vec())).or_else(|| self.last.take());
        self.place = places.end;
        self.left = listed - places.len();
        self.passed += places.len();
        // It may have to wait for its client.
        let text = Bytes::from(text.into_boxed_slice());
        Page { text, is_last }
    }

    /// The same, where the snapshot may have been let go. Fails where the folder can't be read any more.
    fn next_page(&mut self, reader: &Reader) -> io::Result<Page> {
        let snapshot = if let Some(it) = self.snapshot.upgrade() {
            it
        } else {
            let found = self.wish.snapshot(&self.app, &self.visit, &self.folder, reader)?;
            if let Some((kind, name)) = &self.last {
                self.place = found.place_behind(*kind, name, self.place);
            }
            self.snapshot = Arc::downgrade(&found);
            found
        };
        Ok(self.page(String::new(), &snapshot, reader))
    }

    /// Page after page, each made when the one before has been taken: what the system holds for the client is all that is made
    /// beforehand, and more than enough for it to go on reading.
    fn stream(
        self,
        first: Bytes,
        answered: Arc<()>,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send {
        let pages = stream::unfold(Some(Box::new(self)), move |listing| {
            let reader = Reader::of(&answered);
            async move {
                match make(listing?, reader).await {
                    Ok((_, Page { text, is_last: true })) => Some((Ok(text), None)),
                    Ok((listing, Page { text, .. })) => Some((Ok(text), Some(listing))),
                    Err(error) => Some((Err(error), None)),
                }
            }
        });
        stream::iter([Ok(first)]).chain(pages)
    }
}

/// Makes a page on the blocking pool.
async fn make(mut listing: Box<Listing>, reader: Reader) -> io::Result<(Box<Listing>, Page)> {
    let reading = listing.app.snapshots.reading.clone();
    let work = move || {
        let page = listing.next_page(&reader)?;
        Ok((listing, page))
    };
    reading.run(work).await.map_err(io::Error::other)?
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.app.snapshots.leave(std::mem::take(&mut self.snapshot));
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
#[expect(
    clippy::disallowed_methods,
    reason = "a test puts files on a volume as another program does"
)]
mod tests {
    use std::time::Duration;

    use transfers::Transfers;
    use transfers::transfer::Servers;
    use volume::keys::Keys;
    use volume::{Effort, Found, Volume};
    use wormhole::Settings;

    use futures_util::TryStreamExt;

    use super::*;
    use crate::auth::caller::Caller;

    /// The entries of a page, where there is one listing alone.
    const PAGE: usize = *snapshots::PAGE.end();

    fn number(count: usize) -> impl Iterator<Item = String> {
        (0..count).map(|it| it.to_string())
    }

    fn app(root: &std::path::Path) -> Arc<App> {
        let volume = Arc::new(Volume::open(root).unwrap());
        let transfers =
            Transfers::new(Arc::clone(&volume), Settings::default(), Servers::default());
        Arc::new(App::new(volume, Keys::parse_list(""), transfers, Duration::ZERO))
    }

    /// A listing of all of `public`, as JSON or as a query wants it, for whoever holds the mark.
    fn begin(app: &Arc<App>, query: &str) -> (Prepared, Arc<()>) {
        let path = RelPath::from_plain(b"public").unwrap();
        let Ok(Found::Folder(folder)) = app.volume.find(&path, Effort::MayBlock) else {
            panic!("it is a folder")
        };
        let visit = Visit {
            path,
            names_folder: true,
            last_names: 0,
            is_plain: false,
            key_in_address: None,
            caller: Caller::Anyone,
        };
        // The first value of a parameter counts.
        let uri = format!("/files/public/?{query}&format=json").parse().unwrap();
        let wish = Wish::of(&uri, &HeaderMap::new()).unwrap();
        let answered = Arc::new(());
        let reader = Reader::of(&answered);
        let prepared = Prepared::new(Arc::clone(app), visit, folder, wish, &reader).unwrap();
        (prepared, answered)
    }

    fn make_files(root: &std::path::Path, count: usize) {
        std::fs::create_dir_all(root.join("public")).unwrap();
        for name in number(count) {
            std::fs::File::create_new(root.join("public").join(name)).unwrap();
        }
        // Its last change is certain to show in its times.
        let folder = std::fs::File::open(root.join("public")).unwrap();
        while Stat::of_open(&folder).is_some_and(|it| !it.is_settled()) {
            std::thread::yield_now();
        }
    }

    async fn names((prepared, answered): (Prepared, Arc<()>)) -> Vec<String> {
        let pages = prepared.listing.stream(prepared.first.text, answered);
        let pages: Vec<Bytes> = pages.try_collect().await.unwrap();
        let rows: Vec<serde_json::Value> = serde_json::from_slice(&pages.concat()).unwrap();
        rows.iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect()
    }

    #[tokio::test]
    async fn no_page_is_made_for_a_client_that_has_gone() {
        let root = tempfile::tempdir().unwrap();
        make_files(root.path(), 3 * PAGE);
        let app = app(root.path());
        let (Prepared { mut listing, first, .. }, answered) = begin(&app, "");
        assert_eq!(first.text.split(|it| *it == b'{').count(), PAGE + 1);
        let reader = Reader::of(&answered);
        assert!(listing.next_page(&reader).unwrap().text.starts_with(b",\n{"));
        drop(answered);
        assert!(listing.next_page(&reader).unwrap().text.starts_with(b"\n]"));
    }

    #[tokio::test]
    async fn the_more_listings_there_are_the_less_each_holds() {
        let root = tempfile::tempdir().unwrap();
        make_files(root.path(), 2 * PAGE);
        let app = app(root.path());
        let rows = |it: &(Prepared, Arc<()>)| it.0.first.text.split(|it| *it == b'{').count() - 1;
        let listings: Vec<_> = (0..900).map(|_| begin(&app, "")).collect();
        let held: Vec<usize> = listings.iter().map(rows).collect();
        assert_eq!((held[0], held[899]), (PAGE, *snapshots::PAGE.start()));
        // A tenth of what they would hold if each were alone.
        assert!(held.iter().sum::<usize>() < 900 * PAGE / 10, "{held:?}");
        drop(listings);
        assert_eq!(rows(&begin(&app, "")), PAGE);
    }

    #[tokio::test]
    async fn rows_are_grouped_alike_in_pages_of_every_length() {
        let root = tempfile::tempdir().unwrap();
        make_files(root.path(), 2 * GROUP + 1);
        let app = app(root.path());
        for others in [0, 7, 900] {
            let (Prepared { listing, first, .. }, answered) = begin(&app, "format=html");
            let _others: Vec<_> = (0..others).map(|_| begin(&app, "")).collect();
            let pages = listing.stream(first.text, answered);
            let pages: Vec<Bytes> = pages.try_collect().await.unwrap();
            let page = String::from_utf8(pages.concat()).unwrap();
            let rows: Vec<usize> =
                page.split("<tbody>").map(|it| it.matches("<tr><td>").count()).collect();
            assert_eq!(rows, [0, GROUP, GROUP, 1], "beside {others}");
        }
    }

    #[tokio::test]
    async fn a_listing_whose_first_entries_are_gone_is_json_all_the_same() {
        let root = tempfile::tempdir().unwrap();
        make_files(root.path(), 3 * PAGE);
        let app = app(root.path());
        let (mut prepared, answered) = begin(&app, "");
        for name in number(PAGE + 10) {
            std::fs::remove_file(root.path().join("public").join(name)).unwrap();
        }
        // As if they had been gone when the first page was made.
        prepared.first.text = Bytes::from(json::HEAD);
        prepared.listing.has_entry = false;
        let rows = names((prepared, answered)).await;
        assert_eq!((rows.len(), &rows[0]), (2 * PAGE - 10, &(PAGE + 10).to_string()));
    }

    #[tokio::test]
    async fn listings_of_a_folder_share_its_names_while_it_is_as_it_was_and_let_them_go() {
        let root = tempfile::tempdir().unwrap();
        make_files(root.path(), 3 * PAGE);
        let app = app(root.path());
        let listings: Vec<_> = (0..20).map(|_| begin(&app, "")).collect();
        let one = app.snapshots.memory();
        assert!(one > 0 && one == listings[0].0.listing.snapshot.upgrade().unwrap().names.memory());
        std::fs::write(root.path().join("public/a"), b"").unwrap();
        let (changed, _answered) = begin(&app, "");
        assert_eq!(changed.total, 3 * PAGE + 1);
        assert!(app.snapshots.memory() > one);
        drop((listings, changed));
        assert_eq!(app.snapshots.memory(), 0);
    }

    #[tokio::test]
    async fn a_listing_goes_on_behind_its_last_entry_when_its_names_were_let_go() {
        let root = tempfile::tempdir().unwrap();
        make_files(root.path(), 1600);
        let folder = root.path().join("public");
        for name in ["0", "50"] {
            std::fs::write(folder.join(name), b"more than the others").unwrap();
        }
        for query in ["", "&sort=-name", "&sort=size", "&sort=-size", "&filter=1", "&limit=1100"] {
            let app = app(root.path());
            let expected = names(begin(&app, query)).await;
            assert!(expected.len() > PAGE + 1, "{query}");
            let (mut prepared, answered) = begin(&app, query);
            let reader = Reader::of(&answered);
            let mut text = prepared.first.text.to_vec();
            loop {
                app.snapshots.let_all_go();
                // Comes before, and would move all others by one place.
                std::fs::write(folder.join("-"), b"").unwrap();
                let page = prepared.listing.next_page(&reader).unwrap();
                text.extend_from_slice(&page.text);
                std::fs::remove_file(folder.join("-")).unwrap();
                if page.is_last {
                    break;
                }
            }
            let rows: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap();
            let rows = rows.iter().map(|it| it["name"].as_str().unwrap().to_owned());
            let rows: Vec<String> = rows.filter(|it| it != "-").collect();
            assert_eq!(rows, expected, "{query}");
        }
    }
}
