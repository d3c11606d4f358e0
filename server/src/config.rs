//! The command line and environment: as written, and as meant.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use transfers::settings::{mailbox_url, relay};
use transfers::transfer::Servers;
use volume::keys::Keys;
use wormhole::{HintPolicy, RelayHint, Settings};

use crate::idle::Rules;
use crate::net::concurrency_limit::ConnectionLimits;
use crate::net::listener::Listen;
use crate::net::timeouts::Timeouts;
use crate::telemetry::log::LogFormat;

/// Default for the limit of connections.
pub(crate) const CONNECTIONS: usize = 10_000;

/// The variable with keys besides those in the volume's file. There is no flag for it, because everyone can see a flag's value.
const API_KEYS: &str = "API_KEYS";

/// Old names of variables, each with its argument: read if the new one is not set.
const OLD_VARIABLES: [(&str, &str); 2] = [
    ("import_keys", "SOUNDING_TAKE_KEYS"),
    ("connections_per_client", "SOUNDING_CONNECTIONS_OF_ONE"),
];

/// The command line and environment, as written.
#[derive(Debug, Parser)]
#[command(name = "sounding-server", version, about = "Serves the files of a data volume over HTTP.", long_about = LONG_ABOUT, after_long_help = EXAMPLES)]
pub(crate) struct Flags {
    /// The volume: the folder whose tree is served. Made if it is missing.
    #[arg(long, value_name = "DIR", env = "SOUNDING_VOLUME", default_value = "./data")]
    volume: PathBuf,

    /// Where to listen: HOST:PORT (port 0 takes any free one), unix:PATH, or fd:0 for an inherited socket.
    #[arg(long, value_name = "ADDR", env = "SOUNDING_LISTEN", default_value = "127.0.0.1:4999")]
    listen: Listen,

    /// The admin socket, over which the console learns what goes on. Only the service's own user can open it. By default
    /// it is admin.sock in /run/sounding or in the user's runtime folder.
    #[arg(long, value_name = "PATH", env = "SOUNDING_ADMIN")]
    admin: Option<PathBuf>,

    /// Where Prometheus scrapes /metrics: HOST:PORT. Off by default.
    #[arg(long, value_name = "ADDR", env = "SOUNDING_METRICS")]
    metrics: Option<Listen>,

    /// The keys of a server that was here before: an auth-keys.csv in its format. Imported once, at the first start on a
    /// volume, and so is one that lies at the volume's root or in its .admin.
    #[arg(long, alias = "take-keys", value_name = "FILE", env = "SOUNDING_IMPORT_KEYS")]
    import_keys: Option<PathBuf>,

    /// The mailbox server at which wormhole transfers meet, if not the public one: ws://HOST:PORT/v1
    #[arg(long, value_name = "URL", env = "SOUNDING_MAILBOX", value_parser = mailbox_url)]
    mailbox: Option<String>,

    /// The transit relay of wormhole transfers, if not the public one: tcp:HOST:PORT. Several with a comma between.
    #[arg(long, value_name = "RELAY", env = "SOUNDING_RELAY", value_delimiter = ',', value_parser = relay)]
    relay: Vec<RelayHint>,

    /// Let wormhole peers lead transfers to addresses of this machine and its private network. For tests.
    #[arg(long, env = "SOUNDING_LOCAL_PEERS", hide = true)]
    local_peers: bool,

    /// How long downloads that are under way may go on after SIGTERM or Ctrl-C. A second signal ends them at once.
    #[arg(long, value_name = "SECONDS", env = "SOUNDING_GRACE", default_value_t = 30)]
    grace: u32,

    /// Whoever connects is a proxy that can be trusted: its Fly-Client-IP or X-Forwarded-For says whose a request is. Without it they
    /// count from this machine only. Where others can reach the port too, they could say that they are anybody.
    #[arg(long, env = "SOUNDING_BEHIND_PROXY")]
    behind_proxy: bool,

    /// Maximum concurrent connections; more get 503.
    #[arg(long, value_name = "NUMBER", env = "SOUNDING_CONNECTIONS", default_value_t = CONNECTIONS)]
    connections: usize,

    /// Of these, from one address; also requests in flight for one client, where a proxy on this machine says whose they are.
    #[arg(
        long,
        alias = "connections-of-one",
        value_name = "NUMBER",
        env = "SOUNDING_CONNECTIONS_PER_CLIENT",
        default_value_t = 1_000
    )]
    connections_per_client: usize,

    /// End with status 0 after so long without need of the service: no download, upload, wormhole transfer, console or ssh
    /// session in use, and no request with a good key or for something public. Off by default.
    #[arg(long, value_name = "SECONDS", env = "SOUNDING_IDLE_EXIT", value_parser = clap::value_parser!(u32).range(1..))]
    idle_exit: Option<u32>,

    /// How long a minute is to all other times that idle exit goes by, in milliseconds. For tests.
    #[arg(long, env = "SOUNDING_IDLE_MINUTE", hide = true, default_value_t = 60_000)]
    idle_minute: u32,

    /// The log's format, one line an event, on standard error.
    #[arg(long, value_name = "FORMAT", env = "SOUNDING_LOG", default_value = "text")]
    log: LogFormat,
}

const LONG_ABOUT: &str = "\
Serves the files of a data volume over HTTP: whole or by byte range, to browsers, curl, wget, rclone, DuckDB and
whatever else speaks HTTP.

