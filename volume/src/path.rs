//! The one way from outside text to a path on the volume.
//!
//! Pure: opens nothing. HTTP clients write one path in several ways (`a//b`, `./a/b`, `a%2Fb`). [`RelPath::from_url`] and
//! [`RelPath::normalize`] read all of them as the one clean path `a/b`. [`RelPath::from_plain`] takes its text as it stands or refuses it.
//! Either way the path that was checked is the path that will be opened. Names are bytes, as they are on the disk; only `/` and NUL can't
//! be part of one.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde::{Deserialize, Serialize};

use crate::layout;
use crate::printable::printable;

/// The longest name of Linux file systems, in bytes.
const NAME_MAX: usize = 255;
/// The longest path that the kernel takes, in bytes, without the closing NUL.
const PATH_MAX: usize = 4095;

/// Everything but RFC 3986's unreserved characters. Also `:`, which in a first segment would make it look like a scheme.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A path relative to the volume's root, made of visible names. The root itself is the empty path.
///
/// No name is empty, `.` or `..`, holds a `/` or NUL, or is hidden (see [`layout::is_hidden`]).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RelPath {
    /// The names, joined by `/`.
    bytes: Vec<u8>,
}

/// Why a text is not a path on the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A `%` is not followed by two hexadecimal digits.
    #[error("a `%` in the path is not followed by two hexadecimal digits")]
    BadEscape,
    /// A name is empty: the path has two slashes in a row.
    #[error("the path has an empty name in it (two slashes in a row)")]
    EmptyName,
    /// A name is `.` or `..`.
    #[error("the path has `.` or `..` in it")]
    Dots,
    /// A name has an encoded slash in it.
    #[error("a name in the path has a slash in it")]
    Slash,
    /// A name has a NUL byte in it.
    #[error("a name in the path has a NUL byte in it")]
    Nul,
    /// A name is hidden from all clients.
    #[error("the path names something hidden")]
    Hidden,
    /// A name is longer than 255 bytes or the path longer than 4095.
    #[error("the path is too long for the file system")]
    TooLong,
}

impl RelPath {
    /// The volume's root.
    pub const fn root() -> RelPath {
        RelPath { bytes: Vec::new() }
    }

    /// Parses the path of a URL, percent-encoded (RFC 3986 §2.1), in any form that a client may write: an encoded slash is a slash, and the
    /// rest is as in [`RelPath::normalize`].
    pub fn from_url(text: &str) -> Result<RelPath, Refusal> {
        RelPath::normalize(&unescape(text.as_bytes())?)
    }

    /// Parses plain text as HTTP clients write it: empty names and `.` are dropped, also at both ends.
    pub fn normalize(text: &[u8]) -> Result<RelPath, Refusal> {
        let mut path = RelPath::root();
        for name in text.split(|it| *it == b'/').filter(|it| !matches!(*it, b"" | b".")) {
            path.push(name)?;
        }
        Ok(path)
    }

    /// Parses plain text as the volume's own files hold it, without a slash at either end.
    pub fn from_plain(text: &[u8]) -> Result<RelPath, Refusal> {
        let mut path = RelPath::root();
        if text.is_empty() {
            return Ok(path);
        }
        for name in text.split(|it| *it == b'/') {
            path.push(name)?;
        }
        Ok(path)
    }

    /// This path with one more name.
    pub fn join(&self, name: &[u8]) -> Result<RelPath, Refusal> {
        let mut path = self.clone();
        path.push(name)?;
        Ok(path)
    }

    /// Whether [`RelPath::join`] would succeed, without making the path.
    pub(crate) fn accepts(&self, name: &[u8]) -> Result<(), Refusal> {
        match name {
            b"" => Err(Refusal::EmptyName),
            b"." | b".." => Err(Refusal::Dots),
            _ if name.contains(&0) => Err(Refusal::Nul),
            _ if name.contains(&b'/') => Err(Refusal::Slash),
            _ if layout::is_hidden(name) => Err(Refusal::Hidden),
            _ if name.len() > NAME_MAX => Err(Refusal::TooLong),
            _ if self.bytes.len() + 1 + name.len() > PATH_MAX => Err(Refusal::TooLong),
            _ => Ok(()),
        }
    }

    fn push(&mut self, name: &[u8]) -> Result<(), Refusal> {
        self.accepts(name)?;
        if !self.is_root() {
            self.bytes.push(b'/');
        }
        self.bytes.extend_from_slice(name);
        Ok(())
    }

    /// Whether this is the volume's root.
    pub fn is_root(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The names from the root down.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.bytes.split(|it| *it == b'/').filter(|it| !it.is_empty())
    }

    /// The last name; `None` for the root.
    pub fn file_name(&self) -> Option<&[u8]> {
        self.names().next_back()
    }

