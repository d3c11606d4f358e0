//! What the server says of itself.

use std::time::Duration;

use ratatui::layout::Rect;

use super::paint::Paint;
use crate::admin::{ActivityNow, Open, Part, Recent, millis};
use crate::model::{ActivityScreen, Model, Server};
use crate::text;

/// What is drawn of each part of the last minutes.
type Figure = fn(&Part) -> u64;

/// On fewer rows requests that are over come first.
const LOW: u16 = 12;
/// Columns that figures take; what is behind them is for small columns.
const FIGURES: u16 = 46;

pub(super) fn title(model: &Model) -> (String, String) {
    let screen = &model.activity;
    let mut right = String::new();
    if screen.is_paused {
        right.push_str("paused ");
    }
    if screen.errors_only {
        right.push_str("errors only ");
    }
    if let Some(user) = &screen.user {
        right = format!("{right}of {} ", text::escape(user.as_bytes()));
    }
    if let Some((input, false)) = &screen.filter {
        right = format!("{right}with '{}' ", input.text());
    }
    let Some(now) = &screen.now else { return (" Activity".to_owned(), right) };
    let up = text::duration(Duration::from_secs(now.up_seconds));
    let sleeps = now.sleep.sleeps().map_or(String::new(), |it| format!("   {it}"));
    (format!(" Activity   up {up}{sleeps}"), right)
}

pub(super) fn draw(model: &Model, paint: &mut Paint<'_, '_>, area: Rect) {
    let screen = &model.activity;
    let mut y = area.y;
    if let Server::Down(since, why) = &screen.server {
        let told =
            screen.told.map_or(String::new(), |it| format!(", figures are of {}", text::clock(it)));
        let line = format!(
            "Server does not answer since {}{told}. Files and keys work.",
            text::clock(*since)
        );
        paint.put(1, y, area.width - 1, &line, paint.error());
        paint.put(1, y + 1, area.width - 1, why, paint.dim());
        y += 2;
    }
    let Some(now) = &screen.now else {
        if screen.server == Server::Unknown {
            paint.put(1, y, area.width - 1, "asking the server ...", paint.dim());
        }
        return;
    };
    let end = area.y + area.height;
    y = figures(model, now, paint, area, y);
    let awake = format!("Awake      {}", now.sleep.reasons());
    paint.put(1, y, area.width - 1, &awake, paint.plain());
    y += 1;
    for warning in &now.warnings {
        paint.put(1, y, area.width - 1, &format!("! {warning}"), paint.error());
        y += 1;
    }
    let is_low = area.height < LOW;
    if !now.open.is_empty() && y + 2 < end && !is_low {
        paint.rule(y, 0, area.width);
        paint.put(1, y + 1, 40, "Open now", paint.bold());
        if area.width >= super::BESIDE {
            paint.right(y + 1, area.width - 1, "user        rate      for", paint.dim());
        }
        y += 2;
        let most = usize::from(end.saturating_sub(y) / 3).max(1);
        for open in now.open.iter().take(most) {
            open_line(model, open, paint, area, y);
            y += 1;
        }
    }
    if y < end {
        paint.rule(y, 0, area.width);
        headings(paint, area, y);
        y += 1;
    }
    let consoles = if is_low { String::new() } else { consoles(now) };
    let last = end - u16::from(!consoles.is_empty());
    let (rows, chosen) = (usize::from(last.saturating_sub(y)).max(1), screen.row());
    // Whole pages, so that a row up or down moves nothing but the mark.
    let top = chosen / rows * rows;
    for (row, recent) in screen.wanted().enumerate().skip(top).take(rows) {
        if y >= last {
            break;
        }
        recent_line(screen, recent, paint, area, y);
        if row == chosen {
            paint.cursor_row(Rect { y, height: 1, ..area });
        }
        y += 1;
    }
    paint.put(1, end - 1, area.width - 1, &consoles, paint.dim());
}

