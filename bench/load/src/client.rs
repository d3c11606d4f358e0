//! All connections of the benchmark, on one thread.

use std::io;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::args::Ask;
use crate::connection::{Connection, SCRATCH};
use crate::plan::{Plan, Request};
use crate::report::{Error, Report};

/// A server that sends nothing for this long has failed.
const SILENCE: Duration = Duration::from_secs(20);
/// How often slow readers take their share.
const TICK: Duration = Duration::from_millis(50);

/// Sends requests until the time has passed.
pub(crate) fn run(ask: &Ask) -> Result<Report, Error> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    let mut scratch = vec![0; SCRATCH];
    let mut plan = Plan::new(ask);
    if ask.revalidate {
        let etag = tag(ask, plan.next(), &mut scratch)?;
        plan = plan.with_field(&format!("If-None-Match: {etag}"));
    }
    let mut client = Client::start(ask, plan)?;
    match ask.rate {
        None => client.as_fast_as_it_comes(&mut scratch)?,
        Some(rate) => client.slowly(rate, &mut scratch)?,
    }
    Ok(client.report())
}

/// The entity tag of the one file that is requested.
fn tag(ask: &Ask, request: Request, scratch: &mut [u8]) -> Result<String, Error> {
    let mut connection = Connection::open(ask.address, request)?;
    let until = Instant::now() + SILENCE;
    while Instant::now() < until {
        if let Some(answer) = connection.take(scratch, ask.part)? {
            return answer.etag.ok_or_else(|| Error::Odd("no tag".to_owned()));
        }
    }
    Err(Error::Silence(SILENCE))
}

struct Client<'a> {
    ask: &'a Ask,
    plan: Plan,
    epoll: std::os::fd::OwnedFd,
    connections: Vec<Connection>,
    began: Instant,
    report: Report,
}

impl<'a> Client<'a> {
    fn start(ask: &'a Ask, mut plan: Plan) -> Result<Client<'a>, Error> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let mut connections = Vec::with_capacity(ask.connections);
        for number in 0..ask.connections {
            let connection = Connection::open(ask.address, plan.next())?;
            epoll::add(&epoll, &connection, EventData::new_u64(number as u64), EventFlags::IN)?;
            connections.push(connection);
        }
        let report = Report::default();
        Ok(Client { ask, plan, epoll, connections, began: Instant::now(), report })
    }

    fn is_over(&self) -> bool {
        // At least one response for each connection. Otherwise a slow server would have no figures, or better ones than it deserves.
        let enough = self.report.answers >= self.connections.len() as u64;
        self.report.answers >= self.ask.answers
            || enough && self.began.elapsed().as_secs_f64() >= self.ask.seconds
    }

    fn as_fast_as_it_comes(&mut self, scratch: &mut [u8]) -> Result<(), Error> {
        let silence = Timespec::try_from(SILENCE).map_err(io::Error::other)?;
        let mut events = Vec::with_capacity(self.connections.len());
        while !self.is_over() {
            epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&silence))?;
            if events.is_empty() {
                return Err(Error::Silence(SILENCE));
            }
            for event in events.drain(..) {
                let Event { data, .. } = event;
                let index = usize::try_from(data.u64()).unwrap_or(usize::MAX);
                let Some(connection) = self.connections.get_mut(index) else { continue };
                if let Some(answer) = connection.take(scratch, self.ask.part)? {
                    connection.ask(self.plan.next())?;
                    self.report.count(&answer);
                }
            }
        }
        Ok(())
    }

    /// Each connection reads at most this many bytes a second, a few at a time.
    fn slowly(&mut self, rate: u64, scratch: &mut [u8]) -> Result<(), Error> {
        let share = rate * u64::try_from(TICK.as_millis()).unwrap_or(1) / 1000;
        while !self.is_over() {
            pause();
            for connection in &mut self.connections {
                connection.allowance = Some(share);
                if let Some(answer) = connection.take(scratch, self.ask.part)? {
                    connection.ask(self.plan.next())?;
                    self.report.count(&answer);
                }
            }
        }
        Ok(())
    }

    fn report(self) -> Report {
        let seconds = self.began.elapsed().as_secs_f64();
        self.report.after(seconds, cpu())
    }
}

#[expect(clippy::disallowed_methods, reason = "a rate is kept, nothing is waited for")]
fn pause() {
    std::thread::sleep(TICK);
}

/// The processor time of this process, in seconds.
fn cpu() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let seconds = used.tv_sec as f64 + used.tv_nsec as f64 / 1e9;
    seconds
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::thread;

    use clap::Parser as _;

    use super::*;
    use crate::args::{Args, Work};
    use crate::pattern;

    /// More than the low-water mark, and not a multiple of it.
    const SIZE: u64 = 1_000_003;

    /// A server of one file that sends it in pieces; bytes are changed at a position.
    fn serve(changed: Option<usize>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut file = pattern::bytes(0, 0, SIZE);
        if let Some(at) = changed {
            file[at] ^= 1;
        }
        thread::spawn(move || {
            for stream in listener.incoming() {
                let file = file.clone();
                thread::spawn(move || answer(&stream.unwrap(), &file));
            }
        });
        address
    }

    /// Serves until the client closes the connection.
    fn answer(mut stream: &TcpStream, file: &[u8]) -> io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        while reader.read_line(&mut line)? > 0 {
            if line == "\r\n" {
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n")?;
                for piece in file.chunks(70_001) {
                    stream.write_all(piece)?;
                }
            }
            line.clear();
        }
        Ok(())
    }

    fn ask(address: SocketAddr, more: &[&str]) -> Result<Report, Error> {
        let (address, size) = (address.to_string(), SIZE.to_string());
        let usual = ["load", "ask", "--target", "/", "--seconds", "60"];
        let words = [&usual[..], &["--address", &address, "--size", &size], more].concat();
        let Work::Ask(ask) = Args::parse_from(words).work else { unreachable!() };
        run(&ask)
    }

    #[test]
    fn large_answers_come_one_after_the_other() {
        let options = ["--connections", "3", "--answers", "40", "--compare", "4"];
        let report = ask(serve(None), &options).unwrap();
        assert!(report.answers >= 40, "{report:?}");
        assert_eq!(report.bytes, report.answers * SIZE);
        // At the end, two of the ten may still be in flight.
        assert!(report.compared >= 8, "{report:?}");
    }

    #[test]
    fn a_slow_reader_takes_its_share() {
        let options = ["--rate", "5000000", "--answers", "1", "--compare", "1"];
        let report = ask(serve(None), &options).unwrap();
        assert_eq!(report.answers, 1);
        assert_eq!(report.bytes, SIZE);
    }

    #[test]
    fn a_byte_that_differs_is_found() {
        let error = ask(serve(Some(777_777)), &["--answers", "1", "--compare", "1"]).unwrap_err();
        assert!(matches!(error, Error::Differs { number: 0, at: 777_777 }), "{error:?}");
    }
}
