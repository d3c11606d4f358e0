//! Who is asking, and whether they may.
//!
//! A key comes in a header or stands in the path; nothing else knows header names for it. Who may read is decided on
//! the path alone, before the disk is asked, so that an answer never tells whether something exists.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method, header};
use jiff::Timestamp;
use volume::RelPath;
use volume::keys::{Key, PlainKey, Scope};

use crate::app::App;
use crate::auth::key_guesses::Turn;
use crate::problem::Problem;

/// What a caller wants with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
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

impl Purpose {
    /// What a method is for; safe ones only read (RFC 9110 §9.2.1).
    pub fn of(method: &Method) -> Purpose {
        if method.is_safe() { Purpose::Read } else { Purpose::Write }
    }

    /// Whether it needs no key on a path.
    fn is_free(self, path: &RelPath) -> bool {
        self == Purpose::Read && path.is_public()
    }
}

impl Caller {
    /// Whoever has a key.
    fn of(key: &Arc<Key>) -> Caller {
        if key.has_expired(Timestamp::now()) {
            Caller::Former(Arc::clone(key))
        } else {
            Caller::Holder(Arc::clone(key))
        }
    }

    /// The same caller by the keys as they are now: one may have been changed or taken away.
    #[must_use]
    pub fn by_now(&self, app: &App) -> Caller {
        match self {
            Caller::Holder(key) => app.keys().find(key.hashed).map_or(Caller::Stranger, Caller::of),
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

    /// Whether the path may be had for a purpose.
    pub fn may(&self, purpose: Purpose, path: &RelPath) -> Result<(), Problem> {
        match purpose {
            Purpose::Read => self.may_read(path),
            Purpose::Write => self.may_write(path),
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

/// What a caller was let in for, to be asked again while it lasts: a key that is taken away meanwhile is not good any
/// more.
#[derive(Clone, Debug)]
pub struct Permit {
    /// Who knows the keys.
    pub app: Arc<App>,
    /// Who was let in.
    pub caller: Caller,
    /// What for.
    pub purpose: Purpose,
    /// Where.
    pub path: RelPath,
}

impl Permit {
    /// Whether it still holds. Costs a look at whether the keys file has changed.
    pub fn check(&self) -> Result<(), Problem> {
        self.caller.by_now(&self.app).may(self.purpose, &self.path)
    }
}

/// What the body of an answer is sent by: asked for again as long as there is more of it.
#[derive(Clone, Debug)]
pub struct Permits(Vec<Permit>);

impl Permits {
    /// To read at all of these places, for whoever may do so now. None where that needs no key.
    pub fn to_read<'a>(
        app: &Arc<App>,
        caller: &Caller,
        places: impl IntoIterator<Item = &'a RelPath>,
    ) -> Option<Permits> {
        let private = places.into_iter().filter(|it| !Purpose::Read.is_free(it));
        let permit = |path: &RelPath| Permit {
            app: Arc::clone(app),
            caller: caller.clone(),
            purpose: Purpose::Read,
            path: path.clone(),
        };
        let all: Vec<Permit> = private.map(permit).collect();
        (!all.is_empty()).then_some(Permits(all))
    }

    /// Whether all of them still hold.
    pub fn check(&self) -> Result<(), Problem> {
        self.0.iter().try_for_each(Permit::check)
    }
}

/// The key in a request's header: `Authorization: KEY`, `Bearer KEY` (RFC 6750) or the password of `Basic` (RFC 7617).
pub fn key_in(headers: &HeaderMap) -> Option<PlainKey> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes().trim_ascii();
    let credentials = |scheme: &str| {
        let (name, rest) = value.split_at_checked(scheme.len())?;
        let matches = name.eq_ignore_ascii_case(scheme.as_bytes()) && rest.starts_with(b" ");
        matches.then(|| rest.trim_ascii())
    };
    if let Some(key) = credentials("Bearer") {
        return Some(PlainKey::new(key));
    }
    let Some(encoded) = credentials("Basic") else {
        return Some(PlainKey::new(value)).filter(|it| !it.reveal().is_empty());
    };
    // What can't be decoded is a key that is not known.
    let decoded = STANDARD.decode(encoded).unwrap_or_default();
    let password = decoded.splitn(2, |it| *it == b':').nth(1).unwrap_or_default();
    Some(PlainKey::new(password))
}

/// Finds out who is asking for a path. Fails only where too many wrong keys came from the same client.
///
/// A key that does not matter, because anyone may read the path, makes nobody wait: after too many wrong ones it counts for none.
pub async fn identify(
    app: &App,
    client: IpAddr,
    key: Option<PlainKey>,
    purpose: Purpose,
    path: &RelPath,
) -> Result<Caller, Problem> {
    let Some(key) = key else { return Ok(Caller::Anyone) };
    let hashed = key.hash();
    let who = || app.keys().find(hashed).map_or(Caller::Stranger, Caller::of);
    if purpose.is_free(path) {
        if !app.guesses.counts_in_public(client, hashed, Instant::now()) {
            return Ok(Caller::Anyone);
        }
        let caller = who();
        match &caller {
            Caller::Stranger => app.guesses.was_wrong_in_public(client, Instant::now()),
            Caller::Holder(it) => app.guesses.was_right(client, it.hashed, Instant::now()),
            Caller::Former(_) | Caller::Anyone => {}
        }
        return Ok(caller);
    }
    let too_many = |rest: Duration| Problem::TooManyWrongKeys { retry_after: rest.as_secs() + 1 };
    match app.guesses.turn(client, hashed, Instant::now()) {
        Turn::Now => {}
        Turn::In(wait) => tokio::time::sleep(wait).await,
        Turn::Refused(rest) => return Err(too_many(rest)),
    }
    let caller = who();
    match &caller {
        Caller::Stranger => {
            if let Some(rest) = app.guesses.was_wrong(client, Instant::now()) {
                return Err(too_many(rest));
            }
        }
        Caller::Holder(it) => app.guesses.was_right(client, it.hashed, Instant::now()),
        Caller::Former(_) | Caller::Anyone => {}
    }
    Ok(caller)
}

/// Finds out who asks to read a path, and may, where nothing is in doubt; none where it takes a refusal, or a pause.
pub fn identify_now(
    app: &App,
    client: IpAddr,
    key: Option<PlainKey>,
    path: &RelPath,
    now: Instant,
) -> Option<Caller> {
    let is_free = Purpose::Read.is_free(path);
    let Some(key) = key else { return is_free.then_some(Caller::Anyone) };
    let keys = app.keys_of_turn(now);
    let hashed = key.hash();
    let caller = keys.find(hashed).map_or(Caller::Stranger, Caller::of);
    if is_free {
        return Some(caller);
    }
    if caller.may_read(path).is_err() || app.guesses.must_wait(client, hashed, now) {
        return None;
    }
    app.guesses.was_right(client, hashed, now);
    Some(caller)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_in_three_forms() {
        let check = |value: &'static str, expected: Option<&str>| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            let key = key_in(&headers).map(|it| String::from_utf8_lossy(it.reveal()).into_owned());
            assert_eq!(key.as_deref(), expected, "{value}");
        };
        check("kmt-1", Some("kmt-1"));
        check("Bearer kmt-1", Some("kmt-1"));
        check("bearer  kmt-1", Some("kmt-1"));
        check("Basic a210OmttdC0x", Some("kmt-1"));
        check("basic Omtt:", Some(""));
        check("Basic OmttdDpr", Some("kmt:k"));
        check("Bearerkmt", Some("Bearerkmt"));
        check("", None);
        assert_eq!(key_in(&HeaderMap::new()), None);
    }
}
