//! What goes with every answer: fields, CORS, errors, and what a browser may do with an uploaded page.

use crate::support::{BERLIN_KEY, KEY, TestServer, wait_for};

/// Every field that an answer may carry. A new one is added here on purpose, or not at all.
const FIELDS: &[&str] = &[
    "accept-ranges",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-allow-private-network",
    "access-control-expose-headers",
    "access-control-max-age",
    "allow",
    "cache-control",
    "connection",
    "content-disposition",
    "content-encoding",
    "content-length",
    "content-location",
    "content-range",
    "content-security-policy",
    "content-type",
    "cross-origin-resource-policy",
    "date",
    "etag",
    "last-modified",
    "link",
    "location",
    "referrer-policy",
    "repr-digest",
    "retry-after",
    "transfer-encoding",
    "tus-checksum-algorithm",
    "tus-extension",
    "tus-resumable",
    "tus-version",
    "upload-concat",
    "upload-expires",
    "upload-length",
    "upload-metadata",
    "upload-offset",
    "vary",
    "www-authenticate",
    "x-accel-buffering",
    "x-content-type-options",
    "x-total-count",
];

fn volume() -> TestServer {
    let server = TestServer::start();
    server.put("run/trips.csv", "a;b\n".repeat(1000).as_bytes());
    server.put("run/page.html", b"<script>document.title = 'run'</script>");
    server
        .put("run/image.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>");
    server.put("run/image.png", b"\x89PNG");
    server
}

#[test]
fn answers_carry_only_fields_that_are_meant() {
    let server = volume();
    for (method, target, fields) in [
        ("GET", "/files/run/trips.csv", vec![("Authorization", KEY)]),
        ("HEAD", "/files/run/trips.csv", vec![("Authorization", KEY)]),
        (
            "GET",
            "/files/run/trips.csv?download",
            vec![("Authorization", KEY), ("Accept-Encoding", "br")],
        ),
        ("GET", "/files/run/trips.csv", vec![("Authorization", KEY), ("Range", "bytes=0-1,4-5")]),
        ("GET", "/files/run/trips.csv", vec![("Authorization", KEY), ("Range", "bytes=99999-")]),
        ("GET", "/files/run/", vec![("Authorization", KEY)]),
        ("GET", "/files/run/?format=json&limit=1", vec![("Authorization", KEY)]),
        ("GET", "/files/run", vec![("Authorization", KEY)]),
        ("GET", "/files/run/trips.csv", vec![]),
        ("POST", "/files/run/trips.csv", vec![("Authorization", KEY)]),
        (
            "OPTIONS",
            "/files/x",
            vec![("Origin", "https://a.example"), ("Access-Control-Request-Method", "GET")],
        ),
        ("PUT", "/files/run/new.csv", vec![("Authorization", KEY), ("Content-Length", "0")]),
        (
            "PUT",
            "/files/run/new.csv",
            vec![
                ("Authorization", KEY),
                ("Content-Length", "0"),
                ("Want-Repr-Digest", "sha-256=1"),
                ("If-None-Match", "*"),
            ],
        ),
        ("DELETE", "/files/run/new.csv", vec![("Authorization", KEY)]),
        (
            "POST",
            "/uploads",
            vec![
                ("Authorization", KEY),
                ("Tus-Resumable", "1.0.0"),
                ("Upload-Length", "0"),
                ("Upload-Metadata", "filename eC5jc3Y="),
            ],
        ),
        ("POST", "/uploads", vec![]),
        ("OPTIONS", "/uploads", vec![]),
        ("GET", "/changes", vec![("Authorization", KEY)]),
        ("GET", "/events?quiet=0", vec![("Authorization", KEY)]),
        ("GET", "/health", vec![]),
        ("GET", "/nothing", vec![]),
        ("GET", "/", vec![]),
    ] {
        let response = server.request(method, target, &fields);
        for (name, _) in &response.fields {
            assert!(FIELDS.contains(&name.as_str()), "{method} {target} carries `{name}`");
        }
        assert!(response.field("date").is_some(), "{method} {target}");
    }
}

#[test]
fn a_file_comes_with_all_that_caches_and_readers_need() {
    let server = volume();
    let response = server.get("/files/run/trips.csv", &[]);
    let field = |name: &str| response.field(name).unwrap_or_default();
    assert_eq!(field("content-type"), "text/csv; charset=utf-8");
    assert_eq!(field("content-length"), "4000");
    assert_eq!(field("accept-ranges"), "bytes");
    assert_eq!(field("cache-control"), "no-cache");
    assert_eq!(field("x-content-type-options"), "nosniff");
    assert_eq!(field("content-disposition"), "");
    let download = server.get("/files/run/trips.csv?download", &[]).field("content-disposition");
    assert_eq!(
        download.as_deref(),
        Some("attachment; filename=\"trips.csv\"; filename*=UTF-8''trips.csv")
    );
}

