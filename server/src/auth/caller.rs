//! Who is asking, and whether they may.
//!
//! A key comes in a header or stands in the path; nothing else knows header names for it. Who may read is decided on
//! the path alone, before the disk is asked, so that an answer never tells whether something exists.

use std::sync::Arc;

use http::Method;
use jiff::Timestamp;
use volume::RelPath;
use volume::keys::{Key, Scope};

use crate::auth::key_ring::KeyRing;
use crate::problem::Problem;

/// What a caller wants with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To have it.
    Read,
    /// To change it.
    Write,
}

/// Whoever made a request.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Without a key.
    Anyone,
    /// With a key that is good.
    Holder(Arc<Key>),
    /// With a key that is not known here.
    Stranger,
    /// With a key whose end has come.
    Former(Arc<Key>),
}

impl Access {
    /// What a method is for; safe ones only read (RFC 9110 §9.2.1).
    pub fn of(method: &Method) -> Access {
        if method.is_safe() { Access::Read } else { Access::Write }
    }

    /// Whether it needs no key on a path.
    pub(super) fn is_free(self, path: &RelPath) -> bool {
        self == Access::Read && path.is_public()
    }
}

impl Caller {
    /// Whoever has a key.
    pub(super) fn of(key: &Arc<Key>) -> Caller {
        if key.has_expired(Timestamp::now()) {
            Caller::Former(Arc::clone(key))
        } else {
            Caller::Holder(Arc::clone(key))
        }
    }

    /// The same caller by the keys as they are now: one may have been changed or taken away.
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

    /// What the key covers, where that lies below a folder that may not be read: above it a caller sees the way there.
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

    /// Whether there may be something to see in a folder, or below it.
    pub fn may_follow(&self, folder: &RelPath) -> Result<(), Problem> {
        match self {
            Caller::Anyone if folder.is_root() => Ok(()),
            Caller::Holder(key) if key.path.is_within(folder) => Ok(()),
            _ => self.may_read(folder),
        }
    }

    /// The folders within a folder of which all may be read.
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

    /// Whether there is any path that may be written.
    pub fn may_write_somewhere(&self) -> Result<(), Problem> {
        match self {
            Caller::Holder(key) => self.may_write(&key.path),
            Caller::Anyone | Caller::Stranger | Caller::Former(_) => {
                self.may_write(&RelPath::root())
            }
        }
    }

    /// Whether the path may be had for a access.
    pub fn may(&self, access: Access, path: &RelPath) -> Result<(), Problem> {
        match access {
            Access::Read => self.may_read(path),
            Access::Write => self.may_write(path),
        }
    }

    /// The key, if it is good.
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
