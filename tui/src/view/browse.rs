//! A folder, what was found below it, or what takes the room there.

use ratatui::layout::Rect;
use ratatui::style::Style;
use volume::names::{Kind, Names};

use super::paint::Paint;
use crate::cli::Sort;
use crate::model::{
    AROUND_WIDTH as AROUND, Above, Browse, Columns, Finding, Measuring, Model, Order, WIDEST_LIST,
};
use crate::ops::files::not_shown;
use crate::ops::shown;
use crate::text;

/// On a volume with nothing on it.
const FIRST_HINTS: [&str; 3] = [
    "No data yet: 2 receives, or upload over HTTP.",
    "4, then a, makes a key for whoever uploads.",
    "? shows all keys; :doctor checks all of it.",
];
/// Columns of a size, and of a date, with the space around them.
const SIZE: u16 = 12;
const DATE: u16 = 9;

pub(super) fn title(model: &Model) -> (String, String) {
    let browse = &model.browse;
    let path = format!(" {}", shown(&browse.path));
    if let Some(finding) = &browse.finding {
        let state = if finding.is_done { "" } else { ", looking ..." };
        let hits = text::things(finding.hits.len() as u64, "hit", "hits");
        return (
            format!("{path}  find '{}'", finding.pattern),
            format!("{hits} of {}{state} ", text::count(finding.seen)),
        );
    }
    if let Some(measuring) = &browse.measuring {
        let state = if measuring.usage.is_done { "" } else { " so far ..." };
        return (
            format!("{path}  disk use"),
            format!("{}{state} ", text::bytes(measuring.usage.disk())),
        );
    }
    let Some(names) = &browse.names else { return (path, String::new()) };
    let items = if browse.order.len() == names.len() {
        text::things(names.len() as u64, "item", "items")
    } else {
        format!(
            "{} of {}",
            text::count(browse.order.len() as u64),
            text::things(names.len() as u64, "item", "items")
        )
    };
    let items = match names.left_out() {
        0 => items,
        many if model.has_room_beside() => format!("{items}, {}", not_shown(many)),
        many => format!("{items} (.: +{})", text::count(many as u64)),
    };
    let sort = sorted(browse.sort, model.look.ascii);
    (path, format!("{items}{}   {sort} ", total(browse)))
}

/// Bytes of the files, which is said where folders stand beside them; nothing where there are only folders, whose sizes nobody has added up.
fn total(browse: &Browse) -> String {
    let Some(names) = &browse.names else { return String::new() };
    let kinds = || (0..names.len()).filter_map(|it| names.get(it)).map(|it| it.kind);
    if kinds().all(|it| it == Kind::Folder) {
        return String::new();
    }
    let label = if kinds().any(|it| it == Kind::Folder) { "files " } else { "" };
    let so_far = if browse.known == names.len() { "" } else { " ..." };
    format!("   {label}{}{so_far}", text::bytes(browse.total))
}

/// By what a list is sorted, and whether what is more of it comes first or last.
fn sorted(order: Order, ascii: bool) -> String {
    let (by, rises) = match order.by {
        Sort::Name => ("name", !order.reverse),
        Sort::Kind => ("kind", !order.reverse),
        // The largest and the newest come first as a rule.
        Sort::Size => ("size", order.reverse),
        Sort::Date => ("date", order.reverse),
    };
    match (rises, ascii) {
        (true, true) => format!("{by} ^"),
        (false, true) => format!("{by} v"),
        (true, false) => format!("{by} ↑"),
        (false, false) => format!("{by} ↓"),
    }
}

/// What is selected, or done.
pub(super) fn footer(model: &Model) -> Vec<String> {
    let browse = &model.browse;
    let mut parts = Vec::new();
    if let Some(job) = &browse.job {
        // There Esc does something else.
        let is_elsewhere =
            model.popup.is_some() || browse.finding.is_some() || browse.measuring.is_some();
        let hint = if is_elsewhere { "" } else { " (Esc stops)" };
        parts.push(format!("{}{hint}", job.text));
    }
    if !browse.selected.is_empty() {
        parts.push(format!(
            "{} selected, {}",
            browse.selected.len(),
            text::bytes(browse.selected_bytes())
        ));
    }
    if let Some(filter) = browse.filter.as_ref().filter(|it| !it.is_typed) {
        parts.push(format!("/ {}  Esc shows all", filter.input.text()));
    }
    parts
}

pub(super) fn draw(model: &Model, paint: &mut Paint<'_, '_>, area: Rect) {
    let browse = &model.browse;
    if let Some(finding) = &browse.finding {
        return found(finding, paint, area);
    }
    if let Some(measuring) = &browse.measuring {
        return measured(measuring, paint, area);
    }
    let is_wide = model.has_room_beside();
    let has_pane = browse.info.is_some() || model.shows_preview();
    if has_pane && !is_wide {
        return beside(model, paint, area);
    }
    let area = match &model.above {
        Some(above) if model.wants_above().is_some() => around(model, above, paint, area),
        _ => area,
    };
    let width =
        if has_pane { area.width - model.pane_width() - 2 } else { area.width.min(WIDEST_LIST) };
    list(model, browse, paint, Rect { width, ..area });
    if has_pane {
        let x = area.x + width;
        paint.divide(x, area.y, area.height);
        let rest = Rect { x: x + 2, width: area.width - width - 2, ..area };
        beside(model, paint, rest);
    }
}

