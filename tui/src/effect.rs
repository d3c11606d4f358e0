//! What the console asks of the world, and what it hears back: plain data, both.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::KeyEvent;
use jiff::Timestamp;
use volume::console_settings::ConsoleSettings;
use volume::keys::sheet::{KeyRow, NewKey, OldKey, SheetVersion};
use volume::left_out::LeftOut;
use volume::names::Names;
use volume::scan::{SearchProgress, Usage};
use volume::space::Space;
use volume::{FileId, RelPath, Stat};

use transfers::transfer::TransferStatus;

use crate::admin::{ActivityNow, KeysNow};
use crate::cli::transfers::{ReceiveArgs, SendArgs, TransfersCommand};
use crate::model::Editor;
use crate::ops::Failure;
use crate::ops::carriers::Carried;
use crate::ops::files::InFolder;
use crate::ops::keys::{KeyEdit, Keys};
use crate::ops::relocate::Relocation;
use crate::ops::share::Access;
use crate::ops::trash::TrashEntry;
use crate::ops::undo::Undo;
use crate::palette::Completion;
use crate::preview::Preview;
use crate::preview::pages::{Page, Where};

/// A change, done by the same function as its command.
#[derive(Clone, Debug)]
pub enum Op {
    /// To the trash.
    Discard(Vec<RelPath>),
    /// Names in folders to the trash, also such as no list shows.
    DiscardNamed(Vec<InFolder>),
    /// To a new name.
    Rename(RelPath, RelPath),
    /// Moved or copied, as a group.
    Relocate(Relocation),
    /// A new folder.
    NewFolder(RelPath),
    /// A text into a file, if that is still this version: and what it was before.
    Write(RelPath, Vec<u8>, Stat, Vec<u8>),
    /// A text into a file that is not there yet.
    Put(RelPath, Vec<u8>),
    /// Back from the trash: its name there, and where it goes.
    Restore(Vec<u8>, RelPath),
    /// A change taken back.
    Undo(Undo),
    /// All of the trash, for good.
    EmptyTrash,
    /// One thing in the trash, for good.
    RemoveTrashed(Vec<u8>),
    /// A new key.
    AddKey(SheetVersion, NewKey),
    /// A new key for an old one, which ends then.
    RotateKey(SheetVersion, Box<KeyRow>, OldKey, String),
    /// Changes to a key, all or none, and what they are called.
    EditKey(SheetVersion, Box<KeyRow>, Vec<KeyEdit>, &'static str),
    /// An address to pass on, until when.
    Share(RelPath, String),
    /// The server stays awake for so long, or no longer than it has work.
    KeepAwake(Option<Duration>),
    /// A command of the command line.
    Command(String),
}

/// Something that is wanted of transfers, in the words of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To receive.
    Receive(ReceiveArgs),
    /// To send.
    Send(SendArgs),
    /// Anything of those that were begun.
    Transfers(TransfersCommand),
}

impl Wish {
    /// That one is cancelled.
    pub fn cancel(number: u64) -> Wish {
        Wish::Transfers(TransfersCommand::Cancel { number })
    }
}

/// Something the console wants.
#[derive(Debug)]
pub enum Effect {
    /// Read a folder.
    List(u64, RelPath),
    /// Read the folder above.
    ListAbove(RelPath),
    /// See whether a folder has changed since it was read.
    LookAgain(u64, RelPath),
    /// Look up sizes and dates: these first, then all others.
    Stat(u64, Arc<Names>, Vec<usize>),
    /// Count the items of folders.
    Count(u64, Vec<(usize, RelPath)>),
    /// Who can read a path.
    Readers(RelPath),
    /// Where a path is read, to be shown or to be passed on.
    Address(RelPath, AddressFor),
    /// Look into a file, when the cursor has rested on it for a moment.
    Preview(RelPath),
    /// Open a file to be looked at as a whole, in so many columns and rows.
    OpenFile(RelPath, (u16, u16)),
    /// Open a small text to be changed.
    OpenEditor(RelPath),
    /// Open a file to be looked at byte by byte, in so many rows.
    OpenBytes(RelPath, usize),
    /// Another page of the file that is open.
    Page(Where, usize),
    /// Look for names below a folder.
    Find(u64, RelPath, String),
    /// Add up what lies below a folder.
    Measure(u64, RelPath),
    /// Stop what somebody looked at: a search, a scan, a way through a file.
    Stop,
    /// Stop the change that takes long.
    StopChange,
    /// Change something.
    Do(Op),
    /// Read the keys.
    ReadKeys,
    /// What is in the trash.
    ReadTrash,
    /// What lists leave out of a folder.
    ReadLeftOut(RelPath),
    /// How full the volume is.
    ReadSpace,
    /// What goes on, from a place in the order on.
    AskServer(u64),
    /// What the server knows of the keys.
    AskKeys,
    /// All transfers, and who runs them.
    AskTransfers,
    /// Something of transfers.
    Transfer(Wish),
    /// How a folder that is being typed may go on.
    CompleteFolder(String),
    /// How a line of the palette may go on.
    Complete(String),
    /// Find the place that somebody named.
    Goto(OsString),
    /// Take the mouse, or leave it to the terminal.
    Mouse(bool),
    /// Keep how the console is liked to look.
    KeepLook(ConsoleSettings),
    /// Put a text where the operator's own computer can paste it from.
    Copy(String),
    /// Stop the process, as the shell does.
    Suspend,
}

