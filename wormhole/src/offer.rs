//! The offers of a transfer, in the form of file-transfer-protocol.md.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The largest size that is accepted: that of the largest file.
const LARGEST: u64 = i64::MAX as u64;
/// The most bytes of a name.
const LONGEST_NAME: usize = 255;

/// An offer. Names are as they were sent: see [`Offer::plain_name`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Offer {
    /// One file.
    File {
        /// Its name.
        name: String,
        /// Its length in bytes, all of which are sent.
        size: u64,
    },
    /// A directory, which is sent as a zip file.
    Directory {
        /// Its name.
        name: String,
        /// The length of the zip file in bytes, all of which are sent.
        zip_size: u64,
        /// Bytes of all files together.
        bytes: u64,
        /// The number of files.
        files: u64,
    },
    /// A text, which comes with the offer.
    Message(String),
}

/// Why a name can't be a file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A text has no name.
    #[error("a text has no name")]
    NoName,
    /// The name is empty, `.` or `..`.
    #[error("the name is empty, or `.` or `..`")]
    Dots,
    /// The name would lead to another folder.
    #[error("the name has a `/`")]
    Slash,
    /// The name has a control character.
    #[error("the name has a control character")]
    Control,
    /// The name is too long.
    #[error("the name is longer than 255 bytes")]
    TooLong,
}

impl Offer {
    /// The number of bytes that cross the connection.
    pub fn size(&self) -> u64 {
        match self {
            Offer::File { size, .. } => *size,
            Offer::Directory { zip_size, .. } => *zip_size,
            Offer::Message(_) => 0,
        }
    }

    /// The name, if it is one plain component of a path. Returned unchanged or refused, never repaired: only the caller can decide what a
    /// repaired name would mean.
    pub fn plain_name(&self) -> Result<&str, NameError> {
        let name = match self {
            Offer::File { name, .. } | Offer::Directory { name, .. } => name.as_str(),
            Offer::Message(_) => return Err(NameError::NoName),
        };
        if matches!(name, "" | "." | "..") {
            return Err(NameError::Dots);
        }
        if name.contains('/') {
            return Err(NameError::Slash);
        }
        if name.contains(char::is_control) {
            return Err(NameError::Control);
        }
        if name.len() > LONGEST_NAME {
            return Err(NameError::TooLong);
        }
        Ok(name)
    }

    pub(crate) fn to_value(&self) -> Value {
        match self {
            Offer::File { name, size } => json!({ "file": { "filename": name, "filesize": size } }),
            // The mode is a fixed word of the protocol, whatever the zip file really holds.
            Offer::Directory { name, zip_size, bytes, files } => json!({ "directory": {
                "mode": "zipfile/deflated",
                "dirname": name,
                "zipsize": zip_size,
                "numbytes": bytes,
                "numfiles": files,
            } }),
            Offer::Message(text) => json!({ "message": text }),
        }
    }

    pub(crate) fn of(value: &Value) -> Result<Offer, InvalidOffer> {
        let odd = || InvalidOffer::NoSense;
        if let Some(text) = value.get("message") {
            return text.as_str().map(|it| Offer::Message(it.to_owned())).ok_or_else(odd);
        }
        if let Some(file) = value.get("file") {
            let name = string(file, "filename").ok_or_else(odd)?;
            return Ok(Offer::File { name, size: size(file, "filesize").ok_or_else(odd)? });
        }
        if let Some(directory) = value.get("directory") {
            let mode = string(directory, "mode").ok_or_else(odd)?;
            if !mode.starts_with("zipfile") {
                return Err(InvalidOffer::Unknown(format!("a directory as `{mode}`")));
            }
            return Ok(Offer::Directory {
                name: string(directory, "dirname").ok_or_else(odd)?,
                zip_size: size(directory, "zipsize").ok_or_else(odd)?,
                bytes: size(directory, "numbytes").ok_or_else(odd)?,
                files: size(directory, "numfiles").ok_or_else(odd)?,
            });
        }
        let kind = value.as_object().and_then(|it| it.keys().next()).ok_or_else(odd)?;
        Err(InvalidOffer::Unknown(kind.clone()))
    }
}

