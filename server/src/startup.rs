//! Startup and shutdown: opens the volume, listens, makes a first key if there is none, and runs the service.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
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

/// The user of the first key.
const FIRST_USER: &str = "admin";
/// How long transfers may take to end: less than Fly's default of 5 s before it kills a machine.
const TRANSFERS_END: Duration = Duration::from_secs(4);

/// Why the service could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The volume could not be opened.
    #[error(transparent)]
    Volume(#[from] OpenVolumeError),
    /// Another server has the volume, or that is not known.
    #[error(transparent)]
    Lock(ServerLockError),
    /// The keys of a previous server could not be imported.
    #[error(transparent)]
    KeyImport(#[from] TakeKeysError),
    /// Listening failed.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// There is no key, and none could be made.
    #[error("there is no key yet, and none could be made (`API_KEYS` can bring one)")]
    FirstKey(#[from] AddKeyError),
    /// Signals cannot be received.
    #[error("could not listen for signals")]
    Signals(#[source] io::Error),
    /// The threads for connections could not be started.
    #[error("could not start the threads that serve connections")]
    Workers(#[source] io::Error),
    /// The thread for the idle shutdown could not be started.
    #[error("could not start the clock of --idle-exit")]
    Clock(#[source] io::Error),
}

/// Runs the service until a signal stops it, or until it is idle.
pub(crate) async fn run(config: Config) -> Result<(), StartError> {
    raise_descriptor_limit();
    file_body::prepare();
    let stop = Stop::listen().map_err(StartError::Signals)?;
    let timeouts = config.timeouts;
    let Bound { app, listener, workers, connections, admin, metrics, lock } = bind(config).await?;
    let background = spawn_background(&app, admin, metrics, timeouts)?;
    let stop = async {
        stop.received().await;
        app.ending.cancel();
    };
    let front = PublicService::new(Arc::clone(&app));
    let outcome = serve(listener, front, (workers, connections), timeouts, stop, &*app.idle).await;
    shut_down(&app, background, outcome).await;
    drop(lock);
    Ok(())
}

/// A service that listens, and does nothing else yet.
struct Bound {
    app: Arc<App>,
    listener: Listener,
    workers: Workers,
    connections: Arc<ConcurrencyLimit>,
    admin: Option<Listener>,
    metrics: Option<Listener>,
    /// Held until the end.
    lock: Option<ServerLock>,
}

/// Opens the volume, binds all addresses, and prints where the service is.
async fn bind(config: Config) -> Result<Bound, StartError> {
    let volume = Arc::new(Volume::open(&config.volume)?);
    let lock = lock(&volume)?;
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
    // Restored before an operator can change it.
    app.idle.keep(app.volume.keep_awake().unwrap_or_else(|error| {
        tracing::warn!("could not read .sounding/keep-awake.json: {error}");
        None
    }));
    let first_key = first_key(&app)?;
    let listener = Listener::bind(&config.listen).await?;
    // nginx opens a connection for each request. Handing it to another thread would cost more than it saves.
    let workers = match &listener {
        Listener::Unix(..) => Workers::here(),
        Listener::Tcp(_) => Workers::start().map_err(StartError::Workers)?,
    };
    let admin = admin_listener(config.admin.as_deref()).await?;
    let metrics = match &config.metrics {
        Some(listen) => Some(Listener::bind(listen).await?),
        None => None,
    };
    // Standard output may be closed. That is no reason not to serve.
    announce(&listener, first_key.as_ref(), &config.volume).unwrap_or_default();
    app.activity.counted.launch.is_ready();
    app.listening.get_or_init(|| listener.to_string());
    tracing::info!(volume = %config.volume.display(), "listening on {listener}");
    Ok(Bound { app, listener, workers, connections, admin, metrics, lock })
}

/// What runs beside the public service, and is waited for at the end.
struct Background {
    admin: Option<JoinHandle<ServeOutcome>>,
    transfers: JoinHandle<()>,
}

/// Starts what runs beside the public service: the observer, maintenance, the admin interface, metrics, and the clock of sleep.
fn spawn_background(
    app: &Arc<App>,
    admin: Option<Listener>,
    metrics: Option<Listener>,
    timeouts: Timeouts,
) -> Result<Background, StartError> {
    app.observe();
    tokio::spawn(maintenance::keep(Arc::clone(app)));
    tokio::spawn(volume_warnings::watch(Arc::clone(&app.volume), Arc::clone(&app.disk)));
    tokio::spawn(tus::recover(Arc::clone(app)));
    tokio::spawn(maintenance::keep_key_uses(Arc::clone(app)));
    let spawn_interface = |listener, router| {
        let ending = app.ending.clone();
        let timeouts = Timeouts { shutdown_grace: Duration::ZERO, ..timeouts };
        let ended = async move { ending.cancelled().await };
        tokio::spawn(async move { serve(listener, router, few(), timeouts, ended, ()).await })
    };
    if let Some(metrics) = metrics {
        tracing::info!("metrics at {metrics}/metrics");
        spawn_interface(metrics, metrics::router(app));
    }
    let admin = admin.map(|it| spawn_interface(it, admin::router(Arc::clone(app))));
    let transfers = tokio::spawn(end_transfers(Arc::clone(app)));
    Idle::start(&app.idle).map_err(StartError::Clock)?;
    let woken = Arc::clone(&app.activity);
    // A service that never sleeps is not woken.
    if app.idle.length().is_some() {
        tokio::spawn(async move { wake_log::or_not(&woken).await });
    }
    Ok(Background { admin, transfers })
}

/// Ends what runs beside the public service, and closes the journal.
async fn shut_down(app: &App, background: Background, outcome: ServeOutcome) {
    app.ending.cancel();
    maintenance::write_key_uses(app).await;
    app.feed.close().await;
    if let Err(error) = background.transfers.await {
        tracing::error!("ending the transfers failed: {error}");
    }
    // Waits until the admin interface has removed its socket.
    if let Some(admin) = background.admin
        && let Err(error) = admin.await
    {
        tracing::error!("the admin interface failed: {error}");
    }
    match outcome {
        ServeOutcome::Drained => tracing::info!("stopped"),
        ServeOutcome::CutOff => {
            tracing::warn!("stopped; downloads were cut off at the end of the grace period");
        }
        ServeOutcome::Idle => tracing::info!("asleep: nobody needs the service"),
    }
}

/// Ends transfers. Unlike downloads, they cannot finish during the shutdown: they end at once, and both sides are told.
async fn end_transfers(app: Arc<App>) {
    app.ending.cancelled().await;
    let why = if app.idle.is_asleep() {
        "nobody came for two hours, and the service went to sleep"
    } else {
        "the service was stopped"
    };
    app.transfers.end(why, TRANSFERS_END).await;
}

/// The admin socket. If no path was given and the default one cannot be used, the service runs without it: another service may use it.
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

/// Locks the volume until the end. If the file system has no locks, the volume is served all the same: on a disk that cannot be written,
/// nothing can be damaged.
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

/// Imports the keys of a previous server. Done before anything is created on the volume, since it happens only at a first start.
fn import_keys(volume: &Volume, named: Option<&Path>) -> Result<(), TakeKeysError> {
    match (volume.import_keys(named)?, named) {
        (KeyImport::TakenFrom(from), _) => tracing::info!(
            from = %from.display(),
            "the keys of the previous server are taken over; their old file stays and is not read again"
        ),
        (KeyImport::None, Some(named)) => {
            tracing::warn!(file = %named.display(), "there are no keys to take over");
        }
        (KeyImport::None | KeyImport::NotAsked, _) => {}
    }
    Ok(())
}

/// Makes a key if there is none: without one, the service could serve only `public`. A file with invalid lines is left as it is, so that
/// the operator can fix it.
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

/// Writes to standard output. The first line is for scripts, which wait for it and read the port. The rest is for people.
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

/// The arguments of `curl` for the root's listing.
fn curl_target(listener: &Listener) -> String {
    if let Some(path) = listener.unix_path() {
        let path = path.to_string_lossy().replace('\'', "'\\''");
        return format!("--unix-socket '{path}' 'http://localhost/files/?format=json'");
    }
    let Some(address) = local_address(listener) else {
        return "'http://localhost/files/?format=json'".to_owned();
    };
    // Quoted, because a shell would take the brackets of an IPv6 address and the question mark for patterns.
    format!("'http://{address}/files/?format=json'")
}

/// The address for clients on this machine. A service that listens on all addresses is reachable on loopback.
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

/// Raises the limit of open files, because every download has a socket and a file.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(errno) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!("could not raise the limit of open files: {errno}");
    }
}

/// The limit of open files.
fn descriptors() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Limits connections to a third of the limit of open files. A connection takes a socket and a file, and a few more while it waits for a
/// disk. Of the rest, half is for the open-file cache.
fn within_descriptors(limits: ConnectionLimits) -> ConnectionLimits {
    let descriptors = descriptors();
    let room = usize::try_from(descriptors / 3).unwrap_or(usize::MAX);
    // Says nothing about the default, which no operator asked for and few services reach, unless very few connections are possible.
    if room < limits.total && (limits.total != CONNECTIONS || room < FEW) {
        tracing::info!(
            "only {room} connections at a time are possible: the limit of open files is {descriptors}"
        );
    }
    ConnectionLimits { total: limits.total.min(room), ..limits }
}

/// Fewer connections than this are too few for a service with many users.
const FEW: usize = 1000;

/// Workers and limit for interfaces with few clients.
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

    /// Ready at the first signal. The second one ends the process at once.
    async fn received(mut self) {
        self.next().await;
        tracing::info!("stopping: downloads in flight may finish; a second signal cuts them off");
        tokio::spawn(async move {
            self.next().await;
            tracing::warn!("stopped by a second signal");
            log::flush();
            std::process::exit(0);
        });
    }
}
