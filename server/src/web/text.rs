//! File names are untrusted text: how to show them, and how to write them in a URL.

use std::fmt::Write;

use volume::names::{Kind, Name};

/// Makes invisible things visible: control characters, marks that change the direction of writing, bytes that are not UTF-8.
pub(crate) fn visible(name: &[u8]) -> String {
    let mut out = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for it in chunk.valid().chars() {
            if it.is_control() || is_invisible(it) {
                out.extend(it.escape_unicode());
            } else {
                out.push(it);
            }
        }
        for byte in chunk.invalid() {
            write!(out, "\\x{byte:02X}").unwrap_or_default();
        }
    }
    out
}

fn is_invisible(it: char) -> bool {
    matches!(it,
        '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Escapes text for HTML, also within double quotes.
pub(crate) fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for it in text.chars() {
        match it {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ => out.push(it),
        }
    }
    out
}

/// A relative reference to an entry, with a `/` at its end for a folder. Python's fsspec takes every reference that begins with `http` for
/// an absolute URL and skips it, so the first letter of such a name is encoded too.
pub(crate) fn href(name: Name<'_>) -> String {
    let slash = if name.kind == Kind::Folder { "/" } else { "" };
    let name = volume::escape(name.bytes);
    match name.strip_prefix("http") {
        Some(rest) => format!("%68ttp{rest}{slash}"),
        None => format!("{name}{slash}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_made_visible() {
        assert_eq!(visible("Köln & <b>.csv".as_bytes()), "Köln & <b>.csv");
        assert_eq!(visible(b"a\x1b]0;x\n"), "a\\u{1b}]0;x\\u{a}");
        assert_eq!(visible("gnp.\u{202e}exe".as_bytes()), "gnp.\\u{202e}exe");
        assert_eq!(visible(b"caf\xe9"), "caf\\xE9");
    }
}