    /// The folder that holds this; `None` for the root.
    pub fn parent(&self) -> Option<RelPath> {
        let name = self.file_name()?;
        let end = self.bytes.len().saturating_sub(name.len() + 1);
        Some(RelPath { bytes: self.bytes.get(..end).unwrap_or_default().to_vec() })
    }

    /// Whether this path is `folder` or lies in it, name by name.
    pub fn is_within(&self, folder: &RelPath) -> bool {
        match self.bytes.strip_prefix(folder.bytes.as_slice()) {
            Some(rest) => folder.is_root() || rest.is_empty() || rest.starts_with(b"/"),
            None => false,
        }
    }

    /// The folder that anyone may read, without a key.
    pub fn public() -> RelPath {
        RelPath { bytes: layout::PUBLIC_FOLDER.as_bytes().to_vec() }
    }

    /// Whether anyone may read here, without a key.
    pub fn is_public(&self) -> bool {
        self.names().next() == Some(layout::PUBLIC_FOLDER.as_bytes())
    }

    /// The percent-encoded form for a URL.
    pub fn to_url(&self) -> String {
        self.names().map(escape).collect::<Vec<_>>().join("/")
    }

    /// The plain form, which [`RelPath::from_plain`] reads. Bytes, because names need not be UTF-8.
    pub fn to_plain(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    /// The names, joined by `/`.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(&self.bytes)
    }
}

/// One name, percent-encoded so that it can stand alone as a relative reference (RFC 3986 §4.2).
pub fn escape(name: &[u8]) -> String {
    percent_encode(name, ESCAPED).to_string()
}

/// Decodes percent-encoded text, once.
pub fn unescape(text: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        if *byte != b'%' {
            plain.push(*byte);
            continue;
        }
        let digit = |it: Option<&u8>| it.and_then(|it| char::from(*it).to_digit(16));
        let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
            return Err(Refusal::BadEscape);
        };
        #[expect(clippy::cast_possible_truncation, reason = "two hexadecimal digits are one byte")]
        plain.push((high * 16 + low) as u8);
    }
    Ok(plain)
}

/// The form of a URL.
impl From<RelPath> for String {
    fn from(path: RelPath) -> String {
        path.to_url()
    }
}

/// The form of a URL.
impl TryFrom<String> for RelPath {
    type Error = Refusal;

    fn try_from(text: String) -> Result<RelPath, Refusal> {
        RelPath::from_url(&text)
    }
}

