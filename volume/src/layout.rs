//! The names of the well-known places on a volume. Nothing else spells them.
//!
//! `volume-layout.md` at the project's top level is the user's page on them; a test holds the two together.

/// Files under this folder of the root can be read by anyone, without a key.
pub const PUBLIC_FOLDER: &str = "public";

/// The service's own folder in the root: mode 0700, never served, never listed.
pub const SERVICE_FOLDER: &str = ".sounding";

/// The keys, in the service's folder.
pub const KEYS_FILE: &str = "auth-keys.csv";

/// The keys' place from the root, in one look-up.
pub(crate) const KEYS_PLACE: &str = ".sounding/auth-keys.csv";

/// What the name of a file that is written anew ends in until the rename that puts it in place.
pub const NEW_SUFFIX: &str = ".new";

/// When each key was last used, in the service's folder.
pub const KEY_USE_FILE: &str = "key-use.json";

/// How the console is liked to look, in the service's folder.
pub const CONSOLE_FILE: &str = "console.json";

/// Until when an operator wants the service awake, in the service's folder.
pub const KEEP_AWAKE_FILE: &str = "keep-awake.json";

/// When the service last removed what had had its time, in the service's folder: by it a wrong clock is noticed.
pub const TIDIED_FILE: &str = "tidied.json";

/// Locked by the server that serves the volume, in the service's folder.
pub const SERVER_LOCK_FILE: &str = "server.lock";

/// What is on its way in, in the service's folder, until one rename makes it visible.
pub const STAGING_FOLDER: &str = "staging";

/// What is known of uploads that may go on after a break, in the service's folder, a file each.
pub const UPLOADS_FOLDER: &str = "uploads";

/// What is known of transfers by wormhole, in the service's folder, a file each.
pub const TRANSFERS_FOLDER: &str = "transfers";

/// What the name of such a file ends in.
pub const RECORD_SUFFIX: &str = ".json";

/// What the name of a file ends in that a program holds a lock on while it runs transfers.
pub const HOST_SUFFIX: &str = ".host";

/// Which servers transfers go by, in the service's folder, if not the public ones.
pub const WORMHOLE_FILE: &str = "wormhole.conf";

/// What changed on the volume, and what was there last, in the service's folder: a database of `SQLite`.
pub const JOURNAL_FILE: &str = "journal.sqlite";

/// What a journal that can't be read any more is renamed to.
pub const BROKEN_JOURNAL_FILE: &str = "journal.broken.sqlite";

/// What was deleted, in the service's folder, until it is emptied: a `FreeDesktop` trash, with the two folders below.
pub const TRASH_FOLDER: &str = "trash";

/// What was deleted itself, in the trash.
pub const TRASHED_FILES: &str = "files";

/// Where each thing in the trash came from and when, a file each.
pub const TRASH_INFO: &str = "info";

/// What is being removed from the trash for good, in the trash's folder.
pub const EXPUNGED: &str = "expunged";

/// What the name of a file that says so ends in.
pub const TRASH_INFO_SUFFIX: &str = ".trashinfo";

/// Where the server that this one replaces kept its keys on a volume, besides [`KEYS_FILE`] at the root.
pub const OLD_KEYS_PLACE: &str = ".admin/auth-keys.csv";

/// Where some file systems put what a repair has found: nobody's, and at most in the root.
pub const LOST_AND_FOUND: &str = "lost+found";

/// Hidden wherever they lie. A copy of the keys, once it were served, would give every key to each of their holders.
pub const HIDDEN_NAMES: [&str; 2] = [KEYS_FILE, LOST_AND_FOUND];

/// Names that begin with a dot are hidden, but for these: `SimWrapper`'s project settings, well-known URIs
/// (RFC 8615) and the metadata of Zarr arrays.
pub const SERVED_DOT_NAMES: [&str; 6] =
    [".simwrapper", ".well-known", ".zarray", ".zgroup", ".zattrs", ".zmetadata"];

/// Whether a name is kept from visitors.
pub fn is_hidden(name: &[u8]) -> bool {
    let is_one_of = |names: &[&str]| names.iter().any(|it| it.as_bytes() == name);
    if name.starts_with(b".") { !is_one_of(&SERVED_DOT_NAMES) } else { is_one_of(&HIDDEN_NAMES) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_place_is_the_keys_file_in_the_service_folder() {
        assert_eq!(KEYS_PLACE, format!("{SERVICE_FOLDER}/{KEYS_FILE}"));
    }

    #[test]
    fn the_users_page_names_every_well_known_place() {
        let page = include_str!("../../volume-layout.md");
        let new_keys_file = format!("{KEYS_FILE}{NEW_SUFFIX}");
        let staging = format!("{SERVICE_FOLDER}/{STAGING_FOLDER}");
        let upload = format!("{SERVICE_FOLDER}/{UPLOADS_FOLDER}/ID{RECORD_SUFFIX}");
        let transfer = format!("{SERVICE_FOLDER}/{TRANSFERS_FOLDER}/NUMBER{RECORD_SUFFIX}");
        let wormhole = format!("{SERVICE_FOLDER}/{WORMHOLE_FILE}");
        let journal = format!("{SERVICE_FOLDER}/{JOURNAL_FILE}");
        let key_use = format!("{SERVICE_FOLDER}/{KEY_USE_FILE}");
        let console = format!("{SERVICE_FOLDER}/{CONSOLE_FILE}");
        let keep_awake = format!("{SERVICE_FOLDER}/{KEEP_AWAKE_FILE}");
        let tidied = format!("{SERVICE_FOLDER}/{TIDIED_FILE}");
        let server_lock = format!("{SERVICE_FOLDER}/{SERVER_LOCK_FILE}");
        let trashed = format!("{SERVICE_FOLDER}/{TRASH_FOLDER}/{TRASHED_FILES}");
        let info = format!("{SERVICE_FOLDER}/{TRASH_FOLDER}/{TRASH_INFO}");
        let expunged = format!("{SERVICE_FOLDER}/{TRASH_FOLDER}/{EXPUNGED}");
        let names = [
            PUBLIC_FOLDER,
            SERVICE_FOLDER,
            KEYS_FILE,
            &new_keys_file,
            crate::keys::COLUMNS,
            &staging,
            &upload,
            &transfer,
            HOST_SUFFIX,
            &wormhole,
            &journal,
            BROKEN_JOURNAL_FILE,
            &key_use,
            &console,
            &keep_awake,
            &tidied,
            &server_lock,
            &trashed,
            &info,
            &expunged,
            TRASH_INFO_SUFFIX,
            OLD_KEYS_PLACE,
        ];
        for name in names.iter().chain(&SERVED_DOT_NAMES).chain(&HIDDEN_NAMES) {
            assert!(page.contains(&format!("`{name}`")), "volume-layout.md does not say `{name}`");
        }
    }
}
