//! Transit: connects the two sides for the data, directly or by a relay.
//!
//! Follows transit.md. Both sides listen, send each other their hints, and try all hints at the same time. On each connection both prove
//! with a handshake that they have the key. Then the sender picks one with `go`, and the others end. A stranger who connects can't complete
//! the handshake, gets little time for it, and does not block the peer.

pub(crate) mod connection;
pub(crate) mod handshake;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::error::{Error, Stage};
use crate::hints::HintPolicy;
use crate::hints::{Hint, Hints, addresses_to_tell, own_addresses};
use crate::key::Key;
use crate::settings::Settings;
use crate::transit::connection::{PeerConnection, Role};
use crate::transit::handshake::Handshake;

/// How long the sender tries only direct connections. Of two routes, the shorter should win.
const HEAD_START: Duration = Duration::from_secs(1);
/// The time-out of one handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The time-out of one connection attempt.
const CONNECT: Duration = Duration::from_secs(15);
/// The most incoming connections in a handshake at the same time. One more ends all of these.
const MOST_GUESTS: usize = 64;
/// The pause after the system could not accept a waiting connection.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);

/// The route of the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Straight from this address, or to it.
    Direct(SocketAddr),
    /// By this relay.
    Relay(String),
}

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Route::Direct(address) => write!(f, "direct ({address})"),
            Route::Relay(relay) => write!(f, "relay ({relay})"),
        }
    }
}

/// Listens for the other side, and holds the hints that lead here.
#[derive(Debug)]
pub(crate) struct TransitListener {
    listener: Option<TcpListener>,
    own: Vec<IpAddr>,
    hints: Hints,
}

impl TransitListener {
    /// Starts to listen, if the settings want it and it is possible.
    pub(crate) async fn open(settings: &Settings) -> TransitListener {
        let own = own_addresses();
        let listener = if settings.listens { listen().await } else { None };
        let port = listener.as_ref().and_then(|it| it.local_addr().ok()).map(|it| it.port());
        let told = match port {
            Some(_) => addresses_to_tell(&own, settings.reach),
            None => Vec::new(),
        };
        let hints = Hints::ours(&told, port.unwrap_or(0), &settings.relays);
        TransitListener { listener, own, hints }
    }

    /// The hints for the other side.
    pub(crate) fn hints(&self) -> &Hints {
        &self.hints
    }
}

/// Listens on all addresses, of both families where there are two.
async fn listen() -> Option<TcpListener> {
    for address in ["[::]:0", "0.0.0.0:0"] {
        match TcpListener::bind(address).await {
            Ok(listener) => return Some(listener),
            Err(error) => tracing::debug!("could not listen on {address}: {error}"),
        }
    }
    None
}

/// A connection whose handshake is complete.
struct Candidate {
    stream: TcpStream,
    route: Route,
}

/// Connects to the other side. The connection is ready for data.
pub(crate) async fn connect(
    door: TransitListener,
    theirs: &Hints,
    key: &Key,
    role: Role,
    settings: &Settings,
) -> Result<(Box<PeerConnection>, Route), Error> {
    let search = Search::new(door, theirs, key, role, settings)?;
    let found = timeout(settings.limits.transit, Box::pin(search.run())).await;
    let found = found.unwrap_or(Err(Error::TimedOut { what: Stage::Transit }))?;
    let Candidate { stream, route } = found;
    tracing::debug!(%route, "connected to the other side");
    Ok((PeerConnection::new(stream, key, role, settings.limits.idle), route))
}

struct Search {
    listener: Option<TcpListener>,
    own: Vec<IpAddr>,
    reach: HintPolicy,
    role: Role,
    words: Handshake,
    direct: Vec<Hint>,
    relays: Vec<(Hint, HintPolicy)>,
}

impl Search {
    fn new(
        door: TransitListener,
        theirs: &Hints,
        key: &Key,
        role: Role,
        settings: &Settings,
    ) -> Result<Search, Error> {
        let ours: Vec<Hint> = settings.relays.iter().map(|it| it.0.clone()).collect();
        // Our own relay comes from our settings; the peer's relay comes from a stranger.
        let others = theirs.relays.iter().filter(|it| !ours.contains(it));
        let others: Vec<_> = others.map(|it| (it.clone(), settings.reach)).collect();
        let relays = ours.into_iter().map(|it| (it, HintPolicy::Anywhere)).chain(others).collect();
        Ok(Search {
            listener: door.listener,
            own: door.own,
            reach: settings.reach,
            role,
            words: Handshake::new(key, role)?,
            direct: theirs.direct.clone(),
            relays,
        })
    }

