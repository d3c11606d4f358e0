//! Counters since the start, for Prometheus.
//!
//! Each thread counts requests by itself, in `request_counters`. Rare events are counted here.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http::{Method, StatusCode};

use crate::telemetry::startup_time::StartupTime;

/// Counters for rare events.
#[derive(Debug, Default)]
pub struct Counters {
    put: AtomicU64,
    tus: AtomicU64,
    resumed: AtomicU64,
    /// Times of the start.
    pub launch: StartupTime,
}

/// How a file was uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadMethod {
    /// In one request.
    Put,
    /// In any number of requests.
    Tus,
}

impl Counters {
    /// A file was uploaded.
    pub fn uploaded(&self, way: UploadMethod) {
        self.uploads(way).fetch_add(1, Relaxed);
    }

    /// A client asked for the offset of an unfinished upload, to resume it.
    pub fn resumed(&self) {
        self.resumed.fetch_add(1, Relaxed);
    }

    /// Number of files uploaded by a method.
    pub(crate) fn finished(&self, way: UploadMethod) -> u64 {
        self.uploads(way).load(Relaxed)
    }

    /// Number of times a client asked for an offset to resume.
    pub(crate) fn resumptions(&self) -> u64 {
        self.resumed.load(Relaxed)
    }

    fn uploads(&self, way: UploadMethod) -> &AtomicU64 {
        match way {
            UploadMethod::Put => &self.put,
            UploadMethod::Tus => &self.tus,
        }
    }
}

/// The kind of a response with a file, by its ranges; one of `request_counters::KINDS`.
pub(crate) fn range_kind(
    method: &Method,
    status: StatusCode,
    is_file: bool,
    is_single: bool,
) -> Option<&'static str> {
    match status {
        _ if *method != Method::GET => None,
        StatusCode::OK => is_file.then_some("whole"),
        // With several parts, each part has its own `Content-Range` (RFC 9110 §15.3.7.2).
        StatusCode::PARTIAL_CONTENT if is_single => Some("single"),
        StatusCode::PARTIAL_CONTENT => Some("multi"),
        StatusCode::RANGE_NOT_SATISFIABLE => Some("unsatisfiable"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_of_a_file_is_told_by_its_answer() {
        let check = |method: Method, status: u16, what: &str, expected: Option<&str>| {
            let status = StatusCode::from_u16(status).unwrap();
            let kind = range_kind(&method, status, what.contains("file"), what.contains("single"));
            assert_eq!(kind, expected, "{method} {status}");
        };
        check(Method::GET, 200, "file", Some("whole"));
        check(Method::GET, 200, "", None);
        check(Method::GET, 206, "file single", Some("single"));
        check(Method::GET, 206, "file", Some("multi"));
        check(Method::GET, 416, "", Some("unsatisfiable"));
        check(Method::GET, 304, "file", None);
        check(Method::HEAD, 206, "file single", None);
    }
}
