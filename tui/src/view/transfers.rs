//! Wormhole transfers: what runs, what waits, what is over.

use std::time::Duration;

use ::transfers::transfer::{Direction, OfferedKind, Transfer, TransferState, TransferStatus};
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::paint::Paint;
use crate::model::{Badge, Model, Stage, WIDEST_LIST};
use crate::ops::shown;
use crate::ops::transfers::{details, ending, name, silence, state_text};
use crate::text;

/// Columns of the name of what runs, and of what is over.
const NAME: u16 = 28;
/// Columns behind the name on a line of what is over: how it ended.
const MARK: u16 = 6;

/// A line of the list: whose it is, if it is anybody's, and what draws it.
struct Line<'a> {
    of: Option<&'a TransferStatus>,
    kind: Kind,
}

/// What stands on a line.
enum Kind {
    Heading(&'static str),
    Bar,
    Figures,
    Place,
    Waiting,
    Over,
}

pub(super) fn title(model: &Model) -> (String, String) {
    let screen = &model.transfers;
    let left = " Transfers".to_owned();
    let Some(carried) = &screen.carried else { return (left, String::new()) };
    if let Some(told) = model.transfers_are_of() {
        return (left, format!("! no answer, this is of {} ", text::clock(told)));
    }
    let count = |wanted| screen.live().filter(|it| Stage::of(it.transfer.state) == wanted).count();
    let (running, waiting) = (count(Stage::Runs), count(Stage::Waits));
    let today = carried.all.iter().filter(|it| {
        it.transfer.state.is_over() && it.transfer.ended.is_some_and(|it| model.is_today(it))
    });
    let counts = [(running, "running"), (waiting, "waiting"), (today.count(), "today")];
    let counts = counts.iter().filter(|it| it.0 > 0).map(|it| format!("{} {}", it.0, it.1));
    let counts = counts.collect::<Vec<_>>().join(", ");
    let (whose, short) = match (screen.here(), &carried.no_server) {
        (1.., _) => ("this console does it: quitting ends it", "quitting ends it"),
        (0, None) => ("safe to quit: the server does it", "safe to quit: server does it"),
        (0, Some(_)) => ("no server: this console would do it", "no server"),
    };
    let room = usize::from(model.size.0) - left.len() - 2;
    let all = [
        format!("{counts}    {whose} "),
        format!("{counts}   {short} "),
        format!("{whose} "),
        format!("{short} "),
    ];
    let fits = all.into_iter().find(|it| text::width(it) <= room);
    (left, fits.unwrap_or_default())
}

/// What is told of transfers on every screen, in as many columns as there are; nothing where nothing goes on.
pub(super) fn badge(badge: Badge, ascii: bool, room: usize) -> String {
    let (down, up) = if ascii { ("v", "^") } else { ("↓", "↑") };
    let part = |arrow: &str, (count, percent): (u64, u64)| match count {
        0 => None,
        _ => Some(format!("{arrow}{count} {percent}%")),
    };
    let (receiving, sending) = (part(down, badge.receiving), part(up, badge.sending));
    let long = (badge.offers > 0).then(|| text::things(badge.offers, "offer", "offers"));
    let short = (badge.offers > 0).then(|| format!("?{}", badge.offers));
    let count = badge.receiving.0 + badge.sending.0;
    let counts = (count > 0).then(|| format!("{down}{up}{count}"));
    let all =
        [[&receiving, &sending, &long], [&receiving, &sending, &short], [&counts, &None, &short]];
    let joined = all.map(|it| it.into_iter().flatten().cloned().collect::<Vec<_>>().join(" "));
    joined.into_iter().find(|it| text::width(it) <= room).unwrap_or_default()
}

pub(super) fn draw(model: &Model, paint: &mut Paint<'_, '_>, area: Rect) {
    let mut area = area;
    let screen = &model.transfers;
    if screen.carried.is_none() {
        let trouble = screen.trouble.as_ref().map(|it| format!("! {it}"));
        let line = trouble.as_deref().unwrap_or("asking ...");
        paint.put(3, area.y + 1, area.width - 3, line, paint.dim());
        return;
    }
    let lines = lines(model);
    if lines.is_empty() {
        let line = "No transfers yet. 2 receives by wormhole; w in Files (1) sends.";
        paint.put(3, area.y + 1, area.width - 3, line, paint.plain());
        return;
    }
    let below = model.transfer_details();
    if below > 0 {
        let y = (area.y + area.height).saturating_sub(below + 1);
        paint.rule(y, 0, area.width);
        draw_details(model, paint, Rect { y: y + 1, height: below, ..area });
        area.height = area.height.saturating_sub(below + 1);
    }
    let rows = usize::from(area.height);
    let meant = screen.meant().map(|it| it.transfer.number);
    let is_meant = |it: &Line<'_>| it.of.map(|it| it.transfer.number) == meant;
    let last = lines.iter().rposition(is_meant).unwrap_or(0);
    let top = (last + 1).saturating_sub(rows);
    let width = area.width.min(WIDEST_LIST);
    let mut is_first = true;
    for (y, line) in (area.y..area.y + area.height).zip(lines.iter().skip(top)) {
        draw_line(model, line, paint, Rect { y, width, ..area });
        if is_meant(line) && std::mem::take(&mut is_first) {
            paint.cursor_row(Rect { y, width, height: 1, ..area });
        }
    }
}

fn lines(model: &Model) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut heading = None;
    for now in model.transfers.ordered() {
        let of = Some(now);
        let mut push = |kind| lines.push(Line { of, kind });
        match Stage::of(now.transfer.state) {
            Stage::Runs => {
                push(Kind::Bar);
                push(Kind::Figures);
                if model.transfer_details() > 0 {
                    push(Kind::Place);
                }
            }
            Stage::Waits => push(Kind::Waiting),
            Stage::Over => {
                let is_today = now.transfer.ended.is_some_and(|it| model.is_today(it));
                let day = if is_today { "Today" } else { "Earlier" };
                if heading.replace(day) != Some(day) {
                    lines.push(Line { of: None, kind: Kind::Heading(day) });
                }
                lines.push(Line { of, kind: Kind::Over });
            }
        }
    }
    lines
}

