//! Editing the keys file: no byte is lost, and the old reader agrees.

use std::collections::HashMap;

use jiff::Timestamp;
use proptest::prelude::*;
use volume::RelPath;
use volume::keys::sheet::{Column, Fault, KeyRow, KeySheet, KeyState, NewKey, OldKey, SheetError};
use volume::keys::{Keys, PlainKey, Scope};

/// The old reader, rule by rule: it strips the line, skips it if it begins with `#`, and splits it at the commas. With two or more columns
/// the second is the key, unchanged.
fn old_reader(text: &[u8]) -> HashMap<String, String> {
    let mut lookup = HashMap::new();
    for line in String::from_utf8_lossy(text).lines().map(str::trim) {
        let items: Vec<&str> = line.split(',').collect();
        if let ([user, key, ..], false) = (items.as_slice(), line.starts_with('#')) {
            lookup.insert((*key).to_owned(), (*user).to_owned());
        }
    }
    lookup
}

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn key(text: &str) -> PlainKey {
    PlainKey::new(text.as_bytes())
}

fn new_key(user: &str) -> NewKey {
    let (expires, note) = ("2027-01-31".to_owned(), "for a, b".to_owned());
    let path = RelPath::from_plain(b"berlin/v6").unwrap();
    NewKey { user: user.to_owned(), scope: Scope::Write, path, expires, note }
}

const LONG: &str = "kmt-4Jq0vT7sYb2NcXw8ZpL5eRk3HdUm6AfG";
const OTHER: &str = "zoe-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUm6AfG";
/// The user of a key whose line names none.
const NAMELESS: &str = "user";

fn text(sheet: &KeySheet) -> String {
    String::from_utf8(sheet.to_bytes()).unwrap()
}

#[test]
fn a_new_key_is_written_as_both_readers_understand_it() {
    let mut sheet = KeySheet::parse(b"");
    sheet.add(&new_key("kmt"), &key(LONG), now()).unwrap();
    let written = sheet.to_bytes();
    assert_eq!(
        text(&sheet),
        format!(
            "# username,apikey,scope,path,expires,created,note\n\
             kmt,{LONG},write,berlin/v6,2027-01-31,2026-11-24,for a, b\n"
        )
    );
    assert_eq!(old_reader(&written), HashMap::from([(LONG.to_owned(), "kmt".to_owned())]));
    let keys = Keys::parse(&written);
    assert_eq!(keys.verify(&key(LONG)).unwrap().scope, Scope::Write);
    let rows = sheet.rows(now());
    assert_eq!((rows.len(), rows[0].note.as_str()), (1, "for a, b"));
    assert_eq!((rows[0].masked.as_str(), rows[0].faults.as_slice()), ("kmt-..6AfG", &[][..]));
}

#[test]
fn a_key_switched_off_and_on_again_leaves_no_trace() {
    let before = format!("# who may read\r\nkmt, {LONG} ,read,,,2026-01-20,a, b\r\nzoe,{OTHER}");
    let mut sheet = KeySheet::parse(before.as_bytes());
    sheet.switch_off(2).unwrap();
    sheet.switch_off(3).unwrap();
    assert!(old_reader(&sheet.to_bytes()).is_empty());
    assert!(Keys::parse(&sheet.to_bytes()).is_empty());
    let states: Vec<KeyState> = sheet.rows(now()).iter().map(|it| it.state).collect();
    assert_eq!(states, [KeyState::Off, KeyState::Off]);
    assert_eq!(sheet.switch_off(2), Err(SheetError::Already { state: "off" }));
    sheet.switch_on(2).unwrap();
    sheet.switch_on(3).unwrap();
    assert_eq!(text(&sheet), before);
    assert_eq!(sheet.switch_on(2), Err(SheetError::Already { state: "on" }));
    assert_eq!(sheet.switch_on(1), Err(SheetError::NoRow { line: 1 }));
}

