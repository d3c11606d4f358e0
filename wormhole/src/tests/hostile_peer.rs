//! A peer that knows the code and all keys, and breaks any rule of the protocol.

use bytes::BytesMut;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::code::Code;
use crate::hints::{Hint, Hints};
use crate::key::{Exchange, Key};
use crate::peer_message::PeerMessage;
use crate::records::{RecordReader, RecordWriter};
use crate::server_message::{ClientMessage, Message, ServerMessage};
use crate::transit::connection::Role;
use crate::transit::handshake::Handshake;
use crate::websocket::WebSocket;
use crate::{Error, IfNoPeer, Settings, Wormhole};

pub(super) struct Evil {
    line: WebSocket,
    pub(super) key: Key,
    next: u64,
    their_next: u64,
}

const SIDE: &str = "ee";

impl Evil {
    /// Meets one of our sides.
    pub(super) async fn meet(settings: &Settings) -> (Wormhole, Evil) {
        let code = Code::parse("7-a-b").unwrap();
        let ours = async { crate::join(settings, &code, IfNoPeer::Wait).await?.peer().await };
        let (ours, evil) = tokio::join!(ours, Evil::begin(settings, &code));
        (ours.unwrap(), evil)
    }

    async fn begin(settings: &Settings, code: &Code) -> Evil {
        let mut line = Evil::open(settings, SIDE).await;
        let exchange = Exchange::begin(code);
        let body = exchange.message().unwrap();
        line.say(&ClientMessage::Add { phase: "pake", body: &body }).await.unwrap();
        let theirs = hear(&mut line, "pake").await;
        let key = exchange.finish(&theirs.body).unwrap();
        let mut evil = Evil { line, key, next: 0, their_next: 0 };
        evil.put("version", b"{}").await;
        hear(&mut evil.line, "version").await;
        evil
    }

    pub(super) async fn open(settings: &Settings, side: &str) -> WebSocket {
        let mut line = WebSocket::open(&settings.mailbox).await.unwrap();
        line.say(&ClientMessage::Bind { app: "x", side }).await.unwrap();
        line.say(&ClientMessage::Open { mailbox: "box" }).await.unwrap();
        line
    }

    /// Seals a message for any phase.
    pub(super) async fn put(&mut self, phase: &str, plain: &[u8]) {
        let body = self.key.for_phase(SIDE, phase).seal(plain).unwrap();
        self.put_raw(phase, &body).await;
    }

    pub(super) async fn put_raw(&mut self, phase: &str, body: &[u8]) {
        self.line.say(&ClientMessage::Add { phase, body }).await.unwrap();
    }

    /// Sends any text as the next message.
    pub(super) async fn say(&mut self, text: &str) {
        let phase = self.next.to_string();
        self.next += 1;
        self.put(&phase, text.as_bytes()).await;
    }

    pub(super) async fn offer(&mut self, size: u64) {
        self.say(
            &json!({ "offer": { "file": { "filename": "x", "filesize": size } } }).to_string(),
        )
        .await;
    }

    pub(super) async fn hear(&mut self) -> PeerMessage {
        let message = hear(&mut self.line, &self.their_next.to_string()).await;
        self.their_next += 1;
        let key = self.key.for_phase(&message.side, &message.phase);
        PeerMessage::parse(&key.open(&message.body).unwrap()).unwrap()
    }

    /// The hints of our side.
    pub(super) async fn hear_hints(&mut self) -> Hints {
        loop {
            if let Some(hints) = self.hear().await.transit {
                return hints;
            }
        }
    }

    /// Connects to our side and completes the handshake.
    pub(super) async fn connect(&mut self, role: Role) -> Connection {
        let hints = self.hear_hints().await;
        self.connect_to(&hints.direct[0], role).await
    }

    pub(super) async fn connect_to(&mut self, hint: &Hint, role: Role) -> Connection {
        let key = self.key.for_transit();
        let words = Handshake::new(&key, role).unwrap();
        let mut stream = TcpStream::connect((hint.host.as_str(), hint.port)).await.unwrap();
        stream.write_all(words.ours.as_bytes()).await.unwrap();
        let end = if role == Role::Receiver { "go\n" } else { "" };
        let mut theirs = vec![0; words.theirs.len() + end.len()];
        stream.read_exact(&mut theirs).await.unwrap();
        assert_eq!(theirs, [words.theirs.as_bytes(), end.as_bytes()].concat());
        if role == Role::Sender {
            stream.write_all(b"go\n").await.unwrap();
        }
        let senders = key.derive(b"transit_record_sender_key");
        let receivers = key.derive(b"transit_record_receiver_key");
        let (ours, theirs) =
            if role == Role::Sender { (senders, receivers) } else { (receivers, senders) };
        Connection {
            stream,
            sealer: RecordWriter::new(&ours),
            opener: RecordReader::new(&theirs),
            key: ours,
        }
    }
}

pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) sealer: RecordWriter,
    pub(super) opener: RecordReader,
    /// The key of the bytes that it sends.
    pub(super) key: Key,
}

impl Connection {
    pub(super) async fn send(&mut self, plain: &[u8]) -> std::io::Result<()> {
        let mut out = BytesMut::new();
        self.sealer.seal(plain, &mut out);
        self.stream.write_all(&out).await
    }

    /// Reads and opens records until this many bytes have arrived.
    pub(super) async fn receive(&mut self, len: usize) -> Vec<u8> {
        let (mut come, mut all) = (BytesMut::new(), Vec::new());
        while all.len() < len {
            assert_ne!(self.stream.read_buf(&mut come).await.unwrap(), 0);
            all.extend_from_slice(&self.opener.open(&mut come).unwrap());
        }
        all
    }
}

async fn hear(line: &mut WebSocket, phase: &str) -> Message {
    loop {
        match line.hear().await.unwrap() {
            ServerMessage::Message(message) if message.side != SIDE && message.phase == phase => {
                return message;
            }
            _ => {}
        }
    }
}

/// The name of the error that our side got.
pub(super) fn kind(error: &Error) -> String {
    let text = format!("{error:?}");
    text.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}

/// A message with an invalid offer.
pub(super) fn odd_offer(offer: &Value) -> String {
    json!({ "offer": offer }).to_string()
}
