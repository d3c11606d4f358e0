//! The names of the well-known files and folders on a volume. No other module spells them.
//!
//! `volume-layout.md` at the project's top level explains them to users; a test keeps the two equal.

/// Anyone may read the files under this folder of the root, without a key.
pub const PUBLIC_FOLDER: &str = "public";

/// The service's own folder in the root: mode 0700, never served, never listed.
pub const SERVICE_FOLDER: &str = ".sounding";

/// The keys file, in the service's folder.
pub const KEYS_FILE: &str = "auth-keys.csv";

/// The keys file's path from the root.
pub(crate) const KEYS_PLACE: &str = ".sounding/auth-keys.csv";

/// The suffix of a file that is being replaced: its new text has this suffix until the rename.
pub const NEW_SUFFIX: &str = ".new";

/// When each key was last used, in the service's folder.
pub const KEY_USE_FILE: &str = "key-use.json";

/// The console's appearance, in the service's folder.
pub const CONSOLE_FILE: &str = "console.json";

/// Until when an operator wants the service awake, in the service's folder.
pub const KEEP_AWAKE_FILE: &str = "keep-awake.json";

/// When the service last removed expired things, in the service's folder. A jump of the clock shows by it.
pub const TIDIED_FILE: &str = "tidied.json";

/// The file that the server locks while it serves the volume, in the service's folder.
pub const SERVER_LOCK_FILE: &str = "server.lock";

/// Incoming files, in the service's folder, until one rename makes each visible.
pub const STAGING_FOLDER: &str = "staging";

/// The records of resumable uploads, in the service's folder, one file each.
pub const UPLOADS_FOLDER: &str = "uploads";

/// The records of wormhole transfers, in the service's folder, one file each.
pub const TRANSFERS_FOLDER: &str = "transfers";

/// The suffix of a record's file.
pub const RECORD_SUFFIX: &str = ".json";

/// The suffix of a file that a program locks while it runs transfers.
pub const HOST_SUFFIX: &str = ".host";

/// The servers for transfers, in the service's folder, if not the public ones.
pub const WORMHOLE_FILE: &str = "wormhole.conf";

/// The journal, in the service's folder: an `SQLite` database.
pub const JOURNAL_FILE: &str = "journal.sqlite";

/// The name that a damaged journal is renamed to.
pub const BROKEN_JOURNAL_FILE: &str = "journal.broken.sqlite";

/// Deleted files and folders, in the service's folder, until the trash is emptied: a `FreeDesktop` trash, with the two folders below.
pub const TRASH_FOLDER: &str = "trash";

/// The deleted things themselves, in the trash.
pub const TRASHED_FILES: &str = "files";

/// Where each thing in the trash came from and when, in one file each.
pub const TRASH_INFO: &str = "info";

/// Things that are being removed permanently, in the trash's folder.
pub const EXPUNGED: &str = "expunged";

/// The suffix of a file in [`TRASH_INFO`].
pub const TRASH_INFO_SUFFIX: &str = ".trashinfo";

/// Where the server that this one replaces kept its keys on a volume, besides [`KEYS_FILE`] at the root.
pub const OLD_KEYS_PLACE: &str = ".admin/auth-keys.csv";

/// Where some file systems put what a repair has found. It belongs to the file system, and lies in the root only.
pub const LOST_AND_FOUND: &str = "lost+found";

/// Names that are hidden wherever they lie. A served copy of the keys would give all keys to each holder of one.
pub const HIDDEN_NAMES: [&str; 2] = [KEYS_FILE, LOST_AND_FOUND];

/// The names that are served although they begin with a dot: `SimWrapper`'s project settings, well-known URIs (RFC 8615) and the metadata
/// of Zarr arrays.
pub const SERVED_DOT_NAMES: [&str; 6] =
    [".simwrapper", ".well-known", ".zarray", ".zgroup", ".zattrs", ".zmetadata"];

/// Whether a name is hidden from clients.
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
