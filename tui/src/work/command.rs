//! The palette: a line in the command line's words, and what it printed.

use clap::Parser;

use crate::cli::Cli;
use crate::effect::Done;
use crate::ops::{Desk, Failure};
use crate::run::{Out, run};
use crate::text;

/// A command of the command line, and what it printed.
pub(super) fn command(desk: &Desk, line: &str) -> Result<Done, Failure> {
    let words = words(line)?;
    let all = std::iter::once("sounding".to_owned()).chain(words);
    let cli = match Cli::try_parse_from(all) {
        Ok(cli) => cli,
        Err(error) => {
            let lines = error.to_string().lines().map(str::to_owned).collect();
            return Ok(Done { output: Some((line.to_owned(), lines)), ..Done::default() });
        }
    };
    let Some(command) = cli.command else { return Ok(Done::default()) };
    let (mut printed, mut errors) = (Vec::new(), Vec::new());
    let mut out = Out { to: &mut printed, errors: &mut errors, is_screen: true };
    run(desk, command, &mut out)?;
    let output = String::from_utf8_lossy(&[errors, printed].concat()).into_owned();
    // A file's own bytes may be anything.
    let lines: Vec<String> =
        output.lines().map(|it| text::escape(it.as_bytes()).replace("\\\\", "\\")).collect();
    if lines.is_empty() {
        return Ok(Done { text: format!("done: {line}"), ..Done::default() });
    }
    Ok(Done { output: Some((line.to_owned(), lines)), ..Done::default() })
}

/// Words as a shell parts them: by spaces, but for those between quotes.
fn words(line: &str) -> Result<Vec<String>, Failure> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in line.chars() {
        match (letter, quote) {
            (_, Some(open)) if letter == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (' ', None) => words.extend(word.take()),
            (_, _) => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err(Failure::new("a quote is not closed"));
    }
    words.extend(word);
    Ok(words)
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parted_as_in_a_shell() {
        let check = |line: &str, parted: &[&str]| assert_eq!(words(line).unwrap(), parted);
        check("keys add kmt", &["keys", "add", "kmt"]);
        check("  mv 'run 1/a b' \"c d\"e '' ", &["mv", "run 1/a b", "c de", ""]);
        assert!(words("mv 'a").is_err());
    }
}
