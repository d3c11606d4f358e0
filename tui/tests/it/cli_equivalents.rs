//! Each action of the screen has its twin without one: both are done on equal volumes, and these are equal then too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use sounding::key::{Act, BINDINGS, Twin};

use crate::fake::Fake;
use crate::screen::{Console, Place, Setup};
use crate::server::{KEY, Server};

/// An action that changes the volume: keys and what each is answered with, and the command.
struct Change {
    act: Act,
    keys: &'static [(&'static str, &'static str)],
    command: &'static [&'static str],
}

const INTO_BERLIN: (&str, &str) = ("\r", "trips.csv");
const ON_TRIPS: (&str, &str) = ("G", "▸ trips.csv");

const CHANGES: &[Change] = &[
    Change {
        act: Act::Rename,
        keys: &[INTO_BERLIN, ON_TRIPS, ("r", "Rename trips.csv"), ("\x15new\r", "renamed")],
        // The cursor stands in front of what tells the type.
        command: &["mv", "berlin/trips.csv", "berlin/new.csv"],
    },
    Change {
        act: Act::Move,
        keys: &[
            INTO_BERLIN,
            ON_TRIPS,
            ("m", "Move trips.csv"),
            ("\x15zurich\r", "If it exists"),
            ("\r", "moved 1 item"),
        ],
        command: &["mv", "berlin/trips.csv", "zurich"],
    },
    Change {
        act: Act::Copy,
        keys: &[("y", "Copy berlin"), ("\x15zurich\r", "If it exists"), ("\r", "copied 1 item")],
        command: &["cp", "berlin", "zurich"],
    },
    Change {
        act: Act::NewFolder,
        keys: &[("n", "New folder"), ("fresh\r", "made fresh")],
        command: &["mkdir", "fresh"],
    },
    Change {
        act: Act::EditText,
        keys: &[
            INTO_BERLIN,
            ON_TRIPS,
            ("e", "line 1 of 2"),
            ("x", "changed"),
            ("\x1b", "It is changed"),
            ("s", "saved trips.csv"),
        ],
        command: &["put", "berlin/trips.csv", "--text", "xcontent\n"],
    },
    Change {
        act: Act::Discard,
        keys: &[("d", "moved berlin to trash")],
        command: &["rm", "berlin"],
    },
    Change {
        act: Act::Undo,
        keys: &[("t", "old.csv"), ("\r", "put back /zurich/old.csv")],
        command: &["trash", "restore", "old.csv"],
    },
    Change {
        act: Act::EmptyTrash,
        keys: &[("X", "Empty the trash"), ("empty\r", "for good")],
        command: &["trash", "empty", "--yes"],
    },
    Change {
        act: Act::Share,
        keys: &[("S", "Share /berlin"), ("\x157d\r", "Address to pass on")],
        command: &["share", "berlin", "--expires", "7d"],
    },
    Change {
        act: Act::AddKey,
        keys: &[
            ("4", "imove"),
            ("a", "Add a key"),
            ("kmt\tci\t\x1b[C\t\x15berlin\t\x15never\r", "shown this one time"),
        ],
        command: &[
            "keys",
            "add",
            "kmt",
            "--note",
            "ci",
            "--write",
            "--path",
            "berlin",
            "--expires",
            "never",
        ],
    },
    Change {
        act: Act::RotateKey,
        keys: &[("4", "imove"), ("o", "Rotate key"), ("\r\r", "shown this one time")],
        command: &["keys", "rotate", "imove", "--overlap", "7d"],
    },
    Change {
        act: Act::RevokeKey,
        keys: &[("4", "imove"), ("d", "Revoke key"), ("x9Qd\r", "revoked")],
        command: &["keys", "revoke", "imove"],
    },
    Change {
        act: Act::EditKey,
        keys: &[
            ("4", "imove"),
            ("e", "Change"),
            ("\x15new note\r\x1b[C\r\x15/zurich\r", "new note"),
            ("\x152027-01-31\r", "changed"),
        ],
        command: &[
            "keys",
            "set",
            "imove",
            "--note",
            "new note",
            "--scope",
            "write",
            "--path",
            "zurich",
            "--expires",
            "2027-01-31",
        ],
    },
    Change {
        act: Act::ToggleKey,
        keys: &[("4", "imove"), ("p", "switched off")],
        command: &["keys", "disable", "imove"],
    },
    Change {
        act: Act::MendKey,
        keys: &[("4", "imove"), ("w", "header"), ("w", "made a comment")],
        command: &["keys", "check", "--fix"],
    },
    Change {
        act: Act::SealKey,
        keys: &[("4", "imove"), ("z", "Seal key"), ("\x1b[Z\r", "sealed")],
        command: &["keys", "seal", "imove"],
    },
];

