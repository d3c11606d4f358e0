//! Parameters in a URL's query.
//!
//! Values are bytes: a cursor may contain a file's name, which need not be UTF-8.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use percent_encoding::percent_decode;

use volume::OnConflict;

use crate::problem::Problem;
use crate::web::text::visible;

/// The first value of a parameter, decoded. Empty if the parameter has no value.
pub(crate) fn value(query: Option<&str>, name: &str) -> Option<Vec<u8>> {
    query?.split('&').find_map(|it| {
        let (key, value) = it.split_once('=').unwrap_or((it, ""));
        (key == name).then(|| {
            let spaced: Vec<u8> =
                value.bytes().map(|it| if it == b'+' { b' ' } else { it }).collect();
            percent_decode(&spaced).collect()
        })
    })
}

/// The first value of a parameter as a number within bounds. Any other value is refused.
pub(crate) fn number_within<T>(
    query: Option<&str>,
    name: &str,
    bounds: RangeInclusive<T>,
) -> Result<Option<T>, Problem>
where
    T: FromStr + PartialOrd + Display,
{
    let (least, most) = (bounds.start(), bounds.end());
    let beyond =
        || Problem::BadQuery(format!("`{name}` is a whole number from {least} to {most}."));
    match number(query, name) {
        Ok(Some(number)) if !bounds.contains(&number) => Err(beyond()),
        Err(_) => Err(beyond()),
        other => other,
    }
}

/// The first value of a parameter as a whole number.
pub(crate) fn number<T: FromStr>(query: Option<&str>, name: &str) -> Result<Option<T>, Problem> {
    let Some(value) = value(query, name) else { return Ok(None) };
    let number = std::str::from_utf8(&value).ok().and_then(|it| it.parse().ok());
    let bad = || Problem::BadQuery(format!("`{name}` is a whole number."));
    number.map(Some).ok_or_else(bad)
}

/// Refuses unknown parameters: a response that ignored one would be misleading.
pub(crate) fn only(query: Option<&str>, known: &[&str]) -> Result<(), Problem> {
    let pairs = query.unwrap_or_default().split('&').filter(|it| !it.is_empty());
    match pairs.filter_map(|it| it.split('=').next()).find(|it| !known.contains(it)) {
        None => Ok(()),
        Some(name) => {
            let name = visible(&percent_decode(name.as_bytes()).collect::<Vec<u8>>());
            Err(Problem::BadQuery(if known.is_empty() {
                format!("`{name}` means nothing here, and nothing was changed.")
            } else {
                let known = known.join("`, `");
                format!("`{name}` can't be asked of a folder; what can is `{known}`.")
            }))
        }
    }
}

/// The parameter `exists`, if the query has it.
pub(crate) fn on_conflict(query: Option<&str>) -> Result<Option<OnConflict>, Problem> {
    value(query, "exists").map(|it| parse_on_conflict(&it)).transpose()
}

/// Parses a value of `exists`.
pub(crate) fn parse_on_conflict(value: &[u8]) -> Result<OnConflict, Problem> {
    let parsed = std::str::from_utf8(value).ok().and_then(|it| it.parse().ok());
    parsed.ok_or_else(|| {
        Problem::BadQuery("`exists` is `refuse`, `keep-both` or `replace`.".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_and_decoded() {
        let check = |query: &str, name: &str, expected: Option<&[u8]>| {
            assert_eq!(value(Some(query), name).as_deref(), expected, "{query}");
        };
        check("a=1&b=2", "b", Some(b"2"));
        check("a", "a", Some(b""));
        check("a=1&a=2", "a", Some(b"1"));
        check("after=x+y%2Bz%FF", "after", Some(b"x y+z\xff"));
        check("ab=1", "a", None);
        assert_eq!(value(None, "a"), None);
    }

    #[test]
    fn a_parameter_that_is_not_known_is_refused_also_one_without_a_name() {
        for fine in ["", "&", "a", "a=1&&b=2&", "b=&a"] {
            assert!(only(Some(fine), &["a", "b"]).is_ok(), "{fine}");
        }
        for unknown in ["=", "=1", "c", "a=1&c=2", "a=1&=", "A=1", "%61=1"] {
            assert!(only(Some(unknown), &["a", "b"]).is_err(), "{unknown}");
        }
        assert!(only(None, &[]).is_ok());
    }
}
