//! What was found out about a file is kept for a moment, and never answers for another.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use crate::support::{KEY, Site, TestServer, wait_for, write_keys};

const FILE: &str = "/files/run/file.bin";

/// A server that knows its file.
fn server(content: &[u8]) -> TestServer {
    let server = TestServer::start();
    server.put("run/file.bin", content);
    for _ in 0..2 {
        assert_eq!(server.get(FILE, &[]).body, content);
    }
    server
}

fn body(server: &Site) -> (u16, Vec<u8>) {
    let response = server.get(FILE, &[]);
    (response.status, response.body)
}

#[test]
fn a_change_counts_at_once_whichever_way_it_is_made() {
    // Kept with its content, and without.
    for len in [100, 100_000] {
        let server = server(&vec![b'a'; len]);
        let path = server.path("run/file.bin");
        let etag = server.get(FILE, &[]).etag();
        let unchanged = |server: &Site| server.get(FILE, &[("If-None-Match", &etag)]).status;
        assert_eq!(unchanged(&server), 304);

        // In place, of the same length and with its old date.
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, vec![b'b'; len]).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        assert_eq!(unchanged(&server), 200, "{len}");
        assert_eq!(body(&server), (200, vec![b'b'; len]));

        // By another in its place.
        assert_eq!(body(&server), (200, vec![b'b'; len]));
        server.put("run/other.bin", &vec![b'c'; len]);
        fs::rename(server.path("run/other.bin"), &path).unwrap();
        assert_eq!(body(&server), (200, vec![b'c'; len]));

        // Longer, shorter, gone.
        for other in [len * 2, len / 2] {
            fs::write(&path, vec![b'd'; other]).unwrap();
            assert_eq!(body(&server), (200, vec![b'd'; other]));
            assert_eq!(body(&server).1.len(), other);
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(body(&server).0, 404);

        // Something else of its name.
        server.put("run/file.bin", b"again");
        assert_eq!(body(&server), (200, b"again".to_vec()));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(body(&server).0, 307);
        fs::remove_dir(&path).unwrap();
        server.put("elsewhere.bin", b"elsewhere");
        symlink("../elsewhere.bin", &path).unwrap();
        assert_eq!(body(&server), (200, b"elsewhere".to_vec()));
        fs::remove_file(&path).unwrap();
        symlink("/etc/passwd", &path).unwrap();
        assert_eq!(body(&server).0, 404);
    }
}

#[test]
fn a_key_is_asked_for_each_time() {
    let server = server(b"content");
    assert_eq!(server.request("GET", FILE, &[]).status, 401);
    assert_eq!(server.request("GET", FILE, &[("Authorization", "kmt-other")]).status, 401);
    assert_eq!(body(&server).0, 200);
    fs::write(server.path(".sounding/auth-keys.csv"), "zoe,zoe-1\n").unwrap();
    let refused = wait_for("the old key's end", || {
        let response = server.get(FILE, &[]);
        (response.status == 401).then_some(response)
    });
    assert_eq!(refused.json()["type"], "urn:sounding:problem:unknown-key");
    write_keys(server.path("").as_path());
    wait_for("the key", || (server.get(FILE, &[]).status == 200).then_some(()));
}

#[test]
fn a_folder_that_leads_out_is_seen_to_within_a_moment() {
    let server = server(b"content");
    let outside = tempfile::tempdir_in(server.path("").parent().unwrap()).unwrap();
    // The very same file, but not on the volume any more.
    fs::rename(server.path("run"), outside.path().join("run")).unwrap();
    symlink(outside.path().join("run"), server.path("run")).unwrap();
    let began = SystemTime::now();
    wait_for("the way out to be shut", || (body(&server).0 == 404).then_some(()));
    assert!(began.elapsed().unwrap() < Duration::from_secs(30));
    assert_eq!(body(&server).0, 404);
}

#[test]
fn what_was_in_a_deleted_folder_is_gone_at_once() {
    for len in [100, 100_000] {
        let server = server(&vec![b'a'; len]);
        let deleted = server.request("DELETE", "/files/run/", &[("Authorization", KEY)]);
        assert_eq!(deleted.status, 204);
        assert_eq!(body(&server).0, 404, "{len}");
    }
}

#[test]
fn what_was_in_a_folder_that_has_left_its_place_is_soon_gone() {
    let server = server(b"content");
    fs::rename(server.path("run"), server.path("elsewhere")).unwrap();
    wait_for("the file's end", || (body(&server).0 == 404).then_some(()));
    assert_eq!(server.get("/files/elsewhere/file.bin", &[]).body, b"content");
}

#[test]
fn parts_and_heads_come_from_what_is_kept() {
    let server = server(b"0123456789");
    let part = server.get(FILE, &[("Range", "bytes=2-4")]);
    assert_eq!((part.status, part.body.as_slice()), (206, b"234".as_slice()));
    assert_eq!(part.field("content-range").as_deref(), Some("bytes 2-4/10"));
    assert_eq!(part.field("content-length").as_deref(), Some("3"));
    let several = server.get(FILE, &[("Range", "bytes=0-1,8-9")]);
    assert_eq!(several.status, 206);
    assert!(several.text().contains("bytes 8-9/10"), "{}", several.text());
    let head = server.request("HEAD", FILE, &[("Authorization", KEY)]);
    assert_eq!((head.status, head.field("content-length").as_deref()), (200, Some("10")));
    assert!(head.body.is_empty());
    let whole = server.get(FILE, &[]);
    for name in ["etag", "last-modified", "content-type", "accept-ranges", "cache-control"] {
        assert_eq!(head.field(name), whole.field(name), "{name}");
    }
    assert_eq!(server.get(FILE, &[("If-Match", "\"other\"")]).status, 412);
    let download = server.get(&format!("{FILE}?download"), &[]);
    assert!(download.field("content-disposition").is_some());
}
