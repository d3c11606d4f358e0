//! The HTML page of a listing, for people, and for `SimWrapper`, rclone, wget, lftp, fsspec and GDAL, which parse it.
//!
//! - `SimWrapper` reads it line by line. It wants the literal `<table>`, each entry on one line with `<td><a href="NAME">`, and no
//!   unordered list anywhere.
//! - fsspec follows relative links, also upwards. So links that are not entries are absolute paths.
//! - GDAL wants the title `Index of /PATH/`, with the path as it requested it. It takes every literal `<a href="` for an entry.

use std::fmt::Write;
use std::iter::successors;

use volume::names::Kind;
use volume::{RelPath, layout, size_text};

use super::entry::{Counts, ListingEntry};
use super::options::ListingOptions;
use super::sort::SortKey;
use crate::extract::path::AuthorizedPath;
use crate::problem::Problem;
use crate::web::page;
use crate::web::text::{escape_html, href, visible};

/// The page up to the first entry. `summary` says how many entries there are.
pub(super) fn head(
    target: &AuthorizedPath,
    summary: &str,
    options: &ListingOptions,
    takes_uploads: bool,
) -> String {
    let names: Vec<String> = target.path.names().map(visible).collect();
    let names = names.join("/");
    let mut out = page::top(&format!("Index of {}", options.address), &base(&options.address));
    out.push_str("<header>\n<nav aria-label=\"Folders\">");
    let folders: Vec<RelPath> = successors(Some(target.path.clone()), RelPath::parent).collect();
    for (up, folder) in folders.iter().enumerate().rev() {
        crumb(&mut out, target, folder, up);
        out.push_str(if up > 0 { " / " } else { "" });
    }
    let filter = escape_html(&options.filter);
    let sort = match options.sort.by {
        SortKey::Name => "name",
        SortKey::Size => "size",
        SortKey::Date => "date",
    };
    let upload = if takes_uploads { upload_area(&target.path) } else { String::new() };
    let _infallible = write!(
        out,
        "</nav>\n<form id=\"controls\">\n\
         <input type=\"search\" name=\"filter\" value=\"{filter}\" placeholder=\"Filter names\" \
         aria-label=\"Filter names\" autocomplete=\"off\">\n<button>Filter</button>\n</form>\n</header>\n\
         <main>\n<h1 class=\"spoken\">Files in /{}</h1>\n{upload}<p id=\"count\" role=\"status\">{}</p>\n<table>\n<thead>\n<tr>{}{}{}</tr>\n</thead>\n<tbody>\n",
        escape_html(&names),
        escape_html(summary),
        heading("name", "Name", sort, options.sort.is_reversed),
        heading("size", "Size", sort, options.sort.is_reversed),
        heading("date", "Date (UTC)", sort, options.sort.is_reversed),
    );
    out
}

/// The `<base>` for a page whose address has no slash at its end and is not redirected: `/share/KEY`. Otherwise empty.
fn base(address: &str) -> String {
    match address.rsplit('/').next() {
        None | Some("") => String::new(),
        Some(name) => format!("<base href=\"./{}/\">\n", escape_html(name)),
    }
}

/// The upload area, where files and folders can be dropped. Hidden until its script shows it. It contains the names that are not served, so
/// that the script skips exactly these.
fn upload_area(path: &RelPath) -> String {
    format!(
        "<section id=\"upload\" aria-label=\"Upload\" data-depth=\"{}\" data-into=\"{}\" \
         data-hidden=\"{}\" data-served=\"{}\" hidden>\n\
         <p>Drop files or folders here, or choose \
         <label class=\"button\">files<input type=\"file\" multiple></label> or \
         <label class=\"button\">a folder<input type=\"file\" webkitdirectory></label>. \
         <label>What is there already <select><option value=\"refuse\">stays</option>\
         <option value=\"keep-both\">stays, beside the new</option>\
         <option value=\"replace\">is replaced</option></select></label>\n\
         <button id=\"cancel\" type=\"button\" hidden>Cancel all</button>\n\
         <button id=\"again\" type=\"button\" hidden>Try again</button></p>\n\
         <progress id=\"all\" aria-label=\"All uploads\" hidden></progress>\n\
         <p role=\"status\"></p>\n<div id=\"left-out\" role=\"status\"></div>\n<div id=\"transfers\"></div>\n</section>\n",
        path.names().count(),
        escape_html(&path.to_url()),
        layout::HIDDEN_NAMES.join(" "),
        layout::SERVED_DOT_NAMES.join(" "),
    )
}

