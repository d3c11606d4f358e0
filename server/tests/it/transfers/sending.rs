//! What is sent out of the volume arrives at the Python clients whole.

use std::fs;

use rustix::process::Signal;
use serde_json::json;

use super::python::{Python, Version};
use super::servers::pattern;
use super::{Place, fresh_code, tree};

const BOTH: [Version; 2] = [Version::New, Version::Old];

fn place() -> Place {
    let place = Place::new();
    for folder in ["berlin/ITERS/it.0", "berlin/empty", "berlin/空"] {
        fs::create_dir_all(place.path(folder)).unwrap();
    }
    fs::write(place.path("berlin/trips.csv.gz"), pattern(3_000_000)).unwrap();
    fs::write(place.path("berlin/ITERS/it.0/Größe.csv"), b"a,b\n").unwrap();
    fs::write(place.path("berlin/空/leer"), b"").unwrap();
    place
}

/// Sends, and has it received: directly, or by the relay alone.
fn received(
    place: &Place,
    version: Version,
    wanted: serde_json::Value,
    options: &[&str],
) -> Python {
    let number = place.send(wanted);
    let now = place.wait_for(number, "waiting");
    let code = now["code"].as_str().unwrap();
    assert!(now["command"].as_str().unwrap().ends_with(&format!("receive {code}")));
    let mut receiver = Python::receive(version, place, options, code);
    receiver.succeeds();
    place.done(number);
    receiver
}

#[test]
fn a_file_is_sent() {
    let place = place();
    for (version, options) in
        BOTH.into_iter().flat_map(|it| [(it, &[][..]), (it, &["--no-listen"])])
    {
        let wanted = json!({"paths": ["berlin/trips.csv.gz"]});
        let receiver = received(&place, version, wanted, options);
        assert_eq!(fs::read(receiver.path("trips.csv.gz")).unwrap(), pattern(3_000_000));
    }
}

#[test]
fn a_folder_is_sent_as_a_folder() {
    let place = place();
    for version in BOTH {
        let receiver = received(&place, version, json!({"paths": ["berlin"]}), &[]);
        assert_eq!(tree(&receiver.path("berlin")), tree(&place.path("berlin")), "{version:?}");
    }
}

#[test]
fn several_things_are_sent_as_one_folder() {
    let place = place();
    let wanted = json!({"paths": ["berlin/trips.csv.gz", "berlin/ITERS"]});
    let receiver = received(&place, Version::New, wanted, &[]);
    let names: Vec<String> = tree(&receiver.path("berlin")).into_iter().map(|it| it.0).collect();
    assert_eq!(names, ["ITERS", "ITERS/it.0", "ITERS/it.0/Größe.csv", "trips.csv.gz"]);
}

#[test]
fn a_text_is_sent() {
    let place = place();
    for version in BOTH {
        let receiver = received(&place, version, json!({"text": "it is there"}), &[]);
        assert!(receiver.log().contains("it is there"), "{}", receiver.log());
    }
}

#[test]
fn what_can_not_arrive_is_not_offered() {
    let place = place();
    fs::create_dir(place.path("zurich")).unwrap();
    fs::write(place.path("zurich/trips.csv.gz"), b"another").unwrap();
    let same_names = json!(["berlin/trips.csv.gz", "zurich/trips.csv.gz"]);
    let cases = [
        (json!(["berlin/none"]), "there is nothing at"),
        (json!([]), "nothing was named"),
        (same_names, "has the same name as another"),
    ];
    for (paths, cause) in cases {
        let number = place.send(json!({"paths": paths}));
        let now = place.wait_for(number, "failed");
        assert!(now["cause"].as_str().unwrap().contains(cause), "{now}");
        assert!(now["code"].is_null());
    }
}

#[test]
fn a_receiver_that_is_killed_is_told_of() {
    let place = place();
    fs::File::create(place.path("big")).unwrap().set_len(4 << 30).unwrap();
    let number = place.send(json!({"paths": ["big"]}));
    let code = place.wait_for(number, "waiting")["code"].as_str().unwrap().to_owned();
    let mut receiver = Python::receive(Version::New, &place, &[], &code);
    place.flows(number);
    receiver.signal(Signal::KILL);
    receiver.end();
    let now = place.wait_for(number, "failed");
    assert!(now["cause"].as_str().unwrap().contains("connection was lost"), "{now}");
}

#[test]
fn a_file_that_changes_while_it_is_sent_ends_the_transfer() {
    let place = place();
    let big = fs::File::create(place.path("big")).unwrap();
    big.set_len(4 << 30).unwrap();
    let number = place.send(json!({"paths": ["big"]}));
    let code = place.wait_for(number, "waiting")["code"].as_str().unwrap().to_owned();
    let mut receiver = Python::receive(Version::New, &place, &[], &code);
    place.flows(number);
    big.set_len(1 << 20).unwrap();
    let now = place.wait_for(number, "failed");
    assert!(now["cause"].as_str().unwrap().contains("was changed while it was sent"), "{now}");
    assert!(!receiver.end().0);
    assert!(!receiver.path("big").exists());
}

#[test]
fn a_wrong_code_is_told_on_both_sides() {
    let place = place();
    let number = place.send(json!({"paths": ["berlin"], "code": fresh_code()}));
    let code = place.wait_for(number, "waiting")["code"].as_str().unwrap().to_owned();
    let wrong = code.replace("clockwork", "dinosaur");
    let mut receiver = Python::receive(Version::New, &place, &[], &wrong);
    receiver.fails("Key confirmation failed");
    let now = place.wait_for(number, "failed");
    assert!(now["cause"].as_str().unwrap().contains("the codes differ"), "{now}");
}