fn figures(
    model: &Model,
    now: &ActivityNow,
    paint: &mut Paint<'_, '_>,
    area: Rect,
    mut y: u16,
) -> u16 {
    let seconds = now.part_seconds.max(1);
    // The last part is not over; the one before tells the rate.
    let last = now.parts.iter().rev().nth(1).copied().unwrap_or_default();
    let sum = |figure: Figure| text::count(now.parts.iter().map(figure).sum());
    let (failed, errors) = (sum(Part::failed), sum(|it| it.errors));
    let rate = |count: u64| text::bytes(count / seconds);
    let requests = last.requests.div_ceil(seconds);
    let (p50, p99) = (millis(now.p50_micros), millis(now.p99_micros));
    let rows: [(String, Figure); 3] = [
        (format!("Requests   {requests} /s   errors {failed} (5xx: {errors})"), |it| it.requests),
        (format!("Latency    p50 {p50}   p99 {p99}"), |it| it.p99_micros),
        (format!("Sent       {}/s   Received {}/s", rate(last.sent), rate(last.received)), |it| {
            it.sent + it.received
        }),
    ];
    // All of the time that is told, in as many columns as there is room for.
    let room = usize::from(area.width.saturating_sub(FIGURES)).max(1);
    let folded = now.parts.len().div_ceil(room).max(1);
    let columns = now.parts.len().div_ceil(folded);
    for (line, figure) in rows {
        paint.put(1, y, area.width - 1, &line, paint.plain());
        let all: Vec<u64> = now.parts.iter().map(figure).collect();
        let values: Vec<u64> =
            all.chunks(folded).map(|it| it.iter().copied().max().unwrap_or(0)).collect();
        let (drawn, style) = (paint.columns(&values), paint.good());
        paint.right(y, area.width - 1, &drawn, style);
        y += 1;
    }
    #[expect(clippy::cast_precision_loss, reason = "a bar")]
    let part = now.disk.size.saturating_sub(now.disk.free) as f64 / now.disk.size.max(1) as f64;
    let bar = paint.bar(area.width.saturating_sub(46).min(46), part);
    let used = now.disk.size.saturating_sub(now.disk.free);
    let line = format!("Disk       {bar} {} of {}", text::bytes(used), text::bytes(now.disk.size));
    paint.put(1, y, area.width - 1, &line, paint.plain());
    y += 1;
    let is_low = area.height < LOW;
    let trend = now.disk.trend();
    let trend = trend.strip_prefix(", ").unwrap_or(&trend);
    if !is_low {
        // What the columns above are of.
        let minutes = (now.parts.len() as u64 * seconds).div_ceil(60);
        let (ago, wide) = (format!("{minutes} min ago"), columns.saturating_sub(3));
        let begin = usize::from(area.width).saturating_sub(columns + 3);
        let legend = if 12 + text::width(trend) < begin {
            format!("{ago:wide$}now")
        } else {
            format!("last {minutes} min")
        };
        paint.right(y, area.width - 1, &legend, paint.dim());
    }
    if !is_low || !trend.is_empty() {
        paint.put(12, y, area.width.saturating_sub(12), trend, paint.bold());
        y += 1;
    }
    let most = if is_low { 0 } else { usize::from(area.height / 12) };
    for arrival in now.arrivals.iter().take(most) {
        let size = arrival.size.map(|it| format!("  {}", text::bytes(it))).unwrap_or_default();
        let slash = if arrival.kind == "directory" { "/" } else { "" };
        let (when, path) = (text::ago(arrival.time, model.now), crate::ops::shown(&arrival.path));
        let line = format!("Arrived    {when}  {path}{slash}{size}");
        paint.put(1, y, area.width - 1, &line, paint.plain());
        y += 1;
    }
    y
}

