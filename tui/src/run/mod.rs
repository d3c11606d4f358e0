//! Commands without a screen: what they print, and the status they end with.
//!
//! Output goes to a writer that is handed in, so that the console's palette shows the same.

mod keys;
mod owners;

use std::ffi::OsString;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::time::Duration;

mod transfers;

use clap::CommandFactory;
use jiff::Timestamp;
use serde::Serialize;
use volume::OnConflict;
use volume::RelPath;
use volume::names::Kind;

use crate::admin::{Admin, HEADINGS, Wanted};
use crate::cli::transfers::TransfersCommand;
use crate::cli::{Cli, Command, KeysCommand, TransferArgs, TrashCommand};
use crate::interrupt::{self, UntilAsked};
use crate::ops::awake;
use crate::ops::files::{Entry, not_shown};
use crate::ops::keys::KeyEntry;
use crate::ops::relocate::{NotRelocated, Progress, Relocating, Relocation};
use crate::ops::share::{NO_HOST, ShareLink};
use crate::ops::undo::Step;
use crate::ops::{Desk, Failure, parse_age, shown};
use crate::text;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// It looked for faults and found some.
    Found,
    /// Not all of it could be done; why has been said.
    Partly,
}

/// Where output goes, and how names are written there.
pub struct Out<'a> {
    /// What it is for.
    pub to: &'a mut dyn Write,
    /// What could not be done, where a command goes on with the rest.
    pub errors: &'a mut dyn Write,
    /// Whether a terminal shows it: names are escaped then, and passed on as they are otherwise.
    pub is_screen: bool,
}

impl Out<'_> {
    fn line(&mut self, text: &str) -> Result<(), Failure> {
        Ok(writeln!(self.to, "{text}")?)
    }

    fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer_pretty(&mut self.to, value)?;
        self.line("")
    }

    /// JSON in one line, for whoever reads line by line; it goes out at once.
    fn json_line(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.to, value)?;
        self.line("")?;
        Ok(self.to.flush()?)
    }

    fn name(&mut self, before: &str, name: &[u8], behind: &str) -> Result<(), Failure> {
        self.to.write_all(before.as_bytes())?;
        if self.is_screen {
            self.to.write_all(text::escape(name).as_bytes())?;
        } else {
            self.to.write_all(name)?;
        }
        self.line(behind)
    }

    /// A path, with a slash in front.
    fn path(&mut self, before: &str, path: &RelPath, behind: &str) -> Result<(), Failure> {
        if self.is_screen {
            return self.line(&format!("{before}{}{behind}", shown(path)));
        }
        self.name(&format!("{before}/"), &path.to_plain(), behind)
    }
}

/// Does what was asked for.
pub fn run(desk: &Desk, command: Command, out: &mut Out<'_>) -> Result<Outcome, Failure> {
    if command.changes_something() {
        desk.may_change()?;
    }
    match command {
        Command::Ls { path, all, long, sort, reverse, json } => {
            let path = desk.path(&path)?;
            let mut entries = desk.list(&path, sort, reverse)?;
            let is_folder = matches!(desk.find(&path)?, volume::Found::Folder(_));
            let left_out = if is_folder { desk.left_out(&path)? } else { Vec::new() };
            if all {
                entries.extend(left_out.iter().map(Entry::left_out));
            }
            ls(&entries, long, json, out)?;
            if !all && !json && !left_out.is_empty() && out.is_screen {
                let many = not_shown(left_out.len());
                writeln!(out.errors, "sounding: {many}: `sounding ls --all` lists them too")?;
            }
        }
        Command::Du { path, json } => return du(desk, &desk.path(&path)?, json, out),
        Command::Find { pattern, path, json } => {
            return find(desk, &pattern, &desk.path(&path)?, json, out);
        }
        Command::Cat { paths } => {
            for path in &paths {
                let mut file = desk.file(&desk.path(path)?)?.open()?;
                io::copy(&mut file, out.to)?;
            }
        }
        Command::Info { path, json } => info(desk, &desk.path(&path)?, json, out)?,
        Command::Mkdir { path } => desk.new_folder(&desk.path(&path)?)?,
        Command::Put { path, text } => {
            let path = desk.path(&path)?;
            match text {
                Some(text) => desk.write(&path, &mut text.as_bytes(), None)?,
                None => desk.write(&path, &mut UntilAsked(io::stdin()), None)?,
            };
        }
        Command::Mv(args) => relocate(desk, Relocating::Move, &args, out)?,
        Command::Cp(args) => relocate(desk, Relocating::Copy, &args, out)?,
        Command::Rm { paths } => return rm(desk, &paths, out),
        Command::Trash { command, json } => {
            trash(desk, command.unwrap_or(TrashCommand::List), json, out)?;
        }
        Command::Keys { command, json } => {
            return keys::keys(desk, command.unwrap_or(KeysCommand::List), json, out);
        }
        Command::Share { path, expires, note, json } => {
            share(&desk.share(None, &desk.path(&path)?, &expires, &note)?, json, out)?;
        }
        Command::Receive(args) => return transfers::receive(desk, &args, out),
        Command::Send(args) => return transfers::send(desk, &args, out),
        Command::Transfers { command, json } => {
            let command = command.unwrap_or(TransfersCommand::List);
            return transfers::transfers(desk, &command, json, out);
        }
        Command::Activity { keep_awake: Some(length), json, .. } => {
            let length = awake::parse_length(&length)?;
            let awake = desk.keep_awake(length)?;
            if json { out.json(&awake)? } else { out.line(&awake::told(&awake, length))? }
        }
        Command::Activity { filter, user, errors, json, keep_awake: None } => {
            let wanted = Wanted { text: filter, user, errors_only: errors };
            activity(desk, &wanted, json, out)?;
        }
        Command::Doctor { fix_owners: true, yes, json } => {
            return owners::fix(desk, yes, json, out);
        }
        Command::Doctor { json, .. } => return doctor(desk, json, out),
        Command::Completions { shell } => completions(shell, out),
        Command::Man => man(out)?,
    }
    Ok(Outcome::Done)
}