#[test]
fn rotation_keeps_scope_path_and_note_and_may_overlap() {
    let before = format!("kmt,{LONG},write,berlin,,2026-01-20,cluster\nzoe,{OTHER}\n");
    let fresh = "kmt-0000000000000000000000000000p0Aa";
    let rotated = |old: &OldKey| {
        let mut sheet = KeySheet::parse(before.as_bytes());
        sheet.rotate(1, &key(fresh), old, None, now()).unwrap();
        text(&sheet)
    };
    let new_row = format!("kmt,{fresh},write,berlin,,2026-11-24,cluster\n");
    let zoe = format!("zoe,{OTHER}\n");
    assert_eq!(rotated(&OldKey::EndsNow), format!("{new_row}{zoe}"));
    assert_eq!(
        rotated(&OldKey::Stays),
        format!("kmt,{LONG},write,berlin,,2026-01-20,cluster\n{new_row}{zoe}")
    );
    let overlapping = rotated(&OldKey::EndsAt("2026-12-01".to_owned()));
    assert_eq!(
        overlapping,
        format!("kmt,{LONG},write,berlin,2026-12-01,2026-01-20,cluster\n{new_row}{zoe}")
    );
    assert_eq!(old_reader(overlapping.as_bytes()).len(), 3);
}

#[test]
fn a_sealed_key_is_unknown_to_the_old_reader_and_rotates_into_a_sealed_one() {
    let mut sheet = KeySheet::parse(format!("kmt,{LONG},write,berlin\n").as_bytes());
    sheet.seal(1).unwrap();
    assert!(old_reader(&sheet.to_bytes()).is_empty());
    assert!(!text(&sheet).contains(LONG));
    assert_eq!(Keys::parse(&sheet.to_bytes()).verify(&key(LONG)).unwrap().user, "kmt");
    assert!(matches!(sheet.seal(1), Err(SheetError::Seal { .. })));
    sheet.rotate(1, &key(OTHER), &OldKey::Stays, None, now()).unwrap();
    assert!(!text(&sheet).contains(OTHER));
    let keys = Keys::parse(&sheet.to_bytes());
    assert!(keys.verify(&key(LONG)).is_some() && keys.verify(&key(OTHER)).is_some());
    sheet.switch_off(2).unwrap();
    assert!(Keys::parse(&sheet.to_bytes()).verify(&key(OTHER)).is_none());
    sheet.switch_on(2).unwrap();
    assert!(Keys::parse(&sheet.to_bytes()).verify(&key(OTHER)).is_some());
}

#[test]
fn only_a_key_that_cannot_be_guessed_is_sealed() {
    let mut sheet = KeySheet::parse(b"a,short\n");
    assert!(matches!(sheet.seal(1), Err(SheetError::Seal { .. })));
}

#[test]
fn a_column_is_changed_and_the_others_stay() {
    let mut sheet = KeySheet::parse(format!("kmt, {LONG}  \nzoe,{OTHER},read,,,,x,y\n").as_bytes());
    sheet.set(1, Column::Expires, "2026-12-31").unwrap();
    sheet.set(2, Column::Note, "z, z").unwrap();
    sheet.set(2, Column::Scope, "write").unwrap();
    sheet.set(2, Column::Path, "/a b/").unwrap();
    assert_eq!(text(&sheet), format!("kmt, {LONG},,,2026-12-31\nzoe,{OTHER},write,a b,,,z, z\n"));
}

#[test]
fn what_would_be_read_as_something_else_is_not_written() {
    let before = format!("kmt,{LONG}\n");
    let mut sheet = KeySheet::parse(before.as_bytes());
    let refused = [
        (Column::Scope, "admin"),
        (Column::Path, "a,b"),
        (Column::Path, "../x"),
        (Column::Path, ".sounding"),
        (Column::Expires, "tomorrow"),
        (Column::Note, "a\nb,c"),
    ];
    for (column, value) in refused {
        assert!(sheet.set(1, column, value).is_err(), "{column:?} {value}");
    }
    for user in ["", "a,b", "#a", "a b", "a\n", "ci-bot"] {
        let refusal = sheet.add(&new_key(user), &key(OTHER), now());
        assert_eq!(refusal, Err(SheetError::User), "{user:?}");
    }
    assert_eq!(text(&sheet), before);
}

