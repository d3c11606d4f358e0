//! Listing a folder.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{CWD, FileType, Mode};
use volume::Found;
use volume::RelPath;
use volume::names::{Kind, Names};

use crate::support::{Place, both_ways, rel};

fn names(place: &Place, path: &str, may_read: impl Fn(&RelPath) -> bool) -> Names {
    match place.find(path).unwrap() {
        Found::Folder(folder) => Names::read(&place.volume, folder, &rel(path), may_read).unwrap(),
        Found::File(_) => panic!("{path} is a file"),
    }
}

fn shown(names: &Names) -> Vec<String> {
    let name = |index| {
        let name = names.get(index).unwrap();
        let slash = if name.kind == Kind::Folder { "/" } else { "" };
        format!("{}{slash}", String::from_utf8_lossy(name.bytes))
    };
    (0..names.len()).map(name).collect()
}

#[test]
fn what_could_not_be_fetched_is_not_listed() {
    both_ways(|place| {
        for path in [
            "run/b.csv",
            "run/.hidden",
            "run/.zarray",
            "run/sub/x",
            "private/x.csv",
            ".sounding/keys",
        ] {
            place.put(path, "12345");
        }
        fs::create_dir(place.path("run/.git")).unwrap();
        rustix::fs::mknodat(CWD, place.path("run/fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        place.link("b.csv", "run/to-file");
        place.link("sub", "run/to-folder");
        place.link("../private/x.csv", "run/to-private");
        place.link("../../outside/canary.txt", "run/to-outside");
        place.link("../.sounding", "run/to-service");
        place.link("nowhere", "run/dangling");
        let all = names(&place, "run", |_| true);
        let expected = ["sub/", "to-folder/", ".zarray", "b.csv", "to-file", "to-private"];
        assert_eq!(shown(&all), expected);
        let some = names(&place, "run", |path| !path.is_within(&rel("private")));
        assert_eq!(shown(&some), ["sub/", "to-folder/", ".zarray", "b.csv", "to-file"]);
        assert_eq!(shown(&names(&place, "", |_| true)), ["private/", "run/"]);
        // A link's size is its target's.
        let link = all.get(4).unwrap();
        assert!(link.is_link);
        assert_eq!(all.stat(&place.volume, link).unwrap().len, 5);
        let file = all.get(3).unwrap();
        assert_eq!(all.stat(&place.volume, file).unwrap().len, 5);
        fs::remove_file(place.path("run/b.csv")).unwrap();
        assert_eq!(all.stat(&place.volume, file), None, "gone meanwhile");
    });
}

#[test]
fn positions_hold_whether_or_not_a_name_is_there() {
    let place = Place::new();
    for path in ["it.2/x", "it.10/x", "a.csv", "c9.csv", "c10.csv"] {
        place.put(path, "");
    }
    let names = names(&place, "", |_| true);
    assert_eq!(shown(&names), ["it.2/", "it.10/", "a.csv", "c9.csv", "c10.csv"]);
    let check = |kind, name: &str, expected| {
        assert_eq!(names.position_after(kind, name.as_bytes()), expected, "{name}");
    };
    check(Kind::Folder, "it.2", 1);
    check(Kind::Folder, "it.5", 1);
    check(Kind::Folder, "it.10", 2);
    check(Kind::Folder, "zzz", 2);
    check(Kind::File, "a.csv", 3);
    check(Kind::File, "c9.csv", 4);
    check(Kind::File, "c1.csv", 3);
    check(Kind::File, "zzz", 5);
    check(Kind::Folder, "", 0);
}

#[test]
fn names_are_bytes() {
    let place = Place::new();
    let name = OsStr::from_bytes(b"caf\xe9 \n\x1b.csv");
    fs::write(place.path("").join(name), "x").unwrap();
    let names = names(&place, "", |_| true);
    assert_eq!(names.get(0).unwrap().bytes, name.as_bytes());
    assert_eq!(names.stat(&place.volume, names.get(0).unwrap()).unwrap().len, 1);
}

#[test]
fn many_names_are_all_there_in_order() {
    let place = Place::new();
    for number in 0..20_000 {
        fs::File::create(place.path(&format!("link_{number}.csv"))).unwrap();
    }
    let names = names(&place, "", |_| true);
    let expected: Vec<String> = (0..20_000).map(|it| format!("link_{it}.csv")).collect();
    assert!(shown(&names) == expected);
}

#[test]
fn a_folder_that_nobody_wants_any_more_is_read_no_further() {
    both_ways(|place| {
        for number in 0..50 {
            place.put(&format!("run/{number}.csv"), "");
        }
        let Found::Folder(folder) = place.find("run").unwrap() else { panic!("a folder") };
        let asked = Cell::new(0);
        let is_wanted = || asked.replace(asked.get() + 1) < 10;
        let names = Names::read_while(is_wanted, &place.volume, folder, &rel("run"), |_| true);
        assert!(names.is_err());
        assert_eq!(asked.get(), 11);
    });
}
