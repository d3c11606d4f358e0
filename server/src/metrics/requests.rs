//! Counters of requests and uploads since the start.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::registry::Unit;

use super::encoder::Encoder;
use crate::telemetry::activity::Activity;
use crate::telemetry::counters::UploadMethod;
use crate::telemetry::request_counters::RequestCounters;

#[derive(Debug)]
pub(super) struct OfRequests(pub(super) Arc<Activity>);

#[derive(Clone, Debug, EncodeLabelSet)]
struct Answered {
    route: &'static str,
    status: u16,
}

impl Collector for OfRequests {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (tally, mut sheet) = (self.0.tally(), Encoder(encoder));
        OfRequests::answers(&tally, &mut sheet)?;
        OfRequests::bytes(&tally, &mut sheet)?;
        OfRequests::lengths(&tally, &mut sheet)?;
        self.uploads(&mut sheet)
    }
}

// All routes are present from the start, because a rate needs the zero before the first event.
impl OfRequests {
    fn answers(tally: &RequestCounters, sheet: &mut Encoder<'_>) -> fmt::Result {
        let over = tally.routes().flat_map(|(route, it)| {
            let statuses = it.statuses.iter();
            statuses.map(move |(status, count)| (Answered { route, status: *status }, *count))
        });
        let mut over = over.peekable();
        if over.peek().is_some() {
            let help = "Finished requests, by the pattern of their address.";
            sheet.counters("requests", help, None, over)?;
        }
        let help = "Answers with a file, by which part of it was sent.";
        let ranges = tally.ranges().map(|(kind, count)| ([("kind", kind)], count));
        sheet.counters("ranges", help, None, ranges)
    }

    fn bytes(tally: &RequestCounters, sheet: &mut Encoder<'_>) -> fmt::Result {
        let sent = tally.routes().map(|(route, it)| ([("route", route)], it.sent));
        sheet.counters("sent", "Bytes of answers.", Some(&Unit::Bytes), sent)?;
        let received = tally.routes().map(|(route, it)| ([("route", route)], it.received));
        sheet.counters("received", "Bytes of bodies of requests.", Some(&Unit::Bytes), received)
    }

    fn lengths(tally: &RequestCounters, sheet: &mut Encoder<'_>) -> fmt::Result {
        let help = "How long it took until an answer began.";
        let first = tally.routes().map(|(route, it)| ([("route", route)], &it.first_byte));
        sheet.histograms("first_byte", help, Some(&Unit::Seconds), first)?;
        let help = "How long it took until the answer had gone out.";
        let last = tally.routes().map(|(route, it)| ([("route", route)], &it.last_byte));
        sheet.histograms("request", help, Some(&Unit::Seconds), last)
    }

    fn uploads(&self, sheet: &mut Encoder<'_>) -> fmt::Result {
        let counted = &self.0.counted;
        let ways = [("put", UploadMethod::Put), ("tus", UploadMethod::Tus)];
        let finished = ways.map(|(name, way)| ([("way", name)], counted.finished(way)));
        sheet.counters("uploads_finished", "Files that were uploaded.", None, finished)?;
        let help = "How often a client asked how much of an upload had come, to go on with it.";
        sheet.counter("uploads_resumed", help, None, counted.resumptions())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::{Duration, Instant};

    use http::Method;
    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::auth::caller::Caller;
    use crate::telemetry::activity::Immediate;

    fn scrape(activity: &Arc<Activity>) -> String {
        let mut registry = Registry::default();
        let ours = registry.sub_registry_with_prefix("sounding");
        ours.register_collector(Box::new(OfRequests(Arc::clone(activity))));
        let mut out = String::new();
        text::encode(&mut out, &registry).unwrap();
        out
    }

    #[test]
    fn all_but_statuses_is_there_from_the_start() {
        let text = scrape(&Arc::default());
        let about: Vec<_> = text.lines().filter(|it| it.starts_with("# HELP")).collect();
        assert_eq!(
            about,
            [
                "# HELP sounding_ranges Answers with a file, by which part of it was sent.",
                "# HELP sounding_sent_bytes Bytes of answers.",
                "# HELP sounding_received_bytes Bytes of bodies of requests.",
                "# HELP sounding_first_byte_seconds How long it took until an answer began.",
                "# HELP sounding_request_seconds How long it took until the answer had gone out.",
                "# HELP sounding_uploads_finished Files that were uploaded.",
                "# HELP sounding_uploads_resumed How often a client asked how much of an upload had come, to go on with it.",
            ]
        );
        let figures = text.lines().filter(|it| !it.starts_with('#'));
        // Range kinds; per route bytes sent, bytes received and two histograms (classes, `+Inf`, sum, count); upload methods; and one
        // without labels.
        assert_eq!(figures.clone().count(), 4 + 17 * (1 + 1 + 15 + 14) + 2 + 1);
        assert!(figures.clone().all(|it| it.ends_with(" 0") || it.ends_with(" 0.0")), "{text}");
    }

    #[test]
    fn a_request_is_counted_by_its_route_and_status() {
        let activity = Arc::<Activity>::default();
        activity.passed(Immediate {
            method: &Method::GET,
            path: "/files/berlin/trips.csv",
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            caller: &Caller::Anyone,
            status: 200,
            kind: Some("whole"),
            began: Instant::now(),
            took: Duration::from_micros(1500),
            sent: 1000,
            is_complete: true,
        });
        let text = scrape(&activity);
        for line in [
            "# HELP sounding_requests Finished requests, by the pattern of their address.",
            "sounding_requests_total{route=\"/files/{*path}\",status=\"200\"} 1",
            "sounding_ranges_total{kind=\"whole\"} 1",
            "sounding_sent_bytes_total{route=\"/files/{*path}\"} 1000",
            "sounding_first_byte_seconds_sum{route=\"/files/{*path}\"} 0.0015",
            "sounding_first_byte_seconds_count{route=\"/files/{*path}\"} 1",
            "sounding_first_byte_seconds_bucket{le=\"0.001\",route=\"/files/{*path}\"} 0",
            "sounding_first_byte_seconds_bucket{le=\"0.0025\",route=\"/files/{*path}\"} 1",
            "sounding_request_seconds_bucket{le=\"+Inf\",route=\"/files/{*path}\"} 1",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
    }
}
