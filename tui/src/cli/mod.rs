//! The command line: what can be asked for, in the words that the console's palette takes too.
//!
//! Completions and the man page are made from these definitions.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

pub mod transfers;

use transfers::{ReceiveArgs, SendArgs, ServerArgs, TransfersCommand};

/// As it is written.
#[derive(Debug, Parser)]
#[command(
    name = "sounding",
    version,
    about = "The operators' console of a data volume.",
    long_about = LONG_ABOUT,
    after_long_help = EXAMPLES,
    args_conflicts_with_subcommands = false
)]
pub struct Cli {
    /// Where the volume is, and who is asked about it.
    #[command(flatten)]
    pub desk: DeskArgs,

    /// How the screen looks.
    #[command(flatten)]
    pub screen: ScreenArgs,

    /// What to do without a screen; nothing opens the screen.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What all commands go by.
#[derive(Clone, Debug, Default, Args)]
pub struct DeskArgs {
    /// The volume: the folder whose tree is served.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "SOUNDING_VOLUME",
        default_value = "./data"
    )]
    pub volume: PathBuf,

    /// The running server's admin socket. By default it is looked for in /run/sounding and in the user's runtime folder.
    #[arg(long, global = true, value_name = "PATH", env = "SOUNDING_ADMIN")]
    pub admin: Option<PathBuf>,

    /// Where the server is reached from outside, for addresses that are shown, such as `https://my-app.fly.dev`
    #[arg(long, global = true, value_name = "URL", env = "SOUNDING_URL")]
    pub url: Option<String>,

    /// Look, and change nothing: on the screen and in all commands.
    #[arg(long, global = true)]
    pub read_only: bool,

    /// Which servers wormhole transfers go by.
    #[command(flatten)]
    pub servers: ServerArgs,
}

/// How the screen looks; what is not said here is as it was left.
#[derive(Clone, Debug, Default, Args)]
pub struct ScreenArgs {
    /// Colours for a dark or a light background, or none (`mono`).
    #[arg(long, value_name = "THEME", value_enum)]
    pub theme: Option<ThemeName>,

    /// No colours: the same as --theme mono.
    #[arg(long)]
    pub mono: bool,

    /// Lines and marks of ASCII characters only.
    #[arg(long)]
    pub ascii: bool,
}

/// Colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ThemeName {
    /// For a dark background.
    Dark,
    /// For a light background.
    Light,
    /// None: bold and reversed only.
    Mono,
}

