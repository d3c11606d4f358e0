//! A mailbox at the mailbox server, held by a task of its own.
//!
//! Follows server-protocol.md. The task owns the websocket, so pings are answered and messages arrive while nobody waits for them. Dropping
//! the [`Mailbox`] at any moment ends it properly: the task releases the nameplate and closes the mailbox with the mood that was set last.
//! If the connection is lost, the task reconnects as the same side for a while. The server then repeats everything, and known messages are
//! ignored.
//!
//! Knows nothing of keys: bodies are bytes. The memory that a peer can make it use is bounded; too many messages are an error.

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::code::Code;
use crate::error::{Error, Stage};
use crate::hex;
use crate::key::random;
use crate::server_message::{ClientMessage, Message, Mood, ServerMessage};
use crate::settings::{APP, Settings};
use crate::websocket::WebSocket;
use crate::wordlist;

/// The most messages of the peer that wait to be received.
const MOST_WAITING: usize = 64;
/// The most messages of others that are remembered in one mailbox.
const MOST_MESSAGES: usize = 512;
/// The pause before the first reconnection; it doubles, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// How a mailbox is found.
pub(crate) enum Start {
    /// Under a new nameplate, for a code with this many random words.
    Allocate { words: usize },
    /// Under the nameplate of a code.
    Join { code: Code, absent: IfNoPeer },
}

/// What to do where nobody waits under a code's nameplate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfNoPeer {
    /// Fail with [`Error::NobodyThere`], and leave the code unused.
    Fail,
    /// Wait there: both sides have agreed on the code beforehand.
    Wait,
}

/// An open mailbox. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct Mailbox {
    side: String,
    sayings: mpsc::Sender<Outbound>,
    messages: mpsc::Receiver<Message>,
    failure: oneshot::Receiver<Error>,
    mood: watch::Sender<Mood>,
    task: JoinHandle<()>,
}

/// What the server reported while it was opened.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) code: Code,
    /// The server's message for people.
    pub(crate) welcome: Option<String>,
}

/// A message that was added to the mailbox, or will be.
#[derive(Debug)]
struct Outbound {
    phase: String,
    body: Vec<u8>,
    /// Whether the server has echoed it, so it is stored.
    is_echoed: bool,
}

impl Mailbox {
    /// Opens a mailbox. Dropping the future closes it, like dropping the mailbox.
    pub(crate) async fn open(
        settings: &Settings,
        start: Start,
    ) -> Result<(Mailbox, Opened), Error> {
        let mut side = [0; 5];
        random(&mut side)?;
        let side = hex::encode(&side);
        let (sayings, to_say) = mpsc::channel(MOST_WAITING);
        let (heard, messages) = mpsc::channel(MOST_WAITING);
        let (failed, failure) = oneshot::channel();
        let (mood, mood_set) = watch::channel(Mood::Lonely);
        let (reply, opened) = oneshot::channel();
        let keeper = MailboxTask {
            settings: settings.clone(),
            side: side.clone(),
            line: None,
            number: None,
            mailbox: None,
            is_allocating: false,
            said: Vec::new(),
            seen: HashSet::new(),
            to_say,
            heard: Some(heard),
        };
        let task = settings.tracker.spawn(keeper.run(start, reply, failed, mood_set));
        let mailbox = Mailbox { side, sayings, messages, failure, mood, task };
        match opened.await {
            Ok(Ok(opened)) => Ok((mailbox, opened)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::Stopped),
        }
    }

    /// The name of this side.
    pub(crate) fn side(&self) -> &str {
        &self.side
    }

