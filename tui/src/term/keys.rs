//! Keys from the bytes a terminal sends. Pure.
//!
//! Escape sequences may come in pieces over a slow line, so an escape alone counts as the key only when nothing has
//! followed it for a while; the caller keeps that time and then calls [`Keys::flush`].

use std::time::Duration;

pub use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// How long the rest of an escape sequence may take.
pub const PATIENCE: Duration = Duration::from_millis(100);
/// How long the rest of a pasted text may take. What comes later would act as keys.
const PASTE_PATIENCE: Duration = Duration::from_secs(5);
/// A sequence that is longer than this is none.
const LONGEST: usize = 32;
/// Bytes of a pasted text that are kept.
const LONGEST_PASTE: usize = 64 << 10;
/// What a terminal puts around a pasted text, where it is asked to.
const PASTE_BEGINS: &[u8] = b"\x1b[200~";
const PASTE_ENDS: &[u8] = b"\x1b[201~";

/// What somebody has typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// A key.
    Key(KeyEvent),
    /// A text in one piece, from a clipboard.
    Pasted(String),
}

/// What has come of keys that are not complete yet.
#[derive(Debug, Default)]
pub struct Keys {
    bytes: Vec<u8>,
    /// A text that is being pasted, as far as it has come.
    paste: Option<Vec<u8>>,
}

impl Keys {
    /// Takes bytes in; returns what is complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Typed> {
        self.bytes.extend_from_slice(bytes);
        let mut typed = Vec::new();
        loop {
            if self.paste.is_some() {
                match self.end_of_paste() {
                    Some(text) => typed.push(Typed::Pasted(text)),
                    None => return typed,
                }
                continue;
            }
            match next(&self.bytes) {
                Step::Key(key, used) => {
                    typed.push(Typed::Key(key));
                    self.bytes.drain(..used);
                }
                Step::Paste(used) => {
                    self.bytes.drain(..used);
                    self.paste = Some(Vec::new());
                }
                Step::Skip(used) => {
                    self.bytes.drain(..used);
                }
                Step::More if self.bytes.len() > LONGEST => self.bytes.clear(),
                Step::More => return typed,
            }
        }
    }

    /// Takes what has come into the pasted text. Its whole, where that is complete.
    fn end_of_paste(&mut self) -> Option<String> {
        let paste = self.paste.as_mut()?;
        let end = self.bytes.windows(PASTE_ENDS.len()).position(|it| it == PASTE_ENDS);
        // The last bytes may be the beginning of the end.
        let certain =
            end.unwrap_or_else(|| (self.bytes.len() + 1).saturating_sub(PASTE_ENDS.len()));
        let room = LONGEST_PASTE.saturating_sub(paste.len());
        paste.extend(self.bytes.drain(..certain).take(room));
        end?;
        self.bytes.drain(..PASTE_ENDS.len());
        self.paste.take().map(|it| text_of(&it))
    }

    /// How long what waits for its rest waits; none where nothing does.
    pub fn patience(&self) -> Option<Duration> {
        match self.paste {
            Some(_) => Some(PASTE_PATIENCE),
            None => (!self.bytes.is_empty()).then_some(PATIENCE),
        }
    }

    /// Nothing more has come: what waits is what it is.
    pub fn flush(&mut self) -> Vec<Typed> {
        let bytes = std::mem::take(&mut self.bytes);
        if let Some(paste) = self.paste.take() {
            return vec![Typed::Pasted(text_of(&[paste, bytes].concat()))];
        }
        // An escape is itself; the rest of a torn sequence must not act as keys.
        let is_escape = bytes.first() == Some(&0x1b);
        is_escape.then(|| Typed::Key(plain(KeyCode::Esc))).into_iter().collect()
    }
}

/// Lines end in line feeds; other control characters are left out.
fn text_of(pasted: &[u8]) -> String {
    let text = String::from_utf8_lossy(pasted).replace("\r\n", "\n").replace('\r', "\n");
    text.chars().filter(|it| !it.is_control() || matches!(it, '\n' | '\t')).collect()
}

enum Step {
    Key(KeyEvent, usize),
    Paste(usize),
    Skip(usize),
    More,
}

fn plain(code: KeyCode) -> KeyEvent {
    KeyEvent::new(code, KeyModifiers::NONE)
}

fn control(letter: char) -> KeyEvent {
    KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL)
}

