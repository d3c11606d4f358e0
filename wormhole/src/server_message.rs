//! The messages between the mailbox server and its clients. Pure.
//!
//! Follows server-protocol.md: JSON objects with a `type`. Unknown types and fields are ignored.

use serde_json::{Value, json};

use crate::hex;
use crate::text::{plain, plain_lines};

/// The most bytes of a websocket message that is read.
pub(crate) const LONGEST: usize = 1 << 20;
/// The most nameplates of a list that are read.
const MOST_NAMEPLATES: usize = 100_000;
/// The most bytes of the name of a mailbox, a side or a phase.
const LONGEST_NAME: usize = 255;

/// A message of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ServerMessage {
    /// The first message.
    Welcome {
        /// A message for people.
        motd: Option<String>,
        /// The reason why the server refuses this client.
        error: Option<String>,
    },
    /// A new nameplate for a code.
    Allocated(String),
    /// The mailbox that belongs to the nameplate.
    Claimed(String),
    /// The nameplate was released.
    Released,
    /// The mailbox was closed.
    Closed,
    /// The nameplates where a side waits.
    Nameplates(Vec<String>),
    /// A message in the mailbox, of this side or another.
    Message(Message),
    /// The server refuses a request.
    Error {
        /// The reason, for people.
        error: String,
        /// The type of the refused message.
        asked: Option<String>,
    },
    /// A message that does not matter here.
    Other,
}

/// A message that a side has added to the mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) side: String,
    pub(crate) phase: String,
    pub(crate) body: Vec<u8>,
}

impl ServerMessage {
    /// `None` where the text is not a valid message.
    pub(crate) fn parse(text: &str) -> Option<ServerMessage> {
        if text.len() > LONGEST {
            return None;
        }
        let value: Value = serde_json::from_str(text).ok()?;
        let name = |field: &str| {
            let name = value.get(field)?.as_str().filter(|it| it.len() <= LONGEST_NAME)?;
            Some(name.to_owned())
        };
        let said = match value.get("type")?.as_str()? {
            "welcome" => {
                let welcome = value.get("welcome")?;
                let line = |field: &str| welcome.get(field).and_then(Value::as_str);
                let motd = line("motd").map(plain_lines).filter(|it| !it.is_empty());
                ServerMessage::Welcome { motd, error: line("error").map(plain) }
            }
            "allocated" => {
                let number = name("nameplate")?;
                let is_number = !number.is_empty() && number.bytes().all(|it| it.is_ascii_digit());
                ServerMessage::Allocated(is_number.then_some(number)?)
            }
            "claimed" => ServerMessage::Claimed(name("mailbox")?),
            "released" => ServerMessage::Released,
            "closed" => ServerMessage::Closed,
            "nameplates" => {
                let all = value.get("nameplates")?.as_array()?.iter().take(MOST_NAMEPLATES);
                let numbers = all.filter_map(|it| it.get("id")?.as_str().map(str::to_owned));
                ServerMessage::Nameplates(numbers.collect())
            }
            "message" => {
                let body = hex::decode(value.get("body")?.as_str()?)?;
                let (side, phase) = (name("side")?, name("phase")?);
                ServerMessage::Message(Message { side, phase, body })
            }
            "error" => ServerMessage::Error {
                error: value
                    .get("error")
                    .and_then(Value::as_str)
                    .map_or_else(|| "an error".to_owned(), plain),
                asked: value.get("orig").and_then(|it| it.get("type")?.as_str()).map(plain),
            },
            _ => ServerMessage::Other,
        };
        Some(said)
    }
}

/// How the two sides part, for the server's statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// As intended.
    Happy,
    /// No peer came.
    Lonely,
    /// A peer came with another code.
    Scary,
    /// Something failed.
    Errory,
}