    /// Sets the mood for the close, unless another is set later.
    pub(crate) fn set_mood(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Adds a message to the mailbox. It arrives before a close that follows.
    pub(crate) async fn say(&mut self, phase: &str, body: Vec<u8>) -> Result<(), Error> {
        let saying = Outbound { phase: phase.to_owned(), body, is_echoed: false };
        match self.sayings.send(saying).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.why_it_ended()),
        }
    }

    /// The same without waiting, and without a promise that it is sent.
    pub(crate) fn mention(&self, phase: &str, body: Vec<u8>) {
        let saying = Outbound { phase: phase.to_owned(), body, is_echoed: false };
        if self.sayings.try_send(saying).is_err() {
            tracing::debug!(
                "could not send the last message: the mailbox has ended, or its queue is full"
            );
        }
    }

    /// The next message of another side. Dropping the future loses nothing.
    pub(crate) async fn hear(&mut self) -> Result<Message, Error> {
        match self.messages.recv().await {
            Some(message) => Ok(message),
            None => Err(self.why_it_ended()),
        }
    }

    /// Closes the mailbox, and waits until that is done.
    pub(crate) async fn close(self) {
        let Mailbox { sayings, messages, failure, mood, task, .. } = self;
        drop((sayings, messages, failure));
        if let Err(error) = task.await {
            tracing::debug!("the mailbox task panicked or was aborted: {error}");
        }
        drop(mood);
    }

    fn why_it_ended(&mut self) -> Error {
        self.failure.try_recv().unwrap_or(Error::MailboxLost { source: None })
    }
}

/// The task that holds the mailbox.
struct MailboxTask {
    settings: Settings,
    side: String,
    /// `None` while the connection is lost.
    line: Option<WebSocket>,
    number: Option<Nameplate>,
    mailbox: Option<String>,
    /// Whether a nameplate was requested and has not arrived.
    is_allocating: bool,
    said: Vec<Outbound>,
    /// The sides and phases of the messages received.
    seen: HashSet<(String, String)>,
    to_say: mpsc::Receiver<Outbound>,
    /// Set to `None` when no more messages will come.
    heard: Option<mpsc::Sender<Message>>,
}

/// The code's nameplate at the server.
struct Nameplate {
    text: String,
    hold: Hold,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// Allocated; not claimed.
    Reserved,
    /// Claimed, whether or not the server has confirmed it.
    Claimed,
    /// Released, but not confirmed by the server.
    Releasing,
    Released,
}

/// Whether to continue.
enum Next {
    GoOn,
    Part,
}

impl MailboxTask {
    async fn run(
        mut self,
        start: Start,
        mut reply: oneshot::Sender<Result<Opened, Error>>,
        failed: oneshot::Sender<Error>,
        mood: watch::Receiver<Mood>,
    ) {
        let limit = self.settings.limits.connect;
        let begun = tokio::select! {
            begun = tokio::time::timeout(limit, self.begin(start)) => begun,
            () = reply.closed() => return self.part(Mood::Lonely).await,
        };
        let begun = begun.unwrap_or(Err(Error::TimedOut { what: Stage::Mailbox }));
        let is_open = begun.is_ok();
        // If the caller is gone, nobody receives this. Then the other channels are closed as well.
        drop(reply.send(begun));
        if is_open && let Err(error) = self.serve().await {
            tracing::debug!("the mailbox failed: {error}");
            drop(failed.send(error));
            self.heard = None;
        }
        let mood = *mood.borrow();
        self.part(mood).await;
    }

    /// Connects and opens the mailbox.
    async fn begin(&mut self, start: Start) -> Result<Opened, Error> {
        let line = self.line.insert(WebSocket::open(&self.settings.mailbox).await?);
        let welcome = greet(line, &self.side).await?;
        let code = match start {
            Start::Allocate { words } => self.allocate(words).await?,
            Start::Join { code, absent } => {
                self.join(&code, absent).await?;
                code
            }
        };
        let mailbox = self.mailbox.clone().unwrap_or_default();
        self.line()?.say(&ClientMessage::Open { mailbox: &mailbox }).await?;
        Ok(Opened { code, welcome })
    }

    async fn allocate(&mut self, words: usize) -> Result<Code, Error> {
        self.is_allocating = true;
        self.line()?.say(&ClientMessage::Allocate).await?;
        let number = self.allocated().await?;
        let words = wordlist::random(words).map_err(|source| Error::Random { source })?;
        let code = Code::parse(&format!("{number}-{words}"));
        let code = code.map_err(|_impossible| Error::bad("the mailbox server's number"))?;
        self.claim(number).await?;
        Ok(code)
    }

    async fn join(&mut self, code: &Code, absent: IfNoPeer) -> Result<(), Error> {
        let number = code.nameplate();
        if absent == IfNoPeer::Fail && !self.may_be_there(number).await? {
            return Err(Error::NobodyThere);
        }
        self.claim(number.to_owned()).await
    }