#[test]
fn an_uploaded_page_is_put_in_a_sandbox() {
    let server = volume();
    for path in ["page.html", "image.svg"] {
        let policy = server
            .get(&format!("/files/run/{path}"), &[])
            .field("content-security-policy")
            .unwrap();
        let directives: Vec<&str> = policy.split("; ").collect();
        // Its origin is all that it keeps: it runs no script, sends no form and opens no window.
        assert!(directives.contains(&"sandbox allow-same-origin"), "{policy}");
        assert!(directives.contains(&"default-src 'none'"), "{policy}");
        assert!(!policy.contains("script-src"), "{policy}");
    }
    assert_eq!(server.get("/files/run/image.png", &[]).field("content-security-policy"), None);
}

#[test]
fn what_a_login_may_open_is_embedded_by_no_other_site() {
    let server = volume();
    server.put("public/image.png", b"\x89PNG");
    std::os::unix::fs::symlink("../run", server.path("public/link")).unwrap();
    let check = |target: &str, fields: &[(&str, &str)], expected: &str| {
        let response = server.get_twice(target, fields);
        let policy = response.field("cross-origin-resource-policy");
        assert_eq!(policy.as_deref(), Some(expected), "{target} {fields:?}");
    };
    let etag = server.get("/files/run/image.png", &[]).etag();
    for fields in [
        vec![],
        vec![("Range", "bytes=0-1")],
        vec![("If-None-Match", etag.as_str())],
        vec![("Accept-Encoding", "gzip")],
    ] {
        check("/files/run/image.png", &fields, "same-origin");
        check("/files/run/trips.csv", &fields, "same-origin");
        check("/files/public/image.png", &fields, "cross-origin");
        check(&format!("/share/{KEY}/run/image.png"), &fields, "cross-origin");
    }
    // It lies where the link leads.
    check("/files/public/link/image.png", &[], "same-origin");
    check("/files/run/", &[], "same-origin");
    check("/files/run/?format=json", &[], "same-origin");
}

#[test]
fn preflights_allow_what_is_asked_for_without_a_key() {
    let server = volume();
    let asked =
        "authorization, range, if-range, if-none-match, access-control-allow-origin, upload-offset";
    for target in ["/files/run/trips.csv", "/files/none", "/files/run", "/health", "/share/x/y"] {
        let response = server.request(
            "OPTIONS",
            target,
            &[
                ("Origin", "https://simwrapper.example"),
                ("Access-Control-Request-Method", "GET"),
                ("Access-Control-Request-Headers", asked),
                ("Access-Control-Request-Private-Network", "true"),
            ],
        );
        let field = |name: &str| response.field(name).unwrap_or_default();
        assert_eq!(response.status, 200, "{target}");
        assert_eq!(field("access-control-allow-origin"), "*");
        assert_eq!(field("access-control-allow-headers"), asked);
        assert_eq!(field("access-control-allow-methods"), "GET");
        assert_eq!(field("access-control-allow-private-network"), "true");
        assert!(field("access-control-max-age").parse::<u32>().unwrap() >= 600);
        assert_eq!(field("access-control-allow-credentials"), "");
        for method in ["HEAD", "POST", "PUT", "PATCH", "DELETE"] {
            let asked = [("Origin", "null"), ("Access-Control-Request-Method", method)];
            let response = server.request("OPTIONS", target, &asked);
            let allowed = response.field("access-control-allow-methods");
            assert_eq!(allowed.as_deref(), Some(method), "{target}");
        }
    }
}

#[test]
fn every_answer_can_be_read_on_another_origin() {
    let server = volume();
    for (target, status) in [
        ("/files/run/trips.csv", 200),
        ("/files/none", 404),
        ("/files/run/%zz", 400),
        ("/nothing", 404),
        ("/health", 200),
    ] {
        let response = server.get(target, &[("Origin", "null")]);
        assert_eq!(response.status, status, "{target}");
        assert_eq!(response.field("access-control-allow-origin").as_deref(), Some("*"), "{target}");
        // All of them; a browser that reads them is in `web`.
        let exposed = response.field("access-control-expose-headers");
        assert_eq!(exposed.as_deref(), Some("*"), "{target}");
    }
}

