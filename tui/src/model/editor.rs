//! A small text that is being changed.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use volume::{RelPath, Stat};

use super::{Input, scrolled};

/// A larger text is changed elsewhere.
pub const LARGEST: u64 = 64 << 10;

/// A text, line by line.
#[derive(Debug)]
pub struct Editor {
    /// Which file's.
    pub path: RelPath,
    /// Which version of it.
    pub version: Stat,
    /// As it was.
    before: String,
    /// As it is.
    lines: Vec<Input>,
    /// The line with the cursor.
    pub row: usize,
    /// The first line that is shown.
    pub top: usize,
    /// Whether somebody wants to leave though it is changed.
    pub is_leaving: bool,
}

impl Editor {
    /// Of a text; none where it is none.
    pub fn new(path: RelPath, version: Stat, text: &[u8]) -> Option<Editor> {
        let before = String::from_utf8(text.to_vec()).ok().filter(|it| !it.contains('\0'))?;
        let lines = before.split('\n').map(|it| Input::with(it).at(0)).collect();
        Some(Editor { path, version, before, lines, row: 0, top: 0, is_leaving: false })
    }

    /// One whose text could not be saved, to go on with.
    pub fn again(path: RelPath, version: Stat, before: &[u8], text: &[u8]) -> Option<Editor> {
        let before = String::from_utf8(before.to_vec()).ok()?;
        Some(Editor { before, ..Editor::new(path, version, text)? })
    }

    /// As it is now.
    pub fn text(&self) -> String {
        self.lines.iter().map(Input::text).collect::<Vec<_>>().join("\n")
    }

    /// As it was.
    pub fn before(&self) -> &str {
        &self.before
    }

    /// Whether it is another than before.
    pub fn is_changed(&self) -> bool {
        self.text() != self.before
    }

    /// Its lines.
    pub fn lines(&self) -> &[Input] {
        &self.lines
    }

    /// Takes a key in, on a screen of so many rows.
    pub fn key(&mut self, key: KeyEvent, rows: usize) {
        let last = self.lines.len().saturating_sub(1);
        let column = self.line().map_or(0, |it| it.before().len());
        let length = self.line().map_or(0, |it| it.text().len());
        match key.code {
            KeyCode::Up => self.go(self.row.saturating_sub(1), column),
            KeyCode::Down => self.go((self.row + 1).min(last), column),
            KeyCode::PageUp => self.go(self.row.saturating_sub(rows), column),
            KeyCode::PageDown => self.go((self.row + rows).min(last), column),
            KeyCode::Left if column == 0 && self.row > 0 => self.go(self.row - 1, usize::MAX),
            KeyCode::Right if column == length && self.row < last => self.go(self.row + 1, 0),
            KeyCode::Enter => self.part(),
            KeyCode::Backspace if column == 0 && self.row > 0 => {
                self.row -= 1;
                self.join();
            }
            KeyCode::Delete if column == length && self.row < last => self.join(),
            KeyCode::Tab => self.typed(KeyEvent::new(KeyCode::Char('\t'), KeyModifiers::NONE)),
            _ => self.typed(key),
        }
        self.top = scrolled(self.top, self.row, rows);
    }

    fn line(&self) -> Option<&Input> {
        self.lines.get(self.row)
    }

    fn typed(&mut self, key: KeyEvent) {
        if let Some(line) = self.lines.get_mut(self.row) {
            line.key(key);
        }
    }

    /// The cursor to a row, at a byte or where the letter in front of it ends.
    fn go(&mut self, row: usize, byte: usize) {
        self.row = row;
        if let Some(line) = self.lines.get_mut(row) {
            let text = line.text().to_owned();
            let at = (0..=byte.min(text.len())).rev().find(|it| text.is_char_boundary(*it));
            *line = Input::with(&text).at(at.unwrap_or(0));
        }
    }

    /// The line in two, at the cursor.
    fn part(&mut self) {
        let Some(line) = self.line() else { return };
        let before = line.before().to_owned();
        let behind = line.text().get(before.len()..).unwrap_or_default().to_owned();
        let two = [Input::with(&before), Input::with(&behind).at(0)];
        self.lines.splice(self.row..=self.row, two);
        self.row += 1;
    }

    /// This line and the next in one, with the cursor between them.
    fn join(&mut self) {
        if self.row + 1 >= self.lines.len() {
            return;
        }
        let next = self.lines.remove(self.row + 1);
        if let Some(line) = self.lines.get_mut(self.row) {
            let at = line.text().len();
            *line = Input::with(&format!("{}{}", line.text(), next.text())).at(at);
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test makes its own volume")]
mod tests {
    use super::*;
    use crate::cli::DeskArgs;
    use crate::ops::Desk;

    fn changed(text: &str, keys: &[KeyCode]) -> String {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("a.yaml"), text).unwrap();
        let args = DeskArgs { volume: place.path().to_owned(), ..DeskArgs::default() };
        let path = RelPath::from_plain(b"a.yaml").unwrap();
        let mut editor = Desk::open(&args).unwrap().text(&path).unwrap();
        for key in keys {
            editor.key(KeyEvent::new(*key, KeyModifiers::NONE), 10);
        }
        editor.text()
    }

    #[test]
    fn lines_are_parted_and_joined() {
        use KeyCode::{Backspace, Char, Delete, Down, End, Enter, Left, Right, Tab, Up};
        assert_eq!(changed("a\nb\n", &[]), "a\nb\n");
        assert_eq!(changed("ab", &[Right, Enter, Char('x')]), "a\nxb");
        assert_eq!(changed("a\nb", &[Down, Backspace, Char('x')]), "axb");
        assert_eq!(changed("a\nb", &[End, Delete]), "ab");
        assert_eq!(changed("a\nb", &[Right, Right, Char('x'), Left, Left, Char('y')]), "ay\nxb");
        assert_eq!(changed("\u{fc}\nab", &[Down, Right, Up, Char('x')]), "x\u{fc}\nab");
        assert_eq!(changed("", &[Tab, Enter, Backspace, Backspace, Backspace]), "");
    }
}