/// A folder in the page's path, `up` levels above this one. A folder that the key does not cover gets no link, since the link would fail.
fn crumb(out: &mut String, target: &AuthorizedPath, folder: &RelPath, up: usize) {
    let name = folder.file_name().map_or_else(|| "files".to_owned(), visible);
    let name = escape_html(&name);
    // Without a key it gets a link: the browser asks for the key there.
    let is_covered = !matches!(target.caller.may_read(folder), Err(Problem::NotCovered(_)));
    let _infallible = match up {
        0 => write!(out, "<b>{name}</b>"),
        _ if is_covered => {
            write!(
                out,
                "<a rel=\"up\" href=\"{}\">{name}</a>",
                escape_html(&target.address_of(folder))
            )
        }
        _ => write!(out, "<span>{name}</span>"),
    };
}

/// A column's heading. A button and not a link, because programs follow links. Pressing it again reverses the order.
fn heading(name: &str, label: &str, sorted_by: &str, is_reversed: bool) -> String {
    let is_sorted = name == sorted_by;
    let value = if is_sorted && !is_reversed { format!("-{name}") } else { name.to_owned() };
    let order = match (is_sorted, is_reversed) {
        (true, true) => " aria-sort=\"descending\"",
        (true, false) => " aria-sort=\"ascending\"",
        (false, _) => "",
    };
    format!(
        "<th{order}><button form=\"controls\" name=\"sort\" value=\"{value}\">{label}</button></th>"
    )
}

/// Separates groups of rows. A browser can skip the layout of groups that are out of sight.
pub(super) const NEXT_GROUP: &str = "</tbody>\n<tbody>\n";

/// An entry, on one line.
pub(super) fn entry(out: &mut String, entry: &ListingEntry<'_>) {
    let modified = entry.modified();
    let is_folder = entry.name.kind == Kind::Folder;
    let shown_size = if is_folder {
        "<td></td>".to_owned()
    } else {
        format!("<td data-n=\"{}\">{}</td>", entry.stat.len, size_text(entry.stat.len))
    };
    let _infallible = writeln!(
        out,
        "<tr><td><a href=\"{}\">{}{}</a></td>{shown_size}<td data-n=\"{}\">{}</td></tr>",
        href(entry.name),
        escape_html(&visible(entry.name.bytes)),
        if is_folder { "/" } else { "" },
        modified.as_millisecond(),
        modified.strftime("%Y-%m-%d %H:%M"),
    );
}

/// The page after the last entry.
pub(super) fn tail(out: &mut String, takes_uploads: bool) {
    let _infallible =
        write!(out, "</tbody>\n</table>\n</main>\n<script>{}</script>\n", page::SCRIPT);
    if takes_uploads {
        let _infallible = writeln!(out, "<script>{}</script>", page::UPLOAD_SCRIPT);
    }
    out.push_str("</body>\n</html>\n");
}

impl Counts {
    /// The counts in words, for people. `filter` is the text that names had to contain, or empty.
    pub(super) fn in_words(&self, filter: &str) -> String {
        let count = |number: usize, one: &str| match number {
            1 => format!("1 {one}"),
            _ => format!("{number} {one}s"),
        };
        let counted = match (self.folders, self.files) {
            (0, 0) if filter.is_empty() => "nothing here yet".to_owned(),
            (0, 0) => "nothing".to_owned(),
            (folders, 0) => count(folders, "folder"),
            (0, files) => count(files, "file"),
            (folders, files) => format!("{}, {}", count(folders, "folder"), count(files, "file")),
        };
        if filter.is_empty() {
            counted
        } else {
            format!("{counted} with \u{201c}{filter}\u{201d} in its name")
        }
    }
}
