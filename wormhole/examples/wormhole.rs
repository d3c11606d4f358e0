//! Receives or sends a file:
//!
//! ```sh
//! wormhole receive CODE FILE
//! wormhole send FILE
//! ```
//!
//! `MAILBOX` and `RELAY` in the environment name other servers than the public ones; `ANYWHERE` is for two sides on one
//! machine.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program for people, which does not know the volume"
)]

use std::error::Error;
use std::fs::File;
use std::io::{Read as _, Write as _};

use wormhole::{Arrival, Code, HintPolicy, IfNoPeer, Offer, Settings};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut settings = Settings::default();
    if let Ok(mailbox) = std::env::var("MAILBOX") {
        settings.mailbox = mailbox;
    }
    if let Ok(relay) = std::env::var("RELAY") {
        settings.relays = vec![relay.parse()?];
    }
    if std::env::var_os("ANYWHERE").is_some() {
        settings.reach = HintPolicy::Anywhere;
    }
    settings.listens = std::env::var_os("NO_LISTEN").is_none();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["receive", code, to] => receive(&settings, code, to).await?,
        ["send", from] => send(&settings, from).await?,
        _ => return Err("wormhole receive CODE FILE | wormhole send FILE".into()),
    }
    settings.tracker.close();
    settings.tracker.wait().await;
    Ok(())
}

async fn receive(settings: &Settings, code: &str, to: &str) -> Result<(), Box<dyn Error>> {
    let code = Code::parse(code)?;
    let wormhole = wormhole::join(settings, &code, IfNoPeer::Fail).await?.peer().await?;
    let incoming = match wormhole.receive().await? {
        Arrival::Text(text) => {
            println!("{text}");
            return Ok(());
        }
        Arrival::Offer(incoming) => incoming,
    };
    println!("{:?}", incoming.offer());
    let mut receiving = incoming.accept().await?;
    println!("{}", receiving.route());
    let mut file = File::create(to)?;
    while let Some(bytes) = receiving.next().await? {
        // A disk is slow: a real program uses a thread for it.
        tokio::task::block_in_place(|| file.write_all(&bytes))?;
    }
    receiving.finish().await?;
    Ok(())
}

async fn send(settings: &Settings, from: &str) -> Result<(), Box<dyn Error>> {
    let mut file = File::open(from)?;
    let name = from.rsplit('/').next().unwrap_or(from).to_owned();
    let offer = Offer::File { name, size: file.metadata()?.len() };
    let invitation = wormhole::allocate(settings, 2).await?;
    println!("wormhole receive {}", invitation.code());
    let outgoing = invitation.peer().await?.offer(offer).await?;
    let Some(mut sending) = outgoing.accepted().await? else { return Ok(()) };
    println!("{}", sending.route());
    let mut buffer = vec![0; 512 * 1024];
    loop {
        let read = tokio::task::block_in_place(|| file.read(&mut buffer))?;
        let Some(bytes) = buffer.get(..read).filter(|it| !it.is_empty()) else { break };
        sending.send(bytes).await?;
    }
    sending.finish().await?;
    Ok(())
}