#[test]
fn errors_are_problems_and_pages_for_people() {
    let server = volume();
    for (method, target, status, kind) in [
        ("GET", "/files/none.csv", 404, "not-found"),
        ("GET", "/nothing", 404, "not-found"),
        ("GET", "/files/run/trips.csv/", 404, "not-found"),
        ("GET", "/files/.sounding/auth-keys.csv", 404, "not-found"),
        ("GET", "/files/a/../b", 400, "bad-path"),
        ("POST", "/files/run/trips.csv", 405, "method-not-allowed"),
        ("DELETE", "/health", 405, "method-not-allowed"),
        ("TRACE", "/files/run/trips.csv", 405, "method-not-allowed"),
        ("BREW", "/files/run/trips.csv", 501, "unknown-method"),
        ("get", "/health", 501, "unknown-method"),
    ] {
        let response = server.request(method, target, &[("Authorization", KEY)]);
        assert_eq!(response.status, status, "{method} {target}");
        assert_eq!(
            response.field("content-type").as_deref(),
            Some("application/problem+json"),
            "{target}"
        );
        let problem = response.json();
        assert_eq!(problem["type"], format!("urn:sounding:problem:{kind}"), "{target}");
        assert_eq!(problem["status"], status);
        assert_eq!(response.field("allow").is_some(), status == 405 || status == 501, "{target}");
        if method == "GET" {
            for json in ["text/html;q=0", "application/json, text/html;q=0.1", "*/*"] {
                let response = server.get(target, &[("Accept", json)]);
                assert_eq!(response.json()["status"], status, "{json}");
            }
            let page = server.get(target, &[("Accept", "application/json;q=0.1, TEXT/HTML")]);
            assert_eq!(page.status, status);
            assert!(page.text().contains(&format!("<h1>{status}: ")), "{}", page.text());
        }
    }
}

#[test]
fn a_method_that_is_not_there_is_told_which_are() {
    let server = volume();
    let upload = server.begin(3, "run/upload.csv", &[]);
    for target in [
        "/",
        "/files",
        "/files/",
        "/files/run/trips.csv",
        "/share/x",
        "/share/x/",
        "/share/x/a",
        "/uploads",
        "/uploads/",
        &upload,
        "/changes",
        "/events?quiet=0",
        "/health",
        "/openapi.json",
        "/sounding.js",
        "/sounding.d.ts",
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"] {
            let fields = [("Authorization", KEY), ("Tus-Resumable", "1.0.0")];
            let response = server.request(method, target, &fields);
            let allow = response.field("allow");
            assert_eq!(allow.is_some(), matches!(response.status, 405 | 501), "{method} {target}");
            let allowed = allow.unwrap_or_default();
            assert!(
                allowed.split(',').all(|it| it.trim() != method),
                "{method} {target}: {allowed}"
            );
            assert!(!response.field("allow").is_some_and(|it| it.is_empty()), "{method} {target}");
        }
    }
}

/// A description with its references followed, which lead to `components` only.
fn resolved(description: &serde_json::Value, value: &serde_json::Value) -> serde_json::Value {
    let reference = value.get("$ref").and_then(|it| it.as_str());
    let Some(pointer) = reference.and_then(|it| it.strip_prefix('#')) else { return value.clone() };
    description.pointer(pointer).unwrap_or_else(|| panic!("{pointer}")).clone()
}

/// An operation's parameters in the query, with those that all of its path's operations have.
fn in_query(
    description: &serde_json::Value,
    path: &serde_json::Value,
    method: &str,
) -> Vec<serde_json::Value> {
    let lists = [&path["parameters"], &path[method]["parameters"]];
    let all = lists.into_iter().filter_map(|it| it.as_array()).flatten();
    all.map(|it| resolved(description, it)).filter(|it| it["in"] == "query").collect()
}

