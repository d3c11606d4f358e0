//! The layers of each crate: a file imports from its own row, its own folder, or a lower row, and no files form a circle.
//!
//! A crate stands on crates of lower rows. ARCHITECTURE.md shows the same rows. Tests and comments don't count, and `lib.rs` is free.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The crates in rows, the highest first.
pub(crate) const CRATE_ROWS: &[&str] = &["server tui", "transfers", "volume wormhole zipstream"];

/// A crate's rows, the highest first; names of one row stand side by side. A name is a file or a folder, without `.rs`.
pub(crate) struct Layers {
    pub(crate) folder: &'static str,
    pub(crate) rows: &'static [&'static str],
    /// Imports that go upwards all the same: from, to, why.
    exceptions: &'static [(&'static str, &'static str, &'static str)],
}

/// Handlers get what they share from `App`.
const HOLDS: &str = "App holds it for the handlers of that folder";

pub(crate) const CRATES: &[Layers] = &[
    Layers {
        folder: "server",
        rows: &[
            "main",
            "program",
            "startup fuzz",
            "service config",
            "router maintenance",
            "feed uploads metrics admin",
            "files",
            "extract admin/health",
            "app",
            "idle",
            "telemetry",
            "auth",
            "blocking bulkhead",
            "problem",
            "web net",
            "http",
            "routes sync",
        ],
        exceptions: &[
            ("app", "feed", HOLDS),
            ("app", "files/listing/snapshots", HOLDS),
            ("app", "files/open_file_cache", HOLDS),
            ("app", "uploads/receive", HOLDS),
            ("app", "uploads/tus/locks", HOLDS),
        ],
    },
    Layers {
        folder: "volume",
        rows: &[
            "fuzz",
            "observer keys/import",
            "scan owner",
            "tree",
            "staged_folder uploads transfers left_out",
            "staging",
            "trash journal",
            "parent_dir names space permissions keys/file records",
            "console_settings keep_awake keys/usage server_lock clock file_system",
            "volume small_file observer/watches",
            "resolve keys/sheet",
            "keys",
            "stat staged_id copy_name size",
            "path atomic_file",
            "layout printable error_chain on_conflict",
        ],
        exceptions: &[],
    },
    Layers {
        folder: "zipstream",
        rows: &["reader writer", "entry inflate", "directory descriptor", "sink format error"],
        exceptions: &[],
    },
    Layers {
        folder: "wormhole",
        rows: &[
            "fuzz",
            "rendezvous",
            "incoming outgoing",
            "session",
            "mailbox transit",
            "websocket transit/connection transit/handshake",
            "records",
            "key",
            "secretbox settings",
            "peer_message server_message",
            "hints offer",
            "code error hex text wordlist",
        ],
        exceptions: &[],
    },
    Layers {
        folder: "transfers",
        rows: &[
            "host fuzz",
            "receive send",
            "storing",
            "publish",
            "unpacking",
            "context reading store_names",
            "preflight",
            "job settings",
            "transfer",
        ],
        exceptions: &[],
    },
];

/// Which files a file imports, and the paths by which it does.
type Imports = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

#[test]
fn a_crate_stands_on_lower_rows_only() {
    let row = |name: &str| CRATE_ROWS.iter().position(|it| it.split(' ').any(|it| it == name));
    for name in CRATE_ROWS.iter().flat_map(|it| it.split(' ')) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let (_, dependencies) = manifest.split_once("\n[dependencies]\n").unwrap();
        for line in dependencies.lines().take_while(|it| !it.starts_with('[')) {
            let dependency = line.split(['.', ' ', '=']).next().unwrap();
            // The programs' packages have other names than their folders; crates of others stand in no row.
            let dependency = match dependency {
                "sounding" => "tui",
                "sounding-server" => "server",
                it => it,
            };
            let is_lower = row(dependency).is_none_or(|it| Some(it) > row(name));
            assert!(is_lower, "{name} depends on {dependency}");
        }
    }
}

#[test]
fn a_file_imports_from_its_own_row_its_own_folder_or_a_lower_row() {
    let mut faults = String::new();
    for layers in CRATES {
        let imports = imports(layers.folder);
        let row = |file: &str| {
            let holds = |name: &str| file == name || file.starts_with(&format!("{name}/"));
            let named = layers.rows.iter().enumerate().flat_map(|(row, names)| {
                names.split(' ').filter(|it| holds(it)).map(move |it| (it.len(), row))
            });
            named.max().map(|it| it.1)
        };
        for (file, targets) in &imports {
            let Some(own) = row(file) else {
                writeln!(faults, "{}/src/{file} stands in no row", layers.folder).unwrap();
                continue;
            };
            for (target, names) in targets {
                let is_excepted = layers.exceptions.iter().any(|it| (it.0, it.1) == (file, target));
                let is_above = row(target).is_some_and(|it| it < own);
                if is_above && !is_excepted {
                    let names: Vec<_> = names.iter().map(String::as_str).collect();
                    let (folder, names) = (layers.folder, names.join(", "));
                    writeln!(
                        faults,
                        "{folder}/src/{file} imports {target} ({names}), which is above it"
                    )
                    .unwrap();
                }
            }
        }
    }
    assert!(faults.is_empty(), "\n{faults}");
}