    async fn run(mut self) -> Result<Candidate, Error> {
        let (mut tries, mut guests) = (JoinSet::new(), JoinSet::new());
        for hint in std::mem::take(&mut self.direct) {
            let (words, role, reach, own) =
                (self.words.clone(), self.role, self.reach, self.own.clone());
            tries.spawn(async move { go_to(&hint, false, reach, &own, &words, role).await });
        }
        // The receiver may wait at the relay at once: the sender picks the connection.
        let may_be_direct = self.listener.is_some() || !tries.is_empty();
        let has_head_start = self.role == Role::Sender && may_be_direct;
        let mut head_start =
            std::pin::pin!(sleep(if has_head_start { HEAD_START } else { Duration::ZERO }));
        let mut has_begun_relays = false;
        loop {
            let nothing_else = tries.is_empty() && self.listener.is_none();
            if nothing_else && has_begun_relays {
                return Err(Error::NoRoute);
            }
            if nothing_else {
                has_begun_relays = true;
                self.begin_relays(&mut tries);
                continue;
            }
            let found = tokio::select! {
                () = &mut head_start, if !has_begun_relays => {
                    has_begun_relays = true;
                    self.begin_relays(&mut tries);
                    continue;
                }
                Some(found) = tries.join_next() => found,
                Some(found) = guests.join_next() => found,
                guest = accept(self.listener.as_ref()) => {
                    self.welcome(guest, &mut guests);
                    continue;
                }
            };
            // A task that was aborted found nothing.
            let Ok(Some(candidate)) = found else { continue };
            if let Some(chosen) = self.choose(candidate).await {
                dismiss(tries);
                dismiss(guests);
                return Ok(chosen);
            }
        }
    }

    fn begin_relays(&self, tries: &mut JoinSet<Option<Candidate>>) {
        for (hint, reach) in self.relays.clone() {
            let (words, role, own) = (self.words.clone(), self.role, self.own.clone());
            tries.spawn(async move { go_to(&hint, true, reach, &own, &words, role).await });
        }
    }

    fn welcome(&self, guest: (TcpStream, SocketAddr), guests: &mut JoinSet<Option<Candidate>>) {
        let (mut stream, address) = guest;
        if guests.len() >= MOST_GUESTS {
            // The peer would have completed its handshake long ago.
            guests.abort_all();
        }
        let (words, role) = (self.words.clone(), self.role);
        guests.spawn(async move {
            let shaken = timeout(HANDSHAKE, shake_hands(&mut stream, &words, role)).await;
            let route = Route::Direct(SocketAddr::new(address.ip().to_canonical(), address.port()));
            matches!(shaken, Ok(Ok(()))).then_some(Candidate { stream, route })
        });
    }

    /// Confirms a candidate; only the sender sends `go`. `None` where the connection has ended meanwhile.
    async fn choose(&self, mut candidate: Candidate) -> Option<Candidate> {
        if self.role == Role::Sender {
            let said = timeout(HANDSHAKE, candidate.stream.write_all(b"go\n")).await;
            said.ok()?.ok()?;
        }
        Some(candidate)
    }
}

/// The next incoming connection; waits for ever without a listener.
async fn accept(listener: Option<&TcpListener>) -> (TcpStream, SocketAddr) {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        match listener.accept().await {
            Ok(guest) => return guest,
            Err(error) => {
                tracing::debug!("could not accept a connection: {error}");
                sleep(OUT_OF_DESCRIPTORS).await;
            }
        }
    }
}

/// Sends `nevermind` on connections that wait for `go`. The others just end.
fn dismiss(mut others: JoinSet<Option<Candidate>>) {
    while let Some(other) = others.try_join_next() {
        if let Ok(Some(candidate)) = other
            && candidate.stream.try_write(b"nevermind\n").is_err()
        {
            tracing::debug!(route = %candidate.route, "the other side had already closed this connection");
        }
    }
}

/// Tries the addresses of a hint, one after the other.
async fn go_to(
    hint: &Hint,
    is_relay: bool,
    reach: HintPolicy,
    own: &[IpAddr],
    words: &Handshake,
    role: Role,
) -> Option<Candidate> {
    for address in hint.resolve(reach, own).await {
        match go(address, is_relay, words, role).await {
            Ok(stream) => {
                let route =
                    if is_relay { Route::Relay(hint.to_string()) } else { Route::Direct(address) };
                return Some(Candidate { stream, route });
            }
            Err(error) => tracing::debug!(%address, "could not connect: {error}"),
        }
    }
    None
}

async fn go(
    address: SocketAddr,
    is_relay: bool,
    words: &Handshake,
    role: Role,
) -> io::Result<TcpStream> {
    let mut stream = timeout(CONNECT, TcpStream::connect(address)).await??;
    stream.set_nodelay(true)?;
    if is_relay {
        stream.write_all(words.to_relay.as_bytes()).await?;
        // The relay sends this once the other side is there too. So only the search as a whole has a time-out.
        expect(&mut stream, "ok\n").await?;
    }
    timeout(HANDSHAKE, shake_hands(&mut stream, words, role)).await??;
    Ok(stream)
}

/// Exchanges both handshakes. The sender then holds back its `go`, and the receiver waits for it.
async fn shake_hands(stream: &mut TcpStream, words: &Handshake, role: Role) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(words.ours.as_bytes()).await?;
    expect(stream, &words.theirs).await?;
    match role {
        Role::Sender => Ok(()),
        Role::Receiver => expect(stream, "go\n").await,
    }
}

/// Reads exactly this text, and fails at the first wrong byte.
async fn expect(stream: &mut TcpStream, words: &str) -> io::Result<()> {
    let mut missing = words.as_bytes();
    let mut buffer = [0; 128];
    while !missing.is_empty() {
        let room = missing.len().min(buffer.len());
        let read = stream.read(buffer.get_mut(..room).unwrap_or_default()).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let come = buffer.get(..read).unwrap_or_default();
        missing = missing.strip_prefix(come).ok_or(io::ErrorKind::InvalidData)?;
    }
    Ok(())
}
