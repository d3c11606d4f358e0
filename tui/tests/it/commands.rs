//! `sounding` without a screen, as scripts use it: the built program on a real volume.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

struct Place(TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        for (path, content) in [
            ("berlin/output_trips.csv", "person,trip\n1,1_1\n"),
            ("berlin/it.10/links.csv", "a"),
            ("berlin/it.2/links.csv", "b"),
            ("public/logo.png", "png"),
        ] {
            place.put(path, content);
        }
        place
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn put(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sounding"));
        command.args(args).env("SOUNDING_VOLUME", self.0.path());
        command.env_remove("API_KEYS").env_remove("FLY_APP_NAME").env_remove("SOUNDING_URL");
        command
    }

    fn try_run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn run(&self, args: &[&str]) -> String {
        let output = self.try_run(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.run(args)).unwrap()
    }

    /// The status and what was said of it.
    fn fails(&self, args: &[&str]) -> (i32, String) {
        let output = self.try_run(args);
        assert!(!output.status.success(), "{args:?}: {output:?}");
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    /// The keys, as the reader that is replaced would have them.
    fn old_reader(&self) -> HashMap<String, String> {
        let mut lookup = HashMap::new();
        for line in self.read(".sounding/auth-keys.csv").lines().map(str::trim) {
            let items: Vec<&str> = line.split(',').collect();
            if let ([user, key, ..], false) = (items.as_slice(), line.starts_with('#')) {
                lookup.insert((*key).to_owned(), (*user).to_owned());
            }
        }
        lookup
    }
}

#[test]
fn ls_lists_in_natural_order_folders_first() {
    let place = Place::new();
    assert_eq!(place.run(&["ls", "berlin"]), "it.2/\nit.10/\noutput_trips.csv\n");
    assert_eq!(place.run(&["ls"]), "berlin/\npublic/\n");
    let list = place.json(&["ls", "/berlin/", "--json"]);
    assert_eq!(list[2]["name"], "output_trips.csv");
    assert_eq!((&list[2]["type"], &list[2]["size"]), (&"file".into(), &18.into()));
    assert_eq!(list[0]["type"], "directory");
    let (status, why) = place.fails(&["ls", "hamburg"]);
    assert_eq!((status, why.as_str()), (1, "sounding: there is nothing at `/hamburg`\n"));
    assert!(place.fails(&["ls", ".sounding"]).1.contains("hidden"));
}

#[test]
fn a_path_is_named_in_one_way_whoever_names_it() {
    let place = Place::new();
    let told = "there is nothing at `/berlin/no such`";
    for args in [
        &["ls", "berlin/no such"] as &[&str],
        &["cat", "/berlin/no such"],
        &["du", "berlin/no such/"],
        &["rm", "berlin/no such"],
        &["mv", "berlin/no such", "public"],
        &["cp", "berlin/no such", "public"],
        &["info", "berlin/no such"],
        &["send", "berlin/no such"],
    ] {
        let (status, why) = place.fails(args);
        assert!(status == 1 && why.contains(told), "{args:?}: {why}");
    }
}

#[test]
fn a_line_of_the_keys_file_that_is_no_text_is_named_by_its_number() {
    let place = Place::new();
    fs::create_dir_all(place.path(".sounding")).unwrap();
    fs::write(place.path(".sounding/auth-keys.csv"), b"# keys\nM\xfcller,key\n").unwrap();
    for args in [&["keys", "check"] as &[&str], &["doctor"]] {
        let output = place.try_run(args);
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(told.contains("line 2: skipped: it is not UTF-8"), "{args:?}: {told}");
    }
    let list = place.run(&["keys"]);
    assert!(list.contains("created unknown") && !list.contains('?'), "{list}");
}

#[test]
fn names_that_are_no_text_go_through_pipes_as_they_are() {
    let place = Place::new();
    let name = std::ffi::OsStr::from_bytes(b"m\xfcnchen\n.csv");
    fs::write(place.0.path().join("berlin").join(name), "x").unwrap();
    let listed = place.try_run(&["ls", "berlin"]).stdout;
    assert!(listed.windows(13).any(|it| it == b"m\xfcnchen\n.csv\n"));
    let mut from = std::ffi::OsString::from("berlin/");
    from.push(name);
    let moved = place.command(&["mv"]).arg(from).arg("berlin/muenchen.csv").output().unwrap();
    assert!(moved.status.success(), "{moved:?}");
    assert_eq!(place.read("berlin/muenchen.csv"), "x");
}

#[test]
fn files_are_found_shown_and_added_up() {
    let place = Place::new();
    let found = place.run(&["find", "LINKS"]);
    let mut found: Vec<&str> = found.lines().collect();
    found.sort_unstable();
    assert_eq!(found, ["/berlin/it.10/links.csv", "/berlin/it.2/links.csv"]);
    assert_eq!(place.run(&["find", "it.?", "berlin"]), "/berlin/it.2/\n");
    assert_eq!(place.run(&["cat", "berlin/it.2/links.csv", "berlin/it.10/links.csv"]), "ba");
    let usage = place.json(&["du", "berlin", "--json"]);
    let sum: u64 = usage.as_array().unwrap().iter().map(|it| it["size"].as_u64().unwrap()).sum();
    assert_eq!(sum, 20);
}

#[test]
fn the_tree_is_changed_and_nothing_is_lost() {
    let place = Place::new();
    assert_eq!(
        place.run(&["mv", "berlin/output_trips.csv", "berlin/it.2"]),
        "/berlin/it.2/output_trips.csv\n"
    );
    place.run(&["mkdir", "zurich/new"]);
    place.run(&["cp", "berlin", "zurich"]);
    assert_eq!(place.read("zurich/berlin/it.2/links.csv"), "b");
    let (status, why) = place.fails(&["cp", "berlin/it.2/links.csv", "berlin/it.10/links.csv"]);
    assert_eq!((status, place.read("berlin/it.10/links.csv").as_str()), (1, "a"));
    assert!(why.contains("already exists"), "{why}");
    place.run(&["cp", "--replace", "berlin/it.2/links.csv", "berlin/it.10/links.csv"]);
    assert_eq!(place.read("berlin/it.10/links.csv"), "b");
    place.run(&["rm", "zurich"]);
    let trash = place.json(&["trash", "list", "--json"]);
    assert_eq!(trash.as_array().unwrap().len(), 2);
    assert!(trash.as_array().unwrap().iter().any(|it| it["path"] == "berlin/it.10/links.csv"));
    assert_eq!(place.run(&["trash", "restore", "zurich"]), "/zurich\n");
    assert_eq!(place.read("zurich/berlin/it.2/links.csv"), "b");
    assert!(place.fails(&["trash", "empty"]).1.contains("--yes"));
    place.run(&["trash", "empty", "--yes"]);
    assert_eq!(place.json(&["trash", "--json"]), Value::Array(vec![]));
}

#[test]
fn several_things_are_done_as_far_as_they_can_be() {
    let place = Place::new();
    let (status, why) = place.fails(&["rm", "berlin/none", "berlin/it.2"]);
    assert!(status == 1 && why.contains("none") && !place.path("berlin/it.2").exists());
    let (_, why) = place.fails(&["mv", "berlin", "public", "nowhere"]);
    assert!(why.contains("no folder") && place.path("berlin").exists());
}

#[test]
fn a_key_goes_through_its_life() {
    let place = Place::new();
    place.put(".sounding/auth-keys.csv", "# ours\nimove,imove-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUm6AfG\n");
    let key = place.run(&[
        "keys",
        "add",
        "kmt",
        "--write",
        "--path",
        "berlin",
        "--expires",
        "90d",
        "--note",
        "ci",
    ]);
    let key = key.trim_end();
    assert!(key.starts_with("kmt-") && key.len() == 36, "{key}");
    assert_eq!(place.old_reader()[key], "kmt");
    let list = place.json(&["keys", "list", "--json"]);
    let kmt = &list[1];
    assert_eq!(
        (&kmt["username"], &kmt["scope"], &kmt["path"]),
        (&"kmt".into(), &"write".into(), &"berlin".into())
    );
    assert!(!list.to_string().contains(key), "a list shows no key");
    assert_eq!(kmt["apikey"], format!("kmt-..{}", &key[32..]));
    let id = kmt["id"].as_str().unwrap().to_owned();

    place.run(&["keys", "disable", "kmt"]);
    assert!(!place.old_reader().contains_key(key));
    assert_eq!(place.json(&["keys", "--json"])[1]["state"], "off");
    place.run(&["keys", "enable", &id]);
    place.run(&["keys", "note", "kmt", "for a, b"]);
    place.run(&["keys", "set", "kmt", "--scope", "read", "--expires", "never"]);
    let kmt = &place.json(&["keys", "--json"])[1];
    assert_eq!(
        (&kmt["note"], &kmt["expires"], &kmt["scope"]),
        (&"for a, b".into(), &"".into(), &"read".into())
    );

    let fresh = place.run(&["keys", "rotate", "kmt"]);
    assert_eq!(place.old_reader().len(), 3);
    assert!(place.fails(&["keys", "revoke", "kmt"]).1.contains("several keys"));
    place.run(&["keys", "revoke", &id]);
    assert!(
        !place.old_reader().contains_key(key) && place.old_reader().contains_key(fresh.trim_end())
    );
    place.run(&["keys", "seal", "kmt"]);
    assert!(!place.read(".sounding/auth-keys.csv").contains(fresh.trim_end()));
    place.run(&["keys", "revoke", "imove"]);
    assert!(place.fails(&["keys", "revoke", "kmt"]).1.contains("last key"));
    assert!(place.read(".sounding/auth-keys.csv").starts_with("# ours\n"));
}

#[test]
fn a_key_can_be_brought_along() {
    let place = Place::new();
    let mut add = place.command(&["keys", "add", "kmt", "--key-stdin", "--json"]);
    let mut add = add.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    add.stdin.take().unwrap().write_all(b"kmt-my-own-long-enough-key\n").unwrap();
    let made: Value = serde_json::from_slice(&add.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(
        (&made["username"], &made["apikey"]),
        (&"kmt".into(), &"kmt-my-own-long-enough-key".into())
    );
    assert_eq!(place.old_reader()["kmt-my-own-long-enough-key"], "kmt");
}

#[test]
fn a_key_that_is_brought_along_is_good_or_refused() {
    let place = Place::new();
    let add = |key: &str| {
        let mut add = place.command(&["keys", "add", "kmt", "--key-stdin"]);
        let pipes = add.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut add = pipes.spawn().unwrap();
        add.stdin.take().unwrap().write_all(key.as_bytes()).unwrap();
        let output = add.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(add("kmt-my-own-long-enough-key\n").0, Some(0));
    let before = place.read(".sounding/auth-keys.csv");
    for (key, why) in [
        ("short", "too short"),
        ("kmt-my-own-long-enough-key", "stands on line 2 already"),
        ("kmt-my-own-long,enough-key", "no comma"),
        ("kmt-my own-long-enough-key", "no comma, space"),
        (" \n", "no key"),
    ] {
        let (status, said) = add(key);
        assert!(status == Some(1) && said.contains(why), "{key}: {said}");
    }
    assert_eq!(place.read(".sounding/auth-keys.csv"), before);
}

#[test]
fn whoever_switches_the_last_key_off_is_told() {
    let place = Place::new();
    place.run(&["keys", "add", "kmt"]);
    let off = place.try_run(&["keys", "disable", "kmt"]);
    assert!(off.status.success() && String::from_utf8(off.stderr).unwrap().contains("last key"));
}

#[test]
fn old_words_are_still_understood() {
    let place = Place::new();
    place.put(".sounding/auth-keys.csv", "kmt,kmt-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUm6AfG\n");
    place.run(&["keys", "off", "kmt"]);
    assert!(place.old_reader().is_empty());
    place.run(&["keys", "on", "kmt"]);
    assert_eq!(place.old_reader().len(), 1);
    place.put(".sounding/auth-keys.csv", "kmt, kmt-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUm6AfG\n");
    place.run(&["keys", "check", "--mend"]);
    assert_eq!(place.run(&["keys", "check"]), "");
    // Understood, whatever comes of it: 2 says that it is not.
    let owners = place.try_run(&["doctor", "--mend-owners", "--yes"]);
    assert_ne!(owners.status.code(), Some(2), "{owners:?}");
    // Nobody answers there: it is understood, and fails.
    let refused = place.try_run(&[
        "receive",
        "1-a-b",
        "--exact",
        "--mailbox",
        "ws://127.0.0.1:1/v1",
        "--on-conflict",
        "keep",
    ]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
}

#[test]
fn check_finds_mends_and_tells_by_its_status() {
    let place = Place::new();
    place.put(
        ".sounding/auth-keys.csv",
        "\u{feff}username,apikey\nkmt, kmt-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUm6AfG\nzoe,short1\nx,\n",
    );
    let found = place.try_run(&["keys", "check"]);
    assert_eq!(found.status.code(), Some(3));
    let said = String::from_utf8(found.stdout).unwrap();
    for what in ["byte order mark", "header", "spaces", "short", "empty"] {
        assert!(said.contains(what), "{what}: {said}");
    }
    let mended = place.try_run(&["keys", "check", "--fix"]);
    assert_eq!(mended.status.code(), Some(3), "the short key needs a new one");
    let users: Vec<String> = place.old_reader().into_values().collect();
    assert!(
        users.len() == 2 && place.old_reader().contains_key("kmt-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUm6AfG")
    );
    place.run(&["keys", "rotate", "zoe", "--overlap", "0"]);
    assert_eq!(place.run(&["keys", "check"]), "");
}

#[test]
fn a_list_tells_of_each_key_all_but_itself() {
    let place = Place::new();
    let key = "kmt-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUm6AfG";
    place.put(
        ".sounding/auth-keys.csv",
        &format!(
            "kmt,{key},write,berlin,2090-01-31,2026-01-20,ci, nightly\nzoe,{key}z,read,none\n"
        ),
    );
    let id = place.json(&["keys", "--json"])[0]["id"].as_str().unwrap().to_owned();
    // As the server writes it down, for when it does not run.
    place.put(
        ".sounding/key-use.json",
        &format!(
            r#"{{"{id}":{{"last":"2026-11-20T10:00:00Z","what":"GET /","from":"::1","day":"2026-11-20","today":3}}}}"#
        ),
    );
    let list = place.json(&["keys", "--json"]);
    assert_eq!(list[0]["last_used"], "2026-11-20T10:00:00Z");
    let said = place.run(&["keys"]);
    let line = said.lines().next().unwrap();
    for told in [
        "kmt-..6AfG",
        "read and upload, /berlin",
        "created 2026-01-20",
        "used ",
        "2090-01-31",
        "ci, nightly",
    ] {
        assert!(line.contains(told), "{told}: {line}");
    }
    assert!(!said.contains(key) && said.contains("its path does not lead to anything"), "{said}");
    assert!(said.lines().nth(1).unwrap().contains("used never"), "{said}");
}

#[test]
fn a_key_that_may_not_be_read_is_told_in_plain_words() {
    let place = Place::new();
    place.put(".sounding/auth-keys.csv", "kmt,kmt-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUm6AfG\n");
    let file = place.path(".sounding/auth-keys.csv");
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    if fs::read(&file).is_ok() {
        // Root may read anything.
        return;
    }
    let (status, why) = place.fails(&["keys"]);
    assert!(status == 1 && why.contains("be the one that the server runs as"), "{why}");
}

#[test]
fn a_share_link_opens_one_thing_for_a_while() {
    let place = Place::new();
    let link = place.json(&[
        "--url",
        "https://x.fly.dev/",
        "share",
        "berlin/it.2",
        "--expires",
        "7d",
        "--json",
    ]);
    let key = link["apikey"].as_str().unwrap();
    assert_eq!(link["url"], format!("https://x.fly.dev/share/{key}/berlin/it.2/"));
    let list = place.json(&["keys", "--json"]);
    assert_eq!((&list[0]["path"], &list[0]["scope"]), (&"berlin/it.2".into(), &"read".into()));
    assert!(list[0]["expires"].as_str().unwrap().starts_with("20"));
    let info = place.json(&["info", "berlin/it.2/links.csv", "--json"]);
    assert_eq!(info["readers"][0]["username"], "share");
    assert_eq!(place.json(&["info", "public/logo.png", "--json"])["public"], true);
    assert_eq!(place.json(&["info", "berlin/it.10", "--json"])["readers"], Value::Array(vec![]));
}

#[test]
fn what_no_list_shows_is_listed_and_deleted_when_somebody_asks_for_it() {
    let place = Place::new();
    place.put("berlin/.trips.csv.Xk3f9q", "12345");
    std::os::unix::fs::symlink("gone", place.path("berlin/broken")).unwrap();
    std::os::unix::fs::symlink("it.2", place.path("berlin/to-folder")).unwrap();
    assert_eq!(place.run(&["ls", "berlin"]), "it.2/\nit.10/\nto-folder/\noutput_trips.csv\n");
    let all = place.run(&["ls", "-a", "berlin"]);
    assert!(
        all.ends_with(".trips.csv.Xk3f9q  (hidden name)\nbroken  (link to nothing)\n"),
        "{all}"
    );
    let json = place.json(&["ls", "--all", "berlin", "--json"]);
    assert_eq!(
        (&json[5]["type"], &json[5]["left_out"]),
        (&"link".into(), &"link to nothing".into())
    );
    let info = place.json(&["info", "berlin", "--json"]);
    assert_eq!((&info["items"], &info["left_out"]), (&4.into(), &2.into()));
    assert!(place.run(&["info", "berlin"]).contains("4 items, 2 not shown"));
    let (status, why) = place.fails(&["rm", ".sounding"]);
    assert!(status == 1 && why.contains("not yours to delete"), "{why}");
    place.run(&["rm", "berlin/.trips.csv.Xk3f9q", "/berlin/broken", "berlin/to-folder"]);
    assert_eq!(place.run(&["ls", "-a", "berlin"]), "it.2/\nit.10/\noutput_trips.csv\n");
    assert_eq!(place.read("berlin/it.2/links.csv"), "b");
    place.run(&["trash", "restore", ".trips.csv.Xk3f9q", "--to", "berlin/trips.csv"]);
    assert_eq!(place.read("berlin/trips.csv"), "12345");
}

#[test]
fn what_is_public_is_shared_by_its_address_and_gets_no_key() {
    let place = Place::new();
    place.put("berlin/trips.csv", "x\n");
    std::os::unix::fs::symlink("../berlin", place.path("public/berlin")).unwrap();
    let share = |path: &str| place.json(&["--url", "https://x.fly.dev", "share", path, "--json"]);
    let link = share("public/logo.png");
    assert_eq!(link["url"], "https://x.fly.dev/files/public/logo.png");
    assert_eq!(link.get("apikey"), None);
    assert_eq!(place.json(&["keys", "--json"]), Value::Array(vec![]));
    // What a link in there leads to needs a key.
    assert!(share("public/berlin/trips.csv")["apikey"].is_string());
}

#[test]
fn an_address_without_a_known_host_names_none() {
    let place = Place::new();
    for args in [&["info", "berlin"][..], &["share", "berlin"]] {
        let output = place.command(args).output().unwrap();
        let [printed, why] =
            [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
        let has_path =
            |it: &str| it.starts_with("/files/berlin/") || it.starts_with("/share/share-");
        assert!(printed.lines().any(has_path) && !printed.contains("http"), "{printed}");
        assert!(why.contains("has no host") && why.contains("SOUNDING_URL"), "{why}");
    }
    assert_eq!(place.json(&["info", "berlin", "--json"])["url"], "/files/berlin/");
}

#[test]
fn completions_and_the_man_page_need_no_volume() {
    let run = |args: &[&str]| {
        let command = Command::new(env!("CARGO_BIN_EXE_sounding"))
            .args(args)
            .env("SOUNDING_VOLUME", "/none")
            .output();
        String::from_utf8(command.unwrap().stdout).unwrap()
    };
    for shell in ["bash", "zsh", "fish"] {
        assert!(run(&["completions", shell]).contains("rotate"), "{shell}");
    }
    let page = run(&["man"]);
    assert!(page.contains(".TH sounding") && page.contains("SOUNDING KEYS ROTATE"));
    assert!(page.contains("overlap"), "each command's own options");
}

#[test]
fn wrong_use_ends_with_status_2() {
    let place = Place::new();
    assert_eq!(place.fails(&["lx"]).0, 2);
    assert_eq!(place.fails(&["keys", "add"]).0, 2);
    assert_eq!(place.fails(&["keys", "add", "ci-bot"]).0, 1);
}

#[test]
fn a_key_that_is_rotated_lasts_no_longer_than_it_did_and_the_new_one_works() {
    let place = Place::new();
    let key = |user: &str| format!("{user}-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUm6AfG");
    let (old, soon, off, on) = (key("old"), key("soon"), key("off"), key("on"));
    let before =
        format!("old,{old},read,,2020-01-01\nsoon,{soon},read,,2090-01-31\n# off,{off}\non,{on}\n");
    place.put(".sounding/auth-keys.csv", &before);
    for user in ["old", "soon"] {
        let (status, said) = place.fails(&["keys", "rotate", user]);
        assert!(status == 1 && said.contains("--expires 90d"), "{said}");
        let (_, said) = place.fails(&["keys", "rotate", user, "--expires", "2020-01-01"]);
        assert!(said.contains("has passed"), "{said}");
    }
    assert_eq!(place.read(".sounding/auth-keys.csv"), before);
    place.run(&["keys", "rotate", "old", "--expires", "90d"]);
    place.run(&["keys", "rotate", "soon", "--overlap", "never", "--expires", "never"]);
    place.run(&["keys", "rotate", "off"]);
    let made: Value = place.json(&["keys", "rotate", "on", "--json"]);
    assert_eq!(made["expires"], "");
    // The old one of two keys that `on` has now: a second rotation does not hand its end on.
    let id = place.json(&["keys", "--json"]).as_array().unwrap().iter().find_map(|it| {
        (it["username"] == "on" && it["expires"] != "")
            .then(|| it["id"].as_str().unwrap().to_owned())
    });
    let id = id.unwrap();
    assert!(place.fails(&["keys", "rotate", &id]).1.contains("--expires"));
    place.run(&["keys", "rotate", &id, "--expires", "never"]);
    let text = place.read(".sounding/auth-keys.csv");
    for same in [
        format!("old,{old},read,,2020-01-01\n"),
        format!("soon,{soon},read,,2090-01-31\n"),
        format!("# off,{off}\n"),
    ] {
        assert!(text.contains(&same), "{same}: {text}");
    }
    let keys = place.json(&["keys", "--json"]);
    let states = |user: &str| -> Vec<&str> {
        let of_user = keys.as_array().unwrap().iter().filter(|it| it["username"] == user);
        of_user.map(|it| it["state"].as_str().unwrap()).collect()
    };
    assert_eq!(states("old"), ["expired", "on"]);
    assert_eq!(states("off"), ["off", "on"]);
    assert_eq!(states("on"), ["on", "on", "on"]);
}

#[test]
fn an_end_that_has_passed_is_refused_wherever_one_is_set() {
    let place = Place::new();
    place.run(&["keys", "add", "kmt"]);
    let before = place.read(".sounding/auth-keys.csv");
    for command in [
        &["keys", "add", "zoe", "--expires", "2020-01-01"][..],
        &["keys", "add", "zoe", "--expires", "0"],
        &["keys", "set", "kmt", "--expires", "2020-01-01T00:00:00Z"],
        &["keys", "rotate", "kmt", "--expires", "2020-01-01"],
        &["keys", "rotate", "kmt", "--overlap", "2020-01-01"],
        &["share", "berlin", "--expires", "2020-01-01"],
    ] {
        let (status, said) = place.fails(command);
        assert!(status == 1 && said.contains("has passed"), "{command:?}: {said}");
    }
    assert_eq!(place.read(".sounding/auth-keys.csv"), before);
}

#[test]
fn several_things_are_moved_or_copied_all_or_none() {
    for command in ["mv", "cp"] {
        let place = Place::new();
        let refused = |to: &str, wanted: &str| {
            let (status, why) =
                place.fails(&[command, "--replace", "berlin/it.2", "berlin/output_trips.csv", to]);
            assert!(status == 1 && why.contains(wanted), "{to}: {why}");
            assert_eq!(place.read("berlin/it.2/links.csv"), "b");
            assert_eq!(
                (place.read("public/logo.png"), place.path("new").exists()),
                ("png".into(), false)
            );
        };
        refused("new", "there is no folder `/new`: make it with `sounding mkdir`");
        refused("new/", "there is no folder `/new`");
        refused("public/logo.png", "`/public/logo.png` is not a folder");
        // A slash at the end means a folder for one thing too.
        let (_, why) = place.fails(&[command, "berlin/output_trips.csv", "new/"]);
        assert!(why.contains("there is no folder `/new`"), "{why}");
        let (_, why) =
            place.fails(&[command, "--replace", "berlin/output_trips.csv", "public/logo.png/"]);
        assert!(why.contains("is not a folder"), "{why}");
        // What is in the way of one keeps the others too, and so does one that is not there.
        place.put("public/it.2", "in the way");
        let (_, why) = place.fails(&[command, "berlin/output_trips.csv", "berlin/it.2", "public"]);
        assert!(why.contains("`/public/it.2` already exists"), "{why}");
        place.fails(&[command, "berlin/output_trips.csv", "berlin/none", "public"]);
        assert!(!place.path("public/output_trips.csv").exists());
        // Two of one name: the second would take the place of the first.
        let (_, why) = place.fails(&[
            command,
            "--replace",
            "berlin/it.2/links.csv",
            "berlin/it.10/links.csv",
            "public",
        ]);
        assert!(why.contains("two of them would become `/public/links.csv`"), "{why}");
        assert!(!place.path("public/links.csv").exists());
        assert!(!place.path(".sounding/trash/files").exists());
    }
}

#[test]
fn help_is_a_command_too() {
    let place = Place::new();
    // No volume is needed for it.
    let run = |args: &[&str]| {
        let mut command = place.command(args);
        let output = command.env("SOUNDING_VOLUME", "/nowhere").output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(run(&["help"]), run(&["--help"]));
    assert_eq!(run(&["help", "ls"]), run(&["ls", "--help"]));
    assert_eq!(run(&["keys", "help", "add"]), run(&["help", "keys", "add"]));
    assert!(!place.run(&["man"]).contains("SOUNDING HELP"));
    assert_eq!(place.fails(&["help", "nothing"]).0, 2);
}

#[test]
fn a_usage_line_says_what_has_to_be_given_and_no_more() {
    let place = Place::new();
    let usage = |args: &[&str]| {
        let output = place.command(args).env("SOUNDING_ADMIN", "/none.sock").output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        said.lines().find_map(|it| it.strip_prefix("Usage: ")).unwrap().to_owned()
    };
    assert_eq!(usage(&["mv"]), "sounding mv <FROM>... <TO>");
    assert_eq!(usage(&["cp", "a"]), "sounding cp <FROM>... <TO>");
    assert_eq!(usage(&["rm"]), "sounding rm <PATHS>...");
    assert_eq!(usage(&["keys", "revoke"]), "sounding keys revoke <KEY>");
    let long = place.run(&["ls", "--help"]);
    assert!(long.contains("Size and time in front"), "{long}");
    // What is given counts, and a variable that is wrong is still told.
    let output = place.command(&["ls"]).env("SOUNDING_ADMIN", "").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("--admin"), "{output:?}");
}

#[test]
fn a_copy_beside_keeps_at_its_end_what_tells_its_type() {
    let place = Place::new();
    for coding in ["", ".gz", ".zst", ".bz2", ".xz", ".br", ".lz4"] {
        let name = format!("trips.csv{coding}");
        place.put(&format!("from/{name}"), "new");
        place.put(&format!("to/{name}"), "old");
        place.run(&["cp", &format!("from/{name}"), "to", "--keep-both"]);
        assert_eq!(place.read(&format!("to/trips (2).csv{coding}")), "new");
        assert_eq!(place.read(&format!("to/{name}")), "old");
    }
}

/// What the doctor found of one thing.
fn findings(output: &Output, what: &str) -> Vec<(bool, String)> {
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = all.as_array().unwrap().iter().filter(|it| it["what"] == what);
    of.map(|it| (it["ok"].as_bool().unwrap(), it["found"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn the_doctor_tells_of_a_damaged_journal_and_of_one_that_was_put_aside() {
    let place = Place::new();
    let volume = volume::Volume::open(place.0.path()).unwrap();
    drop(volume::journal::Journal::open(&volume).unwrap());
    let journal = || findings(&place.try_run(&["doctor", "--json"]), "journal");
    assert_eq!(journal(), [(true, "the journal of changes is sound".to_owned())]);
    // The header stays good.
    let path = place.path(".sounding/journal.sqlite");
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096..].fill(0xa5);
    fs::write(&path, &bytes).unwrap();
    let found = journal();
    assert!(
        !found[0].0 && found[0].1.starts_with("the journal of changes is damaged"),
        "{found:?}"
    );
    bytes.fill(0xa5);
    fs::write(&path, &bytes).unwrap();
    drop(volume::journal::Journal::open(&volume).unwrap());
    let found = journal();
    assert!(found.len() == 2 && found[0].0 && !found[1].0, "{found:?}");
    assert!(found[1].1.starts_with("a damaged journal was put aside"), "{found:?}");
}

#[test]
fn the_doctor_says_where_no_more_files_can_be_made() {
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=64m,nr_inodes=20,mode=755 tmpfs \"$1\" && mkdir -m 700 \"$1/.sounding\" && \
                  i=0 && while touch \"$1/$i\" 2>&1; do i=$((i+1)); done > /dev/null; exec \"$2\" doctor --json --volume \"$1\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    let output = command.arg(folder.path()).arg(env!("CARGO_BIN_EXE_sounding")).output().unwrap();
    let found = findings(&output, "space");
    assert!(!found[0].0 && found[0].1.contains("no inodes are free"), "{found:?} {output:?}");
}

#[test]
fn a_copy_needs_no_more_room_than_it_takes() {
    let folder = tempfile::tempdir().unwrap();
    // Of 64 MiB 20 are the file, 18 another, and a twentieth stays free: 22.8 are left.
    let script = "mount -t tmpfs -o size=64m,mode=755 tmpfs \"$1\" && mkdir -m 700 \"$1/.sounding\" && \
                  head -c 20M /dev/zero > \"$1/a.bin\" && head -c 18M /dev/zero > \"$1/other.bin\" && \
                  \"$2\" --volume \"$1\" cp a.bin b.bin && cmp \"$1/a.bin\" \"$1/b.bin\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    let output = command.arg(folder.path()).arg(env!("CARGO_BIN_EXE_sounding")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
