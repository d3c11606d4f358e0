//! What every handler may use.

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use transfers::Transfers;
use volume::key_file::News;
use volume::keys::Keys;
use volume::staging::Staged;
use volume::{Effort, FindError, Found, KeyFile, RelPath, Volume};

use crate::auth::caller::Caller;
use crate::auth::key_guesses::Guesses;
use crate::disk::Disk;
use crate::feed::Feed;
use crate::files::listing::snapshots::Snapshots;
use crate::files::open_file_cache::Recall;
use crate::http::encoders::Encoders;
use crate::idle::Idle;
use crate::net::concurrency_limit::{Crowd, Limits};
use crate::net::worker_threads;
use crate::problem::Problem;
use crate::telemetry::activity::Activity;
use crate::uploads::receive::Intake;
use crate::uploads::tus::locks::Holders;

/// Shared by all connections, for as long as the server runs.
#[derive(Debug)]
pub struct App {
    /// What is served.
    pub volume: Arc<Volume>,
    /// Who may have it; looked at anew by each request with a key.
    pub key_file: KeyFile,
    /// Who has tried wrong keys of late.
    pub guesses: Guesses,
    /// What makes codings on the fly, as far as memory allows.
    pub encoders: Encoders,
    /// Folders that listings under way read from.
    pub snapshots: Snapshots,
    /// Uploads under way.
    pub intake: Intake,
    /// Answers that were given a moment ago.
    pub recall: Recall,
    /// Who has requests under way.
    pub crowd: Arc<Crowd>,
    /// Who works on which resumable upload.
    pub holders: Holders,
    /// What goes on right now.
    pub activity: Arc<Activity>,
    /// What is amiss with the volume's file system.
    pub disk: Disk,
    /// What changes on the volume.
    pub feed: Feed,
    /// Wormhole transfers.
    pub transfers: Transfers,
    /// Whether all this is needed.
    pub idle: Idle,
    /// Cancelled when the service ends: those who wait for changes are let go.
    pub ending: CancellationToken,
    /// How long the body of an upload may stand still.
    pub stall: Duration,
    /// Whether whoever connects is a proxy, which says whose a request is.
    pub is_behind_proxy: bool,
    /// Where it listens, as its first line of output has it.
    pub listening: OnceLock<String>,
}

/// How long a turn's look at the keys counts at most.
const JUST_NOW: Duration = Duration::from_millis(1);

/// A look at the keys.
struct Looked {
    /// Of which service, by its address.
    whose: usize,
    turn: Option<u64>,
    when: Instant,
    keys: Arc<Keys>,
}

thread_local! {
    /// The last look of this thread.
    static KEYS: RefCell<Option<Looked>> = const { RefCell::new(None) };
}

impl App {
    /// A service over a volume, with keys besides those in the volume's file. It never sleeps by itself.
    pub fn new(
        volume: Arc<Volume>,
        extra_keys: Keys,
        transfers: Transfers,
        stall: Duration,
    ) -> App {
        let key_file = KeyFile::new(Arc::clone(&volume), extra_keys);
        App {
            disk: Disk::default(),
            feed: Feed::new(Arc::clone(&volume)),
            transfers,
            idle: Idle::new(None),
            ending: CancellationToken::new(),
            volume,
            key_file,
            guesses: Guesses::default(),
            activity: Arc::default(),
            encoders: Encoders::default(),
            snapshots: Snapshots::default(),
            intake: Intake::default(),
            recall: Recall::default(),
            crowd: Crowd::new(Limits::default()),
            holders: Holders::default(),
            stall,
            is_behind_proxy: false,
            listening: OnceLock::new(),
        }
    }

    /// Begins to observe the volume.
    pub fn observe(&self) {
        let recall = self.recall.clone();
        self.volume.before_making_room(move || recall.let_go());
        let recall = self.recall.clone();
        self.feed.observe(move || recall.doubt());
    }

    /// The keys that are good now. What is new about them goes to the log, once.
    pub fn keys(&self) -> Arc<Keys> {
        let (keys, news) = self.key_file.current();
        match news {
            None => {}
            Some(News::Kept(trouble)) => {
                tracing::error!(
                    "auth-keys.csv is not in force, the last good keys are: {}",
                    trouble.what
                );
            }
            Some(News::Loaded(keys)) => {
                tracing::info!(keys = keys.len(), "auth-keys.csv has been read");
                for notice in &keys.notices {
                    tracing::warn!("auth-keys.csv, line {}: {}", notice.line, notice.what);
                }
            }
        }
        keys
    }

    /// The keys as they were when a worker's turn began, if that was just now. What is asked in a turn was sent before it began, but for
    /// what comes in the middle of one.
    pub fn keys_of_turn(&self, now: Instant) -> Arc<Keys> {
        let turn = worker_threads::turn();
        let whose = std::ptr::from_ref(self).addr();
        KEYS.with_borrow_mut(|known| {
            let is_so = |it: &&mut Looked| {
                turn.is_some()
                    && (it.whose, it.turn) == (whose, turn)
                    && now.saturating_duration_since(it.when) < JUST_NOW
            };
            if let Some(looked) = known.as_mut().filter(is_so) {
                return Arc::clone(&looked.keys);
            }
            let keys = self.keys();
            *known = Some(Looked { whose, turn, when: now, keys: Arc::clone(&keys) });
            keys
        })
    }

    /// What lies at a path. Waits for the disk on the blocking pool, and only where it must.
    pub async fn find(self: &Arc<App>, path: &RelPath) -> Result<Found, Problem> {
        Ok(self.look(path).await?)
    }

    /// The same, for whom nothing there is an answer too.
    pub async fn look(self: &Arc<App>, path: &RelPath) -> Result<Found, FindError> {
        match self.volume.find(path, Effort::CachedOnly) {
            Err(FindError::WouldBlock { .. }) => {}
            result => return result,
        }
        let (volume, wanted) = (Arc::clone(&self.volume), path.clone());
        let found = tokio::task::spawn_blocking(move || volume.find(&wanted, Effort::MayBlock));
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
