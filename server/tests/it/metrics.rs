//! What Prometheus scrapes, read by Prometheus itself; and the dashboard of it in `examples`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use rustix::process::Signal;

use crate::process::{Program, command};
use crate::support::{Connection, Response, write};

/// How long anything may take to be seen.
const PATIENCE: Duration = Duration::from_mins(2);
const KEY: &str = "kmt-secret-0123456789";

struct Place {
    volume: TempDir,
    program: Program,
    metrics: String,
}

impl Place {
    fn start(arguments: &[&str]) -> Place {
        let volume = tempfile::tempdir().unwrap();
        write(
            &volume.path().join(".sounding/auth-keys.csv"),
            format!("kmt,{KEY},write\n").as_bytes(),
        );
        write(&volume.path().join("berlin/trips.csv"), &[b'x'; 1000]);
        let log = volume.path().join(".sounding/log");
        let mut command = command(volume.path());
        command.args(["--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]).args(arguments);
        let program = Program::with_log(command, File::create(&log).unwrap());
        let metrics = wait("the log to name the port", || {
            let log = fs::read_to_string(&log).unwrap();
            let (_, behind) = log.split_once("metrics at http://")?;
            behind.split_once("/metrics").map(|it| it.0.to_owned())
        });
        Place { volume, program, metrics }
    }

    fn ask(&self, method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Response {
        let length = body.len().to_string();
        let mut all = vec![("Authorization", KEY), ("Content-Length", length.as_str())];
        all.extend(fields);
        let mut connection = Connection::to(&self.program.address);
        connection.send(method, target, &all);
        connection.send_raw(body);
        connection.receive(method)
    }

    fn get(&self, target: &str, fields: &[(&str, &str)]) -> u16 {
        self.ask("GET", target, fields, b"").status
    }

    /// As who asks so gets it: its type and its text.
    fn scrape(&self, accept: &str) -> (String, String) {
        let mut connection = Connection::to(&self.metrics);
        connection.send("GET", "/metrics", &[("Accept", accept)]);
        let response = connection.receive("GET");
        assert_eq!(response.status, 200);
        (response.field("content-type").unwrap(), response.text())
    }

    /// All figures by their names and labels, these in order.
    fn figures(&self) -> BTreeMap<String, f64> {
        let figure = |line: &str| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let name = match name.split_once('{') {
                Some((name, labels)) => {
                    let mut labels: Vec<&str> = labels.trim_end_matches('}').split(',').collect();
                    labels.sort_unstable();
                    format!("{name}{{{}}}", labels.join(","))
                }
                None => name.to_owned(),
            };
            (name, value.parse().unwrap())
        };
        self.scrape("*/*").1.lines().filter(|it| !it.starts_with('#')).map(figure).collect()
    }

    fn wait_for(&self, name: &str, is_so: impl Fn(f64) -> bool) {
        wait(name, || self.figures().get(name).copied().filter(|it| is_so(*it)));
    }
}

/// Waits for a value; each look is a request or a process, so there is a pause between.
fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(began.elapsed() < PATIENCE, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Unpacked by `.ci/setup.sh`.
fn tool(name: &str) -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/clients/prometheus/usr/bin");
    let tool = tools.join(name);
    assert!(tool.exists(), "there is no {}: run .ci/setup.sh", tool.display());
    tool
}

fn check(text: &str) {
    let mut promtool = Command::new(tool("promtool"));
    promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    let mut child = promtool.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn requests_are_counted_by_route_status_and_part_and_nobody_is_named() {
    let place = Place::start(&["--idle-exit", "3600"]);
    let file = "/files/berlin/trips.csv";
    assert_eq!(place.get(file, &[]), 200);
    assert_eq!(place.get(file, &[("Range", "bytes=0-99")]), 206);
    assert_eq!(place.get(file, &[("Range", "bytes=0-1,500-501")]), 206);
    assert_eq!(place.get(file, &[("Range", "bytes=5000-")]), 416);
    assert_eq!(place.get("/files/berlin/none.csv", &[]), 404);
    assert_eq!(place.get(&format!("/share/{KEY}/berlin/"), &[]), 200);
    assert_eq!(place.get("/nowhere", &[]), 404);
    assert_eq!(place.get("/health", &[]), 200);
    assert_eq!(place.ask("PUT", "/files/berlin/new.csv", &[], b"hello").status, 201);
    let tus = ("Tus-Resumable", "1.0.0");
    let name = ("Upload-Metadata", "filename dHVzLmNzdg==");
    let made = place.ask("POST", "/uploads", &[tus, name, ("Upload-Length", "10")], b"");
    let address = made.field("location").unwrap();
    let address = address.strip_prefix('.').unwrap();
    let patch = |offset: &str| {
        let kind = ("Content-Type", "application/offset+octet-stream");
        place.ask("PATCH", address, &[tus, kind, ("Upload-Offset", offset)], b"01234").status
    };
    assert_eq!(patch("0"), 204);
    assert_eq!(place.ask("HEAD", address, &[tus], b"").field("upload-offset").unwrap(), "5");
    assert_eq!(patch("5"), 204);
    let mut stream = Connection::to(&place.program.address);
    stream.send("GET", "/events", &[("Authorization", KEY)]);
    assert_eq!(stream.receive_head().status, 200);

    // A request is counted behind its last byte.
    let answered = |route: &str, status: u16| {
        format!("sounding_requests_total{{route=\"{route}\",status=\"{status}\"}}")
    };
    place.wait_for(&answered("/uploads/{id}", 204), |it| it >= 2.0);
    let figures = place.figures();
    let expect = |name: &str, value: f64| {
        assert_eq!(figures.get(name).copied(), Some(value), "{name}: {figures:#?}");
    };
    expect(&answered("/files/{*path}", 200), 1.0);
    expect(&answered("/files/{*path}", 206), 2.0);
    expect(&answered("/files/{*path}", 416), 1.0);
    expect(&answered("/files/{*path}", 404), 1.0);
    expect(&answered("/files/{*path}", 201), 1.0);
    expect(&answered("/share/{key}/{*path}", 200), 1.0);
    expect(&answered("other", 404), 1.0);
    expect(&answered("/health", 200), 1.0);
    expect(&answered("/uploads", 201), 1.0);
    for kind in ["whole", "single", "unsatisfiable", "multi"] {
        expect(&format!("sounding_ranges_total{{kind=\"{kind}\"}}"), 1.0);
    }
    for (way, count) in [("put", 1.0), ("tus", 1.0)] {
        expect(&format!("sounding_uploads_finished_total{{way=\"{way}\"}}"), count);
    }
    expect("sounding_uploads_resumed_total", 1.0);
    expect("sounding_received_bytes_total{route=\"/uploads/{id}\"}", 10.0);
    expect("sounding_received_bytes_total{route=\"/files/{*path}\"}", 5.0);
    expect("sounding_sent_bytes_total{route=\"/uploads\"}", 0.0);
    let sent = figures["sounding_sent_bytes_total{route=\"/files/{*path}\"}"];
    assert!((1100.0..4000.0).contains(&sent), "{sent}");
    expect("sounding_first_byte_seconds_count{route=\"/files/{*path}\"}", 6.0);
    expect("sounding_request_seconds_bucket{le=\"+Inf\",route=\"/files/{*path}\"}", 6.0);
    expect("sounding_event_streams", 1.0);
    expect("sounding_requests_open", 1.0);
    expect("sounding_keys", 1.0);
    expect("sounding_warnings", 0.0);
    expect("sounding_watch_degraded", 0.0);
    expect("sounding_watch_overflows_total", 0.0);
    expect("sounding_awake{reason=\"recent\"}", 1.0);
    expect("sounding_awake{reason=\"upload\"}", 0.0);
    let (size, free) =
        (figures["sounding_volume_size_bytes"], figures["sounding_volume_free_bytes"]);
    let reserve = figures["sounding_volume_reserve_bytes"];
    assert!(size >= free && free > 0.0 && reserve > 0.0 && reserve <= size / 20.0);
    let ready = figures["sounding_wake_ready_seconds"];
    let first = figures["sounding_wake_first_answer_seconds"];
    assert!((0.0..60.0).contains(&ready) && first >= ready, "{ready} {first}");
    for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"] {
        assert!(figures[name] > 0.0, "{name}");
    }

    let (kind, text) = place.scrape("text/plain");
    let kind_of_text = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(kind, kind_of_text);
    check(&text);
    let prometheus = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    let (kind, open) = place.scrape(prometheus);
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(open.ends_with("# EOF\n"));
    for text in [
        "application/openmetrics-text;q=0, */*",
        "application/openmetrics-text;q=0.3, text/plain;q=0.4",
    ] {
        assert_eq!(place.scrape(text).0, kind_of_text, "{text}");
    }
    for secret in [KEY, "kmt", "berlin", "trips", "tus.csv", "127.0.0.1", address] {
        assert!(!text.contains(secret) && !open.contains(secret), "{secret}");
    }
}

#[test]
fn lost_hints_are_counted_and_the_journal_catches_up() {
    let place = Place::start(&[]);
    place.wait_for("sounding_journal_lag_seconds", |it| it == 0.0);
    let berlin = place.volume.path().join("berlin");
    let mut files = ["a", "b"].map(|it| File::create(berlin.join(it)).unwrap());
    // The kernel keeps 16,384 of them for who does not look, and one where a file is written twice in a row.
    place.program.signal(Signal::STOP);
    for _ in 0..9000 {
        for file in &mut files {
            file.write_all(b"x").unwrap();
        }
    }
    place.program.signal(Signal::CONT);
    place.wait_for("sounding_watch_overflows_total", |it| it >= 1.0);
    place.wait_for("sounding_journal_lag_seconds", |it| it == 0.0);
}

/// A Prometheus that looks every second.
struct Prometheus {
    child: Child,
    address: String,
    _folder: TempDir,
}

impl Prometheus {
    fn of(target: &str) -> Prometheus {
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: sounding, static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        let log = folder.path().join("log");
        let child = Command::new(tool("prometheus"))
            .current_dir(folder.path())
            .args(["--config.file=prometheus.yml", "--web.listen-address=127.0.0.1:0"])
            .arg("--storage.tsdb.path=data")
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let address = wait("Prometheus to listen", || {
            let log = fs::read_to_string(&log).unwrap();
            let line = log.lines().find(|it| it.contains("Listening on"))?;
            Some(line.split_once("address=")?.1.trim().to_owned())
        });
        let prometheus = Prometheus { child, address, _folder: folder };
        wait("Prometheus to be ready", || {
            let mut connection = Connection::try_to(&prometheus.address)?;
            connection.send("GET", "/-/ready", &[]);
            (connection.receive("GET").status == 200).then_some(())
        });
        prometheus
    }

    /// How many series an expression has; none where it is not understood.
    fn ask(&self, expression: &str) -> Result<usize, String> {
        let mut connection = Connection::to(&self.address);
        let target = format!("/api/v1/query?query={}", volume::escape(expression.as_bytes()));
        connection.send("GET", &target, &[]);
        let answer = connection.receive("GET").json();
        let result = answer["data"]["result"].as_array();
        result.map(Vec::len).ok_or_else(|| answer["error"].to_string())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().unwrap();
    }
}

/// The expressions of the dashboard, and where each stands.
fn expressions(panels: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for panel in panels.as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"], "${datasource}");
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            found.push((text(&panel["title"]), text(&target["expr"])));
        }
    }
    found
}

