//! All connections, on one thread.

use std::io;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::args::Ask;
use crate::connection::{Answer, Connection, SCRATCH};
use crate::plan::{Plan, Request};
use crate::report::{Error, Report};

/// A server that says nothing for so long has failed.
const SILENCE: Duration = Duration::from_secs(20);
/// Slow readers take their share so often.
const TICK: Duration = Duration::from_millis(50);

/// Asks until the time is over.
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

/// The tag of the one file that is asked for.
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
    latencies: Vec<u64>,
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
        Ok(Client {
            ask,
            plan,
            epoll,
            connections,
            began: Instant::now(),
            latencies: Vec::new(),
            report,
        })
    }

    fn is_over(&self) -> bool {
        self.report.answers >= self.ask.answers
            || self.began.elapsed().as_secs_f64() >= self.ask.seconds
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
                    self.count(&answer);
                }
            }
        }
        Ok(())
    }

    /// Each connection takes so many bytes a second, a little at a time.
    fn slowly(&mut self, rate: u64, scratch: &mut [u8]) -> Result<(), Error> {
        let share = rate * u64::try_from(TICK.as_millis()).unwrap_or(1) / 1000;
        while !self.is_over() {
            pause();
            for connection in &mut self.connections {
                connection.allowance = Some(share);
                if let Some(answer) = connection.take(scratch, self.ask.part)? {
                    connection.ask(self.plan.next())?;
                    self.latencies.push(answer.micros);
                    self.report.answers += 1;
                }
                self.report.bytes += share - connection.allowance.unwrap_or_default();
            }
        }
        Ok(())
    }

    fn count(&mut self, answer: &Answer) {
        self.report.answers += 1;
        self.report.bytes += answer.bytes;
        self.report.compared += u64::from(answer.is_compared);
        self.latencies.push(answer.micros);
    }

    fn report(self) -> Report {
        let seconds = self.began.elapsed().as_secs_f64();
        Report { seconds, cpu: cpu(), ..self.report }.with_latencies(self.latencies)
    }
}

#[expect(clippy::disallowed_methods, reason = "a rate is kept, nothing is waited for")]
fn pause() {
    std::thread::sleep(TICK);
}

/// What this process has used of the processor, in seconds.
fn cpu() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let seconds = used.tv_sec as f64 + used.tv_nsec as f64 / 1e9;
    seconds
}
