//! The pages of a listing, each made when the client has taken the previous one.

use std::io;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use volume::names::{Kind, Names};
use volume::{FoundFolder, RelPath};

use super::entry::{Counts, ListingEntry};
use super::options::{Format, ListingOptions};
use super::snapshots::{Order, Snapshot};
use super::sort::{Liveness, Sort, Sorter};
use super::{html, json};
use crate::app::App;
use crate::extract::path::AuthorizedPath;
use crate::problem::Problem;
use crate::problem::convert::ReadError;
use crate::web::text::visible;

/// Rows per group. A browser can skip the layout of a group that is out of sight.
pub(super) const GROUP: usize = 500;
/// Length of an entry as text, if its name is not long. With this capacity, a page grows at most once or twice.
pub(super) const ROOM: usize = 160;
/// A listing that is being written, page by page.
pub(super) struct Listing {
    pub(super) app: Arc<App>,
    pub(super) target: AuthorizedPath,
    pub(super) folder: Arc<FoundFolder>,
    pub(super) options: ListingOptions,
    /// Whether the page has an upload area.
    pub(super) takes_uploads: bool,
    /// Dead if the snapshot was evicted.
    pub(super) snapshot: Weak<Snapshot>,
    /// Number of the snapshot's entries before the next page.
    pub(super) position: usize,
    /// Maximum number of entries still to come.
    pub(super) left: usize,
    /// The last entry of the pages made so far.
    pub(super) last: Option<(Kind, Vec<u8>)>,
    /// Number of entries on these pages, those included that had disappeared.
    pub(super) passed: usize,
    /// Whether an entry was written.
    pub(super) has_entry: bool,
}

/// A number of entries as text.
pub(super) struct Page {
    pub(super) text: Bytes,
    pub(super) is_last: bool,
}

/// A listing with its first page, and the values for the response's header fields.
pub(super) struct FirstPage {
    pub(super) listing: Listing,
    pub(super) first: Page,
    pub(super) total: usize,
    /// Number of entries in this response.
    pub(super) listed: usize,
    /// Address of the next page.
    pub(super) next: Option<String>,
}

impl FirstPage {
    /// Reads the folder and makes the first page. Blocks on the disk.
    pub(super) fn new(
        app: Arc<App>,
        target: AuthorizedPath,
        folder: FoundFolder,
        options: ListingOptions,
        reader: &Liveness,
    ) -> Result<FirstPage, Problem> {
        let path = folder.real_path.as_ref().unwrap_or(&target.path);
        let takes_uploads =
            [&target.path, path].iter().all(|it| target.caller.may_write(it).is_ok());
        let unreadable = |path: &RelPath, source| ReadError { path: path.clone(), source };
        let folder = Arc::new(folder);
        let snapshot = options
            .snapshot(&app, &target, &folder, reader)
            .map_err(|source| unreadable(&target.path, source))?;
        let total = snapshot.len();
        let mut position = 0;
        let mut listed = total;
        let mut next = None;
        if options.format == Format::Json {
            position = options.start(&snapshot);
            listed = total - position;
            if let Some(limit) = options.limit.filter(|it| *it < listed) {
                listed = limit;
                next = snapshot.get(position + limit - 1).map(|it| options.next_page(limit, it));
            }
        }
        let head = match options.format {
            Format::Html => {
                let counts = Counts::of(&snapshot).in_words(&options.filter);
                html::head(&target, &counts, &options, takes_uploads)
            }
            Format::Json => json::HEAD.to_owned(),
        };
        app.snapshots.enter();
        let mut listing = Listing {
            app,
            target,
            folder,
            options,
            takes_uploads,
            snapshot: Arc::downgrade(&snapshot),
            position,
            left: listed,
            last: None,
            passed: 0,
            has_entry: false,
        };
        let first = listing.page(head, &snapshot, reader);
        Ok(FirstPage { listing, first, total, listed, next })
    }
}

impl ListingOptions {
    /// A snapshot of the folder as it is now. Blocks on the disk.
    pub(super) fn snapshot(
        &self,
        app: &App,
        target: &AuthorizedPath,
        folder: &Arc<FoundFolder>,
        reader: &Liveness,
    ) -> io::Result<Arc<Snapshot>> {
        let has_all = self.sort == Sort::BY_NAME && self.filter.is_empty();
        // Read before the names: every later change gives the folder another time stamp, because its clock has made a step since.
        let stat = folder.stat_now().filter(|it| has_all && it.is_settled());
        if let Some(stat) = &stat
            && let Some(shared) = app.snapshots.find(&target.path, stat)
        {
            return Ok(shared);
        }
        let may_read = |path: &RelPath| target.caller.may_read(path).is_ok();
        let is_wanted = || reader.is_there();
        let names =
            Names::read_while(is_wanted, &app.volume, Arc::clone(folder), &target.path, may_read)?;
        let order =
            if has_all { Order::All } else { self.order(&Sorter { app, names: &names, reader }) };
        // Another listing may have read the folder meanwhile.
        if let Some(shared) = stat.as_ref().and_then(|it| app.snapshots.find(&target.path, it)) {
            return Ok(shared);
        }
        let version = stat.map(|it| (target.path.clone(), it));
        Ok(Arc::new(Snapshot::new(names, order, version)))
    }

