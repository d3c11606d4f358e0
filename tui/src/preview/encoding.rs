//! Which encoding a text has, and the text itself.
//!
//! Three are known: UTF-8, UTF-16 with a byte order mark, as spreadsheets write "Unicode text", and Windows-1252, of which Latin-1 is the
//! printable part, as older programs write tables. They need one table of 32 letters; a library of all encodings of the web would be larger
//! than the rest of the previews. What is in none of them is binary.

/// How a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8, of which ASCII is a part. Broken bytes are shown as escapes.
    Utf8,
    /// UTF-8 with the mark that some programs put in front.
    Utf8Marked,
    /// UTF-16, the low byte first.
    Utf16Le,
    /// UTF-16, the high byte first.
    Utf16Be,
    /// Windows-1252 without its own letters.
    Latin1,
    /// Windows-1252.
    Windows1252,
}

/// Control characters are looked for in so many bytes.
const SAMPLE: usize = 4096;
/// The letters of bytes from 0x80 to 0x9f in Windows-1252; `?` stands for none.
const WINDOWS_1252: [char; 32] = [
    '€', '?', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '?', 'Ž', '?', '?', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '?', 'ž', 'Ÿ',
];

impl Encoding {
    /// Of a text's beginning; none where that is no text.
    pub(super) fn of(bytes: &[u8]) -> Option<Encoding> {
        let marked = match bytes {
            [0xff, 0xfe, ..] => Some(Encoding::Utf16Le),
            [0xfe, 0xff, ..] => Some(Encoding::Utf16Be),
            _ => None,
        };
        if let Some(utf16) = marked {
            return utf16.is_sound_utf16(bytes).then_some(utf16);
        }
        if bytes.get(..SAMPLE).unwrap_or(bytes).iter().copied().any(is_control) {
            return None;
        }
        let (letters, broken) = utf8_letters(bytes);
        // One broken letter among many good ones is a mistake; without good ones it is another encoding.
        if broken <= letters {
            let is_marked = bytes.starts_with(b"\xef\xbb\xbf");
            return Some(if is_marked { Encoding::Utf8Marked } else { Encoding::Utf8 });
        }
        let high: Vec<u8> = bytes.iter().copied().filter(|it| *it >= 0x80).collect();
        let is_mostly_ascii = high.len() * 2 <= bytes.len();
        let has_unknown = high.iter().any(|it| matches!(it, 0x81 | 0x8d | 0x8f | 0x90 | 0x9d));
        if !is_mostly_ascii || has_unknown {
            return None;
        }
        let is_latin1 = high.iter().all(|it| *it >= 0xa0);
        Some(if is_latin1 { Encoding::Latin1 } else { Encoding::Windows1252 })
    }

    /// What people call it; none of what is expected.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Encoding::Utf8 => None,
            Encoding::Utf8Marked => Some("UTF-8 with a byte order mark"),
            Encoding::Utf16Le | Encoding::Utf16Be => Some("UTF-16"),
            Encoding::Latin1 => Some("Latin-1"),
            Encoding::Windows1252 => Some("Windows-1252"),
        }
    }

    /// The bytes of the mark in front.
    pub(super) fn mark(self) -> usize {
        match self {
            Encoding::Utf8Marked => 3,
            Encoding::Utf16Le | Encoding::Utf16Be => 2,
            Encoding::Utf8 | Encoding::Latin1 | Encoding::Windows1252 => 0,
        }
    }

    /// A text without its mark as UTF-8. Of UTF-8 the bytes stay as they are, broken ones too.
    pub(super) fn decode(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Encoding::Utf8 | Encoding::Utf8Marked => bytes.to_vec(),
            Encoding::Utf16Le | Encoding::Utf16Be => {
                let letters = char::decode_utf16(self.units(bytes));
                letters
                    .map(|it| it.unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect::<String>()
                    .into_bytes()
            }
            Encoding::Latin1 | Encoding::Windows1252 => {
                bytes.iter().map(|it| of_windows_1252(*it)).collect::<String>().into_bytes()
            }
        }
    }

    /// Where the first line of some bytes ends: the byte behind its line feed.
    pub(super) fn line_end(self, bytes: &[u8]) -> Option<usize> {
        let at = match self {
            Encoding::Utf16Le | Encoding::Utf16Be => {
                self.units(bytes).position(|it| it == u16::from(b'\n'))? * 2 + 1
            }
            _ => bytes.iter().position(|it| *it == b'\n')?,
        };
        Some(at + 1)
    }

    /// How many bytes a letter has at least.
    pub(super) fn unit(self) -> usize {
        if matches!(self, Encoding::Utf16Le | Encoding::Utf16Be) { 2 } else { 1 }
    }

    fn units(self, bytes: &[u8]) -> impl Iterator<Item = u16> {
        bytes.as_chunks::<2>().0.iter().map(move |it| match self {
            Encoding::Utf16Be => u16::from_be_bytes(*it),
            _ => u16::from_le_bytes(*it),
        })
    }

    /// Whether all pairs belong together and nothing moves a cursor. The last letter may be cut.
    fn is_sound_utf16(self, bytes: &[u8]) -> bool {
        let units = self.units(bytes).count();
        let mut seen = 0;
        char::decode_utf16(self.units(bytes)).all(|it| {
            seen += it.as_ref().map_or(1, |it| it.len_utf16());
            match it {
                Ok(it) => u8::try_from(it).is_ok_and(|it| !is_control(it)) || u32::from(it) > 0xff,
                Err(_) => seen == units,
            }
        })
    }
}

