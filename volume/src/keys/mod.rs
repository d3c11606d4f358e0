//! API keys: who may read and write what.
//!
//! Pure, except for the random letters of new keys: parses text into keys; [`KeyFile`](crate::KeyFile) reads and writes the file. A plain key exists only in a request, on the screen
//! that created it and in the file's text. Here a key is kept as its SHA-256, and neither form is shown by `Debug`.
//!
//! The text stays readable for the server that this one replaces ("the old reader"): a line is split at `,`, column 1 is the user, column 2
//! the key, `#` begins a comment. The further columns are ours: `scope,path,expires,created,note`.

pub mod file;
pub mod import;
pub mod sheet;
pub mod usage;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::path::RelPath;

/// The prefix of a line that holds the SHA-256 of its key ("sealed"). To the old reader the line is a comment.
pub const SEALED_MARK: &str = "#!sha256,";
/// The first word of that prefix. It marks a sealed line even if another program has changed the separators.
pub(crate) const SEALED_WORD: &str = "#!sha256";
/// The columns in their order. Only the first two are required.
pub const COLUMNS: &str = "username,apikey,scope,path,expires,created,note";
/// Letters and digits. Without comma, space and `#`, a key fits into every format that holds one.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 32 of 62 letters give 190 bits.
const RANDOM_LETTERS: usize = 32;
/// A key of fewer bytes could be guessed.
const SHORT: usize = 20;
/// The user of a key that names none.
const NAMELESS: &str = "user";
/// The most notices that are kept; a file with more faults is not a keys file.
const MOST_NOTICES: usize = 100;
/// An unset variable in a script leaves such a line: `kmt-$RANDOM_PART`.
const NOTHING_BEHIND: &str = "its key has nothing behind the user's name";

/// A key as its owner knows it.
#[derive(Clone, PartialEq, Eq)]
pub struct PlainKey(Vec<u8>);

/// A key as it is stored and compared: its SHA-256.
#[derive(Clone, Copy, Eq)]
pub struct HashedKey([u8; 32]);

/// Compares in constant time.
impl PartialEq for HashedKey {
    fn eq(&self, other: &HashedKey) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Hash for HashedKey {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.0.hash(hasher);
    }
}

/// What a key allows below its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The key may read.
    Read,
    /// The key may read and upload.
    Write,
}

/// A key and what it allows.
#[derive(Clone, Debug)]
pub struct Key {
    /// The key's owner, as the log names it.
    pub user: String,
    /// The hash that a request's key is compared with.
    pub hashed: HashedKey,
    /// The part of the key that may be shown.
    pub masked: String,
    /// What it allows.
    pub scope: Scope,
    /// The folder it covers; the root is the whole volume.
    pub path: RelPath,
    /// The time at which the key stops being valid; `None` for never.
    pub expires: Option<Timestamp>,
}

/// A line of the keys file that was skipped or read with a change. Never holds a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The line's number, from 1.
    pub line: usize,
    /// What is wrong, and what was done about it.
    pub what: String,
}

/// A set of keys.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    all: Vec<Arc<Key>>,
    /// The index in `all` of each key; of several equal keys the last.
    places: HashMap<HashedKey, usize>,
    /// What was noticed while they were read.
    pub notices: Vec<Notice>,
}

impl PlainKey {
    /// A key as a request carries it.
    pub fn new(key: &[u8]) -> PlainKey {
        PlainKey(key.to_vec())
    }

    /// A new random key for a user: `USER-` and 32 random letters and digits. Fails where the system has no randomness.
    pub fn generate(user: &str) -> Result<PlainKey, getrandom::Error> {
        let mut key = format!("{}-", prefix(user)).into_bytes();
        let end = key.len() + RANDOM_LETTERS;
        while key.len() < end {
            let mut random = [0; RANDOM_LETTERS];
            getrandom::fill(&mut random)?;
            // 248 is four times 62. Bytes beyond it would make the first letters more likely than the others.
            let letters = random.iter().filter(|it| **it < 248);
            key.extend(
                letters.filter_map(|it| ALPHABET.get(usize::from(it % 62))).take(end - key.len()),
            );
        }
        Ok(PlainKey(key))
    }

