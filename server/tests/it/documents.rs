//! Compares docs/reference.md and ARCHITECTURE.md with the code, where that can be done.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::layers::{CRATE_ROWS, CRATES as LAYERS};

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

/// The rows of names in ARCHITECTURE.md, the highest first, by crate.
fn rows() -> BTreeMap<String, Vec<String>> {
    let architecture = document("ARCHITECTURE.md");
    let (_, block) = architecture.split_once("\n```\n[crates]\n").unwrap();
    let (block, _) = block.split_once("\n```\n").unwrap();
    let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut name = "crates";
    for line in block.lines() {
        if let Some(next) = line.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            name = next;
            continue;
        }
        // What the names are for stands behind two spaces.
        let names = line.split("  ").next().unwrap();
        rows.entry(name.to_owned()).or_default().push(names.to_owned());
    }
    rows
}

#[test]
fn the_code_map_names_every_module_and_none_that_is_gone() {
    let rows = rows();
    for name in CRATES {
        let in_rows = rows[*name].iter().flat_map(|it| it.split(' '));
        // A file of a folder may stand in a row of its own.
        let tops = in_rows.map(|it| it.split('/').next().unwrap().to_owned());
        let tops: BTreeSet<String> = tops.filter(|it| it != "main").collect();
        assert_eq!(tops, modules(name), "{name}: the code map, and the modules");
    }
}

#[test]
fn the_layers_in_architecture_are_those_that_are_tested() {
    let rows = rows();
    assert_eq!(rows["crates"], CRATE_ROWS);
    for layers in LAYERS {
        assert_eq!(rows[layers.folder], layers.rows, "{}", layers.folder);
    }
}

#[test]
fn each_invariant_names_a_test_or_a_lint_that_is_there() {
    let folders =
        CRATES.iter().flat_map(|it| ["src", "tests"].map(|part| project().join(it).join(part)));
    let files = folders.filter(|it| it.is_dir()).flat_map(|it| sources(&it));
    let code: String = files.map(|it| fs::read_to_string(it).unwrap()).collect();
    let lints = document("Cargo.toml");
    let architecture = document("ARCHITECTURE.md");
    let (_, invariants) = architecture.split_once("\n## Invariants\n").unwrap();
    let (invariants, _) = invariants.split_once("\n## ").unwrap();
    let mut found = 0;
    for invariant in invariants.lines().filter(|it| it.starts_with("- ")) {
        let holders = invariant.rsplit_once(" (").map(|it| quoted(it.1)).unwrap_or_default();
        assert!(!holders.is_empty(), "nothing holds it: {invariant}");
        for holder in holders {
            let is_there = code.contains(&format!("fn {holder}("))
                || lints.contains(&format!("\n{holder} = \""))
                || project().join(&holder).is_file();
            assert!(is_there, "there is no `{holder}`: {invariant}");
        }
        found += 1;
    }
    assert!(found > 20, "{found} invariants");
}

/// What a figure in the table of limits, or a constant, comes to.
#[derive(Debug, PartialEq, Eq)]
enum Amount {
    /// Of bytes, or of anything else that is counted.
    Number(u64),
    Milliseconds(u64),
}

/// A figure of the table: `64 KiB`, `10,000`, `48 fields`, `2 min`.
fn figure(text: &str) -> Amount {
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let number: u64 = number.replace(',', "").parse().unwrap();
    match unit {
        "KiB" => Amount::Number(number << 10),
        "MiB" => Amount::Number(number << 20),
        "ms" => Amount::Milliseconds(number),
        "s" => Amount::Milliseconds(number * 1000),
        "min" => Amount::Milliseconds(number * 60_000),
        "days" => Amount::Milliseconds(number * 86_400_000),
        _ => Amount::Number(number),
    }
}

/// What an expression in a source file comes to: `8 << 20`, `Duration::from_mins(2)`.
fn evaluate(source: &str, expression: &str) -> Option<Amount> {
    let Some(time) = expression.strip_prefix("Duration::from_") else {
        return evaluate_number(source, expression).map(Amount::Number);
    };
    let (unit, number) = time.strip_suffix(')')?.split_once('(')?;
    let unit = match unit {
        "millis" => 1,
        "secs" => 1000,
        "mins" => 60_000,
        "hours" => 3_600_000,
        _ => return None,
    };
    evaluate_number(source, number).map(|it| Amount::Milliseconds(it * unit))
}

/// Names in it are constants of the same file.
fn evaluate_number(source: &str, expression: &str) -> Option<u64> {
    // `*` binds more tightly.
    if let Some((left, right)) = expression.split_once(" << ") {
        return Some(evaluate_number(source, left)? << evaluate_number(source, right)?);
    }
    if let Some((left, right)) = expression.split_once(" * ") {
        return Some(evaluate_number(source, left)? * evaluate_number(source, right)?);
    }
    let digits = expression.replace('_', "");
    digits.parse().ok().or_else(|| evaluate_number(source, constant(source, expression)?))
}

/// The expression of a constant.
fn constant<'a>(source: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = source.split_once(&format!("const {name}: "))?;
    let (_, rest) = rest.split_once(" = ")?;
    rest.split_once(';').map(|it| it.0.trim())
}

/// What a field is given where a struct is made. Where it is declared, a type stands behind it.
fn field(source: &str, name: &str) -> Option<Amount> {
    let field = format!(" {name}: ");
    source.split(&field).skip(1).find_map(|it| evaluate(source, it.split_once(",\n")?.0))
}

