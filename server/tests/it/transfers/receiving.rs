//! What the Python clients send arrives whole, and they are told.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::python::{Python, Version};
use super::servers::pattern;
use super::{Place, fresh_code, tree};
use crate::support::Connection;

const BOTH: [Version; 2] = [Version::New, Version::Old];

fn file(folder: &Path) {
    fs::write(folder.join("trips.csv.gz"), pattern(3_000_000)).unwrap();
}

/// A run as they are: nested, with empty folders and names in all scripts, and two thousand small files.
fn run(folder: &Path) {
    let run = folder.join("output-1pct");
    for sub in ["ITERS/it.0", "ITERS/it.10/empty", "Auswertung für Köln & Umland", "空"] {
        fs::create_dir_all(run.join(sub)).unwrap();
    }
    fs::write(run.join("trips.csv.gz"), pattern(2_000_000)).unwrap();
    fs::write(run.join("Auswertung für Köln & Umland/Größe (50%).csv"), b"a,b\n1,2\n").unwrap();
    fs::write(run.join("空/データ.txt"), b"").unwrap();
    for number in 0..2000 {
        let content = pattern(number % 300);
        fs::write(run.join(format!("ITERS/it.0/{number}.linkstats.txt")), content).unwrap();
    }
}

#[test]
fn a_file_arrives_and_the_feed_tells_of_it() {
    for version in BOTH {
        let place = Place::new();
        let cursor = changes(&place, "")["cursor"].as_str().unwrap().to_owned();
        let code = fresh_code();
        let mut sender = Python::send(version, &place, file, &code, &["trips.csv.gz"]);
        let wanted = json!({"code": code, "into": "berlin/v6.4", "wait": true});
        let number = place.receive(wanted);
        let now = place.wait_until(number, |it| !it["question"].is_null());
        assert_eq!(now["offer"]["name"], "trips.csv.gz");
        assert_eq!(
            (&now["offer"]["type"], &now["offer"]["size"]),
            (&"file".into(), &3_000_000.into())
        );
        assert_eq!(now["question"]["path"], "berlin/v6.4/trips.csv.gz");
        assert!(!place.path("berlin").exists());
        place.accept(number);
        let now = place.done(number);
        sender.succeeds();
        assert_eq!(fs::read(place.path("berlin/v6.4/trips.csv.gz")).unwrap(), pattern(3_000_000));
        assert_eq!((&now["done"], &now["notes"]), (&3_000_000.into(), &Value::Null));
        place.is_clean("");
        let told = changes(&place, &format!("?since={cursor}&wait=30&fold=folder"));
        assert!(told.to_string().contains("berlin"), "{told}");
    }
}

fn changes(place: &Place, query: &str) -> Value {
    let mut connection = Connection::to(&place.program.as_ref().unwrap().address);
    let target = format!("/changes{query}");
    connection.send("GET", &target, &[("Authorization", "kmt-secret")]);
    connection.receive("GET").json()
}

#[test]
fn a_directory_arrives_whole() {
    for version in BOTH {
        let place = Place::new();
        let code = fresh_code();
        let mut sender = Python::send(version, &place, run, &code, &["output-1pct"]);
        let number = place.receive(json!({"code": code, "yes": true, "wait": true}));
        let now = place.done(number);
        sender.succeeds();
        assert_eq!((&now["offer"]["files"], &now["path"]), (&2003.into(), &"output-1pct".into()));
        let mut sent = tree(&sender.path("output-1pct"));
        if version == Version::Old {
            // That client sends no empty folders.
            sent.retain(|it| it.0 != "ITERS/it.10" && it.0 != "ITERS/it.10/empty");
        }
        assert!(tree(&place.path("output-1pct")) == sent, "{version:?}");
        place.is_clean("");
    }
}

#[test]
fn an_empty_directory_arrives_empty() {
    let place = Place::new();
    let code = fresh_code();
    let make = |it: &Path| fs::create_dir(it.join("empty")).unwrap();
    let mut sender = Python::send(Version::New, &place, make, &code, &["empty"]);
    let number = place.receive(json!({"code": code, "yes": true, "wait": true}));
    place.done(number);
    sender.succeeds();
    assert!(tree(&place.path("empty")).is_empty());
}

#[test]
fn a_directory_with_a_file_over_4_gib_arrives() {
    const SIZE: u64 = (4 << 30) + 12_345;
    let place = Place::new();
    let code = fresh_code();
    let make = |folder: &Path| {
        fs::create_dir(folder.join("big")).unwrap();
        fs::File::create(folder.join("big/events.bin")).unwrap().set_len(SIZE).unwrap();
        fs::write(folder.join("big/zz.txt"), b"behind it").unwrap();
    };
    let mut sender = Python::send(Version::New, &place, make, &code, &["big"]);
    let number = place.receive(json!({"code": code, "yes": true, "wait": true}));
    place.done(number);
    sender.succeeds();
    assert_eq!(fs::metadata(place.path("big/events.bin")).unwrap().len(), SIZE);
    assert_eq!(fs::read(place.path("big/zz.txt")).unwrap(), b"behind it");
}