    /// The key itself, to be shown once or written to the keys file.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }

    /// The part of it that may be shown: `kmt-..p0Aa` for a key that this service made, `(9 chars)..23` for another.
    pub fn mask(&self, user: &str) -> String {
        let text = String::from_utf8_lossy(&self.0);
        let count = text.chars().count();
        let last = |shown: usize| text.chars().skip(count - shown).collect::<String>();
        let after = |it: &str| text.strip_prefix(it).and_then(|it| it.strip_prefix('-'));
        let own = after(user).or_else(|| after(&prefix(user)));
        match (own, count) {
            (Some(random), _) if random.len() >= SHORT => format!("{user}-..{}", last(4)),
            (_, SHORT..) => format!("({count} chars)..{}", last(4)),
            (_, 6..) => format!("({count} chars)..{}", last(2)),
            _ => format!("({count} chars)"),
        }
    }

    /// Whether it is short enough to be guessed.
    pub fn is_short(&self) -> bool {
        self.0.len() < SHORT
    }

    /// The form that is stored and compared.
    pub fn hash(&self) -> HashedKey {
        HashedKey(Sha256::digest(&self.0).into())
    }
}

/// A user's name in the form that begins a key: only characters that a header and `API_KEYS` can hold.
fn prefix(user: &str) -> String {
    let plain = |it: char| {
        if it.is_ascii_alphanumeric() || matches!(it, '.' | '_') { it } else { '_' }
    };
    if user.is_empty() { NAMELESS.to_owned() } else { user.chars().map(plain).collect() }
}

impl HashedKey {
    /// Parses 64 hexadecimal digits.
    pub(crate) fn from_hex(text: &str) -> Option<HashedKey> {
        let mut hash = [0; 32];
        if text.len() != 64 || !text.bytes().all(|it| it.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(HashedKey(hash))
    }

    /// Whether it is the hash of an empty or blank text, as `printf '' | sha256sum` or `echo | sha256sum` prints it.
    fn is_of_nothing(self) -> bool {
        static OF_NOTHING: LazyLock<HashSet<HashedKey>> = LazyLock::new(|| {
            let mut texts = vec![String::new()];
            for length in 0..3 {
                let shorter: Vec<_> =
                    texts.iter().filter(|it| it.len() == length).cloned().collect();
                let longer = shorter.iter().flat_map(|text| {
                    [' ', '\t', '\r', '\n', '\0'].map(|letter| format!("{text}{letter}"))
                });
                texts.extend(longer);
            }
            texts.iter().map(|it| PlainKey::new(it.as_bytes()).hash()).collect()
        });
        OF_NOTHING.contains(&self)
    }

    /// 64 hexadecimal digits.
    pub(crate) fn to_hex(self) -> String {
        let digits = self.0.iter().flat_map(|it| [it >> 4, it & 15]);
        digits.filter_map(|it| char::from_digit(it.into(), 16)).collect()
    }

    /// Eight hexadecimal digits that identify the key and do not reveal it.
    pub fn id(&self) -> String {
        let [a, b, c, d, ..] = self.0;
        format!("{:08x}", u32::from_be_bytes([a, b, c, d]))
    }
}

impl fmt::Debug for PlainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainKey(..)")
    }
}

impl fmt::Debug for HashedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HashedKey({}..)", self.id())
    }
}

impl Key {
    /// Whether a path lies in the key's folder.
    pub fn covers(&self, path: &RelPath) -> bool {
        path.is_within(&self.path)
    }

    /// Whether the key's expiry has passed.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|it| it <= now)
    }
}

