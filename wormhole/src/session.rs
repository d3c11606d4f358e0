//! The sealed messages between two sides with a key: in order, each received once.
//!
//! Follows client-protocol.md. A message's phase is its number, and its key depends on side and phase. Messages of a third side, and phases
//! that are not a number, are ignored.

use std::collections::BTreeMap;

use tokio::time::{Duration, timeout};

use crate::code::Code;
use crate::error::{Error, Stage};
use crate::key::{Exchange, Key};
use crate::mailbox::Mailbox;
use crate::peer_message::{LONGEST, PeerMessage, Saying};
use crate::server_message::{Message, Mood};
use crate::settings::Settings;

/// The most messages that may be ahead of the next one.
const MOST_EARLY: usize = 64;
/// The bytes that sealing adds to a message.
const SEAL: usize = 40;
/// The reason that the other side gets when none was given.
const CANCELLED: &str = "the other side stopped the transfer";
/// How long to wait for the other side's reason after the connection broke.
const REASON: Duration = Duration::from_millis(500);

/// Two sides with a key. Dropping it sends the reason to the other side. Boxed, since it is moved often.
#[derive(Debug)]
pub(crate) struct Session {
    /// `None` once it is closed.
    mailbox: Option<Mailbox>,
    settings: Settings,
    key: Key,
    their_side: String,
    next_said: u64,
    next_heard: u64,
    /// Messages ahead of the next one.
    early: BTreeMap<u64, Message>,
    /// The reason to send at the end; `None` where the other side knows it.
    last_word: Option<String>,
}

