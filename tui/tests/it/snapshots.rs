//! Every screen as it is drawn, at the three sizes that are promised: 80x24, 60x15 and 200x60.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::Timestamp;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use serde_json::json;
use sounding::cli::{DeskArgs, ScreenArgs};
use sounding::effect::{AddressFor, Done, Message};
use sounding::model::{Look, Model};
use sounding::ops::share::Access;
use sounding::ops::trash::TrashEntry;
use sounding::ops::undo::Undo;
use sounding::ops::{Desk, Failure};
use sounding::palette::Completion;
use sounding::preview::pages::Page;
use sounding::preview::{Body, Preview};
use sounding::update::{start, update};
use sounding::view::view;
use volume::RelPath;
use volume::console_settings::ConsoleSettings;
use volume::names::Kind;
use volume::scan::{Hit, SearchProgress, Usage, UsageEntry};
use volume::space::Space;

use crate::screen::Place;

const NOW: &str = "2026-11-24T14:02:00Z";
/// Of the files: 2 November 2026, 09:14.
const WRITTEN: u64 = 1_793_610_840;

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// A console that has heard all there is to hear.
pub struct Told {
    /// Goes when this goes.
    _place: Place,
    pub desk: Desk,
    pub model: Model,
}

impl Told {
    pub fn new(size: (u16, u16)) -> Told {
        let place = Place(tempfile::tempdir().unwrap());
        for name in [
            "output_allVehicles.xml.gz",
            "output_config.xml",
            "output_trips.csv.gz",
            "output_zones.geojson",
            "runs.sqlite",
            "scorestats.png",
        ] {
            place.put(name, "");
            let file = File::options().write(true).open(place.path(name)).unwrap();
            file.set_len(u64::try_from(name.len()).unwrap() * 12_345_678).unwrap();
        }
        for folder in ["ITERS/it.0", "ITERS/it.10", "analysis", "m\u{fc}nchen"] {
            std::fs::create_dir_all(place.path(folder)).unwrap();
        }
        place.put(
            ".sounding/auth-keys.csv",
            "imove,imove-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUmx9Qd,write,,,2024-03-11,dashboards\n\
             kmt,kmt-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUmTz41,read,analysis,2099-11-27,2026-01-20,rotating out\n\
             mrieser,mrieser23\nusername,apikey\n\
             # wrashid,wrashid-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUmx9Qe,,,,2024-03-11,left the group\n",
        );
        for entry in walkdir::WalkDir::new(place.0.path()).contents_first(true) {
            let file = File::open(entry.unwrap().path()).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(WRITTEN)).unwrap();
        }
        let args = DeskArgs { volume: place.0.path().to_owned(), ..DeskArgs::default() };
        let desk = Desk::open(&args).unwrap();
        let look = Look::new(&ScreenArgs::default(), &ConsoleSettings::default(), &|_| None);
        let mut model = Model::new(look, "/data".to_owned(), size, now());
        start(&mut model);
        let mut told = Told { _place: place, desk, model };
        told.hear(Message::SpaceRead(Space { size: 250_000_000_000, free: 96_400_000_000 }));
        told.list();
        told
    }

    pub fn hear(&mut self, message: Message) {
        update(&mut self.model, message);
    }

    pub fn list(&mut self) {
        let path = self.model.browse.path.clone();
        let names = Arc::new(self.desk.names(&path).unwrap());
        let generation = self.model.browse.generation;
        let stats = (0..names.len())
            .map(|it| (it, names.stat(&self.desk.volume, names.get(it).unwrap())))
            .collect();
        let folders = (0..names.len()).filter(|it| names.get(*it).unwrap().kind == Kind::Folder);
        let counts = folders.map(|it| (it, 61)).collect();
        self.hear(Message::Listed(generation, Ok(names)));
        self.hear(Message::Stats(generation, stats));
        self.hear(Message::Counted(generation, counts));
    }

    pub fn press(&mut self, keys: &str) {
        for letter in keys.chars() {
            let code = match letter {
                '\r' => KeyCode::Enter,
                '\t' => KeyCode::Tab,
                '\x1b' => KeyCode::Esc,
                letter => KeyCode::Char(letter),
            };
            // A question drops what is typed ahead of it.
            self.model.deaf_until = None;
            self.hear(Message::Key(KeyEvent::new(code, KeyModifiers::NONE)));
        }
    }

    pub fn keys(&mut self) {
        let keys = self.desk.keys();
        let version = keys.as_ref().unwrap().version.to_string();
        self.hear(Message::KeysRead(keys));
        let uses = json!({"version": version, "extra": [{"id": "0b1c2d3e", "username": "ci", "apikey": "ci-..p0Aa"}], "uses": {
            "717ecd7a": {"last": "2026-11-24T14:00:00Z", "what": "GET /files/berlin/output_trips.csv.gz", "from": "130.149.1.2", "day": "2026-11-24", "today": 192, "before": [31, 0, 0, 2, 0, 0]}
        }});
        self.hear(Message::Activity(Ok(Box::new(serde_json::from_value(activity()).unwrap()))));
        self.hear(Message::ServerKeys(Ok(serde_json::from_value(uses).unwrap())));
        self.press("4");
    }

    pub fn drawn(&self) -> String {
        let (width, height) = self.model.size;
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view(&self.model, frame)).unwrap();
        text(terminal.backend().buffer())
    }
}