#[test]
fn a_text_is_kept_with_the_transfer() {
    for version in BOTH {
        let place = Place::new();
        let code = fresh_code();
        let what = ["--text", "the run is at /scratch"];
        let mut sender = Python::send(version, &place, |_| {}, &code, &what);
        let number = place.receive(json!({"code": code, "wait": true}));
        let now = place.done(number);
        assert_eq!(
            (&now["text"], &now["offer"]["type"]),
            (&"the run is at /scratch".into(), &"text".into())
        );
        sender.succeeds();
    }
}

#[test]
fn a_code_that_is_made_here_says_what_to_type() {
    let place = Place::new();
    let number = place.receive(json!({"yes": true}));
    let now = place.wait_for(number, "waiting");
    let (command, code) = (now["command"].as_str().unwrap(), now["code"].as_str().unwrap());
    let typed = format!(
        "wormhole --relay-url {} --transit-helper {} send --code {code} FILE-OR-FOLDER",
        place.servers.mailbox_url(),
        place.servers.relay()
    );
    assert_eq!(command, typed);
    let mut sender = Python::send(Version::New, &place, file, code, &["trips.csv.gz"]);
    place.done(number);
    sender.succeeds();
    assert!(place.path("trips.csv.gz").exists());
}

#[test]
fn what_has_the_name_already_is_kept_replaced_or_left() {
    let place = Place::new();
    fs::write(place.path("trips.csv.gz"), b"old").unwrap();
    let receive = |exists: &str| {
        let code = fresh_code();
        let sender = Python::send(Version::New, &place, file, &code, &["trips.csv.gz"]);
        let wanted = json!({"code": code, "yes": true, "wait": true, "on_conflict": exists});
        (place.receive(wanted), sender)
    };
    let (number, mut sender) = receive("refuse");
    let now = place.wait_for(number, "failed");
    assert!(now["cause"].as_str().unwrap().contains("is there already"), "{now}");
    sender.fails("is there already");
    assert_eq!(fs::read(place.path("trips.csv.gz")).unwrap(), b"old");
    let (number, mut sender) = receive("keep-both");
    assert_eq!(place.done(number)["path"], "trips%20%282%29.csv.gz");
    sender.succeeds();
    let (number, mut sender) = receive("replace");
    assert_eq!(place.done(number)["path"], "trips.csv.gz");
    sender.succeeds();
    assert_eq!(fs::read(place.path("trips.csv.gz")).unwrap(), pattern(3_000_000));
    assert_eq!(fs::read(place.path(".sounding/trash/files/trips.csv.gz")).unwrap(), b"old");
    place.is_clean("");
}

#[test]
fn an_answer_that_cannot_be_taken_leaves_the_question_open() {
    let place = Place::new();
    fs::write(place.path("trips.csv.gz"), b"old").unwrap();
    let code = fresh_code();
    let mut sender = Python::send(Version::New, &place, file, &code, &["trips.csv.gz"]);
    let number = place.receive(json!({"code": code, "wait": true}));
    let now = place.wait_until(number, |it| !it["question"].is_null());
    assert_eq!(now["question"]["existing"]["size"], 3);
    let (status, said) = place.answer(number, &json!({"answer": "accept"}));
    assert_eq!(status, 409);
    assert!(said["detail"].as_str().unwrap().contains("is there already"), "{said}");
    let now = place.wait_until(number, |it| !it["question"]["problem"].is_null());
    assert_eq!(now["state"], "offered");
    for bad in
        [json!({"answer": "accept", "name": "../x"}), json!({"answer": "accept", "name": ".x"})]
    {
        assert_eq!(place.answer(number, &bad).0, 409);
    }
    let other = json!({"answer": "accept", "into": "zurich", "name": "new.csv.gz"});
    assert_eq!(place.answer(number, &other).0, 204);
    assert_eq!(place.done(number)["path"], "zurich/new.csv.gz");
    sender.succeeds();
    assert_eq!(place.answer(number, &other).0, 409);
}

#[test]
fn several_go_on_at_once() {
    let place = Place::new();
    let codes: Vec<String> = (0..4).map(|_| fresh_code()).collect();
    let mut senders = Vec::new();
    let mut numbers = Vec::new();
    for (number, code) in codes.iter().enumerate() {
        senders.push(Python::send(Version::New, &place, file, code, &["trips.csv.gz"]));
        let wanted = json!({"code": code, "into": number.to_string(), "yes": true, "wait": true});
        numbers.push(place.receive(wanted));
    }
    for (number, mut sender) in numbers.into_iter().zip(senders) {
        let now = place.done(number);
        sender.succeeds();
        let path = place.path(now["path"].as_str().unwrap());
        assert_eq!(fs::read(path).unwrap(), pattern(3_000_000));
    }
    let (_, all) = place.ask("GET", "/transfers", &Value::Null);
    let numbers: Vec<_> = all.as_array().unwrap().iter().map(|it| it["number"].as_u64()).collect();
    assert_eq!(numbers, [Some(4), Some(3), Some(2), Some(1)]);
    let (_, forgotten) = place.ask("DELETE", "/transfers", &Value::Null);
    assert_eq!(forgotten["forgotten"], 4);
    assert_eq!(place.ask("GET", "/transfers/1", &Value::Null).0, 404);
}