#[test]
fn each_fault_is_found_and_its_mend_ends_it() {
    let check = |line: &str, wanted: Fault| {
        let before = format!("zoe,{OTHER}\n{line}\n");
        let mut sheet = KeySheet::parse(before.as_bytes());
        let row = sheet.rows(now()).into_iter().find(|it| it.line == 2).unwrap();
        assert_eq!(row.faults, [wanted], "{line:?}");
        if wanted != Fault::Short {
            sheet.fix(2, wanted).unwrap();
        }
        let left =
            sheet.rows(now()).into_iter().filter(|it| it.line == 2 && wanted != Fault::Short);
        assert!(left.flat_map(|it| it.faults).next().is_none(), "{line:?}");
        assert!(Keys::parse(&sheet.to_bytes()).verify(&key(OTHER)).is_some());
    };
    check("username,apikey", Fault::Header);
    check(&format!("kmt, {LONG} ,read"), Fault::Spaces);
    check(&format!("kmt ,{LONG}"), Fault::Spaces);
    check("kmt,", Fault::Empty);
    check("kmt", Fault::NoKey);
    check("kmt,mrieser23", Fault::Short);
    check(&format!("kmt,{LONG},read,,2026-11-01"), Fault::Expired);
    check(&format!("kmt,{LONG},admin"), Fault::Unclear("its scope is neither `read` nor `write`"));
    let first = KeySheet::parse(b"username,apikey,scope\n");
    assert_eq!(first.rows(now())[0].faults, [Fault::Header]);
    assert_eq!(first.rows(now())[0].state, KeyState::Skipped);
}

#[test]
fn a_byte_order_mark_is_mended_alone() {
    let mut sheet = KeySheet::parse(format!("\u{feff}zoe,{OTHER}\n").as_bytes());
    assert_eq!(sheet.rows(now())[0].faults, [Fault::ByteOrderMark]);
    sheet.fix(1, Fault::ByteOrderMark).unwrap();
    assert_eq!(text(&sheet), format!("zoe,{OTHER}\n"));
}

#[test]
fn a_byte_order_mark_is_found_in_front_of_a_comment_too() {
    let mut sheet = KeySheet::parse("\u{feff}# username,apikey\n".as_bytes());
    assert_eq!(old_reader(&sheet.to_bytes()).len(), 1);
    let row = &sheet.rows(now())[0];
    assert_eq!((row.line, row.faults.as_slice()), (1, &[Fault::ByteOrderMark][..]));
    sheet.fix(1, Fault::ByteOrderMark).unwrap();
    assert!(old_reader(&sheet.to_bytes()).is_empty() && sheet.rows(now()).is_empty());
}

#[test]
fn of_equal_keys_the_line_that_does_not_count_is_the_faulty_one() {
    let mut sheet = KeySheet::parse(format!("a,{LONG},write\nb,{LONG}\n").as_bytes());
    let rows = sheet.rows(now());
    assert_eq!(rows[0].faults, [Fault::Duplicate { again: 2 }]);
    assert!(rows[1].faults.is_empty());
    sheet.fix(1, rows[0].faults[0]).unwrap();
    assert_eq!(old_reader(&sheet.to_bytes())[LONG], "b");
}