#[test]
fn no_files_form_a_circle() {
    let mut faults = String::new();
    for layers in CRATES {
        let imports = imports(layers.folder);
        let circles = circles(&imports);
        println!("{}: {} files, {} circles", layers.folder, imports.len(), circles.len());
        for circle in circles {
            writeln!(faults, "{}/src: {}", layers.folder, circle.join(", ")).unwrap();
            for file in &circle {
                for (target, names) in &imports[file] {
                    if circle.contains(target) {
                        writeln!(faults, "    {file} imports {target} {names:?}").unwrap();
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "\n{faults}");
}

/// The files of a crate, by their module's path with `/` between the names, but for `lib.rs`.
fn imports(folder: &str) -> Imports {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder).join("src");
    let files = walkdir::WalkDir::new(&src).into_iter().map(|it| it.unwrap().into_path());
    let files: BTreeMap<String, String> = files
        .filter(|it| it.extension().is_some_and(|it| it == "rs"))
        .map(|it| {
            let name = it.strip_prefix(&src).unwrap().with_extension("");
            let name = name.to_str().unwrap();
            (name.strip_suffix("/mod").unwrap_or(name).to_owned(), fs::read_to_string(&it).unwrap())
        })
        .filter(|it| it.0 != "lib" && it.0.split('/').all(|it| it != "tests"))
        .collect();
    let names: BTreeSet<&str> = files.keys().map(String::as_str).collect();
    let imports = files.iter().map(|(name, text)| {
        let mut found = Found { names: &names, file: name, targets: BTreeMap::new() };
        found.look_through(text.parse().unwrap());
        (name.clone(), found.targets)
    });
    imports.collect()
}

/// What one file imports.
struct Found<'a> {
    names: &'a BTreeSet<&'a str>,
    file: &'a str,
    targets: BTreeMap<String, BTreeSet<String>>,
}

impl Found<'_> {
    /// Looks for paths, in macros too.
    fn look_through(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut rest = tokens.as_slice();
        let mut is_within_path = false;
        while let Some((first, behind)) = rest.split_first() {
            rest = match first {
                TokenTree::Punct(it) if it.as_char() == '#' && is_of_tests(behind) => {
                    past_item(behind)
                }
                TokenTree::Group(group) => {
                    self.look_through(group.stream());
                    behind
                }
                TokenTree::Ident(it) if !is_within_path && is_separator(behind) => {
                    self.path(&start(self.file, &it.to_string()), &behind[2..])
                }
                _ => behind,
            };
            is_within_path = matches!(first, TokenTree::Punct(it) if it.as_char() == ':');
        }
    }

    /// A path that begins with these names, and goes on with the tokens. Returns what comes behind it.
    fn path<'t>(&mut self, names: &[String], tokens: &'t [TokenTree]) -> &'t [TokenTree] {
        match tokens.split_first() {
            Some((TokenTree::Ident(it), behind)) => {
                let mut names = names.to_vec();
                match it.to_string().as_str() {
                    "super" => drop(names.pop()),
                    "self" => {}
                    name => names.push(name.to_owned()),
                }
                if is_separator(behind) {
                    return self.path(&names, &behind[2..]);
                }
                self.ends(&names);
                behind
            }
            Some((TokenTree::Group(group), behind)) if group.delimiter() == Delimiter::Brace => {
                let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
                let is_comma =
                    |it: &TokenTree| matches!(it, TokenTree::Punct(it) if it.as_char() == ',');
                for part in tokens.split(is_comma).filter(|it| !it.is_empty()) {
                    self.path(names, part);
                }
                behind
            }
            _ => {
                self.ends(names);
                tokens
            }
        }
    }

    /// A path is whole: the longest part of it that is a file is what is imported.
    fn ends(&mut self, names: &[String]) {
        let lengths = (1..=names.len()).rev();
        let file =
            lengths.map(|it| names[..it].join("/")).find(|it| self.names.contains(it.as_str()));
        if let Some(file) = file.filter(|it| it != self.file) {
            let rest = names[file.split('/').count()..].join("::");
            self.targets.entry(file).or_default().insert(rest);
        }
    }
}

/// Where a path leads whose first name this is, seen from a file.
fn start(file: &str, first: &str) -> Vec<String> {
    let mut own: Vec<String> = file.split('/').map(str::to_owned).collect();
    match first {
        "crate" => own.clear(),
        "self" => {}
        "super" => drop(own.pop()),
        // Perhaps a module below this one.
        name => own.push(name.to_owned()),
    }
    own
}

fn is_separator(tokens: &[TokenTree]) -> bool {
    let is_colon = |it: &TokenTree| matches!(it, TokenTree::Punct(it) if it.as_char() == ':');
    tokens.len() > 2 && tokens[..2].iter().all(is_colon)
}

/// Whether an attribute follows that says so: `#[cfg(test)]`.
fn is_of_tests(behind: &[TokenTree]) -> bool {
    behind.first().is_some_and(|it| it.to_string().replace(' ', "") == "[cfg(test)]")
}

/// What comes behind the item that begins here.
fn past_item(tokens: &[TokenTree]) -> &[TokenTree] {
    let is_end = |it: &TokenTree| match it {
        TokenTree::Punct(it) => it.as_char() == ';',
        TokenTree::Group(it) => it.delimiter() == Delimiter::Brace,
        _ => false,
    };
    tokens.iter().position(is_end).map_or(&[], |it| &tokens[it + 1..])
}

/// Groups of files that reach each other.
fn circles(imports: &Imports) -> Vec<Vec<String>> {
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        imports.keys().map(|it| (it, reached(imports, it))).collect();
    let mut circles: Vec<Vec<String>> = Vec::new();
    for file in imports.keys() {
        let circle: Vec<String> = reached[file]
            .iter()
            .filter(|it| reached[*it].contains(file))
            .map(|it| (*it).clone())
            .collect();
        if !circle.is_empty() && !circles.contains(&circle) {
            circles.push(circle);
        }
    }
    circles
}

fn reached<'a>(imports: &'a Imports, file: &'a String) -> BTreeSet<&'a String> {
    let mut found = BTreeSet::new();
    let mut next = vec![file];
    while let Some(file) = next.pop() {
        next.extend(imports[file].keys().filter(|it| found.insert(*it)));
    }
    found
}
