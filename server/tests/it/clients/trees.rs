//! Programs that read a tree by its HTML listings: rclone, wget, lftp, `SimWrapper`, Python's fsspec, GDAL. All read one tree of hostile
//! names, and must find all of it and nothing else.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{Client, PATIENCE, said, table};
use crate::support::{KEY, TestServer, pattern, write};

/// Names that have broken clients before: each stands for a way to get an address or a page wrong.
const AWKWARD: &[&str] = &[
    "plain.txt",
    "with space.txt",
    " led by a space",
    "ends in a space ",
    " ",
    "K\u{f6}ln.txt",
    "Mu\u{308}nchen.txt",
    "\u{1f68c} bus.txt",
    "\u{202e}txt.exe",
    "a&b&amp;c.txt",
    "&lt;.txt",
    "a#b.txt",
    "%.txt",
    "100%.txt",
    "%2F.txt",
    "%41.txt",
    "a+b.txt",
    "it's.txt",
    "'",
    "say \"hello\".txt",
    "<b>bold.txt",
    "<ul> <table>.txt",
    "<td><a href=\"x\">.txt",
    "<!--",
    "a;b=c,d.txt",
    "12:30.txt",
    "data:text,x",
    "javascript:alert(1)",
    "http.txt",
    "https_log.txt",
    "what?x=1.txt",
    "?C=N;O=D",
    "a*b.txt",
    "[x]{y}.txt",
    "-rf",
    "a..",
    "back\\slash.txt",
    "\\",
    "new\nline.txt",
    "tab\t.txt",
    "~user@host!$^`|.txt",
    "no-extension",
    "index.html",
];

/// Stands for those that are as long as a name may be.
const LONG: &str = "long";

/// A volume with a tree of hostile names at `run/tree`, and the same tree beside it, as a client must find it.
struct Trees {
    server: TestServer,
    expected: TempDir,
}

impl Trees {
    /// The names that one client can't keep are left out, with their folders.
    fn without(left_out: &[&str]) -> Trees {
        let (server, expected) = (TestServer::start(), tempfile::tempdir().unwrap());
        let tree = server.path("run/tree");
        for root in [tree.as_path(), expected.path()] {
            grow(root, left_out);
        }
        // What is not listed: hidden names, and all that is elsewhere.
        for name in ["..a", ".a", "nested/..a", "nested/.hidden/a.txt"] {
            write(&tree.join(name), b"hidden");
        }
        write(&server.path("run/beside.csv"), b"a\n1\n");
        write(&server.path("other/tree/plain.csv"), b"a\n1\n");
        Trees { server, expected }
    }

    fn all() -> Trees {
        Trees::without(&[])
    }

    /// The tree's two addresses, each with the key that goes with it in a header.
    fn addresses(&self) -> [(String, &'static str); 2] {
        let base = format!("http://{}", self.server.address);
        [(format!("{base}/files/run/tree/"), KEY), (format!("{base}/share/{KEY}/run/tree/"), "")]
    }

    /// The copy is the tree, byte for byte, by a program that has nothing to do with ours.
    fn assert_same(&self, copy: &Path) {
        Client::new("diff")
            .args(["-r", "--no-dereference"])
            .args([self.expected.path(), copy])
            .run();
    }
}

/// Folders within folders, with names that are hard on clients.
fn grow(root: &Path, left_out: &[&str]) {
    // As long as a name may be.
    let long = ["n".repeat(255), "\u{fc}".repeat(127)];
    let long = long.iter().map(String::as_str).filter(|_| !left_out.contains(&LONG));
    let names = AWKWARD.iter().copied().filter(|it| !left_out.contains(it)).chain(long);
    for (index, name) in names.enumerate() {
        write(&root.join(name), format!("this is number {index}, {name}\n").as_bytes());
        if name != "plain.txt" {
            write(&root.join(format!("folders/{name}/in it.txt")), name.as_bytes());
        }
    }
    write(&root.join("nested/one two/d\u{fc}rfen (50%)/&/#/table.csv"), &table(100_000));
    write(&root.join("nested/empty.txt"), b"");
    write(&root.join("nested/noise.bin"), &pattern(50_000));
    write(&root.join("nested/table.csv"), &table(3_000));
}

#[test]
fn rclone_copies_a_tree_with_awkward_names() {
    // rclone copies these as well, but compares them by other names than they have on the disk, whichever the server.
    let trees = Trees::without(&["new\nline.txt", "tab\t.txt"]);
    let folder = tempfile::tempdir().unwrap();
    for (index, (address, key)) in trees.addresses().iter().enumerate() {
        let rclone = |args: &[&str]| {
            let mut client = Client::new("rclone").args(args);
            client.command.env("RCLONE_CONFIG", "").env("RCLONE_RETRIES", "1");
            client.command.env("RCLONE_LOW_LEVEL_RETRIES", "1").env("RCLONE_HTTP_URL", address);
            if !key.is_empty() {
                client.command.env("RCLONE_HTTP_HEADERS", format!("Authorization,{key}"));
            }
            client
        };
        let copy = folder.path().join(index.to_string());
        let copy = copy.to_str().unwrap();
        // Both listings are by rclone, so that their order and their encoding are the same.
        let listed = rclone(&["lsf", "-R", ":http:"]).text();
        let there = rclone(&["lsf", "-R", trees.expected.path().to_str().unwrap()]).text();
        let sorted = |text: &str| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&listed), sorted(&there), "{address}");
        rclone(&["copy", ":http:", copy]).run();
        trees.assert_same(Path::new(copy));
        rclone(&["check", ":http:", copy]).run();
        rclone(&["check", "--download", ":http:", copy]).run();
        // A second copy finds nothing to do: sizes and times were kept.
        let again = rclone(&["copy", "-v", ":http:", copy]).outcome();
        assert!(again.status.success() && !said(&again).contains("Copied"), "{}", said(&again));
    }
}

