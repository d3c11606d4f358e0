//! An error with its causes, as a log or a person reads it.

use std::error::Error;

/// An error and its causes in one line, each once: many errors repeat their cause in their own text.
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Cause(&'static str, #[source] Option<Box<Cause>>);

    #[test]
    fn a_cause_that_the_error_has_told_is_not_told_again() {
        let check = |texts: &[&'static str], expected: &str| {
            let chained = texts.iter().rev().fold(None, |it, text| Some(Box::new(Cause(text, it))));
            assert_eq!(error_chain(&*chained.unwrap()), expected);
        };
        check(&["one"], "one");
        check(&["one", "two", "three"], "one: two: three");
        check(&["one: two", "two", "three"], "one: two: three");
    }
}
