//! Resources that the process uses, under the names of Prometheus's own clients.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;
use rustix::process::{Resource, getrlimit};

use super::encoder::Encoder;
use crate::telemetry::process::{processor_seconds, read};

#[derive(Debug)]
pub(super) struct OfProcess;

impl Collector for OfProcess {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut sheet = Encoder(encoder);
        if let Some(seconds) = processor_seconds() {
            let help = "Time that the process has had of the processors";
            sheet.counter("process_cpu", help, Some(&Unit::Seconds), seconds)?;
        }
        let status = read("/proc/self/status").unwrap_or_default();
        if let Some(kilobytes) = figure(&status, "VmRSS:") {
            let help = "Memory that the process has";
            let bytes = kilobytes * 1024;
            sheet.gauge("process_resident_memory", help, Some(&Unit::Bytes), bytes)?;
        }
        if let Some(threads) = figure(&status, "Threads:") {
            sheet.gauge("process_threads", "Threads of the process", None, threads)?;
        }
        if let Some(open) = open_descriptors() {
            sheet.gauge("process_open_fds", "File descriptors that are open", None, open)?;
        }
        if let Some(most) = getrlimit(Resource::Nofile).current {
            sheet.gauge("process_max_fds", "File descriptors that may be open", None, most)?;
        }
        Ok(())
    }
}

/// A number in `/proc/self/status`.
fn figure(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|it| it.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[expect(clippy::disallowed_methods, reason = "the kernel's files are not on the volume")]
fn open_descriptors() -> Option<usize> {
    // Reading the directory takes one itself.
    std::fs::read_dir("/proc/self/fd").ok().map(|it| it.count().saturating_sub(1))
}
