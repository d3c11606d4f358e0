//! The entity tag of a file: strong, and never the same for two versions.
//!
//! Within one step of the kernel's clock, a file can change twice with the same time stamp. So a response with a single file waits until
//! that step has ended. Where there is no time to wait, a file that has just changed gets a tag that is never used again.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use volume::{FoundFile, Stat};

/// The longest step of the kernel's clock for file times.
const CLOCK_STEP: Duration = Duration::from_millis(11);

/// The entity tag of a version, with its quotes.
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

/// The entity tag of a file that is about to be sent. Waits and looks it up again if it has just changed.
pub(crate) async fn settled(file: &mut FoundFile) -> io::Result<String> {
    if !file.stat.is_settled() {
        tokio::time::sleep(CLOCK_STEP).await;
        file.stat_again()?;
    }
    Ok(of(&file.stat))
}
