//! The keys file: edits count at once, damage revokes no key, and the file is replaced whole.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use volume::keys::file::{EditKeysError, KeyFileEvent};
use volume::keys::sheet::KeySheet;
use volume::keys::{Keys, PlainKey, Scope};
use volume::{KeyFile, Volume};

type Damage<'a> = &'a dyn Fn(&Place);

struct Place {
    folder: tempfile::TempDir,
    file: KeyFile,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let volume = Arc::new(Volume::open(folder.path()).unwrap());
        Place { file: KeyFile::new(volume, Keys::parse_list("env-key")), folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(".sounding/auth-keys.csv")
    }

    fn write(&self, text: &[u8]) {
        fs::create_dir_all(self.path().parent().unwrap()).unwrap();
        fs::write(self.path(), text).unwrap();
    }

    fn has(&self, key: &str) -> bool {
        self.file.current().0.verify(&PlainKey::new(key.as_bytes())).is_some()
    }
}

#[test]
fn without_a_file_there_are_the_other_keys_only() {
    let place = Place::new();
    assert!(place.has("env-key") && !place.has(""));
    assert_eq!(place.file.current().0.len(), 1);
    assert!(place.file.trouble().is_none());
    assert!(!place.path().exists());
}

#[test]
fn each_edit_counts_at_the_next_look_however_fast_they_come() {
    let place = Place::new();
    for round in 0..500 {
        let (new, old) = (format!("key-{round:03}"), format!("key-{:03}", (round + 999) % 1000));
        let text = format!("kmt,{new}\n");
        if round % 2 == 0 {
            place.write(text.as_bytes());
        } else {
            let beside = place.folder.path().join(".sounding/beside");
            fs::write(&beside, text).unwrap();
            fs::rename(beside, place.path()).unwrap();
        }
        assert!(place.has(&new) && !place.has(&old) && place.has("env-key"), "round {round}");
    }
}

#[test]
fn an_untouched_file_is_no_news() {
    let place = Place::new();
    place.write(b"kmt,kmt-1\nbroken\n");
    let (keys, news) = place.file.current();
    assert!(matches!(news, Some(KeyFileEvent::Loaded(_))));
    assert_eq!(keys.notices.len(), 1);
    // Once the file's stamp is settled, it is not read again.
    crate::support::wait_for("no news", || place.file.current().1.is_none().then_some(()));
    assert!(place.file.current().1.is_none());
}

#[test]
fn damage_takes_no_key_away_and_is_told_once() {
    let damages: [(&str, Damage<'_>); 5] = [
        ("cut off", &|it| it.write(b"kmt,kmt-1\nzoe,zo")),
        ("emptied", &|it| it.write(b"")),
        ("garbage", &|it| it.write(b"\x00\x01\xff\n\xff\xff,\xff\n")),
        ("removed", &|it| fs::remove_file(it.path()).unwrap()),
        ("a folder in its place", &|it| {
            fs::remove_file(it.path()).unwrap();
            fs::create_dir(it.path()).unwrap();
        }),
    ];
    for (name, damage) in damages {
        let place = Place::new();
        let good = b"kmt,kmt-1\nzoe,zoe-1\n";
        place.write(good);
        assert!(place.has("kmt-1"));
        damage(&place);
        assert!(matches!(place.file.current().1, Some(KeyFileEvent::Kept(_))), "{name}");
        assert!(place.file.current().1.is_none(), "{name} is told once");
        assert!(place.has("kmt-1") && place.has("zoe-1") && place.has("env-key"), "{name}");
        assert!(place.file.trouble().is_some(), "{name}");
        if place.path().is_dir() {
            fs::remove_dir(place.path()).unwrap();
        }
        place.write(b"kmt,kmt-1\n");
        assert!(place.has("kmt-1") && !place.has("zoe-1"), "{name}: mended");
        assert!(place.file.trouble().is_none(), "{name}: mended");
    }
}

#[test]
fn what_is_new_in_a_doubtful_file_counts_at_once() {
    let place = Place::new();
    place.write(b"kmt,kmt-1\n");
    assert!(place.has("kmt-1"));
    place.write(b"zoe,zoe-1");
    assert!(place.has("zoe-1") && place.has("kmt-1"));
    place.write(b"kmt,kmt-1\nzoe,zoe-1\nmax,max-1");
    assert!(place.has("max-1") && place.file.trouble().is_none(), "nothing is lost by it");
}

#[test]
fn a_key_is_added_without_touching_what_stands_there() {
    let place = Place::new();
    let now = jiff::Timestamp::now();
    let first = place.file.add("admin", Scope::Write, now).unwrap();
    assert!(place.has(std::str::from_utf8(first.reveal()).unwrap()));
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(place.path()), mode(place.folder.path().join(".sounding"))), (0o600, 0o700));
    let odd =
        b"# comment\r\n\r\nkmt, kmt-1 ,read,,,,\"a, b\"\r\nbroken line\n\xff\xfe\n,,,\nzoe,zoe-1";
    place.write(odd);
    place.file.add("new", Scope::Read, now).unwrap();
    let text = fs::read(place.path()).unwrap();
    let (before, added) = text.split_at(odd.len());
    assert_eq!(before, odd);
    let added = std::str::from_utf8(added).unwrap();
    assert!(
        added.starts_with("\r\nnew,new-") && added.ends_with('\n') && added.contains(",read,,,20"),
        "{added}"
    );
    assert!(place.has("zoe-1") && place.has("kmt-1"));
    assert!(!place.folder.path().join(".sounding/auth-keys.csv.new").exists());
}

