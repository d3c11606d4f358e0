//! Changes made on the screen and taken back, on a real volume: the same keys, decisions and work as in the program.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::Timestamp;
use proptest::prelude::*;
use sounding::cli::{DeskArgs, ScreenArgs};
use sounding::effect::{Effect, Message};
use sounding::model::{Look, Model, Popup};
use sounding::ops::Desk;
use sounding::update::{start, update};
use sounding::work::Work;
use tokio::sync::mpsc::{self, Receiver};
use volume::console_settings::ConsoleSettings;

/// How long any answer may take.
const PATIENCE: Duration = Duration::from_mins(1);
const KEYS: &str = "# username,apikey\n\
    imove,imove-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUmx9Qd,write,,,2024-03-11,dashboards\n\
    kmt,kmt-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUmTz41,read,zurich,2099-11-27,2026-01-20,cluster\n";

/// A console that works on a volume, without a terminal.
pub struct Acting {
    pub volume: PathBuf,
    pub model: Model,
    work: Work,
    messages: Receiver<Message>,
    runtime: tokio::runtime::Runtime,
    _place: tempfile::TempDir,
}

impl Acting {
    pub fn new() -> Acting {
        Acting::with(false)
    }

    fn with(read_only: bool) -> Acting {
        // In memory, where nothing waits for a disk.
        let memory = Path::new("/dev/shm");
        let place = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).unwrap();
        let volume = place.path().join("volume");
        for (path, text) in [
            ("zurich/a.csv", "a"),
            ("zurich/b.csv", "b"),
            ("zurich/c.csv", "c"),
            ("zurich/run/links.csv", "links"),
            ("berlin/a.csv", "another a"),
            ("berlin/it.0/x.txt", "x"),
            ("notes.txt", "notes\n"),
            (".sounding/auth-keys.csv", KEYS),
        ] {
            put(&volume, path, text);
        }
        let folder = volume.clone();
        let desk = Desk::open(&DeskArgs {
            volume: folder,
            admin: Some(place.path().join("no.sock")),
            read_only,
            ..DeskArgs::default()
        })
        .unwrap();
        let look = Look::new(&ScreenArgs::default(), &ConsoleSettings::default(), &|_| None);
        let look = Look { read_only, ..look };
        let mut model = Model::new(look, "/data".to_owned(), (80, 24), Timestamp::now());
        let (inbox, messages) = mpsc::channel(64);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let work = Work::new(desk, "test".to_owned(), None, inbox);
        let effects = start(&mut model);
        let mut acting =
            Acting { volume, model, work, messages, runtime: runtime.unwrap(), _place: place };
        acting.carry_out(effects);
        acting
    }

    /// Does what is asked for until nothing more is.
    fn carry_out(&mut self, effects: Vec<Effect>) {
        let awaited = self.begin(effects);
        self.wait_for(awaited);
    }

    /// Begins what is asked for; says how many answers will come.
    fn begin(&mut self, effects: Vec<Effect>) -> usize {
        let _inside = self.runtime.enter();
        let mut awaited = 0;
        for effect in effects {
            // What only fills the screen is left out.
            awaited += match effect {
                Effect::Do(_)
                | Effect::List(..)
                | Effect::ReadKeys
                | Effect::ReadTrash
                | Effect::ReadLeftOut(_)
                | Effect::OpenEditor(_)
                | Effect::Transfer(_)
                | Effect::AskTransfers
                | Effect::Address(..)
                | Effect::Complete(_)
                | Effect::CompleteFolder(_)
                | Effect::Goto(_) => {
                    self.work.begin(effect);
                    1
                }
                Effect::StopChange | Effect::Preview(_) | Effect::KeepLook(_) => {
                    self.work.begin(effect);
                    0
                }
                _ => 0,
            };
        }
        awaited
    }

    fn wait_for(&mut self, mut awaited: usize) {
        while awaited > 0 {
            let next = async { tokio::time::timeout(PATIENCE, self.messages.recv()).await };
            let message = self.runtime.block_on(next).unwrap().unwrap();
            let is_extra = |it: &Message| {
                matches!(it, Message::Progress(_) | Message::Previewed(..) | Message::NotKept(_))
            };
            if !is_extra(&message) {
                awaited -= 1;
            }
            let effects = update(&mut self.model, message);
            awaited += self.begin(effects);
        }
    }

    /// Keys, each with all that comes of it.
    pub fn press(&mut self, keys: &str) {
        for letter in keys.chars() {
            let effects = self.one(letter);
            self.carry_out(effects);
        }
    }

    /// Keys, the next before anything came of the one before.
    pub fn press_at_once(&mut self, keys: &str) {
        let mut awaited = 0;
        for letter in keys.chars() {
            let effects = self.one(letter);
            awaited += self.begin(effects);
        }
        self.wait_for(awaited);
    }

    fn one(&mut self, letter: char) -> Vec<Effect> {
        let plain = |code| KeyEvent::new(code, KeyModifiers::NONE);
        let key = match letter {
            '\r' => plain(KeyCode::Enter),
            '\t' => plain(KeyCode::Tab),
            '\x1b' => plain(KeyCode::Esc),
            '→' => plain(KeyCode::Right),
            '←' => plain(KeyCode::Left),
            '\x03' => KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL),
            '\x15' => KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL),
            '\x0f' => KeyEvent::new(KeyCode::Char('o'), KeyModifiers::CONTROL),
            letter => plain(KeyCode::Char(letter)),
        };
        self.model.deaf_until = None;
        // Nobody is so quick as to press a key twice at once.
        self.model.now = self.model.now.checked_add(Duration::from_secs(1)).unwrap();
        update(&mut self.model, Message::Key(key))
    }

    fn paste(&mut self, text: &str) {
        let effects = update(&mut self.model, Message::Pasted(text.to_owned()));
        self.carry_out(effects);
    }

    pub fn goto(&mut self, folder: &str) {
        self.press(&format!("1:goto /{folder}\r"));
        assert_eq!(sounding::ops::shown(&self.model.browse.path), format!("/{folder}"));
    }

    /// The cursor onto a name of the folder.
    pub fn point_at(&mut self, name: &str) {
        let browse = &mut self.model.browse;
        let row = (0..browse.rows()).find(|it| {
            browse
                .index(*it)
                .and_then(|it| browse.name(it))
                .is_some_and(|it| it.bytes == name.as_bytes())
        });
        browse.cursor = row.unwrap_or_else(|| panic!("no {name}"));
    }

    /// Selects names of a folder.
    pub fn select(&mut self, folder: &str, names: &[&str]) {
        self.goto(folder);
        for name in names {
            self.point_at(name);
            self.press(" ");
        }
    }

    pub fn said(&self) -> &str {
        self.model.message.as_ref().map_or("", |it| it.text.as_str())
    }

    fn form(&self) -> Option<&sounding::model::Form> {
        match &self.model.popup {
            Some(Popup::Form(form)) => Some(form),
            _ => None,
        }
    }

    pub fn seen(&self) -> Seen {
        Seen::of(&self.volume)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.volume.join(path)).unwrap_or_else(|_| format!("no {path}"))
    }

    fn has(&self, path: &str) -> bool {
        fs::symlink_metadata(self.volume.join(path)).is_ok()
    }
}

