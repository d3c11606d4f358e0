//! Who runs as whom, how the container ends, and what it says then.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use rustix::process::Signal;

use super::{Front, behind_nginx, in_chain, in_chain_over, signal, wait_for};
use crate::support::{Connection, KEY, pattern};

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
        let by_nginx = chain.front == Front::Nginx;
        let nginx = fs::metadata(chain.inner("/run/nginx")).unwrap().uid();
        assert!(nginx != 0 && nginx != SOUNDING);
        if by_nginx {
            assert_eq!((owner(chain.process("nginx")), owner(chain.worker())), (nginx, nginx));
        }
        let is = |path: &str, owner: u32, mode: u32| {
            let stat = fs::metadata(chain.inner(path)).unwrap();
            assert_eq!((stat.uid(), stat.mode() & 0o777), (owner, mode), "{path}");
        };
        is("/data", SOUNDING, 0o750);
        is("/data/.sounding", SOUNDING, 0o700);
        is("/data/run", 0, 0o755);
        is("/run/sounding", SOUNDING, 0o700);
        is("/run/sounding/admin.sock", SOUNDING, 0o600);
        if by_nginx {
            is("/run/server.sock", SOUNDING, 0o660);
        }
        is("/run/nginx", nginx, 0o700);
        assert_eq!(chain.get("/files/run/old.csv", &[]).text(), "old");
        // Keys of the environment are the server's alone.
        let environment =
            |process: u32| fs::read_to_string(format!("/proc/{process}/environ")).unwrap();
        assert!(environment(chain.process("sounding-server")).contains("s3cret"));
        if by_nginx {
            assert!(!environment(chain.process("nginx")).contains("s3cret"));
        }
        assert!(!chain.log().contains("s3cret"));
    });
}