/// What stands behind a name in the table: `crate::module::NAME`, `crate::module::field`, or `--flag` of the server.
fn amount(name: &str, help: &str) -> Option<Amount> {
    if name.starts_with("--") {
        let (_, option) = help.split_once(&format!("\n      {name} "))?;
        let (_, default) = option.split_once("[default: ")?;
        return default.split_once(']')?.0.parse().ok().map(Amount::Number);
    }
    let parts: Vec<&str> = name.split("::").collect();
    let [folder, modules @ .., name] = parts.as_slice() else { return None };
    let module = project().join(folder).join("src").join(modules.join("/"));
    let entry = module.join("mod.rs");
    let file = if entry.exists() { entry } else { module.with_extension("rs") };
    let source = fs::read_to_string(file).ok()?;
    if name.starts_with(char::is_lowercase) {
        return field(&source, name);
    }
    evaluate(&source, constant(&source, name)?)
}

#[test]
fn the_limits_in_architecture_are_those_of_the_code() {
    let architecture = document("ARCHITECTURE.md");
    let (_, limits) = architecture.split_once("\n## Limits\n").unwrap();
    let help = help();
    let mut found = 0;
    for row in limits.lines().filter(|it| it.starts_with('|')).skip(2) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [_, figures, _, names] = cells.as_slice() else { panic!("{row}") };
        let figures: Vec<&str> = figures.split(';').map(str::trim).collect();
        let names: Vec<&str> = names.split(';').map(|it| it.trim().trim_matches('`')).collect();
        assert_eq!(figures.len(), names.len(), "{row}");
        for (text, name) in figures.iter().zip(names) {
            assert_eq!(Some(figure(text)), amount(name, &help), "{name} is said to be {text}");
            found += 1;
        }
    }
    assert!(found > 40, "{found} limits");
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

/// What comes out otherwise each time. A module that needs it says so: "Pure, except for …".
const CHANCE: &[&str] = &["Instant::now", "SystemTime::now", "Timestamp::now", "getrandom"];

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
            let chance: &[&str] = if docs.contains("Pure, except for") { &[] } else { CHANCE };
            // Its tests may.
            let code = text.split("#[cfg(test)]").next().unwrap().lines();
            for line in code.filter(|it| !it.trim_start().starts_with("//")) {
                let means = MEANS.iter().chain(chance).find(|it| line.contains(**it));
                assert_eq!(means, None, "{}: {line}", path.display());
            }
        }
    }
    assert!(pure > 15, "{pure} say so");
}

fn parsed(name: &str) -> serde_json::Value {
    toml::from_str(&document(name)).unwrap()
}

/// For Cargo a key that names no package is a warning at most: a package under a new name would be built with the profile's own settings.
#[test]
fn each_package_that_a_profile_names_is_in_the_lock_file() {
    let (manifest, lock) = (parsed("Cargo.toml"), parsed("Cargo.lock"));
    let locked = lock["package"].as_array().unwrap().iter();
    let locked: BTreeSet<&str> = locked.map(|it| it["name"].as_str().unwrap()).collect();
    let mut named = 0;
    for (profile, settings) in manifest["profile"].as_object().unwrap() {
        let Some(packages) = settings.get("package") else { continue };
        for package in packages.as_object().unwrap().keys() {
            assert!(
                locked.contains(package.as_str()),
                "[profile.{profile}.package] names {package}, which Cargo.lock does not have"
            );
            named += 1;
        }
    }
    assert!(named > 20, "profiles name {named} packages");
}

/// `-D warnings` means something else with each version of the compiler.
#[test]
fn the_image_and_the_checks_name_the_compiler_of_the_manifest() {
    let manifest = parsed("Cargo.toml");
    let version = manifest["workspace"]["package"]["rust-version"].as_str().unwrap();
    for (name, image) in [
        ("rust-toolchain.toml", format!("channel = \"{version}.0\"")),
        ("Dockerfile", format!("rust:{version}-slim-bookworm ")),
        (".github/workflows/check.yml", format!("rust:{version}-bookworm\n")),
    ] {
        assert!(document(name).contains(&image), "{name} does not name {image}");
    }
}

/// A name that is gone would leave out nothing, without a word.
#[test]
fn what_the_check_leaves_out_is_a_module_or_a_test() {
    let script = document(".ci/check.sh");
    let lists = script.split("=(").skip(1).filter_map(|it| it.split(')').next());
    let is_name = |it: &&str| !it.contains(['$', '"']);
    let names: Vec<&str> = lists.flat_map(str::split_whitespace).filter(is_name).collect();
    let folders = CRATES.iter().map(|it| project().join(it).join("tests/it"));
    let files = folders.filter(|it| it.exists()).flat_map(|it| sources(&it));
    let tests: String = files.map(|it| fs::read_to_string(it).unwrap()).collect();
    for name in &names {
        let module = name.strip_suffix("::").map(|it| format!("mod {it};"));
        let begin = module.unwrap_or_else(|| format!("fn {name}"));
        assert!(tests.contains(&begin), "no `{begin}` in tests/it");
    }
    assert!(names.len() > 15, "{names:?}");
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

fn help() -> String {
    let help = Command::new(env!("CARGO_BIN_EXE_sounding-server")).arg("--help").output().unwrap();
    String::from_utf8(help.stdout).unwrap()
}

#[test]
fn the_reference_has_each_option_of_the_server_with_its_variable_and_default() {
    let help = help();
    let reference = document("docs/reference.md");
    let (_, options) = reference.split_once("\n## Options\n").unwrap();
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
        let row = row.unwrap_or_else(|| panic!("docs/reference.md does not say {flag}"));
        assert_eq!(row[2], format!("`{variable}`"), "{flag}");
        if let Some(default) = within("[default: ") {
            assert_eq!(row[3], format!("`{default}`"), "{flag}");
        }
        found += 1;
    }
    let flags = rows.iter().filter(|it| it[1].starts_with("`--")).count();
    assert_eq!(found, flags, "options in the help, and in docs/reference.md");
}