pub fn put(volume: &Path, path: &str, text: &str) {
    let path = volume.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    // Written at some other time than now.
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + text.len() as u64);
    fs::File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
}

/// Names, texts and times of files; folders; the keys file; what is in the trash: where from, its text, its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub tree: BTreeMap<String, Option<(String, i64, i64)>>,
    pub keys: String,
    pub trash: Vec<(String, String, String)>,
}

impl Seen {
    pub fn of(volume: &Path) -> Seen {
        let mut tree = BTreeMap::new();
        let is_own = |it: &walkdir::DirEntry| it.file_name() == ".sounding";
        let walk = walkdir::WalkDir::new(volume).into_iter().filter_entry(|it| !is_own(it));
        for entry in walk.map(Result::unwrap) {
            let path = entry.path().strip_prefix(volume).unwrap().display().to_string();
            let stat = entry.metadata().unwrap();
            let file = stat.is_file().then(|| {
                (fs::read_to_string(entry.path()).unwrap(), stat.mtime(), stat.mtime_nsec())
            });
            tree.insert(path, file);
        }
        let own = volume.join(".sounding");
        let mut trash = Vec::new();
        for entry in fs::read_dir(own.join("trash/files")).into_iter().flatten().map(Result::unwrap)
        {
            let record = format!("{}.trashinfo", entry.file_name().display());
            let record = fs::read_to_string(own.join("trash/info").join(record)).unwrap();
            let from = record.lines().find_map(|it| it.strip_prefix("Path=")).unwrap().to_owned();
            let text = if entry.metadata().unwrap().is_dir() {
                let below = walkdir::WalkDir::new(entry.path()).sort_by_file_name().into_iter();
                below
                    .map(|it| it.unwrap().file_name().display().to_string())
                    .skip(1)
                    .collect::<Vec<_>>()
                    .join(" ")
            } else {
                fs::read_to_string(entry.path()).unwrap()
            };
            trash.push((from, text, record));
        }
        trash.sort();
        let staging = fs::read_dir(own.join("staging")).map_or(0, Iterator::count);
        assert_eq!(staging, 0, "nothing is left on its way");
        Seen {
            tree,
            keys: fs::read_to_string(own.join("auth-keys.csv")).unwrap_or_default(),
            trash,
        }
    }
}

/// What the field says to do with names that are taken: how often Right is pressed.
const CONFLICTS: [&str; 3] = ["", "→", "→→"];

#[test]
fn several_things_go_into_a_folder_that_is_made_first_or_nowhere() {
    for (key, slash) in [("m", ""), ("m", "/"), ("y", ""), ("y", "/")] {
        for conflict in CONFLICTS {
            let mut acting = Acting::new();
            let before = acting.seen();
            acting.select("zurich", &["a.csv", "b.csv", "c.csv"]);
            acting.press(&format!("{key}\x15zurich/archive2{slash}\t{conflict}\r"));
            let form = acting.form().unwrap_or_else(|| panic!("{}", acting.said()));
            assert!(form.title.contains("Make the folder /zurich/archive2"), "{}", form.title);
            acting.press("\x1b");
            assert_eq!(acting.seen(), before, "no is no");
            acting.press(&format!("{key}\x15zurich/archive2{slash}\t{conflict}\r\r"));
            assert!(acting.said().contains("3 items to /zurich/archive2"), "{}", acting.said());
            for name in ["a", "b", "c"] {
                assert_eq!(acting.read(&format!("zurich/archive2/{name}.csv")), name);
                assert_eq!(acting.has(&format!("zurich/{name}.csv")), key == "y");
            }
            acting.press("u");
            assert!(acting.said().contains("undone"), "{}", acting.said());
            let after = acting.seen();
            assert_eq!((after.tree, after.keys), (before.tree, before.keys));
            assert_eq!(
                after.trash.len(),
                if key == "y" { 3 } else { 0 },
                "copies lie in the trash"
            );
        }
    }
}

