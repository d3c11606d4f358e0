//! This crate against itself by the real servers: the results and errors of each side.

use std::time::Duration;

use wormhole::{
    Arrival, Code, Error, HintPolicy, IfNoPeer, Offer, Route, Settings, Stage, Timeouts,
};

use crate::peers::{
    connected, farewell, file, incoming, meet, offered, pair, read_all, receive_all,
};
use crate::servers::{Servers, fresh_code, pattern, soon};

#[tokio::test]
async fn a_file_comes_directly_or_by_the_relay() {
    let servers = Servers::shared();
    for (ours, theirs, is_direct) in [
        (servers.settings(), servers.settings(), true),
        (servers.settings(), servers.deaf(), true),
        (servers.deaf(), servers.settings(), true),
        (servers.deaf(), servers.deaf(), false),
    ] {
        let content = pattern(3_000_001);
        let (mut sending, mut receiving) =
            connected(&ours, &theirs, &fresh_code(), 3_000_001).await;
        for route in [sending.route(), receiving.route()] {
            assert_eq!(matches!(route, Route::Direct(_)), is_direct, "{route}");
        }
        let send = async {
            for piece in content.chunks(100_003) {
                sending.send(piece).await?;
            }
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
        farewell(&ours).await;
        farewell(&theirs).await;
    }
}

#[tokio::test]
async fn an_empty_file_and_a_directory_come_too() {
    let settings = Servers::shared().settings();
    let directory =
        Offer::Directory { name: "tree".to_owned(), zip_size: 70_000, bytes: 5, files: 1 };
    for offer in [file(0), directory] {
        let content = pattern(usize::try_from(offer.size()).unwrap());
        let (outgoing, incoming) =
            offered(&settings, &settings, &fresh_code(), offer.clone()).await;
        assert_eq!(incoming.offer(), &offer);
        let send = async {
            let mut sending = outgoing.accepted().await?.unwrap();
            sending.send(&content).await?;
            sending.finish().await
        };
        let (went, came) = soon(async { tokio::join!(send, receive_all(incoming)) }).await;
        went.unwrap();
        assert!(came.unwrap() == content);
    }
}

#[tokio::test]
async fn a_text_comes_with_the_offer() {
    let settings = Servers::shared().settings();
    let (sender, receiver) = pair(&settings, &settings, &fresh_code()).await;
    assert_eq!(sender.verifier(), receiver.verifier());
    assert_eq!(sender.verifier().len(), 64);
    let send = async { sender.offer(Offer::Message("grüezi".to_owned())).await?.accepted().await };
    let (went, arrival) = soon(async { tokio::join!(send, receiver.receive()) }).await;
    assert!(went.unwrap().is_none());
    assert!(matches!(arrival.unwrap(), Arrival::Text(text) if text == "grüezi"));
}

#[tokio::test]
async fn a_code_of_ours_is_joined_and_the_server_may_greet() {
    let servers = Servers::start(&["mailbox", "motd=be nice"]);
    let settings = servers.settings();
    let invitation = soon(wormhole::allocate(&settings, 3)).await.unwrap();
    assert_eq!(invitation.welcome(), Some("be nice"));
    let code = invitation.code().clone();
    assert_eq!(code.words().count(), 3);
    let join = async { wormhole::join(&settings, &code, IfNoPeer::Fail).await?.peer().await };
    let (one, other) = soon(async { tokio::join!(invitation.peer(), join) }).await;
    assert_eq!(one.unwrap().verifier(), other.unwrap().verifier());
}

#[tokio::test]
async fn a_refusal_arrives_in_words() {
    let settings = Servers::shared().settings();
    let (outgoing, incoming) = offered(&settings, &settings, &fresh_code(), file(5)).await;
    let refuse = incoming.refuse("no room\u{1b}[31m for it");
    let (answer, refused) = soon(async { tokio::join!(outgoing.accepted(), refuse) }).await;
    refused.unwrap();
    assert!(matches!(answer.unwrap_err(), Error::Refused(why) if why == "no room[31m for it"));
}

#[tokio::test]
async fn different_words_are_told_to_both() {
    let settings = Servers::shared().settings();
    let code = fresh_code();
    let other = Code::parse(&format!("{}-crossover-typewriter", code.nameplate())).unwrap();
    let (one, other) =
        soon(async { tokio::join!(meet(&settings, &code), meet(&settings, &other)) }).await;
    assert!(matches!(one.unwrap_err(), Error::WrongCode));
    assert!(matches!(other.unwrap_err(), Error::WrongCode));
    farewell(&settings).await;
}

#[tokio::test]
async fn a_number_under_which_nobody_waits_is_left_alone() {
    // The first server has no nameplates at all, the second has one of another test.
    let servers = Servers::start(&["mailbox"]);
    let settings = servers.settings();
    let code = fresh_code();
    for _ in 0..2 {
        let joined = soon(wormhole::join(&settings, &code, IfNoPeer::Fail)).await;
        assert!(matches!(joined.unwrap_err(), Error::NobodyThere));
        let other = soon(wormhole::join(&settings, &fresh_code(), IfNoPeer::Wait)).await.unwrap();
        let joined = soon(wormhole::join(&settings, &code, IfNoPeer::Fail)).await;
        assert!(matches!(joined.unwrap_err(), Error::NobodyThere));
        soon(other.close()).await;
    }
    pair(&settings, &settings, &code).await;
}

#[tokio::test]
async fn a_server_that_gives_no_lists_is_joined_all_the_same() {
    let servers = Servers::start(&["mailbox", "list=no"]);
    let settings = servers.settings();
    let code = fresh_code();
    let first = soon(wormhole::join(&settings, &code, IfNoPeer::Fail)).await.unwrap();
    let second = soon(wormhole::join(&settings, &code, IfNoPeer::Fail)).await.unwrap();
    let (one, other) = soon(async { tokio::join!(first.peer(), second.peer()) }).await;
    assert_eq!(one.unwrap().verifier(), other.unwrap().verifier());
}

#[tokio::test]
async fn a_third_side_is_told_that_it_is_one_too_many() {
    let settings = Servers::shared().settings();
    let code = fresh_code();
    let _first = soon(wormhole::join(&settings, &code, IfNoPeer::Wait)).await.unwrap();
    let _second = soon(wormhole::join(&settings, &code, IfNoPeer::Wait)).await.unwrap();
    let third = soon(wormhole::join(&settings, &code, IfNoPeer::Wait)).await;
    assert!(matches!(third.unwrap_err(), Error::Crowded));
}

#[tokio::test]
async fn a_server_that_serves_nobody_says_why() {
    let servers = Servers::start(&["mailbox", "error=closed for today"]);
    let failed = soon(wormhole::allocate(&servers.settings(), 2)).await;
    assert!(matches!(failed.unwrap_err(), Error::MailboxSaid(why) if why == "closed for today"));
}

#[tokio::test]
async fn a_wait_that_is_given_up_leaves_the_code_as_it_was() {
    let servers = Servers::shared();
    let code = fresh_code();
    for _ in 0..3 {
        let settings = servers.settings();
        let waiting = meet(&settings, &code);
        let given_up = tokio::time::timeout(Duration::from_millis(300), waiting).await;
        assert!(given_up.is_err());
        farewell(&settings).await;
    }
    let settings = servers.settings();
    pair(&settings, &settings, &code).await;
}

#[tokio::test]
async fn an_attempt_that_is_dropped_at_any_moment_holds_nothing() {
    let servers = Servers::start(&["mailbox"]);
    let code = fresh_code();
    for microseconds in [0, 100, 500, 1000, 1500, 2000, 3000, 4000, 6000, 8000, 12_000] {
        for is_allocated in [false, true] {
            let settings = servers.settings();
            let attempt = async {
                if is_allocated {
                    drop(wormhole::allocate(&settings, 2).await?.peer().await?);
                } else {
                    drop(meet(&settings, &code).await?);
                }
                Ok::<_, Error>(())
            };
            let limit = Duration::from_micros(microseconds);
            assert!(tokio::time::timeout(limit, attempt).await.is_err());
            farewell(&settings).await;
        }
    }
    // Nothing is left: the list is empty.
    let settings = servers.settings();
    let joined = soon(wormhole::join(&settings, &code, IfNoPeer::Fail)).await;
    assert!(matches!(joined.unwrap_err(), Error::NobodyThere));
    pair(&settings, &settings, &code).await;
}

#[tokio::test]
async fn nobody_who_comes_is_an_error_in_its_time() {
    let mut settings = Servers::shared().settings();
    settings.limits = Timeouts { peer: Duration::from_millis(200), ..settings.limits };
    let waited = soon(meet(&settings, &fresh_code())).await;
    assert!(matches!(waited.unwrap_err(), Error::TimedOut { what: Stage::Peer }));
}

#[tokio::test]
async fn each_side_is_told_that_the_other_left_at_any_stage() {
    let settings = Servers::shared().settings();
    // With a key, before the offer.
    let (sender, receiver) = pair(&settings, &settings, &fresh_code()).await;
    drop(sender);
    assert!(matches!(soon(receiver.receive()).await.unwrap_err(), Error::PeerError(_)));
    let (sender, receiver) = pair(&settings, &settings, &fresh_code()).await;
    drop(receiver);
    let outgoing = soon(sender.offer(file(5))).await.unwrap();
    assert!(matches!(soon(outgoing.accepted()).await.unwrap_err(), Error::Refused(_)));

    // With an offer on the screen.
    let (outgoing, mut incoming) = offered(&settings, &settings, &fresh_code(), file(5)).await;
    let is_early = tokio::time::timeout(Duration::from_millis(100), incoming.withdrawn()).await;
    assert!(is_early.is_err());
    soon(outgoing.close()).await;
    let withdrawn = soon(incoming.withdrawn()).await;
    assert!(matches!(withdrawn, Error::PeerError(why) if why == "the offer was withdrawn"));
    let (outgoing, incoming) = offered(&settings, &settings, &fresh_code(), file(5)).await;
    drop(incoming);
    assert!(matches!(soon(outgoing.accepted()).await.unwrap_err(), Error::Refused(_)));

    // During the connection: the offer is withdrawn before it is accepted.
    let (outgoing, incoming) = offered(&settings, &settings, &fresh_code(), file(5)).await;
    drop(outgoing);
    assert!(matches!(soon(incoming.accept()).await.unwrap_err(), Error::PeerError(_)));

    // In the middle of the data.
    let (mut sending, mut receiving) =
        connected(&settings, &settings, &fresh_code(), 1 << 30).await;
    soon(sending.send(&pattern(1_000_000))).await.unwrap();
    drop(sending);
    let failed = soon(read_all(&mut receiving)).await.unwrap_err();
    assert!(matches!(failed, Error::PeerError(_)), "{failed}");
    let (mut sending, receiving) = connected(&settings, &settings, &fresh_code(), 1 << 30).await;
    drop(receiving);
    let piece = pattern(1_000_000);
    let failed = soon(async {
        loop {
            if let Err(error) = sending.send(&piece).await {
                return error;
            }
        }
    });
    let failed = failed.await;
    assert!(matches!(failed, Error::PeerError(_)), "{failed}");
}

#[tokio::test]
async fn a_reason_to_end_arrives_in_words() {
    let settings = Servers::shared().settings();
    // The receiver, in the middle.
    let (mut sending, receiving) = connected(&settings, &settings, &fresh_code(), 1 << 30).await;
    let send = async {
        let piece = pattern(1_000_000);
        loop {
            if let Err(error) = sending.send(&piece).await {
                return error;
            }
        }
    };
    let (error, ()) = soon(async { tokio::join!(send, receiving.fail("disk full")) }).await;
    assert!(matches!(&error, Error::PeerError(why) if why == "disk full"), "{error:?}");

    // The sender, in the middle.
    let (sending, mut receiving) = connected(&settings, &settings, &fresh_code(), 1 << 30).await;
    let (came, ()) =
        soon(async { tokio::join!(read_all(&mut receiving), sending.fail("file has shrunk")) })
            .await;
    assert!(matches!(came.unwrap_err(), Error::PeerError(why) if why == "file has shrunk"));

    // The receiver, after the last byte.
    let (mut sending, mut receiving) = connected(&settings, &settings, &fresh_code(), 5).await;
    let send = async {
        sending.send(b"hello").await?;
        sending.finish().await
    };
    let receive = async {
        read_all(&mut receiving).await.unwrap();
        receiving.fail("it exists").await;
    };
    let (went, ()) = soon(async { tokio::join!(send, receive) }).await;
    assert!(matches!(went.unwrap_err(), Error::NotAcknowledged(why) if why == "it exists"));
}

#[tokio::test]
async fn what_has_another_size_than_was_announced_is_not_sent() {
    let settings = Servers::shared().settings();
    let (mut sending, mut receiving) = connected(&settings, &settings, &fresh_code(), 5).await;
    let went = soon(sending.send(b"hello!")).await.unwrap_err();
    assert!(matches!(went, Error::OtherSize { announced: 5, found: 6 }));
    drop(sending);
    let told = soon(read_all(&mut receiving)).await.unwrap_err();
    assert!(matches!(&told, Error::PeerError(why) if why.contains('6')), "{told}");

    let (sending, mut receiving) = connected(&settings, &settings, &fresh_code(), 5).await;
    let went = soon(sending.finish()).await.unwrap_err();
    assert!(matches!(went, Error::OtherSize { announced: 5, found: 0 }));
    assert!(matches!(soon(read_all(&mut receiving)).await.unwrap_err(), Error::PeerError(_)));
}

#[tokio::test]
async fn hints_that_lead_home_are_not_followed_and_our_own_relay_is() {
    let servers = Servers::shared();
    // Both sides are on one machine, and may not connect to it.
    let careful = Settings { reach: HintPolicy::Others, ..servers.settings() };
    let (sending, receiving) = connected(&careful, &careful, &fresh_code(), 5).await;
    assert!(matches!(sending.route(), Route::Relay(_)));
    assert!(matches!(receiving.route(), Route::Relay(_)));

    // The peer's relay on this machine is a hint like any other.
    let without = Settings { relays: Vec::new(), listens: false, ..careful.clone() };
    let with = Settings { listens: false, ..careful };
    let (outgoing, incoming) = offered(&with, &without, &fresh_code(), file(5)).await;
    let accepted = soon(incoming.accept()).await;
    assert!(matches!(accepted.unwrap_err(), Error::NoRoute));
    let told = soon(outgoing.accepted()).await.unwrap_err();
    assert!(matches!(&told, Error::PeerError(why) if why.contains("no way")), "{told}");
}

#[tokio::test]
async fn a_stalled_peer_is_noticed_on_both_sides() {
    let mut settings = Servers::shared().settings();
    settings.limits.idle = Duration::from_millis(300);
    let (sending, mut receiving) = connected(&settings, &settings, &fresh_code(), 5).await;
    let failed = soon(receiving.next()).await.unwrap_err();
    assert!(matches!(failed, Error::Stalled { done: 0, total: 5 }));
    drop((sending, receiving));

    let (mut sending, _receiving) = connected(&settings, &settings, &fresh_code(), 1 << 30).await;
    let piece = pattern(1_000_000);
    let failed = async {
        loop {
            if let Err(error) = sending.send(&piece).await {
                return error;
            }
        }
    };
    assert!(matches!(soon(failed).await, Error::Stalled { total: 0x4000_0000, .. }));
}

#[tokio::test]
async fn a_sender_waits_for_the_confirmation_no_longer_than_it_may() {
    let mut settings = Servers::shared().settings();
    settings.limits.confirm = Duration::from_millis(300);
    let (mut sending, _receiving) = connected(&settings, &settings, &fresh_code(), 5).await;
    soon(sending.send(b"hello")).await.unwrap();
    let failed = soon(sending.finish()).await.unwrap_err();
    assert!(matches!(failed, Error::TimedOut { what: Stage::Confirmation }));
}

#[tokio::test]
async fn waiting_for_bytes_may_be_given_up_and_taken_up_again() {
    let settings = Servers::shared().settings();
    let content = pattern(2_000_000);
    let (mut sending, mut receiving) =
        connected(&settings, &settings, &fresh_code(), 2_000_000).await;
    let send = async {
        for piece in content.chunks(70_000) {
            sending.send(piece).await?;
        }
        sending.finish().await
    };
    let receive = async {
        let mut all = Vec::new();
        loop {
            let next = tokio::time::timeout(Duration::from_micros(50), receiving.next()).await;
            match next {
                Ok(Ok(Some(bytes))) => all.extend_from_slice(&bytes),
                Ok(Ok(None)) => break,
                Ok(Err(error)) => panic!("{error}"),
                Err(_) => {}
            }
        }
        receiving.finish().await.unwrap();
        all
    };
    let (went, came) = soon(async { tokio::join!(send, receive) }).await;
    went.unwrap();
    assert!(came == content);
}

#[tokio::test]
async fn many_transfers_go_on_at_once() {
    let servers = Servers::shared();
    let one = |number: usize| async move {
        let settings = if number.is_multiple_of(2) { servers.settings() } else { servers.deaf() };
        let content = pattern(300_000 + number);
        let (one, other) = pair(&settings, &settings, &fresh_code()).await;
        let send = async {
            let outgoing = one.offer(file(content.len() as u64)).await?;
            let mut sending = outgoing.accepted().await?.unwrap();
            sending.send(&content).await?;
            sending.finish().await
        };
        let receive = async { receive_all(incoming(other.receive().await?)).await };
        let (went, came) = soon(async { tokio::join!(send, receive) }).await;
        went.unwrap();
        assert!(came.unwrap() == content);
    };
    let mut all = tokio::task::JoinSet::new();
    for number in 0..8 {
        all.spawn(one(number));
    }
    soon(all.join_all()).await;
}