/// Rows of text. What is reversed stands between `‹` and `›` behind its row, so that a lost selection is seen.
fn text(buffer: &Buffer) -> String {
    let mut rows = Vec::new();
    for y in 0..buffer.area.height {
        let cell = |x: u16| &buffer[(x, y)];
        let mut row = String::new();
        let mut x = 0;
        while x < buffer.area.width {
            row.push_str(cell(x).symbol());
            x += u16::try_from(sounding::text::width(cell(x).symbol())).unwrap().max(1);
        }
        let reversed: String = (0..buffer.area.width)
            .filter(|it| cell(*it).modifier.contains(ratatui::style::Modifier::REVERSED))
            .map(|it| cell(it).symbol())
            .collect();
        let mark = if reversed.is_empty() {
            String::new()
        } else {
            format!("   ‹{}›", reversed.trim())
        };
        rows.push(format!("{}{mark}", row.trim_end()));
    }
    rows.join("\n")
}

fn activity() -> serde_json::Value {
    let recent = |seq: u64, status: u16, path: &str, user: Option<&str>| {
        json!({"seq": seq, "time": format!("2026-11-24T14:02:{:02}Z", seq), "status": status, "latency_micros": 3000 + seq * 1000, "micros": 9000 + 20_000_000 * (seq - 1),
            "method": "GET", "path": path, "sent": 8_000_000 * seq, "received": 0, "username": user, "client": "130.149.1.2", "complete": true})
    };
    let parts: Vec<_> = (0..60).map(|it| json!({"requests": it * 3 % 50, "refused": it % 3, "errors": it / 59, "sent": it * 4_000_000, "received": it * 2_000_000, "p50_micros": 4000, "p99_micros": it * 1000})).collect();
    json!({
        "up_seconds": 15_660, "part_seconds": 5, "parts": parts, "p50_micros": 4100, "p99_micros": 61_000,
        "open": [
            {"seq": 90, "method": "GET", "path": "/files/berlin/output_events.xml.gz", "range": "bytes 2100000000-2199999999/6800000000",
             "username": "imove", "client": "130.149.1.2", "millis": 41_000, "sent": 49_000_000, "received": 0, "expected": 100_000_000},
            {"seq": 91, "method": "PUT", "path": "/files/zurich/od/am.omx", "range": null, "username": "kmt", "client": "130.149.1.3",
             "millis": 12_000, "sent": 0, "received": 64_000_000, "expected": 100_000_000},
        ],
        "recent": [recent(1, 200, "/files/berlin/simwrapper/dashboard-1.yaml", Some("imove")), recent(2, 206, "/files/berlin/output_trips.csv.gz", Some("imove")), recent(3, 401, "/files/berlin/", None)],
        "arrivals": [{"time": "2026-11-24T14:00:00Z", "path": "zurich/links.parquet", "type": "file", "size": 412_000_000}],
        "disk": {"size": 250_000_000_000_u64, "free": 96_400_000_000_u64, "filling": 21_000_000.0},
        "awake": ["1 download", "1 upload", "1 console"], "idle_exit": 900, "warnings": [], "console": 1,
        "consoles": [{"number": 1, "since": "2026-11-24T13:55:00Z"}, {"number": 2, "since": "2026-11-24T14:00:00Z"}],
    })
}

/// Draws one state of the console at each size.
pub fn check(name: &str, tell: impl Fn(&mut Told)) {
    for size in [(80, 24), (60, 15), (200, 60)] {
        let mut told = Told::new(size);
        tell(&mut told);
        insta::assert_snapshot!(format!("{name}-{}x{}", size.0, size.1), told.drawn());
    }
}

pub fn rel(path: &str) -> RelPath {
    RelPath::from_plain(path.as_bytes()).unwrap()
}