#[test]
fn a_line_of_other_bytes_than_text_is_switched_off_like_any_other() {
    for fix in [
        |sheet: &mut KeySheet| sheet.fix(1, Fault::Unclear("it is not UTF-8 text")),
        |sheet: &mut KeySheet| sheet.switch_off(1),
    ] {
        let mut sheet = KeySheet::parse(&[b"caf\xe9,", LONG.as_bytes(), b"\r\n"].concat());
        assert_eq!(sheet.rows(now())[0].faults, [Fault::Unclear("it is not UTF-8 text")]);
        fix(&mut sheet).unwrap();
        assert_eq!(sheet.to_bytes(), [b"# caf\xe9,", LONG.as_bytes(), b"\r\n"].concat());
        assert!(sheet.rows(now()).is_empty());
    }
}

#[test]
fn a_revoked_key_stands_nowhere_any_more() {
    let hash = "c1ac36c7b5ddee1ac9f3eb2c0c52f0c7e1d2a1d0a0dd2c1c6a1bd1b8a9ad1ed3";
    let text =
        format!("# who\na,{LONG},write\n# b,{LONG}\nzoe,{OTHER}\n#!sha256,x,{hash}\na,{LONG}\n");
    for line in [2, 3, 6] {
        let mut sheet = KeySheet::parse(text.as_bytes());
        sheet.revoke(line).unwrap();
        let left = format!("# who\nzoe,{OTHER}\n#!sha256,x,{hash}\n");
        assert_eq!(String::from_utf8(sheet.to_bytes()).unwrap(), left);
    }
    let mut sheet = KeySheet::parse(format!("a,{LONG}\na,{LONG}\n").as_bytes());
    sheet.seal(1).unwrap();
    sheet.revoke(2).unwrap();
    assert!(Keys::parse(&sheet.to_bytes()).is_empty());
}

#[test]
fn comments_are_no_keys() {
    let sheet = KeySheet::parse(
        b"# username,apikey,scope,path,expires,created,note\n# ask Anna, then Bob\n#\n\n# one\n",
    );
    assert!(sheet.rows(now()).is_empty());
}

#[test]
fn a_key_of_any_user_can_be_sent_in_a_header() {
    for user in ["kmt", "ci bot", "m\u{fc}ller", "a,b#c", "ci-bot", ""] {
        let made = PlainKey::generate(user).unwrap();
        let text = String::from_utf8(made.reveal().to_vec()).unwrap();
        let is_plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '_' | '-');
        assert!(text.chars().all(is_plain) && !made.is_short(), "{user}: {text}");
        assert_eq!(text.matches('-').count(), 1, "API_KEYS parts the user's name there: {text}");
        let (_, random) = text.split_once('-').unwrap();
        let masked = made.mask(user);
        assert!(masked.len() < 30 && !masked.contains(random), "{masked}");
    }
}

#[test]
fn a_mask_gives_little_away() {
    let check = |text: &str, masked: &str| assert_eq!(key(text).mask("kmt"), masked);
    check(LONG, "kmt-..6AfG");
    check("mrieser23", "(9 chars)..23");
    check("abc", "(3 chars)");
    check("kmt-abc", "(7 chars)..bc");
    check("0123456789abcdefghijklmn", "(24 chars)..klmn");
}

fn any_line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[a-z]{1,4},[ ]?[a-z0-9-]{0,30}[ ]?(,(read|write|x)?(,[a-z/.]{0,5})?)?"
            .prop_map(String::into_bytes),
        "# ?[a-z, ]{0,20}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..20),
        Just(format!("kmt,{LONG},write").into_bytes()),
    ]
}

