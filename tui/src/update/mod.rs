//! What happens next: a message changes the model, and effects come out. Pure, so that tests need neither a terminal
//! nor a disk.

mod activity;
mod browse;
mod forms;
mod keys;
mod palette;

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::Timestamp;

use crate::admin::KeysNow;
use crate::effect::{Done, Effect, Message, Op};
use crate::help::TOPICS;
use crate::key::{self, Act};
use crate::model::{
    Editor, Form, Input, MESSAGE_STAYS, Model, Popup, Purpose, Reading, Redraw, Screen, Secret,
    Server, Undo,
};
use crate::ops::Failure;
use crate::preview::pages::Where;
use crate::text;

/// How often what may have changed elsewhere is looked at.
const LOOK_EVERY: i64 = 5;
/// How long keys are dropped when a question opens.
const DEAF: Duration = Duration::from_millis(150);
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
    let mut effects = take_in(model, message);
    effects.extend(browse::look_into(model));
    effects.extend(browse::look_above(model));
    effects
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
        Message::Progress(text) => {
            model.browse.job = Some(crate::model::Job { text });
            model.dirty(Redraw::Soon);
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
    let message_ends =
        |it: &crate::model::Told| now.duration_since(it.when).unsigned_abs() >= MESSAGE_STAYS;
    if model.message.as_ref().is_some_and(message_ends) {
        model.message = None;
        model.dirty(Redraw::Soon);
    }
    let mut effects = Vec::new();
    if model.screen == Screen::Activity
        && !model.activity.is_paused
        && now.as_second() != before.as_second()
    {
        effects.push(Effect::AskServer(model.activity.since()));
    }
    if now.as_second() / LOOK_EVERY != before.as_second() / LOOK_EVERY {
        effects.push(Effect::ReadSpace);
        match model.screen {
            Screen::Browse => {
                effects.push(Effect::LookAgain(model.browse.generation, model.browse.path.clone()));
            }
            Screen::Keys => effects.extend([Effect::ReadKeys, Effect::AskKeys]),
            Screen::Activity => {}
        }
        if (model.screen != Screen::Activity || model.activity.is_paused)
            && matches!(model.activity.server, Server::Down(..) | Server::Up)
        {
            effects.push(Effect::AskServer(model.activity.since()));
        }
    }
    effects
}

fn pressed(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let is_control = |letter| key == KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
    if is_control('c') {
        model.is_over = true;
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
        return popup_key(model, key);
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
        Screen::Keys => false,
    }
}

fn typed(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    match model.screen {
        Screen::Browse => browse::typed(model, key),
        _ => activity::typed(model, key),
    }
}

