//! A small volume that fills up: during PUT, during tus, and by a copy that the service knows nothing of.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use crate::process::Program;
use crate::support::{Connection, KEY, Response, wait_for};
use crate::uploads::problem;

const MEGABYTE: usize = 1 << 20;

/// A server whose volume is a file system of 64 MiB in memory, in a namespace of its own.
struct Small {
    folder: TempDir,
    program: Program,
    volume: PathBuf,
}

impl Small {
    fn new() -> Small {
        Small::with("size=64m")
    }

    fn with(options: &str) -> Small {
        let folder = tempfile::tempdir().unwrap();
        let keys = format!("kmt,{KEY},write");
        let script = "mount -t tmpfs -o \"$4\",mode=755 tmpfs \"$1\" && mkdir -m 700 \"$1/.sounding\" && \
                      echo \"$2\" > \"$1/.sounding/auth-keys.csv\" && exec \"$3\" --volume \"$1\" --listen 127.0.0.1:0";
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
        command
            .arg(folder.path())
            .arg(keys)
            .arg(env!("CARGO_BIN_EXE_sounding-server"))
            .arg(options);
        let program = Program::run(command);
        let volume = format!("/proc/{}/root{}", program.id(), folder.path().display());
        Small { folder, program, volume: volume.into() }
    }

    fn request(
        &self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let mut connection = Connection::to(&self.program.address);
        let mut fields = fields.to_vec();
        fields.push(("Authorization", KEY));
        connection.send_body(method, target, body, &fields);
        connection.receive(method)
    }

    fn put(&self, target: &str, body: &[u8]) -> Response {
        self.request("PUT", target, &[], body)
    }

    /// Puts files of 12 MB into the trash, the first deleted first.
    fn fill_trash(&self, paths: &[&str]) {
        for path in paths {
            assert_eq!(self.put(&format!("/files/{path}"), &vec![b't'; 12 * MEGABYTE]).status, 201);
            assert_eq!(self.request("DELETE", &format!("/files/{path}"), &[], b"").status, 204);
            // The record tells the second, and this is done within one.
            let name = path.rsplit('/').next().unwrap();
            let record = self.volume.join(format!(".sounding/trash/info/{name}.trashinfo"));
            let text = fs::read_to_string(&record).unwrap();
            let date = text.find("DeletionDate=2").unwrap() + "DeletionDate=".len();
            let before = ["2020", "2021", "2022"][self.trashed().len() - 1];
            fs::write(&record, [&text[..date], before, &text[date + 4..]].concat()).unwrap();
        }
    }

