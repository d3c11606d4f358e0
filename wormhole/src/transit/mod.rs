//! The way to the other side: directly, or by a relay.
//!
//! After transit.md. Both sides listen, tell each other where, and try all that they were told at the same time. On each
//! connection both show that they have the key; then the sender picks one with `go`, and all others end. A stranger who
//! connects to us can't say the right words, gets little time for it, and takes no place from the right one.

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

/// The sender's direct attempts are alone for so long: of two ways, the shorter should be the first.
const HEAD_START: Duration = Duration::from_secs(1);
/// How long the words of one connection may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long an address may take to answer.
const CONNECT: Duration = Duration::from_secs(15);
/// As many strangers may try at the same time to find the right words. One more, and the first of them has to go.
const MOST_GUESTS: usize = 64;
/// A pause when the system gives us no connection that is there.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);

/// How the data come.
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

/// Where the other side can find us, from now on.
#[derive(Debug)]
pub(crate) struct TransitListener {
    listener: Option<TcpListener>,
    own: Vec<IpAddr>,
    hints: Hints,
}

impl TransitListener {
    /// Begins to listen, if that is wanted and possible.
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

    /// What to tell the other side.
    pub(crate) fn hints(&self) -> &Hints {
        &self.hints
    }
}

/// On all addresses, of both families where there are two.
async fn listen() -> Option<TcpListener> {
    for address in ["[::]:0", "0.0.0.0:0"] {
        match TcpListener::bind(address).await {
            Ok(listener) => return Some(listener),
            Err(error) => tracing::debug!("could not listen on {address}: {error}"),
        }
    }
    None
}

/// A connection on which both have said the right words.
struct Candidate {
    stream: TcpStream,
    route: Route,
}

/// Finds a way to the other side, with a connection that is ready for data.
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
    tracing::debug!(%route, "found a way to the other side");
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
        // Our own relay is where we were told it is; the peer's is a stranger's word.
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
        // Who only follows may wait at the relay: the sender picks.
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
            // A task that was ended found nothing.
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
            // Whoever knows the words has said them long ago.
            guests.abort_all();
        }
        let (words, role) = (self.words.clone(), self.role);
        guests.spawn(async move {
            let shaken = timeout(HANDSHAKE, shake_hands(&mut stream, &words, role)).await;
            let route = Route::Direct(SocketAddr::new(address.ip().to_canonical(), address.port()));
            matches!(shaken, Ok(Ok(()))).then_some(Candidate { stream, route })
        });
    }

    /// The sender has the last word. None where the connection has ended meanwhile.
    async fn choose(&self, mut candidate: Candidate) -> Option<Candidate> {
        if self.role == Role::Sender {
            let said = timeout(HANDSHAKE, candidate.stream.write_all(b"go\n")).await;
            said.ok()?.ok()?;
        }
        Some(candidate)
    }
}

/// The next one who comes; waits for ever where nobody can.
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

/// Tells those who wait for a word that it is no. The others see the connection end.
fn dismiss(mut others: JoinSet<Option<Candidate>>) {
    while let Some(other) = others.try_join_next() {
        if let Ok(Some(candidate)) = other
            && candidate.stream.try_write(b"nevermind\n").is_err()
        {
            tracing::debug!(route = %candidate.route, "the other side had ended it before");
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
            Err(error) => tracing::debug!(%address, "found no way there: {error}"),
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
        // It comes when the other side is there too, so only the search as a whole has a limit.
        expect(&mut stream, "ok\n").await?;
    }
    timeout(HANDSHAKE, shake_hands(&mut stream, words, role)).await??;
    Ok(stream)
}

/// Both say their words. The sender then waits with its last, and the receiver for it.
async fn shake_hands(stream: &mut TcpStream, words: &Handshake, role: Role) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(words.ours.as_bytes()).await?;
    expect(stream, &words.theirs).await?;
    match role {
        Role::Sender => Ok(()),
        Role::Receiver => expect(stream, "go\n").await,
    }
}

/// Reads just these words, and ends at the first wrong letter.
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
