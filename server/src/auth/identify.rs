//! From a key to a caller, and authorizations that are checked again during a response.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use volume::RelPath;
use volume::keys::PlainKey;

use crate::auth::caller::{Access, Caller};
use crate::auth::key_guesses::{GuessLimiter, Turn};
use crate::auth::key_ring::KeyRing;
use crate::problem::Problem;

/// Identifies the caller for access to a path. Waits, or fails, only if too many wrong keys came from the same client.
///
/// On a path that anyone may read, a key never causes a delay: after too many wrong keys, it is ignored.
pub(crate) async fn identify(
    keys: &KeyRing,
    guesses: &GuessLimiter,
    client: IpAddr,
    key: Option<PlainKey>,
    access: Access,
    path: &RelPath,
) -> Result<Caller, Problem> {
    let Some(key) = key else { return Ok(Caller::Anyone) };
    let hashed = key.hash();
    let who = || keys.current().find(hashed).map_or(Caller::Stranger, Caller::of);
    if access.is_free(path) {
        if !guesses.counts_in_public(client, hashed, Instant::now()) {
            return Ok(Caller::Anyone);
        }
        let caller = who();
        match &caller {
            Caller::Stranger => guesses.record_public_failure(client, Instant::now()),
            Caller::Holder(it) => guesses.record_success(client, it.hashed, Instant::now()),
            Caller::Former(_) | Caller::Anyone => {}
        }
        return Ok(caller);
    }
    let too_many = |rest: Duration| Problem::TooManyWrongKeys { retry_after: rest.as_secs() + 1 };
    match guesses.turn(client, hashed, Instant::now()) {
        Turn::Now => {}
        Turn::In(wait) => tokio::time::sleep(wait).await,
        Turn::Refused(rest) => return Err(too_many(rest)),
    }
    let caller = who();
    match &caller {
        Caller::Stranger => {
            if let Some(rest) = guesses.record_failure(client, Instant::now()) {
                return Err(too_many(rest));
            }
        }
        Caller::Holder(it) => guesses.record_success(client, it.hashed, Instant::now()),
        Caller::Former(_) | Caller::Anyone => {}
    }
    Ok(caller)
}

/// Identifies a caller who may read the path, without waiting. `None` if that needs a refusal or a delay.
pub(crate) fn try_identify(
    keys: &KeyRing,
    guesses: &GuessLimiter,
    client: IpAddr,
    key: Option<PlainKey>,
    path: &RelPath,
    now: Instant,
) -> Option<Caller> {
    let is_free = Access::Read.is_free(path);
    let Some(key) = key else { return is_free.then_some(Caller::Anyone) };
    let hashed = key.hash();
    let caller = keys.this_turn(now).find(hashed).map_or(Caller::Stranger, Caller::of);
    if is_free {
        return Some(caller);
    }
    if caller.may_read(path).is_err() || guesses.is_throttled(client, hashed, now) {
        return None;
    }
    guesses.record_success(client, hashed, now);
    Some(caller)
}

/// What a caller was authorized for, to be checked again later: the key may have been revoked meanwhile.
#[derive(Clone, Debug)]
pub struct Authorization {
    /// The keys, as they will be then.
    pub keys: Arc<KeyRing>,
    /// The caller.
    pub caller: Caller,
    /// The kind of access.
    pub access: Access,
    /// The path.
    pub path: RelPath,
}

impl Authorization {
    /// Whether it is still valid. Checks whether the keys file has changed.
    pub fn check(&self) -> Result<(), Problem> {
        self.caller.with_current_keys(&self.keys).may(self.access, &self.path)
    }
}

/// The authorizations for a response's body, checked again while it is sent.
#[derive(Clone, Debug)]
pub struct Authorizations(Vec<Authorization>);

impl Authorizations {
    /// For reading all of these paths, by a caller who may read them now. `None` if that needs no key.
    pub fn to_read<'a>(
        keys: &Arc<KeyRing>,
        caller: &Caller,
        places: impl IntoIterator<Item = &'a RelPath>,
    ) -> Option<Authorizations> {
        let private = places.into_iter().filter(|it| !Access::Read.is_free(it));
        let permit = |path: &RelPath| Authorization {
            keys: Arc::clone(keys),
            caller: caller.clone(),
            access: Access::Read,
            path: path.clone(),
        };
        let all: Vec<Authorization> = private.map(permit).collect();
        (!all.is_empty()).then_some(Authorizations(all))
    }

    /// Whether all of them are still valid.
    pub fn check(&self) -> Result<(), Problem> {
        self.0.iter().try_for_each(Authorization::check)
    }
}