impl Keys {
    /// Parses the text of a keys file. A line that can't be parsed is skipped, with a notice.
    pub fn parse(text: &[u8]) -> Keys {
        let mut keys = Keys::default();
        let mut first = true;
        let without_bom = text.strip_prefix("\u{feff}".as_bytes());
        if without_bom.is_some() {
            keys.notice(1, "a byte order mark stands in front of the first line; it was skipped");
        }
        for (index, line) in without_bom.unwrap_or(text).split(|it| *it == b'\n').enumerate() {
            match parse_line(line, first) {
                Ok(Line::Blank) => continue,
                Ok(Line::Header) => {}
                Ok(Line::Key(key)) => {
                    if keys.find(key.hashed).is_some() {
                        keys.notice(
                            index + 1,
                            "this key stands further up as well; the last line counts",
                        );
                    }
                    keys.push(Arc::new(key));
                }
                Err(why) => keys.notice(index + 1, &format!("{why}; the line was skipped")),
            }
            first = false;
        }
        keys
    }

    /// Parses `key1,key2`, the form of the variable `API_KEYS`. The user is the part before the first `-`; the scope is read, the path the
    /// whole volume.
    pub fn parse_list(text: &str) -> Keys {
        let mut keys = Keys::default();
        for (index, key) in text.split(',').map(str::trim).enumerate() {
            let (user, is_cut_off) = match key.split_once('-') {
                Some((user, random)) => (user, random.is_empty()),
                None => (NAMELESS, false),
            };
            if is_cut_off {
                keys.notice(index + 1, &format!("{NOTHING_BEHIND}; it was skipped"));
            }
            if is_cut_off || key.is_empty() {
                continue;
            }
            let plain = PlainKey::new(key.as_bytes());
            keys.push(Arc::new(Key {
                user: if user.is_empty() { NAMELESS } else { user }.to_owned(),
                masked: plain.mask(user),
                hashed: plain.hash(),
                scope: Scope::Read,
                path: RelPath::root(),
                expires: None,
            }));
        }
        keys
    }

    /// The key that was presented, if it is one of these. Of several equal keys the last counts, as in the old reader.
    ///
    /// One key is compared, however many there are. Its slot follows from a randomly seeded hash of the presented key's SHA-256, and the
    /// comparison takes constant time. So the duration reveals nothing about the other keys.
    pub fn verify(&self, presented: &PlainKey) -> Option<&Arc<Key>> {
        self.find(presented.hash())
    }

    /// The key with this hash; of several the last.
    pub fn find(&self, hashed: HashedKey) -> Option<&Arc<Key>> {
        self.all.get(*self.places.get(&hashed)?)
    }

    /// The keys of one user.
    pub fn of_user<'a>(&'a self, user: &'a str) -> impl Iterator<Item = &'a Key> {
        self.all.iter().map(Arc::as_ref).filter(move |it| it.user == user)
    }

    /// All keys, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.all.iter().map(Arc::as_ref)
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Adds the other keys after these.
    pub fn extend(&mut self, others: &Keys) {
        for key in &others.all {
            self.push(Arc::clone(key));
        }
    }

    fn push(&mut self, key: Arc<Key>) {
        self.places.insert(key.hashed, self.all.len());
        self.all.push(key);
    }

    /// Whether each of these keys is among the others too.
    pub(crate) fn are_all_in(&self, others: &Keys) -> bool {
        self.all.iter().all(|it| others.find(it.hashed).is_some())
    }

    fn notice(&mut self, line: usize, what: &str) {
        let what = match self.notices.len() {
            ..MOST_NOTICES => what,
            MOST_NOTICES => "so it is with this line, and maybe with others below",
            _ => return,
        };
        self.notices.push(Notice { line, what: what.to_owned() });
    }
}

/// A key whose random part is missing: the user's name, `-`, and the line end that a script may have hashed with it.
fn cut_off(user: &str, end: &str) -> PlainKey {
    PlainKey(format!("{user}-{end}").into_bytes())
}

/// What a line of the keys file holds.
pub(crate) enum Line {
    Blank,
    Header,
    Key(Key),
}

