//! Receiving, answering and the list of transfers: what the console decides, and how it is drawn.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::{Value, json};
use sounding::cli::transfers::{ReceiveArgs, SendArgs, TransfersCommand};
use sounding::effect::{Effect, Message, Wish};
use sounding::model::{Popup, Redraw, Screen, Server};
use sounding::ops::Failure;
use sounding::ops::carriers::Carried;
use sounding::palette::Completion;
use sounding::update::update;
use transfers::transfer::TransferStatus;

use crate::snapshots::{Told, check};

/// A transfer to receive, with what is different about it.
fn transfer(number: u64, state: &str, differs: &Value) -> TransferStatus {
    let is_over = matches!(state, "done" | "failed" | "interrupted" | "refused" | "cancelled");
    let mut now = json!({
        "version": 1, "number": number, "direction": "receive", "state": state, "code": "7-guitarist-revenge",
        "command": null, "into": "berlin", "path": null, "offer": null, "done": 0, "route": null,
        "started": "2026-11-24T13:56:00Z", "started_by": "console 1",
        "ended": if is_over { json!("2026-11-24T14:00:00Z") } else { Value::Null },
        "cause": null, "host": "0123456789abcdef0123456789abcdef",
        "change": 3, "rate": null, "quiet_seconds": null, "question": null, "is_live": !is_over
    });
    for (name, value) in differs.as_object().unwrap() {
        now[name] = value.clone();
    }
    serde_json::from_value(now).unwrap()
}

fn folder() -> Value {
    json!({"type": "directory", "name": "output-1pct", "size": 18_400_000_000_u64, "unpacked": 61_000_000_000_u64, "files": 2341})
}

fn question() -> Value {
    json!({"path": "berlin/output-1pct", "existing": null, "disk": 250_000_000_000_u64, "free": 96_400_000_000_u64,
        "needed": 61_000_000_000_u64, "room": 90_000_000_000_u64, "ends": "2026-11-24T14:11:40Z", "problem": null})
}

fn existing() -> Value {
    let mut question = question();
    question["existing"] =
        json!({"is_folder": true, "items": 412, "size": 18_400_000_000_u64, "modified": null});
    question
}

fn offered(question: &Value, offer: &Value) -> TransferStatus {
    transfer(7, "offered", &json!({"offer": offer, "question": question}))
}

fn running(number: u64, done: u64) -> TransferStatus {
    transfer(
        number,
        "running",
        &json!({"offer": folder(), "path": "berlin/output-1pct (2)", "done": done, "rate": 21_300_000, "quiet_seconds": 0,
            "route": "relay (tcp:relay.example.org:4001)"}),
    )
}

fn by_server(all: Vec<TransferStatus>) -> Message {
    Message::Transfers(Ok(Carried { all, ..Carried::default() }))
}

fn by_console(all: Vec<TransferStatus>) -> Message {
    let here = all.iter().filter(|it| it.is_live).map(|it| it.transfer.number).collect();
    Message::Transfers(Ok(Carried { all, here, no_server: Some("no server answers".to_owned()) }))
}

/// One of each kind.
fn all() -> Vec<TransferStatus> {
    let stalled = json!({"direction": "send", "paths": ["berlin/report"], "into": null, "done": 100_000_000, "rate": 0,
        "quiet_seconds": 40, "route": "direct (192.0.2.7:4001)", "started_by": "the command line",
        "offer": {"type": "directory", "name": "report", "size": 412_000_000, "unpacked": 500_000_000, "files": 88}});
    let done = json!({"offer": {"type": "file", "name": "links.parquet", "size": 412_000_000, "unpacked": 412_000_000, "files": 1},
        "path": "zurich/links.parquet", "done": 412_000_000, "started": "2026-11-24T13:17:00Z", "ended": "2026-11-24T13:20:00Z"});
    let failed = json!({"offer": folder(), "done": 8_000_000_000_u64, "cause": "the sender went away at 43 %",
        "started": "2026-11-24T09:12:00Z", "ended": "2026-11-24T09:41:00Z"});
    let earlier = json!({"cause": "the program that ran it ended at about 18 %", "offer": folder(), "done": 3_300_000_000_u64,
        "started": "2026-11-02T09:12:00Z", "ended": "2026-11-02T09:41:00Z"});
    vec![
        running(9, 7_728_000_000),
        transfer(8, "running", &stalled),
        offered(&question(), &folder()),
        transfer(
            6,
            "waiting",
            &json!({"code": "12-crossover-clockwork", "started": "2026-11-24T14:01:00Z"}),
        ),
        transfer(5, "done", &done),
        transfer(4, "failed", &failed),
        transfer(3, "interrupted", &earlier),
    ]
}

