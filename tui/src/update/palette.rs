//! What is typed behind a colon.

use crossterm::event::{KeyCode, KeyEvent};
use volume::RelPath;

use super::{receive, show};
use crate::cli::transfers::{ReceiveArgs, TransfersCommand};
use crate::cli::{Command, ThemeName};
use crate::effect::{Effect, Op, Wish};
use crate::model::{FieldKind, Form, Input, Model, Popup, Purpose, Reading, Redraw, Screen};
use crate::ops::READ_ONLY;
use crate::ops::awake::parse_length;
use crate::ops::transfers::check_words;
use crate::palette::{Completion, Switch, Word, parse};
use crate::text;

/// Whether a key asks how the line may go on.
pub(super) fn is_asked(form: &Form, key: KeyEvent) -> bool {
    matches!(form.purpose, Purpose::Palette) && key.code == KeyCode::Tab
}

/// How the line may go on, if it is still the same.
pub(super) fn completed(model: &mut Model, line: &str, completion: &Completion) {
    let Some(Popup::Form(form)) = &mut model.popup else { return };
    if !matches!(form.purpose, Purpose::Palette) || form.value(":") != line {
        return;
    }
    form.focus = 0;
    form.below = vec![completion.words.join("  ")];
    if let Some(FieldKind::Text(input)) = form.field().map(|it| &mut it.kind) {
        *input = Input::with(&completion.line);
    }
    model.dirty(Redraw::Now);
}

/// Does what the line says. What is not understood is told, and can be mended.
pub(super) fn run(model: &mut Model, line: &str) -> Result<Vec<Effect>, String> {
    if line.trim().is_empty() {
        return Ok(Vec::new());
    }
    let word = match parse(line) {
        Ok(word) => word,
        Err(lines) => {
            let first = lines.iter().map(|it| it.trim()).take_while(|it| !it.is_empty());
            let first = first.collect::<Vec<_>>().join(" ");
            return match first.strip_prefix("error: ") {
                Some(why) => Err(why.to_owned()),
                // Help is asked for: more than a line to read.
                None if lines.len() > 1 => Ok(vec![Effect::Do(Op::Command(line.to_owned()))]),
                None => Err(first),
            };
        }
    };
    match word {
        Word::Goto { path } => return Ok(vec![Effect::Goto(path)]),
        Word::Theme { theme } => model.look.theme = theme,
        Word::Ascii { state } => model.look.ascii = state == Switch::On,
        Word::Mouse { state } => {
            model.look.mouse = state == Switch::On;
            return Ok([Effect::Mouse(model.look.mouse)].into_iter().chain(keep(model)).collect());
        }
        Word::Awake { .. } if model.look.read_only => return Err(READ_ONLY.to_owned()),
        Word::Awake { length } => {
            let length = parse_length(&length).map_err(|it| it.what)?;
            return Ok(vec![Effect::Do(Op::KeepAwake(length))]);
        }
        Word::About => {
            about(model);
            return Ok(Vec::new());
        }
        Word::Quit => {
            // What is asked then is in front.
            super::quit(model);
            return Ok(Vec::new());
        }
        Word::Command(command) if model.look.read_only && command.changes_something() => {
            return Err(READ_ONLY.to_owned());
        }
        Word::Command(Command::Receive(args)) => return to_receive(model, args),
        Word::Command(Command::Send(args)) => {
            return Ok(vec![Effect::Transfer(Wish::Send(args))]);
        }
        Word::Command(Command::Transfers { command, .. }) => return Ok(transfers(model, command)),
        Word::Command(_) => return Ok(vec![Effect::Do(Op::Command(line.to_owned()))]),
    }
    model.dirty(Redraw::All);
    Ok(keep(model).into_iter().collect())
}

/// The screen does what the command would wait for.
fn to_receive(model: &mut Model, args: ReceiveArgs) -> Result<Vec<Effect>, String> {
    let folder = args.folder.as_ref().or(args.into.as_ref());
    let into = folder.map(|it| Input::with(&text::escape(it.as_encoded_bytes())));
    let Some(code) = args.code.clone() else {
        let effects = show(model, Screen::Receive);
        model.receive.into = into.unwrap_or_else(|| model.receive.into.clone());
        return Ok(effects);
    };
    if !args.exact {
        check_words(&code).map_err(|it| it.what)?;
    }
    receive::anew(model, Some(&RelPath::default()));
    model.receive.into = into.unwrap_or_else(|| model.receive.into.clone());
    model.receive.code = Input::with(&code);
    let mut effects = show(model, Screen::Receive);
    effects.extend(receive::begin(model, args));
    Ok(effects)
}

fn transfers(model: &mut Model, command: Option<TransfersCommand>) -> Vec<Effect> {
    match command {
        None | Some(TransfersCommand::List) => show(model, Screen::Transfers),
        Some(TransfersCommand::Wait { number, .. }) => {
            model.transfers.chosen = number;
            show(model, Screen::Transfers)
        }
        Some(command) => vec![Effect::Transfer(Wish::Transfers(command))],
    }
}

fn keep(model: &mut Model) -> Option<Effect> {
    if model.look.read_only {
        model.say("not kept for the next time: started with --read-only");
        return None;
    }
    model.say(
        "kept on the volume for the next time; NO_COLOR, --mono and --ascii count all the same",
    );
    Some(Effect::KeepLook(model.look.to_keep()))
}

fn about(model: &mut Model) {
    let theme = match model.look.theme {
        ThemeName::Dark => "for a dark background",
        ThemeName::Light => "for a light background",
        ThemeName::Mono => "without colours",
    };
    let space = model.space.map_or(String::new(), |it| {
        format!("{} of {} free", text::bytes(it.free), text::bytes(it.size))
    });
    let ascii = if model.look.ascii { ", ASCII only" } else { "" };
    let lines = vec![
        format!("sounding {}", env!("CARGO_PKG_VERSION")),
        "The operators' console of a data volume. Licensed under MIT or Apache-2.0, at your option.".to_owned(),
        String::new(),
        format!("Volume   {}   {space}", model.folder),
        format!("Screen   {} x {}, {theme}{ascii}", model.size.0, model.size.1),
        String::new(),
        "?  all keys     :doctor  is all well?     :activity  what the server does".to_owned(),
    ];
    let title = "About".to_owned();
    model.popup = Some(Popup::Text(Reading { title, lines, ..Reading::default() }));
}
