//! All that the screen shows, as plain values. Pure: changed by [`update`](crate::update) alone, drawn by
//! [`view`](crate::view).

mod activity;
mod browse;
pub mod editor;
mod form;
mod input;
mod keys;
mod receive;
mod transfers;

use std::time::Duration;

use clap::ValueEnum;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::Timestamp;
use volume::RelPath;
use volume::console_settings::ConsoleSettings;
use volume::left_out::LeftOut;
use volume::space::Space;

pub use activity::{ActivityScreen, Server};
pub use browse::{Above, Browse, Filter, Finding, Job, Measuring, Order};
pub use editor::Editor;
pub use form::{Field, FieldKind, Form, Purpose};
pub use input::Input;
pub use keys::{KeysScreen, Meant};
pub use receive::{Conflict, OfferField, OfferForm, Opened, ReceiveScreen};
pub use transfers::{Badge, Stage, TransfersScreen};

use crate::cli::{ScreenArgs, ThemeName};
use crate::key::{self, Act, Place};
use crate::ops::trash::TrashEntry;
use crate::ops::undo::Undo;
use crate::preview::pages::Page;
use crate::text;

/// How long a message stays.
pub const MESSAGE_STAYS: Duration = Duration::from_secs(20);

/// The whole console.
#[derive(Debug)]
pub struct Model {
    /// Columns and rows.
    pub size: (u16, u16),
    /// As it was told last.
    pub now: Timestamp,
    /// How it looks.
    pub look: Look,
    /// The volume's folder, as it is shown.
    pub folder: String,
    /// Which screen is shown.
    pub screen: Screen,
    /// Which was shown before it.
    pub before: Screen,
    /// The files.
    pub browse: Browse,
    /// The folders around, where there is room to show them.
    pub above: Option<Above>,
    /// What is received.
    pub receive: ReceiveScreen,
    /// Wormhole transfers.
    pub transfers: TransfersScreen,
    /// The keys.
    pub keys: KeysScreen,
    /// What goes on.
    pub activity: ActivityScreen,
    /// What is shown in front of the screen, if anything is.
    pub popup: Option<Popup>,
    /// What is shown again when that is gone: somebody types there.
    pub behind: Vec<Popup>,
    /// What was done last, or what went wrong.
    pub message: Option<Told>,
    /// How far a long way through the file that is paged through is, while that goes on.
    pub paging: Option<String>,
    /// How full the volume is.
    pub space: Option<Space>,
    /// What can be undone, the last at the end.
    pub undo: Vec<Undo>,
    /// How many changes are under way.
    pub changing: usize,
    /// How many are to be undone when those are over.
    pub undos_wanted: usize,
    /// The key that was pressed last and when, if it changed something at once.
    pub pressed: Option<(Act, Timestamp)>,
    /// Keys that come before this are dropped: typed before the question was seen.
    pub deaf_until: Option<Timestamp>,
    /// Whether it is over.
    pub is_over: bool,
    /// Whether the screen is to be drawn, and how soon.
    pub redraw: Redraw,
}

/// From so many columns on there is room beside a list.
pub const BESIDE: u16 = 70;
/// From so many on also for the folders around.
const AROUND: u16 = 150;
/// Columns of the folders around.
pub const AROUND_WIDTH: u16 = 28;
/// A list is never wider.
pub const WIDEST_LIST: u16 = 100;

/// How it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Look {
    /// Colours.
    pub theme: ThemeName,
    /// Lines and marks of ASCII only.
    pub ascii: bool,
    /// Nothing may be changed.
    pub read_only: bool,
    /// What a list says of each name.
    pub columns: Columns,
    /// Whether files are looked into.
    pub preview: bool,
    /// Whether the mouse is taken.
    pub mouse: bool,
}

/// What a list says of each name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Columns {
    /// Size and date.
    #[default]
    All,
    /// Nothing.
    Names,
    /// Its size.
    Sizes,
    /// Its date.
    Dates,
}

impl Columns {
    /// What comes after it.
    #[must_use]
    pub fn next(self) -> Columns {
        match self {
            Columns::All => Columns::Names,
            Columns::Names => Columns::Sizes,
            Columns::Sizes => Columns::Dates,
            Columns::Dates => Columns::All,
        }
    }
}

