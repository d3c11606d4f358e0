//! What the console decides: keys and news go in, effects come out as data.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use proptest::prelude::*;
use sounding::cli::ThemeName;
use sounding::effect::{Done, Effect, Message, Op};
use sounding::model::{MESSAGE_STAYS, Popup, Redraw, Screen};
use sounding::ops::trash::TrashEntry;
use sounding::ops::undo::Undo;
use sounding::palette::Completion;
use sounding::preview::Preview;
use sounding::preview::pages::{Page, Where};
use sounding::update::update;
use volume::RelPath;
use volume::names::Kind;
use volume::scan::{Hit, SearchProgress, Usage, UsageEntry};
use volume::space::Space;

use crate::snapshots::{Told, rel};
use crate::transfers::some_transfers;

fn told() -> Told {
    Told::new((80, 24))
}

/// The effects of one key.
fn key(told: &mut Told, code: KeyCode) -> Vec<Effect> {
    told.model.deaf_until = None;
    update(&mut told.model, Message::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn letter(told: &mut Told, letter: char) -> Vec<Effect> {
    key(told, KeyCode::Char(letter))
}

fn progress(told: &mut Told) {
    told.hear(Message::Progress("copying ITERS: 3 files, 1.0 GB".to_owned()));
}

fn page(end: u64) -> Page {
    let lines = (0..18).map(|it| (it * 10, format!("row {it}"))).collect();
    Page { lines, end, is_end: false, len: Some(9000), ..Page::default() }
}

#[test]
fn whoever_looks_elsewhere_stops_no_copy() {
    let mut told = told();
    progress(&mut told);
    let effects = key(&mut told, KeyCode::Enter);
    assert!(matches!(effects.as_slice(), [Effect::Stop, Effect::List(..)]), "{effects:?}");
    assert!(told.model.browse.job.is_some());
    let effects = key(&mut told, KeyCode::Esc);
    assert!(effects.iter().any(|it| matches!(it, Effect::StopChange)), "{effects:?}");
}

#[test]
fn leaving_a_copy_that_runs_is_asked_and_no_is_the_default() {
    let mut told = told();
    progress(&mut told);
    letter(&mut told, 'q');
    assert!(!told.model.is_over && told.drawn().contains("Stop it and quit"));
    key(&mut told, KeyCode::Enter);
    assert!(!told.model.is_over && told.model.popup.is_none());
    letter(&mut told, 'q');
    key(&mut told, KeyCode::Tab);
    key(&mut told, KeyCode::Tab);
    assert!(!told.model.is_over);
    letter(&mut told, 'q');
    key(&mut told, KeyCode::Left);
    key(&mut told, KeyCode::Enter);
    assert!(told.model.is_over);
}

#[test]
fn what_is_selected_is_what_is_meant() {
    let mut told = told();
    letter(&mut told, ' ');
    letter(&mut told, ' ');
    let effects = letter(&mut told, 'd');
    let [Effect::Do(Op::Discard(paths))] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(paths.len(), 2);
    assert!(told.model.browse.selected.is_empty());
}

#[test]
fn a_search_that_is_left_is_stopped_and_what_it_finds_late_is_dropped() {
    let mut told = told();
    told.press("ftrips");
    let effects = key(&mut told, KeyCode::Enter);
    assert!(matches!(effects.as_slice(), [Effect::Stop, Effect::Find(..)]), "{effects:?}");
    let generation = told.model.browse.generation;
    let effects = key(&mut told, KeyCode::Esc);
    assert!(matches!(effects.first(), Some(Effect::Stop)), "{effects:?}");
    told.hear(Message::Found(generation, Ok(SearchProgress::default())));
    assert!(told.model.browse.finding.is_none());
}

#[test]
fn a_page_asks_for_the_next_and_for_all_of_itself_when_the_screen_grows() {
    let mut told = told();
    told.hear(Message::Paged(RelPath::default(), Ok(page(180))));
    let effects = key(&mut told, KeyCode::PageDown);
    assert!(matches!(effects.as_slice(), [Effect::Page(Where::From(180), 18)]), "{effects:?}");
    let effects = update(&mut told.model, Message::Resized(200, 60));
    let is_whole = |it: &Effect| matches!(it, Effect::Page(Where::From(0), 54));
    assert!(effects.iter().any(is_whole), "{effects:?}");
}

#[test]
fn a_line_longer_than_the_screen_is_read_sideways() {
    let mut told = told();
    let mut wide = page(180);
    wide.lines[0].1 = format!("{}the end of it", "0123456789".repeat(7));
    told.hear(Message::Paged(RelPath::default(), Ok(wide.clone())));
    assert!(!told.drawn().contains("the end of it"));
    key(&mut told, KeyCode::Right);
    assert!(told.drawn().contains("the end of it"));
    told.hear(Message::Paged(RelPath::default(), Ok(wide)));
    assert!(told.drawn().contains("the end of it"), "the next page stays there");
    key(&mut told, KeyCode::Left);
    assert!(told.drawn().contains(" 0123456789"));
}

#[test]
fn what_is_told_of_a_file_leads_on_to_its_bytes() {
    let mut told = told();
    let path = RelPath::from_plain(b"runs.sqlite").unwrap();
    told.hear(Message::Opened(path.clone(), vec!["SQLite  1 table".to_owned()]));
    let effects = letter(&mut told, 'x');
    assert!(
        matches!(effects.as_slice(), [Effect::OpenBytes(of, 18)] if *of == path),
        "{effects:?}"
    );
}

#[test]
fn a_narrow_screen_gives_the_look_into_a_file_a_page_of_its_own() {
    let mut told = Told::new((60, 15));
    let effects = letter(&mut told, 'G');
    assert!(!effects.iter().any(|it| matches!(it, Effect::Preview(_))), "nobody sees it");
    let effects = letter(&mut told, 'i');
    let [Effect::Preview(path)] = effects.as_slice() else { panic!("{effects:?}") };
    let facts = vec!["picture  30 x 20 pixels".to_owned()];
    told.hear(Message::Previewed(path.clone(), Box::new(Preview { facts, ..Preview::default() })));
    assert!(told.drawn().contains("picture  30 x 20 pixels"));
    let effects = letter(&mut told, 'i');
    assert!(matches!(effects.as_slice(), [Effect::Readers(_)]), "{effects:?}");
    letter(&mut told, 'i');
    assert!(told.drawn().contains("ITERS/"));
}

#[test]
fn all_who_can_read_it_are_seen_at_every_size() {
    for size in [(60, 15), (80, 24), (120, 40), (200, 60)] {
        let mut told = Told::new(size);
        let path = told.model.browse.current_path().unwrap();
        while told.model.browse.info.is_none() {
            letter(&mut told, 'i');
        }
        let readers = (10..40).map(|it| format!("user{it}  user{it}-..x9Qd  read, whole volume"));
        let head = ["https://x.fly.dev/files/a/".to_owned(), String::new(), "30 keys".to_owned()];
        let lines: Vec<String> = head.into_iter().chain(readers).collect();
        told.hear(Message::Readers(path, Ok(lines)));
        let first = told.drawn();
        let mut seen = String::new();
        for _ in 0..40 {
            seen.push_str(&told.drawn());
            letter(&mut told, '>');
        }
        for user in 10..40 {
            assert!(seen.contains(&format!("user{user}  ")), "{size:?}: user{user}\n{seen}");
        }
        assert_eq!(first.contains("lines 1-"), !first.contains("user39  "), "{first}");
        for _ in 0..40 {
            letter(&mut told, '<');
        }
        assert_eq!(told.drawn(), first);
    }
}

#[test]
fn the_list_says_as_much_as_is_wanted() {
    let mut told = told();
    let has = |told: &Told| {
        let row =
            told.drawn().lines().nth(6).unwrap_or_default().chars().take(51).collect::<String>();
        assert!(row.contains("output_allVehicles.xml.gz"), "{row}");
        (row.contains("MB"), row.contains("Nov"))
    };
    assert_eq!(has(&told), (true, true));
    for wanted in [(false, false), (true, false), (false, true), (true, true)] {
        letter(&mut told, 'v');
        assert_eq!(has(&told), wanted);
    }
    letter(&mut told, 'G');
    assert!(told.model.browse.looking.is_some());
    letter(&mut told, 'P');
    assert!(told.model.browse.looking.is_none() && !told.drawn().contains('│'));
}

#[test]
fn a_folder_that_changes_does_not_blank_what_was_seen_of_a_file() {
    let mut told = told();
    letter(&mut told, 'G');
    let path = told.model.browse.looking.clone().unwrap();
    let facts = vec!["30 x 20 pixels".to_owned()];
    told.hear(Message::Previewed(path, Box::new(Preview { facts, ..Preview::default() })));
    told.list();
    assert!(told.drawn().contains("30 x 20 pixels"));
    letter(&mut told, 'k');
    assert!(!told.drawn().contains("30 x 20 pixels"));
}

#[test]
fn the_palette_knows_the_screen_too() {
    let mut told = told();
    let run = |told: &mut Told, line: &str| {
        told.press(&format!(":{line}"));
        key(told, KeyCode::Enter)
    };
    let effects = run(&mut told, "theme light");
    assert!(
        matches!(effects.as_slice(), [Effect::KeepLook(it)] if it.theme.as_deref() == Some("light"))
    );
    assert_eq!((told.model.look.theme, told.model.redraw), (ThemeName::Light, Redraw::All));
    run(&mut told, "ascii on");
    assert!(!told.drawn().contains('─'));
    let effects = run(&mut told, "goto /berlin");
    assert!(matches!(effects.as_slice(), [Effect::Goto(it)] if it == "/berlin"), "{effects:?}");
    let effects = update(&mut told.model, Message::Went(Ok((RelPath::default(), None))));
    assert!(effects.iter().any(|it| matches!(it, Effect::List(..))));
    run(&mut told, "about");
    assert!(told.drawn().contains("sounding ") && told.drawn().contains("250 GB"));
    key(&mut told, KeyCode::Esc);
    run(&mut told, "teem light");
    assert!(told.drawn().contains("unrecognized subcommand"), "{}", told.drawn());
}

#[test]
fn a_read_only_console_takes_commands_that_only_look() {
    let mut told = told();
    told.model.look.read_only = true;
    told.press(":rm berlin");
    assert!(key(&mut told, KeyCode::Enter).is_empty());
    assert!(told.drawn().contains("nothing is changed"));
    key(&mut told, KeyCode::Esc);
    told.press(":ls berlin");
    let effects = key(&mut told, KeyCode::Enter);
    assert!(matches!(effects.as_slice(), [Effect::Do(Op::Command(_))]), "{effects:?}");
}

#[test]
fn tab_asks_how_a_line_goes_on() {
    let mut told = told();
    told.press(":keys r");
    let effects = key(&mut told, KeyCode::Tab);
    assert!(matches!(effects.as_slice(), [Effect::Complete(it)] if it == "keys r"), "{effects:?}");
    let words = ["revoke", "rotate"].map(str::to_owned).to_vec();
    let completion = Completion { line: "keys r".to_owned(), words };
    told.hear(Message::Completed("keys r".to_owned(), completion.clone()));
    assert!(told.drawn().contains("revoke  rotate"));
    told.press("o");
    told.hear(Message::Completed("keys r".to_owned(), completion));
    let Some(Popup::Form(form)) = &told.model.popup else { panic!() };
    assert_eq!(form.value(":"), "keys ro", "what was typed meanwhile stays");
}

#[test]
fn a_wide_screen_shows_the_folders_around() {
    let mut told = Told::new((200, 60));
    let effects = key(&mut told, KeyCode::Enter);
    let above = |it: &Effect| matches!(it, Effect::ListAbove(path) if path.is_root());
    assert!(effects.iter().any(above), "{effects:?}");
    told.list();
    let names = told.desk.names(&RelPath::default()).unwrap();
    told.hear(Message::ListedAbove(RelPath::default(), std::sync::Arc::new(names)));
    let drawn = told.drawn();
    assert!(drawn.contains("\u{25b8} analysis/") && drawn.contains("ITERS/"), "{drawn}");
    let effects = update(&mut told.model, Message::Resized(80, 24));
    assert!(!effects.iter().any(above) && !told.drawn().contains("ITERS/"));
}

#[test]
fn a_changed_text_is_never_thrown_away_by_esc() {
    let mut told = told();
    std::fs::write(told.desk.folder.join("runs.yaml"), "title: x\n").unwrap();
    let path = RelPath::from_plain(b"runs.yaml").unwrap();
    told.hear(Message::Editing(told.desk.text(&path).map(Box::new)));
    letter(&mut told, 'a');
    key(&mut told, KeyCode::Esc);
    assert!(told.drawn().contains("s saves it"), "{}", told.drawn());
    key(&mut told, KeyCode::Esc);
    assert!(told.drawn().contains("atitle: x"), "it goes on");
    told.model.deaf_until = None;
    let control = KeyEvent::new(KeyCode::Char('o'), KeyModifiers::CONTROL);
    let effects = update(&mut told.model, Message::Key(control));
    let [Effect::Do(Op::Write(of, text, version, _))] = effects.as_slice() else {
        panic!("{effects:?}")
    };
    assert_eq!((of, text.as_slice()), (&path, &b"atitle: x\n"[..]));
    // Somebody else was quicker: their text stays.
    std::fs::write(told.desk.folder.join("runs.yaml"), "by somebody else\n").unwrap();
    assert!(told.desk.write(&path, &mut text.as_slice(), Some(*version)).is_err());
}

#[test]
fn nothing_new_is_nothing_to_draw() {
    let mut told = told();
    told.model.redraw = Redraw::No;
    let now = told.model.now.checked_add(std::time::Duration::from_secs(1)).unwrap();
    let space = told.model.space.unwrap();
    for message in [Message::Tick(now), Message::SpaceRead(space)] {
        told.hear(message);
        assert_eq!(told.model.redraw, Redraw::No);
    }
}

#[test]
fn a_key_typed_ahead_of_a_question_does_not_answer_it() {
    let mut told = told();
    let press = |told: &mut Told, code| {
        let key = KeyEvent::new(code, KeyModifiers::NONE);
        update(&mut told.model, Message::Key(key))
    };
    press(&mut told, KeyCode::Char('r'));
    assert!(press(&mut told, KeyCode::Enter).is_empty() && told.model.popup.is_some());
    // What destroys nothing is no such question: a word may come in one piece over a slow line.
    let mut told = self::told();
    for letter in ":goto ".chars() {
        press(&mut told, KeyCode::Char(letter));
    }
    let Some(Popup::Form(form)) = &told.model.popup else { panic!() };
    assert_eq!(form.value(":"), "goto ");
}

pub fn any_key() -> impl Strategy<Value = KeyEvent> {
    let letters =
        "hjkl gG/fs*rmydnutXUiSvPec?:45 123aowpz<>xtrips.0-HD".chars().collect::<Vec<_>>();
    let code = prop_oneof![
        6 => prop::sample::select(letters).prop_map(KeyCode::Char),
        1 => prop::sample::select(vec![
            KeyCode::Enter, KeyCode::Esc, KeyCode::Tab, KeyCode::Up, KeyCode::Down, KeyCode::Left,
            KeyCode::Right, KeyCode::PageDown, KeyCode::PageUp, KeyCode::Home, KeyCode::End,
            KeyCode::Backspace, KeyCode::Delete, KeyCode::F(1),
        ]),
    ];
    (code, prop::bool::weighted(0.02)).prop_map(|(code, control)| {
        KeyEvent::new(code, if control { KeyModifiers::CONTROL } else { KeyModifiers::NONE })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_keys_break_the_console_at_any_size(
        keys in prop::collection::vec(any_key(), 0..60),
        columns in 1_u16..210,
        rows in 1_u16..62,
    ) {
        let mut told = Told::new((columns, rows));
        told.hear(some_transfers());
        for key in keys {
            told.model.deaf_until = None;
            for effect in update(&mut told.model, Message::Key(key)) {
                match effect {
                    Effect::List(generation, path) => match told.desk.names(&path) {
                        Ok(_) => told.list(),
                        Err(failure) => told.hear(Message::Listed(generation, Err(failure))),
                    },
                    Effect::AskTransfers => told.hear(some_transfers()),
                    Effect::Transfer(wish) => told.hear(Message::Transferred(wish, Ok(None))),
                    Effect::OpenFile(path, _) => told.hear(Message::Paged(path, Ok(page(180)))),
                    Effect::ReadTrash => told.hear(Message::TrashRead(told.desk.trashed())),
                    Effect::ReadLeftOut(path) => {
                        let all = told.desk.left_out(&path);
                        told.hear(Message::LeftOutRead(path, all));
                    }
                    _ => {}
                }
            }
            told.drawn();
        }
    }
}

#[test]
fn a_picture_of_letters_is_no_negative() {
    for (theme, white, black) in [("light", " ", "#"), ("dark", "#", " ")] {
        let mut told = Told::new((80, 24));
        told.press(&format!(":theme {theme}\r:ascii on\r"));
        let row = vec![[[255; 3]; 2], [[0; 3]; 2], [[255; 3]; 2]];
        told.hear(Message::Pictured(rel("scorestats.png"), vec![row]));
        let drawn = told.drawn();
        let row = drawn.lines().nth(3).unwrap();
        assert_eq!(
            format!("{row:3}").get(..3),
            Some(format!("{white}{black}{white}").as_str()),
            "{theme}"
        );
    }
}

#[test]
fn the_help_is_read_like_any_text_and_searched_behind_a_slash() {
    let mut told = told();
    told.press("?");
    let first = told.drawn();
    assert!(first.contains("/ search") && first.contains("q close"), "{first}");
    told.press("jj");
    assert!(told.drawn() != first);
    told.press("kk");
    assert_eq!(told.drawn(), first);
    // Behind the end there is nothing to come back from.
    told.press("GGjjj");
    let last = told.drawn();
    told.press("k");
    assert!(told.drawn() != last);
    told.press("/quiet");
    assert!(told.drawn().contains("Nothing matches") && told.drawn().contains("/ quiet"));
    key(&mut told, KeyCode::Esc);
    assert_eq!(told.drawn(), first);
    told.press("/rotate\r");
    assert!(told.drawn().contains("what has `rotate`") && !told.drawn().contains("one line up"));
    key(&mut told, KeyCode::Esc);
    assert_eq!(told.drawn(), first);
    told.press("q");
    assert!(told.model.popup.is_none() && !told.model.is_over);
}

/// What the key line says of Enter is what it does, wherever the cursor is.
#[test]
fn a_form_s_key_line_says_what_enter_does() {
    let at = |steps: usize| {
        let mut told = told();
        told.press("4a");
        (0..steps).for_each(|_| drop(key(&mut told, KeyCode::Tab)));
        told.model.deaf_until = None;
        told
    };
    let key_line = |told: &Told| told.drawn().lines().last().unwrap().to_owned();
    for (steps, says) in [
        (0, "Enter Tab next field"),
        (2, "Left Right choose"),
        (3, "Enter Tab next field"),
        (4, "Enter create"),
        (5, "Enter create"),
        (6, "Enter cancel"),
    ] {
        let told = at(steps);
        assert!(key_line(&told).contains(says), "{steps}: {}", key_line(&told));
    }
    let mut told = at(6);
    assert!(key(&mut told, KeyCode::Enter).is_empty() && told.model.popup.is_none());
}

#[test]
fn after_an_error_the_cursor_is_in_the_field_that_is_wrong() {
    let form = |told: &Told| match &told.model.popup {
        Some(Popup::Form(form)) => {
            (form.fields.get(form.focus).map(|it| it.label), form.error.clone().unwrap_or_default())
        }
        other => panic!("{other:?}"),
    };
    let mut told = told();
    told.press("4a");
    told.model.deaf_until = None;
    // Enter does not leave a field in which something is wrong; Tab does, and the answer comes back to it.
    key(&mut told, KeyCode::Enter);
    assert_eq!(form(&told), (Some("User"), "type whose key it is".to_owned()));
    told.press("a b\r");
    assert!(matches!(form(&told), (Some("User"), why) if why.contains("letters, digits")));
    (0..4).for_each(|_| drop(key(&mut told, KeyCode::Tab)));
    assert!(key(&mut told, KeyCode::Enter).is_empty());
    assert_eq!(form(&told).0, Some("User"));
    (0..3).for_each(|_| drop(key(&mut told, KeyCode::Backspace)));
    told.press("kmt\t\t\t");
    (0..2).for_each(|_| drop(key(&mut told, KeyCode::Backspace)));
    told.press("../x\r");
    assert_eq!(form(&told).0, Some("Path"), "{:?}", form(&told));
    (0..4).for_each(|_| drop(key(&mut told, KeyCode::Backspace)));
    told.press("\rx\r");
    assert_eq!(form(&told).0, Some("Ends"), "{:?}", form(&told));
    assert!(!form(&told).1.is_empty());
}

fn undoable(what: &str) -> Message {
    let undo = Some(Undo::new(what, Vec::new()));
    Message::Done(Ok(Done { text: what.to_owned(), undo, ..Done::default() }))
}

#[test]
fn undo_is_offered_where_its_key_works_and_as_long_as_there_is_something_to_undo() {
    let mut told = told();
    told.hear(undoable("saved README.md"));
    let offers = |told: &Told| told.drawn().contains("saved README.md (u undo)");
    assert!(offers(&told), "{}", told.drawn());
    // Where letters are typed, or u means something else.
    for (to, back) in [("?", "q"), ("/", "\x1b"), ("2", "1"), ("5", "1")] {
        told.press(to);
        assert!(!told.drawn().contains("u undo"), "{to}: {}", told.drawn());
        told.press(back);
        if to == "2" {
            told.model.screen = Screen::Browse;
        }
        assert!(offers(&told), "{to}: {}", told.drawn());
    }
    told.hear(Message::Paged(rel("output_config.xml"), Ok(page(180))));
    assert!(!told.drawn().contains("u undo"), "{}", told.drawn());
    told.press("q");
    let effects = letter(&mut told, 'u');
    assert!(matches!(effects.as_slice(), [Effect::Do(Op::Undo(_))]), "{effects:?}");
    assert!(!told.drawn().contains("saved"), "{}", told.drawn());
    told.hear(Message::Done(Ok(Done {
        text: "undone: saved README.md".to_owned(),
        ..Done::default()
    })));
    assert!(told.drawn().contains("undone: saved README.md") && !told.drawn().contains("u undo"));
}

#[test]
fn how_far_a_way_through_a_file_is_is_said_there_and_nowhere_else() {
    let mut told = told();
    told.hear(Message::Paged(rel("output_trips.csv.gz"), Ok(page(180))));
    let far = || Message::Paging("unpacked 2.2 GB".to_owned());
    told.hear(far());
    assert!(told.drawn().contains("unpacked 2.2 GB (Esc stops)"), "{}", told.drawn());
    let effects = key(&mut told, KeyCode::Esc);
    assert!(effects.iter().any(|it| matches!(it, Effect::Stop)), "{effects:?}");
    // What is told late, of what was left, is dropped.
    told.hear(far());
    for keys in ["", "4", "1", "jj\r"] {
        told.press(keys);
        assert!(!told.drawn().contains("unpacked"), "{keys}: {}", told.drawn());
    }
    letter(&mut told, 'q');
    assert!(told.model.is_over, "nothing is left to be asked about");
}

#[test]
fn a_copy_that_runs_says_that_esc_stops_it_only_where_it_does() {
    let mut told = told();
    progress(&mut told);
    let says = |told: &Told| told.drawn().contains("(Esc stops)");
    assert!(says(&told));
    told.press("?");
    assert!(!says(&told));
    told.press("q");
    assert!(says(&told));
    told.press("U");
    assert!(!says(&told), "{}", told.drawn());
}

#[test]
fn what_was_seen_of_a_file_goes_with_it() {
    let mut told = told();
    told.press("G");
    let path = told.model.browse.current_path().unwrap();
    let preview = Preview { facts: vec!["what it was".to_owned()], ..Preview::default() };
    told.hear(Message::Previewed(path.clone(), Box::new(preview)));
    assert!(told.drawn().contains("what it was"));
    // The last files go, and the cursor is on a folder then.
    for entry in std::fs::read_dir(&told.desk.folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::remove_file(path).unwrap();
        }
    }
    told.list();
    assert!(
        told.model.browse.preview.is_none() && !told.drawn().contains("what it was"),
        "{}",
        told.drawn()
    );
}

#[test]
fn that_a_key_was_saved_is_news_for_a_while() {
    let mut told = told();
    told.keys();
    told.hear(Message::Done(Ok(Done {
        text: "switched off".to_owned(),
        key: Some("717ecd7a".to_owned()),
        ..Done::default()
    })));
    assert!(told.drawn().contains("the old Python server needs a restart"), "{}", told.drawn());
    told.hear(Message::Tick(told.model.now + MESSAGE_STAYS));
    assert!(told.model.redraw >= Redraw::Soon);
    assert!(told.drawn().contains("The server has these keys in force."), "{}", told.drawn());
    assert!(!told.drawn().contains("restart"), "{}", told.drawn());
}

#[test]
fn a_line_that_is_no_key_is_nobody_s() {
    let mut told = told();
    let file = told.desk.folder.join(".sounding/auth-keys.csv");
    let mut keys = std::fs::read(&file).unwrap();
    keys.extend(b"a\nb\nc\nM\xfcller,x\n");
    std::fs::write(&file, keys).unwrap();
    told.keys();
    // imove, kmt, mrieser, username, wrashid, and ci of the server.
    assert!(told.drawn().contains("6 keys, 6 users"), "{}", told.drawn());
    told.press("G");
    assert!(told.drawn().contains("line 9"), "{}", told.drawn());
}

#[test]
fn a_list_says_how_it_is_sorted_and_sizes_only_of_what_has_one() {
    let mut told = told();
    let title = |told: &Told| told.drawn().lines().nth(1).unwrap().to_owned();
    assert!(title(&told).contains("   files 1.3 GB   name \u{2191}"), "{}", title(&told));
    for (key, sort) in [
        ('N', "name \u{2193}"),
        ('s', "size \u{2193}"),
        ('S', "size \u{2191}"),
        ('d', "date \u{2193}"),
        ('D', "date \u{2191}"),
        ('k', "kind \u{2191}"),
        ('K', "kind \u{2193}"),
    ] {
        told.press("s");
        assert!(told.drawn().contains(&format!("{key}  ")), "{}", told.drawn());
        told.press(&key.to_string());
        assert!(title(&told).contains(sort), "{key}: {}", title(&told));
    }
    let first = told.model.browse.path_of(told.model.browse.order[4]).unwrap();
    assert_eq!(first, rel("output_config.xml"), "of kind reversed, .sqlite is followed by .xml.gz");
    told.model.look.ascii = true;
    assert!(title(&told).contains("kind v"), "{}", title(&told));
    // Only folders: what is in them was not added up.
    told.press("\x1b");
    told.press("ggj\r");
    told.list();
    assert!(
        title(&told).contains("2 items   ") && !title(&told).contains(" B "),
        "{}",
        title(&told)
    );
}

#[test]
fn hits_are_in_the_order_of_lists_and_the_cursor_stays_with_its_own() {
    let mut told = told();
    told.press("ftrips\r");
    let hit = |path: &str, kind| Hit { path: rel(path), kind };
    let find = |told: &mut Told, hits: Vec<Hit>| {
        let found = SearchProgress { hits, seen: 9, unreadable: 0, is_done: false };
        told.hear(Message::Found(told.model.browse.generation, Ok(found)));
    };
    find(&mut told, vec![hit("it.10/trips.csv", Kind::File), hit("b_trips.csv", Kind::File)]);
    told.press("j");
    find(
        &mut told,
        vec![
            hit("a_trips.csv", Kind::File),
            hit("it.2/trips/x_trips.csv", Kind::File),
            hit("it.2/trips", Kind::Folder),
            hit("it.2/a_trips.csv", Kind::File),
        ],
    );
    let finding = told.model.browse.finding.as_ref().unwrap();
    let paths: Vec<String> = finding.hits.iter().map(|it| it.path.to_string()).collect();
    let wanted = [
        "/it.2/trips",
        "/it.2/trips/x_trips.csv",
        "/it.2/a_trips.csv",
        "/it.10/trips.csv",
        "/a_trips.csv",
        "/b_trips.csv",
    ];
    assert_eq!(paths, wanted);
    assert_eq!(finding.cursor, 5);
    let effects = key(&mut told, KeyCode::Enter);
    assert!(told.model.browse.go_to.as_deref() == Some(b"b_trips.csv"), "{effects:?}");
}

#[test]
fn a_long_name_keeps_its_ending_and_a_long_path_its_last_name() {
    let mut told = told();
    let name = format!("output_{}_trips.csv.gz", "long".repeat(20));
    std::fs::write(told.desk.folder.join(&name), "").unwrap();
    told.list();
    assert!(told.drawn().contains("~_trips.csv.gz"), "{}", told.drawn());
    told.model.browse.path = rel(&format!("{}output-1pct", "long/".repeat(20)));
    let title = told.drawn().lines().nth(1).unwrap().to_owned();
    assert!(title.contains('~') && title.contains("/output-1pct "), "{title}");
    // So does the path of a request, beside what more is said of it.
    told.keys();
    told.press("5");
    assert!(told.drawn().contains("~/dashboard-1.yaml  [8.0 MB]"), "{}", told.drawn());
}

/// Wherever there is a list, its cursor is a mark in the second column and all of the row reversed.
#[test]
fn the_cursor_of_every_list_is_drawn_in_one_way() {
    let is_so = |told: &Told| {
        let drawn = told.drawn();
        let row = drawn.lines().find(|it| it.contains('\u{25b8}')).unwrap();
        let (row, reversed) = row.split_once("   \u{2039}").unwrap_or((row, ""));
        let at = row.find('\u{25b8}').unwrap();
        let inner = row[..at].trim_end_matches(' ');
        let is_marked = inner.is_empty() && at == 1 || inner.ends_with('\u{2502}');
        assert!(is_marked && reversed.starts_with("\u{25b8} "), "{drawn}");
    };
    let mut told = told();
    is_so(&told);
    told.press("U");
    let used =
        UsageEntry { name: b"ITERS".to_vec(), kind: Kind::Folder, len: 1, disk: 1, files: 1 };
    let usage = Usage { entries: vec![used], unreadable: 0, is_done: true };
    told.hear(Message::Measured(told.model.browse.generation, Ok(usage)));
    is_so(&told);
    told.press("\x1bftrips\r");
    let hit = Hit { path: rel("trips.csv"), kind: Kind::File };
    let found = SearchProgress { hits: vec![hit], seen: 9, unreadable: 0, is_done: true };
    told.hear(Message::Found(told.model.browse.generation, Ok(found)));
    is_so(&told);
    told.keys();
    is_so(&told);
    told.press("5");
    is_so(&told);
    told.hear(some_transfers());
    told.press("3");
    is_so(&told);
    told.press("1\x1b");
    let entry = TrashEntry {
        name: "berlin".to_owned(),
        path: Some(rel("berlin")),
        deleted: None,
        username: "kmt".to_owned(),
        kind: "directory",
        size: 0,
        bytes: b"berlin".to_vec(),
    };
    told.hear(Message::TrashRead(Ok(vec![entry])));
    is_so(&told);
}

#[test]
fn the_help_names_its_pages_in_full() {
    let mut told = told();
    told.press("?");
    let drawn = told.drawn();
    let line = drawn.lines().rev().nth(1).unwrap();
    assert!(line.contains("6 sizes") && !line.contains('~'), "{line}");
}

#[test]
fn little_room_is_marked_where_the_doctor_finds_it_too() {
    let mut told = told();
    for (free, is_low) in [(15_100, false), (14_900, true)] {
        let space = Space { size: 100_000, free };
        told.hear(Message::SpaceRead(space));
        let header = told.drawn().lines().next().unwrap().to_owned();
        assert_eq!((header.contains('!'), space.is_low()), (is_low, is_low), "{header}");
    }
}
