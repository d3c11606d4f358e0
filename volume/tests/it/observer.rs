//! The journal's changes for everything that can be done to a volume.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime};

use volume::journal::{Change, ChangeKind, Cursor, Journal};
use volume::observer::{Observer, ObserverEvent};
use volume::{RelPath, Volume};

use crate::support::Place;

const DEADLINE: Duration = Duration::from_secs(20);
/// Bytes in a page of the journal.
const PAGE: usize = 4096;

/// A volume that is observed.
struct Watched {
    place: Place,
    volume: Arc<Volume>,
    observer: Option<Observer>,
    news: Receiver<ObserverEvent>,
    cursor: Cursor,
}

impl Watched {
    fn new() -> Watched {
        Watched::of(Place::new())
    }

    fn of(place: Place) -> Watched {
        let volume = Arc::new(Volume::open(&place.path("")).unwrap());
        let cursor = Journal::open(&volume).unwrap().now().unwrap();
        let (_, news) = channel();
        let mut watched = Watched { place, volume, observer: None, news, cursor };
        watched.start();
        watched
    }

    /// Starts the observer, and waits until its first walk has finished.
    fn start(&mut self) {
        let (tell, news) = channel();
        let tell = move |it| tell.send(it).unwrap_or_default();
        self.observer = Some(Observer::start(Arc::clone(&self.volume), tell));
        self.news = news;
        while !matches!(self.news.recv_timeout(DEADLINE).unwrap(), ObserverEvent::Walked { .. }) {}
    }

    fn stop(&mut self) {
        self.observer = None;
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.place.path(path)
    }

    /// The new changes in the journal, as `kind path` or `moved path from path`; folders end in `/`.
    fn read(&mut self) -> Vec<String> {
        let page = Journal::open(&self.volume)
            .unwrap()
            .since(self.cursor, 1_000_000, &[RelPath::root()])
            .unwrap();
        assert!(!page.is_fresh && page.is_end);
        self.cursor = page.cursor;
        let lines = page.changes.into_iter().map(|it| {
            let slash = if it.entry == volume::names::Kind::Folder { "/" } else { "" };
            let from = it.from.map(|it| format!(" from {}{slash}", it.to_url()));
            let has_stat = it.entry == volume::names::Kind::File && it.kind != ChangeKind::Removed;
            assert_eq!(it.stat.is_some(), has_stat);
            let kind = it.kind.as_str();
            format!("{kind} {}{slash}{}", it.path.to_url(), from.unwrap_or_default())
        });
        lines.collect()
    }

    /// Waits until this many changes are recorded, and returns them.
    fn wait(&mut self, count: usize) -> Vec<String> {
        let (mut lines, deadline) = (Vec::new(), Instant::now() + DEADLINE);
        while lines.len() < count {
            lines.extend(self.read());
            assert!(Instant::now() < deadline, "only {lines:?}");
            if lines.len() < count {
                self.news
                    .recv_timeout(Duration::from_millis(100))
                    .unwrap_or(ObserverEvent::AllIsWell);
            }
        }
        lines
    }

    /// Checks that the changes are these, in any order, and no others.
    fn expect(&mut self, expected: &[&str]) {
        let mut lines = self.wait(expected.len());
        let mut expected = expected.to_vec();
        lines.sort_unstable();
        expected.sort_unstable();
        assert_eq!(lines, expected);
    }

    /// Once this file is reported, everything done before it must have been.
    fn expect_nothing_but(&mut self, marker: &str) {
        self.place.put(marker, "marker");
        self.expect(&[&format!("added {marker}")]);
    }
}

fn make_old(path: &Path) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_hours(1)).unwrap();
}

fn run(program: &str, args: &[&str], folder: &Path) {
    let status = Command::new(program).args(args).current_dir(folder).status().unwrap();
    assert!(status.success(), "{program} {args:?}");
}

#[test]
fn what_happens_to_a_file_is_told_once() {
    let mut volume = Watched::new();
    fs::create_dir(volume.path("run")).unwrap();
    volume.expect(&["added run/"]);
    volume.place.put("run/a.csv", "one");
    volume.expect(&["added run/a.csv"]);
    volume.place.put("run/a.csv", "other");
    volume.expect(&["modified run/a.csv"]);
    fs::rename(volume.path("run/a.csv"), volume.path("run/b.csv")).unwrap();
    volume.expect(&["moved run/b.csv from run/a.csv"]);
    fs::hard_link(volume.path("run/b.csv"), volume.path("run/c.csv")).unwrap();
    // A hard link is not a move.
    volume.expect(&["added run/c.csv"]);
    fs::remove_file(volume.path("run/b.csv")).unwrap();
    volume.expect(&["removed run/b.csv"]);
    fs::remove_dir_all(volume.path("run")).unwrap();
    volume.expect(&["removed run/", "removed run/c.csv"]);
    volume.expect_nothing_but("end.csv");
}

