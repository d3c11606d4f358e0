//! From a key to a caller, and what the caller was let in for, asked again while a transfer lasts.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use volume::RelPath;
use volume::keys::PlainKey;

use crate::auth::caller::{Access, Caller};
use crate::auth::key_guesses::{GuessLimiter, Turn};
use crate::auth::key_ring::KeyRing;
use crate::problem::Problem;

/// Finds out who is asking for a path. Fails only where too many wrong keys came from the same client.
///
/// A key that does not matter, because anyone may read the path, makes nobody wait: after too many wrong ones it counts for none.
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

/// Finds out who asks to read a path, and may, where nothing is in doubt; none where it takes a refusal, or a pause.
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

/// What a caller was let in for, to be asked again while it lasts: a key that is taken away meanwhile is not good any
/// more.
#[derive(Clone, Debug)]
pub struct Authorization {
    /// The keys as they will be then.
    pub keys: Arc<KeyRing>,
    /// Who was let in.
    pub caller: Caller,
    /// What for.
    pub access: Access,
    /// Where.
    pub path: RelPath,
}

impl Authorization {
    /// Whether it still holds. Costs a look at whether the keys file has changed.
    pub fn check(&self) -> Result<(), Problem> {
        self.caller.with_current_keys(&self.keys).may(self.access, &self.path)
    }
}

/// What the body of an answer is sent by: asked for again as long as there is more of it.
#[derive(Clone, Debug)]
pub struct Authorizations(Vec<Authorization>);

impl Authorizations {
    /// To read at all of these places, for whoever may do so now. None where that needs no key.
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

    /// Whether all of them still hold.
    pub fn check(&self) -> Result<(), Problem> {
        self.0.iter().try_for_each(Authorization::check)
    }
}
