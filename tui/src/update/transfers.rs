//! Wormhole transfers: what is told of them, and the screen that lists them.

use std::os::unix::ffi::OsStringExt;

use transfers::transfer::{Direction, TransferState, TransferStatus};
use volume::RelPath;

use super::browse::{self, moved};
use super::{DEAF, open, receive, show};
use crate::cli::transfers::{SendArgs, TransfersCommand};
use crate::effect::{Effect, Wish};
use crate::key::Act;
use crate::model::{
    Form, Input, Model, Opened, Popup, Purpose, Reading, Redraw, Screen, Secret, Server,
};
use crate::ops::carriers::Carried;
use crate::ops::transfers::{details, ending, name};
use crate::ops::{Failure, with_slash};
use crate::text;

/// All of them, as they are now.
pub(super) fn told(model: &mut Model, result: Result<Carried, Failure>) {
    let is_shown = matches!(model.screen, Screen::Receive | Screen::Transfers);
    model.transfers.is_asked = false;
    let carried = match result {
        Ok(carried) => carried,
        Err(failure) => {
            model.transfers.trouble = Some(failure.what);
            if is_shown {
                model.dirty(Redraw::Soon);
            }
            return;
        }
    };
    let was_in_trouble = model.transfers_are_of().is_some();
    model.transfers.trouble = None;
    model.transfers.told = Some(model.now);
    if model.transfers.carried.as_ref() == Some(&carried) && !was_in_trouble {
        return;
    }
    let badge = model.transfers.badge();
    match model.transfers.carried.replace(carried) {
        None => greet(model),
        Some(before) => tell_endings(model, &before),
    }
    if is_shown || badge != model.transfers.badge() {
        model.dirty(Redraw::Soon);
    }
    receive::follow(model);
    show_awaited(model);
}

/// Says what went on while nobody looked.
fn greet(model: &mut Model) {
    if model.activity.server != Server::Up {
        return;
    }
    let live: Vec<&TransferStatus> = model.transfers.live().collect();
    let offers = live.iter().filter(|it| it.question.is_some()).count() as u64;
    let badge = model.transfers.badge();
    let told = match live.as_slice() {
        [] => return,
        _ if offers > 0 => {
            let offers = text::things(offers, "offer waits", "offers wait");
            format!("{offers} for your answer (3)")
        }
        [one] if badge.receiving.0 + badge.sending.0 == 1 => {
            format!("1 transfer went on while you were away, {} %", one.transfer.percent())
        }
        [_] => "1 transfer waits for the other side (3)".to_owned(),
        several => format!("{} transfers went on while you were away (3)", several.len()),
    };
    model.say(told);
    model.dirty(Redraw::Soon);
}

/// Says what became of those that are over now; but for the one that is followed, which says so itself.
fn tell_endings(model: &mut Model, before: &Carried) {
    let opened = model.receive.opened.as_ref().map(|it| it.number);
    let followed = opened.filter(|_| model.screen == Screen::Receive);
    let was_live = |it: &TransferStatus| {
        before.all.iter().any(|old| old.transfer.number == it.transfer.number && old.is_live)
    };
    let over: Vec<TransferStatus> = model
        .transfers
        .carried
        .iter()
        .flat_map(|it| &it.all)
        .filter(|it| it.transfer.state.is_over() && was_live(it))
        .filter(|it| {
            it.transfer.state == TransferState::Done || Some(it.transfer.number) != followed
        })
        .cloned()
        .collect();
    for now in over {
        let line = format!("{}: {}", name(&now.transfer), ending(&now));
        match now.transfer.state {
            TransferState::Done | TransferState::Cancelled | TransferState::Refused => {
                model.say(line);
            }
            _ => model.complain(line),
        }
        model.dirty(Redraw::Soon);
    }
}

/// What is said until there is a code.
fn making_code(now: &TransferStatus) -> String {
    format!("sending {}: making a code", name(&now.transfer))
}

