//! `sounding doctor --fix-owners`: gives the service what root and others put onto the volume.

use std::io::{self, BufRead, IsTerminal};
use std::ops::ControlFlow;

use serde::Serialize;
use volume::owner::Owners;

use super::{Out, Outcome};
use crate::ops::{Desk, Failure};
use crate::text;

/// What was done.
#[derive(Serialize)]
struct Report {
    user: u32,
    group: u32,
    seen: u64,
    mended: u64,
    failed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_failure: Option<String>,
}

pub(super) fn fix(
    desk: &Desk,
    yes: bool,
    json: bool,
    out: &mut Out<'_>,
) -> Result<Outcome, Failure> {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new("only root can give files away: run this in `fly ssh console`"));
    }
    let service = desk.service().ok_or_else(|| {
        Failure::new(format!(
            "`{}` and the service's folder in it are root's own: there is no other user to give anything to",
            desk.folder.display()
        ))
    })?;
    let user = service.user;
    if !yes {
        if !io::stdin().is_terminal() {
            return Err(Failure::new("there is no terminal to ask on: add --yes"));
        }
        let all = &mut |_: &Owners| ControlFlow::Continue(());
        let foreign = text::things(
            desk.count_owners(service, all)?.foreign,
            "file or folder belongs",
            "files and folders belong",
        );
        write!(out.errors, "{foreign} to somebody else. Give them to user {user}? [y/N] ")?;
        out.errors.flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            return Err(Failure::new("nothing was changed"));
        }
    }
    let owners = desk.fix_owners(service)?;
    let failure = owners.first_failure.as_ref();
    let first_failure = failure
        .map(|(path, why)| format!("{}: {why}", text::escape(path.as_os_str().as_encoded_bytes())));
    if json {
        let Owners { seen, mended, failed, .. } = owners;
        let group = service.group;
        out.json(&Report { user, group, seen, mended, failed, first_failure })?;
    } else {
        let given = text::things(owners.mended, "file or folder", "files and folders");
        out.line(&format!("gave {given} to user {user}; {} looked at", text::count(owners.seen)))?;
        if let Some(failure) = first_failure {
            let failed = text::count(owners.failed);
            writeln!(out.errors, "sounding: {failed} could not be had, first of all {failure}")?;
        }
    }
    Ok(if owners.failed == 0 { Outcome::Done } else { Outcome::Partly })
}