#[test]
fn what_leaves_its_place_is_told_at_once() {
    let mut volume = Watched::new();
    fs::create_dir(volume.path("run")).unwrap();
    volume.place.put("run/a.csv", "one");
    volume.expect(&["added run/", "added run/a.csv"]);
    assert!(volume.news.try_iter().all(|it| it != ObserverEvent::Gone));
    fs::rename(volume.path("run"), volume.path("moved")).unwrap();
    while volume.news.recv_timeout(DEADLINE).unwrap() != ObserverEvent::Gone {}
}

#[test]
fn a_file_is_told_when_its_writer_has_closed_it() {
    let mut volume = Watched::new();
    let mut file = File::create(volume.path("slow.csv")).unwrap();
    for _ in 0..40 {
        file.write_all(b"a line\n").unwrap();
        assert!(volume.read().is_empty());
        volume.news.recv_timeout(Duration::from_millis(10)).unwrap_or(ObserverEvent::AllIsWell);
    }
    drop(file);
    volume.expect(&["added slow.csv"]);
    // A file that stays open is reported once nobody has written to it for a while.
    let mut log = File::create(volume.path("log.txt")).unwrap();
    log.write_all(b"begun\n").unwrap();
    let began = Instant::now();
    volume.expect(&["added log.txt"]);
    assert!(began.elapsed() > Duration::from_secs(2));
}

#[test]
fn what_is_renamed_into_place_is_complete() {
    let mut volume = Watched::new();
    volume.place.put(".hidden.tmp", "content");
    fs::rename(volume.path(".hidden.tmp"), volume.path("a.csv")).unwrap();
    volume.expect(&["added a.csv"]);
    volume.place.put(".hidden.tmp", "newer content");
    fs::rename(volume.path(".hidden.tmp"), volume.path("a.csv")).unwrap();
    volume.expect(&["modified a.csv"]);
    fs::rename(volume.path("a.csv"), volume.path(".sounding/a.csv")).unwrap();
    volume.expect(&["removed a.csv"]);
}

#[test]
fn a_tree_that_is_made_quickly_is_told_whole() {
    let mut volume = Watched::new();
    let source = tempfile::tempdir().unwrap();
    let mut expected = vec!["added run/".to_owned()];
    for folder in 0..30 {
        let path = source.path().join(format!("run/it.{folder}/deep/er"));
        fs::create_dir_all(&path).unwrap();
        expected.extend(["", "/deep", "/deep/er"].map(|it| format!("added run/it.{folder}{it}/")));
        for file in 0..20 {
            fs::write(path.join(format!("{file}.csv")), "content").unwrap();
            expected.push(format!("added run/it.{folder}/deep/er/{file}.csv"));
        }
    }
    run("cp", &["-r", source.path().join("run").to_str().unwrap(), "."], &volume.path(""));
    volume.expect(&expected.iter().map(String::as_str).collect::<Vec<_>>());
    // Renaming it reports each entry by its new name; removing it removes each.
    fs::rename(volume.path("run"), volume.path("other")).unwrap();
    let moved: Vec<String> = expected
        .iter()
        .map(|it| {
            let path = it.strip_prefix("added run").unwrap();
            format!("moved other{path} from run{path}")
        })
        .collect();
    volume.expect(&moved.iter().map(String::as_str).collect::<Vec<_>>());
    // It is watched at its new path.
    volume.place.put("other/it.7/deep/er/new.csv", "content");
    volume.expect(&["added other/it.7/deep/er/new.csv"]);
    fs::remove_dir_all(volume.path("other")).unwrap();
    assert_eq!(volume.wait(expected.len() + 1).len(), expected.len() + 1);
    volume.expect_nothing_but("end.csv");
}

#[test]
fn what_was_there_before_the_journal_is_not_told() {
    let place = Place::new();
    place.put("run/a.csv", "content");
    let mut volume = Watched::of(place);
    volume.expect_nothing_but("end.csv");
    volume.place.put("run/a.csv", "other");
    volume.expect(&["modified run/a.csv"]);
}