    fn trashed(&self) -> Vec<String> {
        let entries = fs::read_dir(self.volume.join(".sounding/trash/files")).unwrap();
        let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    /// Announces a PUT of so many bytes, and sends none: the status.
    fn announce(&self, target: &str, bytes: u64) -> u16 {
        let mut connection = Connection::to(&self.program.address);
        let bytes = bytes.to_string();
        let fields =
            [("Authorization", KEY), ("Content-Length", &*bytes), ("Expect", "100-continue")];
        connection.send("PUT", target, &fields);
        connection.receive_head().status
    }

    fn begin_upload(&self, name: &str, length: u64) -> Response {
        let metadata = format!("filename {}", STANDARD.encode(name));
        let length = length.to_string();
        let fields = [
            ("Tus-Resumable", "1.0.0"),
            ("Upload-Length", &*length),
            ("Upload-Metadata", &metadata),
        ];
        self.request("POST", "/uploads?into=run", &fields, b"")
    }

    fn staged(&self) -> usize {
        fs::read_dir(self.volume.join(".sounding/staging")).map_or(0, Iterator::count)
    }

    fn is_whole(&self, path: &str, content: &[u8]) -> bool {
        self.request("GET", &format!("/files/{path}"), &[], b"").body == content
    }
}

fn no_room(response: &Response) {
    assert_eq!((response.status, problem(response).as_str()), (507, "no-room"));
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_lost_or_left() {
    let small = Small::new();
    let old = vec![b'o'; MEGABYTE];
    assert_eq!(small.put("/files/run/old.bin", &old).status, 201);
    // Announced: refused before the first byte.
    let mut connection = Connection::to(&small.program.address);
    let announced =
        [("Authorization", KEY), ("Content-Length", "104857600"), ("Expect", "100-continue")];
    connection.send("PUT", "/files/run/old.bin", &announced);
    no_room(&connection.receive("PUT"));
    // Not announced: refused where it is full.
    let mut connection = Connection::to(&small.program.address);
    let chunked = [("Authorization", KEY), ("Transfer-Encoding", "chunked")];
    connection.send("PUT", "/files/run/old.bin", &chunked);
    let chunk = [format!("{MEGABYTE:x}\r\n").as_bytes(), &vec![b'n'; MEGABYTE], b"\r\n"].concat();
    for _ in 0..80 {
        if connection.stream.get_mut().write_all(&chunk).is_err() {
            break;
        }
    }
    connection.stream.get_mut().write_all(b"0\r\n\r\n").unwrap_or_default();
    no_room(&connection.receive("PUT"));
    wait_for("empty staging", || (small.staged() == 0).then_some(()));
    let metadata = format!("filename {}", STANDARD.encode("big.bin"));
    let begin = |length: &str| {
        let fields =
            [("Tus-Resumable", "1.0.0"), ("Upload-Length", length), ("Upload-Metadata", &metadata)];
        small.request("POST", "/uploads?into=run", &fields, b"")
    };
    no_room(&begin("104857600"));
    assert_eq!(small.staged(), 0);
    assert!(small.is_whole("run/old.bin", &old));
    assert_eq!(fs::read_dir(small.volume.join("run")).unwrap().count(), 1);
    assert_eq!(small.request("GET", "/health", &[], b"").json()["status"], "ok");
}

#[test]
fn a_copy_that_fills_the_disk_harms_nobody_else() {
    let small = Small::new();
    let old = vec![b'o'; MEGABYTE];
    assert_eq!(small.put("/files/run/old.bin", &old).status, 201);
    let cursor = |it: &Response| it.json()["cursor"].as_str().unwrap().to_owned();
    let begin = cursor(&small.request("GET", "/changes", &[], b""));
    // Room for this one is its own from now on.
    let content = vec![b't'; 20 * MEGABYTE];
    let metadata = format!("filename {}", STANDARD.encode("big.bin"));
    let length = content.len().to_string();
    let fields =
        [("Tus-Resumable", "1.0.0"), ("Upload-Length", &*length), ("Upload-Metadata", &metadata)];
    let upload = small.request("POST", "/uploads?into=run", &fields, b"");
    assert_eq!(upload.status, 201);
    let address = upload.field("location").unwrap().replacen("./", "/", 1);
    let mut filler = fs::File::create(small.volume.join("run/copy.bin")).unwrap();
    while filler.write_all(&vec![b'f'; MEGABYTE / 4]).is_ok() {}
    drop(filler);
    no_room(&small.put("/files/run/new.bin", &vec![b'n'; 4 * MEGABYTE]));
    no_room(&small.put("/files/run/old.bin", &vec![b'n'; 4 * MEGABYTE]));
    assert_eq!(small.request("GET", "/health", &[], b"").status, 200);
    assert!(small.is_whole("run/old.bin", &old));
    let patch = [
        ("Tus-Resumable", "1.0.0"),
        ("Upload-Offset", "0"),
        ("Content-Type", "application/offset+octet-stream"),
    ];
    let came = small.request("PATCH", &address, &patch, &content);
    // Its bytes have their room; its record may have to wait for some.
    assert!(matches!(came.status, 204 | 507), "{}", came.text());
    // Deleting makes room: what lies in the trash goes when it is needed.
    assert_eq!(small.request("DELETE", "/files/run/copy.bin", &[], b"").status, 204);
    let new = vec![b'n'; 8 * MEGABYTE];
    assert_eq!(small.put("/files/run/new.bin", &new).status, 201);
    assert!(small.is_whole("run/new.bin", &new) && small.is_whole("run/old.bin", &old));
    let look = [("Tus-Resumable", "1.0.0")];
    let offset = small.request("HEAD", &address, &look, b"").field("upload-offset");
    assert_eq!(offset, Some(length));
    assert!(small.is_whole("run/big.bin", &content));
    wait_for("empty staging", || (small.staged() == 0).then_some(()));
    // The feed, which could not be written meanwhile, catches up.
    let (mut cursor_now, mut told, deadline) =
        (begin, Vec::new(), Instant::now() + Duration::from_mins(1));
    while !["run/new.bin", "run/big.bin"].iter().all(|it| told.contains(&(*it).to_owned())) {
        assert!(Instant::now() < deadline, "{told:?}");
        let target = format!("/changes?wait=5&since={cursor_now}");
        let answer = small.request("GET", &target, &[], b"");
        assert_eq!(answer.json()["fresh"], false);
        cursor_now = cursor(&answer);
        for change in answer.json()["changes"].as_array().unwrap() {
            told.push(change["path"].as_str().unwrap().to_owned());
        }
    }
}

#[test]
fn what_is_refused_for_want_of_room_removes_nothing_from_the_trash() {
    let small = Small::new();
    let all = ["a.bin", "b.bin", "c.bin"];
    small.fill_trash(&["zurich/a.bin", "berlin/b.bin", "c.bin"]);
    assert_eq!(small.trashed(), all);
    // More than there could ever be, and more than all of the trash would give.
    for bytes in [9_000_000_000_000_000_000, 63 << 20] {
        no_room(&small.begin_upload("big.bin", bytes));
        assert_eq!(small.announce("/files/run/big.bin", bytes), 507);
        assert_eq!(small.trashed(), all, "{bytes}");
    }
    // What does not say how much it will be gets what is free.
    let mut connection = Connection::to(&small.program.address);
    let chunked = [("Authorization", KEY), ("Transfer-Encoding", "chunked")];
    connection.send("PUT", "/files/run/big.bin", &chunked);
    let chunk = [format!("{MEGABYTE:x}\r\n").as_bytes(), &vec![b'n'; MEGABYTE], b"\r\n"].concat();
    for _ in 0..60 {
        if connection.stream.get_mut().write_all(&chunk).is_err() {
            break;
        }
    }
    connection.stream.get_mut().write_all(b"0\r\n\r\n").unwrap_or_default();
    no_room(&connection.receive("PUT"));
    assert_eq!(small.trashed(), all);
}

#[test]
fn where_the_trash_suffices_no_more_of_it_goes_than_is_needed() {
    let small = Small::new();
    small.fill_trash(&["a.bin", "b.bin", "c.bin"]);
    assert_eq!(small.put("/files/run/new.bin", &vec![b'n'; 30 * MEGABYTE]).status, 201);
    assert_eq!(small.trashed(), ["b.bin", "c.bin"]);
    let upload = small.begin_upload("more.bin", 20 << 20);
    assert_eq!(upload.status, 201);
    assert_eq!(small.trashed(), [""; 0]);
}

#[test]
fn what_is_still_read_is_not_removed_for_room_that_it_would_not_give() {
    let small = Small::new();
    let file = vec![b'o'; 40 * MEGABYTE];
    assert_eq!(small.put("/files/run/read.bin", &file).status, 201);
    small.request("GET", "/files/run/read.bin", &[], b"");
    let mut reader = Connection::to(&small.program.address);
    reader.send("GET", "/files/run/read.bin", &[("Authorization", KEY)]);
    assert_eq!(reader.receive_head().status, 200);
    assert_eq!(small.request("DELETE", "/files/run/read.bin", &[], b"").status, 204);
    // The download goes on.
    no_room(&small.put("/files/run/new.bin", &vec![b'n'; 30 * MEGABYTE]));
    assert_eq!(small.trashed(), ["read.bin"]);
    drop(reader);
    wait_for("the room of what was read", || {
        let put = small.put("/files/run/new.bin", &vec![b'n'; 30 * MEGABYTE]);
        (put.status == 201).then_some(())
    });
    assert_eq!(small.trashed(), [""; 0]);
}

#[test]
fn what_can_not_be_put_anywhere_takes_nothing_from_the_trash() {
    let small = Small::new();
    small.put("/files/run/file", b"a file");
    std::os::unix::fs::symlink("nowhere", small.volume.join("run/dangling")).unwrap();
    std::os::unix::fs::symlink("/usr", small.volume.join("run/outside")).unwrap();
    small.fill_trash(&["run/a.bin", "run/b.bin"]);
    let before = small.trashed();
    for below in ["file/x", "file/x/y", "dangling/x", "dangling/x/y", "outside/x"] {
        let status = small.announce(&format!("/files/run/{below}"), 40 << 20);
        assert!((400..500).contains(&status), "{below}: {status}");
        assert_eq!(small.trashed(), before, "{below}");
        let metadata = format!("filename {}", STANDARD.encode("x.bin"));
        let length = (40 << 20).to_string();
        let fields = [
            ("Tus-Resumable", "1.0.0"),
            ("Upload-Length", &*length),
            ("Upload-Metadata", &metadata),
        ];
        let target = format!("/uploads?into=run/{below}");
        let response = small.request("POST", &target, &fields, b"");
        assert!((400..500).contains(&response.status), "{below}: {}", response.status);
        assert_eq!(small.trashed(), before, "{below}");
    }
    assert_eq!(small.staged(), 0);
}

#[test]
fn what_another_process_holds_is_not_the_end_of_it() {
    let small = Small::new();
    small.fill_trash(&["run/a.bin", "run/b.bin", "run/c.bin"]);
    let held = fs::File::open(small.volume.join(".sounding/trash/files/a.bin")).unwrap();
    // Removing the oldest gives no room back; the next does.
    assert_eq!(small.put("/files/run/new.bin", &vec![b'n'; 30 * MEGABYTE]).status, 201);
    assert_eq!(small.trashed(), ["c.bin"]);
    drop(held);
}

#[test]
fn of_many_that_need_room_at_once_none_is_refused_that_there_is_room_for() {
    let small = Small::new();
    small.fill_trash(&["run/a.bin", "run/b.bin", "run/c.bin"]);
    std::thread::scope(|scope| {
        let puts: Vec<_> = (0..4)
            .map(|number| {
                let small = &small;
                let target = format!("/files/run/{number}.bin");
                scope.spawn(move || small.put(&target, &vec![b'n'; 12 * MEGABYTE]).status)
            })
            .collect();
        let statuses: Vec<u16> = puts.into_iter().map(|it| it.join().unwrap()).collect();
        assert_eq!(statuses, [201; 4]);
    });
}

#[test]
fn what_was_read_a_moment_ago_is_no_hindrance() {
    let small = Small::new();
    assert_eq!(small.put("/files/run/read.bin", &vec![b'o'; 40 * MEGABYTE]).status, 201);
    for _ in 0..2 {
        assert_eq!(small.request("GET", "/files/run/read.bin", &[], b"").status, 200);
    }
    assert_eq!(small.request("DELETE", "/files/run/read.bin", &[], b"").status, 204);
    assert_eq!(small.put("/files/run/new.bin", &vec![b'n'; 30 * MEGABYTE]).status, 201);
}

#[test]
fn where_the_disk_holds_no_more_files_one_can_delete_and_then_upload_again() {
    let small = Small::with("size=64m,nr_inodes=80");
    wait_for("the trash", || small.volume.join(".sounding/trash/info").exists().then_some(()));
    for name in ["a.csv", "b.csv"] {
        assert_eq!(small.put(&format!("/files/run/{name}"), b"old").status, 201);
    }
    wait_for("a warning that is not there", || {
        (small.request("GET", "/health", &[], b"").json()["status"] == "ok").then_some(())
    });
    let filler = |number: usize| small.volume.join(format!("run/{number}"));
    let count = (0..1000).take_while(|it| fs::write(filler(*it), b"").is_ok()).count();
    assert!((10..1000).contains(&count));
    no_room(&small.put("/files/run/new.csv", b"new"));
    assert_eq!(small.put("/files/run/a.csv", b"new").status, 507);
    wait_for("a warning", || {
        // Nobody reads the log, and it is not to stand still for that.
        std::thread::sleep(Duration::from_millis(50));
        let health = small.request("GET", "/health", &[], b"").json();
        health["warnings"].to_string().contains("no inodes are free").then_some(())
    });
    // It goes to the trash, though nothing can be written down of it, and makes room for one that comes.
    assert_eq!(small.request("DELETE", "/files/run/a.csv", &[], b"").status, 204);
    assert_eq!(small.trashed(), ["a.csv"]);
    assert_eq!(small.put("/files/run/b.csv", b"new").status, 204);
    assert_eq!(small.trashed(), [""; 0]);
    assert!(small.is_whole("run/b.csv", b"new"));
}

#[test]
fn a_volume_that_is_unmounted_takes_nothing_more_and_says_so() {
    let small = Small::new();
    assert_eq!(small.put("/files/run/a.csv", b"old").status, 201);
    let upload = small.begin_upload("more.bin", 4);
    let address = upload.field("location").unwrap().replacen("./", "/", 1);
    let mut unmount = Command::new("nsenter");
    let process = small.program.id().to_string();
    unmount.args(["--user", "--mount", "--preserve-credentials", "--target", &process]);
    let status = unmount.args(["umount", "--lazy"]).arg(small.folder.path()).status().unwrap();
    assert!(status.success());
    let lost = |response: &Response| {
        assert_eq!((response.status, problem(response).as_str()), (503, "volume-lost"));
    };
    lost(&small.put("/files/run/new.csv", b"new"));
    lost(&small.put("/files/run/a.csv", b"new"));
    lost(&small.begin_upload("other.bin", 4));
    let patch = [
        ("Tus-Resumable", "1.0.0"),
        ("Upload-Offset", "0"),
        ("Content-Type", "application/offset+octet-stream"),
    ];
    lost(&small.request("PATCH", &address, &patch, b"more"));
    lost(&small.request("DELETE", "/files/run/a.csv", &[], b""));
    // What is open is served.
    assert!(small.is_whole("run/a.csv", b"old"));
    wait_for("a warning", || {
        std::thread::sleep(Duration::from_millis(50));
        let health = small.request("GET", "/health", &[], b"").json();
        health["warnings"].to_string().contains("not in its place").then_some(())
    });
}