/// What can be done without a screen.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List a folder.
    #[command(
        after_help = "Examples:\n  sounding ls -l berlin\n  sounding ls --sort size --reverse --json berlin"
    )]
    Ls {
        /// The folder, from the volume's root.
        #[arg(default_value = "/")]
        path: OsString,
        /// Also what is not shown otherwise, and why: hidden names, links that can't be followed, FIFOs, sockets and
        /// devices. `sounding rm` takes such a name too.
        #[arg(short, long)]
        all: bool,
        /// Size and time in front of each name.
        #[arg(short, long)]
        long: bool,
        /// The order.
        #[arg(long, value_enum, default_value_t = Sort::Name)]
        sort: Sort,
        /// In reverse order.
        #[arg(short, long)]
        reverse: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show the disk use of a folder's items, the largest first.
    #[command(after_help = "Example:\n  sounding du berlin")]
    Du {
        /// The folder.
        #[arg(default_value = "/")]
        path: OsString,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Find files and folders by a part of their name, or by `*` and `?`.
    #[command(
        after_help = "Examples:\n  sounding find trips berlin\n  sounding find '*.parquet' --json"
    )]
    Find {
        /// A part of the name, in any case; with `*` or `?` the whole name.
        pattern: String,
        /// The folder to look in, with all below it.
        #[arg(default_value = "/")]
        path: OsString,
        /// As JSON, a line each.
        #[arg(long)]
        json: bool,
    },
    /// Write files to standard output.
    #[command(after_help = "Example:\n  sounding cat berlin/output_trips.csv.gz")]
    Cat {
        /// The files.
        #[arg(required = true)]
        paths: Vec<OsString>,
    },
    /// Say what a file or a folder is, what its address is and who can read it.
    #[command(after_help = "Example:\n  sounding info berlin/report.html --json")]
    Info {
        /// The file or folder.
        path: OsString,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a folder, and those above it.
    #[command(after_help = "Example:\n  sounding mkdir berlin/v6.5")]
    Mkdir {
        /// The folder.
        path: OsString,
    },
    /// Write standard input into a file, or a text. No reader sees a part of it.
    #[command(after_help = "Example:\n  sounding put berlin/note.txt --text 'see v6.5'")]
    Put {
        /// The file.
        path: OsString,
        /// This text instead of standard input.
        #[arg(long)]
        text: Option<String>,
    },
    /// Move or rename: to a new name, or into a folder that is there. Several items are moved all or not at all; a slash
    /// at the end always means a folder.
    #[command(
        after_help = "Examples:\n  sounding mv berlin/old.csv berlin/new.csv\n  sounding mv a.csv b.csv berlin --keep-both"
    )]
    Mv(TransferArgs),
    /// Copy: to a new name, or into a folder that is there. Several items are copied all or not at all; a slash at the
    /// end always means a folder.
    #[command(after_help = "Example:\n  sounding cp berlin/v6.4 berlin/v6.5")]
    Cp(TransferArgs),
    /// Move to the trash.
    #[command(after_help = "Examples:\n  sounding rm berlin/v6.3\n  sounding trash restore v6.3")]
    Rm {
        /// What.
        #[arg(required = true)]
        paths: Vec<OsString>,
    },
    /// What was deleted: list it, have it back, empty it.
    Trash {
        /// What to do with it; nothing lists it.
        #[command(subcommand)]
        command: Option<TrashCommand>,
        /// As JSON.
        #[arg(long, global = true)]
        json: bool,
    },
    /// Who may read and upload.
    Keys {
        /// What to do with them; nothing lists them.
        #[command(subcommand)]
        command: Option<KeysCommand>,
        /// As JSON.
        #[arg(long, global = true)]
        json: bool,
    },
    /// Make an address at which anyone can read a file or folder, for a while. What is public has one already: no key is made.
    #[command(
        after_help = "Examples:\n  sounding share berlin/report.html --expires 7d --note reviewers\n  sounding keys revoke 5b0c91e2"
    )]
    Share {
        /// The file or folder.
        path: OsString,
        /// Until when: `30d`, a date, or `never`.
        #[arg(long, value_name = "WHEN", default_value = "30d")]
        expires: String,
        /// Whom it is for.
        #[arg(long, default_value = "")]
        note: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Receive what somebody sends by magic-wormhole, into the volume.
    #[command(after_help = RECEIVE_EXAMPLES)]
    Receive(ReceiveArgs),
    /// Send files and folders of the volume to somebody by magic-wormhole.
    #[command(
        after_help = "Examples:\n  sounding send berlin/report\n  sounding send --text 'the run is there'"
    )]
    Send(SendArgs),
    /// Wormhole transfers: those under way, and those that have finished.
    Transfers {
        /// What to do with them; nothing lists them.
        #[command(subcommand)]
        command: Option<TransfersCommand>,
        /// As JSON.
        #[arg(long, global = true)]
        json: bool,
    },
    /// What the server does right now.
    #[command(
        after_help = "Examples:\n  sounding activity --errors\n  sounding activity --user kmt --json\n  sounding activity --keep-awake 2h"
    )]
    Activity {
        /// Only requests with this in user, path, status or address.
        #[arg(long, default_value = "")]
        filter: String,
        /// Only requests of this user, or from this address where no user is known.
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// Only requests that failed.
        #[arg(long)]
        errors: bool,
        /// Keep the server awake for so long, counted from now and for 12 h at most, though nobody needs it: `2h`, `90m`;
        /// `off` takes that back. Nothing else is told then.
        #[arg(long, value_name = "LENGTH", conflicts_with_all = ["filter", "user", "errors"])]
        keep_awake: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check the volume, the keys, the space, watches, the server and the clock, and say what to do. Status 3 where
    /// something is to be done.
    #[command(
        after_help = "Examples:\n  sounding doctor\n  sounding doctor --json\n  sounding doctor --fix-owners"
    )]
    Doctor {
        /// Give the service whatever belongs to somebody else on the volume, as what root put there does. Asks before it
        /// does; needs root.
        #[arg(long, alias = "mend-owners")]
        fix_owners: bool,
        /// Yes, without asking.
        #[arg(long, requires = "fix_owners")]
        yes: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write shell completions to standard output: `source <(sounding completions bash)`.
    #[command(after_help = "Example:\n  sounding completions fish")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the man page to standard output: `sounding man | man -l -`.
    Man,
}

