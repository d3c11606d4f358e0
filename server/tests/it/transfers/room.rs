//! A small volume: what does not fit is refused before it comes, and what fills up on the way leaves nothing.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use super::python::{Python, Version};
use super::servers::Servers;
use super::{Place, fresh_code};
use crate::process::{Program, admin_socket, command};

/// A server whose volume is a file system of 64 MiB in memory, in a namespace of its own.
fn small() -> (Place, PathBuf) {
    let volume = TempDir::new().unwrap();
    let (socket, servers) = (admin_socket(), Servers::shared());
    let script = "mount -t tmpfs -o size=64m,mode=755 tmpfs \"$1\" && mkdir -m 700 \"$1/.sounding\" && \
                  echo kmt,kmt-secret > \"$1/.sounding/auth-keys.csv\" && \
                  exec \"$2\" --volume \"$1\" --listen 127.0.0.1:0 --admin \"$3\" --mailbox \"$4\" --relay \"$5\" --local-peers";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    command.arg(volume.path()).arg(env!("CARGO_BIN_EXE_sounding-server")).arg(&socket);
    command.arg(servers.mailbox_url()).arg(servers.relay());
    let program = Program::run(command);
    let seen = format!("/proc/{}/root{}", program.id(), volume.path().display());
    (Place { volume, socket, program: Some(program), servers }, seen.into())
}

fn sized(name: &'static str, len: u64) -> impl FnOnce(&Path) {
    move |folder| fs::File::create(folder.join(name)).unwrap().set_len(len).unwrap()
}

fn staged(volume: &Path) -> usize {
    fs::read_dir(volume.join(".sounding/staging")).map_or(0, Iterator::count)
}

#[test]
fn what_does_not_fit_is_refused_before_it_comes() {
    let (place, volume) = small();
    let code = fresh_code();
    let mut sender =
        Python::send(Version::New, &place, sized("x.bin", 80 << 20), &code, &["x.bin"]);
    let number = place.receive(json!({"code": code, "yes": true, "wait": true}));
    sender.fails("are needed, and the volume has room for");
    let now = place.wait_for(number, "failed");
    assert_eq!((&now["done"], staged(&volume)), (&0.into(), 0));
}

#[test]
fn a_sender_gets_no_room_from_the_trash_before_they_are_accepted_or_if_it_would_not_do() {
    let (place, volume) = small();
    let trash = volume.join(".sounding/trash/files");
    fs::create_dir_all(&trash).unwrap();
    for name in ["old", "new"] {
        fs::write(trash.join(name), vec![1; 12 << 20]).unwrap();
    }
    let trashed = || fs::read_dir(&trash).unwrap().count();
    // More than all of it: refused, with the operator's yes beforehand.
    let code = fresh_code();
    let mut sender =
        Python::send(Version::New, &place, sized("x.bin", 63 << 20), &code, &["x.bin"]);
    let number = place.receive(json!({"code": code, "yes": true, "wait": true}));
    sender.fails("MB are needed, and the volume has room for");
    place.wait_for(number, "failed");
    assert_eq!(trashed(), 2);
    // It would do, but nobody has said yes yet.
    let code = fresh_code();
    let mut sender =
        Python::send(Version::New, &place, sized("y.bin", 45 << 20), &code, &["y.bin"]);
    let number = place.receive(json!({"code": code, "wait": true}));
    place.wait_until(number, |it| !it["question"].is_null());
    assert_eq!(trashed(), 2);
    place.accept(number);
    place.done(number);
    sender.succeeds();
    assert_eq!(trashed(), 1);
}