fn next(bytes: &[u8]) -> Step {
    let Some((first, rest)) = bytes.split_first() else { return Step::More };
    match first {
        0x1b if bytes.starts_with(PASTE_BEGINS) => Step::Paste(PASTE_BEGINS.len()),
        0x1b => escape(rest),
        // A raw line feed is what a pasted line ends in.
        b'\r' | b'\n' => Step::Key(plain(KeyCode::Enter), 1),
        b'\t' => Step::Key(plain(KeyCode::Tab), 1),
        0x7f | 0x08 => Step::Key(plain(KeyCode::Backspace), 1),
        0x01..=0x1a => Step::Key(control(char::from(first - 1 + b'a')), 1),
        0 | 0x1c..=0x1f => Step::Skip(1),
        _ => letter(bytes),
    }
}

/// One character of UTF-8; bytes that are none are ignored.
fn letter(bytes: &[u8]) -> Step {
    let length = match bytes.first() {
        Some(0x20..=0x7e) => 1,
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        _ => return Step::Skip(1),
    };
    let Some(bytes) = bytes.get(..length) else { return Step::More };
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    match text.chars().next() {
        Some(it) if !it.is_control() => Step::Key(plain(KeyCode::Char(it)), length),
        Some(_) => Step::Skip(length),
        None => Step::Skip(1),
    }
}

/// Behind an escape: `[` and `O` begin sequences; anything else is an escape and then that.
fn escape(rest: &[u8]) -> Step {
    match rest.first() {
        None => Step::More,
        Some(b'[') => sequence(rest.get(1..).unwrap_or_default()),
        Some(b'O') => match rest.get(1) {
            None => Step::More,
            Some(letter) => known(*letter, 3),
        },
        // Alt and a letter, which no key here means: not an Esc that would close something.
        Some(_) => Step::Skip(2),
    }
}

/// Behind `ESC [`, as ECMA-48 has it: parameters, and a letter that ends it.
fn sequence(rest: &[u8]) -> Step {
    // The Linux console's function keys have one letter more.
    if rest.first() == Some(&b'[') {
        return if rest.len() < 2 { Step::More } else { Step::Skip(4) };
    }
    let Some(end) = rest.iter().position(|it| (0x40..=0x7e).contains(it)) else {
        return Step::More;
    };
    let used = end + 3;
    let parameters = rest.get(..end).unwrap_or_default();
    if let Some(mouse) = parameters.strip_prefix(b"<") {
        // The wheel; buttons mean nothing.
        return match mouse.split(|it| *it == b';').next() {
            Some(b"64") => Step::Key(plain(KeyCode::Up), used),
            Some(b"65") => Step::Key(plain(KeyCode::Down), used),
            _ => Step::Skip(used),
        };
    }
    match rest.get(end) {
        Some(b'~') => {
            let number = parameters.split(|it| *it == b';').next().unwrap_or_default();
            match number {
                b"1" | b"7" => Step::Key(plain(KeyCode::Home), used),
                b"4" | b"8" => Step::Key(plain(KeyCode::End), used),
                b"3" => Step::Key(plain(KeyCode::Delete), used),
                b"5" => Step::Key(plain(KeyCode::PageUp), used),
                b"6" => Step::Key(plain(KeyCode::PageDown), used),
                b"11" => Step::Key(plain(KeyCode::F(1)), used),
                _ => Step::Skip(used),
            }
        }
        Some(letter) => known(*letter, used),
        None => Step::More,
    }
}

