//! Transfer records: their numbers, and which hosts still run.

use serde::{Deserialize, Serialize};
use volume::Volume;

use crate::support::Place;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    version: u32,
    what: String,
}

fn record(what: &str) -> Record {
    Record { version: 1, what: what.to_owned() }
}

#[test]
fn each_transfer_gets_the_next_number() {
    let place = Place::new();
    let volume = Volume::open(&place.path("")).unwrap();
    let records = volume.transfer_records(1).unwrap();
    let begin = || records.begin(|it| record(&format!("number {it}"))).unwrap().0;
    assert_eq!((begin(), begin(), begin()), (1, 2, 3));
    records.remove(2).unwrap();
    assert_eq!(begin(), 4);
    assert_eq!(records.read(3).unwrap(), Some(record("number 3")));
    assert_eq!(records.read::<Record>(2).unwrap(), None);
    records.write(3, &record("over")).unwrap();
    assert_eq!(records.read(3).unwrap(), Some(record("over")));
    let numbers: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(begin)).collect();
        threads.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), 8, "{numbers:?}");
}

#[test]
fn a_record_of_a_newer_version_is_left_alone() {
    let place = Place::new();
    let volume = Volume::open(&place.path("")).unwrap();
    let records = volume.transfer_records(1).unwrap();
    place.put(".sounding/transfers/7.json", r#"{"version": 2, "how": "unknown"}"#);
    let error = records.read::<Record>(7).unwrap_err().to_string();
    assert_eq!(error, "transfers/7.json is of a newer version of the service");
    assert_eq!(records.begin(|_| record("next")).unwrap().0, 8);
}

#[test]
fn a_host_that_is_gone_is_seen_to_be() {
    let place = Place::new();
    let volume = Volume::open(&place.path("")).unwrap();
    let records = volume.transfer_records(1).unwrap();
    let (one, other) = (records.host().unwrap(), records.host().unwrap());
    let (id, other_id) = (one.id, other.id);
    assert!(records.is_there(id).unwrap() && records.is_there(other_id).unwrap());
    drop(one);
    assert!(!records.is_there(id).unwrap());
    assert!(records.is_there(other_id).unwrap());
    // A crash leaves the file without its lock.
    place.put(&format!(".sounding/transfers/{id}.host"), "");
    assert!(!records.is_there(id).unwrap());
    assert!(!place.path(&format!(".sounding/transfers/{id}.host")).exists());
}
