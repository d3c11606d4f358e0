//! What is pasted: letters where letters are typed, and nothing anywhere else. It never acts as a key.

use crossterm::event::{KeyCode, KeyEvent};

use super::{is_typed, popup, typed};
use crate::effect::Effect;
use crate::model::{Model, Popup};

/// Letters that a line takes: more than any path or code has.
const LONGEST_LINE: usize = 4096;

/// Takes a pasted text in.
pub(super) fn pasted(model: &mut Model, text: &str) -> Vec<Effect> {
    let has_lines = match &model.popup {
        Some(Popup::Editor(editor)) => (!editor.is_leaving).then_some(true),
        Some(Popup::Form(form)) => form.is_in_text().then_some(false),
        Some(Popup::Help(help)) => help.is_typed.then_some(false),
        Some(_) => None,
        None => is_typed(model).then_some(false),
    };
    let Some(has_lines) = has_lines else {
        model.complain("nothing is typed here: what you pasted does nothing");
        return Vec::new();
    };
    let mut effects = Vec::new();
    for key in keys(text, has_lines) {
        // The last look at the disk counts.
        effects = letter(model, key);
    }
    effects
}

/// The keys that type it. In one line its lines are parted by spaces, and no key ends or leaves anything.
fn keys(text: &str, has_lines: bool) -> Vec<KeyEvent> {
    let key = |letter| match letter {
        '\n' if has_lines => KeyCode::Enter,
        '\t' if has_lines => KeyCode::Tab,
        '\n' | '\t' => KeyCode::Char(' '),
        letter => KeyCode::Char(letter),
    };
    let (text, most) = if has_lines { (text, usize::MAX) } else { (text.trim(), LONGEST_LINE) };
    text.chars().take(most).map(key).map(KeyEvent::from).collect()
}

fn letter(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    if model.popup.is_some() { popup::key(model, key) } else { typed(model, key) }
}