/// An action that shows something: keys, the command, and a text that both show.
const SHOWN: &[(Act, &[&str], &[&str], &str)] = &[
    (Act::Open, &["\r"], &["ls", "berlin"], "trips.csv"),
    (Act::Parent, &["\r", "h"], &["ls"], "public/"),
    (Act::Sort, &["\r", "s", "n"], &["ls", "berlin", "--sort", "name"], "trips.csv"),
    (Act::Usage, &["U"], &["du"], "zurich/"),
    (Act::Find, &["f", "logo\r"], &["find", "logo"], "/public/logo.png"),
    (Act::ShowTrash, &["t"], &["trash"], "old.csv"),
    (Act::LeftOut, &["."], &["ls", "--all"], "link to nothing"),
    (Act::Info, &["i"], &["info", "berlin"], "imove-..x9Qd"),
    (Act::Address, &["c"], &["info", "berlin"], "/files/berlin/"),
];

/// An action that shows what a server knows: keys, the command, what both show and what both leave out.
struct Told {
    act: Act,
    keys: &'static [&'static str],
    command: &'static [&'static str],
    with: &'static str,
    without: &'static str,
}

const TOLD: &[Told] = &[
    Told {
        act: Act::KeysScreen,
        keys: &["4"],
        command: &["keys"],
        with: "from API_KEYS",
        without: "berlin/none",
    },
    Told {
        act: Act::ActivityScreen,
        keys: &["5"],
        command: &["activity"],
        with: "trips.csv",
        without: "x9Qd",
    },
    Told {
        act: Act::Follow,
        keys: &["5", "f"],
        command: &["activity"],
        with: "trips.csv",
        without: "x9Qd",
    },
    Told {
        act: Act::FilterRequests,
        keys: &["5", "/none\r"],
        command: &["activity", "--filter", "none"],
        with: "berlin/none",
        without: "trips.csv",
    },
    Told {
        act: Act::ByUser,
        keys: &["5", "u"],
        command: &["activity", "--user", "imove"],
        with: "trips.csv",
        without: "berlin/none",
    },
    Told {
        act: Act::ErrorsOnly,
        keys: &["5", "e"],
        command: &["activity", "--errors"],
        with: "berlin/none",
        without: "trips.csv",
    },
    Told {
        act: Act::Details,
        keys: &["5", "\r"],
        command: &["activity", "--user", "imove", "--json"],
        with: "127.0.0.1",
        without: "berlin/none",
    },
];

/// An action that a server is asked for, mostly about a transfer: keys and what each is answered with, and the command.
const ASKED: &[Change] = &[
    Change {
        act: Act::Receive,
        keys: &[("\r", "trips.csv"), ("2", "Code"), ("7-guitarist-revenge\r", "Receive >")],
        command: &["receive", "7-guitarist-revenge", "/berlin", "--yes", "--detach"],
    },
    Change {
        act: Act::Send,
        keys: &[(" ", "1 selected"), ("w", "by wormhole"), ("\r", "sending")],
        command: &["send", "/berlin", "--detach"],
    },
    Change {
        act: Act::AcceptOffer,
        keys: &[("3", "1 waiting"), ("\r", "[ Receive ]"), ("\r\r", "[3 Transfers]")],
        command: &[
            "transfers",
            "accept",
            "7",
            "--into",
            "/berlin",
            "--name",
            "run",
            "--on-conflict",
            "keep",
        ],
    },
    Change {
        act: Act::RefuseOffer,
        keys: &[("3", "1 waiting"), ("\r", "[ Receive ]"), ("x\r", "[3 Transfers]")],
        command: &["transfers", "refuse", "7"],
    },
    Change {
        act: Act::CancelTransfer,
        keys: &[("3", "1 waiting"), ("c", "Cancel transfer 7"), ("\x1b[D\r", "cancelling")],
        command: &["transfers", "cancel", "7"],
    },
    Change {
        act: Act::ClearTransfers,
        keys: &[("3", "1 waiting"), ("x", "forgot")],
        command: &["transfers", "clear"],
    },
    Change {
        act: Act::KeepAwake,
        keys: &[("5", "5 Activity]"), ("w", "kept awake until 16:02 UTC")],
        command: &["activity", "--keep-awake", "2h"],
    },
];