#[test]
fn a_file_is_no_folder_for_several_things_nor_with_a_slash_behind_it() {
    for (names, to) in [
        (&["a.csv", "b.csv"][..], "notes.txt"),
        (&["a.csv"], "notes.txt/"),
        (&["a.csv", "run"], "berlin/a.csv"),
    ] {
        for (key, conflict) in [("m", "→→"), ("y", "→→"), ("m", ""), ("y", "→")] {
            let mut acting = Acting::new();
            let before = acting.seen();
            acting.select("zurich", names);
            acting.press(&format!("{key}\x15{to}\t{conflict}\r"));
            assert!(acting.said().contains("is not a folder"), "{}", acting.said());
            assert_eq!(acting.seen(), before);
        }
    }
}

#[test]
fn a_slash_behind_one_name_means_a_folder() {
    let mut acting = Acting::new();
    let before = acting.seen();
    acting.select("zurich", &["a.csv"]);
    acting.press("m\x15new/deep/\t\r\r");
    assert_eq!(acting.read("new/deep/a.csv"), "a");
    acting.press("u");
    assert_eq!(acting.seen(), before);
    acting.select("zurich", &["a.csv"]);
    acting.press("m\x15new/deep\t\r");
    assert_eq!(acting.read("new/deep"), "a", "and without one a new name: {}", acting.said());
    acting.press("u");
    assert_eq!(acting.seen(), before);
}

#[test]
fn what_is_in_the_way_of_one_keeps_all_of_them_where_they_are() {
    for key in ["m", "y"] {
        let mut acting = Acting::new();
        let before = acting.seen();
        acting.select("zurich", &["a.csv", "b.csv", "c.csv"]);
        acting.press(&format!("{key}\x15berlin\t\r"));
        assert!(acting.said().contains("`/berlin/a.csv` already exists"), "{}", acting.said());
        assert_eq!(acting.seen(), before);
        acting.press(&format!("{key}\x15zurich/run\t\r"));
        assert_eq!(acting.read("zurich/run/c.csv"), "c");
        acting.select("", &["zurich", "notes.txt"]);
        acting.press(&format!("{key}\x15zurich/run\t\r"));
        assert!(
            acting.said().contains("into itself") && acting.has("notes.txt"),
            "{}",
            acting.said()
        );
    }
}

#[test]
fn undo_brings_back_what_was_replaced() {
    for key in ["m", "y"] {
        let mut acting = Acting::new();
        put(&acting.volume, "berlin/run/old.csv", "an old run");
        let before = acting.seen();
        acting.select("zurich", &["a.csv", "b.csv", "run"]);
        acting.press(&format!("{key}\x15berlin\t→→\r"));
        assert_eq!(acting.read("berlin/a.csv"), "a");
        assert!(acting.has("berlin/run/links.csv") && !acting.has("berlin/run/old.csv"));
        acting.press("u");
        let after = acting.seen();
        assert_eq!(after.tree, before.tree, "{}", acting.said());
        let copies = after.trash.iter().filter(|it| it.0.starts_with("berlin/")).count();
        assert_eq!((after.trash.len(), copies), if key == "m" { (0, 0) } else { (3, 3) });
    }
}

#[test]
fn undo_of_a_group_does_what_can_be_done_and_keeps_the_rest() {
    let mut acting = Acting::new();
    let before = acting.seen();
    acting.select("zurich", &["a.csv", "b.csv", "c.csv", "run"]);
    acting.press("d");
    // Somebody else puts one of them back, and writes to it.
    let desk = Desk::open(&DeskArgs { volume: acting.volume.clone(), ..DeskArgs::default() });
    desk.unwrap().restore(b"b.csv", None).unwrap();
    put(&acting.volume, "zurich/b.csv", "newer");
    acting.press("u");
    assert!(acting.said().contains("undone but for 1 step"), "{}", acting.said());
    assert_eq!(
        (acting.read("zurich/a.csv"), acting.read("zurich/b.csv")),
        ("a".into(), "newer".into())
    );
    assert!(acting.has("zurich/c.csv") && acting.has("zurich/run/links.csv"));
    // What can never be done does not stand in the way of what was before.
    acting.press("u");
    assert!(acting.said().contains("given up"), "{}", acting.said());
    acting.press("u");
    assert_eq!(acting.said(), "nothing to undo");
    put(&acting.volume, "zurich/b.csv", "b");
    assert_eq!(acting.seen(), before);
}

#[test]
fn the_rest_of_an_undo_is_done_when_it_can_be() {
    let mut acting = Acting::new();
    let before = acting.seen();
    acting.select("zurich", &["a.csv", "b.csv"]);
    acting.press("d");
    put(&acting.volume, "zurich/a.csv", "in the way");
    acting.press("u");
    assert!(acting.said().contains("already exists"), "{}", acting.said());
    assert_eq!(acting.read("zurich/a.csv"), "in the way");
    fs::remove_file(acting.volume.join("zurich/a.csv")).unwrap();
    acting.press("u");
    assert_eq!(acting.seen(), before);
}

#[test]
fn undo_after_revoking_a_key_brings_that_back_and_then_the_change_before() {
    let mut acting = Acting::new();
    let before = acting.seen();
    acting.press("4e\x15another note\r\r\r\r");
    assert!(acting.read(".sounding/auth-keys.csv").contains("another note"), "{}", acting.said());
    acting.press("dx9Qd\r");
    assert!(!acting.read(".sounding/auth-keys.csv").contains("imove"), "{}", acting.said());
    acting.press("u");
    assert!(acting.read(".sounding/auth-keys.csv").contains("another note"), "{}", acting.said());
    acting.press("u");
    assert_eq!(acting.seen(), before, "{}", acting.said());
}

