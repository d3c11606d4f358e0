//! Who runs as whom, how the container ends, and what it says then.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use rustix::process::Signal;

use super::{in_chain, in_chain_over, signal, wait_for};
use crate::support::{KEY, pattern};

/// The service's user in the image.
const SOUNDING: u32 = 900;

/// Whose a process is.
fn owner(process: u32) -> u32 {
    fs::metadata(format!("/proc/{process}")).unwrap().uid()
}

#[test]
fn nobody_has_more_rights_than_needed() {
    in_chain(&["API_KEYS=kmt-s3cret"], |chain| {
        // The owner of what was there before is changed at the top only.
        chain.put("run/old.csv", b"old");
        chain.wait_until_ready();
        assert_eq!(owner(chain.process("sounding-server")), SOUNDING);
        let nginx = owner(chain.process("nginx"));
        assert!(nginx != 0 && nginx != SOUNDING && nginx == owner(chain.worker()));
        let is = |path: &str, owner: u32, mode: u32| {
            let stat = fs::metadata(chain.inner(path)).unwrap();
            assert_eq!((stat.uid(), stat.mode() & 0o777), (owner, mode), "{path}");
        };
        is("/data", SOUNDING, 0o750);
        is("/data/.sounding", SOUNDING, 0o700);
        is("/data/run", 0, 0o755);
        is("/run/sounding", SOUNDING, 0o700);
        is("/run/sounding/admin.sock", SOUNDING, 0o600);
        is("/run/server.sock", SOUNDING, 0o660);
        is("/run/nginx", nginx, 0o700);
        assert_eq!(chain.get("/files/run/old.csv", &[]).text(), "old");
        // Keys of the environment are the server's alone.
        let environment =
            |process: u32| fs::read_to_string(format!("/proc/{process}/environ")).unwrap();
        assert!(environment(chain.process("sounding-server")).contains("s3cret"));
        assert!(!environment(chain.process("nginx")).contains("s3cret"));
        assert!(!chain.log().contains("s3cret"));
    });
}

#[test]
fn the_clients_address_is_what_flys_proxy_says_and_nobody_else() {
    in_chain(&[], |chain| {
        chain.wait_until_ready();
        let check = |target: &str, fields: &[(&str, &str)], client: &str| {
            assert_eq!(chain.get(target, fields).status, 200);
            let expected = format!(" path={target} ");
            let line = wait_for("a line in the log", || {
                chain.log().lines().find(|it| it.contains(&expected)).map(str::to_owned)
            });
            assert!(line.contains(&format!("client={client} ")), "{line}");
        };
        let forged = ("X-Forwarded-For", "198.51.100.1");
        check("/files/", &[forged], "127.0.0.1");
        check("/openapi.json", &[("Fly-Client-IP", "203.0.113.7"), forged], "203.0.113.7");
        check(
            "/changes",
            &[("Fly-Client-IP", "2001:db8::7"), ("X-Real-IP", "198.51.100.1")],
            "2001:db8::7",
        );
    });
}

#[test]
fn told_to_stop_it_lets_a_download_finish_and_no_stream_hold_it_up() {
    in_chain(&[], |chain| {
        chain.wait_until_ready();
        let content = pattern(64 << 20);
        chain.put("big.bin", &content);
        let mut connection = chain.patient();
        connection.send("GET", "/files/big.bin", &[("Authorization", KEY)]);
        let mut events = chain.patient();
        events.send("GET", "/events", &[("Authorization", KEY)]);
        assert_eq!(events.receive_head().status, 200);
        let mut got = vec![0; 1000];
        assert_eq!(connection.receive_head().status, 200);
        connection.stream.read_exact(&mut got).unwrap();
        chain.stop();
        // An open stream holds nothing up: it is told, and ends.
        assert!(events.receive_rest().contains("event: sleep"));
        wait_for("the server to hear of it", || chain.log().contains("stopping: ").then_some(()));
        connection.stream.read_to_end(&mut got).unwrap();
        assert!(got == content, "{} bytes came", got.len());
        assert_eq!(chain.ended(), Some(0));
    });
}

#[test]
fn a_server_that_goes_to_sleep_ends_the_container_with_0() {
    in_chain(&["SOUNDING_IDLE_EXIT=2"], |chain| {
        chain.wait_until_ready();
        assert_eq!(chain.ended(), Some(0));
    });
}

#[test]
fn a_server_that_crashes_is_started_anew_and_keeps_what_it_had() {
    in_chain(&[], |chain| {
        chain.wait_until_ready();
        assert_eq!(chain.upload("/files/a.txt", b"hello", &[]).status, 201);
        let before = chain.process("sounding-server");
        signal(before, Signal::KILL);
        assert_eq!(chain.get("/files/a.txt", &[]).text(), "hello");
        assert_ne!(chain.process("sounding-server"), before);
    });
}

#[test]
fn a_server_that_cannot_be_kept_up_ends_the_container_with_1() {
    in_chain(&["SOUNDING_LOG=never"], |chain| {
        assert_eq!(chain.ended(), Some(1));
        assert!(chain.log().contains("invalid value 'never'"), "it says why");
    });
}

#[test]
fn a_planted_link_is_not_followed_and_nothing_is_given_away() {
    for target in ["private", "/data/private", "/usr/local/bin", "nowhere"] {
        let plant = |volume: &Path| {
            fs::create_dir(volume.join("private")).unwrap();
            fs::rename(volume.join(".sounding"), volume.join("private/was")).unwrap();
            symlink(target, volume.join(".sounding")).unwrap();
        };
        in_chain_over(plant, &[], |chain| {
            assert_eq!(chain.ended(), Some(1), "{target}");
            let log = chain.log();
            assert!(log.contains("/data/.sounding must be a folder"), "{target}: {log}");
            assert!(!log.contains("Traceback"), "{target}: {log}");
            let private = fs::metadata(chain.path("private")).unwrap();
            assert_eq!((private.uid(), private.mode() & 0o777), (0, 0o755), "{target}");
        });
    }
}