/// Checks both readers against each other. A key that the old reader takes is the same user's key here, unless the line has a fault; and
/// each plain key here is one of the old reader's.
fn agree(sheet: &KeySheet) -> Result<(), TestCaseError> {
    let (text, rows) = (sheet.to_bytes(), sheet.rows(now()));
    let (old, ours) = (old_reader(&text), Keys::parse(&text));
    let is_odd = rows.iter().any(|it| !it.faults.is_empty() && it.faults != [Fault::Short]);
    if is_odd {
        return Ok(());
    }
    for (key, user) in &old {
        let user = if user.is_empty() { NAMELESS } else { user };
        let found = ours.verify(&PlainKey::new(key.as_bytes()));
        prop_assert_eq!(found.map(|it| it.user.as_str()), Some(user), "{}", key);
    }
    for row in rows.iter().filter(|it| it.state == KeyState::On && !it.is_sealed) {
        prop_assert!(
            old.keys().any(|it| PlainKey::new(it.as_bytes()).hash().id() == row.id().unwrap())
        );
    }
    Ok(())
}

#[test]
fn a_key_behind_no_name_belongs_to_the_nameless() {
    let sheet = KeySheet::parse(format!(",\u{1}\n,{LONG}\n").as_bytes());
    agree(&sheet).unwrap();
    let keys = Keys::parse(&sheet.to_bytes());
    assert_eq!(keys.verify(&key(LONG)).map(|it| it.user.as_str()), Some(NAMELESS));
}

proptest! {
    #[test]
    fn no_edit_touches_another_line_and_the_old_reader_sees_only_that_edit(
        lines in prop::collection::vec(any_line(), 0..6), crlf: bool, edit in 0..8, pick: usize
    ) {
        let before = lines.join(if crlf { &b"\r\n"[..] } else { &b"\n"[..] });
        let mut sheet = KeySheet::parse(&before);
        prop_assert_eq!(sheet.to_bytes(), before.clone());
        let rows = sheet.rows(now());
        let was = old_reader(&before);
        if rows.is_empty() || edit == 0 {
            sheet.add(&new_key("fresh"), &key(OTHER), now()).unwrap();
            let mut wanted = was;
            wanted.insert(OTHER.to_owned(), "fresh".to_owned());
            prop_assert_eq!(old_reader(&sheet.to_bytes()), wanted);
            return Ok(());
        }
        let row = &rows[pick % rows.len()];
        let lines = |text: &[u8]| -> Vec<Vec<u8>> {
            text.split_inclusive(|it| *it == b'\n').map(<[u8]>::to_vec).collect()
        };
        let has_it = |it: &&KeyRow| it.line == row.line || (it.id().is_some() && it.id() == row.id());
        let touched: Vec<usize> = rows.iter().filter(has_it).map(|it| it.line - 1).collect();
        let mut kept = lines(&before);
        touched.iter().rev().for_each(|it| drop(kept.remove(*it)));
        let result = match edit {
            1 => sheet.switch_off(row.line),
            2 => sheet.switch_on(row.line),
            3 => sheet.set(row.line, Column::Note, "n"),
            4 => sheet.seal(row.line),
            5 => sheet.revoke(row.line),
            6 => sheet.rotate(row.line, &key(OTHER), &OldKey::EndsNow, None, now()),
            _ => row.faults.first().map_or(Ok(()), |it| sheet.fix(row.line, *it)),
        };
        if result.is_err() {
            prop_assert_eq!(sheet.to_bytes(), before);
        } else if row.faults.first() != Some(&Fault::ByteOrderMark) {
            let after = lines(&sheet.to_bytes());
            let mut left = after.iter();
            prop_assert!(kept.iter().all(|it| left.any(|left| left == it)));
            prop_assert!(after.len() <= kept.len() + touched.len());
        }
        agree(&sheet)?;
        if result.is_ok() && (edit == 5 || edit == 6)
            && let Some(gone) = &row.key
        {
            let rows = sheet.rows(now());
            prop_assert!(!rows.iter().any(|it| it.id().as_ref() == Some(&gone.hashed.id())));
        }
        let found = sheet.rows(now()).into_iter().find(|it| it.line == row.line);
        if result.is_ok() && edit == 3 {
            prop_assert_eq!(old_reader(&sheet.to_bytes()), was);
            prop_assert_eq!(found.map(|it| it.note), Some("n".to_owned()));
        }
    }
}