#[test]
fn what_somebody_else_has_changed_since_is_not_undone() {
    let mut acting = Acting::new();
    acting.select("zurich", &["a.csv", "run"]);
    acting.press("y\x15new\t\r\r");
    // A copy was written to, and into the other one something came.
    put(&acting.volume, "new/a.csv", "a newer a");
    put(&acting.volume, "new/run/more.csv", "more");
    acting.press("u");
    assert!(acting.said().contains("was changed since"), "{}", acting.said());
    assert_eq!(
        (acting.read("new/a.csv"), acting.read("new/run/more.csv")),
        ("a newer a".into(), "more".into())
    );
    // Something was moved, and a newer one came to where it went.
    let mut acting = Acting::new();
    acting.select("zurich", &["b.csv"]);
    acting.press("m\x15berlin\t\r");
    fs::remove_file(acting.volume.join("berlin/b.csv")).unwrap();
    put(&acting.volume, "berlin/b.csv", "somebody else's");
    acting.press("u");
    assert!(acting.said().contains("is not what was moved there"), "{}", acting.said());
    assert_eq!(acting.read("berlin/b.csv"), "somebody else's");
    assert!(!acting.has("zurich/b.csv"));
    // A text was written, and then by somebody else.
    let mut acting = Acting::new();
    acting.goto("");
    acting.point_at("notes.txt");
    acting.press("emore \x0f");
    assert_eq!(acting.read("notes.txt"), "more notes\n");
    put(&acting.volume, "notes.txt", "newer notes\n");
    acting.press("u");
    assert_eq!(acting.read("notes.txt"), "newer notes\n");
    // A folder was made, and something came into it.
    acting.press("nfolder\r");
    put(&acting.volume, "folder/x", "x");
    acting.press("u");
    assert!(acting.said().contains("is not empty") && acting.has("folder/x"), "{}", acting.said());
}

#[test]
fn keys_that_others_have_changed_since_stay_theirs() {
    let mut acting = Acting::new();
    acting.press("4p");
    let off = acting.read(".sounding/auth-keys.csv");
    assert!(off.contains("# imove,"), "{off}");
    // Another key was made elsewhere: that one stays, and the undo finds its line.
    fs::write(
        acting.volume.join(".sounding/auth-keys.csv"),
        format!("# by hand\n{off}zoe,zoe-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUmTz41\n"),
    )
    .unwrap();
    acting.press("u");
    let on = acting.read(".sounding/auth-keys.csv");
    assert_eq!(on, format!("# by hand\n{KEYS}zoe,zoe-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUmTz41\n"));
    acting.press("Rp");
    let theirs = acting.read(".sounding/auth-keys.csv").replace("dashboards", "mine now");
    fs::write(acting.volume.join(".sounding/auth-keys.csv"), &theirs).unwrap();
    acting.press("u");
    assert!(acting.said().contains("somebody has changed that line"), "{}", acting.said());
    assert_eq!(acting.read(".sounding/auth-keys.csv"), theirs);
}

#[test]
fn undo_pressed_ahead_waits_its_turn() {
    let mut acting = Acting::new();
    let before = acting.seen();
    acting.goto("");
    acting.point_at("notes.txt");
    acting.press("r\x15one\r");
    acting.point_at("one.txt");
    acting.press("r\x15two\r");
    acting.point_at("two.txt");
    acting.press_at_once("duuu");
    assert_eq!(acting.seen(), before, "{}", acting.said());
}

#[test]
fn a_text_that_is_changed_is_not_thrown_away_by_interrupting() {
    let mut acting = Acting::new();
    acting.goto("");
    acting.point_at("notes.txt");
    acting.press("emore \x03");
    assert!(!acting.model.is_over && matches!(acting.model.popup, Some(Popup::Editor(_))));
    // However often: only an answer throws it away.
    acting.press("\x03\x03\x03");
    assert!(!acting.model.is_over);
    acting.press("\x03s");
    assert_eq!(acting.read("notes.txt"), "more notes\n");
    acting.press("emore \x03x\x03");
    assert!(acting.model.is_over);
    assert_eq!(acting.read("notes.txt"), "more notes\n");
    // One that is as it was is just left.
    let mut acting = Acting::new();
    acting.goto("");
    acting.point_at("notes.txt");
    acting.press("e\x03");
    assert!(acting.model.is_over);
}

#[test]
fn a_text_that_could_not_be_saved_stays_open() {
    let mut acting = Acting::new();
    acting.goto("");
    acting.point_at("notes.txt");
    acting.press("emore ");
    put(&acting.volume, "notes.txt", "by somebody else\n");
    acting.press("\x0f");
    assert!(acting.said().contains("not saved"), "{}", acting.said());
    let Some(Popup::Editor(editor)) = &acting.model.popup else { panic!("the text is gone") };
    assert_eq!((editor.text().as_str(), editor.is_changed()), ("more notes\n", true));
    assert_eq!(acting.read("notes.txt"), "by somebody else\n");
}

#[test]
fn news_does_not_take_the_place_of_what_is_typed() {
    let mut acting = Acting::new();
    acting.select("zurich", &["a.csv", "b.csv"]);
    // The offer to make a folder comes when a text is open already.
    acting.press("m\x15new\t");
    let effects = acting.one('\r');
    let awaited = acting.begin(effects);
    acting.model.browse.selected.clear();
    acting.point_at("a.csv");
    let effects = acting.one('e');
    let awaited = awaited + acting.begin(effects);
    acting.wait_for(awaited);
    acting.press("\x1b");
    assert!(acting.model.popup.is_some(), "the other one is behind it");
    acting.press("\x1b");
    assert!(acting.model.popup.is_none());
}

