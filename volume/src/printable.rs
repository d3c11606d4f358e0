//! Makes a name on the disk safe to show. Pure.
//!
//! A name on the disk is any bytes. The text that is shown never holds a control character, and two different names never look the same:
//! characters that could hide, move the cursor or turn the line around are written as escapes.

use std::fmt::Write;

/// A name as it is shown: `\n`, `\x1b`, `\xE9` for bytes that are not text, `\u{202e}` for an invisible character.
pub fn printable(name: &[u8]) -> String {
    let mut shown = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        let mut before = None;
        for it in chunk.valid().chars() {
            push(&mut shown, before, it);
            before = Some(it);
        }
        for byte in chunk.invalid() {
            push_formatted(&mut shown, format_args!("\\x{byte:02X}"));
        }
    }
    shown
}

fn push(shown: &mut String, before: Option<char>, it: char) {
    use unicode_width::UnicodeWidthChar;
    match it {
        '\\' => shown.push_str("\\\\"),
        '\n' => shown.push_str("\\n"),
        '\r' => shown.push_str("\\r"),
        '\t' => shown.push_str("\\t"),
        _ if it.is_ascii_control() => {
            push_formatted(shown, format_args!("\\x{:02x}", u32::from(it)));
        }
        // A character without width is a mark on the letter before, as in `u\u{308}`, or it is invisible.
        _ if it.width() == Some(0) => {
            let is_mark = before.is_some_and(|it| it.width() > Some(0)) && is_combining(it);
            if is_mark {
                shown.push(it);
            } else {
                push_formatted(shown, format_args!("\\u{{{:x}}}", u32::from(it)));
            }
        }
        _ if it.is_control() || is_odd_space(it) || it.width().is_none() => {
            push_formatted(shown, format_args!("\\u{{{:x}}}", u32::from(it)));
        }
        _ => shown.push(it),
    }
}

/// The accents that programs write after a letter.
fn is_combining(it: char) -> bool {
    matches!(it, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}')
}

/// White space that looks like a space, or like nothing.
fn is_odd_space(it: char) -> bool {
    it != ' ' && it.is_whitespace()
}

fn push_formatted(shown: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string can't fail.
    shown.write_fmt(what).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_do_harm_on_a_screen_is_written_out() {
        let check = |name: &[u8], shown: &str| assert_eq!(printable(name), shown);
        check(b"trips.csv", "trips.csv");
        check("m\u{fc}nchen 東京".as_bytes(), "m\u{fc}nchen 東京");
        check("mu\u{308}nchen".as_bytes(), "mu\u{308}nchen");
        check(b"a\x1b[2Jb", "a\\x1b[2Jb");
        check(b"a\nb\tc\rd", "a\\nb\\tc\\rd");
        check(b"m\xfcnchen", "m\\xFCnchen");
        check("a\u{202e}b".as_bytes(), "a\\u{202e}b");
        check("\u{308}x".as_bytes(), "\\u{308}x");
        check("a\u{200b}b\u{fe0f}\u{feff}".as_bytes(), "a\\u{200b}b\\u{fe0f}\\u{feff}");
        check("a\u{85}b\u{2028}c\u{a0}d".as_bytes(), "a\\u{85}b\\u{2028}c\\u{a0}d");
        check(b"a\\nb", "a\\\\nb");
    }
}
