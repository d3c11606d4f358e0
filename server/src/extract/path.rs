//! From a request's URL and header to a path that the caller may read or write.
//!
//! Two kinds of URL lead to the tree, `/files/PATH` and `/share/KEY/PATH`; after this module they are the same. Here, text from outside
//! becomes a [`RelPath`] or a refusal, once; nothing checks it again. However a client writes a path (`a//b`, `a/./b`, `a%2Fb`), the path
//! that is authorized, looked up and logged is the same clean one.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use volume::keys::PlainKey;
use volume::{Refusal, RelPath};

use crate::app::App;
use crate::auth::caller::{Access, Caller};
use crate::auth::credentials::key_in;
use crate::auth::identify::identify;
use crate::http::request_fields::RequestFields;
use crate::net::client_address::Peer;
use crate::problem::Problem;
use crate::telemetry::activity::InFlight;

/// A path, and the caller who requests it.
#[derive(Debug)]
pub(crate) struct AuthorizedPath {
    /// The requested path.
    pub path: RelPath,
    /// Whether the URL ends in a slash, as a folder's does.
    pub names_folder: bool,
    /// Number of the path's names after the URL's last `/`, where relative references start. Usually one; none after a slash at the end;
    /// more if a client encodes slashes as `%2F`.
    pub last_names: usize,
    /// Whether the URL has exactly one segment per name, so that each `../` leads up by one name.
    pub is_plain: bool,
    /// The caller.
    pub caller: Caller,
    /// The caller's key, if it is in the URL.
    pub key_in_address: Option<PlainKey>,
}

impl FromRequestParts<Arc<App>> for AuthorizedPath {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        app: &Arc<App>,
    ) -> Result<AuthorizedPath, Problem> {
        AuthorizedPath::of(parts, app).await
    }
}

impl AuthorizedPath {
    /// The path of a request, if its caller has the access that its method needs.
    pub(crate) async fn of(parts: &Parts, app: &App) -> Result<AuthorizedPath, Problem> {
        let authorized = AuthorizedPath::asked(parts, app).await?;
        authorized.caller.may(Access::of(&parts.method), &authorized.path)?;
        Ok(authorized)
    }

    /// The path of a request. The caller is identified, but still to be authorized.
    pub(crate) async fn asked(parts: &Parts, app: &App) -> Result<AuthorizedPath, Problem> {
        let target = UrlPath::of(parts.uri.path()).ok_or(Problem::NotFound)?;
        let parsed = target.parse()?;
        let key_in_address =
            target.key.map(|it| PlainKey::new(&percent_decode_str(it).collect::<Vec<u8>>()));
        let key = key_in_address.clone().or_else(|| key_in(RequestFields::new(&parts.headers)));
        let ParsedPath { path, names_folder, last_names, is_plain } = parsed;
        let caller = caller(parts, app, key, Access::of(&parts.method), &path).await?;
        Ok(AuthorizedPath { path, names_folder, last_names, is_plain, caller, key_in_address })
    }

    /// The absolute URL path of a folder. It has the key in it if this request's URL does.
    pub(crate) fn address_of(&self, folder: &RelPath) -> String {
        let root = match &self.key_in_address {
            None => "/files/".to_owned(),
            Some(key) => format!("/share/{}/", volume::escape(key.reveal())),
        };
        if folder.is_root() { root } else { format!("{root}{}/", folder.to_url()) }
    }

    /// A reference to a path in the same folder, relative to the request's URL, so that it works behind any proxy.
    pub(crate) fn reference(&self, path: &RelPath) -> String {
        let names: Vec<String> = path.names().map(volume::escape).collect();
        let from = names.len().saturating_sub(self.last_names.max(1));
        format!("./{}", names.get(from..).unwrap_or_default().join("/"))
    }

    /// A relative reference to the requested path itself, with all of its names if possible. The reason: yarl, and with it aiohttp and
    /// fsspec, removes the percent-encoding of names that a reference does not contain.
    pub(crate) fn own_reference(&self) -> String {
        let parents = self.path.names().count().saturating_sub(1);
        if !self.is_plain || parents == 0 {
            return self.reference(&self.path);
        }
        format!("{}{}", "../".repeat(parents), self.path.to_url())
    }
}

/// Identifies the caller of a request, and records the caller for the log.
pub(crate) async fn caller(
    parts: &Parts,
    app: &App,
    key: Option<PlainKey>,
    access: Access,
    path: &RelPath,
) -> Result<Caller, Problem> {
    let open = parts.extensions.get::<Arc<InFlight>>();
    let unknown = Peer { address: None };
    let client =
        open.map_or_else(|| unknown.client(RequestFields::new(&parts.headers)), |it| it.client());
    let caller = identify(&app.key_ring, &app.guess_limiter, client, key, access, path).await?;
    if let Some(open) = open {
        open.is_from(&caller);
    }
    Ok(caller)
}

/// The parts of a URL's path, still encoded.
struct UrlPath<'a> {
    key: Option<&'a str>,
    path: &'a str,
}

impl<'a> UrlPath<'a> {
    fn of(path: &'a str) -> Option<UrlPath<'a>> {
        if let Some(path) = path.strip_prefix("/files/") {
            return Some(UrlPath { key: None, path });
        }
        let rest = path.strip_prefix("/share/")?;
        // The share link without its last slash is the root too: everything that the key covers.
        let (key, path) = rest.split_once('/').unwrap_or((rest, ""));
        Some(UrlPath { key: Some(key), path })
    }

    fn parse(&self) -> Result<ParsedPath, Refusal> {
        let last = self.path.rsplit('/').next().unwrap_or_default();
        let last = volume::unescape(last.as_bytes())?;
        let end = last.rsplit(|it| *it == b'/').next();
        let path = RelPath::from_url(self.path)?;
        let segments = self.path.split('/').map(|it| volume::unescape(it.as_bytes()));
        Ok(ParsedPath {
            is_plain: segments.eq(path.names().map(|it| Ok(it.into()))),
            path,
            names_folder: matches!(end, None | Some(b"" | b".")),
            last_names: RelPath::normalize(&last)?.names().count(),
        })
    }
}

/// A parsed URL path. The fields are those of [`AuthorizedPath`].
#[derive(Debug, PartialEq, Eq)]
struct ParsedPath {
    path: RelPath,
    names_folder: bool,
    last_names: usize,
    is_plain: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_where_it_ends() {
        let check = |path: &str, names_folder: bool, last_names: usize| {
            let is_plain = matches!(path, "a" | "a/b");
            let expected = RelPath::from_url(path).map(|path| ParsedPath {
                path,
                names_folder,
                last_names,
                is_plain,
            });
            assert_eq!(UrlPath { key: None, path }.parse(), expected, "{path}");
        };
        check("", true, 0);
        check("/", true, 0);
        check("%2F", true, 0);
        check(".", true, 0);
        check("a", false, 1);
        check("a/", true, 0);
        check("a//", true, 0);
        check("a/.", true, 0);
        check("a/b", false, 1);
        check("a//b", false, 1);
        check("a%2Fb", false, 2);
        check("c/a%2F%2Fb", false, 2);
        check("a%2Fb/", true, 0);
        check("a%2Fb%2F", true, 2);
        check("a%2F%2e", true, 1);
        check("a%2F..", false, 0);
    }
}
