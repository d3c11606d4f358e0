//! The screen on which something is received.

use ::transfers::transfer::{TransferState, TransferStatus};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use volume::RelPath;
use wormhole::wordlist;

use super::{DEAF, offer, show, transfers};
use crate::cli::transfers::ReceiveArgs;
use crate::effect::{Effect, Wish};
use crate::key::Act;
use crate::model::{
    Input, Model, OfferForm, Opened, Popup, Reading, ReceiveScreen, Redraw, Screen, Stage,
};
use crate::ops::transfers::{ending, name};
use crate::ops::{Failure, typed_folder};
use crate::palette::Completion;
use crate::text;

/// Makes the fields ready when the screen is opened: what was typed stays.
pub(super) fn enter(model: &mut Model) {
    let receive = &mut model.receive;
    if receive.opened.is_none() && receive.code.text().is_empty() && !receive.is_starting {
        anew(model, None);
    }
}

/// Empty fields, for a folder: if none is named, the one that is browsed.
pub(super) fn anew(model: &mut Model, into: Option<&RelPath>) {
    let into = transfers::field(into.unwrap_or(&model.browse.path));
    model.receive = ReceiveScreen { into, ..ReceiveScreen::default() };
}

/// A key where a code or a folder is typed.
pub(super) fn typed(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let is_control = |letter| key == KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
    if is_control('o') {
        model.receive.is_into = !model.receive.is_into;
        return Vec::new();
    }
    match key.code {
        KeyCode::Esc => return show(model, model.before),
        KeyCode::F(1) => return super::act_on(model, Act::Help),
        KeyCode::Enter => return connect(model),
        KeyCode::Tab => return complete(model),
        KeyCode::BackTab => model.receive.is_into = !model.receive.is_into,
        KeyCode::Down | KeyCode::Up => mark(&mut model.receive, key.code == KeyCode::Down),
        _ => type_in(&mut model.receive, key),
    }
    Vec::new()
}

fn type_in(receive: &mut ReceiveScreen, key: KeyEvent) {
    let is_changed = if receive.is_into {
        receive.into.key(key)
    } else if key.code == KeyCode::Char(' ') {
        // Words are joined by dashes; one is enough.
        receive.code.before().ends_with('-') || receive.code.key(KeyEvent::from(KeyCode::Char('-')))
    } else {
        receive.code.key(key)
    };
    if is_changed {
        receive.marked = None;
        receive.doubted = None;
        receive.error = None;
        receive.folders.clear();
    }
}

/// Marks another of the words that fit.
fn mark(receive: &mut ReceiveScreen, is_forward: bool) {
    let count = receive.words().len();
    if receive.is_into || count == 0 {
        receive.is_into = is_forward;
        return;
    }
    receive.marked = match (receive.marked, is_forward) {
        (None, true) => Some(0),
        (None, false) => None,
        (Some(at), true) => Some((at + 1).min(count - 1)),
        (Some(at), false) => at.checked_sub(1),
    };
}

/// Completes the word or the folder; where there is nothing to complete, goes to the other field.
fn complete(model: &mut Model) -> Vec<Effect> {
    let receive = &mut model.receive;
    if receive.is_into {
        return vec![Effect::CompleteFolder(receive.into.text().to_owned())];
    }
    let words = receive.words();
    let typed = receive.code.text().rsplit('-').next().unwrap_or_default().to_owned();
    let shared = words.split_first().map(|(first, rest)| {
        rest.iter().fold((*first).to_owned(), |common, it| common_start(&common, it))
    });
    let unknown = wordlist::check(&receive.code_text());
    let meant =
        unknown.last().filter(|it| it.word == typed.to_lowercase()).and_then(|it| it.nearest);
    let word = match (receive.marked.and_then(|it| words.get(it)), shared, meant) {
        (Some(marked), _, _) => (*marked).to_owned(),
        (None, Some(shared), _) if shared.len() > typed.len() || words.len() == 1 => shared,
        // Several ways: the first is marked, and taken next.
        (None, Some(_), _) => {
            receive.marked = Some(0);
            return Vec::new();
        }
        (None, None, Some(meant)) => meant.to_owned(),
        (None, None, None) => {
            receive.is_into = true;
            return Vec::new();
        }
    };
    let text = receive.code.text();
    let before = text.get(..text.len() - typed.len()).unwrap_or_default().to_owned();
    // Codes have two words as a rule.
    let is_whole = words.contains(&word.as_str()) || meant == Some(word.as_str());
    let dash = if is_whole && before.matches('-').count() == 1 { "-" } else { "" };
    receive.code = Input::with(&format!("{before}{word}{dash}"));
    receive.marked = None;
    receive.doubted = None;
    receive.error = None;
    Vec::new()
}

fn common_start(one: &str, other: &str) -> String {
    one.chars().zip(other.chars()).take_while(|it| it.0 == it.1).map(|it| it.0).collect()
}

/// How a folder may go on, if it is still the same.
pub(super) fn completed(model: &mut Model, line: &str, completion: &Completion) {
    let receive = &mut model.receive;
    let (into, folders) = match receive.opened.as_mut().map(|it| &mut it.offer) {
        Some(Some(form)) => (&mut form.into, &mut form.folders),
        Some(None) => return,
        None => (&mut receive.into, &mut receive.folders),
    };
    if into.text() != line {
        return;
    }
    let is_whole = completion.words.is_empty() && completion.line == line;
    *into = Input::with(&completion.line);
    folders.clone_from(&completion.words);
    if is_whole {
        // There is nothing to complete.
        match model.receive.opened.as_mut().and_then(|it| it.offer.as_mut()) {
            Some(_) => offer::forward(model),
            None => model.receive.is_into = false,
        }
    }
    model.dirty(Redraw::Now);
}

