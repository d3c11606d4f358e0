//! Tests with the Python clients: 0.24, and 0.12 from Debian. In both directions, with everything that people do.

use std::process::Command;

use wormhole::{Arrival, Error, IfNoPeer, Offer, Settings};

use crate::peers::{Python, Version, farewell, incoming, meet, read_all, receive_all};
use crate::servers::{PYTHON, Servers, fresh_code, pattern, soon};

/// Quiet, and without questions.
const SEND: [&str; 2] = ["send", "--hide-progress"];
const RECEIVE: [&str; 3] = ["receive", "--accept-file", "--hide-progress"];

async fn a_file_comes(version: Version, listens: bool) {
    let servers = Servers::shared();
    let settings = Settings { listens, ..servers.settings() };
    let (code, content) = (fresh_code(), pattern(2_500_001));
    let folder = Python::folder();
    std::fs::write(folder.path().join("Köln x.bin"), &content).unwrap();
    let text = code.to_string();
    let mut arguments = [&SEND[..], &["--code", &text]].concat();
    if !listens {
        arguments.push("--no-listen");
    }
    arguments.push("Köln x.bin");
    let mut python = Python::start(version, servers, folder, &arguments);
    let received = soon(async {
        let incoming = incoming(meet(&settings, &code).await?.receive().await?);
        let offer = Offer::File { name: "Köln x.bin".to_owned(), size: 2_500_001 };
        assert_eq!(incoming.offer(), &offer);
        receive_all(incoming).await
    });
    assert!(received.await.unwrap() == content);
    python.succeeds().await;
}

#[tokio::test]
async fn the_new_client_sends_a_file_directly() {
    a_file_comes(Version::New, true).await;
}

#[tokio::test]
async fn the_new_client_sends_a_file_by_the_relay() {
    a_file_comes(Version::New, false).await;
}

#[tokio::test]
async fn the_old_client_sends_a_file_directly() {
    a_file_comes(Version::Old, true).await;
}

#[tokio::test]
async fn the_old_client_sends_a_file_by_the_relay() {
    a_file_comes(Version::Old, false).await;
}

#[tokio::test]
async fn both_send_a_text() {
    let servers = Servers::shared();
    for version in [Version::New, Version::Old] {
        let code = fresh_code();
        let text = code.to_string();
        let arguments = [&SEND[..], &["--code", &text, "--text", "grüezi"]].concat();
        let mut python = Python::start(version, servers, Python::folder(), &arguments);
        let settings = servers.settings();
        let arrival = soon(async { meet(&settings, &code).await?.receive().await });
        let arrival = arrival.await.unwrap();
        assert!(matches!(arrival, Arrival::Text(text) if text == "grüezi"));
        python.succeeds().await;
    }
}

#[tokio::test]
async fn both_send_a_directory_as_a_zip_file() {
    let servers = Servers::shared();
    for version in [Version::New, Version::Old] {
        let (code, folder) = (fresh_code(), Python::folder());
        let tree = folder.path().join("tree");
        std::fs::create_dir_all(tree.join("sub/Zürich")).unwrap();
        std::fs::write(tree.join("a.txt"), "hello").unwrap();
        std::fs::write(tree.join("sub/Zürich/b.bin"), pattern(100_000)).unwrap();
        let text = code.to_string();
        let arguments = [&SEND[..], &["--code", &text, "tree"]].concat();
        let mut python = Python::start(version, servers, folder, &arguments);
        let settings = servers.settings();
        let zip = soon(async {
            let incoming = incoming(meet(&settings, &code).await?.receive().await?);
            match incoming.offer() {
                Offer::Directory { name, bytes: 100_005, files: 2, .. } => assert_eq!(name, "tree"),
                other => panic!("{other:?}"),
            }
            receive_all(incoming).await
        });
        let zip = zip.await.unwrap();
        python.succeeds().await;
        std::fs::write(python.path("come.zip"), zip).unwrap();
        zipfile(&python, &["-e", "come.zip", "out"]);
        assert_eq!(std::fs::read(python.path("out/a.txt")).unwrap(), b"hello");
        let deep = std::fs::read(python.path("out/sub/Zürich/b.bin")).unwrap();
        assert!(deep == pattern(100_000));
    }
}

