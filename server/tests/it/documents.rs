//! What README.md and ARCHITECTURE.md say, held against the code, where that can be done.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const CRATES: &[&str] = &["volume", "zipstream", "wormhole", "transfers", "server", "tui"];

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn document(name: &str) -> String {
    fs::read_to_string(project().join(name)).unwrap()
}

/// The words that stand between backticks.
fn quoted(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The modules at the top of a crate.
fn modules(name: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(project().join(name).join("src")).unwrap().map(|it| it.unwrap());
    let module = |path: PathBuf| {
        let is_module =
            path.extension().is_some_and(|it| it == "rs") || path.join("mod.rs").exists();
        is_module.then(|| path.file_stem().unwrap().to_str().unwrap().to_owned())
    };
    let all = entries.filter_map(|it| module(it.path()));
    all.filter(|it| !["lib", "main", "tests"].contains(&it.as_str())).collect()
}

#[test]
fn the_code_map_names_every_module_and_none_that_is_gone() {
    let architecture = document("ARCHITECTURE.md");
    for name in CRATES {
        let (_, map) = architecture.split_once(&format!("\n`{name}/src`\n\n")).unwrap();
        let rows = map.lines().take_while(|it| it.starts_with('|'));
        let named = rows.flat_map(|it| quoted(it.split('|').nth(1).unwrap()));
        // `main` is a program, and what is below a module is not always a file at the top.
        let named: BTreeSet<String> =
            named.filter(|it| it != "main" && !it.contains("::")).collect();
        assert_eq!(named, modules(name), "{name}: the code map, and the modules");
    }
}

/// What a module would need in order to open something, to start something, or to wait.
const MEANS: &[&str] = &[
    "std::fs",
    "std::net",
    "std::thread",
    "std::process",
    "std::env",
    "std::os::fd",
    "std::os::unix::fs",
    "rustix",
    "tokio",
    "async fn",
    ".await;",
    ".await?",
    ".await)",
];

#[test]
fn a_module_that_says_it_is_pure_opens_nothing_and_waits_for_nothing() {
    let mut pure = 0;
    for name in CRATES {
        for path in sources(&project().join(name).join("src")) {
            let text = fs::read_to_string(&path).unwrap();
            let is_docs = |it: &&str| it.starts_with("//!");
            let docs: String = text.lines().take_while(is_docs).collect();
            if !docs.contains("Pure") {
                continue;
            }
            pure += 1;
            // Its tests may.
            let code = text.split("#[cfg(test)]").next().unwrap().lines();
            for line in code.filter(|it| !it.trim_start().starts_with("//")) {
                let means = MEANS.iter().find(|it| line.contains(**it));
                assert_eq!(means, None, "{}: {line}", path.display());
            }
        }
    }
    assert!(pure > 15, "{pure} say so");
}

/// All of a folder's source files, and of those below.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = paths.partition(|it| it.is_dir());
    let below = folders.iter().flat_map(|it| sources(it));
    files
        .into_iter()
        .filter(|it| it.extension().is_some_and(|it| it == "rs"))
        .chain(below)
        .collect()
}

#[test]
fn the_readme_has_each_option_of_the_server_with_its_variable_and_default() {
    let help = Command::new(env!("CARGO_BIN_EXE_sounding-server")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let readme = document("README.md");
    let (_, options) = readme.split_once("\n## Options\n").unwrap();
    let rows: Vec<Vec<&str>> = options
        .lines()
        .skip_while(|it| !it.starts_with('|'))
        .take_while(|it| it.starts_with('|'))
        .map(|it| it.split('|').map(str::trim).collect())
        .collect();
    let mut found = 0;
    // Each begins with its flag at the margin; its variable and default come below in brackets.
    for option in help.split("\n      --").skip(1) {
        let flag = format!("`--{}`", option.lines().next().unwrap().replace(['<', '>'], "").trim());
        let within = |begin: &str| option.split_once(begin)?.1.split(['=', ']']).next();
        let Some(variable) = within("[env: ") else { continue };
        let row = rows.iter().find(|it| it[1] == flag);
        let row = row.unwrap_or_else(|| panic!("README.md does not say {flag}"));
        assert_eq!(row[2], format!("`{variable}`"), "{flag}");
        if let Some(default) = within("[default: ") {
            assert_eq!(row[3], format!("`{default}`"), "{flag}");
        }
        found += 1;
    }
    let flags = rows.iter().filter(|it| it[1].starts_with("`--")).count();
    assert_eq!(found, flags, "options in the help, and in README.md");
}