impl Look {
    /// As the arguments, the environment and the volume have it. Only an explicit `C` or `POSIX` locale means ASCII: over ssh
    /// none is told.
    pub fn new(
        args: &ScreenArgs,
        kept: &ConsoleSettings,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Look {
        let variable = |name| environment(name).filter(|it| !it.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable);
        let no_color = variable("NO_COLOR").is_some() || args.mono;
        let no_colors_known =
            matches!(variable("TERM").as_deref(), Some("vt100" | "vt102" | "vt220"));
        let mono = no_color || no_colors_known;
        let ascii = args.ascii || kept.ascii || matches!(locale.as_deref(), Some("C" | "POSIX"));
        let kept_theme = || ThemeName::from_str(kept.theme.as_deref()?, true).ok();
        let theme = if mono {
            ThemeName::Mono
        } else {
            args.theme.or_else(kept_theme).unwrap_or(ThemeName::Dark)
        };
        let columns = Columns::default();
        Look { theme, ascii, read_only: false, columns, preview: true, mouse: kept.mouse }
    }

    /// What of it is kept for the next time.
    pub fn to_keep(self) -> ConsoleSettings {
        let theme = self.theme.to_possible_value().map(|it| it.get_name().to_owned());
        ConsoleSettings { theme, ascii: self.ascii, mouse: self.mouse }
    }
}

/// The screens, by the numbers of their keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Screen {
    /// Files.
    #[default]
    Browse,
    /// What is received.
    Receive,
    /// Wormhole transfers.
    Transfers,
    /// Keys.
    Keys,
    /// What goes on.
    Activity,
}

/// Whether there is something new to be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Redraw {
    /// There is not: nothing is sent.
    #[default]
    No,
    /// There is, and it can wait a second: nobody asked for it.
    Soon,
    /// Somebody waits for it.
    Now,
    /// All of it: the terminal may show anything.
    All,
}

/// What was done last, or what went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// In plain words.
    pub text: String,
    /// Whether something went wrong.
    pub is_error: bool,
    /// When it was said.
    pub when: Timestamp,
    /// Whether it is of the change that `u` would take back.
    pub can_be_undone: bool,
}

/// What is shown in front of the screen.
#[derive(Debug)]
pub enum Popup {
    /// The help.
    Help(Help),
    /// A question.
    Form(Form),
    /// Something that is shown this once, alone on its line.
    Secret(Secret),
    /// Lines to read.
    Text(Reading),
    /// A page of a file, from a column on.
    Pager(RelPath, Page, usize),
    /// A small text that is being changed.
    Editor(Box<Editor>),
    /// A picture.
    Picture(RelPath, Vec<Vec<[[u8; 3]; 2]>>),
    /// What is in the trash, and which of it is meant.
    Trash(Vec<TrashEntry>, usize),
    /// What lists leave out of a folder, and which of it is meant.
    LeftOut(RelPath, Vec<LeftOut>, usize),
    /// One letter decides.
    Menu(Menu),
}

/// The table of keys.
#[derive(Debug, Default)]
pub struct Help {
    /// What is looked for in it.
    pub filter: Input,
    /// Whether letters go into that.
    pub is_typed: bool,
    /// The first line that is seen.
    pub top: usize,
}

/// Lines to read.
#[derive(Debug, Default)]
pub struct Reading {
    /// What they are.
    pub title: String,
    /// All of them.
    pub lines: Vec<String>,
    /// The first that is shown.
    pub top: usize,
    /// The first column that is shown.
    pub column: usize,
    /// The file they tell of, if they do.
    pub file: Option<RelPath>,
}

/// A choice by one letter.
#[derive(Debug, Clone)]
pub struct Menu {
    /// What is chosen.
    pub title: String,
    /// Letters and what they stand for.
    pub options: Vec<(char, String)>,
}

/// Something that is shown this once. Never in `Debug`.
pub struct Secret {
    /// What it is.
    pub title: String,
    /// The key or address.
    pub secret: String,
    /// What to know of it.
    pub below: Vec<String>,
    /// What its only button says.
    pub button: &'static str,
    /// Whether somebody was told that it is shown this once.
    pub is_leaving: bool,
}

impl Secret {
    /// What the button of one says that can't be had again.
    pub const SHOWN_ONCE: &'static str = "I have saved it";

    /// With what to know of it, and what its button says.
    pub fn new(title: String, secret: String, below: Vec<String>, button: &'static str) -> Secret {
        Secret { title, secret, below, button, is_leaving: false }
    }

    /// Whether nobody sees it again.
    pub fn is_shown_once(&self) -> bool {
        self.button == Secret::SHOWN_ONCE
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({})", self.title)
    }
}

