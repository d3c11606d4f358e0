//! What happens next: a message changes the model, and effects come out. Pure, so that tests need neither a terminal
//! nor a disk.

mod activity;
mod below;
mod browse;
mod forms;
mod keys;
mod offer;
mod palette;
mod paste;
mod popup;
mod receive;
mod transfers;

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::Timestamp;

use crate::admin::KeysNow;
use crate::effect::{Done, Effect, Message, Op};
use crate::key::{self, Act};
use crate::model::{
    Form, Help, Input, MESSAGE_STAYS, Model, Popup, Purpose, Reading, Redraw, Screen, Secret,
    Server,
};
use crate::ops::{Failure, READ_ONLY};
use crate::preview::pages::Where;
use crate::text;

/// How often what may have changed elsewhere is looked at.
const LOOK_EVERY: i64 = 5;
/// How long keys are dropped when a question opens.
const DEAF: Duration = Duration::from_millis(150);
/// A key that changes something at once counts again after so long.
const AGAIN: Duration = Duration::from_millis(700);
/// How many changes can be undone.
const MOST_UNDOS: usize = 50;

/// What is wanted first of all.
pub fn start(model: &mut Model) -> Vec<Effect> {
    let mut effects =
        vec![Effect::ReadSpace, Effect::ReadKeys, Effect::AskServer(0), Effect::AskKeys];
    effects.extend(browse::read(model));
    effects
}

/// Takes a message in.
pub fn update(model: &mut Model, message: Message) -> Vec<Effect> {
    if shows_something(&message) {
        // In front of what somebody types, and not in its place.
        let is_typed = |it: &mut Popup| matches!(it, Popup::Editor(_) | Popup::Form(_));
        model.behind.extend(model.popup.take_if(is_typed));
    }
    let mut effects = take_in(model, message);
    if model.popup.is_none() {
        model.popup = model.behind.pop();
    }
    if !matches!(model.popup, Some(Popup::Pager(..))) {
        model.paging = None;
    }
    effects.extend(browse::look_into(model));
    effects.extend(browse::look_above(model));
    model.changing += effects.iter().filter(|it| matches!(it, Effect::Do(_))).count();
    effects
}

/// Whether news may bring something that is shown in front of the screen.
fn shows_something(message: &Message) -> bool {
    matches!(
        message,
        Message::Done(_)
            | Message::TrashRead(_)
            | Message::LeftOutRead(..)
            | Message::Editing(_)
            | Message::Paged(..)
            | Message::Opened(..)
            | Message::Pictured(..)
            | Message::Addressed(..)
            | Message::Transfers(_)
            | Message::Transferred(..)
    )
}