/// A folder that nobody can read.
fn access(path: &str) -> Access {
    Access {
        path: rel(path),
        is_folder: true,
        base: Some("https://x.fly.dev".to_owned()),
        is_public: false,
        rows: Vec::new(),
        extra: Vec::new(),
    }
}

#[test]
fn files() {
    let tell = |it: &mut Told, is_page: bool| {
        it.press("jjjjj j");
        if is_page && !it.model.has_room_beside() {
            it.press("i");
        }
        let rows = [
            ["person", "trip_id", "dep_time"],
            ["100024", "100024_1", "07:42:10"],
            ["100031", "100031_1", "08:10:02"],
        ];
        let body = Body::Table(
            rows.iter().map(|it| it.iter().map(|it| (*it).to_owned()).collect()).collect(),
        );
        let facts = vec!["24 columns, about 31 M rows".to_owned()];
        let preview =
            Preview { facts, body, read: 64 << 10, trouble: None, took: Duration::from_millis(3) };
        if let Some(path) = it.model.browse.looking.clone() {
            it.hear(Message::Previewed(path, Box::new(preview)));
        }
        it.hear(Message::Done(Ok(Done {
            text: "moved scorestats-old.png to trash".to_owned(),
            undo: Some(Undo::new("moved scorestats-old.png to trash", Vec::new())),
            ..Done::default()
        })));
        it.list();
    };
    check("files", |it| tell(it, false));
    check("folder-in-folders", |it| {
        it.press("j");
        it.press("\r");
        it.list();
        let names = it.desk.names(&RelPath::default()).unwrap();
        it.hear(Message::ListedAbove(RelPath::default(), Arc::new(names)));
    });
    check("preview", |it| tell(it, true));
}

#[test]
fn a_filter_is_typed() {
    check("filter", |it| it.press("/trp"));
    check("filter-nothing", |it| it.press("/zzz"));
}

#[test]
fn who_can_read_it() {
    check("readers", |it| {
        it.press("i");
        let lines = [
            "https://x.fly.dev/files/analysis/",
            "",
            "1 key can read it:",
            "imove  imove-..x9Qd  read, whole volume",
        ];
        it.hear(Message::Readers(rel("analysis"), Ok(lines.map(str::to_owned).to_vec())));
    });
}

#[test]
fn an_empty_folder_and_one_that_cannot_be_read() {
    check("empty", |it| {
        it.press("jj\r");
        it.list();
    });
    check("first", |it| {
        for entry in walkdir::WalkDir::new(&it.desk.folder).min_depth(1).max_depth(1) {
            let path = entry.unwrap().into_path();
            if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            } else {
                std::fs::remove_file(path).unwrap();
            }
        }
        it.list();
    });
    check("unreadable", |it| {
        it.press("jj\r");
        let generation = it.model.browse.generation;
        it.hear(Message::Listed(generation, Err(Failure::new("Permission denied"))));
    });
}

#[test]
fn a_search_and_a_scan() {
    check("find", |it| {
        it.press("ftrips\r");
        let hits = ["berlin/output_trips.csv.gz", "zurich/output_trips.csv.gz"]
            .map(|it| Hit { path: rel(it), kind: Kind::File });
        let found =
            SearchProgress { hits: hits.to_vec(), seen: 61_204, unreadable: 0, is_done: false };
        it.hear(Message::Found(it.model.browse.generation, Ok(found)));
    });
    check("usage", |it| {
        it.press("U");
        let used = |name: &str, disk, kind| UsageEntry {
            name: name.into(),
            kind,
            len: disk,
            disk,
            files: 61,
        };
        let entries = vec![
            used("ITERS", 61_000_000_000, Kind::Folder),
            used(".sounding", 12_000_000_000, Kind::Folder),
            used("runs.sqlite", 4_400_000, Kind::File),
        ];
        it.hear(Message::Measured(
            it.model.browse.generation,
            Ok(Usage { entries, unreadable: 0, is_done: true }),
        ));
    });
}

#[test]
fn questions_about_files() {
    check("rename", |it| it.press("jjjjjr"));
    check("copy", |it| it.press("y"));
    check("sort", |it| it.press("s"));
    check("empty-trash", |it| it.press("X"));
    check("share", |it| {
        it.hear(Message::Addressed(Ok(Box::new(access("ITERS"))), AddressFor::PassingOn));
    });
    check("trash", |it| {
        let entry = |name: &str, kind, size| TrashEntry {
            name: name.to_owned(),
            path: Some(rel(name)),
            deleted: Some(now()),
            username: "kmt".to_owned(),
            kind,
            size,
            bytes: name.into(),
        };
        it.hear(Message::TrashRead(Ok(vec![
            entry("berlin", "directory", 0),
            entry("zurich/x.csv", "file", 12_000),
        ])));
    });
}

