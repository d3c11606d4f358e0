//! Tests with a peer that has the right code and bad intentions.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::hostile_peer::{Connection, Evil, kind, odd_offer};
use super::server::Server;
use crate::records::RecordWriter;
use crate::server_message::ClientMessage;
use crate::transit::connection::Role;
use crate::{Arrival, Error, HintPolicy, Incoming, Offer, Receiving, Sending, Settings, hex};

/// Our side has accepted a file of this many bytes, and the peer may send anything.
async fn receiving(settings: &Settings, size: u64) -> (Receiving, Connection, Evil) {
    let (ours, mut evil) = Evil::meet(settings).await;
    evil.say(r#"{"transit":{"hints-v1":[]}}"#).await;
    evil.offer(size).await;
    let incoming = incoming(ours.receive().await.unwrap());
    let (receiving, connection) = tokio::join!(incoming.accept(), evil.connect(Role::Sender));
    (receiving.unwrap(), connection, evil)
}

/// Our side may send a file of this many bytes to the peer.
async fn sending(settings: &Settings, size: u64) -> (Sending, Connection, Evil) {
    let (ours, mut evil) = Evil::meet(settings).await;
    let outgoing = ours.offer(Offer::File { name: "x".to_owned(), size }).await.unwrap();
    evil.say(r#"{"transit":{"hints-v1":[]},"answer":{"file_ack":"ok"}}"#).await;
    let (sending, connection) = tokio::join!(outgoing.accepted(), evil.connect(Role::Receiver));
    (sending.unwrap().unwrap(), connection, evil)
}

fn incoming(arrival: Arrival) -> Incoming {
    match arrival {
        Arrival::Offer(incoming) => incoming,
        Arrival::Text(text) => panic!("{text}"),
    }
}

async fn read_all(receiving: &mut Receiving) -> Result<usize, Error> {
    let mut all = 0;
    while let Some(bytes) = receiving.next().await? {
        all += bytes.len();
    }
    Ok(all)
}

#[tokio::test]
async fn more_or_less_than_was_announced_is_an_error() {
    let settings = Server::start().await.settings();
    let (mut ours, mut evil, _) = receiving(&settings, 10).await;
    evil.send(b"0123456789+").await.unwrap();
    assert!(matches!(read_all(&mut ours).await, Err(Error::TooMuch { announced: 10 })));

    let settings = Server::start().await.settings();
    let (mut ours, mut evil, _) = receiving(&settings, 10).await;
    evil.send(b"0123").await.unwrap();
    drop(evil);
    let failed = read_all(&mut ours).await.unwrap_err();
    assert!(matches!(failed, Error::ConnectionLost { done: 4, total: 10, .. }), "{failed:?}");
}

#[tokio::test]
async fn data_without_end_end_with_what_was_announced() {
    let settings = Server::start().await.settings();
    let (mut ours, mut evil, _) = receiving(&settings, 100_000).await;
    let pour = async {
        let piece = vec![7; 1 << 20];
        while evil.send(&piece).await.is_ok() {}
    };
    let read = async {
        let failed = read_all(&mut ours).await;
        drop(ours);
        failed
    };
    let (failed, ()) = tokio::join!(read, pour);
    assert!(matches!(failed, Err(Error::TooMuch { .. })));
}

#[tokio::test]
async fn what_is_no_record_ends_the_transfer_at_once() {
    let check = async |bytes: Vec<u8>| {
        let settings = Server::start().await.settings();
        let (mut ours, mut evil, _) = receiving(&settings, 1 << 40).await;
        evil.stream.write_all(&bytes).await.unwrap();
        let failed = timeout(Duration::from_secs(5), read_all(&mut ours)).await.unwrap();
        assert_eq!(kind(&failed.unwrap_err()), "BadMessage", "{bytes:?}");
    };
    check((1_u32 << 30).to_be_bytes().to_vec()).await;
    check(u32::MAX.to_be_bytes().to_vec()).await;
    check(0_u32.to_be_bytes().to_vec()).await;
    check([&50_u32.to_be_bytes()[..], &[0; 50]].concat()).await;
    check(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()).await;
}

#[tokio::test]
async fn a_record_that_comes_twice_ends_the_transfer() {
    let settings = Server::start().await.settings();
    let (mut ours, mut evil, _) = receiving(&settings, 10).await;
    let mut again = RecordWriter::new(&evil.key);
    let mut out = BytesMut::new();
    again.seal(b"01234", &mut out);
    evil.stream.write_all(&out).await.unwrap();
    evil.stream.write_all(&out).await.unwrap();
    assert_eq!(kind(&read_all(&mut ours).await.unwrap_err()), "BadMessage");
}

#[tokio::test]
async fn odd_offers_are_refused_and_the_peer_is_told() {
    let check = async |said: String, expected: &str| {
        let settings = Server::start().await.settings();
        let (ours, mut evil) = Evil::meet(&settings).await;
        evil.say(&said).await;
        let failed = timeout(Duration::from_secs(5), ours.receive()).await.unwrap().unwrap_err();
        assert_eq!(kind(&failed), expected, "{said}");
        if expected != "PeerError" {
            let told = timeout(Duration::from_secs(5), evil.hear()).await.unwrap();
            assert!(told.error.is_some(), "{said}");
        }
    };
    for size in
        [json!(-1), json!(1.5), json!("1"), json!(u64::MAX), json!(1_u64 << 63), Value::Null]
    {
        check(odd_offer(&json!({ "file": { "filename": "x", "filesize": size } })), "BadMessage")
            .await;
    }
    check(odd_offer(&json!({ "file": { "filename": 7, "filesize": 1 } })), "BadMessage").await;
    check(odd_offer(&json!([])), "BadMessage").await;
    check("[1,2]".to_owned(), "BadMessage").await;
    check("\u{0}".to_owned(), "BadMessage").await;
    check("{\"offer\":".to_owned(), "BadMessage").await;
    check("[".repeat(60_000), "BadMessage").await;
    check(format!("{{\"x\":\"{}\"}}", "x".repeat(70_000)), "BadMessage").await;
    check(odd_offer(&json!({ "hologram\u{1b}": 3 })), "NotSupported").await;
    check(json!({ "error": { "a": 3 } }).to_string(), "PeerError").await;
    check(json!({ "error": "x".repeat(60_000) }).to_string(), "PeerError").await;
}

#[tokio::test]
async fn a_name_that_is_a_weapon_is_given_as_it_is_and_is_no_plain_name() {
    for name in ["../../etc/passwd", "/etc/passwd", "a\0b", "\u{1b}]0;x\u{7}", "..", ""] {
        let settings = Server::start().await.settings();
        let (ours, mut evil) = Evil::meet(&settings).await;
        evil.say(&odd_offer(&json!({ "file": { "filename": name, "filesize": 1 } }))).await;
        let incoming = incoming(ours.receive().await.unwrap());
        assert_eq!(incoming.offer(), &Offer::File { name: name.to_owned(), size: 1 });
        assert!(incoming.offer().plain_name().is_err(), "{name:?}");
    }
}

#[tokio::test]
async fn odd_phases_other_sides_and_repetitions_are_ignored() {
    let settings = Server::start().await.settings();
    let (ours, mut evil) = Evil::meet(&settings).await;
    for phase in [
        "dilate-0",
        "x",
        "",
        "-1",
        "+0",
        "0x0",
        "1.0",
        "٣",
        "99999999999999999999",
        "version",
        "pake",
    ] {
        evil.put(phase, b"{\"error\":\"no\"}").await;
    }
    // A third side, which does not know the key.
    let mut other = Evil::open(&settings, "aa").await;
    other.say(&ClientMessage::Add { phase: "0", body: b"nonsense" }).await.unwrap();
    // The second before the first, which has arrived when it is passed on.
    evil.put("1", json!({ "offer": { "message": "second" } }).to_string().as_bytes()).await;
    evil.put("0", b"{}").await;
    evil.put("0", b"{\"error\":\"again\"}").await;
    let arrival = timeout(Duration::from_secs(5), ours.receive()).await.unwrap().unwrap();
    assert!(matches!(arrival, Arrival::Text(text) if text == "second"));
}

#[tokio::test]
async fn what_is_sealed_with_another_key_is_an_error() {
    let settings = Server::start().await.settings();
    let (ours, mut evil) = Evil::meet(&settings).await;
    evil.put_raw("0", &[7; 100]).await;
    assert_eq!(kind(&ours.receive().await.unwrap_err()), "BadMessage");
}

#[tokio::test]
async fn a_flood_of_messages_ends_it() {
    let settings = Server::start().await.settings();
    let (mut ours, connection, mut evil) = receiving(&settings, 10).await;
    // Nobody reads from the mailbox while data are received.
    for phase in 1..1000 {
        evil.put(&format!("{phase}"), &vec![b' '; 1000]).await;
    }
    drop((evil, connection));
    let failed = read_all(&mut ours).await.unwrap_err();
    assert!(
        matches!(failed, Error::BadMessage { .. } | Error::ConnectionLost { .. }),
        "{failed:?}"
    );

    let settings = Server::start().await.settings();
    let (ours, mut evil) = Evil::meet(&settings).await;
    for phase in 100..1000 {
        evil.put(&format!("{phase}"), b"{}").await;
    }
    let failed = timeout(Duration::from_secs(5), ours.receive()).await.unwrap().unwrap_err();
    assert_eq!(kind(&failed), "BadMessage");
}

#[tokio::test]
async fn of_ten_thousand_hints_few_are_followed() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok(accepted) = timeout(Duration::from_secs(2), listener.accept()).await {
            drop(accepted.unwrap().0);
            open.push(());
        }
        open.len()
    });
    let hint = |number: u32| {
        let host = format!("127.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255);
        json!({ "type": "direct-tcp-v1", "hostname": host, "port": port })
    };
    // A message has no room for more of them.
    let direct: Vec<Value> = (1..=400).map(hint).collect();
    let relays: Vec<Value> =
        (401..=700).map(|it| json!({ "type": "relay-v1", "hints": [hint(it)] })).collect();
    let both = [direct, relays].concat();
    let hints = json!({ "transit": { "hints-v1": both } }).to_string();

    for reach in [HintPolicy::Others, HintPolicy::Anywhere] {
        let settings = Settings { reach, ..Server::start().await.settings() };
        let settings = Settings { listens: false, ..settings };
        let (ours, mut evil) = Evil::meet(&settings).await;
        evil.say(&hints).await;
        evil.offer(10).await;
        let incoming = incoming(ours.receive().await.unwrap());
        let began = Instant::now();
        assert_eq!(kind(&incoming.accept().await.unwrap_err()), "NoRoute");
        assert!(began.elapsed() < Duration::from_secs(2), "{reach:?}");
    }
    assert_eq!(connections.await.unwrap(), 32);
}