fn draw_line(model: &Model, line: &Line<'_>, paint: &mut Paint<'_, '_>, area: Rect) {
    let (y, room) = (area.y, area.width.saturating_sub(3));
    let Some(now) = line.of else {
        if let Kind::Heading(day) = line.kind {
            paint.put(1, y, room, day, paint.bold());
        }
        return;
    };
    let transfer = &now.transfer;
    match line.kind {
        Kind::Heading(_) => {}
        Kind::Bar => {
            let wide = NAME.min(area.width / 3);
            paint.name(3, y, wide - 1, &titled(transfer), paint.bold());
            let percent = transfer.percent();
            #[expect(clippy::cast_precision_loss, reason = "a bar")]
            let bar = paint.bar(area.width.saturating_sub(wide + 3 + 6), percent as f64 / 100.0);
            paint.put(3 + wide, y, room, &bar, paint.good());
            paint.right(y, area.width - 1, &format!("{percent} %"), paint.plain());
        }
        Kind::Figures => paint.put(3, y, room, &figures(now), paint.plain()),
        Kind::Place => {
            let by = text::escape(transfer.started_by.as_bytes());
            let since = format!("since {}, {by}", text::clock(transfer.started));
            let wide = u16::try_from(text::width(&since)).unwrap_or(0) + 2;
            paint.put(3, y, room.saturating_sub(wide), &place(transfer), paint.dim());
            paint.right(y, area.width - 1, &since, paint.dim());
        }
        Kind::Waiting => {
            let (line, style) = waiting(model, now, paint);
            let wide = NAME.min(area.width / 3);
            paint.name(3, y, wide - 1, &titled(transfer), paint.plain());
            paint.put(3 + wide, y, room.saturating_sub(wide), &line, style);
        }
        Kind::Over => over(model, now, paint, area),
    }
}

/// What it is, and which way it goes where that is out.
fn titled(transfer: &Transfer) -> String {
    match transfer.direction {
        Direction::Receive => name(transfer),
        Direction::Send => format!("send {}", name(transfer)),
    }
}

/// Bytes, rate, time left, route; each in a column of its own, so that one that grows moves no other.
fn figures(now: &TransferStatus) -> String {
    let transfer = &now.transfer;
    let bytes = format!("{} of {}", text::bytes(transfer.done), text::bytes(transfer.total()));
    let speed = match (transfer.state, silence(now), now.rate) {
        (TransferState::Running, Some(quiet), _) => format!("nothing has moved for {quiet}"),
        (TransferState::Running, None, Some(rate)) => {
            let left = transfer.total().saturating_sub(transfer.done).checked_div(rate);
            let left = left.map_or(String::new(), |it| format!("{} left", rounded(it)));
            format!("{:>10}/s   {left:13}", text::bytes(rate))
        }
        (TransferState::Running, None, None) => String::new(),
        (state, ..) => state_text(state, transfer.direction).to_owned(),
    };
    let route = transfer.route.as_deref().and_then(|it| it.split(' ').next()).unwrap_or_default();
    format!("{bytes:<20} {speed:<28} {route}")
}