fn known(letter: u8, used: usize) -> Step {
    let code = match letter {
        b'A' => KeyCode::Up,
        b'B' => KeyCode::Down,
        b'C' => KeyCode::Right,
        b'D' => KeyCode::Left,
        b'H' => KeyCode::Home,
        b'F' => KeyCode::End,
        b'P' => KeyCode::F(1),
        b'Z' => KeyCode::BackTab,
        b'M' => KeyCode::Enter,
        _ => return Step::Skip(used),
    };
    Step::Key(plain(code), used)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pressed(typed: Vec<Typed>) -> Vec<KeyEvent> {
        let key = |it| match it {
            Typed::Key(key) => key,
            Typed::Pasted(text) => panic!("{text}"),
        };
        typed.into_iter().map(key).collect()
    }

    fn codes(bytes: &[u8]) -> Vec<KeyCode> {
        pressed(Keys::default().feed(bytes)).into_iter().map(|it| it.code).collect()
    }

    #[test]
    fn a_pasted_text_is_one_piece_however_it_is_torn() {
        let bytes = b"x\x1b[200~dd rm\r\n\x03\x1b[2;5~q\x1b[201~y";
        let key = |it| Typed::Key(plain(KeyCode::Char(it)));
        let whole = vec![key('x'), Typed::Pasted("dd rm\n[2;5~q".to_owned()), key('y')];
        assert_eq!(Keys::default().feed(bytes), whole);
        for cut in 0..bytes.len() {
            let mut keys = Keys::default();
            let mut torn = keys.feed(&bytes[..cut]);
            torn.extend(keys.feed(&bytes[cut..]));
            assert_eq!(torn, whole, "{cut}");
        }
        // One that never ends is a text too, and what comes behind it are keys.
        let mut keys = Keys::default();
        assert!(keys.feed(b"\x1b[200~dd").is_empty());
        assert_eq!(keys.patience(), Some(PASTE_PATIENCE));
        assert_eq!(keys.flush(), [Typed::Pasted("dd".to_owned())]);
        assert_eq!(keys.feed(b"j"), [key('j')]);
        let long = [PASTE_BEGINS, &vec![b'd'; 10 << 20], PASTE_ENDS].concat();
        let typed = Keys::default().feed(&long);
        assert!(matches!(typed.as_slice(), [Typed::Pasted(text)] if text.len() == LONGEST_PASTE));
    }

    #[test]
    fn keys_are_what_terminals_send_for_them() {
        use KeyCode::{Backspace, Char, Down, End, Enter, F, Home, PageDown, Tab, Up};
        assert_eq!(codes(b"aZ/?"), [Char('a'), Char('Z'), Char('/'), Char('?')]);
        assert_eq!(
            codes("m\u{fc}\u{6771}".as_bytes()),
            [Char('m'), Char('\u{fc}'), Char('\u{6771}')]
        );
        assert_eq!(
            codes(b"\x1b[A\x1bOB\x1b[6~\x1b[1~\x1bOF\x1bOP"),
            [Up, Down, PageDown, Home, End, F(1)]
        );
        assert_eq!(codes(b"\r\n\t\x7f\x08"), [Enter, Enter, Tab, Backspace, Backspace]);
        assert_eq!(pressed(Keys::default().feed(b"\x03")), [control('c')]);
        assert_eq!(codes(b"\x1b[1;5B\x1b[99~x"), [Down, Char('x')]);
        assert_eq!(codes(b"\x1b[<64;3;7M\x1b[<65;3;7M\x1b[<0;3;7M\x1b[<0;3;7m"), [Up, Down]);
    }

    #[test]
    fn a_torn_sequence_is_joined_and_an_escape_alone_is_one() {
        let mut keys = Keys::default();
        assert!(keys.feed(b"\x1b").is_empty() && keys.patience() == Some(PATIENCE));
        assert_eq!(pressed(keys.feed(b"[B"))[0].code, KeyCode::Down);
        assert!(keys.patience().is_none());
        keys.feed(b"\x1b");
        assert_eq!(pressed(keys.flush())[0].code, KeyCode::Esc);
        keys.feed(b"\x1b[");
        assert_eq!(pressed(keys.flush())[0].code, KeyCode::Esc);
        assert_eq!(codes(b"\x1bd"), []);
    }

    proptest! {
        #[test]
        fn however_the_bytes_are_torn_the_keys_are_the_same(
            text in prop::collection::vec(prop_oneof![
                Just(b"\x1b[A".to_vec()), Just(b"\x1b[6~".to_vec()), Just(b"\x1b[200~d\r\x1b[201~".to_vec()), Just("\u{fc}".as_bytes().to_vec()), "[a-z]".prop_map(String::into_bytes)
            ], 0..12),
            cut in 0_usize..40
        ) {
            let bytes = text.concat();
            let whole = Keys::default().feed(&bytes);
            let cut = cut.min(bytes.len());
            let mut keys = Keys::default();
            let mut torn = keys.feed(&bytes[..cut]);
            torn.extend(keys.feed(&bytes[cut..]));
            prop_assert_eq!(torn, whole);
        }

        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut keys = Keys::default();
            keys.feed(&bytes);
            keys.flush();
            prop_assert!(keys.patience().is_none());
        }
    }
}
