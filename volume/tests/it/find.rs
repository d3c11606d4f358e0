//! Looking things up: what is found, and that nothing outside the volume ever is.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, OFlags, RenameFlags};
use volume::{Blocking, FindError, Found, Volume};

use crate::support::{CANARY, both_ways, read, rel};

#[test]
fn files_and_folders_are_found() {
    both_ways(|place| {
        place.put("run/it.1/file.txt", "hello");
        let file = place.file("run/it.1/file.txt");
        assert_eq!((file.stat.len, read(&file).as_str()), (5, "hello"));
        assert_eq!(file.real_path, None);
        for folder in ["", "run", "run/it.1"] {
            assert!(matches!(place.find(folder), Ok(Found::Folder(_))), "{folder:?}");
        }
        for missing in ["none", "run/none", "run/it.1/file.txt/x", "run/none/none"] {
            assert!(matches!(place.find(missing), Err(FindError::Missing { .. })), "{missing}");
        }
    });
}

#[test]
fn a_volume_is_made_where_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/c");
    let volume = Volume::open(&path).unwrap();
    assert!(path.is_dir());
    assert!(matches!(volume.find(&rel(""), Blocking::MayBlock), Ok(Found::Folder(_))));
    fs::write(folder.path().join("file"), "").unwrap();
    assert!(Volume::open(&folder.path().join("file")).is_err());
}

#[test]
fn links_are_followed_while_they_stay_inside() {
    both_ways(|place| {
        place.put("run/file.txt", "hello");
        for (target, at, real) in [
            ("file.txt", "run/plain", "run/file.txt"),
            ("../run/file.txt", "run/through-the-folder-above", "run/file.txt"),
            ("plain", "run/chain", "run/file.txt"),
            ("run", "latest", "run"),
            (".", "run/self", "run"),
        ] {
            place.link(target, at);
            let found = place.find(at).unwrap();
            assert_eq!(found.real_path(), Some(&rel(real)), "{at} -> {target}");
        }
        assert_eq!(read(&place.file("run/chain")), "hello");
        let through = place.file("latest/self/self/plain");
        assert_eq!(
            (read(&through).as_str(), through.real_path),
            ("hello", Some(rel("run/file.txt")))
        );
    });
}

#[test]
fn links_out_of_the_volume_lead_nowhere() {
    both_ways(|place| {
        place.put("run/file.txt", "hello");
        place.put(".sounding/auth-keys.csv", CANARY);
        // A keys file has no path by its own name, so a second file lies beside it.
        place.put(".sounding/canary.txt", CANARY);
        place.put(".env", CANARY);
        let outside = place.outside("").to_str().unwrap().to_owned();
        let inside = place.path("run/file.txt").to_str().unwrap().to_owned();
        let targets = [
            format!("{outside}canary.txt"),
            outside.clone(),
            "../../outside/canary.txt".to_owned(),
            "../../outside".to_owned(),
            "../..".to_owned(),
            // Out of the volume and in again by name, and inside by an absolute path: the volume's own name must not count.
            "../../volume/run/file.txt".to_owned(),
            inside,
            "/".to_owned(),
            "/proc/self/environ".to_owned(),
            "/proc/self/root".to_owned(),
            "../.env".to_owned(),
            "../.sounding".to_owned(),
            "../.sounding/auth-keys.csv".to_owned(),
            "nowhere".to_owned(),
            "link-10000".to_owned(),
        ];
        for (number, target) in targets.iter().enumerate() {
            let at = format!("run/link-{number}");
            place.link(target, &at);
            for path in [at.clone(), format!("{at}/canary.txt")] {
                let found = place.find(&path);
                assert!(
                    matches!(found, Err(FindError::Missing { .. })),
                    "{path} -> {target}: {found:?}"
                );
            }
        }
        place.link("a", "b");
        place.link("b", "a");
        assert!(matches!(place.find("a"), Err(FindError::Missing { .. })));
    });
}

