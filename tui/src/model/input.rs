//! A line that is being typed.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use unicode_segmentation::UnicodeSegmentation;

/// Longer than any path.
const LONGEST: usize = 8192;

/// Text, and where the next letter goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    text: String,
    /// A byte between two letters.
    at: usize,
}

impl Input {
    /// With something in it, to go on behind.
    pub fn with(text: &str) -> Input {
        Input { text: text.to_owned(), at: text.len() }
    }

    /// What is there.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What is in front of the next letter.
    pub fn before(&self) -> &str {
        self.text.get(..self.at).unwrap_or_default()
    }

    /// Sets the next letter's place to so many bytes, as in front of what a name ends in.
    #[must_use]
    pub fn at(mut self, bytes: usize) -> Input {
        if self.text.is_char_boundary(bytes) {
            self.at = bytes;
        }
        self
    }

    /// Takes a key in. Says whether it meant anything here.
    pub fn key(&mut self, key: KeyEvent) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('u') if control => drop(self.text.drain(..std::mem::take(&mut self.at))),
            KeyCode::Char('w') if control => self.delete_word(),
            KeyCode::Char('e') if control => self.at = self.text.len(),
            KeyCode::Char(_) if control => return false,
            KeyCode::Char(letter) if self.text.len() < LONGEST => {
                self.text.insert(self.at, letter);
                self.at += letter.len_utf8();
            }
            KeyCode::Backspace => {
                let start = self.previous();
                self.text.drain(start..self.at);
                self.at = start;
            }
            KeyCode::Delete => drop(self.text.drain(self.at..self.next())),
            KeyCode::Left => self.at = self.previous(),
            KeyCode::Right => self.at = self.next(),
            KeyCode::Home => self.at = 0,
            KeyCode::End => self.at = self.text.len(),
            _ => return false,
        }
        true
    }

    fn previous(&self) -> usize {
        self.before().grapheme_indices(true).next_back().map_or(0, |(start, _)| start)
    }

    fn next(&self) -> usize {
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.at + rest.graphemes(true).next().map_or(0, str::len)
    }

    fn delete_word(&mut self) {
        let kept = self.before().trim_end_matches([' ', '/']);
        let start = kept.rfind([' ', '/']).map_or(0, |it| it + 1);
        self.text.drain(start..self.at);
        self.at = start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[KeyCode]) -> Input {
        let mut input = Input::with("a b");
        for key in keys {
            input.key(KeyEvent::new(*key, KeyModifiers::NONE));
        }
        input
    }

    #[test]
    fn letters_go_where_the_cursor_is() {
        use KeyCode::{Backspace, Char, Delete, End, Home, Left, Right};
        assert_eq!(typed(&[Char('c'), Left, Left, Char('\u{fc}')]).text(), "a \u{fc}bc");
        assert_eq!(typed(&[Home, Delete, Right, Backspace]).text(), "b");
        assert_eq!(typed(&[Left, Backspace, Backspace, Backspace, Backspace]).text(), "b");
        assert_eq!(typed(&[Home, Char('x'), End, Char('y')]).text(), "xa by");
        let mut accented = Input::with("u\u{308}");
        accented.key(KeyEvent::new(Backspace, KeyModifiers::NONE));
        assert_eq!(accented.text(), "");
    }

    #[test]
    fn words_and_lines_go_at_once() {
        let mut input = Input::with("berlin/v6 x");
        let control = |it| KeyEvent::new(KeyCode::Char(it), KeyModifiers::CONTROL);
        input.key(control('w'));
        assert_eq!(input.text(), "berlin/v6 ");
        input.key(control('w'));
        assert_eq!(input.text(), "berlin/");
        input.key(control('u'));
        assert_eq!(input.text(), "");
        assert!(!input.key(control('c')));
    }
}