#[test]
fn spaces_around_a_user_s_name_go_when_the_line_is_mended_or_rotated() {
    let text = format!("kmt ,{LONG},write\n# a ,{OTHER}\n");
    let mut sheet = KeySheet::parse(text.as_bytes());
    sheet.fix(1, Fault::Spaces).unwrap();
    assert_eq!(sheet.to_bytes(), format!("kmt,{LONG},write\n# a ,{OTHER}\n").into_bytes());
    let fresh = PlainKey::generate("a").unwrap();
    sheet.rotate(2, &fresh, &OldKey::EndsNow, None, now()).unwrap();
    let old = old_reader(&sheet.to_bytes());
    assert_eq!(
        old.get(std::str::from_utf8(fresh.reveal()).unwrap()).map(String::as_str),
        Some("a")
    );
}

/// A key's end in a sheet, as written; `None` where the key is not valid at this time.
fn end_if_good(sheet: &KeySheet, key: &PlainKey) -> Option<String> {
    let keys = Keys::parse(&sheet.to_bytes());
    let good = keys.verify(key).filter(|it| !it.has_expired(now()))?;
    let rows = sheet.rows(now());
    rows.into_iter().rfind(|it| it.id() == Some(good.hashed.id())).map(|it| it.expires)
}

#[test]
fn rotation_gives_the_old_key_no_more_time_than_it_has_and_the_new_one_what_is_said() {
    let fresh = key("kmt-0000000000000000000000000000p0Aa");
    let week = || OldKey::EndsAt("2026-12-01".to_owned());
    let check = |row: &str, old: &OldKey, expires: Option<&str>, old_row: &str| {
        let mut sheet = KeySheet::parse(format!("{row}\n").as_bytes());
        sheet.rotate(1, &fresh, old, expires, now()).unwrap();
        assert_eq!(text(&sheet).lines().next(), Some(old_row), "{row} {old:?}");
        let wanted = expires.unwrap_or_default();
        assert_eq!(end_if_good(&sheet, &fresh).as_deref(), Some(wanted), "{row} {old:?}");
    };
    let expired = format!("kmt,{LONG},read,,2020-01-01");
    let soon = format!("kmt,{LONG},read,,2026-11-26");
    let moment = format!("kmt,{LONG},read,,2026-11-30T12:00:00Z");
    let off = format!("# kmt,{LONG},read,,2026-12-31");
    let off_without_end = format!("# kmt,{LONG},read");
    for old in [week(), OldKey::Stays] {
        check(&expired, &old, Some("2027-01-31"), &expired);
        check(&expired, &old, Some(""), &expired);
        check(&soon, &old, Some("2027-01-31"), &soon);
        check(&soon, &old, Some("2026-11-26"), &soon);
        check(&moment, &old, Some(""), &moment);
        check(&off, &old, Some(""), &off);
        check(&off_without_end, &old, None, &off_without_end);
    }
    let late = format!("kmt,{LONG},read,,2027-12-31");
    check(&late, &week(), Some("2027-12-31"), &format!("kmt,{LONG},read,,2026-12-01"));
    check(&late, &OldKey::Stays, Some("2026-11-24"), &late);
    check(&format!("kmt,{LONG}"), &week(), None, &format!("kmt,{LONG},,,2026-12-01"));
}

