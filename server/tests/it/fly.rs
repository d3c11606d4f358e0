//! `fly.toml`: its names are ones that Fly knows, and its values agree with the other files of the container.
//!
//! Fly's own tool takes a name that it does not know for nothing, and says so only when asked to be strict.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// The names that a section may hold, as flyctl's `internal/appconfig` (August 2026) has them: those that are of use here.
const KNOWN: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "app",
            "primary_region",
            "kill_signal",
            "kill_timeout",
            "build",
            "deploy",
            "env",
            "mounts",
            "http_service",
            "metrics",
            "restart",
            "vm",
        ],
    ),
    ("build", &["dockerfile", "ignorefile", "build-target", "args", "image"]),
    ("deploy", &["strategy", "wait_timeout", "max_unavailable"]),
    // The service's own variables.
    (
        "env",
        &[
            "SOUNDING_FRONT",
            "SOUNDING_IDLE_EXIT",
            "SOUNDING_LOG",
            "SOUNDING_MAILBOX",
            "SOUNDING_RELAY",
            "SOUNDING_IMPORT_KEYS",
        ],
    ),
    (
        "mounts",
        &[
            "source",
            "destination",
            "initial_size",
            "snapshot_retention",
            "auto_extend_size_threshold",
            "auto_extend_size_increment",
            "auto_extend_size_limit",
        ],
    ),
    (
        "http_service",
        &[
            "internal_port",
            "force_https",
            "auto_stop_machines",
            "auto_start_machines",
            "min_machines_running",
            "concurrency",
            "http_options",
            "tls_options",
            "checks",
        ],
    ),
    ("http_service.concurrency", &["type", "soft_limit", "hard_limit"]),
    (
        "http_service.http_options",
        &["compress", "h2_backend", "headers_read_timeout", "idle_timeout", "response"],
    ),
    (
        "http_service.checks",
        &["method", "path", "interval", "timeout", "grace_period", "protocol", "headers"],
    ),
    ("metrics", &["port", "path"]),
    ("restart", &["policy", "retries"]),
    ("vm", &["size", "memory", "cpu_kind", "cpus", "memory_mb"]),
];

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
}

fn parsed() -> Value {
    toml::from_str(&file("fly.toml")).unwrap()
}

/// Looks at a section and at those in it.
fn check_names(section: &str, value: &Value) {
    match value {
        Value::Array(items) => items.iter().for_each(|it| check_names(section, it)),
        Value::Object(entries) => {
            let known = KNOWN.iter().find(|(name, _)| *name == section);
            let (_, known) = known.unwrap_or_else(|| panic!("[{section}] is no section"));
            for (name, inner) in entries {
                assert!(known.contains(&name.as_str()), "[{section}] has no `{name}`");
                let inner_section =
                    if section.is_empty() { name } else { &format!("{section}.{name}") };
                check_names(inner_section, inner);
            }
        }
        _ => {}
    }
}

#[test]
fn fly_knows_all_its_names() {
    check_names("", &parsed());
}

/// `40s`
fn seconds(value: &Value) -> Duration {
    Duration::from_secs(value.as_str().unwrap().strip_suffix('s').unwrap().parse().unwrap())
}

/// What stands behind `NAME=` in supervisord.conf, as numbers of seconds.
fn supervised(name: &str) -> Vec<u64> {
    let text = file("supervisord.conf");
    text.lines().filter_map(|it| it.strip_prefix(name)?.strip_prefix('=')?.parse().ok()).collect()
}

#[test]
fn it_agrees_with_the_rest_of_the_container() {
    let fly = parsed();
    let service = &fly["http_service"];
    let nginx = file("nginx.conf");
    assert!(nginx.contains(&format!("listen {};", service["internal_port"])));
    let supervisord = file("supervisord.conf");
    assert!(supervisord.contains(&format!("--metrics [::]:{} ", fly["metrics"]["port"])));
    let dockerfile = file("Dockerfile");
    let destination = fly["mounts"][0]["destination"].as_str().unwrap();
    assert!(dockerfile.contains(&format!("SOUNDING_VOLUME={destination} ")));
    assert!(dockerfile.contains(&format!("STOPSIGNAL {}", fly["kill_signal"].as_str().unwrap())));
    // One program after the other, and a second until supervisord hears the signal.
    let stops = supervised("stopwaitsecs");
    assert_eq!(stops.len(), 2);
    let longest = Duration::from_secs(stops.iter().sum::<u64>() + 1);
    assert!(
        seconds(&fly["kill_timeout"]) > longest
            && seconds(&fly["kill_timeout"]) <= Duration::from_mins(5)
    );
    // A stream's heartbeat, and the longest wait for changes.
    assert!(service["http_options"]["idle_timeout"].as_u64().unwrap() > 60);
    assert_eq!(
        (&service["auto_stop_machines"], &service["auto_start_machines"]),
        (&"off".into(), &true.into())
    );
    assert_eq!(service["min_machines_running"], 0);
}

#[test]
fn the_volume_grows_within_what_fly_allows() {
    let mount = &parsed()["mounts"][0];
    let gigabytes = |name: &str| {
        mount[name].as_str().unwrap().strip_suffix("GB").unwrap().parse::<u64>().unwrap()
    };
    assert!((50..=99).contains(&mount["auto_extend_size_threshold"].as_u64().unwrap()));
    assert!((1..=100).contains(&gigabytes("auto_extend_size_increment")));
    assert!(gigabytes("initial_size") < gigabytes("auto_extend_size_limit"));
    assert!(gigabytes("auto_extend_size_limit") <= 500);
    assert!((1..=60).contains(&mount["snapshot_retention"].as_u64().unwrap()));
}

#[test]
fn each_setting_has_its_reason() {
    let text = file("fly.toml");
    let mut has_reason = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('#') {
            has_reason = true;
        } else if line.is_empty() || line.starts_with('[') {
            has_reason = false;
        } else {
            assert!(has_reason, "no reason stands above `{line}`");
        }
    }
}