/// What a text has no use for; escapes of terminals are shown as text.
fn is_control(byte: u8) -> bool {
    byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b)
}

/// Letters of several bytes, and bytes that belong to none. What is cut at the end is neither.
fn utf8_letters(bytes: &[u8]) -> (usize, usize) {
    let (mut letters, mut broken) = (0, 0);
    let mut seen = 0;
    for chunk in bytes.utf8_chunks() {
        letters += chunk.valid().chars().filter(|it| !it.is_ascii()).count();
        seen += chunk.valid().len() + chunk.invalid().len();
        let is_cut = seen == bytes.len()
            && std::str::from_utf8(chunk.invalid()).is_err_and(|it| it.error_len().is_none());
        broken += if is_cut { 0 } else { chunk.invalid().len() };
    }
    (letters, broken)
}

fn of_windows_1252(byte: u8) -> char {
    let at = usize::from(byte).checked_sub(0x80);
    at.and_then(|it| WINDOWS_1252.get(it)).copied().unwrap_or(char::from(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn utf16(text: &str, bytes: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(bytes).collect()
    }

    #[test]
    fn a_text_tells_its_encoding() {
        let check = |bytes: &[u8], encoding: Option<Encoding>, text: &str| {
            let found = Encoding::of(bytes);
            assert_eq!(found, encoding, "{text}");
            let shown = found.map(|it| it.decode(&bytes[it.mark()..]));
            assert_eq!(
                shown.map(|it| String::from_utf8_lossy(&it).into_owned()).unwrap_or_default(),
                text
            );
        };
        check(b"id;name\n", Some(Encoding::Utf8), "id;name\n");
        check("Z\u{fc}rich".as_bytes(), Some(Encoding::Utf8), "Z\u{fc}rich");
        check(b"\xef\xbb\xbfid", Some(Encoding::Utf8Marked), "id");
        check(b"Z\xfcrich;Gen\xe8ve", Some(Encoding::Latin1), "Z\u{fc}rich;Gen\u{e8}ve");
        check(b"\x80 5 \x96 7", Some(Encoding::Windows1252), "\u{20ac} 5 \u{2013} 7");
        check(
            &utf16("Z\u{fc}rich\t\u{1f68b}\r\n", u16::to_le_bytes),
            Some(Encoding::Utf16Le),
            "Z\u{fc}rich\t\u{1f68b}\r\n",
        );
        check(&utf16("Z\u{fc}rich", u16::to_be_bytes), Some(Encoding::Utf16Be), "Z\u{fc}rich");
        check(b"", Some(Encoding::Utf8), "");
        // No text: control characters, letters of no pair, bytes that are no letter of Windows-1252, other alphabets.
        check(b"a\0b", None, "");
        check(b"\xff\xfe\x00\xd8a\0b\0", None, "");
        check(b"caf\x81", None, "");
        check(b"\xcf\xf0\xe8\xe2\xe5\xf2", None, "");
    }

    #[test]
    fn a_letter_that_is_cut_at_the_end_is_no_mistake() {
        let text = "abc\u{fc}\u{20ac}\u{1f68b}";
        for end in 1..text.len() {
            assert_eq!(Encoding::of(&text.as_bytes()[..end]), Some(Encoding::Utf8), "{end}");
        }
        let long = utf16("abc\u{1f68b}", u16::to_le_bytes);
        for end in 2..long.len() {
            assert_eq!(Encoding::of(&long[..end]), Some(Encoding::Utf16Le), "{end}");
        }
    }

    #[test]
    fn one_broken_letter_among_good_ones_does_not_change_the_rest() {
        assert_eq!(
            Encoding::of("Z\u{fc}rich, Gen\u{e8}ve \u{fc}".as_bytes()),
            Some(Encoding::Utf8)
        );
        assert_eq!(Encoding::of(b"Z\xc3\xbcrich m\xfcnchen"), Some(Encoding::Utf8));
    }

    proptest! {
        #[test]
        fn any_text_is_found_again(text in "[ -~\u{a0}-\u{24f}\u{4e00}-\u{4eff}\u{1f680}-\u{1f6ff}\n\t]{0,40}") {
            let le = utf16(&text, u16::to_le_bytes);
            prop_assert_eq!(Encoding::of(&le), Some(Encoding::Utf16Le));
            prop_assert_eq!(Encoding::Utf16Le.decode(&le[2..]), text.as_bytes());
            prop_assert_eq!(Encoding::of(text.as_bytes()), Some(Encoding::Utf8));
        }

        #[test]
        fn any_bytes_have_lines_that_end(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            for encoding in [Encoding::Utf8, Encoding::Utf16Le, Encoding::Utf16Be, Encoding::Latin1] {
                let end = encoding.line_end(&bytes);
                prop_assert!(end.is_none_or(|it| it <= bytes.len() && it % encoding.unit() == 0));
            }
            if let Some(encoding) = Encoding::of(&bytes) {
                let text = encoding.decode(&bytes[encoding.mark()..]);
                prop_assert!(encoding.name().is_none() || encoding.unit() == 2 || std::str::from_utf8(&text).is_ok());
            }
        }
    }
}