/// Does what a key means.
pub fn act_on(model: &mut Model, act: Act) -> Vec<Effect> {
    if model.look.read_only && changes_something(act) {
        model.complain("started with --read-only: nothing is changed");
        return Vec::new();
    }
    match act {
        Act::Quit => {
            let Some(job) = &model.browse.job else {
                model.is_over = true;
                return Vec::new();
            };
            let form = Form::new("Quit", "Stop it and quit", Purpose::Quit);
            let form = form.line(job.text.clone()).line("It ends with the console.");
            open(model, form);
        }
        Act::Help => model.popup = Some(Popup::Help(Input::default(), 0)),
        Act::Palette => {
            let form = Form::new("Command", "Run", Purpose::Palette);
            let mut form = form.text(":", Input::default(), "");
            form.below = vec!["as on the command line: find trips, keys add kmt, doctor; and goto, theme, ascii, mouse, about".to_owned()];
            open(model, form);
        }
        Act::BrowseScreen => return show(model, Screen::Browse),
        Act::KeysScreen => return show(model, Screen::Keys),
        Act::ActivityScreen => return show(model, Screen::Activity),
        Act::NextScreen => {
            let next = match model.screen {
                Screen::Browse => Screen::Keys,
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
            Screen::Keys => return keys::act(model, other),
            Screen::Activity => return activity::act(model, other),
        },
    }
    Vec::new()
}

fn changes_something(act: Act) -> bool {
    matches!(
        act,
        Act::Rename
            | Act::Move
            | Act::Copy
            | Act::NewFolder
            | Act::EditText
            | Act::Discard
            | Act::Undo
            | Act::EmptyTrash
            | Act::Share
            | Act::AddKey
            | Act::RotateKey
            | Act::RevokeKey
            | Act::EditKey
            | Act::ToggleKey
            | Act::MendKey
            | Act::SealKey
    )
}

fn show(model: &mut Model, screen: Screen) -> Vec<Effect> {
    model.screen = screen;
    match screen {
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
    let Some(undo) = model.undo.pop() else {
        model.say("nothing to undo");
        return Vec::new();
    };
    let op = match undo {
        Undo::Restore(these) => Op::Restore(these),
        Undo::MoveBack(these) => Op::MoveBack(these),
        Undo::Discard(these) => Op::Discard(these),
        Undo::Write(path, before, version) => Op::Write(path, before, version, Vec::new()),
        Undo::Key(id, edits) => Op::UndoKey(id, edits),
    };
    vec![Effect::Do(op)]
}

fn done(model: &mut Model, result: Result<Done, Failure>) -> Vec<Effect> {
    model.dirty(Redraw::Now);
    model.browse.job = None;
    match result {
        Err(failure) => model.complain(failure.what),
        Ok(done) => {
            if !done.text.is_empty() {
                model.say(done.text);
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
                    Some(Popup::Secret(Secret { title, secret, below, button: "I have saved it" }));
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
    effects.extend(browse::read_again(model));
    effects
}

/// A key for a text that is being changed. None where that goes on.
fn editing(model: &mut Model, editor: &mut Editor, key: KeyEvent) -> Option<Vec<Effect>> {
    let is_save = key == KeyEvent::new(KeyCode::Char('o'), KeyModifiers::CONTROL);
    let is_leaving = std::mem::take(&mut editor.is_leaving);
    match key.code {
        KeyCode::Char('s') if is_leaving => return Some(save(editor)),
        KeyCode::Char('x') if is_leaving => return Some(Vec::new()),
        _ if is_leaving => {}
        _ if is_save => return Some(save(editor)),
        KeyCode::Esc if !editor.is_changed() => return Some(Vec::new()),
        KeyCode::Esc => editor.is_leaving = true,
        _ => editor.key(key, model.list_rows()),
    }
    None
}

fn save(editor: &Editor) -> Vec<Effect> {
    if !editor.is_changed() {
        return Vec::new();
    }
    let (text, before) = (editor.text().into_bytes(), editor.before().as_bytes().to_vec());
    vec![Effect::Do(Op::Write(editor.path.clone(), text, editor.version, before))]
}

/// Lines are longer than the screen is wide: half of it further left or right.
fn aside(key: KeyEvent, column: usize, width: u16) -> usize {
    let step = usize::from(width / 2);
    if key.code == KeyCode::Left { column.saturating_sub(step) } else { column + step }
}

fn popup_key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let rows = model.list_rows();
    let room = usize::from(model.size.0).saturating_sub(2);
    let Some(mut popup) = model.popup.take() else { return Vec::new() };
    match &mut popup {
        Popup::Help(input, top) => match key.code {
            KeyCode::Esc | KeyCode::F(1) => return Vec::new(),
            KeyCode::Char('q' | '?') if input.text().is_empty() => return Vec::new(),
            KeyCode::Char(digit @ '1'..='9') if input.text().is_empty() => {
                let at = digit.to_digit(10).and_then(|it| usize::try_from(it - 1).ok());
                if let Some(topic) = at.and_then(|it| TOPICS.get(it)) {
                    let lines = topic.lines.iter().flat_map(|it| text::wrapped(it, room)).collect();
                    let title = format!("Help: {}", topic.title);
                    popup = Popup::Text(Reading { title, lines, ..Reading::default() });
                }
            }
            KeyCode::Down => *top += 1,
            KeyCode::Up => *top = top.saturating_sub(1),
            KeyCode::PageDown => *top += rows,
            KeyCode::PageUp => *top = top.saturating_sub(rows),
            _ => {
                if input.key(key) {
                    *top = 0;
                }
            }
        },
        Popup::Text(Reading { lines, top, column, file, .. }) => {
            let last = lines.len().saturating_sub(rows);
            match key.code {
                KeyCode::Char('x') if file.is_some() => {
                    let file = file.take().unwrap_or_default();
                    return vec![Effect::OpenBytes(file, rows)];
                }
                KeyCode::Left | KeyCode::Right => *column = aside(key, *column, model.size.0),
                KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q') => return Vec::new(),
                KeyCode::Down | KeyCode::Char('j') => *top = (*top + 1).min(last),
                KeyCode::Up | KeyCode::Char('k') => *top = top.saturating_sub(1),
                KeyCode::PageDown | KeyCode::Char(' ') => *top = (*top + rows).min(last),
                KeyCode::PageUp => *top = top.saturating_sub(rows),
                KeyCode::Home | KeyCode::Char('g') => *top = 0,
                KeyCode::End | KeyCode::Char('G') => *top = last,
                _ => {}
            }
        }
        Popup::Editor(editor) => {
            if let Some(effects) = editing(model, editor, key) {
                return effects;
            }
        }
        Popup::Picture(..) => {
            if matches!(key.code, KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q' | 'h')) {
                return Vec::new();
            }
        }
        Popup::Pager(_, _, column) if matches!(key.code, KeyCode::Left | KeyCode::Right) => {
            *column = aside(key, *column, model.size.0);
        }
        Popup::Pager(_, page, _) => {
            let first = page.lines.first().map_or(page.end, |it| it.0);
            let second = page.lines.get(1).map_or(first, |it| it.0);
            let wanted = match key.code {
                KeyCode::Esc | KeyCode::Char('q' | 'h') => return vec![Effect::Stop],
                KeyCode::Down | KeyCode::Enter | KeyCode::Char('j') if !page.is_end => {
                    Where::From(second)
                }
                KeyCode::Up | KeyCode::Char('k') => Where::Before(first, 1),
                KeyCode::PageDown | KeyCode::Char(' ') if !page.is_end => Where::From(page.end),
                KeyCode::PageUp | KeyCode::Char('b') => Where::Before(first, rows),
                KeyCode::Home | KeyCode::Char('g') => Where::From(0),
                KeyCode::End | KeyCode::Char('G') => Where::End,
                _ => {
                    model.popup = Some(popup);
                    return Vec::new();
                }
            };
            model.popup = Some(popup);
            return vec![Effect::Page(wanted, rows)];
        }
        Popup::Secret(secret) => match key.code {
            KeyCode::Enter => return Vec::new(),
            KeyCode::Esc if secret.button == "Close" => return Vec::new(),
            KeyCode::Char('y') => {
                let effect = Effect::Copy(secret.secret.clone());
                model.say("sent to your terminal's clipboard, if it takes such");
                model.popup = Some(popup);
                return vec![effect];
            }
            _ => {}
        },
        Popup::Menu(_) => return browse::chosen(model, key),
        Popup::Trash(entries, at) => {
            let entry = entries.get(*at).cloned();
            match (key.code, entry) {
                (KeyCode::Esc | KeyCode::Char('q'), _) => return Vec::new(),
                (KeyCode::Down | KeyCode::Char('j'), _) => {
                    *at = (*at + 1).min(entries.len().saturating_sub(1));
                }
                (KeyCode::Up | KeyCode::Char('k'), _) => *at = at.saturating_sub(1),
                (KeyCode::PageDown, _) => *at = (*at + rows).min(entries.len().saturating_sub(1)),
                (KeyCode::PageUp, _) => *at = at.saturating_sub(rows),
                (KeyCode::Enter, Some(entry)) if !model.look.read_only => {
                    let Some(path) = entry.path else {
                        model.complain("where it came from is not known: `sounding trash restore NAME --to PATH`");
                        return Vec::new();
                    };
                    return vec![Effect::Do(Op::Restore(vec![(entry.bytes, path)]))];
                }
                (KeyCode::Char('X'), Some(entry)) if !model.look.read_only => {
                    let name = crate::text::escape(&entry.bytes);
                    let op = Box::new(Op::RemoveTrashed(entry.bytes));
                    let purpose = Purpose::Confirm(op, None);
                    open(
                        model,
                        Form::new(format!("Delete {name} for good"), "Delete", purpose)
                            .line("This can't be undone."),
                    );
                    return Vec::new();
                }
                _ => {}
            }
        }
        Popup::Form(form) if palette::is_asked(form, key) => {
            let effects = vec![Effect::Complete(form.value(":").to_owned())];
            model.popup = Some(popup);
            return effects;
        }
        Popup::Form(form) => {
            if let Some(effects) = forms::key(model, form, key) {
                return effects;
            }
        }
    }
    if model.popup.is_none() {
        model.popup = Some(popup);
    }
    Vec::new()
}
