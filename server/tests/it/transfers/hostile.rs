//! Senders who mean ill: names that lead elsewhere, and directories that are not what they say.

use std::fs;
use std::process::Command;

use serde_json::json;
use wormhole::{Code, Error, IfNoPeer, Offer};

use super::{Place, fresh_code};

/// Offers something and sends these bytes; how the receiver took it.
fn send(place: &Place, code: &str, offer: Offer, bytes: Vec<u8>) -> Result<(), Error> {
    let settings = place.servers.settings();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let code = Code::parse(code).unwrap();
        let invitation = wormhole::join(&settings, &code, IfNoPeer::Wait).await?;
        let outgoing = invitation.peer().await?.offer(offer).await?;
        let Some(mut sending) = outgoing.accepted().await? else { return Ok(()) };
        sending.send(&bytes).await?;
        sending.finish().await
    })
}

/// Bytes of a zip file that a Python script makes: `z` is the file, `i` makes an entry's head.
fn zip(script: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.zip");
    let script = format!(
        "import sys, zipfile, warnings\nwarnings.simplefilter('ignore')\n\
         def i(name, mode=0o100644):\n    it = zipfile.ZipInfo(name); it.external_attr = mode << 16; return it\n\
         z = zipfile.ZipFile(sys.argv[1], 'w')\n{script}\nz.close()\n"
    );
    let status = Command::new("python3").args(["-c", &script]).arg(&path).status().unwrap();
    assert!(status.success());
    fs::read(path).unwrap()
}

#[test]
fn a_name_that_is_none_is_refused_and_the_sender_is_told() {
    for name in [
        "../evil",
        "/etc/passwd",
        "",
        ".",
        "..",
        ".hidden",
        "a/b",
        "x\u{1b}[31m",
        "x\n",
        &"x".repeat(300),
    ] {
        let place = Place::new();
        let code = fresh_code();
        let number = place.receive(json!({"code": code, "yes": true, "wait": true}));
        let offer = Offer::File { name: name.to_owned(), size: 1 };
        let refused = send(&place, &code, offer, vec![1]);
        assert!(refused.is_err(), "{name:?}");
        let now = place.wait_for(number, "failed");
        let cause = now["cause"].as_str().unwrap();
        assert!(!cause.contains('\u{1b}') && !cause.contains('\n'), "{cause:?}");
        place.is_clean("evil");
        assert!(!place.path("../evil").exists());
    }
}

#[test]
fn a_directory_that_is_not_what_it_says_leaves_nothing() {
    let cases = [
        ("z.writestr('../evil', 'x')", "has `.` or `..` in it"),
        ("z.writestr('a/../../evil', 'x')", "has `.` or `..` in it"),
        ("z.writestr('/tmp/evil', 'x')", "empty name"),
        ("z.writestr('a//evil', 'x')", "empty name"),
        ("z.writestr(i('link', 0o120777), '/etc/passwd')", "link"),
        ("z.writestr('a', 'x'); z.writestr('a', 'y')", "twice"),
        ("z.writestr('a', 'x'); z.writestr('a/evil', 'y')", "lies in a file"),
        ("z.writestr('bomb', b'0' * 3000)", "more"),
        ("[z.writestr(str(n), '') for n in range(12)]", "more"),
    ];
    for (script, cause) in cases {
        let place = Place::new();
        let code = fresh_code();
        let number = place.receive(json!({"code": code, "yes": true, "wait": true}));
        let bytes = zip(script);
        let zip_size = bytes.len() as u64;
        let offer =
            Offer::Directory { name: "output".to_owned(), zip_size, bytes: 1000, files: 10 };
        let told = send(&place, &code, offer, bytes);
        assert!(told.is_err(), "{script}");
        let now = place.wait_for(number, "failed");
        assert!(now["cause"].as_str().unwrap().contains(cause), "{script}: {now}");
        place.is_clean("output");
        assert!(!place.path("../evil").exists() && !std::path::Path::new("/tmp/evil").exists());
    }
}

#[test]
fn hidden_names_are_left_out_and_that_is_told() {
    let place = Place::new();
    let code = fresh_code();
    let number = place.receive(json!({"code": code, "yes": true, "wait": true}));
    let bytes =
        zip("z.writestr('.DS_Store', 'x'); z.writestr('a/.x/y', 'x'); z.writestr('a/b', 'x')");
    let zip_size = bytes.len() as u64;
    let offer = Offer::Directory { name: "output".to_owned(), zip_size, bytes: 3, files: 3 };
    send(&place, &code, offer, bytes).unwrap();
    let now = place.done(number);
    assert_eq!(now["notes"][0], "2 hidden names were left out: .DS_Store, a/.x/y");
    assert_eq!(fs::read(place.path("output/a/b")).unwrap(), b"x");
    assert!(!place.path("output/.DS_Store").exists() && !place.path("output/a/.x").exists());
}

#[test]
fn what_cannot_be_kept_is_told_after_the_last_byte() {
    let place = Place::new();
    let code = fresh_code();
    let number = place.receive(json!({"code": code, "yes": true, "wait": true}));
    let bytes = vec![7; 1000];
    let offer = Offer::Directory { name: "output".to_owned(), zip_size: 1000, bytes: 10, files: 1 };
    let told = send(&place, &code, offer, bytes);
    assert!(
        matches!(
            &told,
            Err(Error::NotAcknowledged(_) | Error::PeerError(_) | Error::ConnectionLost { .. })
        ),
        "{told:?}"
    );
    let now = place.wait_for(number, "failed");
    assert!(now["cause"].as_str().unwrap().contains("did not come whole"), "{now}");
}