/// Parses one line. `first` is whether the line may be the header.
pub(crate) fn parse_line(line: &[u8], first: bool) -> Result<Line, &'static str> {
    // A comment may hold any bytes, also those that are not text.
    let is_comment = line.trim_ascii_start().starts_with(b"#");
    let Ok(line) = std::str::from_utf8(line) else {
        return if is_comment { Ok(Line::Blank) } else { Err("it is not UTF-8 text") };
    };
    let line = line.trim();
    if let Some(sealed) = line.strip_prefix(SEALED_MARK) {
        let columns = Columns::of(sealed);
        let hashed = HashedKey::from_hex(columns.key)
            .ok_or("its key is not a SHA-256 in 64 hexadecimal digits")?;
        if hashed.is_of_nothing() {
            return Err(
                "its key is the SHA-256 of nothing: whoever sends an empty key would be let in",
            );
        }
        let is_cut_off = |end: &str| hashed == cut_off(columns.user, end).hash();
        if ["", "\n", "\r\n"].into_iter().any(is_cut_off) {
            return Err(NOTHING_BEHIND);
        }
        return columns.into_key(hashed, format!("sealed {}", hashed.id()));
    }
    let columns = Columns::of(line);
    if let Some(why) = columns.garbled() {
        return Err(why);
    }
    if line.is_empty() || is_comment {
        return Ok(Line::Blank);
    }
    if line.contains('\0') {
        return Err("it has a NUL byte in it");
    }
    if first && columns.are_names() {
        return Ok(Line::Header);
    }
    if columns.key.is_empty() {
        return Err("it has no key in its second column");
    }
    if columns.key.strip_suffix('-') == Some(columns.user) {
        return Err(NOTHING_BEHIND);
    }
    if columns.key.contains(char::is_control) {
        return Err("its key has a control character in it");
    }
    let plain = PlainKey::new(columns.key.as_bytes());
    columns.into_key(plain.hash(), plain.mask(columns.user))
}

/// The columns of a line, trimmed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Columns<'a> {
    pub(crate) user: &'a str,
    pub(crate) key: &'a str,
    pub(crate) scope: &'a str,
    pub(crate) path: &'a str,
    pub(crate) expires: &'a str,
    pub(crate) created: &'a str,
    /// The rest of the line, with its commas.
    pub(crate) note: &'a str,
}

/// The number of columns.
pub(crate) const COLUMN_COUNT: usize = 7;

impl<'a> Columns<'a> {
    pub(crate) fn of(line: &'a str) -> Columns<'a> {
        let mut columns = line.splitn(COLUMN_COUNT, ',').map(str::trim);
        let mut next = || columns.next().unwrap_or_default();
        Columns {
            user: next(),
            key: next(),
            scope: next(),
            path: next(),
            expires: next(),
            created: next(),
            note: next(),
        }
    }

    /// Why these can't be the intended columns; `None` where they can.
    pub(crate) fn garbled(&self) -> Option<&'static str> {
        if self.user.starts_with('#') && !self.user.starts_with(SEALED_WORD) {
            return None;
        }
        // Some programs write `"kmt","kmt-1"`. No client sends a key with its quotes.
        if self.user.contains('"') || self.key.contains('"') {
            return Some("a quote stands in its user or key, and would be a part of it");
        }
        let is_other = self.user.contains([';', '\t']) || self.user.starts_with(SEALED_WORD);
        is_other.then_some("its columns are separated by something else than commas")
    }

    /// Whether these are the names of the columns.
    pub(crate) fn are_names(&self) -> bool {
        self.user.eq_ignore_ascii_case("username") && self.key.eq_ignore_ascii_case("apikey")
    }

    fn into_key(self, hashed: HashedKey, masked: String) -> Result<Line, &'static str> {
        let scope = match self.scope {
            "" | "read" => Scope::Read,
            "write" => Scope::Write,
            _ => return Err("its scope is neither `read` nor `write`"),
        };
        // People write `/berlin/`; the meaning is clear.
        let path = self.path.strip_prefix('/').unwrap_or(self.path);
        let path = path.strip_suffix('/').unwrap_or(path);
        let path = RelPath::from_plain(path.as_bytes())
            .map_err(|_refusal| "its path names no folder that is served")?;
        let expires = match self.expires {
            "" => None,
            text => Some(
                end_of(text)
                    .ok_or("its expiry is not a date like 2026-11-27 or 2026-11-27T12:00:00Z")?,
            ),
        };
        let user = if self.user.is_empty() { NAMELESS } else { self.user }.to_owned();
        Ok(Line::Key(Key { user, hashed, masked, scope, path, expires }))
    }
}

