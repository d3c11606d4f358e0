//! What each key does: one table, from which keys act, the key line and the help are drawn.
//!
//! One meaning everywhere; what can't be undone is in upper case. None of the letters that the rest of a torn escape
//! sequence could leave (`[`, `O`, A to D, H, F) destroys anything, and no key needs Alt, F2 or a mouse.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Something a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the table below says what each does")]
pub enum Act {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Open,
    Parent,
    BrowseScreen,
    ReceiveScreen,
    TransfersScreen,
    KeysScreen,
    ActivityScreen,
    NextScreen,
    Help,
    Palette,
    Cancel,
    Quit,
    Redraw,
    Suspend,
    Reread,
    Filter,
    Find,
    Sort,
    Select,
    SelectAll,
    Rename,
    Move,
    Copy,
    NewFolder,
    EditText,
    Discard,
    Undo,
    ShowTrash,
    /// What the list leaves out.
    LeftOut,
    EmptyTrash,
    Usage,
    Columns,
    TogglePreview,
    ColumnsLeft,
    ColumnsRight,
    Info,
    Address,
    Share,
    Send,
    Receive,
    CompleteWord,
    ChooseFolder,
    CopyCommand,
    ReceiveAgain,
    NextField,
    Choose,
    AcceptOffer,
    RefuseOffer,
    OpenTransfer,
    CancelTransfer,
    GoToTransfer,
    ClearTransfers,
    AddKey,
    RotateKey,
    RevokeKey,
    EditKey,
    ToggleKey,
    MendKey,
    SealKey,
    Follow,
    FilterRequests,
    ByUser,
    ErrorsOnly,
    Details,
    KeepAwake,
}

/// Where a key works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In every list.
    Move,
    /// On every screen.
    Everywhere,
    /// On the screen of files.
    Browse,
    /// Where a code is typed.
    Receive,
    /// Where the other side is waited for.
    Waiting,
    /// Where an offer is answered.
    Offer,
    /// On the screen of transfers.
    Transfers,
    /// On the screen of keys.
    Keys,
    /// On the screen of what goes on.
    Activity,
}

/// How the same is done without a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twin {
    /// Nothing of it is left when the screen is gone.
    ScreenOnly,
    /// By this command.
    Command(&'static str),
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// What it does.
    pub act: Act,
    /// The keys that do it.
    pub keys: &'static [&'static str],
    /// Where.
    pub place: Place,
    /// In the key line; empty where it has no room there.
    pub label: &'static str,
    /// In the help.
    pub help: &'static str,
    /// Without a screen.
    pub twin: Twin,
}

const fn row(
    act: Act,
    keys: &'static [&'static str],
    place: Place,
    label: &'static str,
    help: &'static str,
    twin: Twin,
) -> Binding {
    Binding { act, keys, place, label, help, twin }
}

use Place::{Activity, Browse, Everywhere, Keys, Move, Offer, Receive, Transfers, Waiting};
use Twin::{Command, ScreenOnly};