impl Model {
    /// A console that knows nothing yet.
    pub fn new(look: Look, folder: String, size: (u16, u16), now: Timestamp) -> Model {
        Model {
            size,
            now,
            look,
            folder,
            screen: Screen::default(),
            before: Screen::default(),
            browse: Browse::default(),
            above: None,
            receive: ReceiveScreen::default(),
            transfers: TransfersScreen::default(),
            keys: KeysScreen::default(),
            activity: ActivityScreen::default(),
            popup: None,
            behind: Vec::new(),
            message: None,
            paging: None,
            space: None,
            undo: Vec::new(),
            changing: 0,
            undos_wanted: 0,
            pressed: None,
            deaf_until: None,
            is_over: false,
            redraw: Redraw::All,
        }
    }

    /// Where keys act now.
    pub fn place(&self) -> Place {
        match self.screen {
            Screen::Browse => Place::Browse,
            Screen::Receive => match &self.receive.opened {
                None => Place::Receive,
                Some(Opened { offer: None, .. }) => Place::Waiting,
                Some(Opened { offer: Some(_), .. }) => Place::Offer,
            },
            Screen::Transfers => Place::Transfers,
            Screen::Keys => Place::Keys,
            Screen::Activity => Place::Activity,
        }
    }

    /// How many rows a list has: all but header, title, two rules, message and key line.
    pub fn list_rows(&self) -> usize {
        usize::from(self.size.1).saturating_sub(6).max(1)
    }

    /// Whether there is room beside a list.
    pub fn has_room_beside(&self) -> bool {
        self.size.0 >= BESIDE
    }

    /// The folder above, if the folders around are to be seen.
    pub fn wants_above(&self) -> Option<RelPath> {
        let is_list = self.browse.finding.is_none() && self.browse.measuring.is_none();
        self.browse.path.parent().filter(|_| is_list && self.size.0 >= AROUND)
    }

    /// Columns of what is told beside the list, or in its place.
    pub fn pane_width(&self) -> u16 {
        let all = self.size.0;
        if !self.has_room_beside() {
            return all;
        }
        let is_around = self.above.is_some() && self.wants_above().is_some();
        let rest = if is_around { all - AROUND_WIDTH - 1 } else { all };
        rest - (all * 16 / 25).min(WIDEST_LIST).min(rest) - 2
    }

    /// Who can read it, in lines as wide as the pane, and how many of them it shows at once.
    pub fn info_lines(&self) -> (Vec<String>, usize) {
        let width = usize::from(self.pane_width());
        let info = self.browse.info.iter().flatten();
        let lines: Vec<String> = info.flat_map(|it| text::wrapped(it, width)).collect();
        // Above them are the facts and a blank line.
        let room = self.list_rows().saturating_sub(self.browse.facts(self.now).len() + 1).max(1);
        // Where not all fit, the last row says so.
        let shown = if lines.len() > room { (room - 1).max(1) } else { room };
        (lines, shown)
    }

    /// Whether a look into a file is to be seen.
    pub fn shows_preview(&self) -> bool {
        let browse = &self.browse;
        let is_list = browse.finding.is_none() && browse.measuring.is_none();
        is_list && (browse.page || self.look.preview && self.has_room_beside())
    }

    /// Something new is to be seen.
    pub fn dirty(&mut self, how: Redraw) {
        self.redraw = self.redraw.max(how);
    }

    /// Says what was done.
    pub fn say(&mut self, text: impl Into<String>) {
        self.tell(text.into(), false);
    }

    /// Says what went wrong.
    pub fn complain(&mut self, text: impl Into<String>) {
        self.tell(text.into(), true);
    }

    fn tell(&mut self, text: String, is_error: bool) {
        self.message = Some(Told { text, is_error, when: self.now, can_be_undone: false });
    }

    /// Whether what the message tells of can be taken back by a key here and now.
    pub fn offers_undo(&self) -> bool {
        let is_of_undo = |it: &Told| it.can_be_undone && !self.undo.is_empty();
        let key = KeyEvent::new(KeyCode::Char('u'), KeyModifiers::NONE);
        self.message.as_ref().is_some_and(is_of_undo)
            && self.popup.is_none()
            && !self.is_receive_typed()
            && key::act(key, self.place()) == Some(Act::Undo)
    }
}

/// The first row to show, so that the row of the cursor is among so many.
pub fn scrolled(top: usize, cursor: usize, rows: usize) -> usize {
    if cursor < top {
        cursor
    } else if cursor >= top + rows {
        cursor + 1 - rows
    } else {
        top
    }
}
