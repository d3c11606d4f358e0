//! What the programs say to people: the words of it, found in the sources of all of them.

use std::path::Path;

/// Words that mislead or stumble, and what is said in their place.
const INSTEAD: &[(&str, &str)] = &[
    (" is no ", "is not a, or: invalid"),
    ("length of time", "duration"),
    ("aside\"", "scroll sideways"),
    ("passed over", "skipped"),
    ("press button", "what the button does"),
    ("leave it, say so", "change nothing"),
    ("nobody can be asked", "there is no terminal to ask on"),
    ("without work", "idle"),
    ("operator's wish", "an operator's request"),
    ("fault of ours", "internal error"),
    ("mistake in this program", "internal error"),
    ("changed nothing on the volume", "what a panic can't know"),
    ("it would be", "it goes to"),
    ("is over", "has finished"),
    ("are over", "have finished"),
    ("not over", "still running"),
    ("the other way round", "reversed"),
    ("youngest", "newest"),
    ("made ?", "created unknown"),
    (" thing ", "item"),
    (" things", "items"),
    ("\"things", "items"),
    ("\"thing\"", "item"),
];

/// The strings of a source, each in quotes; of its comments only those that are told in a usage line, with the rest of the line.
fn said(source: &str, are_comments_told: bool) -> Vec<(usize, String)> {
    let source = source.split("#[cfg(test)]").next().unwrap();
    let mut said = Vec::new();
    let mut rest = source;
    let line = |rest: &str| source[..source.len() - rest.len()].matches('\n').count() + 1;
    while let Some(at) = rest.find(['"', '/', '\'', 'r']) {
        let before = rest[..at].chars().next_back();
        rest = &rest[at..];
        let is_word = before.is_some_and(|it| it.is_alphanumeric() || it == '_');
        let raw = ["r\"", "r#\"", "r##\""].into_iter().find(|it| rest.starts_with(it) && !is_word);
        if let Some(raw) = raw {
            let end: String = raw[1..].chars().rev().collect();
            let length = rest[raw.len()..].find(&end).unwrap() + raw.len() + end.len();
            said.push((line(rest), rest[..length].to_owned()));
            rest = &rest[length..];
        } else if rest.starts_with("//") {
            let length = rest.find('\n').unwrap_or(rest.len());
            if are_comments_told && rest.starts_with("///") {
                said.push((line(rest), rest[..length].to_owned()));
            }
            rest = &rest[length..];
        } else if rest.starts_with('"') {
            let mut is_escaped = false;
            let is_end = |it: char| {
                let is_end = it == '"' && !is_escaped;
                is_escaped = it == '\\' && !is_escaped;
                is_end
            };
            let length = rest[1..].find(is_end).unwrap() + 2;
            // Why a lint does not hold is said to nobody but us.
            if !source[..source.len() - rest.len()].ends_with("reason = ") {
                said.push((line(rest), rest[..length].to_owned()));
            }
            rest = &rest[length..];
        } else if let Some(letter) =
            ["'\"'", "'\\\"'", "'\\''", "'/'"].into_iter().find(|it| rest.starts_with(it))
        {
            rest = &rest[letter.len()..];
        } else {
            rest = &rest[1..];
        }
    }
    said
}

#[test]
fn strings_are_told_from_all_else() {
    let source = "/// Told.\nlet a = \"one \\\" two\"; // \"no\"\nlet b = ('\"', r#\"th\"ree\"#, 'a', bar(\"\"));\n#[cfg(test)]\n\"no\"";
    let found = |are_told| said(source, are_told).into_iter().map(|it| it.1).collect::<Vec<_>>();
    assert_eq!(found(false), ["\"one \\\" two\"", "r#\"th\"ree\"#", "\"\""]);
    assert_eq!(found(true)[0], "/// Told.");
}

#[test]
fn what_is_said_to_people_is_in_plain_terms() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let (mut seen, mut wrong) = (0, Vec::new());
    for name in ["tui", "volume", "transfers", "wormhole", "zipstream", "server"] {
        for entry in walkdir::WalkDir::new(root.join(name).join("src")) {
            let path = entry.unwrap().into_path();
            let is_test = path.components().any(|it| it.as_os_str() == "tests");
            if is_test || path.extension().is_none_or(|it| it != "rs") {
                continue;
            }
            // The arguments' comments are the help.
            let is_help = path.file_name().is_some_and(|it| it == "config.rs")
                || path.parent().is_some_and(|it| it.ends_with("cli"));
            for (line, said) in said(&std::fs::read_to_string(&path).unwrap(), is_help) {
                seen += 1;
                let said = said.replace("here is no ", "");
                for (word, instead) in INSTEAD.iter().filter(|it| said.contains(it.0)) {
                    let path = path.strip_prefix(root).unwrap().display();
                    wrong.push(format!("{path}:{line}: `{word}`, better `{instead}`: {said}"));
                }
            }
        }
    }
    assert!(seen > 2000, "only {seen} texts were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