/// All keys.
pub const BINDINGS: &[Binding] = &[
    row(Act::Up, &["Up", "k"], Move, "", "one line up", ScreenOnly),
    row(Act::Down, &["Down", "j"], Move, "", "one line down", ScreenOnly),
    row(Act::PageUp, &["PgUp", "^U"], Move, "", "one page up", ScreenOnly),
    row(Act::PageDown, &["PgDn", "^D"], Move, "", "one page down", ScreenOnly),
    row(Act::First, &["Home", "g"], Move, "", "to the first line", ScreenOnly),
    row(Act::Last, &["End", "G"], Move, "", "to the last line", ScreenOnly),
    row(Act::Open, &["Enter", "l", "Right"], Browse, "open", "open a folder", Command("ls berlin")),
    row(
        Act::Parent,
        &["Bksp", "h", "Left", "b"],
        Browse,
        "",
        "to the folder above",
        Command("ls /"),
    ),
    row(Act::Filter, &["/"], Browse, "filter", "filter the list as you type", ScreenOnly),
    row(
        Act::Sort,
        &["s"],
        Browse,
        "sort",
        "sort by name, size, date or kind",
        Command("ls --sort size"),
    ),
    row(Act::Select, &["Space"], Browse, "select", "select or deselect", ScreenOnly),
    row(Act::Rename, &["r"], Browse, "rename", "rename", Command("mv berlin/a berlin/b")),
    row(Act::Discard, &["d"], Browse, "trash", "to the trash", Command("rm berlin/a")),
    row(Act::Usage, &["U"], Browse, "usage", "disk use of what is below", Command("du berlin")),
    row(Act::Find, &["f"], Browse, "", "find in all folders below", Command("find trips berlin")),
    row(Act::SelectAll, &["*"], Browse, "", "select all that is shown, or none", ScreenOnly),
    row(Act::Move, &["m"], Browse, "", "move to another folder", Command("mv berlin/a zurich")),
    row(Act::Copy, &["y"], Browse, "", "copy to another folder", Command("cp berlin/a zurich")),
    row(Act::NewFolder, &["n"], Browse, "", "make a folder", Command("mkdir berlin/new")),
    row(Act::EditText, &["e"], Browse, "", "edit a small text", Command("put berlin/a --text x")),
    row(Act::Undo, &["u"], Everywhere, "", "undo the last change", Command("trash restore a")),
    row(
        Act::ShowTrash,
        &["t"],
        Browse,
        "",
        "what is in the trash; Enter puts it back",
        Command("trash list"),
    ),
    row(
        Act::LeftOut,
        &["."],
        Browse,
        "",
        "what the list does not show, such as hidden names and broken links; d moves it to the trash",
        Command("ls --all berlin"),
    ),
    row(
        Act::EmptyTrash,
        &["X"],
        Browse,
        "",
        "empty the trash for good",
        Command("trash empty --yes"),
    ),
    row(
        Act::Info,
        &["i"],
        Browse,
        "",
        "who can read it, and its address; on a narrow screen first a preview",
        Command("info berlin/a"),
    ),
    row(Act::Columns, &["v"], Browse, "", "names, sizes, dates, or all of them", ScreenOnly),
    row(Act::TogglePreview, &["P"], Browse, "", "previews on or off", ScreenOnly),
    row(
        Act::ColumnsLeft,
        &["<"],
        Browse,
        "",
        "columns of a table further left; lines of who can read it further up",
        ScreenOnly,
    ),
    row(Act::ColumnsRight, &[">"], Browse, "", "and further right, or down", ScreenOnly),
    row(
        Act::Address,
        &["c"],
        Browse,
        "",
        "its address alone on a line, to be copied",
        Command("info berlin/a"),
    ),
    row(Act::Share, &["S"], Browse, "", "make an address to pass on", Command("share berlin/a")),
    row(
        Act::Send,
        &["w"],
        Browse,
        "",
        "send by wormhole what is selected",
        Command("send berlin/a"),
    ),
    row(
        Act::CompleteWord,
        &["Tab"],
        Receive,
        "complete",
        "complete the word or the folder; Down marks another word",
        ScreenOnly,
    ),
    row(
        Act::ChooseFolder,
        &["^O"],
        Receive,
        "folder",
        "to the folder that it goes into, and back",
        ScreenOnly,
    ),
    row(
        Act::Receive,
        &["Enter"],
        Receive,
        "connect",
        "connect; without a code one is made here for the sender",
        Command("receive 7-guitarist-revenge berlin"),
    ),
    row(
        Act::CopyCommand,
        &["y"],
        Waiting,
        "copy the command",
        "copy the command for the other side",
        ScreenOnly,
    ),
    row(Act::CancelTransfer, &["c"], Waiting, "cancel", "cancel it", Command("transfers cancel 3")),
    row(Act::ReceiveAgain, &["a"], Waiting, "another", "receive another one too", ScreenOnly),
    row(Act::NextField, &["Tab"], Offer, "", "to the next field or button", ScreenOnly),
    row(Act::Choose, &["Space"], Offer, "", "choose the next", ScreenOnly),
    row(
        Act::AcceptOffer,
        &["Enter"],
        Offer,
        "",
        "receive it, on the button that says so",
        Command("transfers accept 3 --on-conflict keep-both"),
    ),
    row(
        Act::RefuseOffer,
        &["x"],
        Offer,
        "",
        "to the button that refuses it",
        Command("transfers refuse 3"),
    ),
    row(
        Act::OpenTransfer,
        &["Enter", "l", "Right"],
        Transfers,
        "details",
        "all that is known of it; an offer is answered",
        Command("transfers show 3"),
    ),
    row(
        Act::CancelTransfer,
        &["c"],
        Transfers,
        "cancel",
        "cancel it",
        Command("transfers cancel 3"),
    ),
    row(
        Act::ReceiveAgain,
        &["a"],
        Transfers,
        "receive again",
        "receive again, into the same folder",
        ScreenOnly,
    ),
    row(Act::GoToTransfer, &["o"], Transfers, "open folder", "go to where it is", ScreenOnly),
    row(Act::CopyCommand, &["y"], Transfers, "", "copy the command for the other side", ScreenOnly),
    row(
        Act::ClearTransfers,
        &["x"],
        Transfers,
        "clear done",
        "forget finished transfers",
        Command("transfers clear"),
    ),
    row(Act::AddKey, &["a"], Keys, "add", "make a key", Command("keys add kmt")),
    row(
        Act::RotateKey,
        &["o"],
        Keys,
        "rotate",
        "make a new key for an old one",
        Command("keys rotate kmt"),
    ),
    row(Act::RevokeKey, &["d"], Keys, "revoke", "revoke a key", Command("keys revoke kmt")),
    row(
        Act::EditKey,
        &["e", "Enter"],
        Keys,
        "edit",
        "change scope, path, end and note",
        Command("keys set kmt --scope read"),
    ),
    row(
        Act::ToggleKey,
        &["p"],
        Keys,
        "off/on",
        "switch a key off, or on again",
        Command("keys disable kmt"),
    ),
    row(
        Act::MendKey,
        &["w"],
        Keys,
        "warnings",
        "fix what is wrong with a key",
        Command("keys check --fix"),
    ),
    row(Act::SealKey, &["z"], Keys, "", "keep the key's hash only", Command("keys seal kmt")),
    row(
        Act::Follow,
        &["f"],
        Activity,
        "follow/pause",
        "follow, or hold still to read",
        Command("activity"),
    ),
    row(
        Act::FilterRequests,
        &["/"],
        Activity,
        "filter",
        "only requests with this in user, path or status",
        Command("activity --filter kmt"),
    ),
    row(
        Act::ByUser,
        &["u"],
        Activity,
        "by user",
        "only requests of this one's user, or of all again",
        Command("activity --user kmt"),
    ),
    row(
        Act::ErrorsOnly,
        &["e"],
        Activity,
        "errors only",
        "only requests that failed",
        Command("activity --errors"),
    ),
    row(
        Act::KeepAwake,
        &["w"],
        Activity,
        "awake",
        "keep the machine awake for 2 h, or no more",
        Command("activity --keep-awake 2h"),
    ),
    row(
        Act::Details,
        &["Enter"],
        Activity,
        "details",
        "all that is known of a request",
        Command("activity --json"),
    ),
    row(Act::BrowseScreen, &["1"], Everywhere, "", "files", ScreenOnly),
    row(Act::ReceiveScreen, &["2"], Everywhere, "", "receive by wormhole", ScreenOnly),
    row(Act::TransfersScreen, &["3"], Everywhere, "", "wormhole transfers", Command("transfers")),
    row(Act::KeysScreen, &["4"], Everywhere, "", "keys", Command("keys list")),
    row(Act::ActivityScreen, &["5"], Everywhere, "", "activity", Command("activity")),
    row(Act::NextScreen, &["Tab"], Everywhere, "", "the next screen", ScreenOnly),
    row(Act::Help, &["?", "F1"], Everywhere, "help", "this help", ScreenOnly),
    row(
        Act::Palette,
        &[":"],
        Everywhere,
        "",
        "a command, in the words of the command line",
        ScreenOnly,
    ),
    row(Act::Cancel, &["Esc"], Everywhere, "", "back, cancel", ScreenOnly),
    row(Act::Reread, &["R"], Everywhere, "", "read again", ScreenOnly),
    row(Act::Redraw, &["^L"], Everywhere, "", "draw the screen again", ScreenOnly),
    row(Act::Suspend, &["^Z"], Everywhere, "", "suspend", ScreenOnly),
    row(Act::Quit, &["q", "^C"], Everywhere, "", "quit", ScreenOnly),
];

