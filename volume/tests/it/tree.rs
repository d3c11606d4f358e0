//! Moves, copies, new folders, restoring from the trash, and walks.

use std::fs;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use volume::OnConflict;
use volume::scan::{SearchProgress, Usage};
use volume::staging::StageError;
use volume::trash::{DiscardTarget, RestoreError};
use volume::tree::{Copied, Copying, TreeError};
use volume::{FoundFolder, RelPath, Volume};

use crate::support::{CANARY, Place, both_ways, rel};

fn anywhere(_: &RelPath) -> bool {
    true
}

fn move_to(place: &Place, from: &str, to: &str, exists: OnConflict) -> Result<String, TreeError> {
    let moved = place.volume.move_to(&rel(from), &rel(to), exists, "kmt", &anywhere);
    moved.map(|it| it.path.to_url())
}

/// The place's volume, opened a second time so that it can be shared.
fn shared(place: &Place) -> Arc<Volume> {
    Arc::new(Volume::open(&place.path("")).unwrap())
}

fn copy_to(place: &Place, from: &str, to: &str, exists: OnConflict) -> Result<Copied, TreeError> {
    let go_on = &mut |_: &Copying| ControlFlow::Continue(());
    shared(place).copy_to(&rel(from), &rel(to), exists, "kmt", &anywhere, go_on)
}

fn folder(place: &Place, path: &str) -> FoundFolder {
    match place.find(path).unwrap() {
        volume::Found::Folder(folder) => folder,
        volume::Found::File(_) => panic!("{path} is a file"),
    }
}

fn text(place: &Place, path: &str) -> String {
    fs::read_to_string(place.path(path)).unwrap()
}

/// Whether nothing is left in staging.
fn is_tidy(place: &Place) -> bool {
    fs::read_dir(place.path(".sounding/staging")).map_or(0, Iterator::count) == 0
}

#[test]
fn a_move_takes_a_free_name_only() {
    both_ways(|place| {
        place.put("a/one", "1");
        place.put("a/two", "2");
        assert_eq!(
            move_to(&place, "a/one", "new/deep/uno", OnConflict::Refuse).unwrap(),
            "new/deep/uno"
        );
        assert_eq!(text(&place, "new/deep/uno"), "1");
        let refused = move_to(&place, "a/two", "new/deep/uno", OnConflict::Refuse);
        assert!(matches!(refused, Err(TreeError::Occupied { .. })), "{refused:?}");
        assert_eq!((text(&place, "a/two"), text(&place, "new/deep/uno")), ("2".into(), "1".into()));
        let beside = move_to(&place, "a/two", "new/deep/uno", OnConflict::KeepBoth).unwrap();
        assert_eq!(
            (beside.as_str(), text(&place, "new/deep/uno (2)").as_str()),
            ("new/deep/uno%20%282%29", "2")
        );
        let missing = move_to(&place, "a/two", "b", OnConflict::Refuse);
        assert!(matches!(missing, Err(TreeError::Missing { .. })), "{missing:?}");
    });
}

#[test]
fn what_a_move_replaces_lies_in_the_trash() {
    let place = Place::new();
    place.put("a", "new");
    place.put("b", "old");
    move_to(&place, "a", "b", OnConflict::Replace).unwrap();
    assert_eq!(text(&place, "b"), "new");
    assert_eq!(text(&place, ".sounding/trash/files/b"), "old");
}

#[test]
fn a_folder_moves_whole_and_never_into_itself() {
    let place = Place::new();
    place.put("run/x/y", "1");
    let refused = move_to(&place, "run", "run/x/run", OnConflict::Refuse);
    assert!(matches!(refused, Err(TreeError::IntoItself { .. })), "{refused:?}");
    place.put("old/output-v6.4/a", "a");
    place.put("output-v6.4/b", "b");
    let moved = move_to(&place, "old/output-v6.4", "output-v6.4", OnConflict::KeepBoth).unwrap();
    assert_eq!(text(&place, "output-v6.4 (2)/a"), "a", "{moved}");
}

#[test]
fn nothing_moves_out_of_the_volume() {
    both_ways(|place| {
        place.put("a", "1");
        place.link("../outside", "out");
        assert!(move_to(&place, "a", "out/a", OnConflict::Refuse).is_err());
        assert!(move_to(&place, "out/canary.txt", "b", OnConflict::Refuse).is_err());
        assert_eq!(fs::read_to_string(place.outside("canary.txt")).unwrap(), CANARY);
        // The link itself can be moved.
        move_to(&place, "out", "elsewhere", OnConflict::Refuse).unwrap();
        assert!(fs::symlink_metadata(place.path("elsewhere")).unwrap().is_symlink());
    });
}