#[test]
fn an_end_is_never_handed_on_unasked_and_no_key_is_made_that_does_not_work() {
    let fresh = key("kmt-0000000000000000000000000000p0Aa");
    let refused = |row: &str, expires: Option<&str>, wanted: &SheetError| {
        for old in [OldKey::EndsNow, OldKey::EndsAt("2026-12-01".to_owned()), OldKey::Stays] {
            let mut sheet = KeySheet::parse(format!("{row}\n").as_bytes());
            let refusal = sheet.rotate(1, &fresh, &old, expires, now());
            assert_eq!(refusal.as_ref(), Err(wanted), "{row} {old:?}");
            assert_eq!(text(&sheet), format!("{row}\n"));
        }
    };
    let unsaid = |text: &str| SheetError::EndUnsaid { text: text.to_owned() };
    let ended = |text: &str| SheetError::Ended { text: text.to_owned() };
    // The first rotation of a key leaves an end like these.
    for end in ["2020-01-01", "2026-12-01", "2099-01-01", "2026-12-01T12:00:00Z"] {
        refused(&format!("kmt,{LONG},read,,{end}"), None, &unsaid(end));
        refused(&format!("# kmt,{LONG},read,,{end}"), None, &unsaid(end));
    }
    refused(&format!("kmt,{LONG}"), Some("2026-11-23"), &ended("2026-11-23"));
    refused(&format!("kmt,{LONG}"), Some("2026-11-24T12:00:00Z"), &ended("2026-11-24T12:00:00Z"));
    for not_understood in ["kmt", "kmt,", "kmt,key,admin", "kmt,key,read,,27.11.2026"] {
        let expires = Some("2027-01-31");
        refused(not_understood, expires, &SheetError::NoKey { line: 1 });
    }
    let mut new = new_key("kmt");
    for past in ["2026-11-23", "2020-01-01T00:00:00Z"] {
        past.clone_into(&mut new.expires);
        let refusal = KeySheet::parse(b"").add(&new, &key(LONG), now());
        assert_eq!(refusal, Err(ended(past)));
    }
}

#[test]
fn whoever_ends_a_key_that_stands_twice_ends_it_everywhere() {
    let before = format!("kmt,{LONG}\nzoe,{OTHER}\n# kmt,{LONG}\nkmt,{LONG},write\n");
    let fresh = key("kmt-0000000000000000000000000000p0Aa");
    for line in [1, 4] {
        let mut sheet = KeySheet::parse(before.as_bytes());
        sheet.rotate(line, &fresh, &OldKey::EndsNow, None, now()).unwrap();
        assert!(!text(&sheet).contains(LONG), "{}", text(&sheet));
        assert_eq!(end_if_good(&sheet, &fresh).as_deref(), Some(""));
        let mut sheet = KeySheet::parse(before.as_bytes());
        let old = OldKey::EndsAt("2026-12-01".to_owned());
        sheet.rotate(line, &fresh, &old, None, now()).unwrap();
        assert_eq!(end_if_good(&sheet, &key(LONG)).as_deref(), Some("2026-12-01"));
    }
}

#[test]
fn a_sealed_key_is_shown_by_no_other_line() {
    let before = format!("kmt,{LONG}\nzoe,{OTHER}\n# kmt,{LONG},write\n");
    let mut sheet = KeySheet::parse(before.as_bytes());
    sheet.seal(1).unwrap();
    assert!(!text(&sheet).contains(LONG) && text(&sheet).contains(OTHER));
    sheet.switch_off(1).unwrap();
    sheet.switch_on(3).unwrap();
    let keys = Keys::parse(&sheet.to_bytes());
    assert_eq!(keys.verify(&key(LONG)).map(|it| it.scope), Some(Scope::Write));
}

#[test]
fn a_change_that_another_line_would_undo_is_refused() {
    let before = format!("kmt,{LONG}\nzoe,{OTHER}\n# kmt,{LONG}\nkmt,{LONG},write\n");
    let refused = |edit: &dyn Fn(&mut KeySheet) -> Result<(), SheetError>, wanted: usize| {
        let mut sheet = KeySheet::parse(before.as_bytes());
        let refusal = edit(&mut sheet);
        assert!(
            matches!(refusal, Err(SheetError::Copy { line, .. }) if line == wanted),
            "{refusal:?}"
        );
        assert_eq!(text(&sheet), before);
    };
    refused(&|it| it.set(1, Column::Expires, "2027-01-31"), 4);
    refused(&|it| it.set(1, Column::Scope, "read"), 4);
    refused(&|it| it.switch_off(1), 4);
    refused(&|it| it.switch_off(4), 1);
    let mut sheet = KeySheet::parse(before.as_bytes());
    sheet.set(4, Column::Scope, "read").unwrap();
    sheet.set(1, Column::Note, "n").unwrap();
    sheet.set(3, Column::Scope, "write").unwrap();
}