#[test]
fn a_zip_that_announces_more_than_can_be_in_it_gets_no_room_from_the_trash() {
    // A file's size in the directory at the end, or its packed size too: 45 MiB, which all of the trash would make room for.
    for fields in ["(24,)", "(20, 24)"] {
        let (place, volume) = small();
        let trash = volume.join(".sounding/trash/files");
        fs::create_dir_all(&trash).unwrap();
        for name in ["old", "new"] {
            fs::write(trash.join(name), vec![1; 12 << 20]).unwrap();
        }
        let script = format!(
            "import zipfile
with zipfile.ZipFile('x.zip', 'w', zipfile.ZIP_DEFLATED) as archive: archive.writestr('x.csv', 'a,b' * 1000)
data = bytearray(open('x.zip', 'rb').read())
entry = data.index(b'PK\\1\\2')
for field in {fields}: data[entry + field:entry + field + 4] = (45 << 20).to_bytes(4, 'little')
open('x.zip', 'wb').write(data)"
        );
        let make = |folder: &Path| {
            let made = Command::new("python3").args(["-c", &script]).current_dir(folder).status();
            assert!(made.unwrap().success());
        };
        let code = fresh_code();
        let mut sender = Python::send(Version::New, &place, make, &code, &["x.zip"]);
        let number =
            place.receive(json!({"code": code, "yes": true, "unpack": true, "wait": true}));
        let now = place.done(number);
        sender.succeeds();
        let note = now["notes"][0].as_str().unwrap();
        assert!(note.contains("it can't hold as much as it says"), "{note}");
        assert!(volume.join("x.zip").exists() && !volume.join("x").exists());
        assert_eq!(fs::read_dir(&trash).unwrap().count(), 2, "{fields}");
    }
}

#[test]
fn what_permissions_keep_out_is_refused_before_it_comes() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not root: nobody can be another user here");
        return;
    }
    let (volume, socket, servers) = (TempDir::new().unwrap(), admin_socket(), Servers::shared());
    chown(volume.path(), Some(900), Some(900)).unwrap();
    fs::create_dir(volume.path().join("roots")).unwrap();
    let mut command = command(volume.path());
    command.uid(900).gid(900).args(["--listen", "127.0.0.1:0", "--local-peers", "--admin"]);
    command
        .arg(&socket)
        .arg("--mailbox")
        .arg(servers.mailbox_url())
        .arg("--relay")
        .arg(servers.relay());
    let place = Place { volume, socket, program: Some(Program::run(command)), servers };
    let code = fresh_code();
    let mut sender = Python::send(Version::New, &place, sized("x.bin", 5), &code, &["x.bin"]);
    let wanted = json!({"code": code, "yes": true, "wait": true, "into": "roots"});
    let number = place.receive(wanted);
    sender.fails("permissions keep the service");
    let now = place.wait_for(number, "failed");
    assert!(now["cause"].as_str().unwrap().contains("sounding doctor"), "{now:#}");
}

#[test]
fn room_that_another_transfer_was_promised_is_not_given_twice() {
    let (place, _) = small();
    let make = |folder: &Path| {
        fs::create_dir(folder.join("run")).unwrap();
        sized("run/x.bin", 40 << 20)(folder);
    };
    let codes = [fresh_code(), fresh_code()];
    let senders = codes.each_ref().map(|it| Python::send(Version::New, &place, make, it, &["run"]));
    let numbers = codes.each_ref().map(|it| {
        let number = place.receive(json!({"code": it, "wait": true, "into": it}));
        place.wait_until(number, |it| !it["question"].is_null());
        number
    });
    place.accept(numbers[0]);
    let (status, said) = place.answer(numbers[1], &json!({"answer": "accept"}));
    assert_eq!(status, 409, "{said}");
    assert!(
        said["detail"].as_str().unwrap().contains("are needed, and the volume has room for"),
        "{said}"
    );
    place.done(numbers[0]);
    drop(senders);
}

#[test]
fn a_disk_that_fills_up_on_the_way_leaves_nothing() {
    let (place, volume) = small();
    // Its own zip stream grows by nothing, but somebody else copies onto the volume meanwhile.
    let make = |folder: &Path| {
        fs::create_dir(folder.join("run")).unwrap();
        sized("run/x.bin", 50 << 20)(folder);
    };
    let code = fresh_code();
    let mut sender = Python::send(Version::New, &place, make, &code, &["run"]);
    let number = place.receive(json!({"code": code, "wait": true}));
    place.wait_until(number, |it| !it["question"].is_null());
    place.accept(number);
    // It was decided on before; now half of the room goes.
    fs::write(volume.join("copied"), vec![1; 40 << 20]).unwrap_or_default();
    let now = place.wait_until(number, |it| it["is_live"] == false);
    // Either it was quicker than the copy, or it failed for want of room.
    if now["state"] == "failed" {
        assert!(now["cause"].as_str().unwrap().contains("room"), "{now}");
        assert!(!sender.end().0);
        assert!(!volume.join("run").exists());
    } else {
        assert_eq!(now["state"], "done");
        sender.succeeds();
    }
    assert_eq!(staged(&volume), 0);
}