/// The folders around this one, on the left. Returns the room that is left.
fn around(model: &Model, above: &Above, paint: &mut Paint<'_, '_>, area: Rect) -> Rect {
    paint.divide(area.x + AROUND, area.y, area.height);
    let here = model.browse.path.file_name().and_then(|it| above.position(it)).unwrap_or(0);
    let (rows, room) = (usize::from(area.height), AROUND.saturating_sub(4));
    paint.name(area.x + 1, area.y, AROUND - 2, &shown(&above.path), paint.bold());
    let top = here.saturating_sub(rows / 2).min((above.folders + 1).saturating_sub(rows));
    for (y, index) in (area.y + 1..area.y + area.height).zip(top..above.folders) {
        let Some(name) = above.names.as_ref().and_then(|it| it.get(index)) else { break };
        if index == here {
            paint.put(area.x + 1, y, 1, paint.cursor_mark(), paint.bold());
        }
        let style = if index == here { paint.bold() } else { paint.folder() };
        paint.name(area.x + 3, y, room, &format!("{}/", text::escape(name.bytes)), style);
    }
    Rect { x: area.x + AROUND + 1, width: area.width - AROUND - 1, ..area }
}

fn list(model: &Model, browse: &Browse, paint: &mut Paint<'_, '_>, area: Rect) {
    if let Some(trouble) = &browse.trouble {
        return paint.put(
            area.x + 3,
            area.y,
            area.width - 3,
            &format!("{trouble}. h goes back, R reads again."),
            paint.error(),
        );
    }
    let Some(names) = &browse.names else {
        return paint.put(area.x + 3, area.y, area.width - 3, "reading ...", paint.dim());
    };
    let columns = model.look.columns;
    let size_room = if matches!(columns, Columns::All | Columns::Sizes) { SIZE } else { 0 };
    let date_room = if matches!(columns, Columns::All | Columns::Dates) { DATE } else { 0 };
    let name_room = area.width.saturating_sub(size_room + date_room + 3);
    for line in 0..area.height {
        let row = browse.top + usize::from(line);
        let y = area.y + line;
        if row >= browse.rows() {
            break;
        }
        let is_meant = row == browse.cursor;
        let index = browse.index(row);
        let is_selected = index.is_some_and(|it| browse.selected.contains(&it));
        if is_selected {
            let x = if is_meant { area.x } else { area.x + 1 };
            paint.put(x, y, 1, paint.selected_mark(), paint.bold());
        }
        match index.and_then(|it| Some((it, names.get(it)?))) {
            None => paint.put(area.x + 3, y, name_room, "..", paint.folder()),
            Some((index, name)) => {
                let is_folder = name.kind == Kind::Folder;
                let slash = if is_folder { "/" } else { "" };
                let style = if is_folder { paint.folder() } else { paint.plain() };
                let shown = format!("{}{slash}", text::escape(name.bytes));
                paint.name(area.x + 3, y, name_room, &shown, style);
                let size = match (is_folder, browse.stats.get(index).copied().flatten()) {
                    (true, _) => browse
                        .counts
                        .get(&index)
                        .map_or(String::new(), |it| text::things(*it as u64, "item", "items")),
                    (false, None) => String::new(),
                    (false, Some(None)) => "gone".to_owned(),
                    (false, Some(Some(stat))) => text::bytes(stat.len),
                };
                if size_room > 0 {
                    paint.right(y, area.x + area.width - date_room, &size, paint.plain());
                }
                if let Some(stat) = browse.stat(index).filter(|_| date_room > 0) {
                    let date = text::short_day(text::timestamp(stat.modified), model.now);
                    paint.put(area.x + area.width - DATE + 2, y, DATE - 2, &date, paint.plain());
                }
            }
        }
        if is_meant {
            paint.cursor_row(Rect { y, height: 1, ..area });
        }
    }
    left_out(browse, names, paint, area);
    if browse.order.is_empty() {
        let filter = browse.filter.as_ref().map(|it| it.input.text()).filter(|it| !it.is_empty());
        let hints = match filter {
            Some(text) => vec![format!("Nothing matches '{text}'. Esc shows all {}.", names.len())],
            None if names.left_out() > 0 => Vec::new(),
            None if browse.path.is_root() => FIRST_HINTS.map(str::to_owned).to_vec(),
            None => vec!["Empty folder.".to_owned()],
        };
        let y = area.y + u16::from(browse.has_parent());
        for (y, hint) in (y..area.y + area.height).zip(hints) {
            paint.put(area.x + 3, y, area.width - 3, &hint, paint.dim());
        }
    }
}