#[test]
fn prometheus_reads_it_and_every_panel_of_the_dashboard_has_something_to_show() {
    let place = Place::start(&["--idle-exit", "3600"]);
    let prometheus = Prometheus::of(&place.metrics);
    let dashboard = include_str!("../../../examples/grafana-dashboard.json");
    let dashboard: Value = serde_json::from_str(dashboard).unwrap();
    assert_eq!(dashboard["templating"]["list"][0]["type"], "datasource");
    let expressions = expressions(&dashboard["panels"]);
    assert!(expressions.len() > 30);
    let mut connection = Connection::to(&place.program.address);
    wait("Prometheus to look twice", || {
        connection.send("GET", "/files/berlin/trips.csv", &[("Authorization", KEY)]);
        assert_eq!(connection.receive("GET").status, 200);
        let series = prometheus.ask("rate(sounding_requests_total[30s]) > 0");
        series.is_ok_and(|it| it > 0).then_some(())
    });
    assert_eq!(prometheus.ask("up == 1"), Ok(1));
    for (panel, expression) in expressions {
        let asked = expression.replace("$__rate_interval", "30s");
        let series = prometheus.ask(&asked);
        assert!(series.as_ref().is_ok_and(|it| *it > 0), "{panel}: {expression}: {series:?}");
    }
}
