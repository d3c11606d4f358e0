//! Addresses: where something is read, by whom, and a way to pass it on.

use jiff::Timestamp;
use serde::Serialize;
use volume::keys::Scope;
use volume::keys::sheet::change::SheetChange;
use volume::keys::sheet::{KeyRow, KeyState, NewKey, SheetVersion};
use volume::{Found, RelPath};

use super::keys::{FROM_API_KEYS, reach};
use super::{Desk, Failure, parse_end};
use crate::admin::{Admin, ExtraKey, KeysNow};
use crate::text;

/// Whom share links belong to.
pub const USER: &str = "share";

/// What is said where an address has no host.
pub const NO_HOST: &str =
    "No server answers, so the address has no host: name it with --url URL or SOUNDING_URL.";

/// An address that was made to be passed on. Holds its key.
#[derive(Debug, Serialize)]
pub struct ShareLink {
    /// The address: `https://…/share/KEY/PATH`, or `https://…/files/PATH` where that is public. Without its host where nobody knows it.
    pub url: String,
    /// The key in it; none where the path is public.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apikey: Option<String>,
    /// What it opens.
    pub path: RelPath,
    /// Until when.
    pub expires: String,
    /// Whether the address has its host.
    #[serde(skip)]
    pub has_host: bool,
    /// What became of the keys file's lines, if a key was made.
    #[serde(skip)]
    pub change: Option<SheetChange>,
}

/// Where a path is read, and who can.
#[derive(Clone, Debug)]
pub struct Access {
    /// The path.
    pub path: RelPath,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// The server's address, if it is known.
    pub base: Option<String>,
    /// Whether anyone can read it without a key.
    pub is_public: bool,
    /// The keys of the file that read it, besides everyone.
    pub rows: Vec<KeyRow>,
    /// Those from `API_KEYS`, which read everything.
    pub extra: Vec<ExtraKey>,
}

impl Access {
    /// The address for somebody with a key, or for everyone where it is public. Without its host where nobody knows it.
    pub fn url(&self) -> String {
        self.url_below("files")
    }

    /// Whether the address has its host.
    pub fn has_host(&self) -> bool {
        self.base.is_some()
    }

    /// Who can read it, in lines.
    pub fn readers(&self) -> Vec<String> {
        if self.is_public {
            return vec!["Anyone can read it, without a key.".to_owned()];
        }
        let count = self.rows.len() + self.extra.len();
        if count == 0 {
            return vec!["No key covers it: nobody can read it.".to_owned()];
        }
        let rows = self.rows.iter().map(|it| (&it.user, &it.masked, reach(it)));
        let extra =
            self.extra.iter().map(|it| (&it.username, &it.apikey, FROM_API_KEYS.to_owned()));
        let line = |(user, key, what): (&String, &String, String)| {
            format!("{}  {key}  {what}", text::escape(user.as_bytes()))
        };
        let head = format!("{} can read it:", text::things(count as u64, "key", "keys"));
        std::iter::once(head).chain(rows.chain(extra).map(line)).collect()
    }

    fn url_below(&self, place: &str) -> String {
        let host = self.base.as_deref().unwrap_or_default();
        // A folder's address ends in a slash.
        let slash = if self.is_folder && !self.path.is_root() { "/" } else { "" };
        format!("{host}/{place}/{}{slash}", self.path.to_url())
    }
}

impl Desk {
    /// Where a path is read, and who can.
    pub fn access(&self, path: &RelPath, known: &KeysNow) -> Result<Access, Failure> {
        let found = self.find(path)?;
        // Who follows a link needs a key for where it leads too.
        let real = found.real_path().unwrap_or(path);
        let now = Timestamp::now();
        let reads = |row: &KeyRow| {
            let key = row.key.as_ref().filter(|_| row.state == KeyState::On);
            key.is_some_and(|it| it.covers(path) && it.covers(real) && !it.has_expired(now))
        };
        Ok(Access {
            path: path.clone(),
            is_folder: matches!(found, Found::Folder(_)),
            base: self.base(),
            is_public: path.is_public() && real.is_public(),
            rows: self.volume.key_sheet()?.rows(now).into_iter().filter(reads).collect(),
            extra: known.extra.clone(),
        })
    }

    /// Makes a key that reads this path only, and the address that holds it. What is public needs none, and gets none.
    pub fn share(
        &self,
        shown: Option<SheetVersion>,
        path: &RelPath,
        expires: &str,
        note: &str,
    ) -> Result<ShareLink, Failure> {
        let access = self.access(path, &KeysNow::default())?;
        let expires = parse_end(expires, Timestamp::now())?;
        let has_host = access.has_host();
        if access.is_public {
            let (url, path, expires) = (access.url(), access.path, String::new());
            return Ok(ShareLink { url, apikey: None, path, expires, has_host, change: None });
        }
        let new = NewKey {
            user: USER.to_owned(),
            scope: Scope::Read,
            path: path.clone(),
            expires,
            note: note.to_owned(),
        };
        let made = self.add_key(shown, &new, None)?;
        Ok(ShareLink {
            url: access.url_below(&format!("share/{}", made.apikey)),
            apikey: Some(made.apikey),
            path: access.path,
            expires: made.expires,
            has_host,
            change: Some(made.change),
        })
    }

    /// The address that was named, or where the running server listens; none where nobody knows.
    fn base(&self) -> Option<String> {
        let listening = || {
            let admin = Admin::new(self.admin.as_deref(), &self.volume).ok()?;
            admin.service().ok()?.address
        };
        self.url.clone().or_else(listening)
    }
}
