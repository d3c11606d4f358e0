//! The palette: a line in the command line's words, and what it printed.

use std::io::{self, Write};

use crate::cli::{Command, KeysCommand, TrashCommand};
use crate::effect::{Done, Op};
use crate::ops::relocate::Relocating;
use crate::ops::{Desk, Failure};
use crate::palette::{self, Word};
use crate::run::{Out, relocation, run};
use crate::text;

/// What a command may print for the screen: more than anybody reads there.
const MOST: usize = 4 << 20;

/// Takes so much and no more, as a reader does who has enough.
struct Capped(Vec<u8>);

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = MOST - self.0.len();
        if room == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.0.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a key does too, where a line asks for that.
pub(super) fn as_by_key(desk: &Desk, line: &str) -> Result<Option<Op>, Failure> {
    use std::os::unix::ffi::OsStrExt;
    let Ok(Word::Command(command)) = palette::parse(line) else { return Ok(None) };
    Ok(Some(match &command {
        Command::Rm { paths } => {
            Op::DiscardNamed(paths.iter().map(|it| desk.in_folder(it)).collect::<Result<_, _>>()?)
        }
        Command::Mv(args) => Op::Relocate(relocation(desk, Relocating::Move, args)?),
        Command::Cp(args) => Op::Relocate(relocation(desk, Relocating::Copy, args)?),
        Command::Mkdir { path } => Op::NewFolder(desk.path(path)?),
        Command::Put { path, text: Some(text) } => {
            let (path, text) = (desk.path(path)?, text.clone().into_bytes());
            if desk.find(&path).is_err() {
                return Ok(Some(Op::Put(path, text)));
            }
            let before = desk.text(&path)?;
            Op::Write(path, text, before.version, before.before().as_bytes().to_vec())
        }
        Command::Trash { command: Some(TrashCommand::Restore { name, to }), .. } => {
            let to = to.as_ref().map(|it| desk.path(it)).transpose()?;
            let of_it =
                || desk.trashed().ok()?.into_iter().find(|it| it.bytes == name.as_bytes())?.path;
            // What is not there, or came from nowhere, is told by the command itself.
            let Some(to) = to.or_else(of_it) else { return Ok(None) };
            Op::Restore(name.as_bytes().to_vec(), to)
        }
        _ => return Ok(None),
    }))
}

/// A command of the command line, and what it printed.
pub(super) fn command(desk: &Desk, line: &str) -> Result<Done, Failure> {
    let command = match palette::parse(line) {
        Ok(Word::Command(
            Command::Put { text: None, .. }
            | Command::Keys { command: Some(KeysCommand::Add { key_stdin: true, .. }), .. },
        )) => {
            return Err(Failure::new(
                "here nothing can be piped in: put PATH --text TEXT, or a shell",
            ));
        }
        // It asks, and the screen is not root's.
        Ok(Word::Command(Command::Doctor { fix_owners: true, .. })) => {
            return Err(Failure::new("in a shell, as root: sounding doctor --fix-owners"));
        }
        // The screen does these itself: here they would wait for somebody.
        Ok(Word::Command(Command::Receive(_) | Command::Send(_) | Command::Transfers { .. })) => {
            return Ok(Done::default());
        }
        Ok(Word::Command(command)) => command,
        Ok(_) => return Ok(Done::default()),
        Err(lines) => {
            return Ok(Done { output: Some((line.to_owned(), lines)), ..Done::default() });
        }
    };
    let (mut printed, mut errors) = (Capped(Vec::new()), Capped(Vec::new()));
    let mut out = Out { to: &mut printed, errors: &mut errors, is_screen: true };
    let is_cut = match run(desk, command, &mut out) {
        Err(failure) if failure.is_broken_pipe => true,
        result => result.map(|_outcome| false)?,
    };
    let output = String::from_utf8_lossy(&[errors.0, printed.0].concat()).into_owned();
    // A file's own bytes may be anything.
    let escaped = output.lines().map(|it| text::escape(it.as_bytes()).replace("\\\\", "\\"));
    let more = is_cut
        .then(|| format!("… and more: only the first {} are shown", text::bytes(MOST as u64)));
    let lines: Vec<String> = escaped.chain(more).collect();
    if lines.is_empty() {
        return Ok(Done { text: format!("done: {line}"), ..Done::default() });
    }
    Ok(Done { output: Some((line.to_owned(), lines)), ..Done::default() })
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test makes its own volume")]
mod tests {
    use super::*;
    use crate::cli::DeskArgs;

    #[test]
    fn of_a_large_file_only_the_beginning_is_kept() {
        let place = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(place.path().join("huge")).unwrap();
        file.set_len(20 << 30).unwrap();
        let args = DeskArgs { volume: place.path().to_owned(), ..DeskArgs::default() };
        let desk = Desk::open(&args).unwrap();
        let done = command(&desk, "cat huge").unwrap();
        let lines = done.output.unwrap().1;
        assert!(lines.last().unwrap().contains("only the first 4.2 MB"), "{:?}", lines.last());
    }
}