/// Behind the last row, where there is room: what is not shown can be seen too.
fn left_out(browse: &Browse, names: &Names, paint: &mut Paint<'_, '_>, area: Rect) {
    let rows = browse.rows().saturating_sub(browse.top);
    let y = u16::try_from(rows).ok().filter(|it| *it < area.height).map(|it| area.y + it);
    if let Some(y) = y.filter(|_| names.left_out() > 0 && browse.filter.is_none()) {
        let line = format!("{}: . lists them", not_shown(names.left_out()));
        paint.put(area.x + 3, y, area.width - 3, &line, paint.dim());
    }
}

/// What is known of the row that is meant.
fn beside(model: &Model, paint: &mut Paint<'_, '_>, area: Rect) {
    let browse = &model.browse;
    let facts = browse.facts(model.now).into_iter().enumerate();
    let room = usize::from(area.width);
    let styled = |(at, it): (usize, String)| match at {
        0 => (text::shortened(&it, room), paint.bold()),
        _ => (it, paint.plain()),
    };
    let mut lines: Vec<(String, Style)> = facts.map(styled).collect();
    let preview = browse.preview.as_ref().filter(|_| browse.info.is_none());
    if let Some(preview) = preview {
        let facts = preview.facts.iter().flat_map(|it| text::wrapped(it, area.width.into()));
        lines.extend(facts.map(|it| (it, paint.plain())));
        let trouble = preview
            .trouble
            .iter()
            .flat_map(|it| text::wrapped(&format!("! {it}"), area.width.into()));
        lines.extend(trouble.map(|it| (it, paint.error())));
        lines.push((String::new(), paint.plain()));
        let room = usize::from(area.height).saturating_sub(lines.len() + 1);
        lines.extend(
            preview
                .body
                .lines(browse.column, room, area.width.into())
                .into_iter()
                .map(|it| (it, paint.plain())),
        );
        let read = format!("read {}, {} ms", text::bytes(preview.read), preview.took.as_millis());
        let style = paint.dim();
        paint.put(area.x, (area.y + area.height).saturating_sub(1), area.width, &read, style);
    }
    if browse.info.is_some() {
        lines.push((String::new(), paint.plain()));
        let (info, shown) = model.info_lines();
        let (first, all) = (browse.info_top.min(info.len().saturating_sub(shown)), info.len());
        let seen = info.into_iter().skip(first).take(shown);
        lines.extend(seen.map(|it| (it, paint.plain())));
        if all > shown {
            let last = (first + shown).min(all);
            lines.push((format!("lines {}-{last} of {all}  < >", first + 1), paint.dim()));
        }
    }
    for (y, (line, style)) in (area.y..area.y + area.height).zip(lines) {
        paint.put(area.x, y, area.width, &line, style);
    }
}

fn found(finding: &Finding, paint: &mut Paint<'_, '_>, area: Rect) {
    for line in 0..area.height {
        let row = finding.top + usize::from(line);
        let Some(hit) = finding.hits.get(row) else { break };
        let (y, is_folder) = (area.y + line, hit.kind == Kind::Folder);
        let style = if is_folder { paint.folder() } else { paint.plain() };
        let path = format!("{}{}", shown(&hit.path), if is_folder { "/" } else { "" });
        paint.name(3, y, area.width - 3, &path, style);
        if row == finding.cursor {
            paint.cursor_row(Rect { y, height: 1, ..area });
        }
    }
    if finding.hits.is_empty() {
        let hint = if finding.is_done { "Nothing found. Esc goes back." } else { "looking ..." };
        paint.put(3, area.y, area.width - 3, hint, paint.dim());
    }
}

fn measured(measuring: &Measuring, paint: &mut Paint<'_, '_>, area: Rect) {
    let usage = &measuring.usage;
    let largest = usage.entries.first().map_or(1, |it| it.disk).max(1);
    let bar = (area.width / 3).min(40);
    for line in 0..area.height {
        let row = measuring.top + usize::from(line);
        let Some(used) = usage.entries.get(row) else { break };
        let (y, is_folder) = (area.y + line, used.kind == Kind::Folder);
        #[expect(clippy::cast_precision_loss, reason = "a bar")]
        let part = used.disk as f64 / largest as f64;
        paint.right(y, 14, &text::bytes(used.disk), paint.plain());
        let drawn = paint.bar(bar, part);
        paint.put(16, y, bar, &drawn, paint.plain());
        let style = if is_folder { paint.folder() } else { paint.plain() };
        let name = format!("{}{}", text::escape(&used.name), if is_folder { "/" } else { "" });
        let files =
            if is_folder { text::things(used.files, "file", "files") } else { String::new() };
        let room = area.width.saturating_sub(bar + 18 + 16);
        paint.name(bar + 18, y, room, &name, style);
        paint.right(y, area.width.saturating_sub(1), &files, paint.plain());
        if row == measuring.cursor {
            paint.cursor_row(Rect { y, height: 1, ..area });
        }
    }
    if usage.entries.is_empty() {
        let hint = if usage.is_done { "Nothing is here." } else { "adding up ..." };
        paint.put(3, area.y, area.width - 3, hint, paint.dim());
    }
}