#[tokio::test]
async fn strangers_at_the_door_do_not_keep_the_right_one_out() {
    let settings = Server::start().await.settings();
    let (ours, mut evil) = Evil::meet(&settings).await;
    evil.say(r#"{"transit":{"hints-v1":[]}}"#).await;
    evil.offer(5).await;
    let incoming = incoming(ours.receive().await.unwrap());
    let accept = tokio::spawn(incoming.accept());
    // The peer learns the address from the hints; strangers guess it.
    let hints = evil.hear_hints().await;
    let hint = hints.direct[0].clone();
    let mut strangers = Vec::new();
    for number in 0..200 {
        let mut stranger = TcpStream::connect((hint.host.as_str(), hint.port)).await.unwrap();
        let said: &[u8] = if number % 2 == 0 { b"GET / HTTP/1.1\r\n\r\n" } else { b"" };
        stranger.write_all(said).await.unwrap_or_default();
        strangers.push(stranger);
    }
    let mut connection = evil.connect_to(&hint, Role::Sender).await;
    connection.send(b"hello").await.unwrap();
    let mut receiving = timeout(Duration::from_secs(5), accept).await.unwrap().unwrap().unwrap();
    assert_eq!(read_all(&mut receiving).await.unwrap(), 5);
}

#[tokio::test]
async fn a_confirmation_that_is_wrong_is_no_confirmation() {
    let check = async |record: &[u8], expected: &str| {
        let settings = Server::start().await.settings();
        let (mut ours, mut evil, _) = sending(&settings, 5).await;
        let send = async {
            ours.send(b"hello").await?;
            ours.finish().await
        };
        let answer = async {
            assert_eq!(evil.receive(5).await, b"hello");
            evil.send(record).await.unwrap();
        };
        let (went, ()) =
            timeout(Duration::from_secs(10), async { tokio::join!(send, answer) }).await.unwrap();
        let found = went.err().map(|it| kind(&it)).unwrap_or_default();
        assert_eq!(found, expected, "{}", String::from_utf8_lossy(record));
    };
    let right =
        json!({ "ack": "ok", "sha256": hex::encode(&Sha256::digest(b"hello")) }).to_string();
    check(right.as_bytes(), "").await;
    check(br#"{"ack":"ok"}"#, "").await;
    check(br#"{"ack":"ok","sha256":"00"}"#, "ChecksumDiffers").await;
    check(br#"{"ack":"ok","sha256":7}"#, "ChecksumDiffers").await;
    check(br#"{"ack":"failed: full"}"#, "NotAcknowledged").await;
    check(br#"{"ack":[]}"#, "NotAcknowledged").await;
    check(b"ok", "BadMessage").await;
    check(&vec![b'['; 1 << 20], "BadMessage").await;
}

#[tokio::test]
async fn an_answer_that_is_wrong_is_no_answer() {
    let check = async |answer: Value, expected: &str| {
        let settings = Server::start().await.settings();
        let (ours, mut evil) = Evil::meet(&settings).await;
        let outgoing = ours.offer(Offer::File { name: "x".to_owned(), size: 5 }).await.unwrap();
        evil.say(&answer.to_string()).await;
        let failed =
            timeout(Duration::from_secs(5), outgoing.accepted()).await.unwrap().unwrap_err();
        assert_eq!(kind(&failed), expected, "{answer}");
    };
    check(json!({ "answer": { "file_ack": "perhaps" } }), "Refused").await;
    check(json!({ "answer": 7 }), "Refused").await;
    check(json!({ "answer": { "message_ack": "ok" } }), "BadMessage").await;
    check(json!({ "error": "\u{1b}[2Jno" }), "Refused").await;
    check(json!([]), "BadMessage").await;
}
