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
    _folder: TempDir,
    program: Program,
    volume: PathBuf,
}

impl Small {
    fn new() -> Small {
        let folder = tempfile::tempdir().unwrap();
        let keys = format!("kmt,{KEY},write");
        let script = "mount -t tmpfs -o size=64m,mode=755 tmpfs \"$1\" && mkdir -m 700 \"$1/.sounding\" && \
                      echo \"$2\" > \"$1/.sounding/auth-keys.csv\" && exec \"$3\" --volume \"$1\" --listen 127.0.0.1:0";
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
        command.arg(folder.path()).arg(keys).arg(env!("CARGO_BIN_EXE_sounding-server"));
        let program = Program::run(command);
        let volume = format!("/proc/{}/root{}", program.id(), folder.path().display());
        Small { _folder: folder, program, volume: volume.into() }
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
