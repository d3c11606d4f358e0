//! Clients that people really use, each as a program of its own: curl, `DuckDB`, Chromium, a client made of `/openapi.json`, and those
//! that read listings. `.ci/setup.sh` installs them; where one is missing its test fails and says so.

mod trees;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::SystemTime;

use tempfile::TempDir;

use crate::process::Program;
use crate::support::{KEY, TestServer, pattern, write};

/// What `.ci/setup.sh` installs beside the build.
pub const INSTALLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/clients");
/// The scripts in other languages.
pub const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");
/// The browser.
pub const CHROMIUM: &str = "/usr/bin/chromium";
/// Seconds after which a client is ended, and its test fails.
const PATIENCE: &str = "60";
/// The same for the browser, which has a long script to follow.
const BROWSERS_PATIENCE: &str = "480";

/// A client's command, which is ended with all its children when it takes too long.
pub struct Client {
    command: Command,
    name: String,
}

impl Client {
    fn new(program: &str) -> Client {
        Client::with_patience(program, PATIENCE)
    }

    fn with_patience(program: &str, seconds: &str) -> Client {
        let is_there = if program.contains('/') {
            Path::new(program).exists()
        } else {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).any(|it| it.join(program).exists())
        };
        assert!(is_there, "`{program}` is not installed: run .ci/setup.sh");
        let mut command = Command::new("timeout");
        command.args(["--kill-after=10", seconds, program]).stdin(Stdio::null());
        for proxy in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
            command.env_remove(proxy);
        }
        Client { command, name: program.to_owned() }
    }

    /// A script for Node, which finds its packages in `INSTALLED`.
    pub fn node(script: &str, seconds: &str) -> Client {
        Client::node_program(&format!("{SCRIPTS}/{script}"), seconds)
    }

    /// A program for Node that lies elsewhere.
    pub fn node_program(path: &str, seconds: &str) -> Client {
        let mut client = Client::with_patience("node", seconds);
        client.command.arg(path);
        client
    }

    pub fn python(script: &str, seconds: &str) -> Client {
        let python = format!("{INSTALLED}/venv/bin/python");
        let mut client = Client::with_patience(&python, seconds);
        client.command.arg(format!("{SCRIPTS}/{script}"));
        client
    }

    pub fn args<S: AsRef<std::ffi::OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Client {
        self.command.args(args);
        self
    }

    fn folder(mut self, folder: &Path) -> Client {
        self.command.current_dir(folder);
        self
    }

    /// Runs it to its end, whatever that is.
    fn outcome(&mut self) -> Output {
        let output = self.command.output().unwrap();
        assert!(
            !matches!(output.status.code(), Some(124 | 137)),
            "{} took too long: {}",
            self.name,
            said(&output)
        );
        output
    }

    /// Runs it; it must succeed. What it wrote to its standard output.
    pub fn run(mut self) -> Vec<u8> {
        let output = self.outcome();
        assert!(output.status.success(), "{:?}: {}", self.command, said(&output));
        output.stdout
    }

    pub fn text(self) -> String {
        String::from_utf8(self.run()).unwrap()
    }
}