fn take_in(model: &mut Model, message: Message) -> Vec<Effect> {
    match message {
        Message::Key(key) => {
            if model.deaf_until.is_some_and(|it| model.now < it) {
                return Vec::new();
            }
            model.dirty(Redraw::Now);
            pressed(model, key)
        }
        Message::Pasted(text) => {
            model.dirty(Redraw::Now);
            paste::pasted(model, &text)
        }
        Message::Resized(columns, rows) => {
            model.size = (columns, rows);
            model.dirty(Redraw::All);
            let mut effects = browse::look_up_visible(model);
            effects.extend(draw_anew(model));
            effects
        }
        Message::Disturbed => {
            model.dirty(Redraw::All);
            Vec::new()
        }
        Message::Tick(now) => tick(model, now),
        Message::SpaceRead(space) => {
            let shown = |it: volume::space::Space| crate::text::bytes(it.free);
            if model.space.map(shown) != Some(shown(space)) {
                model.dirty(Redraw::Soon);
            }
            model.space = Some(space);
            Vec::new()
        }
        Message::Done(result) => done(model, result),
        Message::NotKept(failure) => {
            model.complain(format!("not kept: {}", failure.what));
            model.dirty(Redraw::Now);
            Vec::new()
        }
        Message::Progress(text) => {
            model.browse.job = Some(crate::model::Job { text });
            model.dirty(Redraw::Soon);
            Vec::new()
        }
        Message::Paging(text) => {
            // What was left meanwhile is of no concern any more.
            if matches!(model.popup, Some(Popup::Pager(..))) {
                model.paging = Some(text);
                model.dirty(Redraw::Soon);
            }
            Vec::new()
        }
        Message::TrashRead(result) => {
            model.dirty(Redraw::Now);
            match result {
                Ok(entries) if entries.is_empty() => model.say("the trash is empty"),
                Ok(entries) => {
                    let at = match &model.popup {
                        Some(Popup::Trash(_, at)) => (*at).min(entries.len() - 1),
                        _ => 0,
                    };
                    model.popup = Some(Popup::Trash(entries, at));
                }
                Err(failure) => model.complain(failure.what),
            }
            Vec::new()
        }
        Message::LeftOutRead(path, result) => {
            model.dirty(Redraw::Now);
            match result {
                Ok(all) if all.is_empty() => model.say("the list shows all there is"),
                Ok(all) => {
                    let at = match &model.popup {
                        Some(Popup::LeftOut(of, _, at)) if *of == path => (*at).min(all.len() - 1),
                        _ => 0,
                    };
                    model.popup = Some(Popup::LeftOut(path, all, at));
                }
                Err(failure) => model.complain(failure.what),
            }
            Vec::new()
        }
        Message::Transfers(result) => {
            transfers::told(model, result);
            Vec::new()
        }
        Message::Transferred(wish, result) => transfers::done(model, &wish, result),
        Message::FolderCompleted(line, completion) => {
            receive::completed(model, &line, &completion);
            Vec::new()
        }
        Message::Completed(line, completion) => {
            palette::completed(model, &line, &completion);
            Vec::new()
        }
        Message::Went(Ok((folder, name))) => {
            model.screen = Screen::Browse;
            model.dirty(Redraw::Now);
            browse::go(model, folder, name)
        }
        Message::Went(Err(failure)) => {
            model.dirty(Redraw::Now);
            model.complain(failure.what);
            Vec::new()
        }
        Message::Editing(result) => {
            model.dirty(Redraw::Now);
            match result {
                Ok(editor) => model.popup = Some(Popup::Editor(editor)),
                Err(failure) => model.complain(failure.what),
            }
            Vec::new()
        }
        Message::KeysRead(result) => keys::read(model, result),
        Message::Activity(result) => activity::told(model, result),
        Message::ServerKeys(result) => {
            // What a server said that is gone now is still the last that is known.
            let known = model.activity.keys.clone();
            let is_less = |it: &KeysNow| it.version.is_none() && known.is_some();
            let told = result.ok().filter(|it| !is_less(it)).or_else(|| known.clone());
            let is_news = told != model.activity.keys;
            model.activity.keys = told;
            if is_news && model.screen == Screen::Keys {
                model.dirty(Redraw::Soon);
            }
            Vec::new()
        }
        other => browse::heard(model, other),
    }
}

/// What is made for the screen's size is made again for another.
fn draw_anew(model: &Model) -> Option<Effect> {
    let rows = model.list_rows();
    match &model.popup {
        Some(Popup::Pager(_, page, _)) => {
            let first = page.lines.first().map_or(page.end, |it| it.0);
            Some(Effect::Page(Where::From(first), rows))
        }
        Some(Popup::Picture(path, _)) => {
            let rows = u16::try_from(rows).unwrap_or(u16::MAX);
            Some(Effect::OpenFile(path.clone(), (model.size.0, rows)))
        }
        _ => None,
    }
}

fn tick(model: &mut Model, now: Timestamp) -> Vec<Effect> {
    let before = std::mem::replace(&mut model.now, now);
    let is_old = |when: Timestamp| now.duration_since(when).unsigned_abs() >= MESSAGE_STAYS;
    if model.message.as_ref().is_some_and(|it| is_old(it.when)) {
        model.message = None;
        model.dirty(Redraw::Soon);
    }
    // That a key was saved is news for as long.
    if model.keys.saved.is_some_and(is_old) {
        model.keys.saved = None;
        model.dirty(Redraw::Soon);
    }
    let mut effects = Vec::new();
    if model.screen == Screen::Activity
        && !model.activity.is_paused
        && now.as_second() != before.as_second()
    {
        effects.push(Effect::AskServer(model.activity.since()));
    }
    effects.extend(ask_transfers(model, before));
    if now.as_second() / LOOK_EVERY != before.as_second() / LOOK_EVERY {
        effects.push(Effect::ReadSpace);
        match model.screen {
            Screen::Browse => {
                effects.push(Effect::LookAgain(model.browse.generation, model.browse.path.clone()));
            }
            Screen::Keys => effects.extend([Effect::ReadKeys, Effect::AskKeys]),
            Screen::Receive | Screen::Transfers | Screen::Activity => {}
        }
        if (model.screen != Screen::Activity || model.activity.is_paused)
            && matches!(model.activity.server, Server::Down(..) | Server::Up)
        {
            effects.push(Effect::AskServer(model.activity.since()));
        }
    }
    effects
}

