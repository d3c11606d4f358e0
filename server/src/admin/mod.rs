//! The admin interface for operators: the current activity, over a Unix socket that only the service's own user can open.
//!
//! HTTP with JSON responses. Its routes are separate from the public ones. No response contains a key.

use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::transfers::transfer::{Direction, Transfer};
use axum::extract::{RawQuery, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use volume::journal::{Change, ChangeKind, JournalError};
use volume::keys::usage::KeyUses;
use volume::{RelPath, Volume, names};

pub(crate) mod health;
mod transfers;

use crate::app::App;
use crate::extract::query;
use crate::feed;
use crate::idle::{self, LONGEST_KEPT};
use crate::net::listener::{Listen, ListenError, Listener};
use crate::problem::Problem;
use crate::telemetry::activity::{ConsoleNow, OpenNow, Presence, Rates, Recent};

/// The usual directory for such sockets.
const FOLDER: &str = "/run/sounding";
const SOCKET: &str = "admin.sock";
/// Number of parts in which the last five minutes are reported.
const PARTS: usize = 60;
/// Number of reported arrivals.
const ARRIVALS: usize = 20;
/// Number of changes in which arrivals are searched for.
const LATEST: usize = 200;

/// The socket's default path: in `/run/sounding` if that is writable, otherwise in the user's runtime directory. `None` if neither works.
pub(crate) fn default_path() -> Option<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(|it| PathBuf::from(it).join("sounding"));
    [Some(PathBuf::from(FOLDER)), runtime]
        .into_iter()
        .flatten()
        .find(|it| is_ours(it))
        .map(|it| it.join(SOCKET))
}

/// Makes a directory for the socket, for its owner only. Returns whether it is usable.
fn is_ours(folder: &Path) -> bool {
    use rustix::fs::{Access, Mode};
    match rustix::fs::mkdir(folder, Mode::RWXU) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(_) => return false,
    }
    rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

/// Listens on a socket that only its owner can open.
#[expect(clippy::disallowed_methods, reason = "the socket is not on the volume")]
pub(crate) async fn bind(path: &Path) -> Result<Listener, ListenError> {
    let listen = Listen::Unix(path.to_owned());
    let listener = Listener::bind(&listen).await?;
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, mode).map_err(|source| ListenError::Bind { listen, source })?;
    Ok(listener)
}

pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/service", get(service))
        .route("/activity", get(activity).delete(end))
        .route("/awake", get(why_awake).put(keep_awake).delete(keep_awake_no_more))
        .route("/keys", get(keys))
        .route("/transfers", get(transfers::list).post(transfers::start).delete(transfers::forget))
        .route("/transfers/{number}", get(transfers::get).delete(transfers::cancel))
        .route("/transfers/{number}/answer", post(transfers::answer))
        .fallback(|| async { Problem::NotFound })
        .with_state(app)
}

/// Identifies the service.
#[derive(Serialize)]
struct Service {
    version: &'static str,
    pid: u32,
    since: Timestamp,
    /// Device and inode of the volume, so that a console can tell whether it shows the same volume.
    volume: (u64, u64),
    /// The address on which it listens, if it is TCP.
    address: Option<String>,
}

async fn service(State(app): State<Arc<App>>) -> Result<Json<Service>, Problem> {
    Ok(Json(Service {
        version: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
        since: app.activity.since,
        volume: app.volume.identity().map_err(Problem::internal)?,
        address: app.listening.get().filter(|it| it.starts_with("http")).cloned(),
    }))
}

#[derive(Serialize)]
struct ActivityNow {
    /// When the service started; its counters start with it.
    since: Timestamp,
    up_seconds: u64,
    #[serde(flatten)]
    figures: Rates,
    open: Vec<OpenNow>,
    recent: Vec<Recent>,
    arrivals: Vec<Arrival>,
    disk: Disk,
    #[serde(flatten)]
    sleep: Sleep,
    /// Warnings for the operator, in plain words.
    warnings: Vec<String>,
    console: Option<u32>,
    consoles: Vec<ConsoleNow>,
}

