//! Entry points for fuzz targets: the parsers of what peers and servers send. Not part of the interface.

use bytes::BytesMut;

use crate::key::Key;
use crate::peer_message::{Ack, PeerMessage};
use crate::records::RecordReader;
use crate::server_message::ServerMessage;
use crate::{Code, wordlist};

/// Parses a message of the mailbox server.
pub fn server_message(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        drop(ServerMessage::parse(text));
    }
}

/// Parses a decrypted message of a peer.
pub fn peer_message(bytes: &[u8]) {
    if let Some(message) = PeerMessage::parse(bytes)
        && let Some(Ok(offer)) = message.offer
    {
        assert!(
            offer.plain_name().is_ok_and(|it| !it.contains(char::is_control))
                || offer.plain_name().is_err()
        );
    }
    drop(Ack::parse(bytes));
}

/// Reads records from a connection, in pieces whose length is the first byte.
pub fn records(bytes: &[u8]) {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    let (mut opener, mut come) = (RecordReader::new(&Key::known()), BytesMut::new());
    for piece in bytes.chunks(usize::from(*piece).max(1)) {
        come.extend_from_slice(piece);
        if opener.open(&mut come).is_err() {
            return;
        }
    }
}

/// Parses a code as a person types it.
pub fn code(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let (Ok(code), Ok(exact)) = (Code::parse(text), Code::exact(text)) {
            assert_eq!(code.to_string().to_lowercase(), exact.to_string().to_lowercase());
            assert_eq!(Code::exact(&code.to_string()), Ok(code));
        }
        drop(wordlist::completions(text));
        drop(wordlist::check(text));
    }
}