/// Asks how transfers get on: often where that is seen or waited for, and elsewhere as long as somebody may run some.
fn ask_transfers(model: &mut Model, before: Timestamp) -> Option<Effect> {
    let now = model.now.as_second();
    let is_next_second = now != before.as_second();
    let is_next_look = now / LOOK_EVERY != before.as_second() / LOOK_EVERY;
    let somebody_runs = model.activity.server == Server::Up || model.transfers.here() > 0;
    let is_due = match model.screen {
        _ if model.transfers.awaited.is_some() => true,
        Screen::Transfers => is_next_second,
        Screen::Receive if model.receive.opened.is_some() => is_next_second,
        _ => is_next_look && somebody_runs,
    };
    // An offer that waits says how long it will.
    let is_offered = model.screen == Screen::Receive && model.place() == key::Place::Offer;
    if is_offered && model.offer_ends(before) != model.offer_ends(model.now) {
        model.dirty(Redraw::Soon);
    }
    // A slow answer is waited for.
    if !is_due || std::mem::replace(&mut model.transfers.is_asked, true) {
        return None;
    }
    Some(Effect::AskTransfers)
}

/// Leaves; what ends with the console is asked about first.
fn quit(model: &mut Model) {
    let here = model.transfers.here() as u64;
    if model.browse.job.is_none() && model.changing == 0 && here == 0 {
        model.is_over = true;
        return;
    }
    let mut form = Form::new("Quit", "Stop it and quit", Purpose::Quit);
    let job = model.browse.job.as_ref().map(|it| it.text.clone());
    let unnamed = || (model.changing > 0).then(|| "A change is still running.".to_owned());
    form = job.or_else(unnamed).into_iter().fold(form, Form::line);
    if here > 0 {
        let transfers = text::things(here, "transfer runs", "transfers run");
        form = form.line(format!("{transfers} in this console: no server does it."));
    }
    open(model, form.line("It ends with the console."));
}

/// ^C: leaves too, and asks before anything is lost. Where it has asked, the second one needs no answer; but for a text that would be
/// thrown away, which only the answer does.
fn interrupt(model: &mut Model) {
    match &mut model.popup {
        Some(Popup::Editor(editor)) if editor.is_changed() => {
            editor.is_leaving = !editor.is_leaving;
        }
        Some(Popup::Form(form)) if matches!(form.purpose, Purpose::Quit) => model.is_over = true,
        Some(Popup::Secret(secret)) if secret.is_shown_once() && !secret.is_leaving => {
            secret.is_leaving = true;
            model.complain("it is shown only now: Enter when you have saved it, ^C to leave it");
        }
        _ => quit(model),
    }
}

fn pressed(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let is_control = |letter| key == KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
    if is_control('c') {
        interrupt(model);
        return Vec::new();
    }
    if is_control('l') {
        model.dirty(Redraw::All);
        return Vec::new();
    }
    if is_control('z') {
        return vec![Effect::Suspend];
    }
    if model.popup.is_some() {
        return popup::key(model, key);
    }
    if is_typed(model) {
        return typed(model, key);
    }
    let Some(act) = key::act(key, model.place()) else { return Vec::new() };
    act_on(model, act)
}

/// Whether letters go into a filter.
fn is_typed(model: &Model) -> bool {
    match model.screen {
        Screen::Browse => model.browse.filter.as_ref().is_some_and(|it| it.is_typed),
        Screen::Activity => model.activity.filter.as_ref().is_some_and(|it| it.1),
        Screen::Receive => model.is_receive_typed(),
        Screen::Transfers | Screen::Keys => false,
    }
}

fn typed(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    match model.screen {
        Screen::Browse => browse::typed(model, key),
        Screen::Receive if model.receive.opened.is_some() => offer::typed(model, key),
        Screen::Receive => receive::typed(model, key),
        _ => activity::typed(model, key),
    }
}