#[test]
fn what_was_done_while_nobody_observed_is_found_at_the_start() {
    let mut volume = Watched::new();
    for name in ["stays.csv", "changes.csv", "goes.csv", "moves.csv", "old/x.csv", "gone/y.csv"] {
        volume.place.put(name, "content");
    }
    volume.wait(8);
    volume.stop();
    volume.place.put("changes.csv", "other");
    make_old(&volume.path("changes.csv"));
    fs::remove_file(volume.path("goes.csv")).unwrap();
    fs::rename(volume.path("moves.csv"), volume.path("moved.csv")).unwrap();
    fs::rename(volume.path("old"), volume.path("new")).unwrap();
    fs::remove_dir_all(volume.path("gone")).unwrap();
    volume.place.put("comes/z.csv", "content");
    volume.start();
    volume.expect(&[
        "modified changes.csv",
        "removed goes.csv",
        "moved moved.csv from moves.csv",
        "moved new/ from old/",
        "moved new/x.csv from old/x.csv",
        "removed gone/",
        "removed gone/y.csv",
        "added comes/",
        "added comes/z.csv",
    ]);
    volume.expect_nothing_but("end.csv");
}

#[test]
fn links_and_hidden_names_are_not_told() {
    let mut volume = Watched::new();
    volume.place.put(".hidden/a.csv", "content");
    volume.place.put(".a.swp", "content");
    volume.place.put("a.csv", "content");
    volume.place.link("a.csv", "link.csv");
    volume.place.link("..", "away");
    volume.expect(&["added a.csv"]);
    volume.expect_nothing_but("end.csv");
}

#[test]
fn a_cursor_of_another_journal_is_recognised() {
    let mut volume = Watched::new();
    let begin = volume.cursor;
    volume.place.put("a.csv", "content");
    volume.expect(&["added a.csv"]);
    let end = volume.cursor;
    volume.stop();
    assert_eq!(end.to_string().parse::<Cursor>().unwrap(), end);
    for strange in ["0-0", "1-0", "99-1", "x", "1", "-", "18446744073709551615-1"] {
        if let Ok(cursor) = strange.parse::<Cursor>() {
            let page = Journal::open(&volume.volume)
                .unwrap()
                .since(cursor, 10, &[RelPath::root()])
                .unwrap();
            assert!(page.is_fresh && page.changes.is_empty() && page.cursor == end, "{strange}");
        }
    }
    for name in ["journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm"] {
        fs::remove_file(volume.path(".sounding").join(name)).unwrap_or_default();
    }
    volume.start();
    for cursor in [begin, end] {
        let page =
            Journal::open(&volume.volume).unwrap().since(cursor, 10, &[RelPath::root()]).unwrap();
        assert!(page.is_fresh);
    }
}

#[test]
fn a_broken_journal_is_put_aside() {
    let place = Place::new();
    place.put(".sounding/journal.sqlite", &"no database ".repeat(1000));
    let mut volume = Watched::of(place);
    assert!(volume.path(".sounding/journal.broken.sqlite").exists());
    volume.expect_nothing_but("end.csv");
}

#[test]
fn what_is_no_file_and_has_the_journals_name_is_put_aside() {
    let place = Place::new();
    place.put(".sounding/journal.broken.sqlite", "of an earlier time");
    let journal = place.path(".sounding/journal.sqlite");
    fs::create_dir(&journal).unwrap();
    fs::write(journal.join("x"), b"x").unwrap();
    let mut volume = Watched::of(place);
    assert!(volume.path(".sounding/journal.broken (2).sqlite").is_dir());
    volume.expect_nothing_but("end.csv");
    volume.stop();
    for suffix in ["", "-wal", "-shm"] {
        let _may_be_gone =
            fs::remove_file(volume.path(&format!(".sounding/journal.sqlite{suffix}")));
    }
    // Opening the pipe would wait for a writer.
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &journal, kind, rustix::fs::Mode::RWXU, 0).unwrap();
    let damage = Journal::examine(&volume.volume).unwrap().damage.unwrap();
    assert!(damage.contains("not a regular file"), "{damage}");
    volume.start();
    assert!(Journal::examine(&volume.volume).unwrap().damage.is_none());
    assert!(volume.path(".sounding/journal.sqlite").is_file());
}

/// Writes the whole journal into the file itself, and then nonsense over everything after the first page.
fn damage(journal: &Path) {
    let db = rusqlite::Connection::open(journal).unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(db);
    let file = fs::File::options().write(true).open(journal).unwrap();
    let rest = usize::try_from(file.metadata().unwrap().len()).unwrap() - PAGE;
    file.write_all_at(&vec![0xa5; rest], PAGE as u64).unwrap();
}

#[test]
fn a_journal_that_is_damaged_behind_a_good_header_is_put_aside_and_begun_anew() {
    let mut volume = Watched::new();
    for number in 0..200 {
        volume.place.put(&format!("run/{number}.csv"), "content");
    }
    volume.wait(201);
    let old = volume.cursor;
    volume.stop();
    damage(&volume.path(".sounding/journal.sqlite"));
    volume.start();
    let health = Journal::examine(&volume.volume).unwrap();
    assert!(health.damage.is_none() && health.put_aside.is_some(), "{health:?}");
    let page = Journal::open(&volume.volume).unwrap().since(old, 10, &[RelPath::root()]).unwrap();
    assert!(page.is_fresh);
    volume.cursor = page.cursor;
    volume.expect_nothing_but("end.csv");
}