#[test]
fn parameters_are_taken_within_their_described_bounds_and_refused_beyond() {
    let server = volume();
    let description = server.request("GET", "/openapi.json", &[]).json();
    let mut bounds = 0;
    for (path, operations) in description["paths"].as_object().unwrap() {
        for parameter in in_query(&description, operations, "get") {
            let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
            let mut good: Vec<String> = Vec::new();
            let mut bad: Vec<String> = Vec::new();
            for (bound, step) in [("minimum", -1), ("maximum", 1)] {
                if let Some(bound) = schema[bound].as_i64() {
                    // One that nobody need wait for.
                    good.extend((bound == 0 || name == "limit").then(|| bound.to_string()));
                    bad.push((bound + step).to_string());
                }
            }
            if schema["type"] == "integer" {
                bad.extend(["x", "1.5", "99999999999999999999999", "-1"].map(str::to_owned));
            }
            for value in schema["enum"].as_array().into_iter().flatten() {
                good.push(value.as_str().unwrap().to_owned());
                bad.push("else".to_owned());
            }
            bounds += bad.len();
            let folder = path.replace("{path}", "run/").replace("{key}", KEY);
            let format =
                if path.contains("{path}") && name != "format" { "&format=json" } else { "" };
            // A stream that does not last.
            let quiet = if path == "/events" && name != "quiet" { "&quiet=0" } else { "" };
            for (values, is_good) in [(good, true), (bad, false)] {
                for value in values {
                    let target = format!("{folder}?{name}={value}{format}{quiet}");
                    let status = server.get(&target, &[]).status;
                    assert_eq!(status, if is_good { 200 } else { 400 }, "{target}");
                }
            }
        }
    }
    assert!(bounds > 20, "{bounds}");
}

#[test]
fn each_answer_is_described_also_to_odd_requests() {
    let server = volume();
    let description = server.request("GET", "/openapi.json", &[]).json();
    let upload = server.begin(3, "run/upload.csv", &[]);
    let authorizations: [&[(&str, &str)]; 4] = [
        &[("Authorization", KEY)],
        &[("Authorization", "wrong")],
        &[("Authorization", BERLIN_KEY)],
        &[],
    ];
    let odd: [&[(&str, &str)]; 14] = [
        &[],
        &[("Range", "bytes=0-0")],
        &[("Range", "bytes=999999-")],
        &[("If-None-Match", "*")],
        &[("If-Match", "\"other\"")],
        &[("If-Modified-Since", "Thu, 01 Jan 2099 00:00:00 GMT")],
        &[("If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:00 GMT")],
        &[("Tus-Resumable", "1.0.0")],
        &[("Tus-Resumable", "0.2.2")],
        &[("Tus-Resumable", "1.0.0"), ("Upload-Offset", "7")],
        &[("Tus-Resumable", "1.0.0"), ("Upload-Offset", "0"), ("Content-Type", "text/plain")],
        &[("Tus-Resumable", "1.0.0"), ("Upload-Length", "x")],
        &[("Content-Encoding", "gzip"), ("Content-Range", "bytes 0-0/1")],
        &[("Repr-Digest", "sha-256=:no:")],
    ];
    let mut told = std::collections::BTreeSet::new();
    for (path, operations) in description["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            if method == "parameters" {
                continue;
            }
            for (number, odd) in odd.iter().enumerate() {
                for authorization in authorizations {
                    for name in
                        ["run/trips.csv", "run", "run/", "none/at-all", "run/%00", ".sounding/x"]
                    {
                        let end = format!("{number}/x");
                        // Each wrong key is answered late.
                        if authorization.contains(&("Authorization", "wrong"))
                            && (number, name) != (0, "run/trips.csv")
                        {
                            continue;
                        }
                        // What is written and deleted is nobody else's.
                        let is_written = matches!(method.as_str(), "put" | "delete");
                        let name = if is_written && !name.starts_with('.') { &end } else { name };
                        let target = path.replace("{path}", name).replace("{key}", KEY);
                        let target = target.replace("/uploads/{id}", &upload);
                        let target = target.replace("/events", "/events?quiet=0");
                        let mut fields = [authorization, odd].concat();
                        fields.push(("Content-Length", "0"));
                        let answer = server.request(&method.to_uppercase(), &target, &fields);
                        let status = answer.status.to_string();
                        assert!(
                            operation["responses"].get(&status).is_some(),
                            "{method} {target} {fields:?}: {status} {}",
                            answer.text()
                        );
                        told.insert((path.clone(), method.clone(), status));
                    }
                }
            }
        }
    }
    for (path, method, status) in [
        ("/files/{path}", "head", "416"),
        ("/share/{key}/{path}", "get", "304"),
        ("/uploads/{id}", "head", "412"),
        ("/uploads/{id}", "delete", "412"),
    ] {
        assert!(told.contains(&(path.to_owned(), method.to_owned(), status.to_owned())), "{path}");
    }
}

/// What is put is there to be read, until it is deleted.
const METHODS: &[&str] = &["put", "get", "head", "post", "patch", "delete"];

