//! What an operator can do, each thing once: the screen's keys and the command line both come here.
//!
//! Blocking: the caller chooses the thread. What is not there, not allowed or not understood is a [`Failure`] in
//! plain words.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::transfers::transfer::Servers;
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};
use volume::{RelPath, Volume};

use self::relocate::Destination;
use crate::cli::DeskArgs;
use crate::term::TtyError;
use crate::text;

pub mod awake;
pub mod carriers;
pub mod doctor;
pub mod files;
pub mod keys;
pub mod owners;
pub mod relocate;
pub mod share;
pub mod transfers;
pub mod trash;
pub mod undo;

/// Whom the trash names.
pub const WHO: &str = "console";

/// What is said to whoever may only look.
pub const READ_ONLY: &str = "started with --read-only: nothing is changed";

/// Something that could not be done, in plain words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What, and what to do about it.
    pub what: String,
    /// Whether whoever reads the output went away, as `head` does.
    pub is_broken_pipe: bool,
    /// Whether there is no terminal where one is needed.
    pub is_misuse: bool,
}

/// Where an operator works.
#[derive(Clone, Debug)]
pub struct Desk {
    /// The volume.
    pub volume: Arc<Volume>,
    /// Its folder, as it is shown.
    pub folder: PathBuf,
    /// The server's admin socket, if one was named.
    pub admin: Option<PathBuf>,
    /// Where the server is reached from outside, if that is known.
    pub url: Option<String>,
    /// Which servers wormhole transfers go by, if that was said.
    pub servers: Servers,
    /// Whether peers may lead transfers to this machine's own addresses.
    pub local_peers: bool,
}

impl Failure {
    /// In plain words.
    pub fn new(what: impl Into<String>) -> Failure {
        Failure { what: what.into(), is_broken_pipe: false, is_misuse: false }
    }
}

/// The whole chain of causes.
impl<E: std::error::Error + 'static> From<E> for Failure {
    fn from(error: E) -> Failure {
        let error: &(dyn std::error::Error + 'static) = &error;
        let is_broken_pipe = error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|it| it.kind() == std::io::ErrorKind::BrokenPipe)
            || error
                .downcast_ref::<serde_json::Error>()
                .is_some_and(|it| it.io_error_kind() == Some(std::io::ErrorKind::BrokenPipe));
        let is_misuse =
            error.downcast_ref::<TtyError>().is_some_and(|it| !matches!(it, TtyError::Io(_)));
        Failure { what: volume::error_chain(error), is_broken_pipe, is_misuse }
    }
}

impl Desk {
    /// Opens the volume. Makes nothing: a folder that is missing is more likely a wrong name.
    pub fn open(args: &DeskArgs) -> Result<Desk, Failure> {
        let folder = std::path::absolute(&args.volume)?;
        if !folder.is_dir() {
            return Err(Failure::new(format!(
                "there is no folder `{}`: name the volume with --volume DIR or SOUNDING_VOLUME",
                folder.display()
            )));
        }
        // One decision for the screen and all commands: whoever may only look gets a volume through which nothing can be changed.
        let open = if args.read_only { Volume::open_read_only } else { Volume::open };
        let volume = Arc::new(open(&folder)?);
        let on_fly = std::env::var("FLY_APP_NAME").ok().map(|it| format!("https://{it}.fly.dev"));
        let url = args.url.clone().or(on_fly).map(|it| it.trim_end_matches('/').to_owned());
        Ok(Desk {
            volume,
            folder,
            admin: args.admin.clone(),
            url,
            servers: (&args.servers).into(),
            local_peers: args.servers.local_peers,
        })
    }

    /// Leave to change something: not to be had where nothing can be changed through the volume.
    pub fn may_change(&self) -> Result<(), Failure> {
        if self.volume.is_read_only() { Err(Failure::new(READ_ONLY)) } else { Ok(()) }
    }

    /// What somebody means by a path: one from the volume's root, with or without a slash in front, or one that
    /// begins with the volume's own folder.
    pub fn path(&self, given: &OsStr) -> Result<RelPath, Failure> {
        let below = Path::new(given).strip_prefix(&self.folder).ok().filter(|_| !self.is_top());
        let text = below.map_or(given, Path::as_os_str).as_bytes();
        let names = text.split(|it| *it == b'/').filter(|it| !matches!(*it, b"" | b"."));
        let joined = names.collect::<Vec<_>>().join(&b'/');
        RelPath::from_plain(&joined).map_err(|it| {
            Failure::new(format!("invalid path `{}`: {it}", text::escape(given.as_bytes())))
        })
    }

    /// Where somebody means things to go.
    pub fn destination(&self, given: &OsStr) -> Result<Destination, Failure> {
        Ok(Destination::written(self.path(given)?, given.as_bytes()))
    }

    /// Whether the volume is the whole machine's tree, where nothing is to be cut off.
    fn is_top(&self) -> bool {
        self.folder == Path::new("/")
    }
}

/// Whoever works on the disk itself may write anywhere on it.
pub fn anywhere(_: &RelPath) -> bool {
    true
}

/// A path as it is shown: with a slash in front, as the volume's root is one.
pub fn shown(path: &RelPath) -> String {
    path.to_string()
}

