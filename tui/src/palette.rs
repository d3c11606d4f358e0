//! The palette's language: the words of the command line, and a few that only a screen knows.
//!
//! One tree of definitions says what is understood and how a word goes on, so neither can know more than the other.

use std::ffi::OsString;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use volume::RelPath;
use volume::names::Kind;

use crate::cli::{Command, ThemeName};
use crate::ops::{Desk, Failure};
use crate::text;

/// Words that are shown of those that a word may become.
const MOST: usize = 60;

/// A line, as it is written.
#[derive(Debug, Parser)]
#[command(name = "", no_binary_name = true, disable_help_flag = true)]
struct Line {
    #[command(subcommand)]
    word: Word,
}

/// What a line asks for.
#[derive(Debug, Subcommand)]
pub enum Word {
    /// Go to a folder or a file.
    Goto {
        /// Which.
        path: OsString,
    },
    /// Colours for a dark or a light background, or none.
    Theme {
        /// Which.
        theme: ThemeName,
    },
    /// Lines and marks of ASCII characters only.
    Ascii {
        /// Whether.
        state: Switch,
    },
    /// Take the mouse: its wheel moves. As a rule only Shift marks text then.
    Mouse {
        /// Whether.
        state: Switch,
    },
    /// Keep the server awake for so long though nobody needs it, as `2h`; or no more, as `off`.
    Awake {
        /// How long.
        length: String,
    },
    /// What this is.
    About,
    /// Leave.
    Quit,
    /// As on the command line.
    #[command(flatten)]
    Command(Command),
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// It is.
    On,
    /// It is not.
    Off,
}

/// How a line may go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// The line, as far as there is one way only.
    pub line: String,
    /// What its last word may become, where there are several ways.
    pub words: Vec<String>,
}

/// What a line asks for; why it is not understood, in lines, otherwise.
pub fn parse(line: &str) -> Result<Word, Vec<String>> {
    let words = words(line).map_err(|it| vec![it.what])?;
    // A colon in front is a habit.
    let words = words.iter().map(|it| it.strip_prefix(':').unwrap_or(it));
    let parsed = Line::try_parse_from(words);
    parsed.map(|it| it.word).map_err(|it| it.to_string().lines().map(str::to_owned).collect())
}

/// How a line may go on: commands, what they can be told, paths and keys of the volume.
pub fn complete(desk: &Desk, line: &str) -> Completion {
    let start = last_word(line);
    let (before, open) = line.split_at(start);
    let quote = open.chars().next().filter(|it| matches!(it, '"' | '\''));
    let begun = open.strip_prefix(['"', '\'']).unwrap_or(open);
    let before_words = words(before).unwrap_or_default();
    let mut all = candidates(desk, &before_words, begun);
    all.sort();
    all.dedup();
    let Some(first) = all.first() else {
        return Completion { line: line.to_owned(), words: Vec::new() };
    };
    let common = all.iter().fold(first.clone(), |common, it| shared(&common, it));
    let is_only = all.len() == 1;
    let word = if common.len() < begun.len() { begun.to_owned() } else { common };
    let needs_quotes = quote.is_some() || word.contains([' ', '"', '\'']);
    let mark = if word.contains('\'') { '"' } else { '\'' };
    let mut line = before.to_owned();
    if needs_quotes {
        line.push(mark);
    }
    line.push_str(&word);
    if is_only && !word.ends_with(['/', '-']) {
        if needs_quotes {
            line.push(mark);
        }
        line.push(' ');
    }
    let left_out = all.len().saturating_sub(MOST);
    all.truncate(MOST);
    let last = |it: &String| {
        let whole = it.strip_suffix('/').unwrap_or(it);
        it.get(whole.rfind('/').map_or(0, |it| it + 1)..).unwrap_or(it).to_owned()
    };
    let mut words: Vec<String> = if is_only { Vec::new() } else { all.iter().map(last).collect() };
    if left_out > 0 {
        words.push(format!("+{left_out}"));
    }
    Completion { line, words }
}