fn said(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn curl(server: &TestServer, target: &str, args: &[&str]) -> Client {
    let url = format!("http://{}{target}", server.address);
    Client::new("curl").args(["-sS", "--max-time", "30"]).args(args).args([url])
}

/// With the key in a header, as the web app sends it.
fn curl_with_key(server: &TestServer, target: &str, args: &[&str]) -> Client {
    curl(server, target, args).args(["-H", &format!("Authorization: {KEY}")])
}

/// A table of text, which shrinks well; no two lines are alike.
fn table(len: usize) -> Vec<u8> {
    let mut text = b"a,b,c\n".to_vec();
    for it in 0u64.. {
        let row = format!("{it},{},line {it}\n", it.wrapping_mul(2_654_435_761) % 1000);
        if text.len() + row.len() > len {
            break;
        }
        text.extend(row.as_bytes());
    }
    text
}

#[test]
fn curl_gets_ranges_and_resumes() {
    let server = TestServer::start();
    let content = pattern(100_000);
    server.put("run/noise.bin", &content);
    let get = |args: &[&str]| curl_with_key(&server, "/files/run/noise.bin", args).run();
    assert_eq!(get(&["-r", "0-99"]), content[..100]);
    assert_eq!(get(&["-r", "-100"]), content[99_900..]);
    assert_eq!(get(&["-r", "50000-"]), content[50_000..]);
    // Two parts in one answer.
    let folder = tempfile::tempdir().unwrap();
    let head = folder.path().join("head");
    let body = get(&["-r", "0-1,5-6", "-D", head.to_str().unwrap()]);
    let head = fs::read_to_string(head).unwrap().to_ascii_lowercase();
    let boundary = head.split_once("boundary=").expect("a boundary").1.lines().next().unwrap();
    let boundary = format!("--{boundary}");
    assert!(head.starts_with("http/1.1 206"), "{head}");
    let part = |range: &str, bytes: &[u8]| {
        let mut part = format!(
            "{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes {range}/100000\r\n\r\n"
        )
        .into_bytes();
        part.extend(bytes);
        part.extend(b"\r\n");
        part
    };
    let end = format!("{boundary}--\r\n").into_bytes();
    let expected = [part("0-1", &content[..2]), part("5-6", &content[5..7]), end].concat();
    assert_eq!(String::from_utf8_lossy(&body), String::from_utf8_lossy(&expected));
    // The second half of a file whose first half is here.
    let half = folder.path().join("half");
    fs::write(&half, &content[..50_000]).unwrap();
    let resume = ["-C", "-", "-w", "%{http_code} %{size_download}", "-o", half.to_str().unwrap()];
    assert_eq!(get(&resume), b"206 50000");
    assert_eq!(fs::read(&half).unwrap(), content);
    // A file that is here as a whole already: curl takes this 416 for success.
    let again = get(&resume);
    assert!(again.starts_with(b"416 "), "{}", String::from_utf8_lossy(&again));
    assert_eq!(fs::read(&half).unwrap(), content);
}

#[test]
fn curl_asks_for_what_changed_only() {
    let server = TestServer::start();
    let content = table(100_000);
    server.put("run/table.csv", &content);
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    let tag = folder.path().join("tag");
    let (copy, tag) = (copy.to_str().unwrap(), tag.to_str().unwrap());
    let code = |args: &[&str]| {
        let code = ["-w", "%{http_code}", "-o", copy];
        curl_with_key(&server, "/files/run/table.csv", &[&code, args].concat()).text()
    };
    // By the date of the copy, which curl sets to the file's.
    assert_eq!(code(&["-R"]), "200");
    assert_eq!(code(&["-z", copy]), "304");
    assert_eq!(fs::read(copy).unwrap(), content, "a 304 leaves the copy as it is");
    assert_eq!(code(&["-z", "Fri, 01 Jan 2100 00:00:00 GMT"]), "304");
    assert_eq!(code(&["-z", "Mon, 01 Jan 2001 00:00:00 GMT"]), "200");
    // By the tag, plain and coded.
    for coding in [&["-R"][..], &["-R", "--compressed"]] {
        assert_eq!(code(&[coding, &["--etag-save", tag]].concat()), "200");
        assert_eq!(fs::read(copy).unwrap(), content);
        assert_eq!(code(&[coding, &["--etag-compare", tag]].concat()), "304", "{coding:?}");
    }
    // The same length and the same date, but another file.
    let other: Vec<u8> = content.iter().rev().copied().collect();
    let modified = fs::metadata(server.path("run/table.csv")).unwrap().modified().unwrap();
    write(&server.path("run/table.csv"), &other);
    let file = fs::File::options().write(true).open(server.path("run/table.csv")).unwrap();
    file.set_modified(modified).unwrap();
    assert_eq!(code(&["--compressed", "--etag-compare", tag]), "200");
    assert_eq!(fs::read(copy).unwrap(), other);
}

#[test]
fn curl_gets_text_compressed_on_the_way() {
    let server = TestServer::start();
    let content = table(100_000);
    server.put("run/table.csv", &content);
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    let copy = copy.to_str().unwrap();
    let format = "%{size_download} %header{content-encoding}";
    let get = |args: &[&str]| {
        let fixed = ["-w", format, "-o", copy];
        curl_with_key(&server, "/files/run/table.csv", &[&fixed, args].concat()).text()
    };
    let said = get(&["--compressed"]);
    let (size, coding) = said.split_once(' ').unwrap();
    assert!(["gzip", "br", "zstd"].contains(&coding), "{said}");
    assert!(size.parse::<usize>().unwrap() < content.len() / 2, "{said}");
    assert_eq!(fs::read(copy).unwrap(), content);
    // A part is never coded.
    assert_eq!(get(&["--compressed", "-r", "5-99"]), "95 ");
    assert_eq!(fs::read(copy).unwrap(), content[5..100]);
}

#[test]
fn curl_shows_its_key_in_every_way() {
    let server = TestServer::start();
    server.put("run/a b.txt", b"hello");
    let get = |target: &str, args: &[&str]| {
        let code = ["-w", " %{http_code}"];
        curl(&server, target, &[&code, args].concat()).text()
    };
    let file = "/files/run/a%20b.txt";
    assert_eq!(get(file, &["-u", &format!(":{KEY}")]), "hello 200");
    assert_eq!(get(file, &["-u", &format!("anyone:{KEY}")]), "hello 200");
    assert_eq!(get(file, &["-H", &format!("Authorization: Bearer {KEY}")]), "hello 200");
    assert_eq!(get(file, &["--oauth2-bearer", KEY]), "hello 200");
    assert_eq!(get(file, &["-H", &format!("Authorization: {KEY}")]), "hello 200");
    assert_eq!(get(&format!("/share/{KEY}/run/a%20b.txt"), &[]), "hello 200");
    // `--anyauth` first asks without a key, and looks at what `WWW-Authenticate` offers.
    assert_eq!(get(file, &["--anyauth", "-o", "/dev/null", "-u", &format!(":{KEY}")]), " 200");
    assert!(get(file, &[]).ends_with(" 401"));
    assert!(get(file, &["-u", ":wrong"]).ends_with(" 401"));
    // A folder without its slash, and a download under its own name.
    let listing = get("/files/run", &["-L", "-H", &format!("Authorization: {KEY}")]);
    assert!(listing.contains("<td><a href=\"a%20b.txt\">"), "{listing}");
    let folder = tempfile::tempdir().unwrap();
    let download = format!("/share/{KEY}/run/a%20b.txt?download");
    curl(&server, &download, &["-OJ"]).folder(folder.path()).run();
    assert_eq!(fs::read(folder.path().join("a b.txt")).unwrap(), b"hello");
}

/// A volume with tables for `DuckDB`. The large one is made once and kept.
fn volume_of_tables() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join(".sounding/auth-keys.csv"), format!("kmt,{KEY}\n").as_bytes());
    let kept = PathBuf::from(INSTALLED).join("random.parquet");
    if !kept.exists() {
        Client::python("duckdb_client.py", PATIENCE)
            .args(["make".as_ref(), kept.as_os_str()])
            .run();
    }
    let run = folder.path().join("run");
    fs::create_dir(&run).unwrap();
    let large = run.join("random.parquet");
    fs::hard_link(&kept, &large).or_else(|_| fs::copy(&kept, &large).map(drop)).unwrap();
    write(&run.join("table.csv"), &table(2_000_000));
    Client::new("gzip").args(["-k".as_ref(), run.join("table.csv").as_os_str()]).run();
    folder
}