impl Cli {
    /// What the program was started with; where that is not understood, the program says so and ends.
    ///
    /// What a variable says counts as given, so a usage line would show it as one has to give it: what is wrong is told as
    /// it is without variables.
    pub fn read() -> Cli {
        Cli::try_parse().unwrap_or_else(|error| {
            let plain = Cli::command().mut_args(|it| it.env(Resettable::Reset));
            let told = error.use_stderr().then(|| plain.try_get_matches().err()).flatten();
            told.unwrap_or(error).exit()
        })
    }
}

impl Command {
    /// Whether it changes anything: on the volume, or of what the server does.
    pub fn changes_something(&self) -> bool {
        match self {
            Command::Mkdir { .. }
            | Command::Put { .. }
            | Command::Mv(_)
            | Command::Cp(_)
            | Command::Rm { .. }
            | Command::Share { .. }
            | Command::Receive(_)
            | Command::Send(_) => true,
            Command::Doctor { fix_owners, .. } => *fix_owners,
            Command::Activity { keep_awake, .. } => keep_awake.is_some(),
            Command::Transfers { command, .. } => {
                command.as_ref().is_some_and(TransfersCommand::changes_something)
            }
            Command::Trash { command, .. } => match command {
                None | Some(TrashCommand::List) => false,
                Some(
                    TrashCommand::Restore { .. }
                    | TrashCommand::Remove { .. }
                    | TrashCommand::Empty { .. },
                ) => true,
            },
            Command::Keys { command, .. } => match command {
                None | Some(KeysCommand::List) => false,
                Some(KeysCommand::Check { fix }) => *fix,
                Some(
                    KeysCommand::Add { .. }
                    | KeysCommand::Rotate { .. }
                    | KeysCommand::Revoke { .. }
                    | KeysCommand::Disable { .. }
                    | KeysCommand::Enable { .. }
                    | KeysCommand::Note { .. }
                    | KeysCommand::Set { .. }
                    | KeysCommand::Seal { .. },
                ) => true,
            },
            Command::Ls { .. }
            | Command::Du { .. }
            | Command::Find { .. }
            | Command::Cat { .. }
            | Command::Info { .. }
            | Command::Completions { .. }
            | Command::Man => false,
        }
    }
}

/// From where to where.
#[derive(Debug, Args)]
pub struct TransferArgs {
    /// What.
    #[arg(required = true)]
    pub from: Vec<OsString>,
    /// Where to.
    pub to: OsString,
    /// Where the name is taken, take `name (2)`.
    #[arg(long, conflicts_with = "replace")]
    pub keep_both: bool,
    /// Where the name is taken, move what has it to the trash.
    #[arg(long)]
    pub replace: bool,
}