    /// The entries that the filter selects, in the order of the listing.
    pub(super) fn order(&self, sorter: &Sorter<'_>) -> Order {
        let mut listed = self.select(sorter.names);
        if self.sort == Sort::BY_NAME {
            return Order::Some(listed);
        }
        let is_folder =
            |it: &u32| sorter.names.get(*it as usize).is_some_and(|it| it.kind == Kind::Folder);
        let first_file = listed.partition_point(is_folder);
        let (folders, files) = listed.split_at_mut(first_file);
        self.sort.apply(sorter, folders, files);
        Order::Sorted(listed)
    }

    pub(super) fn select(&self, names: &Names) -> Vec<u32> {
        let matches = |index: &u32| {
            self.filter.is_empty()
                || names
                    .get(*index as usize)
                    .is_some_and(|it| visible(it.bytes).to_lowercase().contains(&self.filter))
        };
        // No folder has more than four billion names.
        let len = u32::try_from(names.len()).unwrap_or(u32::MAX);
        (0..len).filter(matches).collect()
    }

    /// Number of entries before the requested page.
    pub(super) fn start(&self, snapshot: &Snapshot) -> usize {
        let Some(after) = self.after.as_deref().filter(|it| !it.is_empty()) else { return 0 };
        match after.strip_suffix(b"/") {
            Some(folder) => snapshot.position_behind(Kind::Folder, folder, 0),
            None => snapshot.position_behind(Kind::File, after, 0),
        }
    }
}

impl Listing {
    /// Makes the next page, from a snapshot that is kept for the pages after it. Blocks on the disk.
    pub(super) fn page(
        &mut self,
        head: String,
        snapshot: &Arc<Snapshot>,
        reader: &Liveness,
    ) -> Page {
        let listed = self.left.min(snapshot.len().saturating_sub(self.position));
        let most = self.app.snapshots.page_size();
        let positions = self.position..self.position + listed.min(most);
        let is_last = listed <= most;
        let names =
            positions.clone().map_while(|it| snapshot.get(it).filter(|_| reader.is_there()));
        // Some entries may have disappeared since the folder was read.
        let entries = names.zip(self.passed..).filter_map(|(name, passed)| {
            Some((
                ListingEntry { name, stat: snapshot.names.stat(&self.app.volume, name)? },
                passed,
            ))
        });
        let text = match self.options.format {
            Format::Html => {
                let mut out = head;
                out.reserve_exact(positions.len() * ROOM);
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
                out.reserve_exact(positions.len() * ROOM);
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
        let last = positions.end.checked_sub(1).and_then(|it| snapshot.get(it));
        self.last = last.map(|it| (it.kind, it.bytes.to_vec())).or_else(|| self.last.take());
        self.position = positions.end;
        self.left = listed - positions.len();
        self.passed += positions.len();
        // Without spare capacity, since the page may wait for its client.
        let text = Bytes::from(text.into_boxed_slice());
        Page { text, is_last }
    }

    /// Makes the next page, even if the snapshot was evicted. Fails if the folder cannot be read any more.
    pub(super) fn next_page(&mut self, reader: &Liveness) -> io::Result<Page> {
        let snapshot = if let Some(it) = self.snapshot.upgrade() {
            it
        } else {
            let found = self.options.snapshot(&self.app, &self.target, &self.folder, reader)?;
            if let Some((kind, name)) = &self.last {
                self.position = found.position_behind(*kind, name, self.position);
            }
            self.snapshot = Arc::downgrade(&found);
            found
        };
        Ok(self.page(String::new(), &snapshot, reader))
    }

    /// Streams the pages, each made after the previous one was taken. Only the socket's buffer is filled in advance, which is more than
    /// enough to keep the client reading.
    pub(super) fn stream(
        self,
        first: Bytes,
        answered: Arc<()>,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send {
        let pages = stream::unfold(Some(Box::new(self)), move |listing| {
            let reader = Liveness::of(&answered);
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
async fn make(mut listing: Box<Listing>, reader: Liveness) -> io::Result<(Box<Listing>, Page)> {
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
