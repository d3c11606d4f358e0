//! The screen on which something is received: a code and a folder, and then the other side is waited for.

use ::transfers::transfer::{TransferState, TransferStatus};
use ratatui::layout::Rect;

use super::paint::Paint;
use crate::key::Place;
use crate::model::{Input, Model, ReceiveScreen, Screen, Server};
use crate::ops::transfers::{name, state_text};
use crate::ops::typed_folder;
use crate::text;

/// Where labels and fields begin, and how wide these are at most.
const LABEL: u16 = 6;
const FIELD: u16 = 13;
const WIDEST: u16 = 66;
/// On fewer rows only what is needed is said.
const LOW: u16 = 14;

pub(super) fn title(model: &Model) -> (String, String) {
    let opened = model.receive.opened.as_ref().and_then(|it| model.transfers.get(it.number));
    let Some(now) = opened else {
        return (" Receive files with magic-wormhole".to_owned(), String::new());
    };
    let code = now.transfer.code.as_ref().map(|it| text::escape(it.as_bytes()));
    let code = code.unwrap_or_else(|| "a new code".to_owned());
    let state = match now.transfer.state {
        TransferState::Offered => "connected, encrypted",
        state => state_text(state, now.transfer.direction),
    };
    (format!(" Receive > {code}"), format!("{state} "))
}

/// Keys that work in other places too, and are needed here.
pub(super) fn keys(place: Place) -> Vec<(String, String)> {
    let keys: &[(&str, &str)] = match place {
        Place::Receive => &[("Esc", "back"), ("Down", "more words")],
        Place::Waiting => &[("Esc", "back, it waits")],
        _ => &[],
    };
    keys.iter().map(|(key, label)| ((*key).to_owned(), (*label).to_owned())).collect()
}

pub(super) fn draw(model: &Model, paint: &mut Paint<'_, '_>, area: Rect) {
    let receive = &model.receive;
    if let Some(opened) = &receive.opened {
        match model.transfers.get(opened.number) {
            Some(now) => waiting(model, now, paint, area),
            None => paint.put(3, area.y + 1, area.width - 3, "asking ...", paint.dim()),
        }
        return;
    }
    let is_low = area.height < LOW;
    let mut y = area.y;
    if is_low {
        let line = "The sender runs: wormhole send FILE-OR-FOLDER";
        paint.put(3, y, area.width - 3, line, paint.plain());
        y += 2;
    } else {
        paint.put(
            3,
            y + 1,
            area.width - 3,
            "1  On the computer that has the files, run",
            paint.plain(),
        );
        paint.put(11, y + 3, area.width - 11, "wormhole send FILE-OR-FOLDER", paint.bold());
        let line = "2  Type the code it prints; or Enter here, for a code that the sender uses";
        paint.put(3, y + 5, area.width - 3, line, paint.plain());
        y += 7;
    }
    let room = area.width.saturating_sub(FIELD + 2).min(WIDEST);
    field("Code", &receive.code, (!receive.is_into, FIELD), paint, Rect { y, width: room, ..area });
    let below = Rect { x: FIELD, y: y + 1, width: room, height: 2 };
    under_code(receive, paint, below);
    y = below.y + below.height + u16::from(!is_low);
    let free = model.space.map_or(String::new(), |it| {
        format!("{} free of {}", text::bytes(it.free), text::bytes(it.size))
    });
    let free_room = u16::try_from(text::width(&free)).unwrap_or(0) + 2;
    let is_free_told = !is_low && area.width >= super::BESIDE;
    let into_room = if is_free_told { room.saturating_sub(free_room) } else { room };
    field(
        "Into",
        &receive.into,
        (receive.is_into, FIELD),
        paint,
        Rect { y, width: into_room, ..area },
    );
    if is_free_told {
        paint.right(y, FIELD + room, &free, paint.dim());
    }
    let folders = receive.folders.join("  ");
    let is_public = typed_folder(receive.into.text()).is_ok_and(|it| it.is_public());
    if receive.is_into && !folders.is_empty() {
        paint.put(FIELD, y + 1, room, &folders, paint.plain());
    } else if is_public {
        let line = "! Anyone will be able to read it: `public` needs no key.";
        paint.put(FIELD, y + 1, room, line, paint.bold());
    }
    y += 2;
    let end = area.y + area.height;
    for line in tail(model, usize::from(area.width) - 6) {
        if y >= end {
            break;
        }
        paint.put(3, y, area.width - 3, &line, paint.plain());
        y += 1;
    }
}

/// What goes wrong, what is to be asked, or which words fit: right below the code.
fn under_code(receive: &ReceiveScreen, paint: &mut Paint<'_, '_>, area: Rect) {
    let rows = area.y..area.y + area.height;
    let wide = usize::from(area.width + FIELD - LABEL);
    let mut told = Vec::new();
    let unknown = receive.unknown();
    if let Some(error) = &receive.error {
        told = text::wrapped(&format!("! {error}"), wide);
    } else if let Some(doubted) = &receive.doubted {
        let first = wormhole::wordlist::check(doubted).first().map(ToString::to_string);
        let line = format!(
            "! {} Enter again uses the code as it is. It works once.",
            text::escape(first.unwrap_or_default().as_bytes())
        );
        told = text::wrapped(&line, wide);
    } else if receive.is_starting {
        told.push("connecting ...".to_owned());
    } else if let Some(first) = unknown.first() {
        told.push(format!("! {}", text::escape(first.to_string().as_bytes())));
    }
    if told.is_empty() {
        return words(receive, paint, area);
    }
    for (y, line) in rows.zip(&told) {
        paint.put(LABEL, y, area.width + FIELD - LABEL, line, paint.error());
    }
}

