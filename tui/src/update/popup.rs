//! Keys for what is shown in front of the screen.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{browse, forms, open, palette};
use crate::effect::{Effect, Op};
use crate::help::{self, TOPICS};
use crate::key::Act;
use crate::model::{Editor, Form, Help, Model, Popup, Purpose, Reading};
use crate::ops::READ_ONLY;
use crate::ops::files::not_shown;
use crate::preview::pages::Where;
use crate::text;

/// Takes a key in.
pub(super) fn key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let rows = model.list_rows();
    let room = usize::from(model.size.0).saturating_sub(2);
    let Some(mut popup) = model.popup.take() else { return Vec::new() };
    match &mut popup {
        Popup::Help(help) if help.is_typed => match key.code {
            KeyCode::F(1) => return Vec::new(),
            KeyCode::Esc => *help = Help::default(),
            KeyCode::Enter => help.is_typed = false,
            KeyCode::Down | KeyCode::Up | KeyCode::PageDown | KeyCode::PageUp => {
                let count = help::lines(help.filter.text(), model.place()).len();
                help.top = scrolled(key.code, help.top, count, rows);
            }
            _ if help.filter.key(key) => help.top = 0,
            _ => {}
        },
        Popup::Help(help) => match key.code {
            KeyCode::Esc if !help.filter.text().is_empty() => *help = Help::default(),
            KeyCode::Esc | KeyCode::F(1) | KeyCode::Char('q' | '?') => return Vec::new(),
            KeyCode::Char('/') => help.is_typed = true,
            KeyCode::Char(digit @ '1'..='9') => {
                let at = digit.to_digit(10).and_then(|it| usize::try_from(it - 1).ok());
                if let Some(topic) = at.and_then(|it| TOPICS.get(it)) {
                    let lines = topic.lines.iter().flat_map(|it| text::wrapped(it, room)).collect();
                    let title = format!("Help: {}", topic.title);
                    popup = Popup::Text(Reading { title, lines, ..Reading::default() });
                }
            }
            code => {
                let count = help::lines(help.filter.text(), model.place()).len();
                help.top = scrolled(code, help.top, count, rows);
            }
        },
        Popup::Text(Reading { lines, top, column, file, .. }) => match key.code {
            KeyCode::Char('x') if file.is_some() => {
                let file = file.take().unwrap_or_default();
                return vec![Effect::OpenBytes(file, rows)];
            }
            KeyCode::Left | KeyCode::Right => *column = aside(key, *column, model.size.0),
            KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q') => return Vec::new(),
            code => *top = scrolled(code, *top, lines.len(), rows),
        },
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
                model.say("sent to your terminal's clipboard, if that allows it");
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
                (KeyCode::Enter | KeyCode::Char('X'), Some(_)) if model.look.read_only => {
                    model.complain(READ_ONLY);
                }
                (KeyCode::Enter, Some(entry)) => {
                    let Some(path) = entry.path else {
                        model.complain("where it came from is not known: `sounding trash restore NAME --to PATH`");
                        return Vec::new();
                    };
                    return vec![Effect::Do(Op::Restore(entry.bytes, path))];
                }
                (KeyCode::Char('X'), Some(entry)) => {
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
        Popup::LeftOut(folder, all, at) => match key.code {
            KeyCode::Esc | KeyCode::Char('q') => return Vec::new(),
            KeyCode::Down | KeyCode::Char('j') => *at = (*at + 1).min(all.len().saturating_sub(1)),
            KeyCode::Up | KeyCode::Char('k') => *at = at.saturating_sub(1),
            KeyCode::PageDown => *at = (*at + rows).min(all.len().saturating_sub(1)),
            KeyCode::PageUp => *at = at.saturating_sub(rows),
            KeyCode::Char('d' | 'D') if model.look.read_only => model.complain(READ_ONLY),
            KeyCode::Char('d') => {
                let one = all.get(*at).map(|it| (folder.clone(), it.name.clone()));
                model.popup = Some(popup);
                let is_wanted = !super::is_twice(model, Act::Discard);
                let one = one.filter(|_| is_wanted);
                return one.map(|it| Effect::Do(Op::DiscardNamed(vec![it]))).into_iter().collect();
            }
            KeyCode::Char('D') => {
                let named = all.iter().map(|it| (folder.clone(), it.name.clone())).collect();
                let title = format!("Move {} to the trash", not_shown(all.len()));
                let purpose = Purpose::Confirm(Box::new(Op::DiscardNamed(named)), None);
                let line = "All that the list leaves out here goes to the trash; u undoes it.";
                let mut form = Form::new(title, "Move", purpose).line(line);
                form.focus = 0;
                open(model, form);
                return Vec::new();
            }
            _ => {}
        },
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

/// The first line that is seen then, of so many lines where so many fit.
fn scrolled(code: KeyCode, top: usize, count: usize, rows: usize) -> usize {
    let last = count.saturating_sub(rows);
    match code {
        KeyCode::Down | KeyCode::Char('j') => (top + 1).min(last),
        KeyCode::Up | KeyCode::Char('k') => top.saturating_sub(1),
        KeyCode::PageDown | KeyCode::Char(' ') => (top + rows).min(last),
        KeyCode::PageUp => top.saturating_sub(rows),
        KeyCode::Home | KeyCode::Char('g') => 0,
        KeyCode::End | KeyCode::Char('G') => last,
        _ => top,
    }
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
