//! docs/reference.md has each command as the program itself knows it: the test writes the part about `sounding`, and compares.
//!
//! After a change of the command line, `UPDATE_REFERENCE=1 cargo test -p sounding --test it reference` writes it anew.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use clap::{Arg, Command, CommandFactory as _};
use sounding::cli::Cli;

#[test]
fn the_reference_has_each_command_as_the_program_knows_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference.md");
    let document = fs::read_to_string(&path).unwrap();
    let (before, commands) = document.split_at(document.find("\n### sounding ls\n").unwrap());
    let mut cli = Cli::command();
    cli.build();
    let everywhere: Vec<String> = cli.get_arguments().map(|it| it.get_id().to_string()).collect();
    let mut expected = String::new();
    for command in cli.get_subcommands().filter(|it| it.get_name() != "help") {
        section(&mut expected, command, "sounding", 3, &everywhere);
    }
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        fs::write(&path, format!("{before}{expected}")).unwrap();
        return;
    }
    let stale = expected.lines().zip(commands.lines()).find(|it| it.0 != it.1);
    assert!(commands == expected, "docs/reference.md is stale: {stale:?}; see {}", file!());
}

/// `everywhere` are the arguments that all commands have.
fn section(out: &mut String, command: &Command, parent: &str, level: usize, everywhere: &[String]) {
    let name = format!("{parent} {}", command.get_name());
    let usage = command.clone().render_usage().to_string();
    let about = command.get_long_about().or(command.get_about()).unwrap().to_string();
    let about = about.split("\n\n").map(one_line).collect::<Vec<_>>().join("\n\n");
    let about = if about.ends_with(['.', '!', ':']) { about } else { about + "." };
    let usage = usage.trim_start_matches("Usage: ");
    write!(out, "\n{} {name}\n\n{about}\n\n```text\n{usage}\n```\n", "#".repeat(level)).unwrap();
    let arguments: Vec<&Arg> = command
        .get_arguments()
        .filter(|it| !it.is_hide_set() && !everywhere.contains(&it.get_id().to_string()))
        .filter(|it| !["help", "version"].contains(&it.get_id().as_str()))
        .collect();
    if !arguments.is_empty() {
        out.push_str("\n| argument or flag | default | meaning |\n|---|---|---|\n");
    }
    for it in arguments {
        writeln!(out, "| `{}` | {} | {} |", written(it), default(it), meaning(it)).unwrap();
    }
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (examples, notes): (Vec<&str>, Vec<&str>) = help
        .lines()
        .filter(|it| !it.is_empty() && !it.starts_with("Example"))
        .partition(|it| it.starts_with("  "));
    if !examples.is_empty() {
        let examples: Vec<&str> = examples.iter().filter_map(|it| it.strip_prefix("  ")).collect();
        let is_shell = examples.iter().all(|it| it.starts_with("sounding"));
        let language = if is_shell { "sh" } else { "text" };
        write!(out, "\n```{language}\n{}\n```\n", examples.join("\n")).unwrap();
    }
    if !notes.is_empty() {
        write!(out, "\n{}\n", notes.join(" ")).unwrap();
    }
    for below in command.get_subcommands().filter(|it| it.get_name() != "help") {
        section(out, below, &name, level + 1, everywhere);
    }
}

/// As it is typed.
fn written(argument: &Arg) -> String {
    let short = argument.get_short().map(|it| format!("-{it}"));
    let long = argument.get_long().map(|it| format!("--{it}"));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    let takes_value = argument.get_action().takes_values();
    let value = argument.get_value_names().unwrap_or_default().join(" ");
    match (names.is_empty(), takes_value) {
        (true, _) => argument.to_string(),
        (false, true) => format!("{} <{value}>", names.join(", ")),
        (false, false) => names.join(", "),
    }
}

fn default(argument: &Arg) -> String {
    let values = argument
        .get_default_values()
        .iter()
        .filter(|it| !it.is_empty())
        .map(|it| format!("`{}`", it.display()));
    let flag = !argument.get_action().takes_values();
    if flag { String::new() } else { values.collect::<Vec<_>>().join(" ") }
}

fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string);
    let mut text = one_line(&help.unwrap_or_default());
    let values = argument.get_possible_values();
    let values = values
        .iter()
        .filter(|it| !it.is_hide_set())
        .filter(|_| argument.get_action().takes_values());
    let values: Vec<String> = values
        .map(|it| match it.get_help() {
            Some(help) => format!("`{}`: {help}", it.get_name()),
            None => format!("`{}`", it.get_name()),
        })
        .collect();
    if !values.is_empty() {
        write!(text, ". {}", values.join("; ")).unwrap();
    }
    if let Some(variable) = argument.get_env() {
        write!(text, " (`{}`)", variable.display()).unwrap();
    }
    text.replace('|', "\\|")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