/// A message of this client.
pub(crate) enum ClientMessage<'a> {
    Bind { app: &'a str, side: &'a str },
    List,
    Allocate,
    Claim { nameplate: &'a str },
    Release { nameplate: &'a str },
    Open { mailbox: &'a str },
    Add { phase: &'a str, body: &'a [u8] },
    Close { mailbox: &'a str, mood: Mood },
}

impl ClientMessage<'_> {
    pub(crate) fn to_text(&self) -> String {
        let value = match self {
            ClientMessage::Bind { app, side } => {
                let version = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
                json!({ "type": "bind", "appid": app, "side": side, "client_version": version })
            }
            ClientMessage::List => json!({ "type": "list" }),
            ClientMessage::Allocate => json!({ "type": "allocate" }),
            ClientMessage::Claim { nameplate } => {
                json!({ "type": "claim", "nameplate": nameplate })
            }
            ClientMessage::Release { nameplate } => {
                json!({ "type": "release", "nameplate": nameplate })
            }
            ClientMessage::Open { mailbox } => json!({ "type": "open", "mailbox": mailbox }),
            ClientMessage::Add { phase, body } => {
                json!({ "type": "add", "phase": phase, "body": hex::encode(body) })
            }
            ClientMessage::Close { mailbox, mood } => {
                let mood = match mood {
                    Mood::Happy => "happy",
                    Mood::Lonely => "lonely",
                    Mood::Scary => "scary",
                    Mood::Errory => "errory",
                };
                json!({ "type": "close", "mailbox": mailbox, "mood": mood })
            }
        };
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_understood() {
        let check = |said: &str, expected: ServerMessage| {
            assert_eq!(ServerMessage::parse(said), Some(expected), "{said}");
        };
        let motd = Some("hello\nyou".to_owned());
        let said = r#"{"type":"welcome","welcome":{"motd":"hello\nyou\u001b","current_cli_version":"1"},"server_tx":1.5}"#;
        check(said, ServerMessage::Welcome { motd, error: None });
        let error = Some("too old".to_owned());
        check(
            r#"{"type":"welcome","welcome":{"error":"too old"}}"#,
            ServerMessage::Welcome { motd: None, error },
        );
        check(r#"{"type":"allocated","nameplate":"7"}"#, ServerMessage::Allocated("7".to_owned()));
        check(r#"{"type":"claimed","mailbox":"x"}"#, ServerMessage::Claimed("x".to_owned()));
        let numbers = vec!["7".to_owned()];
        check(
            r#"{"type":"nameplates","nameplates":[{"id":"7"},{"id":7},3]}"#,
            ServerMessage::Nameplates(numbers),
        );
        let message = Message { side: "a".to_owned(), phase: "0".to_owned(), body: vec![255] };
        check(
            r#"{"type":"message","side":"a","phase":"0","body":"ff"}"#,
            ServerMessage::Message(message),
        );
        let error =
            ServerMessage::Error { error: "crowded".to_owned(), asked: Some("claim".to_owned()) };
        check(r#"{"type":"error","error":"crowded","orig":{"type":"claim"}}"#, error);
        check(r#"{"type":"ack","id":null}"#, ServerMessage::Other);
    }

    #[test]
    fn what_makes_no_sense_is_no_message() {
        let odd = [
            "",
            "{",
            "[]",
            "7",
            "null",
            "{}",
            r#"{"type":7}"#,
            r#"{"type":"welcome"}"#,
            r#"{"type":"claimed"}"#,
            r#"{"type":"claimed","mailbox":7}"#,
            r#"{"type":"allocated","nameplate":"x"}"#,
            r#"{"type":"allocated","nameplate":""}"#,
            r#"{"type":"nameplates","nameplates":7}"#,
            r#"{"type":"message","side":"a","phase":"0","body":"f"}"#,
            r#"{"type":"message","side":"a","phase":0,"body":"ff"}"#,
            r#"{"type":"message","side":"a","phase":"0"}"#,
        ];
        for said in odd {
            assert_eq!(ServerMessage::parse(said), None, "{said}");
        }
        let long = format!(r#"{{"type":"claimed","mailbox":"{}"}}"#, "x".repeat(300));
        assert_eq!(ServerMessage::parse(&long), None);
        assert_eq!(ServerMessage::parse(&"[".repeat(LONGEST)), None);
    }
}