/// All that a word may become.
fn candidates(desk: &Desk, before: &[String], begun: &str) -> Vec<String> {
    let tree = Line::command();
    let mut command = &tree;
    let mut option = None;
    for word in before {
        option = command.get_arguments().find(|it| {
            word.strip_prefix("--").is_some_and(|word| it.get_long() == Some(word))
                && it.get_action().takes_values()
        });
        command = command.find_subcommand(word).unwrap_or(command);
    }
    if option.is_none() && begun.starts_with('-') {
        let longs = command.get_arguments().filter_map(clap::Arg::get_long);
        return longs.map(|it| format!("--{it}")).filter(|it| it.starts_with(begun)).collect();
    }
    if option.is_none() && command.has_subcommands() {
        let names = command.get_subcommands().map(|it| it.get_name().to_owned());
        return names.filter(|it| it.starts_with(begun)).collect();
    }
    let arguments =
        option.into_iter().chain(command.get_positionals().filter(|_| option.is_none()));
    arguments
        .flat_map(|it| match it.get_id().as_str() {
            "path" | "paths" | "from" | "to" | "into" | "folder" => paths(desk, begun),
            "code" => codes(begun),
            "key" => keys(desk, begun),
            _ => {
                let values = it.get_possible_values().into_iter();
                let names = values.map(|it| it.get_name().to_owned());
                names.filter(|it| it.starts_with(begun)).collect()
            }
        })
        .collect()
}

/// Paths on the volume that begin so.
fn paths(desk: &Desk, begun: &str) -> Vec<String> {
    let split = begun.rfind('/').map_or(0, |it| it + 1);
    let (folder, name) = begun.split_at(split);
    let plain: Vec<&str> = folder.split('/').filter(|it| !it.is_empty()).collect();
    let Ok(path) = RelPath::from_plain(plain.join("/").as_bytes()) else { return Vec::new() };
    let Ok(names) = desk.names(&path) else { return Vec::new() };
    let all = (0..names.len()).filter_map(|it| names.get(it));
    // Only what can be typed as it is: the list reaches the rest.
    all.filter_map(|it| {
        let typed = std::str::from_utf8(it.bytes).ok()?;
        let is_plain = text::escape(it.bytes) == typed;
        let slash = if it.kind == Kind::Folder { "/" } else { "" };
        (is_plain && typed.starts_with(name)).then(|| format!("{folder}{typed}{slash}"))
    })
    .collect()
}

/// How a folder that is being typed may go on.
pub fn complete_folder(desk: &Desk, typed: &str) -> Completion {
    let mut all = paths(desk, typed);
    all.retain(|it| it.ends_with('/'));
    let Some(first) = all.first() else {
        return Completion { line: typed.to_owned(), words: Vec::new() };
    };
    let line = all.iter().fold(first.clone(), |common, it| shared(&common, it));
    let names = all.iter().map(|it| it.get(typed.rfind('/').map_or(0, |it| it + 1)..));
    let words = names.map(|it| it.unwrap_or_default().to_owned()).take(MOST);
    let words = if all.len() == 1 { Vec::new() } else { words.collect() };
    Completion { line, words }
}

/// Codes that begin so, with one more word. As a rule there are two.
fn codes(begun: &str) -> Vec<String> {
    let before = begun.rfind('-').map_or("", |it| begun.get(..=it).unwrap_or_default());
    let dash = if before.matches('-').count() == 1 { "-" } else { "" };
    wormhole::wordlist::completions(begun).iter().map(|it| format!("{before}{it}{dash}")).collect()
}

/// Users that begin so.
fn keys(desk: &Desk, begun: &str) -> Vec<String> {
    let Ok(keys) = desk.keys() else { return Vec::new() };
    let users = keys.rows.iter().map(|it| it.user.clone());
    users.filter(|it| !it.is_empty() && it.starts_with(begun)).collect()
}

