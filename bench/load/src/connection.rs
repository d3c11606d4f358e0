//! One connection: sends a request, and receives its response, mostly without reading the body.

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use nix::{setsockopt_impl, sockopt_impl};
use rustix::net::{RecvFlags, recv};

use crate::args::Part;
use crate::pattern;
use crate::plan::Request;
use crate::report::Error;

/// The bytes of the first read, which must contain the response's head.
const HEAD: usize = 4096;
/// For a large body, the kernel wakes the client when this many bytes have arrived.
const LOW_WATER: u64 = 256 << 10;

/// The most bytes of one read; also the buffer for samples.
pub(crate) const SCRATCH: usize = 1 << 20;

// `SO_RCVLOWAT`, socket(7).
sockopt_impl!(LowWater, SetOnly, libc::SOL_SOCKET, libc::SO_RCVLOWAT, i32);

#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    request: Request,
    sent: Instant,
    /// The bytes of the body still to come; `None` before the head.
    to_come: Option<u64>,
    head: Vec<u8>,
    /// The body received so far, if the response is a sample.
    sample: Vec<u8>,
    /// The kernel's present low-water mark, so that it is set only when it changes.
    low_water: u64,
    /// The bytes that may be read now; `None` for all.
    pub(crate) allowance: Option<u64>,
}

/// A complete response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) bytes: u64,
    pub(crate) micros: u64,
    pub(crate) etag: Option<String>,
    pub(crate) is_compared: bool,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr, request: Request) -> Result<Connection, Error> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut connection = Connection {
            stream,
            request,
            sent: Instant::now(),
            to_come: None,
            head: Vec::with_capacity(HEAD),
            sample: Vec::new(),
            low_water: 1,
            allowance: None,
        };
        connection.send()?;
        Ok(connection)
    }

    pub(crate) fn ask(&mut self, request: Request) -> Result<(), Error> {
        self.request = request;
        self.to_come = None;
        self.head.clear();
        self.sample.clear();
        self.sent = Instant::now();
        self.send()
    }

    fn send(&mut self) -> Result<(), Error> {
        // A request is smaller than any socket's buffer, and the response before it is complete.
        Ok(self.stream.write_all(self.request.head.as_bytes())?)
    }

    /// Reads what has arrived. Returns the response if it is complete now.
    pub(crate) fn take(&mut self, scratch: &mut [u8], part: Part) -> Result<Option<Answer>, Error> {
        loop {
            let most = match self.to_come {
                None => HEAD,
                Some(0) => return self.end().map(Some),
                Some(to_come) => self.most(to_come),
            };
            if most == 0 {
                return Ok(None);
            }
            let scratch = scratch.get_mut(..most).unwrap_or_default();
            let came = match self.to_come {
                None => self.take_head(scratch, part),
                Some(to_come) => self.take_body(scratch, to_come),
            };
            match came {
                Ok(0) => return Err(Error::Closed),
                // There are no more bytes; no further system call is needed to know that.
                Ok(came) if came < most && self.to_come != Some(0) => return self.wait(),
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    return self.wait();
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Sets the low-water mark, so that the kernel wakes the client only for enough bytes: a wake costs more than a read.
    fn wait(&mut self) -> Result<Option<Answer>, Error> {
        let low_water = match self.to_come {
            Some(to_come) if self.allowance.is_none() => to_come.clamp(1, LOW_WATER),
            _ => 1,
        };
        if low_water != self.low_water {
            let bytes = i32::try_from(low_water).unwrap_or(1);
            nix::sys::socket::setsockopt(&self.stream, LowWater, &bytes)
                .map_err(io::Error::from)?;
            self.low_water = low_water;
        }
        Ok(None)
    }

    /// The most bytes of a body for one read.
    fn most(&self, to_come: u64) -> usize {
        let most = self.allowance.map_or(to_come, |it| it.min(to_come));
        usize::try_from(most).unwrap_or(SCRATCH).min(SCRATCH)
    }

    fn take_head(&mut self, scratch: &mut [u8], part: Part) -> Result<usize, Error> {
        let (_, came) = recv(&self.stream, &mut *scratch, RecvFlags::empty())?;
        self.head.extend_from_slice(scratch.get(..came).unwrap_or_default());
        let Some(end) = self.head.windows(4).position(|it| it == b"\r\n\r\n").map(|it| it + 4)
        else {
            return Ok(came);
        };
        let body = self.head.split_off(end);
        let length = length(&self.head, part, self.request.len)?;
        let to_come = length.checked_sub(body.len() as u64);
        self.to_come = Some(to_come.ok_or_else(|| odd(&self.head))?);
        if self.request.is_sample {
            self.sample.extend_from_slice(&body);
        }
        Ok(came)
    }

    fn take_body(&mut self, scratch: &mut [u8], to_come: u64) -> Result<usize, Error> {
        let flags = if self.request.is_sample { RecvFlags::empty() } else { RecvFlags::TRUNC };
        let (_, came) = recv(&self.stream, &mut *scratch, flags)?;
        if self.request.is_sample {
            self.sample.extend_from_slice(scratch.get(..came).unwrap_or_default());
        }
        let to_come = to_come - came as u64;
        self.to_come = Some(to_come);
        self.allowance = self.allowance.map(|it| it - came as u64);
        Ok(came)
    }

    fn end(&mut self) -> Result<Answer, Error> {
        let is_compared = self.request.is_sample && !self.sample.is_empty();
        if is_compared {
            let (number, start) = (self.request.number, self.request.start);
            let expected = pattern::bytes(number, start, self.request.len);
            if let Some(at) = first_difference(&expected, &self.sample) {
                return Err(Error::Differs { number, at });
            }
        }
        let micros = u64::try_from(self.sent.elapsed().as_micros()).unwrap_or(u64::MAX);
        let bytes = field(&self.head, "content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
        let etag = field(&self.head, "etag").map(str::to_owned);
        Ok(Answer { bytes, micros, etag, is_compared })
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// The length of the body in bytes; an error if the response is not the expected one.
fn length(head: &[u8], part: Part, asked: u64) -> Result<u64, Error> {
    let status = head.get(9..12).unwrap_or_default();
    match (status, part) {
        (b"304", _) => return Ok(0),
        (b"200", Part::Whole) | (b"206", Part::Random | Part::Onward) => {}
        _ => return Err(odd(head)),
    }
    let length = field(head, "content-length").and_then(|it| it.parse().ok());
    length.filter(|it| *it == asked).ok_or_else(|| odd(head))
}

fn odd(head: &[u8]) -> Error {
    Error::Odd(String::from_utf8_lossy(head).into_owned())
}

fn field<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    std::str::from_utf8(head).ok()?.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// The index of the first byte that differs.
fn first_difference(expected: &[u8], found: &[u8]) -> Option<u64> {
    if expected == found {
        return None;
    }
    let same = expected.iter().zip(found).take_while(|(expected, found)| expected == found);
    Some(same.count() as u64)
}