    /// Whether a peer may wait under a nameplate: it does, or the server does not say. Does not touch the nameplate: if its owner came just
    /// now, a claim that is released again would leave no room for the next one.
    async fn may_be_there(&mut self, number: &str) -> Result<bool, Error> {
        let is_there = |listed: &[String]| listed.iter().any(|it| it == number);
        let listed = self.list().await?;
        if !listed.is_empty() {
            return Ok(is_there(&listed));
        }
        // Either nobody waits at all, or the server gives no lists. A nameplate of our own shows which.
        self.is_allocating = true;
        self.line()?.say(&ClientMessage::Allocate).await?;
        let probe = self.allocated().await?;
        let listed = self.list().await?;
        let gives_lists = listed.contains(&probe);
        if probe == number || gives_lists && !is_there(&listed) {
            return Ok(false);
        }
        // A connection can open only one mailbox.
        self.say_goodbye(Mood::Lonely).await?;
        self.number = None;
        let line = self.line.insert(WebSocket::open(&self.settings.mailbox).await?);
        greet(line, &self.side).await?;
        Ok(true)
    }

    /// The nameplates where a side waits; empty where the server gives no lists.
    async fn list(&mut self) -> Result<Vec<String>, Error> {
        let line = self.line()?;
        line.say(&ClientMessage::List).await?;
        let listed = answer(line, |it| match it {
            ServerMessage::Nameplates(numbers) => Some(numbers),
            _ => None,
        });
        match listed.await {
            Err(Error::MailboxSaid(_)) => Ok(Vec::new()),
            listed => listed,
        }
    }

    async fn allocated(&mut self) -> Result<String, Error> {
        let number = answer(self.line()?, |it| match it {
            ServerMessage::Allocated(number) => Some(number),
            _ => None,
        });
        let text = number.await?;
        self.number = Some(Nameplate { text: text.clone(), hold: Hold::Reserved });
        self.is_allocating = false;
        Ok(text)
    }

    async fn claim(&mut self, number: String) -> Result<(), Error> {
        self.number = Some(Nameplate { text: number.clone(), hold: Hold::Claimed });
        self.line()?.say(&ClientMessage::Claim { nameplate: &number }).await?;
        self.claimed().await
    }

    async fn claimed(&mut self) -> Result<(), Error> {
        let mailbox = answer(self.line()?, claimed).await?;
        self.mailbox = Some(mailbox);
        Ok(())
    }

    fn line(&mut self) -> Result<&mut WebSocket, Error> {
        self.line.as_mut().ok_or(Error::MailboxLost { source: None })
    }