/// The same, as a server tells it.
pub fn some_transfers() -> Message {
    by_server(all())
}

fn told() -> Told {
    let mut told = Told::new((80, 24));
    told.model.activity.server = Server::Up;
    told
}

fn press(told: &mut Told, code: KeyCode) -> Vec<Effect> {
    press_with(told, code, KeyModifiers::NONE)
}

fn press_with(told: &mut Told, code: KeyCode, modifiers: KeyModifiers) -> Vec<Effect> {
    told.model.deaf_until = None;
    update(&mut told.model, Message::Key(KeyEvent::new(code, modifiers)))
}

fn only_wish(effects: &[Effect]) -> &Wish {
    match effects {
        [Effect::Transfer(wish)] => wish,
        other => panic!("{other:?}"),
    }
}

/// What is typed leads to a transfer, which is told of.
fn begin(told: &mut Told, now: TransferStatus) {
    let wish = Wish::Receive(ReceiveArgs::default());
    told.hear(Message::Transferred(wish, Ok(Some(Box::new(now)))));
}

/// An offer on the screen.
fn offer(told: &mut Told, question: &Value, offer: &Value) {
    told.press("2");
    begin(told, transfer(7, "waiting", &json!({})));
    told.hear(by_server(vec![offered(question, offer)]));
}

#[test]
fn a_code_is_typed_with_tab_and_spaces() {
    let mut told = told();
    told.press("27 gui\tre");
    assert_eq!(told.model.receive.code.text(), "7-guitarist-re");
    assert!(told.drawn().contains("rebirth  reform  regain  reindeer"), "{}", told.drawn());
    press(&mut told, KeyCode::Down);
    press(&mut told, KeyCode::Down);
    told.press("\t");
    assert_eq!(told.model.receive.code.text(), "7-guitarist-reform");
    let effects = press(&mut told, KeyCode::Enter);
    let wanted = ReceiveArgs {
        code: Some("7-guitarist-reform".to_owned()),
        folder: Some("/".into()),
        exact: true,
        ..ReceiveArgs::default()
    };
    assert_eq!(only_wish(&effects), &Wish::Receive(wanted));
    assert!(press(&mut told, KeyCode::Enter).is_empty(), "it is on its way already");
}

#[test]
fn letters_are_letters_where_a_code_is_typed() {
    let mut told = told();
    told.press("2q1?:c");
    assert_eq!(told.model.receive.code.text(), "q1?:c");
    assert!(!told.model.is_over && told.model.screen == Screen::Receive);
    press(&mut told, KeyCode::F(1));
    assert!(matches!(told.model.popup, Some(Popup::Help(..))));
    told.press("\x1b\x1b");
    assert_eq!(told.model.screen, Screen::Browse);
    told.press("2");
    assert_eq!(told.model.receive.code.text(), "q1?:c", "what was typed stays");
}

#[test]
fn the_whole_line_of_the_other_side_is_a_code_too() {
    let mut told = told();
    told.press("2wormhole receive 7-guitarist-revenge");
    let effects = press(&mut told, KeyCode::Enter);
    let Wish::Receive(args) = only_wish(&effects) else { panic!("{effects:?}") };
    assert_eq!(args.code.as_deref(), Some("7-guitarist-revenge"));
}