/// Runs Python's own zip program in a client's folder.
fn zipfile(python: &Python, arguments: &[&str]) {
    let mut command = Command::new(PYTHON);
    let command = command.args(["-m", "zipfile"]).args(arguments);
    assert!(command.current_dir(python.path("")).status().unwrap().success());
}

async fn a_file_goes(version: Version, listens: bool, len: usize) {
    let servers = Servers::shared();
    let settings = Settings { listens, ..servers.settings() };
    let (code, content) = (fresh_code(), pattern(len));
    let text = code.to_string();
    let mut arguments = RECEIVE.to_vec();
    if !listens {
        arguments.push("--no-listen");
    }
    arguments.push(&text);
    let mut python = Python::start(version, servers, Python::folder(), &arguments);
    let sent = soon(async {
        let offer = Offer::File { name: "Köln y.bin".to_owned(), size: len as u64 };
        let outgoing = meet(&settings, &code).await?.offer(offer).await?;
        let mut sending = outgoing.accepted().await?.unwrap();
        sending.send(&content).await?;
        sending.finish().await
    });
    sent.await.unwrap_or_else(|it| panic!("{it:?}\n{}", python.log()));
    python.succeeds().await;
    assert!(std::fs::read(python.path("Köln y.bin")).unwrap() == content);
}

#[tokio::test]
async fn the_new_client_receives_a_file_directly() {
    a_file_goes(Version::New, true, 2_500_001).await;
}

#[tokio::test]
async fn the_new_client_receives_a_file_by_the_relay() {
    a_file_goes(Version::New, false, 2_500_001).await;
}

#[tokio::test]
async fn the_old_client_receives_a_file_directly() {
    a_file_goes(Version::Old, true, 2_500_001).await;
}

#[tokio::test]
async fn both_receive_an_empty_file() {
    a_file_goes(Version::New, true, 0).await;
    a_file_goes(Version::Old, false, 0).await;
}

#[tokio::test]
async fn both_receive_a_text_and_a_directory() {
    let servers = Servers::shared();
    for version in [Version::New, Version::Old] {
        let settings = servers.settings();
        let code = fresh_code();
        let text = code.to_string();
        let arguments = [&RECEIVE[..], &[&text]].concat();
        let mut python = Python::start(version, servers, Python::folder(), &arguments);
        let sent = soon(async {
            let offer = Offer::Message("grüezi".to_owned());
            meet(&settings, &code).await?.offer(offer).await?.accepted().await
        });
        assert!(sent.await.unwrap().is_none());
        python.succeeds().await;
        assert!(python.log().contains("grüezi"), "{}", python.log());

        let code = fresh_code();
        let text = code.to_string();
        let arguments = [&RECEIVE[..], &[&text]].concat();
        let mut python = Python::start(version, servers, Python::folder(), &arguments);
        std::fs::create_dir(python.path("in")).unwrap();
        std::fs::write(python.path("in/b.bin"), pattern(50_000)).unwrap();
        zipfile(&python, &["-c", "go.zip", "in/b.bin"]);
        let zip = std::fs::read(python.path("go.zip")).unwrap();
        let zip_size = zip.len() as u64;
        let name = "tree".to_owned();
        let offer = Offer::Directory { name, zip_size, bytes: 50_000, files: 1 };
        let sent = soon(async {
            let outgoing = meet(&settings, &code).await?.offer(offer).await?;
            let mut sending = outgoing.accepted().await?.unwrap();
            sending.send(&zip).await?;
            sending.finish().await
        });
        sent.await.unwrap_or_else(|it| panic!("{it:?}\n{}", python.log()));
        python.succeeds().await;
        assert!(std::fs::read(python.path("tree/b.bin")).unwrap() == pattern(50_000));
    }
}

#[tokio::test]
async fn both_are_told_in_words_why_we_refuse() {
    let servers = Servers::shared();
    for version in [Version::New, Version::Old] {
        let settings = servers.settings();
        let code = fresh_code();
        let text = code.to_string();
        let folder = Python::folder();
        std::fs::write(folder.path().join("x"), "hello").unwrap();
        let arguments = [&SEND[..], &["--code", &text, "x"]].concat();
        let mut python = Python::start(version, servers, folder, &arguments);
        let refused = soon(async {
            incoming(meet(&settings, &code).await?.receive().await?).refuse("it is Sunday").await
        });
        refused.await.unwrap();
        python.fails("it is Sunday").await;
    }
}

