//! Folders against the running server: HTML for people and programs, JSON in pages, huge ones beside other requests.

use std::fs;
use std::time::Instant;

use crate::support::{
    BERLIN_KEY, FOLDER_KEY, HAMBURG_KEY, KEY, Response, TestServer, wait_for, write,
};

fn volume() -> TestServer {
    let server = TestServer::start();
    for path in [
        "run/it.10/x.csv",
        "run/it.2/x.csv",
        "run/B.csv",
        "run/a.csv",
        "run/c10.csv",
        "run/c9.csv",
        "run/.hidden",
    ] {
        server.put(path, path.as_bytes());
    }
    server.put("run/big.bin", &[0; 5000]);
    server
}

fn names(server: &TestServer, target: &str) -> Vec<String> {
    let response = server.get(target, &[]);
    assert_eq!(response.status, 200, "{target}: {}", response.text());
    let entries = response.json();
    entries.as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn json_has_the_promised_fields() {
    let server = volume();
    let response = server.get("/files/run/", &[("Accept", "application/json")]);
    assert_eq!(response.field("content-type").as_deref(), Some("application/json"));
    assert_eq!(response.field("x-total-count").as_deref(), Some("7"));
    assert!(response.field("vary").unwrap().contains("Accept"));
    let entries = response.json();
    let folder = &entries[0];
    assert_eq!(
        (folder["name"].as_str(), folder["type"].as_str()),
        (Some("it.2"), Some("directory"))
    );
    assert!(folder.get("size").is_none() && folder.get("etag").is_none());
    let file = entries.as_array().unwrap().iter().find(|it| it["name"] == "big.bin").unwrap();
    assert_eq!((file["type"].as_str(), file["size"].as_u64()), (Some("file"), Some(5000)));
    let mtime = file["mtime"].as_str().unwrap();
    assert!(mtime.parse::<jiff::Timestamp>().is_ok(), "{mtime}");
    assert_eq!(mtime.len(), "2026-11-24T03:00:00.000Z".len(), "{mtime}");
    assert!(file["etag"].as_str().unwrap().starts_with('"'));
}

#[test]
fn folders_come_first_each_in_natural_order() {
    let server = volume();
    let expected = ["it.2", "it.10", "a.csv", "B.csv", "big.bin", "c9.csv", "c10.csv"];
    assert_eq!(names(&server, "/files/run/?format=json"), expected);
}

#[test]
fn the_client_chooses_between_html_and_json() {
    let server = volume();
    let check = |target: &str, accept: &str, expected: &str| {
        let response = server.get(target, &[("Accept", accept)]);
        let content_type = response.field("content-type").unwrap();
        assert!(content_type.starts_with(expected), "{target} {accept}: {content_type}");
    };
    check("/files/run/", "*/*", "text/html");
    check(
        "/files/run/",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "text/html",
    );
    check("/files/run/", "application/json", "application/json");
    check("/files/run/", "application/json, text/plain, */*", "application/json");
    check("/files/run/", "text/html;q=0.5, application/json", "application/json");
    check("/files/run/", "application/json;q=0.5, text/html", "text/html");
    check("/files/run/", "text/html;q=0", "application/json");
    check("/files/run/", "TEXT/HTML, application/json;q=0.9", "text/html");
    check("/files/run/?format=json", "text/html", "application/json");
    check("/files/run/?format=html", "application/json", "text/html");
}

#[test]
fn the_examples_dashboard_needs_nothing_from_outside_its_run() {
    let run = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/volume/riverton-1pct");
    let dashboard = fs::read_to_string(format!("{run}/dashboard-1.yaml")).unwrap();
    let named = dashboard.lines().filter_map(|it| it.trim().split_once(": "));
    let named = named.filter(|(name, _)| ["file", "dataset"].contains(name)).map(|(_, it)| it);
    let mut files = 0;
    for file in named {
        assert!(!file.contains(".."), "{file} is lost when the run is moved");
        assert!(std::path::Path::new(run).join(file).exists(), "{file} is not there");
        files += 1;
    }
    assert!(files > 5, "{files}");
}

#[test]
fn pages_follow_each_other_without_gap_or_overlap() {
    let server = volume();
    let all = names(&server, "/files/run/?format=json");
    for limit in 1..=8 {
        let mut target = format!("/files/run/?format=json&limit={limit}");
        let mut collected = Vec::new();
        loop {
            let response = server.get(&target, &[]);
            assert_eq!(response.field("x-total-count").as_deref(), Some("7"));
            let entries = response.json();
            let entries = entries.as_array().unwrap();
            assert!(entries.len() <= limit);
            collected.extend(entries.iter().map(|it| it["name"].as_str().unwrap().to_owned()));
            let Some(link) = response.field("link") else { break };
            let next = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
            target = format!("/files/run/{next}");
        }
        assert_eq!(collected, all, "limit {limit}");
    }
    // What comes after does not depend on that name still being there.
    assert_eq!(names(&server, "/files/run/?format=json&after=c1.csv"), ["c9.csv", "c10.csv"]);
    assert_eq!(names(&server, "/files/run/?format=json&after=it.3/")[0], "it.10");
    assert!(names(&server, "/files/run/?format=json&after=zzz").is_empty());
}

#[test]
fn what_cannot_be_understood_is_said() {
    let server = volume();
    for query in
        ["limit=0", "limit=x", "limit=-1", "format=xml", "sort=colour", "sort=size&limit=2"]
    {
        let response = server.get(&format!("/files/run/?{query}"), &[]);
        assert_eq!(response.status, 400, "{query}");
        assert_eq!(response.json()["type"], "urn:sounding:problem:bad-query", "{query}");
    }
    // What is not known is named, also before a redirect; a key's holder on the way down is told the same.
    for (query, name) in [
        ("zip", "zip"),
        ("tar", "tar"),
        ("download", "download"),
        ("recursive=1&format=json", "recursive"),
        ("format=json&list-type=2", "list-type"),
        ("v=3", "v"),
        ("=1", ""),
        ("Format=json", "Format"),
        ("x%3Cb%3E%0A=1", "x<b>\\u{a}"),
    ] {
        for target in ["/files/run/", "/files/run", "/files/run//", "/files/"] {
            let response = server.get(&format!("{target}?{query}"), &[]);
            assert_eq!(response.status, 400, "{target}?{query}");
            let told = response.json();
            assert_eq!(told["type"], "urn:sounding:problem:bad-query", "{target}?{query}");
            let detail = told["detail"].as_str().unwrap();
            assert!(detail.starts_with(&format!("`{name}` can't be asked")), "{detail}");
        }
    }
    for query in ["", "&", "&&format=json&", "filter=&sort=name"] {
        assert_eq!(server.get(&format!("/files/run/?{query}"), &[]).status, 200, "{query}");
    }
    // On a file it means nothing: caches and S3 clients add their own.
    for query in ["v=3", "x-id=GetObject", "zip", "_=1"] {
        assert_eq!(server.get(&format!("/files/run/a.csv?{query}"), &[]).status, 200, "{query}");
    }
}

fn shown(page: &str) -> Vec<String> {
    let rows = page.lines().filter_map(|line| line.split_once("<td><a href=\"")?.1.split_once('"'));
    rows.map(|(href, _)| href.to_owned()).collect()
}

#[test]
fn the_page_has_the_shape_that_simwrapper_reads() {
    let server = volume();
    let response = server.get("/files/run/", &[]);
    let page = response.text();
    assert_eq!(response.field("content-type").as_deref(), Some("text/html; charset=utf-8"));
    assert_eq!(page.matches("<table>").count(), 1);
    for absent in
        ["<ul", "<li>", "SimpleWebServer", "lakeFS", "src=", "http://", "https://", "onclick"]
    {
        assert!(!page.contains(absent), "{absent}");
    }
    assert_eq!(shown(&page), ["it.2/", "it.10/", "a.csv", "B.csv", "big.bin", "c9.csv", "c10.csv"]);
    assert!(page.contains("<a rel=\"up\" href=\"/files/\">files</a> / <b>run</b>"));
    assert!(page.contains("5.0 KB") && page.contains("2 folders, 5 files"));
    let policy = response.field("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
}

#[test]
fn the_page_sorts_and_filters_without_script() {
    let server = volume();
    let check = |query: &str, expected: &[&str]| {
        assert_eq!(
            shown(&server.get(&format!("/files/run/?{query}"), &[]).text()),
            expected,
            "{query}"
        );
    };
    check("filter=CSV", &["a.csv", "B.csv", "c9.csv", "c10.csv"]);
    check("filter=it.", &["it.2/", "it.10/"]);
    check("filter=zzz", &[]);
    let by_size = shown(&server.get("/files/run/?sort=size", &[]).text());
    assert_eq!((by_size[0].as_str(), by_size[6].as_str()), ("it.2/", "big.bin"));
    let reversed = shown(&server.get("/files/run/?sort=-size", &[]).text());
    assert_eq!((reversed[0].ends_with('/'), reversed[2].as_str()), (true, "big.bin"));
    check("sort=-name", &["it.10/", "it.2/", "c10.csv", "c9.csv", "big.bin", "B.csv", "a.csv"]);
    let newest = server.path("run/newest.csv");
    write(&newest, b"x");
    assert_eq!(shown(&server.get("/files/run/?sort=-date", &[]).text())[2], "newest.csv");
    let page = server.get("/files/run/?filter=%22%3E%3Cscript%3E", &[]).text();
    assert!(
        !page.contains("\"><script>alert") && page.contains("value=\"&quot;&gt;&lt;script&gt;\"")
    );
}

#[test]
fn a_folder_without_its_slash_is_redirected_with_its_query() {
    let server = volume();
    let check = |target: &str, location: &str| {
        let response = server.get(target, &[]);
        assert_eq!(
            (response.status, response.field("location").as_deref()),
            (307, Some(location)),
            "{target}"
        );
    };
    check("/files/run", "./run/");
    check("/files/run?format=json&filter=%20", "./run/?format=json&filter=%20");
    check("/files/run/it.2", "../run/it.2/");
    check("/files", "files/");
    check("/files?format=json", "files/?format=json");
    check("//files?v=3", "files/?v=3");
    check("/", "files/");
    fs::create_dir(server.path("run/a:b c")).unwrap();
    check("/files/run/a:b%20c", "../run/a%3Ab%20c/");
    fs::create_dir(server.path("run/evil.example")).unwrap();
    check("/files/run/evil.example", "../run/evil.example/");
    // Some clients take off the encoding of what a reference does not name.
    fs::create_dir_all(server.path("run/one two/#/x")).unwrap();
    check("/files/run/one%20two/%23/x", "../../../run/one%20two/%23/x/");
}

#[test]
fn an_empty_folder_is_listed() {
    let server = volume();
    fs::create_dir(server.path("run/empty")).unwrap();
    assert_eq!(server.get("/files/run/empty/?format=json", &[]).json(), serde_json::json!([]));
    assert!(server.get("/files/run/empty/", &[]).text().contains("nothing here yet"));
    let page = server.get("/files/run/?filter=Qq", &[]).text();
    assert!(page.contains("nothing with \u{201c}qq\u{201d} in its name"), "{page}");
}

#[test]
fn a_huge_folder_is_listed_whole_and_holds_no_other_request_up() {
    let server = volume();
    let folder = server.path("huge");
    fs::create_dir(&folder).unwrap();
    for number in 0..20_000 {
        fs::File::create(folder.join(format!("link_{number}.csv"))).unwrap();
    }
    let mut listing = server.connect();
    listing.send("GET", "/files/huge/?format=json", &[("Authorization", KEY)]);
    let head = listing.receive_head();
    assert_eq!((head.status, head.field("x-total-count").as_deref()), (200, Some("20000")));
    // The listing's client takes nothing for now; others are served all the same.
    let mut other = server.connect();
    for _ in 0..200 {
        other.send("GET", "/files/run/a.csv", &[("Authorization", KEY)]);
        assert_eq!(other.receive("GET").status, 200);
    }
    drop(listing);
    let began = Instant::now();
    let entries = names(&server, "/files/huge/?format=json");
    eprintln!("20 000 entries took {:?}", began.elapsed());
    let expected: Vec<String> = (0..20_000).map(|it| format!("link_{it}.csv")).collect();
    assert!(entries == expected, "{} entries", entries.len());
    assert_eq!(shown(&server.get("/files/huge/", &[]).text()).len(), 20_000);
}

#[test]
fn a_folder_is_read_no_further_when_its_client_has_gone() {
    let server = TestServer::start();
    server.put("a.csv", b"x");
    let folder = server.path("links");
    fs::create_dir(&folder).unwrap();
    // Each link is followed before the first byte is sent.
    for number in 0..5000 {
        std::os::unix::fs::symlink("../a.csv", folder.join(number.to_string())).unwrap();
    }
    let is_open = || {
        let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
        open.filter_map(|it| fs::read_link(it.path()).ok()).any(|it| it == folder)
    };
    let closed = || wait_for("an end of the reading", || (!is_open()).then_some(()));
    let ask = || {
        closed();
        let mut client = server.connect();
        client.send("GET", "/files/links/?format=json", &[("Authorization", KEY)]);
        wait_for("a folder that is read", || is_open().then_some(()));
        (client, Instant::now())
    };
    let (mut patient, began) = ask();
    assert_eq!(patient.receive_head().field("x-total-count").as_deref(), Some("5000"));
    let whole = began.elapsed();
    drop(patient);
    // This machine may do other things as well; of ten who leave at once one is noticed soon.
    let least = (0..10).map(|_| {
        let (client, began) = ask();
        drop(client);
        closed();
        began.elapsed()
    });
    let least = least.min().unwrap();
    assert!(least < whole / 4, "{least:?} of {whole:?}");
}

#[test]
fn whoever_may_write_gets_an_upload_area() {
    let server = TestServer::start();
    server.put("berlin/a.csv", b"x");
    server.put("public/b.csv", b"x");
    std::os::unix::fs::symlink("../berlin", server.path("public/link")).unwrap();
    let page = |target: &str, key: Option<&str>| {
        let mut fields = vec![("Accept", "text/html")];
        fields.extend(key.map(|it| ("Authorization", it)));
        let response = server.request("GET", target, &fields);
        assert_eq!(response.status, 200, "{target}");
        let policy = response.field("content-security-policy").unwrap();
        let has_area = response.text().contains("<section id=\"upload\"");
        assert_eq!(policy.contains("connect-src 'self'"), has_area, "{policy}");
        // What programs read of it stays as it was.
        assert_eq!(response.text().matches("<table>").count(), 1);
        assert!(!response.text().contains("<ul"));
        // To some programs each `<a href` is an entry.
        let links = response.text().matches("<td><a href=").count();
        assert_eq!(response.text().matches("<a href=\"").count(), links);
        // Folders that the key does not cover are no links.
        let has_links = key.is_none_or(|it| it == KEY);
        assert_eq!(
            response.text().matches("<a rel=\"up\" href=\"").count(),
            if has_links { target.matches('/').count() - 2 } else { 0 },
        );
        has_area
    };
    assert!(page("/files/", Some(KEY)) && page("/files/berlin/", Some(KEY)));
    assert!(page("/files/public/", Some(KEY)));
    assert!(!page("/files/berlin/", Some(BERLIN_KEY)));
    assert!(!page("/files/public/", None) && !page("/files/public/", Some(BERLIN_KEY)));
    let keys = format!("kmt,{KEY},write\nlea,lea-1,write,public\n");
    std::fs::write(server.path(".sounding/auth-keys.csv"), keys).unwrap();
    assert!(page("/files/public/", Some("lea-1")));
}

/// The links of the breadcrumbs.
fn links_up(page: &str) -> Vec<String> {
    let (_, nav) = page.split_once("<nav").unwrap();
    let (nav, _) = nav.split_once("</nav>").unwrap();
    nav.split("<a rel=\"up\" href=\"")
        .skip(1)
        .map(|it| it.split('"').next().unwrap().to_owned())
        .collect()
}

/// Requests by the key that covers `berlin/v6.4` only, in each way that a key can come.
fn led(server: &TestServer, path: &str, accept: &str) -> Vec<(String, Response)> {
    let key = ("Authorization", FOLDER_KEY);
    let targets = [
        (format!("/files/{path}"), vec![key, ("Accept", accept)]),
        (format!("/share/{FOLDER_KEY}/{path}"), vec![("Accept", accept)]),
    ];
    targets.map(|(target, fields)| (target.clone(), server.request("GET", &target, &fields))).into()
}

#[test]
fn a_key_for_one_folder_is_led_to_it_and_sees_nothing_beside() {
    let server = TestServer::start();
    server.put("berlin/v6.4/run/x.csv", b"x");
    server.put("berlin/beside.csv", b"x");
    server.put("berlin/v6.4-old/x.csv", b"x");
    server.put("hamburg/x.csv", b"x");
    server.put("public/x.csv", b"x");
    for (path, next) in [("", "berlin"), ("berlin/", "v6.4")] {
        for (target, response) in led(&server, path, "application/json") {
            assert_eq!(response.status, 200, "{target}");
            let entries = response.json();
            let names: Vec<_> = entries.as_array().unwrap().iter().map(|it| &it["name"]).collect();
            assert_eq!(names, [next], "{target}");
            assert_eq!(entries[0]["type"], "directory", "{target}");
            // Not even the times of what is not covered.
            let covered = fs::metadata(server.path("berlin/v6.4")).unwrap().modified().unwrap();
            let covered = jiff::Timestamp::try_from(covered).unwrap().as_millisecond();
            let told: jiff::Timestamp = entries[0]["mtime"].as_str().unwrap().parse().unwrap();
            assert_eq!(told.as_millisecond(), covered, "{target}");
            assert_eq!(response.field("x-total-count").as_deref(), Some("1"), "{target}");
        }
        for (target, response) in led(&server, path, "text/html") {
            let page = response.text();
            assert_eq!(shown(&page), [format!("{next}/")], "{target}");
            assert!(page.contains("Your key covers /berlin/v6.4"), "{page}");
            assert!(!page.contains("id=\"upload\""), "{target}");
            assert_eq!(links_up(&page), Vec::<String>::new(), "{target}");
        }
    }
    // Without its slash such a folder is a folder too; no file on the way is one.
    for (target, response) in led(&server, "berlin?sort=name", "*/*") {
        assert_eq!(response.status, 307, "{target}");
        assert!(response.field("location").unwrap().ends_with("berlin/?sort=name"), "{target}");
    }
    // A page at a time, and filtered.
    for (query, expected) in
        [("limit=1", 1), ("after=berlin/", 0), ("filter=ERL", 1), ("filter=ham", 0)]
    {
        for (target, response) in led(&server, &format!("?{query}"), "application/json") {
            assert_eq!(response.json().as_array().unwrap().len(), expected, "{target}");
            assert_eq!(response.field("link"), None, "{target}");
        }
    }
    // Within its folder all is as ever, but for the links to what lies above.
    for (target, response) in led(&server, "berlin/v6.4/run/", "text/html") {
        assert_eq!(shown(&response.text()), ["x.csv"], "{target}");
        assert_eq!(links_up(&response.text()).len(), 1, "{target}: {}", response.text());
    }
}

#[test]
fn what_lies_beside_the_way_is_refused_whether_or_not_it_is_there() {
    let server = TestServer::start();
    server.put("berlin/v6.4/x.csv", b"x");
    server.put("berlin/beside.csv", b"x");
    server.put("hamburg/x.csv", b"x");
    let refused = |method: &str, target: &str, key: &str| {
        let response = server.request(method, target, &[("Authorization", key)]);
        assert_eq!(response.status, 403, "{method} {target}");
        response.text()
    };
    let mut answers = Vec::new();
    for path in
        ["hamburg/", "nowhere/", "berlin/beside.csv", "berlin/nothing", "berlin/v6.5/", "berl/"]
    {
        answers.push(refused("GET", &format!("/files/{path}"), FOLDER_KEY));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(answers[0].contains("/berlin/v6.4"), "it says where the key is good: {answers:?}");
    // The way is there to be seen, not to be changed.
    for method in ["PUT", "DELETE"] {
        for path in ["", "berlin", "berlin/"] {
            refused(method, &format!("/files/{path}"), FOLDER_KEY);
        }
    }
    // It is nobody else's: neither of those with another key, nor of those without.
    refused("GET", "/files/berlin/", HAMBURG_KEY);
    assert_eq!(server.request("GET", "/files/berlin/", &[]).status, 401);
    assert_eq!(server.request("GET", "/files/", &[("Authorization", "wrong")]).status, 401);
    // A person gets a link.
    let fields = [("Authorization", FOLDER_KEY), ("Accept", "text/html")];
    let page = server.request("GET", "/files/hamburg/", &fields).text();
    assert!(page.contains("<a href=\"/files/berlin/v6.4\">/berlin/v6.4</a>"), "{page}");
    let target = format!("/share/{FOLDER_KEY}/hamburg/");
    let page = server.request("GET", &target, &[("Accept", "text/html")]).text();
    assert!(page.contains(&format!("<a href=\"/share/{FOLDER_KEY}/berlin/v6.4\">")), "{page}");
}

#[test]
fn the_way_to_what_is_not_there_leads_nowhere_and_says_so() {
    let server = TestServer::start();
    // Others' things in the folders above show neither themselves nor that they are there.
    server.put("berlin/beside.csv", b"x");
    for _ in 0..2 {
        for path in ["", "berlin/"] {
            for (target, response) in led(&server, path, "application/json") {
                assert_eq!(
                    (response.status, response.text().as_str()),
                    (200, "[\n]\n"),
                    "{target}"
                );
            }
            for (target, response) in led(&server, path, "text/html") {
                assert!(response.text().contains("is not there yet"), "{target}");
            }
        }
        fs::remove_dir_all(server.path("berlin")).unwrap();
        fs::create_dir(server.path("berlin")).unwrap();
    }
    // A link out of the key's folder is none of its way.
    server.put("hamburg/x.csv", b"x");
    std::os::unix::fs::symlink("../hamburg", server.path("berlin/v6.4")).unwrap();
    for (target, response) in led(&server, "berlin/", "application/json") {
        assert_eq!(response.text(), "[\n]\n", "{target}");
    }
    // A key may be for one file.
    fs::remove_file(server.path("berlin/v6.4")).unwrap();
    server.put("berlin/v6.4", b"1234");
    for (target, response) in led(&server, "berlin/", "application/json") {
        let entry = &response.json()[0];
        assert_eq!((&entry["type"], &entry["size"]), (&"file".into(), &4.into()), "{target}");
        assert!(entry["etag"].is_string(), "{target}");
    }
}