#[test]
fn a_mistyped_word_is_marked_and_asked_about_before_it_burns_the_code() {
    let mut told = told();
    told.press("27-guitarist-revemge");
    assert!(told.drawn().contains("'revemge' is not in the word list: revenge?"));
    assert!(press(&mut told, KeyCode::Enter).is_empty());
    assert!(told.drawn().contains("Enter again uses"), "{}", told.drawn());
    told.press("\t");
    assert_eq!(told.model.receive.code.text(), "7-guitarist-revenge");
    assert!(!told.drawn().contains("not in the word list"));
    assert_eq!(press(&mut told, KeyCode::Enter).len(), 1);
    // Whoever is sure is believed.
    let mut told = self::told();
    told.press("27-own-words");
    assert!(press(&mut told, KeyCode::Enter).is_empty());
    assert_eq!(press(&mut told, KeyCode::Enter).len(), 1);
}

#[test]
fn the_folder_is_the_browsed_one_or_is_typed_with_tab() {
    let mut told = told();
    told.press("j\r");
    assert_eq!(told.model.browse.path.to_plain(), b"ITERS");
    told.list();
    told.press("2");
    assert_eq!(told.model.receive.into.text(), "/ITERS/");
    press_with(&mut told, KeyCode::Char('o'), KeyModifiers::CONTROL);
    told.press("it");
    let effects = press(&mut told, KeyCode::Tab);
    assert!(
        matches!(effects.as_slice(), [Effect::CompleteFolder(it)] if it == "/ITERS/it"),
        "{effects:?}"
    );
    let words = vec!["it.0/".to_owned(), "it.10/".to_owned()];
    let completion = Completion { line: "/ITERS/it.".to_owned(), words };
    told.hear(Message::FolderCompleted("/ITERS/it".to_owned(), completion));
    assert!(told.drawn().contains("it.0/  it.10/"), "{}", told.drawn());
    assert_eq!(told.model.receive.into.text(), "/ITERS/it.");
    // Without a code Enter goes to it, and makes none by surprise.
    assert!(press(&mut told, KeyCode::Enter).is_empty() && !told.model.receive.is_into);
}

#[test]
fn without_a_code_one_is_made_and_the_command_stands_alone() {
    let mut told = told();
    told.press("2");
    let effects = press(&mut told, KeyCode::Enter);
    let Wish::Receive(args) = only_wish(&effects) else { panic!("{effects:?}") };
    assert_eq!(args.code, None);
    begin(&mut told, transfer(7, "connecting", &json!({"code": null})));
    let command = "wormhole send --code 7-guitarist-revenge FILE-OR-FOLDER";
    told.hear(by_server(vec![transfer(7, "waiting", &json!({"command": command}))]));
    assert!(told.drawn().lines().any(|it| it.trim() == command), "{}", told.drawn());
    let effects = press(&mut told, KeyCode::Char('y'));
    assert!(matches!(effects.as_slice(), [Effect::Copy(it)] if it == command), "{effects:?}");
    // It waits while something else is received.
    told.press("a");
    assert!(told.model.receive.opened.is_none() && told.drawn().contains("Code"));
}

#[test]
fn what_was_typed_is_still_there_when_nobody_is_at_the_other_end() {
    let mut told = told();
    told.press("27-guitarist-revenge\r");
    begin(&mut told, transfer(7, "connecting", &json!({})));
    let cause = json!({"cause": "nobody has come with this code \u{1b}[2J"});
    told.hear(by_server(vec![transfer(7, "failed", &cause)]));
    assert_eq!(told.model.receive.code.text(), "7-guitarist-revenge");
    assert!(told.drawn().contains("! nobody has come with this code \\x1b[2J"), "{}", told.drawn());
    told.hear(Message::Transferred(
        Wish::Receive(ReceiveArgs::default()),
        Err(Failure::new("too many")),
    ));
    assert!(told.drawn().contains("! too many"));
}

