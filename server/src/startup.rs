//! The start: a volume, a listener, a first key where there is none, and the lines that say so.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use transfers::Transfers;
use volume::keys::file::AddKeyError;
use volume::keys::import::{KeyImport, TakeKeysError};
use volume::keys::{PlainKey, Scope};
use volume::server_lock::{ServerLock, ServerLockError};
use volume::{OpenVolumeError, Volume};

use crate::admin;
use crate::app::App;
use crate::config::{CONNECTIONS, Config};
use crate::files::file_body;
use crate::files::open_file_cache::OpenFileCache;
use crate::idle::Idle;
use crate::maintenance;
use crate::metrics;
use crate::net::accept_loop::{ServeOutcome, serve};
use crate::net::concurrency_limit::{ConcurrencyLimit, ConnectionLimits};
use crate::net::listener::{ListenError, Listener};
use crate::net::timeouts::Timeouts;
use crate::net::worker_threads::Workers;
use crate::service::PublicService;
use crate::telemetry::log;
use crate::telemetry::volume_warnings;
use crate::telemetry::wake_log;
use crate::uploads::tus;

/// The user of the key that is made where there is none.
const FIRST_USER: &str = "admin";
/// How long transfers may take to end: less than the 5 s that Fly gives by default.
const TRANSFERS_END: Duration = Duration::from_secs(4);