impl Session {
    /// Waits for the other side, agrees on a key with it and confirms that both have the same.
    pub(crate) async fn begin(
        mut mailbox: Mailbox,
        code: &Code,
        settings: Settings,
    ) -> Result<Box<Session>, Error> {
        let exchange = Exchange::begin(code);
        mailbox.say("pake", exchange.message()?).await?;
        let mut early = Vec::new();
        let first =
            timeout(settings.limits.peer, await_phase(&mut mailbox, "pake", None, &mut early));
        let first = first.await.unwrap_or(Err(Error::TimedOut { what: Stage::Peer }))?;
        mailbox.set_mood(Mood::Errory);
        let key = exchange.finish(&first.body)?;
        let version = key.for_phase(mailbox.side(), "version").seal(br#"{"app_versions":{}}"#)?;
        mailbox.say("version", version).await?;
        let side = first.side;
        let second = timeout(
            settings.limits.key,
            await_phase(&mut mailbox, "version", Some(&side), &mut early),
        );
        let second = second.await.unwrap_or(Err(Error::TimedOut { what: Stage::Key }))?;
        // The content does not matter, only that it could be opened.
        if key.for_phase(&side, "version").open(&second.body).is_none() {
            mailbox.set_mood(Mood::Scary);
            return Err(Error::WrongCode);
        }
        let mut session = Box::new(Session {
            mailbox: Some(mailbox),
            settings,
            key,
            their_side: side,
            next_said: 0,
            next_heard: 0,
            early: BTreeMap::new(),
            last_word: Some(CANCELLED.to_owned()),
        });
        for message in early {
            session.keep(message);
        }
        Ok(session)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    pub(crate) async fn say(&mut self, saying: Saying<'_>) -> Result<(), Error> {
        let (phase, body) = self.seal(&saying)?;
        match &mut self.mailbox {
            Some(mailbox) => mailbox.say(&phase, body).await,
            None => Err(Error::Stopped),
        }
    }

    /// The next message. If the other side gives up, that is an error. Dropping the future loses nothing.
    pub(crate) async fn hear(&mut self) -> Result<PeerMessage, Error> {
        loop {
            if let Some(message) = self.early.remove(&self.next_heard) {
                self.next_heard += 1;
                return self.open(&message);
            }
            let Some(mailbox) = &mut self.mailbox else { return Err(Error::Stopped) };
            let message = mailbox.hear().await?;
            self.keep(message);
        }
    }

    /// Resolves when the other side gives up, or the mailbox is lost permanently.
    pub(crate) async fn end(&mut self) -> Error {
        loop {
            if let Err(error) = self.hear().await {
                return self.note(error);
            }
        }
    }

    /// Resolves when the other side gives up. A lost mailbox does not matter here.
    pub(crate) async fn gives_up(&mut self) -> Error {
        match self.end().await {
            Error::MailboxLost { .. }
            | Error::MailboxUnreachable { .. }
            | Error::MailboxSaid(_) => std::future::pending().await,
            error => error,
        }
    }

    /// After the connection broke: the reason that the other side may have sent.
    pub(crate) async fn reason(&mut self) -> Option<Error> {
        timeout(REASON, self.gives_up()).await.ok()
    }

    /// Records the error that is sent to the other side at the end, unless it came from there.
    pub(crate) fn note(&mut self, error: Error) -> Error {
        self.last_word = match &error {
            Error::PeerError(_) | Error::Refused(_) | Error::NotAcknowledged(_) => None,
            error => Some(error.to_string()),
        };
        error
    }

    /// Ends it in agreement.
    pub(crate) async fn close(mut self: Box<Self>) {
        self.last_word = None;
        if let Some(mailbox) = self.mailbox.take() {
            mailbox.set_mood(Mood::Happy);
            mailbox.close().await;
        }
    }

    /// Ends it and sends a reason to the other side.
    pub(crate) async fn give_up(mut self: Box<Self>, why: &str) {
        self.last_word = Some(why.to_owned());
        self.say_last_word();
        if let Some(mailbox) = self.mailbox.take() {
            mailbox.close().await;
        }
    }

    fn say_last_word(&mut self) {
        let Some(last_word) = self.last_word.take() else { return };
        let sealed = self.seal(&Saying::Error(&last_word));
        if let Some((mailbox, (phase, body))) = self.mailbox.as_ref().zip(sealed.ok()) {
            mailbox.mention(&phase, body);
        }
    }

    fn seal(&mut self, saying: &Saying<'_>) -> Result<(String, Vec<u8>), Error> {
        let side = self.mailbox.as_ref().map(Mailbox::side).unwrap_or_default();
        let phase = self.next_said.to_string();
        let body = self.key.for_phase(side, &phase).seal(&saying.to_bytes())?;
        self.next_said += 1;
        Ok((phase, body))
    }

    fn open(&self, message: &Message) -> Result<PeerMessage, Error> {
        let bad = || Error::bad("what the other side says");
        let key = self.key.for_phase(&message.side, &message.phase);
        let plain = key.open(&message.body).ok_or_else(bad)?;
        let message = PeerMessage::parse(&plain).ok_or_else(bad)?;
        match message.error {
            Some(why) => Err(Error::PeerError(why)),
            None => Ok(message),
        }
    }

    fn keep(&mut self, message: Message) {
        let is_number = message.phase.bytes().all(|it| it.is_ascii_digit());
        let number = message.phase.parse().ok().filter(|_| is_number);
        let Some(number) = number else { return };
        let is_theirs = message.side == self.their_side;
        if is_theirs && number >= self.next_heard && self.early.len() < MOST_EARLY {
            // A message that is too long is kept as an empty one, so that it is an error in its turn.
            let body = if message.body.len() <= LONGEST + SEAL { message.body } else { Vec::new() };
            self.early.entry(number).or_insert(Message { body, ..message });
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.say_last_word();
    }
}

/// Waits for the first message of a phase. Others are kept for later, up to a limit.
async fn await_phase(
    mailbox: &mut Mailbox,
    phase: &str,
    side: Option<&str>,
    early: &mut Vec<Message>,
) -> Result<Message, Error> {
    if let Some(found) =
        early.iter().position(|it| it.phase == phase && side == Some(it.side.as_str()))
    {
        return Ok(early.swap_remove(found));
    }
    loop {
        let message = mailbox.hear().await?;
        if message.phase == phase && side.is_none_or(|it| it == message.side) {
            return Ok(message);
        }
        if early.len() < MOST_EARLY {
            early.push(message);
        }
    }
}