/// Does what a key means.
pub fn act_on(model: &mut Model, act: Act) -> Vec<Effect> {
    if model.look.read_only && changes_something(act) {
        model.complain(READ_ONLY);
        return Vec::new();
    }
    if is_twice(model, act) {
        model.complain("pressed twice at once: only the first counts");
        return Vec::new();
    }
    match act {
        Act::Quit => quit(model),
        Act::Help => model.popup = Some(Popup::Help(Help::default())),
        Act::Palette => {
            let form = Form::new("Command", "Run", Purpose::Palette);
            let mut form = form.text(":", Input::default(), "");
            form.below = vec!["as on the command line: find trips, receive CODE, keys add kmt, doctor; and goto, theme, ascii, mouse, about".to_owned()];
            open(model, form);
        }
        Act::BrowseScreen => return show(model, Screen::Browse),
        Act::ReceiveScreen => return show(model, Screen::Receive),
        Act::TransfersScreen => return show(model, Screen::Transfers),
        Act::KeysScreen => return show(model, Screen::Keys),
        Act::ActivityScreen => return show(model, Screen::Activity),
        Act::NextScreen => {
            let next = match model.screen {
                Screen::Browse => Screen::Receive,
                Screen::Receive => Screen::Transfers,
                Screen::Transfers => Screen::Keys,
                Screen::Keys => Screen::Activity,
                Screen::Activity => Screen::Browse,
            };
            return show(model, next);
        }
        Act::Redraw => model.dirty(Redraw::All),
        Act::Suspend => return vec![Effect::Suspend],
        Act::Undo => return undo(model),
        Act::Reread if model.screen == Screen::Browse => return browse::read(model),
        Act::Reread => return show(model, model.screen),
        other => match model.screen {
            Screen::Browse => return browse::act(model, other),
            Screen::Receive if model.place() == key::Place::Offer => {
                return offer::act(model, other);
            }
            Screen::Receive => return receive::act(model, other),
            Screen::Transfers => return transfers::act(model, other),
            Screen::Keys => return keys::act(model, other),
            Screen::Activity => return activity::act(model, other),
        },
    }
    Vec::new()
}

/// Whether a key that changes something at once is pressed again before anybody can have seen what it did: held down, or by a hand
/// that trembles.
fn is_twice(model: &mut Model, act: Act) -> bool {
    if !matches!(act, Act::Discard | Act::ToggleKey) {
        model.pressed = None;
        return false;
    }
    let before = model.pressed.replace((act, model.now));
    before.is_some_and(|(it, when)| {
        it == act && model.now.duration_since(when).unsigned_abs() < AGAIN
    })
}

/// Whether a key changes something, or asks a question on the way to that. What may only look is said no here; that nothing is
/// changed is not left to this.
fn changes_something(act: Act) -> bool {
    match act {
        Act::Rename
        | Act::Move
        | Act::Copy
        | Act::NewFolder
        | Act::EditText
        | Act::Discard
        | Act::Undo
        | Act::EmptyTrash
        | Act::Share
        | Act::Send
        | Act::CancelTransfer
        | Act::ClearTransfers
        | Act::AddKey
        | Act::RotateKey
        | Act::RevokeKey
        | Act::EditKey
        | Act::ToggleKey
        | Act::MendKey
        | Act::SealKey
        | Act::KeepAwake => true,
        // The last four say so themselves, on the button that would change something.
        Act::Up
        | Act::Down
        | Act::PageUp
        | Act::PageDown
        | Act::First
        | Act::Last
        | Act::Open
        | Act::Parent
        | Act::BrowseScreen
        | Act::ReceiveScreen
        | Act::TransfersScreen
        | Act::KeysScreen
        | Act::ActivityScreen
        | Act::NextScreen
        | Act::Help
        | Act::Palette
        | Act::Cancel
        | Act::Quit
        | Act::Redraw
        | Act::Suspend
        | Act::Reread
        | Act::Filter
        | Act::Find
        | Act::Sort
        | Act::Select
        | Act::SelectAll
        | Act::ShowTrash
        | Act::LeftOut
        | Act::Usage
        | Act::Columns
        | Act::TogglePreview
        | Act::ColumnsLeft
        | Act::ColumnsRight
        | Act::Info
        | Act::Address
        | Act::CompleteWord
        | Act::ChooseFolder
        | Act::CopyCommand
        | Act::NextField
        | Act::Choose
        | Act::OpenTransfer
        | Act::GoToTransfer
        | Act::Follow
        | Act::FilterRequests
        | Act::ByUser
        | Act::ErrorsOnly
        | Act::Details
        | Act::Receive
        | Act::ReceiveAgain
        | Act::AcceptOffer
        | Act::RefuseOffer => false,
    }
}