/// Why an offer can't be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InvalidOffer {
    /// It is of an unknown kind.
    Unknown(String),
    /// A field is missing, or has another type.
    NoSense,
}

fn string(value: &Value, field: &str) -> Option<String> {
    value.get(field)?.as_str().map(str::to_owned)
}

/// A number without sign, point or exponent.
fn size(value: &Value, field: &str) -> Option<u64> {
    value.get(field)?.as_u64().filter(|it| *it <= LARGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Offer, InvalidOffer> {
        Offer::of(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn offers_are_what_the_other_clients_say() {
        let file = Offer::File { name: "x.bin".to_owned(), size: 20_000_000 };
        assert_eq!(parse(r#"{"file":{"filename":"x.bin","filesize":20000000}}"#), Ok(file));
        let said = r#"{"directory":{"dirname":"tree","mode":"zipfile/deflated","numbytes":308060083,"numfiles":2007,"zipsize":308329221}}"#;
        let directory = Offer::Directory {
            name: "tree".to_owned(),
            zip_size: 308_329_221,
            bytes: 308_060_083,
            files: 2007,
        };
        assert_eq!(parse(said), Ok(directory.clone()));
        assert_eq!(Offer::of(&directory.to_value()), Ok(directory));
        let text = Offer::Message("hello".to_owned());
        assert_eq!(Offer::of(&text.to_value()), Ok(text));
    }

    #[test]
    fn odd_offers_are_refused() {
        let sizes = [
            "-1",
            "9223372036854775808",
            "18446744073709551616",
            "1.0",
            "1e3",
            "\"1\"",
            "null",
            "[]",
            "true",
        ];
        for size in sizes {
            let said = format!(r#"{{"file":{{"filename":"x","filesize":{size}}}}}"#);
            assert_eq!(parse(&said), Err(InvalidOffer::NoSense), "{size}");
        }
        for said in [
            "{}",
            "[]",
            "7",
            "null",
            r#"{"file":7}"#,
            r#"{"file":{}}"#,
            r#"{"message":{}}"#,
            r#"{"directory":{"mode":7}}"#,
        ] {
            assert_eq!(parse(said), Err(InvalidOffer::NoSense), "{said}");
        }
        assert_eq!(parse(r#"{"hologram":{}}"#), Err(InvalidOffer::Unknown("hologram".to_owned())));
        let tar =
            r#"{"directory":{"mode":"tar","dirname":"x","zipsize":1,"numbytes":1,"numfiles":1}}"#;
        assert_eq!(parse(tar), Err(InvalidOffer::Unknown("a directory as `tar`".to_owned())));
        assert!(parse(r#"{"file":{"filename":"x","filesize":9223372036854775807}}"#).is_ok());
    }

    #[test]
    fn a_name_is_one_plain_component_or_refused() {
        let check = |name: &str, expected: Result<&str, NameError>| {
            let offer = Offer::File { name: name.to_owned(), size: 0 };
            assert_eq!(offer.plain_name(), expected, "{name:?}");
        };
        for name in ["x.bin", ".hidden", "...", "a b", "back\\slash", "Köln", &"x".repeat(255)] {
            check(name, Ok(name));
        }
        for name in ["", ".", ".."] {
            check(name, Err(NameError::Dots));
        }
        for name in ["/etc/passwd", "../x", "a/", "/"] {
            check(name, Err(NameError::Slash));
        }
        for name in ["a\0b", "a\nb", "\u{1b}[31m", "\u{85}"] {
            check(name, Err(NameError::Control));
        }
        check(&"ä".repeat(128), Err(NameError::TooLong));
        assert_eq!(Offer::Message("x".to_owned()).plain_name(), Err(NameError::NoName));
    }
}
