//! The state that all handlers share.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use transfers::Transfers;
use volume::keys::Keys;
use volume::staging::Staged;
use volume::{Blocking, FindError, Found, KeyFile, RelPath, Volume};

use crate::auth::caller::Caller;
use crate::auth::key_guesses::GuessLimiter;
use crate::auth::key_ring::KeyRing;
use crate::feed::Feed;
use crate::files::listing::snapshots::Snapshots;
use crate::files::open_file_cache::OpenFileCache;
use crate::http::encoders::Encoders;
use crate::idle::Idle;
use crate::net::concurrency_limit::{ConcurrencyLimit, ConnectionLimits};
use crate::problem::Problem;
use crate::telemetry::activity::Activity;
use crate::telemetry::volume_warnings::VolumeWarnings;
use crate::uploads::receive::Intake;
use crate::uploads::tus::locks::UploadLocks;

/// The state of a service, shared by all connections as long as it runs.
#[derive(Debug)]
pub struct App {
    /// The volume.
    pub volume: Arc<Volume>,
    /// The keys; checked again by each request with a key.
    pub key_ring: Arc<KeyRing>,
    /// Slows down clients that guess keys.
    pub guess_limiter: GuessLimiter,
    /// Encoders for content codings, limited by memory.
    pub encoders: Encoders,
    /// Names in folders, for listings in progress.
    pub snapshots: Snapshots,
    /// Limits for uploads in progress.
    pub intake: Intake,
    /// The open-file cache.
    pub open_files: OpenFileCache,
    /// The limit for requests of proxies' clients.
    pub requests: Arc<ConcurrencyLimit>,
    /// Locks of resumable uploads.
    pub upload_locks: UploadLocks,
    /// The current activity.
    pub activity: Arc<Activity>,
    /// Warnings about the volume's file system.
    pub disk: Arc<VolumeWarnings>,
    /// The change feed.
    pub feed: Feed,
    /// Wormhole transfers.
    pub transfers: Transfers,
    /// The idle shutdown.
    pub idle: Arc<Idle>,
    /// Cancelled when the service stops, so that clients that wait for changes get their response.
    pub ending: CancellationToken,
    /// Longest time without bytes in an upload's body.
    pub stall: Duration,
    /// Whether all connections come from a trusted proxy, which names the clients.
    pub is_behind_proxy: bool,
    /// The listener's address, as in the first line on stdout.
    pub listening: OnceLock<String>,
}

impl App {
    /// A service for a volume, with keys besides those in the volume's file. It never shuts down when idle.
    pub fn new(
        volume: Arc<Volume>,
        extra_keys: Keys,
        transfers: Transfers,
        stall: Duration,
    ) -> App {
        let key_ring = Arc::new(KeyRing::new(KeyFile::new(Arc::clone(&volume), extra_keys)));
        let activity = Arc::default();
        let idle = Idle::new(None, Arc::clone(&activity), transfers.clone());
        App {
            disk: Arc::default(),
            feed: Feed::new(Arc::clone(&volume)),
            transfers,
            idle: Arc::new(idle),
            ending: CancellationToken::new(),
            volume,
            key_ring,
            guess_limiter: GuessLimiter::default(),
            activity,
            encoders: Encoders::default(),
            snapshots: Snapshots::default(),
            intake: Intake::default(),
            open_files: OpenFileCache::default(),
            requests: ConcurrencyLimit::new(ConnectionLimits::default()),
            upload_locks: UploadLocks::default(),
            stall,
            is_behind_proxy: false,
            listening: OnceLock::new(),
        }
    }

    /// Starts to observe the volume.
    pub fn observe(&self) {
        let open_files = self.open_files.clone();
        self.volume.before_making_room(move || open_files.let_go());
        let open_files = self.open_files.clone();
        self.feed.observe(move || open_files.invalidate());
    }

    /// Looks a path up. Uses the blocking pool only if the disk must be read. A failed look-up becomes a `Problem`.
    pub async fn find(self: &Arc<App>, path: &RelPath) -> Result<Found, Problem> {
        Ok(self.look(path).await?)
    }

    /// The same with the error of the look-up, for callers to whom a missing file is a valid result.
    pub async fn look(self: &Arc<App>, path: &RelPath) -> Result<Found, FindError> {
        match self.volume.find(path, Blocking::CachedOnly) {
            Err(FindError::WouldBlock { .. }) => {}
            result => return result,
        }
        let (volume, wanted) = (Arc::clone(&self.volume), path.clone());
        let found = tokio::task::spawn_blocking(move || volume.find(&wanted, Blocking::MayBlock));
        found.await.unwrap_or_else(|it| {
            Err(FindError::Io { path: path.clone(), source: std::io::Error::other(it) })
        })
    }

    /// Checks that something can be published at a path: that the folders above allow it, and the permissions. Done before the bytes
    /// arrive, and before space is reserved for them.
    pub async fn check_writable(
        self: &Arc<App>,
        path: &RelPath,
        caller: &Caller,
    ) -> Result<(), Problem> {
        let (volume, path, caller) = (Arc::clone(&self.volume), path.clone(), caller.clone());
        let check = move || {
            let may_write = |real_path: &RelPath| caller.may_write(real_path).is_ok();
            volume.check_place(&path, &may_write)?;
            if volume.lets_write(&path) { Ok(()) } else { Err(Problem::Unwritable) }
        };
        tokio::task::spawn_blocking(check).await.map_err(Problem::internal)?
    }

    /// Stages a file. `expected` is its length in bytes, if known.
    pub async fn stage(self: &Arc<App>, expected: Option<u64>) -> Result<Staged, Problem> {
        let volume = Arc::clone(&self.volume);
        let staged = tokio::task::spawn_blocking(move || volume.stage(expected)).await;
        Ok(staged.map_err(Problem::internal)??)
    }
}