#[test]
fn the_clients_address_is_what_flys_proxy_says_and_nobody_else() {
    in_chain(&["FLY_APP_NAME=runs"], |chain| {
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
        // nginx believes Fly's own field only; the server also what the nearest proxy adds to the other.
        let nearest = match chain.front {
            Front::Nginx => "127.0.0.1",
            Front::Direct => "198.51.100.1",
        };
        check("/files/", &[forged], nearest);
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
fn a_folder_of_somebodys_stays_theirs_and_so_does_what_comes_in() {
    const OWNER: u32 = 12_345;
    let theirs = |volume: &Path| {
        fs::create_dir(volume.join("run")).unwrap();
        fs::write(volume.join("run/old.csv"), "old").unwrap();
        for path in ["", "run", "run/old.csv", ".sounding/auth-keys.csv"] {
            chown(volume.join(path), Some(OWNER), Some(OWNER + 1)).unwrap();
        }
        for path in ["", "run"] {
            fs::set_permissions(volume.join(path), fs::Permissions::from_mode(0o700)).unwrap();
        }
    };
    in_chain_over(theirs, &[], |chain| {
        chain.wait_until_ready();
        assert_eq!(owner(chain.process("sounding-server")), OWNER);
        assert_eq!(chain.get("/files/run/old.csv", &[]).text(), "old");
        assert_eq!(chain.upload("/files/run/new.csv", b"new", &[]).status, 201);
        assert_eq!(chain.upload("/files/new/new.csv", b"new", &[]).status, 201);
        for (path, mode) in [
            ("", 0o700),
            ("run", 0o700),
            ("run/new.csv", 0o644),
            ("new", 0o755),
            ("new/new.csv", 0o644),
            (".sounding", 0o700),
            (".sounding/auth-keys.csv", 0o644),
            (".sounding/journal.sqlite", 0o644),
        ] {
            let stat = fs::metadata(chain.path(path)).unwrap();
            let is = (stat.uid(), stat.gid(), stat.mode() & 0o777);
            assert_eq!(is, (OWNER, OWNER + 1, mode), "{path}");
        }
        // Nothing of root's, nor of a group of root's.
        let status =
            fs::read_to_string(format!("/proc/{}/status", chain.process("sounding-server")));
        let status = status.unwrap();
        for line in ["Uid:\t12345\t12345\t12345\t12345", "Gid:\t12346\t12346\t12346\t12346"] {
            assert!(status.contains(line), "{status}");
        }
        let groups = status.lines().find_map(|it| it.strip_prefix("Groups:")).unwrap();
        assert_eq!(groups.trim(), "");
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

/// What a process may do, by its name in `/proc/PID/limits`: the soft limit.
fn limit(process: u32, name: &str) -> u64 {
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let line = limits.lines().find_map(|it| it.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn both_programs_may_open_as_many_files_as_connections_take() {
    in_chain(&["SOUNDING_CONNECTIONS=1200"], |chain| {
        chain.wait_until_ready();
        let nginx = (chain.front == Front::Nginx).then(|| chain.worker());
        for process in nginx.into_iter().chain([chain.process("sounding-server")]) {
            assert!(limit(process, "Max open files") >= 3 * 1200, "{}", chain.log());
        }
        let written = fs::read_to_string(chain.inner("/run/connections.conf")).unwrap();
        assert_eq!(written, "worker_connections 2464;\n");
        assert!(!chain.log().contains("exceed open file resource limit"), "{}", chain.log());
    });
}

#[test]
fn the_kernel_queues_little_for_a_slow_client() {
    in_chain(&[], |chain| {
        chain.wait_until_ready();
        // Of the network that this thread is in.
        let setting = fs::read_to_string("/proc/sys/net/ipv4/tcp_notsent_lowat").unwrap();
        assert_eq!(setting.trim(), "131072", "{}", chain.log());
    });
}

/// Connections that are open to the server's socket: nginx's ends have no name.
fn kept() -> usize {
    let sockets = fs::read_to_string("/proc/thread-self/net/unix").unwrap();
    let connected = |it: &&str| it.split_whitespace().nth(5) == Some("03");
    sockets.lines().filter(connected).filter(|it| it.ends_with("/run/server.sock")).count()
}

#[test]
fn connections_to_the_server_are_kept_and_no_read_fails_when_it_crashes() {
    behind_nginx(&[], |chain| {
        chain.wait_until_ready();
        chain.put("public/a.txt", b"hello");
        // supervisord gives up a program that ends four times within a second of its start.
        for round in 0..3 {
            for _ in 0..20 {
                let answer = chain.get("/files/public/a.txt", &[]);
                assert_eq!((answer.status, answer.text().as_str()), (200, "hello"), "{round}");
            }
            let open = kept();
            assert!((1..=33).contains(&open), "{open} connections are kept in round {round}");
            let before = chain.process("sounding-server");
            signal(before, Signal::KILL);
        }
        // What passes through once goes over a connection that can't be stale.
        assert_eq!(chain.upload("/files/up/1.txt", b"hello", &[]).status, 201);
    });
}

#[test]
fn an_nginx_that_is_killed_comes_back() {
    behind_nginx(&[], |chain| {
        chain.wait_until_ready();
        chain.put("public/a.txt", b"hello");
        for _ in 0..3 {
            let (before, worker) = (chain.process("nginx"), chain.worker());
            signal(before, Signal::KILL);
            wait_for("another nginx", || (chain.process("nginx") != before).then_some(()));
            wait_for("the end of the worker before", || {
                (!Path::new(&format!("/proc/{worker}")).exists()).then_some(())
            });
            chain.wait_until_ready();
            assert_eq!(chain.get("/files/public/a.txt", &[]).text(), "hello");
        }
    });
}

#[test]
fn an_nginx_that_gets_no_port_ends_the_container_with_1() {
    behind_nginx(&[], |chain| {
        // Before nginx has it, or in its place.
        let _taken = wait_for("the port", || {
            let taken = TcpListener::bind("0.0.0.0:8080").ok();
            if taken.is_none() {
                let (nginx, worker) = (chain.process("nginx"), chain.worker());
                signal(nginx, Signal::KILL);
                signal(worker, Signal::KILL);
            }
            taken
        });
        assert_eq!(chain.ended(), Some(1));
        assert!(chain.log().contains("Address already in use"), "{}", chain.log());
    });
}

#[test]
fn the_port_is_there_by_both_protocols_and_outlives_the_server() {
    in_chain(&[], |chain| {
        chain.wait_until_ready();
        assert!(!chain.log().contains("nginx"), "{}", chain.log());
        let mut both = ["127.0.0.1:8080", "[::1]:8080"].map(Connection::to);
        for connection in &mut both {
            connection.send("GET", "/openapi.json", &[]);
            assert_eq!(connection.receive("GET").status, 200);
        }
        assert_eq!(chain.upload("/files/a.txt", b"hello", &[]).status, 201);
        let before = chain.process("sounding-server");
        signal(before, Signal::KILL);
        for address in ["127.0.0.1:8080", "[::1]:8080"] {
            let mut connection = Connection::to(address);
            connection.send("GET", "/files/a.txt", &[("Authorization", KEY)]);
            assert_eq!(connection.receive("GET").text(), "hello");
        }
        assert_ne!(chain.process("sounding-server"), before);
        drop(both);
        chain.stop();
        assert_eq!(chain.ended(), Some(0));
    });
}

#[test]
fn another_front_than_there_is_ends_the_container_with_1() {
    behind_nginx(&["SOUNDING_FRONT=apache"], |chain| {
        assert_eq!(chain.ended(), Some(1));
        assert!(chain.log().contains("SOUNDING_FRONT is `nginx`, or `direct`"), "{}", chain.log());
    });
}