/// The form for people, in messages and lists: with a leading slash, and with invisible characters escaped.
impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str("/");
        }
        self.names().try_for_each(|it| write!(f, "/{}", printable(it)))
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelPath({})", self.to_url())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_become_paths_or_refusals() {
        let check = |text: &str, expected: Result<&str, Refusal>| {
            let actual = RelPath::from_url(text).map(|it| it.to_url());
            assert_eq!(actual, expected.map(str::to_owned), "{text:?}");
        };
        check("", Ok(""));
        check("a", Ok("a"));
        check("a/b.csv", Ok("a/b.csv"));
        check("a%20b", Ok("a%20b"));
        check("a+b", Ok("a%2Bb"));
        check("m%C3%BCnchen", Ok("m%C3%BCnchen"));
        check("m\u{fc}nchen", Ok("m%C3%BCnchen"));
        check("%ff", Ok("%FF"));
        check("a:b", Ok("a%3Ab"));
        check("50%25", Ok("50%25"));
        check("a%5cb", Ok("a%5Cb"));
        check("...", Err(Refusal::Hidden));
        check(".simwrapper/x", Ok(".simwrapper/x"));
        check("z/.zarray", Ok("z/.zarray"));
        check(".well-known/x", Ok(".well-known/x"));
        check("..", Err(Refusal::Dots));
        check("a/../b", Err(Refusal::Dots));
        check("%2e%2e/b", Err(Refusal::Dots));
        check("a/.%2E/b", Err(Refusal::Dots));
        check("%252e%252e/b", Ok("%252e%252e/b"));
        check("..%2fb", Err(Refusal::Dots));
        check("%2e%2e%2fb", Err(Refusal::Dots));
        check("a%2F..", Err(Refusal::Dots));
        check("a/.%2F..", Err(Refusal::Dots));
        check("a/./../b", Err(Refusal::Dots));
        check("a//..//b", Err(Refusal::Dots));
        check("public%2F..%2Fprivate", Err(Refusal::Dots));
        check("a%2f.sounding", Err(Refusal::Hidden));
        check("a%2f%00", Err(Refusal::Nul));
        check("a%00b", Err(Refusal::Nul));
        check("a%zz", Err(Refusal::BadEscape));
        check("a%4", Err(Refusal::BadEscape));
        check("a%", Err(Refusal::BadEscape));
        check(".sounding/auth-keys.csv", Err(Refusal::Hidden));
        check("%2esounding", Err(Refusal::Hidden));
        check(".git/config", Err(Refusal::Hidden));
        check(".zarrayx", Err(Refusal::Hidden));
        check(&"x".repeat(255), Ok(&"x".repeat(255)));
        check(&"x".repeat(256), Err(Refusal::TooLong));
        check(&"xxxxxxx/".repeat(600), Err(Refusal::TooLong));
    }

    #[test]
    fn one_path_is_read_in_all_ways_that_clients_write_it() {
        for text in [
            "a/b",
            "/a/b",
            "//a/b",
            "a//b",
            "a///b",
            "a/b/",
            "a/b//",
            "./a/b",
            "a/./b",
            "a/b/.",
            "a/.//./b",
            "a%2Fb",
            "a%2fb",
            "%2Fa%2F%2Fb%2F",
            "%2e/a/b",
            "a/%2E/b",
            "a%2F.%2Fb",
            "a/.%2Fb",
            "a%2F./b",
            "%61/%62",
        ] {
            assert_eq!(
                RelPath::from_url(text).map(|it| it.to_url()).as_deref(),
                Ok("a/b"),
                "{text}"
            );
        }
        for text in ["", "/", "//", ".", "./", "/.", "%2F", "%2e", "%2e%2F/./"] {
            assert_eq!(RelPath::from_url(text), Ok(RelPath::root()), "{text}");
        }
        // Decoded once only; and dots at the end or the start of a longer name are allowed.
        for text in ["a%252Fb", "a/%252e/b", "a/b.", "a/..b"] {
            assert_ne!(
                RelPath::from_url(text).map(|it| it.to_url()).as_deref(),
                Ok("a/b"),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_urls_is_taken_as_it_stands_or_refused() {
        let check = |text: &str, expected: Refusal| {
            assert_eq!(RelPath::from_plain(text.as_bytes()), Err(expected), "{text:?}");
        };
        check("/a", Refusal::EmptyName);
        check("a//b", Refusal::EmptyName);
        check("a/", Refusal::EmptyName);
        check(".", Refusal::Dots);
        check("a/./b", Refusal::Dots);
        check("a/../b", Refusal::Dots);
        assert_eq!(RelPath::root().join(b"a/b"), Err(Refusal::Slash));
        assert_eq!(RelPath::from_plain(b"a%2Fb").map(|it| it.to_url()).as_deref(), Ok("a%252Fb"));
    }

    #[test]
    fn a_folder_holds_what_is_below_it_and_not_what_only_begins_alike() {
        let check = |path: &str, folder: &str, expected: bool| {
            let parse = |it: &str| RelPath::from_plain(it.as_bytes()).unwrap();
            assert_eq!(parse(path).is_within(&parse(folder)), expected, "{path} in {folder}");
        };
        check("berlin/run1", "berlin", true);
        check("berlin", "berlin", true);
        check("berlin", "", true);
        check("", "", true);
        check("berlin-secret/run1", "berlin", false);
        check("berlin", "berlin/run1", false);
        check("", "berlin", false);
    }

    #[test]
    fn only_the_folder_public_is_public() {
        let public = |it: &str| RelPath::from_url(it).unwrap().is_public();
        assert!(public("public"));
        assert!(public("public/a/b"));
        assert!(!public(""));
        assert!(!public("publicity/a"));
        assert!(!public("Public/a"));
        assert!(!public("a/public"));
    }

    proptest! {
        #[test]
        fn no_accepted_path_can_climb_or_name_something_hidden(text in any::<String>()) {
            if let Ok(path) = RelPath::from_url(&text) {
                for name in path.names() {
                    prop_assert!(!name.is_empty() && name != b"." && name != b"..");
                    prop_assert!(!name.contains(&b'/') && !name.contains(&0));
                    prop_assert!(!layout::is_hidden(name));
                }
            }
        }

        #[test]
        fn hostile_segments_never_leave_the_root(
            segments in prop::collection::vec("(\\.|%2e|%2E|/|%2f|%00|%5c|a|%252e|public|\\.sounding){1,5}", 1..6)
        ) {
            if let Ok(path) = RelPath::from_url(&segments.join("/")) {
                let os_path = std::path::Path::new(path.as_os_str());
                let plain = |it| matches!(it, std::path::Component::Normal(_));
                prop_assert!(os_path.components().all(plain));
                prop_assert_eq!(os_path.components().count(), path.names().count());
                // Parsed a second time it is the same: no second reader finds another path in it.
                prop_assert_eq!(RelPath::from_url(&path.to_url()), Ok(path));
            }
        }

        #[test]
        fn what_is_written_as_a_url_reads_back_the_same(name in prop::collection::vec(any::<u8>(), 1..40)) {
            if let Ok(path) = RelPath::from_plain(&name) {
                prop_assert_eq!(RelPath::from_url(&path.to_url()), Ok(path));
            }
        }
    }
}