/// The completions of a shell.
pub fn completions(shell: clap_complete::Shell, out: &mut Out<'_>) {
    clap_complete::generate(shell, &mut Cli::command(), "sounding", &mut out.to);
}

/// The man page, with all commands and what each can be told.
pub fn man(out: &mut Out<'_>) -> Result<(), Failure> {
    let mut all = Cli::command();
    all.build();
    clap_mangen::Man::new(all.clone()).render(&mut out.to)?;
    commands(&all, out)
}

fn commands(of: &clap::Command, out: &mut Out<'_>) -> Result<(), Failure> {
    // The program's own help needs no page.
    for command in of.get_subcommands().filter(|it| it.get_name() != "help") {
        let page = clap_mangen::Man::new(command.clone());
        let name = command.get_bin_name().unwrap_or_default();
        writeln!(out.to, ".SH \"{}\"", name.to_uppercase())?;
        page.render_description_section(&mut out.to)?;
        page.render_synopsis_section(&mut out.to)?;
        page.render_options_section(&mut out.to)?;
        page.render_extra_section(&mut out.to)?;
        commands(command, out)?;
    }
    Ok(())
}

fn ls(entries: &[Entry], long: bool, json: bool, out: &mut Out<'_>) -> Result<(), Failure> {
    if json {
        return out.json(&entries);
    }
    for entry in entries {
        let is_folder = entry.kind == "directory";
        let before = if long {
            let size = entry.size.map(text::bytes).unwrap_or_default();
            let time =
                entry.mtime.map_or("-".to_owned(), |it| it.strftime("%Y-%m-%d %H:%M").to_string());
            format!("{size:>10}  {time:16}  ")
        } else {
            String::new()
        };
        let slash = if is_folder { "/" } else { "" };
        let why = entry.left_out.as_ref().map(|it| format!("  ({it})")).unwrap_or_default();
        out.name(&before, &entry.bytes, &format!("{slash}{why}"))?;
    }
    Ok(())
}

fn doctor(desk: &Desk, json: bool, out: &mut Out<'_>) -> Result<Outcome, Failure> {
    let findings = desk.examine();
    if json {
        out.json(&findings)?;
    } else {
        for it in &findings {
            let mark = if it.ok { "ok" } else { "!" };
            out.line(&format!("{mark:2} {:11} {}", it.what, it.found))?;
            if !it.to_do.is_empty() {
                out.line(&format!("               To do: {}", it.to_do))?;
            }
        }
    }
    Ok(if findings.iter().all(|it| it.ok) { Outcome::Done } else { Outcome::Found })
}

fn activity(desk: &Desk, wanted: &Wanted, json: bool, out: &mut Out<'_>) -> Result<(), Failure> {
    let mut now = Admin::new(desk.admin.as_deref(), &desk.volume)?.activity(0, None)?;
    now.recent.retain(|it| wanted.has(it));
    if json {
        return out.json(&now);
    }
    for line in now.summary() {
        out.line(&line)?;
    }
    for it in &now.open {
        out.line(&format!("open      {}", it.line()))?;
    }
    if !now.recent.is_empty() {
        out.line(HEADINGS)?;
    }
    for it in now.recent.iter().rev() {
        out.line(&it.line())?;
    }
    Ok(())
}