/// Shows what the other side has to type, as soon as that is known and nothing else is shown.
fn show_awaited(model: &mut Model) {
    let awaited = model.transfers.awaited.and_then(|it| model.transfers.get(it));
    let Some(now) = awaited.cloned() else { return };
    let is_made = now.transfer.command.is_some() || now.transfer.state.is_over();
    model.message.take_if(|it| is_made && it.text == making_code(&now));
    if now.transfer.state.is_over() {
        model.transfers.awaited = None;
    } else if now.transfer.command.is_some() && model.popup.is_none() {
        model.transfers.awaited = None;
        show_command(model, &now);
    }
}

/// What the other side has to type, alone on a line.
fn show_command(model: &mut Model, now: &TransferStatus) {
    let Some(secret) = now.transfer.command.clone() else { return };
    let what = name(&now.transfer);
    let title = format!("Send {}: the other side runs", text::shortened(&what, 40));
    let ends = if model.transfers.here() > 0 {
        "It ends with this console."
    } else {
        "You may quit: the server does it."
    };
    let below = [
        "y copies it, if your terminal allows; otherwise mark the line above.",
        "The code in it works once. 3 shows how it gets on.",
        ends,
    ];
    let below = below.map(str::to_owned).to_vec();
    model.popup = Some(Popup::Secret(Secret::new(title, secret, below, "Close")));
    model.deaf_until = model.now.checked_add(DEAF).ok();
    model.dirty(Redraw::Now);
}

/// What came of a wish.
pub(super) fn done(
    model: &mut Model,
    wish: &Wish,
    result: Result<Option<Box<TransferStatus>>, Failure>,
) -> Vec<Effect> {
    model.dirty(Redraw::Now);
    match (wish, result) {
        (Wish::Receive(_), result) => receive::begun(model, result),
        (Wish::Transfers(TransfersCommand::Accept { number, .. }), result) => {
            receive::answered(model, *number, true, result.map(drop));
        }
        (Wish::Transfers(TransfersCommand::Refuse { number, .. }), result) => {
            receive::answered(model, *number, false, result.map(drop));
        }
        (_, Err(failure)) => model.complain(failure.what),
        (Wish::Send(_), Ok(Some(now))) => {
            model.transfers.awaited = Some(now.transfer.number);
            model.say(making_code(&now));
        }
        (Wish::Transfers(TransfersCommand::Show { .. }), Ok(Some(now))) => {
            show_details(model, &now);
        }
        (Wish::Transfers(TransfersCommand::Cancel { number }), Ok(_)) => {
            model.say(format!("cancelling transfer {number}"));
        }
        (Wish::Transfers(TransfersCommand::Clear), Ok(_)) => {
            model.say("forgot the finished transfers");
        }
        (_, Ok(_)) => {}
    }
    vec![Effect::AskTransfers]
}

fn show_details(model: &mut Model, now: &TransferStatus) {
    let title = format!("Transfer {}", now.transfer.number);
    let lines = details(now);
    model.popup = Some(Popup::Text(Reading { title, lines, ..Reading::default() }));
}

/// Does what a key means here.
pub(super) fn act(model: &mut Model, act: Act) -> Vec<Effect> {
    let meant = model.transfers.meant().cloned();
    match (act, meant) {
        (Act::Cancel, _) => return show(model, model.before),
        (Act::ClearTransfers, _) => {
            return vec![Effect::Transfer(Wish::Transfers(TransfersCommand::Clear))];
        }
        (Act::ReceiveAgain, meant) => {
            let into = meant.and_then(|it| it.transfer.into);
            let effects = show(model, Screen::Receive);
            receive::anew(model, into.as_ref());
            return effects;
        }
        (Act::CancelTransfer, Some(now)) => ask_to_cancel(model, &now),
        (Act::OpenTransfer, Some(now)) => {
            let is_received = now.transfer.direction == Direction::Receive;
            let waits = matches!(
                now.transfer.state,
                TransferState::Connecting | TransferState::Waiting | TransferState::Offered
            );
            if now.is_live && is_received && waits {
                let number = now.transfer.number;
                model.receive.opened = Some(Opened { number, ..Opened::default() });
                let effects = show(model, Screen::Receive);
                receive::follow(model);
                return effects;
            }
            show_details(model, &now);
        }
        (Act::CopyCommand, Some(now)) => return copy_command(model, &now),
        (Act::GoToTransfer, Some(now)) => return go_to(model, &now),
        (other, Some(now)) => {
            let numbers: Vec<u64> =
                model.transfers.ordered().iter().map(|it| it.transfer.number).collect();
            let row = numbers.iter().position(|it| *it == now.transfer.number).unwrap_or(0);
            let row = moved(other, row, numbers.len(), model.list_rows() / 2);
            // On the first row the first is meant, whichever that becomes.
            model.transfers.chosen = numbers.get(row).copied().filter(|_| row > 0);
        }
        (_, None) => {}
    }
    Vec::new()
}