#[derive(Serialize)]
struct Disk {
    size: u64,
    free: u64,
    /// Bytes per second by which the free space shrinks. Negative if it grows.
    filling: Option<f64>,
}

/// A file or folder that has arrived.
#[derive(Serialize)]
struct Arrival {
    time: Timestamp,
    path: RelPath,
    #[serde(rename = "type")]
    kind: &'static str,
    size: Option<u64>,
}

async fn activity(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
) -> Result<Json<ActivityNow>, Problem> {
    let text = |name| {
        let value = query::value(query.as_deref(), name)?;
        Some(String::from_utf8_lossy(&value).into_owned())
    };
    // Seconds since a key was last pressed in the console.
    let untouched = query::number(query.as_deref(), "untouched")?.map(Duration::from_secs);
    let presence = Presence {
        touched: untouched.and_then(|it| Instant::now().checked_sub(it)),
        terminal: query::number(query.as_deref(), "terminal")?,
    };
    let console = text("console").map(|it| app.activity.console(&it, Some(presence)));
    let since = text("since").and_then(|it| it.parse().ok()).unwrap_or(0);
    let volume = Arc::clone(&app.volume);
    let looked = tokio::task::spawn_blocking(move || {
        // Without a journal, everything else is still reported.
        let latest = latest(&volume).unwrap_or_default();
        (volume.space(), latest)
    });
    let (space, latest) = looked.await.map_err(Problem::internal)?;
    let space = space.map_err(Problem::internal)?;
    let (activity, mut open) = (&app.activity, app.activity.open());
    let sleep = Sleep::of(&app);
    open.extend(app.transfers.under_way().iter().map(of_transfer));
    let of_disk = app.disk.warnings();
    let of_feed = app.feed.warning().map(|it| it.whole);
    let kept_out = activity.kept_out_warning().map(str::to_owned);
    let trouble =
        app.key_ring.file.trouble().map(|it| format!("auth-keys.csv is not in force: {}", it.what));
    Ok(Json(ActivityNow {
        since: activity.since,
        up_seconds: activity.up().as_secs(),
        figures: activity.figures(PARTS),
        open,
        recent: activity.recent(since),
        arrivals: latest.iter().filter_map(Arrival::of).take(ARRIVALS).collect(),
        disk: Disk { size: space.size, free: space.free, filling: activity.filling(space.free) },
        sleep,
        warnings: [of_feed, trouble, kept_out].into_iter().flatten().chain(of_disk).collect(),
        console,
        consoles: activity.consoles(),
    }))
}

/// The last changes in the journal.
fn latest(volume: &Volume) -> Result<Vec<Change>, JournalError> {
    let journal = feed::open(volume)?;
    let latest = journal.latest(LATEST);
    if let Err(error) = &latest {
        journal.put_aside_if_damaged(volume, error)?;
    }
    latest
}

/// A wormhole transfer, reported together with the requests in flight.
fn of_transfer(transfer: &Transfer) -> OpenNow {
    let path = match (&transfer.path, transfer.paths.first(), &transfer.code) {
        (Some(path), ..) | (None, Some(path), _) => path.to_url(),
        (None, None, code) => volume::escape(code.as_deref().unwrap_or_default().as_bytes()),
    };
    let (sent, received) = match transfer.direction {
        Direction::Receive => (0, transfer.done),
        Direction::Send => (transfer.done, 0),
    };
    let length = Timestamp::now().duration_since(transfer.started).unsigned_abs();
    OpenNow {
        // No request's number gets this high.
        seq: u64::MAX - transfer.number,
        method: "wormhole".to_owned(),
        path,
        range: None,
        username: Some(transfer.started_by.clone()),
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        millis: u64::try_from(length.as_millis()).unwrap_or(u64::MAX),
        sent,
        received,
        expected: Some(transfer.total()).filter(|it| *it > 0),
    }
}

