//! The effect of an edit on the lines of a sheet, kept so that the edit can be undone even after other edits.

use std::fmt;

use super::{KeySheet, SheetError};

/// The lines that an edit changed, before and after.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct SheetChange {
    /// The index of the first changed line, from 0.
    at: usize,
    /// The line above the changed ones.
    above: Option<Vec<u8>>,
    before: Vec<Vec<u8>>,
    after: Vec<Vec<u8>>,
    /// Whether the sheet had a byte order mark, before and after.
    has_mark: (bool, bool),
}

/// Shows no lines, since they hold keys.
impl fmt::Debug for SheetChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SheetChange({} lines at {})", self.before.len(), self.at)
    }
}

impl SheetChange {
    /// The difference between two sheets.
    pub fn between(before: &KeySheet, after: &KeySheet) -> SheetChange {
        let (old, new) = (before.lines.as_slice(), after.lines.as_slice());
        let at = old.iter().zip(new).take_while(|it| it.0 == it.1).count();
        let (old, new) = (old.get(at..).unwrap_or_default(), new.get(at..).unwrap_or_default());
        let alike = old.iter().rev().zip(new.iter().rev()).take_while(|it| it.0 == it.1).count();
        let lines = |it: &[Vec<u8>]| it.iter().take(it.len() - alike).cloned().collect();
        SheetChange {
            at,
            above: at.checked_sub(1).and_then(|it| before.lines.get(it)).cloned(),
            before: lines(old),
            after: lines(new),
            has_mark: (before.has_byte_order_mark, after.has_byte_order_mark),
        }
    }
}

impl KeySheet {
    /// Undoes a change. Lines that others have changed since stay. If the changed lines themselves were changed again, it fails and changes
    /// nothing.
    pub fn take_back(&mut self, change: &SheetChange) -> Result<(), SheetError> {
        let at = self.place_of(change).ok_or(SheetError::ChangedSince)?;
        self.lines.splice(at..at + change.after.len(), change.before.iter().cloned());
        if self.has_byte_order_mark == change.has_mark.1 {
            self.has_byte_order_mark = change.has_mark.0;
        }
        Ok(())
    }

    /// The index of the lines that a change left, or where they would be if it left none.
    fn place_of(&self, change: &SheetChange) -> Option<usize> {
        let count = change.after.len();
        if count == 0 {
            let above = change.above.as_ref();
            let is_above = |at: usize| at.checked_sub(1).and_then(|it| self.lines.get(it)) == above;
            let elsewhere = (0..=self.lines.len()).find(|it| is_above(*it));
            let first = Some(change.at).filter(|it| *it <= self.lines.len() && is_above(*it));
            return first.or(elsewhere).or(Some(change.at.min(self.lines.len())));
        }
        let is_here =
            |at: &usize| self.lines.get(*at..*at + count) == Some(change.after.as_slice());
        Some(change.at).filter(is_here).or_else(|| (0..self.lines.len()).find(is_here))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(text: &str) -> KeySheet {
        KeySheet::parse(text.as_bytes())
    }

    /// The text that results when the change from `before` to `after` is undone in `now`.
    fn taken_back(before: &str, after: &str, now: &str) -> Result<String, SheetError> {
        let change = SheetChange::between(&sheet(before), &sheet(after));
        let mut now = sheet(now);
        now.take_back(&change)?;
        Ok(String::from_utf8(now.to_bytes()).unwrap())
    }

    #[test]
    fn a_change_is_taken_back_and_what_others_did_meanwhile_stays() {
        let check = |before: &str, after: &str, now: &str, left: &str| {
            assert_eq!(taken_back(before, after, now).as_deref(), Ok(left), "{before:?} {after:?}");
        };
        check("a\nb\nc\n", "a\nB\nc\n", "a\nB\nc\n", "a\nb\nc\n");
        check("a\nb\nc\n", "a\nB\nc\n", "x\na\nB\nc\nd\n", "x\na\nb\nc\nd\n");
        check("a\nb\nc\n", "a\nc\n", "a\nc\n", "a\nb\nc\n");
        check("a\nb\nc\n", "a\nc\n", "x\na\nc\n", "x\na\nb\nc\n");
        check("a\nb\n", "a\n", "", "b\n");
        check("a\n", "a\nb\n", "a\nb\nc\n", "a\nc\n");
        check("\u{feff}a\n", "a\n", "a\nb\n", "\u{feff}a\nb\n");
        check("a\na\n", "a\nA\n", "a\nA\n", "a\na\n");
    }

    #[test]
    fn what_somebody_else_changed_since_is_left_to_them() {
        for now in ["a\nBB\n", "a\n", ""] {
            let refused = taken_back("a\nb\n", "a\nB\n", now);
            assert_eq!(refused, Err(SheetError::ChangedSince), "{now:?}");
        }
    }
}
