//! The caller of a request, and what it may do.
//!
//! Whether a path may be read is decided on the path alone, before any look-up on the disk. So a response never reveals whether something
//! exists.

use std::sync::Arc;

use http::Method;
use jiff::Timestamp;
use volume::RelPath;
use volume::keys::{Key, Scope};

use crate::auth::key_ring::KeyRing;
use crate::problem::Problem;

/// The kind of access to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading it.
    Read,
    /// Changing it.
    Write,
}

/// Who sent a request.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Without a key.
    Anyone,
    /// With a valid key.
    Holder(Arc<Key>),
    /// With an unknown key.
    Stranger,
    /// With an expired key.
    Former(Arc<Key>),
}

impl Access {
    /// The access that a method needs. Safe methods only read (RFC 9110 §9.2.1).
    pub fn of(method: &Method) -> Access {
        if method.is_safe() { Access::Read } else { Access::Write }
    }

    /// Whether a path needs no key for this access.
    pub(super) fn is_free(self, path: &RelPath) -> bool {
        self == Access::Read && path.is_public()
    }
}

impl Caller {
    /// The caller with a key.
    pub(super) fn of(key: &Arc<Key>) -> Caller {
        if key.has_expired(Timestamp::now()) {
            Caller::Former(Arc::clone(key))
        } else {
            Caller::Holder(Arc::clone(key))
        }
    }

    /// The same caller according to the current keys: a key may have been changed or revoked.
    #[must_use]
    pub fn with_current_keys(&self, keys: &KeyRing) -> Caller {
        match self {
            Caller::Holder(key) => {
                keys.current().find(key.hashed).map_or(Caller::Stranger, Caller::of)
            }
            other => other.clone(),
        }
    }

    /// Whether the path may be read.
    pub fn may_read(&self, path: &RelPath) -> Result<(), Problem> {
        if path.is_public() {
            return Ok(());
        }
        match self {
            Caller::Anyone => Err(Problem::NoKey),
            Caller::Stranger => Err(Problem::UnknownKey),
            Caller::Former(_) => Err(Problem::ExpiredKey),
            Caller::Holder(key) if key.covers(path) => Ok(()),
            Caller::Holder(key) => Err(Problem::NotCovered(Some(key.path.clone()))),
        }
    }

    /// The path that the key covers, if it is below a folder that may not be read. There the caller sees only the way down to it.
    pub fn led_to(&self, folder: &RelPath) -> Option<&RelPath> {
        let goal = &self.key()?.path;
        (goal.is_within(folder) && self.may_read(folder).is_err()).then_some(goal)
    }

    /// Whether the path may be written: uploaded to, replaced, deleted.
    pub fn may_write(&self, path: &RelPath) -> Result<(), Problem> {
        match self {
            Caller::Anyone => Err(Problem::NoKey),
            Caller::Stranger => Err(Problem::UnknownKey),
            Caller::Former(_) => Err(Problem::ExpiredKey),
            Caller::Holder(key) if !key.covers(path) => {
                Err(Problem::NotCovered(Some(key.path.clone())))
            }
            Caller::Holder(key) if key.scope == Scope::Read => Err(Problem::ReadOnlyKey),
            Caller::Holder(_) => Ok(()),
        }
    }

    /// Whether the caller may follow changes in a folder: something in or below it may be readable.
    pub fn may_follow(&self, folder: &RelPath) -> Result<(), Problem> {
        match self {
            Caller::Anyone if folder.is_root() => Ok(()),
            Caller::Holder(key) if key.path.is_within(folder) => Ok(()),
            _ => self.may_read(folder),
        }
    }

    /// The folders at or below a folder in which the caller may read everything.
    pub fn sight(&self, folder: &RelPath) -> Vec<RelPath> {
        let (public, of_key) = (RelPath::public(), self.key().map(|it| &it.path));
        std::iter::once(&public)
            .chain(of_key)
            .filter_map(|it| match (folder.is_within(it), it.is_within(folder)) {
                (true, _) => Some(folder.clone()),
                (_, true) => Some(it.clone()),
                _ => None,
            })
            .collect()
    }

    /// Whether there is any path that the caller may write.
    pub fn may_write_somewhere(&self) -> Result<(), Problem> {
        match self {
            Caller::Holder(key) => self.may_write(&key.path),
            Caller::Anyone | Caller::Stranger | Caller::Former(_) => {
                self.may_write(&RelPath::root())
            }
        }
    }

    /// Whether the caller has this access to the path.
    pub fn may(&self, access: Access, path: &RelPath) -> Result<(), Problem> {
        match access {
            Access::Read => self.may_read(path),
            Access::Write => self.may_write(path),
        }
    }

    /// The key, if it is valid.
    pub fn key(&self) -> Option<&Key> {
        match self {
            Caller::Holder(key) => Some(key),
            Caller::Former(_) | Caller::Anyone | Caller::Stranger => None,
        }
    }

    /// The user's name, for the log.
    pub fn user(&self) -> Option<&str> {
        match self {
            Caller::Holder(key) | Caller::Former(key) => Some(&key.user),
            Caller::Anyone | Caller::Stranger => None,
        }
    }
}