#[test]
fn a_key_that_is_shown_once_is_not_lost_by_interrupting() {
    let mut acting = Acting::new();
    acting.press("4azoe\t\t\t\t\r");
    assert!(matches!(acting.model.popup, Some(Popup::Secret(_))), "{}", acting.said());
    acting.press("\x03");
    assert!(!acting.model.is_over && acting.said().contains("shown only now"));
    acting.press("\x03");
    assert!(acting.model.is_over);
}

#[test]
fn whoever_leaves_while_a_change_runs_is_asked_from_its_first_moment() {
    for key in ['q', '\x03'] {
        let mut acting = Acting::new();
        acting.select("zurich", &["a.csv"]);
        acting.press("y\x15berlin/copy\t");
        let effects = acting.one('\r');
        let awaited = acting.begin(effects);
        acting.one(key);
        assert!(!acting.model.is_over);
        assert!(acting.form().is_some_and(|it| it.title == "Quit"), "{key:?}");
        acting.wait_for(awaited);
        // The second ^C needs no answer.
        acting.press("\x03");
        assert!(acting.model.is_over);
    }
}

#[test]
fn a_copy_that_ends_with_the_console_leaves_nothing_on_its_way() {
    let mut acting = Acting::new();
    for number in 0..6000 {
        put(&acting.volume, &format!("large/{number}"), "x");
    }
    let before = acting.seen();
    acting.goto("");
    acting.point_at("large");
    acting.press("y\x15copy\t");
    let effects = acting.one('\r');
    acting.begin(effects);
    let staging = acting.volume.join(".sounding/staging");
    let began = std::time::Instant::now();
    while fs::read_dir(&staging).map_or(0, Iterator::count) == 0 {
        assert!(began.elapsed() < PATIENCE, "the copy does not begin");
        std::thread::yield_now();
    }
    acting.messages.close();
    acting.work.end();
    assert_eq!(fs::read_dir(&staging).unwrap().count(), 0, "the program ends now");
    assert_eq!(acting.seen(), before, "nothing of it is left, and nothing is on its way");
}

/// All there is on a volume, the service's own folder too: names, texts, modes and times.
fn everything(volume: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u32, i64, i64)> {
    let entries = walkdir::WalkDir::new(volume).into_iter().map(Result::unwrap);
    let all = entries.map(|it| {
        let stat = it.metadata().unwrap();
        let text = if stat.is_file() { fs::read(it.path()).unwrap() } else { Vec::new() };
        (it.path().to_owned(), (text, stat.mode(), stat.mtime(), stat.mtime_nsec()))
    });
    all.collect()
}

#[test]
fn with_read_only_no_command_changes_anything() {
    let full = Acting::new();
    put(&full.volume, "berlin/gone", "gone");
    let gone = full.volume.join("berlin/gone");
    let run = |volume: &Path, words: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sounding"));
        command
            .args(words)
            .env("SOUNDING_VOLUME", volume)
            .env("SOUNDING_ADMIN", volume.join("no.sock"));
        command.env_remove("API_KEYS").stdin(std::process::Stdio::null()).output().unwrap()
    };
    assert!(run(&full.volume, &["rm", "berlin/gone"]).status.success() && !gone.exists());
    let empty = tempfile::tempdir().unwrap();
    let twins = sounding::key::BINDINGS.iter().filter_map(|it| match it.twin {
        sounding::key::Twin::Command(line) => Some(line),
        sounding::key::Twin::ScreenOnly => None,
    });
    let others = [
        "mv notes.txt zurich",
        "cp notes.txt zurich --replace",
        "put notes.txt --text x",
        "rm notes.txt",
        "mkdir new",
        "trash restore gone",
        "trash remove gone --yes",
        "keys disable kmt",
        "keys enable kmt",
        "keys note kmt x",
        "keys set kmt --scope write",
        "keys seal kmt",
        "keys revoke kmt",
        "share notes.txt",
        "receive 7-guitarist-revenge --yes",
        "receive --yes",
        "send notes.txt",
        "send --text x",
        "transfers show 1",
        "transfers wait",
        "cat notes.txt",
        "doctor --fix-owners --yes",
        "info zurich --json",
        "transfers --json",
        "keys --json",
        "trash --json",
        "keys check",
    ];
    for line in twins.chain(others) {
        let words: Vec<&str> = line.split(' ').collect();
        let cli = <sounding::cli::Cli as clap::Parser>::try_parse_from(
            [&["sounding"], words.as_slice()].concat(),
        );
        let changes = cli.unwrap().command.unwrap().changes_something();
        for volume in [full.volume.as_path(), empty.path()] {
            let before = everything(volume);
            // It is understood in front of a command and behind it.
            for given in [
                [&["--read-only"], words.as_slice()].concat(),
                [words.as_slice(), &["--read-only"]].concat(),
            ] {
                let output = run(volume, &given);
                assert_eq!(everything(volume), before, "{line}: {output:?}");
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                let refused = said == format!("sounding: {}\n", sounding::ops::READ_ONLY);
                assert_eq!(
                    (refused, changes && output.status.code() != Some(1)),
                    (changes, false),
                    "{line}: {output:?}"
                );
            }
        }
    }
}