/// A time left, no finer than anybody needs.
fn rounded(seconds: u64) -> String {
    let seconds =
        if seconds > 20 { seconds.next_multiple_of(10) } else { seconds.next_multiple_of(5) };
    text::duration(Duration::from_secs(seconds))
}

/// Where it goes, and what it is then.
fn place(transfer: &Transfer) -> String {
    let to = match (&transfer.path, &transfer.into, transfer.direction) {
        (_, _, Direction::Send) => {
            let code = transfer.code.as_ref().map(|it| text::escape(it.as_bytes()));
            return code.map_or(String::new(), |it| format!("by {it}"));
        }
        (Some(path), ..) => shown(path),
        (None, Some(into), _) => shown(into),
        (None, None, _) => String::new(),
    };
    let offer = transfer.offer.as_ref().filter(|it| it.kind == OfferedKind::Directory);
    let unpacked = offer.map_or(String::new(), |it| {
        format!(
            "   {}, {} unpacked",
            text::things(it.files, "file", "files"),
            text::bytes(it.unpacked)
        )
    });
    format!("into {to}{unpacked}")
}

fn waiting(model: &Model, now: &TransferStatus, paint: &Paint<'_, '_>) -> (String, Style) {
    let transfer = &now.transfer;
    let state = state_text(transfer.state, transfer.direction);
    match &now.question {
        Some(question) => {
            let left = question.ends.duration_since(model.now).unsigned_abs();
            let line = format!("{state}: Enter; ends in {}", text::duration(left));
            (line, paint.bold())
        }
        None if !now.is_live => (format!("{state}, by another program"), paint.dim()),
        None => (format!("{state} since {}", text::clock(transfer.started)), paint.plain()),
    }
}

fn over(model: &Model, now: &TransferStatus, paint: &mut Paint<'_, '_>, area: Rect) {
    let (transfer, y) = (&now.transfer, area.y);
    let is_done = transfer.state == TransferState::Done;
    let (mark, style) = if is_done { ("ok", paint.good()) } else { ("x", paint.error()) };
    paint.put(3, y, 2, mark, style);
    let wide = NAME.min(area.width / 3) - 2;
    paint.name(MARK, y, wide - 1, &titled(transfer), paint.plain());
    let mut x = MARK + wide;
    let when = transfer.ended.unwrap_or(transfer.started);
    let when =
        if model.is_today(when) { text::clock(when) } else { text::short_day(when, model.now) };
    let took = transfer.ended.map_or(String::new(), |it| {
        text::duration(it.duration_since(transfer.started).unsigned_abs())
    });
    // What did not end well says why, in place of how long it took.
    let mut columns = vec![(10, size(transfer)), (8, when)];
    if is_done && area.width >= super::BESIDE {
        columns.push((12, took));
    }
    for (wide, text) in columns {
        paint.right(y, x + wide - 1, &text, paint.plain());
        x += wide;
    }
    let last = match (&transfer.path, is_done) {
        (Some(path), true) => shown(&path.parent().unwrap_or_default()),
        (None, true) if transfer.text.is_some() => "Enter shows it".to_owned(),
        (None, true) => "the receiver has it".to_owned(),
        (_, false) => ending(now),
    };
    let room = area.width.saturating_sub(x + 1);
    if is_done {
        paint.name(x + 1, y, room, &last, paint.plain());
    } else {
        paint.put(x + 1, y, room, &last, paint.plain());
    }
}

/// How large it is, or would have been.
fn size(transfer: &Transfer) -> String {
    transfer.offer.as_ref().map_or(String::new(), |it| text::bytes(it.size))
}

/// What there is to know of the one that is meant.
fn draw_details(model: &Model, paint: &mut Paint<'_, '_>, area: Rect) {
    let Some(now) = model.transfers.meant() else { return };
    let room = usize::from(area.width.min(WIDEST_LIST)) - 2;
    // The list says the rest.
    let is_told = |it: &String| it.starts_with("what ") || it.starts_with("progress ");
    let lines = details(now);
    let lines = lines.iter().filter(|it| !is_told(it)).flat_map(|it| text::wrapped(it, room));
    let height = usize::from(area.height);
    let lines: Vec<String> = lines.take(height + 1).collect();
    let is_more = lines.len() > height;
    for (y, line) in (area.y..area.y + area.height).zip(&lines) {
        paint.put(1, y, area.width - 1, line, paint.plain());
    }
    if is_more {
        let y = area.y + area.height - 1;
        paint.right(y, area.width - 1, " Enter: more", paint.dim());
    }
}