/// An offer that waits, of what is there already.
fn offer() -> serde_json::Value {
    serde_json::json!([{
        "version": 1, "number": 7, "direction": "receive", "state": "offered", "code": "7-guitarist-revenge",
        "command": "wormhole send x", "into": "berlin", "path": null, "done": 0, "route": null,
        "offer": {"type": "directory", "name": "run", "size": 5, "unpacked": 5, "files": 1},
        "started": "2026-11-24T13:56:00Z", "started_by": "console 1", "ended": null, "cause": null,
        "host": "0123456789abcdef0123456789abcdef", "change": 3, "rate": null, "quiet_seconds": null, "is_live": true,
        "question": {"path": "berlin/run", "existing": {"is_folder": true, "items": 3, "size": 9, "modified": null},
            "disk": 100, "free": 50, "needed": 5, "room": 40, "ends": "2036-11-24T14:11:40Z", "problem": null}
    }])
}

fn place() -> Place {
    let place = Place::new();
    place.put("zurich/old.csv", "old");
    std::os::unix::fs::symlink("gone", place.path("broken")).unwrap();
    command(&place, &["rm", "zurich/old.csv"]);
    place.put(
        ".sounding/auth-keys.csv",
        "imove,imove-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUmx9Qd,read,,,2024-03-11,dashboards\nzoe,zoe-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUmx9Qd\nusername,apikey\n",
    );
    place
}

fn command(place: &Place, args: &[&str]) -> String {
    command_beside(place, &place.path("no.sock"), args)
}

