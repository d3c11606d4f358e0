//! A request's path as the log and the console show it: the clean path, without any key.
//!
//! People paste keys into URLs, and get the URLs wrong. So nothing is shown of a URL that has none of our routes. Below `/files/`, a name
//! is left out if it is a key or looks like one. A query is never shown.

use std::borrow::Cow;

use percent_encoding::{percent_decode, percent_decode_str};
use volume::keys::{Keys, PlainKey};
use volume::staged_id::StagedId;

use crate::routes::Route;

/// Replaces what is left out.
const LEFT_OUT: &str = "...";
/// Letters and digits in a row that make a generated key.
const KEYS_LETTERS: usize = 32;

/// The path to show for a request.
pub(crate) fn path(raw: &str, keys: &Keys) -> String {
    if let Some(path) = raw.strip_prefix("/files/") {
        return format!("/files/{}", clean(path, keys));
    }
    if let Some(rest) = raw.strip_prefix("/share/") {
        return match rest.split_once('/') {
            Some((key, path)) if !is_nothing(key) => {
                format!("/share/{LEFT_OUT}/{}", clean(path, keys))
            }
            // The key is in another place, or missing.
            _ => format!("/share/{LEFT_OUT}"),
        };
    }
    if let Some(id) = raw.strip_prefix("/uploads/")
        && id.parse::<StagedId>().is_ok()
        && !is_key(id.as_bytes(), keys)
    {
        return raw.to_owned();
    }
    if Route::is_fixed(raw) { raw.to_owned() } else { format!("/{LEFT_OUT}") }
}

/// A path of the tree, clean as the service reads it. A path that the service refuses is cleaned as far as possible.
fn clean(path: &str, keys: &Keys) -> String {
    // What cannot be decoded cannot be searched for keys either.
    let Ok(plain) = volume::unescape(path.as_bytes()) else { return LEFT_OUT.to_owned() };
    let ends_in_name = |it: &[u8]| !matches!(it, b"" | b".");
    let names = plain.split(|it| *it == b'/').filter(|it| ends_in_name(it));
    let names: Vec<String> = names
        .map(|it| if is_key(it, keys) { LEFT_OUT.to_owned() } else { volume::escape(it) })
        .collect();
    let is_folder = plain.rsplit(|it| *it == b'/').next().is_some_and(|it| !ends_in_name(it));
    let slash = if is_folder && !names.is_empty() { "/" } else { "" };
    format!("{}{slash}", names.join("/"))
}

/// Whether cleaning removes a segment: it is empty or `.`.
fn is_nothing(segment: &str) -> bool {
    let plain: Vec<u8> = percent_decode_str(segment).collect();
    matches!(plain.as_slice(), b"" | b".")
}

/// Whether a name is a key, contains one, or looks like one, even if it was encoded more than once.
fn is_key(name: &[u8], keys: &Keys) -> bool {
    if let Cow::Owned(decoded) = Cow::from(percent_decode(name))
        && is_key(&decoded, keys)
    {
        return true;
    }
    let is_known = |it: &[u8]| keys.find(PlainKey::new(it).hash()).is_some();
    let is_plain = |it: &u8| it.is_ascii_alphanumeric() || b"-_.".contains(it);
    is_known(name)
        || (!name.iter().all(is_plain) && name.split(|it| !is_plain(it)).any(is_known))
        || is_known_before_a_dot(name, is_known)
        || name.split(|it| !it.is_ascii_alphanumeric()).any(is_like_our_own)
}

/// Whether a name is a key with an extension. A key may contain dots.
fn is_known_before_a_dot(name: &[u8], is_known: impl Fn(&[u8]) -> bool) -> bool {
    let dots = name.iter().enumerate().filter(|(_, it)| **it == b'.').map(|(place, _)| place);
    dots.filter_map(|it| name.get(..it)).any(is_known)
}

/// Whether it is a run of random letters of both cases: a key that we generated, perhaps long ago. A hexadecimal digest has only one case.
fn is_like_our_own(piece: &[u8]) -> bool {
    piece.len() >= KEYS_LETTERS
        && piece.iter().any(u8::is_ascii_uppercase)
        && piece.iter().any(u8::is_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "kmt-1";
    /// A generated key that was revoked.
    const REVOKED: &str = "zoe-4fG7hJ9kL2mN5pQ8rS1tV3wX6yZ0aBcD";

    #[test]
    fn a_path_is_shown_clean_and_without_a_key() {
        let keys = Keys::parse(format!("kmt,{KEY}\n").as_bytes());
        let check = |raw: &str, expected: &str| assert_eq!(path(raw, &keys), expected, "{raw}");
        check("/files/", "/files/");
        check("/files/a/b.csv", "/files/a/b.csv");
        check("/files/a/", "/files/a/");
        check("/files/a//./b%2Fc.csv", "/files/a/b/c.csv");
        check("/files/a%2F", "/files/a/");
        check("/files//", "/files/");
        check("/files/a/.", "/files/a/");
        check("/files/m\u{fc}nchen", "/files/m%C3%BCnchen");
        check("/files/a/../b", "/files/a/../b");
        check("/files/100%", "/files/...");
        check("/files/%zzkmt-1", "/files/...");
        check("/files/d41d8cd98f00b204e9800998ecf8427e", "/files/d41d8cd98f00b204e9800998ecf8427e");
        check("/health", "/health");
        check("/changes", "/changes");
        check("/files", "/files");
        check(
            "/uploads/0123456789abcdef0123456789abcdef",
            "/uploads/0123456789abcdef0123456789abcdef",
        );
        for key in [KEY, REVOKED] {
            check(&format!("/share/{key}/a//b"), "/share/.../a/b");
            check(&format!("/share/{key}/"), "/share/.../");
            check(&format!("/share/{key}"), "/share/...");
            check(&format!("/share/{key}/{key}/a"), "/share/.../.../a");
            check(&format!("/share//{key}/a"), "/share/...");
            check(&format!("/share/%2e/{key}/a"), "/share/...");
            check(&format!("/files/share/{key}/a"), "/files/share/.../a");
            check(&format!("/files/share%2F{key}/a"), "/files/share/.../a");
            check(&format!("/files/{key}"), "/files/...");
            check(&format!("/files/share%252F{key}%252Fa"), "/files/...");
            check(&format!("/files/a/{}/b", key.replace('-', "%252d")), "/files/a/.../b");
            check(&format!("/files/share%25252f{key}"), "/files/...");
            check(&format!("/files/a;key={key}"), "/files/...");
            check(&format!("/files/{key}.csv.gz"), "/files/...");
            check(&format!("/files/a:{key}@b/c/"), "/files/.../c/");
            for elsewhere in [
                "//share/KEY/a",
                "/Share/KEY/a",
                "/share%2fKEY/a",
                "/shareKEY",
                "/KEY",
                "/KEY/",
                "/uploads/KEY",
                "/uploads/KEY/a",
                "/./share/KEY/a",
                "/files%2FKEY",
                "//files/KEY",
                "/health/KEY",
                "KEY",
                "",
            ] {
                check(&elsewhere.replace("KEY", key), "/...");
            }
        }
    }
}
