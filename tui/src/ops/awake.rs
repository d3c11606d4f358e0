//! How long the server stays awake though nobody needs it.

use std::time::Duration;

use super::{Desk, Failure, parse_age};
use crate::admin::{Admin, Awake};
use crate::text;

/// What takes a wish back.
const OFF: &str = "off";

impl Desk {
    /// Keeps the server awake for a while, counted from now, or no longer than it would be anyway.
    pub fn keep_awake(&self, length: Option<Duration>) -> Result<Awake, Failure> {
        let admin = Admin::new(self.admin.as_deref(), &self.volume)?;
        if admin.awake()?.idle_exit.is_none() {
            return Err(Failure::new(
                "the server never sleeps by itself: it runs without --idle-exit",
            ));
        }
        admin.keep_awake(length)
    }
}

/// A length as people write it: `2h`, `90m`, or `off`.
pub fn parse_length(given: &str) -> Result<Option<Duration>, Failure> {
    if given.trim().eq_ignore_ascii_case(OFF) {
        return Ok(None);
    }
    parse_age(given).map(Some).map_err(|_no_age| {
        Failure::new(format!("invalid duration `{given}`: write 2h, 90m or off"))
    })
}

/// What came of it, in a few words.
pub fn told(awake: &Awake, wanted: Option<Duration>) -> String {
    match (awake.kept_until, wanted) {
        (Some(until), Some(wanted)) if wanted > Duration::from_hours(12) => {
            format!("kept awake until {} UTC: 12 h is the most", text::clock(until))
        }
        (Some(until), _) => format!("kept awake until {} UTC", text::clock(until)),
        (None, _) => "no longer kept awake".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_understood() {
        assert_eq!(parse_length("2h").unwrap(), Some(Duration::from_hours(2)));
        assert_eq!(parse_length("90m").unwrap(), Some(Duration::from_mins(90)));
        assert_eq!(parse_length("off").unwrap(), None);
        assert!(parse_length("soon").is_err());
    }
}
