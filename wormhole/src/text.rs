//! Makes a stranger's text safe to show in one line. Pure.

/// The most characters that are kept of a peer's or a server's text.
const MOST: usize = 500;

/// The text without control characters and direction marks, and cut to a readable length.
pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(|it| !is_unseen(*it)).take(MOST).collect()
}

/// The same, with its lines kept.
pub(crate) fn plain_lines(text: &str) -> String {
    text.chars().filter(|it| *it == '\n' || !is_unseen(*it)).take(4 * MOST).collect()
}

fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_turned_text_lose_their_power() {
        assert_eq!(plain("disk\u{1b}[31m full\r\n\u{202e}!"), "disk[31m full!");
        assert_eq!(plain_lines("one\ntwo\u{7}"), "one\ntwo");
        assert_eq!(plain(&"ä".repeat(10_000)).chars().count(), MOST);
    }
}