/// The time at which an expiry ends: an RFC 3339 date-time, or a full date, which lasts until the end of that day in UTC.
pub fn end_of(text: &str) -> Option<Timestamp> {
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp);
    }
    if text.len() != "2026-11-27".len() {
        return None;
    }
    let next_day = text.parse::<Date>().ok()?.checked_add(1.day()).ok()?;
    Offset::UTC.to_timestamp(next_day.at(0, 0, 0, 0)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn verify(keys: &Keys, key: &str) -> Option<String> {
        keys.verify(&PlainKey::new(key.as_bytes())).map(|it| it.user.clone())
    }

    #[test]
    fn lines_of_the_old_reader_are_understood() {
        let keys = Keys::parse(
            b"# who may read\r\nimove,imove-1\r\n\n  kmt , kmt-2 ,write,/berlin/,2026-11-27,2026-01-20,a, b\nzoe,zoe-3",
        );
        assert_eq!(keys.notices, []);
        assert_eq!(verify(&keys, "imove-1").as_deref(), Some("imove"));
        assert_eq!(verify(&keys, "zoe-3").as_deref(), Some("zoe"));
        assert_eq!(verify(&keys, "imove-2"), None);
        assert_eq!(verify(&keys, ""), None);
        let kmt = keys.verify(&PlainKey::new(b"kmt-2")).unwrap();
        assert_eq!((kmt.scope, kmt.path.to_url().as_str()), (Scope::Write, "berlin"));
        assert_eq!(kmt.expires.unwrap().to_string(), "2026-11-28T00:00:00Z");
    }

    #[test]
    fn a_line_that_is_not_understood_costs_only_itself() {
        let check = |line: &str, what: &str| {
            let keys = Keys::parse(format!("first,first-1\n{line}\nlast,last-1\n").as_bytes());
            assert_eq!((keys.len(), keys.notices.len()), (2, 1), "{line}: {keys:?}");
            assert_eq!(keys.notices[0].line, 2);
            assert!(keys.notices[0].what.contains(what), "{line}: {:?}", keys.notices);
        };
        check("nokey", "no key");
        check("user,", "no key");
        check("user, ", "no key");
        check("user,key,admin", "scope");
        check("user,key,read,../x", "path");
        check("user,key,read,.sounding", "path");
        check("user,key,read,,27.11.2026", "date");
        check("user,key,read,,2026-13-01", "date");
        check("user,key,read,,2026-11-27T12:00:00", "date");
        check("user,k\0ey", "NUL");
        check("#!sha256,user,abcd", "SHA-256");
        check(&format!("#!sha256,user,{}", "+f".repeat(32)), "SHA-256");
        for nothing in ["", " ", "\n", "\r\n", "\0", " \n\n"] {
            let hash = PlainKey::new(nothing.as_bytes()).hash().to_hex();
            check(&format!("#!sha256,user,{hash},write"), "SHA-256 of nothing");
            check(&format!("#!sha256,user,{},write", hash.to_uppercase()), "SHA-256 of nothing");
        }
        for cut_off in ["user-", "user-\n"] {
            let hash = PlainKey::new(cut_off.as_bytes()).hash().to_hex();
            check(&format!("#!sha256,user,{hash},write"), "nothing behind");
        }
        check("user,user-", "nothing behind");
        check(",-", "nothing behind");
        check("\"user\",\"user-1\",\"read\"", "quote");
        check("\"user,user-1\"", "quote");
        check("user,\"\"", "quote");
        check("user;user-1;read;;;;for a, b", "separated");
        check("user\tuser-1\tread\t\t\t\tfor a, b", "separated");
        check("user,a\rzoe", "control");
    }

    #[test]
    fn bytes_that_are_no_text_cost_only_their_line() {
        let keys = Keys::parse(b"a,a-1\n\xff\xfe,\xff\n# \xff comment\nb,b-1\n");
        assert_eq!((keys.len(), keys.notices.len()), (2, 1));
    }

    #[test]
    fn a_header_is_no_key_but_only_as_the_first_line() {
        let keys = Keys::parse(b"# note\nusername,apikey,scope\na,a-1\n");
        assert_eq!((keys.len(), verify(&keys, "apikey")), (1, None));
        let keys = Keys::parse(b"a,a-1\nusername,apikey\n");
        assert_eq!(verify(&keys, "apikey").as_deref(), Some("username"));
    }

    #[test]
    fn a_byte_order_mark_does_not_stick_to_the_first_user() {
        let keys = Keys::parse("\u{feff}a,a-1\n".as_bytes());
        assert_eq!(verify(&keys, "a-1").as_deref(), Some("a"));
        assert_eq!(keys.notices[0].line, 1);
    }

    #[test]
    fn of_equal_keys_the_last_line_counts() {
        let keys = Keys::parse(b"a,same,write\nb,same,read,berlin\n");
        let key = keys.verify(&PlainKey::new(b"same")).unwrap();
        assert_eq!((key.user.as_str(), key.scope), ("b", Scope::Read));
        assert_eq!(keys.notices.len(), 1);
    }

    #[test]
    fn a_sealed_key_is_good_by_its_plain_form_and_not_by_its_hash() {
        let hex = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
        let keys = Keys::parse(format!("#!sha256,kmt,{hex},write,zurich\n").as_bytes());
        assert_eq!(verify(&keys, "secret").as_deref(), Some("kmt"));
        assert_eq!(verify(&keys, hex), None);
    }

    #[test]
    fn a_date_without_a_time_lasts_to_the_end_of_that_day() {
        let key = &Keys::parse(b"a,a-1,read,,2026-11-27\n").all[0].clone();
        assert!(!key.has_expired("2026-11-27T23:59:59Z".parse().unwrap()));
        assert!(key.has_expired("2026-11-28T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn a_list_of_keys_names_its_users() {
        let keys = Keys::parse_list("kmt-1, plain,,-odd,zoe-,-");
        assert_eq!(verify(&keys, "kmt-1").as_deref(), Some("kmt"));
        assert_eq!(verify(&keys, "plain").as_deref(), Some("user"));
        assert_eq!(verify(&keys, "-odd").as_deref(), Some("user"));
        assert_eq!(keys.notices.iter().map(|it| it.line).collect::<Vec<_>>(), [5, 6]);
        assert_eq!(keys.len(), 3);
    }

    #[test]
    fn new_keys_are_long_plain_and_never_the_same() {
        let key = PlainKey::generate("kmt").unwrap();
        let random = key.reveal().strip_prefix(b"kmt-").unwrap();
        assert_eq!(random.len(), 32);
        assert!(random.iter().all(u8::is_ascii_alphanumeric));
        assert_ne!(key, PlainKey::generate("kmt").unwrap());
    }

    #[test]
    fn debug_shows_no_key() {
        let keys = Keys::parse(b"kmt,kmt-secret\n");
        assert!(!format!("{keys:?} {:?}", PlainKey::new(b"kmt-secret")).contains("secret"));
    }

    #[test]
    fn however_much_is_wrong_a_hundred_lines_are_complained_of() {
        let keys = Keys::parse("x\n".repeat(1000).as_bytes());
        assert_eq!(keys.notices.len(), MOST_NOTICES + 1);
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader_and_good_lines_survive_any_neighbour(
            junk in prop::collection::vec(any::<u8>(), 0..200)
        ) {
            let mut text = b"good,good-key\n".to_vec();
            text.extend(junk);
            text.extend(b"\nlast,last-key\n");
            let keys = Keys::parse(&text);
            prop_assert_eq!(verify(&keys, "good-key"), Some("good".to_owned()));
            prop_assert_eq!(verify(&keys, "last-key"), Some("last".to_owned()));
        }
    }
}
