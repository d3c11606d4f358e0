//! Is all well? Each thing is looked at, and where something is wrong, what to do about it is said in plain words.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use volume::file_system::UNTOLD;
use volume::journal::Journal;
use volume::layout::{BROKEN_JOURNAL_FILE, SERVICE_FOLDER};

use super::{Desk, Failure};
use crate::admin::Admin;
use crate::text;

/// Fewer watches than this do not reach for a volume of some size.
const FEW_WATCHES: u64 = 65_536;
/// Owners are looked at for so long; of a million files that are most.
const LOOK: Duration = Duration::from_secs(5);
/// A time so many seconds ahead is no rounding.
const AHEAD: i64 = 60;
/// This was written then: a clock that shows an earlier time is wrong.
const WRITTEN: &str = "2026-11-01T00:00:00Z";

/// What was found of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub what: &'static str,
    /// Whether it is well.
    pub ok: bool,
    /// What was found.
    pub found: String,
    /// What to do, where it is not well.
    pub to_do: String,
}

impl Finding {
    fn well(what: &'static str, found: impl Into<String>) -> Finding {
        Finding { what, ok: true, found: found.into(), to_do: String::new() }
    }

    fn ill(what: &'static str, found: impl Into<String>, to_do: impl Into<String>) -> Finding {
        Finding { what, ok: false, found: found.into(), to_do: to_do.into() }
    }
}

impl Desk {
    /// Looks at all of it.
    pub fn examine(&self) -> Vec<Finding> {
        let now = Timestamp::now();
        let mut findings = self.places(now);
        findings.extend(self.owners_finding());
        findings.push(self.space());
        findings.push(self.staging());
        findings.extend(self.journal());
        findings.extend(self.key_findings(now));
        findings.push(watches());
        findings.extend(self.file_system());
        findings.extend(self.server());
        findings
    }

    fn places(&self, now: Timestamp) -> Vec<Finding> {
        let folder = self.folder.display();
        let places = match self.volume.places() {
            Ok(places) => places,
            Err(error) => {
                let to_do = "run this as the user that the server runs as";
                return vec![Finding::ill("volume", format!("{folder}: {error}"), to_do)];
            }
        };
        let mut findings = vec![if places.is_writable {
            Finding::well("volume", format!("{folder} can be read and written"))
        } else {
            let to_do = "mount it for writing, or run this as the user that the server runs as";
            Finding::ill("volume", format!("{folder} can't be written"), to_do)
        }];
        let wanted = [
            (".sounding", places.service_mode, 0o700),
            (".sounding/auth-keys.csv", places.keys_mode, 0o600),
        ];
        for (place, mode, most) in wanted {
            if let Some(mode) = mode.filter(|it| it & 0o077 != 0) {
                let found =
                    format!("{place} has mode {mode:04o}: others on this machine can read it");
                findings.push(Finding::ill(
                    "permissions",
                    found,
                    format!("chmod {most:o} {folder}/{place}"),
                ));
            }
        }
        if findings.iter().all(|it| it.what != "permissions") {
            findings.push(Finding::well(
                "permissions",
                "the service's own folder is its owner's alone",
            ));
        }
        let written = WRITTEN.parse().unwrap_or(Timestamp::UNIX_EPOCH);
        let changed = text::timestamp(places.changed);
        let ahead = changed.duration_since(now).as_secs();
        findings.push(if now < written || ahead > AHEAD {
            let found = format!(
                "it is {} here, and the volume was changed {}",
                now.strftime("%Y-%m-%d %H:%M UTC"),
                changed.strftime("%Y-%m-%d %H:%M UTC")
            );
            Finding::ill("clock", found, "set this machine's clock: the ends of keys go by it")
        } else {
            Finding::well("clock", now.strftime("%Y-%m-%d %H:%M UTC").to_string())
        });
        findings
    }