/// What an address is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressFor {
    /// Somebody who has a key.
    Shown,
    /// Somebody who has none.
    PassingOn,
}

/// Something the console hears.
#[derive(Debug)]
pub enum Message {
    /// Somebody pressed a key.
    Key(KeyEvent),
    /// Somebody pasted a text.
    Pasted(String),
    /// The terminal has another size.
    Resized(u16, u16),
    /// Time has passed.
    Tick(Timestamp),
    /// The terminal may show anything.
    Disturbed,
    /// A folder was read.
    Listed(u64, Result<Arc<Names>, Failure>),
    /// The folder above was read.
    ListedAbove(RelPath, Arc<Names>),
    /// A folder has changed since it was read.
    Changed(u64),
    /// Names were looked up, by their numbers.
    Stats(u64, Vec<(usize, Option<Stat>)>),
    /// Folders' items were counted.
    Counted(u64, Vec<(usize, usize)>),
    /// Who can read a path, in lines.
    Readers(RelPath, Result<Vec<String>, Failure>),
    /// Where a path is read, to be shown or to be passed on.
    Addressed(Result<Box<Access>, Failure>, AddressFor),
    /// A file was looked into.
    Previewed(RelPath, Box<Preview>),
    /// A page of the file that is open.
    Paged(RelPath, Result<Page, Failure>),
    /// A small text was opened to be changed.
    Editing(Result<Box<Editor>, Failure>),
    /// What there is to tell of the file that was opened.
    Opened(RelPath, Vec<String>),
    /// The file that was opened is a picture.
    Pictured(RelPath, Vec<Vec<[[u8; 3]; 2]>>),
    /// How far a search is.
    Found(u64, Result<SearchProgress, Failure>),
    /// How far a scan is.
    Measured(u64, Result<Usage, Failure>),
    /// How far a change is.
    Progress(String),
    /// How far a long way through a file is.
    Paging(String),
    /// How the console is liked to look could not be kept.
    NotKept(Failure),
    /// A change is over.
    Done(Result<Done, Failure>),
    /// All transfers, and who runs them.
    Transfers(Result<Carried, Failure>),
    /// What came of a wish: the transfer, where it is about one that was begun or is shown.
    Transferred(Wish, Result<Option<Box<TransferStatus>>, Failure>),
    /// How a folder that is being typed may go on.
    FolderCompleted(String, Completion),
    /// How a line of the palette may go on.
    Completed(String, Completion),
    /// The folder that somebody named, and the name in it that is meant.
    Went(Result<(RelPath, Option<Vec<u8>>), Failure>),
    /// The keys were read.
    KeysRead(Result<Keys, Failure>),
    /// The trash was read.
    TrashRead(Result<Vec<TrashEntry>, Failure>),
    /// What lists leave out of a folder was read.
    LeftOutRead(RelPath, Result<Vec<LeftOut>, Failure>),
    /// How full the volume is.
    SpaceRead(Space),
    /// What goes on.
    Activity(Result<Box<ActivityNow>, Failure>),
    /// What the server knows of the keys.
    ServerKeys(Result<KeysNow, Failure>),
}

/// What could be done instead.
#[derive(Debug)]
pub struct Offer {
    /// What it is about.
    pub title: String,
    /// What to know before answering.
    pub text: String,
    /// What the button is called.
    pub button: &'static str,
    /// What it does.
    pub op: Op,
}

/// A change that was made.
#[derive(Default)]
pub struct Done {
    /// What, in a few words.
    pub text: String,
    /// How it is undone, or the rest of it where it was.
    pub undo: Option<Undo>,
    /// Whether not all of it could be done.
    pub is_partial: bool,
    /// Files that are others now, though to whoever works with them they are the same.
    pub became: Vec<(FileId, FileId)>,
    /// A text that could not be saved, to go on with.
    pub unsaved: Option<Box<Editor>>,
    /// What could be done instead, if whoever wants it says so: a question, and the button that does it.
    pub offer: Option<Box<Offer>>,
    /// Where the cursor goes.
    pub go_to: Option<RelPath>,
    /// The id of the key that the cursor goes to.
    pub key: Option<String>,
    /// What is shown this once: what it is, and what to know of it.
    pub secret: Option<(String, String, Vec<String>)>,
    /// What a command printed.
    pub output: Option<(String, Vec<String>)>,
}

/// Shows no secret.
impl std::fmt::Debug for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Done({:?})", self.text)
    }
}