#[test]
fn an_offer_is_accepted_with_enter() {
    let mut told = told();
    offer(&mut told, &question(), &folder());
    let drawn = told.drawn();
    assert!(
        drawn.contains("2,341 files") && drawn.contains("18.4 GB") && drawn.contains("61.0 GB")
    );
    let effects = press(&mut told, KeyCode::Enter);
    let wanted = TransfersCommand::Accept {
        number: 7,
        into: Some("/berlin".into()),
        name: Some("output-1pct".to_owned()),
        on_conflict: None,
        unpack: false,
    };
    assert_eq!(only_wish(&effects), &Wish::Transfers(wanted.clone()));
    assert!(press(&mut told, KeyCode::Enter).is_empty(), "it is answered");
    told.hear(Message::Transferred(Wish::Transfers(wanted), Ok(None)));
    assert_eq!((told.model.screen, told.model.transfers.chosen), (Screen::Transfers, Some(7)));
}

#[test]
fn a_key_typed_ahead_does_not_answer_an_offer() {
    let mut told = told();
    offer(&mut told, &question(), &folder());
    let enter = KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE);
    assert!(update(&mut told.model, Message::Key(enter)).is_empty());
}

#[test]
fn what_is_there_already_has_three_ways() {
    let accepted = |keys: &str| {
        let mut told = told();
        offer(&mut told, &existing(), &folder());
        assert!(told.drawn().contains("(*) keep both, write output-1pct (2)"), "{}", told.drawn());
        told.press(keys);
        let effects = press(&mut told, KeyCode::Enter);
        (effects, told)
    };
    let conflict = |effects: &[Effect]| match only_wish(effects) {
        Wish::Transfers(TransfersCommand::Accept { on_conflict, .. }) => *on_conflict,
        other => panic!("{other:?}"),
    };
    assert_eq!(conflict(&accepted("\r").0), Some(volume::OnConflict::KeepBoth));
    assert_eq!(conflict(&accepted(" \r").0), Some(volume::OnConflict::Replace));
    // Elsewhere: the folder first.
    let (effects, mut told) = accepted("  ");
    assert!(effects.is_empty());
    assert!(told.model.is_receive_typed());
    for _ in 0.."/berlin/".len() {
        press(&mut told, KeyCode::Backspace);
    }
    told.press("/public");
    assert!(told.drawn().contains("Anyone will be able to read it"), "{}", told.drawn());
    told.press("\r\r");
    let effects = press(&mut told, KeyCode::Enter);
    assert_eq!(conflict(&effects), None, "what is there is found by the server");
}

#[test]
fn an_archive_may_be_unpacked_and_loses_its_ending_then() {
    let mut told = told();
    let archive = json!({"type": "file", "name": "run.tar", "size": 1000, "unpacked": 1000, "files": 1, "is_archive": true});
    let mut asked = question();
    asked["path"] = "berlin/run.tar".into();
    offer(&mut told, &asked, &archive);
    press(&mut told, KeyCode::Up);
    told.press(" ");
    assert!(told.drawn().contains("[x] unpack") && told.drawn().contains("/berlin/run "));
    press(&mut told, KeyCode::Down);
    let effects = press(&mut told, KeyCode::Enter);
    let Wish::Transfers(TransfersCommand::Accept { name, unpack, .. }) = only_wish(&effects) else {
        panic!("{effects:?}")
    };
    assert_eq!((name, *unpack), (&None, true));
}

#[test]
fn a_refusal_is_a_button_of_its_own() {
    let mut told = told();
    offer(&mut told, &question(), &folder());
    assert!(press(&mut told, KeyCode::Char('x')).is_empty());
    let effects = press(&mut told, KeyCode::Enter);
    let wanted = TransfersCommand::Refuse { number: 7, why: String::new() };
    assert_eq!(only_wish(&effects), &Wish::Transfers(wanted));
}

