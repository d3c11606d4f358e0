//! A transfer keeps a service awake that nobody asks for anything, and no longer than it lasts.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use super::python::{Python, Version};
use super::{Place, fresh_code};
use crate::idle::keep_awake;

/// Sleeps after two seconds. A minute of the other rules is so many milliseconds long.
fn sleeper(minute: &str) -> Place {
    let mut place = Place::new();
    place.program = None;
    // For as long as the start takes.
    keep_awake(place.volume.path(), Duration::from_secs(3));
    place.start_with(&["--idle-exit", "2", "--idle-minute", minute]);
    place
}

#[test]
fn a_long_transfer_without_any_request_is_not_cut_off_and_then_it_sleeps() {
    let mut place = sleeper("60000");
    let code = fresh_code();
    let length = 128 << 20;
    let make = |folder: &std::path::Path| {
        fs::File::create(folder.join("x.bin")).unwrap().set_len(length).unwrap();
    };
    let mut sender = Python::send(Version::New, &place, make, &code, &["x.bin"]);
    let number = place.receive(json!({"code": code, "yes": true, "wait": true}));
    place.flows(number);
    // A line on which next to nothing gets through, for three times as long as nobody may need the service.
    let until = Instant::now() + Duration::from_secs(6);
    while Instant::now() < until {
        sender.signal(Signal::STOP);
        std::thread::sleep(Duration::from_millis(980));
        sender.signal(Signal::CONT);
        std::thread::sleep(Duration::from_millis(1));
    }
    let (_, awake) = place.ask("GET", "/awake", &json!(null));
    assert_eq!(awake["awake"], json!(["1 wormhole transfer"]), "it was on its way all the time");
    sender.succeeds();
    let (status, log) = place.program.take().unwrap().ended();
    assert!(status.success() && log.contains("asleep"), "{log}");
    assert!(log.contains("transfer done"), "{log}");
    assert_eq!(fs::metadata(place.path("x.bin")).unwrap().len(), length);
    place.is_clean("");
}

#[test]
fn a_code_that_nobody_uses_keeps_it_awake_for_two_hours() {
    let mut place = sleeper("50");
    let began = Instant::now();
    let number = place.receive(json!({"into": "run"}));
    place.wait_for(number, "waiting");
    let (status, log) = place.program.take().unwrap().ended();
    // Two hours are six seconds.
    assert!(began.elapsed() >= Duration::from_secs(6), "{log}");
    assert!(status.success() && log.contains("asleep"), "{log}");
    place.start();
    let now = place.get(number);
    assert_eq!(
        (&now["state"], now["cause"].as_str()),
        (&"interrupted".into(), Some("nobody came for two hours, and the service went to sleep"))
    );
}