fn command_beside(place: &Place, socket: &Path, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sounding"))
        .args(args)
        .env("SOUNDING_VOLUME", place.0.path())
        .env("SOUNDING_ADMIN", socket)
        .env("SOUNDING_URL", "https://x.fly.dev")
        .output()
        .unwrap();
    assert!(
        output.stderr.is_empty() || !output.status.success() || args.contains(&"--fix"),
        "{args:?}: {output:?}"
    );
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

/// All files of a volume and what is in them, but for what differs each time: random letters and moments.
fn state(root: &Path) -> BTreeMap<String, String> {
    let mut state = BTreeMap::new();
    for entry in walkdir::WalkDir::new(root) {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(root).unwrap().to_string_lossy().into_owned();
        let text = if entry.file_type().is_file() {
            std::fs::read_to_string(entry.path()).unwrap()
        } else {
            String::new()
        };
        let lines = text.lines().filter(|it| !it.starts_with("DeletionDate="));
        let known = ["x9Qd"];
        let masked = lines.map(|line| {
            let columns = line.split(',').map(|it| match it.split_once('-') {
                Some((user, random))
                    if random.len() == 32 && !known.iter().any(|it| random.ends_with(it)) =>
                {
                    format!("{user}-RANDOM")
                }
                _ => it.to_owned(),
            });
            columns.collect::<Vec<_>>().join(",")
        });
        state.insert(path, masked.collect::<Vec<_>>().join("\n"));
    }
    state
}

#[test]
fn what_a_key_does_its_command_does() {
    for change in CHANGES {
        let (by_key, by_command, untouched) = (place(), place(), place());
        let setup = Setup { size: (100, 30), ..Setup::default() };
        let mut console = Console::with(by_key.0.path(), &setup);
        console.press("", "berlin/");
        for (keys, answer) in change.keys {
            console.press(keys, answer);
        }
        command(&by_command, change.command);
        let by_key = state(by_key.0.path());
        assert_eq!(by_key, state(by_command.0.path()), "{:?}", change.act);
        assert_ne!(by_key, state(untouched.0.path()), "{:?} does nothing", change.act);
    }
}

#[test]
fn what_a_key_shows_its_command_shows() {
    for (act, keys, args, text) in SHOWN {
        let place = place();
        let mut console = Console::start(place.0.path());
        console.press("", "berlin/");
        for key in *keys {
            console.press(key, "");
        }
        console.wait(text);
        let said = command(&place, args);
        assert!(said.contains(text), "{act:?}: {said}");
    }
}

#[test]
fn what_a_key_tells_of_the_server_its_command_tells() {
    for Told { act, keys, command, with, without } in TOLD {
        let place = place();
        let server = Server::start(&place);
        server.get("/files/berlin/none", "wrong");
        server.get("/files/berlin/trips.csv", KEY);
        let mut console = server.console(&place);
        console.press("", "berlin/");
        for key in *keys {
            console.press(key, "");
            if matches!(*key, "4" | "5") {
                console.wait(if *key == "4" { "in force" } else { "trips.csv" });
            }
        }
        console.wait(with);
        console.wait_gone(without);
        let said = command_beside(&place, &server.socket, command);
        assert!(said.contains(with) && !said.contains(without), "{act:?}: {said}");
    }
}

#[test]
fn what_a_key_asks_for_its_command_asks_for() {
    for change in ASKED {
        let place = place();
        let by_key = Fake::start(&place, "keys.sock", |_| offer());
        let by_command = Fake::start(&place, "command.sock", |_| offer());
        let admin = by_key.socket.to_str().unwrap();
        let setup = Setup { args: &["--admin", admin], ..Setup::default() };
        let mut console = Console::with(place.0.path(), &setup);
        console.press("", "berlin/");
        for (keys, answer) in change.keys {
            console.press(keys, answer);
        }
        command_beside(&place, &by_command.socket, change.command);
        let asked = by_key.asked();
        assert!(!asked.is_empty(), "{:?} asks for nothing", change.act);
        // A command that asks nobody accepts at once; on the screen it is asked, and about odd words of a code before.
        let by_command = by_command.asked().into_iter().map(|it| {
            let is_asked = it.replace("\"yes\":true", "\"yes\":false");
            is_asked.replace("\"exact\":false", "\"exact\":true")
        });
        let by_command: Vec<_> = by_command.collect();
        assert_eq!(asked, by_command, "{:?}", change.act);
    }
}

#[test]
fn what_the_screen_tells_of_a_transfer_its_command_tells() {
    let place = place();
    let fake = Fake::start(&place, "a.sock", |_| offer());
    let told: [(Act, &str, &[&str], &str); 2] = [
        (Act::TransfersScreen, "3", &["transfers"], "waiting for your answer"),
        (
            Act::OpenTransfer,
            "3:transfers show 7\r",
            &["transfers", "show", "7"],
            "7-guitarist-revenge",
        ),
    ];
    for (act, keys, line, text) in told {
        let setup = Setup { args: &["--admin", fake.socket.to_str().unwrap()], ..Setup::default() };
        let mut console = Console::with(place.0.path(), &setup);
        console.press("", "berlin/");
        console.press(keys, text);
        let said = command_beside(&place, &fake.socket, line);
        assert!(said.contains(text), "{act:?}: {said}");
    }
}

#[test]
fn no_action_is_left_out() {
    let told = TOLD.iter().map(|it| it.act);
    let asked = ASKED.iter().map(|it| it.act);
    let of_transfers = [Act::TransfersScreen, Act::OpenTransfer];
    let tested: BTreeSet<Act> = CHANGES
        .iter()
        .map(|it| it.act)
        .chain(asked)
        .chain(of_transfers)
        .chain(SHOWN.iter().map(|it| it.0))
        .chain(told)
        .collect();
    let with_twin = BINDINGS.iter().filter(|it| matches!(it.twin, Twin::Command(_)));
    assert_eq!(tested, with_twin.map(|it| it.act).collect());
}
