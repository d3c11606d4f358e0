//! Listings: a folder as an HTML page or as JSON.
//!
//! The names are read and sorted at once. Sizes and times are read for one page of entries at a time, on the blocking pool, after the
//! client has taken the previous page. If the client goes away, the listing ends, at any step. A listing is as fresh as its request.
//!
//! While its client reads, a listing holds little memory: one page. The names are in a [snapshot](snapshots), in memory that all listings
//! share. If the snapshot was evicted when the client wants more, the folder is read again and the listing continues after its last entry.
//! In the order of names, no entry comes twice, and no entry that stayed is missing.

mod entry;
mod html;
mod json;
mod options;
mod pages;
pub(crate) mod snapshots;
mod sort;
pub(crate) mod way;

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderName, StatusCode, Uri, header};
use percent_encoding::{CONTROLS, utf8_percent_encode};
use volume::FoundFolder;

use crate::app::App;
use crate::extract::path::AuthorizedPath;
use crate::extract::query;
use crate::http::content_coding::Coding;
use crate::http::cors::Embedding;
use crate::http::fields;
use crate::http::request_fields::RequestFields;
use crate::problem::Problem;
use crate::web::page;

use options::{Format, ListingOptions, PARAMETERS};
use pages::FirstPage;
use sort::Liveness;

/// Listings with fewer entries than this are sent without a content coding.
const WORTH_CODING: usize = 20;

/// Number of entries in the whole listing, for clients that ask for a part of it.
pub(crate) const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// The response with the listing of a folder that the caller may read.
pub(crate) async fn answer(
    app: Arc<App>,
    target: AuthorizedPath,
    folder: FoundFolder,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let options = ListingOptions::of(uri, headers)?;
    if options.needs_slash(&target) {
        return redirect(&target, uri.query());
    }
    let coding = Coding::preferred(RequestFields::new(headers));
    let service = Arc::clone(&app);
    let answered = Arc::new(());
    let reader = Liveness::of(&answered);
    let prepare = move || FirstPage::new(service, target, folder, options, &reader);
    let prepared = app.snapshots.reading.run(prepare).await;
    let FirstPage { listing, first, total, listed, next } =
        prepared.map_err(Problem::internal)??;
    let (format, takes_uploads) = (listing.options.format, listing.takes_uploads);
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

/// The response with the header fields that every listing has.
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
            // The URL may contain a key.
            fields::set(headers, header::REFERRER_POLICY, "same-origin");
        }
        Format::Json => {
            fields::set(headers, header::CONTENT_TYPE, "application/json");
        }
    }
    response
}

/// Redirects to a folder's own address, which ends in a slash. The location is relative, so that it is valid behind any proxy.
pub(crate) fn redirect(target: &AuthorizedPath, query: Option<&str>) -> Result<Response, Problem> {
    query::only(query, &PARAMETERS)?;
    let folder = target.own_reference();
    let query =
        query.map(|it| format!("?{}", utf8_percent_encode(it, CONTROLS))).unwrap_or_default();
    let mut response = Response::new(Body::empty());
    // Not a permanent redirect: the name may belong to a file tomorrow.
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    fields::set(response.headers_mut(), header::LOCATION, &format!("{folder}/{query}"));
    fields::set(response.headers_mut(), header::CACHE_CONTROL, "no-cache");
    Ok(response)
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test puts files on a volume as another program does"
)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use transfers::Transfers;
    use transfers::transfer::Servers;
    use volume::keys::Keys;
    use volume::{Blocking, Found, RelPath, Stat, Volume};
    use wormhole::Settings;

    use futures_util::TryStreamExt;

    use super::pages::GROUP;
    use super::*;
    use crate::auth::caller::Caller;

    /// Entries of a page if there is only one listing.
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

    /// Starts a JSON listing of `public`, or one as the query says. Its client is there as long as the returned `Arc` lives.
    fn begin(app: &Arc<App>, query: &str) -> (FirstPage, Arc<()>) {
        let path = RelPath::from_plain(b"public").unwrap();
        let Ok(Found::Folder(folder)) = app.volume.find(&path, Blocking::MayBlock) else {
            panic!("it is a folder")
        };
        let target = AuthorizedPath {
            path,
            names_folder: true,
            last_names: 0,
            is_plain: false,
            key_in_address: None,
            caller: Caller::Anyone,
        };
        // The first value of a parameter counts.
        let uri = format!("/files/public/?{query}&format=json").parse().unwrap();
        let options = ListingOptions::of(&uri, &HeaderMap::new()).unwrap();
        let answered = Arc::new(());
        let reader = Liveness::of(&answered);
        let prepared = FirstPage::new(Arc::clone(app), target, folder, options, &reader).unwrap();
        (prepared, answered)
    }

    fn make_files(root: &std::path::Path, count: usize) {
        std::fs::create_dir_all(root.join("public")).unwrap();
        for name in number(count) {
            std::fs::File::create_new(root.join("public").join(name)).unwrap();
        }
        // Wait until the next change of the folder is certain to change its time stamp.
        let folder = std::fs::File::open(root.join("public")).unwrap();
        while Stat::of_open(&folder).is_some_and(|it| !it.is_settled()) {
            std::thread::yield_now();
        }
    }

    async fn names((prepared, answered): (FirstPage, Arc<()>)) -> Vec<String> {
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
        let (FirstPage { mut listing, first, .. }, answered) = begin(&app, "");
        assert_eq!(first.text.split(|it| *it == b'{').count(), PAGE + 1);
        let reader = Liveness::of(&answered);
        assert!(listing.next_page(&reader).unwrap().text.starts_with(b",\n{"));
        drop(answered);
        assert!(listing.next_page(&reader).unwrap().text.starts_with(b"\n]"));
    }

    #[tokio::test]
    async fn the_more_listings_there_are_the_less_each_holds() {
        let root = tempfile::tempdir().unwrap();
        make_files(root.path(), 2 * PAGE);
        let app = app(root.path());
        let rows = |it: &(FirstPage, Arc<()>)| it.0.first.text.split(|it| *it == b'{').count() - 1;
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
            let (FirstPage { listing, first, .. }, answered) = begin(&app, "format=html");
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
        // As if they had been missing when the first page was made.
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
            let reader = Liveness::of(&answered);
            let mut text = prepared.first.text.to_vec();
            loop {
                app.snapshots.let_all_go();
                // It sorts before all others, and would move them by one position.
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