#[test]
fn keys_added_at_the_same_time_are_all_there() {
    let place = Place::new();
    let now = jiff::Timestamp::now();
    std::thread::scope(|scope| {
        for user in ["ann", "bob", "cem"] {
            let file = &place.file;
            scope.spawn(move || {
                for _ in 0..20 {
                    file.add(user, Scope::Read, now).unwrap();
                }
            });
        }
    });
    assert_eq!(place.file.current().0.len(), 61);
}

#[test]
fn debug_shows_no_key() {
    let place = Place::new();
    place.write(b"kmt,very-secret\n");
    assert!(place.has("very-secret"));
    assert!(!format!("{:?}", place.file).contains("secret"));
}

#[test]
fn an_edit_of_what_is_not_there_any_more_is_refused() {
    let place = Place::new();
    place.write(b"kmt,kmt-4Jq0vT7sYb2NcXw8ZpL5eRk3HdUm6AfG\n");
    let volume = Volume::open(place.folder.path()).unwrap();
    let shown = volume.key_sheet().unwrap().version();
    place.write(b"zoe,zoe-1\nkmt,kmt-4Jq0vT7sYb2NcXw8ZpL5eRk3HdUm6AfG\n");
    let refusal = volume.edit_keys(Some(shown), |sheet| sheet.revoke(1));
    assert!(matches!(refusal, Err(EditKeysError::Changed)), "{refusal:?}");
    assert!(place.has("zoe-1"));
    let shown = volume.key_sheet().unwrap().version();
    volume.edit_keys(Some(shown), |sheet| sheet.revoke(1)).unwrap();
    assert!(!place.has("zoe-1") && place.has("kmt-4Jq0vT7sYb2NcXw8ZpL5eRk3HdUm6AfG"));
}

#[test]
fn a_key_that_is_taken_away_is_not_good_any_more_at_once() {
    for text in ["kmt,kmt-1", "kmt,kmt-1\n"] {
        for edit in [KeySheet::revoke, KeySheet::switch_off] {
            let place = Place::new();
            place.write(text.as_bytes());
            assert!(place.has("kmt-1"));
            let volume = Volume::open(place.folder.path()).unwrap();
            volume.edit_keys(None, |sheet| edit(sheet, 1)).unwrap();
            assert!(!place.has("kmt-1"), "{text:?}");
        }
    }
}

/// The keys of three people, one of them sealed, as an operator keeps them.
const THREE: &str = "# username,apikey,scope,path,expires,created,note\n\
    kmt,kmt-4Jq0vT7sYb2NcXw8ZpL5eRk3HdUm6AfG,write,berlin,2099-12-31,2026-01-20,for a, b\n\
    zoe,zoe-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUm6AfG\n\
    #!sha256,max,2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b,read,zurich\n";