fn show(model: &mut Model, screen: Screen) -> Vec<Effect> {
    if model.screen != screen {
        model.before = model.screen;
    }
    model.screen = screen;
    match screen {
        Screen::Receive => {
            receive::enter(model);
            vec![Effect::AskTransfers]
        }
        Screen::Transfers => vec![Effect::AskTransfers],
        Screen::Browse => browse::look_up_visible(model),
        Screen::Keys => vec![Effect::ReadKeys, Effect::AskKeys],
        Screen::Activity => vec![Effect::AskServer(model.activity.since())],
    }
}

/// Asks something; what is typed ahead does not answer it, but where the answer changes nothing.
fn open(model: &mut Model, form: Form) {
    let is_harmless = matches!(form.purpose, Purpose::Palette | Purpose::Find(_));
    model.deaf_until = model.now.checked_add(DEAF).ok().filter(|_| !is_harmless);
    model.popup = Some(Popup::Form(form));
}

fn undo(model: &mut Model) -> Vec<Effect> {
    // The last change is undone first, and which that is shows when it is over.
    if model.changing > 0 {
        model.undos_wanted += 1;
        model.say("undone as soon as the running change has ended; Esc stops that");
        return Vec::new();
    }
    let Some(undo) = model.undo.pop() else {
        model.say("nothing to undo");
        return Vec::new();
    };
    // What it said is true no more.
    model.message = None;
    vec![Effect::Do(Op::Undo(undo))]
}

fn done(model: &mut Model, result: Result<Done, Failure>) -> Vec<Effect> {
    model.dirty(Redraw::Now);
    model.browse.job = None;
    model.changing = model.changing.saturating_sub(1);
    match result {
        Err(failure) => {
            model.complain(failure.what);
            model.undos_wanted = 0;
            model.pressed = None;
        }
        Ok(done) => {
            if done.is_partial {
                model.complain(done.text);
                model.undos_wanted = 0;
            } else if !done.text.is_empty() {
                model.say(done.text);
            }
            let undoes = done.undo.as_ref().is_some_and(|it| !it.is_rest);
            if let Some(told) = model.message.as_mut().filter(|_| undoes) {
                told.can_be_undone = true;
            }
            model.behind.extend(done.unsaved.map(Popup::Editor));
            for (old, new) in done.became {
                model.undo.iter_mut().for_each(|it| it.became(old, new));
            }
            if let Some(offer) = done.offer {
                let purpose = Purpose::Confirm(Box::new(offer.op), None);
                let mut form = Form::new(offer.title, offer.button, purpose).line(offer.text);
                form.focus = 0;
                open(model, form);
            }
            if let Some(undo) = done.undo {
                model.undo.push(undo);
                if model.undo.len() > MOST_UNDOS {
                    model.undo.remove(0);
                }
            }
            if let Some(path) =
                done.go_to.filter(|it| it.parent().as_ref() == Some(&model.browse.path))
            {
                model.browse.go_to = path.file_name().map(<[u8]>::to_vec);
            }
            if done.key.is_some() {
                model.keys.saved = Some(model.now);
            }
            model.keys.go_to = done.key.or(model.keys.go_to.take());
            if let Some((title, secret, below)) = done.secret {
                model.deaf_until = model.now.checked_add(DEAF).ok();
                model.popup =
                    Some(Popup::Secret(Secret::new(title, secret, below, Secret::SHOWN_ONCE)));
            }
            if let Some((title, lines)) = done.output {
                model.popup = Some(Popup::Text(Reading { title, lines, ..Reading::default() }));
            }
        }
    }
    let mut effects = vec![Effect::ReadSpace, Effect::ReadKeys, Effect::AskKeys];
    if matches!(model.popup, Some(Popup::Trash(..))) {
        effects.push(Effect::ReadTrash);
    }
    if let Some(Popup::LeftOut(path, ..)) = &model.popup {
        effects.push(Effect::ReadLeftOut(path.clone()));
    }
    effects.extend(browse::read_again(model));
    if model.changing == 0 && model.undos_wanted > 0 {
        model.undos_wanted -= 1;
        effects.extend(undo(model));
    }
    effects
}