/// Sends the command for the other side to the terminal's clipboard.
pub(super) fn copy_command(model: &mut Model, now: &TransferStatus) -> Vec<Effect> {
    let Some(command) = &now.transfer.command else {
        model.complain("there is no command for the other side: they made the code");
        return Vec::new();
    };
    model.say("sent to your terminal's clipboard, if that allows it");
    vec![Effect::Copy(command.clone())]
}

/// Asks before one is cancelled, and says whose it is.
pub(super) fn ask_to_cancel(model: &mut Model, now: &TransferStatus) {
    let transfer = &now.transfer;
    if transfer.state.is_over() {
        model.complain("it has finished already");
        return;
    }
    let title = format!("Cancel transfer {}", transfer.number);
    let mut form = Form::new(title, "Stop it", Purpose::CancelTransfer(transfer.number));
    let how_far = match transfer.percent() {
        0 => String::new(),
        percent => format!(", {percent} % done"),
    };
    form = form.line(format!("{}{how_far}", name(transfer)));
    form = form.line(match transfer.direction {
        Direction::Receive => "The sender is told. What has come is removed.",
        Direction::Send => "The receiver is told. The code is used up.",
    });
    let us =
        model.activity.now.as_ref().and_then(|it| it.console).map(|it| format!("console {it}"));
    let is_here =
        model.transfers.carried.as_ref().is_some_and(|it| it.here.contains(&transfer.number));
    if !is_here && us.is_some_and(|it| it != transfer.started_by) {
        form = form
            .line(format!("! It was started by {}.", text::escape(transfer.started_by.as_bytes())));
    }
    open(model, form);
}

/// Goes to the folder of what was received or is sent, with the cursor on it.
fn go_to(model: &mut Model, now: &TransferStatus) -> Vec<Effect> {
    let transfer = &now.transfer;
    let is_there = transfer.direction == Direction::Send || transfer.state == TransferState::Done;
    let thing = transfer.path.as_ref().or(transfer.paths.first()).filter(|_| is_there);
    let (folder, thing) = match (thing, &transfer.into) {
        (Some(path), _) => {
            (path.parent().unwrap_or_default(), path.file_name().map(<[u8]>::to_vec))
        }
        (None, Some(into)) => (into.clone(), None),
        (None, None) => return Vec::new(),
    };
    model.before = model.screen;
    model.screen = Screen::Browse;
    browse::go(model, folder, thing)
}

/// Asks whether what is selected is to be sent.
pub(super) fn send(model: &mut Model) -> Vec<Effect> {
    let chosen = model.browse.chosen();
    if chosen.is_empty() {
        model.complain("nothing is chosen");
        return Vec::new();
    }
    let what = match chosen.as_slice() {
        [one] => text::shortened(&one.file_name().map(text::escape).unwrap_or_default(), 40),
        several => format!("{} items", several.len()),
    };
    let mut form = Form::new(format!("Send {what} by wormhole"), "Send", Purpose::Send(chosen))
        .line("Makes a code. Whoever has it can receive this, once.");
    form.focus = 0;
    open(model, form);
    Vec::new()
}

/// Sends them.
pub(super) fn sent(model: &mut Model, paths: &[RelPath]) -> Vec<Effect> {
    model.browse.selected.clear();
    let paths = paths.iter().map(typed).collect();
    vec![Effect::Transfer(Wish::Send(SendArgs { paths, ..SendArgs::default() }))]
}

/// A path as it stands on the command line.
pub(super) fn typed(path: &RelPath) -> std::ffi::OsString {
    std::ffi::OsString::from_vec([b"/", path.to_plain().as_slice()].concat())
}

/// A folder as it stands in a field.
pub(super) fn field(path: &RelPath) -> Input {
    Input::with(&with_slash(path))
}