/// What two words have in common from their beginning.
fn shared(one: &str, other: &str) -> String {
    one.chars().zip(other.chars()).take_while(|it| it.0 == it.1).map(|it| it.0).collect()
}

/// The byte at which the last word begins, which may still be empty.
fn last_word(line: &str) -> usize {
    let (mut start, mut quote) = (0, None);
    for (at, letter) in line.char_indices() {
        match (letter, quote) {
            (_, Some(open)) if letter == open => quote = None,
            ('"' | '\'', None) => quote = Some(letter),
            (' ', None) => start = at + 1,
            _ => {}
        }
    }
    start
}

/// Words as a shell parts them: by spaces, but for those between quotes.
pub fn words(line: &str) -> Result<Vec<String>, Failure> {
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
#[expect(clippy::disallowed_methods, reason = "a test makes its own volume")]
mod tests {
    use super::*;
    use crate::cli::DeskArgs;

    #[test]
    fn words_are_parted_as_in_a_shell() {
        let check = |line: &str, parted: &[&str]| assert_eq!(words(line).unwrap(), parted);
        check("keys add kmt", &["keys", "add", "kmt"]);
        check("  mv 'run 1/a b' \"c d\"e '' ", &["mv", "run 1/a b", "c de", ""]);
        assert!(words("mv 'a").is_err());
    }

    #[test]
    fn a_line_goes_on_as_it_would_be_understood() {
        let place = tempfile::tempdir().unwrap();
        for folder in ["berlin/it.1", "berlin/it.10", "bern", "zurich/a b", ".sounding"] {
            std::fs::create_dir_all(place.path().join(folder)).unwrap();
        }
        std::fs::write(place.path().join(".sounding/auth-keys.csv"), "kmt,kmt-1\nzoe,zoe-1\n")
            .unwrap();
        let args = DeskArgs { volume: place.path().to_owned(), ..DeskArgs::default() };
        let desk = Desk::open(&args).unwrap();
        let check = |line: &str, wanted: &str, words: &[&str]| {
            let completion = complete(&desk, line);
            assert_eq!(
                (completion.line.as_str(), completion.words),
                (wanted, words.iter().map(|it| (*it).to_owned()).collect())
            );
        };
        check("ke", "keys ", &[]);
        check("keys r", "keys r", &["revoke", "rotate"]);
        check("keys ro", "keys rotate ", &[]);
        check("keys rotate k", "keys rotate kmt ", &[]);
        check("keys rotate kmt --ov", "keys rotate kmt --overlap ", &[]);
        check("ls --sort s", "ls --sort size ", &[]);
        check("goto be", "goto ber", &["berlin/", "bern/"]);
        check("goto berl", "goto berlin/", &[]);
        check("goto berlin/", "goto berlin/it.1", &["it.1/", "it.10/"]);
        check("goto /zurich/a", "goto '/zurich/a b/", &[]);
        check("goto '/zurich/a b", "goto '/zurich/a b/", &[]);
        check("theme l", "theme light ", &[]);
        check("receive 7-guit", "receive 7-guitarist-", &[]);
        check("receive 7-guitarist-reve", "receive 7-guitarist-revenge ", &[]);
        check("ascii o", "ascii o", &["off", "on"]);
        check("nothing-begins-so", "nothing-begins-so", &[]);
        check("goto ../", "goto ../", &[]);
    }

    #[test]
    fn what_only_looks_may_be_asked_for_in_any_case() {
        let check = |line: &str, changes: bool| match parse(line) {
            Ok(Word::Command(command)) => {
                assert_eq!(command.changes_something(), changes, "{line}");
            }
            other => panic!("{line}: {other:?}"),
        };
        check("ls berlin", false);
        check("keys", false);
        check("keys check", false);
        check("keys check --fix", true);
        check("trash list", false);
        check("trash empty --yes", true);
        check("rm a", true);
        check("put a --text x", true);
        check("doctor", false);
        check("doctor --fix-owners", true);
    }
}