#[test]
fn a_file_that_another_program_has_garbled_takes_no_key_away_until_it_is_mended() {
    let each = |field: &str, line: &str| {
        line.split(',').map(|it| field.replace('_', it)).collect::<Vec<_>>().join(",")
    };
    let lines = |change: &dyn Fn(&str) -> String| {
        THREE.lines().map(|it| change(it) + "\r\n").collect::<String>()
    };
    let damages = [
        ("quotes around every field", lines(&|it| each("\"_\"", it))),
        ("quotes around each line", lines(&|it| format!("\"{it}\""))),
        ("semicolons", lines(&|it| it.replace(',', ";").replace("a; b", "a, b"))),
        ("tabs", lines(&|it| it.replace(',', "\t").replace("a\t b", "a, b"))),
        // One key is fixed, or added by the console: the others must not be lost for it.
        ("quotes, but for one", lines(&|it| each("\"_\"", it)) + "new,new-1\n"),
        (
            "no line end",
            lines(&|it| each("\"_\"", it)) + "zoe,zoe-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUm6AfG",
        ),
    ];
    let keys =
        ["kmt-4Jq0vT7sYb2NcXw8ZpL5eRk3HdUm6AfG", "zoe-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUm6AfG", "secret"];
    for (name, damaged) in damages {
        let place = Place::new();
        place.write(THREE.as_bytes());
        assert!(keys.iter().all(|it| place.has(it)));
        place.write(damaged.as_bytes());
        assert!(keys.iter().all(|it| place.has(it)), "{name}");
        let trouble = place.file.trouble().unwrap().what;
        assert!(trouble.contains("understood"), "{name}: {trouble}");
        assert_eq!(
            place.has("new-1"),
            damaged.contains("new-1"),
            "{name}: what is good counts at once"
        );
        // A word of a comment or a note is not a key.
        assert!(!["\"apikey\"", "apikey", "b", "b\""].iter().any(|it| place.has(it)), "{name}");
        place.write(b"kmt,kmt-4Jq0vT7sYb2NcXw8ZpL5eRk3HdUm6AfG,read,,,,not zoe-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUm6AfG\n");
        assert!(place.has(keys[0]) && !place.has(keys[1]) && !place.has(keys[2]), "{name}: mended");
        assert!(place.file.trouble().is_none(), "{name}");
    }
}

#[test]
fn a_key_that_was_replaced_is_gone_though_a_note_names_it() {
    let place = Place::new();
    place.write(b"kmt,kmt-old\n");
    assert!(place.has("kmt-old"));
    place.write(b"kmt,kmt-new,read,,,,was kmt-old\n# kmt,kmt-old\n");
    assert!(place.has("kmt-new") && !place.has("kmt-old"));
}

#[test]
fn a_file_of_nonsense_is_read_once_however_often_it_is_asked_for() {
    const LARGEST: usize = 1 << 20;
    for size in [LARGEST, LARGEST + 1, 64 * LARGEST] {
        let place = Place::new();
        place.write(b"kmt,kmt-1\n");
        assert!(place.has("kmt-1"));
        place.write(&b"x\n".repeat(size.div_ceil(2)));
        assert!(place.has("kmt-1") && place.file.trouble().is_some());
        // Until its stamp is settled, the file is read at each call.
        let bytes_read = |looks: usize| {
            let before = bytes_read();
            (0..looks).for_each(|_| assert!(place.has("kmt-1")));
            bytes_read() - before
        };
        crate::support::wait_for("a settled stamp", || {
            (bytes_read(1) < LARGEST as u64 / 2).then_some(())
        });
        assert!(bytes_read(1000) < LARGEST as u64 / 2, "{size}");
        let is_too_large = place.file.trouble().unwrap().what.contains("larger than 1 MiB");
        assert_eq!(is_too_large, size > LARGEST);
        place.write(b"zoe,zoe-1\n");
        assert!(place.has("zoe-1") && !place.has("kmt-1") && place.file.trouble().is_none());
    }
}

/// The number of bytes that this thread has read.
fn bytes_read() -> u64 {
    let io = fs::read_to_string("/proc/thread-self/io").unwrap();
    io.lines().find_map(|it| it.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}
