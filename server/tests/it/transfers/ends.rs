//! How transfers end before their time: both sides are told, and nothing partial stays.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::python::{Python, Version};
use super::{Place, ask, fresh_code};

fn small(folder: &Path) {
    fs::write(folder.join("x.bin"), b"x").unwrap();
}

/// Bytes that are seen on their way, also where others want the processors. Whoever receives them reserves as many.
const LONG: u64 = 2 << 30;

/// Nothing on the sender's disk.
fn big(folder: &Path) {
    fs::File::create(folder.join("x.bin")).unwrap().set_len(LONG).unwrap();
}

/// A directory of the same size.
fn big_folder(folder: &Path) {
    fs::create_dir(folder.join("output")).unwrap();
    fs::File::create(folder.join("output/x.bin")).unwrap().set_len(LONG).unwrap();
}

fn cause(now: &Value) -> &str {
    now["cause"].as_str().unwrap()
}

/// A transfer of which bytes are on their way.
fn under_way(place: &Place, make: fn(&Path), what: &str) -> (u64, Python) {
    let code = fresh_code();
    let sender = Python::send(Version::New, place, make, &code, &[what]);
    let number = place.receive(json!({"code": code, "yes": true, "wait": true}));
    place.flows(number);
    (number, sender)
}

#[test]
fn a_refusal_reaches_the_sender_in_words() {
    for version in [Version::New, Version::Old] {
        let place = Place::new();
        let code = fresh_code();
        let mut sender = Python::send(version, &place, small, &code, &["x.bin"]);
        let number = place.receive(json!({"code": code, "wait": true}));
        place.wait_until(number, |it| !it["question"].is_null());
        let refusal = json!({"answer": "refuse", "why": "not before the backup"});
        assert_eq!(place.answer(number, &refusal).0, 204);
        sender.fails("not before the backup");
        assert_eq!(cause(&place.wait_for(number, "refused")), "not before the backup");
        place.is_clean("x.bin");
    }
}

#[test]
fn a_wrong_code_is_told_on_both_sides() {
    let place = Place::new();
    let code = fresh_code();
    let mut sender = Python::send(Version::New, &place, small, &code, &["x.bin"]);
    let wrong = code.replace("clockwork", "dinosaur");
    let number = place.receive(json!({"code": wrong, "wait": true}));
    let now = place.wait_for(number, "failed");
    assert!(cause(&now).contains("ask for a new `wormhole send`"), "{now}");
    sender.fails("Key confirmation failed");
}

#[test]
fn a_code_that_nobody_waits_under_is_not_used_up() {
    let place = Place::new();
    let code = fresh_code();
    let number = place.receive(json!({"code": code, "yes": true}));
    assert!(cause(&place.wait_for(number, "failed")).contains("nobody waits under this code"));
    let mut sender = Python::send(Version::New, &place, small, &code, &["x.bin"]);
    let number = place.receive(json!({"code": code, "yes": true, "wait": true}));
    place.done(number);
    sender.succeeds();
    let (status, said) =
        place.ask("POST", "/transfers", &json!({"direction": "receive", "code": "x"}));
    assert_eq!(status, 400, "{said}");
}

#[test]
fn a_wait_that_is_cancelled_leaves_the_code_usable() {
    let place = Place::new();
    let code = fresh_code();
    let number = place.receive(json!({"code": code, "wait": true}));
    place.wait_for(number, "waiting");
    place.cancel(number);
    let now = place.wait_for(number, "cancelled");
    assert_eq!(cause(&now), "cancelled by the command line");
    let mut sender = Python::send(Version::New, &place, small, &code, &["x.bin"]);
    let number = place.receive(json!({"code": code, "yes": true, "wait": true}));
    place.done(number);
    sender.succeeds();
}

#[test]
fn an_offer_can_be_cancelled() {
    let place = Place::new();
    let code = fresh_code();
    let mut sender = Python::send(Version::New, &place, small, &code, &["x.bin"]);
    let number = place.receive(json!({"code": code, "wait": true}));
    place.wait_until(number, |it| !it["question"].is_null());
    place.cancel(number);
    place.wait_for(number, "cancelled");
    sender.fails("cancelled by the command line");
    assert_eq!(place.answer(number, &json!({"answer": "accept"})).0, 409);
    place.is_clean("x.bin");
}

#[test]
fn bytes_on_their_way_can_be_cancelled() {
    for (make, what) in [(big as fn(&Path), "x.bin"), (big_folder, "output")] {
        let place = Place::new();
        let (number, mut sender) = under_way(&place, make, what);
        place.cancel(number);
        let now = place.wait_for(number, "cancelled");
        assert!(cause(&now).starts_with("cancelled by the command line"), "{now}");
        assert!(!sender.end().0);
        place.is_clean(what);
        assert_eq!(place.ask("DELETE", &format!("/transfers/{number}"), &Value::Null).0, 409);
    }
}