/// Why the service could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The volume can't be opened.
    #[error(transparent)]
    Volume(#[from] OpenVolumeError),
    /// Another server has the volume, or that can't be told.
    #[error(transparent)]
    Lock(ServerLockError),
    /// There are keys of a server that was here before, and they can't be had.
    #[error(transparent)]
    KeyImport(#[from] TakeKeysError),
    /// There is no listening where it was asked for.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// There is no key, and none could be made.
    #[error("there is no key yet, and none could be made (`API_KEYS` can bring one)")]
    FirstKey(#[from] AddKeyError),
    /// Signals can't be received.
    #[error("could not listen for signals")]
    Signals(#[source] io::Error),
    /// There are no threads to serve connections.
    #[error("could not start the threads that serve connections")]
    Workers(#[source] io::Error),
    /// There is no thread for the clock by which it sleeps.
    #[error("could not start the clock of --idle-exit")]
    Clock(#[source] io::Error),
}

/// Runs the service until a signal ends it, or nobody needs it.
pub(crate) async fn run(config: Config) -> Result<(), StartError> {
    raise_descriptor_limit();
    file_body::prepare();
    let stop = Stop::listen().map_err(StartError::Signals)?;
    let volume = Arc::new(Volume::open(&config.volume)?);
    let _lock = lock(&volume)?;
    import_keys(&volume, config.import_keys.as_deref())?;
    let transfers = Transfers::new(Arc::clone(&volume), config.wormhole, config.servers);
    let connections = ConcurrencyLimit::new(within_descriptors(config.limits));
    let app = App::new(volume, config.extra_keys, transfers, config.timeouts.write);
    let app = Arc::new(App {
        idle: Arc::new(Idle::new(config.idle, Arc::clone(&app.activity), app.transfers.clone())),
        is_behind_proxy: config.is_behind_proxy,
        requests: ConcurrencyLimit::new(config.limits),
        open_files: OpenFileCache::of(descriptors() / 6),
        ..app
    });
    // Before anybody can say otherwise.
    app.idle.keep(app.volume.keep_awake().unwrap_or_else(|error| {
        tracing::warn!("could not read .sounding/keep-awake.json: {error}");
        None
    }));
    let first_key = first_key(&app)?;
    let listener = Listener::bind(&config.listen).await?;
    // nginx opens a connection for each request; to hand it to another thread costs more than the thread saves.
    let workers = match &listener {
        Listener::Unix(..) => Workers::here(),
        Listener::Tcp(_) => Workers::start().map_err(StartError::Workers)?,
    };
    let admin = admin_listener(config.admin.as_deref()).await?;
    let metrics = match &config.metrics {
        Some(listen) => Some(Listener::bind(listen).await?),
        None => None,
    };
    // Nobody may be reading; that is no reason not to serve.
    announce(&listener, first_key.as_ref(), &config.volume).unwrap_or_default();
    app.activity.counted.launch.is_ready();
    app.listening.get_or_init(|| listener.to_string());
    tracing::info!(volume = %config.volume.display(), "listening on {listener}");
    app.observe();
    tokio::spawn(maintenance::keep(Arc::clone(&app)));
    tokio::spawn(volume_warnings::watch(Arc::clone(&app.volume), Arc::clone(&app.disk)));
    tokio::spawn(tus::recover(Arc::clone(&app)));
    tokio::spawn(maintenance::keep_key_uses(Arc::clone(&app)));
    let ending = app.ending.clone();
    if let Some(metrics) = metrics {
        tracing::info!("metrics at {metrics}/metrics");
        let (router, ending) = (metrics::router(&app), app.ending.clone());
        let timeouts = Timeouts { shutdown_grace: Duration::ZERO, ..config.timeouts };
        let ended = async move { ending.cancelled().await };
        tokio::spawn(async move { serve(metrics, router, few(), timeouts, ended, ()).await });
    }
    let admin = admin.map(|it| {
        let (router, ending) = (admin::router(Arc::clone(&app)), app.ending.clone());
        let timeouts = Timeouts { shutdown_grace: Duration::ZERO, ..config.timeouts };
        let ended = async move { ending.cancelled().await };
        tokio::spawn(async move { serve(it, router, few(), timeouts, ended, ()).await })
    });
    let transfers = tokio::spawn(end_transfers(Arc::clone(&app)));
    Idle::start(&app.idle).map_err(StartError::Clock)?;
    let woken = Arc::clone(&app.activity);
    // What never sleeps is not woken either.
    if app.idle.length().is_some() {
        tokio::spawn(async move { wake_log::or_not(&woken).await });
    }
    let stop = async {
        stop.received().await;
        ending.cancel();
    };
    let front = PublicService::new(Arc::clone(&app));
    let end =
        serve(listener, front, (workers, connections), config.timeouts, stop, &*app.idle).await;
    ending.cancel();
    maintenance::write_key_uses(&app).await;
    app.feed.close().await;
    if let Err(error) = transfers.await {
        tracing::error!("ending transfers broke off: {error}");
    }
    // Its socket goes with it.
    if let Some(admin) = admin
        && let Err(error) = admin.await
    {
        tracing::error!("the admin interface broke off: {error}");
    }
    match end {
        ServeOutcome::Drained => tracing::info!("stopped"),
        ServeOutcome::CutOff => {
            tracing::warn!("stopped; downloads were cut off when their time was up");
        }
        ServeOutcome::Idle => tracing::info!("asleep: nobody needs the service"),
    }
    Ok(())
}

/// Transfers can't be finished while the service stops, as downloads can: they end at once, and both sides are told.
async fn end_transfers(app: Arc<App>) {
    app.ending.cancelled().await;
    let why = if app.idle.is_asleep() {
        "nobody came for two hours, and the service went to sleep"
    } else {
        "the service was stopped"
    };
    app.transfers.end(why, TRANSFERS_END).await;
}

/// The admin socket. Where nobody named one, the service does without it if it can't be had: another one may have it.
async fn admin_listener(named: Option<&Path>) -> Result<Option<Listener>, ListenError> {
    if let Some(path) = named {
        return Ok(Some(admin::bind(path).await?));
    }
    let Some(path) = admin::default_path() else {
        tracing::warn!("no admin socket: there is no folder for it, name one with --admin PATH");
        return Ok(None);
    };
    match admin::bind(&path).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) => {
            tracing::warn!("no admin socket: {error}; name another with --admin PATH");
            Ok(None)
        }
    }
}

/// Held until the end. What can't be locked is served all the same: on a disk that can't be written nothing can be spoilt.
fn lock(volume: &Volume) -> Result<Option<ServerLock>, StartError> {
    match volume.lock_for_server() {
        Ok(lock) => Ok(Some(lock)),
        Err(error @ (ServerLockError::Taken { .. } | ServerLockError::Io(_))) => {
            Err(StartError::Lock(error))
        }
        Err(ServerLockError::NoLocks(error)) => {
            tracing::warn!(
                "another server on the same volume would not be noticed: .sounding/server.lock: {error}"
            );
            Ok(None)
        }
    }
}

/// Before anything else is made of the volume: only at a first start are keys taken over.
fn import_keys(volume: &Volume, named: Option<&Path>) -> Result<(), TakeKeysError> {
    match (volume.import_keys(named)?, named) {
        (KeyImport::TakenFrom(from), _) => tracing::info!(
            from = %from.display(),
            "the keys of the server that was here before are taken over; their old file stays and is not read again"
        ),
        (KeyImport::None, Some(named)) => {
            tracing::warn!(file = %named.display(), "there are no keys to take over");
        }
        (KeyImport::None | KeyImport::NotAsked, _) => {}
    }
    Ok(())
}

/// Makes a key where there is none: a service without one could serve nothing but `public`. A file that holds what can't be understood
/// is left as it is, for whoever mends it.
fn first_key(app: &App) -> Result<Option<PlainKey>, AddKeyError> {
    for notice in &app.key_ring.file.extra().notices {
        tracing::warn!("API_KEYS, key {}: {}", notice.line, notice.what);
    }
    let keys = app.key_ring.current();
    if !keys.is_empty() || !keys.notices.is_empty() || app.key_ring.file.trouble().is_some() {
        return Ok(None);
    }
    let key = app.key_ring.file.add(FIRST_USER, Scope::Write, jiff::Timestamp::now())?;
    Ok(Some(key))
}

/// The first line is for scripts, which wait for it and learn the port; what follows is for people.
fn announce(listener: &Listener, first_key: Option<&PlainKey>, volume: &Path) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening on {listener}")?;
    if let Some(key) = first_key {
        let key = String::from_utf8_lossy(key.reveal());
        writeln!(
            out,
            "\nThere was no key yet. This one has been made; it is shown this once and stands in\n{}:\n\n    {key}\n",
            volume.join(volume::layout::SERVICE_FOLDER).join(volume::layout::KEYS_FILE).display(),
        )?;
        if let Some(address) = local_address(listener) {
            writeln!(
                out,
                "In a browser, with the key as the password (the name does not matter):\n\n    http://{address}/files/\n"
            )?;
        }
        writeln!(
            out,
            "With curl, `[]` where there is nothing yet:\n\n    curl -H 'Authorization: {key}' {}\n",
            curl_target(listener),
        )?;
    }
    out.flush()
}

/// What comes behind `curl` to get the root's listing.
fn curl_target(listener: &Listener) -> String {
    if let Some(path) = listener.unix_path() {
        let path = path.to_string_lossy().replace('\'', "'\\''");
        return format!("--unix-socket '{path}' 'http://localhost/files/?format=json'");
    }
    let Some(address) = local_address(listener) else {
        return "'http://localhost/files/?format=json'".to_owned();
    };
    // A shell would take the brackets of an IPv6 address, and the question mark, for a pattern.
    format!("'http://{address}/files/?format=json'")
}

/// Where this machine's own clients find it. Listening everywhere is listening here too.
fn local_address(listener: &Listener) -> Option<SocketAddr> {
    let mut address = listener.tcp_address()?;
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    Some(address)
}

/// Every download has a socket and a file.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(errno) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!("could not raise the limit of open files: {errno}");
    }
}

