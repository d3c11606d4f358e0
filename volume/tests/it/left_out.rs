//! The names that no list shows, and deleting them.

use std::fs;

use jiff::Timestamp;
use rustix::fs::{CWD, FileType, Mode};
use volume::left_out::{Count, DiscardHiddenError, LeftOut, Why};
use volume::names::{Kind, Names};
use volume::trash::DiscardTarget;
use volume::{Found, FoundFolder};

use crate::support::{Place, both_ways, rel};

fn folder(place: &Place, path: &str) -> FoundFolder {
    match place.find(path).unwrap() {
        Found::Folder(folder) => folder,
        Found::File(_) => panic!("{path} is a file"),
    }
}

fn left_out(place: &Place, path: &str) -> Vec<LeftOut> {
    place.volume.left_out(&folder(place, path), &rel(path)).unwrap()
}

fn fill(place: &Place) {
    for path in ["run/b.csv", "run/.trips.csv.Xk3f9q", "run/.zarray", "run/sub/x", "run/.git/x"] {
        place.put(path, "12345");
    }
    rustix::fs::mknodat(CWD, place.path("run/fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    place.link("b.csv", "run/to-file");
    place.link("gone.csv", "run/to-nothing");
    place.link("loop-b", "run/loop-a");
    place.link("loop-a", "run/loop-b");
    place.link("../../outside/canary.txt", "run/to-outside");
    place.link(".git", "run/to-hidden");
    place.link("fifo", "run/to-fifo");
}

#[test]
fn a_folder_has_one_count_and_the_rest_is_named() {
    both_ways(|place| {
        fill(&place);
        let names = Names::read(&place.volume, folder(&place, "run"), &rel("run"), |_| true);
        let names = names.unwrap();
        let all: Vec<(String, String, Kind)> = left_out(&place, "run")
            .into_iter()
            .map(|it| (String::from_utf8(it.name).unwrap(), it.why.to_string(), it.kind))
            .collect();
        let all: Vec<_> = all.iter().map(|it| (it.0.as_str(), it.1.as_str(), it.2)).collect();
        assert_eq!(
            all,
            [
                (".git", "hidden name", Kind::Folder),
                (".trips.csv.Xk3f9q", "hidden name", Kind::File),
                ("fifo", "FIFO", Kind::File),
                ("loop-a", "link in a loop", Kind::File),
                ("loop-b", "link in a loop", Kind::File),
                ("to-fifo", "link to what is not shown", Kind::File),
                ("to-hidden", "link to what is not shown", Kind::File),
                ("to-nothing", "link to nothing", Kind::File),
                ("to-outside", "link out of the volume", Kind::File),
            ]
        );
        let count = place.volume.count(&folder(&place, "run"), &rel("run")).unwrap();
        assert_eq!(count, Count { shown: names.len(), left_out: all.len() });
        assert_eq!((names.len(), names.left_out()), (4, 9));
        let fs_count = fs::read_dir(place.path("run")).unwrap().count();
        assert_eq!(fs_count, count.shown + count.left_out);
    });
}

#[test]
fn the_services_own_folder_is_not_among_it_and_is_never_deleted() {
    both_ways(|place| {
        place.put(".sounding/auth-keys.csv", "kmt,kmt-secret\n");
        place.put(".hidden", "x");
        place.put("sub/.sounding", "no folder of the service");
        place.link(".", "self");
        for path in ["", "self"] {
            let names: Vec<_> = left_out(&place, path).into_iter().map(|it| it.name).collect();
            assert_eq!(names, [b".hidden"], "{path}");
            for own in [".sounding", "lost+found", "..", ".", "sub/.sounding"] {
                let now = Timestamp::now();
                let result = place.volume.discard_hidden(&rel(path), own.as_bytes(), "kmt", now);
                assert!(matches!(result, Err(DiscardHiddenError::Own { .. })), "{path}/{own}");
            }
        }
        assert!(place.path(".sounding/auth-keys.csv").exists());
        place.volume.discard_hidden(&rel("sub"), b".sounding", "kmt", Timestamp::now()).unwrap();
        assert!(!place.path("sub/.sounding").exists());
    });
}

#[test]
fn all_of_it_goes_to_the_trash_and_comes_back() {
    both_ways(|place| {
        fill(&place);
        let now = Timestamp::now();
        for it in left_out(&place, "run").iter().filter(|it| it.why == Why::Hidden) {
            let in_trash = place.volume.discard_hidden(&rel("run"), &it.name, "kmt", now).unwrap();
            let trashed = place.volume.trashed_as(&in_trash).unwrap().unwrap();
            assert_eq!((trashed.kind, trashed.path), (it.kind, None));
            assert!(place.volume.discard_hidden(&rel("run"), &it.name, "kmt", now).is_err());
            place.volume.restore_hidden(&in_trash, &rel("run"), &it.name).unwrap();
            assert_eq!(place.volume.trashed_as(&in_trash).unwrap(), None);
            place.volume.discard_hidden(&rel("run"), &it.name, "kmt", now).unwrap();
        }
        for it in left_out(&place, "run") {
            let path = rel("run").join(&it.name).unwrap();
            place.volume.discard(&path, DiscardTarget::Anything, "kmt", now, &|_| true).unwrap();
        }
        assert_eq!(left_out(&place, "run"), []);
        assert_eq!(place.volume.trashed().unwrap().len(), 9);
        let canary = fs::read_to_string(place.outside("canary.txt")).unwrap();
        assert_eq!(canary, crate::support::CANARY);
        assert!(place.path("run/b.csv").exists());
    });
}

#[test]
fn a_link_to_a_folder_goes_itself() {
    both_ways(|place| {
        place.put("run/sub/x", "12345");
        place.link("run/sub", "to-folder");
        let now = Timestamp::now();
        place
            .volume
            .discard(&rel("to-folder"), DiscardTarget::Anything, "kmt", now, &|_| true)
            .unwrap();
        assert!(!place.path("to-folder").is_symlink() && place.path("run/sub/x").exists());
    });
}