#[test]
fn wget_mirrors_a_tree_and_resumes() {
    // wget fetches these as well, but unescapes a name twice and cuts a long one, whichever the server.
    let trees = Trees::without(&["%41.txt", "%2F.txt", LONG]);
    let server = &trees.server;
    let folder = tempfile::tempdir().unwrap();
    let wget = |args: &[&str]| {
        Client::new("wget")
            .args(["-nv", "--tries=1", "--timeout=20", "--no-config"])
            .args([format!("--header=Authorization: {KEY}")])
            .args(args)
            .folder(folder.path())
    };
    let url = |path: &str| format!("http://{}/files/{path}", server.address);
    wget(&[
        "-r",
        "-np",
        "-nH",
        "--level=inf",
        "--cut-dirs=3",
        // Where it keeps listings: `index.html` is somebody's file.
        "--default-page=.listing",
        "--reject=.listing*",
        "--restrict-file-names=nocontrol",
        "--directory-prefix=mirror",
        &url("run/tree/"),
    ])
    .run();
    trees.assert_same(&folder.path().join("mirror"));
    let content = pattern(100_000);
    server.put("run/noise.bin", &content);
    let half = folder.path().join("noise.bin");
    fs::write(&half, &content[..50_000]).unwrap();
    let output = wget(&["-c", "-S", &url("run/noise.bin")]).outcome();
    assert!(
        output.status.success() && said(&output).contains("206 Partial Content"),
        "{}",
        said(&output)
    );
    assert_eq!(fs::read(&half).unwrap(), content);
}

#[test]
fn lftp_mirrors_a_tree() {
    // lftp lists this one, but takes it for somebody's home and skips it, whichever the server.
    let trees = Trees::without(&["~user@host!$^`|.txt"]);
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "set net:max-retries 1; set net:timeout 10; set cmd:fail-exit yes; \
         open -u anyone,{KEY} http://{}/files/run/tree/; mirror --parallel=2 . mirror",
        trees.server.address
    );
    let mut client = Client::new("lftp").args(["--norc", "-c", &script]).folder(folder.path());
    client.command.env("LC_ALL", "C.UTF-8").env("HOME", folder.path());
    client.run();
    trees.assert_same(&folder.path().join("mirror"));
}

/// Whoever reads the tree by a script of ours, which compares by itself.
fn read_by(trees: &Trees, client: impl Fn() -> Client) {
    for (address, key) in trees.addresses() {
        let expected = trees.expected.path().as_os_str();
        client().args([address.as_ref(), key.as_ref(), expected]).run();
    }
}

#[test]
fn simwrapper_reads_a_tree() {
    let trees = Trees::all();
    fs::create_dir(trees.server.path("run/tree/empty")).unwrap();
    fs::create_dir(trees.expected.path().join("empty")).unwrap();
    read_by(&trees, || Client::node("simwrapper.mjs", PATIENCE));
}

#[test]
fn fsspec_and_gdal_read_a_tree() {
    let trees = Trees::all();
    read_by(&trees, || Client::python("tree.py", PATIENCE));
}