/// Sum of the bytes of bodies, and the number of requests, by the server's own log.
fn sent(log: &str) -> (u64, usize) {
    let bytes: Vec<u64> = log
        .lines()
        .filter(|it| it.contains(" access: "))
        .map(|it| {
            let rest = it.split_once(" bytes=").unwrap_or_else(|| panic!("no bytes in {it}")).1;
            rest.split(' ').next().unwrap().parse().unwrap()
        })
        .collect();
    (bytes.iter().sum(), bytes.len())
}

#[test]
fn duckdb_reads_one_column_of_a_large_file_by_ranges() {
    let folder = volume_of_tables();
    let run = folder.path().join("run");
    let len = fs::metadata(run.join("random.parquet")).unwrap().len();
    assert!(len > 90_000_000, "{len}");
    for key in [Some(KEY), None] {
        for job in ["column", "tables"] {
            let program = Program::start(folder.path(), &[]);
            let base = match key {
                Some(_) => format!("{}/files/run", program.address),
                None => format!("{}/share/{KEY}/run", program.address),
            };
            let said = Client::python("duckdb_client.py", PATIENCE)
                .args([job, &base])
                .args(key)
                .args([&run])
                .text();
            let (status, _, log) = program.end();
            assert!(status.success(), "{log}");
            let (bytes, requests) = sent(&log);
            println!("{job}: {bytes} bytes in {requests} requests; {said}");
            if job == "column" {
                assert!(bytes < len / 5, "{bytes} of {len} bytes in {requests} requests: {log}");
            }
        }
    }
}

#[test]
fn a_client_made_of_the_description_can_do_all_of_it() {
    let server = TestServer::start();
    let folder = tempfile::tempdir().unwrap();
    let base = format!("http://{}", server.address);
    let said = Client::python("generated_client.py", PATIENCE)
        .args([base.as_ref(), KEY.as_ref(), folder.path().as_os_str()])
        .text();
    assert!(said.contains(" operations"), "{said}");
}

fn browser(chapter: &str) {
    let server = TestServer::start();
    assert!(
        Path::new(INSTALLED).join("node_modules").exists(),
        "no playwright-core: run .ci/setup.sh"
    );
    assert!(Path::new(CHROMIUM).exists(), "`{CHROMIUM}` is not installed: run .ci/setup.sh");
    let base = format!("http://{}", server.address);
    let folder = server.folder.path().to_str().unwrap();
    let began = SystemTime::now();
    let said = Client::node("browser.mjs", BROWSERS_PATIENCE)
        .args([INSTALLED, CHROMIUM, &base, KEY, folder, chapter])
        .text();
    println!("{said}{chapter}: {:?}", began.elapsed().unwrap());
    assert!(said.contains(&format!("{chapter}: done")), "{said}");
}

#[test]
fn a_browser_on_another_origin_reads_files_and_listings() {
    browser("origins");
}

#[test]
fn duckdb_in_a_browser_reads_by_every_address_that_simwrapper_makes() {
    browser("duckdb");
}

#[test]
fn a_browsers_cache_never_mixes_versions() {
    browser("cache");
}

#[test]
fn a_browser_runs_no_script_of_an_uploaded_file() {
    browser("scripts");
}

#[test]
fn a_browsers_login_opens_a_folder_to_its_own_pages_and_to_no_other_site() {
    browser("login");
}

#[test]
fn a_browser_shows_a_listing_that_can_be_filtered_and_sorted() {
    browser("listing");
}

#[test]
fn a_browsers_upload_that_goes_wrong_says_so_and_can_be_tried_again() {
    browser("troubles");
}

#[test]
fn a_browser_uploads_files_and_folders_and_goes_on_after_a_break() {
    browser("uploads");
}
