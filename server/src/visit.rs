//! A request at the edge: from its URL and header to a path that may be read, or written.
//!
//! Two addresses lead to the tree, `/files/PATH` and `/share/KEY/PATH`; behind this module they are the same. Here
//! the outside's text becomes a [`RelPath`] or a refusal, once; nobody checks again.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use volume::keys::PlainKey;
use volume::{Refusal, RelPath};

use crate::activity::Open;
use crate::app::App;
use crate::auth::{self, Caller, Peer, Purpose};
use crate::problem::Problem;

/// A path, and whoever asks for it.
#[derive(Debug)]
pub struct Visit {
    /// What is asked for.
    pub path: RelPath,
    /// Whether the URL ends in a slash, as a folder's does.
    pub names_folder: bool,
    /// Who is asking.
    pub caller: Caller,
    /// Whether their key stands in the URL.
    pub key_is_in_address: bool,
}

impl FromRequestParts<Arc<App>> for Visit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Visit, Problem> {
        Visit::of(parts, app).await
    }
}

impl Visit {
    /// A request's, by whoever may have what it asks for.
    pub async fn of(parts: &Parts, app: &App) -> Result<Visit, Problem> {
        let visit = Visit::asked(parts, app).await?;
        visit.caller.may(Purpose::of(&parts.method), &visit.path)?;
        Ok(visit)
    }

    /// A request's, by whomever: whether they may have what it asks for is still to be decided.
    pub async fn asked(parts: &Parts, app: &App) -> Result<Visit, Problem> {
        let target = Target::of(parts.uri.path()).ok_or(Problem::NotFound)?;
        let (path, names_folder) = target.parse()?;
        let key = match target.key {
            Some(key) => Some(PlainKey::new(&percent_decode_str(key).collect::<Vec<u8>>())),
            None => auth::key_in(&parts.headers),
        };
        let caller = caller(parts, app, key, Purpose::of(&parts.method), &path).await?;
        Ok(Visit { path, names_folder, caller, key_is_in_address: target.key.is_some() })
    }
}

/// Whoever makes a request, with their name for the log.
pub async fn caller(
    parts: &Parts,
    app: &App,
    key: Option<PlainKey>,
    purpose: Purpose,
    path: &RelPath,
) -> Result<Caller, Problem> {
    let open = parts.extensions.get::<Arc<Open>>();
    let unknown = Peer { address: None };
    let client = open.map_or_else(|| unknown.client(&parts.headers), |it| it.client());
    let caller = auth::identify(app, client, key, purpose, path).await?;
    if let Some(open) = open {
        open.is_from(&caller);
    }
    Ok(caller)
}

/// The parts of a URL's path, as they are written.
struct Target<'a> {
    key: Option<&'a str>,
    path: &'a str,
}

impl<'a> Target<'a> {
    fn of(path: &'a str) -> Option<Target<'a>> {
        if let Some(path) = path.strip_prefix("/files/") {
            return Some(Target { key: None, path });
        }
        let (key, path) = path.strip_prefix("/share/")?.split_once('/')?;
        Some(Target { key: Some(key), path })
    }

    /// The path, and whether it is written as a folder's.
    fn parse(&self) -> Result<(RelPath, bool), Refusal> {
        match self.path.strip_suffix('/') {
            None => Ok((RelPath::from_url(self.path)?, self.path.is_empty())),
            Some("") => Err(Refusal::EmptyName),
            Some(path) => Ok((RelPath::from_url(path)?, true)),
        }
    }
}

/// A URL's path as the log may show it: without the key of `/share/KEY/PATH`.
pub fn without_key(path: &str) -> String {
    match path.strip_prefix("/share/") {
        Some(rest) => format!("/share/.../{}", rest.split_once('/').map_or("", |(_, path)| path)),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_never_shows_a_shared_key() {
        assert_eq!(without_key("/share/kmt-1/a/b"), "/share/.../a/b");
        assert_eq!(without_key("/share/kmt-1"), "/share/.../");
        assert_eq!(without_key("/files/share/kmt"), "/files/share/kmt");
    }
}