#[test]
fn an_offer_s_key_line_says_what_enter_does_and_an_error_leads_to_what_is_wrong() {
    let mut told = told();
    offer(&mut told, &question(), &folder());
    let says = |told: &Told, keys: &str| {
        let drawn = told.drawn();
        assert!(drawn.lines().last().unwrap().contains(keys), "{keys}: {drawn}");
    };
    says(&told, "Enter receive");
    told.press("x");
    says(&told, "Enter refuse");
    (0..2).for_each(|_| drop(press(&mut told, KeyCode::Up)));
    says(&told, "Enter Tab next field");
    // A name with nothing in it, asked for from the button.
    (0.."output-1pct".len()).for_each(|_| drop(press(&mut told, KeyCode::Backspace)));
    told.press("\r");
    says(&told, "Enter receive");
    assert!(press(&mut told, KeyCode::Enter).is_empty());
    assert!(told.drawn().contains("! type a name"), "{}", told.drawn());
    says(&told, "Enter Tab next field");
    told.press("run");
    press(&mut told, KeyCode::Up);
    says(&told, "Tab complete  Enter next field");
    told.press("..\r\r");
    assert!(press(&mut told, KeyCode::Enter).is_empty());
    says(&told, "Tab complete  Enter next field");
}

#[test]
fn an_answer_that_can_not_be_taken_is_told_and_can_be_mended() {
    let mut told = told();
    offer(&mut told, &question(), &folder());
    press(&mut told, KeyCode::Enter);
    let wish = Wish::Transfers(TransfersCommand::Accept {
        number: 7,
        into: None,
        name: None,
        on_conflict: None,
        unpack: false,
    });
    told.hear(Message::Transferred(wish, Err(Failure::new("no room"))));
    assert!(told.drawn().contains("! no room"));
    assert_eq!(press(&mut told, KeyCode::Enter).len(), 1);
}

#[test]
fn an_offer_that_somebody_else_answers_is_left() {
    let mut told = told();
    offer(&mut told, &question(), &folder());
    told.hear(by_server(vec![running(7, 5)]));
    assert_eq!((told.model.screen, told.model.transfers.chosen), (Screen::Transfers, Some(7)));
}

#[test]
fn several_offers_wait_in_the_list_and_enter_opens_one() {
    let mut told = told();
    let mut second = offered(&question(), &folder());
    second.transfer.number = 8;
    told.hear(by_server(vec![second, offered(&question(), &folder())]));
    assert!(told.drawn().contains("2 offers"), "{}", told.drawn());
    told.press("3j\r");
    assert_eq!(told.model.screen, Screen::Receive);
    assert_eq!(told.model.receive.opened.as_ref().map(|it| it.number), Some(7));
    assert!(told.drawn().contains("[ Receive ]"));
    told.press("\x1b");
    assert_eq!(told.model.screen, Screen::Transfers);
}

#[test]
fn a_text_is_shown_with_nothing_that_harms() {
    let mut told = told();
    told.press("2");
    begin(&mut told, transfer(7, "waiting", &json!({})));
    let text = json!({"text": "hello\n\u{1b}]0;x\u{7}", "offer": {"type": "text", "name": "", "size": 9, "unpacked": 9, "files": 0}});
    told.hear(by_server(vec![transfer(7, "done", &text)]));
    let Some(Popup::Text(reading)) = &told.model.popup else { panic!() };
    assert_eq!(reading.lines, ["hello", "\\x1b]0;x\\x07"]);
}

