//! The requests and their expected responses. Pure.

use crate::args::{Ask, Part};
use crate::pattern::mix;

/// An endless series of requests.
#[derive(Debug)]
pub(crate) struct Plan {
    target: String,
    files: u64,
    size: u64,
    part: Part,
    range: u64,
    fields: String,
    /// Counts requests, and is the seed of their random part.
    next: u64,
    seed: u64,
    compare: u64,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) head: String,
    /// The file's number, and the range of it.
    pub(crate) number: u64,
    pub(crate) start: u64,
    pub(crate) len: u64,
    /// Whether the response is compared.
    pub(crate) is_sample: bool,
}

impl Plan {
    pub(crate) fn new(ask: &Ask) -> Plan {
        let fields = ask.fields.iter().flat_map(|it| [it.as_str(), "\r\n"]).collect();
        Plan {
            target: ask.target.clone(),
            files: ask.files.max(1),
            size: ask.size,
            part: ask.part,
            range: ask.range.clamp(1, ask.size.max(1)),
            fields,
            next: 0,
            seed: ask.seed,
            compare: ask.compare,
        }
    }

    /// Adds a header field to each request from now on.
    pub(crate) fn with_field(mut self, field: &str) -> Plan {
        self.fields.push_str(field);
        self.fields.push_str("\r\n");
        self
    }

    pub(crate) fn next(&mut self) -> Request {
        let random = mix(self.seed ^ self.next.wrapping_mul(0x5851_F42D_4C95_7F2D));
        let number = if self.files == 1 { 0 } else { random % self.files };
        let (start, len) = match self.part {
            Part::Whole => (0, self.size),
            Part::Random => (random % (self.size - self.range + 1), self.range),
            Part::Onward => {
                let start = self.next * self.range % self.size;
                (start, self.range.min(self.size - start))
            }
        };
        let is_sample = self.compare > 0 && self.next.is_multiple_of(self.compare);
        self.next += 1;
        let target = self.target.replace("{}", &number.to_string());
        let fields = &self.fields;
        let range = match self.part {
            Part::Whole => String::new(),
            _ => format!("Range: bytes={start}-{}\r\n", start + len - 1),
        };
        let head = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{range}{fields}\r\n");
        Request { head, number, start, len, is_sample }
    }
}