#[test]
fn a_sender_that_is_killed_is_told_of() {
    for (make, what) in [(big as fn(&Path), "x.bin"), (big_folder, "output")] {
        let place = Place::new();
        let (number, mut sender) = under_way(&place, make, what);
        sender.signal(Signal::KILL);
        sender.end();
        let now = place.wait_for(number, "failed");
        assert!(cause(&now).contains("the connection was lost"), "{now}");
        place.is_clean(what);
    }
}

#[test]
fn a_sender_that_gives_up_in_order_is_told_of() {
    let place = Place::new();
    let (number, mut sender) = under_way(&place, big, "x.bin");
    sender.interrupt();
    place.wait_for(number, "failed");
    place.is_clean("x.bin");
}

#[test]
fn the_end_of_the_service_is_told_to_both_sides() {
    let mut place = Place::new();
    let (number, mut sender) = under_way(&place, big_folder, "output");
    let (waiting, code) = (place.receive(json!({})), fresh_code());
    place.wait_for(waiting, "waiting");
    let mut other = Python::send(Version::New, &place, small, &code, &["x.bin"]);
    let offered = place.receive(json!({"code": code, "wait": true}));
    place.wait_until(offered, |it| !it["question"].is_null());
    let began = Instant::now();
    let (status, _, log) = place.program.take().unwrap().end();
    assert!(status.success(), "{log}");
    // Not a measure: it neither waits for the transfer nor for the grace that downloads have.
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    assert!(!sender.end().0);
    other.fails("the service was stopped");
    place.is_clean("output");
    place.start();
    for number in [number, waiting, offered] {
        let now = place.get(number);
        assert_eq!(now["state"], "interrupted");
        assert!(cause(&now).starts_with("the service was stopped"), "{now}");
    }
}

#[test]
fn what_a_crash_interrupted_is_said_and_removed_at_the_next_start() {
    for (make, what) in [(big as fn(&Path), "x.bin"), (big_folder, "output")] {
        let mut place = Place::new();
        let (number, mut sender) = under_way(&place, make, what);
        // Long enough for the record to say how far it is.
        place.wait_until(number, |it| it["done"].as_u64().unwrap() > 64 << 20);
        place.program.as_ref().unwrap().signal(Signal::KILL);
        drop(place.program.take());
        assert!(!sender.end().0);
        assert_eq!(fs::read_dir(place.path(".sounding/staging")).unwrap().count(), 1);
        place.start();
        let now = place.wait_for(number, "interrupted");
        assert!(cause(&now).contains("the program that ran it ended"), "{now}");
        place.is_clean(what);
        // And the next one works, under the next number.
        let code = fresh_code();
        let mut sender = Python::send(Version::New, &place, small, &code, &["x.bin"]);
        let next = place.receive(json!({"code": code, "yes": true, "wait": true, "into": "new"}));
        assert_eq!(next, number + 1);
        place.done(next);
        sender.succeeds();
    }
}

#[test]
fn what_runs_is_told_to_prometheus_and_keeps_the_machine_awake() {
    let place = Place::new();
    let metric = |name: &str| -> u64 {
        let all = place.metrics();
        let line = all.lines().find(|it| it.starts_with(name));
        line.map_or(0, |it| it.rsplit(' ').next().unwrap().parse().unwrap())
    };
    assert_eq!(metric("sounding_transfers_running"), 0);
    let (number, _sender) = under_way(&place, big, "x.bin");
    let (_, activity) = ask(&place.socket, "GET", "/activity", &Value::Null);
    assert_eq!(activity["awake"], json!(["1 wormhole transfer"]));
    let open = &activity["open"][0];
    assert_eq!((&open["method"], &open["path"]), (&"wormhole".into(), &"x.bin".into()));
    assert!(open["received"].as_u64().unwrap() > 0 && open["expected"] == LONG);
    assert_eq!(metric("sounding_transfers_running"), 1);
    let of_it = format!("{{number=\"{number}\",direction=\"receive\"}}");
    assert_eq!(metric(&format!("sounding_transfer_size_bytes{of_it}")), LONG);
    assert!(metric(&format!("sounding_transfer_moved_bytes{of_it}")) > 0);
    place.cancel(number);
    place.wait_for(number, "cancelled");
    let until = Instant::now() + super::PATIENCE;
    while metric("sounding_transfers_running") > 0 {
        assert!(Instant::now() < until);
    }
    let (_, activity) = ask(&place.socket, "GET", "/activity", &Value::Null);
    assert_eq!(activity["awake"], json!([]));
    assert_eq!(metric("sounding_transfers_ended_total{outcome=\"not_wanted\"}"), 1);
    assert!(metric("sounding_transfer_bytes_total{direction=\"receive\"}") > 0);
}