#[test]
fn a_damage_that_only_a_reader_meets_is_enough() {
    let mut volume = Watched::new();
    volume.place.put("a.csv", "content");
    volume.expect(&["added a.csv"]);
    let journal = volume.path(".sounding/journal.sqlite");
    damage(&journal);
    assert!(Journal::examine(&volume.volume).unwrap().damage.is_some());
    let reader = Journal::open(&volume.volume).unwrap();
    let error = reader.since(volume.cursor, 10, &[RelPath::root()]).unwrap_err();
    assert!(reader.put_aside_if_damaged(&volume.volume, &error).unwrap(), "{error:?}");
    assert!(!reader.is_in_force() && volume.path(".sounding/journal.broken.sqlite").exists());
    // The second reader that finds the damage must not put the new one aside.
    volume.cursor = Journal::open(&volume.volume).unwrap().now().unwrap();
    assert!(reader.put_aside_if_damaged(&volume.volume, &error).unwrap());
    assert!(journal.exists());
    // The observer continues with the new one too.
    volume.place.put("b.csv", "content");
    while !matches!(volume.news.recv_timeout(DEADLINE).unwrap(), ObserverEvent::Walked { .. }) {}
    volume.place.put("c.csv", "content");
    let lines = volume.wait(1);
    assert!(lines.iter().any(|it| it == "added c.csv" || it == "added b.csv"), "{lines:?}");
}

/// Damages the journal somewhere, chosen by a seed: some bytes, a page, another page in its position, or a cut at the end.
fn damage_somewhere(journal: &Path, seed: u64) {
    let mut bytes = fs::read(journal).unwrap();
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = |end: usize| {
        random ^= random >> 12;
        random ^= random << 25;
        random ^= random >> 27;
        usize::try_from(random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % end
    };
    let pages = bytes.len() / PAGE;
    // Every second time near the start of a page, where its header is.
    let page = below(pages) * PAGE;
    let at = page + if below(2) == 0 { below(PAGE) } else { below(200) };
    match below(6) {
        0 => bytes.truncate(at),
        1 => bytes[page..page + PAGE].fill(u8::try_from(below(256)).unwrap()),
        2 => bytes.copy_within(page..page + PAGE, below(pages) * PAGE),
        count => {
            for _ in 0..count * 2 {
                let place = (at + below(64)).min(bytes.len() - 1);
                bytes[place] = u8::try_from(below(256)).unwrap();
            }
        }
    }
    fs::write(journal, bytes).unwrap();
}

#[test]
fn whatever_is_damaged_in_a_journal_changes_are_noticed_again() {
    let place = Place::new();
    for number in 0..120 {
        place.put(&format!("run {}/{number}.csv", number % 10), "content");
    }
    let mut volume = Watched::of(place);
    volume.stop();
    let journal = volume.path(".sounding/journal.sqlite");
    let good = fs::read(&journal).unwrap();
    for seed in 0..40 {
        fs::write(&journal, &good).unwrap();
        for suffix in ["-wal", "-shm"] {
            let beside = volume.path(&format!(".sounding/journal.sqlite{suffix}"));
            fs::remove_file(beside).unwrap_or_default();
        }
        damage_somewhere(&journal, seed);
        volume.start();
        let folder = format!("run {}", seed % 10);
        fs::remove_file(volume.path(&format!("{folder}/{seed}.csv"))).unwrap();
        let deadline = Instant::now() + DEADLINE;
        for number in 0.. {
            assert!(Instant::now() < deadline, "{seed}: {:?}", volume.observer);
            // Changes before the new journal are not reported, so a new file is added again and again.
            volume.place.put(&format!("{folder}/new-{seed}-{number}.csv"), "new");
            let reader = Journal::open(&volume.volume).unwrap();
            let told = |it: &Change| {
                let path = String::from_utf8(it.path.to_plain()).unwrap_or_default();
                path.contains(&format!("/new-{seed}-"))
            };
            match reader.latest(1000) {
                Ok(changes) if changes.iter().any(told) => break,
                Ok(_) => drop(volume.news.recv_timeout(Duration::from_millis(100))),
                Err(error) => {
                    let is_damaged = reader.put_aside_if_damaged(&volume.volume, &error).unwrap();
                    assert!(is_damaged, "{seed}: {error:?}");
                }
            }
        }
        volume.stop();
    }
}