#[test]
fn the_description_tells_of_what_is_there_and_of_nothing_else() {
    let server = volume();
    let response = server.request("GET", "/openapi.json", &[]);
    assert_eq!(response.field("content-type").as_deref(), Some("application/json"));
    let description = response.json();
    assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"));
    let upload = server.begin(3, "run/upload.csv", &[]);
    for (path, operations) in description["paths"].as_object().unwrap() {
        let target = path.replace("{path}", "run/trips.csv").replace("{key}", KEY);
        let target = target.replace("/uploads/{id}", &upload);
        // A stream that does not last.
        let target = target.replace("/events", "/events?quiet=0");
        let operations = operations.as_object().unwrap();
        for method in METHODS {
            let Some(operation) = operations.get(*method) else { continue };
            let fields = [
                ("Authorization", KEY),
                ("Content-Length", "0"),
                ("Tus-Resumable", "1.0.0"),
                ("Content-Type", "application/offset+octet-stream"),
                ("Upload-Offset", "0"),
                ("Upload-Length", "0"),
                ("Upload-Metadata", "filename bmV3LmNzdg=="),
            ];
            let response = server.request(&method.to_uppercase(), &target, &fields);
            let status = response.status.to_string();
            assert!(response.status < 300, "{method} {target}: {status}");
            assert!(operation["responses"].get(status).is_some(), "{method} {target}");
        }
        let mut described = operations.keys().map(String::as_str);
        assert!(described.all(|it| it == "parameters" || METHODS.contains(&it)), "{path}");
    }
    // What a listing and a problem really have is described.
    let schemas = &description["components"]["schemas"];
    let entries = server.get("/files/run/?format=json", &[]).json();
    for field in entries[0].as_object().unwrap().keys() {
        assert!(
            schemas["listing"]["items"]["properties"].get(field).is_some(),
            "{field} of a listing"
        );
    }
    let problem = server.get("/files/none", &[]).json();
    for field in problem.as_object().unwrap().keys() {
        assert!(schemas["problem"]["properties"].get(field).is_some(), "{field} of a problem");
    }
    let cursor = server.cursor();
    server.put("run/change.csv", b"content");
    let changes = server.get(&format!("/changes?since={cursor}&wait=20"), &[]).json();
    for field in changes["changes"][0].as_object().unwrap().keys() {
        assert!(schemas["change"]["properties"].get(field).is_some(), "{field} of a change");
    }
    let text = description.to_string();
    for (index, _) in text.match_indices("\"$ref\":\"#/") {
        let reference = text[index + 9..].split('"').next().unwrap();
        assert!(description.pointer(reference).is_some(), "{reference} leads nowhere");
    }
}

#[test]
fn a_file_that_becomes_shorter_ends_the_connection_and_is_never_padded() {
    let server = TestServer::start();
    let content = vec![b'x'; 64 << 20];
    server.put("run/big.bin", &content);
    let mut connection = server.connect();
    connection.send("GET", "/files/run/big.bin", &[("Authorization", KEY)]);
    let head = connection.receive_head();
    assert_eq!(head.field("content-length").unwrap(), content.len().to_string());
    // What sockets hold is far less than the file: the server is still reading when it is cut.
    std::fs::File::options()
        .write(true)
        .open(server.path("run/big.bin"))
        .unwrap()
        .set_len(1 << 20)
        .unwrap();
    let mut body = Vec::new();
    std::io::Read::read_to_end(&mut connection.stream, &mut body).unwrap_or(0);
    assert!(body.len() < content.len(), "all {} bytes came", body.len());
    assert!(body.iter().all(|it| *it == b'x'), "padding came");
    // Only that connection ended.
    assert_eq!(server.get("/files/run/big.bin", &[]).body.len(), 1 << 20);
}

#[test]
fn a_large_file_that_has_been_left_alone_is_sent_by_the_kernel() {
    use sounding_server::bytes_sent;
    let server = TestServer::start();
    let content = crate::support::pattern(8 << 20);
    server.put("run/big.bin", &content);
    let by_kernel_of = |range: &str| {
        let before = bytes_sent();
        let response = server.get("/files/run/big.bin", &[("Range", range)]);
        let sent = response.body.len() as u64;
        assert!(content.windows(response.body.len()).any(|it| it == response.body), "{range}");
        // Others send at the same time; none takes anything away.
        bytes_sent() - before >= sent - 4096
    };
    wait_for("the file's rest", || by_kernel_of("").then_some(()));
    assert!(by_kernel_of("bytes=1-8000000"));
}

