//! A small mailbox server: one mailbox for every client, with all messages in it.

use std::sync::{Arc, Mutex};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::time::Duration;
use tokio_tungstenite::tungstenite::Message;

use crate::{HintPolicy, Settings, Timeouts};

/// Runs as long as the test's runtime.
pub(super) struct Server {
    port: u16,
}

struct Shared {
    all: Mutex<Vec<Value>>,
    news: broadcast::Sender<Value>,
}

impl Server {
    pub(super) async fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { all: Mutex::default(), news: broadcast::channel(10_000).0 });
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let shared = Arc::clone(&shared);
                tokio::spawn(async move { serve(stream, &shared).await });
            }
        });
        Server { port }
    }

    pub(super) fn settings(&self) -> Settings {
        settings(self.port)
    }
}

/// Settings with short time-outs.
pub(super) fn settings(mailbox_port: u16) -> Settings {
    let short = Duration::from_secs(1);
    let limits =
        Timeouts { connect: short, closing: short, reconnect: short, ..Timeouts::default() };
    Settings {
        mailbox: format!("ws://127.0.0.1:{mailbox_port}/v1"),
        relays: Vec::new(),
        reach: HintPolicy::Anywhere,
        listens: true,
        limits,
        ..Settings::default()
    }
}

async fn serve(stream: TcpStream, shared: &Shared) -> Option<()> {
    let mut socket = tokio_tungstenite::accept_async(stream).await.ok()?;
    let mut news = shared.news.subscribe();
    let mut side = Value::Null;
    let mut is_open = false;
    socket.send(text(&json!({ "type": "welcome", "welcome": {} }))).await.ok()?;
    loop {
        let heard = tokio::select! {
            heard = socket.next() => heard?.ok()?,
            message = news.recv() => {
                if is_open {
                    socket.send(text(&message.ok()?)).await.ok()?;
                }
                continue;
            }
        };
        let Message::Text(heard) = heard else { continue };
        let heard: Value = serde_json::from_str(&heard).ok()?;
        let answer = match heard["type"].as_str()? {
            "bind" => {
                side = heard["side"].clone();
                continue;
            }
            "claim" => json!({ "type": "claimed", "mailbox": "box" }),
            "release" => json!({ "type": "released" }),
            "close" => json!({ "type": "closed" }),
            "open" => {
                is_open = true;
                let all = shared.all.lock().unwrap().clone();
                for message in all {
                    socket.feed(text(&message)).await.ok()?;
                }
                socket.flush().await.ok()?;
                continue;
            }
            "add" => {
                let (phase, body) = (&heard["phase"], &heard["body"]);
                let message =
                    json!({ "type": "message", "side": side, "phase": phase, "body": body });
                shared.all.lock().unwrap().push(message.clone());
                drop(shared.news.send(message));
                continue;
            }
            _ => continue,
        };
        socket.send(text(&answer)).await.ok()?;
    }
}

pub(super) fn text(value: &Value) -> Message {
    Message::text(value.to_string())
}