/// The words that fit, from the row of the marked one on, and how many more there are.
fn words(receive: &ReceiveScreen, paint: &mut Paint<'_, '_>, area: Rect) {
    if receive.is_into {
        return;
    }
    let words = receive.words();
    let room = usize::from(area.width).saturating_sub(6);
    let mut rows: Vec<Vec<(usize, usize)>> = vec![Vec::new()];
    let mut column = 0;
    for (index, word) in words.iter().enumerate() {
        if column + word.len() > room {
            rows.push(Vec::new());
            column = 0;
        }
        if let Some(row) = rows.last_mut() {
            row.push((index, column));
        }
        column += word.len() + 2;
    }
    let marked_row = receive
        .marked
        .and_then(|marked| rows.iter().position(|row| row.iter().any(|it| it.0 == marked)));
    let seen = usize::from(area.height);
    let top = marked_row.unwrap_or(0).min(rows.len().saturating_sub(seen));
    let mut last = (area.x, area.y, 0);
    for (y, row) in (area.y..area.y + area.height).zip(rows.iter().skip(top)) {
        for (index, column) in row {
            let Some(word) = words.get(*index) else { continue };
            let x = area.x + u16::try_from(*column).unwrap_or(0);
            let wide = u16::try_from(word.len()).unwrap_or(0);
            paint.put(x, y, wide, word, paint.plain());
            if receive.marked == Some(*index) {
                paint.choose(x, y, wide);
            }
            last = (x + wide + 2, y, index + 1);
        }
    }
    let more = words.len() - last.2;
    if more > 0 {
        paint.put(last.0, last.1, 6, &format!("+{more}"), paint.dim());
    }
}

/// What there is to know beforehand.
fn tail(model: &Model, room: usize) -> Vec<String> {
    let no_server = match &model.transfers.carried {
        Some(carried) => carried.no_server.is_some(),
        None => matches!(model.activity.server, Server::Down(..)),
    };
    let whose = if no_server {
        "No server answers: this console does the transfer itself. It ends when you quit or lose this connection."
    } else {
        "The server does the transfer. Once it runs you may quit, or lose this connection: it goes on, and you find it again under 3 Transfers."
    };
    let once = "A code works once. After a mistyped code the sender has to send again.";
    let mut lines = text::wrapped(whose, room);
    lines.push(String::new());
    lines.extend(text::wrapped(once, room));
    lines
}

/// A line to be typed into, with its label in front.
pub(super) fn field(
    label: &str,
    input: &Input,
    (is_meant, x): (bool, u16),
    paint: &mut Paint<'_, '_>,
    at: Rect,
) {
    let style = if is_meant { paint.bold() } else { paint.plain() };
    paint.put(6, at.y, x.saturating_sub(6), label, style);
    let before = text::width(input.before());
    let wide = usize::from(at.width);
    let skipped = before.saturating_sub(wide.saturating_sub(2));
    let seen = text::skip(input.text(), skipped);
    let rest = "_".repeat(wide.saturating_sub(text::width(&seen)));
    paint.put(x, at.y, at.width, &format!("{seen}{rest}"), style);
    if is_meant {
        paint.cursor(x + u16::try_from(before - skipped).unwrap_or(0), at.y);
    }
}

/// The other side is waited for; what it has to type stands alone on its line.
fn waiting(model: &Model, now: &TransferStatus, paint: &mut Paint<'_, '_>, area: Rect) {
    let transfer = &now.transfer;
    let room = area.width - 3;
    let mut y = area.y + 1;
    match (&transfer.command, transfer.state) {
        (Some(command), _) => {
            let line = "On the computer that has the files, run (y copies it):";
            paint.put(3, y, room, line, paint.plain());
            y += 2;
            let wide = usize::from(area.width);
            // Without a frame and without a break of our own, so that it can be marked.
            let x = if text::width(command) + 3 < wide { 3 } else { 0 };
            let mut rest = command.clone();
            while !rest.is_empty() {
                paint.put(x, y, area.width, rest.get(..wide).unwrap_or(&rest), paint.bold());
                rest = rest.get(wide..).unwrap_or_default().to_owned();
                y += 1;
            }
            y += 1;
        }
        (None, TransferState::Connecting) => {
            paint.put(3, y, room, "connecting ...", paint.plain());
            y += 2;
        }
        (None, _) => {
            let since = text::clock(transfer.started);
            let line = format!("{}: waiting for the sender since {since}.", name(transfer));
            paint.put(3, y, room, &line, paint.plain());
            y += 2;
        }
    }
    let into = transfer.into.as_ref().map(crate::ops::with_slash).unwrap_or_default();
    let lines = [
        format!("It goes into {into}; you are asked first."),
        "Esc goes back, and it waits. a receives another one too.".to_owned(),
    ];
    for line in lines {
        paint.put(3, y, room, &line, paint.plain());
        y += 1;
    }
    debug_assert!(model.screen == Screen::Receive, "it is drawn there only");
}