Files in the folder `public` of the volume can be read by anyone. All others need a key, sent as
`Authorization: KEY`, as the password where a browser asks for one, or in the address: /share/KEY/PATH. Keys
stand in `.sounding/auth-keys.csv` on the volume, a line each; an edit counts from the next request on. Where there
is no key at all, one is made at the first start and shown once.";

const EXAMPLES: &str = "\
Examples:
  sounding-server
      serves ./data on http://127.0.0.1:4999
  sounding-server --volume /data --listen 0.0.0.0:8080
      serves /data to the network
  API_KEYS=kmt-s3cret sounding-server
      with one more key, of the user `kmt`

  curl -H 'Authorization: KEY' 'http://127.0.0.1:4999/files/?format=json'    what is there
  curl -H 'Authorization: KEY' -r 0-1023 http://127.0.0.1:4999/files/FILE    a file's first 1024 bytes
  curl -H 'Authorization: KEY' -T FILE http://127.0.0.1:4999/files/FOLDER/   store a file (key with scope `write`)

Environment:
  API_KEYS   key1,key2: more keys; a user's name is the part before the first `-`";

/// The configuration, as meant.
#[derive(Debug)]
pub(crate) struct Config {
    /// The volume's root.
    pub volume: PathBuf,
    /// Where to listen.
    pub listen: Listen,
    /// The admin socket, if it was given.
    pub admin: Option<PathBuf>,
    /// Time-outs for clients.
    pub timeouts: Timeouts,
    /// Limits of concurrent connections.
    pub limits: ConnectionLimits,
    /// Whether all connections come from a trusted proxy, which names the clients.
    pub is_behind_proxy: bool,
    /// Where Prometheus scrapes, if it does.
    pub metrics: Option<Listen>,
    /// The keys file of a previous server, if it was given.
    pub import_keys: Option<PathBuf>,
    /// Settings of wormhole transfers.
    pub wormhole: Settings,
    /// The servers for wormhole transfers, if they were given.
    pub servers: Servers,
    /// The rules for shutting down when idle, if it does.
    pub idle: Option<Rules>,
    /// The log's format.
    pub log: LogFormat,
    /// Keys besides those on the volume.
    pub extra_keys: Keys,
}

impl Config {
    /// From this process's arguments and environment. Ends the process with a message if they are invalid.
    pub(crate) fn of_process() -> Config {
        let mut command = Flags::command();
        for (argument, variable) in OLD_VARIABLES {
            if let Some(value) = std::env::var_os(variable) {
                command = command.mut_arg(argument, |it| it.default_value(value));
            }
        }
        let flags = Flags::from_arg_matches(&command.get_matches()).unwrap_or_else(|it| it.exit());
        Config::new(flags, std::env::var_os(API_KEYS))
    }

    fn new(flags: Flags, api_keys: Option<OsString>) -> Config {
        let Flags { volume, listen, admin, metrics, import_keys, mailbox, relay, .. } = flags;
        let Flags { local_peers, grace, idle_exit, idle_minute, log, .. } = flags;
        let limits = ConnectionLimits {
            total: flags.connections,
            per_address: flags.connections_per_client,
        };
        let timeouts =
            Timeouts { shutdown_grace: Duration::from_secs(grace.into()), ..Timeouts::default() };
        let extra_keys = Keys::parse_list(&api_keys.unwrap_or_default().to_string_lossy());
        let reach = if local_peers { HintPolicy::Anywhere } else { HintPolicy::Others };
        let wormhole = Settings { reach, ..Settings::default() };
        let relays = relay.iter().map(ToString::to_string).collect();
        let servers = Servers { mailbox, relays };
        let minute = Duration::from_millis(idle_minute.into());
        let idle = idle_exit.map(|it| Rules::new(Duration::from_secs(it.into()), minute));
        Config {
            volume,
            listen,
            admin,
            timeouts,
            limits,
            is_behind_proxy: flags.behind_proxy,
            metrics,
            import_keys,
            wormhole,
            servers,
            idle,
            log,
            extra_keys,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_argument_is_needed() {
        let config = Config::new(Flags::try_parse_from(["sounding-server"]).unwrap(), None);
        assert_eq!(config.volume, PathBuf::from("./data"));
        assert_eq!(config.listen, Listen::Tcp("127.0.0.1:4999".to_owned()));
        assert!(config.extra_keys.is_empty());
    }

    #[test]
    fn old_words_are_still_understood() {
        let old = ["sounding-server", "--take-keys", "k.csv", "--connections-of-one", "7"];
        let config = Config::new(Flags::try_parse_from(old).unwrap(), None);
        assert_eq!(config.import_keys, Some(PathBuf::from("k.csv")));
        assert_eq!(config.limits.per_address, 7);
        let help = Flags::command().render_long_help().to_string();
        assert!(!help.contains("take-keys") && !help.contains("of-one"));
        let arguments: Vec<_> =
            Flags::command().get_arguments().map(|it| it.get_id().to_string()).collect();
        assert!(OLD_VARIABLES.iter().all(|it| arguments.iter().any(|name| name == it.0)));
    }

    #[test]
    fn help_shows_no_key() {
        let help = Flags::command().render_long_help().to_string();
        assert!(help.contains("--volume") && help.contains("API_KEYS"));
        assert!(!help.contains("[env: API_KEYS"));
    }
}