#[test]
fn cancelling_is_asked_says_whose_it_is_and_no_is_the_default() {
    let mut told = told();
    let mut other = running(3, 7_700_000_000);
    other.transfer.started_by = "console 2".to_owned();
    let activity = serde_json::from_value(json!({"console": 1})).unwrap();
    told.hear(Message::Activity(Ok(Box::new(activity))));
    told.hear(by_server(vec![other]));
    told.press("3c");
    assert!(told.drawn().contains("! It was started by console 2."), "{}", told.drawn());
    assert!(press(&mut told, KeyCode::Enter).is_empty() && told.model.popup.is_none());
    told.press("c");
    press(&mut told, KeyCode::Left);
    let effects = press(&mut told, KeyCode::Enter);
    assert_eq!(only_wish(&effects), &Wish::cancel(3));
}

#[test]
fn the_list_leads_on() {
    let mut told = told();
    let done = json!({"offer": folder(), "path": "ITERS/it.0", "into": "ITERS", "done": 5});
    told.hear(by_server(vec![transfer(3, "done", &done)]));
    told.press("3");
    told.press("a");
    assert_eq!((told.model.screen, told.model.receive.into.text()), (Screen::Receive, "/ITERS/"));
    told.press("\x1b");
    let effects = press(&mut told, KeyCode::Char('o'));
    assert!(
        effects.iter().any(|it| matches!(it, Effect::List(_, path) if path.to_plain() == b"ITERS"))
    );
    assert_eq!(told.model.browse.go_to.as_deref(), Some(&b"it.0"[..]));
    told.press("3");
    let effects = press(&mut told, KeyCode::Char('x'));
    assert_eq!(only_wish(&effects), &Wish::Transfers(TransfersCommand::Clear));
}

#[test]
fn what_is_selected_is_sent_and_the_command_shown_when_it_is_known() {
    let mut told = told();
    told.press("j ");
    assert!(press(&mut told, KeyCode::Char('w')).is_empty());
    let effects = press(&mut told, KeyCode::Enter);
    let wish = Wish::Send(SendArgs { paths: vec!["/ITERS".into()], ..SendArgs::default() });
    assert_eq!(only_wish(&effects), &wish);
    let command = "wormhole receive 7-guitarist-revenge";
    let sending = |state, command: Value| {
        transfer(
            4,
            state,
            &json!({"direction": "send", "paths": ["ITERS"], "into": null, "command": command}),
        )
    };
    told.hear(Message::Transferred(wish, Ok(Some(Box::new(sending("connecting", Value::Null))))));
    assert!(told.model.popup.is_none() && told.drawn().contains("making a code"));
    told.hear(by_server(vec![sending("waiting", command.into())]));
    assert!(!told.drawn().contains("making a code"), "{}", told.drawn());
    assert!(
        told.drawn().lines().any(|it| it.trim_matches([' ', '│']) == command),
        "{}",
        told.drawn()
    );
    let effects = press(&mut told, KeyCode::Char('y'));
    assert!(matches!(effects.as_slice(), [Effect::Copy(it)] if it == command));
}

