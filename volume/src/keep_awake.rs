//! The time until which an operator wants the service awake. It is kept on the volume, so a restart does not end it.
//!
//! If the file is lost, the service sleeps as usual.

use std::io;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::layout::KEEP_AWAKE_FILE;
use crate::small_file;
use crate::volume::Volume;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 4 << 10;

#[derive(Serialize, Deserialize)]
struct KeepAwake {
    until: Timestamp,
}

impl Volume {
    /// Until when the service shall stay awake; `None` where nothing is set or the file can't be parsed.
    pub fn keep_awake(&self) -> io::Result<Option<Timestamp>> {
        let text = small_file::read(self, KEEP_AWAKE_FILE, LARGEST)?.unwrap_or_default();
        Ok(serde_json::from_slice(&text).ok().map(|it: KeepAwake| it.until))
    }

    /// Sets the time until which the service shall stay awake; `None` removes it.
    pub fn set_keep_awake(&self, until: Option<Timestamp>) -> io::Result<()> {
        match until {
            Some(until) => small_file::replace(
                self,
                KEEP_AWAKE_FILE,
                &serde_json::to_vec(&KeepAwake { until })?,
            ),
            None => small_file::remove(self, KEEP_AWAKE_FILE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_kept_and_taken_back() {
        let place = tempfile::tempdir().unwrap();
        let volume = Volume::open(place.path()).unwrap();
        let until: Timestamp = "2026-11-27T16:00:00Z".parse().unwrap();
        for wish in [None, Some(until), None, None] {
            volume.set_keep_awake(wish).unwrap();
            assert_eq!(volume.keep_awake().unwrap(), wish);
        }
        std::fs::write(place.path().join(".sounding/keep-awake.json"), "until noon").unwrap();
        assert_eq!(volume.keep_awake().unwrap(), None);
    }
}