/// Of the trash.
#[derive(Debug, Subcommand)]
pub enum TrashCommand {
    /// List it, the newest first.
    #[command(after_help = "Example:\n  sounding trash list --json")]
    List,
    /// Put something back to where it came from.
    #[command(
        after_help = "Examples:\n  sounding trash restore v6.3\n  sounding trash restore v6.3 --to berlin/v6.3-again"
    )]
    Restore {
        /// Its name in the trash, as `sounding trash` lists it.
        name: OsString,
        /// Put it here instead.
        #[arg(long, value_name = "PATH")]
        to: Option<OsString>,
    },
    /// Delete something in the trash for good.
    #[command(after_help = "Example:\n  sounding trash remove v6.3 --yes")]
    Remove {
        /// Its name in the trash.
        name: OsString,
        /// Yes, for good.
        #[arg(long)]
        yes: bool,
    },
    /// Delete all of the trash for good.
    #[command(after_help = "Example:\n  sounding trash empty --older-than 7d --yes")]
    Empty {
        /// Only what has been in it for so long: `7d`.
        #[arg(long, value_name = "AGE")]
        older_than: Option<String>,
        /// Yes, for good.
        #[arg(long)]
        yes: bool,
    },
}

/// Of the keys. KEY is a user's name, where that has one key only, the id that the list shows, or `line:N`.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// List them. No key is shown.
    #[command(after_help = "Examples:\n  sounding keys list\n  sounding keys --json")]
    List,
    /// Make a key, and write it to standard output, this one time.
    #[command(
        after_help = "Examples:\n  sounding keys add kmt --write --path berlin --expires 90d --note 'ci upload'\n  sounding keys add kmt --key-stdin"
    )]
    Add {
        /// Whose: letters, digits, `.` and `_`.
        user: String,
        /// It may upload, move and delete too.
        #[arg(long)]
        write: bool,
        /// The folder it covers.
        #[arg(long, value_name = "FOLDER", default_value = "/")]
        path: OsString,
        /// Its end: `90d`, a date, or `never`.
        #[arg(long, value_name = "WHEN", default_value = "never")]
        expires: String,
        /// Whom or what it is for.
        #[arg(long, default_value = "")]
        note: String,
        /// Take the key from standard input instead of making one.
        #[arg(long)]
        key_stdin: bool,
    },
    /// Make a new key for an old one, with its scope, path and note, and write it to standard output, this one time.
    ///
    /// The old key never lasts longer by it than it does already; one that is off stays off.
    #[command(
        after_help = "Examples:\n  sounding keys rotate kmt --overlap 7d\n  sounding keys rotate 5b0c91e2 --overlap never --expires 90d"
    )]
    Rotate {
        /// Which: its user, where that has one key only, its id in the list, or `line:N`.
        key: String,
        /// How long the old one goes on being good at most: `7d`, `0`, or `never` to leave its end as it is.
        #[arg(long, value_name = "AGE", default_value = "7d")]
        overlap: String,
        /// When the new one ends: `90d`, a date, or `never`. Must be said where the old one has an end.
        #[arg(long, value_name = "WHEN")]
        expires: Option<String>,
    },
    /// Remove a key for good.
    #[command(
        after_help = "Examples:\n  sounding keys revoke kmt\n  sounding keys revoke 5b0c91e2 --last"
    )]
    Revoke {
        /// Which: its user, where that has one key only, its id in the list, or `line:N`.
        key: String,
        /// Also if it is the last that is good.
        #[arg(long)]
        last: bool,
    },
    /// Disable a key; its line stays as a comment.
    #[command(alias = "off", after_help = "Example:\n  sounding keys disable kmt")]
    Disable {
        /// Which: its user, where that has one key only, its id in the list, or `line:N`.
        key: String,
    },
    /// Enable a key again.
    #[command(alias = "on", after_help = "Example:\n  sounding keys enable kmt")]
    Enable {
        /// Which: its user, where that has one key only, its id in the list, or `line:N`.
        key: String,
    },
    /// Change a key's note.
    #[command(after_help = "Example:\n  sounding keys note kmt 'the cluster in Potsdam'")]
    Note {
        /// Which: its user, where that has one key only, its id in the list, or `line:N`.
        key: String,
        /// The note.
        text: String,
    },
    /// Change what a key is good for.
    #[command(
        after_help = "Example:\n  sounding keys set kmt --scope write --path berlin --expires never"
    )]
    Set {
        /// Which: its user, where that has one key only, its id in the list, or `line:N`.
        key: String,
        /// `read` or `write`.
        #[arg(long)]
        scope: Option<String>,
        /// The folder it covers.
        #[arg(long, value_name = "FOLDER")]
        path: Option<String>,
        /// Its end: `90d`, a date, or `never`.
        #[arg(long, value_name = "WHEN")]
        expires: Option<String>,
        /// Any text.
        #[arg(long)]
        note: Option<String>,
    },
    /// Say what is wrong with the keys file. Status 3 where something is.
    #[command(after_help = "Examples:\n  sounding keys check\n  sounding keys check --fix")]
    Check {
        /// Fix what can be fixed without a new key.
        #[arg(long, alias = "mend")]
        fix: bool,
    },
    /// Keep only the hash of a key. The old Python server does not know it any more then.
    #[command(after_help = "Example:\n  sounding keys seal kmt")]
    Seal {
        /// Which: its user, where that has one key only, its id in the list, or `line:N`.
        key: String,
    },
}