/// Why the service is awake, and until when.
#[derive(Serialize)]
struct Sleep {
    /// The reasons, in plain words.
    awake: Vec<String>,
    /// Idle time before it shuts down, in seconds. `None` if it never shuts down when idle.
    idle_exit: Option<u64>,
    /// When it shuts down, unless something happens before. `None` if that is not known yet.
    sleeps_at: Option<Timestamp>,
    /// Until when an operator keeps it awake.
    kept_until: Option<Timestamp>,
}

impl Sleep {
    fn of(app: &App) -> Sleep {
        let decision = app.idle.decision();
        Sleep {
            awake: decision.reasons.iter().map(ToString::to_string).collect(),
            idle_exit: app.idle.length().map(|it| it.as_secs()),
            sleeps_at: decision.sleeps_at.map(idle::timestamp),
            kept_until: app.idle.kept_until(),
        }
    }
}

/// How long an operator wants to keep the service awake.
#[derive(Deserialize)]
struct Keep {
    seconds: u64,
}

/// Ends the wish of an operator to keep the service awake.
async fn keep_awake(
    State(app): State<Arc<App>>,
    Json(keep): Json<Keep>,
) -> Result<Json<Sleep>, Problem> {
    let length = Duration::from_secs(keep.seconds).min(LONGEST_KEPT);
    keep_until(app, Timestamp::now().checked_add(length).ok()).await
}

/// Ends that.
async fn keep_awake_no_more(State(app): State<Arc<App>>) -> Result<Json<Sleep>, Problem> {
    keep_until(app, None).await
}

async fn keep_until(app: Arc<App>, until: Option<Timestamp>) -> Result<Json<Sleep>, Problem> {
    app.idle.keep(until);
    let (volume, until) = (Arc::clone(&app.volume), app.idle.kept_until());
    let kept = tokio::task::spawn_blocking(move || volume.set_keep_awake(until)).await;
    kept.map_err(Problem::internal)?.map_err(Problem::internal)?;
    Ok(Json(Sleep::of(&app)))
}

async fn why_awake(State(app): State<Arc<App>>) -> Json<Sleep> {
    Json(Sleep::of(&app))
}

/// A console has ended.
async fn end(State(app): State<Arc<App>>, RawQuery(query): RawQuery) {
    if let Some(id) = query::value(query.as_deref(), "console") {
        app.activity.console_ends(&String::from_utf8_lossy(&id));
        app.idle.look_again();
    }
}

impl Arrival {
    fn of(change: &Change) -> Option<Arrival> {
        let has_arrived = matches!(change.kind, ChangeKind::Added | ChangeKind::Modified);
        let is_file = change.entry == names::Kind::File;
        has_arrived.then(|| Arrival {
            time: change.time,
            path: change.path.clone(),
            kind: if is_file { "file" } else { "directory" },
            size: change.stat.filter(|_| is_file).map(|it| it.len),
        })
    }
}

/// What the service knows about the keys beyond their file.
#[derive(Serialize)]
struct KeysNow {
    /// The version of the file whose keys are in force.
    version: Option<String>,
    /// Why a newer version is not in force.
    trouble: Option<String>,
    /// The keys from `API_KEYS`.
    extra: Vec<ExtraKey>,
    /// By the keys' IDs.
    uses: KeyUses,
}

#[derive(Serialize)]
struct ExtraKey {
    id: String,
    username: String,
    /// The key, masked.
    apikey: String,
}

async fn keys(State(app): State<Arc<App>>) -> Json<KeysNow> {
    app.key_ring.current();
    let extra = app.key_ring.file.extra().iter().map(|it| ExtraKey {
        id: it.hashed.id(),
        username: it.user.clone(),
        apikey: it.masked.clone(),
    });
    Json(KeysNow {
        version: app.key_ring.file.version().map(|it| it.to_string()),
        trouble: app.key_ring.file.trouble().map(|it| it.what),
        extra: extra.collect(),
        uses: app.activity.key_uses(),
    })
}
