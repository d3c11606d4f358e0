//! Recent callers of one shard.
//!
//! Every holder of an `Arc` changes its reference count. If many threads share a key, changing that count with each request costs more than
//! all other accounting. So each shard has one copy of its own, and shares it only within the shard.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::auth::caller::Caller;

/// Number of callers that are kept. A caller that was dropped gets a new copy.
const MOST: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Callers(VecDeque<Arc<Caller>>);

impl Callers {
    /// The shard's copy of a caller. `None` if the caller has no name.
    pub(super) fn hold(&mut self, caller: &Caller) -> Option<Arc<Caller>> {
        caller.user()?;
        if let Some(known) = self.0.iter().find(|it| is_same(it, caller)) {
            return Some(Arc::clone(known));
        }
        let held = Arc::new(caller.clone());
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(Arc::clone(&held));
        Some(held)
    }
}

/// Whether both have the same key in the same state. A key that was changed meanwhile is another one.
fn is_same(one: &Caller, other: &Caller) -> bool {
    match (one, other) {
        (Caller::Holder(one), Caller::Holder(other))
        | (Caller::Former(one), Caller::Former(other)) => Arc::ptr_eq(one, other),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use volume::keys::Keys;

    use super::*;

    #[test]
    fn who_comes_again_is_held_once() {
        let lines: Vec<String> =
            (0..=MOST).map(|it| format!("u{it},u{it}-secret-0123456789,read")).collect();
        let text = lines.join("\n");
        let keys = || Keys::parse(text.as_bytes());
        let mut callers = Callers::default();
        let (before, after) = (keys(), keys());
        let holders = |keys: &Keys| -> Vec<Caller> {
            keys.iter().map(|it| Caller::Holder(Arc::new(it.clone()))).collect()
        };
        let (before, after) = (holders(&before), holders(&after));
        let mut hold = |it: &Caller| callers.hold(it).unwrap();
        let first = hold(&before[0]);
        assert!(Arc::ptr_eq(&first, &hold(&before[0])));
        // The same line after the file was read again.
        assert!(!Arc::ptr_eq(&first, &hold(&after[0])));
        for other in &before[1..] {
            assert_eq!(hold(other).user(), other.user());
        }
        assert!(!Arc::ptr_eq(&first, &hold(&before[0])));
        assert!(callers.0.len() == MOST && callers.hold(&Caller::Anyone).is_none());
    }
}