/// How many files may be open.
fn descriptors() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// A connection takes a socket and a file, and a cold one a little more. Of what is left, half is for files that are known, and half
/// for the rest.
fn within_descriptors(limits: ConnectionLimits) -> ConnectionLimits {
    let descriptors = descriptors();
    let room = usize::try_from(descriptors / 3).unwrap_or(usize::MAX);
    // Nobody asked for as many as there are by default, and few ever come.
    if room < limits.total && (limits.total != CONNECTIONS || room < FEW) {
        tracing::info!(
            "there can only be {room} connections at a time: files may be open {descriptors} times"
        );
    }
    ConnectionLimits { total: limits.total.min(room), ..limits }
}

/// Connections that are too few for a service that many use.
const FEW: usize = 1000;

/// What serves interfaces that few come to.
fn few() -> (Workers, Arc<ConcurrencyLimit>) {
    (Workers::here(), ConcurrencyLimit::new(ConnectionLimits::default()))
}

/// SIGTERM and Ctrl-C.
struct Stop {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Stop {
    fn listen() -> io::Result<Stop> {
        Ok(Stop {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Done at the first signal. The second ends the process: somebody means it.
    async fn received(mut self) {
        self.next().await;
        tracing::info!("stopping: downloads under way may finish; a second signal cuts them off");
        tokio::spawn(async move {
            self.next().await;
            tracing::warn!("stopped by a second signal");
            log::flush();
            std::process::exit(0);
        });
    }
}