#[test]
fn forty_links_are_followed_and_no_more() {
    both_ways(|place| {
        place.put("link-0", "hello");
        for number in 1..=41 {
            place.link(&format!("link-{}", number - 1), &format!("link-{number}"));
        }
        assert_eq!(read(&place.file("link-40")), "hello");
        assert!(matches!(place.find("link-41"), Err(FindError::Missing { .. })));
    });
}

#[test]
fn what_is_neither_file_nor_folder_is_not_served_and_never_opened() {
    both_ways(|place| {
        place.put("run/file.txt", "");
        let fifo = place.path("run/fifo");
        rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let _socket = UnixListener::bind(place.path("run/socket")).unwrap();
        let null = rustix::fs::makedev(1, 3);
        let device = rustix::fs::mknodat(
            CWD,
            place.path("run/null"),
            FileType::CharacterDevice,
            Mode::RWXU,
            null,
        );
        let mut names = vec!["fifo", "socket"];
        names.extend(device.is_ok().then_some("null"));
        place.link("fifo", "run/to-fifo");
        names.push("to-fifo");
        for name in names {
            let found = place.find(&format!("run/{name}"));
            assert!(matches!(found, Err(FindError::NotServed { .. })), "{name}: {found:?}");
        }
        // A writer would get through if the FIFO were open for reading.
        let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap();
        let writer = fs::File::options().write(true).custom_flags(nonblocking).open(&fifo);
        assert_eq!(
            writer.unwrap_err().raw_os_error(),
            Some(rustix::io::Errno::NXIO.raw_os_error())
        );
    });
}

#[test]
fn what_was_found_is_what_is_opened() {
    both_ways(|place| {
        place.put("run/file.txt", "old");
        let found = place.file("run/file.txt");
        place.put("run/new", "new one");
        fs::rename(place.path("run/new"), place.path("run/file.txt")).unwrap();
        assert_eq!((read(&found).as_str(), found.stat.len), ("old", 3));
        let found = place.file("run/file.txt");
        fs::remove_file(place.path("run/file.txt")).unwrap();
        assert_eq!(read(&found), "new one");
    });
}

#[test]
fn the_root_stays_the_same_when_its_folder_is_renamed() {
    both_ways(|place| {
        place.put("run/file.txt", "hello");
        place.link("file.txt", "run/link");
        let (here, there) = (place.outside("../volume"), place.outside("../elsewhere"));
        fs::rename(&here, &there).unwrap();
        assert_eq!(read(&place.file("run/file.txt")), "hello");
        assert_eq!(read(&place.file("run/link")), "hello");
        fs::rename(&there, &here).unwrap();
    });
}

#[test]
fn a_look_up_from_memory_finds_what_was_just_written() {
    let place = crate::support::Place::new();
    place.put("run/file.txt", "hello");
    assert!(matches!(
        place.volume.find(&rel("run/file.txt"), Blocking::CachedOnly),
        Ok(Found::File(_))
    ));
}

#[test]
fn no_race_of_links_leads_out() {
    both_ways(|place| {
        place.put("run/inner/canary.txt", "inside");
        let outside = place.outside("").to_str().unwrap().to_owned();
        place.link(&outside, "run/swap");
        let (inner, swap) = (place.path("run/inner"), place.path("run/swap"));
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    rustix::fs::renameat_with(CWD, &inner, CWD, &swap, RenameFlags::EXCHANGE)
                        .unwrap();
                }
            });
            let end = Instant::now() + Duration::from_secs(2);
            let (mut hits, mut rounds) = (0, 0);
            while rounds < 20_000 && Instant::now() < end {
                rounds += 1;
                if let Ok(Found::File(file)) = place.find("run/inner/canary.txt") {
                    assert_eq!(read(&file), "inside");
                    hits += 1;
                }
            }
            is_over.store(true, Ordering::Relaxed);
            assert!(hits > 0 && hits < rounds, "{hits} of {rounds}: there was no race");
        });
    });
}
