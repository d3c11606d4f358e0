//! Ssh sessions: connections to port 22 of this machine, and the last use of its terminals.
//!
//! Shells, `sftp` and programs run over ssh need only one thing of the service: that the machine stays awake. An open connection alone is
//! not enough, because it may have been forgotten.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

/// The kernel's tables of TCP connections.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
/// Port 22 and an established connection, as these tables write them.
const SSH_PORT: &str = ":0016";
const ESTABLISHED: &str = "01";
/// The directory of the terminals.
const TERMINALS: &str = "/dev/pts";

/// The sessions, from check to check.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    /// The remote addresses, as the kernel writes them.
    known: BTreeSet<String>,
    /// When a new session was first seen.
    newest: Option<Instant>,
    /// When sessions that count were last seen.
    seen: Option<Instant>,
}

impl Sessions {
    /// Number of sessions, and when one of them was last used: when it began, or something was typed or printed. Output in the terminals of
    /// consoles does not count, because a console draws by itself.
    pub(super) fn look(
        &mut self,
        now: Instant,
        lasts: Duration,
        consoles: &[u32],
    ) -> Option<(usize, Instant)> {
        let found: BTreeSet<String> = TABLES.iter().flat_map(|it| connections(&read(it))).collect();
        if found.difference(&self.known).next().is_some() {
            self.newest = Some(now);
        }
        self.known = found;
        if self.known.is_empty() {
            return None;
        }
        let used = [self.newest, terminals_used(now, consoles)].into_iter().flatten().max()?;
        if used + lasts > now {
            self.seen = Some(now);
        }
        Some((self.known.len(), used))
    }

    /// When sessions that count were last seen.
    pub(super) fn last_seen(&self) -> Option<Instant> {
        self.seen
    }
}

#[expect(clippy::disallowed_methods, reason = "the kernel's tables are not on the volume")]
fn read(table: &str) -> String {
    // Without IPv6, there is no table for it.
    std::fs::read_to_string(table).unwrap_or_default()
}

/// The remote addresses of connections to the ssh port, from a table as the kernel writes it.
fn connections(table: &str) -> Vec<String> {
    let other_end = |line: &str| {
        let mut columns = line.split_ascii_whitespace().skip(1);
        let (local, remote, state) = (columns.next()?, columns.next()?, columns.next()?);
        (local.ends_with(SSH_PORT) && state == ESTABLISHED).then(|| remote.to_owned())
    };
    table.lines().filter_map(other_end).collect()
}

/// When something was last typed or printed in any terminal, except for the given ones.
#[expect(clippy::disallowed_methods, reason = "terminals are not on the volume")]
fn terminals_used(now: Instant, but: &[u32]) -> Option<Instant> {
    let used = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.ok()?;
        // The entry without a number (`ptmx`) creates terminals and is not one itself.
        let number: u32 = entry.file_name().to_str()?.parse().ok()?;
        let metadata = entry.metadata().ok().filter(|_| !but.contains(&number))?;
        let last = metadata.accessed().ok()?.max(metadata.modified().ok()?);
        // A time in the future counts as now.
        let age = SystemTime::now().duration_since(last).unwrap_or_default();
        now.checked_sub(age)
    };
    std::fs::read_dir(TERMINALS).ok()?.filter_map(used).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_read_off_the_kernels_table() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2
   2: 0100007F:0016 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 3
   3: 0100007F:D431 0100007F:0016 01 00000000:00000000 00:00000000 00000000     0        0 4
   4: 0100007F:0016 0200007F:D432 06 00000000:00000000 00:00000000 00000000     0        0 5
";
        assert_eq!(connections(table), ["0100007F:D431"]);
        assert!(connections("").is_empty());
    }
}
