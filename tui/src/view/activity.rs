//! What the server says of itself.

use std::time::Duration;

use ratatui::layout::Rect;

use super::paint::Paint;
use crate::admin::{ActivityNow, Open, Recent, millis};
use crate::model::{Model, Server};
use crate::text;

/// On fewer rows requests that are over come first.
const LOW: u16 = 12;

pub(super) fn title(model: &Model) -> (String, String) {
    let screen = &model.activity;
    let mut right = String::new();
    if screen.is_paused {
        right.push_str("paused ");
    }
    if screen.errors_only {
        right.push_str("errors only ");
    }
    if let Some((input, false)) = &screen.filter {
        right = format!("{right}with '{}' ", input.text());
    }
    let Some(now) = &screen.now else { return (" Activity".to_owned(), right) };
    let up = text::duration(Duration::from_secs(now.up_seconds));
    let awake = if now.awake.is_empty() {
        "nothing to do".to_owned()
    } else {
        format!("awake for {}", now.awake.join(", "))
    };
    (format!(" Activity   up {up}   {awake}"), right)
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
    y = figures(now, paint, area, y);
    for warning in &now.warnings {
        paint.put(1, y, area.width - 1, &format!("! {warning}"), paint.error());
        y += 1;
    }
    let is_low = area.height < LOW;
    if !now.open.is_empty() && y + 2 < end && !is_low {
        paint.rule(y, 0, area.width);
        paint.put(1, y + 1, 40, "Open now", paint.bold());
        if area.width >= super::BESIDE {
            paint.right(y + 1, area.width - 1, "user        rate       for", paint.dim());
        }
        y += 2;
        let most = usize::from(end.saturating_sub(y) / 3).max(1);
        for open in now.open.iter().take(most) {
            open_line(model, open, paint, area, y);
            y += 1;
        }
    }
    if !now.arrivals.is_empty() && y + 4 < end && area.height > 18 {
        paint.rule(y, 0, area.width);
        y += 1;
        for arrival in now.arrivals.iter().take(2) {
            let size = arrival.size.map(text::bytes).unwrap_or_default();
            let line = format!(
                "arrived {}  {}  {size}",
                text::ago(arrival.time, model.now),
                crate::ops::shown(&arrival.path)
            );
            paint.put(1, y, area.width - 1, &line, paint.plain());
            y += 1;
        }
    }
    if y < end {
        paint.rule(y, 0, area.width);
        y += 1;
    }
    let consoles = if is_low { String::new() } else { consoles(now) };
    let last = end - u16::from(!consoles.is_empty());
    for recent in screen.wanted().skip(screen.top) {
        if y >= last {
            break;
        }
        recent_line(recent, paint, area, y);
        y += 1;
    }
    paint.put(1, end - 1, area.width - 1, &consoles, paint.dim());
}

fn figures(now: &ActivityNow, paint: &mut Paint<'_, '_>, area: Rect, y: u16) -> u16 {
    let seconds = now.part_seconds.max(1);
    // The last part is not over; the one before tells the rate.
    let last = now.parts.iter().rev().nth(1).copied().unwrap_or_default();
    let errors: u64 = now.parts.iter().map(|it| it.errors).sum();
    let rate = |count: u64| text::bytes(count / seconds);
    let requests = last.requests.div_ceil(seconds);
    let room = usize::from(area.width.saturating_sub(58)).min(now.parts.len());
    let skip = now.parts.len() - room;
    let values: Vec<u64> = now.parts.iter().skip(skip).map(|it| it.requests).collect();
    let bytes: Vec<u64> = now.parts.iter().skip(skip).map(|it| it.sent + it.received).collect();
    let line = format!(
        "Requests   {requests} /s    p50 {}   p99 {}   errors {errors}",
        millis(now.p50_micros),
        millis(now.p99_micros)
    );
    paint.put(1, y, area.width - 1, &line, paint.plain());
    let line = format!("Sent       {}/s    Received {}/s", rate(last.sent), rate(last.received));
    paint.put(1, y + 1, area.width - 1, &line, paint.plain());
    if area.width >= super::BESIDE {
        let (drawn, drawn_bytes) = (paint.columns(&values), paint.columns(&bytes));
        let style = paint.good();
        paint.right(y, area.width - 1, &drawn, style);
        paint.right(y + 1, area.width - 1, &drawn_bytes, style);
    }
    #[expect(clippy::cast_precision_loss, reason = "a bar")]
    let part = now.disk.size.saturating_sub(now.disk.free) as f64 / now.disk.size.max(1) as f64;
    let bar = paint.bar(area.width.saturating_sub(46).min(46), part);
    let used = now.disk.size.saturating_sub(now.disk.free);
    let line = format!("Disk       {bar} {} of {}", text::bytes(used), text::bytes(now.disk.size));
    paint.put(1, y + 2, area.width - 1, &line, paint.plain());
    let trend = now.disk.trend();
    let trend = trend.strip_prefix(", ").unwrap_or(&trend);
    if trend.is_empty() {
        return y + 3;
    }
    paint.put(12, y + 3, area.width.saturating_sub(12), trend, paint.bold());
    y + 4
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
    let (left, room) = (
        format!("{:4} {}  {range}", open.method, text::path(&open.path)),
        area.width.saturating_sub(44),
    );
    paint.put(3, y, room, &left, paint.plain());
    let right = format!(
        "{progress:>8}  {:10} {:>10}/s {:>2}:{:02}",
        text::cut(user, 10),
        text::bytes(rate),
        seconds / 60,
        seconds % 60
    );
    paint.right(y, area.width - 1, &right, paint.plain());
}

/// `bytes 2100-2199/6800` as `2.1-2.2 KB`.
fn range_text(range: &str) -> Option<String> {
    let (from, to) = range.strip_prefix("bytes ")?.split_once('/')?.0.split_once('-')?;
    Some(format!("{}-{}", text::bytes(from.parse().ok()?), text::bytes(to.parse().ok()?)))
}

fn recent_line(recent: &Recent, paint: &mut Paint<'_, '_>, area: Rect, y: u16) {
    let style = if recent.status >= 400 { paint.error() } else { paint.plain() };
    let time = recent.time.strftime("%H:%M:%S").to_string();
    paint.put(1, y, 8, &time, paint.plain());
    paint.put(11, y, 3, &recent.status.to_string(), style);
    paint.right(y, 22, &millis(recent.latency_micros), paint.plain());
    paint.put(24, y, 6, &recent.method, paint.plain());
    let user = text::cut(recent.username.as_deref().unwrap_or(&recent.client), 15);
    let bytes = recent.sent.max(recent.received);
    let bytes = if bytes > 0 { format!("  [{}]", text::bytes(bytes)) } else { String::new() };
    let cut_off = if recent.complete { "" } else { "  cut off" };
    let room = area.width.saturating_sub(30 + u16::try_from(user.len()).unwrap_or(0) + 2);
    paint.put(30, y, room, &format!("{}{bytes}{cut_off}", text::path(&recent.path)), paint.plain());
    paint.right(y, area.width - 1, &user, paint.plain());
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