#[test]
fn with_read_only_whatever_the_screen_asks_for_changes_nothing() {
    use sounding::cli::transfers::{ReceiveArgs, SendArgs, TransfersCommand};
    use sounding::effect::{Op, Wish};
    use sounding::ops::relocate::{Destination, Relocating, Relocation};
    use volume::keys::sheet::{NewKey, OldKey};
    let rel = crate::snapshots::rel;
    let writing = Acting::new();
    let at = rel("zurich/a.csv");
    let desk =
        Desk::open(&DeskArgs { volume: writing.volume.clone(), ..DeskArgs::default() }).unwrap();
    let in_trash = desk.discard(&rel("berlin/a.csv")).unwrap();
    let step = desk.trashed_step(&rel("berlin/a.csv"), in_trash.clone());
    let keys = desk.keys().unwrap();
    let row = Box::new(keys.rows.iter().find(|it| it.user == "kmt").unwrap().clone());
    let stat = desk.file(&at).unwrap().stat;
    let relocation = |how| Relocation {
        how,
        from: vec![at.clone()],
        to: Destination { path: rel("new"), is_folder: true },
        exists: volume::OnConflict::Replace,
        makes_folder: true,
    };
    let new = NewKey {
        user: "zoe".into(),
        scope: volume::keys::Scope::Read,
        path: rel(""),
        expires: String::new(),
        note: String::new(),
    };
    let ops = vec![
        Op::Discard(vec![at.clone()]),
        Op::DiscardNamed(vec![(rel(""), b".hidden".to_vec())]),
        Op::Rename(at.clone(), rel("zurich/z")),
        Op::Relocate(relocation(Relocating::Move)),
        Op::Relocate(relocation(Relocating::Copy)),
        Op::NewFolder(rel("new")),
        Op::Write(at.clone(), b"x".to_vec(), stat, b"a".to_vec()),
        Op::Restore(in_trash.clone(), rel("berlin/a.csv")),
        Op::Undo(sounding::ops::undo::Undo::new("x", vec![step])),
        Op::EmptyTrash,
        Op::RemoveTrashed(in_trash),
        Op::AddKey(keys.version, new),
        Op::EditKey(
            keys.version,
            row.clone(),
            vec![sounding::ops::keys::KeyEdit::Revoke],
            "revoked",
        ),
        Op::RotateKey(keys.version, row, OldKey::EndsNow, String::new()),
        Op::Share(at.clone(), "7d".into()),
        Op::KeepAwake(None),
        Op::Command("rm notes.txt".into()),
    ];
    let wishes = vec![
        Wish::Receive(ReceiveArgs::default()),
        Wish::Send(SendArgs { paths: vec!["notes.txt".into()], ..SendArgs::default() }),
        Wish::Transfers(TransfersCommand::Clear),
        Wish::cancel(1),
    ];
    // The same volume, by somebody who may only look. Nothing here asks whether that is so before it asks for work.
    let before = everything(&writing.volume);
    let (inbox, mut messages) = mpsc::channel(64);
    let args = DeskArgs {
        volume: writing.volume.clone(),
        admin: Some("/none.sock".into()),
        read_only: true,
        ..DeskArgs::default()
    };
    let work = Work::new(Desk::open(&args).unwrap(), "test".to_owned(), None, inbox);
    let effects = ops.into_iter().map(Effect::Do).chain(wishes.into_iter().map(Effect::Transfer));
    for effect in effects.chain([Effect::KeepLook(ConsoleSettings::default())]) {
        let what = format!("{effect:?}");
        let _inside = writing.runtime.enter();
        work.begin(effect);
        let next = async { tokio::time::timeout(PATIENCE, messages.recv()).await };
        let refused = match writing.runtime.block_on(next).unwrap().unwrap() {
            Message::Done(result) => result.map(drop).unwrap_err(),
            Message::Transferred(_, result) => result.map(drop).unwrap_err(),
            Message::NotKept(failure) => failure,
            other => panic!("{what}: {other:?}"),
        };
        assert_eq!(everything(&writing.volume), before, "{what}");
        assert!(refused.what.contains(sounding::ops::READ_ONLY), "{what}: {}", refused.what);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn with_read_only_no_keys_change_anything(
        keys in prop::collection::vec(crate::update::any_key(), 0..60),
    ) {
        let mut acting = Acting::with(true);
        let before = everything(&acting.volume);
        for key in keys {
            acting.model.deaf_until = None;
            let effects = update(&mut acting.model, Message::Key(key));
            acting.carry_out(effects);
        }
        acting.messages.close();
        acting.work.end();
        prop_assert_eq!(everything(&acting.volume), before);
    }
}

#[test]
fn what_is_pasted_is_letters_or_nothing() {
    let mut acting = Acting::new();
    let before = acting.seen();
    acting.goto("zurich");
    acting.point_at("a.csv");
    // In every list, in front of what is only looked at, and on the buttons of a question.
    for keys in
        ["1", "3", "4", "5", "1?", "1t", "1c", "1X\t", "1S\t", "1s", "4d\t", "4z", "1w", "1y\t"]
    {
        acting.press(keys);
        let popup = format!("{:?}", acting.model.popup);
        acting.paste("downloads of run\rudX yqxs\n");
        assert!(
            acting.said().contains("what you pasted does nothing"),
            "{keys}: {}",
            acting.said()
        );
        assert_eq!(format!("{:?}", acting.model.popup), popup, "{keys}");
        assert!(!acting.model.is_over && acting.seen() == before, "{keys}");
        acting.press("\x1b\x1b");
    }
    // Where letters are typed it is letters; its line ends do not answer anything.
    acting.press("2");
    acting.paste("7-guitarist-revenge\n");
    assert_eq!(acting.model.receive.code.text(), "7-guitarist-revenge");
    assert!(acting.model.receive.opened.is_none() && !acting.model.receive.is_starting);
    acting.press("\x1b1n");
    acting.paste("a new\nname\n");
    assert_eq!(acting.form().unwrap().value("Name"), "a new name");
    acting.press("\x1b/");
    acting.paste("a.c");
    assert_eq!(acting.model.browse.filter.as_ref().unwrap().input.text(), "a.c");
    acting.press("\x1b?/");
    acting.paste("q1?");
    assert!(matches!(&acting.model.popup, Some(Popup::Help(it)) if it.filter.text() == "q1?"));
    acting.press("\x1b\x1b");
    acting.goto("");
    acting.point_at("notes.txt");
    acting.press("e");
    acting.paste("one\n\ttwo\n");
    let Some(Popup::Editor(editor)) = &acting.model.popup else { panic!() };
    assert_eq!(editor.text(), "one\n\ttwo\nnotes\n");
    // Where it is asked whether a text is thrown away, nothing that is pasted answers.
    acting.press("\x1b");
    acting.paste("xs");
    assert!(matches!(&acting.model.popup, Some(Popup::Editor(it)) if it.is_leaving));
    assert_eq!(acting.seen(), before);
}

#[test]
fn a_key_that_is_held_down_trashes_one_thing() {
    let mut acting = Acting::new();
    acting.goto("zurich");
    acting.point_at("a.csv");
    let now = acting.model.now;
    for milliseconds in [0, 500, 530, 560, 1100, 1130] {
        let key = Message::Key(KeyEvent::from(KeyCode::Char('d')));
        acting.model.now = now.checked_add(Duration::from_millis(milliseconds)).unwrap();
        let effects = update(&mut acting.model, key);
        acting.carry_out(effects);
    }
    assert!(acting.said().contains("only the first counts"), "{}", acting.said());
    assert_eq!(acting.seen().trash.len(), 1);
    // Another key in between, or some time, and it counts again.
    acting.press("d");
    assert_eq!(acting.seen().trash.len(), 2);
}

#[test]
fn nothing_is_sent_unasked() {
    let mut acting = Acting::new();
    acting.select("zurich", &["a.csv", "b.csv"]);
    assert!(acting.one('w').is_empty());
    assert!(acting.form().is_some_and(|it| it.title == "Send 2 items by wormhole"));
    assert!(acting.one('\x1b').is_empty() && acting.model.popup.is_none());
    assert_eq!(acting.model.browse.selected.len(), 2);
    acting.one('w');
    let effects = acting.one('\r');
    assert!(matches!(effects.as_slice(), [Effect::Transfer(_)]), "{effects:?}");
}

/// Something that an operator does. Numbers choose among what is there then.
#[derive(Clone, Debug)]
enum Deed {
    Relocate { key: char, folder: usize, chosen: Vec<usize>, to: &'static str, conflict: usize },
    Discard { folder: usize, chosen: Vec<usize> },
    Restore(usize),
    NewFolder { folder: usize, name: &'static str },
    Rename { folder: usize, which: usize, name: &'static str },
    Edit { folder: usize, which: usize },
    Key { key: char, which: usize, answer: &'static str },
    Share { folder: usize, which: usize },
    Line(&'static str),
    Undo,
}

const FOLDERS: [&str; 6] = ["", "zurich", "berlin", "zurich/run", "berlin/it.0", "new"];
const NAMES: [&str; 5] = ["a.csv", "b.csv", "run", "notes.txt", "new"];
const DESTINATIONS: [&str; 9] = [
    "/",
    "zurich",
    "berlin/",
    "new",
    "new/",
    "zurich/run/deep/",
    "berlin/a.csv",
    "notes.txt",
    "zurich/run",
];

const LINES: [&str; 12] = [
    "rm zurich/a.csv berlin",
    "mv zurich/a.csv zurich/b.csv berlin --replace",
    "mv zurich/a.csv new/one.csv",
    "cp zurich berlin --keep-both",
    "mkdir new/deep",
    "put notes.txt --text other",
    "put new/deep/note.txt --text x",
    "trash restore a.csv",
    "trash restore a.csv --to new/a.csv",
    "keys disable kmt",
    "keys rotate imove --overlap 0",
    "share zurich",
];

fn deed() -> impl Strategy<Value = Deed> {
    let folder = || 0..FOLDERS.len();
    let chosen = || prop::collection::vec(0..8_usize, 1..4);
    let name = || prop::sample::select(NAMES.to_vec());
    let to = prop::sample::select(DESTINATIONS.to_vec());
    let key = prop::sample::select(vec![
        ('p', ""),
        ('e', "\x15other\r→\r\x15/zurich\r\x15never\r"),
        ('e', "\r\r\r\x1560d\r"),
        ('o', "\r90d\r"),
        ('o', "←\r\x15never\r"),
        ('d', ""),
        ('z', "\t\r"),
        ('a', "zoe\tnew\t\t\t\r"),
        ('w', ""),
    ]);
    prop_oneof![
        6 => (prop::sample::select(vec!['m', 'y']), folder(), chosen(), to, 0..3_usize)
            .prop_map(|(key, folder, chosen, to, conflict)| Deed::Relocate { key, folder, chosen, to, conflict }),
        3 => (folder(), chosen()).prop_map(|(folder, chosen)| Deed::Discard { folder, chosen }),
        2 => (0..4_usize).prop_map(Deed::Restore),
        1 => (folder(), name()).prop_map(|(folder, name)| Deed::NewFolder { folder, name }),
        2 => (folder(), 0..8_usize, name()).prop_map(|(folder, which, name)| Deed::Rename { folder, which, name }),
        2 => (folder(), 0..8_usize).prop_map(|(folder, which)| Deed::Edit { folder, which }),
        4 => (key, 0..4_usize).prop_map(|((key, answer), which)| Deed::Key { key, which, answer }),
        1 => (folder(), 0..8_usize).prop_map(|(folder, which)| Deed::Share { folder, which }),
        3 => prop::sample::select(LINES.to_vec()).prop_map(Deed::Line),
        2 => Just(Deed::Undo),
    ]
}

impl Acting {
    /// The names of a folder, if that is there; the console is in it then.
    fn names_of(&mut self, folder: usize) -> Vec<String> {
        self.press(&format!("1:goto /{}\r", FOLDERS[folder]));
        self.press("\x1b\x1b");
        if sounding::ops::shown(&self.model.browse.path) != format!("/{}", FOLDERS[folder]) {
            return Vec::new();
        }
        let Some(names) = self.model.browse.names.clone() else { return Vec::new() };
        let text = |it| String::from_utf8(names.get(it).unwrap().bytes.to_vec()).unwrap();
        (0..names.len()).map(text).collect()
    }

    fn do_it(&mut self, deed: &Deed) {
        match deed {
            Deed::Relocate { key, folder, chosen, to, conflict } => {
                if self.choose(*folder, chosen) {
                    self.press(&format!("{key}\x15{to}\t{}\r", CONFLICTS[*conflict]));
                    // The folder is made where that is offered.
                    if self.form().is_some_and(|it| it.title.starts_with("Make the folder")) {
                        self.press("\r");
                    }
                }
            }
            Deed::Discard { folder, chosen } => {
                if self.choose(*folder, chosen) {
                    self.press("d");
                }
            }
            Deed::Restore(which) => self.press(&format!("1t{}\r", "j".repeat(*which))),
            Deed::NewFolder { folder, name } => {
                self.names_of(*folder);
                self.press(&format!("n{name}\r"));
            }
            Deed::Rename { folder, which, name } => {
                if self.choose(*folder, &[*which]) {
                    self.press("r");
                    // Behind what tells the type.
                    self.press(&format!("{}\x15{name}\r", "→".repeat(20)));
                }
            }
            Deed::Edit { folder, which } => {
                if self.choose(*folder, &[*which]) {
                    self.press("emore \x0f");
                }
            }
            Deed::Key { key, which, answer } => {
                self.press("4R");
                let rows = self.model.keys.keys.as_ref().map_or(0, |it| it.rows.len());
                self.model.keys.cursor = which % rows.max(1);
                self.press(&key.to_string());
                let last = match self.form().map(|it| &it.purpose) {
                    Some(sounding::model::Purpose::RevokeKey(_, last)) => last.clone() + "\r",
                    _ => (*answer).to_owned(),
                };
                if self.form().is_some() {
                    self.press(&last);
                }
                self.press("\r1");
            }
            Deed::Share { folder, which } => {
                if self.choose(*folder, &[*which]) {
                    self.press("S\r\r");
                }
            }
            Deed::Line(line) => self.press(&format!("1:{line}\r")),
            Deed::Undo => self.press("1u"),
        }
        self.press("\x1b\x1b\x1b");
        self.model.popup = None;
    }

    /// Whether there is anything to choose.
    fn choose(&mut self, folder: usize, chosen: &[usize]) -> bool {
        let names = self.names_of(folder);
        self.model.browse.selected.clear();
        let Some(count) = std::num::NonZero::new(names.len()) else { return false };
        let mut chosen: Vec<usize> = chosen.iter().map(|it| it % count.get()).collect();
        chosen.sort_unstable();
        chosen.dedup();
        for name in chosen.iter().map(|it| &names[*it]) {
            self.point_at(name);
            if chosen.len() > 1 {
                self.press(" ");
            }
        }
        true
    }
}

/// How many there are, unless somebody wants more.
fn cases(usual: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|it| it.parse().ok()).unwrap_or(usual)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(128)))]

    #[test]
    fn whatever_is_done_is_undone(deeds in prop::collection::vec(deed(), 1..10)) {
        use sounding::ops::undo::Step;
        let mut acting = Acting::new();
        // Something was deleted before.
        acting.select("berlin", &["a.csv"]);
        acting.press("d");
        put(&acting.volume, "berlin/a.csv", "a second one");
        acting.model.undo.clear();
        let before = acting.seen();
        let mut copies = 0;
        for deed in &deeds {
            let before = acting.model.undo.len();
            acting.do_it(deed);
            let is_undone = acting.said().starts_with("undone") || acting.said() == "nothing to undo";
            prop_assert!(is_undone || !matches!(deed, Deed::Undo), "{}", acting.said());
            let new = acting.model.undo.iter().skip(before).flat_map(|it| &it.steps);
            copies += new.filter(|it| matches!(it, Step::Came { .. })).count();
        }
        let done = acting.model.undo.clone();
        for it in done.iter().rev() {
            acting.press("u");
            prop_assert!(acting.said().starts_with("undone"), "{}: {} {:?}", it.what, acting.said(), done);
        }
        acting.press("u");
        prop_assert_eq!(acting.said(), "nothing to undo");
        let after = acting.seen();
        prop_assert_eq!(&after.tree, &before.tree, "{:?}", done);
        prop_assert_eq!(&after.keys, &before.keys, "{:?}", done);
        // Only copies and texts that were made have come into the trash: they are not thrown away either.
        prop_assert_eq!(after.trash.len(), before.trash.len() + copies, "{:?}", done);
        for it in &before.trash {
            prop_assert!(after.trash.contains(it), "{:?} {:?} {:?}", it, after.trash, done);
        }
    }
}