    /// Passes messages both ways, until the mailbox is dropped.
    async fn serve(&mut self) -> Result<(), Error> {
        loop {
            let Some(line) = &mut self.line else {
                match self.come_back().await? {
                    Next::GoOn => continue,
                    Next::Part => return Ok(()),
                }
            };
            let done = tokio::select! {
                saying = self.to_say.recv() => match saying {
                    Some(saying) => self.say(saying).await,
                    None => return Ok(()),
                },
                heard = line.hear() => match heard {
                    Ok(message) => self.take(message).await,
                    Err(error) => Err(error),
                },
            };
            match done {
                Ok(()) => {}
                Err(Error::MailboxLost { source }) => {
                    tracing::debug!(?source, "lost the connection to the mailbox server");
                    self.line = None;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn say(&mut self, saying: Outbound) -> Result<(), Error> {
        self.said.push(saying);
        let Some((saying, line)) = self.said.last().zip(self.line.as_mut()) else { return Ok(()) };
        line.say(&ClientMessage::Add { phase: &saying.phase, body: &saying.body }).await
    }

    async fn take(&mut self, message: ServerMessage) -> Result<(), Error> {
        match message {
            ServerMessage::Message(message) if message.side == self.side => {
                let said = self.said.iter_mut().find(|it| it.phase == message.phase);
                if let Some(said) = said {
                    said.is_echoed = true;
                }
                Ok(())
            }
            ServerMessage::Message(message) => {
                if !self.seen.insert((message.side.clone(), message.phase.clone())) {
                    return Ok(());
                }
                let is_full = match &self.heard {
                    Some(heard) => {
                        matches!(heard.try_send(message), Err(mpsc::error::TrySendError::Full(_)))
                    }
                    None => false,
                };
                if is_full || self.seen.len() > MOST_MESSAGES {
                    return Err(Error::bad("a flood of messages"));
                }
                // Both sides are there: nobody else needs the nameplate.
                self.release().await
            }
            ServerMessage::Released => {
                if let Some(number) = &mut self.number {
                    number.hold = Hold::Released;
                }
                Ok(())
            }
            ServerMessage::Error { error, asked } => match asked.as_deref() {
                Some("release" | "close" | "list") => Ok(()),
                _ => Err(refusal(error)),
            },
            _ => Ok(()),
        }
    }

    async fn release(&mut self) -> Result<(), Error> {
        let Some((number, line)) = self.number.as_mut().zip(self.line.as_mut()) else {
            return Ok(());
        };
        if number.hold != Hold::Claimed {
            return Ok(());
        }
        number.hold = Hold::Releasing;
        line.say(&ClientMessage::Release { nameplate: &number.text }).await
    }

    /// Reconnects to a lost server, again and again, until the time-out.
    async fn come_back(&mut self) -> Result<Next, Error> {
        let deadline = Instant::now() + self.settings.limits.reconnect;
        let mut pause = FIRST_PAUSE;
        let mut failure = None;
        loop {
            let (way, limit) = (Return::of(self), self.settings.limits.connect);
            let attempt = async move {
                tokio::time::sleep(pause).await;
                let limited = tokio::time::timeout(limit, way.go()).await;
                limited.unwrap_or(Err(Error::MailboxLost { source: None }))
            };
            let attempt = tokio::time::timeout_at(deadline, attempt);
            let mut attempt = std::pin::pin!(attempt);
            let mut later = Vec::new();
            let outcome = loop {
                let saying = tokio::select! {
                    outcome = &mut attempt => break Some(outcome),
                    saying = self.to_say.recv() => saying,
                };
                let Some(saying) = saying else { break None };
                later.push(saying);
            };
            self.said.append(&mut later);
            match outcome {
                Some(Ok(Ok((line, mailbox)))) => match self.resume(line, mailbox).await {
                    Ok(()) => return Ok(Next::GoOn),
                    Err(error) if is_of_the_way(&error) => failure = Some(Box::new(error)),
                    Err(error) => return Err(error),
                },
                Some(Ok(Err(error))) if is_of_the_way(&error) => failure = Some(Box::new(error)),
                Some(Ok(Err(error))) => return Err(error),
                Some(Err(_)) => {
                    return Err(Error::MailboxLost { source: failure.map(|it| it as _) });
                }
                None => return Ok(Next::Part),
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Continues at a server that was reached again.
    async fn resume(&mut self, line: WebSocket, mailbox: String) -> Result<(), Error> {
        if self.mailbox.as_ref() != Some(&mailbox) {
            // The server has forgotten everything: it was restarted.
            self.said.iter_mut().for_each(|it| it.is_echoed = false);
            self.mailbox = Some(mailbox);
        }
        let line = self.line.insert(line);
        for saying in self.said.iter().filter(|it| !it.is_echoed) {
            line.say(&ClientMessage::Add { phase: &saying.phase, body: &saying.body }).await?;
        }
        match &self.number {
            Some(number) if number.hold == Hold::Releasing => {
                line.say(&ClientMessage::Release { nameplate: &number.text }).await
            }
            _ => Ok(()),
        }
    }

    /// Releases everything that this side holds at the server.
    async fn part(mut self, mood: Mood) {
        let limit = self.settings.limits.closing;
        let parted = tokio::time::timeout(limit, async {
            while let Err(error) = self.say_goodbye(mood).await {
                tracing::debug!("could not release the nameplate and close the mailbox: {error}");
                self.line = None;
                if !is_of_the_way(&error) || !self.has_to_come_back() {
                    break;
                }
                tokio::time::sleep(FIRST_PAUSE).await;
            }
        });
        if parted.await.is_err() {
            tracing::debug!("the mailbox server did not confirm the close in time");
        }
        if let Some(line) = self.line.take() {
            // The result does not matter.
            tokio::time::timeout(limit, line.close()).await.unwrap_or_default();
        }
    }

    async fn say_goodbye(&mut self, mood: Mood) -> Result<(), Error> {
        if self.line.is_none() {
            if !self.has_to_come_back() {
                return Ok(());
            }
            let (line, mailbox) = Return::of(self).go().await?;
            self.resume(line, mailbox).await?;
        }
        if self.is_allocating {
            self.allocated().await?;
        }
        // The server gives the name of the mailbox to close only when the nameplate is claimed.
        match &self.number {
            Some(Nameplate { text, hold: Hold::Reserved }) => self.claim(text.clone()).await?,
            Some(Nameplate { hold: Hold::Claimed, .. }) if self.mailbox.is_none() => {
                self.claimed().await?;
            }
            _ => {}
        }
        let Some(mailbox) = self.mailbox.clone() else { return Ok(()) };
        self.release().await?;
        let line = self.line()?;
        line.say(&ClientMessage::Close { mailbox: &mailbox, mood }).await?;
        // This response comes after the responses to all earlier messages.
        while line.hear().await? != ServerMessage::Closed {}
        self.mailbox = None;
        Ok(())
    }

    /// Whether a missing close would disturb anybody.
    fn has_to_come_back(&self) -> bool {
        let holds = self.number.as_ref().is_some_and(|it| it.hold != Hold::Released);
        self.mailbox.is_some() && (holds || self.said.iter().any(|it| !it.is_echoed))
    }
}

/// The values needed to reconnect to a mailbox.
struct Return {
    url: String,
    side: String,
    /// The nameplate while it is claimed. Claiming it again keeps the claim, and gets a new mailbox from a server that has forgotten the
    /// old one.
    number: Option<String>,
    mailbox: String,
}

impl Return {
    fn of(keeper: &MailboxTask) -> Return {
        let number = keeper.number.as_ref().filter(|it| it.hold == Hold::Claimed);
        Return {
            url: keeper.settings.mailbox.clone(),
            side: keeper.side.clone(),
            number: number.map(|it| it.text.clone()),
            mailbox: keeper.mailbox.clone().unwrap_or_default(),
        }
    }

    async fn go(self) -> Result<(WebSocket, String), Error> {
        let mut line = WebSocket::open(&self.url).await?;
        greet(&mut line, &self.side).await?;
        let mut mailbox = self.mailbox;
        if let Some(number) = self.number {
            line.say(&ClientMessage::Claim { nameplate: &number }).await?;
            mailbox = answer(&mut line, claimed).await?;
        }
        line.say(&ClientMessage::Open { mailbox: &mailbox }).await?;
        Ok((line, mailbox))
    }
}

/// Reads the server's welcome, and sends this side's name. Returns the server's message for people.
async fn greet(line: &mut WebSocket, side: &str) -> Result<Option<String>, Error> {
    let welcome = answer(line, |it| match it {
        ServerMessage::Welcome { motd, error } => Some((motd, error)),
        _ => None,
    });
    let (motd, error) = welcome.await?;
    if let Some(error) = error {
        return Err(Error::MailboxSaid(error));
    }
    line.say(&ClientMessage::Bind { app: APP, side }).await?;
    Ok(motd)
}

/// Waits for a response and skips other messages. Only for the time before the mailbox is open.
async fn answer<T>(
    line: &mut WebSocket,
    pick: impl Fn(ServerMessage) -> Option<T>,
) -> Result<T, Error> {
    loop {
        match line.hear().await? {
            ServerMessage::Error { error, .. } => return Err(refusal(error)),
            message => {
                if let Some(answer) = pick(message) {
                    return Ok(answer);
                }
            }
        }
    }
}

/// Whether another attempt may succeed.
fn is_of_the_way(error: &Error) -> bool {
    matches!(error, Error::MailboxUnreachable { .. } | Error::MailboxLost { .. })
}

fn claimed(message: ServerMessage) -> Option<String> {
    match message {
        ServerMessage::Claimed(mailbox) => Some(mailbox),
        _ => None,
    }
}

fn refusal(error: String) -> Error {
    match error.as_str() {
        "crowded" => Error::Crowded,
        "reclaimed" => Error::UsedUp,
        _ => Error::MailboxSaid(error),
    }
}
