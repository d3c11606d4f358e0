//! What can be said of wormhole transfers.

use std::ffi::OsString;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use transfers::transfer::Servers;
use volume::OnConflict;

/// Which servers to go by.
#[derive(Clone, Debug, Default, Args)]
pub struct ServerArgs {
    /// The mailbox server at which both sides meet, if not the configured one: ws://HOST:PORT/v1
    #[arg(long, global = true, value_name = "URL", env = "SOUNDING_MAILBOX")]
    pub mailbox: Option<String>,
    /// The transit relay, if not the configured one: tcp:HOST:PORT. May be given several times.
    #[arg(
        long,
        global = true,
        value_name = "RELAY",
        env = "SOUNDING_RELAY",
        value_delimiter = ','
    )]
    pub relay: Vec<String>,
    /// Let peers lead transfers to addresses of this machine. For tests, where no server runs.
    #[arg(long, global = true, env = "SOUNDING_LOCAL_PEERS", hide = true)]
    pub local_peers: bool,
}

/// To receive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags as they are written")]
pub struct ReceiveArgs {
    /// The code that `wormhole send` printed. Without it one is made here for the sender to use.
    pub code: Option<String>,
    /// The folder that it goes into; the root, if none is named.
    #[arg(value_name = "FOLDER")]
    pub folder: Option<OsString>,
    /// The same by name, for where no code is given.
    #[arg(long, value_name = "DIR", conflicts_with = "folder")]
    pub into: Option<OsString>,
    /// Accept what is offered without asking.
    #[arg(short, long)]
    pub yes: bool,
    /// What becomes of what has the name already.
    #[arg(long, value_parser = on_conflict(), value_name = "WHAT")]
    pub on_conflict: Option<OnConflict>,
    /// Unpack a .tar or .zip that comes as a file.
    #[arg(long)]
    pub unpack: bool,
    /// Wait for the sender, if nobody has come with this code yet.
    #[arg(long)]
    pub wait: bool,
    /// The code is just so, though a word of it is in no word list.
    #[arg(long)]
    pub exact: bool,
    /// Leave it to the server, and print the transfer's number.
    #[arg(long, requires = "yes")]
    pub detach: bool,
    /// As JSON, a line each time that something has changed.
    #[arg(long)]
    pub json: bool,
}

/// To send.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct SendArgs {
    /// What to send. More than one go as one folder.
    #[arg(required_unless_present = "text")]
    pub paths: Vec<OsString>,
    /// Send a text instead.
    #[arg(long, conflicts_with = "paths")]
    pub text: Option<String>,
    /// Use this code instead of one that is made here.
    #[arg(long)]
    pub code: Option<String>,
    /// Leave it to the server, and print what the receiver has to type.
    #[arg(long)]
    pub detach: bool,
    /// As JSON, a line each time that something has changed.
    #[arg(long)]
    pub json: bool,
}

/// Of transfers.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum TransfersCommand {
    /// List them, the newest first.
    #[command(after_help = "Examples:\n  sounding transfers list\n  sounding transfers --json")]
    List,
    /// Say all that is known of one.
    #[command(after_help = "Examples:\n  sounding transfers show 3")]
    Show {
        /// Its number.
        number: u64,
    },
    /// Wait until one has finished, or all that are under way. Status 1 where one did not end well.
    #[command(
        after_help = "Examples:\n  sounding transfers wait\n  sounding transfers wait 3 --timeout 30m --json"
    )]
    Wait {
        /// Its number; without it, all.
        number: Option<u64>,
        /// Wait no longer than this: `30m`. Status 1 then.
        #[arg(long, value_name = "AGE")]
        timeout: Option<String>,
    },
    /// Accept what one offers.
    #[command(after_help = "Examples:\n  sounding transfers accept 3 --on-conflict keep-both")]
    Accept {
        /// Its number.
        number: u64,
        /// Another folder than was said at first.
        #[arg(long, value_name = "DIR")]
        into: Option<OsString>,
        /// Another name than the sender gives it.
        #[arg(long)]
        name: Option<String>,
        /// What becomes of what has the name already.
        #[arg(long, value_parser = on_conflict(), value_name = "WHAT")]
        on_conflict: Option<OnConflict>,
        /// Unpack a .tar or .zip that comes as a file.
        #[arg(long)]
        unpack: bool,
    },
    /// Refuse what one offers.
    #[command(after_help = "Examples:\n  sounding transfers refuse 3 'not before the backup'")]
    Refuse {
        /// Its number.
        number: u64,
        /// What the sender is told.
        #[arg(default_value = "")]
        why: String,
    },
    /// Cancel one.
    #[command(after_help = "Examples:\n  sounding transfers cancel 3")]
    Cancel {
        /// Its number.
        number: u64,
    },
    /// Forget finished transfers.
    #[command(after_help = "Examples:\n  sounding transfers clear")]
    Clear,
}

/// The words of [`OnConflict`], with what each means.
fn on_conflict() -> impl TypedValueParser<Value = OnConflict> {
    let values = OnConflict::ALL.map(|it| {
        let (aliases, help): (&[&str], _) = match it {
            OnConflict::Refuse => (&[], "It stays, and nothing is received"),
            // As it was called before.
            OnConflict::KeepBoth => (&["keep"], "It stays, and what comes is called `name (2)`"),
            OnConflict::Replace => (&[], "It goes to the trash"),
        };
        PossibleValue::new(it.as_str()).aliases(aliases).help(help)
    });
    PossibleValuesParser::new(values).try_map(|it| match it.as_str() {
        "keep" => Ok(OnConflict::KeepBoth),
        word => word.parse(),
    })
}

impl From<&ServerArgs> for Servers {
    fn from(it: &ServerArgs) -> Servers {
        Servers { mailbox: it.mailbox.clone(), relays: it.relay.clone() }
    }
}

impl TransfersCommand {
    /// Whether it changes anything.
    pub fn changes_something(&self) -> bool {
        match self {
            TransfersCommand::Accept { .. }
            | TransfersCommand::Refuse { .. }
            | TransfersCommand::Cancel { .. }
            | TransfersCommand::Clear => true,
            TransfersCommand::List
            | TransfersCommand::Show { .. }
            | TransfersCommand::Wait { .. } => false,
        }
    }
}