#[test]
fn a_garbled_line_that_nobody_can_read_is_switched_off_and_its_mend_ends() {
    let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let check = |line: String, mended: &str| {
        let mut sheet = KeySheet::parse(format!("{line}\n").as_bytes());
        let fault = sheet.rows(Timestamp::UNIX_EPOCH)[0].faults[0];
        assert!(matches!(fault, Fault::Garbled(_)), "{line}: {fault:?}");
        sheet.fix(1, fault).unwrap();
        assert_eq!(String::from_utf8(sheet.to_bytes()).unwrap(), format!("{mended}\n"));
        let is_garbled = |it: &KeyRow| it.faults.iter().any(|it| matches!(it, Fault::Garbled(_)));
        assert!(!sheet.rows(Timestamp::UNIX_EPOCH).iter().any(is_garbled), "{line}");
    };
    let (half, rest) = hash.split_at(30);
    let quoted = format!("#!sha256,zoe,{half}\"{rest},read,zurich");
    check(quoted, &format!("#!sha256,zoe,{hash},read,zurich"));
    let odd = "#!sha256,zo;e,abcd,read".to_owned();
    check(odd.clone(), &format!("# {odd}"));
}

#[test]
fn a_byte_order_mark_goes_alone_and_takes_no_comment_with_it() {
    for text in ["", "\n", "# who may read\nkmt,kmt-0123456789012345678901234567\n"] {
        let marked = format!("\u{feff}{text}");
        let edits: [fn(&mut KeySheet); 3] = [
            |it| it.revoke(1).unwrap(),
            |it| it.switch_off(1).unwrap(),
            |it| it.fix(1, Fault::ByteOrderMark).unwrap(),
        ];
        for edit in edits {
            let mut sheet = KeySheet::parse(marked.as_bytes());
            edit(&mut sheet);
            assert_eq!(String::from_utf8(sheet.to_bytes()).unwrap(), text);
        }
    }
}

#[test]
fn what_another_program_has_garbled_is_mended_as_it_was_meant() {
    let hash = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    let before = format!(
        "# username,apikey,scope\nkmt,{LONG},write,berlin,2027-01-31,2026-01-20,night\nzoe,{OTHER}\n\
         #!sha256,max,{hash},read,zurich,,,by hand\n"
    );
    let quoted =
        |it: &str| it.split(',').map(|it| format!("\"{it}\"")).collect::<Vec<_>>().join(",");
    let garblings: [&dyn Fn(&str) -> String; 5] = [
        &|it| quoted(it),
        &|it| format!("\"{it}\""),
        &|it| it.replace(',', ";"),
        &|it| it.replace(',', "\t"),
        &|it| quoted(it).replace(',', ";"),
    ];
    for (number, garbled) in garblings.iter().enumerate() {
        let text: String = before.lines().map(|it| garbled(it) + "\n").collect();
        let mut sheet = KeySheet::parse(text.as_bytes());
        let mut mends = 0;
        while let Some((line, fault)) =
            sheet.rows(now()).iter().find_map(|it| Some((it.line, *it.faults.first()?)))
        {
            assert!(matches!(fault, Fault::Garbled(_)), "{number}: {fault:?}");
            sheet.fix(line, fault).unwrap();
            mends += 1;
        }
        // A comment stays one in any form.
        let keys = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(keys(&String::from_utf8(sheet.to_bytes()).unwrap()), keys(&before), "{number}");
        assert!((3..=4).contains(&mends), "{number}: {mends}");
    }
}