/// Begins the transfer, or asks once more where a word looks mistyped.
fn connect(model: &mut Model) -> Vec<Effect> {
    let receive = &mut model.receive;
    if receive.is_starting {
        return Vec::new();
    }
    let code = receive.code_text();
    if code.is_empty() && receive.is_into {
        receive.is_into = false;
        return Vec::new();
    }
    let into = match typed_folder(receive.into.text()) {
        Ok(into) => into,
        Err(why) => {
            (receive.error, receive.is_into) = (Some(why), true);
            return Vec::new();
        }
    };
    if model.look.read_only {
        model.complain(crate::ops::READ_ONLY);
        return Vec::new();
    }
    if !wordlist::check(&code).is_empty() && receive.doubted.as_ref() != Some(&code) {
        receive.doubted = Some(code);
        return Vec::new();
    }
    let code = Some(code).filter(|it| !it.is_empty());
    let folder = Some(transfers::typed(&into));
    begin(model, ReceiveArgs { code, folder, exact: true, ..ReceiveArgs::default() })
}

/// Begins a transfer, in the words of the command line.
pub(super) fn begin(model: &mut Model, args: ReceiveArgs) -> Vec<Effect> {
    model.receive.error = None;
    model.receive.is_starting = true;
    vec![Effect::Transfer(Wish::Receive(args))]
}

/// It began, or did not.
pub(super) fn begun(model: &mut Model, result: Result<Option<Box<TransferStatus>>, Failure>) {
    model.receive.is_starting = false;
    match result {
        Ok(None) => {}
        Ok(Some(now)) => {
            let number = now.transfer.number;
            model.receive.opened = Some(Opened { number, ..Opened::default() });
            let carried = model.transfers.carried.get_or_insert_default();
            if carried.all.iter().all(|it| it.transfer.number != number) {
                carried.all.insert(0, *now);
            }
        }
        Err(failure) if model.screen == Screen::Receive => {
            model.receive.error = Some(failure.what);
        }
        Err(failure) => model.complain(failure.what),
    }
}

/// Follows the transfer that is opened here: to its offer, past its answer, or to its end.
pub(super) fn follow(model: &mut Model) {
    let opened = model.receive.opened.as_ref();
    let has_form = opened.is_some_and(|it| it.offer.is_some());
    let Some(now) = opened.and_then(|it| model.transfers.get(it.number)).cloned() else { return };
    let (number, state) = (now.transfer.number, now.transfer.state);
    if let Some(question) = &now.question {
        if !has_form {
            let offer = Some(OfferForm::new(&now, question));
            model.receive.opened = Some(Opened { number, offer });
            model.dirty(Redraw::Now);
            if model.screen == Screen::Receive {
                model.deaf_until = model.now.checked_add(DEAF).ok();
            }
        }
    } else if state.is_over() {
        over(model, &now);
    } else if Stage::of(state) == Stage::Runs {
        // Somebody has answered, here or elsewhere.
        leave_for_list(model, number);
    }
}

fn over(model: &mut Model, now: &TransferStatus) {
    model.receive.opened = None;
    model.dirty(Redraw::Now);
    if let Some(text) = &now.transfer.text {
        let title = format!("A text, by {}", name_of_code(now));
        let lines = text.lines().map(|it| text::escape(it.as_bytes()).replace("\\\\", "\\"));
        let lines = lines.collect();
        if model.popup.is_none() {
            model.popup = Some(Popup::Text(Reading { title, lines, ..Reading::default() }));
        }
    }
    if now.transfer.state == TransferState::Done {
        return leave_for_list(model, now.transfer.number);
    }
    // What was typed is still there, to be mended.
    model.receive.error = Some(ending(now));
}

fn name_of_code(now: &TransferStatus) -> String {
    now.transfer.code.as_ref().map_or_else(|| name(&now.transfer), |it| text::escape(it.as_bytes()))
}

/// From here on it is on the list.
fn leave_for_list(model: &mut Model, number: u64) {
    anew(model, None);
    model.transfers.chosen = Some(number);
    if model.screen == Screen::Receive {
        model.screen = Screen::Transfers;
    }
    model.dirty(Redraw::Now);
}

/// An answer was taken, or not.
pub(super) fn answered(model: &mut Model, number: u64, is_yes: bool, result: Result<(), Failure>) {
    let opened = model.receive.opened.as_mut().filter(|it| it.number == number);
    let form = opened.and_then(|it| it.offer.as_mut());
    match (result, form) {
        (Ok(()), Some(_)) => leave_for_list(model, number),
        (Ok(()), None) if is_yes => model.say(format!("accepted transfer {number}")),
        (Ok(()), None) => model.say(format!("refused transfer {number}")),
        (Err(failure), Some(form)) => {
            form.is_answered = false;
            form.error = Some(failure.what);
        }
        (Err(failure), None) => model.complain(failure.what),
    }
}

/// Does what a key means while the other side is waited for.
pub(super) fn act(model: &mut Model, act: Act) -> Vec<Effect> {
    let number = model.receive.opened.as_ref().map(|it| it.number);
    let now = number.and_then(|it| model.transfers.get(it)).cloned();
    match (act, now) {
        (Act::Cancel, _) => return show(model, model.before),
        (Act::ReceiveAgain, _) => anew(model, None),
        (Act::CopyCommand, Some(now)) => return transfers::copy_command(model, &now),
        (Act::CancelTransfer, Some(now)) => transfers::ask_to_cancel(model, &now),
        _ => {}
    }
    Vec::new()
}
