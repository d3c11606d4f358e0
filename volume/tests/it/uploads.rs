//! Resumable uploads: which bytes count, and what is left behind.

use std::fs;
use std::sync::Arc;

use jiff::{Timestamp, ToSpan};
use volume::OnConflict;
use volume::staged_id::StagedId;
use volume::staging::PublishError;
use volume::uploads::{Upload, UploadKind, UploadPart, UploadRecord, UploadTarget};
use volume::{RelPath, Volume};

use crate::support::{Place, rel};

fn anywhere(_: &RelPath) -> bool {
    true
}

fn open(place: &Place) -> Arc<Volume> {
    Arc::new(Volume::open(&place.path("")).unwrap())
}

fn record(length: usize, purpose: UploadKind) -> UploadRecord {
    UploadRecord::new("kmt", Timestamp::now(), length as u64, purpose, "filename eA==")
}

fn file(path: &str, exists: OnConflict) -> UploadKind {
    UploadKind::File(UploadTarget { path: rel(path), exists })
}

fn append(upload: &mut Upload, content: &str) {
    let mut staged = upload.take_staged().unwrap();
    staged.write(content.as_bytes()).unwrap();
    upload.put_back(staged);
}

fn again(volume: &Arc<Volume>, id: StagedId) -> Upload {
    volume.upload(id).unwrap().unwrap()
}

fn names(place: &Place, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(place.path(folder)).unwrap();
    entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn what_has_come_is_there_after_a_break() {
    let place = Place::new();
    let volume = open(&place);
    let mut upload = volume.begin_upload(record(6, file("run/a.csv", OnConflict::Refuse))).unwrap();
    append(&mut upload, "abc");
    let id = upload.id;
    drop(upload);
    // A second volume, as another process would open it.
    let volume = open(&place);
    let mut upload = again(&volume, id);
    assert_eq!(upload.offset(), 3);
    upload.finish(&anywhere).unwrap();
    assert!(!place.path("run/a.csv").exists());
    append(&mut upload, "def");
    upload.finish(&anywhere).unwrap();
    assert_eq!(fs::read_to_string(place.path("run/a.csv")).unwrap(), "abcdef");
    let upload = again(&volume, id);
    assert!(upload.is_published());
    assert_eq!((upload.offset(), upload.record.published.clone()), (6, Some(rel("run/a.csv"))));
    assert!(names(&place, ".sounding/staging").is_empty());
}

#[test]
fn bytes_that_were_not_checked_have_not_come() {
    let place = Place::new();
    let volume = open(&place);
    let mut upload = volume.begin_upload(record(9, file("run/a.csv", OnConflict::Refuse))).unwrap();
    append(&mut upload, "abc");
    for verdict in [Some(false), None] {
        upload.begin_check().unwrap();
        append(&mut upload, "bad");
        match verdict {
            Some(verdict) => upload.end_check(verdict).unwrap(),
            // The process was killed before it could end the check.
            None => upload = again(&volume, upload.id),
        }
        assert_eq!(upload.offset(), 3);
    }
    upload.begin_check().unwrap();
    append(&mut upload, "def");
    upload.end_check(true).unwrap();
    assert_eq!(again(&volume, upload.id).offset(), 6);
}

#[test]
fn a_name_that_was_taken_meanwhile_is_left_and_the_upload_kept() {
    let place = Place::new();
    let volume = open(&place);
    let mut upload = volume.begin_upload(record(3, file("run/a.csv", OnConflict::Refuse))).unwrap();
    append(&mut upload, "new");
    place.put("run/a.csv", "old");
    let refused = upload.finish(&anywhere);
    assert!(matches!(refused, Err(PublishError::Occupied { .. })), "{refused:?}");
    let mut upload = again(&volume, upload.id);
    assert!(upload.is_complete() && !upload.is_published());
    fs::remove_file(place.path("run/a.csv")).unwrap();
    upload.finish(&anywhere).unwrap();
    assert_eq!(fs::read_to_string(place.path("run/a.csv")).unwrap(), "new");
}

#[test]
fn parts_are_joined_however_often_that_is_interrupted() {
    let place = Place::new();
    let volume = open(&place);
    let contents = ["a".repeat(100_000), String::new(), "b".repeat(70_000), "c".repeat(30_001)];
    let parts: Vec<UploadPart> = contents
        .iter()
        .map(|content| {
            let mut part = volume.begin_upload(record(content.len(), UploadKind::Part)).unwrap();
            append(&mut part, content);
            part.finish(&anywhere).unwrap();
            UploadPart { id: part.id, length: content.len() as u64 }
        })
        .collect();
    let target = UploadTarget { path: rel("run/whole.csv"), exists: OnConflict::Refuse };
    let whole = record(contents.concat().len(), UploadKind::Joined { target, parts });
    let id = volume.begin_upload(whole).unwrap().id;
    let mut rounds = 0;
    loop {
        // Opened again each time, as after a kill.
        let mut upload = again(&volume, id);
        assert!(!upload.is_published());
        if upload.join_more(8_192).unwrap() {
            upload.finish(&anywhere).unwrap();
            break;
        }
        rounds += 1;
    }
    assert!(rounds > 10, "{rounds}");
    assert!(fs::read_to_string(place.path("run/whole.csv")).unwrap() == contents.concat());
    assert!(names(&place, ".sounding/staging").is_empty());
    assert_eq!(names(&place, ".sounding/uploads"), [format!("{id}.json")]);
}

#[test]
fn what_nobody_goes_on_with_is_swept_after_a_week() {
    let place = Place::new();
    let volume = open(&place);
    let begun = volume.begin_upload(record(3, file("run/a.csv", OnConflict::Refuse))).unwrap().id;
    let mut done = volume.begin_upload(record(0, file("run/b.csv", OnConflict::Refuse))).unwrap();
    done.finish(&anywhere).unwrap();
    let sweep = |hours: i64| volume.sweep_uploads(Timestamp::now() + hours.hours()).unwrap();
    let left = || volume.uploads().unwrap();
    assert_eq!((sweep(23), left().len()), (0, 2));
    assert_eq!((sweep(25), left()), (0, vec![begun]));
    assert_eq!((sweep(7 * 24 - 1), left().len()), (0, 1));
    assert_eq!((sweep(7 * 24 + 1), left().len()), (1, 0));
    assert!(names(&place, ".sounding/staging").is_empty());
}

#[test]
fn a_record_can_be_read_by_a_person_and_a_strange_one_is_reported() {
    let place = Place::new();
    let volume = open(&place);
    let upload = volume.begin_upload(record(3, file("run/ä.csv", OnConflict::KeepBoth))).unwrap();
    let path = format!(".sounding/uploads/{}.json", upload.id);
    let text = fs::read_to_string(place.path(&path)).unwrap();
    for line in ["\"version\": 1", "\"user\": \"kmt\"", "\"path\": \"run/%C3%A4.csv\"", "keep-both"]
    {
        assert!(text.contains(line), "{line} in {text}");
    }
    place.put(&path, &text.replace("\"version\": 1", "\"version\": 99"));
    assert!(volume.upload(upload.id).unwrap_err().to_string().contains("newer"));
    place.put(&path, "{");
    assert!(volume.upload(upload.id).is_err());
}