#[derive(Serialize)]
struct UsedEntry {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    size: u64,
    disk: u64,
    files: u64,
}

fn du(desk: &Desk, path: &RelPath, json: bool, out: &mut Out<'_>) -> Result<Outcome, Failure> {
    let mut usage = volume::scan::Usage::default();
    desk.usage(path, &mut |it| {
        usage = it.clone();
        ControlFlow::Continue(())
    })?;
    let entry = |it: &'_ volume::scan::UsageEntry| UsedEntry {
        name: String::from_utf8_lossy(&it.name).into_owned(),
        kind: crate::ops::files::kind_text(it.kind),
        size: it.len,
        disk: it.disk,
        files: it.files,
    };
    if json {
        out.json(&usage.entries.iter().map(entry).collect::<Vec<_>>())?;
    } else {
        for it in &usage.entries {
            let behind = if it.kind == Kind::Folder { "/" } else { "" };
            out.name(&format!("{:>10}  ", text::bytes(it.disk)), &it.name, behind)?;
        }
        out.line(&format!("{:>10}  in all", text::bytes(usage.disk())))?;
    }
    told_unreadable(usage.unreadable, out)
}

fn find(
    desk: &Desk,
    pattern: &str,
    path: &RelPath,
    json: bool,
    out: &mut Out<'_>,
) -> Result<Outcome, Failure> {
    #[derive(Serialize)]
    struct Line<'a> {
        path: &'a RelPath,
        #[serde(rename = "type")]
        kind: &'static str,
    }
    let mut result = Ok(());
    let mut unreadable = 0;
    desk.search(pattern, path, &mut |it| {
        unreadable = it.unreadable;
        for hit in &it.hits {
            let kind = crate::ops::files::kind_text(hit.kind);
            result = if json {
                serde_json::to_string(&Line { path: &hit.path, kind })
                    .map_err(Failure::from)
                    .and_then(|it| out.line(&it))
            } else {
                out.path("", &hit.path, if hit.kind == Kind::Folder { "/" } else { "" })
            };
            if result.is_err() {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    result?;
    told_unreadable(unreadable, out)
}

fn told_unreadable(unreadable: u64, out: &mut Out<'_>) -> Result<Outcome, Failure> {
    if unreadable == 0 {
        return Ok(Outcome::Done);
    }
    let what = text::things(unreadable, "folder or file", "folders or files");
    writeln!(
        out.errors,
        "sounding: {what} could not be read and {} not counted",
        if unreadable == 1 { "is" } else { "are" }
    )?;
    Ok(Outcome::Partly)
}

#[derive(Serialize)]
struct Info {
    path: RelPath,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtime: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<usize>,
    url: String,
    public: bool,
    readers: Vec<KeyEntry>,
}

fn info(desk: &Desk, path: &RelPath, json: bool, out: &mut Out<'_>) -> Result<(), Failure> {
    let known = desk.keys_in_use();
    let access = desk.access(path, &known)?;
    let (stat, count) = match desk.find(path)? {
        volume::Found::File(file) => (Some(file.stat), None),
        volume::Found::Folder(folder) => (None, Some(desk.volume.count(&folder, path)?)),
    };
    let now = Timestamp::now();
    let of_rows = access.rows.iter().map(|it| KeyEntry::of(it, &known, now));
    let readers = of_rows.chain(access.extra.iter().map(|it| KeyEntry::extra(it, &known)));
    let info = Info {
        path: path.clone(),
        kind: crate::ops::files::kind_text(if count.is_some() { Kind::Folder } else { Kind::File }),
        size: stat.map(|it| it.len),
        mtime: stat.map(|it| text::timestamp(it.modified)),
        items: count.map(|it| it.shown),
        left_out: count.map(|it| it.left_out),
        url: access.url(),
        public: access.is_public,
        readers: readers.collect(),
    };
    if json {
        out.json(&info)?;
        return told_no_host(access.has_host(), out);
    }
    out.path("", path, if info.items.is_some() { "/" } else { "" })?;
    if let Some(size) = info.size {
        out.line(&format!("{} ({} bytes)", text::bytes(size), text::count(size)))?;
    }
    if let Some(items) = info.items {
        let left_out = info.left_out.filter(|it| *it > 0);
        let left_out = left_out.map(|it| format!(", {}", not_shown(it))).unwrap_or_default();
        out.line(&format!("{}{left_out}", text::things(items as u64, "item", "items")))?;
    }
    if let Some(mtime) = info.mtime {
        out.line(&format!("written {} UTC", mtime.strftime("%Y-%m-%d %H:%M:%S")))?;
    }
    out.line(&info.url)?;
    access.readers().iter().try_for_each(|it| out.line(it))?;
    told_no_host(access.has_host(), out)
}

fn share(link: &ShareLink, json: bool, out: &mut Out<'_>) -> Result<(), Failure> {
    if json { out.json(link) } else { out.line(&link.url) }?;
    if link.apikey.is_none() {
        let path = shown(&link.path);
        writeln!(out.errors, "sounding: anyone can read {path} without a key: none was made")?;
    }
    told_no_host(link.has_host, out)
}

fn told_no_host(has_host: bool, out: &mut Out<'_>) -> Result<(), Failure> {
    if !has_host {
        writeln!(out.errors, "sounding: {NO_HOST}")?;
    }
    Ok(())
}

/// What is to be moved or copied, as the command line says it.
pub fn relocation(
    desk: &Desk,
    how: Relocating,
    args: &TransferArgs,
) -> Result<Relocation, Failure> {
    let exists = match (args.keep_both, args.replace) {
        (true, _) => OnConflict::KeepBoth,
        (_, true) => OnConflict::Replace,
        _ => OnConflict::Refuse,
    };
    let from = args.from.iter().map(|it| desk.path(it)).collect::<Result<_, _>>()?;
    let to = desk.destination(&args.to)?;
    Ok(Relocation { how, from, to, exists, makes_folder: false })
}

/// One thing or several to one place: all of them or none.
fn relocate(
    desk: &Desk,
    how: Relocating,
    args: &TransferArgs,
    out: &mut Out<'_>,
) -> Result<(), Failure> {
    let what = relocation(desk, how, args)?;
    let tell = &mut |_: Progress<'_>| {
        if interrupt::is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let moved = desk.relocate(&what, tell);
    let moved = moved.map_err(|it| match it {
        NotRelocated::Refused(failure) => failure,
        NotRelocated::NoFolder(path) => {
            let path = shown(&path);
            Failure::new(format!("there is no folder `{path}`: make it with `sounding mkdir`"))
        }
        NotRelocated::Partly(failure, steps) => {
            let steps = text::things(steps.len() as u64, "step", "steps");
            let what = format!("{}; {steps} of it could not be taken back", failure.what);
            Failure { what, ..failure }
        }
    })?;
    for (path, links) in &moved.things {
        let told = text::things(*links, "link to a folder was", "links to folders were");
        let left_out = if *links > 0 { format!(" ({told} left out)") } else { String::new() };
        out.path("", path, &left_out)?;
    }
    Ok(())
}

fn rm(desk: &Desk, paths: &[OsString], out: &mut Out<'_>) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::Done;
    for path in paths {
        match desk.in_folder(path).and_then(|it| desk.discard_named(&it)) {
            Ok(Step::Trashed { name, .. } | Step::TrashedHidden { name, .. }) => {
                out.name("in the trash as ", &name, "")?;
            }
            Ok(_) => {}
            Err(Failure { what: why, .. }) => {
                writeln!(out.errors, "sounding: {why}")?;
                outcome = Outcome::Partly;
            }
        }
    }
    Ok(outcome)
}

fn trash(desk: &Desk, command: TrashCommand, json: bool, out: &mut Out<'_>) -> Result<(), Failure> {
    use std::os::unix::ffi::OsStrExt;
    match command {
        TrashCommand::List => {
            let entries = desk.trashed()?;
            if json {
                return out.json(&entries);
            }
            for it in &entries {
                let time = it
                    .deleted
                    .map_or("-".to_owned(), |it| it.strftime("%Y-%m-%d %H:%M").to_string());
                let size = if it.kind == "file" { text::bytes(it.size) } else { String::new() };
                let from = it.path.as_ref().map_or("?".to_owned(), shown);
                out.name(
                    &format!("{time:16}  {size:>10}  "),
                    &it.bytes,
                    &format!("  from {from} by {}", it.username),
                )?;
            }
        }
        TrashCommand::Restore { name, to } => {
            let to = to.map(|it| desk.path(&it)).transpose()?;
            let path = desk.restore(name.as_bytes(), to.as_ref())?;
            out.path("", &path, "")?;
        }
        TrashCommand::Remove { name, yes } => {
            confirmed(yes)?;
            desk.remove_trashed(name.as_bytes())?;
        }
        TrashCommand::Empty { older_than, yes } => {
            confirmed(yes)?;
            let kept = older_than.map_or(Ok(Duration::ZERO), |it| parse_age(&it))?;
            let emptied = desk.empty_trash(kept)?;
            out.line(&format!(
                "removed {} for good",
                text::things(emptied as u64, "item", "items")
            ))?;
        }
    }
    Ok(())
}

fn confirmed(yes: bool) -> Result<(), Failure> {
    if yes { Ok(()) } else { Err(Failure::new("this can't be undone: say --yes to do it")) }
}
