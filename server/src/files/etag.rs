//! The entity tag of a file: strong, and never given to two versions.
//!
//! Within one step of the kernel's clock a file can change twice under one stamp. A tag for a single answer waits for
//! that step to end; where there is no time to wait, a file that changed just now gets a tag that is never given again.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use volume::{FoundFile, Stat};

/// How long the kernel's clock for files may stand still, at most.
const CLOCK_STEP: Duration = Duration::from_millis(11);

/// The tag of the version that was looked at, with its quotes.
pub(crate) fn of(stat: &Stat) -> String {
    static UNSETTLED: AtomicU64 = AtomicU64::new(0);
    if stat.is_settled() {
        let mut tag = String::with_capacity(64);
        tag.push('"');
        stat.write_version(&mut tag);
        tag.push('"');
        return tag;
    }
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let count = UNSETTLED.fetch_add(1, Ordering::Relaxed);
    format!("\"{}~{:x}.{count:x}\"", stat.version(), since_1970.as_nanos())
}

/// The tag of a file that is about to be sent. Looks at it once more if it changed just now.
pub(crate) async fn settled(file: &mut FoundFile) -> io::Result<String> {
    if !file.stat.is_settled() {
        tokio::time::sleep(CLOCK_STEP).await;
        file.stat_again()?;
    }
    Ok(of(&file.stat))
}