fn open_line(model: &Model, open: &Open, paint: &mut Paint<'_, '_>, area: Rect, y: u16) {
    let user = open.username.as_deref().unwrap_or(&open.client);
    let bytes = open.sent.max(open.received);
    let progress = match open.expected {
        Some(all) if all > 0 => format!("{} %", (bytes.saturating_mul(100) / all).min(100)),
        _ => text::bytes(bytes),
    };
    // Since the answer before, or since the request began.
    let before = model.activity.before.as_ref().and_then(|(when, it)| {
        let earlier = it.open.iter().find(|it| it.seq == open.seq)?;
        let millis = model.activity.told?.duration_since(*when).as_millis();
        Some((earlier.sent.max(earlier.received), u64::try_from(millis).ok()?))
    });
    let (since, millis) = before.unwrap_or((0, open.millis));
    let rate = (bytes - since.min(bytes)).saturating_mul(1000) / millis.max(1);
    let seconds = open.millis / 1000;
    let range = open.range.as_deref().and_then(range_text).unwrap_or_default();
    let room = area.width.saturating_sub(44);
    let path = with_path(&text::path(&open.path), &format!("  {range}"), usize::from(room) - 5);
    paint.put(3, y, room, &format!("{:4} {path}", open.method), paint.plain());
    let right = format!(
        "{progress:>8}  {:10} {:>10}/s {:>2}:{:02}",
        text::cut(user, 10),
        text::bytes(rate),
        seconds / 60,
        seconds % 60
    );
    paint.right(y, area.width - 1, &right, paint.plain());
}

/// `bytes 2100-2199/6800` as `2.1 KB-2.2 KB`.
fn range_text(range: &str) -> Option<String> {
    let (from, to) = range.strip_prefix("bytes ")?.split_once('/')?.0.split_once('-')?;
    let end = to.parse::<u64>().ok()?.saturating_add(1);
    Some(format!("{}-{}", text::bytes(from.parse().ok()?), text::bytes(end)))
}

/// What stands in the columns of requests, on the line above them.
fn headings(paint: &mut Paint<'_, '_>, area: Rect, y: u16) {
    let style = paint.dim();
    paint.put(2, y, 7, " Ended ", style);
    paint.put(12, y, 6, " Code ", style);
    paint.right(y, 25, " Took ", style);
    paint.put(25, y, 9, " Request ", style);
    paint.right(y, area.width, " User ", style);
}

fn recent_line(
    screen: &ActivityScreen,
    recent: &Recent,
    paint: &mut Paint<'_, '_>,
    area: Rect,
    y: u16,
) {
    let style = if recent.status >= 400 { paint.error() } else { paint.plain() };
    let time = recent.time.strftime("%H:%M:%S").to_string();
    paint.put(3, y, 8, &time, paint.plain());
    paint.put(13, y, 3, &recent.status.to_string(), style);
    paint.right(y, 24, &millis(recent.micros), paint.plain());
    paint.put(26, y, 6, &recent.method, paint.plain());
    let user = text::cut(&text::escape(recent.who().as_bytes()), 15);
    let guesses = match screen.guesses(recent) {
        0 | 1 => String::new(),
        count => format!("  {}/min", text::ordinal(count)),
    };
    let bytes = recent.sent.max(recent.received);
    let bytes = if bytes > 0 { format!("  [{}]", text::bytes(bytes)) } else { String::new() };
    let cut_off = if recent.complete { "" } else { "  cut off" };
    let room = area.width.saturating_sub(32 + u16::try_from(text::width(&user)).unwrap_or(0) + 2);
    let more = format!("{bytes}{cut_off}{guesses}");
    let line = with_path(&text::path(&recent.path), &more, room.into());
    paint.put(32, y, room, &line, paint.plain());
    paint.right(y, area.width - 1, &user, paint.plain());
}

/// A path and what more there is to say, in a width: what more there is only where the path can still be read.
fn with_path(path: &str, more: &str, room: usize) -> String {
    const READABLE: usize = 20;
    let left = room.saturating_sub(text::width(more));
    if left >= text::width(path).min(READABLE) {
        format!("{}{more}", text::shortened(path, left))
    } else {
        text::shortened(path, room)
    }
}

fn consoles(now: &ActivityNow) -> String {
    if now.consoles.is_empty() {
        return String::new();
    }
    let each = now.consoles.iter().map(|it| {
        let you = if now.console == Some(it.number) { " (you)" } else { "" };
        format!("{}{you} since {}", it.number, text::clock(it.since))
    });
    format!("consoles: {}", each.collect::<Vec<_>>().join("   "))
}
