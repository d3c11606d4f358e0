//! The code that two people share, like `7-crossover-clockwork`.
//!
//! Its number is the nameplate, under which the mailbox server brings the two sides together. The whole text is the password of the key
//! exchange (client-protocol.md, "Wormhole Codes"). So a code is a secret until it is used.

use std::fmt;
use std::str::FromStr;

use crate::wordlist;

/// The most digits that the mailbox server accepts.
const MOST_DIGITS: usize = 40;
/// The most bytes of a code. No real code is longer.
const LONGEST: usize = 255;

/// A code: a number and at least one word. `Debug` shows the number only.
#[derive(Clone, PartialEq, Eq)]
pub struct Code {
    text: String,
    /// The length in bytes of the nameplate at the text's start.
    digits: usize,
}

/// Why a text is not a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// The text is empty.
    #[error("the code is missing: it looks like `7-crossover-clockwork`")]
    Empty,
    /// The text does not begin with a number.
    #[error("a code begins with a number, like `7-crossover-clockwork`")]
    NoNumber,
    /// There is no word, or nothing between two dashes.
    #[error("a word is missing: a code looks like `7-crossover-clockwork`")]
    NoWord,
    /// It has a control character.
    #[error("a code has no {0:?} in it")]
    Character(char),
    /// It is too long.
    #[error("it is too long for a code")]
    TooLong,
}

impl Code {
    /// Parses a code as people type it. Spaces around it are dropped, spaces within it become dashes, and words of the word list become
    /// lower case. Other words stay as they are: the sender may have chosen them, and the whole text is the password.
    pub fn parse(text: &str) -> Result<Code, CodeError> {
        let code = Code::exact(text)?;
        Ok(Code { text: wordlist::in_small_letters(&code.text), ..code })
    }

    /// Like [`Code::parse`], but keeps the case of every letter.
    pub fn exact(text: &str) -> Result<Code, CodeError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(CodeError::Empty);
        }
        if text.len() > LONGEST {
            return Err(CodeError::TooLong);
        }
        let mut typed = text.chars().filter(|it| it.is_control() && !it.is_whitespace());
        if let Some(odd) = typed.next() {
            return Err(CodeError::Character(odd));
        }
        let text = text.split_whitespace().collect::<Vec<_>>().join("-");
        // `7 - guitarist` means `7-guitarist`.
        let text = text.replace("---", "-");
        let (number, words) = text.split_once('-').unwrap_or((&text, ""));
        let is_number = !number.is_empty() && number.bytes().all(|it| it.is_ascii_digit());
        if !is_number {
            return Err(CodeError::NoNumber);
        }
        if number.len() > MOST_DIGITS {
            return Err(CodeError::TooLong);
        }
        if words.split('-').any(str::is_empty) {
            return Err(CodeError::NoWord);
        }
        Ok(Code { digits: number.len(), text })
    }

    /// The nameplate: the number under which the two sides find each other. It is not a secret.
    pub fn nameplate(&self) -> &str {
        self.text.get(..self.digits).unwrap_or_default()
    }

    /// The words after the number.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.text.split('-').skip(1)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Code {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Code, CodeError> {
        Code::parse(text)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({}-…)", self.nameplate())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_taken_as_people_type_it() {
        let check = |typed: &str, meant: &str| {
            assert_eq!(
                Code::parse(typed).map(|it| it.to_string()),
                Ok(meant.to_owned()),
                "{typed:?}"
            );
        };
        check("7-crossover-clockwork", "7-crossover-clockwork");
        check("  7-crossover-clockwork\n", "7-crossover-clockwork");
        check("7 crossover clockwork", "7-crossover-clockwork");
        check("7 - Crossover\t-  clockwork", "7-crossover-clockwork");
        check("123-guitarist", "123-guitarist");
        check("4-Purple-Sausages", "4-Purple-Sausages");
        check("4-GUITARIST-Sausages-Ähre", "4-guitarist-Sausages-Ähre");
        assert_eq!(Code::exact(" 4 Guitarist-B ").unwrap().to_string(), "4-Guitarist-B");
        check("4-password", "4-password");
        check("4-häuser-1-2-3", "4-häuser-1-2-3");
    }

    #[test]
    fn what_is_no_code_is_refused_with_a_reason() {
        let check = |typed: &str, reason: CodeError| {
            assert_eq!(Code::parse(typed).map(|it| it.to_string()), Err(reason), "{typed:?}");
        };
        check(" ", CodeError::Empty);
        check("7", CodeError::NoWord);
        check("7-", CodeError::NoWord);
        check("7-a--b", CodeError::NoWord);
        check("7-a-", CodeError::NoWord);
        check("crossover-clockwork", CodeError::NoNumber);
        check("-7-a", CodeError::NoNumber);
        check("٣-a", CodeError::NoNumber);
        check("7-a\u{1b}[0m", CodeError::Character('\u{1b}'));
        check(&format!("{}-a", "7".repeat(41)), CodeError::TooLong);
        check(&format!("7-{}", "a".repeat(300)), CodeError::TooLong);
    }

    proptest::proptest! {
        #[test]
        fn a_code_is_read_as_it_is_written(text in "\\PC{0,20}|[0-9]{1,3}[- ][\\PC]{1,20}") {
            if let Ok(code) = Code::parse(&text) {
                proptest::prop_assert_eq!(Code::parse(&code.to_string()), Ok(code.clone()));
                proptest::prop_assert!(code.words().count() > 0);
            }
        }
    }

    #[test]
    fn a_log_does_not_learn_the_words() {
        let code = Code::parse("7-crossover-clockwork").unwrap();
        assert_eq!(format!("{code:?}"), "Code(7-…)");
        assert_eq!(code.nameplate(), "7");
        assert_eq!(code.words().collect::<Vec<_>>(), ["crossover", "clockwork"]);
    }
}