#[test]
fn a_new_folder_is_new() {
    let place = Place::new();
    place.volume.new_folder(&rel("a/b"), &anywhere).unwrap();
    assert!(place.path("a/b").is_dir());
    let again = place.volume.new_folder(&rel("a/b"), &anywhere);
    assert!(matches!(again, Err(TreeError::Occupied { .. })), "{again:?}");
}

#[test]
fn a_copy_is_whole_and_says_what_it_left_out() {
    let place = Place::new();
    place.put("run/a/one", "1");
    place.put("run/b/two", "22");
    place.put("run/.hidden", "no");
    fs::create_dir(place.path("run/empty")).unwrap();
    place.link("a/one", "run/to-one");
    place.link("a", "run/to-a");
    place.link("../../outside", "run/out");
    let copied = copy_to(&place, "run", "copies/run", OnConflict::Refuse).unwrap();
    assert_eq!(copied.path, rel("copies/run"));
    assert_eq!((copied.size.files, copied.size.bytes, copied.links_left_out), (3, 4, 1));
    assert_eq!(text(&place, "copies/run/to-one"), "1");
    assert_eq!(text(&place, "copies/run/b/two"), "22");
    assert!(place.path("copies/run/empty").is_dir());
    assert!(!place.path("copies/run/out").exists() && !place.path("copies/run/.hidden").exists());
    assert!(is_tidy(&place));
    let again = copy_to(&place, "run/a/one", "copies/run/b/two", OnConflict::Refuse);
    assert!(again.is_err() && text(&place, "copies/run/b/two") == "22");
    let beside = copy_to(&place, "run/a/one", "run/a/one", OnConflict::KeepBoth).unwrap();
    assert_eq!(beside.path, rel("run/a/one (2)"));
    copy_to(&place, "run/a/one", "run/b/two", OnConflict::Replace).unwrap();
    assert_eq!(text(&place, ".sounding/trash/files/two"), "22");
}