/// The name that is typed so.
pub fn typed_name(shown: &str) -> Result<Vec<u8>, String> {
    let name = text::unescape(shown).ok_or("a backslash stands for itself as \\\\")?;
    if name.is_empty() {
        return Err("type a name".to_owned());
    }
    Ok(name)
}

/// The folder that is typed so.
pub fn typed_folder(shown: &str) -> Result<RelPath, String> {
    let text = text::unescape(shown.trim()).ok_or("a backslash stands for itself as \\\\")?;
    let names = text.split(|it| *it == b'/').filter(|it| !it.is_empty());
    RelPath::from_plain(&names.collect::<Vec<_>>().join(&b'/')).map_err(|it| it.to_string())
}

/// Where things go, as it is typed.
pub fn typed_destination(shown: &str) -> Result<Destination, String> {
    Ok(Destination::written(typed_folder(shown)?, shown.trim().as_bytes()))
}

/// A folder's path as it is typed.
pub fn with_slash(path: &RelPath) -> String {
    if path.is_root() { "/".to_owned() } else { format!("{}/", shown(path)) }
}

/// A length of time as people write it: `90d`, `12h`, `30m`, `0`.
pub fn parse_age(given: &str) -> Result<Duration, Failure> {
    let given = given.trim();
    if given == "0" {
        return Ok(Duration::ZERO);
    }
    let unit = [('d', 86_400), ('h', 3600), ('m', 60)].into_iter();
    let mut parsed = unit.filter_map(|(letter, seconds)| {
        let number: u32 = given.strip_suffix(letter)?.trim().parse().ok()?;
        Some(Duration::from_secs(u64::from(number) * seconds))
    });
    let failure = || Failure::new(format!("invalid duration `{given}`: write 90d, 12h or 30m"));
    parsed.next().ok_or_else(failure)
}

/// An end as people write it, as the keys file has it: `90d` becomes a date, `never` becomes nothing. One that has passed is
/// refused: a key that is to be good no more is switched off or revoked.
pub fn parse_end(given: &str, now: Timestamp) -> Result<String, Failure> {
    let given = given.trim();
    if given.is_empty() || given.eq_ignore_ascii_case("never") {
        return Ok(String::new());
    }
    if let Some(end) = volume::keys::end_of(given) {
        return if end > now { Ok(given.to_owned()) } else { Err(has_passed(given)) };
    }
    let age = parse_age(given).map_err(|_no_age| {
        Failure::new(format!(
            "invalid expiry `{given}`: write 90d, a date like 2027-01-31, or never"
        ))
    })?;
    if age.is_zero() {
        return Err(has_passed(given));
    }
    if age < Duration::from_hours(24) {
        let end = now.checked_add(age)?;
        return Ok(end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    }
    let days = i64::try_from(age.as_secs() / 86_400)?;
    let date = Offset::UTC.to_datetime(now).date().checked_add(days.days())?;
    Ok(date.to_string())
}

fn has_passed(end: &str) -> Failure {
    Failure::new(format!(
        "the expiry `{end}` has passed: write a later one, or switch the key off or revoke it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_written_as_dates() {
        let now = "2026-11-24T14:02:00Z".parse().unwrap();
        let check = |given: &str, end: &str| assert_eq!(parse_end(given, now).unwrap(), end);
        check("never", "");
        check("", "");
        check("7d", "2026-12-01");
        check("90d", "2027-02-22");
        check("2027-01-31", "2027-01-31");
        check("12h", "2026-11-25T02:02:00Z");
        for wrong in ["soon", "d", "-3d", "31.1.2027", "7 w", "20270131"] {
            assert!(parse_end(wrong, now).is_err(), "{wrong}");
        }
        check("2026-11-24", "2026-11-24");
        for past in ["2020-01-01", "2026-11-23", "2026-11-24T14:02:00Z", "0", "0d"] {
            let why = parse_end(past, now).unwrap_err().what;
            assert!(why.contains("has passed"), "{past}: {why}");
        }
    }

    #[test]
    fn a_path_may_be_written_in_several_ways() {
        let folder = tempfile::tempdir().unwrap();
        let desk =
            Desk::open(&DeskArgs { volume: folder.path().to_owned(), ..DeskArgs::default() })
                .unwrap();
        let path = |it: &str| desk.path(OsStr::new(it)).map(|it| shown(&it));
        let full = folder.path().join("a/b");
        for given in ["a/b", "/a/b", "./a/b/", "a//b", full.to_str().unwrap()] {
            assert_eq!(path(given).as_deref(), Ok("/a/b"), "{given}");
        }
        assert_eq!(path("/").as_deref(), Ok("/"));
        assert_eq!(path(folder.path().to_str().unwrap()).as_deref(), Ok("/"));
        for given in ["../x", "a/../b", ".sounding", "a/.hidden"] {
            assert!(path(given).is_err(), "{given}");
        }
    }

    #[test]
    fn a_missing_volume_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let volume = folder.path().join("no");
        let missing = Desk::open(&DeskArgs { volume: volume.clone(), ..DeskArgs::default() });
        assert!(missing.is_err() && !volume.exists());
    }
}