#[tokio::test]
async fn a_refusal_at_the_other_end_arrives() {
    let servers = Servers::shared();
    let settings = servers.settings();
    let code = fresh_code();
    let arguments = ["receive", "--hide-progress", &code.to_string()];
    let mut python = Python::start(Version::New, servers, Python::folder(), &arguments);
    python.type_line("n").await;
    let offer = Offer::File { name: "x".to_owned(), size: 5 };
    let answer = soon(async { meet(&settings, &code).await?.offer(offer).await?.accepted().await });
    let answer = answer.await.unwrap_err();
    assert!(matches!(&answer, Error::Refused(why) if why == "transfer rejected"), "{answer:?}");
    python.fails("transfer rejected").await;
}

#[tokio::test]
async fn both_are_told_that_the_words_differ() {
    let servers = Servers::shared();
    for version in [Version::New, Version::Old] {
        let settings = servers.settings();
        let code = fresh_code();
        let wrong = format!("{}-wrong-words", code.nameplate());
        let arguments = [&SEND[..], &["--code", &wrong, "--text", "x"]].concat();
        let mut python = Python::start(version, servers, Python::folder(), &arguments);
        let met = soon(meet(&settings, &code)).await;
        assert!(matches!(met.unwrap_err(), Error::WrongCode));
        python.fails("onfirmation failed").await;
    }
}

#[tokio::test]
async fn a_code_of_ours_is_typed_at_the_other_end() {
    let servers = Servers::shared();
    let settings = servers.settings();
    let invitation = soon(wormhole::allocate(&settings, 2)).await.unwrap();
    let text = invitation.code().to_string();
    let arguments = [&SEND[..], &["--code", &text, "--text", "x"]].concat();
    let mut python = Python::start(Version::New, servers, Python::folder(), &arguments);
    let arrival = soon(async { invitation.peer().await?.receive().await }).await.unwrap();
    assert!(matches!(arrival, Arrival::Text(text) if text == "x"));
    python.succeeds().await;
    farewell(&settings).await;
}

#[tokio::test]
async fn a_sender_that_waits_is_found_by_the_number() {
    let servers = Servers::start(&["mailbox", "relay"]);
    let settings = servers.settings();
    let code = fresh_code();
    let text = code.to_string();
    let arguments = [&SEND[..], &["--code", &text, "--text", "x"]].concat();
    let mut python = Python::start(Version::New, &servers, Python::folder(), &arguments);
    let joined = soon(async {
        loop {
            match wormhole::join(&settings, &code, IfNoPeer::Fail).await {
                Err(Error::NobodyThere) if !python.log().contains("Wormhole code is") => {}
                Err(Error::NobodyThere) => {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
                other => return other,
            }
        }
    });
    let arrival = soon(async { joined.await?.peer().await?.receive().await }).await.unwrap();
    assert!(matches!(arrival, Arrival::Text(_)));
    python.succeeds().await;
}

#[tokio::test]
async fn the_other_end_is_told_that_what_it_sent_can_not_be_kept() {
    let servers = Servers::shared();
    for version in [Version::New, Version::Old] {
        let settings = servers.settings();
        let code = fresh_code();
        let text = code.to_string();
        let folder = Python::folder();
        std::fs::write(folder.path().join("x"), "hello").unwrap();
        let arguments = [&SEND[..], &["--code", &text, "x"]].concat();
        let mut python = Python::start(version, servers, folder, &arguments);
        let received = soon(async {
            let incoming = incoming(meet(&settings, &code).await?.receive().await?);
            let mut receiving = incoming.accept().await?;
            let all = read_all(&mut receiving).await?;
            receiving.fail("the name is taken").await;
            Ok::<_, Error>(all)
        });
        assert_eq!(received.await.unwrap(), b"hello");
        python.fails("the name is taken").await;
    }
}