#[test]
fn a_copy_that_is_stopped_leaves_no_trace() {
    let place = Place::new();
    for name in 0..20 {
        place.put(&format!("run/{name}"), "content");
    }
    let mut left = 10;
    let tell = &mut |_: &Copying| {
        left -= 1;
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let (from, to) = (rel("run"), rel("copy"));
    let stopped = shared(&place).copy_to(&from, &to, OnConflict::Refuse, "kmt", &anywhere, tell);
    assert!(matches!(stopped, Err(TreeError::Stopped)), "{stopped:?}");
    assert!(!place.path("copy").exists() && is_tidy(&place));
}

#[test]
fn what_was_deleted_comes_back_from_where_it_went() {
    let place = Place::new();
    place.put("berlin/run 1/trips.csv", "one");
    place.put("berlin/run 1/b/c", "two");
    let now = Timestamp::now();
    let discard = |path: &str, wanted| {
        place.volume.discard(&rel(path), wanted, "kmt", now, &anywhere).unwrap()
    };
    let name = discard("berlin/run 1/trips.csv", DiscardTarget::File);
    let folder = discard("berlin/run 1", DiscardTarget::Folder);
    let trashed = place.volume.trashed().unwrap();
    assert_eq!(trashed.len(), 2);
    let file = trashed.iter().find(|it| it.name == name).unwrap();
    assert_eq!((file.user.as_str(), file.len), ("kmt", 3));
    assert_eq!(file.deleted.map(Timestamp::as_second), Some(now.as_second()));
    let back = place.volume.restore(&name, None).unwrap();
    assert_eq!(
        (back, text(&place, "berlin/run 1/trips.csv").as_str()),
        (rel("berlin/run 1/trips.csv"), "one")
    );
    let refused = place.volume.restore(&folder, None);
    assert!(matches!(refused, Err(RestoreError::Occupied { .. })), "{refused:?}");
    place.volume.restore(&folder, Some(&rel("elsewhere"))).unwrap();
    assert_eq!(text(&place, "elsewhere/b/c"), "two");
    assert!(place.volume.trashed().unwrap().is_empty());
    for name in ["../staging", "", ".", "..", "nothing"] {
        let refused = place.volume.restore(name.as_bytes(), Some(&rel("x")));
        assert!(matches!(refused, Err(RestoreError::NotThere { .. })), "{name}: {refused:?}");
        assert!(!place.volume.remove_trashed(name.as_bytes()).unwrap());
    }
}

#[test]
fn one_thing_is_removed_from_the_trash_and_the_others_stay() {
    let place = Place::new();
    place.put("a", "1");
    place.put("b", "2");
    for path in ["a", "b"] {
        place
            .volume
            .discard(&rel(path), DiscardTarget::File, "kmt", Timestamp::now(), &anywhere)
            .unwrap();
    }
    assert!(place.volume.remove_trashed(b"a").unwrap());
    assert_eq!(place.volume.trashed().unwrap()[0].name, b"b");
    assert_eq!(place.volume.empty_trash(Duration::ZERO, Timestamp::now()).unwrap(), 1);
}

fn search(place: &Place, path: &str, end: &str) -> Vec<String> {
    let mut hits = Vec::new();
    let mut is_done = false;
    let tell = &mut |it: &SearchProgress| {
        hits.extend(it.hits.iter().map(|it| it.path.to_url()));
        is_done = it.is_done;
        ControlFlow::Continue(())
    };
    let wanted = |it: &RelPath| it.to_plain().ends_with(end.as_bytes());
    place.volume.search(&folder(place, path), &rel(path), &wanted, tell);
    assert!(is_done);
    hits.sort();
    hits
}

#[test]
fn a_search_finds_what_lies_below_and_nothing_hidden_or_outside() {
    both_ways(|place| {
        place.put("a/b/x.csv", "");
        place.put("a/x.csv", "");
        place.put("x.csv", "");
        place.put("a/.git/x.csv", "");
        place.put(".sounding/x.csv", "");
        place.link("../outside", "a/out.csv");
        assert_eq!(search(&place, "a", "x.csv"), ["a/b/x.csv", "a/x.csv"]);
        assert_eq!(search(&place, "", "x.csv"), ["a/b/x.csv", "a/x.csv", "x.csv"]);
        assert_eq!(search(&place, "a", "canary.txt"), [""; 0]);
    });
}

#[test]
fn a_walk_can_be_stopped() {
    let place = Place::new();
    for name in 0..2000 {
        place.put(&format!("a/{name}"), "");
    }
    let mut told = Vec::new();
    let tell = &mut |it: &SearchProgress| {
        told.push((it.seen, it.is_done));
        ControlFlow::Break(())
    };
    place.volume.search(&folder(&place, ""), &rel(""), &|_| true, tell);
    assert!(told.len() == 1 && told[0].0 < 1000 && !told[0].1, "{told:?}");
}

#[test]
fn usage_counts_all_that_is_below_and_a_file_of_two_names_once() {
    let place = Place::new();
    place.put("big/a/one", &"x".repeat(100_000));
    place.put("big/two", &"x".repeat(50_000));
    place.put("small", "x");
    place.put(".hidden/x", &"x".repeat(20_000));
    fs::hard_link(place.path("big/two"), place.path("small-but-not-new")).unwrap();
    let mut last = Usage::default();
    let tell = &mut |it: &Usage| {
        last = it.clone();
        ControlFlow::Continue(())
    };
    place.volume.usage(&folder(&place, ""), tell);
    assert!(last.is_done && last.unreadable == 0);
    let names: Vec<&[u8]> = last.entries.iter().map(|it| it.name.as_slice()).collect();
    assert_eq!(names.len(), 4);
    assert_eq!(names[0], b"big");
    let big = &last.entries[0];
    assert!(big.len == 150_000 && big.files == 2, "{big:?}");
    let both = (100_000..170_000).contains(&last.entries[0].disk);
    assert!(both && last.disk() < 200_000 + 40_000, "{last:?}");
}

#[test]
fn a_folder_that_does_not_fit_is_not_begun_and_costs_nobody_their_trash() {
    let place = Place::new();
    place.put("dear", "x");
    place
        .volume
        .discard(&rel("dear"), DiscardTarget::File, "kmt", Timestamp::now(), &anywhere)
        .unwrap();
    place.put("run/a", "1");
    // A sparse file takes no space itself.
    let size = place.volume.space().unwrap().size;
    fs::File::create(place.path("run/z")).unwrap().set_len(size - 1).unwrap();
    let refused = copy_to(&place, "run", "copy", OnConflict::Refuse);
    assert!(matches!(refused, Err(TreeError::Stage(StageError::NoRoom(_)))), "{refused:?}");
    assert!(!place.path("copy").exists() && is_tidy(&place));
    assert_eq!(place.volume.trashed().unwrap().len(), 1);
}

#[test]
fn copies_that_do_not_fit_together_cost_nobody_their_trash() {
    let place = Place::new();
    place.put("dear", "x");
    place
        .volume
        .discard(&rel("dear"), DiscardTarget::File, "kmt", Timestamp::now(), &anywhere)
        .unwrap();
    // Each fits only without the other.
    let half = place.volume.space().unwrap().size / 2;
    for name in ["a", "b"] {
        fs::File::create(place.path(name)).unwrap().set_len(half).unwrap();
    }
    let refused = shared(&place).make_room_for_copies(&[&rel("a"), &rel("b")]);
    assert!(matches!(refused, Err(TreeError::Stage(StageError::NoRoom(_)))), "{refused:?}");
    assert_eq!(place.volume.trashed().unwrap().len(), 1);
}