/// What a key does in a place.
pub fn act(key: KeyEvent, place: Place) -> Option<Act> {
    let name = name(key);
    let is_it = |it: &&Binding| it.keys.contains(&name.as_str());
    let own = BINDINGS.iter().filter(|it| it.place == place).find(is_it);
    let common = || BINDINGS.iter().filter(|it| matches!(it.place, Move | Everywhere)).find(is_it);
    own.or_else(common).map(|it| it.act)
}

/// What a key is called: `j`, `^D`, `PgDn`.
pub fn name(key: KeyEvent) -> String {
    let named = match key.code {
        KeyCode::Char(' ') => "Space",
        KeyCode::Char(letter) if key.modifiers.contains(KeyModifiers::CONTROL) => {
            return format!("^{}", letter.to_ascii_uppercase());
        }
        KeyCode::Char(letter) => return letter.to_string(),
        KeyCode::Up => "Up",
        KeyCode::Down => "Down",
        KeyCode::Left => "Left",
        KeyCode::Right => "Right",
        KeyCode::PageUp => "PgUp",
        KeyCode::PageDown => "PgDn",
        KeyCode::Home => "Home",
        KeyCode::End => "End",
        KeyCode::Enter => "Enter",
        KeyCode::Backspace => "Bksp",
        KeyCode::Tab => "Tab",
        KeyCode::BackTab => "BackTab",
        KeyCode::Delete => "Del",
        KeyCode::Esc => "Esc",
        KeyCode::F(number) => return format!("F{number}"),
        _ => "",
    };
    named.to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn no_key_has_two_meanings_in_a_place() {
        for place in [Browse, Receive, Waiting, Offer, Transfers, Keys, Activity] {
            let mut seen = HashSet::new();
            let here = BINDINGS.iter().filter(|it| it.place == place || it.place == Move);
            for key in here.flat_map(|it| it.keys) {
                assert!(seen.insert(key), "{key} on {place:?}");
            }
        }
        let mut seen = HashSet::new();
        for key in BINDINGS.iter().filter(|it| it.place == Everywhere).flat_map(|it| it.keys) {
            assert!(seen.insert(key), "{key} everywhere");
        }
    }

    #[test]
    fn what_could_be_left_of_a_torn_sequence_destroys_nothing() {
        let torn = ["[", "O", "A", "B", "C", "D", "H", "F", "~"];
        for binding in BINDINGS {
            assert!(!binding.keys.iter().any(|it| torn.contains(it)), "{:?}", binding.act);
        }
    }

    #[test]
    fn each_twin_is_a_command_that_is_understood() {
        for binding in BINDINGS {
            if let Command(line) = binding.twin {
                let words = std::iter::once("sounding").chain(line.split(' '));
                assert!(Cli::try_parse_from(words).is_ok(), "{line}");
            }
        }
    }
}
