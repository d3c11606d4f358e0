//! The state of the service: volume, watcher, journal, keys, and why it is awake.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use super::encoder::Encoder;
use crate::admin::health;
use crate::app::App;
use crate::idle::Reason;
use crate::net::sendfile;

#[derive(Debug)]
pub(super) struct OfService(pub(super) Arc<App>);

impl Collector for OfService {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut sheet = Encoder(encoder);
        self.requests(&mut sheet)?;
        self.volume(&mut sheet)?;
        OfService::bodies(&mut sheet)?;
        self.changes(&mut sheet)?;
        self.sleep(&mut sheet)?;
        self.wake(&mut sheet)
    }
}

impl OfService {
    fn requests(&self, sheet: &mut Encoder<'_>) -> fmt::Result {
        let under_way = self.0.activity.under_way();
        let of = [
            ("uploads_open", "Uploads whose bytes are coming in", under_way.uploads),
            ("event_streams", "Open streams of changes", under_way.streams),
            ("requests_open", "Requests under way, streams and uploads among them", under_way.all),
            ("consoles", "Consoles that are open", self.0.activity.consoles().len()),
        ];
        for (name, help, value) in of {
            sheet.gauge(name, help, None, value)?;
        }
        let keys = self.0.key_ring.current();
        sheet.gauge("keys", "Keys in force", None, keys.len())?;
        let warnings = health::warnings(&self.0, &keys).len();
        sheet.gauge("warnings", "What /health warns of, the keys file among it", None, warnings)
    }

    fn volume(&self, sheet: &mut Encoder<'_>) -> fmt::Result {
        // If the volume cannot be read, its metrics are absent.
        let Ok(space) = self.0.volume.space() else { return Ok(()) };
        for (name, help, value) in [
            ("volume_size", "Bytes that the volume holds", space.size),
            ("volume_free", "Bytes that are free on the volume", space.free),
            ("volume_reserve", "Bytes that uploads leave free", space.reserve()),
        ] {
            sheet.gauge(name, help, Some(&Unit::Bytes), value)?;
        }
        Ok(())
    }

    fn bodies(sheet: &mut Encoder<'_>) -> fmt::Result {
        let help = "Bytes of answers that the kernel took from files by itself (sendfile)";
        sheet.counter("sent_by_kernel", help, Some(&Unit::Bytes), sendfile::bytes_sent())
    }

    fn changes(&self, sheet: &mut Encoder<'_>) -> fmt::Result {
        let feed = &self.0.feed;
        let help = "How often hints of the watcher were lost and the volume was walked for that";
        sheet.counter("watch_overflows", help, None, feed.overflows())?;
        let degraded = u64::from(feed.warning().is_some());
        sheet.gauge("watch_degraded", "Whether changes are noticed late or not", None, degraded)?;
        let help = "For how long the journal has been behind what is known to have changed";
        sheet.gauge("journal_lag", help, Some(&Unit::Seconds), feed.lag().as_secs_f64())
    }

    fn sleep(&self, sheet: &mut Encoder<'_>) -> fmt::Result {
        let decision = self.0.idle.decision();
        let reasons = Reason::NAMES.map(|name| {
            let weight = |it: &&Reason| it.name() == name;
            let count = decision.reasons.iter().find(weight).map_or(0, |it| it.count());
            ([("reason", name)], count)
        });
        sheet.gauges("awake", "What keeps the service awake, and how much of it", None, reasons)?;
        let left = |it: Instant| it.saturating_duration_since(Instant::now());
        for (name, help, length) in [
            (
                "sleeps_in",
                "Until the service sleeps, if nothing comes between",
                decision.sleeps_at.map(left),
            ),
            ("idle_exit", "Without need for so long, the service sleeps", self.0.idle.length()),
        ] {
            seconds(sheet, name, help, length)?;
        }
        Ok(())
    }

    fn wake(&self, sheet: &mut Encoder<'_>) -> fmt::Result {
        let (ready, answer) = self.0.activity.counted.launch.lengths();
        let help = "From the beginning of the process until it accepted connections";
        seconds(sheet, "wake_ready", help, ready)?;
        let help = "From the beginning of the process until its first answer";
        seconds(sheet, "wake_first_answer", help, answer)
    }
}

/// A time in seconds. Absent as long as there is none.
fn seconds(
    sheet: &mut Encoder<'_>,
    name: &str,
    help: &str,
    length: Option<Duration>,
) -> fmt::Result {
    let none: [(&str, &str); 0] = [];
    let value = length.map(|it| (none, it.as_secs_f64()));
    sheet.gauges(name, help, Some(&Unit::Seconds), value)
}