/// The order of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// By name, numbers in it as numbers.
    #[default]
    Name,
    /// The largest first.
    Size,
    /// The newest first.
    Date,
    /// By what the name ends in.
    Kind,
}

const LONG_ABOUT: &str = "\
The operators' console of a data volume: browse its files, manage its keys, see what the server does.

Alone it opens the screen, which works over the slowest ssh line: fly ssh console --pty -C sounding. With a command
it does the same without one, for scripts and screen readers. Both work on the volume itself, whether or not the
server runs. Paths begin at the volume's root.";

const RECEIVE_EXAMPLES: &str = "\
Examples:
  sounding receive 7-guitarist-revenge --into berlin
  sounding receive --into berlin
      makes a code, and says what the sender has to type
  sounding receive 7-guitarist-revenge --yes --on-conflict keep-both --detach
      leaves it to the server; sounding transfers tells how it gets on

A code works once: after a mistake the sender has to send again. Wormhole can't resume what broke off.";

const EXAMPLES: &str = "\
Examples:
  sounding                                        the screen, on ./data
  sounding --volume /data ls -l berlin            a folder, with sizes and times
  sounding find trips berlin                      what has `trips` in its name below `berlin`
  sounding keys add kmt --write --path berlin     a key for kmt, shown this once
  sounding share berlin/report.html --expires 7d  an address to pass on
  sounding receive 7-guitarist-revenge --into berlin     what a colleague sends with `wormhole send`
  sounding send berlin/report                     to a colleague, who gets it with `wormhole receive`
  sounding doctor                                 is all well?

Status: 0 done; 1 failed, the reason is on standard error; 2 not understood, or no terminal for the screen;
3 `keys check` or `doctor` found something.

If the screen is odd after the line was lost, type `reset`.";

#[cfg(test)]
mod tests {
    use super::*;

    /// All commands that have none below them, with the words that lead to them.
    fn leaves(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
        for below in command.get_subcommands() {
            let path = format!("{path} {}", below.get_name());
            if below.has_subcommands() {
                leaves(below, &path, found);
            } else {
                found.push((path, below.clone()));
            }
        }
    }

    #[test]
    fn the_help_of_each_command_has_examples_that_are_understood() {
        let mut all = Vec::new();
        leaves(&Cli::command(), "sounding", &mut all);
        for (path, command) in all.iter().filter(|it| it.0 != "sounding man") {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples: Vec<&str> =
                help.lines().map(str::trim).filter(|it| it.starts_with("sounding ")).collect();
            assert!(examples.iter().any(|it| it.starts_with(path)), "{path}: {help}");
            for example in examples {
                // Words between quotes are one; which word is of no matter here.
                let words = example.split('\'').enumerate().flat_map(|(index, it)| {
                    if index % 2 == 1 { vec!["x"] } else { it.split_whitespace().collect() }
                });
                assert!(Cli::try_parse_from(words).is_ok(), "{example}");
            }
        }
    }

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }
}
