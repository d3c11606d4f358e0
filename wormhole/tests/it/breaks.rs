//! Programs and servers that are killed, frozen or gone at each stage, and people who change their minds.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use wormhole::{Error, Offer, Settings, Stage, Timeouts};

use crate::peers::{
    Python, Version, connected, farewell, file, incoming, meet, offered, pair, read_all,
};
use crate::servers::{Servers, fresh_code, pattern, soon};

/// More than fits into the socket buffers between two programs.
const MUCH: usize = 40_000_000;

/// A Python client that has started to send a large file.
async fn sending_python(
    version: Version,
    settings: &Settings,
    listens: bool,
) -> (Python, wormhole::Receiving) {
    let servers = Servers::shared();
    let settings = Settings { listens, ..settings.clone() };
    let code = fresh_code();
    let folder = Python::folder();
    std::fs::File::create(folder.path().join("x")).unwrap().set_len(MUCH as u64).unwrap();
    let text = code.to_string();
    let mut arguments = vec!["send", "--hide-progress", "--code", &text, "x"];
    if !listens {
        arguments.push("--no-listen");
    }
    let python = Python::start(version, servers, folder, &arguments);
    let receiving = soon(async {
        let mut receiving =
            incoming(meet(&settings, &code).await?.receive().await?).accept().await?;
        receiving.next().await?;
        Ok::<_, Error>(receiving)
    });
    (python, receiving.await.unwrap())
}

/// A Python client that waits for a large file.
async fn receiving_python(settings: &Settings) -> (Python, wormhole::Sending) {
    let servers = Servers::shared();
    let code = fresh_code();
    let arguments = ["receive", "--accept-file", "--hide-progress", &code.to_string()];
    let python = Python::start(Version::New, servers, Python::folder(), &arguments);
    let sending = soon(async {
        let outgoing = meet(settings, &code).await?.offer(file(MUCH as u64)).await?;
        let mut sending = outgoing.accepted().await?.unwrap();
        sending.send(&pattern(100_000)).await?;
        Ok::<_, Error>(sending)
    });
    (python, sending.await.unwrap())
}

/// Sends until an error.
async fn send_on(sending: &mut wormhole::Sending) -> Error {
    let piece = pattern(100_000);
    loop {
        if let Err(error) = sending.send(&piece).await {
            return error;
        }
    }
}