#[test]
fn a_file_that_is_not_in_memory_comes_from_the_disk() {
    use rustix::fs::{Advice, fadvise, fsync};
    let server = TestServer::start();
    let content = crate::support::pattern(8 << 20);
    server.put("run/cold.bin", &content);
    let file = std::fs::File::open(server.path("run/cold.bin")).unwrap();
    let evict = || {
        fsync(&file).unwrap();
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
    };
    evict();
    assert!(server.get("/files/run/cold.bin", &[]).body == content);
    evict();
    let part = server.get("/files/run/cold.bin", &[("Range", "bytes=5000000-5999999,100-199")]);
    assert_eq!(part.status, 206);
    assert!(part.body.windows(1000).any(|it| it == &content[5_000_000..5_001_000]));
}

#[test]
fn a_file_replaced_while_it_is_sent_arrives_as_it_was() {
    let server = TestServer::start();
    let old = vec![b'o'; 32 << 20];
    server.put("run/big.bin", &old);
    let mut connection = server.connect();
    connection.send("GET", "/files/run/big.bin", &[("Authorization", KEY)]);
    let mut response = connection.receive_head();
    server.put("run/.new", &vec![b'n'; 32 << 20]);
    std::fs::rename(server.path("run/.new"), server.path("run/big.bin")).unwrap();
    std::io::Read::read_to_end(
        &mut std::io::Read::take(&mut connection.stream, old.len() as u64),
        &mut response.body,
    )
    .unwrap();
    assert!(response.body == old);
}

#[test]
fn no_answer_without_a_key_tells_a_private_name() {
    const NAME: &str = "zanzibar";
    let server = TestServer::start();
    server.put(&format!("{NAME}-2027/{NAME}.csv"), b"a;b\n");
    server.put("public/open.csv", b"a;b\n");
    std::os::unix::fs::symlink(format!("../{NAME}-2027"), server.path("public/way-in")).unwrap();
    // As long as a path may be, so that it can't be watched by one that begins at the machine's root.
    let mut folder = std::fs::File::open(server.folder.path()).unwrap();
    for len in std::iter::repeat_n(25, 20).chain([9]) {
        let name = NAME.repeat(len);
        rustix::fs::mkdirat(&folder, name.as_str(), rustix::fs::Mode::RWXU).unwrap();
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY;
        folder = rustix::fs::openat(&folder, name.as_str(), flags, rustix::fs::Mode::empty())
            .unwrap()
            .into();
    }
    server.app.observe();
    let health = wait_for("a warning", || {
        let health = server.request("GET", "/health", &[]).json();
        (health["status"] == "degraded").then_some(health)
    });
    let warning = health["warnings"][0].as_str().unwrap();
    assert!(
        warning.contains("can't be watched")
            && !warning.contains("os error")
            && !warning.contains('/'),
        "{warning}"
    );
    let whole = server.app.feed.warning().unwrap().whole;
    assert!(whole.contains(NAME), "the operator is told: {whole}");
    std::fs::write(
        server.path(".sounding/auth-keys.csv"),
        format!("{NAME},x\u{0},read,{NAME}\n{NAME}\n"),
    )
    .unwrap();
    let targets = [
        "/",
        "/files",
        "/files/",
        "/files/?format=json",
        "/files/none",
        "/files/none/",
        "/files/public/",
        "/files/public/?format=json",
        "/files/public/?filter=z",
        "/files/public/way-in",
        "/files/public/way-in/",
        "/files/public/none",
        "/files/z%",
        "/files/../x",
        "/share/x",
        "/share/x/",
        "/share//",
        "/uploads",
        "/uploads/0123456789abcdef0123456789abcdef",
        "/changes",
        "/changes?since=0",
        "/changes?path=public",
        "/changes?path=none",
        "/events?path=none",
        "/health",
        "/openapi.json",
        "/sounding.js",
        "/sounding.d.ts",
        "/none",
        "/metrics",
        "/activity",
    ];
    for target in targets {
        for method in ["GET", "HEAD", "PUT", "DELETE", "POST", "PATCH", "OPTIONS", "PROPFIND"] {
            for accept in ["*/*", "text/html"] {
                let response =
                    server.request(method, target, &[("Accept", accept), ("Content-Length", "0")]);
                let all = format!("{:?} {}", response.fields, response.text());
                assert!(
                    !all.contains(NAME) && !all.contains("os error"),
                    "{method} {target}: {all}"
                );
            }
        }
    }
}
