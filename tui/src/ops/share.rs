//! Addresses: where something is read, by whom, and a way to pass it on.

use jiff::Timestamp;
use serde::Serialize;
use volume::RelPath;
use volume::key_sheet::{NewKey, SheetChange, SheetVersion};
use volume::keys::Scope;

use super::{Desk, Failure, parse_end};
use crate::admin::Admin;

/// Whom share links belong to.
pub const USER: &str = "share";

/// An address that was made to be passed on. Holds its key.
#[derive(Debug, Serialize)]
pub struct ShareLink {
    /// The address: `https://…/share/KEY/PATH`.
    pub url: String,
    /// The key in it.
    pub apikey: String,
    /// What it opens.
    pub path: RelPath,
    /// Until when.
    pub expires: String,
    /// What became of the keys file's lines.
    #[serde(skip)]
    pub change: SheetChange,
}

impl Desk {
    /// The address of a path for somebody with a key, or for everyone where it is public.
    pub fn address(&self, path: &RelPath, is_folder: bool) -> String {
        format!("{}/files/{}{}", self.base(), path.to_url(), slash(path, is_folder))
    }

    /// Makes a key that reads this path only, and the address that holds it.
    pub fn share(
        &self,
        shown: Option<SheetVersion>,
        path: &RelPath,
        expires: &str,
        note: &str,
    ) -> Result<ShareLink, Failure> {
        let is_folder = matches!(self.find(path)?, volume::Found::Folder(_));
        let new = NewKey {
            user: USER.to_owned(),
            scope: Scope::Read,
            path: path.clone(),
            expires: parse_end(expires, Timestamp::now())?,
            note: note.to_owned(),
        };
        let made = self.add_key(shown, &new, None)?;
        let url = format!(
            "{}/share/{}/{}{}",
            self.base(),
            made.apikey,
            path.to_url(),
            slash(path, is_folder)
        );
        Ok(ShareLink {
            url,
            apikey: made.apikey,
            path: path.clone(),
            expires: made.expires,
            change: made.change,
        })
    }

    /// The address that was named, or where the running server listens, or where it does if nobody says otherwise.
    fn base(&self) -> String {
        let listening = || {
            let admin = Admin::new(self.admin.as_deref(), &self.volume).ok()?;
            admin.service().ok()?.address
        };
        let named = self.url.clone().or_else(listening);
        named.unwrap_or_else(|| "http://127.0.0.1:4999".to_owned())
    }
}

/// A folder's address ends in a slash.
fn slash(path: &RelPath, is_folder: bool) -> &'static str {
    if is_folder && !path.is_root() { "/" } else { "" }
}