#[tokio::test]
async fn a_sender_that_is_killed_is_noticed_at_once() {
    let settings = Servers::shared().settings();
    for listens in [true, false] {
        let (python, mut receiving) = sending_python(Version::New, &settings, listens).await;
        python.signal(Signal::KILL);
        let began = Instant::now();
        let failed = soon(read_all(&mut receiving)).await.unwrap_err();
        assert!(matches!(failed, Error::ConnectionLost { total: 40_000_000, .. }), "{failed:?}");
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn a_sender_that_is_frozen_is_noticed_in_its_time() {
    let mut settings = Servers::shared().settings();
    settings.limits.idle = Duration::from_secs(1);
    let (python, mut receiving) = sending_python(Version::Old, &settings, true).await;
    python.signal(Signal::STOP);
    let failed = soon(read_all(&mut receiving)).await.unwrap_err();
    assert!(matches!(failed, Error::Stalled { total: 40_000_000, .. }), "{failed:?}");
}

#[tokio::test]
async fn a_receiver_that_is_killed_or_frozen_is_noticed() {
    let mut settings = Servers::shared().settings();
    settings.limits.idle = Duration::from_secs(1);
    let (python, mut sending) = receiving_python(&settings).await;
    python.signal(Signal::KILL);
    let failed = soon(send_on(&mut sending)).await;
    assert!(matches!(failed, Error::ConnectionLost { .. }), "{failed:?}");

    let (python, mut sending) = receiving_python(&settings).await;
    python.signal(Signal::STOP);
    let failed = soon(send_on(&mut sending)).await;
    assert!(matches!(failed, Error::Stalled { .. }), "{failed:?}");
}

#[tokio::test]
async fn the_other_client_ends_when_we_change_our_mind() {
    let servers = Servers::shared();
    let settings = servers.settings();
    // It has made its offer, and waits for the answer.
    let code = fresh_code();
    let arguments = ["send", "--hide-progress", "--code", &code.to_string(), "log"];
    let mut python = Python::start(Version::New, servers, Python::folder(), &arguments);
    let arrival = soon(async { meet(&settings, &code).await?.receive().await }).await.unwrap();
    drop(arrival);
    python.fails("the other side stopped the transfer").await;

    // It is sending.
    let (mut python, receiving) = sending_python(Version::New, &settings, true).await;
    drop(receiving);
    assert!(!python.end().await.0);

    // It waits for the offer.
    let code = fresh_code();
    let arguments = ["receive", "--accept-file", "--hide-progress", &code.to_string()];
    let mut python = Python::start(Version::New, servers, Python::folder(), &arguments);
    drop(soon(meet(&settings, &code)).await.unwrap());
    python.fails("the other side stopped the transfer").await;

    // It is receiving.
    let (mut python, sending) = receiving_python(&settings).await;
    soon(sending.fail("changed my mind")).await;
    assert!(!python.end().await.0);
    farewell(&settings).await;
}

#[tokio::test]
async fn a_sender_that_is_gone_before_we_accept_is_noticed_in_its_time() {
    let servers = Servers::shared();
    let mut settings = servers.settings();
    settings.limits.transit = Duration::from_secs(1);
    let code = fresh_code();
    let arguments = ["send", "--hide-progress", "--code", &code.to_string(), "log"];
    let python = Python::start(Version::New, servers, Python::folder(), &arguments);
    let arrival = soon(async { meet(&settings, &code).await?.receive().await }).await.unwrap();
    python.signal(Signal::KILL);
    let failed = soon(incoming(arrival).accept()).await.unwrap_err();
    assert!(matches!(failed, Error::TimedOut { what: Stage::Transit }), "{failed:?}");
}

#[tokio::test]
async fn a_sender_that_says_nothing_or_no_answer_is_noticed_in_its_time() {
    let mut settings = Servers::shared().settings();
    settings.limits.offer = Duration::from_millis(200);
    settings.limits.answer = Duration::from_millis(200);
    let (_sender, receiver) = pair(&settings, &settings, &fresh_code()).await;
    let failed = soon(receiver.receive()).await.unwrap_err();
    assert!(matches!(failed, Error::TimedOut { what: Stage::Offer }), "{failed:?}");

    settings.limits.offer = Duration::from_secs(10);
    let (outgoing, _incoming) = offered(&settings, &settings, &fresh_code(), file(5)).await;
    let failed = soon(outgoing.accepted()).await.unwrap_err();
    assert!(matches!(failed, Error::TimedOut { what: Stage::Answer }), "{failed:?}");
}

#[tokio::test]
async fn a_mailbox_server_that_is_not_there_is_told_at_once() {
    let servers = Servers::start(&["mailbox"]);
    let settings = servers.settings();
    servers.kill();
    let failed = soon(wormhole::allocate(&settings, 2)).await.unwrap_err();
    assert!(matches!(failed, Error::MailboxUnreachable { .. }), "{failed:?}");
    let nowhere = Settings { mailbox: "http://127.0.0.1/".to_owned(), ..settings };
    let failed = soon(wormhole::allocate(&nowhere, 2)).await.unwrap_err();
    assert!(matches!(failed, Error::NoMailbox { .. }), "{failed:?}");
}

#[tokio::test]
async fn a_mailbox_server_that_does_not_come_back_is_told_at_each_stage() {
    let short = |servers: &Servers| {
        let settings = servers.settings();
        let limits = Timeouts {
            reconnect: Duration::from_secs(1),
            closing: Duration::from_millis(500),
            ..settings.limits
        };
        Settings { limits, ..settings }
    };
    // No peer has come.
    let servers = Servers::start(&["mailbox"]);
    let settings = short(&servers);
    let invitation = soon(wormhole::allocate(&settings, 2)).await.unwrap();
    servers.kill();
    let failed = soon(invitation.peer()).await.unwrap_err();
    assert!(matches!(failed, Error::MailboxLost { .. }), "{failed:?}");
    farewell(&settings).await;

    // With an offer on the screen, and with one that gets no answer.
    let servers = Servers::start(&["mailbox"]);
    let settings = short(&servers);
    let (outgoing, mut incoming) = offered(&settings, &settings, &fresh_code(), file(5)).await;
    servers.kill();
    let (answer, withdrawn) =
        soon(async { tokio::join!(outgoing.accepted(), incoming.withdrawn()) }).await;
    assert!(matches!(answer.unwrap_err(), Error::MailboxLost { .. }));
    assert!(matches!(withdrawn, Error::MailboxLost { .. }));
    drop(incoming);
    farewell(&settings).await;
}

#[tokio::test]
async fn a_transfer_goes_on_without_the_mailbox_server() {
    let servers = Servers::start(&["mailbox", "relay"]);
    let mut settings = servers.settings();
    settings.limits.closing = Duration::from_millis(500);
    let content = pattern(1_000_000);
    let (mut sending, mut receiving) =
        connected(&settings, &settings, &fresh_code(), 1_000_000).await;
    servers.kill();
    let send = async {
        sending.send(&content).await?;
        sending.finish().await
    };
    let receive = async {
        let all = read_all(&mut receiving).await?;
        receiving.finish().await?;
        Ok::<_, Error>(all)
    };
    let (went, came) = soon(async { tokio::join!(send, receive) }).await;
    went.unwrap();
    assert!(came.unwrap() == content);
    farewell(&settings).await;
}

#[tokio::test]
async fn a_relay_that_is_killed_is_noticed_at_once() {
    let servers = Servers::start(&["relay"]);
    let mailbox = Servers::shared().mailbox_url();
    let settings = Settings { mailbox, ..servers.deaf() };
    let (mut sending, mut receiving) =
        connected(&settings, &settings, &fresh_code(), 1 << 30).await;
    let send = send_on(&mut sending);
    let receive = async {
        receiving.next().await.unwrap();
        servers.kill();
        read_all(&mut receiving).await.unwrap_err()
    };
    let (went, came) = soon(async { tokio::join!(send, receive) }).await;
    assert!(matches!(went, Error::ConnectionLost { .. }), "{went:?}");
    assert!(matches!(came, Error::ConnectionLost { .. }), "{came:?}");
}

#[tokio::test]
async fn no_way_to_the_other_side_is_told_at_once() {
    let relay = Servers::start(&["relay"]);
    let settings = Settings { mailbox: Servers::shared().mailbox_url(), ..relay.deaf() };
    relay.kill();
    let (outgoing, incoming) = offered(&settings, &settings, &fresh_code(), file(5)).await;
    let (sender, receiver) =
        soon(async { tokio::join!(outgoing.accepted(), incoming.accept()) }).await;
    let is_told = |it: &Error| matches!(it, Error::NoRoute | Error::PeerError(_));
    assert!(is_told(&sender.unwrap_err()) && is_told(&receiver.unwrap_err()));
}

#[tokio::test]
async fn a_mailbox_server_that_comes_back_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let db = format!("db={}", folder.path().join("db").display());
    // With its database, and without: then the nameplate is claimed again.
    for options in [vec![db.as_str()], vec![]] {
        let servers = Servers::start(&[&["mailbox"], &options[..]].concat());
        let settings = servers.settings();
        let port = format!("mailbox:{}", servers.mailbox_port());
        let invitation = soon(wormhole::allocate(&settings, 2)).await.unwrap();
        let code = invitation.code().clone();
        let waiting = tokio::spawn(invitation.peer());
        servers.kill();
        let _servers = Servers::start(&[&[port.as_str()], &options[..]].concat());
        let joined = soon(async {
            loop {
                match wormhole::join(&settings, &code, wormhole::IfNoPeer::Fail).await {
                    Err(Error::NobodyThere) => tokio::time::sleep(Duration::from_millis(50)).await,
                    other => return other,
                }
            }
        });
        let other = soon(async { joined.await?.peer().await }).await.unwrap();
        let one = soon(waiting).await.unwrap().unwrap();
        assert_eq!(one.verifier(), other.verifier());

        // A message before the break arrives once, and one during the break arrives after it.
        let (went, arrival) = soon(async {
            let text = Offer::Message("hello".to_owned());
            tokio::join!(async { one.offer(text).await?.accepted().await }, other.receive())
        })
        .await;
        assert!(went.unwrap().is_none());
        arrival.unwrap();
    }
}

#[tokio::test]
async fn an_offer_outlives_a_break_of_the_mailbox_server() {
    let folder = tempfile::tempdir().unwrap();
    let db = format!("db={}", folder.path().join("db").display());
    let servers = Servers::start(&["mailbox", &db]);
    let settings = servers.settings();
    let port = format!("mailbox:{}", servers.mailbox_port());
    let (outgoing, incoming) = offered(&settings, &settings, &fresh_code(), file(5)).await;
    servers.kill();
    let refuse = tokio::spawn(incoming.refuse("not now"));
    let _servers = Servers::start(&[&port, &db]);
    let answer = soon(outgoing.accepted()).await.unwrap_err();
    assert!(matches!(&answer, Error::Refused(why) if why == "not now"), "{answer:?}");
    soon(refuse).await.unwrap().unwrap();
}