    /// Whether all is the service's own. None where it runs as root, which may have everything.
    fn owners_finding(&self) -> Option<Finding> {
        let service = self.service()?;
        let began = Instant::now();
        let owners = self.count_owners(service, &mut |_| {
            if began.elapsed() < LOOK { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        let owners = match owners {
            Ok(owners) => owners,
            Err(Failure { what, .. }) => {
                return Some(Finding::ill("owners", what, "as root: sounding doctor"));
            }
        };
        let so_far = if owners.is_done { "" } else { " so far" };
        let seen = text::things(owners.seen, "file or folder", "files and folders");
        let user = service.user;
        if owners.foreign == 0 && owners.failed == 0 {
            let found = format!("{seen}{so_far}, all of the service's user ({user})");
            return Some(Finding::well("owners", found));
        }
        let found = format!(
            "of {seen}{so_far}, {} of others than the service's user ({user}), and {} can't be looked into",
            text::count(owners.foreign),
            text::count(owners.failed),
        );
        Some(Finding::ill("owners", found, "as root: sounding doctor --fix-owners"))
    }

    fn space(&self) -> Finding {
        let space = match self.volume.space() {
            Ok(space) => space,
            Err(error) => {
                return Finding::ill(
                    "space",
                    error.to_string(),
                    "look whether the volume is mounted",
                );
            }
        };
        let found = format!("{} of {} free", text::bytes(space.free), text::bytes(space.size));
        let trash = self.trashed().map_or(0, |it| it.len());
        let empty = if trash > 0 { ", `sounding trash empty --yes` empties the trash" } else { "" };
        let to_do = format!("`sounding du` shows what is big{empty}");
        if self.volume.is_out_of_files().unwrap_or(false) {
            let found = format!("{found}, but no more files can be made (no inodes are free)");
            return Finding::ill(
                "space",
                found,
                "delete files that are not needed, and empty the trash",
            );
        }
        if space.room() == 0 {
            return Finding::ill("space", format!("{found}: uploads are refused"), to_do);
        }
        if space.is_low() {
            return Finding::ill("space", found, to_do);
        }
        Finding::well("space", found)
    }

    /// None where the volume is this machine's alone.
    fn file_system(&self) -> Option<Finding> {
        let name = self.volume.shared_file_system().ok().flatten()?;
        let found = format!("the volume lies on {name}, {UNTOLD}");
        let to_do = "after other machines have changed something there, restart the server";
        Some(Finding::ill("file system", found, to_do))
    }

    /// What killed programs left on its way in.
    fn staging(&self) -> Finding {
        match self.volume.left_in_staging() {
            Ok(left) if left.things == 0 => {
                Finding::well("staging", "nothing was left by a program that was killed")
            }
            Ok(left) => {
                let things = text::things(left.things as u64, "item", "items");
                let found = format!(
                    "{things} of {} in .sounding/staging, left by a program that was killed",
                    text::bytes(left.bytes)
                );
                let to_do = "nothing: the server removes it when it starts, and every hour";
                Finding::ill("staging", found, to_do)
            }
            Err(error) => {
                let to_do = "run this as the user that the server runs as";
                Finding::ill("staging", format!(".sounding/staging: {error}"), to_do)
            }
        }
    }

    /// What is remembered of changes.
    fn journal(&self) -> Vec<Finding> {
        let health = match Journal::examine(&self.volume) {
            Ok(health) => health,
            Err(error) => {
                let to_do = "see the server's log";
                return vec![Finding::ill("journal", Failure::from(error).what, to_do)];
            }
        };
        let mut findings = vec![match health.damage {
            None => Finding::well("journal", "the journal of changes is sound"),
            Some(damage) => {
                let found = format!("the journal of changes is damaged: {damage}");
                let to_do =
                    "nothing: the server puts it aside and begins a new one; look after the disk";
                Finding::ill("journal", found, to_do)
            }
        }];
        if let Some(written) = health.put_aside {
            let found = format!(
                "a damaged journal was put aside; it was last written {}",
                written.strftime("%Y-%m-%d %H:%M UTC")
            );
            let place = self.folder.join(SERVICE_FOLDER).join(BROKEN_JOURNAL_FILE);
            let to_do = format!("look after the disk, then rm '{}'", place.display());
            findings.push(Finding::ill("journal", found, to_do));
        }
        findings
    }

    fn key_findings(&self, now: Timestamp) -> Vec<Finding> {
        let keys = match self.keys() {
            Ok(keys) => keys,
            Err(failure) => {
                let to_do = "a file that only the server's user can read must stand there";
                return vec![Finding::ill("keys", failure.what, to_do)];
            }
        };
        let mut findings = vec![if keys.good == 0 {
            Finding::ill(
                "keys",
                "no key in the file is good: only `public` can be read",
                "sounding keys add NAME",
            )
        } else {
            Finding::well("keys", text::things(keys.good as u64, "good key", "good keys"))
        }];
        for place in self.volume.old_key_files() {
            let place = self.folder.join(place);
            let found = format!(
                "{} is the old server's: it is neither read nor served, and can be removed",
                place.display()
            );
            findings.push(Finding::well("keys", found));
        }
        for (row, fault) in keys.faults() {
            let found = format!("{}: {fault}", super::keys::on_line(row));
            findings.push(Finding::ill("keys", found, super::keys::remedy(fault)));
        }
        let soon = now.as_second() + 7 * 86_400;
        let ends = |it: &&volume::keys::sheet::KeyRow| {
            let end = it.key.as_ref().and_then(|it| it.expires);
            end.is_some_and(|it| it > now && it.as_second() < soon)
        };
        for row in keys.rows.iter().filter(ends) {
            let found = format!(
                "key {} of {} ends {}",
                row.masked,
                text::escape(row.user.as_bytes()),
                row.expires
            );
            findings.push(Finding::well("keys", found));
        }
        findings
    }

    fn server(&self) -> Vec<Finding> {
        let admin = Admin::new(self.admin.as_deref(), &self.volume);
        if let Some(away) = admin.as_ref().ok().and_then(Admin::away) {
            return vec![Finding::ill("server", away.to_string(), away.to_do())];
        }
        let asked = admin.and_then(|it| Ok((it.service()?, it.activity(0, None)?, it.keys()?)));
        let (service, activity, keys) = match asked {
            Ok(answers) => answers,
            Err(failure) => {
                return vec![Finding::ill("server", failure.what, "see the server's log")];
            }
        };
        let found = format!(
            "version {} answers, since {}",
            service.version,
            service.since.strftime("%Y-%m-%d %H:%M UTC")
        );
        let mut findings = vec![Finding::well("server", found)];
        for warning in activity.warnings.iter().filter(|it| !it.contains(UNTOLD)) {
            let to_do = if warning.contains("watches") {
                "sysctl fs.inotify.max_user_watches=524288"
            } else {
                "see the server's log"
            };
            findings.push(Finding::ill("server", warning.clone(), to_do));
        }
        let sheet = self.volume.key_sheet().map(|it| it.version().to_string()).ok();
        if keys.version.is_some() && keys.version != sheet {
            let found = "the keys in force are not those of the file";
            findings.push(Finding::ill(
                "server",
                found,
                "see `sounding keys check`, and the server's log",
            ));
        }
        findings
    }
}

/// The watcher's limit, which is the whole user's.
#[expect(clippy::disallowed_methods, reason = "a file of the kernel's, not of the volume")]
fn watches() -> Finding {
    let text = std::fs::read_to_string("/proc/sys/fs/inotify/max_user_watches");
    match text.ok().and_then(|it| it.trim().parse::<u64>().ok()) {
        Some(most) if most < FEW_WATCHES => {
            let found = format!("{} folders can be watched at most", text::count(most));
            Finding::ill(
                "watches",
                found,
                "sysctl fs.inotify.max_user_watches=524288; without it, new files are noticed later",
            )
        }
        Some(most) => {
            Finding::well("watches", format!("{} folders can be watched", text::count(most)))
        }
        None => {
            Finding::well("watches", "this system does not tell how many folders can be watched")
        }
    }
}
