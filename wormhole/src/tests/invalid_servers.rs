//! Mailbox servers that send nothing, or nonsense, or too much.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::hostile_peer::kind;
use super::server::{settings, text};
use crate::{Code, Error, IfNoPeer};

/// Serves each connection with the same function. Returns the port.
async fn server<F: Future<Output = ()> + Send + 'static>(
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream));
        }
    });
    port
}

async fn accept(stream: TcpStream) -> WebSocketStream<TcpStream> {
    tokio_tungstenite::accept_async(stream).await.unwrap()
}

fn welcome() -> Message {
    text(&json!({ "type": "welcome", "welcome": {} }))
}

/// The result of allocating a code, within the time-out and a little more.
async fn outcome(port: u16) -> String {
    let settings = settings(port);
    let allocated = timeout(Duration::from_secs(4), crate::allocate(&settings, 2)).await;
    let failed = allocated.unwrap().unwrap_err();
    // The good-bye does not hang either.
    settings.tracker.close();
    timeout(Duration::from_secs(4), settings.tracker.wait()).await.unwrap();
    kind(&failed)
}

#[tokio::test]
async fn a_server_that_says_nothing_is_left_in_time() {
    let port = server(|stream| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    });
    assert_eq!(outcome(port.await).await, "TimedOut");
    let port = server(|stream| async move {
        let _open = accept(stream).await;
        std::future::pending::<()>().await;
    });
    assert_eq!(outcome(port.await).await, "TimedOut");
    let port = server(|stream| async move {
        let mut open = accept(stream).await;
        open.send(welcome()).await.unwrap();
        std::future::pending::<()>().await;
    });
    assert_eq!(outcome(port.await).await, "TimedOut");
}

#[tokio::test]
async fn a_server_that_only_pings_is_answered_and_left_in_time() {
    let port = server(|stream| async move {
        let mut open = accept(stream).await;
        open.send(welcome()).await.unwrap();
        while open.send(Message::Ping(Bytes::from_static(b"x"))).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    assert_eq!(outcome(port.await).await, "TimedOut");
}

#[tokio::test]
async fn nonsense_of_a_server_is_an_error_at_once() {
    let port = server(|stream| async move {
        accept(stream).await.send(Message::text("nonsense")).await.unwrap();
    });
    assert_eq!(outcome(port.await).await, "BadMessage");
    let port = server(|stream| async move {
        accept(stream).await.send(Message::Binary(Bytes::from_static(b"\0\xff"))).await.unwrap();
    });
    assert_eq!(outcome(port.await).await, "BadMessage");
    let port = server(|stream| async move {
        let huge = Message::text(" ".repeat(2 << 20));
        accept(stream).await.send(huge).await.unwrap_or_default();
    });
    assert_eq!(outcome(port.await).await, "MailboxLost");
    let port = server(|stream| async move { drop(accept(stream).await) });
    assert_eq!(outcome(port.await).await, "MailboxLost");
    let port = server(|stream| async move { drop(stream) });
    assert_eq!(outcome(port.await).await, "MailboxUnreachable");
    let port = server(|mut stream: TcpStream| async move {
        use tokio::io::AsyncWriteExt as _;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap_or_default();
    });
    assert_eq!(outcome(port.await).await, "MailboxUnreachable");
}

#[tokio::test]
async fn pings_are_answered_while_nobody_listens() {
    let port = server(|stream| async move {
        let mut open = accept(stream).await;
        open.send(welcome()).await.unwrap();
        let mut is_claimed = false;
        while let Some(Ok(heard)) = open.next().await {
            match heard {
                Message::Text(said) if said.contains("\"claim\"") && !is_claimed => {
                    is_claimed = true;
                    let claimed = json!({ "type": "claimed", "mailbox": "box" });
                    open.send(text(&claimed)).await.unwrap();
                }
                Message::Text(said) if said.contains("\"open\"") => {
                    open.send(Message::Ping(Bytes::from_static(b"there?"))).await.unwrap();
                }
                // The answer to the ping: only now the peer comes, and goes.
                Message::Pong(answer) if answer == "there?" => {
                    let pake =
                        json!({ "type": "message", "side": "b", "phase": "pake", "body": "00" });
                    open.send(text(&pake)).await.unwrap();
                }
                Message::Text(said) if said.contains("\"close\"") => {
                    open.send(text(&json!({ "type": "closed" }))).await.unwrap();
                }
                _ => {}
            }
        }
    });
    let settings = settings(port.await);
    let code = Code::parse("7-a-b").unwrap();
    let mut invitation = crate::join(&settings, &code, IfNoPeer::Wait).await.unwrap();
    let pake = timeout(Duration::from_secs(5), invitation.mailbox_for_tests().hear());
    assert_eq!(pake.await.unwrap().unwrap().phase, "pake");
    // An invalid half of a key exchange is an error at once.
    let failed = timeout(Duration::from_secs(5), crate::join(&settings, &code, IfNoPeer::Wait));
    let failed = timeout(Duration::from_secs(5), failed.await.unwrap().unwrap().peer()).await;
    assert!(matches!(failed.unwrap().unwrap_err(), Error::BadMessage { .. }));
}