#[test]
fn quitting_is_free_with_a_server_and_asked_without() {
    let mut told = told();
    told.hear(by_server(vec![running(3, 5)]));
    told.press("q");
    assert!(told.model.is_over);
    let mut told = self::told();
    told.hear(by_console(vec![running(3, 5)]));
    told.press("q");
    assert!(!told.model.is_over && told.drawn().contains("no server does it"), "{}", told.drawn());
    told.press("\r");
    assert!(!told.model.is_over);
    press_with(&mut told, KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert!(!told.model.is_over);
    press_with(&mut told, KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert!(told.model.is_over);
    let mut told = self::told();
    told.hear(by_console(vec![running(3, 5)]));
    told.press(":quit\r");
    assert!(!told.model.is_over);
}

#[test]
fn a_new_console_says_what_went_on_meanwhile() {
    let mut told = told();
    told.hear(by_server(vec![running(3, 7_728_000_000)]));
    let drawn = told.drawn();
    assert!(drawn.contains("1 transfer went on while you were away, 42 %"), "{drawn}");
    assert!(drawn.lines().next().unwrap().contains("↓1 42%"), "{drawn}");
    told.model.look.ascii = true;
    assert!(told.drawn().lines().next().unwrap().contains("v1 42%"));
    told.hear(by_server(vec![transfer(3, "done", &json!({"path": "berlin/x"}))]));
    assert!(told.drawn().contains("received /berlin/x"), "{}", told.drawn());
}

#[test]
fn only_news_is_drawn() {
    let mut told = told();
    let quiet = |told: &mut Told, message| {
        told.model.redraw = Redraw::No;
        told.hear(message);
        told.model.redraw == Redraw::No
    };
    told.hear(by_server(vec![running(3, 7_728_000_000)]));
    assert!(quiet(&mut told, by_server(vec![running(3, 7_728_000_001)])), "the badge is the same");
    assert!(!quiet(&mut told, by_server(vec![running(3, 9_000_000_000)])));
    told.press("3");
    assert!(quiet(&mut told, by_server(vec![running(3, 9_000_000_000)])));
    assert!(!quiet(&mut told, by_server(vec![running(3, 9_000_000_001)])));
}

#[test]
fn somebody_is_asked_as_often_as_it_is_seen() {
    let mut told = told();
    let asked = |told: &mut Told, seconds: u64, is_answered: bool| {
        (0..seconds * 4)
            .filter(|_| {
                let now =
                    told.model.now.checked_add(std::time::Duration::from_millis(250)).unwrap();
                let effects = update(&mut told.model, Message::Tick(now));
                let is_asked = effects.iter().any(|it| matches!(it, Effect::AskTransfers));
                if is_asked && is_answered {
                    told.hear(by_server(Vec::new()));
                }
                is_asked
            })
            .count()
    };
    assert_eq!(asked(&mut told, 10, true), 2);
    told.press("3");
    assert_eq!(asked(&mut told, 10, true), 10);
    told.press("1");
    told.model.activity.server = Server::Unknown;
    assert_eq!(asked(&mut told, 10, true), 0, "nobody would answer");
    told.press("3");
    assert_eq!(asked(&mut told, 10, false), 1, "a slow answer is waited for");
}

#[test]
fn the_palette_does_on_the_screen_what_the_command_would_wait_for() {
    let run = |line: &str| {
        let mut told = told();
        told.press(&format!(":{line}"));
        let effects = press(&mut told, KeyCode::Enter);
        (told, effects)
    };
    let (told, effects) = run("receive 7-guitarist-revenge ITERS");
    assert_eq!(told.model.screen, Screen::Receive);
    let is_it = |it: &Effect| matches!(it, Effect::Transfer(Wish::Receive(args)) if args.folder.as_deref() == Some("ITERS".as_ref()));
    assert!(effects.iter().any(is_it), "{effects:?}");
    assert_eq!(told.model.receive.into.text(), "ITERS", "it can be tried again");
    let (told, effects) = run("receive 7-guitarist-reveng");
    assert!(effects.is_empty() && told.drawn().contains("revenge?"), "{}", told.drawn());
    let (told, _) = run("receive");
    assert_eq!((told.model.screen, told.model.receive.code.text()), (Screen::Receive, ""));
    let (_, effects) = run("send ITERS runs.sqlite");
    assert!(matches!(only_wish(&effects), Wish::Send(it) if it.paths.len() == 2));
    let (_, effects) = run("transfers cancel 3");
    assert_eq!(only_wish(&effects), &Wish::cancel(3));
    for line in ["transfers", "transfers list", "transfers wait", "transfers wait 3"] {
        let (told, effects) = run(line);
        assert_eq!(told.model.screen, Screen::Transfers, "{line}");
        assert!(matches!(effects.as_slice(), [Effect::AskTransfers]), "{line}: {effects:?}");
    }
    let mut told = self::told();
    told.model.look.read_only = true;
    told.press(":receive 7-guitarist-revenge\r");
    assert!(told.drawn().contains("nothing is changed"));
}

#[test]
fn a_read_only_console_begins_and_answers_nothing() {
    let mut told = told();
    told.model.look.read_only = true;
    told.press("27-guitarist-revenge");
    assert!(press(&mut told, KeyCode::Enter).is_empty());
    offer(&mut told, &question(), &folder());
    assert!(press(&mut told, KeyCode::Enter).is_empty());
    told.press("\x1b3");
    assert!(press(&mut told, KeyCode::Char('x')).is_empty());
    assert!(press(&mut told, KeyCode::Char('c')).is_empty() && told.model.popup.is_none());
}

#[test]
fn the_screen_to_receive() {
    check("receive", |it| it.press("2"));
    check("receive-words", |it| it.press("27-guitarist-re"));
    check("receive-all-words", |it| it.press("27-guitarist-"));
    check("receive-unknown", |it| it.press("27-guitarist-revemge\r"));
    check("receive-public", |it| {
        it.press("2");
        press_with(it, KeyCode::Char('o'), KeyModifiers::CONTROL);
        it.press("public/new");
    });
    check("receive-no-server", |it| {
        it.hear(by_console(Vec::new()));
        it.press("2");
    });
    check("receive-made", |it| {
        it.press("2\r");
        begin(it, transfer(7, "connecting", &json!({"code": null})));
        let command = "wormhole send --code 7-guitarist-revenge FILE-OR-FOLDER";
        it.hear(by_server(vec![transfer(7, "waiting", &json!({"command": command}))]));
    });
    check("receive-waiting", |it| {
        it.press("27-guitarist-revenge\r");
        begin(it, transfer(7, "waiting", &json!({})));
    });
}

#[test]
fn the_screen_of_an_offer() {
    check("offer", |it| offer(it, &question(), &folder()));
    check("offer-existing", |it| offer(it, &existing(), &folder()));
    check("offer-archive", |it| {
        let archive = json!({"type": "file", "name": "run\u{1b}[2J.tar", "size": 9_100_000_000_u64, "unpacked": 9_100_000_000_u64, "files": 1, "is_archive": true});
        let mut asked = existing();
        asked["path"] = "berlin/run.tar".into();
        asked["existing"] = json!({"is_folder": false, "items": null, "size": 61_000, "modified": "2026-11-02T09:14:00Z"});
        asked["problem"] =
            "`berlin/run.tar` is there already: keep both, replace it, or choose another folder"
                .into();
        offer(it, &asked, &archive);
    });
}

#[test]
fn the_screen_of_transfers() {
    check("transfers-none", |it| {
        it.hear(by_server(Vec::new()));
        it.press("3");
    });
    check("transfers-here", |it| {
        it.hear(by_console(vec![running(1, 7_700_000_000)]));
        it.press("3");
    });
    check("transfers", |it| {
        it.hear(by_server(all()));
        it.press("3");
    });
    check("transfers-failed", |it| {
        it.hear(by_server(all()));
        it.press("3jjjjj");
    });
    check("transfers-details", |it| {
        it.hear(by_server(all()));
        it.press("3jjjjj\r");
    });
    check("transfers-cancel", |it| {
        it.hear(by_server(all()));
        it.press("3c");
    });
    check("transfers-badge", |it| it.hear(by_server(all())));
}

#[test]
fn a_server_that_goes_silent_is_told_when_it_stays_so() {
    let mut told = told();
    told.hear(by_server(vec![running(3, 5)]));
    told.press("3");
    let later = |told: &Told, seconds| {
        told.model.now.checked_add(std::time::Duration::from_secs(seconds)).unwrap()
    };
    told.hear(Message::Transfers(Err(Failure::new("it did not answer"))));
    assert!(!told.drawn().contains("no answer"));
    told.hear(Message::Tick(later(&told, 6)));
    assert!(told.drawn().contains("! no answer, this is of 14:02"), "{}", told.drawn());
    told.hear(by_server(vec![running(3, 5)]));
    assert!(!told.drawn().contains("no answer"));
}