#[test]
fn keys() {
    check("keys", Told::keys);
    check("keys-warning", |it| {
        it.keys();
        it.press("jj");
    });
    check("keys-extra", |it| {
        it.keys();
        it.press("G");
    });
    check("keys-saved", |it| {
        it.keys();
        it.hear(Message::Done(Ok(Done {
            text: "key imove-..x9Qd of imove switched off".to_owned(),
            undo: Some(Undo::new("key imove-..x9Qd of imove switched off", Vec::new())),
            key: Some("717ecd7a".to_owned()),
            ..Done::default()
        })));
    });
    check("keys-add", |it| {
        it.keys();
        it.press("akmt");
    });
    check("keys-rotate", |it| {
        it.keys();
        it.press("o");
    });
    check("keys-revoke", |it| {
        it.keys();
        it.press("d");
    });
    check("keys-made", |it| {
        it.keys();
        let secret = "kmt-4Jq0vT7sYb2NcXw8ZpL5eRk3HdUm6AfGp0Aa".to_owned();
        let below =
            vec!["y copies it, if your terminal allows; otherwise mark the line above.".to_owned()];
        let done = Done {
            secret: Some(("New key of kmt: shown this one time".to_owned(), secret, below)),
            ..Done::default()
        };
        it.hear(Message::Done(Ok(done)));
    });
}

#[test]
fn what_goes_on() {
    check("activity", |it| {
        it.keys();
        it.press("5");
    });
    check("activity-chosen", |it| {
        it.keys();
        it.press("5j");
    });
    check("activity-by-user", |it| {
        it.keys();
        it.press("5ju");
    });
    check("activity-details", |it| {
        it.keys();
        it.press("5j\r");
    });
    check("activity-away", |it| {
        it.press("5");
        it.hear(Message::Activity(Err(Failure::new("no server answers"))));
    });
}

#[test]
fn help_and_commands() {
    check("help", |it| it.press("?"));
    check("help-topic", |it| it.press("?1"));
    check("help-search", |it| it.press("?/rotate"));
    check("address", |it| {
        it.hear(Message::Addressed(Ok(Box::new(access("analysis"))), AddressFor::Shown));
    });
    check("address-public", |it| {
        let public = Access { is_public: true, base: None, ..access("public") };
        it.hear(Message::Addressed(Ok(Box::new(public)), AddressFor::PassingOn));
    });
    check("about", |it| it.press(":about\r"));
    check("command", |it| it.press(":keys add kmt"));
    check("command-words", |it| {
        it.press(":keys r");
        let words = ["revoke", "rotate"].map(str::to_owned).to_vec();
        let completion = Completion { line: "keys r".to_owned(), words };
        it.hear(Message::Completed("keys r".to_owned(), completion));
    });
    check("output", |it| {
        let lines = ["/public/logo.png", "/zurich/logo.png"].map(str::to_owned).to_vec();
        it.hear(Message::Done(Ok(Done {
            output: Some(("find logo".to_owned(), lines)),
            ..Done::default()
        })));
    });
    check("editor", |it| {
        std::fs::write(it.desk.folder.join("d.yaml"), "title: Berlin\nrows:\n  - a\n").unwrap();
        it.hear(Message::Editing(it.desk.text(&rel("d.yaml")).map(Box::new)));
        it.press("x");
    });
    check("pager", |it| {
        let lines = (0..60).map(|it| (it * 10, format!("row {it}"))).collect();
        let page =
            Page { lines, end: 600, is_end: false, len: Some(6_800_000_000), ..Page::default() };
        it.hear(Message::Paged(rel("output_trips.csv"), Ok(page)));
    });
}

#[test]
fn the_smallest_screen_has_room_for_every_question() {
    let small = |name: &str, keys: &str| {
        let mut told = Told::new((40, 10));
        told.keys();
        told.press(keys);
        insta::assert_snapshot!(format!("{name}-40x10"), told.drawn());
    };
    small("keys-add", "akmt\t\t\t");
    small("copy", "1y");
    small("empty-trash", "1X\r");
    let mut told = Told::new((40, 10));
    told.hear(Message::Addressed(Ok(Box::new(access("ITERS"))), AddressFor::PassingOn));
    insta::assert_snapshot!("share-40x10", told.drawn());
}

#[test]
fn too_small_a_screen_says_so() {
    let told = Told::new((38, 9));
    assert_eq!(told.drawn().trim(), "60x15 or larger helps; 38x9 now.");
}
