//! The messages of the two sides through the mailbox, once they have a key. Pure.
//!
//! Follows file-transfer-protocol.md: JSON objects with the fields `transit`, `offer`, `answer` and `error`, several of which may be in one
//! message. Unknown fields are ignored.

use serde_json::{Value, json};

use crate::hints::Hints;
use crate::offer::{InvalidOffer, Offer};
use crate::text::plain;

/// The most bytes of a message that is read.
pub(crate) const LONGEST: usize = 64 * 1024;

/// One message of the other side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PeerMessage {
    /// The other side gives up, with its reason.
    pub(crate) error: Option<String>,
    /// Its hints.
    pub(crate) transit: Option<Hints>,
    /// Its offer.
    pub(crate) offer: Option<Result<Offer, InvalidOffer>>,
    /// Its answer to an offer.
    pub(crate) answer: Option<Answer>,
}

/// The receiver's answer to an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Accepts the file or directory.
    File,
    /// The text has arrived.
    Message,
    /// Anything else.
    Odd(String),
}

impl PeerMessage {
    /// `None` where the bytes are too long or not a JSON object.
    pub(crate) fn parse(bytes: &[u8]) -> Option<PeerMessage> {
        if bytes.len() > LONGEST {
            return None;
        }
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let fields = value.as_object()?;
        Some(PeerMessage {
            error: fields.get("error").map(words),
            transit: fields.get("transit").map(Hints::of),
            offer: fields.get("offer").map(Offer::of),
            answer: fields.get("answer").map(Answer::of),
        })
    }
}

impl Answer {
    fn of(value: &Value) -> Answer {
        let is_ok = |field: &str| value.get(field).and_then(Value::as_str) == Some("ok");
        if is_ok("file_ack") {
            Answer::File
        } else if is_ok("message_ack") {
            Answer::Message
        } else {
            Answer::Odd(plain(&value.to_string()))
        }
    }
}

/// A message of this side.
pub(crate) enum Saying<'a> {
    Transit(&'a Hints),
    Offer(&'a Offer),
    FileAck,
    MessageAck,
    Error(&'a str),
}

impl Saying<'_> {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let value = match self {
            Saying::Transit(hints) => json!({ "transit": hints.to_value() }),
            Saying::Offer(offer) => json!({ "offer": offer.to_value() }),
            Saying::FileAck => json!({ "answer": { "file_ack": "ok" } }),
            Saying::MessageAck => json!({ "answer": { "message_ack": "ok" } }),
            Saying::Error(why) => json!({ "error": plain(why) }),
        };
        value.to_string().into_bytes()
    }
}

/// The last record of a transfer: whether the receiver has stored the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ack {
    /// It has; the checksum is of all bytes.
    Kept {
        sha256: Option<String>,
    },
    Failed(String),
}

impl Ack {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Ack> {
        if bytes.len() > LONGEST {
            return None;
        }
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let ack = value.as_object()?.get("ack")?;
        if ack.as_str() == Some("ok") {
            let sha256 = value.get("sha256").map(words).map(|it| it.to_ascii_lowercase());
            return Some(Ack::Kept { sha256 });
        }
        let why = words(ack);
        Some(Ack::Failed(why.strip_prefix("failed: ").unwrap_or(&why).to_owned()))
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let value = match self {
            Ack::Kept { sha256: Some(sha256) } => json!({ "ack": "ok", "sha256": sha256 }),
            Ack::Kept { sha256: None } => json!({ "ack": "ok" }),
            Ack::Failed(why) => json!({ "ack": format!("failed: {}", plain(why)) }),
        };
        value.to_string().into_bytes()
    }
}

/// A text, or the JSON of any other value, made safe to show.
fn words(value: &Value) -> String {
    value.as_str().map_or_else(|| plain(&value.to_string()), plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_say_is_what_is_heard() {
        let heard = |saying: Saying<'_>| PeerMessage::parse(&saying.to_bytes()).unwrap();
        assert_eq!(heard(Saying::FileAck).answer, Some(Answer::File));
        assert_eq!(heard(Saying::MessageAck).answer, Some(Answer::Message));
        assert_eq!(heard(Saying::Error("no room\n")).error, Some("no room".to_owned()));
        let offer = Offer::Message("hello".to_owned());
        assert_eq!(heard(Saying::Offer(&offer)).offer, Some(Ok(offer)));
        for ack in [
            Ack::Kept { sha256: Some("ab".to_owned()) },
            Ack::Kept { sha256: None },
            Ack::Failed("disk full".to_owned()),
        ] {
            assert_eq!(Ack::parse(&ack.to_bytes()), Some(ack));
        }
    }

    #[test]
    fn several_things_may_be_said_at_once() {
        let said = br#"{"transit":{"hints-v1":[]},"offer":{"message":"x"},"mood":7}"#;
        let heard = PeerMessage::parse(said).unwrap();
        assert!(heard.transit.is_some() && heard.offer.is_some() && heard.error.is_none());
    }

    #[test]
    fn odd_json_is_no_message_and_breaks_nothing() {
        for said in ["", "{", "[]", "7", "null", "\"error\"", "\u{feff}{}"] {
            assert_eq!(PeerMessage::parse(said.as_bytes()), None, "{said}");
        }
        assert_eq!(PeerMessage::parse(b"\xff\xfe"), None);
        assert_eq!(PeerMessage::parse("[".repeat(LONGEST).as_bytes()), None);
        assert_eq!(PeerMessage::parse(&b" ".repeat(LONGEST + 1)), None);
        assert_eq!(PeerMessage::parse(b"{}"), Some(PeerMessage::default()));
        let heard = PeerMessage::parse(br#"{"error":{"a":"\u001b[31m"},"answer":[7]}"#).unwrap();
        assert_eq!(heard.error.unwrap(), r#"{"a":"\u001b[31m"}"#);
        assert_eq!(heard.answer, Some(Answer::Odd("[7]".to_owned())));
        for ack in ["{}", "[]", "7", r#"{"ok":"ack"}"#] {
            assert_eq!(Ack::parse(ack.as_bytes()), None);
        }
        assert_eq!(Ack::parse(br#"{"ack":7}"#), Some(Ack::Failed("7".to_owned())));
    }
}
