//! What every handler may use.

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

/// Shared by all connections, for as long as the server runs.
#[derive(Debug)]
pub struct App {
    /// What is served.
    pub volume: Arc<Volume>,
    /// Who may have it; looked at anew by each request with a key.
    pub key_ring: Arc<KeyRing>,
    /// Who has tried wrong keys of late.
    pub guess_limiter: GuessLimiter,
    /// What makes codings on the fly, as far as memory allows.
    pub encoders: Encoders,
    /// Folders that listings under way read from.
    pub snapshots: Snapshots,
    /// Uploads under way.
    pub intake: Intake,
    /// Answers that were given a moment ago.
    pub open_files: OpenFileCache,
    /// Who has requests under way.
    pub requests: Arc<ConcurrencyLimit>,
    /// Who works on which resumable upload.
    pub upload_locks: UploadLocks,
    /// What goes on right now.
    pub activity: Arc<Activity>,
    /// What is amiss with the volume's file system.
    pub disk: Arc<VolumeWarnings>,
    /// What changes on the volume.
    pub feed: Feed,
    /// Wormhole transfers.
    pub transfers: Transfers,
    /// Whether all this is needed.
    pub idle: Arc<Idle>,
    /// Cancelled when the service ends: those who wait for changes are let go.
    pub ending: CancellationToken,
    /// How long the body of an upload may stand still.
    pub stall: Duration,
    /// Whether whoever connects is a proxy, which says whose a request is.
    pub is_behind_proxy: bool,
    /// Where it listens, as its first line of output has it.
    pub listening: OnceLock<String>,
}

impl App {
    /// A service over a volume, with keys besides those in the volume's file. It never sleeps by itself.
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

    /// Begins to observe the volume.
    pub fn observe(&self) {
        let open_files = self.open_files.clone();
        self.volume.before_making_room(move || open_files.let_go());
        let open_files = self.open_files.clone();
        self.feed.observe(move || open_files.invalidate());
    }

    /// What lies at a path. Waits for the disk on the blocking pool, and only where it must.
    pub async fn find(self: &Arc<App>, path: &RelPath) -> Result<Found, Problem> {
        Ok(self.look(path).await?)
    }

    /// The same, for whom nothing there is an answer too.
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

    /// Refuses what can't be published at a path, by what stands above it or by permissions, before its bytes come, and before room is
    /// made for them.
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

    /// Begins an upload.
    pub async fn stage(self: &Arc<App>, expected: Option<u64>) -> Result<Staged, Problem> {
        let volume = Arc::clone(&self.volume);
        let staged = tokio::task::spawn_blocking(move || volume.stage(expected)).await;
        Ok(staged.map_err(Problem::internal)??)
    }
}
